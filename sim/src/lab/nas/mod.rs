//! The NAS: serves the lab's disk images over NFSv3 on TCP port 2049.
//!
//! Mount and NFS share the port, as NFSv4 servers do, so that a client needs no
//! port mapper. A call is carried out when it arrives and answered after the time
//! that the disks take for it; calls of all clients wait in one line.
//!
//! **Commands.** `spoil IMAGE BLOCK` breaks a block; `images` lists the images and
//! notes their use as facts; `owners` lists who has claimed which image at which epoch,
//! `release IMAGE` forgets it.
//!
//! **Facts.** `nfs mount` (path; client in words), `nfs open` (image; client in
//! words: its first read or write), `image use` (image; reads, writes, blocks that
//! the lab spoiled, blocks that are not what they were at first), `image refused` (image;
//! a domain's UUID in words; the epoch that was refused, and the newest).

pub mod fence;
pub mod image;
pub mod nfs;
mod record;
pub mod rpc;
pub mod xdr;

pub use record::{FileV2, NasV2};

use super::host::{Address, Host, LabHost};
use super::record::Fact;
use crate::time::event::EventQueue;
use crate::time::rng::Seed;
use image::Image;
use nfs::Export;
use rpc::Records;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use sun4v::calibration::{DISK_BYTES, DISK_CALL};
use sun4v::record::LoadError;
use sun4v::time::SimTime;

/// Where it listens.
pub const PORT: u16 = 2049;
/// Connections that it takes at once.
const CONNECTIONS: usize = 8;
const RECEIVE_BYTES: usize = 512 << 10;
const SEND_BYTES: usize = 512 << 10;

/// What the disks behind the NAS take for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disks {
    /// For every call.
    pub call_time: SimTime,
    /// Bytes a second of a read or a write, on top.
    pub bytes_per_second: u64,
}

impl Default for Disks {
    /// A filer that has it in its cache: 50 µs a call, 400 MB/s.
    fn default() -> Self {
        Self { call_time: SimTime::us(DISK_CALL), bytes_per_second: DISK_BYTES }
    }
}

impl Disks {
    /// What a call that moves `bytes` takes.
    #[must_use]
    pub fn time(&self, bytes: u64) -> SimTime {
        let moving =
            u128::from(bytes) * 1_000_000_000_000 / u128::from(self.bytes_per_second.max(1));
        self.call_time.plus(SimTime(moving as u64))
    }
}

/// A connection that is or may be made.
struct Connection {
    socket: SocketHandle,
    records: Records,
    /// Replies that are due and not yet in the socket.
    out: Vec<u8>,
    /// Raised when it ends, so that a reply of its last life is not sent.
    life: u32,
    up: bool,
}

/// A reply that waits for the disks.
struct Pending {
    connection: usize,
    life: u32,
    record: Vec<u8>,
}

/// The server.
pub struct Nas {
    name: String,
    host: Host,
    export: Export,
    disks: Disks,
    disks_free_at: SimTime,
    connections: Vec<Connection>,
    pending: EventQueue<Pending>,
    opened: BTreeSet<(usize, String)>,
    facts: Vec<Fact>,
    next: SimTime,
}

impl Nas {
    /// A server of `export`.
    #[must_use]
    pub fn new(name: &str, address: &Address, seed: Seed, export: Export, disks: Disks) -> Self {
        let mut host = Host::new(name, address, seed);
        let connections = (0..CONNECTIONS)
            .map(|_| Connection {
                socket: host.add_tcp(RECEIVE_BYTES, SEND_BYTES),
                records: Records::default(),
                out: Vec::new(),
                life: 0,
                up: false,
            })
            .collect();
        Self {
            name: name.to_owned(),
            host,
            export,
            disks,
            disks_free_at: SimTime::ZERO,
            connections,
            pending: EventQueue::new(),
            opened: BTreeSet::new(),
            facts: Vec::new(),
            next: SimTime::ZERO,
        }
    }

    /// What it exports.
    #[must_use]
    pub fn export(&self) -> &Export {
        &self.export
    }

    /// What it exports, to change it.
    pub fn export_mut(&mut self) -> &mut Export {
        &mut self.export
    }

    /// Notes how much each image was used.
    pub fn note_use(&mut self, now: SimTime) {
        for file in self.export.files() {
            let fact = Fact::new(now, &self.name, "image", "use", &file.name)
                .with("size_bytes", file.image.size())
                .with("reads", file.used.reads)
                .with("read_bytes", file.used.read_bytes)
                .with("writes", file.used.writes)
                .with("written_bytes", file.used.written_bytes)
                .with("spoiled", file.image.spoiled())
                .with("changed_blocks", file.image.changed_blocks());
            self.facts.push(fact);
        }
    }

    /// Takes bytes from a connection and serves the calls in them; true if
    /// anything changed.
    fn serve(&mut self, index: usize, now: SimTime) -> bool {
        let connection = &mut self.connections[index];
        let socket: &mut tcp::Socket<'_> = self.host.socket(connection.socket);
        if !socket.is_open() {
            if connection.up {
                connection.up = false;
                connection.life += 1;
                connection.records = Records::default();
                connection.out.clear();
            }
            // It is closed, so it can listen.
            return socket.listen(PORT).is_ok();
        }
        let client = socket.remote_endpoint().map(|end| end.addr.to_string()).unwrap_or_default();
        let mut moved = false;
        while socket.can_recv() {
            // It can receive, so it does.
            let _ = socket.recv(|bytes| {
                connection.records.push(bytes);
                (bytes.len(), ())
            });
            moved = true;
            connection.up = true;
        }
        loop {
            match connection.records.pop() {
                Ok(None) => break,
                Ok(Some(record)) => {
                    let mut effect = nfs::Effect::default();
                    let reply = rpc::serve(&record, |call| {
                        let (answer, done) = self.export.serve(call, now);
                        effect = done;
                        answer
                    });
                    if let Some(path) = effect.mounted {
                        let fact = Fact::new(now, &self.name, "nfs", "mount", &path);
                        self.facts.push(fact.saying(client.clone()));
                    }
                    if let Some(file) = effect.file
                        && self.opened.insert((file, client.clone()))
                    {
                        let name = &self.export.files()[file].name;
                        let fact = Fact::new(now, &self.name, "nfs", "open", name);
                        self.facts.push(fact.saying(client.clone()));
                    }
                    if let Some((file, claim, newest)) = effect.refused {
                        let name = &self.export.files()[file].name;
                        let fact = Fact::new(now, &self.name, "image", "refused", name)
                            .with("epoch", claim.epoch)
                            .with("newest", newest);
                        self.facts.push(fact.saying(claim.uuid.to_string()));
                    }
                    let time = self.disks.time(effect.disk_bytes);
                    self.disks_free_at = self.disks_free_at.max(now).plus(time);
                    if let Some(reply) = reply {
                        let life = connection.life;
                        let record = rpc::mark(&reply);
                        let pending = Pending { connection: index, life, record };
                        self.pending.post(self.disks_free_at, pending);
                    }
                }
                Err(rpc::OutOfStep) => {
                    socket.abort();
                    connection.records = Records::default();
                    return true;
                }
            }
        }
        if !socket.may_recv() && socket.may_send() && connection.out.is_empty() {
            socket.close();
            moved = true;
        }
        moved
    }

    /// Moves replies that are due into their sockets; true if anything moved.
    fn answer(&mut self, now: SimTime) -> bool {
        let mut moved = false;
        while let Some((_, pending)) = self.pending.pop_until(now) {
            let connection = &mut self.connections[pending.connection];
            if connection.life == pending.life {
                connection.out.extend(pending.record);
            }
        }
        for connection in &mut self.connections {
            if !connection.out.is_empty() {
                let socket: &mut tcp::Socket<'_> = self.host.socket(connection.socket);
                let sent = socket.send_slice(&connection.out).unwrap_or(0);
                connection.out.drain(..sent);
                moved |= sent > 0;
            }
        }
        moved
    }
}

impl LabHost for Nas {
    fn name(&self) -> &str {
        &self.name
    }
    fn frame(&mut self, frame: Vec<u8>) {
        self.host.frame(frame);
        self.next = SimTime::ZERO;
    }
    fn run(&mut self, now: SimTime) {
        loop {
            self.host.poll(now);
            let mut moved = false;
            for index in 0..self.connections.len() {
                moved |= self.serve(index, now);
            }
            if !(self.answer(now) || moved) {
                break;
            }
        }
        self.host.poll(now);
        self.next = self.host.next_time().min(self.pending.next_time());
    }
    fn next_time(&self) -> SimTime {
        self.next
    }
    fn take_frames(&mut self) -> Vec<Vec<u8>> {
        self.host.take_frames()
    }
    fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }
    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.record())
    }
    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.load_record(bytes)
    }
    fn restart(&mut self, now: SimTime) {
        self.next = now;
    }
    fn image(&self, name: &str) -> Option<&Image> {
        self.export.files().iter().find(|file| file.name == name).map(|file| &file.image)
    }
    fn claimed_at(&self, image: &str) -> Option<u64> {
        let file = self.export.files().iter().find(|file| file.name == image)?;
        file.owners.0.values().map(|owner| owner.epoch).max()
    }
    fn records_max(&self) -> u64 {
        // Every block written, and its number.
        let sizes = self.export.files().iter().map(|file| file.image.size());
        sizes.fold(1 << 20, |sum, size| sum + size + size / 64 + (1 << 20))
    }
    fn command(&mut self, line: &str, now: SimTime) -> Result<String, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["spoil", name, block] => {
                let number = block.parse().map_err(|_| format!("`{block}` is no block number"))?;
                let image =
                    self.export.image_mut(name).ok_or_else(|| format!("no image `{name}`"))?;
                if !image.spoil(number) {
                    return Err(format!("`{name}` has {} blocks", image.blocks()));
                }
                let fact = Fact::new(now, &self.name, "image", "spoil", name);
                self.facts.push(fact.with("block", number));
                Ok(String::new())
            }
            ["images"] => {
                self.note_use(now);
                let mut text = String::new();
                for file in self.export.files() {
                    let (size, changed) = (file.image.size(), file.image.changed_blocks());
                    // Writing to a string does not fail.
                    let _ = writeln!(text, "{} {size} bytes, {changed} blocks changed", file.name);
                }
                Ok(text)
            }
            ["owners"] => {
                let mut text = String::new();
                for file in self.export.files() {
                    for (uuid, owner) in &file.owners.0 {
                        let (name, epoch, refused) = (&file.name, owner.epoch, owner.refused);
                        let _ = writeln!(text, "{name} {uuid} epoch {epoch}, {refused} refused");
                    }
                }
                Ok(text)
            }
            ["release", name] => {
                let file = self.export.files_mut().iter_mut().find(|file| file.name == name);
                let file = file.ok_or_else(|| format!("no image `{name}`"))?;
                file.owners = fence::Owners::default();
                Ok(String::new())
            }
            _ => Err(format!(
                "`{line}`: this host knows `spoil IMAGE BLOCK`, `images`, `owners` and `release \
                 IMAGE`"
            )),
        }
    }
}

#[cfg(test)]
mod test;
