//! Claims about the machines, the disks, and what is not built.

use super::super::Evidence;
use super::{Finding, holds_if, list, not_measured};
use std::collections::{BTreeMap, BTreeSet};
use sun4v::time::T2_HZ;

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

pub fn warm(_: &Evidence<'_>) -> Finding {
    not_measured("warm migration is not built")
}

pub fn history(_: &Evidence<'_>) -> Finding {
    not_measured("history; no run can show it")
}

pub fn down(_: &Evidence<'_>) -> Finding {
    not_measured("a server that is down is not built")
}

pub fn mpgroup(_: &Evidence<'_>) -> Finding {
    not_measured("a second service domain (mpgroup) is not built")
}

pub fn evacuated(_: &Evidence<'_>) -> Finding {
    not_measured("the script evacuates no server")
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
    let spoils =
        |name: &str| evidence.those("image", "spoil").filter(|fact| fact.name == name).count();
    let right = used.iter().all(|(name, fact)| {
        fact.value("changed_blocks") <= fact.value("writes").saturating_add(spoils(name) as u64)
    });
    let each = used.iter().map(|(name, fact)| {
        format!("{name} {} writes, {} changed", fact.value("writes"), fact.value("changed_blocks"))
    });
    holds_if(right, list(each))
}
