//! `ldomlab boot`: a chassis with its control domain and one guest, whose console is
//! the terminal.
//!
//! **Shapes.** The domain is made by `ldm` commands, typed at the control domain
//! ([`machine`]). What the guest writes is our output, byte for byte; what is typed goes
//! to its console ([`keys`] says what is for us). With somebody at the terminal, or a
//! network of the host, simulated time keeps to the host's once the guest runs
//! ([`pace`]). The exit status is how the guest ended:
//!
//! | end | status |
//! | --- | --- |
//! | it powers off (`mach_exit` with code 0), or `ldm` stops it | 0 |
//! | it exits with another code | the code, 255 for a larger one |
//! | all of its virtual CPUs are in error | 3 |
//! | `~.`, or the end of a tape | 0 |
//! | a signal | 128 and its number |
//!
//! A guest that resets itself goes on. A panic is no end of its own: what the guest does
//! after it is.
//!
//! **Errors.** Files that cannot be read or written; a machine that does not come up; a
//! command that the manager refuses; a tape that belongs to other files. Status 1.

mod keys;
mod machine;
mod pace;
mod session;
mod terminal;

#[cfg(test)]
mod test;

use super::lab;
use super::stats::{self, Report};
use crate::chassis::world::World;
use crate::engine::Choice;
use crate::hostnet::HostNet;
use crate::hostnet::conf::Conf;
use crate::lab::quantity::{Size, Span};
use crate::lab::scenario::{GuestImage, Scenario};
use crate::net::link::MTU_RANGE;
use crate::outside::tape::{self, Tape};
use anyhow::{Context, bail};
use keys::{Escapes, HELP, Key};
use machine::Machine;
use pace::Pace;
use session::{End, Keep, Session};
use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::time::Duration;
use sun4v::native::ConsoleInput;
use sun4v::time::SimTime;
use terminal::{Got, Raw, Signals};
use thiserror::Error;

/// Names in the scenario.
const CHASSIS: &str = "t5120";
const GUEST: &str = "guest";
const NETWORK: &str = "lab";

/// How far a machine goes at once when nothing keeps it back.
const STRIDE: SimTime = SimTime::ms(50);
/// What a person may type ahead; what is more is dropped, so that `~.` is still heard.
const TYPED_MAX: usize = 1 << 20;
/// What is read ahead from something that is no terminal.
const READ_MAX: usize = 4096;

/// When simulated time keeps to the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Paced {
    /// With somebody at the terminal, or a network of the host
    #[default]
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// What `boot` reads from the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kernel to start, a 64-bit SPARC ELF file, plain or gzip
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<String>,
    /// Its initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub initrd: Option<String>,
    /// Its command line
    #[arg(
        long,
        value_name = "STRING",
        requires = "kernel",
        default_value = "",
        hide_default_value = true
    )]
    pub append: String,
    /// Another firmware, a flat binary; or openboot, rover, hello, burn, echo
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "initrd"])]
    pub firmware: Option<String>,
    /// Virtual CPUs
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub vcpus: usize,
    /// Memory
    #[arg(long, value_name = "SIZE", default_value = "512M")]
    pub memory: Size,
    /// Crypto units, one a core at most
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub crypto: usize,
    /// A disk, a file or block device of the host; `,ro` behind it: it takes no writes
    #[arg(long = "disk", value_name = "FILE[,ro]")]
    pub disks: Vec<String>,
    /// A network of the host: none, tap=NAME, user or user,hostfwd=...
    #[arg(long, value_name = "NETWORK", default_value = "none", value_parser = Conf::parse)]
    pub net: Conf,
    /// A variable of the firmware
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
    /// What looks like chance comes of it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Keep what comes from outside on a tape
    #[arg(long, value_name = "FILE", conflicts_with = "playback")]
    pub record: Option<PathBuf>,
    /// Play a tape: the same run again, with nobody at the terminal
    #[arg(long, value_name = "FILE", conflicts_with_all =
        ["append", "vcpus", "memory", "crypto", "variables", "seed", "net", "engine", "timing", "pace"])]
    pub playback: Option<PathBuf>,
    /// Write down hypercalls
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Capture the frames of the network
    #[arg(long, value_name = "FILE.pcapng")]
    pub capture: Option<PathBuf>,
    /// Stop after this much simulated time
    #[arg(long, value_name = "SPAN")]
    pub r#for: Option<Span>,
    /// When simulated time keeps to the host's
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, hide_possible_values = true)]
    pub pace: Paced,
    /// Host threads; the outcome is the same on any number
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// By what the guest is run
    #[command(flatten)]
    pub by: super::choice::Args,
    /// Who wants to know what was executed.
    #[command(flatten)]
    pub stats: stats::Args,
}

/// An exit status; nothing more has to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("exit status {0}")]
pub struct Status(pub u8);

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The guest has ended.
    Guest(End),
    /// Somebody left.
    Left,
    /// The tape has ended.
    Tape,
    /// Time is up.
    Time,
    /// A signal.
    Signal(u8),
}

impl Args {
    fn machine(&self, network: Option<u16>) -> anyhow::Result<Machine> {
        let firmware = GuestImage::default().firmware;
        let image = GuestImage {
            firmware: self.firmware.clone().unwrap_or(firmware),
            kernel: self.kernel.clone(),
            initrd: self.initrd.clone(),
            append: self.append.clone(),
        };
        let variable = |text: &String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let variables = self.variables.iter().map(|text| {
            variable(text).with_context(|| format!("--variable {text}: it is not NAME=VALUE"))
        });
        Ok(Machine {
            image,
            vcpus: self.vcpus,
            memory: self.memory.0,
            crypto: self.crypto,
            variables: variables.collect::<anyhow::Result<_>>()?,
            disks: self
                .disks
                .iter()
                .map(|text| disk(text))
                .map(|(file, ro)| (file.to_owned(), ro))
                .collect(),
            network,
            seed: self.seed,
        })
    }

    /// Files that are named, by role.
    fn files(&self) -> Vec<(String, &str)> {
        let files =
            [("firmware", &self.firmware), ("kernel", &self.kernel), ("initrd", &self.initrd)];
        let files = files.into_iter();
        let files = files.filter_map(|(role, path)| Some((role.to_owned(), path.as_deref()?)));
        let disks = self.disks.iter().enumerate();
        files.chain(disks.map(|(n, text)| (format!("disk c0t{n}d0"), disk(text).0))).collect()
    }

    /// The mark to go to, where that would be `until`: time may be up before.
    fn limit(&self, session: &Session, until: SimTime) -> SimTime {
        let end = self.r#for.map_or(SimTime::NEVER, |span| span.0);
        until.min(session.world.mark_after(SimTime(end.0.saturating_sub(1))))
    }

    fn is_late(&self, now: SimTime) -> bool {
        self.r#for.is_some_and(|span| now >= span.0)
    }

    fn threads(&self) -> usize {
        let there = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(there)
    }

    /// What is said about a machine before it is switched on.
    fn head(&self, network: Option<u16>) -> anyhow::Result<(Scenario, tape::Head)> {
        let text = self.machine(network)?.scenario()?;
        let scenario = Scenario::parse(&text, "boot", &[])?;
        let choice = self.by.choice();
        // Digests are for tapes; they take a moment.
        let files = if self.record.is_some() { machine::files(&scenario)? } else { Vec::new() };
        let head = tape::Head {
            format: tape::FORMAT.to_owned(),
            version: tape::VERSION,
            ldomlab: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: text,
            engine: choice.engine.to_string(),
            timing: choice.timing.to_string(),
            network: network.is_some(),
            files,
        };
        Ok((scenario, head))
    }

    /// The tape that is to be played, with its scenario.
    fn tape(&self) -> anyhow::Result<Option<(Scenario, Tape)>> {
        let Some(path) = &self.playback else { return Ok(None) };
        let name = || path.display().to_string();
        let file = std::fs::File::open(path).with_context(name)?;
        let tape = tape::read(BufReader::new(file)).with_context(name)?;
        let mut scenario =
            Scenario::parse(&tape.head.scenario, "its scenario", &[]).with_context(name)?;
        machine::same_files(&mut scenario, &tape.head.files, &self.files())?;
        Ok(Some((scenario, tape)))
    }

    /// Powers a machine on.
    fn power_on(&self, scenario: &Scenario, head: &tape::Head) -> anyhow::Result<World> {
        let mut world = lab::power_on(scenario, "boot", self.threads())?;
        world.set_choice(Choice { engine: head.engine.parse()?, timing: head.timing.parse()? });
        world.set_stopwatch(self.stats.any().then_some(stats::stopwatch));
        if head.network {
            let link = scenario.networks.get(NETWORK).map(|network| network.link());
            world.join_host(NETWORK, link.unwrap_or_default())?;
        }
        Ok(world)
    }

    fn session(&self, world: World, host: Option<Box<dyn HostNet>>) -> anyhow::Result<Session> {
        let keep = Keep { trace: self.trace.as_deref(), capture: self.capture.as_deref() };
        Session::new(world, host, &keep)
    }
}

/// Bytes of the largest packet of the lab's network, and of the domain's: the host's, as far as
/// a virtual switch and a link can be made for it.
fn mtu(host: &dyn HostNet) -> u16 {
    host.mtu().clamp(*MTU_RANGE.start(), *MTU_RANGE.end())
}

/// Boots the guest.
///
/// # Errors
///
/// See the module; an end whose status is not 0 is [`Status`].
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let host = args.net.open(pace::clock())?.map(|host| host as Box<dyn HostNet>);
    let signals = Signals::catch()?;
    let (over, session, choice) = match args.tape()? {
        Some((scenario, tape)) => {
            let world = args.power_on(&scenario, &tape.head)?;
            let choice =
                Choice { engine: tape.head.engine.parse()?, timing: tape.head.timing.parse()? };
            let mut session = args.session(world, None)?;
            (play(args, tape, &mut session, &signals, out), session, choice)
        }
        None => {
            let (scenario, head) = args.head(host.as_ref().map(|host| mtu(&**host)))?;
            let world = args.power_on(&scenario, &head)?;
            let mut session = args.session(world, host)?;
            if let Some(path) = &args.record {
                session.record(path, &head)?;
            }
            let over = Seat::take(args, &session)
                .and_then(|mut seat| seat.attend(args, &mut session, &signals, out));
            (over, session, args.by.choice())
        }
    };
    let world = session.finish()?;
    out.flush()?;
    let over = over?;
    if args.stats.any() {
        let figures = world.figures();
        let figures =
            figures.map(|(chassis, name, figures)| (Some(chassis.to_owned()), name, figures));
        let report = Report::new(choice, world.now(), figures);
        if args.stats.stats {
            eprint!("{}", report.text());
        }
        args.stats.write(&report)?;
    }
    say_end(over, world.now())
}

/// Says how a session ended, and gives its status.
fn say_end(over: Over, now: SimTime) -> anyhow::Result<()> {
    let (text, status) = match over {
        Over::Guest(End::Exited(0)) => (format!("{GUEST}: powered off"), 0),
        Over::Guest(End::Exited(code)) => {
            (format!("{GUEST}: exited with code {code}"), u8::try_from(code).unwrap_or(u8::MAX))
        }
        Over::Guest(End::Stopped) => (format!("{GUEST}: stopped"), 0),
        Over::Guest(End::Failed) => (format!("{GUEST}: in error, with all of its virtual CPUs"), 3),
        Over::Left => (format!("left; {GUEST} is switched off"), 0),
        Over::Tape => ("the tape has ended".to_owned(), 0),
        Over::Time => bail!("{GUEST}: still running after {} s", now.as_secs_f64()),
        Over::Signal(signal) => (format!("signal {signal}; {GUEST} is switched off"), 128 + signal),
    };
    eprintln!("ldomlab: {text}");
    if status == 0 { Ok(()) } else { Err(Status(status).into()) }
}

/// Plays a tape to its end.
fn play(
    args: &Args,
    tape: Tape,
    session: &mut Session,
    signals: &Signals,
    out: &mut dyn Write,
) -> anyhow::Result<Over> {
    // A run that was cut off is known up to what entered last.
    let last = tape.inputs.last().map_or(SimTime::ZERO, |(at, _)| *at);
    let end = tape.end.unwrap_or(last);
    for (at, input) in tape.inputs {
        session.world.put_at(at, input);
    }
    loop {
        let now = session.world.now();
        if let Some(signal) = signals.came() {
            return Ok(Over::Signal(signal));
        }
        if now >= end {
            return Ok(session.ended().map_or(Over::Tape, Over::Guest));
        }
        if args.is_late(now) {
            return Ok(Over::Time);
        }
        let stride = session.world.mark_before(now.plus(STRIDE));
        session.run(stride.min(session.world.mark_after(SimTime(end.0 - 1))), out)?;
    }
}

/// Is it over by itself?
fn over(args: &Args, session: &Session, signals: &Signals) -> Option<Over> {
    let signal = signals.came().map(Over::Signal);
    let late = args.is_late(session.world.now()).then_some(Over::Time);
    signal.or(session.end().map(Over::Guest)).or(late)
}

/// Where somebody or something sits at the guest's console.
struct Seat {
    input: std::io::Stdin,
    /// Whoever sits there is a person at a terminal.
    raw: Option<Raw>,
    escapes: Escapes,
    /// Input has ended.
    ended: bool,
    /// What the console has not taken yet.
    typed: VecDeque<ConsoleInput>,
    typed_bytes: usize,
    paced: bool,
    pace: Option<Pace>,
}

impl Seat {
    fn take(args: &Args, session: &Session) -> anyhow::Result<Self> {
        let raw = if terminal::is_terminal() { Some(Raw::enter()?) } else { None };
        let paced = match args.pace {
            Paced::Auto => raw.is_some() || session.host().is_some(),
            Paced::On => true,
            Paced::Off => false,
        };
        Ok(Self {
            input: std::io::stdin(),
            raw,
            escapes: Escapes::default(),
            ended: false,
            typed: VecDeque::new(),
            typed_bytes: 0,
            paced,
            pace: None,
        })
    }

    /// Stays until it is over.
    fn attend(
        &mut self,
        args: &Args,
        session: &mut Session,
        signals: &Signals,
        out: &mut dyn Write,
    ) -> anyhow::Result<Over> {
        loop {
            if let Some(over) = over(args, session, signals) {
                return Ok(over);
            }
            self.advance(args, session, out)?;
            self.hand_over(session)?;
            session.poll_host()?;
            let timeout = self.timeout(session);
            let others = session.host().map(HostNet::wait_fds).unwrap_or_default();
            let got = terminal::wait(&self.input, self.listens(), signals, &others, timeout)?;
            if self.has_got(got)? {
                return Ok(Over::Left);
            }
        }
    }

    /// Goes on as far as it may.
    fn advance(
        &mut self,
        args: &Args,
        session: &mut Session,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let now = session.world.now();
        if !self.paced || !session.has_started() {
            let until = session.world.mark_before(now.plus(STRIDE));
            return session.run(args.limit(session, until), out);
        }
        let pace = self.pace.get_or_insert_with(|| Pace::begin(now));
        let allowed = session.world.mark_before(pace.allowed());
        if allowed > now {
            session.run(allowed, out)?;
            pace.settle(session.world.now());
        }
        Ok(())
    }

    /// How long there is nothing to do: until the mark behind whatever happens next, of
    /// which what has just come from outside may be the first.
    fn timeout(&self, session: &Session) -> Duration {
        let Some(pace) = &self.pace else { return Duration::ZERO };
        let next = SimTime(session.world.next_time().0.saturating_sub(1));
        let timeout = pace.wait(session.world.mark_after(next.max(session.world.now())));
        let deadline = session.host().and_then(HostNet::deadline);
        deadline.map_or(timeout, |deadline| deadline.min(timeout))
    }

    /// Is anybody to be listened to?
    fn listens(&self) -> bool {
        !self.ended && (self.raw.is_some() || self.typed_bytes < READ_MAX)
    }

    /// Takes what was read; true if somebody leaves.
    fn has_got(&mut self, got: Got) -> anyhow::Result<bool> {
        let bytes = match got {
            Got::Nothing => return Ok(false),
            // Nobody leaves: there is just nothing more to say.
            Got::End => {
                self.ended = true;
                return Ok(false);
            }
            Got::Bytes(bytes) => bytes,
        };
        if self.raw.is_none() {
            self.push(ConsoleInput::Typed(bytes));
            return Ok(false);
        }
        for key in self.escapes.take(&bytes) {
            match key {
                Key::Typed(bytes) => self.push(ConsoleInput::Typed(bytes)),
                Key::Break => self.push(ConsoleInput::Break),
                Key::Help => eprint!("\r\n{HELP}"),
                Key::Leave => {
                    eprintln!();
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn push(&mut self, input: ConsoleInput) {
        let bytes = size(&input);
        if self.typed_bytes + bytes <= TYPED_MAX {
            self.typed_bytes += bytes;
            self.typed.push_back(input);
        }
    }

    /// Hands over as much as the console takes.
    fn hand_over(&mut self, session: &mut Session) -> anyhow::Result<()> {
        let mut room = session.room();
        while room > 0
            && let Some(mut input) = self.typed.pop_front()
        {
            if let ConsoleInput::Typed(bytes) = &mut input
                && bytes.len() > room
            {
                let rest = bytes.split_off(room);
                self.typed.push_front(ConsoleInput::Typed(rest));
            }
            room -= size(&input);
            self.typed_bytes -= size(&input);
            session.console(input)?;
        }
        Ok(())
    }
}

/// The file of a disk, and whether it takes no writes.
fn disk(text: &str) -> (&str, bool) {
    text.strip_suffix(",ro").map_or((text, false), |file| (file, true))
}

/// What an input takes of a console's room.
fn size(input: &ConsoleInput) -> usize {
    match input {
        ConsoleInput::Typed(bytes) => bytes.len(),
        ConsoleInput::Break | ConsoleInput::HangUp => 1,
    }
}
