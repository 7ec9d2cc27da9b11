//! The verdict and the report read what managers note, by the managers' own numbers.

use ldm::migrate::Phase;
use sim::lab::report::PHASES;
use sim::lab::verdict::moves::{PHASE_PRE_COPY, PHASE_PREPARE};

#[test]
fn phases_have_the_numbers_by_which_the_verdict_knows_them() {
    let ours = [PHASE_PREPARE, PHASE_PRE_COPY];
    let theirs = [Phase::Prepare, Phase::PreCopy].map(|phase| phase as u64);
    assert_eq!(ours, theirs);
}

#[test]
fn phases_are_called_what_the_manager_calls_them() {
    let phases = [
        Phase::Check,
        Phase::Prepare,
        Phase::PreCopy,
        Phase::Suspend,
        Phase::Digest,
        Phase::HandOff,
        Phase::Done,
    ];
    assert_eq!(phases.map(Phase::name), PHASES);
}
