//! An endpoint: two queues of packets in the domain's own memory, and the
//! interrupt that tells of arrivals.
//!
//! **Shapes.** Queues have [`ENTRIES`] entries of 64 bytes; one less can wait.
//! The receive interrupt's cookie is what [`sun4v::native::Event::Mondo`] carries
//! in word 0.
//!
//! **State.** The channel's RESET is shown once, by whichever call reads the
//! state; an endpoint remembers it until [`Endpoint::receive`] tells it.
//!
//! **Source.** sun4v hypervisor API, LDC and interrupt groups; OpenSPARC `ldc.s`.

use crate::memory::{Arena, Block};
use sun4v::hcall::HvError;
use sun4v::id::LdcId;
use sun4v::ldc::{
    LDC_RX_GET_STATE, LDC_RX_QCONF, LDC_RX_SET_QHEAD, LDC_TX_GET_STATE, LDC_TX_QCONF,
    LDC_TX_SET_QTAIL, PACKET_BYTES, State,
};
use sun4v::native::Ports;
use thiserror::Error;

/// Entries of each queue.
pub const ENTRIES: u64 = 128;
const QUEUE_BYTES: u64 = ENTRIES * PACKET_BYTES as u64;

/// Cfg handle of the channel devices.
const CHANNEL_DEVICES: u64 = 0x200;
const VINTR_SETCOOKIE: u64 = 0xa8;
const VINTR_SETVALID: u64 = 0xaa;
const VINTR_SETSTATE: u64 = 0xac;
const VINTR_SETTARGET: u64 = 0xae;
const INTR_IDLE: u64 = 0;

/// Where an endpoint is, from the domain's machine description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelConf {
    /// Its number.
    pub id: LdcId,
    /// Interrupt that never fires between guests, but must be set up.
    pub tx_ino: u16,
    /// Interrupt of arrivals and of state changes.
    pub rx_ino: u16,
}

/// Why an endpoint could not be opened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// The domain's memory is full.
    #[error("no memory for the queues of channel {0}")]
    NoMemory(LdcId),
    /// The hypervisor refused.
    #[error("channel {0}: {1}")]
    Refused(LdcId, HvError),
}

/// An open endpoint.
#[derive(Debug)]
pub struct Endpoint {
    conf: ChannelConf,
    tx: Block,
    rx: Block,
    reset_seen: bool,
}

impl Endpoint {
    /// Sets up queues and interrupt; `cookie` comes back in mondos.
    ///
    /// # Errors
    /// No memory, or a channel that the domain does not have; nothing is kept.
    pub fn open(
        ports: &mut dyn Ports,
        arena: &mut Arena,
        conf: ChannelConf,
        cookie: u64,
    ) -> Result<Self, OpenError> {
        let no_memory = OpenError::NoMemory(conf.id);
        let tx = arena.alloc(QUEUE_BYTES).ok_or(no_memory)?;
        let Some(rx) = arena.alloc(QUEUE_BYTES) else {
            arena.free(tx);
            return Err(no_memory);
        };
        let endpoint = Self { conf, tx, rx, reset_seen: false };
        match endpoint.set_up(ports, cookie) {
            Ok(()) => Ok(endpoint),
            Err(error) => {
                endpoint.close(ports, arena);
                Err(OpenError::Refused(conf.id, error))
            }
        }
    }

    fn set_up(&self, ports: &mut dyn Ports, cookie: u64) -> Result<(), HvError> {
        let mut intr = |nr, ino: u16, value| {
            ports.hcall(nr, [CHANNEL_DEVICES, u64::from(ino), value, 0, 0]).map(drop)
        };
        for ino in [self.conf.tx_ino, self.conf.rx_ino] {
            intr(VINTR_SETCOOKIE, ino, cookie)?;
            intr(VINTR_SETTARGET, ino, 0)?;
            intr(VINTR_SETSTATE, ino, INTR_IDLE)?;
            intr(VINTR_SETVALID, ino, 1)?;
        }
        self.reset(ports)
    }

    /// Which endpoint.
    #[must_use]
    pub const fn id(&self) -> LdcId {
        self.conf.id
    }

    /// Sets both queues anew: what waits is lost, and the peer sees RESET.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn reset(&self, ports: &mut dyn Ports) -> Result<(), HvError> {
        let id = u64::from(self.conf.id.0);
        ports.hcall(LDC_TX_QCONF, [id, self.tx.ra.0, ENTRIES, 0, 0])?;
        ports.hcall(LDC_RX_QCONF, [id, self.rx.ra.0, ENTRIES, 0, 0])?;
        Ok(())
    }

    /// Takes the queues away; the peer sees DOWN.
    pub fn close(self, ports: &mut dyn Ports, arena: &mut Arena) {
        let id = u64::from(self.conf.id.0);
        for ino in [self.conf.tx_ino, self.conf.rx_ino] {
            let off = [CHANNEL_DEVICES, u64::from(ino), 0, 0, 0];
            let _ = ports.hcall(VINTR_SETVALID, off);
        }
        // A channel that has gone from the configuration refuses these, rightly.
        for nr in [LDC_TX_QCONF, LDC_RX_QCONF] {
            let _ = ports.hcall(nr, [id, 0, 0, 0, 0]);
        }
        arena.free(self.tx);
        arena.free(self.rx);
    }

    /// Sends as many packets as find room, from the front; how many. None when
    /// the peer is away or has been reset.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn send(
        &mut self,
        ports: &mut dyn Ports,
        packets: impl Iterator<Item = [u8; PACKET_BYTES]>,
    ) -> Result<usize, HvError> {
        self.send_whole(ports, packets, |_| true)
    }

    /// The same of groups of packets, of which `ends` knows the last one: of a group that
    /// does not find room nothing is sent.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn send_whole(
        &mut self,
        ports: &mut dyn Ports,
        packets: impl Iterator<Item = [u8; PACKET_BYTES]>,
        ends: impl Fn(&[u8; PACKET_BYTES]) -> bool,
    ) -> Result<usize, HvError> {
        let id = u64::from(self.conf.id.0);
        let [head, mut tail, state, ..] = ports.hcall(LDC_TX_GET_STATE, [id, 0, 0, 0, 0])?;
        match State::from_code(state) {
            Some(State::Up) => {}
            Some(State::Reset) => {
                self.reset_seen = true;
                return Ok(0);
            }
            _ => return Ok(0),
        }
        let room = (head.wrapping_sub(tail).wrapping_sub(PACKET_BYTES as u64) % QUEUE_BYTES)
            / PACKET_BYTES as u64;
        let (mut sent, mut next) = (0, tail);
        for (n, packet) in (1..).zip(packets.take(room as usize)) {
            ports.write(self.tx.at(next), &packet);
            next = (next + PACKET_BYTES as u64) % QUEUE_BYTES;
            if ends(&packet) {
                (sent, tail) = (n, next);
            }
        }
        if sent > 0 {
            ports.hcall(LDC_TX_SET_QTAIL, [id, tail, 0, 0, 0])?;
        }
        Ok(sent)
    }

    /// Does something wait to be taken? A RESET that this reads is told by the next
    /// [`Endpoint::receive`].
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn has_arrivals(&mut self, ports: &mut dyn Ports) -> Result<bool, HvError> {
        let id = u64::from(self.conf.id.0);
        let [head, tail, state, ..] = ports.hcall(LDC_RX_GET_STATE, [id, 0, 0, 0, 0])?;
        self.reset_seen |= State::from_code(state) == Some(State::Reset);
        Ok(head != tail || self.reset_seen)
    }

    /// Takes every packet that waits. RESET is told once.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn receive(
        &mut self,
        ports: &mut dyn Ports,
        packets: &mut Vec<[u8; PACKET_BYTES]>,
    ) -> Result<State, HvError> {
        let id = u64::from(self.conf.id.0);
        let mut reset = std::mem::take(&mut self.reset_seen);
        loop {
            let [head, tail, state, ..] = ports.hcall(LDC_RX_GET_STATE, [id, 0, 0, 0, 0])?;
            let state = State::from_code(state).unwrap_or(State::Down);
            reset |= state == State::Reset;
            let mut at = head % QUEUE_BYTES;
            while at != tail % QUEUE_BYTES {
                let mut packet = [0; PACKET_BYTES];
                ports.read(self.rx.at(at), &mut packet);
                packets.push(packet);
                at = (at + PACKET_BYTES as u64) % QUEUE_BYTES;
            }
            if head == tail {
                return Ok(if reset { State::Reset } else { state });
            }
            ports.hcall(LDC_RX_SET_QHEAD, [id, tail, 0, 0, 0])?;
        }
    }

    /// Ends the handling of a mondo: the next arrival brings another.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn rearm(&self, ports: &mut dyn Ports) -> Result<(), HvError> {
        let idle = [CHANNEL_DEVICES, u64::from(self.conf.rx_ino), INTR_IDLE, 0, 0];
        ports.hcall(VINTR_SETSTATE, idle).map(drop)
    }
}
