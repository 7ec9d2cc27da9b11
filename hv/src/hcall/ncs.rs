//! Crypto units: control word queues.

use crate::crypto::{CryptoQueue, WORD_BYTES};
use crate::guest::{Call, CallResult};
use crate::platform::ControlWord;
use crate::trap::Answer;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::id::CoreId;
use sun4v::ncs::Control;

/// Queue types of `ncs_qconf`.
const MAU: u64 = 1;
const CWQ: u64 = 2;
/// Opcode of a hash or MAC, and the longest that it writes.
const HASH: u64 = 0x41;
const DIGEST_BYTES_MAX: u64 = 64;
/// Entries of a control word queue at most.
const CWQ_ENTRIES: u64 = 64;

/// Bytes of source from the first of these words to the end of its block.
fn block_bytes(words: &[(Pa, Control)]) -> u64 {
    let first_of_next = |&(at, (_, control)): &(usize, &(Pa, Control))| {
        at > 0 && (control.has(Control::SOB) || words[at - 1].1.has(Control::EOB))
    };
    let block = words.iter().enumerate().take_while(|word| !first_of_next(word));
    block.map(|(_, (_, control))| (control.0 & 0xffff) + 1).sum()
}

impl Call<'_> {
    fn unit(&mut self, handle: u64) -> Result<&mut CryptoQueue, HvError> {
        let unit = self.guest.crypto.get_mut(&handle);
        unit.filter(|unit| unit.entries != 0).ok_or(HvError::Inval)
    }

    fn my_core(&self) -> Option<CoreId> {
        self.guest.vcpus.get(&self.vcpu).map(|vcpu| vcpu.strand.core())
    }

    /// 111: gives the unit of the caller's core a queue; `entries` 0 takes it away.
    pub(super) fn ncs_qconf(&mut self, kind: u64, base: u64, entries: u64) -> CallResult {
        if kind != MAU && kind != CWQ {
            return Err(HvError::Inval.into());
        }
        if entries == 0 {
            let unit = self.unit(base)?;
            if unit.head != unit.tail {
                return Err(HvError::WouldBlock.into());
            }
            *unit = CryptoQueue::new(unit.core, unit.ino);
            return Ok(Answer::default());
        }
        if entries < 2 || kind == CWQ && entries > CWQ_ENTRIES || !entries.is_power_of_two() {
            return Err(HvError::Inval.into());
        }
        let core = self.my_core();
        let handle = core.map(CryptoQueue::handle);
        let handle = handle.filter(|handle| kind == CWQ && self.guest.crypto.contains_key(handle));
        let handle = handle.ok_or(HvError::NoAccess)?;
        // Words that are under way are those of the queue that the unit has.
        if self.guest.crypto.get(&handle).is_some_and(|unit| unit.head != unit.tail) {
            return Err(HvError::WouldBlock.into());
        }
        if base & (entries * WORD_BYTES - 1) != 0 {
            return Err(HvError::BadAlign.into());
        }
        let pa = self.guest.resolve(Ra(base), entries * WORD_BYTES)?;
        let vcpu = self.vcpu;
        if let Some(unit) = self.guest.crypto.get_mut(&handle) {
            *unit = CryptoQueue {
                ra: Ra(base),
                pa,
                entries,
                vcpu,
                ..CryptoQueue::new(unit.core, unit.ino)
            };
        }
        Ok(Answer::ok(&[handle]))
    }

    /// 112.
    pub(super) fn ncs_qinfo(&mut self, handle: u64) -> CallResult {
        let unit = *self.unit(handle)?;
        Ok(Answer::ok(&[CWQ, unit.ra.0, unit.entries]))
    }

    /// 113.
    pub(super) fn ncs_gethead(&mut self, handle: u64) -> CallResult {
        let head = self.unit(handle)?.head;
        Ok(Answer::ok(&[head]))
    }

    /// 114.
    pub(super) fn ncs_gettail(&mut self, handle: u64) -> CallResult {
        let tail = self.unit(handle)?.tail;
        Ok(Answer::ok(&[tail]))
    }

    /// 115: control words up to `tail` are ready. Every pointer of theirs is checked
    /// before any is given to the unit.
    pub(super) fn ncs_settail(&mut self, handle: u64, tail: u64) -> CallResult {
        let unit = *self.unit(handle)?;
        if self.my_core() != Some(unit.core)
            || !tail.is_multiple_of(WORD_BYTES)
            || tail >= unit.bytes()
        {
            return Err(HvError::Inval.into());
        }
        let mut places = Vec::new();
        let mut at = unit.tail;
        while at != tail {
            let place = unit.pa.offset(at);
            places.push((place, Control(self.cpus.memory().read_u64(place))));
            at = (at + WORD_BYTES) & (unit.bytes() - 1);
        }
        // The last word ends its block, whatever the guest says: no unit waits for more.
        if let Some((_, last)) = places.last_mut() {
            *last = last.with(Control::EOB);
        }
        let blocks = (0..places.len()).map(|at| block_bytes(&places[at..]));
        let words = places.iter().zip(blocks);
        let words =
            words.map(|(&(place, control), block)| self.control_word(place, control, block));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        self.unit(handle)?.tail = tail;
        if !words.is_empty() {
            self.guest.crypto_words.push((unit.core, words));
        }
        Ok(Answer::default())
    }

    /// Reads one control word and resolves its pointers; the result of its block, of
    /// `block` bytes from here on, goes to the destination of the first word.
    fn control_word(&self, pa: Pa, control: Control, block: u64) -> Result<ControlWord, HvError> {
        let memory = self.cpus.memory();
        let word = |index: u64| memory.read_u64(pa.offset(index * 8));
        let bytes = (control.0 & 0xffff) + 1;
        let key_bytes = (control.0 >> 16 & 0xff) + 1;
        let result = match control.0 >> 56 & 0x7f {
            HASH => DIGEST_BYTES_MAX,
            _ if control.has(Control::SOB) => block,
            _ => 0,
        };
        let place = |index: u64, bytes: u64| match word(index) {
            0 => Ok(Pa(0)),
            ra => self.guest.resolve(Ra(ra), bytes),
        };
        if word(1) == 0 {
            return Err(HvError::Inval);
        }
        Ok(ControlWord {
            control: control.0,
            source: place(1, bytes)?,
            auth_key: place(2, key_bytes)?,
            auth_iv: place(3, 32)?,
            auth_state: place(4, 32)?,
            key: place(5, 32)?,
            iv: place(6, 32)?,
            destination: place(7, bytes.max(result))?,
        })
    }

    /// 116: the interrupt number of a unit.
    pub(super) fn ncs_devino(&mut self, handle: u64) -> CallResult {
        let ino = self.unit(handle)?.ino;
        Ok(Answer::ok(&[u64::from(ino)]))
    }

    /// 117: consumed up to here; the interrupt is active while the head is elsewhere.
    pub(super) fn ncs_sethead_marker(&mut self, handle: u64, marker: u64) -> CallResult {
        let unit = self.unit(handle)?;
        if !marker.is_multiple_of(WORD_BYTES) || marker >= unit.bytes() {
            return Err(HvError::Inval.into());
        }
        unit.marker = marker;
        Ok(Answer::default())
    }
}
