//! A domain is taken over by force while its source runs it too.

use super::run::{instead, replay};

const MIGRATE: &str = "t5120# ldm migrate-domain -p /root/t5220.password rover t5220";

/// The cable is cut when the target has everything and before its word arrives. An operator
/// at the source lets the domain go on there, one at the target takes it over: a scrub that
/// both have in their memory goes on twice, over the same two disks.
#[test]
fn the_old_owner_of_a_domain_that_was_taken_over_is_kept_from_its_disks() {
    let steps = format!(
        "workstation# type scrub start\n\
         [after = \"2s\"; wait = false] !{MIGRATE}\n\
         [when = \"log line primary: migration of rover: digest\"; within = \"20s\"; \
         after = \"1500us\"] lab# cut lab/t5120\n\
         nas# owners\n\
         [after = \"11s\"] t5120# ldm cancel-operation migration rover\n\
         t5220# ldm complete-operation -f migration rover\n\
         [after = \"4s\"] t5120# ldm list\n\
         t5220# ldm list\n\
         lab# join lab/t5120\n\
         [after = \"40s\"] t5120# ldm list\n\
         nas# owners\n"
    );
    let variable = "run = \"t5120# ldm set-variable fill-percent=25 rover\"";
    let slow = "\n[[script]]\nrun = \"t5120# ldm set-variable scrub-rate=1 rover\"";
    let scenario = instead(&steps).replace(variable, &format!("{variable}{slow}"));
    let run = replay("fence", &scenario, 1, &["linger=3s", "limits.time=300s"]);
    assert_eq!(run.ended, Ok(()), "{}", run.transcript);

    // Both claimed before, at the same epoch; then the target, at one that its source never had.
    let epochs = |n: usize| {
        let owners = run.answer("nas# owners", n).0;
        let epoch = |line: &str| line.split_once(" epoch ")?.1.split(',').next()?.parse().ok();
        owners.lines().map(epoch).collect::<Option<Vec<u64>>>().unwrap()
    };
    assert_eq!((epochs(0), epochs(1)), (vec![1, 1], vec![3, 3]));
    let row = |place: &str, n| {
        let list = run.answer(&format!("{place}# ldm list"), n).0;
        let row = list.lines().find(|line| line.starts_with("rover"));
        row.map(|row| row.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    };
    let both = [row("t5120", 1), row("t5220", 1)];
    assert_eq!(both, [Some("rover active".to_owned()), Some("rover active".to_owned())]);

    // The old one is refused, by name, at the NAS and at its own disk server, once a disk.
    let refused: Vec<_> = run.all("image", "refused").collect();
    assert!((1..=2).contains(&refused.len()), "{refused:?}");
    for fact in &refused {
        assert_eq!((fact.value("epoch"), fact.value("newest")), (1, 3), "{fact:?}");
    }
    let said = |place: &str, words: &str| {
        let lines = run.all("log", "line").filter(|fact| fact.place == place);
        lines.filter(|fact| fact.text.contains(words)).count()
    };
    assert_eq!(said("t5120", "refused at epoch 1: its domain has a newer one"), refused.len());
    assert_eq!(said("t5220", "refused at epoch"), 0);
    let scrubs = |place: &str| -> Vec<_> {
        let lines = run.all("console", "line").filter(|fact| fact.place == place);
        lines.filter(|fact| fact.text.contains("scrub: done")).map(|fact| &fact.text).collect()
    };
    // The new one's scrub ends as if it were alone, and mends the block that was spoilt.
    let [done] = scrubs("t5220")[..] else { panic!("{:?}", scrubs("t5220")) };
    assert!(done.contains(" 1 repaired, 0 lost, 0 errors"), "{done}");
    assert!(!scrubs("t5120").iter().any(|done| done.contains(" 0 errors")), "nothing was refused");

    // With the cable back, the source hears of it and gives up what it has.
    assert_eq!(said("t5120", "taken over at t5220, at epoch 3: what is here, of epoch 1"), 1);
    assert_eq!(row("t5120", 2), None);
}
