//! A TAP device, in a network namespace that is made for it.
//!
//! The test runs itself once more inside the namespace. There, a stack of ours answers on the
//! device, and a guest on a network in user mode pings it: by the host, out of the device, and
//! back. That also shows a ping beyond the gateway.

use super::datagrams::assert_answers;
use super::network;
use sim::hostnet::conf::Conf;
use sim::hostnet::tap::Tap;
use sim::hostnet::{Error, HostNet};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The device, and who is at its two ends.
const DEVICE: &str = "lab0";
const HOST: &str = "192.0.2.1/24";
const LAB: Ipv4Address = Ipv4Address::new(192, 0, 2, 2);

fn run(command: &[&str]) -> Output {
    Command::new(command[0]).args(&command[1..]).output().unwrap()
}

/// Runs a command that must succeed.
fn ok(command: &[&str]) {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Why the test cannot be run here, if it cannot.
fn missing() -> Option<&'static str> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Some("not root");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return Some("no ip(8)");
    }
    if fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_err() {
        return Some("/dev/net/tun cannot be opened");
    }
    None
}

#[test]
fn the_hosts_stack_and_the_labs_meet_at_a_device() {
    if let Some(why) = missing() {
        println!("SKIPPED: the TAP test, {why}");
        return;
    }
    let space = format!("ldomlab-{}", std::process::id());
    let made = run(&["ip", "netns", "add", &space]);
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        println!("SKIPPED: the TAP test, no network namespace can be made: {said}");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let inside = ["tap::inside_a_namespace", "--exact", "--ignored", "--nocapture"];
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &space]).arg(own).args(inside);
    let output = command.output().unwrap();
    ok(&["ip", "netns", "delete", &space]);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("1 passed"), "{out}");
}

/// The lab's end: a stack that answers pings.
struct Lab {
    rx: VecDeque<Vec<u8>>,
    tx: Vec<Vec<u8>>,
}

impl Device for Lab {
    type RxToken<'a> = crate::guest::Rx;
    type TxToken<'a> = crate::guest::Tx<'a>;

    fn receive(&mut self, _: Moment) -> Option<(crate::guest::Rx, crate::guest::Tx<'_>)> {
        Some((crate::guest::Rx(self.rx.pop_front()?), crate::guest::Tx(&mut self.tx)))
    }

    fn transmit(&mut self, _: Moment) -> Option<crate::guest::Tx<'_>> {
        Some(crate::guest::Tx(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 9014;
        capabilities
    }
}

/// Answers on the device until told to stop; notes the longest frame.
fn answer(mut tap: Tap, stop: &AtomicBool, longest: &AtomicUsize) -> Tap {
    let mut lab = Lab { rx: VecDeque::new(), tx: Vec::new() };
    let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 2]).into());
    let mut iface = Interface::new(config, &mut lab, Moment::ZERO);
    iface.update_ip_addrs(|list| list.push(IpCidr::new(LAB.into(), 24)).unwrap());
    let mut sockets = SocketSet::new(Vec::new());
    let begin = Instant::now();
    while !stop.load(Relaxed) {
        let mut frames = Vec::new();
        tap.poll(&mut frames);
        for frame in frames {
            longest.fetch_max(frame.len(), Relaxed);
            lab.rx.push_back(frame);
        }
        let now = Moment::from_micros(i64::try_from(begin.elapsed().as_micros()).unwrap());
        iface.poll(now, &mut lab, &mut sockets);
        for frame in lab.tx.drain(..) {
            tap.send(&frame);
        }
        thread::sleep(Duration::from_micros(200));
    }
    tap
}

#[test]
#[ignore = "run by another test, in a network namespace"]
fn inside_a_namespace() {
    ok(&["ip", "link", "set", "lo", "up"]);
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();

    // A device that did not exist is made, is up, and goes away.
    let tap = Tap::open(DEVICE).unwrap();
    assert_eq!(tap.mtu(), 1500);
    assert!(matches!(Tap::open(DEVICE), Err(Error::Tap { .. })), "held by somebody");
    ok(&["ip", "address", "add", HOST, "dev", DEVICE]);
    pings(tap, 1472, 1514);
    assert!(!run(&["ip", "link", "show", DEVICE]).status.success(), "gone with its owner");

    // One that exists is attached to, with its MTU, and stays.
    ok(&["ip", "tuntap", "add", "dev", DEVICE, "mode", "tap"]);
    ok(&["ip", "link", "set", DEVICE, "mtu", "9000", "up"]);
    ok(&["ip", "address", "add", HOST, "dev", DEVICE]);
    let tap = Tap::open(DEVICE).unwrap();
    assert_eq!(tap.mtu(), 9000);
    pings(tap, 8972, 9014);
    ok(&["ip", "link", "show", DEVICE]);

    let lo = Conf::parse("tap=lo").unwrap().open(crate::guest::clock()).map(drop);
    println!("{}", lo.unwrap_err());
}

/// Pings the lab's end with messages that fill a frame of `frame` bytes.
fn pings(tap: Tap, length: usize, frame: usize) {
    let (stop, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flags = (stop.clone(), longest.clone());
    let lab = thread::spawn(move || answer(tap, &flags.0, &flags.1));
    let (mut net, _) = network(",mtu=9000");
    for length in [56, length] {
        assert_answers(&mut net, LAB, length);
    }
    stop.store(true, Relaxed);
    drop(lab.join().unwrap());
    assert_eq!(longest.load(Relaxed), frame);
}
