//! NFS: the client through which the virtual disk server reaches its volumes.
//!
//! One connection a server; MOUNT and NFS version 3 at the same port, without a
//! port mapper. Many calls are under way at once. A server that is away is waited
//! for: calls are sent again, with the same numbers, over the next connection.
//!
//! **Writes** are unstable and kept until a COMMIT has covered them; when the
//! server's verifier has changed meanwhile, they are written again. So what a
//! flush has answered outlives a crash of the server. Durable writes are
//! FILE_SYNC.
//!
//! **Order.** Requests of one volume run side by side, but a flush waits for what
//! was submitted before it and holds back what comes after.
//!
//! **Owners.** A file that is opened in a domain's name is claimed for it, if the server
//! has a fence ([`rpc`]): the handle that it is used with from then on says domain and
//! epoch. With another server it is used as anybody would.
//!
//! **Errors.** NFS statuses become Solaris error numbers; JUKEBOX means "later".
//!
//! **Source.** RFC 1813; AUTH_UNIX of RFC 5531.

pub mod rpc;
mod storage;
#[cfg(test)]
mod test;
pub mod xdr;

pub use storage::Storage;

use super::volume::{Kept, KeptWrite, Owner, Request};
use crate::migrate::mutant::{self, Mutant};
use crate::stack::{Stack, TcpId, TcpState};
use rpc::{Answer, Call, FILE_SYNC, Handle, Records, Reply, UNSTABLE, Verifier};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use sun4v::time::SimTime;
use sun4v::vio::vdisk::Errno;

/// Bytes of each direction's TCP buffer.
const TCP_BUFFER: usize = 1 << 20;
/// How long to wait before connecting again, and after a JUKEBOX.
const RETRY: SimTime = SimTime::secs(1);
/// Unstable bytes of a file that make the client commit by itself.
const UNCOMMITTED_MAX: usize = 16 << 20;
/// `nfsstat3`: the server asks to try later.
const JUKEBOX: u32 = 10_008;

/// How a client works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NfsConf {
    /// The server.
    pub server: Ipv4Addr,
    /// Its port, for MOUNT and NFS.
    pub port: u16,
    /// Our name, for AUTH_UNIX.
    pub machine: String,
    /// Bytes of the largest READ or WRITE.
    pub chunk: u32,
    /// Calls under way.
    pub slots: usize,
}

impl NfsConf {
    /// A client of `server` as a 2011 Solaris would be over gigabit links: 32 KiB
    /// transfers, sixteen calls.
    #[must_use]
    pub fn new(server: Ipv4Addr, machine: &str) -> Self {
        Self { server, port: 2049, machine: machine.to_owned(), chunk: 32_768, slots: 16 }
    }
}

/// An open file of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// What a client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NfsEvent {
    /// A file was opened: its size.
    Opened(FileId, Result<u64, Errno>),
    /// A file was claimed at another epoch.
    Claimed(FileId, Result<(), Errno>),
    /// A request is done.
    Done(u64, Result<Vec<u8>, Errno>),
}

/// What the client did since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Calls sent.
    pub calls: u64,
    /// Bytes sent and received.
    pub bytes: u64,
}

/// A write that the server has and may lose.
#[derive(Debug)]
struct Unstable {
    offset: u64,
    data: Vec<u8>,
    verifier: Verifier,
}

#[derive(Debug)]
enum Open {
    Folder,
    Name,
    /// The handle that anybody gets.
    Claim(Handle),
    Size(Handle),
    Done(Handle),
    Failed(Errno),
}

#[derive(Debug)]
struct File {
    folder: String,
    name: String,
    open: Open,
    /// In whose name.
    owner: Option<Owner>,
    /// The handle to claim with; `None` when the server has no fence.
    plain: Option<Handle>,
    queue: VecDeque<(Option<u64>, Request)>,
    /// Requests with calls under way.
    active: u32,
    /// A COMMIT, or what it makes necessary, is under way.
    committing: bool,
    unstable: Vec<Unstable>,
    unstable_bytes: usize,
    /// Data that were answered could not be made durable: the next flush tells.
    lost: Option<Errno>,
}

/// A request that was cut into calls.
#[derive(Debug)]
struct Active {
    file: FileId,
    /// `None`: of our own, tells nobody.
    token: Option<u64>,
    data: Vec<u8>,
    calls: u32,
    error: Option<Errno>,
    /// Writes that the server lost, for a flush to repeat one after the other.
    rewrites: VecDeque<Unstable>,
}

/// A call under way and what it is for.
#[derive(Debug)]
struct Sent {
    call: Call,
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug)]
enum Purpose {
    Open(FileId),
    /// A newer epoch of an open file.
    Claim(FileId),
    /// Part of a request: where its bytes go in the request's.
    Part {
        request: u64,
        at: usize,
    },
    Commit {
        request: u64,
    },
}

/// A client of one server.
#[derive(Debug)]
pub struct NfsClient {
    conf: NfsConf,
    connection: Option<TcpId>,
    /// Not before.
    retry_at: SimTime,
    records: Records,
    outgoing: VecDeque<u8>,
    next_xid: u32,
    next_request: u64,
    /// Calls under way, by number.
    sent: BTreeMap<u32, Sent>,
    /// Calls that wait for a slot.
    waiting: VecDeque<Sent>,
    active: BTreeMap<u64, Active>,
    files: BTreeMap<FileId, File>,
    events: Vec<NfsEvent>,
    effort: Effort,
}

impl NfsClient {
    /// A client that connects when there is something to do.
    #[must_use]
    pub fn new(conf: NfsConf) -> Self {
        Self {
            conf,
            connection: None,
            retry_at: SimTime::ZERO,
            records: Records::default(),
            outgoing: VecDeque::new(),
            next_xid: 1,
            next_request: 0,
            sent: BTreeMap::new(),
            waiting: VecDeque::new(),
            active: BTreeMap::new(),
            files: BTreeMap::new(),
            events: Vec::new(),
            effort: Effort::default(),
        }
    }

    /// Opens the file at `path`, in somebody's name; [`NfsEvent::Opened`] follows.
    pub fn open(&mut self, file: FileId, path: &str, owner: Option<Owner>) {
        let owner = owner.filter(|_| !mutant::is(Mutant::EpochNotCheckedByDisk));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = if folder.is_empty() { "/" } else { folder };
        let record = File {
            folder: folder.to_owned(),
            name: name.to_owned(),
            open: Open::Folder,
            owner,
            plain: None,
            queue: VecDeque::new(),
            active: 0,
            committing: false,
            unstable: Vec::new(),
            unstable_bytes: 0,
            lost: None,
        };
        let call = Call::Mount(record.folder.clone());
        self.files.insert(file, record);
        self.waiting.push_back(Sent { call, purpose: Purpose::Open(file) });
    }

    /// Claims an open file at another epoch; [`NfsEvent::Claimed`] follows.
    pub fn claim(&mut self, file: FileId, epoch: u64) {
        let result = match self.files.get_mut(&file) {
            Some(File { open: Open::Done(_), plain: Some(plain), owner: Some(owner), .. }) => {
                owner.epoch = epoch;
                let call = Call::Claim { handle: plain.clone(), owner: owner.clone() };
                self.waiting.push_front(Sent { call, purpose: Purpose::Claim(file) });
                return;
            }
            Some(File { open: Open::Done(_), .. }) => Ok(()),
            Some(File { open: Open::Failed(error), .. }) => Err(*error),
            // Not open yet.
            Some(_) => Err(Errno::Inval),
            None => Err(Errno::Nxio),
        };
        self.events.push(NfsEvent::Claimed(file, result));
    }

    /// Forgets a file. Writes that were answered are committed first by a flush,
    /// or may be lost with the server.
    pub fn close(&mut self, file: FileId) {
        self.files.remove(&file);
    }

    /// Submits a request; [`NfsEvent::Done`] follows.
    pub fn submit(&mut self, file: FileId, token: u64, request: Request) {
        match self.files.get_mut(&file) {
            Some(File { open: Open::Failed(error), .. }) => {
                self.events.push(NfsEvent::Done(token, Err(*error)));
            }
            Some(record) => record.queue.push_back((Some(token), request)),
            None => self.events.push(NfsEvent::Done(token, Err(Errno::Nxio))),
        }
    }

    /// Writes of a file that were answered and that the server may yet lose.
    ///
    /// # Errors
    /// The server has lost some, and they are just being repeated.
    pub fn kept(&self, file: FileId) -> Result<Kept, String> {
        let Some(record) = self.files.get(&file) else { return Ok(Kept::default()) };
        let File {
            // Asked for anew by whoever opens it again.
            folder: _,
            name: _,
            open: _,
            owner: _,
            plain: _,
            // Not answered: whoever asked asks again.
            queue: _,
            active: _,
            committing,
            unstable,
            unstable_bytes: _,
            lost,
        } = record;
        // A COMMIT covers some; afterwards there are some again only to be repeated.
        if *committing && unstable.is_empty() {
            return Err("writes that a server has lost are being repeated".to_owned());
        }
        let writes = unstable.iter().map(|write| {
            let Unstable { offset, data, verifier } = write;
            KeptWrite { offset: *offset, data: data.clone(), life: *verifier }
        });
        Ok(Kept { writes: writes.collect(), lost: *lost })
    }

    /// Remembers writes of a file that was just opened: the next flush makes them
    /// durable, or finds that they must be repeated.
    pub fn keep(&mut self, file: FileId, kept: Kept) {
        let Some(file) = self.files.get_mut(&file) else { return };
        let Kept { writes, lost } = kept;
        file.lost = lost;
        file.unstable_bytes = writes.iter().map(|write| write.data.len()).sum();
        file.unstable = writes
            .into_iter()
            .map(|KeptWrite { offset, data, life }| Unstable { offset, data, verifier: life })
            .collect();
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<NfsEvent> {
        std::mem::take(&mut self.events)
    }

    /// What was done since the last call.
    pub fn take_effort(&mut self) -> Effort {
        std::mem::take(&mut self.effort)
    }

    /// Is anything under way or waiting?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.sent.is_empty()
            && self.waiting.is_empty()
            && self.files.values().all(|file| file.queue.is_empty())
    }

    /// When to poll again, besides when the stack says so.
    #[must_use]
    pub fn next_poll(&self, now: SimTime) -> SimTime {
        if !self.is_idle() && self.retry_at > now { self.retry_at } else { SimTime::NEVER }
    }

    /// Moves bytes and requests; call it before and after the stack's poll.
    pub fn poll(&mut self, stack: &mut Stack, now: SimTime) {
        self.dispatch();
        let Some(id) = self.connected(stack, now) else { return };
        match stack.tcp_state(id) {
            TcpState::Open => {}
            TcpState::Listening | TcpState::Connecting => return,
            TcpState::Ended | TcpState::Closed => return self.disconnect(stack, now),
        }
        let received = stack.tcp_recv(id, self.records.stream(), usize::MAX);
        self.effort.bytes += received as u64;
        loop {
            match self.records.next_record() {
                Ok(Some(record)) => self.reply(&record, now),
                Ok(None) => break,
                Err(rpc::TooLong) => return self.disconnect(stack, now),
            }
        }
        self.dispatch();
        if now >= self.retry_at {
            self.fill();
        }
        while !self.outgoing.is_empty() {
            let taken = stack.tcp_send(id, self.outgoing.as_slices().0);
            self.outgoing.drain(..taken);
            self.effort.bytes += taken as u64;
            if taken == 0 {
                break;
            }
        }
    }

    fn connected(&mut self, stack: &mut Stack, now: SimTime) -> Option<TcpId> {
        if self.connection.is_none() && !self.is_idle() && now >= self.retry_at {
            let id = stack.tcp_connect(self.conf.server, self.conf.port, TCP_BUFFER);
            self.connection = Some(id);
        }
        self.connection
    }

    /// The connection is gone: every call goes over the next one.
    fn disconnect(&mut self, stack: &mut Stack, now: SimTime) {
        if let Some(id) = self.connection.take() {
            stack.tcp_abort(id);
        }
        self.records = Records::default();
        self.outgoing.clear();
        for (xid, sent) in &self.sent {
            self.outgoing.extend(sent.call.encode(*xid, &self.conf.machine));
        }
        self.retry_at = now.plus(RETRY);
    }

    /// Gives waiting calls their slots.
    fn fill(&mut self) {
        while self.sent.len() < self.conf.slots
            && let Some(sent) = self.waiting.pop_front()
        {
            let xid = self.next_xid;
            self.next_xid = xid.wrapping_add(1);
            self.outgoing.extend(sent.call.encode(xid, &self.conf.machine));
            self.effort.calls += 1;
            self.sent.insert(xid, sent);
        }
    }

    /// Cuts queued requests into calls, as far as order lets it.
    fn dispatch(&mut self) {
        let ids: Vec<FileId> = self.files.keys().copied().collect();
        for id in ids {
            while self.waiting.len() < self.conf.slots && self.dispatch_one(id) {}
        }
    }

    fn dispatch_one(&mut self, id: FileId) -> bool {
        let Some(file) = self.files.get_mut(&id) else { return false };
        let Open::Done(handle) = &file.open else { return false };
        let handle = handle.clone();
        if file.committing {
            return false;
        }
        if file.unstable_bytes > UNCOMMITTED_MAX
            && !matches!(file.queue.front(), Some((_, Request::Flush)))
        {
            file.queue.push_front((None, Request::Flush));
        }
        if matches!(file.queue.front(), Some((_, Request::Flush))) && file.active > 0 {
            return false;
        }
        let Some((token, request)) = file.queue.pop_front() else { return false };
        file.active += 1;
        let number = self.next_request;
        self.next_request += 1;
        let chunk = self.conf.chunk as usize;
        let mut active = Active {
            file: id,
            token,
            data: Vec::new(),
            calls: 0,
            error: None,
            rewrites: VecDeque::new(),
        };
        match request {
            Request::Read { offset, bytes } => {
                active.data = vec![0; bytes as usize];
                for at in (0..bytes as usize).step_by(chunk) {
                    let count = (bytes as usize - at).min(chunk) as u32;
                    let offset = offset + at as u64;
                    let call = Call::Read { handle: handle.clone(), offset, count };
                    let purpose = Purpose::Part { request: number, at };
                    self.waiting.push_back(Sent { call, purpose });
                    active.calls += 1;
                }
            }
            Request::Write { offset, data, durable } => {
                let stable = if durable { FILE_SYNC } else { UNSTABLE };
                for (n, piece) in data.chunks(chunk).enumerate() {
                    let (handle, data) = (handle.clone(), piece.to_vec());
                    let offset = offset + (n * chunk) as u64;
                    let call = Call::Write { handle, offset, stable, data };
                    let purpose = Purpose::Part { request: number, at: n * chunk };
                    self.waiting.push_back(Sent { call, purpose });
                    active.calls += 1;
                }
            }
            Request::Flush if file.unstable.is_empty() => active.error = file.lost.take(),
            Request::Flush => {
                file.committing = true;
                let purpose = Purpose::Commit { request: number };
                self.waiting.push_back(Sent { call: Call::Commit(handle), purpose });
                active.calls += 1;
            }
        }
        self.active.insert(number, active);
        self.settle(number);
        true
    }

    /// Ends a request that has no call left.
    fn settle(&mut self, number: u64) {
        if self.active.get(&number).is_none_or(|active| active.calls > 0) {
            return;
        }
        let Some(active) = self.active.remove(&number) else { return };
        if let Some(file) = self.files.get_mut(&active.file) {
            file.active -= 1;
        }
        if let Some(token) = active.token {
            let result = active.error.map_or(Ok(active.data), Err);
            self.events.push(NfsEvent::Done(token, result));
        }
    }

    fn reply(&mut self, record: &[u8], now: SimTime) {
        let Some(reply) = Reply::parse(record) else { return };
        let Some(sent) = self.sent.remove(&reply.xid) else { return };
        let answer = sent.call.answer(&reply);
        if answer == Answer::Failed(JUKEBOX) {
            self.waiting.push_front(sent);
            self.retry_at = now.plus(RETRY);
            return;
        }
        match sent.purpose {
            Purpose::Open(file) => self.opened(file, answer),
            Purpose::Claim(file) => self.claimed(file, answer),
            Purpose::Part { request, at } => self.part(request, at, sent.call, answer),
            Purpose::Commit { request } => self.committed(request, answer),
        }
    }

    fn opened(&mut self, id: FileId, answer: Answer) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let (open, call) = match (std::mem::replace(&mut file.open, Open::Folder), answer) {
            (Open::Folder, Answer::Handle(folder)) => {
                let call = Call::Lookup(folder, file.name.clone());
                (Open::Name, Some(call))
            }
            (Open::Name, Answer::Handle(handle)) => match file.owner.clone() {
                Some(owner) => {
                    let call = Call::Claim { handle: handle.clone(), owner };
                    (Open::Claim(handle), Some(call))
                }
                None => (Open::Size(handle.clone()), Some(Call::GetAttr(handle))),
            },
            (Open::Claim(plain), Answer::NoProgram) => {
                (Open::Size(plain.clone()), Some(Call::GetAttr(plain)))
            }
            (Open::Claim(plain), Answer::Handle(own)) => {
                file.plain = Some(plain);
                (Open::Size(own.clone()), Some(Call::GetAttr(own)))
            }
            (Open::Size(handle), Answer::Size(size)) => {
                self.events.push(NfsEvent::Opened(id, Ok(size)));
                (Open::Done(handle), None)
            }
            (_, answer) => {
                let error = errno(&answer);
                self.events.push(NfsEvent::Opened(id, Err(error)));
                for (token, _) in file.queue.drain(..) {
                    self.events.extend(token.map(|token| NfsEvent::Done(token, Err(error))));
                }
                (Open::Failed(error), None)
            }
        };
        file.open = open;
        if let Some(call) = call {
            self.waiting.push_front(Sent { call, purpose: Purpose::Open(id) });
        }
    }

    /// From here on requests are of the new epoch; those that were cut into calls before
    /// keep the old one.
    fn claimed(&mut self, id: FileId, answer: Answer) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let result = match answer {
            Answer::Handle(handle) => {
                file.open = Open::Done(handle);
                Ok(())
            }
            answer => Err(errno(&answer)),
        };
        self.events.push(NfsEvent::Claimed(id, result));
    }

    fn part(&mut self, request: u64, at: usize, call: Call, answer: Answer) {
        let Some(active) = self.active.get_mut(&request) else { return };
        let purpose = |at| Purpose::Part { request, at };
        match (call, answer) {
            (Call::Read { handle, offset, count }, Answer::Data(data, end)) => {
                active.data[at..at + data.len()].copy_from_slice(&data);
                let left = count - data.len() as u32;
                if left > 0 && !end && !data.is_empty() {
                    let offset = offset + data.len() as u64;
                    let call = Call::Read { handle, offset, count: left };
                    self.waiting.push_front(Sent { call, purpose: purpose(at + data.len()) });
                    return;
                }
                if left > 0 {
                    active.error = Some(Errno::Io);
                }
            }
            (
                Call::Write { handle, offset, stable, mut data },
                Answer::Written(count, how, verifier),
            ) if count > 0 && count as usize <= data.len() => {
                let rest = data.split_off(count as usize);
                let written = data.len();
                if how != FILE_SYNC
                    && let Some(file) = self.files.get_mut(&active.file)
                {
                    file.unstable_bytes += written;
                    file.unstable.push(Unstable { offset, data, verifier });
                }
                if !rest.is_empty() {
                    let offset = offset + written as u64;
                    let call = Call::Write { handle, offset, stable, data: rest };
                    self.waiting.push_front(Sent { call, purpose: purpose(at + written) });
                    return;
                }
            }
            (_, answer) => active.error = Some(errno(&answer)),
        }
        active.calls -= 1;
        self.rewrite(request);
        self.settle(request);
    }

    fn committed(&mut self, request: u64, answer: Answer) {
        let Some(active) = self.active.get_mut(&request) else { return };
        active.calls -= 1;
        if let Some(file) = self.files.get_mut(&active.file) {
            match answer {
                Answer::Committed(verifier) => {
                    let unstable = std::mem::take(&mut file.unstable);
                    file.unstable_bytes = 0;
                    // One life of the server lost some: all are repeated, in order,
                    // so that no older data come to lie over newer.
                    if unstable.iter().any(|write| write.verifier != verifier) {
                        active.rewrites = unstable.into();
                    }
                }
                answer => active.error = Some(errno(&answer)),
            }
        }
        self.rewrite(request);
        self.settle(request);
    }

    /// Goes on with a flush: the next write to repeat, or its end.
    fn rewrite(&mut self, request: u64) {
        let Some(active) = self.active.get_mut(&request) else { return };
        let Some(file) = self.files.get_mut(&active.file) else { return };
        let Open::Done(handle) = &file.open else { return };
        if !file.committing || active.calls > 0 {
            return;
        }
        if let Some(Unstable { offset, data, .. }) = active.rewrites.pop_front() {
            let call = Call::Write { handle: handle.clone(), offset, stable: FILE_SYNC, data };
            self.waiting.push_front(Sent { call, purpose: Purpose::Part { request, at: 0 } });
            active.calls += 1;
            return;
        }
        file.committing = false;
        if active.token.is_none() {
            file.lost = file.lost.or(active.error);
        } else {
            active.error = active.error.or(file.lost.take());
        }
    }
}

/// The Solaris error number of an `nfsstat3`.
fn errno(answer: &Answer) -> Errno {
    match answer {
        Answer::Failed(2 | 6 | 19 | 20) => Errno::Nxio,
        Answer::Failed(1 | 13) => Errno::Acces,
        Answer::Failed(22) => Errno::Inval,
        Answer::Failed(28) => Errno::NoSpc,
        Answer::Failed(30) => Errno::RoFs,
        Answer::Failed(70) => Errno::Stale,
        _ => Errno::Io,
    }
}
