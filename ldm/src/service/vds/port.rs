//! A port: a channel to one client, its session, and the volume behind it.
//!
//! **The owner.** A volume is opened in the name of the port's domain and claimed at its
//! epoch. When the domain changes hands it is claimed again ([`DiskPort::claim`]). A domain
//! that was claimed for at a newer epoch elsewhere is refused by the volume: its client
//! gets EIO, and the log a line.
//!
//! **The front.** When a client comes, the first blocks of the volume are read, for its
//! label and its kind; then its attributes are answered.

use super::media::Media;
use super::record::{Disk, DiskV1};
use super::session::{Phase, Session};
use super::{Desk, PortKey, Waiter};
use crate::channel::{Channel, ChannelConf, LinkEvent, OpenError};
use crate::service::host::Host;
use crate::service::ring::Ring;
use crate::service::volume::{Backend, Found, Owner, Request, VolumeId};
use sun4v::ldc::Stype;
use sun4v::time::SimTime;
use sun4v::vio::dring::{self, XFER_DESC, XFER_DRING};
use sun4v::vio::tag::{self, CONTROL_BYTES};
use sun4v::vio::vdisk::{
    Attr, BLOCK_BYTES, DESC_MESSAGE_BYTES, DESCRIPTOR_BYTES, DiskType, Errno, Operation,
};
use sun4v::vio::{self, DeviceClass, DringReg, DringUnreg, Envelope, Rdx, Tag, Type, Ver};
use zerocopy::IntoBytes;

/// The minor version that the server has.
const MINOR: u16 = 2;
/// Blocks of the largest request: 1 MB, as Solaris's `maxphys` has it.
const MAX_XFER: u64 = 2048;
/// How often a volume that cannot be opened is tried again while a client waits.
const OPEN_RETRY: SimTime = SimTime::secs(1);
const OPEN_TRIES: u32 = 50;
/// How often a channel without room is tried again.
const FLUSH_RETRY: SimTime = SimTime::us(100);

/// A port, from the control domain's machine description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConf {
    /// What to call it in the log, such as `vds-port 0`.
    pub name: String,
    /// The volume (`vds-block-device`).
    pub path: String,
    /// `ro` is among its options.
    pub read_only: bool,
    /// `slice` is.
    pub slice: bool,
    /// `excl` is.
    pub exclusive: bool,
    /// The channel to the client.
    pub channel: ChannelConf,
    /// The client's domain.
    pub owner: Owner,
}

/// Why a session ends.
pub(super) enum Violation {
    /// The session is forgotten.
    Soft,
    /// The link is reset too.
    Full,
}

/// The front of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// Read it when a client comes.
    Unread,
    /// Being read.
    Reading(u64),
    /// Known.
    Read,
}

#[derive(Debug)]
pub(super) struct DiskPort {
    pub(super) key: PortKey,
    pub(super) conf: DiskConf,
    pub(super) channel: Channel,
    pub(super) volume: VolumeId,
    /// `None` while it is being opened.
    found: Option<Result<Found, Errno>>,
    /// The epoch at which the volume was opened or claimed last.
    claimed: u64,
    /// A claim is under way.
    claiming: bool,
    /// It was said that the owner is refused.
    refused: bool,
    /// The domain is given away: its requests are refused here. Was that said?
    shut: Option<bool>,
    front: Front,
    pub(super) media: Option<Media>,
    tries: u32,
    retry_at: SimTime,
    pub(super) session: Session,
    next_ident: u64,
    pub(super) write_cache: bool,
    /// Requests of sessions that are over and still under way.
    pub(super) stale: usize,
    pub(super) held: bool,
    /// The flush of a hold that is under way.
    pub(super) hold_flush: Option<u64>,
}

pub(super) type Step = Result<(), Violation>;

impl DiskPort {
    pub(super) fn open(
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        key: PortKey,
        conf: DiskConf,
    ) -> Result<Self, OpenError> {
        let channel = Channel::open(host.ports, host.arena, conf.channel, key)?;
        let volume = backend.open(&conf.path, &conf.owner);
        Ok(Self {
            key,
            claimed: conf.owner.epoch,
            claiming: false,
            refused: false,
            shut: None,
            conf,
            channel,
            volume,
            found: None,
            front: Front::Unread,
            media: None,
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

    /// What outlives it; with `reset`, whatever it is doing.
    pub(super) fn save(&self, backend: &dyn Backend, reset: bool) -> Result<DiskV1, String> {
        let Self {
            // Told again when it is opened again.
            key: _,
            conf,
            channel: _,
            volume,
            found: _,
            claimed: _,
            claiming: _,
            refused: _,
            // Known from the journal of migrations.
            shut: _,
            // Read again for the next client.
            front: _,
            media: _,
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
        if (*held || hold_flush.is_some()) && !reset {
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

    /// The domain is at another epoch now.
    pub(super) fn claim(&mut self, host: &mut Host<'_>, backend: &mut dyn Backend, epoch: u64) {
        self.conf.owner.epoch = self.conf.owner.epoch.max(epoch);
        match self.found {
            // Once it is open.
            None => {}
            Some(Ok(_)) => self.claim_again(backend),
            Some(Err(_)) => {
                self.retry_at = host.ports.now();
                self.tick(host, backend);
            }
        }
    }

    fn claim_again(&mut self, backend: &mut dyn Backend) {
        if !self.claiming && self.claimed < self.conf.owner.epoch {
            self.claiming = true;
            self.claimed = self.conf.owner.epoch;
            backend.claim(self.volume, self.claimed);
        }
    }

    /// A claim was answered.
    pub(super) fn was_claimed(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        result: Result<(), Errno>,
    ) {
        self.claiming = false;
        match result {
            Ok(()) => self.refused = false,
            Err(error) => self.refuse_owner(host, error),
        }
        self.claim_again(backend);
    }

    /// Is the volume claimed at the domain's epoch, or is there nothing to claim? An error:
    /// somebody has it at a newer one.
    pub(super) fn is_claimed(&self) -> Option<Result<(), String>> {
        let settled = !self.claiming && self.claimed == self.conf.owner.epoch;
        let found = self.found.as_ref().filter(|_| settled)?;
        let refused = self.refused || *found == Err(Errno::Stale);
        Some(if refused { Err(self.refusal()) } else { Ok(()) })
    }

    fn refusal(&self) -> String {
        let DiskConf { name, path, owner, .. } = &self.conf;
        format!("{name}: {path}: refused at epoch {}: its domain has a newer one", owner.epoch)
    }

    /// The volume does not serve this owner any longer.
    fn refuse_owner(&mut self, host: &mut Host<'_>, error: Errno) {
        if error == Errno::Stale && !std::mem::replace(&mut self.refused, true) {
            host.ports.log(self.refusal());
        }
    }

    /// Refuses every request from now on, or no longer.
    pub(super) fn shut(&mut self, shut: bool) {
        self.shut = shut.then_some(false);
    }

    /// Is a request refused because the domain is somebody else's?
    pub(super) fn refuses(&mut self, host: &mut Host<'_>) -> bool {
        if self.shut == Some(false) {
            self.shut = Some(true);
            host.ports.log(format!("{}: refused: its domain was given away", self.conf.name));
        }
        self.shut.is_some()
    }

    /// What a client gets to hear of a result.
    pub(super) fn for_client(
        &mut self,
        host: &mut Host<'_>,
        result: Result<Vec<u8>, Errno>,
    ) -> Result<Vec<u8>, Errno> {
        result.map_err(|error| {
            self.refuse_owner(host, error);
            if error == Errno::Stale { Errno::Io } else { error }
        })
    }

    pub(super) fn hold(&mut self, backend: &mut dyn Backend, desk: &mut Desk) {
        if !self.held {
            self.held = true;
            self.hold_flush = Some(self.submit(backend, desk, Request::Flush));
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        let reading = matches!(self.front, Front::Reading(_));
        self.hold_flush.is_none() && self.stale == 0 && self.session.under_way() == 0 && !reading
    }

    pub(super) fn release(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
    ) {
        self.held = false;
        self.finish(host, desk);
        self.answer_attr(host, backend, desk);
        self.service(host, backend, desk);
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
            self.found = None;
            self.front = Front::Unread;
            self.media = None;
            let kept = backend.kept(self.volume);
            backend.close(self.volume);
            self.volume = backend.open(&self.conf.path, &self.conf.owner);
            (self.claimed, self.claiming) = (self.conf.owner.epoch, false);
            if let Ok(kept) = kept {
                backend.keep(self.volume, kept);
            }
        }
    }

    /// Who asks, and of what.
    pub(super) const fn name(&self) -> (PortKey, VolumeId) {
        (self.key, self.volume)
    }

    /// Asks the volume.
    fn submit(&self, backend: &mut dyn Backend, desk: &mut Desk, request: Request) -> u64 {
        desk.tokens.submit(backend, Waiter::Port(self.key), self.volume, request)
    }

    pub(super) fn opened(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        found: Result<Found, Errno>,
    ) {
        let found = found.and_then(|found| {
            let free = desk.access.claim(self.key, &found.identity, self.conf.exclusive);
            if free { Ok(found) } else { Err(Errno::Busy) }
        });
        let error = found.as_ref().err().copied();
        self.found = Some(found);
        if error.is_none() {
            self.refused = false;
            self.claim_again(backend);
        }
        if let Some(error) = error {
            if error == Errno::Stale {
                self.refuse_owner(host, error);
            } else if self.tries == 0 {
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
        self.answer_attr(host, backend, desk);
    }

    pub(super) fn service(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
    ) {
        if self.held {
            return;
        }
        host.ports.charge(host.cost.mondo);
        for event in self.channel.service(host.ports) {
            match event {
                LinkEvent::Up => {}
                LinkEvent::Down => self.forget(desk),
                LinkEvent::Message(bytes) => {
                    host.ports.charge(host.cost.message);
                    match self.message(host, backend, desk, &bytes) {
                        Ok(()) => {}
                        Err(Violation::Soft) => self.forget(desk),
                        Err(Violation::Full) => {
                            self.forget(desk);
                            self.channel.reset(host.ports);
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Ends the session; what it has under way runs out.
    pub(super) fn forget(&mut self, desk: &mut Desk) {
        self.stale += self.session.under_way();
        self.session = Session::default();
        desk.access.session_ended(self.key);
    }

    pub(super) fn say(&mut self, host: &mut Host<'_>, bytes: &[u8]) {
        host.ports.charge(host.cost.message);
        self.channel.send(host.ports, bytes);
    }

    /// Refuses a message by sending it back as a NACK.
    pub(super) fn refuse(
        &mut self,
        host: &mut Host<'_>,
        bytes: &[u8],
        violation: Violation,
    ) -> Step {
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
        desk: &mut Desk,
        bytes: &[u8],
    ) -> Step {
        let Some((kind, Stype::Info, envelope)) =
            vio::read::<Tag>(bytes).and_then(|tag| tag.parts())
        else {
            return self.refuse(host, bytes, Violation::Full);
        };
        let sound = match envelope {
            Envelope::DringReg => bytes.len() == dring::DRING_REG_BYTES,
            Envelope::Desc => bytes.len() >= DESC_MESSAGE_BYTES,
            _ => bytes.len() == CONTROL_BYTES,
        };
        if !sound {
            return self.refuse(host, bytes, Violation::Soft);
        }
        let sid = vio::read::<Tag>(bytes).map(|tag| tag.sid.get());
        if envelope != Envelope::Ver && sid != Some(self.session.sid) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        match (kind, envelope, self.session.phase) {
            (Type::Ctrl, Envelope::Ver, _) => self.version(host, desk, bytes),
            (Type::Ctrl, Envelope::Attr, Phase::Attr) => {
                self.attributes(host, backend, desk, bytes)
            }
            (Type::Ctrl, Envelope::DringReg, Phase::Ring) => self.register(host, bytes),
            (Type::Ctrl, Envelope::DringUnreg, Phase::Rdx | Phase::Data) => {
                self.unregister(host, bytes)
            }
            (Type::Ctrl, Envelope::Rdx, Phase::Rdx) => {
                self.session.phase = Phase::Data;
                self.say(host, Rdx::new(Stype::Ack, self.session.sid).as_bytes());
                Ok(())
            }
            (Type::Data, Envelope::Dring, Phase::Data) => self.requests(host, backend, desk, bytes),
            (Type::Data, Envelope::Desc, Phase::Data) => self.in_band(host, backend, desk, bytes),
            _ => self.refuse(host, bytes, Violation::Full),
        }
    }

    fn version(&mut self, host: &mut Host<'_>, desk: &mut Desk, bytes: &[u8]) -> Step {
        let Some(ver) = vio::read::<Ver>(bytes) else { return Err(Violation::Soft) };
        self.forget(desk);
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

    fn attributes(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
        bytes: &[u8],
    ) -> Step {
        let attr = vio::read::<Attr>(bytes);
        if attr.is_none_or(|attr| ![XFER_DRING, XFER_DESC].contains(&attr.xfer_mode)) {
            return self.refuse(host, bytes, Violation::Soft);
        }
        self.session.attr = attr;
        if self.front == Front::Read {
            // Another client may have written a label.
            self.front = Front::Unread;
        }
        self.answer_attr(host, backend, desk);
        Ok(())
    }

    /// Answers attributes when the volume is known and old requests have run out.
    pub(super) fn answer_attr(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        desk: &mut Desk,
    ) {
        if self.stale > 0 || self.held || self.retry_at != SimTime::NEVER {
            return;
        }
        let (Some(found), Some(mut attr)) = (&self.found, self.session.attr) else { return };
        let Ok(found) = found else {
            self.session.attr = None;
            let _ = self.refuse(host, attr.as_bytes(), Violation::Soft);
            self.forget(desk);
            // The next client's attributes try the volume again.
            self.retry_at = host.ports.now().plus(OPEN_RETRY);
            return;
        };
        if self.front == Front::Unread {
            let bytes = Media::front_bytes(found, self.conf.slice);
            if bytes > 0 {
                let request = Request::Read { offset: 0, bytes };
                self.front = Front::Reading(self.submit(backend, desk, request));
                return;
            }
            self.know(Vec::new());
        }
        let Some(media) = &self.media else { return };
        if self.front != Front::Read {
            return;
        }
        self.session.attr = None;
        let asked = match attr.max_xfer.get() {
            0 => MAX_XFER,
            asked => asked.min(MAX_XFER),
        };
        attr.tag.stype = Stype::Ack.code();
        attr.disk_type = DiskType::Disk.code();
        attr.block_size = BLOCK_BYTES.into();
        attr.operations = operations(media, self.session.minor).into();
        attr.max_xfer = asked.into();
        if self.session.minor >= 1 {
            attr.media_type = media.kind().code();
            attr.size = media.blocks().into();
        }
        if self.session.minor >= 2 {
            attr.phys_block_size = BLOCK_BYTES.into();
        }
        self.session.max_xfer = asked;
        self.session.in_band = attr.xfer_mode == XFER_DESC;
        self.session.phase = if self.session.in_band { Phase::Rdx } else { Phase::Ring };
        self.say(host, attr.as_bytes());
    }

    /// Takes the front of the volume, if `token` is the request for it.
    pub(super) fn front_is_read(
        &mut self,
        host: &mut Host<'_>,
        token: u64,
        result: &Result<Vec<u8>, Errno>,
    ) -> bool {
        if self.front != Front::Reading(token) {
            return false;
        }
        if let Err(error) = result {
            let (name, path) = (&self.conf.name, &self.conf.path);
            host.ports.log(format!("{name}: {path}: its label cannot be read: {error:?}"));
        }
        self.know(result.clone().unwrap_or_default());
        true
    }

    fn know(&mut self, front: Vec<u8>) {
        self.front = Front::Read;
        if let Some(Ok(found)) = &self.found {
            let media = Media::new(found, self.conf.slice, self.conf.read_only, front);
            self.media = Some(media);
        }
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
}

/// What a client of version 1.`minor` may ask of this disk.
fn operations(media: &Media, minor: u16) -> u64 {
    let read = [
        Operation::Bread,
        Operation::GetWce,
        Operation::GetVtoc,
        Operation::GetDiskGeom,
        Operation::GetDevid,
        Operation::GetEfi,
    ];
    let write = [
        Operation::Bwrite,
        Operation::Flush,
        Operation::SetWce,
        Operation::SetVtoc,
        Operation::SetDiskGeom,
        Operation::SetEfi,
    ];
    let device = [Operation::Reset, Operation::GetAccess, Operation::SetAccess];
    let write = if media.is_read_only() { &write[..0] } else { &write[..] };
    let device = if media.is_device() && minor >= 1 { &device[..] } else { &device[..0] };
    let newer: &[Operation] = if minor >= 1 { &[Operation::GetCapacity] } else { &[] };
    let all = read.iter().chain(write).chain(device).chain(newer);
    all.fold(0, |mask, operation| mask | operation.bit())
}
