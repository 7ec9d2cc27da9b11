//! A conversation with a debugger: packets in, answers out, and a machine that is moved.
//!
//! **Errors.** `E01` for what is malformed or not to be had, `E0e` for memory that is
//! not there, an empty answer for an unknown packet.

use super::link::{Event, Link};
use super::packet::{Input, Reader, SIZE, escape, frame, hex, number, split, unescape, unhex};
use super::points::{Kind, Points, Reason, Watch};
use super::regs;
use super::{Go, Halt, Machine, Thread};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// How a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The debugger has let go, or is gone: the machine goes on without it.
    Detached,
    /// The machine is to end.
    Killed,
    /// The machine has come to its end.
    Ended,
}

const MALFORMED: &str = "E01";
const FAULT: &str = "E0e";
/// The file descriptor of the one file.
const FD: u64 = 1;
/// Errors of files: no such file, bad descriptor, invalid argument.
const ENOENT: u64 = 2;
const EBADF: u64 = 9;
const EINVAL: u64 = 22;
/// Signals, as GDB numbers them.
const SIGINT: u8 = 2;
const SIGTRAP: u8 = 5;

/// What follows an answer.
enum Next {
    Answer(Vec<u8>),
    Go(Go),
    Leave(Left, &'static str),
}

/// A conversation.
pub struct Session<'a> {
    link: &'a mut Link,
    machine: &'a mut dyn Machine,
    reader: Reader,
    inputs: VecDeque<Input>,
    /// Packets are acknowledged.
    acks: bool,
    last: Vec<u8>,
    points: Points,
    /// Whose registers and memory are asked for.
    general: Thread,
    /// Who is stepped by packets that do not say whom.
    control: Option<Thread>,
    /// The debugger knows the stop reasons `swbreak` and `hwbreak`.
    reasons: [bool; 2],
    description: String,
}

/// Waits for a debugger and serves it, and after it any other that comes, until the
/// machine has ended or is to end.
///
/// # Errors
/// Nobody listens any more.
pub fn serve(link: &mut Link, machine: &mut dyn Machine) -> io::Result<Left> {
    link.wait()?;
    loop {
        match Session::new(link, machine).run() {
            Left::Detached => {}
            left => return Ok(left),
        }
        loop {
            link.bell().silence();
            if link.connected() {
                break;
            }
            if let Halt::Exited(_) | Halt::Idle = machine.go(Go::default()) {
                return Ok(Left::Ended);
            }
        }
    }
}

fn is(data: &[u8], name: &str) -> bool {
    data == name.as_bytes()
}

impl<'a> Session<'a> {
    /// A conversation with the debugger that is connected.
    pub fn new(link: &'a mut Link, machine: &'a mut dyn Machine) -> Self {
        let general = machine.threads().first().map(|(thread, _)| *thread);
        let nobody =
            Thread { server: u8::MAX, guest: Default::default(), vcpu: Default::default() };
        Self {
            link,
            machine,
            reader: Reader::default(),
            inputs: VecDeque::new(),
            acks: true,
            last: Vec::new(),
            points: Points::default(),
            general: general.unwrap_or(nobody),
            control: None,
            reasons: [false; 2],
            description: regs::description(),
        }
    }

    /// Talks until the debugger leaves or the machine ends. No point is left behind.
    pub fn run(&mut self) -> Left {
        self.link.bell().silence();
        // A debugger that is gone has let go.
        let left = self.talk().unwrap_or(Left::Detached);
        self.machine.arm(Arc::default());
        self.link.part();
        left
    }

    fn talk(&mut self) -> io::Result<Left> {
        loop {
            let Some(input) = self.input()? else { return Ok(Left::Detached) };
            let data = match input {
                Input::Packet(data) => data,
                Input::Garbled => {
                    if self.acks {
                        self.link.send(b"-")?;
                    }
                    continue;
                }
                Input::Again => {
                    let last = frame(&self.last);
                    self.link.send(&last)?;
                    continue;
                }
                // It stands still.
                Input::Interrupt => continue,
            };
            if self.acks {
                self.link.send(b"+")?;
            }
            match self.answer(&data) {
                Next::Answer(answer) => self.say(answer)?,
                Next::Go(go) => {
                    let (answer, ended) = self.go(go)?;
                    self.say(answer)?;
                    if ended {
                        return Ok(Left::Ended);
                    }
                }
                Next::Leave(left, answer) => {
                    if !answer.is_empty() {
                        self.say(answer.into())?;
                    }
                    return Ok(left);
                }
            }
        }
    }

    fn say(&mut self, answer: Vec<u8>) -> io::Result<()> {
        let packet = frame(&answer);
        self.last = answer;
        self.link.send(&packet)
    }

    /// The next packet or interrupt; `None` when the debugger is gone.
    fn input(&mut self) -> io::Result<Option<Input>> {
        while self.inputs.is_empty() {
            let event = self.link.hear()?;
            if !self.take(event) {
                return Ok(None);
            }
        }
        Ok(self.inputs.pop_front())
    }

    /// Takes in what came; false when it was the end.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Bytes(bytes) => {
                for byte in bytes {
                    self.inputs.extend(self.reader.byte(byte));
                }
                true
            }
            Event::Connected(_) => true,
            Event::Closed => false,
        }
    }

    /// Sets the machine going; what to say when it has stopped, and whether it is over.
    fn go(&mut self, go: Go) -> io::Result<(Vec<u8>, bool)> {
        self.machine.arm(Arc::new(self.points.clone()));
        loop {
            self.link.bell().silence();
            // What has come until here has not been heard by the bell.
            while let Some(event) = self.link.poll()? {
                if !self.take(event) {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
            let asked = self.inputs.iter().position(|input| *input == Input::Interrupt);
            if let Some(at) = asked {
                self.inputs.remove(at);
                return Ok((self.stopped(SIGINT, ""), false));
            }
            match self.machine.go(go) {
                // Whatever rang is in the queue, and looked at above.
                Halt::Interrupted => {}
                Halt::At(_, Reason::Bell) => {}
                Halt::At(thread, reason) => {
                    self.general = thread;
                    return Ok((self.met(reason), false));
                }
                Halt::Idle => {
                    let text = hex(b"Every virtual CPU waits for ever.\n");
                    self.say(format!("O{text}").into())?;
                    return Ok((self.stopped(SIGINT, ""), false));
                }
                Halt::Exited(code) => return Ok((format!("W{code:02x}").into(), true)),
            }
        }
    }

    fn met(&self, reason: Reason) -> Vec<u8> {
        let why = match reason {
            Reason::Break { hardware: false } if self.reasons[0] => "swbreak:;".to_owned(),
            Reason::Break { hardware: true } if self.reasons[1] => "hwbreak:;".to_owned(),
            Reason::Watch { kind: Kind::Store, address } => format!("watch:{address:x};"),
            Reason::Watch { kind: Kind::Load, address } => format!("rwatch:{address:x};"),
            Reason::Watch { kind: Kind::Any, address } => format!("awatch:{address:x};"),
            Reason::Break { .. } | Reason::Step | Reason::Bell => String::new(),
        };
        self.stopped_at(SIGTRAP, &why)
    }

    /// A stop that is nobody's in particular.
    fn stopped(&mut self, signal: u8, why: &str) -> Vec<u8> {
        let threads = self.machine.threads();
        if !threads.iter().any(|(thread, _)| *thread == self.general)
            && let Some((first, _)) = threads.first()
        {
            self.general = *first;
        }
        self.stopped_at(signal, why)
    }

    fn stopped_at(&self, signal: u8, why: &str) -> Vec<u8> {
        format!("T{signal:02x}{why}thread:{:x};", self.general.number()).into()
    }

    fn answer(&mut self, data: &[u8]) -> Next {
        let Some((&kind, rest)) = data.split_first() else { return Next::Answer(Vec::new()) };
        let ok = |done: Option<()>| if done.is_some() { "OK" } else { MALFORMED }.into();
        Next::Answer(match kind {
            b'?' => self.stopped(SIGTRAP, ""),
            b'g' => self.registers(),
            b'G' => ok(self.set_registers(rest)),
            b'p' => self.register(rest),
            b'P' => ok(self.set_register(rest)),
            b'm' => self.memory(rest),
            b'M' => self.set_memory(rest, false),
            b'X' => self.set_memory(rest, true),
            b'Z' | b'z' => match rest.first() {
                Some(b'0'..=b'4') => ok(self.point(kind == b'Z', rest)),
                _ => Vec::new(),
            },
            b'H' => ok(self.select(rest)),
            b'T' => {
                let thread = number(rest).and_then(Thread::of);
                let threads = self.machine.threads();
                ok(threads.iter().any(|(known, _)| Some(*known) == thread).then_some(()))
            }
            b'c' | b's' | b'C' | b'S' => return self.resume(kind, rest),
            b'v' => return self.v(rest),
            b'D' => return Next::Leave(Left::Detached, "OK"),
            b'k' => return Next::Leave(Left::Killed, ""),
            b'q' | b'Q' => self.query(data),
            _ => Vec::new(),
        })
    }

    fn select(&mut self, rest: &[u8]) -> Option<()> {
        let (kind, id) = rest.split_first()?;
        let thread = match id {
            b"-1" | b"0" => None,
            id => Some(Thread::of(number(id)?)?),
        };
        if let Some(thread) = thread {
            self.machine.threads().iter().find(|(known, _)| *known == thread)?;
        }
        match (kind, thread) {
            (b'g', Some(thread)) => self.general = thread,
            (b'g', None) => {}
            (b'c', thread) => self.control = thread,
            _ => return None,
        }
        Some(())
    }

    fn registers(&mut self) -> Vec<u8> {
        let view = self.machine.view(self.general);
        let text = (0..regs::COUNT).map(|n| match &view {
            Some(view) => regs::read(view.strand, n).map_or_else(String::new, |bytes| hex(&bytes)),
            None => "x".repeat(2 * regs::size(n)),
        });
        text.collect::<String>().into()
    }

    fn set_registers(&mut self, rest: &[u8]) -> Option<()> {
        let bytes = unhex(rest)?;
        let all: usize = (0..regs::COUNT).map(regs::size).sum();
        let view = self.machine.view(self.general)?;
        if bytes.len() > all {
            return None;
        }
        let mut rest = bytes.as_slice();
        // The window first: it says which registers the others are.
        let at = |n: usize| (0..n).map(regs::size).sum::<usize>();
        let state = 82;
        if let Some(value) = bytes.get(at(state)..at(state + 1)) {
            regs::write(view.strand, state, value)?;
        }
        for n in 0..regs::COUNT {
            let Some((value, more)) = rest.split_at_checked(regs::size(n)) else { break };
            // A trap level's registers cannot be written outside of traps: they are
            // what they were.
            let _ = regs::write(view.strand, n, value);
            rest = more;
        }
        rest.is_empty().then_some(())
    }

    fn register(&mut self, rest: &[u8]) -> Vec<u8> {
        let Some(n) = number(rest).filter(|n| *n < regs::COUNT as u64) else {
            return MALFORMED.into();
        };
        let n = n as usize;
        let value = match self.machine.view(self.general) {
            Some(view) => regs::read(view.strand, n).map(|bytes| hex(&bytes)),
            None => Some("x".repeat(2 * regs::size(n))),
        };
        value.unwrap_or_else(|| MALFORMED.to_owned()).into()
    }

    fn set_register(&mut self, rest: &[u8]) -> Option<()> {
        let (n, value) = split(rest, b'=')?;
        let n = number(n).filter(|n| *n < regs::COUNT as u64)? as usize;
        let value = unhex(value)?;
        regs::write(self.machine.view(self.general)?.strand, n, &value)
    }

    fn memory(&mut self, rest: &[u8]) -> Vec<u8> {
        let place = split(rest, b',');
        let Some((at, bytes)) = place.and_then(|(at, bytes)| number(at).zip(number(bytes))) else {
            return MALFORMED.into();
        };
        let bytes = bytes.min(SIZE as u64 / 2) as usize;
        let found = self.machine.view(self.general).map(|view| view.read(at, bytes));
        match found {
            Some(found) if !found.is_empty() || bytes == 0 => hex(&found).into(),
            _ => FAULT.into(),
        }
    }

    fn set_memory(&mut self, rest: &[u8], binary: bool) -> Vec<u8> {
        let parsed = split(rest, b':').and_then(|(place, data)| {
            let (at, bytes) = split(place, b',')?;
            let data = if binary { unescape(data) } else { unhex(data)? };
            let (at, bytes) = (number(at)?, number(bytes)?);
            (bytes == data.len() as u64).then_some((at, data))
        });
        let Some((at, data)) = parsed else { return MALFORMED.into() };
        let view = self.machine.view(self.general);
        let done = view.and_then(|mut view| view.write(at, &data));
        done.map_or(FAULT, |()| "OK").into()
    }

    /// `Z` and `z`: kind, address, size.
    fn point(&mut self, set: bool, rest: &[u8]) -> Option<()> {
        let (kind, rest) = split(rest, b',')?;
        let (at, bytes) = split(rest, b',')?;
        // Conditions and commands after a semicolon were not offered.
        let (at, bytes) = (number(at)?, number(bytes)?);
        let kind = match kind {
            b"0" | b"1" => {
                let hardware = kind == b"1";
                match set {
                    true => self.points.set_break(at, hardware),
                    false => self.points.clear_break(at, hardware),
                }
                return Some(());
            }
            b"2" => Kind::Store,
            b"3" => Kind::Load,
            b"4" => Kind::Any,
            _ => return None,
        };
        let watch = Watch { at, bytes, kind };
        match set {
            true if bytes == 0 => return None,
            true => self.points.set_watch(watch),
            false => self.points.clear_watch(watch),
        }
        Some(())
    }

    /// `c`, `s`, `C`, `S`: signals say nothing to a processor; an address is where to go.
    fn resume(&mut self, kind: u8, rest: &[u8]) -> Next {
        let address = match kind {
            b'c' | b's' => rest,
            _ => split(rest, b';').map_or(&[][..], |(_, address)| address),
        };
        if !address.is_empty() {
            let view = self.machine.view(self.general);
            let Some((at, view)) = number(address).zip(view) else {
                return Next::Answer(MALFORMED.into());
            };
            view.strand.pc = at & !3;
            view.strand.npc = view.strand.pc.wrapping_add(4);
        }
        let thread = self.control.unwrap_or(self.general);
        let step = matches!(kind, b's' | b'S').then_some(thread);
        Next::Go(Go { step, alone: None })
    }

    fn v(&mut self, rest: &[u8]) -> Next {
        if is(rest, "Cont?") {
            return Next::Answer("vCont;c;C;s;S".into());
        }
        if let Some(actions) = rest.strip_prefix(b"Cont;") {
            let go = self.actions(actions);
            return go.map_or_else(|| Next::Answer(MALFORMED.into()), Next::Go);
        }
        if rest.starts_with(b"Kill;") {
            return Next::Leave(Left::Killed, "OK");
        }
        match rest.strip_prefix(b"File:") {
            Some(rest) => Next::Answer(self.file(rest)),
            None => Next::Answer(Vec::new()),
        }
    }

    /// The actions of `vCont`: the first that names a thread is for it, one without a
    /// thread is for all others, and without one those wait if they can.
    fn actions(&self, actions: &[u8]) -> Option<Go> {
        let mut step = None;
        let mut named = Vec::new();
        let mut others = false;
        for action in actions.split(|byte| *byte == b';') {
            let (action, thread) = match split(action, b':') {
                Some((action, b"-1" | b"0")) => (action, None),
                Some((action, thread)) => (action, Some(Thread::of(number(thread)?)?)),
                None => (action, None),
            };
            let steps = match action.first()? {
                b'c' | b'C' => false,
                b's' | b'S' => true,
                _ => return None,
            };
            match thread {
                Some(thread) => named.push(thread),
                None => others = true,
            }
            if steps && step.is_none() {
                step = Some(thread.unwrap_or(self.general));
            }
        }
        let alone = named.first().copied().filter(|_| !others && named.len() == 1);
        Some(Go { step, alone })
    }

    fn query(&mut self, data: &[u8]) -> Vec<u8> {
        if data.starts_with(b"qSupported") {
            let knows = |name: &[u8]| data.windows(name.len()).any(|part| part == name);
            self.reasons = [knows(b"swbreak+"), knows(b"hwbreak+")];
            return format!(
                "PacketSize={SIZE:x};QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;\
                 qXfer:features:read+;qXfer:threads:read+;qXfer:exec-file:read+"
            )
            .into();
        }
        if is(data, "QStartNoAckMode") {
            self.acks = false;
            return "OK".into();
        }
        if is(data, "qC") {
            return format!("QC{:x}", self.general.number()).into();
        }
        if is(data, "qAttached") {
            return "1".into();
        }
        if is(data, "qfThreadInfo") {
            let threads = self.machine.threads();
            let numbers: Vec<_> =
                threads.iter().map(|(thread, _)| format!("{:x}", thread.number())).collect();
            return if numbers.is_empty() {
                "l".into()
            } else {
                format!("m{}", numbers.join(",")).into()
            };
        }
        if is(data, "qsThreadInfo") {
            return "l".into();
        }
        if let Some(id) = data.strip_prefix(b"qThreadExtraInfo,") {
            let thread = number(id).and_then(Thread::of);
            let threads = self.machine.threads();
            let name = threads.into_iter().find(|(known, _)| Some(*known) == thread);
            return name.map_or(MALFORMED.into(), |(_, name)| hex(name.as_bytes()).into());
        }
        if let Some(command) = data.strip_prefix(b"qRcmd,") {
            return self.monitor(command);
        }
        if let Some(rest) = data.strip_prefix(b"qXfer:") {
            return self.transfer(rest);
        }
        Vec::new()
    }

    fn monitor(&self, command: &[u8]) -> Vec<u8> {
        let Some(command) = unhex(command) else { return MALFORMED.into() };
        let text = match String::from_utf8_lossy(&command).trim() {
            "time" => format!("{:.9} s simulated\n", self.machine.seconds()),
            "help" | "" => "time: how much time has passed in the simulation\n".to_owned(),
            other => format!("no command `{other}`; try help\n"),
        };
        hex(text.as_bytes()).into()
    }

    /// `qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH`.
    fn transfer(&self, rest: &[u8]) -> Vec<u8> {
        let Some((object, rest)) = split(rest, b':') else { return Vec::new() };
        let Some(rest) = rest.strip_prefix(b"read:") else { return Vec::new() };
        let Some((annex, place)) = split(rest, b':') else { return MALFORMED.into() };
        let text = match object {
            b"features" if annex == b"target.xml" => self.description.clone(),
            b"threads" => {
                let thread = |(thread, name): &(Thread, String)| {
                    format!("<thread id=\"{:x}\" name=\"{}\"/>\n", thread.number(), plain(name))
                };
                let threads: String = self.machine.threads().iter().map(thread).collect();
                format!("<?xml version=\"1.0\"?>\n<threads>\n{threads}</threads>\n")
            }
            b"exec-file" => self.machine.image().0.to_owned(),
            b"features" => return "E00".into(),
            _ => return Vec::new(),
        };
        let place = split(place, b',').and_then(|(at, bytes)| number(at).zip(number(bytes)));
        let Some((at, bytes)) = place else { return MALFORMED.into() };
        let bytes = bytes.min(SIZE as u64 / 2) as usize;
        let rest = text.as_bytes().get(at as usize..).unwrap_or_default();
        let (part, count) = escape(&rest[..rest.len().min(bytes)], SIZE - 1);
        let mut out = vec![if count == rest.len() { b'l' } else { b'm' }];
        out.extend(part);
        out
    }

    /// `vFile:`: the program that the machine runs can be read, and nothing else.
    fn file(&self, rest: &[u8]) -> Vec<u8> {
        let failed = |errno: u64| format!("F-1,{errno:x}").into_bytes();
        let Some((operation, arguments)) = split(rest, b':') else { return failed(EINVAL) };
        let (name, bytes) = self.machine.image();
        let attached = |head: String, data: &[u8]| [head.as_bytes(), data].concat();
        let arguments: Vec<_> = arguments.split(|byte| *byte == b',').collect();
        let numbers: Vec<_> = arguments.iter().map(|text| number(text)).collect();
        match (operation, numbers.as_slice()) {
            (b"setfs", _) => b"F0".to_vec(),
            (b"open", [_, Some(flags), _]) => match unhex(arguments[0]) {
                Some(path) if path == name.as_bytes() && *flags == 0 => format!("F{FD:x}").into(),
                _ => failed(ENOENT),
            },
            (b"close", [Some(FD)]) => b"F0".to_vec(),
            (b"fstat", [Some(FD)]) => {
                let size = bytes.len() as u64;
                let (data, _) = escape(&stat(size), usize::MAX);
                attached("F40;".to_owned(), &data)
            }
            (b"pread", [Some(FD), Some(count), Some(at)]) => {
                let rest = bytes.get(*at as usize..).unwrap_or_default();
                let wanted = (*count).min(rest.len() as u64) as usize;
                let (data, count) = escape(&rest[..wanted], SIZE - 16);
                attached(format!("F{count:x};"), &data)
            }
            (b"close" | b"fstat" | b"pread", [Some(_), ..]) => failed(EBADF),
            (b"open" | b"close" | b"fstat" | b"pread" | b"readlink", _) => failed(EINVAL),
            _ => Vec::new(),
        }
    }
}

/// A `struct stat` of the protocol: a regular file that all may read.
fn stat(size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0u32, 1, 0o100_444, 1, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    for double in [size, 512, size.div_ceil(512)] {
        out.extend(double.to_be_bytes());
    }
    out.extend([0; 12]);
    out
}

/// Text that XML takes as it is.
fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '<' | '>' | '&' | '"') { '_' } else { c }).collect()
}
