//! Reading a scenario: text, overrides, rules.

use super::{HostKind, Scenario};
use crate::net::link::MTU_RANGE;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;
use sun4v::time::SimTime;
use thiserror::Error;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// Why a scenario was refused. One line: place, key, reason.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct ScenarioError {
    /// `FILE:LINE`, `FILE`, or the override.
    pub place: String,
    /// Which key, with dots; empty for the whole file.
    pub key: String,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.why)
    }
}

/// A rule that a value breaks: where, and what it is.
struct Broken {
    key: Vec<String>,
    why: String,
}

impl Scenario {
    /// Reads the file at `path`, then changes what `overrides` say (`key=value`).
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ScenarioError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|why| ScenarioError {
            place: file.clone(),
            key: String::new(),
            why: why.to_string(),
        })?;
        Self::parse(&text, &file, overrides)
    }

    /// Reads `text`, which stands in `file`, then changes what `overrides` say.
    pub fn parse(text: &str, file: &str, overrides: &[String]) -> Result<Self, ScenarioError> {
        let source = Source { text, file };
        let mut scenario: Self = toml::from_str(text).map_err(|error| source.error(&error))?;
        if !overrides.is_empty() {
            let mut table: toml::Table =
                toml::from_str(text).map_err(|error| source.error(&error))?;
            for set in overrides {
                let refuse = |why: String| ScenarioError {
                    place: format!("--set {set}"),
                    key: String::new(),
                    why,
                };
                apply(&mut table, set).map_err(refuse)?;
                scenario = Self::deserialize(table.clone())
                    .map_err(|error| refuse(error.message().to_owned()))?;
            }
        }
        scenario.step_lines = source.step_lines();
        scenario.check().map_err(|broken| {
            let key = broken.key.join(".");
            let set = overrides.iter().rev().find(|set| {
                let name = set.split('=').next().unwrap_or_default();
                name.starts_with(&key) || key.starts_with(name)
            });
            let place = match set {
                Some(set) => format!("--set {set}"),
                None => source.place_of(&broken.key),
            };
            ScenarioError { place, key, why: broken.why }
        })?;
        Ok(scenario)
    }

    /// Rules that no type can express.
    fn check(&self) -> Result<(), Broken> {
        let fail = |key: &[&str], why: String| {
            Err(Broken { key: key.iter().map(|part| (*part).to_owned()).collect(), why })
        };
        if !(SimTime::us(1)..=SimTime::ms(1)).contains(&self.slice.0) {
            return fail(&["slice"], "a slice is 1us to 1ms".to_owned());
        }
        if self.limits.time.0 == SimTime::ZERO {
            return fail(&["limits", "time"], "a run takes some time".to_owned());
        }
        let packing = [("compress", self.packing.compress), ("expand", self.packing.expand)];
        if let Some((key, cycles)) =
            packing.into_iter().find(|(_, cycles)| !(1..=1_000_000).contains(cycles))
        {
            let why = format!("{cycles} is not 1 to 1000000 cycles a byte");
            return fail(&["packing", key], why);
        }
        if self.migration.fixed_percent > 1000 {
            return fail(&["migration", "fixed_percent"], "it is 0 to 1000".to_owned());
        }
        if self.migration.rounds == 0 {
            return fail(&["migration", "rounds"], "there is one round at least".to_owned());
        }
        for (name, network) in &self.networks {
            let key = |last| ["networks", name, last];
            if !MTU_RANGE.contains(&network.mtu) {
                return fail(&key("mtu"), format!("{} is not 576 to 16000", network.mtu));
            }
            if network.latency.0.0.saturating_mul(2) < self.slice.0.0 {
                let why = "a frame crosses two links and must take a slice or longer";
                return fail(&key("latency"), why.to_owned());
            }
            let chances = [
                ("loss", network.loss),
                ("duplication", network.duplication),
                ("bit_flip", network.bit_flip),
            ];
            for (last, chance) in chances {
                if !(0.0..=1.0).contains(&chance) {
                    return fail(&key(last), format!("{chance} is no probability, 0 to 1"));
                }
            }
        }
        for (name, chassis) in &self.chassis {
            let primary = &chassis.primary;
            let key = |last| ["chassis", name, "primary", last];
            if ![8, 9].contains(&chassis.cores) {
                let why = format!("{} cores: a T2 has 8, and a lab may add one", chassis.cores);
                return fail(&["chassis", name, "cores"], why);
            }
            if !(1..=64).contains(&primary.vcpus) {
                return fail(&key("vcpus"), format!("{} is not 1 to 64", primary.vcpus));
            }
            let cores = primary.vcpus.div_ceil(8);
            if primary.crypto > cores {
                let why = format!(
                    "{} crypto units, but {} virtual CPUs are on {cores} cores",
                    primary.crypto, primary.vcpus
                );
                return fail(&key("crypto"), why);
            }
            for (disk, local) in &chassis.local_disks {
                let key = |last| ["chassis", name, "local_disks", disk, last];
                if !is_disk_name(disk) {
                    let why = format!("`{disk}` is no disk's name, such as c0t1d0");
                    return fail(&["chassis", name, "local_disks", disk], why);
                }
                if local.file.is_empty() {
                    return fail(&key("file"), "a disk has a file".to_owned());
                }
                if local.bytes_per_second.0 == 0 {
                    return fail(&key("bytes_per_second"), "a disk moves some bytes".to_owned());
                }
            }
            if !(4 << 30..=64 << 30).contains(&chassis.memory.0) {
                return fail(&["chassis", name, "memory"], "memory is 4G to 64G".to_owned());
            }
            if primary.memory.0 < 256 << 20 || primary.memory.0 > chassis.memory.0 / 2 {
                let why = "the control domain has 256M to half of the memory".to_owned();
                return fail(&key("memory"), why);
            }
        }
        self.check_addresses()?;
        self.check_disks()?;
        for (n, step) in self.script.iter().enumerate() {
            let place = &step.run.place;
            let known = place == "lab"
                || self.chassis.contains_key(place)
                || self.hosts.contains_key(place);
            if !known {
                let why = format!("no chassis or host `{place}`");
                return fail(&["script", &n.to_string(), "run"], why);
            }
        }
        Ok(())
    }

    /// Every address is on a network that exists, in one /24 with the others there,
    /// and nobody else's; every name means one thing.
    fn check_addresses(&self) -> Result<(), Broken> {
        let mut places: Vec<(Vec<String>, &str, Ipv4Addr)> = Vec::new();
        let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        for (name, chassis) in &self.chassis {
            for (network, address) in &chassis.addresses {
                places.push((path(&["chassis", name, "addresses", network]), network, *address));
            }
        }
        for (name, host) in &self.hosts {
            let (network, address) = host.place();
            if self.chassis.contains_key(name) || name == "lab" {
                let why = "the name is already taken".to_owned();
                return Err(Broken { key: path(&["hosts", name]), why });
            }
            if !self.networks.contains_key(network) {
                let why = format!("no network `{network}`");
                return Err(Broken { key: path(&["hosts", name, "network"]), why });
            }
            places.push((path(&["hosts", name, "address"]), network, address));
        }
        let mut taken = BTreeSet::new();
        let mut prefixes = std::collections::BTreeMap::new();
        for (key, network, address) in places {
            if !self.networks.contains_key(network) {
                return Err(Broken { key, why: format!("no network `{network}`") });
            }
            let [a, b, c, last] = address.octets();
            if last == 0 || last == 255 || a == 0 || a >= 224 {
                return Err(Broken { key, why: format!("{address} is no host's address") });
            }
            let prefix = *prefixes.entry(network).or_insert([a, b, c]);
            if prefix != [a, b, c] {
                let [a, b, c] = prefix;
                let why = format!("{address} is not in {a}.{b}.{c}.0/24, as the others are");
                return Err(Broken { key, why });
            }
            if !taken.insert(address) {
                return Err(Broken { key, why: format!("{address} is already taken") });
            }
        }
        for (name, address) in &self.names {
            if !taken.insert(*address) {
                let why = format!("{address} is already taken");
                return Err(Broken { key: path(&["names", name]), why });
            }
        }
        Ok(())
    }

    /// Images have names of their own, a size, and a NAS to serve them.
    fn check_disks(&self) -> Result<(), Broken> {
        let mut seen = BTreeSet::new();
        for (n, disk) in self.disks.iter().enumerate() {
            let fail = |last: &str, why: String| {
                let key = ["disks", &n.to_string(), last].map(str::to_owned).into();
                Err(Broken { key, why })
            };
            let letters = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if disk.image.is_empty() || !disk.image.chars().all(letters) {
                return fail("image", format!("`{}` is no file name", disk.image));
            }
            if !seen.insert(&disk.image) {
                return fail("image", format!("`{}` is there twice", disk.image));
            }
            let least = u64::from(disk.file.is_none());
            if !(least..=1 << 40).contains(&disk.size.0) {
                return fail("size", "an image has 1 byte to 1024G".to_owned());
            }
            if disk.file.is_some() && disk.seed != 0 {
                return fail("seed", "an image begins as a file or comes of a seed".to_owned());
            }
            let blocks = disk.size.0.div_ceil(8192);
            if let Some(block) = disk.spoil.iter().find(|block| **block >= blocks) {
                return fail("spoil", format!("there is no block {block} of {blocks}"));
            }
            if !self.hosts.values().any(|host| matches!(host, HostKind::Nas { .. })) {
                return fail("image", "no host of kind \"nas\" to serve it".to_owned());
            }
        }
        Ok(())
    }
}

/// Is this controller, target and disk, as Solaris names a disk: `c0t1d0`?
fn is_disk_name(name: &str) -> bool {
    let number = |rest: &mut &str, letter: char| {
        let after = rest.strip_prefix(letter)?;
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        *rest = &after[digits..];
        (1..=3).contains(&digits).then_some(())
    };
    let rest = &mut &*name;
    let all = ['c', 't', 'd'].into_iter().all(|letter| number(rest, letter).is_some());
    all && rest.is_empty()
}

/// Changes one value: `key=value`; the value is TOML, or else a string.
fn apply(table: &mut toml::Table, set: &str) -> Result<(), String> {
    let (key, text) = set.split_once('=').ok_or("it is not `key=value`")?;
    let value = toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    let (parents, last) = match key.rsplit_once('.') {
        Some((parents, last)) => (Some(parents), last),
        None => (None, key),
    };
    if key.split('.').any(str::is_empty) {
        return Err(format!("`{key}` is no key"));
    }
    // A name that is not in the file is a slip, not a new thing.
    if let [kind @ ("networks" | "chassis" | "hosts"), name, ..] =
        key.split('.').collect::<Vec<_>>()[..]
        && table.get(kind).is_none_or(|things| things.get(name).is_none())
    {
        return Err(format!("there is no `{name}` in {kind}"));
    }
    let mut keys = parents.into_iter().flat_map(|parents| parents.split('.'));
    let mut place = match keys.next() {
        None => {
            table.insert(last.to_owned(), value);
            return Ok(());
        }
        Some(first) => table.entry(first).or_insert_with(|| Value::Table(toml::Table::new())),
    };
    for part in keys {
        place = match place {
            Value::Table(table) => {
                table.entry(part).or_insert_with(|| Value::Table(toml::Table::new()))
            }
            Value::Array(list) => element(list, part)?,
            _ => return Err(format!("`{part}` is inside of a value that is no table")),
        };
    }
    match place {
        Value::Table(table) => {
            table.insert(last.to_owned(), value);
        }
        Value::Array(list) => *element(list, last)? = value,
        _ => return Err(format!("`{last}` is inside of a value that is no table")),
    }
    Ok(())
}

fn element<'a>(list: &'a mut [Value], part: &str) -> Result<&'a mut Value, String> {
    let count = list.len();
    part.parse::<usize>()
        .ok()
        .and_then(|n| list.get_mut(n))
        .ok_or_else(|| format!("`{part}` is no element of a list of {count}, from 0"))
}

/// The text of a scenario, to find places in it.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
    }

    /// What the parser says, with its place.
    fn error(&self, error: &toml::de::Error) -> ScenarioError {
        let why = error.message().replace('\n', ", ");
        let Some(span) = error.span() else {
            return ScenarioError { place: self.file.to_owned(), key: String::new(), why };
        };
        let place = format!("{}:{}", self.file, self.line(span.start));
        let key = DeTable::parse(self.text).map_or_else(
            |_| String::new(),
            |table| key_at(table.get_ref(), &span).unwrap_or_default().join("."),
        );
        ScenarioError { place, key, why }
    }

    /// `FILE:LINE` of a key, or of the nearest key above it that is written.
    fn place_of(&self, key: &[String]) -> String {
        let Ok(table) = DeTable::parse(self.text) else { return self.file.to_owned() };
        match offset_of(table.get_ref(), key) {
            Some(offset) => format!("{}:{}", self.file, self.line(offset)),
            None => self.file.to_owned(),
        }
    }

    /// The line on which each step begins.
    fn step_lines(&self) -> Vec<usize> {
        let Ok(table) = DeTable::parse(self.text) else { return Vec::new() };
        let script = table.get_ref().iter().find(|(key, _)| key.get_ref() == "script");
        match script.map(|(_, value)| value.get_ref()) {
            Some(DeValue::Array(steps)) => {
                steps.iter().map(|step| self.line(step.span().start)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The key whose value, or name, is closest around `span`.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let mut best: Option<(usize, Vec<String>)> = None;
    let mut look = |key: Vec<String>, at: Range<usize>| {
        let around = at.start <= span.start && span.end <= at.end.max(at.start + 1);
        let length = at.len();
        if around && best.as_ref().is_none_or(|(least, _)| length < *least) {
            best = Some((length, key));
        }
    };
    visit(table, &mut Vec::new(), &mut look);
    best.map(|(_, key)| key)
}

/// Calls `look` with every key below `table` and where its name and value are.
fn visit(
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    look: &mut impl FnMut(Vec<String>, Range<usize>),
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        look(path.clone(), key.span());
        visit_value(value, path, look);
        path.pop();
    }
}

fn visit_value(
    value: &toml::Spanned<DeValue<'_>>,
    path: &mut Vec<String>,
    look: &mut impl FnMut(Vec<String>, Range<usize>),
) {
    look(path.clone(), value.span());
    match value.get_ref() {
        DeValue::Table(table) => visit(table, path, look),
        DeValue::Array(list) => {
            for (n, element) in list.iter().enumerate() {
                path.push(n.to_string());
                visit_value(element, path, look);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Where the value of `key` begins, or of the nearest key above it.
fn offset_of(table: &DeTable<'_>, key: &[String]) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    visit(table, &mut Vec::new(), &mut |path, at| {
        if key.starts_with(&path) && best.is_none_or(|(depth, _)| path.len() > depth) {
            best = Some((path.len(), at.start));
        }
    });
    best.map(|(_, offset)| offset)
}
