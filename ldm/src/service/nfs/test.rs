//! A client and a tiny server of one file, on two stacks.

use super::rpc::{FENCE, Records};
use super::xdr::{Reader, Writer};
use super::{FileId, NfsClient, NfsConf, NfsEvent};
use crate::migrate::mutant::{Mutant, with};
use crate::service::volume::{Kept, Owner, Request};
use crate::stack::test::{exchange, stack};
use crate::stack::{Stack, TcpId, TcpState};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use sun4v::time::SimTime;
use sun4v::vio::vdisk::Errno;

const FILE: FileId = FileId(0);

struct Server {
    stack: Stack,
    listener: TcpId,
    records: Records,
    /// What a crash leaves.
    disk: Vec<u8>,
    /// What reads see.
    cache: Vec<u8>,
    verifier: u64,
    /// Largest transfer; more is answered short.
    most: usize,
    jukebox: bool,
    calls: Vec<(u32, u32)>,
    deaf: bool,
    /// The newest epoch at which the file was claimed, by UUID; `None` without a fence.
    owners: Option<BTreeMap<Vec<u8>, u64>>,
}

impl Server {
    fn new(bytes: usize) -> Self {
        let mut stack = stack(2);
        let listener = stack.tcp_listen(2049, 1 << 20);
        let disk: Vec<u8> = (0..bytes).map(|n| (n / 512) as u8).collect();
        Self {
            stack,
            listener,
            records: Records::default(),
            cache: disk.clone(),
            disk,
            verifier: 1,
            most: 32_768,
            jukebox: false,
            calls: Vec::new(),
            deaf: false,
            owners: Some(BTreeMap::new()),
        }
    }

    /// Power fails: connections and unstable data are gone.
    fn crash(&mut self) {
        self.stack.tcp_abort(self.listener);
        self.listener = self.stack.tcp_listen(2049, 1 << 20);
        self.records = Records::default();
        self.cache = self.disk.clone();
        self.verifier += 1;
    }

    fn poll(&mut self) {
        if self.stack.tcp_state(self.listener) == TcpState::Closed {
            self.listener = self.stack.tcp_listen(2049, 1 << 20);
        }
        self.stack.tcp_recv(self.listener, self.records.stream(), usize::MAX);
        if self.deaf {
            return;
        }
        while let Some(record) = self.records.next_record().unwrap() {
            let reply = self.call(&record).unwrap();
            assert_eq!(self.stack.tcp_send(self.listener, &reply), reply.len());
        }
    }

    fn call(&mut self, record: &[u8]) -> Option<Vec<u8>> {
        let mut call = Reader(record);
        let mut out = Writer(vec![0; 4]);
        out.u32(call.u32()?).u32(1).u32(0).u32(0).u32(0).u32(0);
        assert_eq!((call.u32()?, call.u32()?), (0, 2));
        let (program, version, procedure) = (call.u32()?, call.u32()?, call.u32()?);
        assert_eq!(version, if program == FENCE { 1 } else { 3 });
        assert_eq!(call.u32()?, 1);
        let mut credential = Reader(call.opaque(400)?);
        credential.u32()?;
        assert_eq!(credential.opaque(255)?, b"t5120");
        assert_eq!((call.u32()?, call.u32()?), (0, 0));
        self.calls.push((program, procedure));
        if std::mem::take(&mut self.jukebox) {
            out.u32(10_008).u32(0);
        } else if program == FENCE && self.owners.is_none() {
            out.0.truncate(out.0.len() - 4);
            out.u32(1);
        } else {
            self.answer((program, procedure), call, &mut out)?;
        }
        let header = 1 << 31 | (out.0.len() - 4) as u32;
        out.0[..4].copy_from_slice(&header.to_be_bytes());
        Some(out.0)
    }

    fn answer(
        &mut self,
        procedure: (u32, u32),
        mut call: Reader<'_>,
        out: &mut Writer,
    ) -> Option<()> {
        let mut first = call.opaque(1000)?;
        if let Some(claim) = first.strip_prefix(b"file of ") {
            let (uuid, epoch) = claim.split_at(claim.len() - 8);
            let newest = self.owners.as_ref().and_then(|owners| owners.get(uuid));
            if newest.is_some_and(|newest| newest.to_be_bytes() > *epoch.first_chunk().unwrap()) {
                out.u32(70).u32(0).u32(0);
                return Some(());
            }
            first = b"file";
        }
        match procedure {
            (FENCE, 1) => {
                assert_eq!(first, b"file");
                let (uuid, epoch) = (call.opaque(36)?.to_vec(), call.u64()?);
                let owner = self.owners.as_mut()?.entry(uuid.clone()).or_default();
                if *owner > epoch {
                    out.u32(70);
                } else {
                    *owner = epoch;
                    let handle = [b"file of ", uuid.as_slice(), &epoch.to_be_bytes()].concat();
                    out.u32(0).opaque(&handle);
                }
            }
            (100_005, 1) if first == b"/export" => {
                out.u32(0).opaque(b"root").u32(1).u32(1);
            }
            (100_005, 1) => {
                out.u32(13);
            }
            (100_003, 3) => {
                assert_eq!(first, b"root");
                if call.opaque(255)? == b"rover-a.img" {
                    out.u32(0).opaque(b"file").u32(0).u32(0);
                } else {
                    out.u32(2).u32(0);
                }
            }
            (100_003, 1) => {
                assert_eq!(first, b"file");
                out.u32(0).u32(1).u32(0o644).u32(1).u32(0).u32(0).u64(self.disk.len() as u64);
                out.0.extend_from_slice(&[0; 56]);
            }
            (100_003, 6) => {
                let (offset, count) = (call.u64()? as usize, call.u32()? as usize);
                let end = (offset + count.min(self.most)).min(self.cache.len());
                let data = &self.cache[offset.min(end)..end];
                out.u32(0).u32(0).u32(data.len() as u32).u32(u32::from(end == self.cache.len()));
                out.opaque(data);
            }
            (100_003, 7) => {
                let (offset, count) = (call.u64()? as usize, call.u32()? as usize);
                let stable = call.u32()?;
                let data = call.opaque(65_536)?;
                assert_eq!(data.len(), count);
                let n = count.min(self.most);
                self.cache[offset..offset + n].copy_from_slice(&data[..n]);
                if stable == 2 {
                    self.disk[offset..offset + n].copy_from_slice(&data[..n]);
                }
                out.u32(0).u32(0).u32(0).u32(n as u32).u32(stable).u64(self.verifier);
            }
            (100_003, 21) => {
                self.disk = self.cache.clone();
                out.u32(0).u32(0).u32(0).u64(self.verifier);
            }
            other => panic!("unknown procedure {other:?}"),
        }
        Some(())
    }
}

struct World {
    server: Server,
    stack: Stack,
    client: NfsClient,
    now: SimTime,
}

impl World {
    fn new(bytes: usize) -> Self {
        let server = Ipv4Addr::new(192, 168, 2, 2);
        Self {
            server: Server::new(bytes),
            stack: stack(20),
            client: NfsClient::new(NfsConf::new(server, "t5120")),
            now: SimTime::us(1),
        }
    }

    fn open(bytes: usize) -> Self {
        let mut world = Self::new(bytes);
        world.client.open(FILE, "/export/rover-a.img", None);
        assert_eq!(world.run(), [NfsEvent::Opened(FILE, Ok(bytes as u64))]);
        world
    }

    /// Lets two seconds and a bit go by.
    fn run(&mut self) -> Vec<NfsEvent> {
        let mut events = Vec::new();
        for _ in 0..440 {
            self.client.poll(&mut self.stack, self.now);
            exchange(&mut self.stack, &mut self.server.stack, self.now);
            self.server.poll();
            exchange(&mut self.stack, &mut self.server.stack, self.now);
            self.client.poll(&mut self.stack, self.now);
            events.extend(self.client.take_events());
            self.now = self.now.plus(SimTime::ms(5));
        }
        events
    }

    fn write(&mut self, token: u64, offset: u64, data: Vec<u8>, durable: bool) {
        self.client.submit(FILE, token, Request::Write { offset, data, durable });
    }
}

fn done(token: u64) -> NfsEvent {
    NfsEvent::Done(token, Ok(Vec::new()))
}

#[test]
fn a_long_read_is_cut_into_calls_and_put_together() {
    let mut world = World::open(1 << 20);
    world.client.submit(FILE, 7, Request::Read { offset: 1536, bytes: 100_352 });
    let expected = world.server.disk[1536..1536 + 100_352].to_vec();
    assert_eq!(world.run(), [NfsEvent::Done(7, Ok(expected))]);
    assert_eq!(world.server.calls.iter().filter(|call| call.1 == 6).count(), 4);
}

#[test]
fn short_answers_are_asked_for_the_rest() {
    let mut world = World::open(1 << 20);
    world.server.most = 5000;
    world.client.submit(FILE, 7, Request::Read { offset: 512, bytes: 32_768 });
    let expected = world.server.disk[512..512 + 32_768].to_vec();
    assert_eq!(world.run(), [NfsEvent::Done(7, Ok(expected))]);
    world.write(8, 1024, vec![9; 20_000], true);
    assert_eq!(world.run(), [done(8)]);
    assert_eq!(world.server.disk[1024..21_024], [9; 20_000]);
}

#[test]
fn a_read_past_the_end_is_an_error() {
    let mut world = World::open(4096);
    world.client.submit(FILE, 1, Request::Read { offset: 4096, bytes: 512 });
    assert_eq!(world.run(), [NfsEvent::Done(1, Err(Errno::Io))]);
}

#[test]
fn a_missing_file_and_a_foreign_export_cannot_be_opened() {
    for (path, error) in [("/export/other.img", Errno::Nxio), ("/secret/a", Errno::Acces)] {
        let mut world = World::new(512);
        world.client.open(FILE, path, None);
        world.client.submit(FILE, 3, Request::Flush);
        let expected = [NfsEvent::Opened(FILE, Err(error)), NfsEvent::Done(3, Err(error))];
        assert_eq!(world.run(), expected);
    }
}

#[test]
fn what_a_flush_has_answered_is_on_disk() {
    let mut world = World::open(1 << 16);
    world.write(1, 0, vec![1; 40_000], false);
    assert_eq!(world.run(), [done(1)]);
    assert_eq!(world.server.disk[0], 0);
    world.client.submit(FILE, 2, Request::Flush);
    assert_eq!(world.run(), [done(2)]);
    assert_eq!(world.server.disk[..40_000], [1; 40_000]);
    // Nothing left to commit: no call.
    let calls = world.server.calls.len();
    world.client.submit(FILE, 3, Request::Flush);
    assert_eq!(world.run(), [done(3)]);
    assert_eq!(world.server.calls.len(), calls);
}

#[test]
fn a_durable_write_needs_no_flush() {
    let mut world = World::open(1 << 16);
    world.write(1, 512, vec![3; 512], true);
    assert_eq!(world.run(), [done(1)]);
    assert_eq!(world.server.disk[512..1024], [3; 512]);
}

#[test]
fn writes_that_a_crash_lost_are_repeated_in_order_before_the_flush_ends() {
    let mut world = World::open(1 << 16);
    world.write(1, 0, vec![1; 1024], false);
    assert_eq!(world.run(), [done(1)]);
    world.server.crash();
    world.write(2, 512, vec![2; 512], false);
    assert_eq!(world.run(), [done(2)]);
    assert_eq!(world.server.disk[..1024], [[0; 512], [1; 512]].concat());
    world.client.submit(FILE, 3, Request::Flush);
    assert_eq!(world.run(), [done(3)]);
    assert_eq!(world.server.disk[..1024], [[1; 512], [2; 512]].concat());
}

/// A client that has forgotten everything but what it must not.
fn forgetful(world: &mut World) {
    let kept = world.client.kept(FILE).unwrap();
    world.stack = stack(20);
    world.server.stack = stack(2);
    world.server.listener = world.server.stack.tcp_listen(2049, 1 << 20);
    world.server.records = Records::default();
    world.client = NfsClient::new(world.client.conf.clone());
    world.client.open(FILE, "/export/rover-a.img", None);
    world.client.keep(FILE, kept.clone());
    assert_eq!(world.client.kept(FILE), Ok(kept));
}

#[test]
fn what_was_answered_is_not_forgotten_with_the_client() {
    for crash in [false, true] {
        let mut world = World::open(1 << 16);
        world.write(1, 0, vec![1; 40_000], false);
        world.write(2, 512, vec![2; 512], false);
        assert_eq!(world.run(), [done(1), done(2)]);
        // Not answered: whoever asked asks again.
        world.write(3, 1024, vec![3; 512], false);
        forgetful(&mut world);
        if crash {
            world.server.crash();
        }
        world.client.submit(FILE, 4, Request::Flush);
        let opened = NfsEvent::Opened(FILE, Ok(1 << 16));
        assert_eq!(world.run(), [opened, done(4)]);
        assert_eq!(world.server.disk[..512], [1; 512]);
        assert_eq!(world.server.disk[512..1024], [2; 512]);
        assert_eq!(world.server.disk[1024..1536], [1; 512]);
        assert_eq!(world.client.kept(FILE), Ok(Kept::default()));
    }
}

#[test]
fn what_is_lost_for_certain_is_told_by_the_next_flush_of_a_later_life() {
    let mut world = World::open(1 << 16);
    world.client.keep(FILE, Kept { lost: Some(Errno::NoSpc), ..Kept::default() });
    forgetful(&mut world);
    world.client.submit(FILE, 1, Request::Flush);
    world.client.submit(FILE, 2, Request::Flush);
    let lost = NfsEvent::Done(1, Err(Errno::NoSpc));
    assert_eq!(world.run(), [NfsEvent::Opened(FILE, Ok(1 << 16)), lost, done(2)]);
}

#[test]
fn a_client_that_repeats_lost_writes_cannot_be_saved_until_it_is_done() {
    let mut world = World::open(1 << 16);
    world.write(1, 0, vec![1; 8192], false);
    world.write(2, 8192, vec![2; 8192], false);
    assert_eq!(world.run(), [done(1), done(2)]);
    world.server.verifier += 1;
    world.client.submit(FILE, 3, Request::Flush);
    let (mut refused, mut events) = (0, Vec::new());
    while events.is_empty() {
        world.client.poll(&mut world.stack, world.now);
        exchange(&mut world.stack, &mut world.server.stack, world.now);
        world.server.poll();
        exchange(&mut world.stack, &mut world.server.stack, world.now);
        world.client.poll(&mut world.stack, world.now);
        events = world.client.take_events();
        world.now = world.now.plus(SimTime::ms(5));
        match world.client.kept(FILE) {
            // Before the server has said that it knows nothing of them.
            Ok(kept) => assert!(kept.writes.len() == 2 && refused == 0 || !events.is_empty()),
            Err(why) => {
                refused += 1;
                assert_eq!(why, "writes that a server has lost are being repeated");
            }
        }
    }
    assert!(refused > 0 && events == [done(3)], "{refused} {events:?}");
}

#[test]
fn calls_under_way_outlive_the_connection() {
    let mut world = World::open(1 << 20);
    world.server.deaf = true;
    for token in 0..40 {
        world.client.submit(FILE, token, Request::Read { offset: token * 512, bytes: 512 });
    }
    assert_eq!(world.run(), []);
    world.server.crash();
    world.server.deaf = false;
    let mut events = world.run();
    events.sort_by_key(|event| match event {
        NfsEvent::Done(token, _) => *token,
        NfsEvent::Opened(..) | NfsEvent::Claimed(..) => panic!("opened again"),
    });
    let expected: Vec<_> =
        (0..40).map(|token| NfsEvent::Done(token, Ok(vec![token as u8; 512]))).collect();
    assert_eq!(events, expected);
    assert!(world.client.is_idle());
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let mut world = World::open(4096);
    world.server.jukebox = true;
    world.client.submit(FILE, 1, Request::Read { offset: 512, bytes: 512 });
    assert_eq!(world.run(), [NfsEvent::Done(1, Ok(vec![1; 512]))]);
    assert_eq!(world.server.calls.iter().filter(|call| call.1 == 6).count(), 2);
}

#[test]
fn a_flush_waits_for_what_came_before_and_holds_what_comes_after() {
    let mut world = World::open(1 << 16);
    world.write(1, 0, vec![1; 512], false);
    world.client.submit(FILE, 2, Request::Flush);
    world.write(3, 0, vec![3; 512], false);
    assert_eq!(world.run(), [done(1), done(2), done(3)]);
    let order: Vec<u32> = world.server.calls[3..].iter().map(|call| call.1).collect();
    assert_eq!(order, [7, 21, 7]);
    assert_eq!(world.server.disk[..512], [1; 512]);
}

const UUID: &str = "0c0ffee0-0000-4000-8000-000000000001";

fn owner(epoch: u64) -> Option<Owner> {
    Some(Owner { uuid: UUID.to_owned(), epoch })
}

impl World {
    /// The file, opened in this name.
    fn opens(&mut self, file: FileId, owner: Option<Owner>) -> Result<u64, Errno> {
        self.client.open(file, "/export/rover-a.img", owner);
        match self.run().as_slice() {
            [NfsEvent::Opened(own, result)] if *own == file => *result,
            other => panic!("{other:?}"),
        }
    }

    fn does(&mut self, file: FileId, request: Request) -> Result<Vec<u8>, Errno> {
        self.client.submit(file, 77, request);
        match self.run().as_slice() {
            [NfsEvent::Done(77, result)] => result.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn claims(&mut self, file: FileId, epoch: u64) -> Result<(), Errno> {
        self.client.claim(file, epoch);
        match self.run().as_slice() {
            [NfsEvent::Claimed(own, result)] if *own == file => *result,
            other => panic!("{other:?}"),
        }
    }
}

fn writes(byte: u8, durable: bool) -> Request {
    Request::Write { offset: 512, data: vec![byte; 512], durable }
}

const NEWER: FileId = FileId(1);
const OTHER: FileId = FileId(2);

#[test]
fn an_owner_of_an_older_epoch_is_refused_whatever_it_asks_for() {
    let mut world = World::new(1 << 16);
    assert_eq!(world.opens(FILE, owner(1)), Ok(1 << 16));
    assert_eq!(world.does(FILE, writes(1, false)), Ok(Vec::new()), "not yet durable");
    assert_eq!(world.opens(NEWER, owner(2)), Ok(1 << 16));
    assert_eq!(world.does(NEWER, writes(2, true)), Ok(Vec::new()));
    for request in [writes(3, true), writes(3, false), Request::Read { offset: 0, bytes: 512 }] {
        assert_eq!(world.does(FILE, request), Err(Errno::Stale));
    }
    // What it has written and not made durable stays its trouble.
    assert_eq!(world.does(FILE, Request::Flush), Err(Errno::Stale));
    world.server.crash();
    assert_eq!(world.does(FILE, Request::Flush), Err(Errno::Stale));
    assert!(world.server.disk[512..1024].iter().all(|&byte| byte == 2));
    // Nor can it come again at its old epoch, here or by another connection.
    assert_eq!(world.opens(OTHER, owner(1)), Err(Errno::Stale));
    assert_eq!(world.does(NEWER, Request::Read { offset: 512, bytes: 1 }), Ok(vec![2]));
}

#[test]
fn a_claim_at_a_newer_epoch_makes_an_old_owner_a_new_one() {
    let mut world = World::new(1 << 16);
    world.opens(FILE, owner(1)).unwrap();
    world.opens(NEWER, owner(2)).unwrap();
    assert_eq!(world.claims(FILE, 1), Err(Errno::Stale));
    assert_eq!(world.claims(FILE, 3), Ok(()));
    assert_eq!(world.does(FILE, writes(3, true)), Ok(Vec::new()));
    assert_eq!(world.does(NEWER, writes(2, true)), Err(Errno::Stale));
    assert_eq!(world.claims(FILE, 3), Ok(()), "said again");
}

#[test]
fn domains_that_share_a_file_do_not_shut_each_other_out() {
    let mut world = World::new(1 << 16);
    world.opens(FILE, owner(1)).unwrap();
    let other = Owner { uuid: UUID.replace("0001", "0002"), epoch: 9 };
    world.opens(OTHER, Some(other)).unwrap();
    for (file, byte) in [(FILE, 1), (OTHER, 2), (FILE, 3)] {
        assert_eq!(world.does(file, writes(byte, true)), Ok(Vec::new()));
    }
}

#[test]
fn a_server_without_a_fence_serves_everybody() {
    let mut world = World::new(1 << 16);
    world.server.owners = None;
    assert_eq!(world.opens(FILE, owner(2)), Ok(1 << 16));
    assert_eq!(world.claims(FILE, 3), Ok(()));
    assert_eq!(world.does(FILE, writes(3, true)), Ok(Vec::new()));
}

#[test]
fn mutant_a_volume_is_used_in_nobodys_name() {
    let test = an_owner_of_an_older_epoch_is_refused_whatever_it_asks_for;
    let made = with(Mutant::EpochNotCheckedByDisk, || catch_unwind(AssertUnwindSafe(test)));
    assert!(made.is_err(), "it is not found");
}
