//! SPARC guests beside a control domain without a manager: images that run in a
//! whole world.

#![expect(clippy::unwrap_used, reason = "a test may")]

use ldm::factory::{CONGRUENCE, Factory, GUEST_RA, PRIMARY_ID, Primary, congruent};
use ldm::mdgen::{CONSOLE_INO, GuestMd};
use sim::chassis::server::PowerOn;
use sim::chassis::world::World;
use sim::engine::{Choice, Model};
use sim::lab::record::Fact;
use sim::lab::scenario::Scenario;
use sun4v::addr::{Pa, RealRange};
use sun4v::hvmd::{ConsoleConf, GuestConf, Inventory, MblockConf, VcpuConf};
use sun4v::id::{GuestId, StrandId, VcpuId};
use sun4v::native::{Event, Ports, Program};
use sun4v::time::SimTime;

const GUEST: GuestId = GuestId(1);

/// A control domain that does nothing.
struct Nobody;

impl Program for Nobody {
    fn event(&mut self, _: Event, _: &mut dyn Ports) {}
}

/// What a service processor prepares: the control domain, and a guest on strands
/// 16.. with the service processor's console.
fn prepare(inventory: &Inventory, vcpus: u8, mb: u64) -> PowerOn {
    let primary = Primary { vcpus: 8, memory_bytes: 1 << 30, crypto: 0, ..Primary::default() };
    let Factory { mut config, slots, hvmd, mut writes, .. } =
        Factory::new(inventory, &primary).unwrap();
    let behind = congruent(GUEST_RA, Pa(8 * CONGRUENCE)).unwrap();
    let range = RealRange { ra: GUEST_RA, pa: behind, size: mb << 20 };
    let [md_pa, _] = slots.guest(GUEST);
    let strand = |n| (VcpuId(n), StrandId(16 + n));
    let md = GuestMd {
        name: "guest".to_owned(),
        stick_hz: inventory.stick_hz,
        vcpus: (0..vcpus).map(strand).collect(),
        memory: vec![range],
        console: true,
        variables: [("fill-percent".to_owned(), "1".to_owned())].into(),
        ..GuestMd::default()
    };
    config.guests.push(GuestConf {
        id: GUEST,
        name: "guest".to_owned(),
        md_pa,
        rom_pa: inventory.rom.pa,
        rom_bytes: inventory.rom.bytes,
        tod_offset: 0,
        privileges: Default::default(),
    });
    config.vcpus.extend((0..vcpus).map(|n| {
        let (vid, strand) = strand(n);
        VcpuConf { strand, guest: GUEST, vid }
    }));
    config.mblocks.push(MblockConf { guest: GUEST, range });
    config.consoles.push(ConsoleConf { guest: GUEST, ino: CONSOLE_INO, endpoint: None });
    writes.retain(|(pa, _)| *pa != hvmd);
    writes.push((hvmd, config.to_md().to_bytes()));
    writes.push((md_pa, md.to_md()));
    assert_ne!(GUEST, PRIMARY_ID);
    PowerOn { writes, hvmd, program: Box::new(Nobody) }
}

/// Servers with such a guest each, all started, for `span`.
fn run(boot: &str, servers: usize, threads: usize, vcpus: u8, span: SimTime) -> World {
    run_by(Model::Functional, boot, servers, threads, vcpus, span)
}

/// The same under a timing model.
fn run_by(
    timing: Model,
    boot: &str,
    servers: usize,
    threads: usize,
    vcpus: u8,
    span: SimTime,
) -> World {
    let chassis: String = (0..servers)
        .map(|n| {
            format!("[chassis.s{n}]\nmodel = \"t5120\"\nboot = \"{boot}\"\naddresses = {{}}\n")
        })
        .collect();
    let text = format!("name = \"guests\"\nnetworks = {{}}\n{chassis}");
    let scenario = Scenario::parse(&text, "guests.toml", &[]).unwrap();
    let mut world = World::new(&scenario, "guests.toml", threads, &mut |_, _, inventory| {
        Ok(prepare(inventory, vcpus, 256))
    })
    .unwrap();
    world.set_trace(true);
    world.set_choice(Choice { timing, ..Choice::default() });
    for n in 0..servers {
        world.server_mut(&format!("s{n}")).unwrap().start(GUEST).unwrap();
    }
    world.run_until(span).unwrap();
    world
}

fn console(facts: &[Fact], place: &str) -> Vec<String> {
    let lines = facts.iter().filter(|fact| fact.is("console", "line") && fact.place == place);
    lines.map(|fact| fact.text.clone()).collect()
}

#[test]
fn hello_says_what_it_sees_and_exits() {
    let mut world = run("hello", 1, 1, 1, SimTime::ms(20));
    let facts = world.take_facts();
    let lines = console(&facts, "s0");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("hello: 256 MB of memory at 0x8000000, vcpu 0"), "{lines:?}");
    let exit = facts.iter().find(|fact| fact.is("domain", "exited")).unwrap();
    assert_eq!((exit.name.as_str(), exit.value("code")), ("guest", 0));
    assert!(world.take_trace().iter().any(|line| line.contains("mach_exit")));
}

#[test]
fn rover_tells_the_time_every_two_seconds() {
    let mut world = run("rover", 1, 1, 4, SimTime::ms(4_500));
    let lines = console(&world.take_facts(), "s0");
    assert!(lines[0].starts_with("rover: 4 cpus, 256 MB at 0x8000000"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("clock: ")).count(), 2, "{lines:?}");
}

#[test]
fn two_rovers_give_the_same_record_on_any_number_of_threads() {
    for (timing, ms) in [(Model::Functional, 300), (Model::T2, 150)] {
        let run = |threads| {
            let mut world = run_by(timing, "rover", 2, threads, 2, SimTime::ms(ms));
            (world.take_facts(), world.take_trace(), world.servers()[0].instructions())
        };
        let one = run(1);
        assert!(one.1.len() > 10);
        assert_eq!(console(&one.0, "s0"), console(&one.0, "s1"));
        assert!(run(2) == one, "{timing}: a run on two threads differs");
    }
}

#[test]
fn a_domain_alone_does_what_it_does_beside_another() {
    // Alone, it goes over grid lines without a boundary; beside another, it does not.
    let run = |timing, servers| {
        let mut world = run_by(timing, "rover", servers, 1, 2, SimTime::ms(4_100));
        let facts = world.take_facts().into_iter().filter(|fact| fact.place == "s0");
        let calls = world.take_trace().into_iter().filter(|line| line.starts_with("s0 "));
        let turns = world.counts().turns;
        (facts.collect::<Vec<_>>(), calls.collect::<Vec<_>>(), turns)
    };
    for timing in Model::ALL {
        let (alone, beside) = (run(timing, 1), run(timing, 2));
        assert!(alone.2 < beside.2, "{} and {} turns", alone.2, beside.2);
        assert!(alone.1.iter().any(|call| call.contains("tod_get")));
        assert!(alone.1 == beside.1, "{timing}: hypercalls differ");
        assert_eq!(alone.0, beside.0);
    }
}
