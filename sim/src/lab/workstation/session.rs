//! A person at a login shell: types, waits for echoes, reads lines.

use super::super::host::Host;
use super::super::record::Fact;
use super::telnet::Telnet;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use std::collections::VecDeque;
use sun4v::time::SimTime;

/// The login shell's port.
const SHELL_PORT: u16 = 23;
/// Ten characters a second.
const KEY_TIME: SimTime = SimTime::ms(100);
/// How long the person looks at an answer that has no prompt.
const PATIENCE: SimTime = SimTime::secs(1);
/// What the typist types when nobody asked for anything.
const LINES: [&str; 2] = ["time", "uptime"];
/// Output kept for one line.
const LINE_MAX: usize = 256;
/// Characters typed ahead of their echoes at most.
const AHEAD_MAX: usize = 600;

/// Subject and what of a fact.
type What = (&'static str, &'static str);

/// What the person waits for before the next key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Nothing: may type.
    Typing,
    /// Enter was typed at the end of a line, its echo has not come.
    Entered,
    /// An answer is coming; the last of it came then.
    Reading(SimTime),
}

/// One session at a time.
pub struct Session {
    pub(super) socket: SocketHandle,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) connected: bool,
    pub(super) open: bool,
    pub(super) typist: bool,
    /// Lines that were asked for.
    pub(super) asked: VecDeque<String>,
    /// Characters left of the line being typed, and the whole of it until Enter.
    pub(super) line: VecDeque<u8>,
    pub(super) text: String,
    pub(super) lines_typed: usize,
    pub(super) mood: Mood,
    pub(super) next_key: SimTime,
    /// Typed and not echoed: sequence, character, when.
    pub(super) waiting: VecDeque<(u64, u8, SimTime)>,
    pub(super) typed: u64,
    /// Keys that had no echo when a checkpoint ended their session.
    pub(super) lost: u64,
    pub(super) output: Vec<u8>,
    /// Bytes that wait for room in the socket.
    pub(super) unsent: Vec<u8>,
    pub(super) closing: bool,
    pub(super) telnet: Telnet,
}

impl Session {
    /// No session yet.
    pub fn new(host: &mut Host) -> Self {
        Self {
            socket: host.add_tcp(16 << 10, 16 << 10),
            host: String::new(),
            port: 49_151,
            connected: false,
            open: false,
            typist: false,
            asked: VecDeque::new(),
            line: VecDeque::new(),
            text: String::new(),
            lines_typed: 0,
            mood: Mood::Typing,
            next_key: SimTime::NEVER,
            waiting: VecDeque::new(),
            typed: 0,
            lost: 0,
            output: Vec::new(),
            unsent: Vec::new(),
            closing: false,
            telnet: Telnet::default(),
        }
    }

    /// Opens a connection to the shell of `name`.
    pub fn login(&mut self, host: &mut Host, name: &str, to: [u8; 4]) -> Result<(), String> {
        if self.open {
            return Err(format!("already logged in at {}", self.host));
        }
        self.port = if self.port == u16::MAX { 49_152 } else { self.port + 1 };
        if !host.connect(self.socket, (to, SHELL_PORT), self.port) {
            return Err(format!("the last session at {} has not ended", self.host));
        }
        name.clone_into(&mut self.host);
        (self.open, self.connected, self.closing) = (true, false, false);
        self.line.clear();
        self.text.clear();
        self.output.clear();
        self.unsent.clear();
        self.telnet = Telnet::default();
        Ok(())
    }

    /// Ends the session when what was typed has been sent.
    pub fn logout(&mut self, host: &mut Host) {
        self.closing = true;
        host.socket::<tcp::Socket<'_>>(self.socket).close();
    }

    /// Types, or stops at the end of the line.
    pub fn typist(&mut self, on: bool, now: SimTime) {
        self.typist = on;
        self.pick_up(now);
    }

    /// Types one line before all others.
    pub fn type_line(&mut self, text: &str, now: SimTime) -> Result<(), String> {
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(format!("`{text}` cannot be typed"));
        }
        self.asked.push_back(text.to_owned());
        self.pick_up(now);
        Ok(())
    }

    fn pick_up(&mut self, now: SimTime) {
        if self.next_key == SimTime::NEVER {
            self.next_key = now;
        }
    }

    /// When the next key is due: none is once the session is being closed.
    pub fn next_time(&self) -> SimTime {
        if self.connected && !self.closing { self.next_key } else { SimTime::NEVER }
    }

    /// Does all that is due; what to note.
    pub fn run(&mut self, host: &mut Host, now: SimTime) -> Vec<(What, Fact)> {
        let mut facts = Vec::new();
        if !self.open {
            return facts;
        }
        let socket: &mut tcp::Socket<'_> = host.socket(self.socket);
        if !self.connected && socket.may_send() {
            self.connected = true;
            // A banner and a prompt come first.
            self.mood = Mood::Reading(now);
            self.next_key = self.next_key.min(now.plus(KEY_TIME));
            let fact = Fact { name: self.host.clone(), ..Fact::default() };
            let fact = fact.with("port", u64::from(self.port));
            facts.push((("session", "connected"), fact));
        }
        let mut received = Vec::new();
        while socket.can_recv() {
            // It can receive, so it does.
            let _ = socket.recv(|bytes| {
                received.extend_from_slice(bytes);
                (bytes.len(), ())
            });
        }
        for byte in received {
            if let Some(text) = self.telnet.byte(byte, &mut self.unsent) {
                self.byte(text, now, &mut facts);
            }
        }
        self.keys(now);
        if !self.unsent.is_empty()
            && let Ok(sent) = socket.send_slice(&self.unsent)
        {
            self.unsent.drain(..sent);
        }
        let left = !socket.is_active() || (self.connected && !socket.may_recv());
        if left {
            socket.close();
            (self.open, self.connected) = (false, false);
            let fact =
                |value| Fact { name: self.host.clone(), ..Fact::default() }.with("waiting", value);
            facts.push((("echo", "waiting"), fact(self.waiting.len() as u64)));
            let by = if self.closing { "us" } else { "the other side" };
            facts.push((("session", "closed"), fact(0).saying(by)));
            self.waiting.clear();
        }
        facts
    }

    /// Takes in one byte from the shell.
    fn byte(&mut self, byte: u8, now: SimTime, facts: &mut Vec<(What, Fact)>) {
        if let Some(&(sequence, typed, at)) = self.waiting.front()
            && (byte == typed || (typed == b'\n' && byte == b'\r'))
        {
            self.waiting.pop_front();
            let letter = if typed == b'\n' { "Enter".to_owned() } else { char::from(typed).into() };
            let fact = Fact { name: self.host.clone(), ..Fact::default() }
                .with("sequence", sequence)
                .with("delay_ns", now.since(at).0 / 1000)
                .saying(letter);
            facts.push((("echo", "seen"), fact));
            if self.mood == Mood::Entered && self.waiting.is_empty() {
                self.mood = Mood::Reading(now);
                self.output.clear();
            }
            return;
        }
        if let Mood::Reading(_) = self.mood {
            self.mood = Mood::Reading(now);
        }
        match byte {
            b'\n' => {
                if !self.output.is_empty() {
                    let text = String::from_utf8_lossy(&self.output).into_owned();
                    let fact = Fact { name: self.host.clone(), text, ..Fact::default() };
                    facts.push((("session", "line"), fact));
                }
                self.output.clear();
            }
            b'\r' => {}
            _ if self.output.len() < LINE_MAX => self.output.push(byte),
            _ => {}
        }
    }

    /// True when the output so far ends as a prompt does.
    fn prompted(&self) -> bool {
        let shown = &self.output[..];
        [&b"$ "[..], b"# ", b"> "].iter().any(|prompt| shown.ends_with(prompt))
    }

    /// Presses the keys that are due.
    fn keys(&mut self, now: SimTime) {
        while self.connected && !self.closing && self.next_key <= now {
            self.next_key = self.next_key.plus(KEY_TIME).max(now.plus(SimTime(1)));
            if let Mood::Reading(last) = self.mood {
                let patient = now.since(last) < PATIENCE;
                if patient && !self.prompted() {
                    continue;
                }
                self.mood = Mood::Typing;
                self.output.clear();
            }
            if self.mood == Mood::Entered || self.waiting.len() >= AHEAD_MAX {
                continue;
            }
            if self.line.is_empty() && !self.begin_line() {
                self.next_key = SimTime::NEVER;
                continue;
            }
            // Enter waits for the echoes of its line.
            if self.line.front() == Some(&b'\n') && !self.waiting.is_empty() {
                continue;
            }
            if let Some(key) = self.line.pop_front() {
                if key == b'\n' {
                    self.mood = Mood::Entered;
                    self.text.clear();
                }
                self.waiting.push_back((self.typed, key, now));
                self.typed += 1;
                self.unsent.push(key);
            }
        }
    }

    /// Chooses the next line; false if there is none.
    fn begin_line(&mut self) -> bool {
        let text = match self.asked.pop_front() {
            Some(text) => text,
            None if self.typist => {
                self.lines_typed += 1;
                LINES[(self.lines_typed - 1) % LINES.len()].to_owned()
            }
            None => return false,
        };
        self.line.extend(text.bytes().chain([b'\n']));
        self.text = text;
        true
    }
}
