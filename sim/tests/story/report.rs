//! The report's files: what people open after a run.

use super::run::short;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

fn page() -> &'static str {
    std::str::from_utf8(&short().report[0]).unwrap()
}

fn trace() -> Value {
    serde_json::from_slice(&short().report[1]).unwrap()
}

/// The text of each cell of the table of claims, row by row.
fn claims(page: &str) -> String {
    let (_, table) = page.split_once("<table id=\"claims\">").unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    let mut reader = Reader::from_str(table);
    let (mut text, mut row) = (String::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return text,
            Event::Start(tag) if ["td", "th"].contains(&tag.name().as_ref()) => {
                row.push(String::new())
            }
            Event::Text(words) => {
                row.last_mut().into_iter().for_each(|cell| cell.push_str(&words));
            }
            Event::GeneralRef(entity) => {
                let letter = match &*entity {
                    "quot" => '"',
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    other => panic!("{other:?}"),
                };
                row.last_mut().into_iter().for_each(|cell| cell.push(letter));
            }
            Event::End(tag) if tag.name().as_ref() == "tr" => {
                let _ = writeln!(text, "{}", row.join(" | ").trim());
                row.clear();
            }
            _ => {}
        }
    }
}

#[test]
fn the_page_has_every_claim_in_its_table() {
    insta::assert_snapshot!(claims(page()));
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_from_elsewhere() {
    let mut reader = Reader::from_str(page());
    let (mut depth, mut images, mut tags) = (0, 0, BTreeSet::new());
    loop {
        // Tags that do not match are errors of the reader's.
        let event = reader.read_event().unwrap();
        if let Event::Start(tag) | Event::Empty(tag) = &event {
            tags.insert(tag.name().as_ref().to_owned());
            for attribute in tag.attributes() {
                let attribute = attribute.unwrap();
                match attribute.key.as_ref() {
                    "src" => {
                        assert!(attribute.value.starts_with("data:image/png;base64,iVBORw0KGgo"));
                        images += 1;
                    }
                    "href" | "xlink:href" | "style" | "onload" => panic!("{attribute:?}"),
                    _ => {}
                }
            }
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((depth, images), (0, 2), "tags are open, or a migration's drawing is missing");
    for needed in ["svg", "table", "pre", "figure"] {
        assert!(tags.contains(needed), "no {needed}");
    }
    for foreign in ["script", "link", "iframe", "object", "embed", "use"] {
        assert!(!tags.contains(foreign), "{foreign}");
    }
    for foreign in ["http:", "https:", "@import", "url("] {
        assert_eq!(page().find(foreign), None, "{foreign}");
    }
}

#[test]
fn the_page_shows_both_windows_and_both_processors() {
    for place in ["t5120", "t5220"] {
        assert!(page().contains(&format!("<h3>{place}</h3>")));
        assert!(page().contains(&format!("{place}: primary, 16 virtual CPUs")));
    }
    for (place, other) in [("t5120", "t5220"), ("t5220", "t5120")] {
        let window = &short().windows[usize::from(place == "t5220")];
        assert!(window.contains(&format!("{place}# ldm migrate-domain ")), "{window}");
        assert!(!window.contains(&format!("{other}# ")), "{window}");
        let typed =
            |text: &str| text.lines().filter(|line| line.contains(&format!("] {place}# "))).count();
        assert_eq!(typed(window), typed(&short().transcript));
    }
}

/// Field of an event that must be a number.
fn number(event: &Value, key: &str) -> f64 {
    event[key].as_f64().unwrap_or_else(|| panic!("no {key} in {event}"))
}

#[test]
fn the_trace_keeps_the_rules_of_its_format() {
    let text = std::str::from_utf8(&short().report[1]).unwrap();
    // By these letters the viewer knows it.
    assert!(text.starts_with("{\"traceEvents\":["));
    let trace = trace();
    let events = trace["traceEvents"].as_array().unwrap();
    let (mut named, mut spans) = (BTreeSet::new(), BTreeMap::<_, Vec<(f64, f64)>>::new());
    let (mut open, mut last) = (BTreeMap::new(), 0.0);
    let own = |event: &Value| {
        (event["pid"].as_u64().unwrap(), event["id2"]["local"].as_str().unwrap().to_owned())
    };
    for event in events {
        let (ph, pid) = (event["ph"].as_str().unwrap(), event["pid"].as_u64().unwrap());
        let tid = event["tid"].as_u64();
        assert!(event["name"].is_string(), "{event}");
        let ts = number(event, "ts");
        match ph {
            "M" => {
                if event["name"].as_str().unwrap().ends_with("_name") {
                    assert!(named.insert((pid, tid)), "{event}");
                    assert!(event["args"]["name"].is_string(), "{event}");
                }
                continue;
            }
            "X" => spans.entry((pid, tid.unwrap())).or_default().push((ts, number(event, "dur"))),
            "C" => {
                let args = event["args"].as_object().unwrap();
                assert!(args.len() == 1 && args.values().all(Value::is_number), "{event}");
            }
            "i" => assert_eq!(event["s"], "t"),
            "b" => assert_eq!(open.insert(own(event), ts), None),
            "e" => assert!(open.remove(&own(event)).unwrap() <= ts),
            _ => panic!("{event}"),
        }
        assert!(named.contains(&(pid, None)) && named.contains(&(pid, tid)), "no name: {event}");
        assert!(ts >= last, "{event} is out of order");
        last = ts;
    }
    assert!(open.is_empty(), "{open:?}");
    // Spans of a thread follow each other.
    for (thread, spans) in &spans {
        for pair in spans.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0 + 0.0015, "{thread:?}: {pair:?}");
        }
    }
    // The pauses are those of the migrations.
    let pauses = events.iter().filter(|event| event["name"] == "stands still");
    let pauses: Vec<_> = pauses.map(|event| (number(event, "dur") / 1000.0).round()).collect();
    let summary: Value = serde_json::from_slice(&short().files[3]).unwrap();
    let said = summary["migrations"].as_array().unwrap().iter();
    let said: Vec<_> = said.filter_map(|one| one["pause_ms"].as_f64()).map(f64::round).collect();
    assert_eq!((pauses.len(), pauses), (2, said));
}

/// Tracks by name, and the spans that are on them.
#[test]
fn the_trace_has_these_tracks() {
    let trace = trace();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut names = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "M") {
        if let Some(name) = event["args"]["name"].as_str() {
            names.insert((event["pid"].as_u64().unwrap(), event["tid"].as_u64()), name);
        }
    }
    let mut tracks: BTreeMap<(u64, String), Vec<&str>> = BTreeMap::new();
    for event in events {
        let pid = event["pid"].as_u64().unwrap();
        let name = event["name"].as_str().unwrap();
        let track = names.get(&(pid, event["tid"].as_u64())).copied();
        match event["ph"].as_str().unwrap() {
            "C" => drop(tracks.entry((pid, format!("counter {name}"))).or_default()),
            "X" => tracks.entry((pid, format!("spans {}", track.unwrap()))).or_default().push(name),
            "i" => drop(tracks.entry((pid, format!("instants {}", track.unwrap()))).or_default()),
            "b" => drop(tracks.entry((pid, format!("spans {}", track.unwrap()))).or_default()),
            _ => {}
        }
    }
    let mut text = String::new();
    for ((pid, track), spans) in &tracks {
        let _ = writeln!(text, "{}: {track}: {}", names[&(*pid, None)], spans.join(", "));
    }
    insta::assert_snapshot!(
        text.lines().map(|line| line.trim_end_matches([' ', ':'])).collect::<Vec<_>>().join("\n")
    );
}
