//! Two servers whose control domains run toy programs.

use super::{World, WorldError};
use crate::chassis::server::{MD_PA, PowerOn};
use crate::lab::record::{Fact, write};
use crate::lab::scenario::{Scenario, mac};
use crate::lab::script::Prompt;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hvmd::{GuestConf, HvConfig, MblockConf, Privileges, VcpuConf};
use sun4v::id::{GuestId, StrandId, VcpuId};
use sun4v::native::{Event, JobId, Observation, Ports, Program, Reply};
use sun4v::time::{SimTime, T2_HZ};

const LAB: &str = r#"
name = "toys"
seed = 3
[networks.lab]
[chassis.left]
model = "t5120"
addresses = { lab = "192.168.1.20" }
[chassis.right]
model = "t5220"
addresses = { lab = "192.168.1.22" }
[hosts.pinger]
kind = "pinger"
network = "lab"
address = "192.168.1.11"
"#;

/// Sends frames back, works, and counts.
#[derive(Default)]
struct Toy {
    me: [u8; 6],
    commands: BTreeMap<JobId, u64>,
    waiting: Vec<(u64, SimTime)>,
    started: bool,
}

impl Toy {
    fn say(ports: &mut dyn Ports, id: u64, stdout: String) {
        ports.reply(id, Reply { stdout, ..Reply::default() });
    }
}

impl Program for Toy {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        assert!(self.started || event == Event::Start, "{event:?} before the start");
        match event {
            Event::Start | Event::Restarted => self.started = true,
            Event::Mondo(words) => ports.log(format!("mondo {:x}", words[0])),
            Event::Timer(token) => {
                let now = ports.now().0;
                Self::say(ports, token, format!("{now}\n"));
            }
            Event::Frame { nic, bytes } => match bytes[14] {
                0 => {
                    let to = bytes[6..12].to_vec();
                    ports.send_frame(nic, [&to[..], &self.me, &[0x88, 0xb5, 1], &[0; 60]].concat());
                }
                _ => {
                    for (id, since) in self.waiting.drain(..) {
                        let ns = ports.now().since(since).0 / 1000;
                        let values = vec![("ns", ns)];
                        let (subject, what) = ("toy", "reply");
                        ports.observe(Observation { subject, what, name: "it".into(), values });
                        Self::say(ports, id, format!("{ns}\n"));
                    }
                }
            },
            Event::JobDone { job, output } => {
                let (id, now) = (self.commands.remove(&job).unwrap(), ports.now().0);
                Self::say(ports, id, format!("{now} {output:?}\n"));
            }
            Event::Command { id, line } => match line.split(' ').collect::<Vec<_>>()[..] {
                ["ping", to] => {
                    let to = mac(to.parse::<Ipv4Addr>().unwrap());
                    self.waiting.push((id, ports.now()));
                    ports.send_frame(0, [&to, &self.me[..], &[0x88, 0xb5, 0], &[0; 60]].concat());
                }
                ["work", cycles, count] => {
                    let cycles: u64 = cycles.parse().unwrap();
                    for n in 0..count.parse::<u8>().unwrap() {
                        let work = move || (0..100_000).fold(vec![n], |v: Vec<u8>, _| v);
                        let job = ports.job(cycles, Box::new(work));
                        self.commands.insert(job, id);
                    }
                }
                ["charge", cycles] => {
                    ports.charge(cycles.parse().unwrap());
                    Self::say(ports, id, String::new());
                }
                ["busy"] => {
                    let busy: Vec<_> = ports.busy().iter().map(|busy| busy.0).collect();
                    assert_eq!(busy.len(), ports.vcpus());
                    Self::say(ports, id, format!("{busy:?}\n"));
                }
                ["sleep", us] => {
                    let us = SimTime::us(us.parse().unwrap());
                    ports.set_timer(ports.now().plus(us), id);
                }
                ["poke"] => {
                    let (ra, bytes) = ports.memory();
                    ports.write(ra.offset(bytes - 4), b"poke");
                    let mut back = [0; 4];
                    ports.read(ra.offset(bytes - 4), &mut back);
                    Self::say(ports, id, String::from_utf8_lossy(&back).into_owned());
                }
                ["hcall"] => {
                    // Opens the core group, then asks for its own state: running.
                    assert!(ports.core_call(0, [1, 1, 0, 0, 0]).is_ok());
                    let state = ports.hcall(0x17, [0; 5]);
                    Self::say(ports, id, format!("{state:?}\n"));
                }
                _ => ports.reply(id, Reply { status: 1, ..Reply::default() }),
            },
        }
    }
}

/// A control domain of four virtual CPUs and 16 MB.
fn toy(ip: Ipv4Addr) -> PowerOn {
    let guest = GuestId(0);
    let config = HvConfig {
        guests: vec![GuestConf {
            id: guest,
            name: "primary".into(),
            md_pa: Pa(MD_PA.0 + 0x10_0000),
            rom_pa: Pa(0),
            rom_bytes: 0,
            tod_offset: 0,
            privileges: Privileges::ALL,
        }],
        vcpus: (0..4).map(|n| VcpuConf { strand: StrandId(n), guest, vid: VcpuId(n) }).collect(),
        mblocks: vec![MblockConf {
            guest,
            range: RealRange { ra: Ra(0x800_0000), pa: Pa(0x1800_0000), size: 16 << 20 },
        }],
        ..HvConfig::default()
    };
    PowerOn {
        writes: vec![(MD_PA, config.to_md().to_bytes())],
        hvmd: MD_PA,
        program: Box::new(Toy { me: mac(ip), ..Toy::default() }),
    }
}

fn world(script: &str, threads: usize) -> World {
    let scenario = Scenario::parse(&format!("{LAB}{script}"), "toys.toml", &[]).unwrap();
    World::new(&scenario, "toys.toml", threads, &mut |_, chassis, _| {
        Ok(toy(chassis.addresses["lab"]))
    })
    .unwrap()
}

/// Types a line and gives what is printed.
fn ask(world: &mut World, line: &str) -> String {
    let prompt: Prompt = line.parse().unwrap();
    let id = world.type_line(&prompt).unwrap();
    world.run_until_answered(id, world.now().plus(SimTime::secs(10))).unwrap();
    let answers = world.take_answers();
    let answer = answers.iter().find(|answer| answer.id == id).expect("an answer");
    assert_eq!(answer.prompt, prompt);
    format!("{}{}", answer.reply.stdout, answer.reply.stderr)
}

#[test]
fn two_servers_ping_each_other_over_the_lab() {
    let mut world = world("", 1);
    world.capture(0);
    let ns: u64 = ask(&mut world, "left# ping 192.168.1.22").trim().parse().unwrap();
    // Four links of 5 µs, and 75 + 24 bytes at a gigabit on each.
    assert_eq!(ns, 4 * (5_000 + 99 * 8));
    assert_eq!(world.take_captured().len(), 2);
    let facts = world.take_facts();
    let fact = facts.iter().find(|fact| fact.is("toy", "reply")).unwrap();
    assert_eq!((fact.place.as_str(), fact.value("ns")), ("left", ns));
}

#[test]
fn a_job_ends_when_its_cycles_are_over_and_gives_its_bytes() {
    let mut world = world("", 2);
    let start = world.now();
    let printed = ask(&mut world, "left# work 1000000 1");
    let (at, output) = printed.trim().split_once(' ').unwrap();
    let took = SimTime(at.parse().unwrap()).since(start);
    assert!(took >= SimTime::of_ticks(1_000_000, T2_HZ), "{took:?}");
    assert!(took < SimTime::of_ticks(1_000_000, T2_HZ).plus(SimTime::us(1)), "{took:?}");
    assert_eq!(output, "[0]");
}

#[test]
fn work_spreads_over_the_strands_and_the_future_is_not_busy() {
    let mut world = world("", 1);
    // Six pieces on four strands: two strands get two.
    let id = world.type_line(&"left# work 1165379264 6".parse().unwrap()).unwrap();
    world.run_until(SimTime::ms(250)).unwrap();
    assert_eq!(world.take_answers(), []);
    let busy = |printed: String| -> Vec<u64> {
        let list = printed.trim().trim_matches(['[', ']']).to_owned();
        list.split(", ").map(|ps| SimTime(ps.parse().unwrap()).as_us() / 1000).collect()
    };
    assert_eq!(busy(ask(&mut world, "left# busy")), [250, 250, 250, 250]);
    ask(&mut world, "left# charge 1165379264");
    world.run_until(SimTime::ms(1_750)).unwrap();
    assert_eq!(world.take_answers()[0].id, id);
    assert_eq!(busy(ask(&mut world, "left# busy")), [1750, 1750, 1750, 1000]);
    world.run_until(SimTime::secs(4)).unwrap();
    assert_eq!(busy(ask(&mut world, "left# busy")), [2000, 2000, 2000, 1000]);
    let facts = world.take_facts();
    let samples: Vec<_> =
        facts.iter().filter(|fact| fact.is("cpu", "sample") && fact.place == "left").collect();
    let permille: Vec<_> = samples.iter().map(|fact| fact.value("busy_permille")).collect();
    // The work began a nanosecond late.
    assert_eq!(permille[..5], [999, 1000, 750, 750, 0]);
}

#[test]
fn a_program_has_its_memory_its_calls_and_its_timers() {
    let mut world = world("", 1);
    assert_eq!(ask(&mut world, "right# poke"), "poke");
    assert_eq!(ask(&mut world, "right# hcall"), "Ok([2, 0, 0, 0, 0])\n");
    let before = world.now();
    let at: u64 = ask(&mut world, "right# sleep 1234").trim().parse().unwrap();
    assert!(SimTime(at).since(before.plus(SimTime::us(1234))) < SimTime::us(1));
    assert!(world.type_line(&"mars# hcall".parse().unwrap()).is_err());
}

#[test]
fn a_script_runs_to_its_end_and_an_unexpected_answer_ends_it() {
    let steps = r#"
linger = "1s"
script = [
    { at = "1s", run = "left# ping 192.168.1.22" },
    { when = "toy reply it", after = "1s", run = "lab# cut lab/right" },
    { run = "pinger# stop" },
    { run = "left# nonsense", fails = true },
]
"#;
    let scenario = |text: &str| Scenario::parse(text, "toys.toml", &[]).unwrap();
    let mut prepare =
        |_: &str, chassis: &crate::lab::scenario::Chassis, _: &_| Ok(toy(chassis.addresses["lab"]));
    let good = scenario(&format!("{steps}{LAB}"));
    let mut world = World::new(&good, "toys.toml", 1, &mut prepare).unwrap();
    world.run_script_until(SimTime::NEVER).unwrap();
    assert!(world.now() >= SimTime::secs(3) && world.now() < SimTime::ms(3_001));
    let facts = world.take_facts();
    assert_eq!(facts.iter().filter(|fact| fact.is("command", "answered")).count(), 4);
    let bad = scenario(&format!("{}{LAB}", steps.replace(", fails = true", "")));
    let mut world = World::new(&bad, "toys.toml", 1, &mut prepare).unwrap();
    let error = world.run_script_until(SimTime::NEVER).unwrap_err().to_string();
    assert!(error.contains("left# nonsense") && error.contains("status 1"), "{error}");
    let short = scenario(&format!("limits = {{ time = \"500ms\" }}\n{steps}{LAB}"));
    let mut world = World::new(&short, "toys.toml", 1, &mut prepare).unwrap();
    let error = world.run_script_until(SimTime::NEVER).unwrap_err();
    assert!(matches!(error, WorldError::Time { begun: 0, steps: 4, .. }), "{error}");
}

#[test]
fn a_record_does_not_depend_on_the_number_of_threads() {
    let run = |threads| {
        let mut world = world("", threads);
        world.set_trace(true);
        for line in ["left# work 300000 9", "right# work 200000 7", "left# ping 192.168.1.22"] {
            world.type_line(&line.parse().unwrap()).unwrap();
        }
        world.run_until(SimTime::ms(700)).unwrap();
        let mut bytes = Vec::new();
        let facts: Vec<Fact> = world.take_facts();
        facts.iter().for_each(|fact| write(fact, &mut bytes).unwrap());
        (String::from_utf8(bytes).unwrap(), world.take_trace())
    };
    let one = run(1);
    assert!(one.0.lines().count() > 8);
    for threads in [2, 3] {
        assert_eq!(run(threads), one);
    }
}
