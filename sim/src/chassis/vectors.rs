//! Published vectors by the interface that a guest has: control words in a queue in its
//! memory, the hypervisor's checks and marks, and the unit between them.
//!
//! They are cut into words in the same ways as for the unit alone: up to twelve bytes in
//! all, up to 64 at every three places, up to 200 at every two.

use super::board::word;
use crate::chip::cwq::test::splits::ways;
use crate::chip::cwq::test::vectors::{What, all};
use crate::chip::cwq::test::{KEY, OUT, Ram, SOURCE, chain};
use crate::chip::cwq::{ControlWord, Cwq, Dma, Status};
use hv::platform::Memory;
use hv::testing::{BASE, Lab, Pages};
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::nr;
use sun4v::ncs::{Control, Entry, QTYPE_CWQ};
use sun4v::time::{SimTime, T2_HZ};

/// Where the queue is, and how large.
const QUEUE: u64 = BASE + 0x40_0000;
const QUEUE_BYTES: u64 = 64 * 64;
/// Behind keys and initial values.
const PARAMETERS_END: u64 = 0x800;

impl Dma for Pages {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        Memory::read(self, pa, bytes);
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        Memory::write(self, pa, bytes);
    }
}

/// A guest with a queue on the unit of its core.
struct Guest {
    lab: Lab,
    unit: Cwq,
    handle: u64,
    tail: u64,
    /// Physical address of its first byte.
    base: Pa,
}

impl Guest {
    fn new() -> Self {
        let mut lab = Lab::new();
        let queue = lab.call(nr::ncs_qconf, [QTYPE_CWQ, QUEUE, 64, 0, 0]);
        assert_eq!(queue.status, 0);
        lab.hv.set_trace(false);
        let base = lab.hv.guest(lab.caller.0).unwrap().map.resolve(Ra(BASE), 1).unwrap();
        Self { lab, unit: Cwq::new(T2_HZ), handle: queue.rets[0], tail: 0, base }
    }

    /// Puts words behind those that are done, and has them done: all must end well and be
    /// marked so.
    fn run(&mut self, words: &[ControlWord]) {
        let first = self.tail;
        for word in words {
            let ra = |pa: Pa| if pa == Pa(0) { Ra(0) } else { Ra(BASE + pa.0) };
            let entry = Entry {
                control: word.control,
                source: ra(word.source),
                auth_key: ra(word.auth_key),
                auth_iv: ra(word.auth_iv),
                auth_state: ra(word.auth_state),
                key: ra(word.key),
                iv: ra(word.iv),
                destination: ra(word.destination),
            };
            self.lab.poke(QUEUE + self.tail, &entry.to_bytes());
            self.tail = (self.tail + 64) % QUEUE_BYTES;
        }
        let answer = self.lab.call(nr::ncs_settail, [self.handle, self.tail, 0, 0, 0]);
        assert_eq!(answer.status, 0);
        self.lab.hv.boundary(&mut self.lab.board);
        let given: Vec<_> = self.lab.board.words.drain(..).collect();
        assert_eq!(given.len(), words.len());
        let core = given[0].0;
        let given: Vec<_> = given.iter().map(|(_, given)| word(given)).collect();
        self.unit.submit(SimTime::ZERO, &given);
        let ends = self.unit.advance(SimTime::NEVER, &self.lab.board.memory);
        assert_eq!(ends, vec![Status::Done; words.len()]);
        self.lab.hv.cwq_done(core, &vec![true; ends.len()], &mut self.lab.board);
        assert_eq!(self.lab.call(nr::ncs_gethead, [self.handle, 0, 0, 0, 0]).rets[0], self.tail);
        for n in 0..words.len() as u64 {
            let mark = self.lab.peek::<8>(QUEUE + (first + 64 * n) % QUEUE_BYTES);
            assert!(Control(u64::from_be_bytes(mark)).has(Control::DONE));
        }
    }

    fn write(&mut self, at: Pa, bytes: &[u8]) {
        self.lab.poke(BASE + at.0, bytes);
    }

    fn read(&self, at: Pa, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        Memory::read(&self.lab.board.memory, self.base.offset(at.0), &mut bytes);
        bytes
    }
}

#[test]
fn every_vector_comes_out_of_a_queue_however_it_is_cut_into_words() {
    let mut guest = Guest::new();
    let (mut vectors, mut runs) = (0, 0);
    for vector in all().iter().filter(|vector| vector.input.len() <= 200) {
        vectors += 1;
        for &encrypt in vector.ways() {
            let ram = Ram::new();
            let word = vector.word(&ram, encrypt);
            let parameters = ram.bytes(KEY, (PARAMETERS_END - KEY.0) as usize);
            let (source, expected) = vector.ends(encrypt);
            guest.write(KEY, &parameters);
            guest.write(SOURCE, source);
            let streams = matches!(vector.what, What::Cipher(kind, _) if kind.is_stream());
            for way in ways(source.len()) {
                if streams {
                    // It leaves another state behind each time.
                    guest.write(KEY, &parameters);
                }
                guest.write(OUT, &vec![0xee; expected.len() + 1]);
                guest.run(&chain(word, &way));
                let written = guest.read(OUT, expected.len() + 1);
                assert_eq!(written[..expected.len()], *expected, "{:?} {way:?}", vector.what);
                assert_eq!(written[expected.len()], 0xee, "{:?} {way:?}", vector.what);
                runs += 1;
            }
        }
    }
    assert!(vectors >= 70 && runs > 50_000, "{vectors} vectors, {runs} runs");
}
