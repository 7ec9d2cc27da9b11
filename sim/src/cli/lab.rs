//! What the verbs that run a lab share: its options, and how it is powered on.

use crate::chassis::checkpoint::Reader;
use crate::chassis::server::PowerOn;
use crate::chassis::world::World;
use crate::lab::scenario::{Chassis, Release, Scenario, Unfit, mac};
use anyhow::Context;
use ldm::control::{ControlConf, ControlDomain, NicConf};
use ldm::factory::{Factory, Primary};
use ldm::migrate::fixed_time::FixedTime;
use ldm::stack::StackConf;
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
    let mut prepare =
        |_: &str, chassis: &Chassis, inventory: &Inventory| prepare(scenario, chassis, inventory);
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
        let conf = control(scenario, chassis, inventory);
        let program = ControlDomain::restored(conf, bytes)?;
        Ok(Box::new(program) as Box<dyn Program>)
    };
    Ok(World::load(scenario, file, threads, &mut restore, reader)?)
}

/// What the service processor of a chassis prepares: `factory-default`, and the
/// control domain's software.
fn prepare(
    scenario: &Scenario,
    chassis: &Chassis,
    inventory: &Inventory,
) -> Result<PowerOn, String> {
    let primary = Primary {
        vcpus: chassis.primary.vcpus,
        memory_bytes: chassis.primary.memory.0,
        crypto: chassis.primary.crypto,
        ..Primary::default()
    };
    let factory = Factory::new(inventory, &primary).map_err(|error| error.to_string())?;
    let Factory { writes, hvmd, .. } = factory;
    let conf = control(scenario, chassis, inventory);
    Ok(PowerOn { writes, hvmd, program: Box::new(ControlDomain::new(conf)) })
}

/// What the control domain of a chassis is told.
fn control(scenario: &Scenario, chassis: &Chassis, inventory: &Inventory) -> ControlConf {
    let nic = |(number, (network, ip)): (usize, (&String, &std::net::Ipv4Addr))| NicConf {
        name: format!("e1000g{number}"),
        stack: StackConf {
            mac: mac(*ip),
            ip: *ip,
            prefix: 24,
            mtu: scenario.networks.get(network).map_or(1500, |network| network.mtu.into()),
            seed: scenario.seed.wrapping_mul(31).wrapping_add(number as u64),
        },
    };
    let hosts = scenario.all_names().0;
    ControlConf {
        inventory: inventory.clone(),
        nics: chassis.addresses.iter().enumerate().map(nic).collect(),
        hosts: hosts.into_iter().map(|(name, address)| (name, address.into())).collect(),
        files: chassis.files.clone(),
        password: chassis.password.clone(),
        seed: scenario.seed,
        migrate: ldm::migrate::Config {
            cost: ldm::migrate::cost::Cost {
                compress: scenario.packing.compress,
                expand: scenario.packing.expand,
                ..ldm::migrate::cost::Cost::default()
            },
            fixed: FixedTime::default().percent(scenario.migration.fixed_percent),
            policy: ldm::migrate::rounds::Policy {
                pause_budget: scenario.migration.pause.0,
                rounds_max: scenario.migration.rounds,
                unfit: match scenario.migration.unfit {
                    Unfit::Accept => ldm::migrate::rounds::Unfit::Accept,
                    Unfit::Slow => ldm::migrate::rounds::Unfit::Slow,
                    Unfit::GiveUp => ldm::migrate::rounds::Unfit::GiveUp,
                },
            },
            ..ldm::migrate::Config::default()
        },
        cost: ldm::cost::Cost::default(),
        ldmd: ldm::manager::Ldmd {
            version: match chassis.ldmd.version {
                Release::V2_0 => ldm::manager::Version::V2_0,
                Release::V2_1 => ldm::manager::Version::V2_1,
            },
            incoming_migration_enabled: chassis.ldmd.incoming_migration_enabled,
            outgoing_migration_enabled: chassis.ldmd.outgoing_migration_enabled,
            xmpp_enabled: chassis.ldmd.xmpp_enabled,
        },
    }
}
