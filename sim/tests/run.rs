//! `ldomlab run` and `ldomlab trace` as a person meets them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Where the program is loaded.
const BASE: u64 = 0x40_0000;

/// An ELF file of these instructions.
fn elf(name: &str, program: &[u32]) -> PathBuf {
    let code: Vec<u8> = program.iter().flat_map(|word| word.to_be_bytes()).collect();
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [2u16, 43] {
        out.extend(half.to_be_bytes());
    }
    out.extend(1u32.to_be_bytes());
    for word in [BASE, 64, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(0u32.to_be_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        out.extend(half.to_be_bytes());
    }
    out.extend(1u32.to_be_bytes());
    out.extend(5u32.to_be_bytes());
    let bytes = code.len() as u64;
    for word in [120, BASE, BASE, bytes, bytes, 8] {
        out.extend(word.to_be_bytes());
    }
    out.extend(code);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, out).expect("the image is written");
    path
}

/// Writes `!` and exits with 7. Written once: tests run side by side.
fn seven() -> PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(write_seven).clone()
}

fn write_seven() -> PathBuf {
    let mov = |rd: u32, imm: u32| 2 << 30 | rd << 25 | 2 << 19 | 1 << 13 | imm;
    let call = 0x91d0_2080;
    let program = [mov(8, 0x21), mov(13, 0x61), call, mov(8, 7), mov(13, 0), call];
    elf("seven.elf", &program)
}

fn ldomlab(args: &[&str], image: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldomlab"));
    command.args(args).arg(image).output().expect("ldomlab runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_console_is_our_output_and_the_guests_code_our_status() {
    let output = ldomlab(&["run"], &seven());
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), out.as_str(), err.as_str()), (Some(7), "!", ""));
}

#[test]
fn statistics_say_what_was_executed() {
    let output = ldomlab(&["run", "--stats"], &seven());
    let err = text(&output.stderr);
    for line in ["6 instructions", "1 hypercalls 0x80 0x61 cons_putchar", " s simulated"] {
        assert!(err.contains(line), "{err}");
    }
}

#[test]
fn a_trace_has_a_line_an_instruction_or_a_call() {
    let output = ldomlab(&["trace", "--instructions"], &seven());
    let out = text(&output.stdout);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 6, "{out}");
    assert_eq!(lines[0], "           0 v0 400000: 90102021  mov  0x21, %o0");
    assert_eq!(lines[2], "           2 v0 400008: 91d02080  ta  0x80");
    let output = ldomlab(&["trace"], &seven());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(7));
    assert!(out.contains("guest v0 cons_putchar(0x21) = EOK"), "{out}");
    assert!(out.contains("guest v0 mach_exit(0x7) ..."), "{out}");
}

#[test]
fn what_cannot_run_is_named_with_the_reason_in_one_line() {
    let (none, image) = (Path::new("nothing.elf"), seven());
    let cases: [(&[&str], &Path, &str); 4] = [
        (&["run"], none, "nothing.elf: No such file"),
        (&["run", "--memory", "1M"], &image, "the image ends at 0x400018"),
        (&["run", "--vcpus", "65"], &image, "65 virtual CPUs: a guest has 1 to 64"),
        (&["run", "--for", "1ns"], &image, "still running after"),
    ];
    for (args, image, why) in cases {
        let output = ldomlab(args, image);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains(why) && err.lines().count() == 1, "{err}");
    }
}
