//! A packet queue in guest memory.

use crate::platform::Memory;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;

/// A queue of 64-byte packets; `entries` zero when it is not configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketQueue {
    /// Where the guest says it is.
    pub ra: Ra,
    /// Where it is.
    pub pa: Pa,
    /// Entries, a power of two, or zero.
    pub entries: u64,
    /// Next packet to take, in bytes.
    pub head: u64,
    /// Next packet to fill, in bytes.
    pub tail: u64,
}

impl PacketQueue {
    /// True when a guest has given it memory.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.entries != 0
    }

    /// True when it holds no packet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    const fn bytes(&self) -> u64 {
        self.entries * 64
    }

    /// The offset `bytes` after `offset`.
    const fn after(&self, offset: u64, bytes: u64) -> u64 {
        (offset + bytes) & (self.bytes() - 1)
    }

    /// Gives it memory. It becomes empty at its old tail, or at zero when that lies
    /// outside.
    pub fn configure(&mut self, ra: Ra, pa: Pa, entries: u64) {
        let tail = if self.tail < entries * 64 { self.tail } else { 0 };
        *self = Self { ra, pa, entries, head: tail, tail };
    }

    /// Takes its memory away; the tail stays.
    pub fn unconfigure(&mut self) {
        self.entries = 0;
        self.head = self.tail;
    }

    /// Packets in it.
    #[must_use]
    pub const fn len(&self) -> u64 {
        if self.entries == 0 {
            return 0;
        }
        (self.tail.wrapping_sub(self.head) & (self.bytes() - 1)) / 64
    }

    /// Packets that still fit.
    #[must_use]
    pub const fn room(&self) -> u64 {
        if self.entries == 0 { 0 } else { self.entries - 1 - self.len() }
    }

    fn check(&self, offset: u64) -> Result<(), HvError> {
        if !offset.is_multiple_of(64) {
            Err(HvError::BadAlign)
        } else if !self.is_configured() || offset >= self.bytes() {
            Err(HvError::Inval)
        } else {
            Ok(())
        }
    }

    /// The sender moves the tail: forward, and not onto the head.
    pub fn set_tail(&mut self, tail: u64) -> Result<(), HvError> {
        self.check(tail)?;
        let added = tail.wrapping_sub(self.tail) & (self.bytes() - 1);
        if added == 0 || added / 64 > self.room() {
            return Err(HvError::Inval);
        }
        self.tail = tail;
        Ok(())
    }

    /// The receiver moves the head: forward, at most to the tail; onto the tail always. T2
    /// takes any offset while the queue is empty, and then shows packets that are none.
    pub fn set_head(&mut self, head: u64) -> Result<(), HvError> {
        self.check(head)?;
        let taken = head.wrapping_sub(self.head) & (self.bytes() - 1);
        if head != self.tail && (taken == 0 || taken / 64 > self.len()) {
            return Err(HvError::Inval);
        }
        self.head = head;
        Ok(())
    }

    /// Takes the next packet out, for the hypervisor.
    pub fn pop(&mut self, memory: &dyn Memory) -> Option<[u8; 64]> {
        if !self.is_configured() || self.is_empty() {
            return None;
        }
        let mut packet = [0; 64];
        memory.read(self.pa.offset(self.head), &mut packet);
        self.head = self.after(self.head, 64);
        Some(packet)
    }

    /// Puts a packet in, for the hypervisor; false when there is no room.
    pub fn push(&mut self, memory: &dyn Memory, packet: &[u8; 64]) -> bool {
        if self.room() == 0 {
            return false;
        }
        memory.write(self.pa.offset(self.tail), packet);
        self.tail = self.after(self.tail, 64);
        true
    }
}

#[cfg(test)]
mod test {
    use super::PacketQueue;
    use sun4v::addr::{Pa, Ra};
    use sun4v::hcall::HvError;

    fn queue() -> PacketQueue {
        let mut queue = PacketQueue::default();
        queue.configure(Ra(0x2000), Pa(0x2000), 4);
        queue
    }

    #[test]
    fn a_tail_moves_forward_and_never_onto_the_head() {
        let mut queue = queue();
        assert_eq!(queue.set_tail(0), Err(HvError::Inval));
        assert_eq!(queue.set_tail(32), Err(HvError::BadAlign));
        assert_eq!(queue.set_tail(256), Err(HvError::Inval));
        assert_eq!(queue.set_tail(192), Ok(()));
        assert_eq!(queue.set_tail(0), Err(HvError::Inval));
        assert_eq!((queue.len(), queue.room()), (3, 0));
    }

    #[test]
    fn a_head_moves_forward_to_the_tail_at_most() {
        let mut queue = queue();
        queue.set_tail(128).unwrap();
        assert_eq!(queue.set_head(0), Err(HvError::Inval));
        assert_eq!(queue.set_head(192), Err(HvError::Inval));
        assert_eq!(queue.set_head(128), Ok(()));
        assert!(queue.is_empty());
        assert_eq!(queue.set_head(128), Ok(()), "nothing to flush");
        assert_eq!(queue.set_head(64), Err(HvError::Inval));
        assert_eq!(queue.set_head(192), Err(HvError::Inval));
    }

    #[test]
    fn a_queue_configured_again_is_empty_at_its_old_tail() {
        let mut queue = queue();
        queue.set_tail(128).unwrap();
        queue.configure(Ra(0x4000), Pa(0x4000), 4);
        assert_eq!((queue.head, queue.tail), (128, 128));
        queue.configure(Ra(0x4000), Pa(0x4000), 2);
        assert_eq!((queue.head, queue.tail), (0, 0));
    }
}
