//! A plan that fails, made as short as it can be: events are dropped, and what lasts is
//! halved, as long as it fails.

use super::plan::Plan;
use sun4v::time::SimTime;

/// What lasts is not made shorter than this.
const SHORTEST: SimTime = SimTime::us(50);

/// The shortest plan that `fails`, of those that are found by leaving out and halving.
pub fn shrink(plan: &Plan, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut best = plan.clone();
    loop {
        let before = best.clone();
        let mut at = 0;
        while at < best.0.len() {
            let mut shorter = best.clone();
            shorter.0.remove(at);
            if fails(&shorter) {
                best = shorter;
            } else {
                at += 1;
            }
        }
        for at in 0..best.0.len() {
            loop {
                let mut shorter = best.clone();
                let Some(span) = shorter.0[at].what.span_mut() else { break };
                let half = SimTime::us(span.as_us() / 2);
                if half < SHORTEST {
                    break;
                }
                *span = half;
                if !fails(&shorter) {
                    break;
                }
                best = shorter;
            }
        }
        if best == before {
            return best;
        }
    }
}
