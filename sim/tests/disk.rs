//! Local disks of a chassis: offered by its control domain, used by a guest.

#![expect(clippy::unwrap_used, reason = "a test may")]

use sim::cli::{gdb, lab, replay, stats};
use sim::lab::nas::image::{BLOCK_BYTES, Image, checksum};
use sim::lab::record::{Fact, read};
use std::path::{Path, PathBuf};

/// The story; its head brings a guest up.
const SHORT: &str = include_str!("../../testdata/scenarios/short.toml");
const THERE: &str = "# There.\n";
const DISK_BYTES: u64 = 4 << 20;
/// The block that is bad on one side.
const BAD: u64 = 300;

/// A folder of this test.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{name}"));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    place
}

/// The head of the story with two local disks instead of the NAS's, and these steps.
fn scenario(place: &Path, disks: &str, steps: &str) -> PathBuf {
    let (head, _) = SHORT.split_once(THERE).unwrap();
    let head = head
        .replace("/net/nas/export/rover0.img rover0", "/dev/dsk/c0t0d0s2 rover0")
        .replace("/net/nas/export/rover1.img rover1", "/dev/dsk/c0t1d0s2 rover1")
        .replace(
            "[chassis.t5220]",
            &format!("[chassis.t5120.local_disks]\n{disks}\n[chassis.t5220]"),
        );
    let file = place.join("scenario.toml");
    std::fs::write(&file, format!("{head}{steps}")).unwrap();
    file
}

/// A mirrored pair; one side has a bad block.
fn pair(place: &Path) -> (String, [PathBuf; 2]) {
    let files = ["one.img", "two.img"].map(|name| place.join(name));
    for (file, spoilt) in files.iter().zip([false, true]) {
        let mut image = Image::new(5, DISK_BYTES);
        if spoilt {
            assert!(image.spoil(BAD));
        }
        std::fs::write(file, image.read(0, DISK_BYTES as usize)).unwrap();
    }
    let lines = ["c0t0d0", "c0t1d0"].into_iter().zip(&files);
    let lines = lines.map(|(name, file)| format!("{name} = {{ file = {file:?} }}\n")).collect();
    (lines, files)
}

/// Runs it; facts, and how it ended.
fn run(
    scenario: &Path,
    out: &Path,
    threads: usize,
    checkpoint: &[&str],
) -> (Vec<Fact>, Result<(), String>) {
    std::fs::create_dir_all(out).unwrap();
    let args = replay::Args {
        options: lab::Options {
            scenario: Some(scenario.to_owned()),
            threads: Some(threads),
            ..lab::Options::default()
        },
        out: out.to_owned(),
        snaplen: 0,
        gdb: gdb::Args::default(),
        no_trace: false,
        checkpoint_at: checkpoint.iter().map(|word| (*word).to_owned()).collect(),
        restore: None,
        stats: stats::Args::default(),
    };
    let ended = replay::run(&args, &mut Vec::new()).map_err(|error| format!("{error:#}"));
    (read(out).unwrap_or_default(), ended)
}

const SCRUB: &str = "[[script]]\nrun = \"workstation# type scrub start\"\n\
    [[script]]\nwhen = \"console line rover: scrub: done\"\nwithin = \"20s\"\n\
    run = \"t5120# ldm list-bindings rover\"\n\
    [[script]]\nrun = \"t5120# ldm stop-domain -f rover\"\n\
    [[script]]\nrun = \"t5120# ldm unbind-domain rover\"\n";

#[test]
fn a_mirrored_pair_of_local_disks_is_scrubbed_and_mended_in_its_file() {
    let mut records = Vec::new();
    for threads in [1, 2] {
        let place = place(&format!("scrub-{threads}"));
        let (disks, files) = pair(&place);
        let scenario = scenario(&place, &disks, SCRUB);
        let (facts, ended) = run(&scenario, &place.join("out"), threads, &[]);
        assert_eq!(ended, Ok(()));
        let lines = facts.iter().filter(|fact| fact.is("console", "line"));
        let lines: Vec<_> = lines.map(|fact| fact.text.as_str()).collect();
        let mended = format!("scrub: block {BAD} of disk 1 written anew");
        assert!(lines.iter().any(|line| line.ends_with(&mended)), "{lines:#?}");
        let done = lines.iter().find(|line| line.contains("scrub: done, ")).unwrap();
        assert!(done.contains("512 blocks, 1 repaired, 0 lost, 0 errors"), "{done}");
        // Both files are what one was, to the byte.
        let expected = Image::new(5, DISK_BYTES).read(0, DISK_BYTES as usize);
        for file in &files {
            let bytes = std::fs::read(file).unwrap();
            assert!(bytes == expected, "{}", file.display());
        }
        let block = &expected[BAD as usize * BLOCK_BYTES..][..BLOCK_BYTES];
        assert_ne!(checksum(block.try_into().unwrap()), 0);
        // No frame was sent for them.
        assert!(!facts.iter().any(|fact| fact.is("nfs", "open")));
        let record = std::fs::read(place.join("out/record.jsonl")).unwrap();
        records.push((record, std::fs::read(place.join("out/hypercalls.txt")).unwrap()));
        std::fs::remove_dir_all(&place).unwrap();
    }
    assert!(records[0] == records[1], "one thread and two differ");
}

#[test]
fn a_world_with_a_disk_that_takes_writes_is_in_no_checkpoint() {
    let place = place("checkpoint");
    let (disks, _) = pair(&place);
    let scenario = scenario(&place, &disks, "");
    let file = place.join("one.ckpt");
    let (_, ended) = run(&scenario, &place.join("out"), 1, &["2.0", file.to_str().unwrap()]);
    let why = ended.unwrap_err();
    assert!(
        why.contains("local disk c0t0d0 takes writes, and a checkpoint does not hold"),
        "{why}"
    );
    assert!(!file.exists());
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_file_that_cannot_be_a_disk_is_named() {
    let place = place("refused");
    let (disks, files) = pair(&place);
    let ended = |disks: &str| {
        let scenario = scenario(&place, disks, "");
        run(&scenario, &place.join("out"), 1, &[]).1.unwrap_err()
    };
    let one = files[0].display().to_string();
    let twice = disks.replace("two.img", "one.img");
    let said = format!("chassis t5120: local disk c0t1d0: {one}: it is in use: ");
    assert!(ended(&twice).starts_with(&said), "{}", ended(&twice));
    std::fs::remove_file(&files[1]).unwrap();
    let two = files[1].display();
    let said = format!("chassis t5120: local disk c0t1d0: {two}: No such file or directory");
    assert!(ended(&disks).starts_with(&said), "{}", ended(&disks));
    std::fs::write(&files[1], [0; 700]).unwrap();
    let said = format!("chassis t5120: local disk c0t1d0: {two}: it has 700 bytes; ");
    assert!(ended(&disks).starts_with(&said), "{}", ended(&disks));
    std::fs::remove_dir_all(&place).unwrap();
}
