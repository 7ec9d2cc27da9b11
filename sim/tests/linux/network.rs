//! The host meets the guest over a TAP device, in a network namespace of its own.

use super::log::trouble;
use super::session::Session;
use super::speed::promised;
use super::{Guest, guest, ldomlab, scratch};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes of the file that goes there and back.
const FILE_BYTES: u32 = 100 << 20;

/// A namespace with a TAP device, while it lives.
pub struct Namespace {
    name: &'static str,
    mtu: u16,
}

impl Namespace {
    /// One whose device carries packets of `mtu` bytes; `None`, loudly, without the right or the
    /// tools to make one.
    pub fn make(name: &'static str, mtu: u16) -> Option<Self> {
        let namespace = Self { name, mtu };
        namespace.remove();
        let bytes = mtu.to_string();
        let made = ip(&["netns", "add", name])
            && ip(&["-n", name, "link", "set", "lo", "up"])
            && ip(&["-n", name, "tuntap", "add", "dev", "tap0", "mode", "tap"])
            && ip(&["-n", name, "addr", "add", "10.9.0.1/24", "dev", "tap0"])
            && ip(&["-n", name, "link", "set", "tap0", "mtu", &bytes, "up"]);
        if !made {
            eprintln!("SKIPPED: no network namespace with a TAP device can be made here");
            return None;
        }
        Some(namespace)
    }

    fn remove(&self) {
        let _ = Command::new("ip").args(["netns", "del", self.name]).output();
    }

    /// What a command line of bash in it says; it has to succeed.
    pub fn bash(&self, line: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name, "bash", "-c", line]);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|o| String::from_utf8_lossy(&o).into_owned());
        assert!(output.status.success(), "{line}: {}", said.concat());
        said.concat()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.remove();
    }
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// `ldomlab boot` at the namespace's device.
pub fn boot_in(namespace: &Namespace, guest: &Guest) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace.name]).arg(ldomlab()).arg("boot");
    command.arg("--kernel").arg(&guest.kernel).arg("--initrd").arg(&guest.initrd);
    command.args(["--append", "console=ttyHV0 ip=10.9.0.2", "--memory", "512M"]);
    command.args(["--pace", "on", "--net", "tap=tap0"]);
    command
}

/// Takes a file to the guest and back again: Mbit/s of the host's time, each way.
fn there_and_back(namespace: &Namespace, linux: &mut Session, folder: &Path) -> [f64; 2] {
    let file = folder.join("file");
    let make = format!("head -c {FILE_BYTES} /dev/urandom > {0}; sha256sum < {0}", file.display());
    let sum = namespace.bash(&make);
    let rate = |time: Duration| f64::from(FILE_BYTES) * 8e-6 / time.as_secs_f64();
    // This `nc` does not end when its peer does.
    linux.done("nc -l -p 5000 < /dev/null > /tmp/file & sleep 1");
    let begun = Instant::now();
    namespace.bash(&format!("cat {} > /dev/tcp/10.9.0.2/5000", file.display()));
    linux.done(&format!(
        "while [ $(stat -c %s /tmp/file) -lt {FILE_BYTES} ]; do sleep 0.1; done; killall nc; true"
    ));
    let there = rate(begun.elapsed());
    assert_eq!(linux.done("sha256sum < /tmp/file").trim(), sum.trim());
    linux.done("nc -l -p 5001 < /tmp/file & sleep 1");
    let begun = Instant::now();
    let take = format!("head -c {FILE_BYTES} < /dev/tcp/10.9.0.2/5001 | sha256sum");
    assert_eq!(namespace.bash(&take), sum);
    let back = rate(begun.elapsed());
    eprintln!(
        "100 MB in packets of {} from the host {there:.0} Mbit/s, to the host {back:.0} Mbit/s",
        namespace.mtu
    );
    [there, back]
}

#[test]
fn the_host_pings_moves_files_and_logs_in() {
    let folder = scratch("network");
    let capture = folder.join("net.pcapng");
    let Some(guest) = guest("the host's network") else { return };
    let Some(namespace) = Namespace::make("ldomlab-test", 1500) else { return };
    let mut linux = Session::start(boot_in(&namespace, &guest).arg("--capture").arg(&capture));
    linux.shell();
    let ping = namespace.bash("ping -c 100 -i 0.02 -W 5 10.9.0.2");
    assert!(ping.contains(" 0% packet loss"), "{ping}");

    let rates = there_and_back(&namespace, &mut linux, &folder);
    assert!(!promised() || rates.iter().all(|&rate| rate >= 100.0), "{rates:?} Mbit/s");

    // Somebody logs in.
    let login = "exec 3<>/dev/tcp/10.9.0.2/23; sleep 1; echo 'echo hello-$((40+2))' >&3; \
                 timeout 20 grep -a -m1 hello-42 <&3";
    let said = namespace.bash(login);
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

/// The domain's network is made for the packets of the host's device.
#[test]
fn packets_are_as_large_as_the_hosts_device_takes_them() {
    let Some(guest) = guest("large packets") else { return };
    let Some(namespace) = Namespace::make("ldomlab-large", 16000) else { return };
    let mut linux = Session::start(&mut boot_in(&namespace, &guest));
    linux.shell();
    linux.done("ifconfig eth0 mtu 16000");
    let ping = namespace.bash("ping -c 5 -i 0.02 -W 5 -M do -s 15972 10.9.0.2");
    assert!(ping.contains(" 0% packet loss"), "{ping}");
    there_and_back(&namespace, &mut linux, &scratch("large"));
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
}
