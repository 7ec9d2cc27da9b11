//! The control word queue: what a new tail brings, and what the unit has done.
//!
//! **Shape.** The first word of a block names what the operation uses; the last that a
//! tail brings ends its block, whatever the guest says. Each pointer is looked at for as
//! long as the firmware does (source and destination for the word's length, both keys for
//! the length of the HMAC key, initial vectors and state for 32 bytes) and for as long as
//! the unit will go: the firmware does not look at the latter, and a unit that wrote a
//! block's result where only its first word's length was looked at would leave the guest.

use super::CryptoQueue;
use crate::guest::Guest;
use crate::hypervisor::Hypervisor;
use crate::platform::{ControlWord, Machine, Memory};
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::hvmd::CryptoKind;
use sun4v::id::CoreId;
use sun4v::ncs::{Control, ENTRY_BYTES, Entry, Reach};

/// Bytes that the firmware looks at behind a pointer to an initial vector or a state.
const STATE_BYTES: u64 = 32;
/// Where the strand that is interrupted stands in a control word.
const STRAND_SHIFT: u32 = 37;

impl Guest {
    /// The control words from the tail of `unit` up to `tail`, resolved.
    pub(crate) fn control_words(
        &self,
        unit: &CryptoQueue,
        tail: u64,
        memory: &dyn Memory,
    ) -> Result<Vec<ControlWord>, HvError> {
        let read = |at| {
            let mut bytes = [0; ENTRY_BYTES as usize];
            memory.read(unit.pa.offset(at), &mut bytes);
            Entry::from_bytes(&bytes)
        };
        let mut entries: Vec<Entry> = unit.new_up_to(tail).map(read).collect();
        if let Some(last) = entries.last_mut() {
            last.control = last.control.with(Control::EOB);
        }
        let strand = self.vcpus.get(&unit.vcpu).map_or(0, |vcpu| vcpu.strand.0 & 7);
        for entry in entries.iter_mut().filter(|entry| entry.control.has(Control::SOB)) {
            let strand_bits = u64::from(strand) << STRAND_SHIFT;
            entry.control.0 = entry.control.0 & !(7 << STRAND_SHIFT) | strand_bits;
            entry.control = entry.control.with(Control::INTERRUPT);
        }
        let blocks = (0..entries.len()).map(|at| block_bytes(&entries[at..]));
        entries.iter().zip(blocks).map(|(entry, bytes)| self.control_word(entry, bytes)).collect()
    }

    /// Resolves the pointers of a word whose block brings `bytes` from it on.
    fn control_word(&self, entry: &Entry, bytes: u64) -> Result<ControlWord, HvError> {
        let Entry { control, source, auth_key, auth_iv, auth_state, key, iv, destination } = *entry;
        if source == Ra(0) {
            return Err(HvError::Inval);
        }
        let length = control.bytes() as u64;
        let key_length = control.auth_key_bytes() as u64;
        let reach = match control.has(Control::SOB) {
            true => Reach::of(control, bytes),
            false => Reach::default(),
        };
        let place = |ra: Ra, looked_at: u64, reach: u64| match ra {
            Ra(0) => Ok(Pa(0)),
            ra => self.resolve(ra, looked_at.max(reach)),
        };
        Ok(ControlWord {
            control: control.0,
            source: place(source, length, 0)?,
            auth_key: place(auth_key, key_length, reach.auth_key)?,
            auth_iv: place(auth_iv, STATE_BYTES, reach.auth_iv)?,
            auth_state: place(auth_state, STATE_BYTES, reach.auth_state)?,
            key: place(key, key_length, reach.key)?,
            iv: place(iv, STATE_BYTES, reach.iv)?,
            destination: place(destination, length, reach.destination)?,
        })
    }
}

/// Bytes of source from the first of `entries` to the end of its block.
fn block_bytes(entries: &[Entry]) -> u64 {
    let mut bytes = 0;
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 && entry.control.has(Control::SOB) {
            break;
        }
        bytes += entry.control.bytes() as u64;
        if entry.control.has(Control::EOB) {
            break;
        }
    }
    bytes
}

impl Hypervisor {
    /// Control words of `core`'s unit were done: `ok` says of each how it ended. A word that
    /// asked for an interrupt gets it, also when it failed: the firmware sends none then, and
    /// leaves its guest to find out by the clock.
    pub fn cwq_done(&mut self, core: CoreId, ok: &[bool], machine: &mut dyn Machine) {
        let handle = CryptoQueue::handle(CryptoKind::Cwq, core);
        let Some((guest, mut unit)) = self.unit_at_work(handle) else { return };
        let id = guest.id;
        let mut wants_interrupt = false;
        for &ok in ok {
            let place = unit.pa.offset(unit.head);
            let word = machine.memory().read_u64(place);
            let end = if ok { Control::DONE } else { Control::DONE | Control::PROTOCOL_ERROR };
            machine.memory().write_u64(place, word | end);
            wants_interrupt |= word & Control::INTERRUPT != 0;
            unit.head = unit.after(unit.head);
        }
        guest.crypto.insert(handle, unit);
        if wants_interrupt {
            guest.raise_device(machine.cpus(id), unit.ino);
        }
        self.look_at_drained(id, machine);
    }

    /// The guest whose unit this is, if it has work, and the unit.
    pub(super) fn unit_at_work(&mut self, handle: u64) -> Option<(&mut Guest, CryptoQueue)> {
        let mut guests = self.guests.values_mut().flatten();
        let works =
            |guest: &&mut Box<Guest>| guest.crypto.get(&handle).is_some_and(CryptoQueue::is_busy);
        let guest = guests.find(works)?;
        let unit = *guest.crypto.get(&handle)?;
        Some((guest, unit))
    }
}
