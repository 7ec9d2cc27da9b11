//! Answers to `ldm list`: who has which domain.
//!
//! **Shapes.** The short list: a heading, then a row a domain, columns where the
//! heading has them; a long name pushes its row to the right.
//!
//! **Errors.** A row without name, state and six flags is left out.

use super::super::record::Fact;
use sun4v::time::SimTime;

/// What a chassis said of its domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// When it answered.
    pub time: SimTime,
    /// Which chassis.
    pub place: String,
    /// Its domains.
    pub rows: Vec<Row>,
}

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name of the domain.
    pub name: String,
    /// `active`, `bound`, `inactive`, …
    pub state: String,
    /// Six letters or dashes.
    pub flags: String,
    /// Virtual CPUs, as written.
    pub vcpus: String,
    /// Memory, as written.
    pub memory: String,
}

impl Listing {
    /// The row of this domain.
    #[must_use]
    pub fn row(&self, domain: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == domain)
    }
}

impl Row {
    /// Memory in bytes, if it is a number with its unit.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        let unit = self.memory.len().checked_sub(1)?;
        let (number, unit) = self.memory.split_at_checked(unit)?;
        let shift = match unit {
            "K" => 10,
            "M" => 20,
            "G" => 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(1 << shift)
    }

    /// The flag at a position, from 1.
    #[must_use]
    pub fn flag(&self, position: usize) -> u8 {
        self.flags.as_bytes().get(position.wrapping_sub(1)).copied().unwrap_or(b'-')
    }

    fn parse(line: &str, vcpu: usize, memory: usize, util: usize) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (name, state, flags) = (words.next()?, words.next()?, words.next()?);
        if flags.len() != 6 {
            return None;
        }
        let shift = name.len().saturating_sub(NAME_COLUMNS);
        let cell = |from: usize, until: usize| {
            let from = line.len().min(from + shift);
            let until = line.len().min(until + shift);
            line.get(from..until).unwrap_or_default().trim().to_owned()
        };
        Some(Self {
            name: name.to_owned(),
            state: state.to_owned(),
            flags: flags.to_owned(),
            vcpus: cell(vcpu, memory),
            memory: cell(memory, util),
        })
    }
}

/// Width of the first column.
const NAME_COLUMNS: usize = 16;
/// What the short list is asked by.
const VERBS: [&str; 6] = ["list", "ls", "list-domain", "ls-domain", "list-dom", "ls-dom"];

/// Every whole short list in the record, in order of time.
#[must_use]
pub fn find(facts: &[Fact]) -> Vec<Listing> {
    let mut lists: Vec<_> = facts.iter().filter_map(listing).collect();
    lists.sort_by_key(|list| list.time);
    lists
}

fn listing(fact: &Fact) -> Option<Listing> {
    if !fact.is("command", "answered") || fact.value("status") != 0 {
        return None;
    }
    let (command, printed) = fact.text.split_once('\n')?;
    let words: Vec<_> = command.split_whitespace().collect();
    let ["ldm", verb] = words[..] else { return None };
    if !VERBS.contains(&verb) {
        return None;
    }
    let (heading, rows) = printed.split_once('\n')?;
    let column = |name| heading.find(name);
    let (vcpu, memory, util) = (column("VCPU")?, column("MEMORY")?, column("UTIL")?);
    let rows = rows.lines().filter_map(|line| Row::parse(line, vcpu, memory, util)).collect();
    Some(Listing { time: fact.time, place: fact.place.clone(), rows })
}

#[cfg(test)]
mod test {
    use super::{Fact, find};
    use sun4v::time::SimTime;

    #[test]
    fn rows_are_read_by_column_also_where_cells_are_empty() {
        let printed = "\
NAME             STATE      FLAGS   CONS    VCPU  MEMORY   UTIL  UPTIME
primary          active     -n-cv-  SP      16    8G       0.5%  3d 21h 7m
rover            active     -n---s  5000    8     512M     23%   2m
idle             inactive   ------          8     2G
raw              inactive   ------
a-name-longer-than-its-column bound      ------  5001    4     1G
";
        let list = Fact::answered(SimTime::ms(1), "t5120", 0, "ldm list", 0, printed);
        let other = Fact::answered(SimTime::ms(2), "t5120", 1, "ldm list -l", 0, printed);
        let lists = find(&[list, other]);
        assert_eq!(lists.len(), 1);
        let cells = |name| {
            let row = lists[0].row(name).unwrap();
            (&row.state[..], &row.vcpus[..], row.memory_bytes(), row.flag(6))
        };
        assert_eq!(cells("rover"), ("active", "8", Some(512 << 20), b's'));
        assert_eq!(cells("primary"), ("active", "16", Some(8 << 30), b'-'));
        assert_eq!(cells("idle"), ("inactive", "8", Some(2 << 30), b'-'));
        assert_eq!(cells("raw"), ("inactive", "", None, b'-'));
        let long = cells("a-name-longer-than-its-column");
        assert_eq!(long, ("bound", "4", Some(1 << 30), b'-'));
        assert_eq!(lists[0].row("bilbo"), None);
    }
}
