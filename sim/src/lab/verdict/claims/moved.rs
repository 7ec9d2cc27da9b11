//! Claims about migrations: kinds, times, rounds, who has the domain.

use super::super::super::record::Fact;
use super::super::Evidence;
use super::super::moves::{Kind, Move};
use super::super::span::Seconds;
use super::{BRIEF, Finding, holds_if, list, not_measured};
use std::collections::{BTreeMap, BTreeSet};
use sun4v::time::SimTime;

/// Cold, "almost instantaneous": nobody looks up from the keyboard.
const INSTANT: SimTime = SimTime::secs(1);
const SMALL: u64 = 512 << 20;
const LARGE: u64 = 2 << 30;

fn megabytes(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib >= 1024 && mib.is_multiple_of(1024) {
        format!("{} GB", mib >> 10)
    } else {
        format!("{mib} MB")
    }
}

pub fn cold(evidence: &Evidence<'_>) -> Finding {
    let Some(one) = evidence.of_kind(Kind::Cold).find(|one| one.duration_s.is_some()) else {
        return not_measured("no inactive domain was moved");
    };
    let Some(took) = one.duration_s else { return not_measured("it was not answered") };
    if !one.succeeded() {
        return holds_if(false, format!("refused after {took}"));
    }
    let there = evidence.list_after(one, &one.target);
    let Some(there) = there else { return not_measured(format!("{took}; no list afterwards")) };
    let state = there.row(&one.domain).map_or("absent", |row| &row.state);
    let measured = format!("{} {took}, then {state} at {}", one.domain, one.target);
    holds_if(took.0 < INSTANT && state == "inactive", measured)
}

pub fn live(evidence: &Evidence<'_>) -> Finding {
    let moves = evidence.moved_live();
    if moves.is_empty() {
        return not_measured("no running domain was moved");
    }
    if moves.iter().any(|one| one.pause_ms.is_none()) {
        return not_measured("a domain went over and was not seen to run again");
    }
    let right = |one: &&Move| {
        let running = one.rounds.iter().filter(|round| !round.suspended).count();
        let ends_still = one.rounds.last().is_some_and(|last| last.suspended);
        let brief = one.pause_ms.is_some_and(|pause| pause.0 <= BRIEF);
        running >= 1 && running + 1 == one.rounds.len() && ends_still && brief
    };
    let each = moves.iter().map(|one| {
        let pause = one.pause_ms.unwrap_or_default();
        format!("{} rounds, paused {pause}", one.rounds.len())
    });
    holds_if(moves.iter().all(right), list(each))
}

pub fn same(evidence: &Evidence<'_>) -> Finding {
    let ended: Vec<_> = evidence.moves.iter().filter(|one| one.status.is_some()).collect();
    let kinds: BTreeSet<_> = ended.iter().map(|one| one.kind as u8).collect();
    if !kinds.contains(&(Kind::Live as u8)) || !kinds.contains(&(Kind::Cold as u8)) {
        return not_measured("not both kinds were moved");
    }
    let verbs: BTreeSet<_> = ended.iter().map(|one| &one.verb[..]).collect();
    let refused = ended.iter().filter(|one| !one.succeeded()).count();
    let (mut compared, mut changed) = (BTreeSet::new(), Vec::new());
    for one in ended.iter().filter(|one| one.succeeded()) {
        let after = evidence.list_after(one, &one.target).and_then(|list| list.row(&one.domain));
        let (Some(before), Some(after)) = (&one.before, after) else { continue };
        compared.insert(one.kind as u8);
        let was = (&before.state, &before.vcpus, &before.memory);
        if was != (&after.state, &after.vcpus, &after.memory) {
            changed.push(format!("{} changed {}", one.domain, one.way()));
        }
    }
    let other = ended.iter().filter(|one| one.digest_equal == Some(false));
    changed.extend(other.map(|one| format!("{}'s memory changed {}", one.domain, one.way())));
    let damaged = evidence.those("console", "line").any(|fact| fact.text.contains("memcheck BAD"));
    let mut text = vec![format!("ldm {}", list(verbs.iter().map(|verb| (*verb).to_owned())))];
    text.append(&mut changed.clone());
    if refused > 0 {
        text.push(format!("{refused} of {} refused", ended.len()));
    }
    if damaged {
        text.push("memory damaged".to_owned());
    }
    if refused == 0 && changed.is_empty() && !damaged && compared.len() < 2 {
        return not_measured("no lists before and after both kinds");
    }
    if changed.is_empty() && refused == 0 && !damaged {
        text.push("nothing changed".to_owned());
    }
    holds_if(verbs.len() == 1 && changed.is_empty() && refused == 0 && !damaged, list(text))
}

/// Durations of live moves of so much memory, `None` where there was no answer.
fn timed<'a>(evidence: &'a Evidence<'_>, bytes: u64) -> Vec<(&'a Move, Option<Seconds>)> {
    let live = evidence.of_kind(Kind::Live).filter(|one| one.memory_bytes == Some(bytes));
    live.map(|one| (one, one.duration_s)).collect()
}

fn within(took: Seconds, from: u64, to: u64) -> bool {
    (SimTime::secs(from)..=SimTime::secs(to)).contains(&took.0)
}

fn told(moves: &[(&Move, Option<Seconds>)]) -> String {
    list(moves.iter().map(|(one, took)| {
        let took = match took {
            Some(took) if one.succeeded() => took.to_string(),
            Some(took) => format!("refused after {took}"),
            None => "no answer".to_owned(),
        };
        format!("{} {took}", one.way())
    }))
}

/// The moves' verdict, if one of them decides it.
fn wrong(moves: &[(&Move, Option<Seconds>)], from: u64, to: u64) -> Option<Finding> {
    let is = |(one, took): &(&Move, Option<Seconds>)| {
        took.is_some_and(|took| !one.succeeded() || !within(took, from, to))
    };
    moves.iter().any(is).then(|| holds_if(false, told(moves)))
}

pub fn small(evidence: &Evidence<'_>) -> Finding {
    let moves = timed(evidence, SMALL);
    if moves.is_empty() {
        return not_measured("no running domain of 512 MB was moved");
    }
    if let Some(wrong) = wrong(&moves, 14, 16) {
        return wrong;
    }
    let sources: BTreeSet<_> =
        moves.iter().filter(|(_, took)| took.is_some()).map(|(one, _)| &one.source).collect();
    if sources.len() < 2 || moves.iter().any(|(_, took)| took.is_none()) {
        return not_measured(format!("not both ways: {}", told(&moves)));
    }
    holds_if(true, told(&moves))
}

pub fn large(evidence: &Evidence<'_>) -> Finding {
    let moves = timed(evidence, LARGE);
    if moves.is_empty() {
        return not_measured("no running domain of 2 GB was moved");
    }
    let said = |one: &Move, from: SimTime, until: SimTime, what: &str| {
        let mut words = evidence.facts.iter().filter(|fact| {
            (fact.is("console", "line") || fact.is("session", "line")) && fact.name == one.domain
        });
        words.rfind(|fact| from <= fact.time && fact.time <= until && fact.text.starts_with(what))
    };
    let scrubbing = |(one, _): &&(&Move, Option<Seconds>)| {
        let start = said(one, SimTime::ZERO, one.typed.0, "scrub: started");
        start.is_some_and(|start| {
            let ended = |what| said(one, start.time, one.typed.0, what);
            ended("scrub: done").is_none() && ended("scrub: stopped").is_none()
        })
    };
    let moves: Vec<_> = moves.iter().filter(scrubbing).copied().collect();
    if moves.is_empty() {
        return not_measured("no scrub was under way");
    }
    if let Some(wrong) = wrong(&moves, 24, 26) {
        return wrong;
    }
    if moves.iter().any(|(_, took)| took.is_none()) {
        return not_measured(told(&moves));
    }
    let mut text = vec![told(&moves)];
    for (one, _) in &moves {
        let resumed = one.resumed.map_or(SimTime::NEVER, |at| at.0);
        let until = SimTime(one.next.0.saturating_sub(1));
        let last = said(one, one.typed.0, until, "scrub: ");
        let ended = |last: &Fact| last.text.starts_with("scrub: done");
        let Some(last) = last.filter(|last| ended(last) || last.time >= resumed) else {
            return not_measured(format!("{}; no word of the scrub afterwards", told(&moves)));
        };
        text.push(last.text.clone());
        let none = |what| last.text.contains(what);
        if ended(last) && !(none(" 0 lost") && none(" 0 errors")) {
            return holds_if(false, list(text));
        }
    }
    holds_if(true, list(text))
}

pub fn longer(evidence: &Evidence<'_>) -> Finding {
    let mut by_size: BTreeMap<u64, Vec<Seconds>> = BTreeMap::new();
    for one in evidence.of_kind(Kind::Live).filter(|one| one.succeeded()) {
        if let (Some(bytes), Some(took)) = (one.memory_bytes, one.duration_s) {
            by_size.entry(bytes).or_default().push(took);
        }
    }
    if by_size.len() < 2 {
        return not_measured("running domains of one size only were moved");
    }
    let mut holds = true;
    let mut longest = Seconds::default();
    for times in by_size.values() {
        holds &= times.iter().all(|&time| time > longest);
        longest = times.iter().copied().max().unwrap_or(longest);
    }
    let again = |bytes: u64| {
        let those = evidence.of_kind(Kind::Live).filter(|one| one.memory_bytes == Some(bytes));
        those.map(Move::pages_again).max().unwrap_or(0)
    };
    let each = by_size.iter().map(|(&bytes, times)| {
        let longest = times.iter().max().copied().unwrap_or_default();
        format!("{} {longest} ({} pages again)", megabytes(bytes), again(bytes))
    });
    holds_if(holds, list(each))
}

pub fn shown(evidence: &Evidence<'_>) -> Finding {
    let moves = evidence.moved_live();
    if moves.is_empty() {
        return not_measured("no running domain was moved");
    }
    let (mut right, mut wrong) = (0, Vec::new());
    for one in &moves {
        let (Some(copying), Some(over)) = (one.copying, one.handed_over) else {
            return not_measured(format!("{}: its phases were not noted", one.way()));
        };
        for (place, letter) in [(&one.source, b's'), (&one.target, b't')] {
            let mut meanwhile = evidence
                .lists
                .iter()
                .filter(|list| list.place == *place && copying < list.time && list.time < over)
                .peekable();
            if meanwhile.peek().is_none() {
                return not_measured(format!("{}: no list at {place} meanwhile", one.way()));
            }
            for list in meanwhile {
                match list.row(&one.domain) {
                    Some(row) if row.flag(6) == letter => right += 1,
                    Some(row) => wrong.push(format!("{place} shows {}", row.flags)),
                    None => wrong.push(format!("{place} shows nothing")),
                }
            }
        }
    }
    if wrong.is_empty() {
        holds_if(true, format!("{right} lists during {} migrations", moves.len()))
    } else {
        holds_if(false, list(wrong))
    }
}

pub fn one_side(evidence: &Evidence<'_>) -> Finding {
    let ended: Vec<_> = evidence.moves.iter().filter(|one| one.succeeded()).collect();
    if ended.is_empty() {
        return not_measured("no domain was moved");
    }
    let (mut unseen, mut wrong) = (Vec::new(), Vec::new());
    for one in &ended {
        let here = evidence.list_after(one, &one.source);
        let there = evidence.list_after(one, &one.target);
        let (Some(here), Some(there)) = (here, there) else {
            let lacks = if here.is_none() { &one.source } else { &one.target };
            unseen.push(format!("{} {}: no list at {lacks}", one.domain, one.way()));
            continue;
        };
        match (here.row(&one.domain), there.row(&one.domain)) {
            (None, Some(_)) => {}
            (Some(_), Some(_)) => wrong.push(format!("{} on both sides", one.domain)),
            (Some(_), None) => wrong.push(format!("{} at the source", one.domain)),
            (None, None) => wrong.push(format!("{} nowhere", one.domain)),
        }
    }
    if !wrong.is_empty() {
        holds_if(false, list(wrong))
    } else if !unseen.is_empty() {
        not_measured(list(unseen))
    } else {
        holds_if(true, format!("{} of {} moves", ended.len(), ended.len()))
    }
}
