//! A migration that cannot be: the operator reads why, and nothing has changed.

use super::felt::{clock_goes_on, memory_is_sound};
use super::run::{Run, instead, replay, settled};
use sun4v::time::SimTime;

const MIGRATE: &str = "t5120# ldm migrate-domain -p /root/t5220.password rover t5220";

/// The story up to where `rover` runs at t5120; then `before`, `refused`, which must
/// fail, and `after`. What `refused` printed, and the run.
fn refused(name: &str, before: &str, refused: &str, after: &str) -> (String, Run) {
    let lists = "t5120# ldm list\nt5220# ldm list\n";
    let steps = format!("{before}\n{lists}!{refused}\n{lists}{after}");
    let run = replay(name, &instead(&steps), 1, &["linger=3s", "limits.time=200s"]);
    assert_eq!(run.ended, Ok(()));
    let (printed, status) = run.answer(refused, 0);
    assert_eq!(status, 1);
    // The story lists once before: these are the second and the third.
    for place in ["t5120", "t5220"] {
        let list = |n| settled(&run.answer(&format!("{place}# ldm list"), n).0);
        assert_eq!(list(1), list(2), "{place}");
    }
    assert_eq!(run.all("memory", "digest").count(), 0);
    assert!(clock_goes_on(&run, SimTime::ms(2)) > 1);
    assert!(run.all("ping", "lost").next().is_none());
    assert!(run.all("session", "closed").next().is_none());
    (printed, run)
}

#[test]
fn with_a_wrong_password_no_domain_moves() {
    let wrong = "t5120# ldm migrate-domain -p /root/wrong.password rover t5220";
    insta::assert_snapshot!(refused("password", "", wrong, "").0);
}

#[test]
fn a_host_that_nobody_knows_is_named() {
    let moon = "t5120# ldm migrate-domain -p /root/t5220.password rover moon";
    insta::assert_snapshot!(refused("host", "", moon, "").0);
}

#[test]
fn a_host_that_does_not_answer_is_given_up() {
    let nobody = "t5120# ldm migrate-domain -p /root/t5220.password rover 192.168.1.99";
    let (printed, run) = refused("nobody", "", nobody, "");
    memory_is_sound(&run);
    insta::assert_snapshot!(printed);
}

#[test]
fn a_domain_or_a_password_file_that_does_not_exist_is_named() {
    let moon = "t5120# ldm migrate-domain -p /root/t5220.password moon t5220";
    let file = "t5120# ldm migrate-domain -p /root/none rover t5220";
    let (moon, run) = refused("names", &format!("!{file}"), moon, "");
    insta::assert_snapshot!(format!("{moon}{}", run.answer(file, 0).0));
}

#[test]
fn a_target_without_free_strands_says_so() {
    let hog = "t5220# ldm add-domain hog\n\
               t5220# ldm add-vcpu 47 hog\n\
               t5220# ldm add-memory 256M hog\n\
               t5220# ldm bind-domain hog";
    insta::assert_snapshot!(refused("strands", hog, MIGRATE, "").0);
}

#[test]
fn a_target_without_free_memory_says_so() {
    let hog = "t5220# ldm add-domain hog\n\
               t5220# ldm add-vcpu 1 hog\n\
               t5220# ldm add-memory 2900M hog\n\
               t5220# ldm bind-domain hog";
    insta::assert_snapshot!(refused("memory", hog, MIGRATE, "").0);
}

#[test]
fn a_volume_that_the_target_does_not_offer_is_named() {
    let remove = "t5220# ldm remove-vdsdev rover1@primary-vds0";
    insta::assert_snapshot!(refused("volume", remove, MIGRATE, "").0);
}

#[test]
fn a_volume_that_the_target_cannot_open_is_named() {
    let gone = "t5220# ldm remove-vdsdev rover1@primary-vds0\n\
                t5220# ldm add-vdsdev /net/nas/export/gone.img rover1@primary-vds0";
    insta::assert_snapshot!(refused("gone", gone, MIGRATE, "").0);
}

#[test]
fn a_dry_run_says_everything_that_both_ends_have_against_it() {
    let closed = "chassis.t5120.ldmd.outgoing_migration_enabled=false";
    let tried = "t5120# ldm migrate-domain -n -p /root/t5220.password rover t5220";
    let steps = format!(
        "t5220# ldm remove-vdsdev rover1@primary-vds0\nt5220# ldm add-domain rover\n!{tried}\n!{MIGRATE}"
    );
    let run = replay("both", &instead(&steps), 1, &[closed]);
    assert_eq!(run.ended, Ok(()));
    let (tried, meant) = (run.answer(tried, 0).0, run.answer(MIGRATE, 0).0);
    insta::assert_snapshot!(format!("{tried}--\n{meant}"));
}

#[test]
fn a_domain_of_that_name_at_the_target_stays_what_it_is() {
    insta::assert_snapshot!(refused("name", "t5220# ldm add-domain rover", MIGRATE, "").0);
}

#[test]
fn a_migration_that_was_refused_succeeds_once_the_reason_is_gone() {
    let remove = "t5220# ldm remove-vdsdev rover1@primary-vds0";
    let again = "t5220# ldm add-vdsdev /net/nas/export/rover1.img rover1@primary-vds0\n\
                 [after = \"1s\"] t5120# ldm migrate-domain -p /root/t5220.password rover t5220";
    let lists = format!("{remove}\n!{MIGRATE}\n{again}\nt5120# ldm list\nt5220# ldm list");
    let run = replay("again", &instead(&lists), 1, &[]);
    assert_eq!(run.ended, Ok(()));
    assert_eq!(super::moved::digests_agree(&run), 1);
    assert!(!run.answer("t5120# ldm list", 1).0.contains("rover"));
    assert!(run.answer("t5220# ldm list", 1).0.contains("rover"));
}

#[test]
fn a_migration_that_is_cancelled_leaves_the_domain_where_it_was() {
    let steps = format!(
        "[wait = false] !{MIGRATE}\n\
         [when = \"log line primary: migration of rover: pre-copy\"; within = \"30s\"] \
         t5120# ldm cancel-operation migration rover\n\
         [when = \"answered\"; after = \"1s\"] t5120# ldm list\n\
         t5220# ldm list"
    );
    let run = replay("cancel", &instead(&steps), 1, &["linger=3s"]);
    assert_eq!(run.ended, Ok(()));
    for place in ["t5120", "t5220"] {
        let list = |n| settled(&run.answer(&format!("{place}# ldm list"), n).0);
        assert_eq!(list(0), list(1), "{place}");
    }
    assert!(clock_goes_on(&run, SimTime::ms(2)) > 1);
    assert_eq!(run.all("memory", "digest").count(), 0);
    insta::assert_snapshot!(run.answer(MIGRATE, 0).0);
}

#[test]
fn a_migration_that_is_only_tried_changes_nothing() {
    let tried = "t5120# ldm migrate-domain -n -p /root/t5220.password rover t5220";
    let lists = "t5120# ldm list\nt5220# ldm list";
    let run = replay("tried", &instead(&format!("{tried}\n{lists}")), 1, &["linger=3s"]);
    assert_eq!(run.ended, Ok(()));
    for place in ["t5120", "t5220"] {
        let list = |n| settled(&run.answer(&format!("{place}# ldm list"), n).0);
        assert_eq!(list(0), list(1), "{place}");
    }
    assert_eq!(run.all("memory", "digest").count(), 0);
}
