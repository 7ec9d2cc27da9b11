//! Reports on records that were made up.

use super::super::record::Fact;
use super::super::verdict::{self, testing};
use super::{PAGE, TRACE, TRANSCRIPT, files};
use quick_xml::Reader;
use quick_xml::events::Event;
use sun4v::time::SimTime;

fn report(facts: &[Fact]) -> Vec<super::File> {
    files(facts, &verdict::judge(facts))
}

fn text(facts: &[Fact], name: &str) -> String {
    report(facts).into_iter().find(|file| file.name == name).unwrap().text
}

/// How many images a page has, which must be XML.
fn images(page: &str) -> usize {
    let mut reader = Reader::from_str(page);
    let (mut depth, mut images) = (0, 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                assert!(tag.attributes().all(|one| one.is_ok()), "{tag:?}");
                depth += 1;
            }
            Event::Empty(tag) => images += usize::from(tag.name().as_ref() == "img"),
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    images
}

/// The story with a drawing of two pictures.
fn drawn() -> Vec<Fact> {
    let mut facts = testing::article();
    for (n, fact) in facts.iter_mut().filter(|fact| fact.is("drawing", "frame")).enumerate() {
        fact.values.insert("picture".into(), n as u64 % 2);
    }
    for (n, byte) in ["0f", "f0"].into_iter().enumerate() {
        let fact = Fact::new(SimTime::ms(1), "workstation", "drawing", "picture", "rover");
        facts.insert(n, fact.with("picture", n as u64).saying(byte.repeat(22)));
    }
    facts
}

#[test]
fn a_run_has_a_page_a_trace_and_a_window_a_chassis() {
    let report = report(&drawn());
    let names: Vec<_> = report.iter().map(|file| &file.name[..]).collect();
    let windows = ["transcript-t5120.txt", "transcript-t5220.txt"];
    assert_eq!(names, [&[PAGE, TRACE, TRANSCRIPT][..], &windows].concat());
    assert_eq!(images(&report[0].text), 3);
    assert_eq!(report, files(&drawn(), &verdict::judge(&drawn())));
}

#[test]
fn nothing_is_made_of_nothing() {
    assert_eq!(images(&text(&[], PAGE)), 0);
    let trace: serde_json::Value = serde_json::from_str(&text(&[], TRACE)).unwrap();
    assert_eq!(trace["traceEvents"], serde_json::json!([]));
    // A drawing whose pictures nobody kept.
    assert_eq!(images(&text(&testing::article(), PAGE)), 0);
}

#[test]
fn names_that_look_like_tags_or_files_are_words() {
    let mut facts = drawn();
    for fact in &mut facts {
        for word in [&mut fact.place, &mut fact.name, &mut fact.text] {
            *word = word.replace("t5220", "<b>&\u{1b}..");
        }
    }
    let report = report(&facts);
    images(&report[0].text);
    assert!(report[0].text.contains("&lt;b&gt;&amp;\u{fffd}.."));
    assert!(!report[0].text.contains("<b>"));
    assert!(report.iter().any(|file| file.name == "transcript-_b_____.txt"), "{report:?}");
}

#[test]
fn a_command_without_an_answer_is_a_moment_of_the_trace() {
    let mut facts = testing::article();
    facts.retain(|fact| !fact.is("command", "answered"));
    let trace: serde_json::Value = serde_json::from_str(&text(&facts, TRACE)).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let edges = |ph: &str| events.iter().filter(|event| event["ph"] == ph).collect::<Vec<_>>();
    let (begins, ends) = (edges("b"), edges("e"));
    assert_eq!(begins.len(), ends.len());
    assert!(begins.iter().zip(&ends).all(|(b, e)| b["ts"] == e["ts"] && b["id2"] == e["id2"]));
}

#[test]
fn a_lost_ping_is_in_the_page_and_in_the_trace() {
    let mut facts = testing::article();
    let lost = Fact::new(SimTime::secs(20), "pinger", "ping", "lost", "rover/1s");
    facts.push(lost.with("sequence", 9));
    assert!(text(&facts, PAGE).contains("<path class=\"lost\" d=\"M"));
    assert!(text(&facts, TRACE).contains("\"lost pings\""));
}
