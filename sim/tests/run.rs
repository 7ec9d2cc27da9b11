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

/// The same with a symbol table: name, address, size of each function.
fn elf_with_symbols(name: &str, program: &[u32], symbols: &[(&str, u64, u64)]) -> PathBuf {
    let path = elf(name, program);
    let mut out = std::fs::read(&path).expect("the image is read");
    let (mut names, mut table) = (vec![0], vec![0; 24]);
    for (symbol, address, size) in symbols {
        table.extend((names.len() as u32).to_be_bytes());
        table.extend([0x12, 0, 0, 1]); // a global function of section 1
        table.extend(address.to_be_bytes());
        table.extend(size.to_be_bytes());
        names.extend(symbol.bytes().chain([0]));
    }
    let bytes = 4 * program.len() as u64;
    let table_at = out.len() as u64;
    out.extend(&table);
    let names_at = out.len() as u64;
    out.extend(&names);
    let headers_at = out.len() as u64;
    let mut header = |kind: u32, address: u64, at: u64, size: usize, link: u32, entry: u64| {
        out.extend([0; 4]);
        out.extend(kind.to_be_bytes());
        for word in [0, address, at, size as u64] {
            out.extend(word.to_be_bytes());
        }
        out.extend(link.to_be_bytes());
        out.extend(u32::from(kind == 2).to_be_bytes());
        out.extend(8u64.to_be_bytes());
        out.extend(entry.to_be_bytes());
    };
    header(0, 0, 0, 0, 0, 0);
    header(1, BASE, 120, bytes as usize, 0, 0);
    header(2, 0, table_at, table.len(), 3, 24);
    header(3, 0, names_at, names.len(), 0, 0);
    out[40..48].copy_from_slice(&headers_at.to_be_bytes());
    out[60..64].copy_from_slice(&[0, 4, 0, 3]);
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
fn a_trace_tells_symbols_of_addresses_and_targets() {
    let mov = |rd: u32, imm: u32| 2 << 30 | rd << 25 | 2 << 19 | 1 << 13 | imm;
    let program = [
        0x4000_0004, // call end
        mov(8, 0),
        0,
        0,
        0x1080_0002, // ba, to two instructions on
        mov(13, 0),
        0x91d0_2080,
    ];
    let symbols = [("start", BASE, 8), ("end", BASE + 16, 8)];
    let image = elf_with_symbols("symbols.elf", &program, &symbols);
    let out = text(&ldomlab(&["trace", "--instructions"], &image).stdout);
    let lines = [
        "           0 v0 400000: 40000004  start                     call  0x400010 <end>",
        "           1 v0 400004: 90102000  start+0x4                 clr  %o0",
        "           2 v0 400010: 10800002  end                       b  0x400018",
        "           3 v0 400014: 9a102000  end+0x4                   clr  %o5",
        "           4 v0 400018: 91d02080                            ta  0x80",
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), lines);
    // Names of another file join those of the guest.
    let more = elf_with_symbols("more.elf", &program, &[("hypercall", BASE + 24, 4)]);
    let with = ["trace", "--instructions", "--symbols", more.to_str().unwrap_or_default()];
    let out = text(&ldomlab(&with, &image).stdout);
    assert!(out.contains("b  0x400018 <hypercall>\n") && out.contains("start+0x4 "), "{out}");
    let none = elf("none.elf", &program);
    let with = ["trace", "--instructions", "--symbols", none.to_str().unwrap_or_default()];
    let output = ldomlab(&with, &image);
    assert!(text(&output.stderr).contains("none.elf: no symbols"), "{output:?}");
}

#[test]
fn statistics_are_written_as_json_too() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stats.json");
    let name = file.to_str().unwrap_or_default();
    let output = ldomlab(&["run", "--timing", "t2", "--stats-json", name], &seven());
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(7), ""));
    let json = std::fs::read_to_string(&file).expect("the statistics are there");
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["timing"], "t2");
    assert_eq!(json["domains"][0]["hypercalls"][0]["name"], "mach_exit");
    assert_eq!(json["total"]["instructions"], 6);
    // Four moves of a cycle, two traps by instruction of five.
    assert_eq!(json["total"]["cycles"], 14);
    assert!(json["total"]["host"]["seconds"].as_f64() > Some(0.0));
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
