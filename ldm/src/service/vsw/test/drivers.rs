//! The drivers that guests have, as their sources have them: Linux's `viohs.c` and
//! `sunvnet_common.c`, OpenBSD's `vnet.c`. A model panics where the driver would give up,
//! drop a frame or stop for ever. Snapshots are the conversations.

mod linux;
mod openbsd;

use super::{
    Attr, Channel, ChannelConf, Cookie, CookieAddr, Copier, Descriptor, DescriptorState, DringData,
    DringReg, Envelope, Extension, LEAD, LdcId, MapEntry, MapPerms, Mte, OUTSIDE, OWN, Tag, Ver,
    World, port_conf, switch_conf,
};
use crate::cost::Cost;
use crate::memory::{Arena, Block};
use crate::service::vsw::Switch;
use crate::testing::{BASE, Board};
use sun4v::addr::Ra;
use sun4v::ldc::LDC_SET_MAP_TABLE;
use sun4v::native::Ports;
use sun4v::vio;
use sun4v::vio::vnet::{self, Mcast};
use zerocopy::{FromZeros, IntoBytes};

/// Pages of the ring and of one buffer.
const RING_PAGES: u64 = 4;
const BUFFER_PAGES: u64 = 9;
const BUFFERS: u32 = 12;

/// A message in words.
fn words(bytes: &[u8]) -> String {
    let tag: Tag = vio::read(bytes).unwrap();
    let (kind, stype, envelope) = tag.parts().unwrap();
    let head = format!("{kind:?}/{stype:?}/{envelope:?} sid={:x}", tag.sid.get());
    let rest = match envelope {
        Envelope::Ver => {
            let ver: Ver = vio::read(bytes).unwrap();
            format!("{}.{} class={}", ver.major, ver.minor, ver.class)
        }
        Envelope::Attr => {
            let a: Attr = vio::read(bytes).unwrap();
            format!(
                "xfer={} addr={:012x} mtu={} physlink={} options={} cflags={} lso={}",
                a.xfer_mode, a.addr, a.mtu, a.physlink_update, a.options, a.cflags, a.lso_maxlen
            )
        }
        Envelope::DringReg => {
            let r: DringReg = vio::read(bytes).unwrap();
            format!(
                "ident={} {}x{} options={} cookies={} {:x}+{:x}",
                r.ident,
                r.num_desc,
                r.desc_size,
                r.options,
                r.ncookies,
                r.cookie.addr,
                r.cookie.size
            )
        }
        Envelope::Dring => {
            let d: DringData = vio::read(bytes).unwrap();
            format!("seq={} ident={} {}..{} state={}", d.seq, d.ident, d.start, d.end, d.state)
        }
        Envelope::Mcast => {
            let m: Mcast = vio::read(bytes).unwrap();
            format!("set={} count={}", m.set, m.count)
        }
        _ => format!("{} bytes", bytes.len()),
    };
    format!("{head} {rest}")
}

/// What every driver has: a channel, a ring of its own and what it has heard.
struct Device {
    channel: Channel,
    copier: Copier,
    ring: Block,
    buffers: Block,
    size: u32,
    said: Vec<String>,
    received: Vec<Vec<u8>>,
}

impl Device {
    fn new(board: &mut Board) -> Self {
        let mut arena = Arena::new(Ra(BASE), 0x40_0000);
        let table = arena.alloc(128 * 16).unwrap();
        let ring = arena.alloc(RING_PAGES * 0x2000).unwrap();
        let buffers = arena.alloc(u64::from(BUFFERS) * BUFFER_PAGES * 0x2000).unwrap();
        let copier = Copier::new(&mut arena).unwrap();
        let ports = &mut board.ports(1);
        for n in 0..RING_PAGES + u64::from(BUFFERS) * BUFFER_PAGES {
            let page = match n.checked_sub(RING_PAGES) {
                None => ring.at(n * 0x2000),
                Some(n) => buffers.at(n * 0x2000),
            };
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            ports.write(table.at(16 * n), entry.as_bytes());
        }
        ports.hcall(LDC_SET_MAP_TABLE, [1, table.ra.0, 128, 0, 0]).unwrap();
        let conf = ChannelConf { id: LdcId(1), tx_ino: 2, rx_ino: 3 };
        let channel = Channel::connect(ports, &mut arena, conf, 1).unwrap();
        let (said, received) = (Vec::new(), Vec::new());
        Self { channel, copier, ring, buffers, size: 48, said, received }
    }

    fn say(&mut self, board: &mut Board, bytes: &[u8]) {
        self.said.push(format!("> {}", words(bytes)));
        assert!(self.channel.send(&mut board.ports(1), bytes));
    }

    fn at(&self, index: u32) -> Ra {
        self.ring.at(u64::from(index) * u64::from(self.size))
    }

    fn state(&self, board: &mut Board, index: u32) -> u8 {
        let mut byte = [0];
        board.ports(1).read(self.at(index), &mut byte);
        byte[0]
    }

    fn set_state(&self, board: &mut Board, index: u32, state: DescriptorState) {
        board.ports(1).write(self.at(index), &[state.code()]);
    }

    /// Fills a descriptor: `cookie` bytes are lent, or what the frame needs.
    fn fill(
        &self,
        board: &mut Board,
        index: u32,
        frame: &[u8],
        extension: Extension,
        cookie: Option<u64>,
    ) {
        let page = u64::from(index % BUFFERS) * BUFFER_PAGES;
        let ports = &mut board.ports(1);
        ports.write(self.buffers.at(page * 0x2000 + LEAD as u64), frame);
        let nbytes = frame.len().max(60) as u32;
        let mut descriptor = Descriptor::new_zeroed();
        descriptor.state = DescriptorState::Ready.code();
        (descriptor.nbytes, descriptor.ncookies) = (nbytes.into(), 1.into());
        let lent = cookie.unwrap_or_else(|| vnet::copy_bytes(nbytes));
        descriptor.cookies[0] = Cookie::new(CookieAddr::new(RING_PAGES + page, 0), lent);
        let bytes = [descriptor.as_bytes(), extension.as_bytes()].concat();
        ports.write(self.at(index), &bytes[..self.size as usize]);
    }
}

/// The switch with one port, whose guest is not of [`World`]'s kind.
fn rig() -> World {
    let mut board = Board::new(2, 0x40_0000);
    board.join((0, 10), (1, 1));
    let mut arena = Arena::new(Ra(BASE), 0x40_0000);
    let copier = Copier::new(&mut arena).unwrap();
    let guest_copier = Copier::new(&mut Arena::new(Ra(BASE + 0x20_0000), 0x2000)).unwrap();
    let switch = Switch::new(OWN, Some(0), switch_conf());
    let cost = Cost::default();
    let mut world = World { board, arena, copier, cost, switch, guests: Vec::new(), guest_copier };
    world.attach_one();
    world
}

impl World {
    fn attach_one(&mut self) {
        self.act(|switch, host| switch.attach(host, 0, port_conf(0)).unwrap());
    }

    fn run_with(&mut self, mut service: impl FnMut(&mut Board)) {
        loop {
            let mut quiet = true;
            while let Some(mondo) = self.board.domains[0].mondos.pop_front() {
                self.act(|switch, host| switch.mondo(host, mondo[0]));
                quiet = false;
            }
            while self.board.domains[1].mondos.pop_front().is_some() {
                service(&mut self.board);
                quiet = false;
            }
            if quiet {
                break;
            }
        }
    }
}
