//! Queues of crypto units, seen over more than one call: what descriptors say when, who is
//! interrupted, and what ends with a guest.

use hv::platform::{MauEnd, MauOperation};
use hv::testing::{BASE, BYTES, Lab};
use hv::{Outcome, Trap};
use proptest::prelude::{any, prop, prop_oneof, proptest};
use proptest::strategy::Strategy;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::{HvError, nr};
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CoreId, GuestId, VcpuId};
use sun4v::ncs::{Control, Descriptor, Entry, MaControl, MaOffsets, MaOp};

const MAU: u64 = 1;
const CWQ: u64 = 2;
const MAU_0: u64 = 0x864;
const CWQ_0: u64 = 0xa72;
const QUEUE: u64 = BASE + 0x4000;
const DATA: u64 = BASE + 0x8000;
const END: u64 = BASE + BYTES;
/// Sysinos of guest 0's units.
const MAU_INO: u64 = 0x128;
const CWQ_INO: u64 = 0x120;
const CORE: CoreId = CoreId(0);

/// Guest 0 with a queue of eight entries on a unit, and its interrupt on.
fn lab(kind: u64, sysino: u64) -> Lab {
    let mut lab = Lab::new();
    for (nr, args) in [
        (nr::cpu_qconf, [0x3d, BASE + 0x1000, 8, 0, 0]),
        (nr::ncs_qconf, [kind, QUEUE, 8, 0, 0]),
        (nr::intr_settarget, [sysino, 0, 0, 0, 0]),
        (nr::intr_setenabled, [sysino, 1, 0, 0, 0]),
    ] {
        assert_eq!(lab.call(nr, args).status, 0, "{nr:#x}");
    }
    lab
}

fn put(lab: &mut Lab, at: u64, op: MaOp, kind: u64) {
    let descriptor = Descriptor {
        state: Descriptor::PENDING,
        kind,
        control: MaControl::new(op, 8),
        memory: Ra(DATA),
        offsets: MaOffsets::new([0, 8, 16, 24, 32, 7]),
        error: 0x77,
        ..Default::default()
    };
    lab.poke(QUEUE + at * 64, &descriptor.to_bytes());
}

/// Two jobs of three descriptors.
fn two_jobs(lab: &mut Lab) {
    for at in 0..6 {
        let kind = [Descriptor::START, Descriptor::CONTINUE, Descriptor::END][at as usize % 3];
        put(lab, at, [MaOp::Load, MaOp::Exponentiate, MaOp::Store][at as usize % 3], kind);
    }
    assert_eq!(lab.call(nr::ncs_settail, [MAU_0, 6 * 64, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
}

/// States and error statuses of the first `count` descriptors.
fn states(lab: &Lab, count: u64) -> Vec<(u64, u64)> {
    let one = |at| {
        let descriptor = Descriptor::from_bytes(&lab.peek(QUEUE + at * 64));
        (descriptor.state, descriptor.error)
    };
    (0..count).map(one).collect()
}

fn mondos(lab: &mut Lab) -> Vec<u64> {
    std::iter::from_fn(|| lab.hv.next_mondo(GuestId(0), &mut lab.board))
        .map(|words| words[0])
        .collect()
}

/// Consumed up to `head`, and ready for the next interrupt.
fn acknowledge(lab: &mut Lab, handle: u64, sysino: u64, head: u64) {
    assert_eq!(lab.call(nr::ncs_sethead_marker, [handle, head, 0, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::intr_setstate, [sysino, 0, 0, 0, 0]).status, 0);
}

const PENDING: (u64, u64) = (1, 0x77);
const BUSY: (u64, u64) = (2, 0x77);
const DONE: (u64, u64) = (3, 0);

#[test]
fn a_job_is_told_of_at_its_end_and_no_earlier() {
    let mut lab = lab(MAU, MAU_INO);
    two_jobs(&mut lab);
    assert_eq!(lab.board.operations.len(), 6);
    assert_eq!(states(&lab, 6), [BUSY, PENDING, PENDING, PENDING, PENDING, PENDING]);
    lab.hv.mau_done(CORE, &[MauEnd::Done; 2], &mut lab.board);
    assert_eq!(states(&lab, 4), [DONE, DONE, BUSY, PENDING]);
    assert!(mondos(&mut lab).is_empty());
    lab.hv.mau_done(CORE, &[MauEnd::Done], &mut lab.board);
    assert_eq!(states(&lab, 4), [DONE, DONE, DONE, BUSY]);
    assert_eq!(mondos(&mut lab), [MAU_INO]);
    // Not consumed: the interrupt comes again as soon as it may.
    lab.call(nr::intr_setstate, [MAU_INO, 0, 0, 0, 0]);
    assert_eq!(mondos(&mut lab), [MAU_INO]);
    acknowledge(&mut lab, MAU_0, MAU_INO, 3 * 64);
    assert!(mondos(&mut lab).is_empty());
    lab.hv.mau_done(CORE, &[MauEnd::Done; 3], &mut lab.board);
    assert_eq!(states(&lab, 6), [DONE; 6]);
    assert_eq!(mondos(&mut lab), [MAU_INO]);
}

#[test]
fn an_empty_queue_is_told_of_though_no_descriptor_ends_its_job() {
    let mut lab = lab(MAU, MAU_INO);
    put(&mut lab, 0, MaOp::Load, Descriptor::START);
    put(&mut lab, 1, MaOp::Reduce, Descriptor::CONTINUE);
    lab.call(nr::ncs_settail, [MAU_0, 128, 0, 0, 0]);
    lab.run_mau(&[]);
    assert_eq!(mondos(&mut lab), [MAU_INO]);
}

#[test]
fn a_failure_takes_the_rest_of_its_job_along_and_the_next_job_is_done() {
    for (end, error) in [(MauEnd::InvalidOperation, 1), (MauEnd::HardwareError, 2)] {
        let mut lab = lab(MAU, MAU_INO);
        two_jobs(&mut lab);
        lab.run_mau(&[MauEnd::Done, end]);
        assert_eq!(states(&lab, 6), [DONE, (4, error), (4, 0x77), DONE, DONE, DONE]);
        assert_eq!(mondos(&mut lab), [MAU_INO]);
    }
}

#[test]
fn an_address_that_leads_nowhere_fails_when_its_turn_comes() {
    let mut lab = lab(MAU, MAU_INO);
    for at in 0..6 {
        put(&mut lab, at, MaOp::Load, if at == 3 { Descriptor::END } else { Descriptor::CONTINUE });
    }
    for (at, ra) in [(1, DATA + 4), (4, END - 56), (5, 1 << 40)] {
        lab.poke(QUEUE + at * 64 + 0x18, &u64::to_be_bytes(ra));
    }
    lab.call(nr::ncs_settail, [MAU_0, 6 * 64, 0, 0, 0]);
    lab.run_mau(&[]);
    let failed = (4, 0x77);
    assert_eq!(states(&lab, 6), [DONE, failed, failed, failed, failed, failed]);
    assert_eq!(mondos(&mut lab), [MAU_INO]);
    // One alone: the firmware would tell nobody.
    acknowledge(&mut lab, MAU_0, MAU_INO, 6 * 64);
    put(&mut lab, 6, MaOp::Store, Descriptor::START | Descriptor::END);
    lab.poke(QUEUE + 6 * 64 + 0x18, &u64::to_be_bytes(END));
    lab.call(nr::ncs_settail, [MAU_0, 7 * 64, 0, 0, 0]);
    lab.run_mau(&[]);
    assert_eq!(mondos(&mut lab), [MAU_INO]);
}

#[test]
fn what_a_guest_writes_to_an_entry_later_means_nothing() {
    let mut lab = lab(MAU, MAU_INO);
    two_jobs(&mut lab);
    let given = lab.board.operations.clone();
    lab.poke(QUEUE, &[0xff; 384]);
    lab.hv.boundary(&mut lab.board);
    assert_eq!(lab.board.operations, given);

    let mut lab = self::lab(CWQ, CWQ_INO);
    let control = Control::copy(8).with(Control::SOB | Control::EOB);
    let (source, destination) = (Ra(DATA), Ra(DATA + 64));
    let entry = Entry { control, source, destination, ..Default::default() };
    lab.poke(QUEUE, &entry.to_bytes());
    assert_eq!(lab.call(nr::ncs_settail, [CWQ_0, 64, 0, 0, 0]).status, 0);
    lab.poke(QUEUE + 8, &[0xff; 56]); // before the unit has even got it
    lab.hv.boundary(&mut lab.board);
    let (_, word) = lab.board.words[0];
    assert_eq!((word.source, word.destination), (Pa(0x1000_8000), Pa(0x1000_8040)));
}

#[test]
fn a_control_word_that_asks_is_told_of_however_it_ends() {
    for (asks, ok, told) in
        [(true, true, true), (true, false, true), (false, true, false), (false, false, false)]
    {
        let mut lab = lab(CWQ, CWQ_INO);
        let asked = if asks { Control::INTERRUPT } else { 0 };
        let control = Control::copy(8).with(Control::SOB | Control::EOB | asked);
        let entry = Entry { control, source: Ra(DATA), ..Default::default() };
        lab.poke(QUEUE, &entry.to_bytes());
        lab.call(nr::ncs_settail, [CWQ_0, 64, 0, 0, 0]);
        lab.hv.boundary(&mut lab.board);
        lab.hv.cwq_done(CORE, &[ok], &mut lab.board);
        let control = Control(u64::from_be_bytes(lab.peek(QUEUE)));
        assert!(control.has(Control::DONE));
        assert_eq!(control.has(Control::PROTOCOL_ERROR), !ok);
        // The bits that the unit was given besides are not the guest's to see.
        assert_eq!((control.has(Control::INTERRUPT), control.0 >> 37 & 7), (asks, 0));
        assert_eq!(!mondos(&mut lab).is_empty(), told);
    }
}

#[test]
fn units_stop_with_their_guest_and_what_ends_later_is_nobodys() {
    let mut lab = lab(MAU, MAU_INO);
    two_jobs(&mut lab);
    lab.board.stopped.clear();
    lab.call(nr::mach_exit, [0; 5]);
    let stopped = [(CryptoKind::Mau, CORE), (CryptoKind::Cwq, CORE)];
    assert!(stopped.iter().all(|unit| lab.board.stopped.contains(unit)));
    let before = states(&lab, 6);
    lab.hv.mau_done(CORE, &[MauEnd::Done; 6], &mut lab.board);
    assert_eq!(states(&lab, 6), before);
    let guest = lab.hv.guest(GuestId(0)).unwrap();
    assert!(guest.crypto.values().all(|unit| unit.entries == 0 && !unit.is_busy()));
}

#[test]
fn a_queue_given_anew_begins_without_the_numbers_of_the_last() {
    let mut lab = lab(MAU, MAU_INO);
    let clears = |lab: &mut Lab| std::mem::take(&mut lab.board.stopped).len();
    clears(&mut lab);
    two_jobs(&mut lab);
    assert_eq!(clears(&mut lab), 1);
    lab.run_mau(&[]);
    put(&mut lab, 6, MaOp::Reduce, Descriptor::END);
    lab.call(nr::ncs_settail, [MAU_0, 7 * 64, 0, 0, 0]);
    lab.run_mau(&[]);
    assert_eq!(clears(&mut lab), 0, "from job to job they stay");
    lab.call(nr::ncs_qconf, [MAU, QUEUE, 8, 0, 0]);
    two_jobs(&mut lab);
    assert_eq!(clears(&mut lab), 1);
}

/// A request of version 1.0 that waits for the tail at `index`.
fn wait_for(lab: &mut Lab, vcpu: u8, index: u64) -> Outcome {
    lab.core(0, [0x103, 1, 0, 0, 0]);
    let argument = [0, index, 0].map(u64::to_be_bytes).concat();
    lab.poke(BASE + 0x2000, &argument);
    lab.caller.1 = VcpuId(vcpu);
    let args = [2, BASE + 0x2000, 24, 0, 0, nr::ncs_request];
    let outcome = lab.trap(Trap::Hypercall { number: 0x80, args });
    lab.hv.boundary(&mut lab.board);
    outcome
}

fn answers(lab: &Lab, vcpu: u8) -> Vec<u64> {
    let seen = lab.board.seats[&GuestId(0)].seen.get(&VcpuId(vcpu));
    seen.map(|seen| seen.answers.iter().map(|(status, _)| *status).collect()).unwrap_or_default()
}

#[test]
fn who_waits_is_answered_when_the_unit_is_there() {
    let mut lab = lab(MAU, MAU_INO);
    (0..3).for_each(|at| put(&mut lab, at, MaOp::Load, Descriptor::START));
    assert_eq!(wait_for(&mut lab, 0, 3), Outcome::Blocked);
    assert_eq!((states(&lab, 2), answers(&lab, 0)), (vec![BUSY, PENDING], vec![]));
    lab.hv.mau_done(CORE, &[MauEnd::Done; 2], &mut lab.board);
    assert!(answers(&lab, 0).is_empty());
    // Meanwhile neither version gets in between.
    assert_eq!(wait_for(&mut lab, 1, 4), Outcome::Done(hv::Answer::error(HvError::WouldBlock)));
    lab.core(0, [0x103, 2, 0, 0, 0]);
    assert_eq!(lab.call(nr::ncs_settail, [MAU_0, 256, 0, 0, 0]).status, HvError::Inval.code());
    lab.hv.mau_done(CORE, &[MauEnd::Done], &mut lab.board);
    assert_eq!(answers(&lab, 0), [0]);
    // As version 1.0 has it: states, no error statuses, no interrupt.
    assert_eq!(states(&lab, 3), [(3, 0x77); 3]);
    assert!(mondos(&mut lab).is_empty());
    // And version 2.0 finds the queue as it is.
    assert_eq!(lab.call(nr::ncs_gethead, [MAU_0, 0, 0, 0, 0]).rets[0], 192);
    put(&mut lab, 3, MaOp::Store, Descriptor::START | Descriptor::END);
    assert_eq!(lab.call(nr::ncs_settail, [MAU_0, 256, 0, 0, 0]).status, 0);
    lab.run_mau(&[]);
    assert_eq!(states(&lab, 4)[3], DONE);
    assert_eq!(mondos(&mut lab), [MAU_INO]);
}

#[test]
fn two_that_ask_at_once_are_served_one_by_one() {
    let mut lab = lab(MAU, MAU_INO);
    (0..2).for_each(|at| put(&mut lab, at, MaOp::Load, Descriptor::START));
    lab.core(0, [0x103, 1, 0, 0, 0]);
    let argument = [0, 2, 0].map(u64::to_be_bytes).concat();
    lab.poke(BASE + 0x2000, &argument);
    for vcpu in [0, 1] {
        lab.caller.1 = VcpuId(vcpu);
        let args = [2, BASE + 0x2000, 24, 0, 0, nr::ncs_request];
        assert_eq!(lab.trap(Trap::Hypercall { number: 0x80, args }), Outcome::Blocked);
    }
    lab.hv.boundary(&mut lab.board);
    assert_eq!(answers(&lab, 1), [HvError::WouldBlock.code()]);
    lab.run_mau(&[]);
    assert_eq!(answers(&lab, 0), [0]);
}

#[test]
fn a_virtual_cpu_that_was_stopped_waits_no_more_and_the_unit_goes_on() {
    let mut lab = lab(MAU, MAU_INO);
    assert_eq!(lab.call(nr::cpu_start, [1, BASE, BASE, 0, 0]).status, 0);
    put(&mut lab, 0, MaOp::Load, Descriptor::START);
    assert_eq!(wait_for(&mut lab, 1, 1), Outcome::Blocked);
    lab.caller.1 = VcpuId(0);
    assert_eq!(lab.call(nr::cpu_stop, [1, 0, 0, 0, 0]).status, 0);
    lab.run_mau(&[]);
    assert_eq!((answers(&lab, 1), states(&lab, 1)), (vec![], vec![(3, 0x77)]));
    assert_eq!(lab.hv.guest(GuestId(0)).unwrap().crypto[&MAU_0].waiter, None);
    put(&mut lab, 1, MaOp::Load, Descriptor::START);
    assert_eq!(wait_for(&mut lab, 0, 2), Outcome::Blocked);
    lab.run_mau(&[]);
    assert_eq!(answers(&lab, 0), [0]);
}

#[test]
fn a_program_without_strands_cannot_wait() {
    let mut lab = lab(MAU, MAU_INO);
    put(&mut lab, 0, MaOp::Load, Descriptor::START);
    lab.core(0, [0x103, 1, 0, 0, 0]);
    let argument = [0, 1, 0].map(u64::to_be_bytes).concat();
    lab.poke(BASE + 0x2000, &argument);
    let args = [2, BASE + 0x2000, 24, 0, 0];
    let (guest, vcpu) = lab.caller;
    let answer = lab.hv.native_call(guest, vcpu, 0x80, nr::ncs_request, args, &mut lab.board);
    assert_eq!(answer, Err(HvError::NotSupported));
    assert!(!lab.hv.guest(guest).unwrap().crypto[&MAU_0].is_busy());
}

/// A descriptor with any bits, or plausible ones.
fn descriptor() -> impl Strategy<Value = [u8; 64]> {
    let plausible = (0u64..5, 0u64..160, 0u64..BYTES + 0x1000, any::<u64>(), any::<bool>());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 64).prop_map(|bytes| {
            let mut all = [0; 64];
            all.copy_from_slice(&bytes);
            all
        }),
        plausible.prop_map(|(op, length, at, offsets, ends)| {
            Descriptor {
                state: Descriptor::PENDING,
                kind: if ends { Descriptor::END } else { Descriptor::CONTINUE },
                control: MaControl(op << 8 | length),
                memory: Ra(BASE + (at & !7)),
                offsets: MaOffsets(offsets),
                ..Default::default()
            }
            .to_bytes()
        }),
    ]
}

/// A control word with any bits, or addresses in memory and near its end.
fn word() -> impl Strategy<Value = [u8; 64]> {
    let address = prop_oneof![
        5 => (0u64..BYTES).prop_map(|at| BASE + at),
        2 => (0u64..0x400).prop_map(|at| END - at),
        2 => proptest::strategy::Just(0u64),
        1 => any::<u64>(),
    ];
    let addresses = prop::collection::vec(address, 7);
    let opcode =
        prop_oneof![proptest::sample::select(vec![0x20u64, 0x40, 0x41, 0xc0, 0xc1]), 0u64..256];
    (opcode, any::<u64>(), addresses).prop_map(|(opcode, rest, addresses)| {
        let mut bytes = [0; 64];
        let control = opcode << 56 | rest & !(0xff << 56) & !(0xff << 8);
        bytes[..8].copy_from_slice(&control.to_be_bytes());
        for (place, address) in bytes[8..].chunks_mut(8).zip(addresses) {
            place.copy_from_slice(&address.to_be_bytes());
        }
        bytes
    })
}

/// Is all of it in the memory of guest 0?
fn inside(pa: Pa, bytes: u64) -> bool {
    pa.0 >= 0x1000_0000 && pa.0 + bytes <= 0x1000_0000 + BYTES
}

proptest! {
    #[test]
    fn no_descriptor_leads_out_of_the_guest(
        descriptors in prop::collection::vec(descriptor(), 7),
        ends in prop::collection::vec(0u8..6, 0..7),
        waits: bool,
    ) {
        let mut lab = lab(MAU, MAU_INO);
        for (at, bytes) in (0..).zip(&descriptors) {
            lab.poke(QUEUE + at * 64, bytes);
        }
        if waits {
            wait_for(&mut lab, 0, 7);
        } else {
            assert_eq!(lab.call(nr::ncs_settail, [MAU_0, 7 * 64, 0, 0, 0]).status, 0);
            lab.hv.boundary(&mut lab.board);
        }
        assert_eq!(lab.board.operations.len(), 7);
        for (_, MauOperation { control, memory, void, .. }) in &lab.board.operations {
            let control = MaControl(*control);
            assert!(!control.moves() || *void || inside(*memory, control.bytes()));
        }
        let ends: Vec<_> = ends.iter().map(|end| match end {
            0 => MauEnd::InvalidOperation,
            1 => MauEnd::HardwareError,
            _ => MauEnd::Done,
        }).collect();
        lab.run_mau(&ends);
        assert!(!lab.hv.guest(GuestId(0)).unwrap().crypto[&MAU_0].is_busy());
        if waits {
            assert_eq!(answers(&lab, 0).len(), 1);
        } else {
            assert!(states(&lab, 7).iter().all(|(state, _)| matches!(state, 3 | 4)));
        }
        // And it goes on.
        lab.core(0, [0x103, 2, 0, 0, 0]);
        let head = lab.call(nr::ncs_gethead, [MAU_0, 0, 0, 0, 0]).rets[0];
        put(&mut lab, head / 64, MaOp::Reduce, Descriptor::END);
        lab.call(nr::ncs_settail, [MAU_0, (head + 64) % 512, 0, 0, 0]);
        lab.run_mau(&[]);
        assert_eq!(states(&lab, 8)[head as usize / 64], DONE);
    }

    #[test]
    fn no_control_word_leads_out_of_the_guest(words in prop::collection::vec(word(), 1..8)) {
        let mut lab = lab(CWQ, CWQ_INO);
        for (at, bytes) in (0..).zip(&words) {
            lab.poke(QUEUE + at * 64, bytes);
        }
        let tail = words.len() as u64 * 64;
        let status = lab.call(nr::ncs_settail, [CWQ_0, tail, 0, 0, 0]).status;
        lab.hv.boundary(&mut lab.board);
        let given: Vec<_> = lab.board.words.iter().map(|(_, word)| *word).collect();
        if status != 0 {
            assert!(given.is_empty(), "all or nothing");
            assert_eq!(lab.call(nr::ncs_gettail, [CWQ_0, 0, 0, 0, 0]).rets[0], 0);
            return Ok(());
        }
        assert_eq!(given.len(), words.len());
        assert!(Control(given[words.len() - 1].control).has(Control::EOB));
        for (at, word) in given.iter().enumerate() {
            let control = Control(word.control);
            assert!(inside(word.source, control.bytes() as u64));
            if !control.has(Control::SOB) {
                continue;
            }
            let block = given[at..].iter().enumerate().take_while(|(n, word)| {
                *n == 0 || !Control(word.control).has(Control::SOB)
            });
            let mut bytes = 0;
            for (_, word) in block {
                bytes += Control(word.control).bytes() as u64;
                if Control(word.control).has(Control::EOB) {
                    break;
                }
            }
            let reach = sun4v::ncs::Reach::of(control, bytes);
            for (pa, bytes) in [
                (word.auth_key, reach.auth_key),
                (word.auth_iv, reach.auth_iv),
                (word.auth_state, reach.auth_state),
                (word.key, reach.key),
                (word.iv, reach.iv),
                (word.destination, reach.destination),
            ] {
                assert!(pa == Pa(0) || inside(pa, bytes));
            }
        }
    }
}

#[test]
fn of_a_very_long_queue_the_unit_gets_a_part_at_a_time() {
    let mut lab = Lab::new();
    let entries = 4096;
    assert_eq!(lab.call(nr::ncs_qconf, [MAU, BASE + 0x10_0000, entries, 0, 0]).status, 0);
    let reduce = Descriptor { control: MaControl::new(MaOp::Reduce, 1), ..Default::default() };
    for at in 0..entries {
        let kind = if at == 3000 { Descriptor::END } else { Descriptor::CONTINUE };
        lab.poke(BASE + 0x10_0000 + at * 64, &Descriptor { kind, ..reduce }.to_bytes());
    }
    let tail = (entries - 1) * 64;
    assert_eq!(lab.call(nr::ncs_settail, [MAU_0, tail, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    assert_eq!(lab.board.operations.len(), 1024);
    let state =
        |lab: &Lab, at: u64| Descriptor::from_bytes(&lab.peek(BASE + 0x10_0000 + at * 64)).state;
    lab.run_mau(&[]);
    assert_eq!((state(&lab, 1023), state(&lab, 1024), state(&lab, 1025)), (3, 2, 0));
    lab.hv.boundary(&mut lab.board);
    assert_eq!(lab.board.operations.len(), 1024);
    // The rest of the job fails with one of its middle, as far as it goes.
    let mut ends = vec![MauEnd::Done; 500];
    ends.push(MauEnd::InvalidOperation);
    lab.run_mau(&ends);
    assert_eq!((state(&lab, 1523), state(&lab, 1524), state(&lab, 3000)), (3, 4, 4));
    assert_eq!(state(&lab, 3001), 2);
    lab.run_mau(&[]);
    lab.run_mau(&[]);
    assert_eq!(state(&lab, entries - 2), 3);
    assert!(!lab.hv.guest(GuestId(0)).unwrap().crypto[&MAU_0].is_busy());
}
