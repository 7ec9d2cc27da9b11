//! Claims about the machines, the disks, and servers that are off.

use super::super::Evidence;
use super::super::copying::CONTROL;
use super::super::listing::Listing;
use super::super::moves::{Attempt, Kind};
use super::super::span::Millis;
use super::{BRIEF, Finding, holds_if, list, not_measured};
use std::collections::{BTreeMap, BTreeSet};
use sun4v::time::{SimTime, T2_HZ};

pub fn machines(evidence: &Evidence<'_>) -> Finding {
    let on: Vec<_> = evidence.those("chassis", "on").collect();
    if on.is_empty() {
        return not_measured("no chassis was powered on");
    }
    let mhz = |hz: u64| hz / 1_000_000;
    let is = |model: &str| on.iter().any(|on| on.name.to_ascii_lowercase().contains(model));
    let right = on.iter().all(|on| mhz(on.value("hz")) == mhz(T2_HZ));
    let each = on.iter().map(|on| format!("{} at {} MHz", on.name, mhz(on.value("hz"))));
    holds_if(is("t5120") && is("t5220") && right, list(each))
}

pub fn shared(evidence: &Evidence<'_>) -> Finding {
    if evidence.moved_live().is_empty() {
        return not_measured("no running domain was moved");
    }
    let mut clients: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for fact in evidence.those("nfs", "open") {
        clients.entry(&fact.name).or_default().insert(&fact.text);
    }
    if clients.is_empty() {
        return not_measured("no image was opened");
    }
    let each = clients.iter().map(|(image, by)| format!("{image} by {}", by.len()));
    holds_if(clients.values().all(|by| by.len() >= 2), list(each))
}

pub fn warm(evidence: &Evidence<'_>) -> Finding {
    let moves: Vec<_> = evidence.of_kind(Kind::Warm).collect();
    let (mut holds, mut each) = (true, Vec::new());
    for one in &moves {
        let Some(pause) = one.pause_ms else {
            return not_measured("a domain went over and was not seen to run again");
        };
        let copy = one.rounds.iter().fold(SimTime::ZERO, |sum, round| sum.plus(round.took_s.0));
        // What is not copying is what a live migration stands still for, too.
        holds &= one.rounds.len() == 1 && copy <= pause.0 && pause.0.since(copy) <= BRIEF;
        each.push(format!("paused {pause}, of which {} copying", Millis(copy)));
    }
    match each.is_empty() {
        true => not_measured("no domain was moved warm"),
        false => holds_if(holds, list(each)),
    }
}

pub fn history(_: &Evidence<'_>) -> Finding {
    not_measured("history; no run can show it")
}

pub fn down(evidence: &Evidence<'_>) -> Finding {
    if evidence.attempts.is_empty() {
        return not_measured("nobody tried to move a domain from or to a server that was off");
    }
    let (mut holds, mut each, mut ends) = (true, Vec::new(), BTreeSet::new());
    for Attempt { off, asked } in &evidence.attempts {
        let (end, place) = match *off == asked.source {
            true => ("source", &asked.target),
            false => ("target", &asked.source),
        };
        ends.insert(end);
        let (Some(took), Some(answered)) = (asked.duration_s, asked.answered) else {
            return not_measured(format!("{}: no answer", asked.way()));
        };
        // Who is on says what has become of it: nothing.
        let lists = || evidence.lists.iter().filter(|list| list.place == *place);
        let before = lists().rfind(|list| list.time <= asked.typed.0);
        let after = lists().find(|list| answered <= list.time);
        let (Some(before), Some(after)) = (before, after) else {
            return not_measured(format!("{end} off: no lists at {place} before and after"));
        };
        let row = |list: &Listing| {
            let row = list.row(&asked.domain);
            row.map(|row| (row.state.clone(), row.flags.clone(), row.memory.clone()))
        };
        let stays = row(before) == row(after);
        let refused = !asked.succeeded();
        holds &= stays && refused;
        let said = if refused { "refused" } else { "not refused" };
        let stays = if stays { "nothing changed" } else { "the domain changed" };
        each.push(format!("{end} off: {said} after {took}, {stays}"));
    }
    if holds && ends.len() < 2 {
        return not_measured(format!("{}; not the other way", list(each)));
    }
    holds_if(holds, list(each))
}

pub fn mpgroup(_: &Evidence<'_>) -> Finding {
    not_measured("a second service domain (mpgroup) is not built")
}

/// Bytes and strands that a server lists as free: `ldm list-devices -p cpu memory`.
fn free(text: &str) -> (u64, u64) {
    let value = |line: &str, key: &str| {
        let cell = line.split('|').find_map(|cell| cell.strip_prefix(key)?.strip_prefix('='));
        cell.and_then(|cell| cell.parse::<u64>().ok())
    };
    let strands = text.lines().filter(|line| value(line, "free") == Some(100)).count();
    (strands as u64, text.lines().filter_map(|line| value(line, "size")).sum())
}

pub fn evacuated(evidence: &Evidence<'_>) -> Finding {
    let offs: BTreeMap<_, _> =
        evidence.those("chassis", "off").map(|off| (&off.place[..], off.time)).collect();
    if offs.is_empty() {
        return not_measured("no server was evacuated");
    }
    let (mut holds, mut each) = (true, Vec::new());
    for (place, off) in offs {
        // The last moves away, the list and the devices after them.
        let left = evidence.moves.iter().filter(|one| one.source == place && one.succeeded());
        let Some(last) = left.filter_map(|one| one.answered).max() else {
            return not_measured(format!("{place} was switched off; nobody had left it"));
        };
        let mut lists = evidence.lists.iter().filter(|list| list.place == place);
        let Some(after) = lists.rfind(|list| last <= list.time && list.time <= off) else {
            return not_measured(format!("{place}: no list before it was switched off"));
        };
        let guests = after.rows.iter().filter(|row| row.name != CONTROL).count();
        let devices: Vec<_> = evidence
            .those("command", "answered")
            .filter(|fact| fact.place == place && fact.time <= off)
            .filter(|fact| fact.text.starts_with("ldm list-devices -p "))
            .collect();
        // First and last word: before any guest was there, and after all had left.
        let (Some(first), Some(last)) =
            (devices.first(), devices.iter().rfind(|fact| last <= fact.time))
        else {
            return not_measured(format!("{place}: nobody looked at what was free"));
        };
        let (before, now) = (free(&first.text), free(&last.text));
        holds &= guests == 0 && before == now && now.0 > 0 && now.1 > 0;
        each.push(format!(
            "{place}: {guests} guests, {} of {} strands and {} of {} MB free, switched off",
            now.0,
            before.0,
            now.1 >> 20,
            before.1 >> 20
        ));
    }
    holds_if(holds, list(each))
}

pub fn images(evidence: &Evidence<'_>) -> Finding {
    if evidence.moved_live().is_empty() {
        return not_measured("no running domain was moved");
    }
    // The last word on each image counts.
    let used: BTreeMap<_, _> =
        evidence.those("image", "use").map(|fact| (&fact.name[..], fact)).collect();
    if used.is_empty() {
        return not_measured("nobody looked at the images");
    }
    let right = used.values().all(|fact| {
        fact.value("changed_blocks") <= fact.value("writes").saturating_add(fact.value("spoiled"))
    });
    let each = used.iter().map(|(name, fact)| {
        format!("{name} {} writes, {} changed", fact.value("writes"), fact.value("changed_blocks"))
    });
    holds_if(right, list(each))
}
