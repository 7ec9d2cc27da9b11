//! The folder of a run: what is written while the world moves.
//!
//! **Shapes.** `record.jsonl`: the facts ([`crate::lab::record`]). `hypercalls.txt`:
//! a line a call, behind its server's name. `net.pcapng`: the frames of all
//! networks, an interface a port. `transcript.txt`: every command in the order of
//! typing, with the time, and what it printed.
//!
//! **Errors.** Those of the files, with their names.

use crate::chassis::checkpoint::{Reader, Writer};
use crate::chassis::world::World;
use crate::lab::NetworkId;
use crate::lab::record::{self, Fact};
use crate::net::pcap::{Capture, InterfaceId};
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use sun4v::time::SimTime;

const CALLS: &str = "hypercalls.txt";
const FRAMES: &str = "net.pcapng";
const TRANSCRIPT: &str = "transcript.txt";

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
    dir: PathBuf,
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
            dir: dir.to_owned(),
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
        let Self { dir: _, record, calls, frames_path, frames, ports: _, facts: _ } = self;
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
        let path = self.dir.join(TRANSCRIPT);
        std::fs::write(&path, transcript(&self.facts))
            .with_context(|| path.display().to_string())?;
        Ok(self.facts)
    }
}

/// Commands and what they printed.
#[must_use]
pub fn transcript(facts: &[Fact]) -> String {
    let answers: BTreeMap<u64, &Fact> = facts
        .iter()
        .filter(|fact| fact.is("command", "answered"))
        .map(|fact| (fact.value("id"), fact))
        .collect();
    let mut text = String::new();
    for typed in facts.iter().filter(|fact| fact.is("command", "typed")) {
        // Writing to a string cannot fail.
        let time = typed.time.as_secs_f64();
        let _ = writeln!(text, "[{time:>11.6}] {}# {}", typed.place, typed.text);
        let Some(answer) = answers.get(&typed.value("id")) else {
            text.push_str("(no answer)\n");
            continue;
        };
        let printed = answer.text.split_once('\n').map_or("", |(_, printed)| printed);
        text.push_str(printed);
        if !printed.is_empty() && !printed.ends_with('\n') {
            text.push('\n');
        }
        let took = answer.time.since(typed.time);
        let status = answer.value("status");
        if status != 0 {
            let _ = writeln!(text, "(exit status {status})");
        }
        if took >= SimTime::ms(100) {
            let _ = writeln!(text, "({:.3} s)", took.as_secs_f64());
        }
    }
    text
}

#[cfg(test)]
mod test {
    use super::transcript;
    use crate::lab::record::Fact;
    use sun4v::time::SimTime;

    #[test]
    fn a_transcript_shows_commands_in_the_order_of_typing() {
        let s = SimTime::secs;
        let facts = [
            Fact::typed(s(1), "t5120", 0, "ldm migrate-domain rover t5220"),
            Fact::typed(s(2), "t5220", 1, "ldm list"),
            Fact::answered(s(2), "t5220", 1, "ldm list", 0, "NAME\nprimary"),
            Fact::answered(s(16), "t5120", 0, "ldm migrate-domain rover t5220", 1, "refused\n"),
            Fact::typed(s(17), "pinger", 2, "stop"),
        ];
        insta::assert_snapshot!(transcript(&facts));
    }
}
