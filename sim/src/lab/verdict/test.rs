//! Records that were made up, whole and then with one thing changed.

use super::super::record::Fact;
use super::moves::Kind;
use super::testing::{article, printed};
use super::{Report, Verdict, judge};
use proptest::prelude::{any, proptest};
use std::collections::BTreeSet;
use sun4v::time::SimTime;

/// Claims that no run can decide yet.
const OPEN: [&str; 6] = ["S4", "S7", "S17", "S18", "S19", "S22"];

fn with(report: &Report, verdict: Verdict) -> BTreeSet<&'static str> {
    report.claims.iter().filter(|claim| claim.verdict == verdict).map(|claim| claim.id).collect()
}

fn measured(report: &Report, id: &str) -> String {
    report.claims.iter().find(|claim| claim.id == id).unwrap().measured.clone()
}

/// Exactly these claims fail, and beside the open ones exactly those are not
/// measured.
fn turns(facts: &[Fact], fail: &[&'static str], unmeasured: &[&'static str]) -> Report {
    let report = judge(facts);
    let expected = |ids: &[&'static str]| ids.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(with(&report, Verdict::Fails), expected(fail), "{}", report.table());
    let open = expected(&[&OPEN[..], unmeasured].concat());
    assert_eq!(with(&report, Verdict::NotMeasured), open, "{}", report.table());
    report
}

#[test]
fn a_run_in_which_everything_held_is_told_so() {
    let report = turns(&article(), &[], &[]);
    insta::assert_snapshot!(report.table());
}

#[test]
fn the_summary_has_every_figure_under_its_name() {
    let report = judge(&article());
    let summary: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((&summary["scenario"], &summary["seed"]), (&"article".into(), &1.into()));
    assert_eq!(summary["claims"].as_array().unwrap().len(), 22);
    assert_eq!(summary["claims"][3]["verdict"], "not measured");
    let first = &summary["migrations"][0];
    assert_eq!((&first["domain"], &first["kind"]), (&"rover".into(), &"live".into()));
    assert_eq!((&first["pause_ms"], &first["duration_s"]), (&210.0.into(), &15.46.into()));
    assert_eq!((&first["digest_equal"], &first["rounds"][1]["pages"]), (&true.into(), &655.into()));
    assert_eq!(
        (&first["sealed_bytes"], &first["unit_bytes"]),
        (&137_625_600.into(), &11_500_000_000_u64.into())
    );
    assert_eq!(summary["migrations"][3]["kind"], "cold");
    assert_eq!(summary["migrations"][3]["digest_equal"], serde_json::Value::Null);
    let copy = &summary["cpu"]["copies"][2];
    assert_eq!(
        (&copy["source"]["mean_percent"], &copy["target"]["p95_percent"]),
        (&96.0.into(), &24.0.into())
    );
    assert_eq!(summary["gaps"]["ping"][0]["lost"], 0);
    assert_eq!(summary["gaps"]["drawing"][0]["at_suspend"], true);
    assert_eq!(summary["gaps"]["clock"][0]["odd"], 0);
    assert_eq!(report.to_json(), judge(&article()).to_json());
}

#[test]
fn one_ping_that_was_lost_is_seen() {
    let mut facts = article();
    let reply = |fact: &Fact| {
        fact.is("ping", "reply") && fact.name == "rover/1s" && fact.value("sequence") == 9
    };
    let at = facts.iter().position(reply).unwrap();
    let reply = facts.remove(at);
    // Nobody noted that it is lost; the stream went on for long enough.
    let report = turns(&facts, &["S12"], &[]);
    assert!(measured(&report, "S12").starts_with("1 lost of "));
    assert_eq!(report.gaps.ping[0].first_lost_s.unwrap().0, SimTime::ms(14_000));
    // And so when it was noted, late reply or not.
    let lost = Fact { what: "lost".into(), ..reply.clone() };
    facts.insert(at, lost);
    facts.push(Fact { what: "late".into(), ..reply });
    turns(&facts, &["S12"], &[]);
}

#[test]
fn a_ping_that_was_under_way_at_the_end_is_not_lost() {
    let mut facts = article();
    let last = facts.iter().rposition(|fact| fact.is("ping", "reply")).unwrap();
    facts.remove(last);
    turns(&facts, &[], &[]);
}

#[test]
fn a_pause_of_three_seconds_is_not_brief() {
    let mut facts = article();
    let resumed = facts.iter_mut().find(|fact| fact.is("migration", "resumed")).unwrap();
    resumed.time = resumed.time.plus(SimTime::ms(2790));
    let report = turns(&facts, &["S5"], &[]);
    assert!(measured(&report, "S5").starts_with("3 rounds, paused 3000 ms; "));
}

#[test]
fn a_source_that_idles_while_memory_moves_is_seen() {
    let mut facts = article();
    for fact in facts.iter_mut().filter(|fact| fact.is("cpu", "sample")) {
        if fact.value("busy_permille") == 960 {
            fact.values.insert("busy_permille".into(), 300);
        }
    }
    let report = turns(&facts, &["S15"], &[]);
    assert!(measured(&report, "S15").starts_with("t5120 30 %, t5220 24 %; "));
}

#[test]
fn work_outside_the_copy_does_not_count_as_the_copys() {
    let mut facts = article();
    for fact in facts.iter_mut().filter(|fact| fact.is("cpu", "sample")) {
        if fact.value("busy_permille") == 8 {
            fact.values.insert("busy_permille".into(), 700);
        }
    }
    turns(&facts, &[], &[]);
}

#[test]
fn a_migration_without_answer_has_no_duration() {
    let mut facts = article();
    facts.retain(|fact| {
        !(fact.is("command", "answered") && fact.place == "t5220" && fact.text.contains("migrate"))
    });
    let report = turns(&facts, &[], &["S8"]);
    let text = "not both ways: t5120 to t5220 15.46 s; t5220 to t5120 no answer";
    assert_eq!(measured(&report, "S8"), text);
}

#[test]
fn a_list_that_was_not_answered_leaves_open_who_has_the_domain() {
    let mut facts = article();
    let after = SimTime::ms(25_000);
    facts.retain(|fact| {
        !(fact.is("command", "answered")
            && fact.place == "t5220"
            && fact.time > after
            && fact.time < SimTime::ms(34_000))
    });
    let report = turns(&facts, &[], &["S21"]);
    assert_eq!(measured(&report, "S21"), "rover t5120 to t5220: no list at t5220");
}

#[test]
fn a_domain_that_both_sides_list_is_seen() {
    let mut facts = article();
    let at = facts
        .iter()
        .position(|fact| {
            fact.is("command", "answered")
                && fact.place == "t5120"
                && fact.time > SimTime::ms(25_000)
        })
        .unwrap();
    facts[at].text = format!("ldm list\n{}", printed(&[("rover", "active", "-n----", "512M")]));
    let report = turns(&facts, &["S21"], &[]);
    assert_eq!(measured(&report, "S21"), "rover on both sides");
}

#[test]
fn a_migration_that_took_too_long_or_was_refused_fails() {
    let slower = |by: SimTime, status: u64| {
        let mut facts = article();
        let answer =
            |fact: &&mut Fact| fact.is("command", "answered") && fact.text.contains("rover t5220");
        let answer = facts.iter_mut().find(answer).unwrap();
        answer.time = answer.time.plus(by);
        answer.values.insert("status".into(), status);
        facts.sort_by_key(|fact| fact.time);
        facts
    };
    let report = judge(&slower(SimTime::ms(541), 0));
    assert!(with(&report, Verdict::Fails).contains("S8"));
    assert!(!with(&judge(&slower(SimTime::ms(540), 0)), Verdict::Fails).contains("S8"));
    let report = judge(&slower(SimTime::ZERO, 1));
    assert!(with(&report, Verdict::Fails).contains("S8"));
    assert!(measured(&report, "S8").starts_with("t5120 to t5220 refused after 15.46 s"));
}

#[test]
fn a_drawing_that_stands_still_elsewhere_is_seen() {
    let mut facts = article();
    facts.retain(|fact| {
        let hole = SimTime::ms(13_000)..SimTime::ms(13_500);
        !(fact.is("drawing", "frame") && hole.contains(&fact.time))
    });
    let report = turns(&facts, &["S13"], &[]);
    assert!(measured(&report, "S13").starts_with("550 ms elsewhere (2.95 s in)"));
    assert_eq!(report.gaps.drawing[0].missing, 10);
}

#[test]
fn a_drawing_that_never_comes_back_is_a_gap_until_the_end() {
    let mut facts = article();
    facts.retain(|fact| !(fact.is("drawing", "frame") && fact.time > SimTime::ms(21_000)));
    let report = judge(&facts);
    assert_eq!(with(&report, Verdict::Fails), ["S13"].into());
    assert!(measured(&report, "S13").starts_with("4560 ms at the suspend"));
}

#[test]
fn a_clock_that_misses_a_beat_is_seen() {
    let mut facts = article();
    let beat = |fact: &&mut Fact| fact.text.starts_with("clock: 4 ");
    let beat = facts.iter_mut().find(beat).unwrap();
    beat.time = beat.time.plus(SimTime::ms(400));
    let report = turns(&facts, &["S16"], &[]);
    assert!(measured(&report, "S16").contains("2 odd, the first at 13.40 s"));
}

#[test]
fn a_beat_in_the_pause_is_late_and_the_next_one_is_not() {
    let report = judge(&article());
    assert_eq!((report.gaps.clock[0].paused, report.gaps.clock[0].odd), (2, 0));
    assert_eq!(report.gaps.clock[0].longest_step_s.unwrap().0, SimTime::ms(2163));
}

#[test]
fn a_scrub_of_which_nothing_more_is_heard_is_not_known_to_go_on() {
    let mut facts = article();
    facts.retain(|fact| !fact.text.starts_with("scrub: done"));
    turns(&facts, &[], &["S9"]);
    facts.retain(|fact| !fact.text.starts_with("scrub: started"));
    let report = turns(&facts, &[], &["S9"]);
    assert_eq!(measured(&report, "S9"), "no scrub was under way");
    let done = |text: &str| Fact::console(SimTime::ms(110_000), "t5120", "rover", text);
    let mut facts = article();
    for fact in facts.iter_mut().filter(|fact| fact.text.starts_with("scrub: done")) {
        *fact = done("scrub: done, 32768 blocks, 0 repaired, 1 lost, 0 errors, 10 MB/s a side");
    }
    turns(&facts, &["S9"], &[]);
}

#[test]
fn an_image_that_nobody_wrote_may_change_by_what_was_spoiled_only() {
    let mut facts = article();
    let image = |fact: &&mut Fact| fact.is("image", "use");
    facts.iter_mut().find(image).unwrap().values.insert("changed_blocks".into(), 1);
    let report = turns(&facts, &["S20"], &[]);
    let text = "rover0.img 0 writes, 1 changed; rover1.img 1 writes, 0 changed";
    assert_eq!(measured(&report, "S20"), text);
    facts.iter_mut().find(image).unwrap().values.insert("spoiled".into(), 1);
    turns(&facts, &[], &[]);
}

#[test]
fn memory_that_is_another_at_its_arrival_fails_the_claim_of_unchanged_state() {
    let mut facts = article();
    let digest = facts.iter_mut().rfind(|fact| fact.is("memory", "digest")).unwrap();
    digest.text = "0bad".to_owned();
    let report = judge(&facts);
    let claim = report.claims.iter().find(|claim| claim.id == "S6").unwrap();
    assert!(claim.measured.contains("rover's memory changed"), "{}", claim.measured);
    assert_eq!(report.migrations[2].digest_equal, Some(false));
}

#[test]
fn a_key_without_echo_is_seen() {
    let mut facts = article();
    let waiting = |fact: &&mut Fact| fact.is("echo", "waiting");
    facts.iter_mut().find(waiting).unwrap().values.insert("waiting".into(), 1);
    turns(&facts, &["S11"], &[]);
}

#[test]
fn the_clock_of_another_guest_speaks_for_the_others() {
    let mut facts = article();
    for n in 1..30_u64 {
        let line = format!("clock: {n} 1308218400 {}.000", 2 * n);
        facts.push(Fact::console(SimTime::secs(2 * n), "t5120", "bilbo", &line));
    }
    let report = judge(&facts);
    assert!(with(&report, Verdict::Holds).contains("S22"));
    let late = facts.last_mut().unwrap();
    late.time = late.time.plus(SimTime::ms(300));
    assert_eq!(with(&judge(&facts), Verdict::Fails), ["S22"].into());
}

#[test]
fn of_a_beginning_only_nothing_is_said_that_was_not_seen() {
    for until in [0, 1, 4000, 9999] {
        let mut facts = article();
        facts.retain(|fact| fact.time <= SimTime::ms(until));
        let report = judge(&facts);
        assert_eq!(with(&report, Verdict::Holds), ["S1"].into(), "{until}");
        assert_eq!(with(&report, Verdict::Fails), BTreeSet::new(), "{until}");
    }
    let report = judge(&[]);
    assert_eq!(with(&report, Verdict::NotMeasured).len(), 22);
    assert!(report.table().lines().all(|line| line.chars().count() <= 120));
}

#[test]
fn a_dry_run_is_no_migration_and_a_name_may_change_on_the_way() {
    let typed = |line: &str| Fact::typed(SimTime::ms(5), "t5120", 0, line);
    let moves = |line: &str| judge(&[typed(line)]).migrations;
    assert_eq!(moves("ldm migrate-domain -n rover t5220").len(), 0);
    assert_eq!(moves("ldm migrate-domain rover").len(), 0);
    assert_eq!(moves("ldm list rover t5220").len(), 0);
    let one = &moves("ldm migrate -f -p /root/p rover root@t5220:bilbo")[0];
    assert_eq!((&one.target[..], one.kind, one.status), ("t5220", Kind::Unknown, None));
}

/// The story, cut and thinned at will, with figures as large as they come.
fn damaged(facts: Vec<Fact>, keep: &[bool], huge: &[u64]) -> Vec<Fact> {
    let mut keep = keep.iter().cycle();
    let mut huge = huge.iter().cycle();
    let mut facts: Vec<_> = facts.into_iter().filter(|_| *keep.next().unwrap()).collect();
    for fact in facts.iter_mut().step_by(7) {
        for value in fact.values.values_mut() {
            *value = *huge.next().unwrap();
        }
        fact.time = SimTime(*huge.next().unwrap());
    }
    facts
}

/// Every figure at its largest: sums end there, they do not wrap.
#[test]
fn the_largest_figures_can_be_judged() {
    let mut facts = article();
    for fact in &mut facts {
        fact.values.values_mut().for_each(|value| *value = u64::MAX);
    }
    let again = judge(&facts).migrations.iter().map(|one| one.pages_again()).max();
    assert_eq!(again, Some(u64::MAX));
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    #[test]
    fn any_facts_can_be_judged(
        keep in proptest::collection::vec(any::<bool>(), 1..40),
        huge in proptest::collection::vec(any::<u64>(), 1..9),
    ) {
        let report = judge(&damaged(article(), &keep, &huge));
        assert_eq!(report.claims.len(), 22);
        assert!(report.table().lines().all(|line| line.chars().count() <= 120));
        serde_json::from_str::<serde_json::Value>(&report.to_json()).unwrap();
    }
}
