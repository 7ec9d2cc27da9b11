//! The NAS against a small client, over a network with and without faults.

use super::image::{BLOCK_BYTES, Image};
use super::nfs::{Export, MOUNT, NFS};
use super::rpc::{Records, mark};
use super::xdr::{Reader, Writer};
use super::{Disks, Nas, PORT};
use crate::lab::Lab;
use crate::lab::host::{Address, Host, LabHost};
use crate::lab::record::Fact;
use crate::net::fabric::Fabric;
use crate::net::link::{Faults, Link};
use crate::time::rng::Seed;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use sun4v::time::SimTime;

const MIB: u64 = 1 << 20;

fn address(last: u8) -> Address {
    Address { mac: [2, 0, 0, 0, 2, last], ip: [192, 168, 2, last], prefix: 24, mtu: 9000 }
}

/// Sends its calls, eight under way at once, and keeps the replies' results by xid.
struct Client {
    host: Host,
    socket: SocketHandle,
    records: Records,
    calls: VecDeque<Vec<u8>>,
    under_way: usize,
    out: Vec<u8>,
    replies: Replies,
    next: SimTime,
}

/// When a reply came, its xid, its results.
type Reply = (SimTime, u32, Vec<u8>);
type Replies = Arc<Mutex<Vec<Reply>>>;

impl Client {
    fn new(calls: Vec<Vec<u8>>, replies: Replies) -> Self {
        let mut host = Host::new("t5120", &address(20), Seed(1));
        let socket = host.add_tcp(256 << 10, 256 << 10);
        assert!(host.connect(socket, ([192, 168, 2, 2], PORT), 1023));
        let records = Records::default();
        let (calls, out) = (calls.into(), Vec::new());
        Self { host, socket, records, calls, under_way: 0, out, replies, next: SimTime::ZERO }
    }
}

impl LabHost for Client {
    fn name(&self) -> &str {
        "t5120"
    }
    fn frame(&mut self, frame: Vec<u8>) {
        self.host.frame(frame);
        self.next = SimTime::ZERO;
    }
    fn run(&mut self, now: SimTime) {
        self.host.poll(now);
        let socket: &mut tcp::Socket<'_> = self.host.socket(self.socket);
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), self.records.push(bytes))).unwrap();
        }
        while let Some(record) = self.records.pop().unwrap() {
            let mut reader = Reader::new(&record);
            let xid = reader.u32().unwrap();
            // A reply, accepted, no verifier, success.
            (1..6).for_each(|n| assert_eq!(reader.u32().unwrap(), u32::from(n == 1)));
            self.replies.lock().unwrap().push((now, xid, record[24..].to_vec()));
            self.under_way -= 1;
        }
        while self.under_way < 8
            && let Some(call) = self.calls.pop_front()
        {
            self.out.extend(mark(&call));
            self.under_way += 1;
        }
        if !self.out.is_empty() && socket.may_send() {
            let sent = socket.send_slice(&self.out).unwrap();
            self.out.drain(..sent);
        }
        self.host.poll(now);
        self.next = self.host.next_time();
    }
    fn next_time(&self) -> SimTime {
        self.next
    }
    fn take_frames(&mut self) -> Vec<Vec<u8>> {
        self.host.take_frames()
    }
    fn take_facts(&mut self) -> Vec<Fact> {
        Vec::new()
    }
    fn command(&mut self, _: &str, _: SimTime) -> Result<String, String> {
        Err(String::new())
    }
}

fn call(xid: u32, program: u32, procedure: u32, arguments: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.u32(xid).u32(0).u32(2).u32(program).u32(3).u32(procedure);
    // AUTH_SYS of root at t5120, and no verifier.
    let mut credentials = Writer::default();
    credentials.u32(0).opaque(b"t5120").u32(0).u32(0).u32(0);
    writer.u32(1).opaque(&credentials.0).u32(0).u32(0);
    arguments(&mut writer);
    writer.0
}

/// A handle as this server makes them; its form is the server's own business, so
/// only a test may know it.
fn handle(file: u64) -> Vec<u8> {
    [*b"ldomlab\0", file.to_be_bytes()].concat()
}

fn read(xid: u32, file: u64, offset: u64, count: u32) -> Vec<u8> {
    call(xid, NFS, 6, |writer| {
        writer.opaque(&handle(file)).u64(offset).u32(count);
    })
}

/// Runs the calls; replies, facts of the NAS, and the lab.
fn run(calls: Vec<Vec<u8>>, faults: Faults, limit: SimTime) -> (Vec<Reply>, Vec<Fact>, Lab) {
    let mut export = Export::new("/export", 7);
    export.add("rover0.img", Image::new(1, 16 * MIB));
    export.add("rover1.img", Image::new(1, 16 * MIB));
    let mut lab = Lab::default();
    let storage = lab.add_network(Fabric::new("storage", Seed(1)));
    let link = Link { mtu: 9000, faults, ..Link::default() };
    let nas = Nas::new("nas", &address(2), Seed(1), export, Disks::default());
    lab.add_host(storage, link, Box::new(nas));
    let replies = Replies::default();
    lab.add_host(storage, link, Box::new(Client::new(calls, replies.clone())));
    assert_eq!(lab.run_until(limit), []);
    let facts = lab.take_facts();
    let replies = std::mem::take(&mut *replies.lock().unwrap());
    (replies, facts, lab)
}

#[test]
fn a_client_mounts_and_reads_what_the_image_holds() {
    let calls = vec![
        call(1, MOUNT, 1, |writer| {
            writer.opaque(b"/export");
        }),
        call(2, NFS, 3, |writer| {
            writer.opaque(&handle(1)).opaque(b"rover1.img");
        }),
        read(3, 3, 8192, 64 << 10),
    ];
    let (replies, facts, _) = run(calls, Faults::default(), SimTime::secs(1));
    assert_eq!(replies.iter().map(|reply| reply.1).collect::<Vec<_>>(), [1, 2, 3]);
    let content = Image::new(1, 16 * MIB).read(8192, 64 << 10);
    assert_eq!(replies[2].2[replies[2].2.len() - (64 << 10)..], content);
    let facts: Vec<_> =
        facts.iter().map(|fact| (fact.what.as_str(), fact.name.as_str(), &*fact.text)).collect();
    let expected = [("mount", "/export", "192.168.2.20"), ("open", "rover1.img", "192.168.2.20")];
    assert_eq!(facts, expected);
}

#[test]
fn a_gigabit_link_carries_close_to_its_bandwidth() {
    let calls = (0..128).map(|n| read(n, 2, u64::from(n) * 128 * 1024, 128 << 10)).collect();
    let (replies, ..) = run(calls, Faults::default(), SimTime::secs(1));
    assert_eq!(replies.len(), 128);
    let rate = 16.0 * MIB as f64 / replies[127].0.as_secs_f64() / 1e6;
    assert!((100.0..125.0).contains(&rate), "{rate} MB/s");
}

#[test]
fn loss_and_duplication_delay_calls_and_change_none() {
    let faults = Faults { loss: 0.03, duplication: 0.02, bit_flip: 0.02 };
    let calls = || {
        let writes = (0..32).map(|n| {
            call(n, NFS, 7, |writer| {
                let bytes = vec![n as u8; 20_000];
                writer.opaque(&handle(3)).u64(u64::from(n) * 20_000);
                writer.u32(20_000).u32(0).opaque(&bytes);
            })
        });
        writes.chain((0..32).map(|n| read(32 + n, 3, u64::from(n) * 20_000, 20_000))).collect()
    };
    let (replies, _, lab) = run(calls(), faults, SimTime::secs(60));
    let storage = &lab.networks()[0];
    for (port, name) in storage.ports() {
        let (up, down) = storage.counters(port);
        assert!(up.lost + down.lost > 0 && up.damaged + down.damaged > 0, "{name}: {up:?}");
    }
    assert_eq!(replies.len(), 64);
    for (_, xid, results) in &replies[32..] {
        let bytes = &results[results.len() - 20_000..];
        assert!(bytes.iter().all(|&byte| byte == (xid - 32) as u8), "{xid}");
    }
    let (again, ..) = run(calls(), faults, SimTime::secs(60));
    assert_eq!(again, replies);
    let (clean, ..) = run(calls(), Faults::default(), SimTime::secs(60));
    assert!(clean[63].0 < replies[63].0);
}

#[test]
fn a_spoiled_block_reads_wrong_on_its_side_only() {
    let (.., mut lab) = run(Vec::new(), Faults::default(), SimTime::ms(1));
    let now = SimTime::ms(1);
    assert_eq!(lab.command("nas", "spoil rover0.img 9", now), Some(Ok(String::new())));
    let images = lab.command("nas", "images", now).unwrap().unwrap();
    insta::assert_snapshot!(images, @r"
    rover0.img 16777216 bytes, 1 blocks changed
    rover1.img 16777216 bytes, 0 blocks changed
    ");
    assert_eq!(
        lab.command("nas", "spoil rover0.img 2048", now),
        Some(Err("`rover0.img` has 2048 blocks".to_owned()))
    );
    assert!(lab.command("nas", "spoil disk 1", now).unwrap().is_err());
    assert_eq!(lab.command("filer", "images", now), None);
    assert_eq!(BLOCK_BYTES * 2048, 16 << 20);
}
