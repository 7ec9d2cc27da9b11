//! The record of a chassis, but for memory and what the control domain's software
//! saves.
//!
//! **Errors.** [`Unsaved`] while something is under way; [`LoadError`] for records that
//! break a rule.

use super::{CONTROL, HV_BYTES, PowerOnError, Server, inventory};
use crate::chassis::board::Board;
use crate::chassis::checkpoint::{LoadError, RECORDS_MAX, Reader, TRAILING, Writer, memory};
use crate::chassis::disks::{AT_WORK, Drives};
use crate::chassis::domain::DomainV1;
use crate::chassis::figures::{Figures, FiguresV1};
use crate::chassis::native::{NativeHost, NativeV1};
use crate::chassis::rom::Roms;
use crate::chip::cwq::UnitV1;
use crate::chip::noise::Noise;
use crate::lab::Outlet;
use crate::lab::scenario::Chassis;
use crate::mem::Ram;
use hv::{HvMemory, Hypervisor, HypervisorV1, Unsaved};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use sun4v::addr::Pa;
use sun4v::hvmd::{Inventory, Rom};
use sun4v::id::GuestId;
use sun4v::native::Program;
use sun4v::record::{self, Schema, decode, encode};
use sun4v::time::SimTime;

/// A chassis, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerV1 {
    /// Its name.
    pub name: String,
    /// Where the boot image for guests is.
    pub rom: Rom,
    /// Boot images of guests that have one of their own, by domain, in ascending order.
    pub roms: Vec<(String, Rom)>,
    /// Busy times at the last sample, by guest, in ascending order.
    pub samples: Vec<(u8, Vec<SimTime>)>,
    /// Unfinished lines of the service processor's consoles, by guest, likewise.
    pub lines: Vec<(u8, Vec<u8>)>,
    /// What the crypto units had done at the last sample.
    pub crypto: Option<(u64, u64)>,
    /// Names of guests that have executed something, likewise.
    pub names: Vec<(u8, String)>,
    /// Figures of domains that are gone, by name, likewise.
    pub retired: Vec<(String, FiguresV1)>,
    /// Doublewords of noise that the random number generator has given.
    pub noise: u64,
    /// The crypto units, by core.
    pub units: Vec<UnitV1>,
    /// Domains that execute instructions, by guest, likewise.
    pub domains: Vec<(u8, DomainV1)>,
    /// The strands of the control domain.
    pub native: NativeV1,
}

impl Schema for ServerV1 {
    const KIND: &'static str = "chassis/server";
    const VERSION: u32 = 1;
}

const fn broken(why: &'static str) -> record::LoadError {
    record::LoadError::Inconsistent { kind: ServerV1::KIND, why }
}

/// Makes the program of a control domain from what it had saved: the chassis' name,
/// what the scenario says of it, what it consists of.
pub type Restore<'a> = dyn FnMut(&str, &Chassis, &Inventory, &[u8]) -> Result<Box<dyn Program>, record::LoadError>
    + 'a;

impl Server {
    /// Could it be saved now?
    ///
    /// # Errors
    /// See [`Unsaved`].
    pub fn check_save(&self) -> Result<(), Unsaved> {
        if self.off {
            return Err(Unsaved::Held(format!("{} is off", self.name)));
        }
        self.hv.check_save(&self.board)?;
        if !self.board.crypto_idle() {
            return Err(Unsaved::Soon("crypto units are at work".to_owned()));
        }
        match self.native.save() {
            Ok(_) => Ok(()),
            Err(why) if why == AT_WORK => Err(Unsaved::Soon(why)),
            Err(why) => Err(Unsaved::Held(why)),
        }
    }

    /// Does what the boundary has to do, and holds everybody, to be saved.
    ///
    /// # Errors
    /// See [`Unsaved`].
    pub fn hold(&mut self) -> Result<(), Unsaved> {
        self.check_save()?;
        self.native.publish(&mut self.board);
        self.hv.boundary(&mut self.board);
        self.hear();
        self.board.settle();
        self.hv.hold(&mut self.board)
    }

    /// Stretches of memory that belong to somebody, in ascending order.
    fn stretches(&self) -> Vec<Range<Pa>> {
        let own = self.hv.memory();
        let guests = self.hv.config().guests.iter().filter_map(|conf| self.hv.guest(conf.id));
        let guests = guests.flat_map(|guest| guest.map.ranges());
        let guests = guests.map(|range| range.pa..range.pa.offset(range.size));
        let mut all: Vec<_> = guests.chain([own.base..own.base.offset(own.bytes)]).collect();
        all.sort_by_key(|stretch| stretch.start);
        all
    }

    /// Writes its sections, while it is held.
    ///
    /// # Errors
    /// See [`Unsaved`].
    pub fn save(&mut self, writer: &mut Writer) -> Result<(), Unsaved> {
        let hypervisor = self.hv.save(&mut self.board)?;
        let (units, domains) = self.board.save();
        let noise = self.board.noise().drawn();
        let (native, program) = self.native.save().map_err(Unsaved::Held)?;
        let stretches = self.stretches();
        let Self {
            name,
            hv: _,
            board: _,
            native: _,
            // The scenario's.
            nics: _,
            roms: (rom, roms),
            samples,
            lines,
            // Taken before.
            facts: _,
            trace: _,
            // It is looked at again.
            stirred: _,
            // It is obeyed at the boundary that hears it.
            barks: _,
            // Nobody is suspended.
            still: _,
            crypto,
            names,
            retired,
            // No server that is off is saved.
            off: _,
            // Whoever runs it says it anew.
            undigested: _,
        } = self;
        let record = ServerV1 {
            name: name.clone(),
            rom: *rom,
            roms: roms.iter().map(|(domain, rom)| (domain.clone(), *rom)).collect(),
            samples: samples.iter().map(|(id, busy)| (id.0, busy.clone())).collect(),
            lines: lines.iter().map(|(id, line)| (id.0, line.clone())).collect(),
            crypto: *crypto,
            names: names.iter().map(|(id, name)| (id.0, name.clone())).collect(),
            retired: retired.iter().map(|(name, all)| (name.clone(), all.into())).collect(),
            noise,
            units,
            domains,
            native,
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        encode(&hypervisor, &mut bytes);
        writer.section(&format!("chassis/{name}")).add(&bytes);
        writer.section(&format!("program/{name}")).add(&program);
        let memory = &mut writer.section(&format!("memory/{name}"));
        memory::save(self.board.ram(), &stretches, memory);
        Ok(())
    }

    /// Makes it from its sections, held, at time `now`.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(
        (name, chassis, seed): (&str, &Chassis, u64),
        nics: Vec<Outlet>,
        now: SimTime,
        restore: &mut Restore<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<Self, LoadError> {
        let section = format!("chassis/{name}");
        let refuse = |why| LoadError::record(&section, why);
        let bytes = reader.section(&section)?.all(RECORDS_MAX)?;
        let mut rest = bytes.as_slice();
        let record: ServerV1 = decode(&mut rest).map_err(refuse)?;
        let hypervisor: HypervisorV1 = decode(&mut rest).map_err(refuse)?;
        if !rest.is_empty() {
            return Err(LoadError::section(&section, TRAILING));
        }
        let of: BTreeMap<_, _> =
            by_key(record.roms.clone(), |domain| domain, Ok).map_err(refuse)?;
        let roms = Roms { all: record.rom, of, writes: Vec::new() };
        let inside = |rom: &Rom| rom.pa.0.checked_add(rom.bytes).is_some_and(|end| end <= HV_BYTES);
        if record.name != name || !roms.of.values().chain([&roms.all]).all(inside) {
            return Err(refuse(broken("another name, or a boot image outside")));
        }
        let inventory = inventory(name, chassis, &roms);
        let program_section = format!("program/{name}");
        let saved = reader.section(&program_section)?.all(RECORDS_MAX)?;
        let program = restore(name, chassis, &inventory, &saved)
            .map_err(|why| LoadError::record(&program_section, why))?;
        let make = if chassis.sparse { Ram::sparse } else { Ram::new };
        let ram = make(inventory.memory_bytes).map_err(PowerOnError::from);
        let ram = Arc::new(ram.map_err(|why| LoadError::section(&section, why))?);
        let memory_section = format!("memory/{name}");
        memory::load(&ram, &memory_section, reader.section(&memory_section)?)?;
        let mut board = Board::new(ram);
        board.declare_native(CONTROL);
        board.set_now(now);
        let own = HvMemory { base: inventory.hv_pa, bytes: inventory.hv_bytes };
        let mut hv = Hypervisor::power_on(own, hypervisor.md, &mut board)
            .map_err(|why| LoadError::section(&section, why))?;
        let ServerV1 {
            name: _,
            rom: _,
            roms: _,
            samples,
            lines,
            crypto,
            names,
            retired,
            noise,
            units,
            domains,
            native,
        } = record;
        board.set_noise(Noise::resumed(seed, name, noise));
        board.load(&units, domains).map_err(|why| refuse(broken(why)))?;
        hv.load(&hypervisor, &mut board).map_err(refuse)?;
        if hv.control_domain() != Some(CONTROL) {
            return Err(refuse(broken("another control domain")));
        }
        let mut native = NativeHost::loaded(CONTROL, name, program, native)
            .map_err(|why| refuse(broken(why)))?;
        let drives = Drives::open(&chassis.local_disks);
        native.set_drives(drives.map_err(|why| LoadError::section(&section, why))?);
        let retired = by_key(retired, |name| name, Figures::try_from);
        Ok(Self {
            name: name.to_owned(),
            hv,
            board,
            native,
            nics,
            roms: (roms.all, roms.of),
            samples: by_key(samples, GuestId, Ok).map_err(refuse)?,
            lines: by_key(lines, GuestId, line).map_err(refuse)?,
            facts: Vec::new(),
            trace: Vec::new(),
            stirred: true,
            barks: false,
            still: BTreeSet::new(),
            crypto,
            names: by_key(names, GuestId, Ok).map_err(refuse)?,
            retired: retired.map_err(refuse)?,
            off: false,
            undigested: false,
        })
    }

    /// Lets everybody go on who was held, and the control domain's software begin again.
    pub fn restart(&mut self) {
        self.hv.release(&mut self.board);
        self.native.restart();
        self.stirred = true;
    }
}

/// A line that has not ended.
fn line(bytes: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    match (1..super::LINE_BYTES_MAX).contains(&bytes.len()) {
        true => Ok(bytes),
        false => Err("a line of a console that has no length or too much"),
    }
}

/// A map from a list in ascending order.
fn by_key<K: PartialOrd, A: Ord, V, B>(
    list: Vec<(K, V)>,
    key: impl Fn(K) -> A,
    value: impl Fn(V) -> Result<B, &'static str>,
) -> Result<BTreeMap<A, B>, record::LoadError> {
    if !list.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(broken("a list out of order"));
    }
    let list = list.into_iter();
    list.map(|(k, v)| Ok((key(k), value(v).map_err(broken)?))).collect()
}
