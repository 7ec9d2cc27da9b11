//! Errors, and the service processor's requests: to which queue a report goes, and what
//! follows when there is no room.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

mod chassis;

use chassis::{BASE, Chassis, PRIMARY, ROVER, with_rover};
use hv::{Delivery, GuestState, ReportError, VcpuState};
use sun4v::ereport::{ADDRESS_UNKNOWN, Attributes, Descriptor, ErrorReport, REPORT_BYTES};
use sun4v::hcall::nr;
use sun4v::hvctl::{Request, Status};
use sun4v::id::VcpuId;
use sun4v::time::SimTime;

/// Where queues of two reports are.
const RESUMABLE: u64 = BASE + 0x4000;
const NONRESUMABLE: u64 = BASE + 0x4080;
const V0: VcpuId = VcpuId(0);
const V1: VcpuId = VcpuId(1);

/// A chassis whose guest runs, with both of its virtual CPUs.
fn running() -> Chassis {
    let mut chassis = Chassis::open(&with_rover(0x2000_0000));
    chassis.start_rover();
    chassis.lab.caller = (ROVER, V0);
    chassis.lab.core(0, [1, 1, 1, 0, 0]);
    chassis.rover(0, nr::cpu_start, [1, BASE, BASE, 0, 0]);
    chassis
}

/// Gives a virtual CPU of the guest its two error queues, of two entries.
fn queues(chassis: &mut Chassis, vcpu: u8) {
    let behind = u64::from(vcpu) * 0x100;
    chassis.rover(vcpu, nr::cpu_qconf, [0x3e, RESUMABLE + behind, 2, 0, 0]);
    chassis.rover(vcpu, nr::cpu_qconf, [0x3f, NONRESUMABLE + behind, 2, 0, 0]);
}

fn report(chassis: &mut Chassis, ra: u64) -> Option<ErrorReport> {
    chassis.lab.caller = (ROVER, V0);
    ErrorReport::parse(&chassis.lab.peek::<REPORT_BYTES>(ra))
}

fn inject(chassis: &mut Chassis, vcpu: VcpuId, report: ErrorReport) -> Delivery {
    let lab = &mut chassis.lab;
    lab.hv.inject(ROVER, vcpu, report, &mut lab.board).unwrap()
}

fn states(chassis: &Chassis) -> Vec<VcpuState> {
    let guest = chassis.lab.hv.guest(ROVER).unwrap();
    guest.vcpus.values().map(|vcpu| vcpu.state).collect()
}

fn traps(chassis: &Chassis, vcpu: VcpuId) -> Vec<u16> {
    chassis.lab.board.seats[&ROVER].seen[&vcpu].reflected.clone()
}

/// The two kinds.
fn corrected(address: u64) -> ErrorReport {
    ErrorReport::memory(Descriptor::UncorrectedResumable, address)
}
fn fatal(address: u64) -> ErrorReport {
    ErrorReport::memory(Descriptor::PreciseNonresumable, address)
}

#[test]
fn a_resumable_report_waits_in_its_queue_and_is_lost_without_room() {
    let mut chassis = running();
    assert_eq!(inject(&mut chassis, V1, corrected(BASE)), Delivery::Lost, "no queue");
    queues(&mut chassis, 1);
    chassis.lab.board.advance(SimTime::us(3));
    chassis.rover(1, nr::cpu_yield, [0; 5]);
    assert_eq!(inject(&mut chassis, V1, corrected(BASE + 0x40)), Delivery::Queued);
    let got = report(&mut chassis, RESUMABLE + 0x100).unwrap();
    // Strand 9; the lost one had a number too.
    let number = got.handle & 0xf_ffff_ffff_ffff;
    assert_eq!(got.handle, 9 << 56 | number);
    let stick = hv::platform::Machine::cpus(&mut chassis.lab.board, ROVER).stick();
    let expected = ErrorReport { handle: got.handle, stick, ..corrected(BASE + 0x40) };
    assert_eq!((got, got.bytes), (expected, 64));
    assert!(!chassis.lab.board.seats[&ROVER].seen[&V1].parked, "it wakes");
    assert_eq!(inject(&mut chassis, V1, corrected(BASE + 0x80)), Delivery::Lost, "full");
    assert!(traps(&chassis, V1).is_empty(), "the processor itself looks at this queue");
    assert_eq!(states(&chassis), [VcpuState::Running; 2]);
}

#[test]
fn another_one_is_a_trap_and_overflow_puts_the_virtual_cpu_in_error() {
    let mut chassis = running();
    queues(&mut chassis, 0);
    queues(&mut chassis, 1);
    assert_eq!(inject(&mut chassis, V1, fatal(BASE)), Delivery::Queued);
    assert_eq!(traps(&chassis, V1), [0x7f]);
    assert_eq!(report(&mut chassis, NONRESUMABLE + 0x100).unwrap().address, BASE);
    assert_eq!(inject(&mut chassis, V1, fatal(BASE + 0x40)), Delivery::InError);
    assert_eq!(states(&chassis), [VcpuState::Running, VcpuState::Error]);
    // The report has gone to its other queue, and the other virtual CPU knows.
    let rest = report(&mut chassis, RESUMABLE + 0x100).unwrap();
    assert_eq!((rest.descriptor, rest.address), (Descriptor::PreciseNonresumable, BASE + 0x40));
    let told = report(&mut chassis, RESUMABLE).unwrap();
    assert_eq!((told.descriptor, told.attributes), {
        (Descriptor::UncorrectedResumable, Attributes::CPU)
    });
    assert_eq!((told.vcpu, told.address), (1, ADDRESS_UNKNOWN));
    // What the guest sees of it.
    assert_eq!(chassis.rover(0, nr::cpu_state, [1, 0, 0, 0, 0])[0], 3);
    chassis.lab.caller = (ROVER, V0);
    let start = chassis.lab.call(nr::cpu_start, [1, BASE, BASE, 0, 0]);
    assert_eq!(start.status, sun4v::hcall::HvError::Inval.code());
    let lab = &mut chassis.lab;
    let again = lab.hv.inject(ROVER, V1, fatal(0), &mut lab.board);
    assert_eq!(again, Err(ReportError::NoCpu(ROVER, V1)));
    // A reset begins on another one; a start from power-on has all.
    chassis.lab.caller = (ROVER, V0);
    chassis.lab.call(nr::mach_sir, [0; 5]);
    assert_eq!(states(&chassis), [VcpuState::Running, VcpuState::Error]);
    assert_eq!(chassis.ask(Request::GuestStop(1)).status, Status::Ok);
    chassis.boundary();
    assert_eq!(states(&chassis), [VcpuState::Stopped, VcpuState::Error]);
    chassis.start_rover();
    assert_eq!(states(&chassis), [VcpuState::Running, VcpuState::Stopped]);
}

#[test]
fn a_guest_without_a_sound_virtual_cpu_is_stopped() {
    let mut chassis = running();
    assert_eq!(inject(&mut chassis, V0, fatal(BASE)), Delivery::InError, "no queue");
    assert_eq!(states(&chassis), [VcpuState::Error, VcpuState::Running]);
    assert!(chassis.lab.hv.runs(ROVER));
    // A reset that it asks for begins on the other.
    chassis.lab.caller = (ROVER, V1);
    chassis.lab.call(nr::mach_sir, [0; 5]);
    assert_eq!(states(&chassis), [VcpuState::Error, VcpuState::Running]);
    let begun = chassis.lab.board.seats[&ROVER].seen[&V1].started.unwrap();
    assert_eq!(begun.pc, BASE + 0x20);
    chassis.ask(Request::GetResStat { res: 0, id: 1, info: 0 });
    assert_eq!(inject(&mut chassis, V1, fatal(BASE)), Delivery::InError);
    assert_eq!(chassis.lab.hv.guest(ROVER).unwrap().state, GuestState::Exiting);
    let lab = &mut chassis.lab;
    let ended = lab.hv.inject(ROVER, V1, fatal(0), &mut lab.board);
    assert_eq!(ended, Err(ReportError::NotRunning(ROVER)));
    assert!(!chassis.boundary().is_empty(), "the manager hears of it");
    assert_eq!(chassis.lab.hv.guest(ROVER).unwrap().state, GuestState::Stopped);
}

#[test]
fn the_service_processor_asks_the_control_domain_to_shut_down() {
    let mut chassis = running();
    chassis.call(nr::cpu_qconf, [0x3e, BASE + 0x6000, 4, 0, 0]).unwrap();
    let lab = &mut chassis.lab;
    assert_eq!(lab.hv.sp_shutdown(300, &mut lab.board), Ok(Delivery::Queued));
    lab.caller = (PRIMARY, V0);
    let got = ErrorReport::parse(&lab.peek(BASE + 0x6000)).unwrap();
    let expected = ErrorReport {
        handle: got.handle,
        stick: got.stick,
        seconds: 300,
        ..ErrorReport::new(Descriptor::ShutdownWarning, Attributes::SHUTDOWN)
    };
    assert_eq!(got, expected);
    assert_eq!(report(&mut chassis, RESUMABLE).map(|report| report.handle), Some(0), "only it");
}

#[test]
fn a_forced_panic_is_the_same_from_the_manager_and_from_the_service_processor() {
    let mut chassis = running();
    queues(&mut chassis, 0);
    assert_eq!(chassis.ask(Request::GuestPanic(1)).status, Status::Ok);
    let first = report(&mut chassis, NONRESUMABLE).unwrap();
    assert_eq!(traps(&chassis, V0), [0x7f]);
    // The guest takes it.
    let cpus = hv::platform::Machine::cpus(&mut chassis.lab.board, ROVER);
    cpus.set_queue(V0, hv::platform::Queue::NonResumable, 64, 64);
    let lab = &mut chassis.lab;
    assert_eq!(lab.hv.sp_panic(ROVER, &mut lab.board), Ok(Delivery::Queued));
    assert_eq!(traps(&chassis, V0), [0x7f, 0x7f]);
    let second = report(&mut chassis, NONRESUMABLE + 64).unwrap();
    let same = ErrorReport { handle: first.handle, stick: first.stick, ..second };
    assert_eq!(same, first);
    assert!(second.handle > first.handle);
    let empty = ErrorReport::new(Descriptor::ForcedPanic, Attributes::empty());
    assert_eq!(ErrorReport { handle: 0, stick: 0, ..first }, empty);
}

#[test]
fn who_does_not_run_gets_nothing() {
    let mut chassis = running();
    chassis.migrate(sun4v::hvctl::migrate::Request::Suspend(1)).unwrap();
    let lab = &mut chassis.lab;
    let suspended = lab.hv.inject(ROVER, V0, fatal(0), &mut lab.board);
    assert_eq!(suspended, Err(ReportError::NotRunning(ROVER)));
    let nobody = sun4v::id::GuestId(5);
    assert_eq!(lab.hv.sp_panic(nobody, &mut lab.board), Err(ReportError::NoGuest));
    let mut alone = hv::testing::Lab::new();
    assert_eq!(alone.hv.sp_shutdown(1, &mut alone.board), Err(ReportError::NoGuest));
}
