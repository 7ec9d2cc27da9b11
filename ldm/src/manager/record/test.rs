//! Managers that begin again.

use crate::hvctl::Event;
use crate::manager::testing::Server;
use crate::manager::{Change, Manager};
use crate::migrate::port::{Kind, Manager as _, ManagerReply, Status};
use sun4v::addr::Pa;
use sun4v::hvctl::{GuestState, Request, SoftState};
use sun4v::time::SimTime;

/// Everything that lists show.
const LISTS: [&str; 14] = [
    "ldm list",
    "ldm list -p",
    "ldm list -l",
    "ldm list -l -p",
    "ldm list-bindings",
    "ldm list-bindings -p",
    "ldm list-services",
    "ldm list-services -p",
    "ldm list-constraints",
    "ldm list-constraints -p",
    "ldm list-devices -a core cpu crypto memory io",
    "ldm list-devices -a -p core cpu crypto memory io",
    "ldm list-variable rover",
    "ldm list-variable ip-address rover",
];

/// Domains that run, are bound, and are neither; services; things that have gone.
fn lab() -> Server {
    let mut server = Server::new("t5120");
    let lines = [
        "ldm add-vds primary-vds0 primary",
        "ldm add-vdsdev /net/nas/export/rover0.img rover0@primary-vds0",
        "ldm add-vdsdev options=ro,slice mpgroup=g /net/nas/export/r.img r@primary-vds0",
        "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
        "ldm add-vsw net-dev=e1000g0 primary-vsw0 primary",
        "ldm add-vsw default-vlan-id=3 pvid=4 vid=5,6 mtu=9000 vsw1 primary",
        "ldm add-domain rover",
        "ldm set-domain failure-policy=reset rover",
        "ldm add-vcpu 8 rover",
        "ldm add-memory 512M rover",
        "ldm add-crypto 1 rover",
        "ldm add-vdisk timeout=7 vdisk0 rover0@primary-vds0 rover",
        "ldm add-vnet pvid=4 vid=5 vnet0 primary-vsw0 rover",
        "ldm set-variable ip-address=192.168.1.50 rover",
        "ldm add-domain master=rover spare",
        "ldm add-vcpu 3 spare",
        "ldm add-memory 100M spare",
        "ldm add-vnet vnet9 vsw1 spare",
        "ldm add-domain gone",
        "ldm add-vnet vnet0 vsw1 gone",
        "ldm destroy gone",
        "ldm add-domain raw",
        "ldm set-vcpu 12 primary",
        "ldm bind rover",
        "ldm bind spare",
        "ldm start rover",
        "ldm set-variable boot-device=vdisk0 rover",
    ];
    for line in lines {
        server.out(line);
    }
    server.hv.says(1, SoftState::Normal, "rover running");
    server.hv.guests.get_mut(&1).unwrap().busy = 377;
    server.later(SimTime::secs(77));
    server.desk.busy = vec![SimTime::secs(20); 12];
    server.pump();
    server
}

#[test]
fn everything_is_shown_as_before() {
    let mut server = lab();
    let before = server.session(&LISTS);
    server.restart();
    server.pump();
    assert_eq!(server.session(&LISTS), before);
    let reconfigured =
        |request: &Request| !matches!(request, Request::GetHvConfig | Request::GetResStat { .. });
    assert!(!server.hv.requests.iter().any(reconfigured), "{:?}", server.hv.requests);
    // Again and again; and with nothing but what there is at power-on.
    server.restart();
    server.restart();
    server.pump();
    assert_eq!(server.session(&LISTS), before);
    let mut bare = Server::new("t5220");
    let before = bare.session(&["ldm list -l", "ldm list-bindings -p"]);
    bare.restart();
    bare.pump();
    assert_eq!(bare.session(&["ldm list -l", "ldm list-bindings -p"]), before);
}

#[test]
fn a_restarted_manager_goes_on_as_if_nothing_had_been() {
    let lines = [
        "ldm list",
        "ldm add-domain fresh",
        "ldm add-vnet vnet0 primary-vsw0 fresh",
        "ldm add-vcpu 2 fresh",
        "ldm add-memory 64M fresh",
        "ldm bind fresh",
        "ldm start fresh",
        "ldm start spare",
        "ldm add-vcpu 2 primary",
        "ldm set-vcpu 4 rover",
        "ldm stop -f rover",
        "ldm add-vcpu 8 rover",
        "ldm rm-vnet vnet0 rover",
        "ldm start rover",
        "ldm list-bindings",
        "ldm stop -f -a",
        "ldm unbind rover",
        "ldm destroy rover",
        "ldm rm-vdisk vdisk0 rover",
        "ldm rm-vdsdev rover0@primary-vds0",
        "ldm rm-vds primary-vds0",
        "ldm list -l -p",
        "ldm list-constraints -p",
    ];
    let (mut one, mut other) = (lab(), lab());
    other.restart();
    other.pump();
    for line in lines {
        assert_eq!(one.session(&[line]), other.session(&[line]), "{line}");
        assert_eq!(one.hv.config, other.hv.config, "{line}");
        // One that begins again after every command knows all of them.
        other.restart();
        other.pump();
    }
    assert_eq!(one.manager.draw_entropy(), other.manager.draw_entropy());
}

#[test]
fn services_are_told_all_ports_in_order() {
    let mut server = lab();
    let made = std::mem::take(&mut server.changes);
    server.restart();
    let again = server.manager.all_changes();
    let kept = |change: &&Change| {
        !matches!(change, Change::Detach(_) | Change::CloseUnits | Change::OpenUnits)
    };
    let made: Vec<_> = made.iter().filter(kept).collect();
    assert!(again.iter().all(|change| made.contains(&change)), "{again:#?}");
    assert_eq!(again.len(), made.len());
    let at = |wanted: fn(&Change) -> bool| again.iter().position(wanted);
    let last = again.iter().rposition(|change| matches!(change, Change::AddSwitch { .. }));
    assert!(last < at(|change| matches!(change, Change::AttachNet { .. })));
}

#[test]
fn guests_are_asked_before_anybody_is_answered() {
    let mut server = lab();
    server.restart();
    // What was said meanwhile, nobody has heard.
    server.hv.guests.get_mut(&1).unwrap().state = GuestState::Stopped;
    let id = server.types("ldm list -p");
    let said = server.desk.replies.remove(&id).unwrap().stdout;
    assert!(said.contains("name=rover|state=bound|"), "{said}");
    // And an operator who was there first waits.
    let mut server = lab();
    server.restart();
    server.hv.events.clear();
    let id = server.types("ldm stop -f rover");
    assert!(server.desk.replies.is_empty());
    server.hv.events.push_back(Event::Up);
    server.pump();
    assert_eq!(server.desk.replies[&id].stdout, "LDom rover stopped\n");
}

#[test]
fn a_hypervisor_that_has_given_something_else_is_not_believed() {
    let mut server = lab();
    let record = server.manager.save().unwrap();
    server.out("ldm unbind spare");
    let (inventory, settings) = (server.inventory.clone(), server.manager.settings().clone());
    server.manager = Manager::recall(inventory, settings, record).unwrap();
    server.hv.events = [Event::Up].into();
    server.pump();
    let why = "the hypervisor has other domains than are remembered here";
    assert_eq!(
        server.err("ldm list"),
        format!("Failed to connect to logical domain manager: {why}\n")
    );
    assert_eq!(server.manager.save(), Err(format!("the manager does not run: {why}")));
    // Nor one whose description cannot be read.
    let mut server = lab();
    server.restart();
    let guest = server.hv.config.guests.iter().find(|guest| guest.id.0 == 1).unwrap().md_pa;
    let at = (guest.0 - server.inventory.md_pa.0) as usize;
    server.hv.memory[at] ^= 0xff;
    server.pump();
    assert!(server.err("ldm list").contains("the machine description at"));
    assert!(Pa(0) < guest);
}

#[test]
fn what_is_under_way_is_not_left_behind() {
    let refused = |server: &Server| server.manager.save().unwrap_err();
    let mut server = lab();
    let status = Status { source: true, peer: "t5220".into(), percent: 3, doubtful: false };
    server.port().0.status("rover", Some(status));
    assert_eq!(refused(&server), "a migration is in progress");
    server.port().0.status("rover", None);
    server.manager.save().unwrap();

    // A command that waits for crypto units.
    server.closes = None;
    server.types("ldm set-crypto 0 primary");
    assert_eq!(refused(&server), "an ldm command is in progress");
    server.manager.units_closed(&mut server.desk, &mut server.hv, Ok(()));
    server.pump();
    server.manager.save().unwrap();

    // One that waits for the hypervisor, at each of its messages.
    server.manager.command(&mut server.desk, &mut server.hv, 1000, "ldm stop -f rover");
    assert_eq!(refused(&server), "an ldm command is in progress");
    server.pump();

    // A migration that leaves, until its operator is answered.
    server.out("ldm start rover");
    server.out("ldm stop -f rover");
    server.out("ldm unbind rover");
    let id = server.types("ldm migrate -p /root/t5220.password rover t5220");
    assert_eq!(refused(&server), "a migration is in progress");
    let _ = server.manager.take_migrations();
    assert_eq!(refused(&server), "a migration is in progress");
    server.ended(id, Ok(()));
    server.manager.save().unwrap();

    // And a manager that knows nothing yet, or that has just begun.
    let fresh = Manager::new(server.inventory.clone(), server.manager.settings().clone());
    assert_eq!(fresh.save(), Err("the manager does not know its machine yet".to_owned()));
    server.restart();
    let up = server.hv.events.pop_front().unwrap();
    server.manager.event(&mut server.desk, &mut server.hv, &up);
    assert_eq!(refused(&server), "a request to the hypervisor is under way");
}

#[test]
fn a_shell_is_a_migration() {
    let mut source = lab();
    source.out("ldm stop -f rover");
    source.out("ldm unbind rover");
    let (offer, _) = source.port().0.offer("raw").unwrap();
    assert_eq!(offer.kind, Kind::Inactive);
    let mut target = Server::new("t5220");
    let tag = {
        let (mut port, desk) = target.port();
        port.prepare_incoming(desk, &offer)
    };
    assert_eq!(target.answer(tag), Ok(ManagerReply::Prepared(None)));
    assert_eq!(target.manager.save().unwrap_err(), "a migration is in progress");
    let tag = {
        let (mut port, desk) = target.port();
        port.activate(desk, "raw", 2)
    };
    target.pump();
    assert_eq!(target.manager.save().unwrap_err(), "a migration is in progress");
    target.answer(tag).unwrap();
    let before = target.session(&["ldm list-constraints -p"]);
    target.restart();
    target.pump();
    assert_eq!(target.session(&["ldm list-constraints -p"]), before);
}
