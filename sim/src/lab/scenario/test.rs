use super::{HostKind, Model, Release, Scenario, Unfit, mac};
use crate::lab::quantity::{Rate, Size, Span};
use std::net::Ipv4Addr;
use std::path::Path;
use sun4v::time::SimTime;

const SMALL: &str = r#"name = "small"
seed = 3

[networks.lab]
[networks.storage]
speed = "100Mbit/s"
mtu = 9000

[chassis.t5120]
model = "t5120"
primary = { vcpus = 8, crypto = 1 }
addresses = { lab = "192.168.1.20", storage = "192.168.2.20" }

[hosts.nas]
kind = "nas"
network = "storage"
address = "192.168.2.2"

[names]
rover = "192.168.1.50"

[[disks]]
image = "rover0.img"
size = "64M"
seed = 1

[[script]]
run = "t5120# ldm list"

[[script]]
when = "console line rover: ready"
after = "1.5s"
run = "nas# images"
"#;

fn parse(text: &str, sets: &[&str]) -> Result<Scenario, String> {
    let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
    Scenario::parse(text, "small.toml", &sets).map_err(|error| error.to_string())
}

#[test]
fn a_scenario_is_read_with_its_defaults() {
    let scenario = parse(SMALL, &[]).unwrap();
    assert_eq!((scenario.seed, scenario.slice), (3, Span(SimTime::us(10))));
    assert_eq!(scenario.networks["lab"].link(), crate::net::link::Link::default());
    assert_eq!(scenario.networks["storage"].speed, Rate(100_000_000));
    let chassis = &scenario.chassis["t5120"];
    assert_eq!((chassis.model, chassis.memory), (Model::T5120, Size(16 << 30)));
    assert_eq!((chassis.primary.vcpus, chassis.primary.memory), (8, Size(4 << 30)));
    assert!(matches!(&scenario.hosts["nas"], HostKind::Nas { export, .. } if export == "/export"));
    assert_eq!(scenario.step_lines, [27, 30]);
    let names = scenario.all_names();
    assert_eq!(names.find("t5120"), Ok([192, 168, 1, 20]));
    assert_eq!(names.find("rover"), Ok([192, 168, 1, 50]));
    assert_eq!(mac(Ipv4Addr::new(192, 168, 2, 20)), [0, 0x14, 0x4f, 168, 2, 20]);
}

#[test]
fn overrides_change_values_of_every_kind() {
    let sets = [
        "seed=9",
        "networks.lab.speed=10Mbit/s",
        "networks.lab.loss=0.01",
        "chassis.t5120.primary.vcpus=4",
        "disks.0.size=\"32M\"",
        "script.1.after=2s",
        "limits.time=20s",
        "packing.compress=164",
        "migration.pause=80ms",
        "migration.unfit=give-up",
        "chassis.t5120.ldmd.version=\"2.0\"",
    ];
    let scenario = parse(SMALL, &sets).unwrap();
    assert_eq!((scenario.seed, scenario.networks["lab"].speed), (9, Rate(10_000_000)));
    assert_eq!(scenario.networks["lab"].link().faults.loss, 0.01);
    assert_eq!(scenario.chassis["t5120"].primary.vcpus, 4);
    assert_eq!(scenario.disks[0].size, Size(32 << 20));
    assert_eq!(scenario.script[1].after, Some(Span(SimTime::secs(2))));
    assert_eq!(scenario.limits.time, Span(SimTime::secs(20)));
    let migration = scenario.migration;
    assert_eq!((migration.pause, migration.unfit), (Span(SimTime::ms(80)), Unfit::GiveUp));
    assert_eq!(scenario.chassis["t5120"].ldmd.version, Release::V2_0);
    let counted = sun4v::calibration::EXPAND;
    assert_eq!((scenario.packing.compress, scenario.packing.expand), (164, counted));
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_place_and_key() {
    let changes = [
        ("seed = 3", "sed = 3"),
        ("seed = 3", "seed = -3"),
        ("seed = 3", "seed = "),
        ("speed = \"100Mbit/s\"", "sped = \"100Mbit/s\""),
        ("speed = \"100Mbit/s\"", "speed = \"fast\""),
        ("mtu = 9000", "mtu = 70000"),
        ("mtu = 9000", "mtu = 16001"),
        ("mtu = 9000", "loss = 1.5"),
        ("mtu = 9000", "latency = \"1us\""),
        ("model = \"t5120\"", "model = \"t5440\""),
        ("model = \"t5120\"\n", ""),
        ("vcpus = 8, crypto = 1", "vcpus = 8, crypto = 2"),
        ("vcpus = 8, crypto = 1", "vcpus = 65"),
        ("vcpus = 8, crypto = 1", "cpus = 8"),
        ("192.168.2.20", "192.168.2.2"),
        ("192.168.2.20", "192.168.3.20"),
        ("192.168.2.20", "192.168.2"),
        ("storage = \"192.168.2.20\"", "san = \"192.168.2.20\""),
        ("network = \"storage\"", "network = \"san\""),
        ("kind = \"nas\"", "kind = \"toaster\""),
        ("rover0.img", "../rover0.img"),
        ("size = \"64M\"", "size = \"64M\"\nspoil = [8192]"),
        ("t5120# ldm list", "t5440# ldm list"),
        ("t5120# ldm list", "ldm list"),
        ("console line rover: ready", "ready"),
        ("after = \"1.5s\"", "after = \"soon\""),
    ];
    let mut lines = String::new();
    for (from, to) in changes {
        assert!(SMALL.contains(from), "{from}");
        let error = parse(&SMALL.replacen(from, to, 1), &[]).unwrap_err();
        assert!(!error.contains('\n'), "{error}");
        lines += &format!("{error}\n");
    }
    let sets = [
        "seed",
        "seed=many",
        "networks.lab.sped=1",
        "networks.lan.speed=1Gbit/s",
        "networks.lab.mtu=100",
        "packing.expand=0",
        "packing.inflate=1",
        "migration.rounds=0",
        "migration.unfit=hope",
        "chassis.t5120.ldmd.version=\"1.3\"",
        "disks.7.size=1M",
        "name.first=x",
        "chassis.t5120.primary.crypto=9",
        "a..b=1",
    ];
    for set in sets {
        lines += &format!("{}\n", parse(SMALL, &[set]).unwrap_err());
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Scenario::read(Path::new("/nowhere/x.toml"), &[]).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/x.toml: No such file"), "{error}");
}

#[test]
fn the_scenarios_that_come_with_it_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let scenario = Scenario::read(&entry.unwrap().path(), &[]).unwrap();
        assert_eq!(scenario.step_lines.len(), scenario.script.len());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn a_chassis_has_disks_of_its_own() {
    let text = SMALL.replace(
        "[hosts.nas]",
        "[chassis.t5120.local_disks]\nc0t1d0 = { file = \"disk.img\" }\n\
         c1t0d10 = { file = \"/dev/sdb\", read_only = true, call_time = \"5ms\" }\n\n[hosts.nas]",
    );
    let scenario = parse(&text, &[]).unwrap();
    let disks = &scenario.chassis["t5120"].local_disks;
    let (one, two) = (&disks["c0t1d0"], &disks["c1t0d10"]);
    assert_eq!((one.file.as_str(), one.read_only), ("disk.img", false));
    assert_eq!((one.call_time, one.bytes_per_second), (Span(SimTime::us(50)), Size(400_000_000)));
    assert_eq!((two.read_only, two.call_time), (true, Span(SimTime::ms(5))));
    for bad in ["c0d0", "c0t1d0s2", "c0t1", "x", "c0t1d1234", "ct1d0"] {
        let why = parse(&text.replace("c0t1d0 ", &format!("{bad} ")), &[]).unwrap_err();
        let said = format!("small.toml:15: chassis.t5120.local_disks.{bad}: `{bad}` is no disk's");
        assert!(why.starts_with(&said), "{why}");
    }
    let why = parse(&text.replace("\"disk.img\"", "\"\""), &[]).unwrap_err();
    assert_eq!(why, "small.toml:15: chassis.t5120.local_disks.c0t1d0.file: a disk has a file");
    let why = parse(&text.replace("\"5ms\"", "\"5\""), &[]).unwrap_err();
    assert!(
        why.starts_with("small.toml:16: chassis.t5120.local_disks.c1t0d10.call_time: "),
        "{why}"
    );
}
