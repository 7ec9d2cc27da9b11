//! Both ends against each other.

mod fuzz;
mod tamper;

use super::fixed_time::FixedTime;
use super::journal::{EntryV1, State};
use super::port::{Kind, Status};
use super::rounds::Unfit;
use super::testing::{Crash, Fault, Setup, UUID, World, Writer};
use super::{Config, Phase};
use sun4v::native::Observation;
use sun4v::time::SimTime;

const LONG: SimTime = SimTime::secs(200);
const BUSY: Writer = Writer { pages: 3, among: 40 };

fn run(setup: &Setup) -> World {
    let mut world = World::new(setup);
    world.run(LONG);
    world
}

/// Runs with a fault at the first, second, … thing that is sent, until there is
/// no such thing any more.
fn at_every_place(setup: &Setup, fault: fn(usize) -> Fault, mut check: impl FnMut(&World, usize)) {
    for place in 0.. {
        let world = run(&Setup { fault: Some(fault(place)), ..setup.clone() });
        if !world.fault_happened {
            assert!(place > 5, "faults happened");
            return;
        }
        check(&world, place);
    }
}

fn facts<'a>(world: &'a World, end: usize, what: &'a str) -> impl Iterator<Item = &'a Observation> {
    world.ends[end].desk.facts.iter().filter(move |fact| fact.what == what)
}

fn value(fact: &Observation, name: &str) -> u64 {
    fact.values.iter().find(|(key, _)| *key == name).expect(name).1
}

#[test]
fn a_quiet_domain_arrives_whole() {
    let world = run(&Setup::default());
    assert_eq!(world.outcome, Some(Ok(())), "{:#?}", world.ends[0].desk.log);
    assert_eq!(world.home(), 1);
    assert!(world.is_finished());
    let phases = [world.source.as_ref().unwrap().phase(), world.target.as_ref().unwrap().phase()];
    assert_eq!(phases, [Phase::Done; 2]);
    let figures: Vec<_> = facts(&world, 0, "round")
        .map(|fact| (value(fact, "pages"), value(fact, "zero_pages")))
        .collect();
    assert_eq!(figures, [(160, 40), (0, 0)], "all pages once, and nothing in the pause");
}

#[test]
fn a_domain_that_writes_all_the_time_arrives_whole() {
    let world = run(&Setup { writer: BUSY, ..Setup::default() });
    assert_eq!(world.outcome, Some(Ok(())), "{:#?}", world.ends[0].desk.log);
    assert_eq!(world.home(), 1);
    let moved: u64 = facts(&world, 0, "round").map(|fact| value(fact, "pages")).sum();
    assert!(moved > 160, "some pages went twice: {moved}");
    let state = world.ends[1].hv.guest.as_ref().unwrap().state;
    assert!(state > 0, "its state came with it");
}

#[test]
fn wherever_the_wire_is_cut_the_domain_runs_at_exactly_one_end() {
    let (mut homes, mut rejoined, mut again) = ([0, 0], 0, 0);
    let setup = Setup { writer: BUSY, ..Setup::default() };
    at_every_place(&setup, Fault::Cut, |world, place| {
        let home = world.home();
        homes[home] += 1;
        for fact in facts(world, 0, "rejoined") {
            assert_eq!(home, 1, "it was cut while memory moved, at {place}");
            rejoined += 1;
            again += value(fact, "again");
        }
        assert_eq!(facts(world, 0, "interrupted").count(), facts(world, 0, "rejoined").count());
        match &world.outcome {
            Some(Ok(())) => assert_eq!(home, 1, "cut at {place}"),
            Some(Err(_)) => assert_eq!(home, 0, "cut at {place}"),
            None => panic!("cut at {place}: the operator waits for ever"),
        }
        assert!(world.is_finished(), "cut at {place}");
    });
    assert!(homes[0] > 10 && homes[1] > 0, "it ended at either end: {homes:?}");
    assert!(rejoined > 10 && again > 10, "{rejoined} went on, {again} chunks went again");
}

/// Until some of the memory has arrived, and the wire is cut then and stays so.
fn interrupted() -> World {
    let mut world = World::new(&Setup { writer: BUSY, pages: 1000, ..Setup::default() });
    while world.target.as_ref().is_none_or(|target| target.percent() < 40) {
        assert!(world.turn());
    }
    world.cut();
    world.cut_off = true;
    world
}

#[test]
fn a_connection_that_is_lost_for_a_while_goes_on_with_what_was_not_acknowledged() {
    let mut world = interrupted();
    let cut_at = world.now();
    world.run(cut_at.plus(SimTime::secs(25)));
    assert!(world.ends[0].runs() && world.outcome.is_none());
    world.cut_off = false;
    world.run(LONG);
    assert_eq!((world.outcome.clone(), world.home()), (Some(Ok(())), 1));
    let rejoined: Vec<_> = facts(&world, 0, "rejoined").collect();
    let [rejoined] = &rejoined[..] else { panic!("{rejoined:?}") };
    let (arrived, again) = (value(rejoined, "chunks"), value(rejoined, "again"));
    assert!(arrived > 10 && again > 0 && again < arrived, "{arrived} and {again}");
    // No page was read again for it.
    let pages: u64 = facts(&world, 0, "round").map(|fact| value(fact, "pages")).sum();
    assert_eq!(world.ends[0].hv.pages_out, pages);
    let first = facts(&world, 0, "round").next().unwrap();
    assert!(value(first, "took_us") > 25_000_000);
}

#[test]
fn one_that_is_lost_for_longer_leaves_the_domain_where_it_was() {
    let mut world = interrupted();
    let cut_at = world.now();
    world.run(cut_at.plus(SimTime::secs(32)));
    assert_eq!(world.why().unwrap_err(), ["the connection to the target was lost"]);
    assert!(world.ends[0].runs() && !world.ends[0].hv.guest.as_ref().unwrap().logging);
    assert!(world.ends[1].hv.guest.is_some(), "the target waits for longer");
    world.run(cut_at.plus(SimTime::secs(62)));
    assert!(world.ends[1].hv.guest.is_none(), "and gives up too, though nobody told it");
    world.cut_off = false;
    world.run(LONG);
    assert!(world.is_finished());
    assert_eq!(world.home(), 0);
}

#[test]
fn a_target_that_was_begun_again_meanwhile_says_that_it_gave_up() {
    let mut world = interrupted();
    world
        .ends_software(1, &Crash { at: 0, ends: [false, true], loses: true, away: SimTime::ms(1) });
    world.run(world.now().plus(SimTime::secs(5)));
    world.cut_off = false;
    world.run(LONG);
    assert_eq!(world.why().unwrap_err(), ["the target has given it up"]);
    assert_eq!(world.home(), 0);
}

#[test]
fn a_cold_migration_that_is_cut_leaves_one_domain() {
    for kind in [Kind::Bound, Kind::Inactive] {
        let setup = Setup { kind, ..Setup::default() };
        at_every_place(&setup, Fault::Cut, |world, place| {
            let here = |end: usize| world.ends[end].manager.domain.is_some();
            assert!(here(0) != here(1), "cut at {place}: {} {}", here(0), here(1));
            assert_eq!(world.outcome, Some(if here(1) { Ok(()) } else { world.why() }));
        });
    }
}

#[test]
fn whatever_is_altered_replayed_reordered_or_truncated_on_the_wire_is_noticed() {
    let setup = Setup { writer: BUSY, ..Setup::default() };
    for fault in [Fault::Alter, Fault::Replay, Fault::Swap, Fault::Truncate] {
        at_every_place(&setup, fault, |world, place| {
            let home = world.home();
            let ok = world.outcome == Some(Ok(()));
            assert_eq!(ok, home == 1, "{:?} at {place}", fault(place));
            // Only what comes after the domain was handed over may be spoilt without
            // stopping it.
            let last = world.sent_by_source <= place + 2;
            assert!(!ok || last || world.reconnected(), "{:?} at {place}", fault(place));
        });
    }
}

#[test]
fn a_wrong_password_gets_nowhere() {
    let world = run(&Setup { password: "guess", ..Setup::default() });
    assert_eq!(world.home(), 0);
    let why = world.outcome.unwrap().unwrap_err();
    assert_eq!(why, ["authentication failed: is the password right?"]);
    assert!(world.ends[1].desk.log.iter().any(|line| line.contains("has not proved")));
    assert!(world.ends[1].manager.status.is_empty(), "the target's manager heard nothing");
}

#[test]
fn nothing_of_the_domain_is_on_the_wire_in_the_clear() {
    let world = run(&Setup::default());
    for secret in [&b"rover"[..], b"constraints", &[0x5a; 16]] {
        assert!(!world.tapped.windows(secret.len()).any(|bytes| bytes == secret));
    }
}

#[test]
fn the_same_bytes_are_sent_whichever_job_ends_first() {
    let setup = Setup { pages: 600, ..Setup::default() };
    let world = run(&setup);
    assert_eq!(world.home(), 1);
    for strands in [1, 3, 16] {
        for backwards in [false, true] {
            let mut other = World::new(&Setup { strands, ..setup.clone() });
            other.backwards = backwards;
            other.run(LONG);
            assert_eq!(other.home(), 1);
            assert!(other.tapped == world.tapped, "{strands} strands, backwards {backwards}");
        }
    }
}

#[test]
fn more_strands_take_less_time() {
    let took = |strands| {
        let world = run(&Setup { strands, pages: 2000, ..Setup::default() });
        value(facts(&world, 0, "handed over").next().unwrap(), "took_us")
    };
    let (one, eight) = (took(1), took(8));
    assert!(one > 5 * eight, "{one} against {eight} us");
}

#[test]
fn pages_are_hashed_alike_at_both_ends_whatever_units_they_have() {
    let took = |units: [bool; 2]| {
        let mut world = World::new(&Setup { writer: BUSY, ..Setup::default() });
        world.ends.iter_mut().zip(units).for_each(|(end, units)| end.cipher.units = units);
        world.run(LONG);
        assert_eq!(world.home(), 1, "{units:?}");
        value(facts(&world, 0, "handed over").next().unwrap(), "took_us")
    };
    let strands = took([false, false]);
    assert_eq!([took([true, false]), took([false, true])], [strands; 2]);
    // What was agreed stays, though no unit does it: strands are slow at it.
    let units = took([true, true]);
    assert!(units > strands * 11 / 10, "{units} against {strands} us");
}

#[test]
fn a_domain_that_writes_faster_than_the_wire_is_suspended_when_rounds_do_not_help() {
    let writer = Writer { pages: 400, among: 4000 };
    let world = run(&Setup { writer, pages: 4000, strands: 4, ..Setup::default() });
    assert_eq!(world.home(), 1);
    let log = world.ends[0].desk.log.join("\n");
    assert!(log.contains("another round would not help: the pause is accepted"), "{log}");
    assert!(world.pause > Config::default().policy.pause_budget, "{:?}", world.pause);
    assert_eq!(world.ends[0].hv.holds, [0; 0]);
}

/// A domain that has written almost all of its memory anew by the time sixteen strands have
/// sent it.
fn quick(unfit: Unfit) -> Setup {
    Setup {
        writer: Writer { pages: 16, among: 1000 },
        pages: 1000,
        strands: 16,
        pause_budget: SimTime::ms(200),
        unfit,
        ..Setup::default()
    }
}

#[test]
fn a_domain_that_is_held_converges_and_runs_at_full_speed_again() {
    let world = run(&quick(Unfit::Slow));
    let log = world.ends[0].desk.log.join("\n");
    assert_eq!(world.home(), 1, "{log}");
    let held = &world.ends[0].hv.holds;
    assert!(!held.is_empty() && held.is_sorted(), "{held:?}\n{log}");
    assert!(log.contains("the rest fits the pause"), "{log}");
    // It goes on being held until it stands still, and what it is predicted from was
    // measured a moment before.
    assert!(world.pause <= SimTime::ms(220), "{:?}\n{log}", world.pause);
    let facts: Vec<u64> = facts(&world, 0, "held").map(|fact| value(fact, "percent")).collect();
    assert_eq!(facts, held.iter().map(|&held| u64::from(held)).collect::<Vec<_>>());
}

#[test]
fn a_migration_that_does_not_converge_can_be_given_up() {
    let world = run(&quick(Unfit::GiveUp));
    assert_eq!(world.home(), 0, "it stays, and its log is off");
    let why = world.why().unwrap_err();
    let [line] = &why[..] else { panic!("{why:?}") };
    assert!(line.contains(" pages/s are written and "), "{line}");
    assert!(line.ends_with(" ms of 200 ms; another round would not help"), "{line}");
    assert_eq!(world.pause, SimTime::ZERO, "it never stood still");
}

#[test]
fn a_held_domain_goes_on_at_full_speed_when_its_migration_ends() {
    let setup = quick(Unfit::Slow);
    let mut world = World::new(&setup);
    while world.ends[0].hv.guest.as_ref().unwrap().held == 0 {
        assert!(world.turn(), "it is never held");
    }
    world.source.as_mut().unwrap().cancel(&mut world.ends[0].io()).unwrap();
    world.collect(0);
    world.run(LONG);
    assert_eq!(world.home(), 0);
    let mut world = World::new(&setup);
    world.ends[0].hv.refuse = Some("Hold");
    world.run(LONG);
    assert_eq!(world.home(), 0);
    assert_eq!(
        world.why().unwrap_err(),
        ["the hypervisor does not hold it: a fault was asked for"]
    );
}

#[test]
fn a_held_domain_runs_at_full_speed_while_the_wire_is_lost() {
    let mut world = World::new(&quick(Unfit::Slow));
    while world.ends[0].hv.guest.as_ref().unwrap().held == 0 {
        assert!(world.turn(), "it is never held");
    }
    let held = world.ends[0].hv.guest.as_ref().unwrap().held;
    world.cut();
    world.cut_off = true;
    world.run(world.now().plus(SimTime::secs(3)));
    assert_eq!(world.ends[0].hv.guest.as_ref().unwrap().held, 0);
    world.cut_off = false;
    world.run(LONG);
    assert_eq!((world.outcome.clone(), world.home()), (Some(Ok(())), 1));
    assert_eq!(world.ends[0].hv.holds[..3], [held, 0, held]);
}

#[test]
fn a_domain_that_writes_a_little_is_suspended_when_the_rest_fits() {
    let writer = Writer { pages: 1, among: 50 };
    let world = run(&Setup { writer, pages: 4000, strands: 8, ..Setup::default() });
    assert_eq!(world.home(), 1);
    let log = world.ends[0].desk.log.join("\n");
    assert!(log.contains("the rest fits the pause"), "{log}");
    let budget = Config::default().policy.pause_budget;
    assert!(world.pause <= budget, "{:?} of {budget:?}", world.pause);
}

#[test]
fn a_page_that_is_written_with_what_it_had_is_not_sent_again() {
    let writer = Writer { pages: 1, among: 1 };
    let mut world = World::new(&Setup { writer, ..Setup::default() });
    // Page 0 is all zeros and stays so: the guest writes zeros.
    world.write_zeros = true;
    world.run(LONG);
    assert_eq!(world.home(), 1);
    let same: u64 = facts(&world, 0, "round").map(|fact| value(fact, "same_pages")).sum();
    assert!(same > 0);
}

#[test]
fn without_live_migration_at_both_ends_it_stands_still_and_is_copied_once() {
    for live in [[false, true], [true, false], [false, false]] {
        let world = run(&Setup { live, writer: BUSY, ..Setup::default() });
        assert_eq!(world.outcome, Some(Ok(())), "{:#?}", world.ends[0].desk.log);
        assert_eq!(world.home(), 1);
        let rounds: Vec<_> = facts(&world, 0, "round")
            .map(|fact| (value(fact, "pages"), value(fact, "suspended")))
            .collect();
        assert_eq!(rounds, [(160, 1)], "all pages, once");
        assert_eq!((world.ends[0].hv.pages_out, facts(&world, 0, "warm").count()), (160, 1));
        assert!(world.percents.is_sorted() && world.percents.len() > 5, "{:?}", world.percents);
        let took = value(facts(&world, 0, "handed over").next().unwrap(), "took_us");
        assert!(world.pause.as_us() * 10 > took * 9, "the pause is the copy");
    }
    let live = run(&Setup { writer: BUSY, ..Setup::default() });
    assert_eq!(facts(&live, 0, "warm").count(), 0);
}

#[test]
fn a_warm_migration_says_why_and_how_far_it_is() {
    let setup = Setup { live: [true, false], fixed: FixedTime::default(), ..Setup::default() };
    let world = run(&setup);
    assert_eq!(world.home(), 1);
    let mut text = String::new();
    for (name, end) in [("source", &world.ends[0]), ("target", &world.ends[1])] {
        let shown: Vec<_> = end.manager.status.iter().flatten().map(|own| own.percent).collect();
        let log = end.desk.log.join("\n");
        text += &format!("-- {name}\n{log}\npercent {shown:?}\n");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn wherever_the_wire_of_a_warm_migration_is_cut_the_domain_runs_at_exactly_one_end() {
    let mut homes = [0, 0];
    let setup = Setup { live: [true, false], pages: 40, ..Setup::default() };
    at_every_place(&setup, Fault::Cut, |world, place| {
        let home = world.home();
        homes[home] += 1;
        assert_eq!(matches!(world.outcome, Some(Ok(()))), home == 1, "cut at {place}");
    });
    assert!(homes[0] > 5 && homes[1] > 0, "it ended at either end: {homes:?}");
}

#[test]
fn a_domain_that_the_target_has_had_since_is_refused() {
    let mut world = World::new(&Setup::default());
    let entry = EntryV1 {
        state: State::Here,
        migration: [9; 16],
        uuid: UUID.into(),
        domain: "rover".into(),
        kind: Kind::Active,
        epoch: 1,
        owned: 2,
        before: 0,
        peer: "t5120".into(),
        ticket: String::new(),
        digest: [0; 32],
        offer: None,
    };
    world.ends[1].journal.store.append(entry).unwrap();
    // The source's journal does not know better.
    world.lenient = true;
    world.run(LONG);
    assert_eq!(
        world.why().unwrap_err(),
        ["LDom rover is offered at epoch 1, and this system has had it at epoch 2: what is \
          offered is old"]
    );
}

#[test]
fn what_stands_against_it_at_either_end_is_reported_together_by_a_dry_run() {
    let own = vec!["it has crypto units".to_owned(), "it does not run".to_owned()];
    let theirs = vec!["not enough memory".to_owned()];
    let setup = Setup { check_only: true, leaving: own.clone(), ..Setup::default() };
    for problems in [Vec::new(), theirs] {
        let mut world = World::new(&setup);
        world.ends[1].manager.problems.clone_from(&problems);
        world.run(LONG);
        assert_eq!(world.outcome, Some(Err([own.clone(), problems].concat())));
        assert_eq!(world.home(), 0);
        assert!(world.ends.iter().all(|end| end.journal.begun.is_empty()), "nothing is written");
    }
    let mut world = World::new(&Setup { password: "guess", ..setup });
    world.run(LONG);
    let wrong = "authentication failed: is the password right?".to_owned();
    assert_eq!(world.why(), Err([own.clone(), vec![wrong]].concat()));
    // One that is meant does not even begin.
    let request = super::Request { check_only: false, ..world.request.clone() };
    let (buffers, mut io) = (world.buffers, world.ends[0].io());
    let refused = super::Source::new(Config::default(), request, buffers, &mut io);
    assert_eq!(refused.err(), Some(own));
}

#[test]
fn a_dry_run_checks_and_changes_nothing() {
    let world = run(&Setup { check_only: true, writer: BUSY, ..Setup::default() });
    assert_eq!(world.outcome, Some(Ok(())));
    assert_eq!(world.home(), 0);
    assert_eq!(world.ends[0].hv.pages_out, 0);
    assert!(facts(&world, 0, "phase").next().is_none());
}

#[test]
fn every_problem_that_the_target_has_is_reported() {
    for check_only in [true, false] {
        let mut world = World::new(&Setup { check_only, ..Setup::default() });
        let problems = vec!["not enough memory".to_owned(), "no vol1@primary-vds0".to_owned()];
        world.ends[1].manager.problems.clone_from(&problems);
        world.run(LONG);
        assert_eq!(world.outcome, Some(Err(problems)));
        assert_eq!(world.home(), 0);
    }
}

#[test]
fn a_bound_or_inactive_domain_takes_the_short_way() {
    for kind in [Kind::Bound, Kind::Inactive] {
        let world = run(&Setup { kind, ..Setup::default() });
        assert_eq!(world.outcome, Some(Ok(())));
        assert_eq!(world.ends[0].manager.domain, None);
        assert_eq!(world.ends[1].manager.domain, Some(("rover".into(), "domain")));
        assert!(facts(&world, 0, "round").next().is_none());
    }
}

#[test]
fn a_hypervisor_that_refuses_leaves_the_domain_where_it_was() {
    let names = ["LogStart", "DirtyRead", "PagesOut", "Suspend", "StateOut"];
    for (end, name) in names
        .map(|name| (0, name))
        .into_iter()
        .chain(["PagesIn", "PagesZero", "StateIn"].map(|name| (1, name)))
    {
        let mut world = World::new(&Setup { writer: BUSY, ..Setup::default() });
        world.ends[end].hv.refuse = Some(name);
        world.run(LONG);
        assert!(matches!(world.outcome, Some(Err(_))), "{name}");
        assert_eq!(world.home(), 0, "{name}");
    }
}

#[test]
fn a_migration_can_be_cancelled_until_the_domain_is_handed_over() {
    let setup = Setup { writer: BUSY, ..Setup::default() };
    let mut turns = 0;
    let (mut cancelled, mut refused) = (0, 0);
    loop {
        let mut world = World::new(&setup);
        let happened = (0..turns).all(|_| world.turn());
        if !happened || world.outcome.is_some() {
            break;
        }
        let cancel = world.source.as_mut().unwrap().cancel(&mut world.ends[0].io());
        world.collect(0);
        world.run(LONG);
        match cancel {
            Ok(()) => {
                assert_eq!(world.home(), 0, "after {turns} turns");
                cancelled += 1;
            }
            Err(_) => {
                assert_eq!(world.home(), 1, "after {turns} turns");
                refused += 1;
            }
        }
        turns += 7;
    }
    assert!(cancelled > 10 && refused > 0, "{cancelled} cancelled, {refused} refused");
}

#[test]
fn progress_never_falls_and_ends_at_a_hundred() {
    let world = run(&Setup { writer: BUSY, pages: 2000, ..Setup::default() });
    assert!(world.percents.is_sorted(), "{:?}", world.percents);
    assert!(world.percents.len() > 10, "{:?}", world.percents);
    assert_eq!(world.percents.last(), Some(&100));
    let shown: Vec<&Status> = world.ends[1].manager.status.iter().flatten().collect();
    assert!(shown.is_sorted_by_key(|status| status.percent), "{shown:?}");
    assert!(shown.iter().all(|status| !status.source && status.peer == "t5120"));
}

#[test]
fn the_fixed_time_is_waited_for_and_nothing_else_depends_on_it() {
    let quick = run(&Setup::default());
    let slow = run(&Setup { fixed: FixedTime::default(), ..Setup::default() });
    assert_eq!(slow.home(), 1);
    let took = |world: &World| value(facts(world, 0, "done").next().unwrap(), "took_us");
    let fixed = FixedTime::default();
    // What the target does to settle overlaps with what the source destroys.
    let waited =
        [fixed.connect, fixed.check, fixed.shell, fixed.quiesce, fixed.resume, fixed.destroy]
            .map(SimTime::as_us)
            .iter()
            .sum::<u64>();
    assert_eq!(took(&slow) - took(&quick), waited);
    assert!(slow.tapped == quick.tapped);
}

#[test]
fn a_migration_is_refused_for_a_domain_that_is_not_there() {
    let mut world = World::new(&Setup::default());
    world.ends[0].manager.domain = None;
    world.ends[0].hv.guest = None;
    let request = world.request.clone();
    let buffers = world.buffers;
    let mut io = world.ends[0].io();
    let refused = super::Source::new(Config::default(), request, buffers, &mut io);
    assert_eq!(refused.err(), Some(vec!["LDom \"rover\" was not found".to_owned()]));
}

#[test]
fn a_target_that_refuses_in_mid_stream_tells_the_sources_operator_why() {
    for (fault, why) in
        [(Fault::Alter(6), "authentication failed"), (Fault::Replay(6), "record out of order")]
    {
        let world = run(&Setup { fault: Some(fault), ..Setup::default() });
        assert!(world.fault_happened);
        let told = format!("t5220 closed the connection: {why}");
        assert_eq!(world.why(), Err(vec![told]), "{:#?}", world.ends[1].desk.log);
        assert_eq!(world.home(), 0);
        assert!(world.is_finished());
    }
}
