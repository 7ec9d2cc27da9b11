//! A run that can be written into a checkpoint and made from one.
//!
//! **Shapes.** In the file ([`crate::chassis::checkpoint`]), before the world: `run`,
//! the scenario's text and the options that make a difference; behind it:
//! `report/NAME`, what the run had written into its folder.
//!
//! **Errors.** Those of the file, the scenario, the world and the folder, each with its
//! name.

use super::folder::Folder;
use super::lab::{self, Options};
use crate::chassis::checkpoint::{Reader, Unsaved, Writer, one, put};
use crate::chassis::figures::Stopwatch;
use crate::chassis::world::World;
use crate::engine::Choice;
use crate::lab::scenario::Scenario;
use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use sun4v::record::Schema;
use sun4v::time::SimTime;

/// What a run is, whatever the host, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunV1 {
    /// The file of its scenario, for errors.
    pub file: String,
    /// The scenario.
    pub text: String,
    /// Values of it that were changed.
    pub set: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// The engine.
    pub engine: String,
    /// The timing model.
    pub timing: String,
    /// Hypercalls are written down.
    pub trace: bool,
    /// Bytes kept of each frame; 0 keeps all.
    pub snaplen: u32,
}

impl Schema for RunV1 {
    const KIND: &'static str = "cli/run";
    const VERSION: u32 = 1;
}

const RUN: &str = "run";

/// What is the host's business, and no part of a checkpoint.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder to write into.
    pub out: PathBuf,
    /// Host threads.
    pub threads: usize,
    /// For whoever wants to know what the host spends.
    pub stopwatch: Option<Stopwatch>,
}

/// A run under way.
pub struct Run {
    /// What it is.
    pub setting: RunV1,
    /// What its scenario says.
    pub scenario: Scenario,
    /// Its world.
    pub world: World,
    /// Its folder.
    pub folder: Folder,
    place: Place,
}

impl RunV1 {
    /// By what guests are run.
    ///
    /// # Errors
    /// A name that there is not.
    pub fn choice(&self) -> anyhow::Result<Choice> {
        Ok(Choice { engine: self.engine.parse()?, timing: self.timing.parse()? })
    }

    fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = Scenario::parse(&self.text, &self.file, &self.set)?;
        scenario.seed = self.seed;
        Ok(scenario)
    }
}

impl Run {
    /// Powers a lab on.
    ///
    /// # Errors
    /// See the module.
    pub fn begin(
        options: &Options,
        (trace, snaplen): (bool, u32),
        place: Place,
    ) -> anyhow::Result<Self> {
        let (text, file) = options.text()?;
        let choice = options.guests.choice();
        let mut setting = RunV1 {
            file,
            text,
            set: options.set.clone(),
            seed: 0,
            engine: choice.engine.to_string(),
            timing: choice.timing.to_string(),
            trace,
            snaplen,
        };
        let mut scenario = Scenario::parse(&setting.text, &setting.file, &setting.set)?;
        setting.seed = options.seed.unwrap_or(scenario.seed);
        scenario.seed = setting.seed;
        let mut world = lab::power_on(&scenario, &setting.file, place.threads)?;
        world.set_choice(choice);
        world.set_trace(trace);
        world.set_stopwatch(place.stopwatch);
        let folder = Folder::create(&place.out, &mut world, snaplen)?;
        Ok(Self { setting, scenario, world, folder, place })
    }

    /// Makes it from a checkpoint that was read from a file.
    ///
    /// # Errors
    /// See the module.
    pub fn restore(file: &Path, place: Place) -> anyhow::Result<Self> {
        let name = || file.display().to_string();
        let bytes = std::fs::read(file).with_context(name)?;
        Self::load(&bytes, place).with_context(name)
    }

    fn load(bytes: &[u8], place: Place) -> anyhow::Result<Self> {
        let mut run = Self::held(bytes, place)?;
        run.world.restart()?;
        Ok(run)
    }

    /// Makes it from a checkpoint as it was when that was written: it does not go on.
    ///
    /// # Errors
    /// See the module.
    pub fn held(bytes: &[u8], place: Place) -> anyhow::Result<Self> {
        let mut reader = Reader::new(bytes)?;
        let setting: RunV1 = one(&mut reader, RUN)?;
        let (choice, scenario) = (setting.choice()?, setting.scenario()?);
        let mut world = lab::load(&scenario, &setting.file, place.threads, &mut reader)?;
        world.set_choice(choice);
        world.set_trace(setting.trace);
        world.set_stopwatch(place.stopwatch);
        let folder = Folder::load(&place.out, &mut world, setting.snaplen, &mut reader)?;
        reader.end()?;
        Ok(Self { setting, scenario, world, folder, place })
    }

    /// Writes a checkpoint and goes on from what was written.
    ///
    /// # Errors
    /// Inside: why there is none now, and the run goes on as it was. Outside: the run
    /// cannot go on.
    pub fn checkpoint(self, file: &Path) -> anyhow::Result<Result<Self, (Self, Unsaved)>> {
        if let Err(why) = self.world.check_save() {
            return Ok(Err((self, why)));
        }
        let mut held = self;
        held.world.hold()?;
        held.folder.drain(&mut held.world)?;
        let bytes = held.encode()?;
        let place = held.place.clone();
        drop(held);
        let written = write(file, &bytes);
        let run = Self::load(&bytes, place)?;
        Ok(match written {
            Ok(()) => Ok(run),
            Err(why) => Err((run, Unsaved::Held(format!("{}: {why}", file.display())))),
        })
    }

    /// The checkpoint of a run that is held.
    ///
    /// # Errors
    /// It is not held, or its files cannot be read.
    pub fn encode(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut writer = Writer::default();
        put(&mut writer, RUN, &self.setting);
        self.world.save(&mut writer)?;
        self.folder.save(&mut writer)?;
        Ok(writer.finish())
    }
}

/// Writes a file whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, bytes)?;
    std::fs::rename(&part, file)
}

/// A checkpoint that somebody wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// At the first turn that is not before.
    pub at: SimTime,
    /// Into which file.
    pub file: PathBuf,
}

impl Wanted {
    /// From the words of the command line.
    ///
    /// # Errors
    /// No time, or no file.
    pub fn of(words: &[String]) -> anyhow::Result<Option<Self>> {
        let [seconds, file] = words else {
            return if words.is_empty() { Ok(None) } else { bail!("a time and a file") };
        };
        let time = f64::from_str(seconds).ok().filter(|time| (0.0..1e6).contains(time));
        let time = time.ok_or_else(|| anyhow!("`{seconds}` is no time in seconds"))?;
        Ok(Some(Self { at: SimTime((time * 1e12) as u64), file: file.into() }))
    }
}

#[cfg(test)]
mod test {
    use super::Wanted;
    use sun4v::time::SimTime;

    #[test]
    fn a_time_is_seconds() {
        let wanted = |time: &str| Wanted::of(&[time.to_owned(), "a".to_owned()]);
        let at = |time| wanted(time).unwrap().unwrap().at;
        assert_eq!((at("60"), at("0.25")), (SimTime::secs(60), SimTime::ms(250)));
        for wrong in ["", "-1", "soon", "nan", "inf", "1e7"] {
            assert!(wanted(wrong).is_err(), "{wrong}");
        }
        assert!(Wanted::of(&[]).unwrap().is_none());
    }
}
