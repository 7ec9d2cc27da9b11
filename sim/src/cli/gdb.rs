//! `--gdb PORT`: guests before a debugger.
//!
//! **Shapes.** We listen on this host's own address and say where on standard error.
//! `run` waits for the debugger before the first instruction; `replay` before the first
//! instruction of the first domain. A debugger that detaches lets the run go on, and
//! another one may come. One that kills ends it.
//!
//! **Errors.** The port cannot be had; the debugger has ended the run.

use super::replay::Player;
use crate::chassis::bare::{Bare, End, GUEST};
use crate::chassis::world::Stop;
use crate::gdb::{Debug, Go, Halt, Left, Link, Machine, Points, Thread, View, serve};
use anyhow::{Context, bail};
use std::io::Write;
use std::sync::Arc;
use sun4v::id::{GuestId, VcpuId};
use sun4v::time::SimTime;

/// The argument.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(id = "debugger")] // beside the arguments of a verb
pub struct Args {
    /// Wait for a debugger on this port (0: any), for `target remote localhost:PORT`
    #[arg(long, value_name = "PORT")]
    pub gdb: Option<u16>,
}

impl Args {
    /// The port, listened on, if there is one.
    pub(super) fn listen(self) -> anyhow::Result<Option<Link>> {
        let Some(port) = self.gdb else { return Ok(None) };
        let link = Link::listen(port).with_context(|| format!("--gdb {port}"))?;
        Ok(Some(link))
    }
}

/// Says where the debugger is waited for.
fn announce(link: &Link) {
    eprintln!("ldomlab: waiting for a debugger on {}", link.address());
}

/// A bare guest, its output and its end.
struct BareMachine<'a> {
    bare: &'a mut Bare,
    until: SimTime,
    out: &'a mut dyn Write,
    debug: Debug,
    name: String,
    image: Vec<u8>,
    end: Option<anyhow::Result<End>>,
}

/// Runs a bare guest as a debugger wants it, up to `until`; `image` is its file.
pub(super) fn run(
    link: &mut Link,
    bare: &mut Bare,
    until: SimTime,
    image: &std::path::Path,
    out: &mut dyn Write,
) -> anyhow::Result<End> {
    let path = std::fs::canonicalize(image).unwrap_or_else(|_| image.to_owned());
    let debug = Debug { bell: link.bell().clone(), ..Debug::default() };
    let name = path.display().to_string();
    let image = std::fs::read(image)?;
    let mut machine = BareMachine { bare, until, out, debug, name, image, end: None };
    announce(link);
    let left = serve(link, &mut machine)?;
    match machine.end {
        Some(end) if left == Left::Ended => end,
        _ => bail!("the debugger has ended the run"),
    }
}

impl Machine for BareMachine<'_> {
    fn threads(&self) -> Vec<(Thread, String)> {
        let vcpus = self.bare.domain().into_iter().flat_map(|domain| domain.vcpus());
        let thread = |vcpu| (Thread { server: 0, guest: GUEST, vcpu }, format!("guest.{vcpu}"));
        vcpus.map(thread).collect()
    }
    fn view(&mut self, thread: Thread) -> Option<View<'_>> {
        let here = (thread.server, thread.guest) == (0, GUEST);
        self.bare.view(thread.vcpu).filter(|_| here)
    }
    fn arm(&mut self, points: Arc<Points>) {
        self.debug.points = points;
    }
    fn go(&mut self, go: Go) -> Halt {
        let step = go.step.map(|thread| thread.vcpu);
        self.bare.set_debug(Some(Debug { step, ..self.debug.clone() }));
        let out = &mut *self.out;
        let end = self.bare.run(self.until, |bare| super::run::show(bare, out));
        let halt = match &end {
            Ok(End::Stopped(_, crate::gdb::Reason::Bell)) => return Halt::Interrupted,
            Ok(End::Stopped(vcpu, reason)) => {
                let thread = Thread { server: 0, guest: GUEST, vcpu: *vcpu };
                return Halt::At(thread, *reason);
            }
            Ok(End::Idle) => Halt::Idle,
            Ok(End::Exited(code)) => Halt::Exited(super::run::status(*code)),
            Ok(End::Time) | Err(_) => Halt::Exited(1),
        };
        self.end = Some(end);
        halt
    }
    fn seconds(&self) -> f64 {
        self.bare.now().as_secs_f64()
    }
    fn image(&self) -> (&str, &[u8]) {
        (&self.name, &self.image)
    }
}

/// A world that is played.
struct WorldMachine<'a> {
    player: &'a mut Player,
    image: Vec<u8>,
    end: Option<anyhow::Result<()>>,
}

/// Plays a world as a debugger wants it.
pub(super) fn play(link: &mut Link, player: &mut Player) -> anyhow::Result<()> {
    player.run.world.watch(link.bell().clone());
    announce(link);
    let mut machine = WorldMachine { player, image: header(), end: None };
    // Somebody who connects early waits: where it begins does not depend on when.
    while !machine.player.run.world.has_begun() && machine.end.is_none() {
        link.bell().silence();
        machine.go(Go::default());
    }
    if let Some(end) = machine.end {
        return end;
    }
    let left = serve(link, &mut machine)?;
    match machine.end {
        Some(end) if left == Left::Ended => end,
        _ => bail!("the debugger has ended the run"),
    }
}

impl Machine for WorldMachine<'_> {
    fn threads(&self) -> Vec<(Thread, String)> {
        let mut threads = self.player.run.world.threads();
        if threads.is_empty() {
            // A debugger takes a process without threads for one that has ended.
            let nobody = Thread { server: u8::MAX, guest: GuestId(0), vcpu: VcpuId(0) };
            threads.push((nobody, "no domain".to_owned()));
        }
        threads
    }
    fn view(&mut self, thread: Thread) -> Option<View<'_>> {
        self.player.run.world.view(thread)
    }
    fn arm(&mut self, points: Arc<Points>) {
        self.player.run.world.arm(points);
    }
    fn go(&mut self, go: Go) -> Halt {
        self.player.run.world.set_go(go);
        let end = match self.player.advance() {
            Ok(Some(Stop::At(thread, reason))) => return Halt::At(thread, reason),
            Ok(Some(Stop::Bell)) => return Halt::Interrupted,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let code = u8::from(end.is_err());
        self.end = Some(end);
        Halt::Exited(code)
    }
    fn seconds(&self) -> f64 {
        self.player.run.world.now().as_secs_f64()
    }
    fn image(&self) -> (&str, &[u8]) {
        ("/domain", &self.image)
    }
}

/// An ELF header and nothing more: it tells a debugger that has no program of its own
/// the byte order.
fn header() -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x02\x01".to_vec();
    out.resize(16, 0);
    out.extend([0, 2, 0, 43, 0, 0, 0, 1]);
    out.resize(52, 0);
    for half in [64u16, 56, 0, 64, 0, 0] {
        out.extend(half.to_be_bytes());
    }
    out
}
