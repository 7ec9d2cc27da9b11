//! House rules that a program can check.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every Rust source below `dir`, with its text.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![top().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "no sources below {dir}");
    files.sort();
    files
}

/// Code lines of a source: comments and what follows `mod test` left out.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.trim_start().starts_with("mod test"))
        .filter(|line| !line.trim_start().starts_with("//"))
}

fn manifest(name: &str) -> toml::Table {
    let text = fs::read_to_string(top().join(name).join("Cargo.toml")).unwrap();
    text.parse().unwrap()
}

fn dependencies(name: &str) -> Vec<String> {
    manifest(name)["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn the_hypervisor_and_the_manager_depend_on_definitions_only() {
    for name in ["sun4v", "hv", "ldm"] {
        let ours: Vec<_> = dependencies(name)
            .into_iter()
            .filter(|dep| ["sun4v", "hv", "ldm", "sim"].contains(&dep.as_str()))
            .collect();
        let expected: &[&str] = if name == "sun4v" { &[] } else { &["sun4v"] };
        assert_eq!(ours, expected, "{name}/Cargo.toml");
    }
}

#[test]
fn inside_the_world_only_the_chassis_names_the_hypervisor_and_the_manager() {
    for (path, text) in sources("sim/src") {
        let room = path.strip_prefix(top().join("sim/src")).unwrap().to_str().unwrap().to_owned();
        if ["chassis/", "cli/", "bin/", "storm/"].iter().any(|allowed| room.starts_with(allowed)) {
            continue;
        }
        for line in code(&text) {
            for name in ["hv::", "ldm::"] {
                let named = line.match_indices(name).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
                assert!(!named, "sim/src/{room} names {name}: {line}");
            }
        }
    }
}

#[test]
fn only_the_ledger_has_unsafe() {
    let ledger = fs::read_to_string(top().join("sim/README.md")).unwrap();
    for dir in ["sun4v/src", "hv/src", "ldm/src", "sim/src"] {
        for (path, text) in sources(dir) {
            let file = path.strip_prefix(top().join("sim")).unwrap_or(&path);
            let has = code(&text).any(|line| {
                line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
            });
            let folder = file.parent().unwrap();
            let listed = ledger.contains(&format!("`{}`", file.display()))
                || ledger.contains(&format!("`{}/`", folder.display()));
            assert!(!has || listed, "{} has unsafe code and is not in the ledger", path.display());
        }
    }
}

#[test]
fn nothing_below_the_binaries_reads_the_hosts_clock_or_an_unordered_map() {
    for dir in ["sun4v/src", "hv/src", "ldm/src", "sim/src"] {
        for (path, text) in sources(dir) {
            if path.components().any(|part| part.as_os_str() == "bin" || part.as_os_str() == "cli")
            {
                continue;
            }
            for line in code(&text) {
                for name in ["Instant::now", "SystemTime", "HashMap", "HashSet", "thread_rng"] {
                    // smoltcp has an `Instant` of its own, which is made from simulated time.
                    assert!(!line.contains(name), "{}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_room_is_on_the_map() {
    let map = fs::read_to_string(top().join("ARCHITECTURE.md")).unwrap();
    for krate in ["sun4v", "hv", "ldm", "sim"] {
        for entry in fs::read_dir(top().join(krate).join("src")).unwrap() {
            let path = entry.unwrap().path();
            let room = path.file_stem().unwrap().to_str().unwrap();
            if room != "lib" && room != "bin" {
                assert!(map.contains(room), "ARCHITECTURE.md does not mention {krate}::{room}");
            }
        }
    }
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let banned = ["/work/", "subagent", "../shared", "crates.io", "FIXME", "todo!("];
    for dir in ["sun4v", "hv", "ldm", "sim/src"] {
        for (path, text) in sources(dir) {
            if path.components().any(|part| part.as_os_str() == "target") {
                continue;
            }
            for word in banned {
                assert!(!text.contains(word), "{} says {word}", path.display());
            }
        }
    }
}

#[test]
fn the_book_lists_every_figure_of_the_calibration_with_its_origin() {
    let chapter = fs::read_to_string(top().join("book/src/report.md")).unwrap();
    for figure in sun4v::calibration::FIGURES {
        let sun4v::calibration::Figure { name, value, unit, basis, origin } = figure;
        let row = format!("| `{name}` | {value} | {unit} | {} | {origin} |\n", basis.name());
        assert!(chapter.contains(&row), "not in the chapter: {row}");
    }
}
