//! Requests: from a descriptor, in a ring or in a message, to its answer.
//!
//! **Order.** A job a descriptor, in the order in which they came; they run side by side
//! and end from the front. A job may ask the volume several times, one after the other.
//!
//! **Doorbells.** The descriptors that one message names are fetched together.
//!
//! **Errors.** What a request cannot do is its status. A ring that cannot be reached, a
//! descriptor that is not READY, or more requests under way than descriptors end the
//! session and the link.

use super::media::Reading;
use super::port::{DiskPort, Step, Violation};
use super::session::{Job, Reply};
use super::{Desk, PortKey, Waiter};
use crate::service::host::Host;
use crate::service::ring::Ring;
use crate::service::volume::{Backend, Request, VolumeId};
use std::collections::VecDeque;
use sun4v::hcall::HvError;
use sun4v::ldc::{Cookie, Stype};
use sun4v::vio::dring::{self, DESC_HEADER_BYTES, DringState};
use sun4v::vio::vdisk::{
    DESC_MESSAGE_BYTES, DESCRIPTOR_BYTES, DescMessage, Descriptor, EfiHeader, Errno, Geometry,
    NO_SLICE, Operation, Vtoc,
};
use sun4v::vio::{self, DescriptorState, DringData};
use zerocopy::IntoBytes;

/// Requests in messages that may be under way.
pub(super) const IN_BAND_MAX: usize = 512;
/// Bytes of an [`EfiHeader`].
const EFI_HEADER_BYTES: usize = size_of::<EfiHeader>();

/// How a request begins.
enum Begun {
    /// Done already; these are its data.
    Answer(Vec<u8>),
    /// The volume does it: requests one after the other, and what lies before and behind
    /// what the last one reads.
    Ask { requests: VecDeque<Request>, before: Vec<u8>, after: Vec<u8> },
}

impl Begun {
    fn ask(request: Request) -> Self {
        Self::all([request].into())
    }

    fn all(requests: VecDeque<Request>) -> Self {
        Self::Ask { requests, before: Vec::new(), after: Vec::new() }
    }

    /// A reading, with `header` before it.
    fn read(header: &[u8], reading: Reading) -> Self {
        let Reading { before, volume, after } = reading;
        let before = if header.is_empty() { before } else { [header, &before].concat() };
        match volume {
            Some((offset, bytes)) => {
                Self::Ask { requests: [Request::Read { offset, bytes }].into(), before, after }
            }
            None => Self::Answer([before, after].concat()),
        }
    }
}

impl DiskPort {
    /// A ring message: every descriptor that it names begins to run.
    pub(super) fn requests(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        bytes: &[u8],
    ) -> Step {
        let (Some(info), Some(ring)) = (vio::read::<DringData>(bytes), self.session.ring) else {
            return self.refuse(host, bytes, Violation::Full);
        };
        if !self.session.follows(info.seq.get()) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        let start = info.start.get();
        let end = u32::try_from(info.end.get()).unwrap_or(u32::MAX);
        if info.ident.get() != ring.ident || start >= ring.num_desc || end >= ring.num_desc {
            return self.refuse(host, bytes, Violation::Full);
        }
        // Runs that do not go round the end of the ring: first, how many.
        let runs = if start <= end {
            [(start, end - start + 1), (0, 0)]
        } else {
            [(start, ring.num_desc - start), (0, end + 1)]
        };
        for (first, count) in runs {
            if self.run(host, backend, desk, &ring, (first, count)).is_err() {
                return self.refuse(host, bytes, Violation::Full);
            }
        }
        self.session.last = Some(end);
        if let Some(job) = self.session.jobs.back_mut() {
            job.reply.ends(info);
        }
        self.finish(host, desk);
        Ok(())
    }

    /// Takes descriptors and begins their requests. An error: the ring cannot be reached,
    /// a descriptor is not READY, or there are more than the ring has.
    fn run(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        ring: &Ring,
        (first, count): (u32, u32),
    ) -> Result<(), HvError> {
        if self.session.jobs.len() + count as usize > ring.num_desc as usize {
            return Err(HvError::Busy);
        }
        let (size, channel) = (ring.desc_size as usize, self.channel.id());
        let at = |n: u32| dring::descriptor(&ring.cookie, n, ring.desc_size).ok_or(HvError::NoMap);
        let mut bytes = vec![0; count as usize * size];
        if count > 0 {
            let run = Cookie::new(at(first)?.addr(), bytes.len() as u64);
            host.copier.copy_in(host.ports, channel, &[run], &mut bytes)?;
        }
        for (n, bytes) in (first..).zip(bytes.chunks_exact_mut(size)) {
            let descriptor = vio::read::<Descriptor>(bytes).ok_or(HvError::Inval)?;
            if descriptor.state & 0xf != DescriptorState::Ready.code() {
                return Err(HvError::Busy);
            }
            let at = at(n)?;
            bytes[0] = DescriptorState::Accepted.code();
            host.copier.copy_out(host.ports, channel, &[at], &bytes[..DESC_HEADER_BYTES])?;
            let mut head = [0; 24];
            head.copy_from_slice(&bytes[..24]);
            let reply = Reply::Ring { at, head, last_of: None };
            self.begin(host, backend, desk, &descriptor, &bytes[DESCRIPTOR_BYTES..], reply);
        }
        Ok(())
    }

    /// A message with a request in it.
    pub(super) fn in_band(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        bytes: &[u8],
    ) -> Step {
        let message = vio::read::<DescMessage>(bytes).filter(|_| self.session.in_band);
        let Some(message) = message else { return self.refuse(host, bytes, Violation::Full) };
        if !self.session.follows(message.seq.get()) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        let cookies = &bytes[DESC_MESSAGE_BYTES..];
        let room = cookies.len() / size_of::<Cookie>();
        if message.ncookies.get() as usize > room || self.session.jobs.len() >= IN_BAND_MAX {
            return self.refuse(host, bytes, Violation::Full);
        }
        let reply = Reply::Message(bytes.to_vec());
        self.begin(host, backend, desk, &message.descriptor(), cookies, reply);
        self.finish(host, desk);
        Ok(())
    }

    /// Begins a request, whose cookies are in `cookies`.
    fn begin(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        descriptor: &Descriptor,
        cookies: &[u8],
        reply: Reply,
    ) {
        host.ports.charge(host.cost.disk_request);
        let mut job = Job {
            reply,
            buffers: dring::cookies(cookies, descriptor.ncookies.get()),
            before: Vec::new(),
            after: Vec::new(),
            rest: VecDeque::new(),
            writes_at: None,
            token: None,
            outcome: None,
        };
        match self.request(host, desk, descriptor, &job.buffers) {
            Ok(Begun::Answer(data)) => job.outcome = Some(Ok(data)),
            Ok(Begun::Ask { requests, before, after }) => {
                (job.rest, job.before, job.after) = (requests, before, after);
                ask_next(self.name(), backend, desk, &mut job);
            }
            Err(error) => job.outcome = Some(Err(error)),
        }
        self.session.jobs.push_back(job);
    }

    /// What a descriptor asks for.
    fn request(
        &mut self,
        host: &mut Host<'_>,
        desk: &mut Desk,
        descriptor: &Descriptor,
        buffers: &[Cookie],
    ) -> Result<Begun, Errno> {
        let operation = Operation::from_code(descriptor.operation).ok_or(Errno::NotSup)?;
        if self.refuses(host) {
            return Err(Errno::Io);
        }
        let (durable, minor) = (!self.write_cache, self.session.minor);
        let nbytes = descriptor.nbytes.get();
        let media = self.media.as_ref().ok_or(Errno::Nxio)?;
        let device = media.is_device();
        let answer = |bytes: &[u8]| {
            // Room for less gets less.
            let room = usize::try_from(nbytes).unwrap_or(usize::MAX);
            Ok(Begun::Answer(bytes[..bytes.len().min(room)].to_vec()))
        };
        if media.is_read_only() && changes(operation) {
            return Err(Errno::RoFs);
        }
        if !matches!(operation, Operation::GetAccess | Operation::SetAccess)
            && !desk.access.allowed(self.key, media.identity())
        {
            return Err(Errno::Acces);
        }
        match operation {
            Operation::Bread | Operation::Bwrite => {
                let (slice, addr, most) =
                    (descriptor.slice, descriptor.addr.get(), self.session.max_xfer);
                let (offset, bytes) = media.place(slice, addr, nbytes, most)?;
                if operation == Operation::Bread {
                    return Ok(Begun::read(&[], media.read(offset, bytes)));
                }
                let data = self.fetch(host, buffers, bytes as usize)?;
                self.write(offset, data, durable)
            }
            Operation::Flush => Ok(Begun::ask(Request::Flush)),
            Operation::GetWce => answer(&u32::from(self.write_cache).to_be_bytes()),
            Operation::SetWce => {
                let word = self.fetch(host, buffers, 4)?;
                self.write_cache = word != [0; 4];
                // What was cached so far becomes durable with it.
                Ok(Begun::ask(Request::Flush))
            }
            Operation::GetVtoc => answer(media.vtoc()?.as_bytes()),
            Operation::SetVtoc => {
                let vtoc: Vtoc = self.payload(host, buffers, nbytes)?;
                let media = self.media.as_mut().ok_or(Errno::Nxio)?;
                Ok(Begun::all(media.set_vtoc(&vtoc, durable)?.into()))
            }
            Operation::GetDiskGeom => answer(media.geometry(minor)?.as_bytes()),
            Operation::SetDiskGeom => {
                // The wire's 22 bytes, or the 24 that hold them.
                let mut bytes = self.fetch(host, buffers, nbytes.min(24) as usize)?;
                if bytes.len() < 22 {
                    return Err(Errno::Inval);
                }
                bytes.resize(24, 0);
                let geometry = vio::read::<Geometry>(&bytes).ok_or(Errno::Inval)?;
                let media = self.media.as_mut().ok_or(Errno::Nxio)?;
                media.set_geometry(Geometry { pad: 0.into(), ..geometry })?;
                Ok(Begun::Answer(Vec::new()))
            }
            Operation::GetCapacity => answer(media.capacity().as_bytes()),
            Operation::GetDevid => answer(&media.devid()?),
            Operation::GetEfi => {
                let header: EfiHeader = self.payload(host, buffers, nbytes)?;
                let bytes = header.length.get();
                let media = self.media.as_ref().ok_or(Errno::Nxio)?;
                let most = self.session.max_xfer;
                let (offset, bytes) = media.place(NO_SLICE, header.lba.get(), bytes, most)?;
                if u64::from(bytes) + EFI_HEADER_BYTES as u64 > nbytes {
                    return Err(Errno::Inval);
                }
                Ok(Begun::read(header.as_bytes(), media.read(offset, bytes)))
            }
            Operation::SetEfi => {
                let header: EfiHeader = self.payload(host, buffers, nbytes)?;
                let media = self.media.as_ref().ok_or(Errno::Nxio)?;
                let most = self.session.max_xfer;
                let (offset, bytes) =
                    media.place(NO_SLICE, header.lba.get(), header.length.get(), most)?;
                let all = EFI_HEADER_BYTES + bytes as usize;
                if all as u64 > nbytes {
                    return Err(Errno::Inval);
                }
                let mut data = self.fetch(host, buffers, all)?;
                data.drain(..EFI_HEADER_BYTES);
                self.write(offset, data, durable)
            }
            Operation::Reset | Operation::GetAccess | Operation::SetAccess if !device => {
                Err(Errno::NotSup)
            }
            // Answered when all that came before has ended.
            Operation::Reset => Ok(Begun::Answer(Vec::new())),
            Operation::GetAccess => {
                let allowed = desk.access.allowed(self.key, media.identity());
                answer(&u64::from(allowed).to_be_bytes())
            }
            Operation::SetAccess => {
                let bytes = self.fetch(host, buffers, 8)?;
                let flags = bytes.try_into().map_or(0, u64::from_be_bytes);
                match desk.access.set(self.key, media.identity(), flags) {
                    true => Ok(Begun::Answer(Vec::new())),
                    false => Err(Errno::Acces),
                }
            }
            Operation::ScsiCmd => Err(Errno::NotSup),
        }
    }

    fn write(&mut self, offset: u64, data: Vec<u8>, durable: bool) -> Result<Begun, Errno> {
        let media = self.media.as_mut().ok_or(Errno::Nxio)?;
        Ok(Begun::ask(media.write(offset, data, durable)?))
    }

    /// What a client's buffer of `nbytes` begins with.
    fn payload<T: zerocopy::FromBytes>(
        &self,
        host: &mut Host<'_>,
        buffers: &[Cookie],
        nbytes: u64,
    ) -> Result<T, Errno> {
        if nbytes < size_of::<T>() as u64 {
            return Err(Errno::Inval);
        }
        let bytes = self.fetch(host, buffers, size_of::<T>())?;
        vio::read(&bytes).ok_or(Errno::Inval)
    }

    fn fetch(
        &self,
        host: &mut Host<'_>,
        buffers: &[Cookie],
        bytes: usize,
    ) -> Result<Vec<u8>, Errno> {
        let mut data = vec![0; bytes];
        host.ports.charge(host.cost.copy(bytes as u64));
        host.copier
            .copy_in(host.ports, self.channel.id(), buffers, &mut data)
            .map_err(|_| Errno::Inval)?;
        Ok(data)
    }

    /// The volume has done what it was asked.
    pub(super) fn complete(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        token: u64,
        result: Result<Vec<u8>, Errno>,
    ) {
        let result = self.for_client(host, result);
        if self.hold_flush == Some(token) {
            self.hold_flush = None;
        } else if self.front_is_read(host, token, &result) {
            self.answer_attr(host, backend, desk);
        } else if let Some(n) = self.session.jobs.iter().position(|job| job.token == Some(token)) {
            self.ended(backend, desk, n, result);
            self.finish(host, desk);
        } else {
            self.stale = self.stale.saturating_sub(1);
            self.answer_attr(host, backend, desk);
        }
    }

    /// What job `n` asked the volume for has ended.
    fn ended(
        &mut self,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        n: usize,
        result: Result<Vec<u8>, Errno>,
    ) {
        let name = self.name();
        let Some(job) = self.session.jobs.get_mut(n) else { return };
        job.token = None;
        match result {
            Ok(_) if !job.rest.is_empty() => {
                ask_next(name, backend, desk, job);
            }
            Ok(data) => {
                let (before, after) =
                    (std::mem::take(&mut job.before), std::mem::take(&mut job.after));
                let plain = before.is_empty() && after.is_empty();
                job.outcome = Some(Ok(if plain { data } else { [before, data, after].concat() }));
            }
            Err(error) => {
                if let (Some(offset), Some(media)) = (job.writes_at, &mut self.media) {
                    media.lost(offset);
                }
                job.outcome = Some(Err(error));
            }
        }
    }

    /// Ends requests from the front as far as they have run.
    pub(super) fn finish(&mut self, host: &mut Host<'_>, desk: &mut Desk) {
        while !self.held
            && let Some(outcome) = self.session.jobs.front_mut().and_then(|job| job.outcome.take())
            && let Some(job) = self.session.jobs.pop_front()
        {
            if let Err(error) = self.finish_one(host, job, outcome) {
                host.ports.log(format!("{}: descriptor: {error}", self.conf.name));
                self.forget(desk);
                self.channel.reset(host.ports);
                return;
            }
        }
    }

    fn finish_one(
        &mut self,
        host: &mut Host<'_>,
        job: Job,
        outcome: Result<Vec<u8>, Errno>,
    ) -> Result<(), HvError> {
        let channel = self.channel.id();
        let status = outcome.and_then(|data| {
            host.ports.charge(host.cost.copy(data.len() as u64));
            host.copier.copy_out(host.ports, channel, &job.buffers, &data).map_err(|_| Errno::Inval)
        });
        let code = status.err().map_or(0, Errno::code).to_be_bytes();
        match job.reply {
            Reply::Ring { at, mut head, last_of } => {
                head[0] = DescriptorState::Done.code();
                head[20..24].copy_from_slice(&code);
                host.copier.copy_out(host.ports, channel, &[at], &head)?;
                if let Some(info) = last_of {
                    let (start, end) = (info.start.get(), info.end.get());
                    let (sid, state) = (self.session.sid, DringState::Stopped);
                    let ack = info.answer(Stype::Ack, sid, start, end, state);
                    self.say(host, ack.as_bytes());
                }
            }
            Reply::Message(mut message) => {
                message[1] = Stype::Ack.code();
                message[36..40].copy_from_slice(&code);
                self.say(host, &message);
            }
        }
        Ok(())
    }
}

/// Asks the volume of a port for what a job wants next.
fn ask_next(
    (key, volume): (PortKey, VolumeId),
    backend: &mut dyn Backend,
    desk: &mut Desk,
    job: &mut Job,
) {
    if let Some(request) = job.rest.pop_front() {
        job.writes_at = match request {
            Request::Write { offset, .. } => Some(offset),
            Request::Read { .. } | Request::Flush => None,
        };
        job.token = Some(desk.tokens.submit(backend, Waiter::Port(key), volume, request));
    }
}

/// Does an operation change a disk?
const fn changes(operation: Operation) -> bool {
    match operation {
        Operation::Bwrite
        | Operation::Flush
        | Operation::SetWce
        | Operation::SetVtoc
        | Operation::SetDiskGeom
        | Operation::SetEfi => true,
        Operation::Bread
        | Operation::GetWce
        | Operation::GetVtoc
        | Operation::GetDiskGeom
        | Operation::ScsiCmd
        | Operation::GetDevid
        | Operation::GetEfi
        | Operation::Reset
        | Operation::GetAccess
        | Operation::SetAccess
        | Operation::GetCapacity => false,
    }
}
