//! Requests in messages, as firmware has them.

use super::super::serve::IN_BAND_MAX;
use super::{
    Attr, Capacity, DISK_BYTES, Errno, NO_SLICE, Operation, Rdx, Stype, V1_1, World, control, vio,
};
use proptest::prelude::{any, proptest};
use sun4v::ldc::{Cookie, CookieAddr};
use sun4v::vio::dring::XFER_DESC;
use sun4v::vio::vdisk::{DESC_MESSAGE_BYTES, DescMessage};
use sun4v::vio::{Envelope, Tag, Type};
use zerocopy::IntoBytes;

impl World {
    pub(super) fn in_band() -> Self {
        let mut world = Self::new(DISK_BYTES);
        world.in_band_handshake();
        world
    }

    pub(super) fn in_band_handshake(&mut self) {
        let sid = self.client.sid;
        assert!(self.agreed(control(sid, V1_1).as_bytes()));
        let attr: Attr = vio::read(&self.ask(Attr::ask(sid, XFER_DESC, 64).as_bytes())).unwrap();
        assert_eq!((attr.tag.stype, attr.xfer_mode), (Stype::Ack.code(), XFER_DESC));
        assert!(self.agreed(Rdx::new(Stype::Info, sid).as_bytes()));
    }

    /// A message with a request whose data are in these pages of the client's.
    pub(super) fn message(
        &mut self,
        operation: Operation,
        addr: u64,
        nbytes: u64,
        pages: &[u64],
    ) -> Vec<u8> {
        let (sid, seq) = (self.client.sid, self.client.seq);
        self.client.seq += 1;
        let message = DescMessage {
            tag: Tag::new(Type::Data, Stype::Info, Envelope::Desc, sid),
            seq: seq.into(),
            handle: (0xfeed_0000 + seq).into(),
            req_id: 77.into(),
            operation: operation.code(),
            slice: NO_SLICE,
            resv: 0.into(),
            status: 0xffff_ffff.into(),
            addr: addr.into(),
            nbytes: nbytes.into(),
            ncookies: (pages.len() as u32).into(),
            resv2: 0.into(),
        };
        let mut bytes = message.as_bytes().to_vec();
        for page in pages {
            bytes.extend(Cookie::new(CookieAddr::new(1 + page, 0), 8192).as_bytes());
        }
        bytes
    }

    /// Handles and statuses of the answers that came.
    fn answers(&mut self) -> Vec<(u64, u32)> {
        let answer = |bytes: Vec<u8>| {
            let answer: DescMessage = vio::read(&bytes).unwrap();
            let parts = answer.tag.parts();
            assert_eq!(parts, Some((Type::Data, Stype::Ack, Envelope::Desc)), "{bytes:x?}");
            (answer.handle.get(), answer.status.get())
        };
        std::mem::take(&mut self.client.got).into_iter().map(answer).collect()
    }
}

#[test]
fn requests_in_messages_are_answered_by_them() {
    let mut world = World::in_band();
    let message = world.message(Operation::Bread, 7, 12_288, &[2, 4]);
    world.say(&message);
    assert_eq!(world.answers(), []);
    world.volume_does(0);
    let answer = world.client.got[0].clone();
    assert_eq!(answer.len(), DESC_MESSAGE_BYTES + 32);
    // All but the kind of message and the status is what was asked.
    assert_eq!(answer[..1], message[..1]);
    assert_eq!((&answer[2..36], &answer[40..]), (&message[2..36], &message[40..]));
    assert_eq!(world.answers(), [(0xfeed_0005, 0)]);
    let disk = world.memory.disk[7 * 512..][..12_288].to_vec();
    assert_eq!([world.buffer(2, 8192), world.buffer(4, 4096)].concat(), disk);

    let message = world.message(Operation::GetCapacity, 0, 16, &[0]);
    world.say(&message);
    assert_eq!(world.answers(), [(0xfeed_0006, 0)]);
    let capacity: Capacity = vio::read(&world.buffer(0, 16)).unwrap();
    assert_eq!(capacity.size.get(), DISK_BYTES as u64 / 512);
    for operation in [Operation::ScsiCmd, Operation::Reset] {
        let message = world.message(operation, 0, 0, &[]);
        world.say(&message);
        assert_eq!(world.answers()[0].1, Errno::NotSup.code());
    }
}

#[test]
fn messages_are_answered_in_their_order() {
    let mut world = World::in_band();
    for n in 0..4 {
        let message = world.message(Operation::Bread, n, 512, &[n]);
        world.say(&message);
    }
    for _ in 0..3 {
        let last = world.memory.waiting.len() - 1;
        world.volume_does(last);
        assert_eq!(world.answers(), []);
    }
    world.volume_does(0);
    assert_eq!(world.answers(), [5, 6, 7, 8].map(|n| (0xfeed_0000 + n, 0)));
}

#[test]
fn nonsense_in_messages_ends_the_session_and_the_next_is_sound() {
    type Wrong = fn(&mut World) -> Vec<u8>;
    let wrong: [(&str, Wrong); 4] = [
        ("more cookies than there are", |world| {
            let mut bytes = world.message(Operation::Bread, 0, 512, &[0]);
            bytes[56..60].copy_from_slice(&2_u32.to_be_bytes());
            bytes
        }),
        ("number", |world| {
            world.client.seq += 3;
            world.message(Operation::Bread, 0, 512, &[0])
        }),
        ("too short", |world| world.message(Operation::Bread, 0, 512, &[0])[..60].to_vec()),
        ("a ring message", |world| world.info(0, 0).as_bytes().to_vec()),
    ];
    for (what, make) in wrong {
        let mut world = World::in_band();
        let message = world.message(Operation::GetWce, 0, 4, &[0]);
        world.say(&message);
        assert_eq!(world.answers().len(), 1);
        let bytes = make(&mut world);
        world.say(&bytes);
        assert!(world.memory.waiting.is_empty(), "{what}");
        world.client.got.clear();
        (world.client.sid, world.client.seq) = (9, 0);
        world.in_band_handshake();
        let message = world.message(Operation::GetWce, 0, 4, &[0]);
        world.say(&message);
        assert_eq!(world.answers(), [(0xfeed_0000, 0)], "{what}");
    }
}

#[test]
fn a_client_that_asks_without_end_loses_its_session() {
    let mut world = World::in_band();
    for _ in 0..IN_BAND_MAX {
        let message = world.message(Operation::Bread, 0, 512, &[0]);
        world.say(&message);
    }
    assert_eq!((world.memory.waiting.len(), world.client.downs), (IN_BAND_MAX, 0));
    let message = world.message(Operation::Bread, 0, 512, &[0]);
    world.say(&message);
    assert_eq!((world.memory.waiting.len(), world.client.downs), (IN_BAND_MAX, 1));
    while !world.memory.waiting.is_empty() {
        world.volume_does(0);
    }
    world.client.got.clear();
    world.client.sid = 9;
    world.in_band_handshake();
}

proptest! {
    #[test]
    fn no_message_with_a_request_brings_the_server_down(
        heads in proptest::collection::vec(any::<[u8; 56]>(), 1..6),
        cookies in proptest::collection::vec(any::<u8>(), 0..64),
        wild in any::<bool>(),
    ) {
        let mut world = World::in_band();
        for head in heads {
            let mut message = world.message(Operation::Bread, 0, 512, &[0]);
            // Behind the number: handle, request, sizes.
            message[16..64].copy_from_slice(&head[..48]);
            if !wild {
                message[32] %= 0x13;
                message[40..48].copy_from_slice(&u64::from(head[50]).to_be_bytes());
                message[48..56].copy_from_slice(&(512 * u64::from(head[51])).to_be_bytes());
                message[56..60].copy_from_slice(&[0, 0, 0, head[52] % 5]);
            }
            message.truncate(64);
            message.extend(&cookies);
            if world.client.channel.is_up() {
                world.say(&message);
            }
        }
        while !world.memory.waiting.is_empty() {
            world.volume_does(0);
        }
        if !world.client.channel.is_up() {
            world.client.channel.reset(&mut world.board.ports(1));
            world.run();
        }
        world.client.got.clear();
        (world.client.sid, world.client.seq) = (0xabcd, 0);
        world.in_band_handshake();
        let message = world.message(Operation::GetWce, 0, 4, &[0]);
        world.say(&message);
        assert_eq!(world.answers(), [(0xfeed_0000, 0)]);
    }
}
