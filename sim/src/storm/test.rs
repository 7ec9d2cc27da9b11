//! Plans, words and rules, without a lab.

use super::plan::Plan;
use super::shrink::shrink;

#[test]
fn every_plan_of_a_seed_is_read_back_as_it_was_written() {
    for seed in 0..2000 {
        let plan = Plan::of_seed(seed);
        assert_eq!(plan.to_string().parse::<Plan>().unwrap(), plan, "{plan}");
    }
}

#[test]
fn what_is_no_plan_is_refused_with_its_word() {
    for (text, word) in [
        ("5ms", "5ms"),
        ("5m=list:t5120", "5m"),
        ("soon=list:t5120", "soon"),
        ("5ms=list:mars", "mars"),
        ("5ms=burn:t5120", "burn"),
        ("frame:0=list:t5120", "`0`"),
        ("5ms=loss:200:5ms", "200"),
        ("99999999ms=list:t5120", "99999999ms"),
        ("ä=list:t5120", "ä"),
    ] {
        let why = text.parse::<Plan>().unwrap_err();
        assert!(why.contains(word), "{text}: {why}");
    }
}

#[test]
fn a_plan_is_made_as_short_as_it_can_be() {
    let plan: Plan = "0ms=migrate:t5120 5ms=reset:t5120:800ms begun:t5220:2=cut:t5120:64ms \
                      9ms=list:t5120"
        .parse()
        .unwrap();
    let short = shrink(&plan, |plan| {
        let text = plan.to_string();
        text.contains("reset") && text.contains("migrate")
    });
    assert_eq!(short.to_string(), "0ms=migrate:t5120 5ms=reset:t5120:97us");
}
