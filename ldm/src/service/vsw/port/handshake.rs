//! The session of a port: version, attributes, rings, readiness, each in both
//! directions, and what is agreed on the way.
//!
//! **Order.** Our VER goes first, since Linux knows us by its session id; our ring
//! before we agree to the guest's, since Linux says that it is ready only when it has
//! both by then; and our RDX always, since OpenBSD waits for it. Otherwise we begin a
//! step when both halves of the one before are done.

use super::SwitchPort;
use crate::service::host::Host;
use crate::service::ring::Ring;
use crate::service::vsw::port::PortEvent;
use crate::service::vsw::ring::{DESCRIPTORS, TxRing};
use std::collections::BTreeSet;
use sun4v::ldc::{Stype, Version};
use sun4v::vio::dring::{OPTION_TX, XFER_DRING, XFER_DRING_BIT, XFER_PACKET_BIT};
use sun4v::vio::tag;
use sun4v::vio::vnet::{
    self, ADDR_MAC, Attr, CFLAG_LSO, DESC_COOKIES, EXTENDED_BYTES, FIRST_SEQ, LSO_MAX, LSO_MIN,
    MINOR_LSO, MINOR_MTU, MINOR_OPTIONS, MINOR_PHYSLINK, MINOR_VLAN, MINOR_XFER_MASK, MTU_V1_0,
    MTU_V1_3, Mcast, PhysLink, PhysLinkState, PhysLinkUpdate,
};
use sun4v::vio::{self, DeviceClass, DringReg, DringUnreg, Rdx, Ver};
use zerocopy::IntoBytes;

/// The minor version that the switch has.
const MINOR: u16 = vnet::MINOR_CHECKSUM;
/// Multicast groups of one guest.
const GROUPS: usize = 256;
/// Bytes of frames above those of IP: the header and a tag.
const ABOVE_IP: u64 = MTU_V1_3 - 1500;

#[derive(Debug, Default)]
pub(super) struct Session {
    /// Ours.
    pub(super) sid: u32,
    /// The guest's, once it has proposed a version.
    pub(super) peer_sid: Option<u32>,
    pub(super) minor: u16,
    /// The longest frame, its tag included.
    pub(super) mtu: u64,
    /// The longest frame that may come uncut, if any may.
    pub(super) lso: Option<u16>,
    /// The guest wants to hear of the physical link.
    physlink: bool,
    ver: Halves,
    attr: Halves,
    ring: Halves,
    pub(super) rdx: Halves,
    /// The guest's ring.
    pub(super) peer_ring: Option<Ring>,
    pub(super) peer_seq: Option<u64>,
    /// What the guest calls our ring.
    pub(super) ident: u64,
    pub(super) seq: u64,
    /// The guest looks into our ring by itself.
    pub(super) active: bool,
    /// It could not take anything when it was last told to: to be told again.
    pub(super) stalled: bool,
    /// Groups that the guest has joined; before it has said any it gets all.
    pub(super) groups: Option<BTreeSet<[u8; 6]>>,
}

/// Both directions of one step of the handshake.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Halves {
    sent: bool,
    /// The guest has agreed to ours.
    acked: bool,
    /// We have agreed to the guest's.
    agreed: bool,
}

impl Halves {
    pub(super) const fn done(self) -> bool {
        self.acked && self.agreed
    }
}

impl SwitchPort {
    /// Drops the session.
    pub(super) fn forget(&mut self, host: &mut Host<'_>, events: &mut Vec<PortEvent>) {
        if self.is_up() {
            events.push(PortEvent::Down);
        }
        self.session = Session::default();
        self.backlog.clear();
        self.tx.clear(host.ports, false);
    }

    /// Begins one.
    pub(super) fn begin(&mut self, host: &mut Host<'_>) {
        self.sids = self.sids.wrapping_add(0x10001);
        let sid = self.sids;
        self.session = Session { sid, minor: MINOR, ..Session::default() };
        self.propose(host, Version { major: 1, minor: MINOR });
    }

    fn propose(&mut self, host: &mut Host<'_>, version: Version) {
        self.session.ver.sent = true;
        let class = DeviceClass::NetworkSwitch;
        self.say(host, Ver::new(Stype::Info, self.session.sid, version, class).as_bytes());
    }

    /// Begins our half of the next step once both halves of the last are done.
    pub(super) fn advance(&mut self, host: &mut Host<'_>) {
        let Session { sid, minor, ver, attr, ring, rdx, .. } = self.session;
        if ver.done() && !attr.sent {
            self.session.attr.sent = true;
            self.offer();
            let mode = if minor >= MINOR_XFER_MASK { XFER_DRING_BIT } else { XFER_DRING };
            let mut ask = Attr::new(Stype::Info, sid, mode, self.conf.mac, self.own_mtu());
            if minor >= MINOR_OPTIONS {
                ask.options = OPTION_TX as u8;
            }
            self.write_lso(&mut ask);
            self.say(host, ask.as_bytes());
        }
        if attr.done() && !ring.sent {
            self.send_ring(host);
        }
        if ring.done() && !rdx.sent {
            self.session.rdx.sent = true;
            self.say(host, Rdx::new(Stype::Info, sid).as_bytes());
        }
    }

    /// The session is complete.
    pub(super) fn came_up(&mut self, host: &mut Host<'_>) {
        if self.session.physlink {
            let state = if self.uplinked { PhysLinkState::Up } else { PhysLinkState::Unknown };
            self.say(host, PhysLink::info(self.session.sid, state).as_bytes());
        }
    }

    fn send_ring(&mut self, host: &mut Host<'_>) {
        let Session { sid, minor, .. } = self.session;
        self.session.ring.sent = true;
        self.tx.clear(host.ports, minor >= MINOR_LSO);
        let options = if minor >= MINOR_OPTIONS { OPTION_TX } else { 0 };
        let size = self.tx.descriptor_bytes();
        let reg = DringReg::new(sid, DESCRIPTORS, size, options, TxRing::cookie());
        self.say(host, reg.as_bytes());
    }

    /// The longest frame that we offer in the session's version.
    const fn own_mtu(&self) -> u64 {
        match self.session.minor {
            0..MINOR_VLAN => MTU_V1_0,
            MINOR_VLAN => MTU_V1_3,
            _ => self.conf.mtu + ABOVE_IP,
        }
    }

    /// What we say of ourselves, if it does not hold yet.
    fn offer(&mut self) {
        if self.session.mtu == 0 {
            self.session.mtu = self.own_mtu();
            self.session.lso = (self.session.minor >= MINOR_LSO).then_some(LSO_MAX);
        }
    }

    /// Both ends hold to the lesser of what they say.
    fn narrow(&mut self, mtu: u64, lso: Option<u16>) {
        self.offer();
        self.session.mtu = self.session.mtu.min(mtu);
        let both = self.session.lso.zip(lso).map(|(ours, theirs)| ours.min(theirs));
        self.session.lso = both.filter(|longest| *longest >= LSO_MIN);
    }

    fn write_lso(&self, attr: &mut Attr) {
        if self.session.minor >= MINOR_LSO {
            let flag = if self.session.lso.is_some() { CFLAG_LSO } else { 0 };
            attr.cflags = flag.into();
            attr.lso_maxlen = self.session.lso.unwrap_or(0).into();
        }
    }

    fn lso_of(&self, attr: &Attr) -> Option<u16> {
        let offered = self.session.minor >= MINOR_LSO && attr.cflags.get() & CFLAG_LSO != 0;
        offered.then_some(attr.lso_maxlen.get())
    }

    pub(super) fn version(
        &mut self,
        host: &mut Host<'_>,
        stype: Stype,
        bytes: &[u8],
        events: &mut Vec<PortEvent>,
    ) -> bool {
        let Some(ver) = vio::read::<Ver>(bytes) else { return false };
        match stype {
            Stype::Info => {
                if self.session.ver.agreed {
                    // The guest begins anew.
                    self.forget(host, events);
                    self.begin(host);
                }
                let class = DeviceClass::from_code(ver.class);
                if !matches!(class, Some(DeviceClass::Network | DeviceClass::NetworkSwitch)) {
                    return false;
                }
                let (stype, version) = match tag::agree(ver.version(), MINOR) {
                    Ok(version) => {
                        self.session.peer_sid = Some(ver.tag.sid.get());
                        self.session.minor = self.session.minor.min(version.minor);
                        self.session.ver.agreed = true;
                        (Stype::Ack, version)
                    }
                    Err(version) => (Stype::Nack, version),
                };
                let class = DeviceClass::NetworkSwitch;
                self.say(host, Ver::new(stype, self.session.sid, version, class).as_bytes());
                true
            }
            Stype::Ack => {
                self.session.minor = self.session.minor.min(ver.minor.get());
                self.session.ver.acked = self.session.ver.sent;
                ver.major.get() == 1 && self.session.ver.sent
            }
            Stype::Nack => {
                let offered = ver.version();
                if offered.major == 1 && offered.minor < self.session.minor {
                    self.session.minor = offered.minor;
                    self.propose(host, offered);
                    return true;
                }
                false
            }
        }
    }

    pub(super) fn attributes(&mut self, host: &mut Host<'_>, stype: Stype, bytes: &[u8]) -> bool {
        let Some(mut attr) = vio::read::<Attr>(bytes) else { return false };
        let minor = self.session.minor;
        let (mtu, lso) = (attr.mtu.get(), self.lso_of(&attr));
        match stype {
            Stype::Info => {
                let dring = match minor {
                    0..MINOR_XFER_MASK => attr.xfer_mode == XFER_DRING,
                    _ => attr.xfer_mode & XFER_DRING_BIT != 0,
                };
                let fits = match minor {
                    0..MINOR_MTU => mtu == self.own_mtu(),
                    _ => mtu >= vnet::MIN_FRAME as u64,
                };
                let options = minor < MINOR_OPTIONS || attr.options & OPTION_TX as u8 != 0;
                if !self.session.ver.agreed
                    || !dring
                    || !fits
                    || !options
                    || attr.addr_type != ADDR_MAC
                {
                    return false;
                }
                let mac = vnet::mac_from_u64(attr.addr.get());
                if mac != self.conf.mac {
                    // Frames go where the machine description says.
                    let name = &self.conf.name;
                    host.ports
                        .log(format!("{name}: the guest says that its address is {mac:02x?}"));
                }
                self.session.attr.agreed = true;
                self.narrow(mtu, lso);
                attr.mtu = self.session.mtu.into();
                if minor >= MINOR_XFER_MASK {
                    attr.xfer_mode &= XFER_DRING_BIT | XFER_PACKET_BIT;
                }
                let asked = attr.physlink_update == PhysLinkUpdate::Request.code();
                self.session.physlink = minor >= MINOR_PHYSLINK && asked;
                let update =
                    if self.session.physlink { PhysLinkUpdate::Ack } else { PhysLinkUpdate::None };
                attr.physlink_update = update.code();
                if minor >= MINOR_OPTIONS {
                    attr.options = OPTION_TX as u8;
                }
                self.write_lso(&mut attr);
                self.answer(host, Stype::Ack, attr.as_bytes());
                true
            }
            Stype::Ack => {
                self.narrow(mtu.max(vnet::MIN_FRAME as u64), lso);
                self.session.attr.acked = self.session.attr.sent;
                self.session.attr.sent
            }
            Stype::Nack => false,
        }
    }

    pub(super) fn register(&mut self, host: &mut Host<'_>, stype: Stype, bytes: &[u8]) -> bool {
        let Some(mut reg) = vio::read::<DringReg>(bytes) else { return false };
        let Session { minor, attr, ring, .. } = self.session;
        match stype {
            Stype::Info => {
                let ident = self.next_ident;
                let smallest = match minor {
                    0..MINOR_LSO => DESC_COOKIES + 16,
                    _ => EXTENDED_BYTES,
                };
                let options = minor < MINOR_OPTIONS || reg.options.get() & OPTION_TX != 0;
                let Some(theirs) = Ring::of(&reg, ident, smallest as u32) else { return false };
                if !attr.agreed || !options || ring.agreed {
                    return false;
                }
                if attr.sent && !ring.sent {
                    self.send_ring(host);
                }
                self.next_ident += 1;
                self.session.peer_ring = Some(theirs);
                self.session.peer_seq = None;
                self.session.ring.agreed = true;
                reg.ident = ident.into();
                if minor >= MINOR_OPTIONS {
                    reg.options = OPTION_TX.into();
                }
                self.answer(host, Stype::Ack, reg.as_bytes());
                true
            }
            Stype::Ack => {
                self.session.ring.acked = ring.sent;
                self.session.ident = reg.ident.get();
                self.session.seq = FIRST_SEQ;
                ring.sent
            }
            Stype::Nack => false,
        }
    }

    /// The guest takes its ring away; it may register another.
    pub(super) fn unregister(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> bool {
        let Some(unreg) = vio::read::<DringUnreg>(bytes) else { return false };
        let Some(ring) = self.session.peer_ring else { return false };
        if ring.ident != unreg.ident.get() {
            return false;
        }
        self.session.peer_ring = None;
        self.session.ring.agreed = false;
        self.answer(host, Stype::Ack, bytes);
        true
    }

    /// The guest is ready, or agrees that we are.
    pub(super) fn ready(&mut self, host: &mut Host<'_>, stype: Stype, bytes: &[u8]) -> bool {
        match stype {
            Stype::Info => {
                let ready = self.session.ring.agreed;
                if ready {
                    self.session.rdx.agreed = true;
                    self.answer(host, Stype::Ack, bytes);
                }
                ready
            }
            Stype::Ack => {
                self.session.rdx.acked = self.session.rdx.sent;
                self.session.rdx.sent
            }
            Stype::Nack => false,
        }
    }

    /// Groups are joined and left; Linux does so as early as its interface is opened.
    pub(super) fn multicast(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> bool {
        let Some(message) = vio::read::<Mcast>(bytes) else { return false };
        let Some(groups) = message.addrs.get(..usize::from(message.count)) else { return false };
        if !self.session.ver.agreed {
            return false;
        }
        let joined = self.session.groups.get_or_insert_default();
        let mut good = groups.iter().all(|group| super::is_multicast(*group));
        if good && message.set == 0 {
            joined.retain(|group| !groups.contains(group));
        } else if good {
            for group in groups {
                good &= joined.contains(group) || joined.len() < GROUPS;
                if good {
                    joined.insert(*group);
                }
            }
        }
        self.answer(host, if good { Stype::Ack } else { Stype::Nack }, bytes);
        true
    }
}
