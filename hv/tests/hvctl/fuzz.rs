//! Messages and hypervisor MDs that nobody would send.

use crate::chassis::{
    BASE, Chassis, OTHER_MD, PRIMARY, ROVER, mblock, vcpu, with_devices, with_rover,
};
use hv::platform::Memory as _;
use hv::testing::{HV_MEMORY, Pages};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::{collection::vec, sample::select};
use sun4v::addr::Pa;
use sun4v::hvctl::{Body, Request, Status};
use sun4v::hvmd::HvConfig;
use sun4v::id::GuestId;
use sun4v::md::{Md, NodeId, Value};

const PA: u64 = 0x2000_0000;
/// The guest that no message names.
const WITNESS: GuestId = GuestId(2);

/// What is done to a session.
#[derive(Clone, Debug)]
enum Step {
    /// A command of the protocol or of the extension, in its turn; guest and MD are some
    /// that exist, or not; some bits are another way round.
    Command { op: u16, guest: u32, words: [u64; 6], md: usize, flips: Vec<usize> },
    /// Any bytes.
    Noise([u64; 8]),
    /// A number out of turn.
    Number(u16),
    /// `hello`.
    Hello(u16),
    /// A boundary.
    Boundary,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let op = prop_oneof![0_u16..16, 0x80_u16..0x8a, any::<u16>()];
    let guest = prop_oneof![select(vec![0, 1, 1, 1, 3, 63, 64, u32::MAX]), any::<u32>()];
    let flips = prop_oneof![
        3 => vec(0_usize..512, 0..1),
        1 => vec(0_usize..512, 1..4),
    ];
    let command = (op, guest, any::<[u64; 6]>(), 0_usize..6, flips)
        .prop_map(|(op, guest, words, md, flips)| Step::Command { op, guest, words, md, flips });
    let step = prop_oneof![
        12 => command,
        1 => any::<[u64; 8]>().prop_map(Step::Noise),
        1 => any::<u16>().prop_map(Step::Number),
        1 => (0_u16..3).prop_map(Step::Hello),
        3 => proptest::strategy::Just(Step::Boundary),
    ];
    vec(step, 1..40)
}

/// The fields that could name the witness do not.
fn spare(message: &mut [u8; 64]) {
    for at in [8, 16] {
        if message[at..at + 4] == [0, 0, 0, 2] {
            message[at + 3] = 3;
        }
    }
}

/// All that belongs to the witness: what the hypervisor knows, and its memory.
fn witness(chassis: &Chassis) -> (String, Pages) {
    (format!("{:?}", chassis.lab.hv.guest(WITNESS)), chassis.lab.board.memory.snapshot())
}

fn is_its(pa: Pa) -> bool {
    (PA + 0x200_0000..PA + 0x201_0000).contains(&pa.0)
}

/// MDs that messages name; all keep the witness.
fn mds(chassis: &mut Chassis) -> Vec<Pa> {
    let mut more = with_devices(PA);
    more.vcpus.push(vcpu(10, 1, 2));
    more.mblocks.push(mblock(1, 1 << 33, 0x3000_0000, 0x2000));
    let mut bad = with_devices(PA);
    bad.mblocks[1].range.pa = Pa(0);
    let configs = [with_devices(PA), more, bad];
    let places: Vec<_> = (0..3).map(|at| OTHER_MD.offset(at * 0x1_0000)).collect();
    for (config, place) in configs.iter().zip(&places) {
        chassis.lab.board.memory.write(*place, &config.to_md().to_bytes());
    }
    places.into_iter().chain([Pa(0), Pa(HV_MEMORY.bytes - 8), Pa(u64::MAX)]).collect()
}

fn message(step: &Step, seqn: u16, mds: &[Pa]) -> [u8; 64] {
    let mut bytes = [0; 64];
    match step {
        Step::Command { op, guest, words, md, flips } => {
            bytes[..2].copy_from_slice(&op.to_be_bytes());
            bytes[2..4].copy_from_slice(&seqn.to_be_bytes());
            for (place, word) in bytes[16..].chunks_exact_mut(8).zip(words) {
                // Small numbers and addresses of its own name things that exist.
                let word = match word % 4 {
                    0 => word >> 32 & 0x3_0000_0003,
                    1 => BASE + (word >> 32 & 0xf_fff8),
                    2 => word >> 32 & 0xffff,
                    _ => *word,
                };
                place.copy_from_slice(&word.to_be_bytes());
            }
            match op {
                4 | 7 | 14 | 15 => {
                    bytes[8..16].copy_from_slice(&mds[*md].0.to_be_bytes());
                    bytes[16..20].copy_from_slice(&guest.to_be_bytes());
                }
                11 => {
                    bytes[8..12].copy_from_slice(&(guest % 12).to_be_bytes());
                    bytes[12..16].copy_from_slice(&guest.to_be_bytes());
                    bytes[16..20].copy_from_slice(&(words[0] as u32 % 6).to_be_bytes());
                }
                _ => {
                    bytes[8..12].copy_from_slice(&guest.to_be_bytes());
                    bytes[12..16].copy_from_slice(&(words[1] as u32 % 600).to_be_bytes());
                }
            }
            flips.iter().for_each(|bit| bytes[bit / 8] ^= 1 << (bit % 8));
        }
        Step::Noise(words) => {
            for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
                place.copy_from_slice(&word.to_be_bytes());
            }
        }
        Step::Number(ahead) => {
            bytes[1] = 3;
            bytes[2..4].copy_from_slice(&seqn.wrapping_add(*ahead).to_be_bytes());
        }
        Step::Hello(minor) => {
            bytes[2..4].copy_from_slice(&seqn.to_be_bytes());
            bytes[9] = 1;
            bytes[10..12].copy_from_slice(&minor.to_be_bytes());
        }
        Step::Boundary => {}
    }
    spare(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn no_session_harms_anybody_who_is_not_named(steps in steps()) {
        let mut chassis = Chassis::open(&with_devices(PA));
        let mds = mds(&mut chassis);
        assert_eq!(chassis.ask(Request::GuestStart(2)).status, Status::Ok);
        chassis.boundary();
        chassis.start_rover();
        let (known, memory) = witness(&chassis);
        for step in &steps {
            if matches!(step, Step::Boundary) {
                chassis.lab.hv.boundary(&mut chassis.lab.board);
                while chassis.receive().is_some() {}
                continue;
            }
            let bytes = message(step, chassis.seqn, &mds);
            let answers = chassis.exchange(bytes);
            let told = |answer: &[u8; 64]| answer[..4] == [0, 12, 0, 0] && answer[6..8] == [0, 0];
            let replies = answers.iter().filter(|answer| !told(answer)).count();
            prop_assert_eq!(replies, 1, "{:?}", step);
            match answers.iter().any(|answer| matches!(answer[6..8], [0, 1 | 2])) {
                true => chassis.reopen(1),
                false if bytes[..2] == [0, 0] => chassis.reopen(1),
                false => chassis.seqn = chassis.seqn.wrapping_add(1),
            }
        }
        chassis.lab.hv.boundary(&mut chassis.lab.board);
        while chassis.receive().is_some() {}
        let (known_now, memory_now) = witness(&chassis);
        prop_assert!(known_now == known);
        let changed = memory_now.differences(&memory);
        prop_assert!(!changed.iter().any(|&(pa, ..)| is_its(pa)));
        // And a session is served.
        chassis.reopen(1);
        let reply = chassis.ask(Request::GetHvConfig);
        prop_assert!(reply.status == Status::Ok && matches!(reply.body, Body::HvInfo(_)));
        chassis.check_whole();
        prop_assert!(chassis.lab.hv.runs(PRIMARY));
    }
}

/// What is in force, and what is proposed in its place, with some damage.
fn before_and_after() -> (HvConfig, HvConfig) {
    let mut next = with_devices(PA);
    next.vcpus.push(vcpu(10, 1, 2));
    next.guests[1].md_pa = Pa(0x1_8000);
    (with_devices(PA), next)
}

/// A chassis to which MDs are proposed, and what it knows.
struct Bench {
    chassis: Chassis,
    running: bool,
    known: String,
    refused: u32,
}

/// What a refusal changed stays changed, so not every one has to be looked at.
const LOOK: u32 = 16;

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.look();
        }
    }
}

impl Bench {
    fn look(&self) {
        assert!(self.chassis.everything() == self.known, "a refused MD changed something");
    }

    fn new(running: bool) -> Self {
        let mut chassis = Chassis::open(&before_and_after().0);
        if running {
            chassis.start_rover();
        }
        let known = chassis.everything();
        Self { chassis, running, known, refused: 0 }
    }

    /// Proposes an MD. It is refused and changes nothing, or it is in force as a whole;
    /// then the chassis is another one.
    fn propose(&mut self, md: &[u8]) -> bool {
        let Self { chassis, running, .. } = self;
        let room = (HV_MEMORY.bytes - OTHER_MD.0) as usize;
        chassis.lab.board.memory.zero(OTHER_MD, room as u64);
        chassis.lab.board.memory.write(OTHER_MD, &md[..md.len().min(room)]);
        let reply = chassis.ask(Request::Reconfigure { md: OTHER_MD, guest: !0 });
        chassis.said.clear();
        let Body::HvInfo(info) = chassis.ask(Request::GetHvConfig).body else { panic!("closed") };
        if reply.status != Status::Ok {
            assert!(matches!(reply.body, Body::RcFail(_)), "{reply:?}");
            assert_ne!(info.md, OTHER_MD);
            self.refused += 1;
            if self.refused.is_multiple_of(LOOK) {
                self.look();
            }
            return false;
        }
        let mut header = [0; 16];
        chassis.lab.board.memory.read(OTHER_MD, &mut header);
        let mut bytes = vec![0; Md::total_bytes(&header).unwrap() as usize];
        chassis.lab.board.memory.read(OTHER_MD, &mut bytes);
        let read = Md::parse(&bytes).map(|md| HvConfig::from_md(&md));
        assert_eq!(read, Ok(Ok(chassis.lab.hv.config().clone())));
        assert_eq!(info.md, OTHER_MD);
        chassis.check_whole();
        assert!(!*running || chassis.lab.hv.runs(ROVER), "what runs goes on");
        // What was known is no longer so.
        self.known = chassis.everything();
        *self = Self::new(self.running);
        true
    }
}

#[test]
fn an_md_with_any_byte_another_way_is_refused_whole_or_taken_whole() {
    let good = before_and_after().1.to_md().to_bytes();
    for (running, step) in [(true, 1), (false, 5)] {
        let mut bench = Bench::new(running);
        let (mut taken, mut refused) = (0, 0);
        for at in (0..good.len()).step_by(step) {
            let mut md = good.clone();
            md[at] ^= [0x01, 0x80, 0xff][at % 3];
            *(if bench.propose(&md) { &mut taken } else { &mut refused }) += 1;
        }
        assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
    }
}

#[test]
fn an_md_that_ends_early_is_refused_whole_or_taken_whole() {
    let good = before_and_after().1.to_md().to_bytes();
    let mut bench = Bench::new(true);
    for length in (0..good.len()).step_by(5) {
        bench.propose(&good[..length]);
    }
    assert!(bench.propose(&good));
}

#[test]
fn an_md_that_does_not_end_in_the_hypervisors_memory_is_refused() {
    let good = before_and_after().1.to_md().to_bytes();
    let mut bench = Bench::new(true);
    let chassis = &mut bench.chassis;
    for room in (8..good.len()).step_by(8) {
        let md = Pa(HV_MEMORY.bytes - room as u64);
        chassis.lab.board.memory.write(md, &good[..room]);
        let reply = chassis.ask(Request::Reconfigure { md, guest: !0 });
        assert_eq!(reply.status, Status::BadMd, "{room}");
        chassis.said.clear();
    }
    bench.look();
    let chassis = &mut bench.chassis;
    let md = Pa(HV_MEMORY.bytes - good.len() as u64);
    chassis.lab.board.memory.write(md, &good);
    assert_eq!(chassis.ask(Request::Reconfigure { md, guest: !0 }).status, Status::Ok);
    bench.known = bench.chassis.everything();
}

proptest! {
    #[test]
    fn an_md_with_other_values_is_refused_whole_or_taken_whole(
        running in any::<bool>(),
        edits in vec((any::<u32>(), any::<usize>(), value()), 1..4),
    ) {
        let mut bench = Bench::new(running);
        let mut md = before_and_after().1.to_md();
        for (node, property, value) in edits {
            md = edited(&md, node, property, value);
        }
        bench.propose(&md.to_bytes());
        // Whatever became of it, the next good one is taken.
        prop_assert!(bench.propose(&before_and_after().1.to_md().to_bytes()));
    }
}

/// Another value of a property.
#[derive(Clone, Debug)]
enum Other {
    Number(u64),
    Near(i64),
    Text(String),
    Arc(u32),
    Gone,
}

fn value() -> impl Strategy<Value = Other> {
    let edges = vec![0, 1, 2, 63, 64, 0x100, 511, 512, 0x2000, BASE, PA, 1 << 39, u64::MAX];
    prop_oneof![
        select(edges).prop_map(Other::Number),
        any::<u64>().prop_map(Other::Number),
        (-3_i64..4).prop_map(Other::Near),
        (-3_i64..4).prop_map(|pages| Other::Near(pages * 0x2000)),
        "[a-z]{0,9}".prop_map(Other::Text),
        any::<u32>().prop_map(Other::Arc),
        proptest::strategy::Just(Other::Gone),
    ]
}

/// A graph with one property another way.
fn edited(md: &Md, node: u32, property: usize, other: Other) -> Md {
    let count = md.nodes().count() as u32;
    let chosen = NodeId(node % count);
    let property = property % md.node(chosen).properties().count().max(1);
    let mut new = Md::default();
    for (_, node) in md.nodes() {
        new.add(node.name());
    }
    for (id, node) in md.nodes() {
        for (at, (name, value)) in node.properties().enumerate() {
            if id != chosen || at != property {
                new.set(id, name, value.clone());
                continue;
            }
            let value = match (&other, value) {
                (Other::Number(number), _) => Value::Val(*number),
                (Other::Near(by), Value::Val(number)) => {
                    Value::Val(number.wrapping_add_signed(*by))
                }
                (Other::Near(_), value) => value.clone(),
                (Other::Text(text), _) => Value::Str(text.clone()),
                (Other::Arc(to), _) => Value::Arc(NodeId(to % count)),
                (Other::Gone, _) => continue,
            };
            new.set(id, name, value);
        }
    }
    new
}

/// The configuration without devices is a good one too.
#[test]
fn devices_come_and_go_with_whole_mds() {
    let mut chassis = Chassis::open(&with_rover(PA));
    for config in [with_devices(PA), with_rover(PA), before_and_after().1] {
        assert!(config.guests.iter().any(|guest| guest.id == ROVER));
        let md = chassis.propose(&config);
        assert_eq!(chassis.ask(Request::Reconfigure { md, guest: !0 }).status, Status::Ok);
        assert_eq!(chassis.lab.hv.config(), &config);
        chassis.check_whole();
    }
}
