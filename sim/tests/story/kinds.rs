//! Every kind of migration, two at once, and a server that all of its domains leave.

use super::felt::{clock_goes_on, memory_is_sound};
use super::moved::digests_agree;
use super::run::{Run, instead, replay, settled};
use std::fmt::Write as _;
use sun4v::time::SimTime;

const MIGRATE: &str = "t5120# ldm migrate-domain -p /root/t5220.password rover t5220";

/// Lists and migrations in the order of their answers.
fn lists(run: &Run) -> String {
    let mut text = String::new();
    for fact in run.all("command", "answered") {
        if ["ldm list", "ldm migrate"].iter().any(|verb| fact.text.starts_with(verb)) {
            let (line, printed) = fact.text.split_once('\n').unwrap();
            let _ = write!(text, "{}# {line}\n{}", fact.place, settled(printed));
        }
    }
    text
}

#[test]
fn to_a_server_without_live_migration_a_domain_moves_warm() {
    let story = include_str!("../../../testdata/scenarios/warm.toml");
    let run = replay("warm", story, 1, &[]);
    assert_eq!(run.ended, Ok(()));
    assert_eq!(digests_agree(&run), 1);
    let pause = SimTime::us(run.all("migration", "handed over").next().unwrap().value("pause_us"));
    let rounds: Vec<_> = run.all("migration", "round").map(|round| round.value("pages")).collect();
    assert_eq!(rounds, [(64 << 20) / 8192], "every page once");
    // It stood still for the whole copy, and its clock is late by that.
    let copy = SimTime::us(run.all("migration", "round").next().unwrap().value("took_us"));
    assert!(pause > copy && copy > SimTime::ZERO, "{pause:?} {copy:?}");
    assert!(clock_goes_on(&run, pause.plus(SimTime::ms(1))) > 5);
    memory_is_sound(&run);
    assert!(run.answer("t5220# ldm -V", 0).0.starts_with("Logical Domains Manager (v 2.0)\n"));
    let why = "migration of rover: warm, for t5220 has no live migration: it stands still while \
               it is copied";
    assert!(run.all("log", "line").any(|line| line.text.contains(why)), "it says why");
    insta::assert_snapshot!(lists(&run));
}

#[test]
fn two_domains_change_places_at_once_and_a_third_waits_its_turn() {
    let steps = format!(
        "t5120# ldm add-domain mars\n\
         t5220# ldm add-domain venus\n\
         t5220# ldm add-vcpu 2 venus\n\
         t5220# ldm add-memory 64M venus\n\
         t5220# ldm bind-domain venus\n\
         t5220# ldm start-domain venus\n\
         [when = \"console line venus: rover: up\"; within = \"30s\"; after = \"1s\"] \
         t5220# ldm list\n\
         [wait = false] {MIGRATE}\n\
         [wait = false] t5220# ldm migrate-domain -p /root/t5120.password venus t5120\n\
         !t5120# ldm migrate-domain -p /root/t5220.password mars t5220\n\
         [when = \"log line primary: migration of rover: pre-copy\"; within = \"30s\"; \
         after = \"50ms\"] t5120# ldm list\n\
         t5220# ldm list\n\
         [when = \"answered\"; within = \"60s\"; after = \"1s\"] t5120# ldm list\n\
         t5220# ldm list\n\
         t5120# ldm migrate-domain -p /root/t5220.password mars t5220\n\
         t5120# ldm list\n\
         t5220# ldm list"
    );
    let run = replay("both-ways", &instead(&steps), 1, &["linger=3s"]);
    assert_eq!(run.ended, Ok(()));
    let mut digests: Vec<_> = run.all("memory", "digest").collect();
    digests.sort_by_key(|fact| (fact.name.clone(), fact.time));
    let ends: Vec<_> =
        digests.iter().map(|fact| (fact.name.as_str(), fact.place.as_str())).collect();
    assert_eq!(
        ends,
        [("rover", "t5120"), ("rover", "t5220"), ("venus", "t5220"), ("venus", "t5120")]
    );
    assert_eq!((&digests[0].text, &digests[2].text), (&digests[1].text, &digests[3].text));
    // Both stood still within one second: they were under way together.
    let still: Vec<_> = run.all("migration", "suspended").map(|fact| fact.time).collect();
    assert!(still[1].since(still[0]) < SimTime::secs(1), "{still:?}");
    let pauses = run.all("migration", "handed over").map(|fact| fact.value("pause_us"));
    let longest = SimTime::us(pauses.max().unwrap()).plus(SimTime::ms(1));
    assert!(clock_goes_on(&run, longest) > 5);
    memory_is_sound(&run);
    assert!(run.all("ping", "lost").next().is_none());
    insta::assert_snapshot!(lists(&run));
}

#[test]
fn a_server_is_evacuated_and_switched_off() {
    let story = include_str!("../../../testdata/scenarios/evacuate.toml");
    let run = replay("evacuate", story, 1, &[]);
    assert_eq!(run.ended, Ok(()));
    assert_eq!(digests_agree(&run), 1);
    let off = run.all("chassis", "off").next().unwrap();
    assert_eq!(off.place, "t5120");
    // Nobody notices: pings are answered and the clock goes on after that, too.
    assert!(run.all("ping", "lost").next().is_none());
    assert!(run.all("ping", "reply").any(|reply| reply.time > off.time));
    assert!(run.all("session", "closed").next().is_none());
    let pauses = run.all("migration", "handed over").map(|fact| fact.value("pause_us"));
    let longest = SimTime::us(pauses.max().unwrap()).plus(SimTime::ms(1));
    assert!(clock_goes_on(&run, longest) > 10);
    memory_is_sound(&run);
    insta::assert_snapshot!(lists(&run));
}

#[test]
fn a_scrub_that_is_under_way_goes_on_at_the_target() {
    let steps = format!(
        "workstation# type scrub start\n\
         [when = \"console line rover: scrub: started\"; within = \"10s\"] {MIGRATE}\n\
         [when = \"console line rover: scrub: done\"; within = \"60s\"] nas# images"
    );
    // A megabyte a second of each side: it lasts longer than the migration.
    let slow = instead(&steps).replace("fill-percent=25", "fill-percent=25 scrub-rate=1");
    let run = replay("scrub", &slow, 1, &[]);
    assert_eq!(run.ended, Ok(()));
    assert_eq!(digests_agree(&run), 1);
    let at = |begin: &str| {
        let mut lines = run.all("console", "line").filter(|fact| fact.text.starts_with(begin));
        let line = lines.next().unwrap_or_else(|| panic!("{begin}"));
        assert!(lines.next().is_none(), "{begin} twice");
        line
    };
    let (began, done) = (at("scrub: started"), at("scrub: done"));
    let still = run.all("migration", "suspended").next().unwrap().time;
    assert!(began.time < still && still < done.time, "it was under way");
    assert!(done.text.contains("1 repaired"), "every block once, and one was bad: {}", done.text);
    // One block of one image was written, once: what was broken is whole.
    let changed: Vec<_> = run
        .all("image", "use")
        .map(|fact| (fact.name.as_str(), fact.value("written_bytes"), fact.value("changed_blocks")))
        .collect();
    insta::assert_debug_snapshot!(changed);
    memory_is_sound(&run);
}
