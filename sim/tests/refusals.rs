//! What `ldomlab` cannot do it says in one line, with what and where; its exit status
//! is not zero, and nothing was written.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of this content.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A place where nothing is.
fn nowhere(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals-nowhere").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// `ldomlab` refuses: one line, which begins with `names` and says `why`.
fn refuses(args: &[&str], names: &str, why: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_ldomlab")).args(args).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?} printed something");
    assert!(error.starts_with(&format!("ldomlab: {names}")), "{args:?}: {error}");
    assert!(error.contains(why), "{args:?}: {error} does not say `{why}`");
    assert!(!error.contains("panicked"), "{error}");
}

#[test]
fn an_image_that_is_none_is_neither_run_nor_read() {
    let own = std::env::current_exe().unwrap();
    let bytes = std::fs::read(&own).unwrap();
    let sparc = {
        // A header of a SPARC program whose segments are somewhere else.
        let mut header = bytes[..64].to_vec();
        header[5] = 2;
        header[16..64].fill(0);
        header[17] = 2;
        header[19] = 43;
        header
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_path_buf();
    let cases = [
        (nowhere("none.elf"), "No such file"),
        (folder, "directory"),
        (own, "little-endian"),
        (file("empty.elf", b""), "not an ELF file"),
        (file("text.elf", b"hello, world\n"), "not an ELF file"),
        (file("cut.elf", &sparc[..40]), "cut off"),
        (file("magic.elf", &bytes[..7]), "cut off"),
    ];
    for (path, why) in cases {
        let path = path.to_str().unwrap();
        for verb in ["run", "dis", "trace"] {
            refuses(&[verb, path], &format!("{path}: "), why);
        }
    }
}

#[test]
fn a_scenario_that_is_wrong_is_not_run() {
    let article = include_str!("../../testdata/scenarios/article.toml");
    let with = |name: &str, from: &str, to: &str| {
        assert!(article.contains(from));
        file(name, article.replacen(from, to, 1).as_bytes())
    };
    let out = nowhere("out");
    let refuses = |path: &Path, set: Option<&str>, why: &str| {
        let path = path.to_str().unwrap();
        let mut args = vec!["replay", path, "--out", out.to_str().unwrap()];
        args.extend(set.into_iter().flat_map(|set| ["--set", set]));
        // A value that was set is nowhere in the file.
        refuses(&args, if set.is_some() { "" } else { path }, why);
        assert!(!out.exists(), "{args:?} wrote something");
    };
    for (path, why) in [
        (nowhere("none.toml"), "No such file"),
        (Path::new(env!("CARGO_TARGET_TMPDIR")).to_path_buf(), "directory"),
        (file("binary.toml", &[0xff, 0xfe, 0]), "UTF-8"),
        (file("empty.toml", b""), "name"),
        (file("cut.toml", &article.as_bytes()[..200]), ""),
        (with("key.toml", "mtu = 1500", "mtv = 1500"), "mtv"),
        (with("unit.toml", "1Gbit/s", "1furlong"), "1furlong"),
        (with("mtu.toml", "mtu = 1500", "mtu = 70000"), "70000"),
        (with("many.toml", "vcpus = 16", "vcpus = 65"), "65"),
        (with("model.toml", "model = \"t5120\"", "model = \"e10k\""), "e10k"),
        (with("address.toml", "192.168.1.20", "192.168.1.400"), "addresses.lab: invalid IPv4"),
        (with("prompt.toml", "t5120# ldm add-vds", "ldm add-vds"), "no prompt"),
        (with("place.toml", "t5120# ldm add-vds", "mars# ldm add-vds"), "mars"),
        (with("when.toml", "when = \"answered\"", "when = \"soon\""), "soon"),
    ] {
        refuses(&path, None, why);
    }
    let good = file("good.toml", article.as_bytes());
    for (set, why) in [
        ("networks.lab.speed", "networks.lab.speed"),
        ("networks.lab.colour=red", "colour"),
        ("networks.lab.loss=2", "loss"),
        ("disks.9.size=64M", "disks.9"),
        ("chassis.t5120.primary.vcpus=0", "vcpus"),
        ("disks.0.size=64 parsecs", "64 parsecs"),
    ] {
        refuses(&good, Some(set), why);
    }
}

#[test]
fn a_folder_without_a_whole_record_has_no_verdict() {
    let none = nowhere("none");
    refuses(&["verdict", none.to_str().unwrap()], none.to_str().unwrap(), "No such file");
    let record = file("record.jsonl", b"");
    let folder = record.parent().unwrap();
    let good = "{\"time\":0,\"place\":\"lab\",\"subject\":\"run\",\"what\":\"begin\"}\n";
    for (text, why) in [
        (String::new(), "record.jsonl: holds nothing"),
        (format!("{good}{{\"time\":1,"), "record.jsonl:2: "),
        (format!("{good}\n{good}not a fact\n"), "record.jsonl:4: "),
        (format!("{good}{}", good.replace("time", "tide")), "record.jsonl:2: "),
        (good.replace(":0,", ":-1,"), "record.jsonl:1: "),
    ] {
        std::fs::write(&record, text).unwrap();
        refuses(&["verdict", folder.to_str().unwrap()], folder.to_str().unwrap(), why);
        assert!(!folder.join("summary.json").exists());
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let taken = file("taken", b"");
    let out = taken.join("out");
    refuses(
        &["replay", "--set", "script=[]", "--out", out.to_str().unwrap()],
        out.to_str().unwrap(),
        "directory",
    );
}

#[test]
fn a_step_that_fails_is_named_with_its_line_and_what_was_printed() {
    let article = include_str!("../../testdata/scenarios/article.toml");
    let (head, _) = article.split_once("# Both servers").unwrap();
    let scenario = file(
        "step.toml",
        format!("{head}\n[[script]]\nrun = \"t5120# ldm start-domain moon\"\n").as_bytes(),
    );
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals-step");
    let output = Command::new(env!("CARGO_BIN_EXE_ldomlab"))
        .args(["replay", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
    let line = head.lines().count() + 2;
    assert!(
        error.contains(&format!("step.toml:{line}: `t5120# ldm start-domain moon`")),
        "{error}"
    );
    assert!(error.contains("LDom \"moon\" was not found"), "{error}");
    // What happened until then was written.
    assert!(out.join("record.jsonl").exists() && out.join("transcript.txt").exists());
}
