//! Every entry of either journal and every frame of a migration, with every fault.
//!
//! **Shape.** A calm migration says how many entries and frames there are. Each entry, as it
//! begins to be written and as it is durable, and each frame, as it leaves, is an occasion;
//! each fault happens at each occasion, alone: one storm for each. A fault may be two
//! things at once, such as a reset with the cable out, so that what was just said is lost.

use super::lab::Lab;
use super::plan::{Event, Plan, Side, What, When};
use super::run::run;
use anyhow::bail;
use sun4v::time::SimTime;

/// What happens at an occasion.
#[must_use]
pub fn faults() -> Vec<Vec<What>> {
    const MOMENT: SimTime = SimTime::us(60);
    const LONG: SimTime = SimTime::ms(1500);
    let mut faults = Vec::new();
    for side in Side::BOTH {
        for span in [MOMENT, LONG] {
            faults.push(vec![What::Reset(side, span)]);
            faults.push(vec![What::Cut(side, MOMENT), What::Reset(side, span)]);
        }
        faults.push(vec![What::Full(side, SimTime::ms(40))]);
        faults.push(vec![What::Off(side)]);
        faults.push(vec![What::Cancel(side)]);
        faults.push(vec![What::Cut(side, MOMENT)]);
    }
    faults.push(vec![What::Cut(Side::A, LONG)]);
    faults.push(vec![What::Reset(Side::A, MOMENT), What::Reset(Side::B, MOMENT)]);
    faults.push(vec![What::Reset(Side::A, SimTime::ms(300)), What::Reset(Side::B, LONG)]);
    faults.push(vec![What::Late(SimTime::us(900), SimTime::us(300))]);
    faults
}

/// The occasions of a migration in which nothing goes wrong; of the frames, each `stride`th.
///
/// # Errors
/// The lab does not come up, or something does go wrong.
pub fn occasions(lab: &Lab, stride: u64) -> anyhow::Result<Vec<When>> {
    let calm = run(lab, 0, &calm(), false)?;
    if let Some(why) = calm.failed {
        bail!("a migration in which nothing goes wrong: {why}");
    }
    let mut all = Vec::new();
    for side in Side::BOTH {
        for entry in 1..=calm.entries[side as usize] {
            all.extend([When::Begun(side, entry), When::Durable(side, entry)]);
        }
    }
    let frames = (1..=calm.frames).step_by(stride.max(1) as usize);
    all.extend(frames.map(When::Frame));
    Ok(all)
}

/// A migration and nothing else.
#[must_use]
pub fn calm() -> Plan {
    Plan(vec![Event::new(When::At(SimTime::ZERO), What::Migrate(Side::A))])
}

/// Each fault at each occasion.
#[must_use]
pub fn plans(occasions: &[When]) -> Vec<Plan> {
    let of = |when: When| {
        faults().into_iter().map(move |fault| {
            let mut plan = calm();
            plan.0.extend(fault.into_iter().map(|what| Event::new(when, what)));
            plan
        })
    };
    occasions.iter().flat_map(|&when| of(when)).collect()
}
