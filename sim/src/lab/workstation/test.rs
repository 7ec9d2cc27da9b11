//! The workstation against a small shell, over a network.

use super::{DRAWING_PORT, Workstation};
use crate::lab::Lab;
use crate::lab::host::test::{address, names};
use crate::lab::host::{Host, LabHost};
use crate::lab::record::Fact;
use crate::net::fabric::{Fabric, PortId};
use crate::net::link::Link;
use crate::time::rng::Seed;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::Ipv4Address;
use sun4v::time::SimTime;

/// A host with a shell that echoes after a millisecond and answers each line with
/// what it was, and a drawing at 20 frames a second.
struct Rover {
    host: Host,
    shell: SocketHandle,
    drawing: SocketHandle,
    greeted: bool,
    line: Vec<u8>,
    sequence: u32,
    next_frame: SimTime,
    next: SimTime,
}

impl Rover {
    fn new() -> Self {
        let mut host = Host::new("rover", &address(50), Seed(2));
        let (shell, drawing) = (host.add_tcp(4096, 4096), host.add_udp(1 << 16));
        host.socket::<tcp::Socket<'_>>(shell).listen(23).unwrap();
        host.socket::<udp::Socket<'_>>(drawing).bind(7777).unwrap();
        let next_frame = SimTime::ms(10);
        Self {
            host,
            shell,
            drawing,
            greeted: false,
            line: Vec::new(),
            sequence: 0,
            next_frame,
            next: SimTime::ZERO,
        }
    }
}

impl LabHost for Rover {
    fn name(&self) -> &str {
        "rover"
    }
    fn frame(&mut self, frame: Vec<u8>) {
        self.host.frame(frame);
        self.next = SimTime::ZERO;
    }
    fn run(&mut self, now: SimTime) {
        self.host.poll(now);
        let socket: &mut tcp::Socket<'_> = self.host.socket(self.shell);
        if !self.greeted && socket.may_send() {
            socket.send_slice(b"rover: login shell\r\n$ ").unwrap();
            self.greeted = true;
        }
        while socket.can_recv() {
            let bytes = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap();
            for byte in bytes {
                if byte == b'\n' {
                    let line = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
                    socket.send_slice(format!("\r\nyou said {line}\r\n$ ").as_bytes()).unwrap();
                } else {
                    self.line.push(byte);
                    socket.send_slice(&[byte]).unwrap();
                }
            }
        }
        if !socket.may_recv() && socket.may_send() && self.greeted {
            socket.close();
        }
        if self.next_frame <= now {
            let mut frame = vec![0; 1024];
            frame[..4].copy_from_slice(&self.sequence.to_be_bytes());
            frame[4..12].copy_from_slice(&(now.as_us() * 1165).to_be_bytes());
            self.sequence += 1;
            self.next_frame = self.next_frame.plus(SimTime::ms(50));
            let to = (Ipv4Address::new(192, 168, 1, 10), DRAWING_PORT);
            self.host.socket::<udp::Socket<'_>>(self.drawing).send_slice(&frame, to).unwrap();
        }
        self.host.poll(now);
        self.next = self.host.next_time().min(self.next_frame);
    }
    fn next_time(&self) -> SimTime {
        self.next
    }
    fn take_frames(&mut self) -> Vec<Vec<u8>> {
        self.host.take_frames()
    }
    fn take_facts(&mut self) -> Vec<Fact> {
        Vec::new()
    }
    fn command(&mut self, _: &str, _: SimTime) -> Result<String, String> {
        Err(String::new())
    }
}

fn lab() -> Lab {
    let mut lab = Lab::default();
    let network = lab.add_network(Fabric::new("lab", Seed(1)));
    let workstation = Workstation::new("workstation", &address(10), Seed(1), names());
    lab.add_host(network, Link::default(), Box::new(workstation));
    lab.add_host(network, Link::default(), Box::new(Rover::new()));
    lab
}

fn command(lab: &mut Lab, line: &str, now: SimTime) {
    assert_eq!(lab.command("workstation", line, now), Some(Ok(String::new())), "{line}");
}

fn of<'a>(facts: &'a [Fact], subject: &str, what: &str) -> Vec<&'a Fact> {
    facts.iter().filter(|fact| fact.is(subject, what)).collect()
}

#[test]
fn ten_characters_a_second_are_typed_and_each_echo_is_timed() {
    let mut lab = lab();
    command(&mut lab, "login rover", SimTime::ZERO);
    command(&mut lab, "typist on", SimTime::ZERO);
    lab.run_until(SimTime::secs(10));
    let facts = lab.take_facts();
    let seen = of(&facts, "echo", "seen");
    assert!((85..=100).contains(&seen.len()), "{}", seen.len());
    assert!((0..).zip(&seen).all(|(n, fact)| fact.value("sequence") == n));
    assert!(seen.iter().skip(1).all(|fact| fact.value("delay_ns") < 100_000), "{seen:?}");
    let text: String = seen.iter().take(12).map(|fact| fact.text.clone() + " ").collect();
    assert_eq!(text, "t i m e Enter u p t i m e Enter ");
    let lines: Vec<_> = of(&facts, "session", "line").iter().map(|fact| &*fact.text).collect();
    assert_eq!(lines[..3], ["rover: login shell", "you said time", "you said uptime"]);
    assert_eq!(of(&facts, "session", "connected").len(), 1);
}

#[test]
fn a_line_that_is_asked_for_is_typed_once_and_logout_ends_the_session() {
    let mut lab = lab();
    command(&mut lab, "login rover", SimTime::ZERO);
    command(&mut lab, "type scrub start", SimTime::ms(500));
    lab.run_until(SimTime::secs(5));
    command(&mut lab, "logout", SimTime::secs(5));
    lab.run_until(SimTime::secs(6));
    let facts = lab.take_facts();
    assert_eq!(of(&facts, "echo", "seen").len(), "scrub start".len() + 1);
    assert_eq!(of(&facts, "session", "line")[1].text, "you said scrub start");
    let closed = of(&facts, "session", "closed");
    assert_eq!((closed.len(), closed[0].text.as_str()), (1, "us"));
    assert_eq!(of(&facts, "echo", "waiting")[0].value("waiting"), 0);
    let refused = lab.command("workstation", "type \u{1}", SimTime::secs(6)).unwrap();
    assert!(refused.is_err());
    assert!(lab.command("workstation", "dance", SimTime::secs(6)).unwrap().is_err());
}

#[test]
fn a_silence_shows_in_the_echoes_and_in_the_drawing_and_breaks_nothing() {
    let mut lab = lab();
    command(&mut lab, "login rover", SimTime::ZERO);
    command(&mut lab, "typist on", SimTime::ZERO);
    lab.run_until(SimTime::secs(5));
    let network = lab.network("lab").unwrap();
    lab.network_mut(network).set_cut(PortId(1), true);
    lab.run_until(SimTime::ms(5_700));
    lab.network_mut(network).set_cut(PortId(1), false);
    lab.run_until(SimTime::secs(12));
    let facts = lab.take_facts();
    let longest = of(&facts, "echo", "seen").iter().map(|fact| fact.value("delay_ns")).max();
    assert!((600_000_000..2_500_000_000).contains(&longest.unwrap()), "{longest:?}");
    assert_eq!(of(&facts, "session", "closed").len(), 0);
    assert_eq!(of(&facts, "session", "connected").len(), 1);
    let seen = of(&facts, "echo", "seen");
    assert!((0..).zip(&seen).all(|(n, fact)| fact.value("sequence") == n));
    let frames = of(&facts, "drawing", "frame");
    let gaps = frames.windows(2).map(|pair| pair[1].time.since(pair[0].time)).max();
    assert!((SimTime::ms(700)..SimTime::ms(760)).contains(&gaps.unwrap()), "{gaps:?}");
    let skipped =
        frames.windows(2).any(|pair| pair[1].value("sequence") > pair[0].value("sequence") + 1);
    assert!(skipped && frames[0].value("bytes") == 1024 && frames[3].value("stick") > 0);
}

#[test]
fn leaving_a_host_that_has_gone_does_not_stop_the_world() {
    let mut lab = lab();
    lab.command("workstation", "login rover", SimTime::ZERO).unwrap().unwrap();
    lab.command("workstation", "typist on", SimTime::ZERO).unwrap().unwrap();
    lab.run_until(SimTime::secs(2));
    lab.cables("cut lab/rover").unwrap();
    lab.run_until(SimTime::secs(4));
    lab.command("workstation", "typist off", SimTime::secs(4)).unwrap().unwrap();
    lab.command("workstation", "logout", SimTime::secs(4)).unwrap().unwrap();
    lab.run_until(SimTime::secs(20));
    assert!(lab.next_time() > SimTime::secs(20));
}
