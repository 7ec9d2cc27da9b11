//! What a chassis begins with: what its service processor prepares, and what the software
//! of its control domain is told.
//!
//! **Errors.** A control domain that does not fit into its chassis, in words.

use super::server::PowerOn;
use crate::lab::scenario::{Chassis, Release, Scenario, Unfit, mac};
use ldm::control::{ControlConf, NicConf};
use ldm::factory::{Factory, Primary};
use ldm::manager::{Ldmd, Version};
use ldm::migrate::fixed_time::FixedTime;
use ldm::migrate::rounds::{self, Policy};
use ldm::stack::StackConf;
use sun4v::hvmd::Inventory;
use sun4v::native::Program;

/// What the service processor of a chassis prepares: `factory-default`, and the
/// control domain's software.
///
/// # Errors
/// See the module.
pub fn prepare(
    chassis: &Chassis,
    inventory: &Inventory,
    program: Box<dyn Program>,
) -> Result<PowerOn, String> {
    let primary = Primary {
        vcpus: chassis.primary.vcpus,
        memory_bytes: chassis.primary.memory.0,
        crypto: chassis.primary.crypto,
        ..Primary::default()
    };
    let factory = Factory::new(inventory, &primary).map_err(|error| error.to_string())?;
    let Factory { writes, hvmd, .. } = factory;
    Ok(PowerOn { writes, hvmd, program })
}

/// What the control domain of a chassis is told.
#[must_use]
pub fn control(scenario: &Scenario, chassis: &Chassis, inventory: &Inventory) -> ControlConf {
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
        socket_bytes: ldm::control::SOCKET_BYTES,
        migrate: ldm::migrate::Config {
            cost: ldm::migrate::cost::Cost {
                compress: scenario.packing.compress,
                expand: scenario.packing.expand,
                ..ldm::migrate::cost::Cost::default()
            },
            fixed: FixedTime::default().percent(scenario.migration.fixed_percent),
            policy: Policy {
                pause_budget: scenario.migration.pause.0,
                rounds_max: scenario.migration.rounds,
                unfit: match scenario.migration.unfit {
                    Unfit::Accept => rounds::Unfit::Accept,
                    Unfit::Slow => rounds::Unfit::Slow,
                    Unfit::GiveUp => rounds::Unfit::GiveUp,
                },
            },
            ..ldm::migrate::Config::default()
        },
        cost: ldm::cost::Cost::default(),
        ldmd: Ldmd {
            version: match chassis.ldmd.version {
                Release::V2_0 => Version::V2_0,
                Release::V2_1 => Version::V2_1,
            },
            incoming_migration_enabled: chassis.ldmd.incoming_migration_enabled,
            outgoing_migration_enabled: chassis.ldmd.outgoing_migration_enabled,
            xmpp_enabled: chassis.ldmd.xmpp_enabled,
        },
    }
}
