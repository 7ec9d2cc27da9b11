//! Runs with a person and a network in them, had again from their tapes.

use super::network::{Namespace, boot_in};
use super::session::{Session, boot_linux};
use super::usernet::{MB, exchange, free_port, hex, lease, log_in};
use super::{guest, ldomlab, scratch};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a run leaves its tape, its hypercalls and its frames.
struct Kept {
    folder: PathBuf,
}

impl Kept {
    fn new(name: &str) -> Self {
        Self { folder: scratch(name) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Has a run keep everything.
    fn record<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg("--record").arg(self.file("tape"));
        command.arg("--trace").arg(self.file("calls")).arg("--capture").arg(self.file("frames"))
    }

    /// Bytes and digest of what a run has left: its output, its hypercalls, its frames.
    fn left(&self, output: &str, calls: &str, frames: &str) -> [(usize, String); 3] {
        let file = |name| std::fs::read(self.file(name)).unwrap();
        let all = [output.as_bytes().to_vec(), file(calls), file(frames)];
        all.map(|bytes| (bytes.len(), hex(&bytes)))
    }

    /// Plays the tape, with nobody there: everything is had again.
    fn play(&self, first: &str, frames_min: usize) {
        let first = self.left(first, "calls", "frames");
        assert!(first[2].0 > frames_min, "{first:?}");
        let mut command = Command::new(ldomlab());
        command.args(["boot", "--threads", "1", "--playback"]).arg(self.file("tape"));
        command.arg("--trace").arg(self.file("calls2"));
        command.arg("--capture").arg(self.file("frames2"));
        let (status, text) = Session::start(&mut command).end();
        assert_eq!(status, 0, "{text}");
        assert_eq!(self.left(&text, "calls2", "frames2"), first);
    }
}

/// Switches the guest off, and gives all that was said.
fn off(mut linux: Session) -> String {
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
    text
}

#[test]
fn a_run_with_keys_and_a_network_is_had_again_from_its_tape() {
    let Some(guest) = guest("a tape") else { return };
    let kept = Kept::new("tape");
    let telnet = free_port();
    let net = format!("user,hostfwd=tcp:127.0.0.1:{telnet}-:23");
    let mut command = boot_linux(&guest, "");
    let mut linux = Session::start(kept.record(command.args(["--net", &net])));
    linux.shell();
    lease(&mut linux);
    exchange(&mut linux, 1);
    log_in(telnet);
    kept.play(&off(linux), 2 * MB);
}

#[test]
fn a_run_with_a_tap_device_is_had_again_without_one() {
    let Some(guest) = guest("a tape of a TAP device") else { return };
    let kept = Kept::new("tap-tape");
    let Some(namespace) = Namespace::make("ldomlab-tape", 1500) else { return };
    let mut command = boot_in(&namespace, &guest);
    let mut linux = Session::start(kept.record(&mut command));
    linux.shell();
    let ping = namespace.bash("ping -c 20 -i 0.02 -W 5 10.9.0.2");
    assert!(ping.contains(" 0% packet loss"), "{ping}");
    linux.done("nc -l -p 5000 < /dev/null > /tmp/file & sleep 1");
    let file = kept.file("file");
    std::fs::write(&file, super::usernet::bytes(9, MB)).unwrap();
    namespace.bash(&format!("cat {} > /dev/tcp/10.9.0.2/5000", path(&file)));
    linux.done(
        "while [ $(stat -c %s /tmp/file) -lt 1048576 ]; do sleep 0.1; done; killall nc; true",
    );
    let digest = hex(&std::fs::read(&file).unwrap());
    assert!(linux.done("sha256sum < /tmp/file").starts_with(&digest));
    let text = off(linux);
    drop(namespace);
    kept.play(&text, MB);
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}
