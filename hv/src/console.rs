//! Consoles: characters between a guest and a console concentrator, or the
//! service processor.
//!
//! **Shape.** Towards a concentrator, 64-byte packets: type (1 control, 2 data),
//! size, control code at 4 (all ones: break; all ones but bit 0: hang-up), up to 56
//! characters at 8. What a guest does not read waits in the concentrator's queue once
//! [`Console::has_room`] says no, and is taken when the guest has read.
//!
//! **Differences.** T2's hypervisor does not look whether its ring of 512 has room.
//!
//! **Source.** sun4v hypervisor API, console services; the OpenSPARC hypervisor's
//! console packets.

use std::collections::VecDeque;
use sun4v::hvmd::ConsoleConf;

/// Characters of a packet.
pub const PACKET_CHARS: usize = 56;
/// Packets that may wait for the concentrator.
pub(crate) const OUT_PACKETS: usize = 128;
/// Characters and signals that may wait for the guest.
pub(crate) const IN_CHARS: usize = 512;

/// Something that arrived for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A character.
    Char(u8),
    /// A break.
    Break,
    /// The terminal hung up.
    HangUp,
}

/// A guest's console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Its configuration.
    pub conf: ConsoleConf,
    /// Characters for the other end, in pieces of a packet at most.
    pub output: VecDeque<Vec<u8>>,
    /// What arrived.
    pub input: VecDeque<Input>,
    /// The concentrator has a receive queue.
    pub connected: bool,
    /// The guest was refused and wants to know when there is room.
    pub blocked: bool,
    /// Packets wait in the concentrator's queue for the guest to read.
    pub full: bool,
}

impl Console {
    /// A console without any character.
    #[must_use]
    pub const fn new(conf: ConsoleConf) -> Self {
        Self {
            conf,
            output: VecDeque::new(),
            input: VecDeque::new(),
            connected: false,
            blocked: false,
            full: false,
        }
    }

    /// Takes up to a packet of characters; `None` when there is no room.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.conf.endpoint.is_some() && !self.connected {
            return Some(bytes.len().min(PACKET_CHARS)); // nobody listens: swallowed
        }
        let taken = &bytes[..bytes.len().min(PACKET_CHARS)];
        if let Some(last) = self.output.back_mut()
            && last.len() + taken.len() <= PACKET_CHARS
        {
            last.extend_from_slice(taken);
            return Some(taken.len());
        }
        if self.output.len() >= OUT_PACKETS {
            self.blocked = true;
            return None;
        }
        self.output.push_back(taken.to_vec());
        Some(taken.len())
    }

    /// Is there room for any packet of the concentrator's?
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.input.len() + PACKET_CHARS <= IN_CHARS
    }

    /// A packet from the concentrator.
    pub fn packet(&mut self, packet: &[u8; 64]) {
        let control = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        match (packet[0], control) {
            (1, 0xffff_ffff) => self.arrive(Input::Break),
            (1, 0xffff_fffe) => self.arrive(Input::HangUp),
            (2, _) => {
                let size = usize::from(packet[1]).min(PACKET_CHARS);
                packet[8..8 + size].iter().for_each(|&byte| self.arrive(Input::Char(byte)));
            }
            _ => {}
        }
    }

    /// Something for the guest; lost when 512 wait already.
    pub fn arrive(&mut self, input: Input) {
        if self.input.len() < IN_CHARS {
            self.input.push_back(input);
        }
    }

    /// The packet for these characters.
    #[must_use]
    pub fn emit(chars: &[u8]) -> [u8; 64] {
        let mut packet = [0; 64];
        packet[0] = 2;
        packet[1] = chars.len() as u8;
        packet[8..8 + chars.len()].copy_from_slice(chars);
        packet
    }
}
