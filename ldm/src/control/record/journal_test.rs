//! Control domains that begin again in the middle of a migration.

use super::{ControlV1, seal};
use crate::control::ControlDomain;
use crate::control::testing::{World, entry};
use crate::migrate::journal::{EntryV1, State, Store};
use crate::migrate::pages::Stretch;
use crate::migrate::port::{Kind, Offer};
use sun4v::hvctl::{Request, migrate};
use sun4v::native::{Event, Program};
use sun4v::record::decode;
use sun4v::time::SimTime;

/// `rover` runs, or has been filled, when its control domain begins again with an entry.
fn lab(state: State) -> World {
    let mut world = World::new();
    world.out(&[
        "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
        "ldm add-domain rover",
        "ldm add-vcpu 1 rover",
        "ldm add-memory 512M rover",
        "ldm bind rover",
        "ldm start rover",
    ]);
    let mut record = saved(&world);
    let domain = &mut record.manager.model.domains[1];
    domain.shell = !state.is_source();
    let uuid = domain.uuid.clone();
    let memory = domain.given.as_ref().unwrap().memory.iter();
    let offer = Offer {
        name: "rover".into(),
        new_name: None,
        uuid: uuid.clone(),
        epoch: 1,
        kind: Kind::Active,
        memory: memory.map(|own| Stretch { ra: own.ra, bytes: own.size }).collect(),
        description: Vec::new(),
    };
    let offer = Some(offer).filter(|_| !state.is_source());
    let entry = EntryV1 { offer, ..entry(state, &uuid) };
    let mut store = Store::default();
    store.append(entry).unwrap();
    record.journal = store.bytes().to_vec();
    begin(&mut world, &record);
    world
}

fn begin(world: &mut World, record: &ControlV1) {
    world.program = ControlDomain::restored(world.conf.clone(), &seal(record)).unwrap();
    world.hv.requests.clear();
    world.board.domains[0].lines.clear();
    world.event(Event::Restarted);
    world.run();
}

fn saved(world: &World) -> ControlV1 {
    decode(&mut world.program.save().unwrap().as_slice()).unwrap()
}

fn journal(world: &World) -> Store {
    Store::open(&saved(world).journal).unwrap().0
}

/// Lets time pass, with the timers that end in it.
fn later(world: &mut World, span: SimTime) {
    let until = world.board.now.plus(span);
    loop {
        let timers = &mut world.board.domains[0].timers;
        timers.sort();
        let Some((at, token)) = timers.first().copied().filter(|(at, _)| *at <= until) else {
            break;
        };
        timers.remove(0);
        world.board.now = world.board.now.max(at);
        world.event(Event::Timer(token));
        world.run();
    }
    world.board.now = until;
}

fn asked(world: &World, request: migrate::Request) -> bool {
    world.hv.requests.contains(&Request::Migrate(request))
}

#[test]
fn a_source_that_had_committed_asks_and_does_not_run_it() {
    let mut world = lab(State::Commit);
    later(&mut world, SimTime::secs(5));
    assert!(!asked(&world, migrate::Request::Resume(1)));
    let status = world.out(&["ldm list -o status -p rover"]);
    assert!(status.contains("|op=migration|progress=98|error=yes|target=t5220"), "{status}");
    let said = world.command("ldm cancel-operation migration rover");
    assert_eq!(said.status, 1);
    assert_eq!(world.program.save(), Err("a migration is in progress".to_owned()));
}

#[test]
fn a_source_that_had_not_goes_on_with_its_domain_at_once() {
    let mut world = lab(State::Leaving);
    assert!(asked(&world, migrate::Request::Resume(1)));
    assert!(asked(&world, migrate::Request::LogStop(1)));
    later(&mut world, SimTime::secs(5));
    assert_eq!(world.out(&["ldm list -o status -p rover"]).matches("op=migration").count(), 0);
    let store = journal(&world);
    let states: Vec<State> = store.ledger().departures().map(|own| own.state).collect();
    assert_eq!(states, [State::Off], "the target could not be told yet");
    // A checkpoint has it, and goes on with it.
    let record = saved(&world);
    begin(&mut world, &record);
    later(&mut world, SimTime::secs(1));
    assert_eq!(saved(&world).journal, record.journal);
}

#[test]
fn a_domain_goes_elsewhere_only_when_its_first_target_knows_that_it_does_not_come() {
    let elsewhere = "ldm migrate-domain -p /root/nas.password rover nas";
    // What is under way is under way, whatever the journal says of it.
    let mut world = lab(State::Leaving);
    let busy = world.command(elsewhere);
    assert_eq!(busy.status, 1);
    assert!(busy.stderr.starts_with("LDom rover is being migrated already\n"), "{busy:?}");
    // An *off* says that t5220 waits, and a *leaving* that nobody acts for says no less.
    later(&mut world, SimTime::secs(5));
    let untold = world.command(elsewhere);
    assert_eq!(untold.status, 1);
    assert!(untold.stderr.starts_with("t5220 has not been told"), "{untold:?}");
}

#[test]
fn a_target_that_waits_says_so_and_is_taken_over_by_force() {
    let mut world = lab(State::Prepared);
    let waits = "|op=migration|progress=97|error=yes|source=t5220";
    let status = world.out(&["ldm list -o status -p rover"]);
    assert!(status.contains(waits), "{status}");
    let risks = world.command("ldm complete-operation migration rover");
    assert_eq!(risks.status, 1);
    assert!(risks.stderr.starts_with("LDom rover may still be running on t5220"), "{risks:?}");
    assert!(risks.stderr.contains("ldm complete-operation -f migration rover"), "{risks:?}");
    let nobody = world.command("ldm complete-operation -f migration primary");
    assert_eq!(nobody.status, 1);
    world.out(&["ldm complete-operation -f migration rover"]);
    // The domain is reset before that is durable: it never was.
    world.board.domains[0].lines.clear();
    world.event(Event::Start);
    world.run();
    let said = &world.board.domains[0].lines[0];
    assert!(said.starts_with("entry 2 of the migration journal is torn"), "{said}");
    assert!(world.out(&["ldm list -o status -p rover"]).contains(waits));
    assert!(!asked(&world, migrate::Request::Resume(1)));
    world.out(&["ldm complete-operation -f migration rover"]);
    later(&mut world, SimTime::secs(5));
    assert!(asked(&world, migrate::Request::Resume(1)));
    let list = world.out(&["ldm list -p rover"]);
    assert!(list.contains("|state=active|"), "{list}");
    assert_eq!(saved(&world).manager.model.domains[1].epoch, 3);
    let store = journal(&world);
    let states: Vec<_> = store.ledger().arrivals().map(|own| (own.state, own.owned)).collect();
    assert_eq!(states, [(State::Here, 3)]);
}

#[test]
fn a_shell_that_was_being_filled_goes() {
    let mut world = lab(State::Reserved);
    later(&mut world, SimTime::ms(100));
    assert!(world.out(&["ldm list -p"]).contains("rover"), "lists are answered meanwhile");
    later(&mut world, SimTime::secs(5));
    let zeroed = |own: &&Request| matches!(own, Request::Migrate(migrate::Request::PagesZero(_)));
    assert_eq!(world.hv.requests.iter().filter(zeroed).count(), 128, "512 MB, 4 MB at a time");
    assert!(!world.out(&["ldm list -p"]).contains("rover"));
    let store = journal(&world);
    assert_eq!(store.ledger().arrivals().next().unwrap().state, State::Gone);
}

#[test]
fn with_a_journal_that_was_altered_nothing_migrates() {
    let mut world = lab(State::Off);
    later(&mut world, SimTime::secs(1));
    let mut record = saved(&world);
    let last = record.journal.len() - 1;
    record.journal[last] ^= 1;
    begin(&mut world, &record);
    let said = "entry 1 of the migration journal is altered: its digest is another: \
                nothing migrates";
    assert_eq!(world.board.domains[0].lines[0], said);
    assert_eq!(saved(&world).journal, record.journal, "it is kept as it is");
}
