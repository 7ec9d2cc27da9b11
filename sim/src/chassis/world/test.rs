//! Two servers whose control domains run toy programs.

use super::{World, WorldError, WorldV1};
use crate::chassis::checkpoint::{LoadError, Reader, Writer};
use crate::chassis::server::{MD_PA, PowerOn};
use crate::lab::record::{Fact, write};
use crate::lab::scenario::{Scenario, mac};
use crate::lab::script::Prompt;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hvmd::{GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf, Privileges, VcpuConf};
use sun4v::id::{GuestId, LdcId, StrandId, VcpuId};
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
    starts: usize,
}

impl Toy {
    fn say(ports: &mut dyn Ports, id: u64, stdout: String) {
        ports.reply(id, Reply { stdout, ..Reply::default() });
    }
}

impl Program for Toy {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        let begins = matches!(event, Event::Start | Event::Restarted);
        assert!(self.starts > 0 || begins, "{event:?} before the start");
        match event {
            Event::Start | Event::Restarted => self.starts += 1,
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
            Event::DiskDone { token, result } => {
                panic!("{result:?} of request {token}, which nobody has made")
            }
            Event::Console { domain, input } => {
                panic!("{input:?} at the console of {domain}, which nobody has")
            }
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
                ["starts"] => Self::say(ports, id, format!("{}\n", self.starts)),
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
                ["watchdog", ms] => {
                    assert!(ports.core_call(0, [1, 1, 1, 0, 0]).is_ok());
                    let left = ports.hcall(0x05, [ms.parse().unwrap(), 0, 0, 0, 0]);
                    Self::say(ports, id, format!("{}\n", left.unwrap()[0]));
                }
                _ => ports.reply(id, Reply { status: 1, ..Reply::default() }),
            },
        }
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.me.to_vec())
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
        ldc_endpoints: vec![LdcConf {
            guest,
            channel: LdcId(0),
            target: LdcTarget::Hypervisor,
            tx_ino: 0,
            rx_ino: 1,
            private_console: false,
            leads: false,
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
fn a_watchdog_ends_on_its_second_and_resets_the_control_domain() {
    for threads in [1, 2] {
        let mut world = world("", threads);
        world.run_until(SimTime::ms(400)).unwrap();
        assert_eq!(ask(&mut world, "left# watchdog 1500"), "0\n");
        assert_eq!(ask(&mut world, "right# watchdog 9000"), "0\n");
        world.run_until(SimTime::secs(5)).unwrap();
        let facts = world.take_facts();
        let ended = facts.iter().filter(|fact| fact.is("service processor", "watchdog expired"));
        let ended: Vec<_> = ended.map(|fact| (fact.place.as_str(), fact.time)).collect();
        assert_eq!(ended, [("left", SimTime::secs(3))]);
        // The service processor resets the control domain, and nobody else.
        let began = facts.iter().filter(|fact| fact.is("domain", "started"));
        let began: Vec<_> = began.map(|fact| (fact.place.as_str(), fact.time)).collect();
        assert_eq!(began.last(), Some(&("left", SimTime::secs(3))), "{began:?}");
        assert_eq!(began.iter().filter(|(place, _)| *place == "right").count(), 1);
        assert_eq!(ask(&mut world, "left# starts"), "2\n");
        assert_eq!(ask(&mut world, "right# starts"), "1\n");
        assert_eq!(ask(&mut world, "left# watchdog 0"), "0\n");
        assert_eq!(ask(&mut world, "right# watchdog 0"), "5000\n");
    }
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
fn a_server_without_power_neither_answers_nor_is_heard_and_the_other_goes_on() {
    let mut world = world("", 2);
    world.run_until(SimTime::ms(400)).unwrap();
    let waiting = world.type_line(&"right# ping 192.168.1.99".parse().unwrap()).unwrap();
    assert_eq!(ask(&mut world, "lab# power off right"), "");
    assert!(!world.is_open(waiting), "what was typed there before hangs");
    assert_eq!(ask(&mut world, "right# starts"), "no answer: right is off\n");
    assert_eq!(ask(&mut world, "lab# power off right"), "right is off\n");
    assert_eq!(ask(&mut world, "lab# power off moon"), "no chassis `moon`\n");
    assert!(ask(&mut world, "lab# power on right").contains("power off CHASSIS"));
    world.take_facts();
    world.type_line(&"left# ping 192.168.1.22".parse().unwrap()).unwrap();
    world.run_until(world.now().plus(SimTime::secs(3))).unwrap();
    let facts = world.take_facts();
    assert!(facts.iter().all(|fact| fact.place != "right"), "{facts:?}");
    assert!(facts.iter().all(|fact| !fact.is("toy", "reply")), "{facts:?}");
    assert!(facts.iter().any(|fact| fact.is("cpu", "sample") && fact.place == "left"));
    assert_eq!(ask(&mut world, "left# starts"), "1\n");
    let why = world.check_save().unwrap_err().to_string();
    assert_eq!(why, "`left# ping 192.168.1.22` has no answer yet");
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

/// A file of a world that was held.
fn file(world: &mut World) -> Vec<u8> {
    let mut writer = Writer::default();
    world.save(&mut writer).unwrap();
    writer.finish()
}

fn load(file: &[u8]) -> Result<World, LoadError> {
    let scenario = Scenario::parse(LAB, "toys.toml", &[]).unwrap();
    let mut reader = Reader::new(file)?;
    let mut restore = |_: &str, _: &_, _: &_, bytes: &[u8]| {
        let me = bytes.try_into().unwrap();
        Ok(Box::new(Toy { me, ..Toy::default() }) as Box<dyn Program>)
    };
    World::load(&scenario, "toys.toml", 1, &mut restore, &mut reader)
}

#[test]
fn a_world_that_is_loaded_is_the_one_that_was_saved() {
    let mut world = world("", 1);
    ask(&mut world, "left# charge 1000000");
    world.type_line(&"pinger# ping 192.168.1.22 every 100ms".parse().unwrap()).unwrap();
    world.run_until(SimTime::ms(750)).unwrap();
    let id = world.type_line(&"left# work 1000000000 1".parse().unwrap()).unwrap();
    world.run_until(SimTime::ms(800)).unwrap();
    let why = world.check_save().unwrap_err();
    assert_eq!(why.to_string(), "`left# work 1000000000 1` has no answer yet");
    world.run_until_answered(id, SimTime::secs(5)).unwrap();
    world.hold().unwrap();
    let mut writer = Writer::default();
    assert_eq!(
        world.save(&mut writer).unwrap_err().to_string(),
        "what was noted has not been taken"
    );
    assert!(!world.take_facts().is_empty() && !world.take_answers().is_empty());
    let saved = file(&mut world);
    let now = world.now();
    let mut again = load(&saved).unwrap();
    assert_eq!((again.now(), file(&mut again) == saved), (now, true));
    let run = |mut world: World| {
        world.restart().unwrap();
        world.run_until(now.plus(SimTime::secs(1))).unwrap();
        let busy = ask(&mut world, "left# busy");
        (world.take_facts(), busy)
    };
    let (facts, busy) = run(again);
    assert_eq!(run(load(&saved).unwrap()), (facts.clone(), busy.clone()));
    assert!(facts.iter().any(|fact| fact.is("cpu", "sample")));
    assert!(busy.starts_with("[85894"), "{busy}");
}

#[test]
fn sections_that_are_wrong_are_named() {
    let mut world = world("", 1);
    world.run_until(SimTime::ms(10)).unwrap();
    world.hold().unwrap();
    world.take_facts();
    let mut writer = Writer::default();
    let record = WorldV1 { now: SimTime::ms(10), ..WorldV1::default() };
    crate::chassis::checkpoint::put(&mut writer, "world", &record);
    let error = load(&writer.finish()).err().unwrap().to_string();
    assert_eq!(error, "section world: chassis/world: a sample that is not next");
    let mut writer = Writer::default();
    writer.section("lab");
    let error = load(&writer.finish()).err().unwrap().to_string();
    assert_eq!(error, "section lab where world should be");
}
