//! Frames and messages.
//!
//! **Shape.** Everything on the wire is a frame: bytes that follow (`u32`,
//! big-endian), then they. The first frame of either direction is a [`Hello`], in
//! the clear; all others are sealed records (`seal`), whose plain text is a
//! [`Message`]: a byte 0 and a chunk of pages, or a byte 1 and a message in
//! postcard form.

use super::Refusal;
use super::port::Offer;
use super::seal::{HEADER_BYTES, Nonce, PLAIN_BYTES_MAX, TAG_BYTES};
use serde::{Deserialize, Serialize};

/// Version of this protocol. Ends that differ do not talk.
pub const PROTOCOL: u32 = 2;
/// Most bytes of a frame, its length included.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + PLAIN_BYTES_MAX + TAG_BYTES;

/// The first frame of either direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// Fresh for this connection.
    pub nonce: Nonce,
    /// Host name of the sender.
    pub host: String,
    /// The migration that this connection goes on with, by the number that the
    /// source gave it; the source says the same in its offer.
    pub migration: [u8; 16],
    /// A new migration, and not a question about an old one.
    pub fresh: bool,
}

impl Hello {
    /// Its frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let body = postcard::to_allocvec(self).unwrap_or_default();
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        frame
    }

    /// Reads a whole frame.
    pub fn from_frame(frame: &[u8]) -> Result<Self, Refusal> {
        let body = frame.get(4..).ok_or(Refusal::Malformed)?;
        let (hello, rest) = postcard::take_from_bytes(body).map_err(|_| Refusal::Malformed)?;
        if rest.is_empty() { Ok(hello) } else { Err(Refusal::Malformed) }
    }
}

/// What the ends say to each other under seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Source: this domain would come. With `check_only`, only checks are wanted.
    Offer {
        /// The domain.
        offer: Offer,
        /// `-n`.
        check_only: bool,
    },
    /// Target: what stands against it.
    Verdict(Vec<String>),
    /// Source: make room.
    Prepare,
    /// Target: there is room.
    Prepared,
    /// Source: round `round` ends; `chunks` chunks were sent since the beginning.
    RoundEnd {
        /// Which round, from 1.
        round: u32,
        /// How many chunks so far.
        chunks: u64,
    },
    /// Target: all chunks below this number are written.
    Ack(u64),
    /// Target: everything of that round is written.
    RoundAck(u32),
    /// Source: a piece of the state records.
    State(Vec<u8>),
    /// Source: that was all; the digest over everything.
    Final([u8; 32]),
    /// Target: it has the same digest, and the state is loaded.
    Verified,
    /// Source: the domain is yours. Said again over a new connection when no answer
    /// came, perhaps much later.
    Commit {
        /// The domain's UUID: who has forgotten the migration may know the domain.
        uuid: String,
        /// Its epoch from now on.
        epoch: u64,
    },
    /// Target: it runs here (or is bound or inactive here, as it was).
    Committed,
    /// Source: it is off; the domain stays. Said again over a new connection, until it
    /// is answered.
    Off {
        /// The domain's UUID.
        uuid: String,
        /// Its epoch at the source.
        epoch: u64,
        /// Why.
        why: String,
    },
    /// Target, to *commit* or *off*: I do not have it, and will not run it.
    NotHere,
    /// Target, to *off*: I have it, at this epoch, by an operator's word.
    Taken(u64),
    /// Target: it is off, for this reason.
    Abort(String),
}

/// The plain text of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A chunk of pages.
    Chunk(Vec<u8>),
    /// Anything else.
    Message(Message),
}

impl Plain {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Chunk(chunk) => [&[0], chunk.as_slice()].concat(),
            Self::Message(message) => {
                let mut bytes = vec![1];
                bytes.extend(postcard::to_allocvec(message).unwrap_or_default());
                bytes
            }
        }
    }

    /// Reads bytes that were authentic.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        match bytes.split_first() {
            Some((0, chunk)) => Ok(Self::Chunk(chunk.to_vec())),
            Some((1, body)) => {
                let (message, rest) =
                    postcard::take_from_bytes(body).map_err(|_| Refusal::Malformed)?;
                if rest.is_empty() { Ok(Self::Message(message)) } else { Err(Refusal::Malformed) }
            }
            _ => Err(Refusal::Malformed),
        }
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Bytes at the front that were taken.
    taken: usize,
}

impl Frames {
    /// More bytes arrived.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.taken > FRAME_BYTES_MAX {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, its length included; refused when it would be too
    /// long.
    pub fn pop(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
        let total = 4 + u32::from_be_bytes(*length) as usize;
        if total > FRAME_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let Some(frame) = rest.get(..total) else { return Ok(None) };
        let frame = frame.to_vec();
        self.taken += total;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod test {
    use super::{Frames, Hello, Message, PROTOCOL, Plain};
    use crate::migrate::port::{Kind, Offer};
    use proptest::prelude::{any, prop};

    fn hello() -> Hello {
        let host = "t5120".to_owned();
        Hello { protocol: PROTOCOL, nonce: [9; 32], host, migration: [4; 16], fresh: true }
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let frame = hello().to_frame();
        let stream = frame.repeat(3);
        for step in [1, 7, stream.len()] {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for bytes in stream.chunks(step) {
                frames.put(bytes);
                while let Some(frame) = frames.pop().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, vec![frame.clone(); 3]);
        }
        assert_eq!(Hello::from_frame(&frame), Ok(hello()));
    }

    #[test]
    fn a_frame_that_says_it_is_endless_is_refused_before_it_has_come() {
        let mut frames = Frames::default();
        frames.put(&[0xff; 4]);
        assert!(frames.pop().is_err());
    }

    proptest::proptest! {
        #[test]
        fn bytes_of_any_kind_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Plain::from_bytes(&bytes);
            let _ = Hello::from_frame(&bytes);
        }
    }

    #[test]
    fn messages_survive_the_way() {
        let offer = Offer {
            name: "rover".into(),
            new_name: None,
            uuid: "0c0ffee0-0000-4000-8000-000000000001".into(),
            epoch: 1,
            kind: Kind::Bound,
            memory: Vec::new(),
            description: vec![1, 2, 3],
        };
        for plain in [
            Plain::Chunk(vec![5; 9]),
            Plain::Message(Message::Offer { offer, check_only: true }),
            Plain::Message(Message::Abort("why".into())),
            Plain::Message(Message::Commit { uuid: "u".into(), epoch: 7 }),
            Plain::Message(Message::Off { uuid: "u".into(), epoch: 7, why: "w".into() }),
            Plain::Message(Message::Taken(8)),
        ] {
            assert_eq!(Plain::from_bytes(&plain.to_bytes()), Ok(plain));
        }
    }
}
