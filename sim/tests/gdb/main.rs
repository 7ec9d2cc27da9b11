//! Guests before a debugger: by packets, and by GDB itself.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod remote;

use remote::{Remote, Server, gdb, have};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the small image is loaded.
const BASE: u64 = 0x40_0000;

/// A file of these tests.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// An image of these instructions.
fn elf(name: &str, program: &[u32]) -> PathBuf {
    let code: Vec<u8> = program.iter().flat_map(|word| word.to_be_bytes()).collect();
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend([0, 2, 0, 43, 0, 0, 0, 1]);
    for word in [BASE, 64, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(0u32.to_be_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        out.extend(half.to_be_bytes());
    }
    out.extend([0, 0, 0, 1, 0, 0, 0, 5]);
    for word in [120, BASE, BASE, code.len() as u64, code.len() as u64, 8] {
        out.extend(word.to_be_bytes());
    }
    out.extend(code);
    file(name, &out)
}

/// `mov imm, rd`.
const fn mov(rd: u32, imm: u32) -> u32 {
    2 << 30 | rd << 25 | 2 << 19 | 1 << 13 | imm
}
/// `ta 0x80`.
const CALL: u32 = 0x91d0_2080;

/// An image that stores, writes `!` and exits with 7.
fn seven(name: &str) -> PathBuf {
    let program = [
        0x0300_1000, // sethi %hi(0x400000), %g1
        mov(8, 0x21),
        0xd070_6400, // stx %o0, [%g1 + 0x400]
        mov(13, 0x61),
        CALL,
        mov(8, 7),
        mov(13, 0),
        CALL,
    ];
    elf(name, &program)
}

#[test]
fn what_cannot_be_is_answered_with_an_error_and_the_session_goes_on() {
    let server = Server::start(&["run", seven("errors.elf").to_str().unwrap()]);
    let mut remote = Remote::connect(&server);
    remote.send(b"+$g#00");
    assert_eq!(remote.receive(), "-");
    let cases = [
        ("vMustReplyEmpty", ""),
        ("unknown", ""),
        ("", ""),
        ("Z9,400000,4", ""),
        ("Z2,400000,0", "E01"),
        ("Z0,,4", "E01"),
        ("Z0", "E01"),
        ("mffffffffffffff00,8", "E0e"),
        ("m10000000000000000,8", "E01"),
        ("m400000", "E01"),
        ("m4000000,ffffffffffffffff", "E0e"),
        ("M4000000,2:0000", "E0e"),
        ("M400000,2:00", "E01"),
        ("p65", "E01"),
        ("pffffffffffffffff", "E01"),
        ("P0=00", "E01"),
        ("P", "E01"),
        ("G0", "E01"),
        ("Hg99", "E01"),
        ("H", "E01"),
        ("T7f", "E01"),
        ("vCont;x", "E01"),
        ("vCont;s:zz", "E01"),
        ("vFile:open:2f6574632f706173737764,0,0", "F-1,2"),
        ("vFile:open:2f,0", "F-1,16"),
        ("vFile:pread:7,10,0", "F-1,9"),
        ("vFile:pread:1,10", "F-1,9"),
        ("qXfer:features:read:other.xml:0,10", "E00"),
        ("qXfer:nothing:read::0,10", ""),
        ("qXfer:features:read:target.xml:0", "E01"),
        ("qThreadExtraInfo,0", "E01"),
        ("qRcmd,7", "E01"),
        ("qC", "QC1"),
        ("qfThreadInfo", "m1"),
    ];
    for (packet, answer) in cases {
        assert_eq!(remote.ask(packet), answer, "{packet}");
    }
    remote.send(b"$z\xff\xfe}#00\x00\xff#");
    assert_eq!(remote.receive(), "-");
    remote.say("k");
    let (status, out, err) = server.finish();
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(err.contains("the debugger has ended the run"), "{err}");
}

#[test]
fn steps_points_and_registers_are_as_the_protocol_wants() {
    let server = Server::start(&["run", seven("steps.elf").to_str().unwrap()]);
    let mut remote = Remote::connect(&server);
    assert!(remote.ask("qSupported:swbreak+;hwbreak+").contains("qXfer:features:read+"));
    assert_eq!(remote.ask("?"), "T05thread:1;");
    assert_eq!(remote.ask("p50"), "0000000000400000");
    assert_eq!(remote.ask("m400000,4"), "03001000");
    assert_eq!(remote.ask("vCont;s:1"), "T05thread:1;");
    assert_eq!(remote.ask("p50"), "0000000000400004");
    assert_eq!(remote.ask("p1"), "0000000000400000");
    assert_eq!(remote.ask("Z2,400404,1"), "OK");
    assert_eq!(remote.ask("c"), "T05watch:400404;thread:1;");
    assert_eq!(remote.ask("p50"), "000000000040000c");
    assert_eq!(remote.ask("m400400,8"), "0000000000000021");
    assert_eq!(remote.ask("z2,400404,1"), "OK");
    assert_eq!(remote.ask("Z0,400010,4"), "OK");
    assert_eq!(remote.ask("c"), "T05swbreak:;thread:1;");
    assert_eq!(remote.ask("p8"), "0000000000000021");
    assert_eq!(remote.ask("P8=000000000000003f"), "OK");
    assert_eq!(remote.ask("z0,400010,4"), "OK");
    assert_eq!(remote.ask("Z1,400018,4"), "OK");
    assert_eq!(remote.ask("vCont;c:1"), "T05hwbreak:;thread:1;");
    assert_eq!(remote.ask("m400010,4"), "91d02080");
    assert_eq!(remote.ask("z1,400018,4"), "OK");
    assert_eq!(remote.ask("c"), "W07");
    drop(remote);
    let (status, out, err) = server.finish();
    assert_eq!((status, out.as_str(), err.as_str()), (Some(7), "?", ""));
}

#[test]
fn a_guest_that_runs_for_ever_is_interrupted_left_and_met_again() {
    let image = elf("ever.elf", &[mov(9, 5), 0x10bf_ffff, 0x0100_0000]); // ba .-4; nop
    let server = Server::start(&["run", image.to_str().unwrap(), "--vcpus", "2"]);
    let mut remote = Remote::connect(&server);
    assert_eq!(remote.ask("qfThreadInfo"), "m1,2");
    assert_eq!(remote.ask("Z0,400004,4"), "OK");
    assert_eq!(remote.ask("vCont;c"), "T05thread:1;");
    assert_eq!(remote.ask("p9"), "0000000000000005");
    assert_eq!(remote.ask("z0,400004,4"), "OK");
    remote.say("vCont;c");
    remote.send(b"\x03");
    assert_eq!(remote.receive(), "T02thread:1;");
    assert_eq!(remote.ask("Z0,400004,4"), "OK");
    assert_eq!(remote.ask("D"), "OK");
    drop(remote);
    let mut remote = Remote::connect(&server);
    assert_eq!(remote.ask("?"), "T05thread:1;");
    let before = remote.ask("qRcmd,74696d65");
    assert_eq!(remote.ask("qRcmd,74696d65"), before);
    remote.say("c");
    remote.send(b"\x03");
    assert_eq!(remote.receive(), "T02thread:1;", "the breakpoint went with who had set it");
    // A debugger that is gone without a word has let go.
    drop(remote);
    let mut remote = Remote::connect(&server);
    assert_eq!(remote.ask("vKill;1"), "OK");
    assert_eq!(server.finish().0, Some(1));
}

#[test]
fn a_guest_that_waits_for_ever_is_said_to() {
    let image = elf("idle.elf", &[mov(13, 0x12), CALL, 0]);
    let server = Server::start(&["run", image.to_str().unwrap()]);
    let mut remote = Remote::connect(&server);
    let said = "Every virtual CPU waits for ever.\n";
    let hex: String = said.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(remote.ask("c"), format!("O{hex}"));
    assert_eq!(remote.receive(), "T02thread:1;");
    assert_eq!(remote.ask("p50"), "0000000000400008");
    assert_eq!(remote.ask("D"), "OK");
    let (status, _, err) = server.finish();
    assert_eq!(status, Some(1));
    assert!(err.contains("every virtual CPU waits for ever"), "{err}");
}

/// The guest in C, built once; `None`, said aloud, without a compiler or GDB.
fn guest() -> Option<&'static Path> {
    static GUEST: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = || {
        if !have("sparc64-linux-gnu-gcc") || !have("gdb-multiarch") {
            return None;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb");
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest.elf");
        let flags = "-m64 -mcpu=niagara2 -g -O1 -ffreestanding -fno-pic -fno-pie -mcmodel=medlow \
                     -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-Ttext=0x400000 \
                     -Wl,-z,max-page-size=8192";
        let made = Command::new("sparc64-linux-gnu-gcc")
            .args(flags.split_whitespace())
            .args([folder.join("start.S"), folder.join("guest.c")])
            .arg("-o")
            .arg(&out)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(out)
    };
    GUEST.get_or_init(built).as_deref()
}

/// All of `parts` are in `text`, in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at =
            rest.find(part).unwrap_or_else(|| panic!("no `{part}` in what is left of\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn gdb_sees_frames_whose_windows_were_never_spilled_and_changes_them() {
    let Some(guest) = guest() else { return };
    let server = Server::start(&["run", guest.to_str().unwrap()]);
    let commands = format!(
        "target remote {}\nshow architecture\nshow endian\ninfo threads\nprint/x $pc\n\
         break inner\ncontinue\nbacktrace\nprint n\nframe function outer\nprint keep\n\
         set var keep = 16\nprint keep\ndelete\nframe 0\nwatch counter\ncontinue\ndelete\nstepi\n\
         finish\nprint $canrestore\nmonitor time\ncontinue\n",
        server.address
    );
    let text = gdb(Some(guest), &commands);
    in_order(
        &text,
        &[
            "\"sparc:v9\"",
            "big endian",
            "\"guest.0\"",
            "0x400000",
            "Breakpoint 1, inner (n=1)",
            "#1  0x",
            " in middle (n=0)",
            "#2  0x",
            " in outer (n=0)",
            "#3  0x",
            " in begin ()",
            "= 1\n",
            "= 0\n",
            "= 16\n",
            "ardware watchpoint 2: counter",
            "Old value = 0",
            "New value = 1",
            "Value returned is $",
            "= 3\n",
            "= 3\n",
            "exited with code 0121",
            "0.000000000 s simulated",
        ],
    );
    let (status, out, err) = server.finish();
    assert_eq!((status, out.as_str(), err.as_str()), (Some(81), "!", ""), "{text}");
}

#[test]
fn gdb_without_a_file_takes_the_byte_order_and_the_symbols_from_us() {
    let Some(guest) = guest() else { return };
    let server = Server::start(&["run", guest.to_str().unwrap()]);
    let commands = format!(
        "target remote {}\nshow endian\nhbreak middle\ncontinue\nprint/x $npc - $pc\nx/i $pc\n\
         awatch history[0]\ncontinue\ndelete\ndetach\n",
        server.address
    );
    let text = gdb(None, &commands);
    in_order(
        &text,
        &["big endian", "middle (n=", "= 0x4\n", "history[0]", "Old value = 0", "New value = 3"],
    );
    let (status, out, err) = server.finish();
    assert_eq!((status, out.as_str(), err.as_str()), (Some(65), "!", ""), "{text}");
}

fn record(out: &Path) -> [Vec<u8>; 4] {
    ["record.jsonl", "hypercalls.txt", "net.pcapng", "summary.json"]
        .map(|name| std::fs::read(out.join(name)).unwrap())
}

#[test]
fn a_debugger_that_only_looks_at_a_lab_changes_nothing() {
    if !have("gdb-multiarch") || !have("sparc64-linux-gnu-gcc") {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gdb-lab");
    std::fs::create_dir_all(&folder).unwrap();
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/scenarios/short.toml");
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let rover = folder.join("rover.elf");
    let made = Command::new("make")
        .args(["-s", "-C"])
        .arg(&firmware)
        .arg(format!("B={}", folder.display()))
        .arg(&rover)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let [free, seen] = ["free", "seen"].map(|name| folder.join(name));
    let args = |out: &Path| ["replay", scenario, "--out", out.to_str().unwrap()].map(str::to_owned);
    let ended = Command::new(env!("CARGO_BIN_EXE_ldomlab")).args(args(&free)).output().unwrap();
    let args = args(&seen);
    let server = Server::start(&args.each_ref().map(String::as_str));
    // A domain is met at both ends of its migration: it connects to its devices anew.
    let commands = format!(
        "target remote {}\ninfo threads\nshow endian\nbreak vio_begin\ncontinue\nbacktrace\n\
         monitor time\nmonitor time\ncontinue 3\nbacktrace\nmonitor time\ninfo threads\ndelete\n\
         watch -l *(unsigned *)($i0 + 8)\ncontinue\nrwatch -l *(unsigned long *)$i0\ncontinue\n\
         delete\nhbreak task_wake_at\ncontinue\ncontinue\nthread 4\nstepi\nthread 3\nstepi\n\
         stepi\ninfo registers system\ndelete\ndetach\n",
        server.address
    );
    let text = gdb(Some(&rover), &commands);
    in_order(
        &text,
        &[
            "\"t5120.rover.0\"",
            "\"t5120.rover.1\"",
            "big endian",
            "\"t5120.rover.",
            "hit Breakpoint 1, ",
            " in disk_run ()",
            " in task_loop ()",
            "\"t5220.rover.",
            "hit Breakpoint 1, ",
            " in net_run ()",
            "\"t5220.rover.1\"",
            "hit Hardware watchpoint 2",
            "Old value = ",
            " in vio_begin ()",
            "hit Hardware read watchpoint 3",
            "Value = ",
            " in vio_begin ()",
            "hit Breakpoint 4, ",
            " in task_wake_at ()",
            "Switching to thread 4",
            "Switching to thread 3",
            "pil ",
            "detached",
        ],
    );
    let times: Vec<_> = text.lines().filter(|line| line.ends_with(" s simulated")).collect();
    assert!(times.len() == 3 && times[0] == times[1] && times[1] != times[2], "{times:?}");
    let (status, _, err) = server.finish();
    assert_eq!(status, ended.status.code(), "{err}\n{text}");
    assert!(record(&free) == record(&seen), "the record differs from that of a free run");
}
