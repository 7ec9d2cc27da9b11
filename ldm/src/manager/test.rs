//! The manager, from an operator's side.

mod checks;

use super::testing::{Server, inventory};
use super::{Cancellation, Change};
use crate::migrate::port::{Kind, Manager, ManagerReply, Status};
use sun4v::hvctl::{GuestState, SoftState};
use sun4v::hvmd::Inventory;
use sun4v::id::GuestId;
use sun4v::time::SimTime;

/// What both servers of the article offer.
const SERVICES: [&str; 5] = [
    "ldm add-vds primary-vds0 primary",
    "ldm add-vdsdev /net/nas/export/rover0.img rover0@primary-vds0",
    "ldm add-vdsdev /net/nas/export/rover1.img rover1@primary-vds0",
    "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
    "ldm add-vsw net-dev=e1000g0 primary-vsw0 primary",
];
/// The article's domain.
const ROVER: [&str; 7] = [
    "ldm add-domain rover",
    "ldm add-vcpu 8 rover",
    "ldm add-memory 512M rover",
    "ldm add-vdisk vdisk0 rover0@primary-vds0 rover",
    "ldm add-vdisk vdisk1 rover1@primary-vds0 rover",
    "ldm add-vnet vnet0 primary-vsw0 rover",
    "ldm set-variable ip-address=192.168.1.50 rover",
];

fn server(host: &str, lines: &[&str]) -> Server {
    let mut server = Server::new(host);
    for line in SERVICES.iter().chain(lines) {
        assert_eq!(server.out(line), "", "{line}");
    }
    server
}

/// With rover up.
fn lab() -> Server {
    let mut server = server("t5120", &ROVER);
    server.out("ldm bind-domain rover");
    server.later(SimTime::secs(2));
    server.out("ldm start-domain rover");
    server.hv.says(1, SoftState::Normal, "rover running");
    server.pump();
    server
}

#[test]
fn the_articles_commands_bring_a_domain_up() {
    let mut server = Server::new("t5120");
    let mut text = server.session(&["ldm list"]);
    server.later(SimTime::secs(90));
    server.desk.busy = vec![SimTime::ms(450); 16];
    text += &server.session(&SERVICES);
    text += &server.session(&ROVER);
    text += &server.session(&["ldm list", "ldm bind-domain rover", "ldm list"]);
    text += &server.session(&["ldm start-domain rover", "ldm list"]);
    server.later(SimTime::secs(125));
    server.desk.busy = vec![SimTime::secs(100); 16];
    server.hv.says(1, SoftState::Normal, "rover running");
    server.hv.guests.get_mut(&1).unwrap().busy = 234;
    text += &server.session(&["ldm list", "ldm list -p", "ldm stop-domain rover"]);
    text += &server.session(&["ldm stop-domain -f rover", "ldm list", "ldm unbind-domain rover"]);
    text += &server.session(&["ldm set-memory 2G rover", "ldm bind rover", "ldm ls rover"]);
    text += &server.session(&["ldm start -a", "ldm stop -f -a", "ldm unbind rover"]);
    text += &server.session(&["ldm list", "ldm destroy rover", "ldm list"]);
    insta::assert_snapshot!(text);
}

#[test]
fn services_are_told_what_changes() {
    let mut server = server("t5120", &ROVER);
    server.out("ldm bind rover");
    let changes = std::mem::take(&mut server.changes);
    server.out("ldm rm-vdisk vdisk1 rover");
    server.out("ldm unbind rover");
    let later = std::mem::take(&mut server.changes);
    insta::assert_debug_snapshot!((changes, later));
}

#[test]
fn long_lists_show_everything() {
    let mut server = lab();
    server.later(SimTime::secs(3600));
    server.hv.guests.get_mut(&1).unwrap().busy = 31;
    for line in ["ldm add-domain raw", "ldm add-domain spare", "ldm add-vcpu 4 spare"] {
        server.out(line);
    }
    let lines = [
        "ldm list -l",
        "ldm list -l -p",
        "ldm list-bindings",
        "ldm list-bindings -p rover primary",
        "ldm list-services",
        "ldm list-services -p",
        "ldm list-constraints",
        "ldm list-constraints -p rover",
        "ldm list -o status,memory rover",
        "ldm list -o console -p rover",
        "ldm list-variable rover",
        "ldm list-variable ip-address rover",
        "ldm -V",
    ];
    insta::assert_snapshot!(server.session(&lines));
}

#[test]
fn devices_are_listed_free_or_all() {
    let mut server = lab();
    let lines = [
        "ldm list-devices -a core crypto memory io",
        "ldm list-devices core crypto memory",
        "ldm list-devices -p core crypto memory io",
        "ldm list-devices -a -p crypto memory io",
    ];
    let mut text = server.session(&lines);
    let strands = server.out("ldm list-devices -a -p cpu");
    assert_eq!(strands.lines().count(), 2 + 64);
    let shown: Vec<&str> = strands.lines().filter(|line| line.contains("pid=2")).collect();
    text.push_str(&shown.join("\n"));
    insta::assert_snapshot!(text);
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let mut server = server("t5120", &ROVER);
    let lines = [
        "ldm list ghost",
        "ldm bind ghost",
        "ldm add-vcpu 1 ghost",
        "ldm add-domain rover",
        "ldm add-domain -bad",
        "ldm add-domain mac-addr=00:14:4f:f8:00:01 x",
        "ldm add-domain mac-addr=00:14:4f:9c:51:20 x",
        "ldm add-domain master=ghost x",
        "ldm add-vds primary-vds0 primary",
        "ldm add-vds v rover",
        "ldm add-vdsdev /net/nas/export/x.img rover0@primary-vds0",
        "ldm add-vdsdev /net/nas/export/rover0.img copy@primary-vds0",
        "ldm add-vdsdev /x y@ghost",
        "ldm add-vdisk vdisk0 rover0@primary-vds0 rover",
        "ldm add-vdisk vdisk2 ghost@primary-vds0 rover",
        "ldm add-vnet vnet0 primary-vsw0 rover",
        "ldm add-vnet vnet1 ghost rover",
        "ldm add-vcc port-range=5050-5060 vcc1 primary",
        "ldm add-vcc port-range=9-1 vcc1 primary",
        "ldm rm-vdsdev rover0@primary-vds0",
        "ldm rm-vdsdev ghost@primary-vds0",
        "ldm rm-vsw primary-vsw0",
        "ldm rm-vdisk ghost rover",
        "ldm rm-vnet ghost rover",
        "ldm rm-var ghost rover",
        "ldm list-var ghost rover",
        "ldm rm-vcpu 9 rover",
        "ldm set-vcpu 0 primary",
        "ldm set-memory 8G primary",
        "ldm destroy primary",
        "ldm unbind rover",
        "ldm start rover",
        "ldm stop -f rover",
        "ldm set-vcons port=7000 rover",
        "ldm cancel-op migration rover",
        "ldm set-var 'a b=1' rover",
    ];
    let mut text = String::new();
    for line in lines {
        text.push_str(&format!("# {line}\n{}", server.err(line)));
    }
    server.out("ldm bind rover");
    for line in ["ldm bind rover", "ldm destroy rover", "ldm rm-vcc primary-vcc0"] {
        text.push_str(&format!("# {line}\n{}", server.err(line)));
    }
    server.out("ldm start rover");
    for line in ["ldm start rover", "ldm unbind rover", "ldm set-vcpu 4 rover", "ldm stop rover"] {
        text.push_str(&format!("# {line}\n{}", server.err(line)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_does_not_fit_is_refused_all_at_once() {
    let mut server = server("t5120", &["ldm add-domain big", "ldm add-domain none"]);
    for line in ["ldm set-vcpu 49 big", "ldm set-mem 12G big", "ldm set-mau 2 big"] {
        server.out(line);
    }
    let mut text = server.session(&["ldm bind big", "ldm bind none", "ldm list"]);
    // Twelve gigabytes less what hypervisor and primary have, in one block.
    server.out("ldm set-vcpu 48 big");
    server.out("ldm set-mem 12160M big");
    text += &server.session(&["ldm bind big", "ldm list", "ldm list -o memory,core,crypto big"]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_refusal_of_the_hypervisor_changes_nothing() {
    let mut server = server("t5120", &ROVER);
    let (before, changes) = (server.hv.config.clone(), server.changes.len());
    server.hv.refuse = true;
    let refused = server.err("ldm bind rover");
    server.hv.broken = true;
    let broken = server.err("ldm bind rover");
    insta::assert_snapshot!(format!("{refused}{broken}{}", server.out("ldm list rover")));
    assert_eq!((server.hv.config.clone(), server.changes.len()), (before, changes));
    server.hv.broken = false;
    server.out("ldm bind rover");
}

#[test]
fn a_lost_session_leaves_no_doubt() {
    for taken in [true, false] {
        let mut server = server("t5120", &ROVER);
        server.hv.loses = Some(taken);
        let reply = server.run("ldm bind rover");
        assert_eq!(reply.status, u8::from(!taken), "{}", reply.stderr);
        let bound = server.out("ldm list rover").contains("bound");
        assert_eq!((bound, server.hv.config.guests.len()), (taken, 1 + usize::from(taken)));
    }
}

#[test]
fn memory_is_split_when_no_block_is_large_enough() {
    // Two domains with a hole between them, then one that needs more than each end.
    let mut server = server("t5120", &[]);
    for (name, size) in [("a", "4G"), ("b", "4G"), ("c", "2G")] {
        server.out(&format!("ldm add-domain {name}"));
        server.out(&format!("ldm add-vcpu 4 {name}"));
        server.out(&format!("ldm add-mem {size} {name}"));
        server.out(&format!("ldm bind {name}"));
    }
    server.out("ldm unbind a");
    server.out("ldm add-domain d");
    server.out("ldm add-vcpu 4 d");
    server.out("ldm add-mem 5G d");
    server.out("ldm bind d");
    insta::assert_snapshot!(server.session(&["ldm ls -o memory d", "ldm ls-dev -a mem"]));
}

#[test]
fn strands_come_by_whole_cores_first() {
    let mut server = server("t5120", &[]);
    for (name, count) in [("a", 4), ("b", 8), ("c", 28), ("d", 8)] {
        server.out(&format!("ldm add-domain {name}"));
        server.out(&format!("ldm add-vcpu {count} {name}"));
        server.out(&format!("ldm add-mem 256M {name}"));
        server.out(&format!("ldm bind {name}"));
    }
    insta::assert_snapshot!(server.session(&["ldm ls -o core"]));
}

#[test]
fn a_bound_domain_is_bound_anew_when_it_changes() {
    let mut server = server("t5120", &ROVER);
    server.out("ldm bind rover");
    server.out("ldm set-vcpu 4 rover");
    server.out("ldm set-mem 1965M rover");
    server.out("ldm add-var boot-device=vdisk1 rover");
    insta::assert_snapshot!(server.session(&["ldm ls rover", "ldm ls-cons -p rover"]));
    let md = server.hv.guest_md(1);
    let (_, variables) = md.named("variables").next().unwrap();
    assert_eq!(variables.text("boot-device"), Some("vdisk1"));
    assert_eq!(md.named("cpu").count(), 4);
}

#[test]
fn variables_of_a_running_domain_are_there_when_it_starts_again() {
    let mut server = lab();
    let value = |server: &Server| {
        let md = server.hv.guest_md(1);
        md.named("variables").next().unwrap().1.text("ip-address").map(str::to_owned)
    };
    assert_eq!(value(&server).as_deref(), Some("192.168.1.50"));
    server.out("ldm set-var ip-address=10.0.0.1 rover");
    // It may start again by itself. Its system did not ask to be told.
    assert_eq!(value(&server).as_deref(), Some("10.0.0.1"));
    assert_eq!(server.asked, []);
    server.out("ldm stop -f rover");
    server.out("ldm start rover");
    assert_eq!(value(&server).as_deref(), Some("10.0.0.1"));
}

#[test]
fn a_domain_that_stops_by_itself_is_bound() {
    let mut server = lab();
    server.hv.becomes(1, GuestState::Stopped);
    server.pump();
    assert!(server.out("ldm ls rover").contains("bound      ------  5000"));
}

#[test]
fn commands_wait_for_the_session() {
    let mut server = Server::new("t5120");
    let bad = Inventory { md_bytes: 16 << 20, ..inventory("t5120") };
    server.manager = super::Manager::new(bad, server.manager.settings().clone());
    let id = server.types("ldm list");
    assert!(!server.desk.replies.contains_key(&id));
    let up = crate::hvctl::Event::Up;
    server.manager.event(&mut server.desk, &mut server.hv, &up);
    server.pump();
    assert!(server.desk.replies[&id].stdout.contains("primary"));
}

// Migration.

fn migrate(source: &mut Server, line: &str) -> super::Outgoing {
    let id = source.types(line);
    assert!(!source.desk.replies.contains_key(&id), "{:?}", source.desk.replies);
    let [outgoing] = source.manager.take_migrations().try_into().unwrap();
    assert_eq!(outgoing.command, id);
    outgoing
}

#[test]
fn a_running_domain_moves_with_all_that_it_is() {
    let (mut source, mut target) = (lab(), server("t5220", &[]));
    source.later(SimTime::secs(60));
    target.later(SimTime::secs(65));
    let outgoing = migrate(&mut source, "ldm migrate-domain -p /root/t5220.password rover t5220");
    assert_eq!(
        (outgoing.host.as_str(), outgoing.password.as_str()),
        ("t5220", "five-two-two-zero")
    );
    let (offer, guest) = source.port().0.offer("rover").unwrap();
    assert_eq!((offer.kind, guest), (Kind::Active, Some(GuestId(1))));
    assert_eq!(target.port().0.check_incoming(&offer), [""; 0]);
    let (mut port, desk) = target.port();
    let tag = port.prepare_incoming(desk, &offer);
    assert_eq!(target.answer(tag), Ok(ManagerReply::Prepared(Some(GuestId(1)))));
    let status = |source, peer: &str, percent| {
        Some(Status { source, peer: peer.into(), percent, doubtful: false })
    };
    source.port().0.status("rover", status(true, "t5220", 42));
    target.port().0.status("rover", status(false, "t5120", 40));
    let during = ["ldm list", "ldm list -o status rover", "ldm list -o status -p rover"];
    let mut text = String::new();
    let mut note = |what: &str, said: String| text.push_str(&format!("-- {what}\n{said}"));
    note("source", source.session(&during));
    note("target", target.session(&during));
    let lines = ["ldm stop -f rover", "ldm set-var a=b rover", "ldm rm-vds primary-vds0"];
    note("source", source.session(&lines));
    note("source", source.session(&["ldm migrate rover y", "ldm add-dom x", "ldm destroy x"]));
    let lines = ["ldm start rover", "ldm add-vds v primary", "ldm unbind rover"];
    note("target", target.session(&lines));
    source.hv.becomes(1, GuestState::Suspended);
    source.pump();
    note("source", source.session(&["ldm list rover"]));
    // The hypervisors move the state; then the target has it.
    target.later(SimTime::secs(15));
    target.hv.guests.get_mut(&1).unwrap().state = GuestState::Normal;
    target.hv.guests.get_mut(&1).unwrap().soft = Some((SoftState::Normal, "rover running"));
    let (mut port, desk) = target.port();
    let tag = port.activate(desk, "rover", 2);
    assert_eq!(target.answer(tag), Ok(ManagerReply::Done));
    let (mut port, desk) = source.port();
    let tag = port.release(desk, "rover");
    assert_eq!(source.answer(tag), Ok(ManagerReply::Done));
    for (server, id) in [(&mut source, Some(outgoing.command)), (&mut target, None)] {
        server.port().0.status("rover", None);
        if let Some(id) = id {
            server.ended(id, Ok(()));
            let reply = server.desk.replies.remove(&id).unwrap();
            assert_eq!(reply, sun4v::native::Reply::default());
        }
    }
    note("source", source.session(&["ldm list"]));
    note("target", target.session(&["ldm list", "ldm list -l rover"]));
    insta::assert_snapshot!(text);
    let uptime = target.out("ldm list -p rover");
    assert!(uptime.ends_with("uptime=78\n"), "it was started at second 2: {uptime}");
    // It keeps its channels; the services know them by other numbers, perhaps.
    let nets = target.changes.iter().filter(|change| matches!(change, Change::AttachNet { .. }));
    assert_eq!(nets.count(), 1);
    let gone = source.changes.iter().filter(|change| matches!(change, Change::Detach(_)));
    // Console, two disks, network, two sessions.
    assert_eq!(gone.count(), 6);
    // And it may come back.
    let (offer, _) = target.port().0.offer("rover").unwrap();
    assert_eq!(source.port().0.check_incoming(&offer), [""; 0]);
}

#[test]
fn a_migration_that_is_called_off_leaves_no_trace() {
    let (mut source, mut target) = (lab(), server("t5220", &[]));
    let before = target.out("ldm list");
    let outgoing = migrate(&mut source, "ldm migrate -p /root/t5220.password rover t5220:r2");
    let (mut offer, _) = source.port().0.offer("rover").unwrap();
    offer.new_name = outgoing.new_name.clone();
    let (mut port, desk) = target.port();
    let tag = port.prepare_incoming(desk, &offer);
    target.answer(tag).unwrap();
    assert!(target.out("ldm list").contains("r2               bound      -----t  5000"));
    // Its state was loaded already.
    target.hv.guests.get_mut(&1).unwrap().state = GuestState::Suspended;
    let (mut port, desk) = target.port();
    let tag = port.discard(desk, "r2");
    assert_eq!(target.answer(tag), Ok(ManagerReply::Done));
    assert_eq!(target.out("ldm list"), before);
    let (mut port, desk) = target.port();
    let tag = port.discard(desk, "primary");
    assert_eq!(target.answer(tag), Ok(ManagerReply::Done));
    assert_eq!(target.out("ldm list"), before);

    let cancel = source.types("ldm cancel-operation migration rover");
    let migration = outgoing.command;
    assert_eq!(source.manager.take_cancellations(), [Cancellation { command: cancel, migration }]);
    source.manager.cancellation_ended(&mut source.desk, cancel, Ok(()));
    let why = vec!["the migration was cancelled".to_owned()];
    source.ended(migration, Err(why));
    let reply = source.desk.replies.remove(&migration).unwrap();
    assert_eq!(reply.status, 1);
    assert_eq!(
        reply.stderr,
        "the migration was cancelled\nDomain Migration of LDom rover failed\n"
    );
    assert!(source.out("ldm list rover").contains("active     -n----"));
    source.out("ldm stop -f rover");
}

#[test]
fn domains_that_do_not_run_move_too() {
    let (mut source, mut target) = (server("t5120", &ROVER), server("t5220", &[]));
    for line in ["ldm add-domain spare", "ldm add-vcpu 4 spare", "ldm add-memory 1G spare"] {
        source.out(line);
    }
    source.out("ldm bind rover");
    for (name, kind) in [("spare", Kind::Inactive), ("rover", Kind::Bound)] {
        let line = format!("ldm migrate -p /root/t5220.password {name} t5220");
        let outgoing = migrate(&mut source, &line);
        let (offer, guest) = source.port().0.offer(name).unwrap();
        assert_eq!((offer.kind, guest), (kind, None));
        assert_eq!(target.port().0.check_incoming(&offer), [""; 0]);
        let (mut port, desk) = target.port();
        let tag = port.prepare_incoming(desk, &offer);
        assert_eq!(target.answer(tag), Ok(ManagerReply::Prepared(None)));
        let (mut port, desk) = target.port();
        let tag = port.activate(desk, name, 2);
        assert_eq!(target.answer(tag), Ok(ManagerReply::Done));
        let (mut port, desk) = source.port();
        let tag = port.release(desk, name);
        assert_eq!(source.answer(tag), Ok(ManagerReply::Done));
        source.ended(outgoing.command, Ok(()));
        source.desk.replies.remove(&outgoing.command);
    }
    let text = source.session(&["ldm list"]) + &target.session(&["ldm list", "ldm start rover"]);
    insta::assert_snapshot!(text);
}

/// Takes a domain from one to the other as a migration does.
fn carry(source: &mut Server, target: &mut Server, name: &str, new_name: &str) {
    let (mut offer, _) = source.port().0.offer(name).unwrap();
    assert_eq!(source.port().0.check_outgoing(name), [""; 0]);
    offer.new_name = (name != new_name).then(|| new_name.to_owned());
    assert_eq!(target.port().0.check_incoming(&offer), [""; 0]);
    let (mut port, desk) = target.port();
    let tag = port.prepare_incoming(desk, &offer);
    if let Ok(ManagerReply::Prepared(Some(guest))) = target.answer(tag) {
        let own = target.hv.guests.get_mut(&guest.0).unwrap();
        (own.state, own.soft) = (GuestState::Normal, Some((SoftState::Normal, "running")));
    }
    let (mut port, desk) = target.port();
    let tag = port.activate(desk, new_name, offer.epoch + 1);
    assert_eq!(target.answer(tag), Ok(ManagerReply::Done));
    let (mut port, desk) = source.port();
    let tag = port.release(desk, name);
    assert_eq!(source.answer(tag), Ok(ManagerReply::Done));
}

#[test]
fn two_domains_change_places_at_once_and_no_third_moves() {
    let (mut here, mut there) = (lab(), server("t5220", &[]));
    here.out("ldm add-domain third");
    for line in ["ldm add-domain venus", "ldm add-vcpu 2 venus", "ldm add-mem 256M venus"] {
        there.out(line);
    }
    there.out("ldm bind venus");
    there.out("ldm start venus");
    there.hv.says(1, SoftState::Normal, "venus running");
    there.out("ldm add-domain fourth");
    there.pump();
    let left = migrate(&mut here, "ldm migrate -p /root/t5220.password rover t5220");
    let right = migrate(&mut there, "ldm migrate -p /root/t5120.password venus t5120");
    let rover = here.port().0.offer("rover").unwrap().0;
    let venus = there.port().0.offer("venus").unwrap().0;
    let fourth = there.port().0.offer("fourth").unwrap().0;
    let status = |source, peer: &str| {
        Some(Status { source, peer: peer.into(), percent: 42, doubtful: false })
    };
    let mut text = String::new();
    for (server, peer, goes, comes) in
        [(&mut here, "t5220", "rover", &venus), (&mut there, "t5120", "venus", &rover)]
    {
        server.port().0.status(goes, status(true, peer));
        server.port().0.status(&comes.name, status(false, peer));
        assert_eq!(server.port().0.check_incoming(comes), [""; 0]);
        let (mut port, desk) = server.port();
        let tag = port.prepare_incoming(desk, comes);
        assert_eq!(server.answer(tag), Ok(ManagerReply::Prepared(Some(GuestId(2)))));
        text += &server.session(&["ldm list", "ldm list -o status rover venus"]);
    }
    text += &here.session(&["ldm migrate -p /root/t5220.password third t5220"]);
    text += &format!("{:?}\n", here.port().0.check_incoming(&fourth));
    for (server, comes, epoch) in [(&mut here, "venus", 2), (&mut there, "rover", 2)] {
        let own = server.hv.guests.get_mut(&2).unwrap();
        (own.state, own.soft) = (GuestState::Normal, Some((SoftState::Normal, "running")));
        let (mut port, desk) = server.port();
        let tag = port.activate(desk, comes, epoch);
        assert_eq!(server.answer(tag), Ok(ManagerReply::Done));
    }
    for (server, goes, comes, id) in
        [(&mut here, "rover", "venus", left.command), (&mut there, "venus", "rover", right.command)]
    {
        let (mut port, desk) = server.port();
        let tag = port.release(desk, goes);
        assert_eq!(server.answer(tag), Ok(ManagerReply::Done));
        server.port().0.status(goes, None);
        server.port().0.status(comes, None);
        server.ended(id, Ok(()));
        text += &server.session(&["ldm list"]);
    }
    insta::assert_snapshot!(text);
}

/// What a domain asks for and who it is, without its name and its console.
fn identity(server: &mut Server, name: &str) -> String {
    let mut text = server.out(&format!("ldm list-constraints -p {name}"));
    text += &server.out(&format!("ldm list -l -p {name}"));
    let wanted = ["UUID|", "MAC|", "HOSTID|", "VCPU|", "MAU|", "MEMORY|", "|", "VNET|", "VDISK|"];
    let own = |line: &&str| wanted.iter().any(|key| line.starts_with(key));
    let bindings = ["|vid=", "|ra=", "|cid=", "|id="];
    let kept = |line: &&str| own(line) && !bindings.iter().any(|key| line.starts_with(key));
    text.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

#[test]
fn whatever_its_state_a_domain_is_the_same_at_the_target_under_another_name() {
    let (mut source, mut target) = (lab(), server("t5220", &[]));
    // Its own concentrator has given the first port away already.
    for line in [
        "ldm add-vdsdev /net/nas/export/c.img cold0@primary-vds0",
        "ldm add-domain first",
        "ldm add-vcpu 1 first",
        "ldm add-mem 256M first",
        "ldm bind first",
    ] {
        target.out(line);
    }
    for line in [
        "ldm add-vdsdev /net/nas/export/c.img cold0@primary-vds0",
        "ldm add-domain mac-addr=00:14:4f:fc:00:07 cold",
        "ldm add-vcpu 12 cold",
        "ldm add-mem 1G cold",
        "ldm set-mau 2 cold",
        "ldm add-vdisk d cold0@primary-vds0 cold",
        "ldm add-vnet mac-addr=00:14:4f:fc:00:08 n primary-vsw0 cold",
        "ldm set-variable auto-boot?=false boot-device=/virtual-devices@100/d cold",
        "ldm set-vcons port=5050 group=ours cold",
        "ldm bind cold",
        "ldm add-domain raw",
        "ldm add-vcpu 64 raw",
        "ldm add-mem 12G raw",
        // Nobody looks at the disks of a domain that is not bound.
        "ldm add-vdsdev /net/nas/export/x.img only@primary-vds0",
        "ldm add-vdisk d only@primary-vds0 raw",
    ] {
        source.out(line);
    }
    let mut text = source.session(&["ldm list"]);
    for name in ["rover", "cold", "raw"] {
        let was = identity(&mut source, name);
        let new = format!("{name}-2");
        carry(&mut source, &mut target, name, &new);
        assert_eq!(identity(&mut target, &new), was, "{name}");
        assert!(was.contains("UUID|uuid=") && was.contains("HOSTID|hostid=0x84"), "{was}");
    }
    text += &source.session(&["ldm list"]);
    text += &target.session(&["ldm list", "ldm list -o console,crypto,domain cold-2"]);
    // Back again, under the old names, to a machine that has fewer units for it.
    source.out("ldm add-domain hog");
    source.out("ldm add-vcpu 36 hog");
    source.out("ldm set-mau 5 hog");
    source.out("ldm add-mem 256M hog");
    source.out("ldm bind hog");
    carry(&mut target, &mut source, "cold-2", "cold");
    text += &source.session(&["ldm list -o crypto cold", "ldm list-constraints -p cold"]);
    insta::assert_snapshot!(text);
}

#[test]
fn every_check_of_a_target_is_reported() {
    let mut source = lab();
    let (offer, _) = source.port().0.offer("rover").unwrap();
    let mut text = String::new();
    let mut note = |what: &str, target: &mut Server, offer: &_| {
        let problems = target.port().0.check_incoming(offer);
        text.push_str(&format!("-- {what}\n{}\n", problems.join("\n")));
    };
    note("nothing is there", &mut Server::new("t5220"), &offer);
    note("itself", &mut source, &offer);
    let other = Inventory { cpu: "SPARC-T3".into(), stick_hz: 1_000_000_000, ..inventory("t5220") };
    note("another chip", &mut Server::of(other), &offer);
    let mut full = server("t5220", &["ldm add-domain hog", "ldm add-vcpu 44 hog"]);
    full.out("ldm add-mem 12G hog");
    full.out("ldm set-mem 11776M hog");
    full.out("ldm bind hog");
    note("too little is free", &mut full, &offer);
    let mut taken = server("t5220", &["ldm set-vcc port-range=5000-5000 primary-vcc0"]);
    for line in ["ldm add-domain a", "ldm add-vcpu 1 a", "ldm add-mem 256M a"] {
        taken.out(line);
    }
    taken.out("ldm bind a");
    note("no console port", &mut taken, &offer);
    let mut odd = offer.clone();
    odd.new_name = Some("primary".into());
    note("a name that cannot be", &mut server("t5220", &[]), &odd);
    let mut odd = offer.clone();
    odd.memory[0].bytes += 8192;
    note("memory that does not agree", &mut server("t5220", &[]), &odd);
    let mut odd = offer.clone();
    odd.description.truncate(40);
    note("damage", &mut server("t5220", &[]), &odd);
    insta::assert_snapshot!(text);
}

#[test]
fn a_domain_that_may_not_leave_stays() {
    let mut source = server("t5120", &ROVER);
    source.out("ldm add-domain other");
    source.out("ldm set-mau 1 rover");
    let lines = [
        "ldm migrate -p /root/t5220.password ghost t5220",
        "ldm migrate -p /root/t5220.password primary t5220",
        "ldm migrate -p /root/t5220.password rover t5120",
        "ldm migrate rover t5220",
        "ldm migrate -p /nowhere rover t5220",
        "ldm migrate -n -p /root/empty rover t5220",
    ];
    let mut text = source.session(&lines);
    source.out("ldm bind rover");
    source.out("ldm start rover");
    text += &source.session(&["ldm migrate -p /root/t5220.password rover t5220"]);
    source.out("ldm stop -f rover");
    source.out("ldm set-mau 0 rover");
    source.out("ldm start rover");
    text += &source.session(&["ldm migrate -p /root/t5220.password rover t5220"]);
    source.hv.says(1, SoftState::Normal, "rover running");
    migrate(&mut source, "ldm migrate -p /root/t5220.password rover t5220");
    let lines = [
        "ldm migrate -p /root/t5220.password rover t5220",
        "ldm migrate -p /root/t5220.password other t5220",
    ];
    text += &source.session(&lines);
    insta::assert_snapshot!(text);
}

#[test]
fn a_domain_in_doubt_is_marked() {
    let mut source = lab();
    let doubt = Status { source: true, peer: "t5220".into(), percent: 98, doubtful: true };
    source.port().0.status("rover", Some(doubt));
    source.hv.becomes(1, GuestState::Suspended);
    source.pump();
    let lines = ["ldm list rover", "ldm list -o status -p rover", "ldm list -l -p rover"];
    let text = source.session(&lines);
    assert!(text.contains("suspended  -n---e"), "{text}");
    assert!(text.contains("|op=migration|progress=98|error=yes|target=t5220"), "{text}");
    assert!(text.contains("flags=normal,migration-error|"), "{text}");
}
