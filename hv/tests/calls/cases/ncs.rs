//! Crypto units: guest 0 has both of core 0, guest 1 both of core 1.

use crate::case::End::Order;
use crate::case::{Case, Never, bad, good, never, order};
use hv::platform::MauEnd;
use hv::testing::{BASE, BYTES, Lab, Shown};
use sun4v::addr::Ra;
use sun4v::hcall::HvError::{BadAlign, Inval, Io, NoAccess, NoRaddr, WouldBlock};
use sun4v::hcall::nr;
use sun4v::hvmd::HvConfig;
use sun4v::id::{GuestId, StrandId, VcpuId};
use sun4v::ncs::{
    Chaining, CipherKind, Control, Descriptor, Entry, HashKind, MaControl, MaOffsets, MaOp,
};

const END: u64 = BASE + BYTES;
/// Queue types.
const MAU: u64 = 1;
const CWQ: u64 = 2;
/// Handles of guest 0, and of nobody.
const MAU_0: u64 = 0x864;
const CWQ_0: u64 = 0xa72;
const MAU_9: u64 = 9 << 16 | 0x864;
/// Those of guest 1.
const MAU_1: u64 = 1 << 16 | 0x864;
const CWQ_1: u64 = 1 << 16 | 0xa72;
/// Where queues lie, of 8 entries, and what they work on.
const QUEUE: u64 = BASE + 0x4000;
const QUEUE_BYTES: u64 = 8 * 64;
const DATA: u64 = BASE + 0x8000;
/// The argument of a request of version 1.0.
const ARGUMENT: u64 = BASE + 0x2000;

fn configure(lab: &mut Lab, kind: u64) {
    assert_eq!(lab.call(nr::ncs_qconf, [kind, QUEUE, 8, 0, 0]).status, 0);
}

fn write(lab: &mut Lab, at: u64, entry: &[u8; 64]) {
    lab.poke(QUEUE + at, entry);
}

/// A descriptor of `words`, of a job of its own.
fn descriptor(op: MaOp, words: usize) -> Descriptor {
    Descriptor {
        state: Descriptor::PENDING,
        kind: Descriptor::START | Descriptor::END,
        control: MaControl::new(op, words),
        memory: Ra(DATA),
        offsets: MaOffsets::new([0, 8, 16, 24, 32, 7]),
        n_prime: 0x1234,
        ..Default::default()
    }
}

/// A queue with a job of three: load, exponentiate, store.
fn job(lab: &mut Lab) {
    configure(lab, MAU);
    for (at, (op, kind)) in (0..).zip([
        (MaOp::Load, Descriptor::START),
        (MaOp::Exponentiate, Descriptor::CONTINUE),
        (MaOp::Store, Descriptor::CONTINUE | Descriptor::END),
    ]) {
        write(lab, at * 64, &Descriptor { kind, ..descriptor(op, 8) }.to_bytes());
    }
}

/// The unit of modular arithmetic has it.
fn busy(lab: &mut Lab) {
    job(lab);
    assert_eq!(lab.call(nr::ncs_settail, [MAU_0, 3 * 64, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
}

/// A copy of `bytes`.
fn copy(bytes: usize) -> Entry {
    Entry {
        control: Control::copy(bytes).with(Control::SOB | Control::EOB),
        source: Ra(DATA),
        destination: Ra(DATA + 0x1_0000),
        ..Default::default()
    }
}

/// A queue of control words that begins with these.
fn words(lab: &mut Lab, entries: &[Entry]) {
    configure(lab, CWQ);
    for (at, entry) in (0..).zip(entries) {
        write(lab, at * 64, &entry.to_bytes());
    }
}

fn reconfigure(lab: &mut Lab, change: fn(&mut HvConfig)) {
    let mut config = lab.hv.config().clone();
    change(&mut config);
    lab.hv.apply(config, &mut lab.board);
}

/// Virtual CPU 1 of guest 0 is on core 2, where nobody has a unit.
fn on_core_2(lab: &mut Lab) {
    reconfigure(lab, |config| config.vcpus[1].strand = StrandId(16));
    lab.caller.1 = VcpuId(1);
}

/// Version 1.0 instead of 2.0.
fn version_1(lab: &mut Lab) {
    assert_eq!(lab.core(0, [0x103, 1, 0, 0, 0]).status, 0);
}

/// A request of version 1.0.
fn request(lab: &mut Lab, function: u64, argument: &[u64]) -> Shown {
    version_1(lab);
    let bytes: Vec<u8> = argument.iter().flat_map(|word| word.to_be_bytes()).collect();
    lab.poke(ARGUMENT, &bytes);
    lab.show("ncs_request", &[function, ARGUMENT, bytes.len() as u64])
}

fn request_queue(lab: &mut Lab, base: u64, end: u64, entries: u64) -> Shown {
    request(lab, 1, &[0, base, end, entries])
}

pub const CASES: &[Case] = &[
    // ncs_request
    good("ncs_request", "a queue of seven descriptors, at eight bytes", |lab| {
        request_queue(lab, QUEUE + 8, QUEUE + 8 + 7 * 64, 7)
    }),
    good("ncs_request", "a queue for a unit that there is not", |lab| {
        request(lab, 1, &[5, QUEUE + 4, 0, 99])
    }),
    good("ncs_request", "the queue is taken away", |lab| {
        configure(lab, MAU);
        request_queue(lab, 0, 0, 0)
    }),
    good("ncs_request", "a tail, waiting: the unit has done it all", |lab| {
        job(lab);
        request(lab, 2, &[7, 3, 0])
    }),
    good("ncs_request", "a tail where the head is", |lab| {
        job(lab);
        request(lab, 2, &[0, 0, 0])
    }),
    good("ncs_request", "a tail, not waiting: the unit has begun", |lab| {
        job(lab);
        request(lab, 2, &[0, 3, 1])
    }),
    good("ncs_request", "a tail, not waiting, behind what the unit has", |lab| {
        busy(lab);
        write(lab, 3 * 64, &descriptor(MaOp::Store, 1).to_bytes());
        request(lab, 2, &[0, 4, 1])
    }),
    bad("ncs_request", BadAlign, "an argument at four bytes", |lab| {
        version_1(lab);
        lab.show("ncs_request", &[1, ARGUMENT + 4, 32])
    }),
    bad("ncs_request", BadAlign, "a queue at four bytes", |lab| {
        request_queue(lab, QUEUE + 4, QUEUE + 4 + QUEUE_BYTES, 8)
    }),
    bad("ncs_request", BadAlign, "a queue that ends at four bytes", |lab| {
        request_queue(lab, QUEUE, QUEUE + 4, 8)
    }),
    bad("ncs_request", NoRaddr, "an argument behind memory", |lab| {
        version_1(lab);
        lab.show("ncs_request", &[1, END, 32])
    }),
    bad("ncs_request", NoRaddr, "an argument of no bytes", |lab| {
        version_1(lab);
        lab.show("ncs_request", &[1, ARGUMENT, 0])
    }),
    bad("ncs_request", NoRaddr, "a queue that leaves memory", |lab| {
        request_queue(lab, END - 64, END + 64, 2)
    }),
    bad("ncs_request", NoRaddr, "a queue that ends before it begins", |lab| {
        request_queue(lab, QUEUE, QUEUE - 64, 1)
    }),
    bad("ncs_request", NoRaddr, "waiting, a store that leaves memory: it stops there", |lab| {
        job(lab);
        let beyond = Descriptor { memory: Ra(END - 56), ..descriptor(MaOp::Store, 8) };
        write(lab, 64, &beyond.to_bytes());
        request(lab, 2, &[0, 3, 0])
    }),
    bad("ncs_request", NoRaddr, "not waiting, a first load from behind memory", |lab| {
        configure(lab, MAU);
        let beyond = Descriptor { memory: Ra(END), ..descriptor(MaOp::Load, 8) };
        write(lab, 0, &beyond.to_bytes());
        request(lab, 2, &[0, 1, 1])
    }),
    bad("ncs_request", Inval, "a function that does not exist", |lab| request(lab, 3, &[0; 4])),
    bad("ncs_request", Inval, "the argument of the other function", |lab| request(lab, 1, &[0; 3])),
    bad("ncs_request", Inval, "a tail with an argument too long", |lab| request(lab, 2, &[0; 4])),
    bad("ncs_request", Inval, "a unit that the chip does not have", |lab| {
        request(lab, 1, &[9, QUEUE, QUEUE + QUEUE_BYTES, 8])
    }),
    bad("ncs_request", Inval, "a queue of another length than it says", |lab| {
        request_queue(lab, QUEUE, QUEUE + QUEUE_BYTES, 4)
    }),
    bad("ncs_request", Inval, "a tail without a queue", |lab| request(lab, 2, &[0, 0, 0])),
    bad("ncs_request", Inval, "a tail at the end of the queue", |lab| {
        configure(lab, MAU);
        request(lab, 2, &[0, 8, 0])
    }),
    bad("ncs_request", Inval, "a tail on a core without a unit", |lab| {
        configure(lab, MAU);
        on_core_2(lab);
        request(lab, 2, &[0, 1, 0])
    }),
    bad("ncs_request", Inval, "waiting, a load from four bytes", |lab| {
        configure(lab, MAU);
        let askew = Descriptor { memory: Ra(DATA + 4), ..descriptor(MaOp::Load, 8) };
        write(lab, 0, &askew.to_bytes());
        request(lab, 2, &[0, 1, 0])
    }),
    bad("ncs_request", WouldBlock, "the queue is taken away at work", |lab| {
        busy(lab);
        request_queue(lab, 0, 0, 0)
    }),
    bad("ncs_request", WouldBlock, "the queue gets another place at work", |lab| {
        busy(lab);
        request_queue(lab, QUEUE, QUEUE + QUEUE_BYTES, 8)
    }),
    bad("ncs_request", WouldBlock, "a tail, waiting, at work", |lab| {
        busy(lab);
        request(lab, 2, &[0, 4, 0])
    }),
    bad("ncs_request", Io, "waiting, an operation that the unit refuses", |lab| {
        job(lab);
        version_1(lab);
        let argument: Vec<u8> = [0u64, 3, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
        lab.poke(ARGUMENT, &argument);
        lab.board.mau_ends = vec![MauEnd::Done, MauEnd::InvalidOperation];
        lab.show("ncs_request", &[2, ARGUMENT, 24])
    }),
    order("ncs_request", BadAlign, NoRaddr, "alignment before range", |lab| {
        version_1(lab);
        lab.show("ncs_request", &[1, END + 4, 32])
    }),
    order("ncs_request", NoRaddr, Inval, "range before the function", |lab| {
        version_1(lab);
        lab.show("ncs_request", &[3, END, 32])
    }),
    order("ncs_request", Inval, WouldBlock, "the tail is looked at first", |lab| {
        busy(lab);
        request(lab, 2, &[0, 8, 0])
    }),
    // ncs_qconf
    good("ncs_qconf", "descriptors, more than 64", |lab| lab.show("ncs_qconf", &[MAU, QUEUE, 128])),
    good("ncs_qconf", "control words, 64", |lab| lab.show("ncs_qconf", &[CWQ, QUEUE, 64])),
    good("ncs_qconf", "another place for an idle queue: head, tail and marker are 0", |lab| {
        busy(lab);
        lab.run_mau(&[]);
        lab.call(nr::ncs_sethead_marker, [MAU_0, 64, 0, 0, 0]);
        lab.show("ncs_qconf", &[MAU, QUEUE + 0x1000, 2])
    }),
    good("ncs_qconf", "a queue is taken away", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_qconf", &[CWQ, CWQ_0, 0])
    }),
    good("ncs_qconf", "a queue that there is not is taken away", |lab| {
        lab.show("ncs_qconf", &[MAU, MAU_0, 0])
    }),
    good("ncs_qconf", "a queue is taken away on another core", |lab| {
        configure(lab, MAU);
        on_core_2(lab);
        lab.show("ncs_qconf", &[MAU, MAU_0, 0])
    }),
    bad("ncs_qconf", Inval, "no such type", |lab| lab.show("ncs_qconf", &[3, QUEUE, 8])),
    bad("ncs_qconf", Inval, "one entry", |lab| lab.show("ncs_qconf", &[MAU, QUEUE, 1])),
    bad("ncs_qconf", Inval, "three entries", |lab| lab.show("ncs_qconf", &[CWQ, QUEUE, 3])),
    bad("ncs_qconf", Inval, "128 control words", |lab| lab.show("ncs_qconf", &[CWQ, QUEUE, 128])),
    bad("ncs_qconf", Inval, "2^63 descriptors", |lab| lab.show("ncs_qconf", &[MAU, 0, 1 << 63])),
    bad("ncs_qconf", Inval, "a handle of the other kind is taken away", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_qconf", &[MAU, CWQ_0, 0])
    }),
    bad("ncs_qconf", Inval, "a handle of a core that there is not", |lab| {
        lab.show("ncs_qconf", &[MAU, MAU_9, 0])
    }),
    bad("ncs_qconf", NoAccess, "the core's unit is nobody's", |lab| {
        on_core_2(lab);
        lab.show("ncs_qconf", &[CWQ, QUEUE, 8])
    }),
    bad("ncs_qconf", NoAccess, "the neighbour's queue is taken away", |lab| {
        lab.show("ncs_qconf", &[CWQ, CWQ_1, 0])
    }),
    bad("ncs_qconf", WouldBlock, "descriptors are taken away at work", |lab| {
        busy(lab);
        lab.show("ncs_qconf", &[MAU, MAU_0, 0])
    }),
    bad("ncs_qconf", WouldBlock, "control words are taken away at work", |lab| {
        words(lab, &[copy(8)]);
        lab.call(nr::ncs_settail, [CWQ_0, 64, 0, 0, 0]);
        lab.show("ncs_qconf", &[CWQ, CWQ_0, 0])
    }),
    bad("ncs_qconf", WouldBlock, "another place for a queue at work", |lab| {
        busy(lab);
        lab.show("ncs_qconf", &[MAU, QUEUE, 4])
    }),
    bad("ncs_qconf", BadAlign, "a base that is not aligned to the whole", |lab| {
        lab.show("ncs_qconf", &[MAU, QUEUE + 64, 8])
    }),
    bad("ncs_qconf", NoRaddr, "behind memory", |lab| lab.show("ncs_qconf", &[CWQ, END, 8])),
    order("ncs_qconf", Inval, NoAccess, "entries before the unit", |lab| {
        on_core_2(lab);
        lab.show("ncs_qconf", &[CWQ, QUEUE, 3])
    }),
    order("ncs_qconf", NoAccess, WouldBlock, "whose it is before what it does", |lab| {
        busy(lab);
        lab.caller.0 = GuestId(1);
        lab.show("ncs_qconf", &[MAU, MAU_0, 0])
    }),
    order("ncs_qconf", WouldBlock, BadAlign, "work before alignment", |lab| {
        busy(lab);
        lab.show("ncs_qconf", &[MAU, QUEUE + 64, 8])
    }),
    order("ncs_qconf", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("ncs_qconf", &[MAU, END + 64, 8])
    }),
    // ncs_qinfo
    good("ncs_qinfo", "descriptors", |lab| {
        configure(lab, MAU);
        lab.show("ncs_qinfo", &[MAU_0])
    }),
    good("ncs_qinfo", "control words", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_qinfo", &[CWQ_0])
    }),
    good("ncs_qinfo", "a unit without a queue", |lab| lab.show("ncs_qinfo", &[CWQ_0])),
    bad("ncs_qinfo", Inval, "a handle of nothing", |lab| lab.show("ncs_qinfo", &[0x863])),
    bad("ncs_qinfo", Inval, "the neighbour's", |lab| lab.show("ncs_qinfo", &[MAU_1])),
    bad("ncs_qinfo", Inval, "a core that there is not", |lab| lab.show("ncs_qinfo", &[MAU_9])),
    // ncs_gethead, ncs_gettail
    good("ncs_gethead", "descriptors, two of three done", |lab| {
        busy(lab);
        lab.hv.mau_done(sun4v::id::CoreId(0), &[MauEnd::Done; 2], &mut lab.board);
        lab.show("ncs_gethead", &[MAU_0])
    }),
    good("ncs_gethead", "control words, one done", |lab| {
        words(lab, &[copy(8)]);
        lab.call(nr::ncs_settail, [CWQ_0, 64, 0, 0, 0]);
        lab.hv.cwq_done(sun4v::id::CoreId(0), &[true], &mut lab.board);
        lab.show("ncs_gethead", &[CWQ_0])
    }),
    bad("ncs_gethead", Inval, "the neighbour's", |lab| lab.show("ncs_gethead", &[CWQ_1])),
    bad("ncs_gethead", Inval, "a handle of nothing", |lab| lab.show("ncs_gethead", &[0])),
    good("ncs_gettail", "descriptors, as it was set", |lab| {
        busy(lab);
        lab.show("ncs_gettail", &[MAU_0])
    }),
    good("ncs_gettail", "control words, before it was ever set", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_gettail", &[CWQ_0])
    }),
    bad("ncs_gettail", Inval, "the neighbour's", |lab| lab.show("ncs_gettail", &[MAU_1])),
    // ncs_settail
    good("ncs_settail", "a job of three: the first is busy", |lab| {
        job(lab);
        lab.show("ncs_settail", &[MAU_0, 192])
    }),
    good("ncs_settail", "more, while the unit works", |lab| {
        busy(lab);
        write(lab, 192, &descriptor(MaOp::Reduce, 2).to_bytes());
        lab.show("ncs_settail", &[MAU_0, 256])
    }),
    good("ncs_settail", "a descriptor whose address leads nowhere is taken all the same", |lab| {
        configure(lab, MAU);
        let beyond = Descriptor { memory: Ra(END), ..descriptor(MaOp::Load, 8) };
        write(lab, 0, &beyond.to_bytes());
        lab.show("ncs_settail", &[MAU_0, 64])
    }),
    good("ncs_settail", "descriptors around the end of the queue", |lab| {
        configure(lab, MAU);
        for at in 0..8 {
            write(lab, at * 64, &descriptor(MaOp::Reduce, 1 + at as usize).to_bytes());
        }
        lab.call(nr::ncs_settail, [MAU_0, 7 * 64, 0, 0, 0]);
        lab.run_mau(&[]);
        lab.show("ncs_settail", &[MAU_0, 64])
    }),
    good("ncs_settail", "a copy: interrupt and strand are set for the unit", |lab| {
        words(lab, &[copy(100)]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    good("ncs_settail", "the last of two words ends the block, though it does not say so", |lab| {
        let first = Entry { control: Control::copy(8).with(Control::SOB), ..copy(8) };
        let second = Entry { control: Control::more(8), destination: Ra(0), ..copy(8) };
        words(lab, &[first, second]);
        lab.show("ncs_settail", &[CWQ_0, 128])
    }),
    good("ncs_settail", "where it was", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_settail", &[CWQ_0, 0])
    }),
    bad("ncs_settail", Inval, "the neighbour's", |lab| lab.show("ncs_settail", &[MAU_1, 0])),
    bad("ncs_settail", Inval, "a unit without a queue", |lab| lab.show("ncs_settail", &[MAU_0, 0])),
    bad("ncs_settail", Inval, "on another core, descriptors", |lab| {
        configure(lab, MAU);
        on_core_2(lab);
        lab.show("ncs_settail", &[MAU_0, 64])
    }),
    bad("ncs_settail", Inval, "on another core, control words", |lab| {
        configure(lab, CWQ);
        on_core_2(lab);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", Inval, "between two entries", |lab| {
        configure(lab, MAU);
        lab.show("ncs_settail", &[MAU_0, 72])
    }),
    bad("ncs_settail", Inval, "at the end of the queue", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_settail", &[CWQ_0, 512])
    }),
    bad("ncs_settail", Inval, "a word without a source: none is taken", |lab| {
        words(lab, &[copy(8), Entry { source: Ra(0), ..copy(8) }]);
        lab.show("ncs_settail", &[CWQ_0, 128])
    }),
    bad("ncs_settail", NoRaddr, "a source that leaves memory", |lab| {
        words(lab, &[Entry { source: Ra(END - 99), ..copy(100) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "a destination that leaves memory", |lab| {
        words(lab, &[Entry { destination: Ra(END - 99), ..copy(100) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "a destination that only the whole block would leave", |lab| {
        let destination = Ra(END - 100);
        let first = Control::copy(100).with(Control::SOB);
        let first = Entry { control: first, destination, ..copy(100) };
        words(lab, &[first, Entry { control: Control::more(1), ..copy(1) }]);
        lab.show("ncs_settail", &[CWQ_0, 128])
    }),
    bad("ncs_settail", NoRaddr, "a digest that leaves memory, of one byte", |lab| {
        let control = Control::hash(HashKind::Sha1, None, 1).with(Control::SOB);
        let (auth_iv, destination) = (Ra(DATA), Ra(END - 19));
        words(lab, &[Entry { control, auth_iv, destination, ..copy(1) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "an authentication key that leaves memory", |lab| {
        let control = Control::hash(HashKind::Sha1, Some(64), 1).with(Control::SOB);
        words(lab, &[Entry { control, auth_iv: Ra(DATA), auth_key: Ra(END - 63), ..copy(1) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "an initial hash state of 32 bytes that leaves memory", |lab| {
        let control = Control::hash(HashKind::Md5, None, 1).with(Control::SOB);
        words(lab, &[Entry { control, auth_iv: Ra(END - 31), ..copy(1) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "a final hash state of 32 bytes that leaves memory", |lab| {
        words(lab, &[Entry { auth_state: Ra(END - 31), ..copy(1) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "a cipher key that leaves memory by its length", |lab| {
        let control = Control::cipher(CipherKind::Aes256, Chaining::Ecb, 16).with(Control::SOB);
        words(lab, &[Entry { control, key: Ra(END - 31), ..copy(16) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "a cipher key that leaves memory by the HMAC key's", |lab| {
        let control = Control::cipher(CipherKind::Aes128, Chaining::Ecb, 16).with(Control::SOB);
        let control = Control(control.0 | 255 << 16);
        words(lab, &[Entry { control, key: Ra(END - 255), ..copy(16) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    bad("ncs_settail", NoRaddr, "an initial vector of 32 bytes that leaves memory", |lab| {
        words(lab, &[Entry { iv: Ra(END - 31), ..copy(1) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    order("ncs_settail", Inval, NoRaddr, "the source that is missing first", |lab| {
        words(lab, &[Entry { source: Ra(0), destination: Ra(END), ..copy(1) }]);
        lab.show("ncs_settail", &[CWQ_0, 64])
    }),
    // ncs_qhandle_to_devino
    good("ncs_qhandle_to_devino", "descriptors, without a queue", |lab| {
        lab.show("ncs_qhandle_to_devino", &[MAU_0])
    }),
    good("ncs_qhandle_to_devino", "control words", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_qhandle_to_devino", &[CWQ_0])
    }),
    bad("ncs_qhandle_to_devino", Inval, "the neighbour's", |lab| {
        lab.show("ncs_qhandle_to_devino", &[CWQ_1])
    }),
    // ncs_sethead_marker
    good("ncs_sethead_marker", "descriptors", |lab| {
        configure(lab, MAU);
        lab.show("ncs_sethead_marker", &[MAU_0, 448])
    }),
    good("ncs_sethead_marker", "control words", |lab| {
        configure(lab, CWQ);
        lab.show("ncs_sethead_marker", &[CWQ_0, 64])
    }),
    bad("ncs_sethead_marker", Inval, "the neighbour's", |lab| {
        lab.show("ncs_sethead_marker", &[CWQ_1, 0])
    }),
    bad("ncs_sethead_marker", Inval, "between two entries", |lab| {
        configure(lab, MAU);
        lab.show("ncs_sethead_marker", &[MAU_0, 8])
    }),
    bad("ncs_sethead_marker", Inval, "at the end of the queue", |lab| {
        configure(lab, MAU);
        lab.show("ncs_sethead_marker", &[MAU_0, 512])
    }),
    bad("ncs_sethead_marker", Inval, "without a queue", |lab| {
        lab.show("ncs_sethead_marker", &[CWQ_0, 0])
    }),
];

pub const NEVERS: &[Never] = &[never(
    "ncs_request",
    Order(WouldBlock, Io),
    "a request that would have to wait is not begun, and so cannot fail",
)];
