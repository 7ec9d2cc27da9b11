//! The folder of a run: what is written while the world moves.
//!
//! **Shapes.** `record.jsonl`: the facts ([`crate::lab::record`]). `hypercalls.txt`:
//! a line a call, behind its server's name. `net.pcapng`: the frames of all
//! networks, an interface a port. What is made of the facts at the end is no part of it:
//! [`super::verdict`].
//!
//! **Errors.** Those of the files, with their names.

use crate::chassis::checkpoint::{Reader, Writer};
use crate::chassis::world::World;
use crate::lab::NetworkId;
use crate::lab::record::{self, Fact};
use crate::net::pcap::{Capture, InterfaceId};
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

const CALLS: &str = "hypercalls.txt";
const FRAMES: &str = "net.pcapng";

/// The section of a file in a checkpoint.
fn section(name: &str) -> String {
    format!("report/{name}")
}

/// A file and its name.
struct Named {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Named {
    fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 16, file) })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// The files of a run under way.
pub struct Folder {
    record: Named,
    calls: Named,
    frames_path: PathBuf,
    frames: Capture<BufWriter<File>>,
    ports: BTreeMap<(NetworkId, usize), InterfaceId>,
    facts: Vec<Fact>,
}

impl Folder {
    /// Makes the folder and its files; `snaplen` bytes of each frame are kept.
    ///
    /// # Errors
    /// See the module.
    pub fn create(dir: &Path, world: &mut World, snaplen: u32) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let Named { path: frames_path, file } = Named::create(dir.join(FRAMES))?;
        let named = || frames_path.display().to_string();
        world.capture(snaplen);
        let mut frames = Capture::new(file, snaplen).with_context(named)?;
        let mut ports = BTreeMap::new();
        for (number, network) in world.lab().networks().iter().enumerate() {
            for (port, name) in network.ports() {
                let name = format!("{}/{name}", network.name());
                let interface = frames.interface(&name).with_context(named)?;
                ports.insert((NetworkId(number), port.0), interface);
            }
        }
        Ok(Self {
            record: Named::create(dir.join(record::FILE))?,
            calls: Named::create(dir.join(CALLS))?,
            frames_path,
            frames,
            ports,
            facts: Vec::new(),
        })
    }

    /// Writes what is in its files into a checkpoint.
    ///
    /// # Errors
    /// See the module.
    pub fn save(&mut self, writer: &mut Writer) -> anyhow::Result<()> {
        let Self { record, calls, frames_path, frames, ports: _, facts: _ } = self;
        record.file.flush().with_context(|| record.name())?;
        calls.file.flush().with_context(|| calls.name())?;
        frames.get_mut().flush().with_context(|| frames_path.display().to_string())?;
        let paths = [(record::FILE, &record.path), (CALLS, &calls.path), (FRAMES, frames_path)];
        for (name, path) in paths {
            let named = || path.display().to_string();
            let mut file = File::open(path).with_context(named)?;
            std::io::copy(&mut file, &mut writer.section(&section(name))).with_context(named)?;
        }
        Ok(())
    }

    /// Makes the folder again as it was when it was saved.
    ///
    /// # Errors
    /// See the module; and a checkpoint whose files are not those of a run.
    pub fn load(
        dir: &Path,
        world: &mut World,
        snaplen: u32,
        reader: &mut Reader<'_>,
    ) -> anyhow::Result<Self> {
        let mut folder = Self::create(dir, world, snaplen)?;
        for (name, named) in [(record::FILE, &mut folder.record), (CALLS, &mut folder.calls)] {
            let mut from = reader.section(&section(name))?;
            std::io::copy(&mut from, &mut named.file).with_context(|| named.name())?;
            named.file.flush().with_context(|| named.name())?;
        }
        folder.facts = record::read(dir)?;
        let path = folder.frames_path.display().to_string();
        let named = || path.clone();
        folder.frames.get_mut().flush().with_context(named)?;
        let begins = std::fs::read(&folder.frames_path).with_context(named)?;
        let mut from = reader.section(&section(FRAMES))?;
        let mut saved = vec![0; begins.len()];
        ensure!(
            from.fill(&mut saved)? && saved == begins,
            "section {}: its interfaces are not those of the networks",
            section(FRAMES)
        );
        std::io::copy(&mut from, folder.frames.get_mut()).with_context(named)?;
        Ok(folder)
    }

    /// Takes what the world has noted.
    ///
    /// # Errors
    /// See the module.
    pub fn drain(&mut self, world: &mut World) -> anyhow::Result<()> {
        for fact in world.take_facts() {
            record::write(&fact, &mut self.record.file).with_context(|| self.record.name())?;
            self.facts.push(fact);
        }
        for line in world.take_trace() {
            writeln!(self.calls.file, "{line}").with_context(|| self.calls.name())?;
        }
        for (network, frame) in world.take_captured() {
            if let Some(&interface) = self.ports.get(&(network, frame.port)) {
                self.frames
                    .frame(interface, frame.at, frame.length, &frame.head)
                    .with_context(|| self.frames_path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Ends all files and gives the facts.
    ///
    /// # Errors
    /// See the module.
    pub fn finish(mut self) -> anyhow::Result<Vec<Fact>> {
        for named in [&mut self.record, &mut self.calls] {
            named.file.flush().with_context(|| named.path.display().to_string())?;
        }
        self.frames.finish().with_context(|| self.frames_path.display().to_string())?;
        Ok(self.facts)
    }
}
