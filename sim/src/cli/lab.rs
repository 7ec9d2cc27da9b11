//! What the verbs that run a lab share: its options, and how it is powered on.

use crate::chassis::checkpoint::Reader;
use crate::chassis::software;
use crate::chassis::world::World;
use crate::lab::scenario::{Chassis, Scenario};
use anyhow::Context;
use ldm::control::ControlDomain;
use std::path::PathBuf;
use sun4v::hvmd::Inventory;
use sun4v::native::Program;

/// Scenarios that are built in, by name; the first is the default.
const BUILT_IN: [(&str, &str); 3] = [
    ("article", include_str!("../../../testdata/scenarios/article.toml")),
    ("short", include_str!("../../../testdata/scenarios/short.toml")),
    ("linux", include_str!("../../../testdata/scenarios/linux.toml")),
];

/// Options of a run.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// The scenario
    #[arg(value_name = "SCENARIO.toml")]
    pub scenario: Option<PathBuf>,
    /// One that is built in: article (the default), short or linux
    #[arg(long = "scenario", value_name = "NAME", conflicts_with = "scenario",
        value_parser = ["article", "short", "linux"])]
    pub built_in: Option<String>,
    /// Another seed than the scenario's
    #[arg(long)]
    pub seed: Option<u64>,
    /// Host threads; the outcome is the same on any number
    #[arg(long)]
    pub threads: Option<usize>,
    /// Changes a value of the scenario, such as networks.lab.speed=100Mbit/s
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// By what guests are run
    #[command(flatten)]
    pub guests: super::choice::Args,
}

impl Options {
    /// The scenario's text, and the name of its file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn text(&self) -> anyhow::Result<(String, String)> {
        let Some(path) = &self.scenario else {
            let (default, text) = BUILT_IN[0];
            let found = self
                .built_in
                .as_deref()
                .and_then(|wanted| BUILT_IN.iter().find(|(name, _)| *name == wanted));
            let (name, text) = found.copied().unwrap_or((default, text));
            return Ok((text.to_owned(), format!("{name}.toml")));
        };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| file.clone())?;
        Ok((text, file))
    }

    /// The scenario, read and changed, and the name of its file.
    ///
    /// # Errors
    /// One line: file, place, reason.
    pub fn scenario(&self) -> anyhow::Result<(Scenario, String)> {
        let (text, file) = self.text()?;
        let mut scenario = Scenario::parse(&text, &file, &self.set)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        Ok((scenario, file))
    }

    /// Host threads: as many as there are, unless somebody says otherwise.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        })
    }

    /// The lab of this scenario, powered on.
    ///
    /// # Errors
    /// One line: which chassis, why.
    pub fn power_on(&self, scenario: &Scenario, file: &str) -> anyhow::Result<World> {
        let mut world = power_on(scenario, file, self.threads())?;
        world.set_choice(self.guests.choice());
        Ok(world)
    }
}

/// The lab of a scenario, powered on.
pub(super) fn power_on(scenario: &Scenario, file: &str, threads: usize) -> anyhow::Result<World> {
    let mut prepare = |_: &str, chassis: &Chassis, inventory: &Inventory| {
        let conf = software::control(scenario, chassis, inventory);
        software::prepare(chassis, inventory, Box::new(ControlDomain::new(conf)))
    };
    Ok(World::new(scenario, file, threads, &mut prepare)?)
}

/// The lab of a scenario, from a checkpoint.
pub(super) fn load(
    scenario: &Scenario,
    file: &str,
    threads: usize,
    reader: &mut Reader<'_>,
) -> anyhow::Result<World> {
    let mut restore = |_: &str, chassis: &Chassis, inventory: &Inventory, bytes: &[u8]| {
        let conf = software::control(scenario, chassis, inventory);
        let program = ControlDomain::restored(conf, bytes)?;
        Ok(Box::new(program) as Box<dyn Program>)
    };
    Ok(World::load(scenario, file, threads, &mut restore, reader)?)
}
