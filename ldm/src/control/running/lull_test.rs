//! A guest that is suspended while its disk works, from hvctl to the descriptors of its
//! ring. Its system has opened its end of domain services and says nothing there.

use crate::control::ControlDomain;
use crate::control::lull::{STILL, WAIT};
use crate::control::record::{ControlV1, seal};
use crate::control::testing::{World, entry};
use crate::manager::domain::Device;
use crate::memory::Block;
use crate::migrate::journal::{State, Store};
use crate::migrate::port::HvRequest;
use sun4v::hvctl::{Op, Request, migrate};
use sun4v::id::GuestId;
use sun4v::ldc::{Cookie, CookieAddr, Stype, Version};
use sun4v::native::{Event, LocalDisk, Ports, Program};
use sun4v::record::decode;
use sun4v::time::SimTime;
use sun4v::vio::dring::XFER_DRING;
use sun4v::vio::vdisk::{Attr, Descriptor, NO_SLICE, Operation};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Rdx, Type, Ver,
};
use zerocopy::IntoBytes;

const ROVER: GuestId = GuestId(1);
/// Where its end of channels lies on the board.
const BOARD: usize = 2;
const SID: u32 = 0x5eed;
const DESCRIPTORS: u32 = 4;
const DESC_SIZE: u64 = 64;

/// A lab in which `rover` has a disk.
struct Lab {
    world: World,
    far: usize,
    /// Its ring, and a page for data.
    lent: Block,
    ident: u64,
    seq: u64,
}

impl Lab {
    /// With a `system` or without.
    fn new(system: bool) -> Self {
        let mut world = World::new();
        let disk = LocalDisk { name: "c0t1d0".into(), bytes: 1 << 20, read_only: false };
        world.board.domains[0].disks.push((disk, vec![3; 1 << 20]));
        world.out(&[
            "ldm add-vds primary-vds0 primary",
            "ldm add-vdsdev /dev/dsk/c0t1d0s2 vol@primary-vds0",
            "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
            "ldm add-domain rover",
            "ldm add-vcpu 2 rover",
            "ldm add-memory 512M rover",
            "ldm add-vdisk vdisk0 vol@primary-vds0 rover",
            "ldm bind rover",
            "ldm start rover",
        ]);
        let bytes = world.program.save().unwrap();
        let record: ControlV1 = decode(&mut bytes.as_slice()).unwrap();
        let given = record.manager.model.domains[1].given.clone().unwrap();
        let end = |device| given.links.iter().find(|link| link.device == device).unwrap().guest.0;
        if system {
            world.listens(1, end(Device::Services));
        }
        let far = world.opens(1, end(Device::Disk("vdisk0".into())));
        let lent = world.lends(far);
        let mut lab = Self { world, far, lent, ident: 0, seq: 0 };
        lab.handshake();
        lab.world.hv.requests.clear();
        lab.world.board.domains[0].lines.clear();
        lab
    }

    fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answers = self.world.ask(self.far, bytes);
        assert_eq!(answers.len(), 1, "{answers:x?}");
        assert_eq!(answers[0][1], Stype::Ack.code());
        answers.remove(0)
    }

    fn handshake(&mut self) {
        let version = Version { major: 1, minor: 1 };
        self.ask(Ver::new(Stype::Info, SID, version, DeviceClass::Disk).as_bytes());
        self.ask(Attr::ask(SID, XFER_DRING, 64).as_bytes());
        let at = CookieAddr::new(0, 0);
        let ring = self.ask(DringReg::new(SID, DESCRIPTORS, DESC_SIZE as u32, 0, at).as_bytes());
        self.ident = vio::read::<DringReg>(&ring).unwrap().ident.get();
        self.ask(Rdx::new(Stype::Info, SID).as_bytes());
    }

    /// Makes a descriptor READY that reads a block.
    fn fills(&mut self, index: u32) {
        let descriptor = Descriptor {
            state: DescriptorState::Ready.code(),
            ack: 1,
            header_resv: [0; 6],
            req_id: u64::from(index).into(),
            operation: Operation::Bread.code(),
            slice: NO_SLICE,
            resv: 0.into(),
            status: 0xffff_ffff.into(),
            addr: 0.into(),
            nbytes: 512.into(),
            ncookies: 1.into(),
            resv2: 0.into(),
        };
        let at = self.lent.at(u64::from(index) * DESC_SIZE);
        let ports = &mut self.world.board.ports(BOARD);
        ports.write(at, descriptor.as_bytes());
        ports.write(at.offset(48), Cookie::new(CookieAddr::new(1, 0), 512).as_bytes());
    }

    /// Tells the server of it.
    fn knocks(&mut self, index: u32) {
        self.seq += 1;
        let info = DringData::info(SID, self.seq, self.ident, index, index as i32);
        let far = &mut self.world.far[self.far];
        assert!(far.channel.send(&mut self.world.board.ports(BOARD), info.as_bytes()));
    }

    fn state(&mut self, index: u32) -> DescriptorState {
        let mut byte = [0];
        self.world.board.ports(BOARD).read(self.lent.at(u64::from(index) * DESC_SIZE), &mut byte);
        DescriptorState::from_code(byte[0]).unwrap()
    }

    /// Its driver has seen the answer.
    fn frees(&mut self, index: u32) {
        let at = self.lent.at(u64::from(index) * DESC_SIZE);
        self.world.board.ports(BOARD).write(at, &[DescriptorState::Free.code()]);
    }

    /// Requests that were answered.
    fn answered(&mut self) -> usize {
        let got = std::mem::take(&mut self.world.far[self.far].got);
        let tag = |bytes: &Vec<u8>| vio::read::<DringData>(bytes).unwrap().tag.parts();
        let ack = Some((Type::Data, Stype::Ack, Envelope::Dring));
        assert!(got.iter().all(|bytes| tag(bytes) == ack), "{got:x?}");
        got.len()
    }

    /// What a source asks.
    fn asks(&mut self, requests: &[HvRequest]) {
        let World { program, board, .. } = &mut self.world;
        let running = program.running.as_mut().unwrap();
        let ports = &mut board.ports(0);
        running.with_moves(ports, |moves, ends| moves.asks(ends, requests));
        running.settle(ports);
        self.world.run();
    }

    fn suspends(&mut self) {
        self.asks(&[HvRequest::LogStart(ROVER), HvRequest::Suspend(ROVER)]);
    }

    /// As a source does when it is cancelled.
    fn is_cancelled(&mut self) {
        self.asks(&[HvRequest::Resume(ROVER), HvRequest::LogStop(ROVER)]);
    }

    /// What the hypervisor was asked of the guest since the last call.
    fn asked(&mut self) -> Vec<migrate::Request> {
        let asked = self.world.hv.requests.drain(..).filter_map(|request| match request {
            Request::Migrate(request) => Some(request),
            _ => None,
        });
        asked.collect()
    }

    /// Lets time pass, with the timers that end in it.
    fn later(&mut self, span: SimTime) {
        let until = self.world.board.now.plus(span);
        loop {
            let timers = &mut self.world.board.domains[0].timers;
            timers.sort();
            let Some((at, token)) = timers.first().copied().filter(|(at, _)| *at <= until) else {
                break;
            };
            timers.remove(0);
            self.world.board.now = self.world.board.now.max(at);
            self.world.event(Event::Timer(token));
            self.world.run();
        }
        self.world.board.now = until;
    }

    fn said(&self) -> Vec<&str> {
        let lines = self.world.board.domains[0].lines.iter();
        lines.filter_map(|line| line.strip_prefix("migration of : ")).collect()
    }
}

const LOG: migrate::Request = migrate::Request::LogStart(1);
const SUSPEND: migrate::Request = migrate::Request::Suspend(1);
const RESUME: migrate::Request = migrate::Request::Resume(1);
const LOG_STOP: migrate::Request = migrate::Request::LogStop(1);

const fn hold(percent: u8) -> migrate::Request {
    migrate::Request::Hold { guest: 1, percent: percent as u32 }
}

#[test]
fn a_guest_whose_disk_is_idle_is_held_and_suspended_at_once() {
    let mut lab = Lab::new(true);
    lab.fills(0);
    lab.knocks(0);
    lab.world.run();
    assert_eq!((lab.answered(), lab.state(0)), (1, DescriptorState::Done));
    lab.frees(0);
    lab.suspends();
    assert_eq!(lab.asked(), [LOG, hold(STILL), SUSPEND]);
    assert_eq!(lab.said(), ["its disks rest after 0 us"]);
}

#[test]
fn a_guest_with_a_virtual_cpu_inside_goes_on_and_is_tried_again() {
    let mut lab = Lab::new(true);
    lab.world.hv.inside = [1, 2].into();
    lab.suspends();
    assert_eq!(lab.asked(), [LOG, hold(STILL), hold(0)]);
    lab.later(SimTime::us(50));
    assert_eq!(lab.asked(), [hold(STILL), hold(0)]);
    assert_eq!(lab.said(), [""; 0]);
    lab.later(SimTime::us(50));
    assert_eq!(lab.asked(), [hold(STILL), SUSPEND]);
    assert_eq!(lab.said(), ["its disks rest after 100 us"]);
}

#[test]
fn who_takes_the_interrupts_of_its_disk_is_to_go_on_first() {
    let lab = Lab::new(true);
    let leads = lab.world.hv.config.ldc_endpoints.iter().filter(|end| end.leads);
    let leads: Vec<_> = leads.map(|end| (end.guest, end.channel.0)).collect();
    assert_eq!(leads, [(ROVER, lab.world.far[lab.far].id)]);
}

#[test]
fn a_busy_disk_is_waited_for_until_its_client_has_seen_the_answer() {
    let mut lab = Lab::new(true);
    lab.world.disks_stall = true;
    lab.fills(0);
    lab.knocks(0);
    lab.world.run();
    assert_eq!(lab.state(0), DescriptorState::Accepted);
    lab.suspends();
    lab.later(SimTime(SimTime::ms(2).0 - 1));
    assert_eq!(lab.asked(), [LOG]);
    lab.later(SimTime(1));
    assert_eq!(lab.asked(), [hold(STILL)], "it asks for no more meanwhile");
    lab.later(SimTime::ms(1));
    assert_eq!(lab.asked(), []);
    // Its port serves it meanwhile.
    lab.world.disks_stall = false;
    lab.world.run();
    assert_eq!((lab.answered(), lab.state(0)), (1, DescriptorState::Done));
    assert_eq!(lab.asked(), [hold(0)]);
    lab.later(SimTime::ms(1));
    assert_eq!(lab.asked(), [], "it has not looked");
    lab.frees(0);
    lab.later(SimTime::us(10));
    assert_eq!(lab.asked(), [hold(STILL), SUSPEND]);
}

#[test]
fn what_it_asks_before_it_stands_still_is_served_and_it_is_tried_again() {
    // A descriptor that is READY and of which nobody was told; one with its message.
    for tells in [false, true] {
        let mut lab = Lab::new(true);
        lab.fills(0);
        lab.knocks(0);
        lab.world.run();
        lab.frees(0);
        lab.world.stalls = Some(Op::Hold);
        lab.suspends();
        assert_eq!((lab.answered(), lab.asked()), (1, vec![LOG, hold(STILL)]));
        lab.world.disks_stall = tells;
        lab.fills(1);
        if tells {
            lab.knocks(1);
            lab.world.run();
        }
        lab.world.goes_on();
        if tells {
            assert_eq!(lab.asked(), [], "it stands still until it has its answer");
        } else {
            assert_eq!(lab.asked(), [hold(0)]);
            lab.knocks(1);
        }
        lab.world.disks_stall = false;
        lab.world.run();
        assert_eq!((lab.answered(), lab.state(1)), (1, DescriptorState::Done));
        if tells {
            assert_eq!(lab.asked(), [hold(0)]);
        }
        lab.frees(1);
        lab.later(SimTime::us(20));
        assert_eq!(lab.asked(), [hold(STILL), SUSPEND]);
        assert_eq!(lab.said().len(), 1, "{:?}", lab.said());
    }
}

#[test]
fn a_disk_that_never_rests_ends_the_wait() {
    let mut lab = Lab::new(true);
    lab.world.disks_stall = true;
    lab.fills(0);
    lab.knocks(0);
    lab.world.run();
    lab.suspends();
    lab.later(SimTime(WAIT.0 - 1));
    // It is held for that now and then, and goes on.
    let asked = lab.asked();
    assert_eq!((asked[0], lab.said()), (LOG, vec![]));
    assert!(asked.len() > 40, "{}", asked.len());
    assert!(asked[1..].chunks(2).all(|pair| [hold(STILL), hold(0)].starts_with(pair)));
    lab.later(SimTime(1));
    assert_eq!(lab.said(), ["its disks did not rest for 500 ms: as they are"]);
    // It is quiet before the guest is suspended, as ever; the client is told nothing.
    assert_eq!(lab.asked(), []);
    lab.world.disks_stall = false;
    lab.world.run();
    assert_eq!(lab.asked(), [SUSPEND]);
    assert_eq!((lab.answered(), lab.state(0)), (0, DescriptorState::Accepted));
}

/// A guest that is to be suspended, whose disk does not answer; or, `held`, whose hypervisor
/// does not answer that it is to be held.
fn is_waited_for(held: bool) -> Lab {
    let mut lab = Lab::new(true);
    lab.world.disks_stall = !held;
    lab.world.stalls = held.then_some(Op::Hold);
    if !held {
        lab.fills(0);
        lab.knocks(0);
        lab.world.run();
    }
    lab.suspends();
    let before = if held { vec![LOG, hold(STILL)] } else { vec![LOG] };
    assert_eq!(lab.asked(), before);
    lab
}

#[test]
fn a_migration_is_cancelled_while_it_waits_or_while_the_guest_is_being_held() {
    for held in [false, true] {
        let mut lab = is_waited_for(held);
        lab.is_cancelled();
        lab.world.goes_on();
        // The hold ends with the log.
        assert_eq!(lab.asked(), [RESUME, LOG_STOP]);
        lab.world.disks_stall = false;
        lab.world.run();
        lab.later(WAIT.plus(WAIT));
        assert_eq!(lab.asked(), []);
        lab.answered();
        lab.fills(1);
        lab.knocks(1);
        lab.world.run();
        assert_eq!((lab.answered(), lab.state(1)), (1, DescriptorState::Done));
    }
}

#[test]
fn a_manager_that_begins_again_meanwhile_lets_the_guest_go_on() {
    for held in [false, true] {
        let mut lab = is_waited_for(held);
        let World { program, conf, .. } = &mut lab.world;
        let mut record = program.running.as_ref().unwrap().keep("t5120").unwrap();
        let mut store = Store::default();
        store.append(entry(State::Leaving, &record.manager.model.domains[1].uuid)).unwrap();
        record.journal = store.bytes().to_vec();
        *program = ControlDomain::restored(conf.clone(), &seal(&record)).unwrap();
        (lab.world.stalls, lab.world.disks_stall) = (None, false);
        lab.world.event(Event::Restarted);
        lab.world.run();
        // The hold ends with the log.
        assert_eq!(lab.asked(), [RESUME, LOG_STOP]);
        lab.later(WAIT.plus(WAIT));
        assert_eq!(lab.asked(), []);
    }
}

#[test]
fn a_guest_without_a_system_is_suspended_as_ever() {
    let mut lab = Lab::new(false);
    lab.fills(0);
    lab.suspends();
    assert_eq!(lab.asked(), [LOG, SUSPEND]);
    assert_eq!(lab.said(), [""; 0]);
    assert_eq!(lab.state(0), DescriptorState::Ready);
}

#[test]
fn without_a_dirty_log_nobody_can_be_held() {
    let mut lab = Lab::new(true);
    lab.fills(0);
    lab.asks(&[HvRequest::Suspend(ROVER)]);
    assert_eq!(lab.asked(), [SUSPEND]);
}
