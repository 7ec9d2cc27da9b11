//! How fast it is, in the host's time. Figures are printed; they are held against what is
//! wished for when `LDOMLAB_SPEED` is set, for a release build (`LDOMLAB_BIN`).

use super::session::Session;
use super::{guest, scratch};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Are figures held against what is wished for?
pub fn promised() -> bool {
    std::env::var_os("LDOMLAB_SPEED").is_some()
}

#[test]
fn how_fast_a_disk_is_read() {
    let Some(guest) = guest("the speed of a disk") else { return };
    let image = scratch("speed").join("disk.img");
    let bytes: Vec<u8> = (0..256_u32 << 18).flat_map(u32::to_ne_bytes).collect();
    std::fs::write(&image, &bytes).unwrap();
    let mut linux =
        Session::linux(&guest, "", &["--memory", "512M", "--disk", image.to_str().unwrap()]);
    linux.shell();
    let mut best = 0.0_f64;
    for _ in 0..3 {
        let (cpu, begun) = (linux.cpu_seconds(), Instant::now());
        linux.done("echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vdiska of=/dev/null bs=1M");
        let (cpu, wall) = (linux.cpu_seconds() - cpu, begun.elapsed().as_secs_f64());
        eprintln!("disk: {:.0} MB/s of wall time, {:.0} of CPU time", 268.4 / wall, 268.4 / cpu);
        best = best.max(268.4 / wall);
    }
    assert!(!promised() || best >= 200.0, "{best:.0} MB/s");
}

/// CPU seconds of a process of the host.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// CPU time until a line comes.
fn race(command: &mut Command, line: &str) -> f64 {
    let output = scratch("race").join("output");
    let file = std::fs::File::create(&output).unwrap();
    command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(300);
    while !String::from_utf8_lossy(&std::fs::read(&output).unwrap()).contains(line) {
        assert!(Instant::now() < until, "`{line}` did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = cpu_seconds(child.id());
    let _ = child.kill();
    let _ = child.wait();
    seconds
}

#[test]
fn linux_is_at_its_init_within_three_times_qemus_time() {
    let Some(guest) = guest("the race to init") else { return };
    let line = "Run /init";
    let mut ours = Command::new(super::ldomlab());
    ours.args(["boot", "--vcpus", "1", "--memory", "512M", "--append", "console=ttyHV0"]);
    ours.arg("--kernel").arg(&guest.kernel).arg("--initrd").arg(&guest.initrd);
    let mut qemu = Command::new("qemu-system-sparc64");
    qemu.args(["-M", "sun4u", "-m", "512", "-nographic", "-append", "-p keep_bootcon"]);
    qemu.arg("-kernel").arg(&guest.kernel).arg("-initrd").arg(&guest.initrd);
    if Command::new("qemu-system-sparc64").arg("--version").output().is_err() {
        eprintln!("SKIPPED: qemu-system-sparc64 is not here, no race to init");
        return;
    }
    let best = |command: &mut Command| (0..2).map(|_| race(command, line)).fold(f64::MAX, f64::min);
    let (ours, theirs) = (best(&mut ours), best(&mut qemu));
    eprintln!("to `{line}`: {ours:.2} s of CPU, QEMU {theirs:.2} s: {:.2} times", ours / theirs);
    assert!(!promised() || ours <= 3.0 * theirs);
}
