//! A port: a channel to one client, its session, and the volume behind it.

use super::record::{Disk, DiskV1};
use super::session::{Job, Phase, Session};
use super::{PortKey, Tokens, Waiter, label};
use crate::channel::{Channel, ChannelConf, LinkEvent, OpenError};
use crate::service::host::Host;
use crate::service::ring::Ring;
use crate::service::volume::{Backend, Request, VolumeId};
use sun4v::hcall::HvError;
use sun4v::ldc::{Cookie, Stype};
use sun4v::time::SimTime;
use sun4v::vio::dring::{self, DESC_HEADER_BYTES, DringState, XFER_DRING};
use sun4v::vio::tag::{self, CONTROL_BYTES};
use sun4v::vio::vdisk::{
    Attr, BLOCK_BYTES, DESCRIPTOR_BYTES, Descriptor, DiskType, Errno, MediaType, Operation,
};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, DringUnreg, Envelope, Rdx, Tag, Type,
    Ver,
};
use zerocopy::IntoBytes;

/// The minor version that the server has.
const MINOR: u16 = 1;
/// Blocks of the largest request.
const MAX_XFER: u64 = 256;
/// How often a volume that cannot be opened is tried again while a client waits.
const OPEN_RETRY: SimTime = SimTime::secs(1);
const OPEN_TRIES: u32 = 50;
/// How often a channel without room is tried again.
const FLUSH_RETRY: SimTime = SimTime::us(100);
const BLOCK: u64 = BLOCK_BYTES as u64;

/// A port, from the control domain's machine description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConf {
    /// What to call it in the log, such as `vds-port 0`.
    pub name: String,
    /// The volume (`vds-block-device`).
    pub path: String,
    /// `ro` is among its options.
    pub read_only: bool,
    /// The channel to the client.
    pub channel: ChannelConf,
}

/// Why a session ends.
enum Violation {
    /// The session is forgotten.
    Soft,
    /// The link is reset too.
    Full,
}

#[derive(Debug)]
pub(super) struct DiskPort {
    key: PortKey,
    conf: DiskConf,
    channel: Channel,
    volume: VolumeId,
    /// In bytes; `None` while it is being opened.
    size: Option<Result<u64, Errno>>,
    tries: u32,
    retry_at: SimTime,
    session: Session,
    next_ident: u64,
    write_cache: bool,
    /// Requests of sessions that are over and still under way.
    stale: usize,
    held: bool,
    /// The flush of a hold that is under way.
    hold_flush: Option<u64>,
}

type Step = Result<(), Violation>;

impl DiskPort {
    pub(super) fn open(
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        key: PortKey,
        conf: DiskConf,
    ) -> Result<Self, OpenError> {
        let channel = Channel::open(host.ports, host.arena, conf.channel, key)?;
        let volume = backend.open(&conf.path);
        Ok(Self {
            key,
            conf,
            channel,
            volume,
            size: None,
            tries: 0,
            retry_at: SimTime::NEVER,
            session: Session::default(),
            next_ident: 1,
            write_cache: true,
            stale: 0,
            held: false,
            hold_flush: None,
        })
    }

    pub(super) fn close(self, host: &mut Host<'_>) -> VolumeId {
        self.channel.close(host.ports, host.arena);
        self.volume
    }

    pub(super) const fn conf(&self) -> &DiskConf {
        &self.conf
    }

    pub(super) const fn volume(&self) -> VolumeId {
        self.volume
    }

    /// What outlives it.
    pub(super) fn save(&self, backend: &dyn Backend) -> Result<DiskV1, String> {
        let Self {
            // Told again when it is opened again.
            key: _,
            conf,
            channel: _,
            volume,
            size: _,
            tries: _,
            retry_at: _,
            // The client begins another one, and asks again for what was not answered.
            session: _,
            next_ident: _,
            write_cache,
            stale: _,
            held,
            hold_flush,
        } = self;
        if *held || hold_flush.is_some() {
            return Err(format!("{} is held for a migration", conf.name));
        }
        let kept = backend.kept(*volume).map_err(|why| format!("{}: {why}", conf.name))?;
        Ok(Disk { write_cache: *write_cache, kept }.save(conf.channel.id))
    }

    /// Goes on from what was saved.
    pub(super) fn recall(&mut self, backend: &mut dyn Backend, disk: Disk) {
        self.write_cache = disk.write_cache;
        backend.keep(self.volume, disk.kept);
    }

    pub(super) fn hold(&mut self, backend: &mut dyn Backend, tokens: &mut Tokens) {
        if !self.held {
            self.held = true;
            let waiter = Waiter::Port(self.key);
            self.hold_flush = Some(tokens.submit(backend, waiter, self.volume, Request::Flush));
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.hold_flush.is_none() && self.stale == 0 && self.session.under_way() == 0
    }

    pub(super) fn release(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        tokens: &mut Tokens,
    ) {
        self.held = false;
        self.finish(host);
        self.answer_attr(host);
        self.service(host, backend, tokens);
    }

    pub(super) fn next_tick(&self, now: SimTime) -> SimTime {
        let blocked = !self.held && self.channel.is_blocked();
        let flush = if blocked { now.plus(FLUSH_RETRY) } else { SimTime::NEVER };
        flush.min(self.retry_at)
    }

    pub(super) fn tick(&mut self, host: &mut Host<'_>, backend: &mut dyn Backend) {
        if !self.held {
            self.channel.flush(host.ports);
        }
        if host.ports.now() >= self.retry_at {
            self.retry_at = SimTime::NEVER;
            self.size = None;
            let kept = backend.kept(self.volume);
            backend.close(self.volume);
            self.volume = backend.open(&self.conf.path);
            if let Ok(kept) = kept {
                backend.keep(self.volume, kept);
            }
        }
    }

    pub(super) fn opened(&mut self, host: &mut Host<'_>, size: Result<u64, Errno>) {
        self.size = Some(size);
        if let Err(error) = size {
            if self.tries == 0 {
                let (name, path) = (&self.conf.name, &self.conf.path);
                host.ports.log(format!("{name}: {path}: cannot be opened: {error:?}"));
            }
            if self.tries < OPEN_TRIES {
                self.tries += 1;
                self.retry_at = host.ports.now().plus(OPEN_RETRY);
                return;
            }
        }
        self.tries = 0;
        self.answer_attr(host);
    }

    pub(super) fn service(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        tokens: &mut Tokens,
    ) {
        if self.held {
            return;
        }
        host.ports.charge(host.cost.mondo);
        for event in self.channel.service(host.ports) {
            match event {
                LinkEvent::Up => {}
                LinkEvent::Down => self.forget(),
                LinkEvent::Message(bytes) => {
                    host.ports.charge(host.cost.message);
                    match self.message(host, backend, tokens, &bytes) {
                        Ok(()) => {}
                        Err(Violation::Soft) => self.forget(),
                        Err(Violation::Full) => {
                            self.forget();
                            self.channel.reset(host.ports);
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Ends the session; what it has under way runs out.
    fn forget(&mut self) {
        self.stale += self.session.under_way();
        self.session = Session::default();
    }

    fn say(&mut self, host: &mut Host<'_>, bytes: &[u8]) {
        host.ports.charge(host.cost.message);
        self.channel.send(host.ports, bytes);
    }

    /// Refuses a message by sending it back as a NACK.
    fn refuse(&mut self, host: &mut Host<'_>, bytes: &[u8], violation: Violation) -> Step {
        let mut nack = bytes.to_vec();
        if let Some(stype) = nack.get_mut(1) {
            *stype = Stype::Nack.code();
        }
        host.ports.log(format!(
            "{}: refused message {:02x?}",
            self.conf.name,
            &bytes[..bytes.len().min(16)]
        ));
        self.say(host, &nack);
        Err(violation)
    }

    fn message(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        tokens: &mut Tokens,
        bytes: &[u8],
    ) -> Step {
        let Some((kind, Stype::Info, envelope)) =
            vio::read::<Tag>(bytes).and_then(|tag| tag.parts())
        else {
            return self.refuse(host, bytes, Violation::Full);
        };
        let expected =
            if envelope == Envelope::DringReg { dring::DRING_REG_BYTES } else { CONTROL_BYTES };
        if bytes.len() != expected {
            return self.refuse(host, bytes, Violation::Soft);
        }
        let sid = vio::read::<Tag>(bytes).map(|tag| tag.sid.get());
        if envelope != Envelope::Ver && sid != Some(self.session.sid) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        match (kind, envelope, self.session.phase) {
            (Type::Ctrl, Envelope::Ver, _) => self.version(host, bytes),
            (Type::Ctrl, Envelope::Attr, Phase::Attr) => self.attributes(host, bytes),
            (Type::Ctrl, Envelope::DringReg, Phase::Ring) => self.register(host, bytes),
            (Type::Ctrl, Envelope::DringUnreg, Phase::Rdx | Phase::Data) => {
                self.unregister(host, bytes)
            }
            (Type::Ctrl, Envelope::Rdx, Phase::Rdx) => {
                self.session.phase = Phase::Data;
                self.say(host, Rdx::new(Stype::Ack, self.session.sid).as_bytes());
                Ok(())
            }
            (Type::Data, Envelope::Dring, Phase::Data) => {
                self.requests(host, backend, tokens, bytes)
            }
            _ => self.refuse(host, bytes, Violation::Full),
        }
    }

    fn version(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> Step {
        let Some(ver) = vio::read::<Ver>(bytes) else { return Err(Violation::Soft) };
        self.forget();
        if DeviceClass::from_code(ver.class) != Some(DeviceClass::Disk) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        let sid = ver.tag.sid.get();
        let (stype, version) = match tag::agree(ver.version(), MINOR) {
            Ok(version) => {
                self.session.phase = Phase::Attr;
                self.session.sid = sid;
                self.session.minor = version.minor;
                (Stype::Ack, version)
            }
            Err(version) => (Stype::Nack, version),
        };
        self.say(host, Ver::new(stype, sid, version, DeviceClass::DiskServer).as_bytes());
        Ok(())
    }

    fn attributes(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> Step {
        let attr = vio::read::<Attr>(bytes);
        if attr.is_none_or(|attr| attr.xfer_mode != XFER_DRING) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        self.session.attr = attr;
        self.answer_attr(host);
        Ok(())
    }

    /// Answers attributes when the volume is known and old requests have run out.
    fn answer_attr(&mut self, host: &mut Host<'_>) {
        if self.stale > 0 || self.held || self.retry_at != SimTime::NEVER {
            return;
        }
        let (Some(size), Some(mut attr)) = (self.size, self.session.attr) else { return };
        self.session.attr = None;
        let Ok(size) = size else {
            let _ = self.refuse(host, attr.as_bytes(), Violation::Soft);
            self.forget();
            // The next client's attributes try the volume again.
            self.retry_at = host.ports.now().plus(OPEN_RETRY);
            return;
        };
        let asked = match attr.max_xfer.get() {
            0 => MAX_XFER,
            asked => asked.min(MAX_XFER),
        };
        attr.tag.stype = Stype::Ack.code();
        attr.disk_type = DiskType::Disk.code();
        attr.block_size = BLOCK_BYTES.into();
        attr.operations = self.operations().into();
        attr.max_xfer = asked.into();
        if self.session.minor >= 1 {
            attr.media_type = MediaType::Fixed.code();
            attr.size = (size / BLOCK).into();
        }
        self.session.max_xfer = asked;
        self.session.phase = Phase::Ring;
        self.say(host, attr.as_bytes());
    }

    fn operations(&self) -> u64 {
        let read = [
            Operation::Bread,
            Operation::GetWce,
            Operation::GetVtoc,
            Operation::GetDiskGeom,
            Operation::GetCapacity,
        ];
        let write = [Operation::Bwrite, Operation::Flush, Operation::SetWce];
        let write = if self.conf.read_only { &write[..0] } else { &write[..] };
        read.iter().chain(write).fold(0, |mask, operation| mask | operation.bit())
    }

    fn register(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> Step {
        let ident = self.next_ident;
        let reg = vio::read::<DringReg>(bytes);
        let Some((mut reg, ring)) =
            reg.and_then(|reg| Some((reg, Ring::of(&reg, ident, DESCRIPTOR_BYTES as u32)?)))
        else {
            return self.refuse(host, bytes, Violation::Soft);
        };
        self.next_ident += 1;
        self.session.ring = Some(ring);
        self.session.phase = Phase::Rdx;
        reg.tag.stype = Stype::Ack.code();
        reg.ident = ident.into();
        self.say(host, reg.as_bytes());
        Ok(())
    }

    fn unregister(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> Step {
        let unreg = vio::read::<DringUnreg>(bytes);
        let ident = self.session.ring.map(|ring| ring.ident);
        let Some(mut unreg) = unreg.filter(|unreg| Some(unreg.ident.get()) == ident) else {
            return self.refuse(host, bytes, Violation::Soft);
        };
        unreg.tag.stype = Stype::Ack.code();
        self.say(host, unreg.as_bytes());
        Err(Violation::Soft)
    }

    /// A ring message: every descriptor that it names begins to run.
    fn requests(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        tokens: &mut Tokens,
        bytes: &[u8],
    ) -> Step {
        let (Some(info), Some(ring)) = (vio::read::<DringData>(bytes), self.session.ring) else {
            return self.refuse(host, bytes, Violation::Full);
        };
        let seq = info.seq.get();
        if self.session.next_seq.is_some_and(|next| next != seq) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        self.session.next_seq = Some(seq.wrapping_add(1));
        let start = info.start.get();
        let end = u32::try_from(info.end.get()).unwrap_or(u32::MAX);
        if info.ident.get() != ring.ident || start >= ring.num_desc || end >= ring.num_desc {
            return self.refuse(host, bytes, Violation::Full);
        }
        let mut index = start;
        loop {
            let last_of = (index == end).then_some(info);
            let full = self.session.jobs.len() >= ring.num_desc as usize;
            let job = self.descriptor(host, backend, tokens, &ring, index);
            let (Ok(mut job), false) = (job, full) else {
                return self.refuse(host, bytes, Violation::Full);
            };
            job.last_of = last_of;
            self.session.jobs.push_back(job);
            if index == end {
                break;
            }
            index = (index + 1) % ring.num_desc;
        }
        self.finish(host);
        Ok(())
    }

    /// Takes a descriptor and begins its request. An error: the ring cannot be
    /// reached, or the descriptor is not READY.
    fn descriptor(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        tokens: &mut Tokens,
        ring: &Ring,
        index: u32,
    ) -> Result<Job, HvError> {
        let at = dring::descriptor(&ring.cookie, index, ring.desc_size).ok_or(HvError::NoMap)?;
        let mut bytes = vec![0; ring.desc_size as usize];
        host.copier.copy_in(host.ports, self.channel.id(), &[at], &mut bytes)?;
        host.ports.charge(host.cost.disk_request);
        let descriptor = vio::read::<Descriptor>(&bytes).ok_or(HvError::Inval)?;
        if descriptor.state & 0xf != DescriptorState::Ready.code() {
            return Err(HvError::Busy);
        }
        bytes[0] = DescriptorState::Accepted.code();
        let header = &bytes[..DESC_HEADER_BYTES];
        host.copier.copy_out(host.ports, self.channel.id(), &[at], header)?;
        let mut head = [0; 24];
        head.copy_from_slice(&bytes[..24]);
        let mut job = Job {
            at,
            head,
            buffers: dring::cookies(&bytes[DESCRIPTOR_BYTES..], descriptor.ncookies.get()),
            token: None,
            outcome: None,
            last_of: None,
        };
        match self.request(host, &descriptor, &job.buffers) {
            Ok(Begun::Answer(data)) => job.outcome = Some(Ok(data)),
            Ok(Begun::Ask(request)) => {
                let waiter = Waiter::Port(self.key);
                job.token = Some(tokens.submit(backend, waiter, self.volume, request));
            }
            Err(error) => job.outcome = Some(Err(error)),
        }
        Ok(job)
    }

    /// What a descriptor asks for.
    fn request(
        &mut self,
        host: &mut Host<'_>,
        descriptor: &Descriptor,
        buffers: &[Cookie],
    ) -> Result<Begun, Errno> {
        let size = self.size.and_then(Result::ok).ok_or(Errno::Nxio)?;
        let blocks = size / BLOCK;
        let answer = |bytes: &[u8]| {
            // Room for less gets less.
            let room = usize::try_from(descriptor.nbytes.get()).unwrap_or(usize::MAX);
            Ok(Begun::Answer(bytes[..bytes.len().min(room)].to_vec()))
        };
        match Operation::from_code(descriptor.operation) {
            Some(Operation::Bread) => {
                let (offset, bytes) = self.extent(descriptor, size)?;
                Ok(Begun::Ask(Request::Read { offset, bytes }))
            }
            Some(Operation::Bwrite) if self.conf.read_only => Err(Errno::RoFs),
            Some(Operation::Bwrite) => {
                let (offset, bytes) = self.extent(descriptor, size)?;
                let data = self.fetch(host, buffers, bytes as usize)?;
                let durable = !self.write_cache;
                Ok(Begun::Ask(Request::Write { offset, data, durable }))
            }
            Some(Operation::Flush) => Ok(Begun::Ask(Request::Flush)),
            Some(Operation::GetWce) => answer(&u32::from(self.write_cache).to_be_bytes()),
            Some(Operation::SetWce) => {
                let word = self.fetch(host, buffers, 4)?;
                self.write_cache = word != [0; 4];
                // What was cached so far becomes durable with it.
                Ok(Begun::Ask(Request::Flush))
            }
            Some(Operation::GetVtoc) => answer(label::vtoc(blocks).as_bytes()),
            Some(Operation::GetDiskGeom) => answer(label::geometry(blocks).as_bytes()),
            Some(Operation::GetCapacity) => answer(label::capacity(blocks).as_bytes()),
            _ => Err(Errno::NotSup),
        }
    }

    /// First byte and bytes of a read or write.
    fn extent(&self, descriptor: &Descriptor, size: u64) -> Result<(u64, u32), Errno> {
        let bytes = descriptor.nbytes.get();
        if bytes == 0 || !bytes.is_multiple_of(BLOCK) || bytes > self.session.max_xfer * BLOCK {
            return Err(Errno::Inval);
        }
        let offset = descriptor.addr.get().checked_mul(BLOCK).ok_or(Errno::Inval)?;
        let end = offset.checked_add(bytes).ok_or(Errno::Inval)?;
        if end > size {
            return Err(Errno::Io);
        }
        Ok((offset, bytes as u32))
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

    pub(super) fn complete(
        &mut self,
        host: &mut Host<'_>,
        token: u64,
        result: Result<Vec<u8>, Errno>,
    ) {
        if self.hold_flush == Some(token) {
            self.hold_flush = None;
        } else if let Some(job) = self.session.jobs.iter_mut().find(|job| job.token == Some(token))
        {
            job.token = None;
            job.outcome = Some(result);
            self.finish(host);
        } else {
            self.stale = self.stale.saturating_sub(1);
            self.answer_attr(host);
        }
    }

    /// Ends requests from the front as far as they have run.
    fn finish(&mut self, host: &mut Host<'_>) {
        while !self.held
            && let Some(outcome) = self.session.jobs.front_mut().and_then(|job| job.outcome.take())
            && let Some(job) = self.session.jobs.pop_front()
        {
            if let Err(error) = self.finish_one(host, &job, outcome) {
                host.ports.log(format!("{}: descriptor: {error}", self.conf.name));
                self.forget();
                self.channel.reset(host.ports);
                return;
            }
        }
    }

    fn finish_one(
        &mut self,
        host: &mut Host<'_>,
        job: &Job,
        outcome: Result<Vec<u8>, Errno>,
    ) -> Result<(), HvError> {
        let channel = self.channel.id();
        let status = outcome.and_then(|data| {
            host.ports.charge(host.cost.copy(data.len() as u64));
            host.copier.copy_out(host.ports, channel, &job.buffers, &data).map_err(|_| Errno::Inval)
        });
        let mut head = job.head;
        head[0] = DescriptorState::Done.code();
        let code = status.err().map_or(0, Errno::code);
        head[20..24].copy_from_slice(&code.to_be_bytes());
        host.copier.copy_out(host.ports, channel, &[job.at], &head)?;
        if let Some(info) = &job.last_of {
            let (start, end) = (info.start.get(), info.end.get());
            let ack = info.answer(Stype::Ack, self.session.sid, start, end, DringState::Stopped);
            self.say(host, ack.as_bytes());
        }
        Ok(())
    }
}

enum Begun {
    /// Done already; these are its data.
    Answer(Vec<u8>),
    /// The volume does it.
    Ask(Request),
}
