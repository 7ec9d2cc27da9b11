//! A guest that runs, with a system that helps, or does not.

use crate::manager::Change;
use crate::manager::live::STOP_TIME;
use crate::manager::testing::Server;
use crate::migrate::port::{Manager as _, Status};
use crate::service::ds::{Answer, Ask, DsEvent};
use std::fmt::Write;
use sun4v::ds::service::{VariableRequest, VariableResult};
use sun4v::ds::{CpuRecord, CpuResult, CpuStat, Service};
use sun4v::hvctl::{GuestState, Request};
use sun4v::id::GuestId;
use sun4v::time::SimTime;

const ROVER: GuestId = GuestId(1);

/// `rover` runs with four virtual CPUs; its system has registered these.
fn lab(services: &[Service]) -> Server {
    let mut server = Server::new("t5120");
    for line in [
        "ldm add-vds primary-vds0 primary",
        "ldm add-vdsdev /net/nas/export/rover0.img rover0@primary-vds0",
        "ldm add-vsw net-dev=e1000g0 primary-vsw0 primary",
        "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
        "ldm add-domain rover",
        "ldm add-vcpu 4 rover",
        "ldm add-memory 512M rover",
        "ldm bind rover",
    ] {
        assert_eq!(server.out(line), "", "{line}");
    }
    server.out("ldm start rover");
    for &service in services {
        server.hears(DsEvent::Serves(ROVER, service, true));
    }
    server.changes.clear();
    server.hv.requests.clear();
    server
}

const HELPFUL: [Service; 3] = [Service::MdUpdate, Service::Shutdown, Service::DrCpu];

/// An answer for virtual CPUs: those in `bad` were not done.
fn cpus(all: std::ops::Range<u32>, bad: &[(u32, CpuResult, &str)]) -> Result<Answer, String> {
    let records = all.map(|cpu| {
        let why = bad.iter().find(|own| own.0 == cpu);
        let (result, reason) = why.map_or((CpuResult::Ok, ""), |own| (own.1, own.2));
        CpuRecord { cpu, result, stat: CpuStat::Configured, reason: reason.to_owned() }
    });
    Ok(Answer::Cpus(records.collect()))
}

/// Types a command; what is printed, what was asked meanwhile, and what is left.
fn types(server: &mut Server, line: &str) -> String {
    let reply = server.run(line);
    let mut text = format!("# {line}\n{}{}= {}\n", reply.stdout, reply.stderr, reply.status);
    for (asking, cpus) in std::mem::take(&mut server.asked) {
        assert_eq!(asking.guest, ROVER);
        writeln!(text, "asked with {cpus} in the description: {:?}", asking.ask).unwrap();
    }
    let own = server.hv.config.vcpus.iter().filter(|own| own.guest == ROVER);
    let strands: Vec<_> = own.map(|own| own.strand.0).collect();
    writeln!(text, "strands {strands:?}").unwrap();
    assert!(server.answers.is_empty(), "{:?}", server.answers);
    text
}

#[test]
fn virtual_cpus_come_and_go_while_the_domain_runs() {
    let mut server = lab(&HELPFUL);
    server.answers.extend([Ok(Answer::Done), cpus(4..7, &[])]);
    let mut text = types(&mut server, "ldm add-vcpu 3 rover");
    text += &server.session(&["ldm ls rover", "ldm ls-cons -p rover"]);
    server.answers.extend([cpus(2..7, &[]), Ok(Answer::Done)]);
    text += &types(&mut server, "ldm set-vcpu 2 rover");
    text += &types(&mut server, "ldm set-vcpu 2 rover");
    server.answers.extend([cpus(1..2, &[]), Err("it sleeps".into())]);
    text += &types(&mut server, "ldm rm-vcpu 1 rover");
    for line in ["ldm rm-vcpu 1 rover", "ldm rm-vcpu 9 rover", "ldm add-vcpu 99 rover"] {
        text += &types(&mut server, line);
    }
    insta::assert_snapshot!(text);
    assert_eq!(server.changes, [], "services see nothing of it");
    let said = "ldmd: LDom rover does not read its description: it sleeps";
    assert_eq!(server.desk.lines, [said]);
}

#[test]
fn what_a_system_does_not_do_is_not_done() {
    let mut server = lab(&HELPFUL);
    let mut text = String::new();
    // The last one is not taken into use: it goes again.
    let bad = [(7, CpuResult::NotResponding, "")];
    server.answers.extend([Ok(Answer::Done), cpus(4..8, &bad), Ok(Answer::Done)]);
    text += &types(&mut server, "ldm add-vcpu 4 rover");
    // One with a lower number cannot.
    let bad = [(7, CpuResult::Failure, "no memory for it")];
    server.answers.extend([Ok(Answer::Done), cpus(7..9, &bad)]);
    text += &types(&mut server, "ldm add-vcpu 2 rover");
    // Five are to go and one stays: those below it are used again.
    let bad = [(6, CpuResult::Blocked, "")];
    server.answers.extend([cpus(4..9, &bad), cpus(4..6, &[]), Ok(Answer::Done)]);
    text += &types(&mut server, "ldm set-vcpu 4 rover");
    let back = Err("it sleeps".to_owned());
    server.answers.extend([cpus(4..7, &[(6, CpuResult::Blocked, "a processor set")]), back]);
    text += &types(&mut server, "ldm set-vcpu 4 rover");
    // Nothing at all.
    server.answers.push_back(Err("it has not answered for 60 s".into()));
    text += &types(&mut server, "ldm set-vcpu 1 rover");
    let none = [Ok(Answer::Done), cpus(0..0, &[]), Ok(Answer::Done)];
    server.answers.extend(none);
    text += &types(&mut server, "ldm add-vcpu 2 rover");
    server.answers.extend([Err("it cannot (result 1)".into()), Ok(Answer::Done)]);
    text += &types(&mut server, "ldm add-vcpu 2 rover");
    insta::assert_snapshot!(text);
}

#[test]
fn a_virtual_cpu_that_runs_is_not_taken_whatever_the_system_says() {
    let mut server = lab(&HELPFUL);
    server.hv.keeps = [3].into();
    server.answers.push_back(cpus(2..4, &[]));
    let text = types(&mut server, "ldm set-vcpu 2 rover");
    insta::assert_snapshot!(text);
    assert!(server.out("ldm ls -p rover").contains("|ncpu=4|"));
    // It is there to be asked again.
    server.hv.keeps.clear();
    server.answers.extend([cpus(2..4, &[]), Ok(Answer::Done)]);
    server.out("ldm set-vcpu 2 rover");
}

#[test]
fn a_domain_without_the_service_does_not_change() {
    let mut server = lab(&[Service::MdUpdate]);
    let mut text = types(&mut server, "ldm add-vcpu 1 rover");
    text += &server.session(&["ldm stop rover", "ldm set-memory 1G rover", "ldm set-mau 1 rover"]);
    server.hears(DsEvent::Serves(ROVER, Service::DrCpu, true));
    server.hears(DsEvent::Serves(ROVER, Service::DrCpu, false));
    text += &types(&mut server, "ldm add-vcpu 1 rover");
    assert_eq!(server.hv.requests, []);
    // Crypto units hold their cores.
    server.out("ldm stop -f rover");
    server.out("ldm set-vcpu 12 rover");
    server.out("ldm set-mau 2 rover");
    server.out("ldm start rover");
    server.hears(DsEvent::Serves(ROVER, Service::DrCpu, true));
    text += &types(&mut server, "ldm set-vcpu 8 rover");
    server.answers.extend([cpus(9..12, &[]), Ok(Answer::Done)]);
    text += &types(&mut server, "ldm set-vcpu 9 rover");
    insta::assert_snapshot!(text);
}

#[test]
fn a_domain_shuts_down_when_it_is_told_to() {
    let mut server = lab(&HELPFUL);
    // Not while it moves.
    let status = Status { source: true, peer: "t5220".into(), percent: 3, doubtful: false };
    server.port().0.status("rover", Some(status));
    let mut text = types(&mut server, "ldm stop rover");
    text += &types(&mut server, "ldm add-vcpu 1 rover");
    server.port().0.status("rover", None);
    server.answers.push_back(Err("no".into()));
    text += &types(&mut server, "ldm stop rover");
    server.answers.push_back(Ok(Answer::Done));
    let id = server.types("ldm stop rover");
    assert_eq!(server.asked.pop().map(|own| own.0.ask), Some(Ask::Shutdown { delay_ms: 0 }));
    assert_eq!(server.manager.next_time(), STOP_TIME);
    // Lists are answered meanwhile; whatever else is asked waits.
    text += &server.session(&["ldm ls rover", "ldm ls-var rover"]);
    let other = server.types("ldm add-domain raw");
    let request = VariableRequest::Set { name: "boot-file".into(), value: "-s".into() };
    server.hears(DsEvent::Variable { token: 5, guest: ROVER, request });
    server.pump();
    assert_eq!(std::mem::take(&mut server.served), [(5, VariableResult::Ok)]);
    let waits = |server: &Server, id| !server.desk.replies.contains_key(&id);
    assert!(waits(&server, id) && waits(&server, other));
    assert_eq!(server.manager.save(), Err("an ldm command is in progress".to_owned()));
    server.later(SimTime(STOP_TIME.0 - 1));
    server.manager.tick(&mut server.desk, &mut server.hv);
    server.pump();
    assert!(waits(&server, id));
    server.hv.becomes(1, GuestState::Stopped);
    server.pump();
    let reply = server.desk.replies.remove(&id).unwrap();
    assert_eq!((reply.status, reply.stdout.as_str()), (0, "LDom rover stopped\n"));
    assert!(!waits(&server, other));
    text += &server.session(&["ldm ls", "ldm ls-var rover"]);
    assert!(!server.hv.requests.iter().any(|own| matches!(own, Request::GuestStop(_))));
    // One that does not stop.
    server.out("ldm start rover");
    server.answers.push_back(Ok(Answer::Done));
    let id = server.types("ldm stop -a");
    assert_eq!(server.manager.next_time(), server.desk.now.plus(STOP_TIME));
    server.later(STOP_TIME);
    server.manager.tick(&mut server.desk, &mut server.hv);
    server.pump();
    let reply = server.desk.replies.remove(&id).unwrap();
    assert_eq!((reply.status, reply.stdout.as_str()), (1, ""));
    assert_eq!(server.manager.next_time(), SimTime::NEVER);
    insta::assert_snapshot!(text + &reply.stderr);
}

#[test]
fn a_domain_keeps_its_variables_here() {
    let mut server = lab(&[Service::MdUpdate, Service::VarConfig]);
    let set = |name: &str, value: &str| VariableRequest::Set {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let delete = |name: &str| VariableRequest::Delete { name: name.to_owned() };
    let cases = [
        (set("boot-device", "vdisk0 net"), VariableResult::Ok),
        (set("nvramrc", "probe-all\ninstall-console"), VariableResult::Ok),
        (set("boot device", "x"), VariableResult::BadName),
        (set("", "x"), VariableResult::BadName),
        (set(&"x".repeat(256), "x"), VariableResult::BadName),
        (set("x", "a|b"), VariableResult::BadValue),
        (set("x", "\u{1b}[2J"), VariableResult::BadValue),
        (delete("y"), VariableResult::NotPresent),
        (set("y", ""), VariableResult::Ok),
        (delete("y"), VariableResult::Ok),
        (set("big", &"x".repeat(1 << 20)), VariableResult::NoSpace),
    ];
    for (token, (request, result)) in (0..).zip(cases) {
        server.hears(DsEvent::Variable { token, guest: ROVER, request: request.clone() });
        server.pump();
        assert_eq!(std::mem::take(&mut server.served), [(token, result)], "{request:?}");
    }
    // It knows what it has changed; its firmware sees it when it starts again.
    assert_eq!(server.asked, []);
    let md = server.hv.guest_md(1);
    let (_, variables) = md.named("variables").next().unwrap();
    assert_eq!(variables.text("boot-device"), Some("vdisk0 net"));
    // What an operator changes, it is told.
    server.out("ldm set-var boot-device=net rover");
    let asked: Vec<_> = server.asked.drain(..).map(|own| own.0.ask).collect();
    assert_eq!(asked, [Ask::MdUpdate]);
    server.out("ldm set-var boot-device=net rover");
    assert_eq!(server.asked, [], "nothing has changed");
    insta::assert_snapshot!(server.session(&["ldm ls-var rover", "ldm ls -l rover"]));
    // Domains that are not there, and the control domain, have none.
    for guest in [GuestId(0), GuestId(9)] {
        server.hears(DsEvent::Variable { token: 7, guest, request: set("a", "b") });
        server.pump();
        assert_eq!(std::mem::take(&mut server.served), [(7, VariableResult::NoSpace)]);
    }
    // A manager that begins again remembers variables, not systems.
    let lists = ["ldm ls-var rover"];
    let before = server.session(&lists);
    server.asked.clear();
    server.restart();
    server.pump();
    assert_eq!(server.session(&lists), before);
    server.out("ldm set-var boot-device=x rover");
    assert_eq!(server.asked, []);
}

#[test]
fn disks_and_networks_come_while_the_domain_runs() {
    let mut server = lab(&[]);
    let add =
        ["ldm add-vdisk vdisk0 rover0@primary-vds0 rover", "ldm add-vnet vnet0 primary-vsw0 rover"];
    let mut text = server.session(&add);
    assert_eq!(server.hv.requests, []);
    server.hears(DsEvent::Serves(ROVER, Service::MdUpdate, true));
    for line in add {
        server.answers.push_back(Ok(Answer::Done));
        text += &types(&mut server, line);
    }
    let md = server.hv.guest_md(1);
    assert_eq!(md.named("virtual-device-port").count(), 2);
    let md = server.hv.guest_md(0);
    let channels = md.named("virtual-device-port").filter_map(|(_, own)| own.text("vldc-svc-name"));
    assert!(channels.eq(["hvctl", "ldom-rover", "ldom-rover-openboot"]));
    let attached =
        |change: &&Change| matches!(change, Change::AttachDisk(_) | Change::AttachNet { .. });
    assert_eq!(server.changes.iter().filter(attached).count(), 2, "{:?}", server.changes);
    assert_eq!(server.changes.len(), 2, "nobody else's port changes");
    // They do not go: no system here says whether it uses them.
    text += &server.session(&["ldm rm-vdisk vdisk0 rover", "ldm set-vnet mtu=9000 vnet0 rover"]);
    text += &server.session(&[
        "ldm add-vdisk vdisk1 ghost@primary-vds0 rover",
        "ldm ls -o network,disk rover",
    ]);
    insta::assert_snapshot!(text);
}
