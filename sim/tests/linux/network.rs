//! The host meets the guest over a TAP device, in a network namespace of its own.

use super::log::trouble;
use super::session::Session;
use super::{guest, ldomlab, scratch};
use std::path::Path;
use std::process::{Command, Output};

const NAMESPACE: &str = "ldomlab-test";

/// A namespace with a TAP device, while it lives.
struct Namespace;

impl Namespace {
    /// `None`, loudly, without the right or the tools to make one.
    fn make() -> Option<Self> {
        Self::remove();
        let made = ip(&["netns", "add", NAMESPACE])
            && ip(&["-n", NAMESPACE, "link", "set", "lo", "up"])
            && ip(&["-n", NAMESPACE, "tuntap", "add", "dev", "tap0", "mode", "tap"])
            && ip(&["-n", NAMESPACE, "addr", "add", "10.9.0.1/24", "dev", "tap0"])
            && ip(&["-n", NAMESPACE, "link", "set", "tap0", "up"]);
        if !made {
            eprintln!("SKIPPED: no network namespace with a TAP device can be made here");
            Self::remove();
            return None;
        }
        Some(Self)
    }

    fn remove() {
        let _ = Command::new("ip").args(["netns", "del", NAMESPACE]).output();
    }

    /// A command line of bash in it.
    fn bash(line: &str) -> Output {
        Command::new("ip").args(["netns", "exec", NAMESPACE, "bash", "-c", line]).output().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        Self::remove();
    }
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

fn text(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

fn boot(capture: &Path) -> Option<Session> {
    let guest = guest("the host's network")?;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", NAMESPACE]).arg(ldomlab()).arg("boot");
    command.arg("--kernel").arg(&guest.kernel).arg("--initrd").arg(&guest.initrd);
    command.args(["--append", "console=ttyHV0 ip=10.9.0.2", "--memory", "512M"]);
    command.args(["--pace", "on", "--net", "tap=tap0", "--capture"]).arg(capture);
    Some(Session::start(&mut command))
}

#[test]
fn the_host_pings_moves_files_and_logs_in() {
    let folder = scratch("network");
    let capture = folder.join("net.pcapng");
    let Some(_namespace) = Namespace::make() else { return };
    let Some(mut linux) = boot(&capture) else { return };
    linux.shell();
    let ping = text(&Namespace::bash("ping -c 100 -i 0.02 -W 5 10.9.0.2"));
    assert!(ping.contains(" 0% packet loss"), "{ping}");

    // A hundred megabytes there and back.
    let file = folder.join("file");
    let make = format!("head -c 104857600 /dev/urandom > {0}; sha256sum < {0}", file.display());
    let sum = text(&Namespace::bash(&make));
    // This `nc` does not end when its peer does.
    linux.done("nc -l -p 5000 < /dev/null > /tmp/file & sleep 1");
    let begun = std::time::Instant::now();
    let sent = Namespace::bash(&format!("cat {} > /dev/tcp/10.9.0.2/5000", file.display()));
    assert!(sent.status.success(), "{}", text(&sent));
    linux.done(
        "while [ $(stat -c %s /tmp/file) -lt 104857600 ]; do sleep 0.1; done; killall nc; true",
    );
    let there = begun.elapsed();
    let arrived = linux.done("sha256sum < /tmp/file");
    assert_eq!(arrived.trim(), sum.trim());
    linux.done("nc -l -p 5001 < /tmp/file & sleep 1");
    let begun = std::time::Instant::now();
    let take = "head -c 104857600 < /dev/tcp/10.9.0.2/5001 | sha256sum";
    assert_eq!(text(&Namespace::bash(take)), sum);
    let rate = |time: std::time::Duration| 838.86 / time.as_secs_f64();
    eprintln!(
        "100 MB from the host {:.0} Mbit/s, to the host {:.0} Mbit/s",
        rate(there),
        rate(begun.elapsed())
    );

    // Somebody logs in.
    let login = "exec 3<>/dev/tcp/10.9.0.2/23; sleep 1; echo 'echo hello-$((40+2))' >&3; \
                 timeout 20 grep -a -m1 hello-42 <&3";
    let said = text(&Namespace::bash(login));
    assert!(said.contains("hello-42"), "{said}");
    linux.send("\n");
    let log = linux.done("dmesg");
    assert_eq!(trouble(&log), Vec::<&str>::new(), "{log}");
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");

    // The capture is sound.
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-r", capture.to_str().unwrap(), "-Y", "_ws.malformed"]);
    // The files are bytes, which nobody has to understand.
    tshark.args(["-o", "tcp.desegment_tcp_streams:FALSE"]);
    tshark.args(["-o", "tcp.analyze_sequence_numbers:FALSE"]);
    tshark.args(["-d", "tcp.port==5000,data", "-d", "tcp.port==5001,data"]);
    match tshark.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(String::from_utf8_lossy(&output.stdout), "", "malformed frames");
        }
        Err(why) => eprintln!("SKIPPED: tshark: {why}; the capture was not looked at"),
    }
}
