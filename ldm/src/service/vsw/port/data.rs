//! Frames of a port, both ways.
//!
//! **From the guest.** A message says where in the guest's ring to look. Descriptors are
//! copied in and marked DONE some at a time; a run ends with one acknowledgement in state
//! STOPPED, at the first that is not READY or after [`RUN_MAX`] frames. What its sender
//! left undone of a frame's checksums is done here.
//!
//! **To the guest.** Frames go into our ring; a guest that has stopped is told once. What
//! finds no room waits in a backlog that is bounded in frames and bytes.

use super::{PortEvent, SwitchPort};
use crate::service::host::Host;
use crate::service::ring::Ring;
use crate::service::vsw::frame::{Frame, HEADER};
use crate::service::vsw::offload;
use crate::service::vsw::vlan::Form;
use std::collections::VecDeque;
use sun4v::hcall::HvError;
use sun4v::ldc::Stype;
use sun4v::vio::dring::{self, DringState};
use sun4v::vio::vnet::{
    self, DESC_COOKIES, DESCRIPTOR_BYTES, Extension, FIRST_SEQ, LEAD, MINOR_CHECKSUM, MINOR_LSO,
};
use sun4v::vio::{self, DescriptorState, DringData};
use zerocopy::IntoBytes;

/// Frames of one run; a guest that has more says so again.
const RUN_MAX: u32 = 150;
/// Descriptors that are copied in at once.
const BATCH: u32 = 16;
/// Frames that wait for a full ring; more are dropped.
const BACKLOG: usize = 256;
/// Their bytes.
const BACKLOG_BYTES: usize = 2 << 20;
/// Bytes before the frame in a message that carries one (`PKT_DATA`).
const PACKET_HEADER: usize = 16;

/// Frames that wait for a full ring, in the form that they have there.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    frames: VecDeque<(Frame, Form)>,
    bytes: usize,
}

impl Backlog {
    /// False when it is full.
    fn push(&mut self, frame: &Frame, form: Form) -> bool {
        let room = self.frames.len() < BACKLOG && self.bytes + frame.len() <= BACKLOG_BYTES;
        if room {
            self.bytes += frame.len();
            self.frames.push_back((frame.clone(), form));
        }
        room
    }

    fn pop(&mut self) {
        if let Some((frame, _)) = self.frames.pop_front() {
            self.bytes -= frame.len();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The descriptors of one batch that were taken.
#[derive(Default)]
struct Batch {
    taken: u32,
    /// Those that want an acknowledgement of their own.
    acks: Vec<u32>,
}

impl SwitchPort {
    /// The guest has put frames into its ring.
    pub(super) fn frames(
        &mut self,
        host: &mut Host<'_>,
        bytes: &[u8],
        events: &mut Vec<PortEvent>,
    ) -> bool {
        let (Some(info), Some(ring)) = (vio::read::<DringData>(bytes), self.session.peer_ring)
        else {
            return false;
        };
        let (seq, start, end) = (info.seq.get(), info.start.get(), info.end.get());
        // Linux counts from the first again when the second half of the last step is
        // done after its first message.
        let expected = self.session.peer_seq.is_none_or(|next| next == seq || seq == FIRST_SEQ);
        let bounds = match u32::try_from(end) {
            Ok(end) => end < ring.num_desc,
            Err(_) => end == -1,
        };
        if info.ident.get() != ring.ident || start >= ring.num_desc || !bounds || !expected {
            return false;
        }
        self.session.peer_seq = Some(seq.wrapping_add(1));
        let sid = self.session.sid;
        let wanted = match u32::try_from(end) {
            Ok(end) => (end + ring.num_desc - start) % ring.num_desc + 1,
            Err(_) => ring.num_desc,
        };
        let wanted = wanted.min(RUN_MAX);
        let mut run = 0;
        while run < wanted {
            let first = (start + run) % ring.num_desc;
            let count = BATCH.min(wanted - run).min(ring.num_desc - first);
            match self.batch(host, &ring, first, count, events) {
                Ok(batch) => {
                    run += batch.taken;
                    for index in batch.acks {
                        let state = DringState::Active;
                        let ack = info.answer(Stype::Ack, sid, index, index as i32, state);
                        self.say(host, ack.as_bytes());
                    }
                    if batch.taken < count {
                        break;
                    }
                }
                Err(error) => {
                    host.ports.log(format!("{}: descriptor {first}: {error}", self.conf.name));
                    return false;
                }
            }
        }
        // Without a frame: the one before, as Linux has it.
        let last = (start + ring.num_desc + run - 1) % ring.num_desc;
        let start = if run > 0 { start } else { last };
        let stopped = info.answer(Stype::Ack, sid, start, last as i32, DringState::Stopped);
        self.say(host, stopped.as_bytes());
        true
    }

    /// Takes frames out of `count` descriptors from `first` on, until one is not READY.
    fn batch(
        &mut self,
        host: &mut Host<'_>,
        ring: &Ring,
        first: u32,
        count: u32,
        events: &mut Vec<PortEvent>,
    ) -> Result<Batch, HvError> {
        let channel = self.channel.id();
        let size = ring.desc_size as usize;
        let at = |n: u32| dring::descriptor(&ring.cookie, first + n, ring.desc_size);
        let (Some(cookie), Some(_)) = (at(0), at(count - 1)) else { return Err(HvError::NoMap) };
        let mut bytes = vec![0; count as usize * size];
        let whole = sun4v::ldc::Cookie::new(cookie.addr(), bytes.len() as u64);
        host.copier.copy_in(host.ports, channel, &[whole], &mut bytes)?;
        let mut batch = Batch::default();
        for (descriptor, index) in bytes.chunks_exact_mut(size).zip(first..) {
            if descriptor[0] & 0xf != DescriptorState::Ready.code() {
                break;
            }
            host.ports.charge(host.cost.frame);
            if let Some(frame) = self.fetch(host, descriptor) {
                self.counters.received += 1;
                events.push(PortEvent::Frame(frame));
            }
            descriptor[0] = DescriptorState::Done.code();
            batch.taken += 1;
            if descriptor[1] != 0 {
                batch.acks.push(index);
            }
        }
        let done = &bytes[..batch.taken as usize * size];
        if !done.is_empty() {
            let taken = sun4v::ldc::Cookie::new(cookie.addr(), done.len() as u64);
            host.copier.copy_out(host.ports, channel, &[taken], done)?;
        }
        Ok(batch)
    }

    /// The frame that a descriptor means; `None`, and counted, when it cannot be read or
    /// may not be sent. That loses the frame, not the session.
    fn fetch(&mut self, host: &mut Host<'_>, descriptor: &[u8]) -> Option<Frame> {
        let word = |at: usize| {
            let word: Result<[u8; 4], _> = descriptor[at..at + 4].try_into();
            word.map_or(0, u32::from_be_bytes)
        };
        let (nbytes, ncookies) = (word(8), word(12));
        let minor = self.session.minor;
        let extension = match descriptor.get(DESCRIPTOR_BYTES..) {
            Some(bytes) if minor >= MINOR_LSO => vio::read::<Extension>(bytes),
            _ => None,
        };
        let room = if extension.is_some() { DESCRIPTOR_BYTES } else { descriptor.len() };
        let extension = extension.unwrap_or_default();
        let lso = self.session.lso.filter(|_| extension.flags & Extension::LSO != 0);
        let longest = lso.map_or(0, u64::from).max(self.session.mtu);
        if u64::from(nbytes) > longest {
            self.counters.too_long += 1;
            return None;
        }
        if (nbytes as usize) < HEADER {
            self.counters.unreadable += 1;
            return None;
        }
        let mut data = vec![0; vnet::copy_bytes(nbytes) as usize];
        host.ports.charge(host.cost.copy(data.len() as u64));
        let cookies = dring::cookies(&descriptor[DESC_COOKIES..room], ncookies);
        if host.copier.copy_in(host.ports, self.channel.id(), &cookies, &mut data).is_err() {
            self.counters.unreadable += 1;
            return None;
        }
        data.truncate(LEAD + nbytes as usize);
        let mut frame = self.admit(data, LEAD)?;
        let header = minor >= MINOR_CHECKSUM && extension.flags & Extension::HEADER_CHECKSUM != 0;
        let full = minor >= MINOR_CHECKSUM && extension.flags & Extension::FULL_CHECKSUM != 0;
        if header || full {
            host.ports.charge(host.cost.copy(nbytes.into()));
            offload::checksum(frame.bytes_mut(), header, full);
        }
        frame.mss = lso.map(|_| extension.mss.get());
        Some(frame)
    }

    /// What the guest sent, if it is of a VLAN that the port is a member of.
    fn admit(&mut self, buffer: Vec<u8>, start: usize) -> Option<Frame> {
        let Some(frame) = Frame::received(buffer, start, self.conf.vlans.untagged) else {
            self.counters.unreadable += 1;
            return None;
        };
        if self.form(&frame).is_none() {
            self.counters.foreign_vlan += 1;
            return None;
        }
        Some(frame)
    }

    /// How a frame looks here; a guest that knows no tags has none.
    fn form(&self, frame: &Frame) -> Option<Form> {
        let form = self.conf.vlans.form(frame.vlan())?;
        (form == Form::Untagged || self.session.minor >= vnet::MINOR_VLAN).then_some(form)
    }

    /// A frame in a message: one that is to be early.
    pub(super) fn packet(
        &mut self,
        host: &mut Host<'_>,
        bytes: &[u8],
        events: &mut Vec<PortEvent>,
    ) -> bool {
        let Some(frame) = bytes.get(PACKET_HEADER..) else { return false };
        host.ports.charge(host.cost.frame + host.cost.copy(frame.len() as u64));
        if frame.len() as u64 > self.session.mtu {
            self.counters.too_long += 1;
        } else if let Some(frame) = self.admit(frame.to_vec(), 0) {
            self.counters.received += 1;
            events.push(PortEvent::Frame(frame));
        }
        true
    }

    /// The guest has taken frames out of our ring, or could not.
    pub(super) fn taken(&mut self, host: &mut Host<'_>, stype: Stype, bytes: &[u8]) -> bool {
        let Some(ack) = vio::read::<DringData>(bytes) else { return false };
        let stopped = ack.state == DringState::Stopped.code();
        if ack.ident.get() != self.session.ident || (stype == Stype::Nack && !stopped) {
            return false;
        }
        if stopped {
            self.session.active = false;
        }
        self.tx.reclaim(host.ports);
        while let Some((frame, form)) = self.backlog.frames.front()
            && self.tx.put(host.ports, frame, *form)
        {
            self.backlog.pop();
        }
        if stype == Stype::Nack {
            // OpenBSD says so when it has no memory for a frame: not at once again.
            self.session.stalled = true;
        } else {
            self.wake(host);
        }
        true
    }

    /// Tells the guest that there are frames, if it does not look by itself.
    pub(super) fn wake(&mut self, host: &mut Host<'_>) {
        if self.session.active || self.session.stalled || !self.is_up() {
            return;
        }
        if let Some(start) = self.tx.first_ready(host.ports) {
            let (sid, seq, ident) = (self.session.sid, self.session.seq, self.session.ident);
            self.session.active = true;
            self.session.seq = seq.wrapping_add(1);
            self.say(host, DringData::info(sid, seq, ident, start, -1).as_bytes());
        }
    }

    /// Sends a frame to the guest, in segments if it is too long and may be cut; a full
    /// ring and backlog lose it.
    pub(in crate::service::vsw) fn transmit(&mut self, host: &mut Host<'_>, frame: &Frame) {
        if !self.is_up() || self.rests() {
            return;
        }
        let Some(form) = self.form(frame) else {
            self.counters.foreign_vlan += 1;
            return;
        };
        let bytes = frame.len() + form.bytes();
        let longest = self.session.mtu as usize;
        match frame.mss {
            Some(_) if self.session.lso.is_some_and(|most| bytes <= usize::from(most)) => {
                self.enqueue(host, frame, form);
            }
            Some(mss) => {
                let room = longest - form.bytes();
                match offload::segments(frame.bytes(), mss.into(), room) {
                    Some(segments) => {
                        for segment in segments {
                            self.enqueue(host, &frame.again(segment), form);
                        }
                    }
                    None => self.counters.too_long += 1,
                }
            }
            None if bytes > longest => self.counters.too_long += 1,
            None => self.enqueue(host, frame, form),
        }
        self.wake(host);
    }

    fn enqueue(&mut self, host: &mut Host<'_>, frame: &Frame, form: Form) {
        host.ports.charge(host.cost.frame + host.cost.copy(frame.len() as u64));
        let put = self.backlog.frames.is_empty() && self.tx.put(host.ports, frame, form);
        if put || self.backlog.push(frame, form) {
            self.counters.sent += 1;
        } else {
            self.counters.no_room += 1;
        }
    }

    /// The frames that the guest has not taken, taken back.
    pub(super) fn take_back(&mut self, host: &mut Host<'_>) -> Vec<Frame> {
        let untagged = self.conf.vlans.untagged;
        let again = |(bytes, mss): (Vec<u8>, Option<u16>)| {
            let mut frame = Frame::received(bytes, 0, untagged)?;
            frame.mss = mss;
            Some(frame)
        };
        let lent = self.tx.take_back(host.ports);
        let mut frames: Vec<Frame> = lent.into_iter().filter_map(again).collect();
        self.session.active = false;
        frames.extend(std::mem::take(&mut self.backlog).frames.into_iter().map(|(frame, _)| frame));
        frames
    }
}
