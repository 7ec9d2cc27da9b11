//! Machines without a terminal, and a network of the host that is played.

use super::session::{End, Keep, Session};
use super::terminal::Signals;
use super::{Args, Over, STRIDE, play};
use crate::cli::{Cli, Verb};
use crate::hostnet::HostNet;
use clap::Parser;
use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use sun4v::ereport::{Descriptor, ErrorReport};
use sun4v::id::{GuestId, VcpuId};
use sun4v::native::ConsoleInput;
use sun4v::time::SimTime;

fn args(words: &[&str]) -> Args {
    let all = ["ldomlab", "boot", "--threads", "1"].iter().chain(words);
    match Cli::try_parse_from(all).unwrap().verb {
        Verb::Boot(args) => args,
        _ => panic!("another verb"),
    }
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ldomlab-boot-{}-{name}", std::process::id()))
}

/// Asks for the control domain's address now and then, and keeps what it hears.
#[derive(Default)]
struct Asker {
    polls: usize,
    heard: Rc<RefCell<Vec<Vec<u8>>>>,
}

const ME: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn question(number: u8) -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &ME, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &ME].concat();
    frame.extend([169, 254, 51, 100 + number, 0, 0, 0, 0, 0, 0, 169, 254, 51, 20]);
    frame.resize(60, 0);
    frame
}

impl HostNet for Asker {
    fn send(&mut self, frame: &[u8]) {
        self.heard.borrow_mut().push(frame.to_vec());
    }
    fn poll(&mut self, out: &mut Vec<Vec<u8>>) {
        self.polls += 1;
        if self.polls.is_multiple_of(7) {
            out.push(question((self.polls / 7) as u8));
        }
        // Runts go nowhere.
        if self.polls == 10 {
            out.push(vec![1, 2, 3]);
        }
    }
    fn mtu(&self) -> u16 {
        1500
    }
    fn wait_fds(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }
    fn deadline(&self) -> Option<Duration> {
        None
    }
}

/// Runs until the guest has ended.
fn to_the_end(session: &mut Session, out: &mut Vec<u8>) -> End {
    loop {
        if let Some(end) = session.end() {
            return end;
        }
        let world = &session.world;
        assert!(world.now() < SimTime::secs(10), "{}", String::from_utf8_lossy(out));
        let until = world.mark_before(world.now().plus(STRIDE));
        session.run(until, out).unwrap();
    }
}

#[test]
fn a_run_with_a_network_of_the_host_is_had_again_from_its_tape() {
    let [tape, trace, frames] = ["tape", "trace", "frames"].map(file);
    let own = args(&["--firmware", "echo", "--vcpus", "1", "--memory", "64M", "--record", "x"]);
    let (scenario, head) = own.head(Some(1500)).unwrap();
    let world = own.power_on(&scenario, &head).unwrap();
    let asker = Asker::default();
    let heard = Rc::clone(&asker.heard);
    let keep = Keep { trace: Some(&trace), capture: Some(&frames) };
    let mut session = Session::new(world, Some(Box::new(asker)), &keep).unwrap();
    session.record(&tape, &head).unwrap();
    let mut out = Vec::new();
    let mut keys = vec![
        ConsoleInput::Typed(b"!exit 9\r".to_vec()),
        ConsoleInput::Break,
        ConsoleInput::Typed(b"one\rtwo\r".to_vec()),
    ];
    let end = loop {
        if let Some(end) = session.end() {
            break end;
        }
        assert!(session.world.now() < SimTime::secs(10), "{}", String::from_utf8_lossy(&out));
        // However far it is let go at a time, as a host's clock would.
        let step = SimTime::us(100 * (1 + 37 * (out.len() as u64 % 5)));
        let until = session.world.mark_before(session.world.now().plus(step));
        session.run(until, &mut out).unwrap();
        session.poll_host().unwrap();
        if out.len() > 4 && out.ends_with(b"\r\n") && session.room() == 4096 {
            if let Some(input) = keys.pop() {
                session.console(input).unwrap();
            }
            // One after the other.
            out.push(b'|');
        }
    };
    assert_eq!(end, End::Exited(9));
    session.finish().unwrap();
    let out: Vec<_> = out.into_iter().filter(|&byte| byte != b'|').collect();
    let text = String::from_utf8_lossy(&out).into_owned();
    assert_eq!(
        text,
        "echo: 64 MB, vcpu 0\r\necho: one\r\necho: two\r\necho: break\r\necho: bye\r\n"
    );
    let replies = heard.borrow().iter().filter(|frame| frame[..6] == ME).count();
    assert!(replies > 0, "nobody answers");
    let kept = [&trace, &frames].map(|path| std::fs::read(path).unwrap());
    assert!(kept.iter().all(|kept| !kept.is_empty()));

    let own = args(&["--playback", tape.to_str().unwrap()]);
    let (scenario, tape_read) = own.tape().unwrap().unwrap();
    assert!(tape_read.head.network && tape_read.end.is_some());
    let world = own.power_on(&scenario, &tape_read.head).unwrap();
    let mut session = Session::new(world, None, &keep).unwrap();
    let mut again = Vec::new();
    let signals = Signals::catch().unwrap();
    let over = play(&own, tape_read, &mut session, &signals, &mut again).unwrap();
    assert_eq!(over, Over::Guest(End::Exited(9)));
    session.finish().unwrap();
    assert_eq!(String::from_utf8_lossy(&again), text);
    assert!(kept == [&trace, &frames].map(|path| std::fs::read(path).unwrap()));
    [tape, trace, frames].iter().for_each(|path| std::fs::remove_file(path).unwrap());
}

#[test]
fn a_guest_whose_virtual_cpus_are_all_in_error_has_ended() {
    let own = args(&["--firmware", "echo", "--vcpus", "1", "--memory", "64M"]);
    let (scenario, head) = own.head(None).unwrap();
    let world = own.power_on(&scenario, &head).unwrap();
    let mut session = Session::new(world, None, &Keep::default()).unwrap();
    let mut out = Vec::new();
    while !out.ends_with(b"\r\n") {
        assert_eq!(session.end(), None);
        session.run(session.world.mark_before(session.world.now().plus(STRIDE)), &mut out).unwrap();
    }
    let report = ErrorReport::memory(Descriptor::PreciseNonresumable, 0x800_0000);
    let server = session.world.server_mut("t5120").unwrap();
    server.inject(GuestId(1), VcpuId(0), report).unwrap();
    assert_eq!(to_the_end(&mut session, &mut out), End::Failed);
}

#[test]
fn a_command_that_the_manager_refuses_is_an_error() {
    let own = args(&["--firmware", "echo", "--variable", "ip-address"]);
    let why = own.head(None).unwrap_err().to_string();
    assert_eq!(why, "--variable ip-address: it is not NAME=VALUE");
    let clashes =
        [["--firmware", "rover", "--kernel", "vmlinux"], ["--record", "a", "--playback", "b"]];
    for words in clashes {
        let all = ["ldomlab", "boot"].iter().chain(&words);
        let why = Cli::try_parse_from(all).unwrap_err().to_string();
        assert!(why.contains("cannot be used with"), "{why}");
    }
}
