//! The verdict reads what managers note, by the managers' own numbers.

use ldm::migrate::Phase;
use sim::lab::verdict::moves::{PHASE_PRE_COPY, PHASE_PREPARE};

#[test]
fn phases_have_the_numbers_by_which_the_verdict_knows_them() {
    let ours = [PHASE_PREPARE, PHASE_PRE_COPY];
    let theirs = [Phase::Prepare, Phase::PreCopy].map(|phase| phase as u64);
    assert_eq!(ours, theirs);
}
