//! Managers that end at every moment of a migration, and begin again.

use super::journal::State;
use super::mutant::{Mutant, with};
use super::port::Kind;
use super::testing::{Crash, Setup, UUID, World, Writer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use sun4v::time::SimTime;

const LONG: SimTime = SimTime::secs(120);
const BUSY: Writer = Writer { pages: 3, among: 20 };

fn setup() -> Setup {
    Setup { writer: BUSY, pages: 24, ..Setup::default() }
}

/// A domain that runs, or has only resources or constraints, is whole at one end and
/// nothing of it is at the other: which end.
fn check(world: &World, kind: Kind, what: &str) -> usize {
    let why = || format!("{what}\n{:#?}\n{:#?}", world.ends[0].desk.log, world.ends[1].desk.log);
    assert!(world.is_finished(), "somebody waits: {}", why());
    let home = match kind {
        Kind::Active => world.home(),
        _ => {
            let has = |end: usize| world.ends[end].manager.domain.is_some();
            assert!(has(0) != has(1), "{}", why());
            usize::from(has(1))
        }
    };
    assert_eq!(world.ends[home].manager.epoch, 1 + home as u64, "its epoch: {}", why());
    let says = |words: &str| world.ends.iter().any(|end| end.desk.log.join("\n").contains(words));
    assert!(!says("does not run") && !says("cannot put it back"), "{}", why());
    assert_eq!(world.ends[home].manager.domain, Some(("rover".into(), "domain")), "{}", why());
    home
}

/// Lets whoever is meant end at the first, second, … moment, until there is none.
fn at_every_moment(kind: Kind, ends: [bool; 2], loses: bool, away: SimTime) -> [usize; 2] {
    let mut homes = [0, 0];
    for at in 0.. {
        let crash = Crash { at, ends, loses, away };
        let mut world = World::new(&Setup { kind, crash: Some(crash), ..setup() });
        world.run(LONG);
        if !world.crashed {
            assert!(at > 10, "moments happened");
            break;
        }
        homes[check(&world, kind, &format!("{kind:?} {crash:?}"))] += 1;
    }
    homes
}

#[test]
fn whoever_ends_at_whatever_moment_the_domain_runs_at_exactly_one_end() {
    for ends in [[true, false], [false, true], [true, true]] {
        for loses in [false, true] {
            for away in [SimTime::us(50), SimTime::secs(3)] {
                let homes = at_every_moment(Kind::Active, ends, loses, away);
                assert!(homes[0] > 10 && homes[1] > 5, "{ends:?} {loses} {away:?}: {homes:?}");
            }
        }
    }
}

#[test]
fn a_cold_migration_survives_everybodys_end_too() {
    for kind in [Kind::Bound, Kind::Inactive] {
        for ends in [[true, false], [false, true], [true, true]] {
            for loses in [false, true] {
                at_every_moment(kind, ends, loses, SimTime::ms(700));
            }
        }
    }
}

#[test]
fn what_the_other_relies_on_is_written_first_and_each_end_writes_it_once() {
    let mut world = World::new(&setup());
    world.run(LONG);
    let begun = |end: usize| world.ends[end].journal.begun.clone();
    assert_eq!(begun(0), [State::Leaving, State::Commit, State::Released]);
    assert_eq!(begun(1), [State::Reserved, State::Prepared, State::Activated, State::Here]);
    let mut dry = World::new(&Setup { check_only: true, ..setup() });
    dry.run(LONG);
    assert!(dry.ends.iter().all(|end| end.journal.begun.is_empty()), "-n changes nothing");
}

#[test]
fn a_shell_that_goes_is_filled_with_zeros_and_takes_its_time() {
    let mut world = World::new(&Setup { pages: 4000, ..setup() });
    while world.ends[1].hv.guest.as_ref().is_none_or(|guest| guest.state == 0)
        && world.ends[0].hv.pages_out < 3000
    {
        assert!(world.turn());
    }
    let before = world.now();
    world.source.as_mut().unwrap().cancel(&mut world.ends[0].io()).unwrap();
    world.collect(0);
    let mut resumed = None;
    while world.turn() {
        if world.ends[0].runs() && resumed.is_none() {
            resumed = Some(world.now());
        }
        if world.ends[1].hv.guest.is_none() {
            break;
        }
    }
    let scrub = SimTime::of_ticks(4000 * 8192, super::target::retreat::SCRUB_BYTES_A_SECOND);
    assert!(world.now().since(before) >= scrub, "{:?}", world.now().since(before));
    assert!(resumed.unwrap().since(before) < SimTime::ms(1), "the source runs at once");
    world.run(LONG);
    assert!(world.ends[1].manager.scrubbed);
    assert_eq!(check(&world, Kind::Active, "cancelled"), 0);
}

/// Until the target has all and waits for a source that went away.
fn waits(loses: bool) -> World {
    let mut at = 0;
    loop {
        let crash = Crash { at, ends: [true, false], loses, away: SimTime::secs(1000) };
        let mut world = World::new(&Setup { crash: Some(crash), ..setup() });
        world.run(SimTime::secs(20));
        assert!(world.crashed, "no such moment");
        let target = world.target.as_ref().unwrap();
        let committed = world.ends[0].journal.begun.contains(&State::Commit);
        if target.is_doubtful() && !committed {
            return world;
        }
        at += 1;
    }
}

#[test]
fn a_prepared_target_waits_and_says_so() {
    let world = waits(false);
    let shown = world.ends[1].manager.status.last().unwrap().clone().unwrap();
    assert!(shown.doubtful && !shown.source && shown.peer == "t5120" && shown.percent >= 97);
    assert!(world.ends[1].desk.log.join("\n").contains("waits for t5120 to decide"));
}

#[test]
fn an_owner_whose_domain_was_taken_over_gives_it_up_when_it_comes_back() {
    let mut world = waits(false);
    // The chassis of the source has lost its power: nothing runs there.
    world.ends[0].hv.guest.as_mut().unwrap().running = false;
    assert_eq!(world.take_over(), Ok(()));
    world.run(SimTime::secs(200));
    assert!(world.ends[1].runs());
    assert_eq!(world.ends[1].manager.epoch, 3, "two more than it was offered at");
    assert!(world.take_over().is_err(), "once");
    // The source comes back, and believes that it never gave the domain away.
    world.run(SimTime::secs(2000));
    let log = world.ends[0].desk.log.join("\n");
    assert!(log.contains("taken over at t5220, at epoch 3: what is here, of epoch 1"), "{log}");
    assert!(world.is_finished(), "{log}");
    assert_eq!(world.ends[0].manager.domain, None);
    assert!(world.ends[0].hv.guest.is_none() && world.ends[1].runs());
}

#[test]
fn a_source_that_is_there_is_not_taken_over_from() {
    let mut world = World::new(&setup());
    assert!(world.take_over().is_err());
    while world.turn() {
        let begun = world.ends[1].journal.begun.clone();
        if begun.contains(&State::Activated) {
            break;
        }
        assert!(world.take_over().is_err(), "{begun:?}");
    }
}

#[test]
fn an_old_offer_is_refused_by_name() {
    let mut world = World::new(&setup());
    world.run(LONG);
    assert_eq!(check(&world, Kind::Active, "moved"), 1);
    // What the source had comes up once more, from a copy that somebody kept.
    let journal = std::mem::take(&mut world.ends[1].journal);
    let mut again = World::new(&setup());
    again.ends[1].journal = journal;
    again.lenient = true;
    again.run(LONG);
    let why = again.why().unwrap_err().join("\n");
    assert!(why.contains("offered at epoch 1, and this system has had it at epoch 2"), "{why}");
    assert_eq!(again.ends[0].manager.domain, Some(("rover".into(), "domain")));
}

#[test]
fn a_question_about_a_migration_that_is_forgotten_is_answered_by_the_epoch() {
    // The source commits and goes away; meanwhile the domain arrives, leaves and comes
    // again at the target, which forgets the first migration.
    let answer = || {
        for at in 0.. {
            let crash = Crash { at, ends: [true, false], loses: false, away: SimTime::secs(50) };
            let mut world = World::new(&Setup { crash: Some(crash), ..setup() });
            world.run(SimTime::secs(30));
            assert!(world.crashed, "no such moment");
            let here = world.ends[1].journal.store.ledger().seen(UUID) == 2;
            let asks = world.ends[0].journal.store.ledger().departures().next();
            if !here || asks.is_none_or(|own| own.state != State::Commit) {
                continue;
            }
            let store = &mut world.ends[1].journal.store;
            let mut later = store.ledger().arrivals().next().unwrap().clone();
            (later.migration, later.epoch, later.owned) = ([8; 16], 5, 6);
            store.append(later).unwrap();
            world.ends[1].manager.epoch = 6;
            world.target = None;
            world.run(SimTime::secs(300));
            assert!(world.is_finished());
            return [world.ends[0].runs(), world.ends[1].runs()];
        }
        [false; 2]
    };
    assert_eq!(answer(), [false, true]);
    assert_eq!(with(Mutant::SeenForgotten, answer), [true, true], "it runs what it gave away");
}

/// A journal of which `end`'s medium has no room for some entries; crashes besides, at every
/// `every`th moment.
fn full(end: usize, refuses: std::ops::Range<u64>, every: usize) {
    for at in (0..).step_by(every) {
        for ends in [[true, false], [false, true]] {
            let crash = Crash { at, ends, loses: at % 2 == 0, away: SimTime::ms(700) };
            let mut world = World::new(&Setup { crash: Some(crash), ..setup() });
            world.ends[end].journal.refuses = refuses.clone();
            world.run(LONG);
            if !world.crashed {
                return;
            }
            check(&world, Kind::Active, &format!("{end} {refuses:?} {crash:?}"));
        }
    }
}

#[test]
fn a_journal_that_takes_nothing_for_a_while_leaves_the_domain_at_one_end() {
    for end in [0, 1] {
        for first in 1..7 {
            for count in [1, 2, 5] {
                let mut world = World::new(&setup());
                world.ends[end].journal.refuses = first..first + count;
                world.run(LONG);
                check(&world, Kind::Active, &format!("{end}, {count} from {first}"));
                full(end, first..first + count, 7);
            }
        }
    }
}

/// A mistake that the table above finds.
fn dies(mutant: Mutant, table: impl FnOnce()) {
    let lived = with(mutant, || catch_unwind(AssertUnwindSafe(table))).is_ok();
    assert!(!lived, "{mutant:?} is not found");
}

fn table(ends: [bool; 2], loses: bool) {
    at_every_moment(Kind::Active, ends, loses, SimTime::ms(700));
}

#[test]
fn mutant_a_source_that_begins_again_runs_what_it_gave_away() {
    dies(Mutant::RunsAfterCommit, || table([true, false], false));
}

#[test]
fn mutant_a_shell_is_left_standing() {
    dies(Mutant::ShellLeft, || table([false, true], false));
}

#[test]
fn mutant_the_dirty_log_stays_on() {
    dies(Mutant::LogLeftOn, || table([true, false], false));
}

#[test]
fn mutant_a_target_is_not_told_that_it_is_off() {
    dies(Mutant::FarewellForgotten, || table([true, false], false));
}

#[test]
fn mutant_pages_that_were_written_last_are_dropped() {
    dies(Mutant::DirtyDropped, || {
        let mut world = World::new(&setup());
        world.run(LONG);
        world.home();
    });
}

#[test]
fn mutant_epochs_do_not_rise() {
    dies(Mutant::EpochNotRaised, || {
        let mut world = World::new(&setup());
        world.run(LONG);
        check(&world, Kind::Active, "moved");
    });
}

#[test]
fn mutant_epochs_are_not_checked() {
    dies(Mutant::EpochNotChecked, an_old_offer_is_refused_by_name);
}

#[test]
fn mutant_force_raises_the_epoch_like_everybody() {
    dies(
        Mutant::ForceRaisesByOne,
        an_owner_whose_domain_was_taken_over_gives_it_up_when_it_comes_back,
    );
}

/// A source that crashes after *commit* and, by a mistake, lets the domain run when it
/// comes back, while the target does too. What became of what both did.
fn two_owners() -> (Vec<[u64; 2]>, Vec<[u64; 2]>) {
    let (mut refused, mut frames) = (Vec::new(), Vec::new());
    with(Mutant::RunsAfterCommit, || {
        for at in 0.. {
            let crash = Crash { at, ends: [true, false], loses: false, away: SimTime::ms(400) };
            let mut world = World::new(&Setup { crash: Some(crash), ..setup() });
            world.lenient = true;
            let mut both = false;
            let mut before = [0, 0];
            while world.now() < SimTime::secs(20) && world.turn() {
                if !both && world.ends[0].runs() && world.ends[1].runs() {
                    (both, before) = (true, world.outside.frames);
                }
            }
            if !world.crashed {
                break;
            }
            if both {
                refused.push(world.outside.refused);
                frames.push([0, 1].map(|end| world.outside.frames[end] - before[end]));
            }
        }
    });
    (refused, frames)
}

#[test]
fn an_old_owner_that_runs_writes_nothing_and_is_not_heard() {
    let (refused, frames) = two_owners();
    assert!(refused.len() > 3, "{refused:?}");
    for (refused, frames) in refused.into_iter().zip(frames) {
        assert!(refused[0] > 100 && refused[1] == 0, "{refused:?}");
        assert!(frames[0] == 0 && frames[1] > 100, "{frames:?}");
    }
}

/// An operator takes over by force, and the source runs the domain all the same: it had not
/// given it away. Until it hears of it, its frames go out; its writes do not get through.
#[test]
fn an_owner_that_was_taken_over_and_runs_writes_nothing() {
    let mut world = waits(false);
    world.writes_on();
    world.cut_off = true;
    world.run(SimTime::secs(1002));
    assert!(world.ends[0].runs() && !world.ends[1].runs(), "the source is back and cut off");
    assert_eq!((world.outside.refused, world.outside.claimed), ([0, 0], 1));
    assert_eq!(world.take_over(), Ok(()));
    world.run(SimTime::secs(1004));
    assert!(world.ends[0].runs() && world.ends[1].runs());
    assert!(world.outside.refused[0] > 100 && world.outside.refused[1] == 0);
    assert!(world.outside.volume == world.outside.believed && world.outside.claimed == 3);
    world.cut_off = false;
    world.run(SimTime::secs(1020));
    assert!(!world.ends[0].runs() && world.ends[0].fence.shut, "{:#?}", world.ends[0].desk.log);
}

#[test]
fn mutant_a_port_is_left_open() {
    dies(Mutant::PortLeftOpen, || drop(two_owners()));
}

#[test]
fn mutant_volumes_are_claimed_when_it_runs_already() {
    dies(Mutant::RunsBeforeClaimed, || {
        let mut world = World::new(&setup());
        world.run(LONG);
    });
}

#[test]
fn a_migration_that_falls_back_leaves_volume_and_port_to_the_source() {
    for at in 0.. {
        let crash = Crash { at, ends: [true, true], loses: true, away: SimTime::ms(700) };
        let mut world = World::new(&Setup { crash: Some(crash), ..setup() });
        world.run(LONG);
        if !world.crashed {
            break;
        }
        let home = check(&world, Kind::Active, "both crashed");
        assert_eq!(world.outside.claimed, 1 + home as u64, "{crash:?}");
        assert!(!world.ends[home].fence.shut, "{crash:?}");
        assert_eq!(world.outside.refused, [0, 0], "{crash:?}");
    }
}

#[test]
fn a_manager_that_begins_again_beside_a_domain_that_came_says_that_it_has_gone_on() {
    let mut said = 0;
    for at in 0.. {
        let crash = Crash { at, ends: [false, true], loses: true, away: SimTime::ms(700) };
        let mut world = World::new(&Setup { crash: Some(crash), ..setup() });
        let mut ran = false;
        while world.turn() && world.now() < LONG {
            ran |= !world.crashed && world.ends[1].runs();
        }
        if !world.crashed {
            break;
        }
        let log = world.ends[1].desk.log.join("\n");
        said += usize::from(log.contains("migration of rover: it has gone on already"));
        assert!(!ran || !log.contains("it is ready and waits"), "{log}");
        assert!(!log.contains("does not run"), "{log}");
    }
    assert!(said > 0, "it never ran before its manager ended");
}

#[test]
fn a_source_finds_its_target_again_without_its_password_and_one_that_has_forgotten_it() {
    let world = waits(false);
    let entry = world.ends[0].journal.store.ledger().departures().next().unwrap().clone();
    let own = super::testing::secrets();
    assert_eq!(entry.ticket, super::journal::ticket(&own.tickets, &entry.migration));
    // The target's journal has none, and makes it again from the number alone.
    let log = world.ends[1].journal.store.bytes();
    assert!(!log.windows(entry.ticket.len()).any(|part| part == entry.ticket.as_bytes()));
    let mut forgets = waits(true);
    forgets.ends[1].journal = Default::default();
    forgets.target = None;
    forgets.ends[1].hv.guest = None;
    forgets.ends[1].manager.domain = None;
    forgets.run(SimTime::secs(3000));
    assert!(forgets.is_finished() && forgets.ends[0].runs(), "{:#?}", forgets.ends[0].desk.log);
}
