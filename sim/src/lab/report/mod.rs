//! The report on a run: the files that people open, made of its record alone.
//!
//! **Shapes.** [`page`] is `report.html`, one file that needs no other and no script.
//! [`trace`] is `trace.perfetto`, for a trace viewer. [`transcript`] gives what was
//! typed and printed, of everybody and of each chassis. All bytes follow from the facts
//! and from the judgement of them, so the same record gives the same report.
//!
//! **Errors.** None: what the record lacks, the report leaves out or says so.

mod base64;
mod course;
mod figures;
mod movie;
mod page;
mod plot;
mod trace;
mod transcript;

pub use course::PHASES;
pub use transcript::transcript;

use super::record::Fact;
use super::verdict;

/// Name of the page.
pub const PAGE: &str = "report.html";
/// Name of the trace. Viewers go by what is in it, which is JSON.
pub const TRACE: &str = "trace.perfetto";
/// Name of the transcript of everybody.
pub const TRANSCRIPT: &str = "transcript.txt";

/// A file of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// All files.
#[must_use]
pub fn files(facts: &[Fact], judged: &verdict::Report) -> Vec<File> {
    let file = |name: &str, text| File { name: name.to_owned(), text };
    let mut files = vec![
        file(PAGE, page::html(facts, judged)),
        file(TRACE, trace::json(facts, judged)),
        file(TRANSCRIPT, transcript(facts, None)),
    ];
    for place in chassis(facts) {
        // A name of a chassis may be no name of a file.
        let letters = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name = place.chars().map(letters).collect::<String>();
        let name = format!("transcript-{name}.txt");
        files.push(File { name, text: transcript(facts, Some(place)) });
    }
    files
}

/// The chassis of a run, in the order of their names.
fn chassis(facts: &[Fact]) -> Vec<&str> {
    let on = facts.iter().filter(|fact| fact.is("chassis", "on"));
    let mut places: Vec<_> = on.map(|fact| &fact.place[..]).collect();
    places.sort_unstable();
    places.dedup();
    places
}

#[cfg(test)]
mod test;
