//! A chassis with a control domain, whose manager is the test.

#![expect(dead_code, reason = "each test file uses its own part")]

use hv::platform::Memory as _;
use hv::testing::{HV_MD, Lab};
use std::fmt::Write as _;
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hcall::nr;
use sun4v::hvctl::{Body, Op, Reply, Request, Status, VERSION, migrate, response};
use sun4v::hvmd::{
    ConsoleConf, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf, Privileges, VcpuConf,
};
use sun4v::id::{GuestId, LdcId, StrandId, VcpuId};

/// Real address of every guest's first byte.
pub const BASE: u64 = 0x800_0000;
/// Where a boot image lies.
pub const ROM: Pa = Pa(0x2_0000);
/// Its bytes.
pub const ROM_BYTES: u64 = 0x400;
/// Where another hypervisor MD may lie.
pub const OTHER_MD: Pa = Pa(0x18_0000);
/// The control domain.
pub const PRIMARY: GuestId = GuestId(0);
/// The guest.
pub const ROVER: GuestId = GuestId(1);

/// The control domain's queues towards the hypervisor, and a place for buffers.
const TX: u64 = BASE + 0x1_0000;
const RX: u64 = BASE + 0x1_2000;
/// Where the control domain keeps a list of pages.
pub const LIST: u64 = BASE + 0x1_4000;
/// Where it keeps contents.
pub const BUFFER: u64 = BASE + 0x2_0000;

pub fn guest(id: u8, name: &str, rom_bytes: u64) -> GuestConf {
    GuestConf {
        id: GuestId(id),
        name: name.into(),
        md_pa: Pa(0x1_0000 + u64::from(id) * 0x1000),
        rom_pa: ROM,
        rom_bytes,
        tod_offset: 0,
        privileges: Privileges::default(),
    }
}

pub fn vcpu(strand: u8, guest: u8, vid: u8) -> VcpuConf {
    VcpuConf { strand: StrandId(strand), guest: GuestId(guest), vid: VcpuId(vid) }
}

pub fn mblock(guest: u8, ra: u64, pa: u64, size: u64) -> MblockConf {
    MblockConf { guest: GuestId(guest), range: RealRange { ra: Ra(ra), pa: Pa(pa), size } }
}

pub fn endpoint(guest: u8, channel: u16, to: Option<(u8, u16)>) -> LdcConf {
    let target = to.map_or(LdcTarget::Hypervisor, |(guest, channel)| LdcTarget::Guest {
        guest: GuestId(guest),
        channel: LdcId(channel),
    });
    LdcConf {
        guest: GuestId(guest),
        channel: LdcId(channel),
        target,
        tx_ino: channel * 2,
        rx_ino: channel * 2 + 1,
        private_console: false,
    }
}

/// A control domain alone.
pub fn factory() -> HvConfig {
    HvConfig {
        guests: vec![guest(0, "primary", 0)],
        vcpus: vec![vcpu(0, 0, 0), vcpu(1, 0, 1)],
        mblocks: vec![mblock(0, BASE, 0x1000_0000, 0x100_0000)],
        ldc_endpoints: vec![endpoint(0, 0, None)],
        consoles: vec![ConsoleConf { guest: PRIMARY, ino: 0x11, endpoint: None }],
        crypto: Vec::new(),
    }
}

/// A control domain and a bound guest with a channel and a console. Its memory begins
/// at `pa`.
pub fn with_rover(pa: u64) -> HvConfig {
    let mut config = factory();
    config.guests.push(guest(1, "rover", ROM_BYTES));
    config.vcpus.extend([vcpu(8, 1, 0), vcpu(9, 1, 1)]);
    config.mblocks.push(mblock(1, BASE, pa, 0x2_0000));
    config.mblocks.push(mblock(1, 0x4000_0000, pa + 0x100_0000, 0x1_0000));
    config.ldc_endpoints.extend([
        endpoint(0, 1, Some((1, 0))),
        endpoint(1, 0, Some((0, 1))),
        endpoint(0, 2, Some((1, 1))),
        LdcConf { private_console: true, ..endpoint(1, 1, Some((0, 2))) },
    ]);
    config.consoles.push(ConsoleConf { guest: ROVER, ino: 0x11, endpoint: Some(LdcId(1)) });
    config
}

/// A chassis and its manager.
pub struct Chassis {
    pub lab: Lab,
    pub seqn: u16,
    /// What was said: a line a message.
    pub said: String,
    head: u64,
    tail: u64,
    entries: u64,
}

impl Chassis {
    /// Switched on, with a session.
    pub fn open(config: &HvConfig) -> Self {
        let mut chassis = Self::silent(config, 64);
        let hello = chassis.ask(Request::Hello(VERSION));
        let Body::Challenge { code, .. } = hello.body else { panic!("{hello:?}") };
        let answer = chassis.ask(Request::Response(response(code)));
        assert_eq!(answer.status, Status::Ok);
        chassis.said.clear();
        chassis
    }

    /// Switched on, with queues of `entries`, without a session.
    pub fn silent(config: &HvConfig, entries: u64) -> Self {
        let mut lab = Lab::power_on(config).unwrap();
        let image: Vec<u8> = (0..ROM_BYTES).map(|at| at as u8 | 1).collect();
        lab.board.memory.write(ROM, &image);
        assert_eq!(lab.hv.start(PRIMARY, &mut lab.board), Ok(()));
        let mut chassis = Self { lab, seqn: 100, said: String::new(), head: 0, tail: 0, entries };
        chassis.lab.caller = (PRIMARY, VcpuId(0));
        for (group, major) in [(1, 1), (2, 1), (3, 1), (0x101, 1), (0x103, 2)] {
            chassis.lab.core(0, [group, major, 9, 0, 0]);
        }
        for (nr, args) in [
            (nr::cpu_qconf, [0x3d, BASE + 0x1000, 64, 0, 0]),
            (nr::ldc_tx_qconf, [0, TX, entries, 0, 0]),
            (nr::ldc_rx_qconf, [0, RX, entries, 0, 0]),
            (nr::vintr_setcookie, [0x200, 1, 0xc00c1e, 0, 0]),
            (nr::vintr_settarget, [0x200, 1, 0, 0, 0]),
            (nr::vintr_setvalid, [0x200, 1, 1, 0, 0]),
        ] {
            chassis.call(nr, args).unwrap();
        }
        chassis
    }

    /// A call of the control domain.
    pub fn call(&mut self, nr: u64, args: [u64; 5]) -> Result<[u64; 5], sun4v::hcall::HvError> {
        let Lab { hv, board, .. } = &mut self.lab;
        hv.native_call(PRIMARY, VcpuId(0), 0x80, nr, args, board)
    }

    /// Sends 64 bytes.
    pub fn send(&mut self, message: [u8; 64]) {
        let tail = self.tail;
        self.poke(TX + tail, &message);
        self.tail = (tail + 64) % (self.entries * 64);
        self.call(nr::ldc_tx_set_qtail, [0, self.tail, 0, 0, 0]).unwrap();
    }

    /// The next message from the hypervisor.
    pub fn receive(&mut self) -> Option<[u8; 64]> {
        let state = self.call(nr::ldc_rx_get_state, [0; 5]).unwrap();
        assert_eq!(state[2], 1, "always up");
        if state[0] == state[1] {
            return None;
        }
        self.head = state[0];
        let message = self.lab.peek(RX + self.head);
        self.head = (self.head + 64) % (self.entries * 64);
        self.call(nr::ldc_rx_set_qhead, [0, self.head, 0, 0, 0]).unwrap();
        Some(message)
    }

    /// Sends a command.
    pub fn say(&mut self, request: Request) {
        writeln!(self.said, "{:>5} > {request:x?}", self.seqn).unwrap();
        self.send(request.to_bytes(self.seqn));
        self.seqn = self.seqn.wrapping_add(1);
    }

    /// Takes a reply or notice.
    pub fn hear(&mut self) -> Option<Reply> {
        let reply = Reply::parse(&self.receive()?).unwrap();
        let body = text(&reply.body);
        writeln!(self.said, "{:>5} < {:?} {:?}{body}", reply.seqn, reply.op, reply.status).unwrap();
        Some(reply)
    }

    /// Sends a command and takes its reply; notices may come before it.
    pub fn ask(&mut self, request: Request) -> Reply {
        self.say(request);
        loop {
            let reply = self.hear().unwrap();
            if reply.op != Op::NewResStat {
                return reply;
            }
        }
    }

    /// As [`Chassis::ask`], for the extension: its value, or what was wrong.
    pub fn migrate(&mut self, request: migrate::Request) -> Result<u64, (Status, u32)> {
        let reply = self.ask(Request::Migrate(request));
        let Body::Migrate { code, value } = reply.body else { panic!("{reply:?}") };
        if reply.status == Status::Ok { Ok(value) } else { Err((reply.status, code)) }
    }

    /// A slice boundary; what came of it.
    pub fn boundary(&mut self) -> Vec<Reply> {
        self.lab.hv.boundary(&mut self.lab.board);
        std::iter::from_fn(|| self.hear()).collect()
    }

    /// Writes the control domain's memory.
    pub fn poke(&mut self, ra: u64, bytes: &[u8]) {
        self.lab.caller = (PRIMARY, VcpuId(0));
        self.lab.poke(ra, bytes);
    }

    /// Puts an MD where another may lie.
    pub fn propose(&mut self, config: &HvConfig) -> Pa {
        self.lab.board.memory.write(OTHER_MD, &config.to_md().to_bytes());
        for guest in &config.guests {
            self.lab.board.memory.write(guest.md_pa, &[0, 1, 0, 0]);
        }
        OTHER_MD
    }

    /// Starts the guest and lets it say what its drivers would.
    pub fn start_rover(&mut self) {
        assert_eq!(self.ask(Request::GuestStart(1)).status, Status::Ok);
        self.boundary();
        assert!(self.lab.hv.runs(ROVER));
    }

    /// A call of the guest on a virtual CPU.
    pub fn rover(&mut self, vcpu: u8, nr: u64, args: [u64; 5]) -> [u64; 5] {
        self.lab.caller = (ROVER, VcpuId(vcpu));
        let answer = self.lab.call(nr, args);
        assert_eq!(answer.status, 0, "{nr:#x} {args:x?}");
        answer.rets
    }
}

/// A body, with resource items in words.
fn text(body: &Body) -> String {
    match body {
        Body::None => String::new(),
        Body::ResStat { res, id, info, code, data } => {
            let item = sun4v::hvctl::ResInfo::from_codes(*res, *info);
            let data = item.and_then(|item| sun4v::hvctl::ResData::parse(item, data));
            format!(" res {res} id {id} info {info} code {code} {data:x?}")
        }
        body => format!(" {body:x?}"),
    }
}

/// The MD in force at power-on.
pub const FIRST_MD: Pa = HV_MD;
