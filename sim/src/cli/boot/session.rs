//! A machine under way: what its guest says, what comes from outside, what is kept of it.
//!
//! **Shapes.** The guest's console goes to the stream that is given, byte for byte.
//! `--trace`: a line a hypercall. `--capture`: frames of the lab's networks, pcapng.
//! `--record`: a tape ([`crate::outside::tape`]).
//!
//! **Errors.** Those of the files and streams, with their names; the script's.

use super::{CHASSIS, GUEST, NETWORK};
use crate::chassis::server::Life;
use crate::chassis::world::World;
use crate::hostnet::HostNet;
use crate::lab::NetworkId;
use crate::net::pcap::{Capture, InterfaceId};
use crate::outside::{Input, Output, tape};
use anyhow::Context;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use sun4v::native::ConsoleInput;
use sun4v::time::SimTime;

/// How long a machine goes on when its guest has ended: what it said last arrives.
const DRAIN: SimTime = SimTime::ms(10);

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(u64),
    /// It was stopped.
    Stopped,
    /// All of its virtual CPUs are in error.
    Failed,
}

/// A file and its name.
struct Named {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Named {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(1 << 16, file) })
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        write(&mut self.file).with_context(|| self.path.display().to_string())
    }
}

/// Frames on their way into a file.
struct Frames {
    path: PathBuf,
    capture: Capture<BufWriter<File>>,
    ports: BTreeMap<(NetworkId, usize), InterfaceId>,
}

/// What is to be kept of a run.
#[derive(Clone, Debug, Default)]
pub struct Keep<'a> {
    /// Hypercalls.
    pub trace: Option<&'a Path>,
    /// Frames.
    pub capture: Option<&'a Path>,
}

/// A machine under way.
pub struct Session {
    /// Its world.
    pub world: World,
    host: Option<Box<dyn HostNet>>,
    trace: Option<Named>,
    frames: Option<Frames>,
    tape: Option<Named>,
    /// The code of the guest's `mach_exit`, since its last start.
    code: Option<u64>,
    /// It has run.
    started: bool,
    ended: Option<(SimTime, End)>,
}

impl Session {
    /// The machine of a world that has just been powered on.
    ///
    /// # Errors
    /// See the module.
    pub fn new(
        mut world: World,
        host: Option<Box<dyn HostNet>>,
        keep: &Keep<'_>,
    ) -> anyhow::Result<Self> {
        world.attend(CHASSIS, GUEST);
        world.set_trace(keep.trace.is_some());
        let trace = keep.trace.map(Named::create).transpose()?;
        let frames = keep.capture.map(|path| Frames::create(path, &mut world)).transpose()?;
        Ok(Self { world, host, trace, frames, tape: None, code: None, started: false, ended: None })
    }

    /// Keeps what enters on a tape.
    ///
    /// # Errors
    /// See the module.
    pub fn record(&mut self, path: &Path, head: &tape::Head) -> anyhow::Result<()> {
        let mut tape = Named::create(path)?;
        tape.write(|out| tape::write_head(head, out).and_then(|()| out.flush()))?;
        self.tape = Some(tape);
        Ok(())
    }

    /// Has the guest begun to run?
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// How the guest has ended, once what it said last has arrived.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let (at, end) = self.ended?;
        (self.world.now() >= at.plus(DRAIN)).then_some(end)
    }

    /// How the guest has ended so far, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.ended.map(|(_, end)| end)
    }

    /// The network of the host, to wait for.
    #[must_use]
    pub fn host(&self) -> Option<&dyn HostNet> {
        self.host.as_deref()
    }

    /// How many characters the guest's console takes; none before there is one.
    #[must_use]
    pub fn room(&self) -> usize {
        self.world.console_room(CHASSIS, GUEST).unwrap_or(0)
    }

    /// Somebody does something at the guest's console.
    ///
    /// # Errors
    /// See the module.
    pub fn console(&mut self, input: ConsoleInput) -> anyhow::Result<()> {
        let (place, domain) = (CHASSIS.to_owned(), GUEST.to_owned());
        self.put(Input::Console { place, domain, input })
    }

    fn put(&mut self, input: Input) -> anyhow::Result<()> {
        let at = self.world.put(input.clone());
        match &mut self.tape {
            // Whatever happens to us, what entered is on it.
            Some(tape) => {
                tape.write(|out| tape::write_input(at, &input, out).and_then(|()| out.flush()))
            }
            None => Ok(()),
        }
    }

    /// Takes in what has come from the network of the host.
    ///
    /// # Errors
    /// See the module.
    pub fn poll_host(&mut self) -> anyhow::Result<()> {
        let Some(host) = &mut self.host else { return Ok(()) };
        let mut frames = Vec::new();
        host.poll(&mut frames);
        frames
            .into_iter()
            .try_for_each(|bytes| self.put(Input::Frame { network: NETWORK.to_owned(), bytes }))
    }

    /// Goes on towards the mark `until`, as [`World::run_marks`] does, and hands on what
    /// has left.
    ///
    /// # Errors
    /// See the module.
    pub fn run(&mut self, until: SimTime, out: &mut dyn Write) -> anyhow::Result<()> {
        let ran = self.world.run_marks(until);
        self.drain(out)?;
        ran.with_context(|| format!("at {:.6} s", self.world.now().as_secs_f64()))
    }

    fn drain(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut wrote = false;
        for output in self.world.take_output() {
            match output {
                Output::Console { bytes, .. } => {
                    out.write_all(&bytes)?;
                    wrote = true;
                }
                Output::Frame { bytes, .. } => {
                    if let Some(host) = &mut self.host {
                        host.send(&bytes);
                    }
                }
            }
        }
        if wrote {
            out.flush()?;
        }
        for line in self.world.take_trace() {
            if let Some(trace) = &mut self.trace {
                trace.write(|out| writeln!(out, "{line}"))?;
            }
        }
        if let Some(frames) = &mut self.frames {
            frames.drain(&mut self.world)?;
        }
        for fact in self.world.take_facts() {
            if fact.subject == "domain" && fact.name == GUEST {
                // It may have ended before anybody looks.
                self.started = true;
                self.code = (fact.what == "exited").then(|| fact.value("code"));
            }
        }
        self.look();
        Ok(())
    }

    /// Has the guest begun, or ended?
    fn look(&mut self) {
        let end = match self.world.life(CHASSIS, GUEST) {
            Some(Life::Runs) => {
                self.started = true;
                self.ended = None;
                return;
            }
            None | Some(Life::Stopped) => self.code.map_or(End::Stopped, End::Exited),
            Some(Life::Failed) => End::Failed,
        };
        if self.started && self.ended.is_none() {
            self.ended = Some((self.world.now(), end));
        }
    }

    /// Ends all files.
    ///
    /// # Errors
    /// See the module.
    pub fn finish(self) -> anyhow::Result<World> {
        let now = self.world.now();
        if let Some(mut tape) = self.tape {
            tape.write(|out| tape::write_end(now, out).and_then(|()| out.flush()))?;
        }
        if let Some(mut trace) = self.trace {
            trace.write(|out| out.flush())?;
        }
        if let Some(Frames { path, capture, .. }) = self.frames {
            capture.finish().with_context(|| path.display().to_string())?;
        }
        Ok(self.world)
    }
}

impl Frames {
    fn create(path: &Path, world: &mut World) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        let Named { path: _, file } = Named::create(path)?;
        // Frames are kept whole.
        world.capture(0);
        let mut capture = Capture::new(file, 0).with_context(named)?;
        let mut ports = BTreeMap::new();
        for (number, network) in world.lab().networks().iter().enumerate() {
            for (port, name) in network.ports() {
                let name = format!("{}/{name}", network.name());
                let interface = capture.interface(&name).with_context(named)?;
                ports.insert((NetworkId(number), port.0), interface);
            }
        }
        Ok(Self { path: path.to_owned(), capture, ports })
    }

    fn drain(&mut self, world: &mut World) -> anyhow::Result<()> {
        for (network, frame) in world.take_captured() {
            if let Some(&interface) = self.ports.get(&(network, frame.port)) {
                self.capture
                    .frame(interface, frame.at, frame.length, &frame.head)
                    .with_context(|| self.path.display().to_string())?;
            }
        }
        Ok(())
    }
}
