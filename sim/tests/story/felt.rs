//! What somebody notices who works in a domain that is moved: a pause.

use super::run::{Run, instead, short};
use sim::lab::record::Fact;
use std::collections::BTreeSet;
use sun4v::time::SimTime;

/// Between two lines of rover's clock.
const BEAT: SimTime = SimTime::secs(2);
/// Host time between what is printed and what is noted, at most.
const NOTED: SimTime = SimTime::ms(1);

/// Lines of rover's console that begin so.
fn lines<'a>(run: &'a Run, begin: &'a str) -> Vec<&'a Fact> {
    run.all("console", "line")
        .filter(|fact| fact.name == "rover" && fact.text.starts_with(begin))
        .collect()
}

fn numbers(fact: &Fact) -> Vec<f64> {
    fact.text.split(' ').filter_map(|word| word.parse().ok()).collect()
}

/// The clock goes on without a leap: each line has the number after the one before
/// and comes two seconds after it, none of them later than `late`.
pub fn clock_goes_on(run: &Run, late: SimTime) -> usize {
    let clocks = lines(run, "clock: ");
    for pair in clocks.windows(2) {
        let (before, after) = (numbers(pair[0]), numbers(pair[1]));
        assert_eq!(after[0], before[0] + 1.0, "{}", pair[1].text);
        assert_eq!(after[1], before[1] + 2.0, "{}", pair[1].text);
        let gap = pair[1].time.since(pair[0].time);
        assert!(gap <= BEAT.plus(late), "{} after {} s", pair[1].text, gap.as_secs_f64());
    }
    clocks.len()
}

/// What rover's memory is summed to, again and again, never changed.
pub fn memory_is_sound(run: &Run) {
    assert!(lines(run, "memcheck BAD").is_empty());
    let counts: Vec<_> = lines(run, "memcheck ok ").into_iter().map(numbers).collect();
    assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
    assert!(!counts.is_empty());
}

#[test]
fn the_clock_is_late_by_a_pause_at_most_and_only_then() {
    let run = short();
    let pauses: Vec<_> =
        run.all("migration", "handed over").map(|fact| fact.value("pause_us")).collect();
    assert!(pauses[..2].iter().all(|&pause| 0 < pause && pause < 1_000_000), "{pauses:?}");
    let longest = SimTime::us(pauses.into_iter().max().unwrap());
    assert!(clock_goes_on(run, longest.plus(NOTED)) > 10);
    let resumed: Vec<_> = run.all("migration", "resumed").map(|fact| fact.time).collect();
    let clocks = lines(run, "clock: ");
    let late = clocks.iter().filter(|clock| {
        let uptime = numbers(clock)[2];
        uptime - (uptime / 2.0).floor() * 2.0 > 0.001
    });
    for clock in late {
        let pause = resumed.iter().any(|&at| at <= clock.time && clock.time.since(at) < NOTED);
        assert!(pause, "{} is late without a pause", clock.text);
    }
    // It goes on at the other server.
    let places: Vec<_> = clocks.iter().map(|clock| &clock.place[..]).collect();
    let mut places = places;
    places.dedup();
    assert_eq!(places, ["t5120", "t5220", "t5120"]);
}

#[test]
fn memory_never_changes_by_itself() {
    memory_is_sound(short());
}

#[test]
fn one_session_lasts_from_login_to_logout_and_echoes_every_key() {
    let run = short();
    assert_eq!(run.all("session", "connected").count(), 1);
    let closed: Vec<_> = run.all("session", "closed").collect();
    assert_eq!((closed.len(), &closed[0].text[..], closed[0].value("waiting")), (1, "us", 0));
    assert!(run.all("session", "line").all(|fact| fact.text != "^C"));
    let echoed: Vec<_> = run.all("echo", "seen").map(|fact| fact.value("sequence")).collect();
    assert_eq!(echoed, (0..echoed.len() as u64).collect::<Vec<_>>());
    assert!(echoed.len() > 150, "{}", echoed.len());
    let waiting: Vec<_> = run.all("echo", "waiting").map(|fact| fact.value("waiting")).collect();
    assert_eq!(waiting, [0]);
    let longest = run.all("echo", "seen").map(|fact| fact.value("delay_ns")).max().unwrap();
    assert!(longest < 1_000_000_000, "{longest}");
}

#[test]
fn no_ping_is_lost() {
    let run = short();
    let (lost, late) = (run.all("ping", "lost").count(), run.all("ping", "late").count());
    assert_eq!((lost, late), (0, 0));
    let stop = run.all("ping", "stop").next().unwrap();
    assert_eq!(stop.value("waiting"), 0);
    let replies: BTreeSet<_> =
        run.all("ping", "reply").map(|fact| fact.value("sequence")).collect();
    assert_eq!(replies.len() as u64, stop.value("sent"));
}

#[test]
fn a_session_that_nobody_ends_outlives_a_migration() {
    let run = super::run::replay(
        "session",
        &instead(
            "t5120# ldm migrate-domain -p /root/t5220.password rover t5220\n\
             workstation# type time",
        ),
        1,
        &["linger=3s"],
    );
    assert_eq!(run.ended, Ok(()));
    assert_eq!(run.all("session", "closed").count(), 0);
    let arrived = run.all("migration", "arrived").next().unwrap().time;
    assert!(run.all("session", "line").any(|fact| fact.time > arrived));
}
