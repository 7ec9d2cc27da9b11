//! Every check that a migration must pass, and its sentence: the table of the book's
//! chapter on migration, whose rows are brought about here one by one.

use super::{ROVER, lab, migrate, server};
use crate::manager::testing::{Server, inventory};
use crate::manager::{Ldmd, Version};
use crate::migrate::port::{Manager, Offer, Status};
use std::fmt::Write as _;
use sun4v::hvctl::{GuestState, SoftState};
use sun4v::hvmd::Inventory;
use sun4v::vio::vdisk::Errno;

/// Who looks.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Target,
}
use Side::{Source, Target};

/// How a row is known.
enum Shown {
    /// Lines that this brings about; one of them is the row's.
    Here(fn() -> Vec<String>),
    /// A test of this name, in this file of the project, whose text is given.
    By(&'static str, &'static str, &'static str),
    /// There is nothing to check, for this reason.
    Absent(&'static str),
}
use Shown::{Absent, By, Here};

/// A row.
struct Check {
    what: &'static str,
    side: Side,
    /// Active, bound and inactive domains, as letters.
    kinds: &'static str,
    /// What the operator reads; `…` stands for anything.
    says: &'static str,
    shown: Shown,
}

const fn check(
    what: &'static str,
    side: Side,
    kinds: &'static str,
    says: &'static str,
    shown: Shown,
) -> Check {
    Check { what, side, kinds, says, shown }
}

const fn absent(what: &'static str, side: Side, why: &'static str) -> Check {
    Check { what, side, kinds: "", says: "", shown: Absent(why) }
}

const REFUSED: &str = include_str!("../../../../sim/tests/story/refused.rs");
const MIGRATE: &str = include_str!("../../migrate/test.rs");
const TAMPER: &str = include_str!("../../migrate/test/tamper.rs");

const CHECKS: &[Check] = &[
    check(
        "the domain is there",
        Source,
        "abi",
        "LDom \"ghost\" was not found",
        Here(|| types(&mut lab(), "ghost t5220")),
    ),
    check(
        "it is not the control domain",
        Source,
        "abi",
        "LDom primary is the control domain and cannot be migrated",
        Here(|| types(&mut lab(), "primary t5220")),
    ),
    check(
        "it does not move already, and nobody doubts whose it is",
        Source,
        "abi",
        "LDom rover is already being migrated",
        Here(|| {
            let mut source = lab();
            let peer = "t5220".to_owned();
            let status = Status { source: true, peer, percent: 98, doubtful: true };
            source.port().0.status("rover", Some(status));
            types(&mut source, "rover t5220")
        }),
    ),
    check(
        "no other domain leaves",
        Source,
        "abi",
        "A migration of LDom rover is in progress",
        Here(|| {
            let mut source = lab();
            source.out("ldm add-domain other");
            migrate(&mut source, "ldm migrate -p /root/t5220.password rover t5220");
            types(&mut source, "other t5220")
        }),
    ),
    check(
        "it is not starting or stopping",
        Source,
        "ab",
        "LDom rover is starting or stopping",
        Here(|| {
            let mut source = lab();
            source.hv.becomes(1, GuestState::Suspended);
            source.pump();
            types(&mut source, "rover t5220")
        }),
    ),
    check(
        "the target is another system",
        Source,
        "abi",
        "LDom rover cannot be migrated to the system that it is on",
        Here(|| types(&mut lab(), "rover t5120")),
    ),
    check(
        "the password file is there",
        Source,
        "abi",
        "Password file … cannot be opened",
        Here(|| vec![lab().err("ldm migrate -p /nowhere rover t5220")]),
    ),
    check(
        "it has a password",
        Source,
        "abi",
        "Password file … does not contain a password",
        Here(|| vec![lab().err("ldm migrate -p /root/empty rover t5220")]),
    ),
    check(
        "there is a password file, for nobody can be asked",
        Source,
        "abi",
        "Target Password: there is no terminal to ask at; use -p",
        Here(|| vec![lab().err("ldm migrate rover t5220")]),
    ),
    check(
        "domains may leave",
        Source,
        "abi",
        "Outgoing migrations are disabled on the source system",
        Here(|| closed_source(Ldmd { outgoing_migration_enabled: false, ..Ldmd::default() })),
    ),
    check(
        "the manager talks to others",
        Source,
        "abi",
        "The XMPP interface is disabled on the source system",
        Here(|| closed_source(Ldmd { xmpp_enabled: false, ..Ldmd::default() })),
    ),
    check(
        "its system can let go of crypto units",
        Source,
        "a",
        "LDom rover has crypto units and does not support removing them dynamically",
        Here(|| {
            let mut source = server("t5120", &ROVER);
            source.out("ldm set-mau 1 rover");
            source.out("ldm bind rover");
            source.out("ldm start rover");
            types(&mut source, "rover t5220")
        }),
    ),
    check(
        "its system runs, or it has one virtual CPU",
        Source,
        "a",
        "LDom rover is not running an operating system that supports migration",
        Here(|| {
            let mut source = lab();
            source.hv.says(1, SoftState::Transition, "OpenBoot Running");
            source.pump();
            types(&mut source, "rover t5220")
        }),
    ),
    check(
        "the target's name is known",
        Source,
        "abi",
        "Unknown host: …",
        By("sim/tests/story/refused.rs", "a_host_that_nobody_knows_is_named", REFUSED),
    ),
    check(
        "the target answers",
        Source,
        "abi",
        "Failed to connect to …",
        By("sim/tests/story/refused.rs", "a_host_that_does_not_answer_is_given_up", REFUSED),
    ),
    check(
        "the password is the target's",
        Source,
        "abi",
        "authentication failed: is the password right?",
        By("ldm/src/migrate/test.rs", "a_wrong_password_gets_nowhere", MIGRATE),
    ),
    check(
        "both speak one version of the protocol",
        Source,
        "abi",
        "the other end speaks another version of the protocol",
        By(
            "ldm/src/migrate/test/tamper.rs",
            "whatever_is_done_to_a_stream_the_source_runs_on_and_says_why",
            TAMPER,
        ),
    ),
    check(
        "the target knows its machine",
        Target,
        "abi",
        "The manager of the target does not know its machine yet",
        Here(|| {
            let settings = lab().manager.settings().clone();
            let fresh = crate::manager::Manager::new(inventory("t5220"), settings);
            fresh.check(&offer())
        }),
    ),
    check(
        "domains may come",
        Target,
        "abi",
        "Incoming migrations are disabled on the target system",
        Here(|| closed_target(Ldmd { incoming_migration_enabled: false, ..Ldmd::default() })),
    ),
    check(
        "the target's manager talks to others",
        Target,
        "abi",
        "The XMPP interface is disabled on the target system",
        Here(|| closed_target(Ldmd { xmpp_enabled: false, ..Ldmd::default() })),
    ),
    check(
        "the managers are of one release or of two that follow each other",
        Target,
        "abi",
        "The manager of the source, version 2.1, is not compatible with that of the target, \
         version 1.3",
        Here(|| closed_target(Ldmd { version: Version(1, 3), ..Ldmd::default() })),
    ),
    check(
        "no other domain comes",
        Target,
        "abi",
        "Another domain, LDom mars, is being migrated to this system",
        Here(|| {
            let mut target = server("t5220", &[]);
            let peer = "t5120".to_owned();
            let status = Status { source: false, peer, percent: 3, doubtful: false };
            target.port().0.status("mars", Some(status));
            checked(&mut target, &offer())
        }),
    ),
    check(
        "what is said of the domain can be",
        Target,
        "abi",
        "The description of the domain is refused: its name cannot be",
        Here(|| {
            let offer = Offer { new_name: Some("primary".into()), ..offer() };
            checked(&mut server("t5220", &[]), &offer)
        }),
    ),
    check(
        "the target has not had it at that epoch",
        Target,
        "abi",
        "LDom rover is offered at epoch 1, and this system has had it at epoch …: what is offered \
         is old",
        By("ldm/src/migrate/test.rs", "a_domain_that_the_target_has_had_since_is_refused", MIGRATE),
    ),
    check(
        "its name is free",
        Target,
        "abi",
        "LDom rover already exists on the target system",
        Here(|| checked(&mut server("t5220", &["ldm add-domain rover"]), &offer())),
    ),
    check(
        "the CPU type is the same",
        Target,
        "a",
        "The CPU type of the source, SUNW,UltraSPARC-T2, is not that of the target, SPARC-T3",
        Here(|| {
            let other = Inventory { cpu: "SPARC-T3".into(), ..inventory("t5220") };
            checked(&mut Server::of(other), &offer())
        }),
    ),
    check(
        "the STICK frequency is the same",
        Target,
        "a",
        "The STICK frequency of the source, … Hz, is not that of the target, 1415000000 Hz",
        Here(|| {
            let other = Inventory { stick_hz: 1_415_000_000, ..inventory("t5220") };
            checked(&mut Server::of(other), &offer())
        }),
    ),
    check(
        "its MAC addresses are free",
        Target,
        "abi",
        "MAC address 00:14:4f:… is already in use on the target system",
        Here(itself),
    ),
    check(
        "its UUID is free",
        Target,
        "abi",
        "UUID … is already in use on the target system",
        Here(itself),
    ),
    check(
        "its host id is free",
        Target,
        "abi",
        "Host ID 0x84… is that of LDom rover",
        Here(itself),
    ),
    check(
        "there are as many free virtual CPUs",
        Target,
        "ab",
        "Insufficient vCPUs: LDom rover needs 8, 4 are free",
        Here(|| checked(&mut full(), &offer())),
    ),
    check(
        "there is as much free memory",
        Target,
        "b",
        "Insufficient memory: LDom rover needs 512M, … is free",
        Here(|| checked(&mut full(), &bound_offer())),
    ),
    check(
        "its memory fits block by block, at its real addresses, each congruent with the physical \
         one modulo 256 MB",
        Target,
        "a",
        "Free memory layout and congruency requirements prevent binding the memory block with PA \
         …, RA 0x8000000, and size 512M",
        Here(|| {
            // Many blocks of 256 MB are free, none behind another.
            let mut target = server("t5220", &[]);
            let mut gaps = Vec::new();
            for n in 0..48 {
                let lines = [
                    format!("ldm add-domain a{n}"),
                    format!("ldm add-vcpu 1 a{n}"),
                    format!("ldm add-mem 256M a{n}"),
                    format!("ldm bind a{n}"),
                ];
                if lines.iter().any(|line| target.run(line).status != 0) {
                    break;
                }
                gaps.push(n);
            }
            for n in gaps.iter().filter(|n| **n % 2 == 1) {
                target.out(&format!("ldm unbind a{n}"));
            }
            checked(&mut target, &offer())
        }),
    ),
    check(
        "its volumes are offered, by the same names",
        Target,
        "ab",
        "Virtual disk vdisk0: volume rover0@primary-vds0 does not exist",
        Here(|| checked(&mut Server::new("t5220"), &offer())),
    ),
    check(
        "no other bound domain has them",
        Target,
        "ab",
        "Virtual disk vdisk0: volume rover0@primary-vds0 is attached to LDom mars",
        Here(|| {
            let lines = [
                "ldm add-domain mars",
                "ldm add-vcpu 1 mars",
                "ldm add-mem 256M mars",
                "ldm add-vdisk d rover0@primary-vds0 mars",
                "ldm bind mars",
            ];
            checked(&mut server("t5220", &lines), &offer())
        }),
    ),
    check(
        "they can be opened there",
        Target,
        "ab",
        "Virtual disk vdisk1: volume rover1@primary-vds0: /net/nas/export/rover1.img cannot be \
         opened: ENOENT",
        Here(|| {
            let (mut target, offer) = (server("t5220", &[]), offer());
            target.port().0.look(&offer);
            let places = target.manager.take_looks();
            assert_eq!(places, ["/net/nas/export/rover0.img", "/net/nas/export/rover1.img"]);
            target.manager.looked(&places[0], Ok(()));
            target.manager.looked(&places[1], Err(Errno::NoEnt));
            let said = checked(&mut target, &offer);
            assert_eq!(said.len(), 1, "{said:?}");
            said
        }),
    ),
    check(
        "whoever keeps them answers",
        Target,
        "ab",
        "Virtual disk vdisk0: volume rover0@primary-vds0: /net/nas/export/rover0.img cannot be \
         opened: it does not answer",
        Here(|| {
            let (mut target, offer) = (server("t5220", &[]), offer());
            target.port().0.look(&offer);
            checked(&mut target, &offer)
        }),
    ),
    check(
        "its virtual switches are there, by the same names",
        Target,
        "ab",
        "Virtual network vnet0: virtual switch primary-vsw0 does not exist",
        Here(|| checked(&mut Server::new("t5220"), &offer())),
    ),
    check(
        "there is a console concentrator",
        Target,
        "ab",
        "No virtual console concentrator is available for the console of LDom rover",
        Here(|| checked(&mut Server::new("t5220"), &offer())),
    ),
    check(
        "it has a free port",
        Target,
        "ab",
        "No port is available for the console of LDom rover",
        Here(|| {
            let lines = [
                "ldm set-vcc port-range=5000-5000 primary-vcc0",
                "ldm add-domain a",
                "ldm add-vcpu 1 a",
                "ldm add-mem 256M a",
                "ldm bind a",
            ];
            checked(&mut server("t5220", &lines), &offer())
        }),
    ),
    absent("firmware features", Target, "both chassis have one firmware"),
    absent("whole cores", Target, "domains have strands; `-c` is not offered"),
    absent("physical I/O", Source, "only the control domain has any"),
    absent("services that it offers", Source, "only the control domain offers any"),
    absent("hybrid network mode", Target, "there is none"),
    absent("a third machine with its MAC address", Target, "managers do not ask around"),
    absent("a delayed reconfiguration", Source, "none can be begun by a command"),
    absent(
        "a change of its memory under way",
        Source,
        "memory of a running domain does not change",
    ),
    absent("the power policy", Source, "there is none"),
    absent("resource policies", Source, "there are none"),
    absent("masters that the target lacks", Target, "no reason to refuse: they are left out"),
];

/// Types a migration that is refused at once; its lines.
fn types(source: &mut Server, what: &str) -> Vec<String> {
    let said = source.err(&format!("ldm migrate -p /root/t5220.password {what}"));
    said.lines().map(str::to_owned).collect()
}

fn offer() -> Offer {
    lab().port().0.offer("rover").unwrap().0
}

fn bound_offer() -> Offer {
    let mut source = server("t5120", &ROVER);
    source.out("ldm bind rover");
    source.port().0.offer("rover").unwrap().0
}

fn checked(target: &mut Server, offer: &Offer) -> Vec<String> {
    target.port().0.check_incoming(offer)
}

fn itself() -> Vec<String> {
    let mut source = lab();
    let offer = source.port().0.offer("rover").unwrap().0;
    checked(&mut source, &offer)
}

fn closed_source(ldmd: Ldmd) -> Vec<String> {
    let mut source = Server::with(inventory("t5120"), ldmd);
    source.out("ldm add-domain rover");
    types(&mut source, "rover t5220")
}

fn closed_target(ldmd: Ldmd) -> Vec<String> {
    checked(&mut Server::with(inventory("t5220"), ldmd), &offer())
}

/// Four strands and little memory are free.
fn full() -> Server {
    let mut full = server("t5220", &["ldm add-domain hog", "ldm add-vcpu 44 hog"]);
    full.out("ldm add-mem 11776M hog");
    full.out("ldm bind hog");
    full
}

fn matches(pattern: &str, line: &str) -> bool {
    let mut rest = line;
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(behind) = rest.strip_prefix(first) else { return false };
    rest = behind;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || pattern.ends_with('…')
}

#[test]
fn every_check_says_its_sentence() {
    for check in CHECKS {
        match &check.shown {
            Here(brings) => {
                let said = brings();
                let lines: Vec<&str> = said.iter().flat_map(|said| said.lines()).collect();
                let there = lines.iter().any(|line| matches(check.says, line));
                assert!(there, "{}: {lines:#?}", check.what);
            }
            By(_, test, text) => assert!(text.contains(&format!("fn {test}(")), "{test}"),
            Absent(_) => {}
        }
    }
}

/// The table, as the book has it.
fn table() -> String {
    let mut text = String::from(
        "| who looks | what must hold | active | bound | inactive | else |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    let rows = |absent| CHECKS.iter().filter(move |row| matches!(row.shown, Absent(_)) == absent);
    for row in rows(false) {
        let side = match row.side {
            Source => "source",
            Target => "target",
        };
        let [active, bound, inactive] =
            ['a', 'b', 'i'].map(|kind| if row.kinds.contains(kind) { "✓" } else { "" });
        let by = match row.shown {
            By(file, test, _) => format!(" ({file}, `{test}`)"),
            _ => String::new(),
        };
        let (what, says) = (row.what, row.says);
        writeln!(text, "| {side} | {what} | {active} | {bound} | {inactive} | {says}{by} |")
            .unwrap();
    }
    text += "\nNot checked, for there is nothing to check:\n\n| what | because |\n| --- | --- |\n";
    for row in rows(true) {
        if let Absent(why) = row.shown {
            writeln!(text, "| {} | {why} |", row.what).unwrap();
        }
    }
    text
}

#[test]
fn the_book_has_this_table() {
    let book = include_str!("../../../../book/src/migration.md");
    let table = table();
    assert!(book.contains(&table), "the chapter on migration must have:\n{table}");
}

/// Nothing is checked in vain at a dry run: both ends say all they have, at once.
#[test]
fn a_dry_run_goes_on_to_the_target_whatever_the_source_says() {
    let ldmd = Ldmd { outgoing_migration_enabled: false, xmpp_enabled: false, ..Ldmd::default() };
    let mut source = Server::with(inventory("t5120"), ldmd);
    source.out("ldm add-domain rover");
    let outgoing = migrate(&mut source, "ldm migrate -n -p /root/t5220.password rover t5220");
    assert!(outgoing.check_only);
    let said = source.port().0.check_outgoing("rover");
    assert_eq!(said.len(), 2, "{said:?}");
}
