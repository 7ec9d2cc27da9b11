//! Cables that lose, and cables that are cut.

use super::felt::{clock_goes_on, memory_is_sound};
use super::moved::digests_agree;
use super::run::{Run, instead, replay};
use sun4v::time::SimTime;

const MIGRATE: &str = "t5120# ldm migrate-domain -p /root/t5220.password rover t5220";

#[test]
fn a_network_that_loses_two_frames_in_a_hundred_slows_a_migration_down_and_no_more() {
    let steps = format!(
        "lab# set lab loss=0.02\n{MIGRATE}\nlab# set lab loss=0\nt5120# ldm list\nt5220# ldm list"
    );
    let run = replay("loss", &instead(&steps), 1, &["linger=3s"]);
    assert_eq!(run.ended, Ok(()));
    assert_eq!(digests_agree(&run), 1);
    assert!(!run.answer("t5120# ldm list", 1).0.contains("rover"));
    assert!(run.answer("t5220# ldm list", 1).0.contains("rover"));
    assert!(run.all("ping", "lost").next().is_some(), "nothing was lost");
    memory_is_sound(&run);
}

#[test]
fn a_cable_that_is_cut_while_memory_moves_leaves_the_domain_where_it_was() {
    let steps = format!(
        "[wait = false] !{MIGRATE}\n\
         [when = \"log line primary: migration of rover: pre-copy\"; within = \"30s\"; \
         after = \"50ms\"] lab# cut lab/t5220\n\
         t5220# ldm list\n\
         [when = \"answered\"] t5120# ldm list\n\
         lab# join lab/t5220\n\
         [after = \"20s\"] t5220# ldm list\n\
         {MIGRATE}\n"
    );
    let run = replay("cut", &instead(&steps), 1, &["linger=3s"]);
    assert_eq!(run.ended, Ok(()));
    let (printed, status) = run.answer(MIGRATE, 0);
    assert_eq!(status, 1);
    insta::assert_snapshot!(printed);
    // There was a shell, there is none, and the domain never stopped.
    let row = |place: &str, n| {
        let list = run.answer(&format!("{place}# ldm list"), n).0;
        let row = list.lines().find(|line| line.starts_with("rover"));
        row.map(|row| row.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(row("t5220", 1).as_deref(), Some("rover bound -----t"));
    assert_eq!(row("t5120", 1).as_deref(), Some("rover active -n----"));
    assert_eq!(row("t5220", 2), None);
    // And with the cable back it moves, the clock late by that pause alone.
    assert_eq!(digests_agree(&run), 1);
    let pause = run.all("migration", "handed over").next().unwrap().value("pause_us");
    assert!(clock_goes_on(&run, SimTime::us(pause).plus(SimTime::ms(1))) > 10);
    memory_is_sound(&run);
    assert!(run.all("ping", "lost").next().is_none());
}

/// Moves rover over a cable that is out for so long, from when its memory moves.
fn out_for(name: &str, seconds: u32) -> Run {
    let steps = format!(
        "[wait = false] {MIGRATE}\n\
         [when = \"log line primary: migration of rover: pre-copy\"; within = \"30s\"; \
         after = \"50ms\"] lab# cut lab/t5220\n\
         [after = \"{seconds}s\"] lab# join lab/t5220\n\
         [when = \"answered\"; within = \"120s\"] t5120# ldm list\n\
         t5220# ldm list\n"
    );
    let run = replay(name, &instead(&steps), 1, &["linger=3s"]);
    assert_eq!(run.ended, Ok(()));
    assert_eq!(digests_agree(&run), 1);
    assert_eq!(run.answer(MIGRATE, 0).1, 0);
    assert!(!run.answer("t5120# ldm list", 1).0.contains("rover"));
    assert!(run.answer("t5220# ldm list", 1).0.contains("rover"));
    memory_is_sound(&run);
    run
}

#[test]
fn a_cable_that_is_back_before_tcp_gives_up_is_not_noticed() {
    let run = out_for("out12", 12);
    assert!(run.all("migration", "interrupted").next().is_none());
}

#[test]
fn a_cable_that_is_back_later_has_a_new_connection_that_goes_on_with_the_rest() {
    let run = out_for("out30", 30);
    let rejoined = run.all("migration", "rejoined").next().expect("it went on");
    assert!(rejoined.value("chunks") > 0 && rejoined.value("again") > 0);
}
