//! The lab in which storms rage: brought up once, and from then on taken from memory.
//!
//! **Shape.** Two chassis, one domain of 8 MB that runs the guest `storm`, and its disk on
//! the NAS (`lab.toml`). The steps of a migration that take time without work
//! ([`FixedTime`]) are short here: they are configuration, and nothing depends on how long
//! they are but how many storms fit into a minute.
//!
//! **Errors.** A lab that does not come up, in words.

use super::check::Holdings;
use super::plan::Side;
use super::watch::{Desk, Shared, Watched};
use crate::chassis::checkpoint::{Reader, Unsaved, Writer};
use crate::chassis::server::Server;
use crate::chassis::software;
use crate::chassis::world::World;
use crate::lab::scenario::{Chassis, Scenario};
use anyhow::{Context, anyhow, bail};
use ldm::control::{ControlConf, ControlDomain};
use ldm::migrate::fixed_time::FixedTime;
use parking_lot::Mutex;
use std::sync::Arc;
use sun4v::hvmd::Inventory;
use sun4v::native::Program;
use sun4v::time::SimTime;

const SCENARIO: &str = include_str!("lab.toml");
const FILE: &str = "storm/lab.toml";
/// The domain.
pub const DOMAIN: &str = "storm";
/// How long the guest has to have come up.
const PATIENCE: SimTime = SimTime::secs(10);
/// Storms begin when control domains are ready after they have begun again, at the latest.
const READY: SimTime = SimTime::secs(2);

/// Bytes of a connection's buffers: many times what is under way on such a network. The host
/// clears those of each connection.
const SOCKET_BYTES: usize = 256 << 10;

/// A step of a migration that takes this long here.
const fn fixed_time() -> FixedTime {
    const STEP: SimTime = SimTime::us(500);
    FixedTime {
        connect: STEP,
        check: STEP,
        shell: STEP,
        quiesce: STEP,
        resume: STEP,
        settle: STEP,
        destroy: STEP,
    }
}

/// The lab, as every storm begins with it.
pub struct Lab {
    scenario: Scenario,
    checkpoint: Vec<u8>,
    /// What domains hold of each chassis.
    pub holdings: [Holdings; 2],
}

/// A lab in motion, and what is seen of its control domains.
pub struct Scene {
    /// The world.
    pub world: World,
    /// By side.
    pub desks: [Shared; 2],
}

/// What a control domain is told here.
fn conf(scenario: &Scenario, chassis: &Chassis, inventory: &Inventory) -> ControlConf {
    let mut conf = software::control(scenario, chassis, inventory);
    conf.migrate.fixed = fixed_time();
    conf.socket_bytes = SOCKET_BYTES;
    conf
}

fn desks() -> [Shared; 2] {
    [(); 2].map(|()| Arc::new(Mutex::new(Desk::default())))
}

fn side(name: &str) -> Side {
    if name == Side::A.name() { Side::A } else { Side::B }
}

impl Lab {
    /// Powers the lab on and waits until its guest is at work.
    ///
    /// # Errors
    /// See the module.
    pub fn bring_up() -> anyhow::Result<Self> {
        let scenario = Scenario::parse(SCENARIO, FILE, &[])?;
        let desks = desks();
        let mut prepare = |name: &str, chassis: &Chassis, inventory: &Inventory| {
            let side = side(name);
            let program = ControlDomain::new(conf(&scenario, chassis, inventory));
            let desk = Arc::clone(&desks[side as usize]);
            software::prepare(chassis, inventory, Box::new(Watched::new(program, side, desk)))
        };
        let world = World::new(&scenario, FILE, 1, &mut prepare)?;
        let mut scene = Scene { world, desks };
        let world = &mut scene.world;
        while !world.is_done() {
            world.run_script_until(world.now().plus(SimTime::ms(1)))?;
        }
        let end = world.now().plus(PATIENCE);
        while scene
            .guest()
            .and_then(|(side, id)| scene.report(side, id))
            .is_none_or(|r| r.written < 20)
        {
            if scene.world.now() >= end {
                bail!("the guest of storms does not work");
            }
            let until = scene.world.now().plus(SimTime::ms(1));
            scene.world.run_until(until)?;
        }
        let world = &mut scene.world;
        loop {
            match world.check_save() {
                Ok(()) => break,
                Err(Unsaved::Soon(_)) if world.now() < end => {
                    world.run_until(world.now().plus(SimTime::us(20)))?;
                }
                Err(why) => bail!("the lab of storms cannot be kept: {why}"),
            }
        }
        let holdings = Side::BOTH.map(|side| Holdings::of(scene.server(side)));
        let world = &mut scene.world;
        world.hold().map_err(|why| anyhow!("{why}"))?;
        let _ = (world.take_facts(), world.take_trace(), world.take_answers());
        let mut writer = Writer::default();
        world.save(&mut writer).map_err(|why| anyhow!("{why}"))?;
        Ok(Self { scenario, checkpoint: writer.finish(), holdings })
    }

    /// Bytes of what is kept of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.checkpoint.len()
    }

    /// The lab at its beginning, with both control domains ready.
    ///
    /// # Errors
    /// It does not come up again.
    pub fn begin(&self) -> anyhow::Result<Scene> {
        let desks = desks();
        let mut restore = |name: &str, chassis: &Chassis, inventory: &Inventory, bytes: &[u8]| {
            let side = side(name);
            let program = ControlDomain::restored(conf(&self.scenario, chassis, inventory), bytes)?;
            let desk = Arc::clone(&desks[side as usize]);
            Ok(Box::new(Watched::new(program, side, desk)) as Box<dyn Program>)
        };
        let mut reader = Reader::new(&self.checkpoint)?;
        let mut world = World::load(&self.scenario, FILE, 1, &mut restore, &mut reader)?;
        reader.end()?;
        for side in Side::BOTH {
            // It takes more than the rest of a storm, and nobody reads it.
            world.server_mut(side.name()).into_iter().for_each(Server::leave_out_digests);
        }
        world.restart().context("after the beginning")?;
        let mut scene = Scene { world, desks };
        let end = scene.world.now().plus(READY);
        while !scene.desks.iter().all(|desk| desk.lock().seen.at_rest) {
            if scene.world.now() >= end {
                bail!("a control domain does not begin again");
            }
            scene.world.advance(end)?;
        }
        Ok(scene)
    }
}
