//! Control domains whose software begins again, and records that were altered.

use super::{ControlV1, recall, seal};
use crate::control::ControlDomain;
use crate::control::testing::{World, entry};
use crate::manager::domain::{Device, Disk, Net};
use crate::manager::record::MeterV1;
use crate::migrate::journal::{EntryV1, State, Store};
use crate::migrate::mutant::{Mutant, with};
use crate::service::vds::record::WriteV1;
use serde_json::{Value, json};
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hvctl::{Request, SoftState};
use sun4v::id::{CoreId, GuestId, LdcId, STRANDS, StrandId};
use sun4v::ldc::{Stype, Version};
use sun4v::native::{Event, Program};
use sun4v::record::{LoadError, decode};
use sun4v::time::SimTime;
use sun4v::vio::{DeviceClass, Ver};
use zerocopy::IntoBytes;

const LISTS: [&str; 8] = [
    "ldm list",
    "ldm list -l",
    "ldm list -l -p",
    "ldm list-bindings",
    "ldm list-bindings -p",
    "ldm list-services -p",
    "ldm list-constraints -p",
    "ldm list-devices -a -p core cpu crypto memory io",
];

/// A server with `rover` up, `spare` bound, and `raw`.
fn lab() -> World {
    let mut world = World::new();
    world.out(&[
        "ldm add-vds primary-vds0 primary",
        "ldm add-vdsdev /net/nas/export/rover0.img rover0@primary-vds0",
        "ldm add-vdsdev options=ro,slice mpgroup=g /net/nas/export/r.img r@primary-vds0",
        "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
        "ldm add-vcc port-range=6000-6001 vcc1 primary",
        "ldm add-vsw net-dev=e1000g0 primary-vsw0 primary",
        "ldm add-vsw vid=5,6 vsw1 primary",
        "ldm add-domain rover",
        "ldm add-vcpu 8 rover",
        "ldm add-memory 512M rover",
        "ldm add-crypto 1 rover",
        "ldm add-vdisk timeout=7 vdisk0 rover0@primary-vds0 rover",
        "ldm add-vnet vid=5 vnet0 primary-vsw0 rover",
        "ldm set-variable ip-address=192.168.1.50 rover",
        "ldm add-domain master=rover spare",
        "ldm add-vcpu 3 spare",
        "ldm add-memory 100M spare",
        "ldm add-domain gone",
        "ldm add-vnet vnet0 vsw1 gone",
        "ldm destroy gone",
        "ldm add-domain raw",
        "ldm bind rover",
        "ldm bind spare",
        "ldm start rover",
    ]);
    world.hv.says(1, SoftState::Normal, "rover running");
    world.board.now = SimTime::secs(90);
    world.run();
    world
}

/// The guest's end of a device of `rover`.
fn end(world: &World, device: &Device) -> (u16, u16) {
    let record = record(world);
    let given = record.manager.model.domains[1].given.clone().unwrap();
    let link = given.links.iter().find(|link| link.device == *device).unwrap();
    (link.guest.0, link.service.0)
}

fn record(world: &World) -> ControlV1 {
    let bytes = world.program.save().unwrap();
    decode(&mut bytes.as_slice()).unwrap()
}

/// A record in which every list has something.
fn full(world: &World) -> ControlV1 {
    let mut record = record(world);
    record.migrations = 3;
    let disk = &mut record.disks[0];
    disk.lost = Some(5);
    for offset in [512, 8192] {
        disk.writes.push(WriteV1 { offset, life: 77, data: vec![1, 2, 3] });
    }
    record.consoles[0].line = b"login".to_vec();
    record.consoles[0].typed = vec![65, 0x100, 0x101];
    record.manager.runs[1].strands = vec![(StrandId(16), 4), (StrandId(17), 5)];
    record.manager.runs[1].util = Some(9);
    record.manager.doubt = Some(record.manager.model.clone());
    record.manager.meter = MeterV1 { at: 5, busy: vec![1, 2], vcpus: vec![3, 4] };
    recall(&world.conf, record.clone()).map(drop).unwrap();
    record
}

fn control(sid: u32) -> Ver {
    Ver::new(Stype::Info, sid, Version { major: 1, minor: 1 }, DeviceClass::Disk)
}

#[test]
fn everything_is_there_again_and_guests_see_their_channels_reset() {
    let mut world = lab();
    let (disk, _) = end(&world, &Device::Disk("vdisk0".into()));
    let (net, _) = end(&world, &Device::Net("vnet0".into()));
    let (disk, net) = (world.opens(1, disk), world.opens(1, net));
    assert_eq!(world.ask(disk, control(7).as_bytes())[0][1], Stype::Ack.code());
    let hello = std::mem::take(&mut world.far[net].got);
    assert_eq!(hello.len(), 1, "the switch proposes a version");
    let before = world.out(&LISTS);
    let lines = world.board.domains[0].lines.len();

    for restarts in 0..3 {
        let saved: ControlV1 = decode(&mut world.restart().as_slice()).unwrap();
        assert_eq!(saved.restarts, restarts);
        world.run();
        assert_eq!(world.out(&LISTS), before);
        let quiet =
            |own: &Request| matches!(own, Request::GetHvConfig | Request::GetResStat { .. });
        assert!(world.hv.requests.iter().all(quiet), "{:?}", world.hv.requests);
        // Nothing but that has changed.
        assert_eq!(record(&world), ControlV1 { restarts: restarts + 1, ..saved });
        let life = restarts as usize + 1;
        for far in [disk, net] {
            assert_eq!((world.far[far].ups, world.far[far].downs), (life + 1, life));
        }
        assert_eq!(world.ask(disk, control(7).as_bytes())[0][1], Stype::Ack.code());
        assert_eq!(std::mem::take(&mut world.far[net].got).len(), 1);
    }
    assert_eq!(world.board.domains[0].lines.len(), lines, "{:?}", world.board.domains[0].lines);
    world.out(&[
        "ldm add-vcpu 2 primary",
        "ldm stop -f rover",
        "ldm unbind rover",
        "ldm set-memory 1G rover",
        "ldm bind rover",
        "ldm start rover",
        "ldm stop -f rover",
        "ldm unbind rover",
        "ldm destroy rover",
    ]);
}

#[test]
fn an_operator_who_is_there_at_once_is_answered_when_all_is_known() {
    let mut world = lab();
    let before = world.out(&["ldm list -p"]);
    world.restart();
    assert_eq!(world.out(&["ldm list -p"]), before);
    // Not so one whose answer would be lost.
    world.event(Event::Command { id: 99, line: "ldm stop -f rover".into() });
    assert_eq!(world.program.save(), Err("an ldm command is in progress".to_owned()));
    world.run();
    world.program.save().unwrap();
    let never = ControlDomain::new(world.conf.clone());
    assert_eq!(never.save(), Err("the control domain's software does not run".to_owned()));
}

#[test]
fn disks_and_consoles_go_on_from_what_they_had() {
    let mut world = lab();
    let record = full(&world);
    let bytes = seal(&record);
    world.program = ControlDomain::restored(world.conf.clone(), &bytes).unwrap();
    world.event(Event::Restarted);
    world.run();
    let after = self::record(&world);
    assert_eq!((&after.disks, &after.consoles), (&record.disks, &record.consoles));
    assert_eq!((after.migrations, after.restarts), (record.migrations, record.restarts + 1));
    // What `spare` says of itself was never asked before.
    let mut asked = record.manager;
    asked.runs[2].soft = Some((2, String::new()));
    // The hypervisor has said which of the two it holds.
    asked.doubt = None;
    assert_eq!(after.manager, asked);
}

/// Every value of a record but the containers: where it is.
fn leaves(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Array(all) if !all.is_empty() => {
            out.push(at.to_owned());
            for (n, one) in all.iter().enumerate() {
                leaves(one, &format!("{at}/{n}"), out);
            }
        }
        Value::Object(all) => {
            all.iter().for_each(|(name, one)| leaves(one, &format!("{at}/{name}"), out));
        }
        _ => out.push(at.to_owned()),
    }
}

/// Other values of a place.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![
            0.into(),
            "x".into(),
            json!([1, "x"]),
            json!({"group": "g", "service": "s", "port": 1}),
            json!({"guest": 9, "strands": [40], "memory": [], "crypto": [], "links": [],
                "console": null}),
        ],
        Value::Bool(own) => vec![(!own).into(), Value::Null],
        Value::Number(own) => {
            let own = own.as_u64().unwrap();
            let near = [own.wrapping_add(1), own.wrapping_sub(1), own ^ 1 << 13, u64::MAX];
            near.map(Value::from).into_iter().chain([Value::Null]).collect()
        }
        Value::String(own) => {
            let texts = [&format!("{own}x"), "", "|\n", "Panic"].map(Value::from);
            texts.into_iter().chain([json!({"Disk": "x"}), Value::Null]).collect()
        }
        Value::Array(own) if own.is_empty() => vec![json!([1]), json!(["x"])],
        Value::Array(own) => {
            let (mut less, mut more, mut turned) = (own.clone(), own.clone(), own.clone());
            less.pop();
            more.push(own[0].clone());
            turned.reverse();
            vec![less.into(), more.into(), turned.into()]
        }
        Value::Object(_) => Vec::new(),
    }
}

#[test]
fn whatever_is_altered_is_refused_or_remembered() {
    let world = lab();
    let record = full(&world);
    let value = serde_json::to_value(&record).unwrap();
    let mut places = Vec::new();
    leaves(&value, "", &mut places);
    let (mut refused, mut remembered) = (0, 0);
    for place in &places {
        let mut met = false;
        for other in others(value.pointer(place).unwrap()) {
            let mut altered = value.clone();
            *altered.pointer_mut(place).unwrap() = other.clone();
            let Ok(altered) = serde_json::from_value::<ControlV1>(altered) else { continue };
            if altered == record {
                continue;
            }
            met = true;
            let bytes = seal(&altered);
            match ControlDomain::restored(world.conf.clone(), &bytes) {
                Err(LoadError::Inconsistent { .. }) => refused += 1,
                Err(other) => panic!("{place}: {other}"),
                Ok(program) => {
                    remembered += 1;
                    assert_eq!(program.save(), Ok(bytes), "{place}: {other}");
                }
            }
        }
        // What is in a list is met one by one.
        let list = value.pointer(place).unwrap().is_array();
        assert!(met || list, "{place} has no other value");
    }
    assert!(places.len() > 200 && refused > 200 && remembered > 100, "{refused} {remembered}");
}

type Rule = (&'static str, fn(&mut ControlV1));

/// What a record may not say, and how it is made to say it. Domains are `primary`,
/// `rover`, `spare`, `raw`.
const RULES: [Rule; 73] = [
    ("the control domain of another chassis", |r| r.host.push('0')),
    ("a count near its end", |r| r.restarts = 1 << 63),
    ("a count near its end", |r| r.migrations = 1 << 63),
    ("a count of drawn numbers near its end", |r| r.manager.drawn = 1 << 63),
    ("a count of drawn numbers near its end", |r| r.manager.model.drawn = 1 << 63),
    ("an address that came back twice", |r| {
        let mac = r.manager.model.freed[0];
        r.manager.model.freed.push(mac);
    }),
    ("an address that came back of no pool", |r| r.manager.model.freed[0][3] = 0xfc),
    ("a service's name", |r| r.manager.model.switches[1].name = "-".into()),
    ("a service twice", |r| r.manager.model.switches[1].name = "vcc1".into()),
    ("a switch's number twice", |r| r.manager.model.switches[1].id = 0),
    ("a TCP port of two concentrators", |r| r.manager.model.concentrators[1].ports.0 = 5100),
    ("a volume twice", |r| r.manager.model.servers[0].volumes[1].name = "rover0".into()),
    ("a volume's name", |r| r.manager.model.servers[0].volumes[1].name = "|".into()),
    ("what is behind a volume", |r| r.manager.model.servers[0].volumes[1].backend.clear()),
    ("a volume's options", |r| r.manager.model.servers[0].volumes[1].options.reverse()),
    ("a volume's options", |r| {
        r.manager.model.servers[0].volumes[1].options.push("fast".into());
    }),
    ("a switch's properties", |r| r.manager.model.switches[0].id = 128),
    ("a switch's properties", |r| r.manager.model.switches[0].mtu = 60),
    ("a switch's properties", |r| r.manager.model.switches[0].vids.push(4095)),
    ("a switch's properties", |r| r.manager.model.switches[0].default_vlan = 0),
    ("a switch's address", |r| r.manager.model.switches[0].mac[0] |= 1),
    ("a concentrator's TCP ports", |r| r.manager.model.concentrators[1].ports = (7, 6)),
    ("a domain's name", |r| r.manager.model.domains[3].name = "a b".into()),
    ("a domain twice", |r| r.manager.model.domains[3].name = "spare".into()),
    ("a UUID", |r| r.manager.model.domains[3].uuid.make_ascii_uppercase()),
    ("a UUID twice", |r| {
        r.manager.model.domains[3].uuid = r.manager.model.domains[2].uuid.clone();
    }),
    ("a domain's address", |r| r.manager.model.domains[3].mac[0] |= 1),
    ("an address twice", |r| r.manager.model.domains[3].mac = r.manager.model.domains[2].mac),
    ("no control domain at the front", |r| r.manager.model.domains.swap(0, 1)),
    ("the address of another chassis", |r| r.manager.model.domains[0].mac[5] ^= 2),
    ("the control domain's host id", |r| r.manager.model.domains[0].hostid ^= 1),
    ("a control domain that is another guest", |r| given(r, 0).guest = GuestId(9)),
    ("a master that is not there", |r| {
        r.manager.model.domains[3].masters.push("ghost".into());
    }),
    ("a domain that depends on itself", |r| {
        r.manager.model.domains[1].masters.push("spare".into());
    }),
    ("what a domain asks for", |r| r.manager.model.domains[3].wish.vcpus = u64::MAX),
    ("a virtual disk twice", |r| {
        let mut disk = r.manager.model.domains[1].wish.disks[0].clone();
        disk.id = 9;
        r.manager.model.domains[1].wish.disks.push(disk);
    }),
    ("a virtual network interface twice", |r| {
        let mut net = r.manager.model.domains[1].wish.nets[0].clone();
        (net.id, net.mac) = (9, [0, 0x14, 0x4f, 0xf8, 9, 9]);
        r.manager.model.domains[1].wish.nets.push(net);
    }),
    ("a control domain that is its own client", |r| {
        let disk: Disk = r.manager.model.domains[1].wish.disks[0].clone();
        r.manager.model.domains[0].wish.disks.push(disk);
    }),
    ("a guest's number", |r| given(r, 2).guest = GuestId(64)),
    ("a domain's virtual CPUs", |r| r.manager.model.domains[2].wish.vcpus = 4),
    ("a strand outside the machine", |r| given(r, 2).strands[0] = StrandId(64)),
    ("the layout of a domain's memory", |r| given(r, 2).memory.clear()),
    ("the layout of a domain's memory", |r| given(r, 2).memory[0].size = 100),
    ("memory that is not congruent", |r| given(r, 2).memory[0].pa.0 += 8192),
    ("memory outside the machine", |r| given(r, 2).memory[0].pa.0 += 16 << 30),
    ("memory of the hypervisor", |r| {
        let block = RealRange { ra: Ra(0x1000_0000), pa: Pa(0), size: 100 << 20 };
        given(r, 2).memory = vec![block];
    }),
    ("the size of a domain's memory", |r| r.manager.model.domains[2].wish.memory = 64 << 20),
    ("crypto units out of order", |r| given(r, 0).crypto.reverse()),
    ("a crypto unit of a core of others", |r| given(r, 0).crypto[1] = CoreId(7)),
    ("a domain's crypto units", |r| r.manager.model.domains[1].wish.crypto = 0),
    ("a domain's crypto units", |r| given(r, 0).crypto.truncate(1)),
    ("a domain's channels", |r| given(r, 1).links.swap(0, 1)),
    ("a channel's number", |r| given(r, 1).links[0].guest = LdcId(256)),
    ("a domain's channel twice", |r| given(r, 1).links[0].guest = given(r, 1).links[1].guest),
    ("a device without its service", |r| {
        let net: &mut Net = &mut r.manager.model.domains[1].wish.nets[0];
        net.switch = "vsw9".into();
    }),
    ("a domain without a console", |r| given(r, 2).console = None),
    ("a console of the control domain", |r| given(r, 0).console = given(r, 2).console.clone()),
    ("a console of no concentrator", |r| console(r).service = "vcc9".into()),
    ("a console's TCP port", |r| console(r).port = 6001),
    ("a console's group", |r| console(r).group = "|".into()),
    ("a guest of two domains", |r| given(r, 2).guest = GuestId(1)),
    ("a strand that is given twice", |r| given(r, 2).strands[0] = StrandId(16)),
    ("a crypto unit that is given twice", |r| {
        given(r, 2).strands = [20, 21, 22].map(StrandId).to_vec();
        given(r, 1).strands = [16, 17, 18, 19, 24, 25, 26, 27].map(StrandId).to_vec();
        given(r, 2).crypto = given(r, 1).crypto.clone();
        r.manager.model.domains[2].wish.crypto = 1;
    }),
    ("memory that is given twice", |r| given(r, 2).memory[0].pa = given(r, 1).memory[0].pa),
    ("the number of a service's channel", |r| {
        r.consoles.clear();
        given(r, 2).links[0].service = LdcId(256);
    }),
    ("a service's channel twice", |r| {
        r.consoles.clear();
        given(r, 2).links[0].service = given(r, 1).links[2].service;
    }),
    ("a TCP port of two console groups", |r| console(r).port = 5000),
    ("states of other guests than are bound", |r| drop(r.manager.runs.pop())),
    ("no such state of a guest", |r| r.manager.runs[1].state = 99),
    ("a control domain that does not run", |r| r.manager.runs[0].state = 0),
    ("no such soft state", |r| r.manager.runs[1].soft = Some((9, "x".into()))),
    ("the text of a soft state", |r| r.manager.runs[1].soft = Some((1, "x".repeat(33)))),
    ("the text of a soft state", |r| r.manager.runs[1].soft = Some((1, "a|b".into()))),
];

/// The same, of figures and of services' ports.
const MORE_RULES: [Rule; 18] = [
    ("more than the whole of a guest's time", |r| r.manager.runs[1].util = Some(1001)),
    ("strands out of order", |r| r.manager.runs[1].strands.reverse()),
    ("the share of a strand", |r| r.manager.runs[1].strands[1].0 = StrandId(64)),
    ("the share of a strand", |r| r.manager.runs[1].strands[0].1 = 1001),
    ("figures of the control domain", |r| r.manager.meter.busy.push(1)),
    ("figures of the control domain", |r| {
        r.manager.meter.busy = vec![0; STRANDS + 1];
        r.manager.meter.vcpus = vec![0; STRANDS + 1];
    }),
    ("more than the whole of a strand's time", |r| r.manager.meter.vcpus[0] = 1001),
    ("disks out of order", |r| {
        let disk = r.disks[0].clone();
        r.disks.push(disk);
    }),
    ("a disk at a channel of no disk", |r| r.disks[0].channel = LdcId(0)),
    ("consoles out of order", |r| r.consoles.reverse()),
    ("a console at a channel of no console", |r| r.consoles[0].channel = LdcId(0)),
    ("no such error number", |r| r.disks[0].lost = Some(9999)),
    ("a write of no bytes, or behind the last one", |r| r.disks[0].writes[0].data.clear()),
    ("a write of no bytes, or behind the last one", |r| r.disks[0].writes[0].offset = u64::MAX),
    ("a line that has ended", |r| r.consoles[0].line.push(b'\n')),
    ("a line that has ended", |r| r.consoles[0].line = vec![b'x'; 1025]),
    ("more was typed than a console takes", |r| r.consoles[0].typed = vec![65; 4097]),
    ("console input that is no character", |r| r.consoles[0].typed.push(0x102)),
];

fn given(record: &mut ControlV1, domain: usize) -> &mut crate::manager::record::GivenV1 {
    record.manager.model.domains[domain].given.as_mut().unwrap()
}

fn console(record: &mut ControlV1) -> &mut crate::manager::record::ConsoleV1 {
    given(record, 2).console.as_mut().unwrap()
}

#[test]
fn every_rule_is_kept() {
    let world = lab();
    let record = full(&world);
    for (n, (why, alter)) in RULES.iter().chain(&MORE_RULES).enumerate() {
        let mut altered = record.clone();
        alter(&mut altered);
        let broken = recall(&world.conf, altered).map(drop);
        assert_eq!(broken, Err(*why), "rule {n}");
    }
    // And a record of a machine that cannot have said it.
    let mut conf = world.conf.clone();
    conf.inventory.md_bytes = 0;
    let why = "a machine without room for descriptions";
    assert_eq!(recall(&conf, record.clone()).map(drop), Err(why));
    conf.inventory = crate::manager::testing::inventory("t5220");
    let why = "the control domain of another chassis";
    assert_eq!(recall(&conf, record).map(drop), Err(why));
}

#[test]
fn damage_is_noticed() {
    let world = lab();
    let bytes = seal(&full(&world));
    let restored = |bytes: &[u8]| ControlDomain::restored(world.conf.clone(), bytes).map(drop);
    assert_eq!(restored(&bytes), Ok(()));
    let step = bytes.len() / 150;
    for n in 0..150 {
        assert!(restored(&bytes[..n * step]).is_err(), "cut at {}", n * step);
        let mut altered = bytes.clone();
        altered[n * step] ^= 1 << (n % 8);
        assert!(restored(&altered).is_err(), "altered at {}", n * step);
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(restored(&longer), Err(LoadError::Damaged { .. })));
    assert!(matches!(restored(&[]), Err(LoadError::Damaged { .. })));
}

/// `rover` is there, stands still, and was given away when the software begins again: what
/// comes over its channels is looked at by nobody. Whether its network link comes up.
fn given_away(state: State, epoch: u64) -> bool {
    let mut world = lab();
    let (net, _) = end(&world, &Device::Net("vnet0".into()));
    let net = world.opens(1, net);
    assert!(world.far[net].ups == 1 && !world.far[net].got.is_empty());
    let mut record = record(&world);
    record.manager.model.domains[1].epoch = epoch;
    let mut store = Store::default();
    let uuid = &record.manager.model.domains[1].uuid;
    store.append(EntryV1 { epoch: 2, ..entry(state, uuid) }).unwrap();
    record.journal = store.bytes().to_vec();
    world.program = ControlDomain::restored(world.conf.clone(), &seal(&record)).unwrap();
    world.far[net].got.clear();
    world.event(Event::Restarted);
    world.run();
    world.far[net].ups > 1 && !world.far[net].got.is_empty()
}

#[test]
fn the_ports_of_a_domain_that_was_given_away_stay_shut_when_the_software_begins_again() {
    assert!(!given_away(State::Commit, 2), "only its target can give it back");
    assert!(!given_away(State::Released, 2), "what was left of it could not be destroyed");
    assert!(given_away(State::Stays, 2) && given_away(State::Leaving, 2));
    assert!(given_away(State::Released, 3), "it has come back since");
    assert!(
        with(Mutant::PortLeftOpen, || given_away(State::Commit, 2)),
        "nothing tells them apart"
    );
}

#[test]
fn a_control_domain_that_never_migrated_is_reset_and_nothing_is_said_or_changed() {
    let mut world = lab();
    let before = (world.out(&LISTS), record(&world));
    for restarts in 1..=2 {
        world.board.domains[0].lines.clear();
        world.hv.requests.clear();
        world.event(Event::Start);
        world.run();
        assert!(world.board.domains[0].lines.is_empty(), "{:?}", world.board.domains[0].lines);
        let changes =
            |own: &&Request| matches!(own, Request::Migrate(_) | Request::Reconfigure { .. });
        assert_eq!(world.hv.requests.iter().find(changes), None);
        let after = record(&world);
        assert_eq!(world.out(&LISTS), before.0);
        assert_eq!(after, ControlV1 { restarts, ..before.1.clone() });
        assert!(after.journal.is_empty() && after.migrations == 0);
    }
}
