//! One guest alone on a board: for `ldomlab run`, `ldomlab trace` and tests.
//!
//! **Shapes.** The guest has the first strands of the chip, one stretch of memory,
//! the service processor's console and nothing else. Its machine description says
//! so.
//!
//! **Errors.** [`BareError`].

use super::board::{Board, Notice};
use super::domain::{Domain, Step};
use super::groups::Groups;
use super::image::Image;
use super::rom::{ROM_BYTES_MAX, ROM_PA};
use super::server::{HV_BYTES, MD_PA};
use super::slice::grid_after;
use crate::gdb::{Debug, Reason, View};
use crate::mem::Ram;
use hv::{GuestState, Hypervisor, StartError};
use ldm::mdgen::GuestMd;
use std::sync::Arc;
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hcall::Group;
use sun4v::hvmd::{ConsoleConf, GuestConf, HvConfig, MblockConf, Privileges, VcpuConf};
use sun4v::id::{GuestId, StrandId, T2_STRANDS, VcpuId};
use sun4v::time::{SimTime, T2_HZ};
use thiserror::Error;

/// The guest.
pub const GUEST: GuestId = GuestId(0);
/// Where boundaries lie.
const SLICE: SimTime = SimTime::us(10);
const CONSOLE_INO: u16 = 0x11;

/// Why there is no guest.
#[derive(Debug, Error)]
pub enum BareError {
    /// The chip does not have as many strands.
    #[error("{0} virtual CPUs: a guest has 1 to {T2_STRANDS}")]
    Vcpus(usize),
    /// Memory is too small for the image, or no whole number of pages.
    #[error("{bytes:#x} bytes of memory at {base:#x}: {why}")]
    Memory {
        /// Bytes wanted.
        bytes: u64,
        /// First real address.
        base: u64,
        /// What is wrong.
        why: String,
    },
    /// The host has no address space.
    #[error("memory: {0}")]
    Host(#[from] std::io::Error),
    /// The hypervisor refused.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest ended itself with this code.
    Exited(u64),
    /// Time is up.
    Time,
    /// No virtual CPU will ever execute again.
    Idle,
    /// A debugger stopped it here; it can go on.
    Stopped(VcpuId, Reason),
}

/// A guest alone on a board.
pub struct Bare {
    /// Its hypervisor.
    pub hv: Hypervisor,
    /// Its board.
    pub board: Board,
    now: SimTime,
    /// The end of a slice that a debugger has stopped.
    open: Option<SimTime>,
}

impl Bare {
    /// A board whose guest is not started: `vcpus` virtual CPUs, `bytes` of memory at
    /// real address `base`, and a boot image, which may be empty.
    ///
    /// # Errors
    /// See [`BareError`].
    pub fn new(vcpus: usize, base: u64, bytes: u64, rom: &[u8]) -> Result<Self, BareError> {
        if vcpus == 0 || vcpus > T2_STRANDS {
            return Err(BareError::Vcpus(vcpus));
        }
        let memory = |why: &str| BareError::Memory { bytes, base, why: why.to_owned() };
        if bytes == 0 || !(bytes | base).is_multiple_of(8192) {
            return Err(memory("memory comes in pages of 8 KiB"));
        }
        if base.checked_add(bytes).is_none_or(|end| end > 1 << 39) {
            return Err(memory("real addresses of memory end at 2^39"));
        }
        if rom.len() as u64 > bytes.min(ROM_BYTES_MAX) {
            return Err(memory("the boot image does not fit"));
        }
        let range = RealRange { ra: Ra(base), pa: Pa(HV_BYTES), size: bytes };
        let strands: Vec<_> = (0..vcpus as u8).map(|n| (VcpuId(n), StrandId(n))).collect();
        let md = GuestMd {
            name: "guest".to_owned(),
            platform: "SUNW,SPARC-Enterprise-T5120".to_owned(),
            banner: "SPARC Enterprise T5120".to_owned(),
            stick_hz: T2_HZ,
            vcpus: strands.clone(),
            memory: vec![range],
            console: true,
            ..GuestMd::default()
        };
        let ram = Ram::new(HV_BYTES + bytes)?;
        ram.write(MD_PA, &md.to_md());
        ram.write(ROM_PA, rom);
        let mut config = HvConfig::default();
        config.guests.push(GuestConf {
            id: GUEST,
            name: md.name,
            md_pa: MD_PA,
            rom_pa: ROM_PA,
            rom_bytes: rom.len() as u64,
            tod_offset: 0,
            privileges: Privileges::ALL,
        });
        config.vcpus =
            strands.iter().map(|&(vid, strand)| VcpuConf { strand, guest: GUEST, vid }).collect();
        config.mblocks.push(MblockConf { guest: GUEST, range });
        config.consoles.push(ConsoleConf { guest: GUEST, ino: CONSOLE_INO, endpoint: None });
        let mut board = Board::new(Arc::new(ram));
        let mut hv = Hypervisor::new();
        hv.apply(config, &mut board);
        Ok(Self { hv, board, now: SimTime::ZERO, open: None })
    }

    /// A guest that starts from a boot image at the start of its memory, as the
    /// hypervisor starts guests.
    ///
    /// # Errors
    /// See [`BareError`].
    pub fn boot_rom(vcpus: usize, base: u64, bytes: u64, rom: &[u8]) -> Result<Self, BareError> {
        let mut bare = Self::new(vcpus, base, bytes, rom)?;
        bare.hv.start(GUEST, &mut bare.board)?;
        Ok(bare)
    }

    /// A guest that starts at the entry of an ELF image, in memory from real address
    /// 0 on, with the basic calls open: such a guest negotiates nothing.
    ///
    /// # Errors
    /// See [`BareError`].
    pub fn boot_image(vcpus: usize, bytes: u64, image: &Image) -> Result<Self, BareError> {
        if image.end() > bytes {
            let why = format!("the image ends at {:#x}", image.end());
            return Err(BareError::Memory { bytes, base: 0, why });
        }
        let mut bare = Self::new(vcpus, 0, bytes, &[])?;
        for segment in &image.segments {
            bare.board.ram().write(Pa(HV_BYTES + segment.ra), &segment.bytes);
        }
        if let Some(mut guest) = bare.hv.take(GUEST) {
            // The firmware has this version, so it is not refused.
            let _ = guest.api.set(Group::Core as u64, 1, 1);
            bare.hv.put(guest);
        }
        bare.hv.boot(GUEST, Ra(image.entry), &mut bare.board)?;
        Ok(bare)
    }

    /// Its strands.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        self.board.domain(GUEST)
    }

    /// Simulated time.
    #[must_use]
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// Turns the trace of instructions on or off.
    pub fn trace_instructions(&mut self, on: bool) {
        if let Some(mut domain) = self.board.take_domain(GUEST) {
            domain.set_trace(on);
            self.board.put_domain(GUEST, domain);
        }
    }

    /// What was executed since the last call, if the trace is on.
    pub fn take_steps(&mut self) -> Vec<Step> {
        let Some(mut domain) = self.board.take_domain(GUEST) else { return Vec::new() };
        let steps = domain.take_steps();
        self.board.put_domain(GUEST, domain);
        steps
    }

    /// Says how a debugger watches it.
    pub fn set_debug(&mut self, debug: Option<Debug>) {
        if let Some(domain) = self.board.domain_mut(GUEST) {
            domain.set_debug(debug);
        }
    }

    /// A virtual CPU as a debugger sees it.
    pub fn view(&mut self, vcpu: VcpuId) -> Option<View<'_>> {
        let guest = self.hv.guest(GUEST)?;
        self.board.domain_mut(GUEST)?.view(vcpu, guest)
    }

    /// Runs until the guest ends or `until` has come, showing the machine to `look`
    /// after every boundary.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn run<E>(
        &mut self,
        until: SimTime,
        mut look: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<End, E> {
        while self.now < until {
            if self.board.shares_issue() {
                self.board.publish_groups(Groups::default(), |_| true);
            }
            let Some(mut domain) = self.board.take_domain(GUEST) else { return Ok(End::Idle) };
            let next = domain.next_time();
            let open = self.open.take();
            let next = next.min(self.board.crypto_due());
            if next == SimTime::NEVER && !self.hv.has_work() && open.is_none() {
                self.board.put_domain(GUEST, domain);
                return Ok(End::Idle);
            }
            let line = if next == SimTime::NEVER { self.now } else { next.max(self.now) };
            let to = open.unwrap_or_else(|| grid_after(line, SLICE).min(until));
            let mut stop = None;
            if let Some(mut guest) = self.hv.take(GUEST) {
                if guest.state == GuestState::Normal {
                    stop = domain.run(&mut guest, to);
                }
                self.hv.put(guest);
            }
            self.board.put_domain(GUEST, domain);
            if let Some((vcpu, reason)) = stop {
                self.open = Some(to);
                return Ok(End::Stopped(vcpu, reason));
            }
            self.now = to;
            self.board.set_now(to);
            self.board.end_crypto(&mut self.hv);
            self.hv.boundary(&mut self.board);
            look(self)?;
            for notice in self.board.take_notices() {
                if let Notice::Exited(_, code) = notice {
                    return Ok(End::Exited(code));
                }
            }
        }
        Ok(End::Time)
    }

    /// Characters of the console since the last call.
    pub fn console(&mut self) -> Vec<u8> {
        self.board.take_console().remove(&GUEST).unwrap_or_default()
    }

    /// Runs a guest to its end and gives all that it wrote. For tests.
    pub fn finish(&mut self, until: SimTime) -> (End, String) {
        let mut text = Vec::new();
        let end = self.run(until, |bare| {
            text.extend(bare.console());
            Ok::<(), std::convert::Infallible>(())
        });
        let end = match end {
            Ok(end) => end,
            Err(never) => match never {},
        };
        (end, String::from_utf8_lossy(&text).into_owned())
    }
}
