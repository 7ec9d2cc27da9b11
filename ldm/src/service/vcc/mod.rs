//! The console concentrator: one port a guest console, in raw packets.
//!
//! **Shapes.** A packet is type (1 control, 2 data), how many characters are valid,
//! two bytes unused, a control code (all ones: break; all ones but bit 0: hang-up),
//! and up to 56 characters. What a guest writes is gathered into lines: the newline
//! ends one and is not part of it, carriage returns are left out, a line of more
//! than [`LINE_MAX`] bytes comes in pieces, and what is unfinished when the console
//! ends is a line. Whoever sits at the console gets every byte as it is
//! ([`Ports::console_out`]).
//!
//! **Order.** Lines of all consoles come out in the order in which they ended.
//! Characters for a guest wait here while its queue is full, [`TYPED_MAX`] of them;
//! nothing tells of room, so [`ConsoleServer::flush`] is to be called while
//! [`ConsoleServer::is_blocked`]. How many more may be typed is told through
//! [`Ports::console_room`] whenever it has changed.
//!
//! **Errors.** [`TypeError`] when there is no such console or it takes no more. A
//! packet that is neither control nor data is left out, a size above 56 is 56.
//!
//! **Source.** illumos `vcc.c`; Linux `vcc.c`; OpenSPARC hypervisor, console
//! packets.

pub mod record;

use super::host::Host;
use crate::channel::{ChannelConf, Endpoint, OpenError};
use record::{ConsolePortV1, Recalled};
use std::collections::{BTreeMap, VecDeque};
use sun4v::hcall::HvError;
use sun4v::id::LdcId;
use sun4v::ldc::{PACKET_BYTES, State};
use sun4v::native::{ConsoleInput, Ports};
use thiserror::Error;

/// Names a port to the control domain: the cookie of its mondos.
pub type PortKey = u64;

/// Bytes of a line at most.
pub const LINE_MAX: usize = 1024;
/// Characters that wait for a guest at most.
pub const TYPED_MAX: usize = 4096;
/// Characters of a packet.
pub const PACKET_CHARS: usize = 56;

const CONTROL: u8 = 1;
const DATA: u8 = 2;
const BREAK: u32 = 0xffff_ffff;
const HANG_UP: u32 = 0xffff_fffe;

/// A console to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleConf {
    /// Whose console it is.
    pub domain: String,
    /// The channel to it.
    pub channel: ChannelConf,
    /// The TCP port under which people know it.
    pub tcp_port: u16,
}

/// Why something could not be typed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TypeError {
    /// No port has this key.
    #[error("no such console")]
    NoConsole,
    /// The guest does not read, and enough waits for it.
    #[error("the console does not take any more")]
    Full,
}

/// What is to be sent to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    Char(u8),
    Break,
    HangUp,
}

#[derive(Debug)]
struct ConsolePort {
    conf: ConsoleConf,
    endpoint: Endpoint,
    typed: VecDeque<Typed>,
    line: Vec<u8>,
    /// It goes on with a line of its life before: the RESET that its own beginning
    /// causes does not end that.
    again: bool,
    /// The room that was told last.
    told: Option<usize>,
}

/// The concentrator.
#[derive(Debug, Default)]
pub struct ConsoleServer {
    ports: BTreeMap<PortKey, ConsolePort>,
    lines: Vec<(String, String)>,
}

impl ConsoleServer {
    /// Opens a port; mondos with cookie `key` are its. A port that had the key is
    /// closed.
    ///
    /// # Errors
    /// As [`Endpoint::open`].
    pub fn attach(
        &mut self,
        host: &mut Host<'_>,
        key: PortKey,
        conf: ConsoleConf,
    ) -> Result<(), OpenError> {
        self.open(host, key, conf, None)
    }

    /// Opens a port that goes on where it was saved.
    ///
    /// # Errors
    /// As [`Endpoint::open`].
    pub fn attach_again(
        &mut self,
        host: &mut Host<'_>,
        key: PortKey,
        conf: ConsoleConf,
        recalled: Recalled,
    ) -> Result<(), OpenError> {
        self.open(host, key, conf, Some(recalled))
    }

    fn open(
        &mut self,
        host: &mut Host<'_>,
        key: PortKey,
        conf: ConsoleConf,
        recalled: Option<Recalled>,
    ) -> Result<(), OpenError> {
        self.detach(host, key);
        let endpoint = Endpoint::open(host.ports, host.arena, conf.channel, key)?;
        let again = recalled.is_some();
        let Recalled { line, typed } = recalled.unwrap_or_default();
        self.ports.insert(key, ConsolePort { conf, endpoint, typed, line, again, told: None });
        // What the guest wrote before raises no mondo.
        self.mondo(host, key);
        Ok(())
    }

    /// Takes what still waits and closes a port. Its channel may have gone with its domain.
    pub fn detach(&mut self, host: &mut Host<'_>, key: PortKey) {
        if let Some(mut port) = self.ports.remove(&key) {
            let received = port.receive(host, &mut self.lines);
            if let Err(error) = received.or_else(gone) {
                port.complain(host.ports, &error);
            }
            port.end_line(&mut self.lines);
            host.ports.console_room(&port.conf.domain, None);
            port.endpoint.close(host.ports, host.arena);
        }
    }

    /// What each port must remember, by channel.
    #[must_use]
    pub fn save(&self) -> Vec<ConsolePortV1> {
        // Lines are taken as soon as they have ended.
        let Self { ports, lines: _ } = self;
        let mut saved: Vec<_> = ports.values().map(ConsolePort::save).collect();
        saved.sort_by_key(|port| port.channel);
        saved
    }

    /// The port at this channel.
    #[must_use]
    pub fn find(&self, channel: LdcId) -> Option<PortKey> {
        self.keyed(|conf| conf.channel.id == channel)
    }

    /// The port of this domain's console.
    #[must_use]
    pub fn find_domain(&self, domain: &str) -> Option<PortKey> {
        self.keyed(|conf| conf.domain == domain)
    }

    fn keyed(&self, is: impl Fn(&ConsoleConf) -> bool) -> Option<PortKey> {
        self.ports.iter().find_map(|(key, port)| is(&port.conf).then_some(*key))
    }

    /// The consoles, in the order of their keys.
    pub fn consoles(&self) -> impl Iterator<Item = &ConsoleConf> {
        self.ports.values().map(|port| &port.conf)
    }

    /// Handles a port's mondo.
    pub fn mondo(&mut self, host: &mut Host<'_>, key: PortKey) {
        let Some(port) = self.ports.get_mut(&key) else { return };
        host.ports.charge(host.cost.mondo);
        let received = port.receive(host, &mut self.lines);
        if let Err(error) = received {
            port.complain(host.ports, &error);
        }
        port.send(host);
        if let Err(error) = port.endpoint.rearm(host.ports) {
            port.complain(host.ports, &error);
        }
    }

    /// Does what somebody at a domain's console does.
    ///
    /// # Errors
    /// As [`ConsoleServer::type_bytes`].
    pub fn input(
        &mut self,
        host: &mut Host<'_>,
        domain: &str,
        input: &ConsoleInput,
    ) -> Result<(), TypeError> {
        let key = self.find_domain(domain).ok_or(TypeError::NoConsole)?;
        match input {
            ConsoleInput::Typed(bytes) => self.type_bytes(host, key, bytes),
            ConsoleInput::Break => self.send_break(host, key),
            ConsoleInput::HangUp => self.hang_up(host, key),
        }
    }

    /// Types characters.
    ///
    /// # Errors
    /// No such console; or no room for all of them, and none was taken.
    pub fn type_bytes(
        &mut self,
        host: &mut Host<'_>,
        key: PortKey,
        bytes: &[u8],
    ) -> Result<(), TypeError> {
        self.put(host, key, bytes.iter().map(|&byte| Typed::Char(byte)))
    }

    /// Sends a break.
    ///
    /// # Errors
    /// As [`ConsoleServer::type_bytes`].
    pub fn send_break(&mut self, host: &mut Host<'_>, key: PortKey) -> Result<(), TypeError> {
        self.put(host, key, [Typed::Break].into_iter())
    }

    /// Tells the guest that whoever sat at its console has left.
    ///
    /// # Errors
    /// As [`ConsoleServer::type_bytes`].
    pub fn hang_up(&mut self, host: &mut Host<'_>, key: PortKey) -> Result<(), TypeError> {
        self.put(host, key, [Typed::HangUp].into_iter())
    }

    fn put(
        &mut self,
        host: &mut Host<'_>,
        key: PortKey,
        typed: impl ExactSizeIterator<Item = Typed>,
    ) -> Result<(), TypeError> {
        let port = self.ports.get_mut(&key).ok_or(TypeError::NoConsole)?;
        if port.typed.len() + typed.len() > TYPED_MAX {
            return Err(TypeError::Full);
        }
        port.typed.extend(typed);
        port.send(host);
        Ok(())
    }

    /// Does something that was typed wait for room?
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.ports.values().any(|port| !port.typed.is_empty())
    }

    /// Sends what waits, as far as there is room.
    pub fn flush(&mut self, host: &mut Host<'_>) {
        self.ports.values_mut().for_each(|port| port.send(host));
    }

    /// Lines that ended since the last call: whose, and the line.
    pub fn take_lines(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.lines)
    }
}

impl ConsolePort {
    fn save(&self) -> ConsolePortV1 {
        // The endpoint is opened again.
        let Self { conf, endpoint: _, typed, line, again: _, told: _ } = self;
        Recalled { line: line.clone(), typed: typed.clone() }.save(conf.channel.id)
    }

    fn receive(
        &mut self,
        host: &mut Host<'_>,
        lines: &mut Vec<(String, String)>,
    ) -> Result<(), HvError> {
        let mut packets = Vec::new();
        let state = self.endpoint.receive(host.ports, &mut packets);
        for packet in &packets {
            let [kind, size, ..] = *packet;
            if kind == DATA {
                self.again &= state == Ok(State::Reset);
                let chars = &packet[8..][..usize::from(size).min(PACKET_CHARS)];
                host.ports.charge(host.cost.console_byte * chars.len() as u64);
                host.ports.console_out(&self.conf.domain, chars);
                chars.iter().for_each(|&byte| self.byte(byte, lines));
            }
        }
        match state? {
            State::Up => {}
            // Another guest, or the same one anew.
            State::Reset if !std::mem::take(&mut self.again) => self.end_line(lines),
            State::Reset => {}
            State::Down => {}
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8, lines: &mut Vec<(String, String)>) {
        match byte {
            b'\n' => self.push_line(lines),
            b'\r' => {}
            _ => {
                if self.line.len() == LINE_MAX {
                    self.push_line(lines);
                }
                self.line.push(byte);
            }
        }
    }

    fn push_line(&mut self, lines: &mut Vec<(String, String)>) {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        lines.push((self.conf.domain.clone(), text));
    }

    fn end_line(&mut self, lines: &mut Vec<(String, String)>) {
        if !self.line.is_empty() {
            self.push_line(lines);
        }
    }

    fn send(&mut self, host: &mut Host<'_>) {
        self.send_typed(host);
        let room = TYPED_MAX - self.typed.len();
        if self.told.replace(room) != Some(room) {
            host.ports.console_room(&self.conf.domain, Some(room));
        }
    }

    fn send_typed(&mut self, host: &mut Host<'_>) {
        if self.typed.is_empty() {
            return;
        }
        // Each packet with what is left after it was sent.
        let mut packets = Vec::new();
        let typed = self.typed.make_contiguous();
        let mut at = 0;
        while at < typed.len() {
            let (packet, taken) = packet(&typed[at..]);
            at += taken;
            packets.push((packet, at));
        }
        let sent = self.endpoint.send(host.ports, packets.iter().map(|(packet, _)| *packet));
        match sent {
            Ok(0) => {}
            Ok(sent) => {
                let chars = packets[sent - 1].1;
                host.ports.charge(host.cost.console_byte * chars as u64);
                self.typed.drain(..chars);
            }
            Err(error) => self.complain(host.ports, &error),
        }
    }

    fn complain(&self, ports: &mut dyn Ports, error: &dyn std::fmt::Display) {
        ports.log(format!("console of {}: {error}", self.conf.domain));
    }
}

/// A channel that has gone is no fault of a port that goes too.
fn gone(error: HvError) -> Result<(), HvError> {
    if error == HvError::Channel { Ok(()) } else { Err(error) }
}

/// The first packet of what was typed, which is not empty; how much it takes.
fn packet(typed: &[Typed]) -> ([u8; PACKET_BYTES], usize) {
    let mut packet = [0; PACKET_BYTES];
    let control = match typed[0] {
        Typed::Break => Some(BREAK),
        Typed::HangUp => Some(HANG_UP),
        Typed::Char(_) => None,
    };
    if let Some(code) = control {
        packet[0] = CONTROL;
        packet[4..8].copy_from_slice(&code.to_be_bytes());
        return (packet, 1);
    }
    let chars = typed.iter().map_while(|typed| match typed {
        Typed::Char(byte) => Some(*byte),
        _ => None,
    });
    let mut size = 0;
    for (place, byte) in packet[8..].iter_mut().zip(chars) {
        *place = byte;
        size += 1;
    }
    packet[0] = DATA;
    packet[1] = size;
    (packet, usize::from(size))
}

#[cfg(test)]
mod test;
