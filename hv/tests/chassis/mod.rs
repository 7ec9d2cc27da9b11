//! A chassis with a control domain, whose manager is the test.

#![expect(dead_code, reason = "each test file uses its own part")]

use hv::platform::Memory as _;
use hv::testing::{HV_MD, Lab};
use std::fmt::Write as _;
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hcall::nr;
use sun4v::hvctl::{
    Body, Op, Reply, Request, ResInfo, Status, VERSION, Version, migrate, response,
};
use sun4v::hvmd::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf,
    NetworkConf, PcieBusConf, Privileges, VcpuConf,
};
use sun4v::id::{CoreId, GuestId, LdcId, StrandId, VcpuId};

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
        leads: false,
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
        ..HvConfig::default()
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

/// The same, where the guest has the bus, the network unit and a crypto unit, and a third
/// guest is bound.
pub fn with_devices(pa: u64) -> HvConfig {
    let mut config = with_rover(pa);
    config.pcie_bus = Some(PcieBusConf { handle: PcieBusConf::HANDLE, guest: ROVER });
    config.network = Some(NetworkConf { handle: NetworkConf::HANDLE, guest: ROVER });
    let unit = |kind, ino| CryptoConf { core: CoreId(1), kind, guest: ROVER, ino };
    config.crypto = vec![unit(CryptoKind::Mau, 0x20), unit(CryptoKind::Cwq, 0x21)];
    config.guests.push(guest(2, "witness", 0));
    config.vcpus.push(vcpu(16, 2, 0));
    config.mblocks.push(mblock(2, BASE, pa + 0x200_0000, 0x1_0000));
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
    /// What was asked for last: replies do not say.
    item: Option<ResInfo>,
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
        Self::of(lab, entries)
    }

    /// Of a control domain that runs and has set up nothing yet.
    pub fn of(lab: Lab, entries: u64) -> Self {
        let mut chassis =
            Self { lab, seqn: 100, said: String::new(), head: 0, tail: 0, entries, item: None };
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
        self.lab.caller = (PRIMARY, VcpuId(0));
        let message = self.lab.peek(RX + self.head);
        self.head = (self.head + 64) % (self.entries * 64);
        self.call(nr::ldc_rx_set_qhead, [0, self.head, 0, 0, 0]).unwrap();
        Some(message)
    }

    /// Sends a command.
    pub fn say(&mut self, request: Request) {
        writeln!(self.said, "{:>5} > {request:x?}", self.seqn).unwrap();
        if let Request::GetResStat { res, info, .. } = request {
            self.item = ResInfo::from_codes(res, info);
        }
        self.send(request.to_bytes(self.seqn));
        self.seqn = self.seqn.wrapping_add(1);
    }

    /// Takes a reply or notice.
    pub fn hear(&mut self) -> Option<Reply> {
        let reply = Reply::parse(&self.receive()?).unwrap();
        let body = text(&reply, self.item);
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

    /// Begins a session anew, wherever the last one stands.
    pub fn reopen(&mut self, minor: u16) {
        let version = Version { minor, ..VERSION };
        self.say(Request::Hello(version));
        let code = loop {
            if let Body::Challenge { code, .. } = self.hear().unwrap().body {
                break code;
            }
        };
        assert_eq!(self.ask(Request::Response(response(code))).status, Status::Ok);
    }

    /// Sends 64 bytes and takes what comes back: the reply, and notices beside it.
    pub fn exchange(&mut self, message: [u8; 64]) -> Vec<[u8; 64]> {
        self.send(message);
        std::iter::from_fn(|| self.receive()).collect()
    }

    /// All that the hypervisor knows, but for the session and its channel.
    pub fn everything(&self) -> String {
        let mut text = format!("{:?}\n", self.lab.hv.config());
        for id in (0..64).map(GuestId) {
            if let Some(guest) = self.lab.hv.guest(id) {
                let whole = format!("{guest:?}\n");
                let own = guest.endpoints.get(&LdcId(0)).filter(|_| id == PRIMARY);
                text += &own.map_or(whole.clone(), |own| whole.replace(&format!("{own:?}"), ""));
            }
        }
        text
    }

    /// Does everybody have exactly what the configuration in force says?
    pub fn check_whole(&self) {
        let config = self.lab.hv.config();
        for id in (0..64).map(GuestId) {
            let conf = config.guests.iter().find(|guest| guest.id == id);
            let guest = self.lab.hv.guest(id);
            assert_eq!(guest.and_then(|guest| guest.conf.as_ref()), conf);
            let Some(guest) = guest else { continue };
            let mut ranges: Vec<_> =
                config.mblocks.iter().filter(|b| b.guest == id).map(|b| b.range).collect();
            ranges.sort();
            assert_eq!(guest.map.ranges(), ranges);
            let mut vcpus: Vec<_> =
                config.vcpus.iter().filter(|v| v.guest == id).map(|v| (v.vid, v.strand)).collect();
            vcpus.sort();
            assert!(guest.vcpus.iter().map(|(&vid, v)| (vid, v.strand)).eq(vcpus));
            let mut ends: Vec<_> = config.ldc_endpoints.iter().filter(|e| e.guest == id).collect();
            ends.sort_by_key(|end| end.channel);
            assert!(guest.endpoints.values().map(|end| &end.conf).eq(ends));
            let console = config.consoles.iter().find(|console| console.guest == id);
            assert_eq!(guest.console.as_ref().map(|own| &own.conf), console);
            let bus = config.pcie_bus.filter(|bus| bus.guest == id);
            assert_eq!(guest.pci.as_ref().map(|own| own.conf), bus);
            let network = config.network.filter(|unit| unit.guest == id);
            assert_eq!(guest.network.as_ref().map(|own| own.conf), network);
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

    /// Lets the guest set up everything on its bus and its network unit.
    pub fn set_up_devices(&mut self) {
        self.lab.caller = (ROVER, VcpuId(0));
        for (group, major) in [(1, 1), (2, 1), (0x100, 1), (0x203, 1), (0x204, 1)] {
            self.lab.core(0, [group, major, 9, 0, 0]);
        }
        let list: Vec<u8> = [BASE, BASE + 0x4000, 0x4000_0000]
            .iter()
            .flat_map(|page: &u64| page.to_be_bytes())
            .collect();
        self.lab.poke(BASE + 0x1000, &list);
        for (nr, args) in [
            (nr::pci_iommu_map, [0, 0x100, 3, 2, BASE + 0x1000]),
            (nr::pci_msiq_conf, [0, 3, BASE + 0x6000, 128, 0]),
            (nr::pci_msiq_setvalid, [0, 3, 1, 0, 0]),
            (nr::pci_msiq_sethead, [0, 3, 0x1c0, 0, 0]),
            (nr::pci_msiq_setstate, [0, 9, 1, 0, 0]),
            (nr::pci_msi_setmsiq, [0, 200, 3, 1, 0]),
            (nr::pci_msi_setvalid, [0, 200, 1, 0, 0]),
            (nr::pci_msg_setmsiq, [0, 0x30, 3, 0, 0]),
            (nr::n2piu_set_perfreg, [0, 5, 77, 0, 0]),
            (nr::intr_settarget, [27, 1, 0, 0, 0]),
            (nr::intr_setenabled, [27, 1, 0, 0, 0]),
            (nr::niu_rx_lp_set, [4, 1, BASE + 0x8000, 0x2000, 0]),
            (nr::niu_tx_lp_set, [4, 0, 0x4000_0000, 0x1_0000, 0]),
            (nr::intr_setstate, [0x93, 2, 0, 0, 0]),
        ] {
            self.rover(0, nr, args);
        }
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
fn text(reply: &Reply, asked: Option<ResInfo>) -> String {
    match &reply.body {
        Body::None => String::new(),
        Body::ResStat { res, id, info, code, data } => {
            let told = reply.op == Op::NewResStat;
            let item = if told { ResInfo::from_codes(*res, *info) } else { asked };
            let item = item.filter(|_| reply.status == Status::Ok);
            let data = item.and_then(|item| sun4v::hvctl::ResData::parse(item, data));
            format!(" res {res} id {id} info {info} code {code} {data:x?}")
        }
        body => format!(" {body:x?}"),
    }
}

/// The MD in force at power-on.
pub const FIRST_MD: Pa = HV_MD;
