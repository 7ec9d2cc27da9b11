//! How a domain starts: the book's page about it is what happens.

use super::session::{Session, boot_linux};
use super::{guest, scratch};

/// The page, with lines of a run and a list of first calls.
const PAGE: &str = include_str!("../../../book/src/start.md");

/// What counts of a line: who, which call, and what came of it. Times and addresses are one
/// kernel's.
fn essence(line: &str) -> (String, String, String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (who, call) = match words[2] {
        "hvctl" => (words[2].to_owned(), words[3]),
        domain => (format!("{domain} {}", words[3]), words[4]),
    };
    let name = call.split_once('(').map_or(call, |(name, _)| name);
    let status = line.rsplit_once(" = ").map_or("...", |(_, result)| result);
    let status = status.split_whitespace().next().unwrap_or_default();
    (who, name.to_owned(), status.to_owned())
}

/// Calls of the guest by the order of their first time.
fn first_calls(trace: &str) -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for (who, call, _) in trace.lines().map(essence) {
        if who.starts_with("guest ") && !calls.contains(&call) {
            calls.push(call);
        }
    }
    calls
}

#[test]
fn a_command_of_the_kernels_command_line_ends_the_guest_and_the_book_tells_how_it_got_there() {
    let Some(guest) = guest("a start, call by call") else { return };
    let calls = scratch("start").join("calls");
    let mut command = boot_linux(&guest, "run=true");
    let (status, text) = Session::start(command.arg("--trace").arg(&calls)).end();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("guest: exit 0"), "{text}");

    if !guest.has_snapshots("the book's list of its calls") {
        return;
    }
    let trace = std::fs::read_to_string(calls).unwrap();
    let mut run = trace.lines().map(essence);
    for line in PAGE.lines().filter(|line| line.starts_with("t5120 ")) {
        let wanted = essence(line);
        assert!(run.any(|call| call == wanted), "not in the run, or not here: {line}");
    }
    let (_, list) = PAGE.split_once("<!-- first calls: begin -->").unwrap();
    let (list, _) = list.split_once("<!-- first calls: end -->").unwrap();
    let listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(first_calls(&trace), listed);
}
