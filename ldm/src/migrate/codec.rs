//! Frames and messages.
//!
//! **Shape.** Everything on the wire is a frame: bytes that follow (`u32`,
//! big-endian), then they. The first three make a handshake (`handshake`); all others
//! are sealed records (`seal`), whose plain text is a chunk of pages and a byte 0, or a
//! [`Message`] in postcard form and a byte 1: behind, so that nobody moves a chunk to
//! make room for it.

use super::Refusal;
use super::pages::Hasher;
use super::port::Offer;
use super::seal::{HEADER_BYTES, PLAIN_BYTES_MAX, TAG_BYTES, Text};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most bytes of a frame, its length included.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + PLAIN_BYTES_MAX + TAG_BYTES;

/// What the ends say to each other under seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Source: this domain would come. With `check_only`, only checks are wanted.
    Offer {
        /// The domain.
        offer: Offer,
        /// `-n`.
        check_only: bool,
        /// Its crypto units can hash pages.
        units: bool,
    },
    /// Target, first of all in a new migration: what opens further connections about it.
    Ticket(String),
    /// Target: what it says to the offer.
    Verdict {
        /// What stands against it.
        problems: Vec<String>,
        /// It can take in a domain that runs on.
        live: bool,
        /// What both hash pages with.
        hasher: Hasher,
    },
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
    /// Source, over a new connection: the last one was lost while memory moved; where were
    /// we?
    Rejoin,
    /// Target: there.
    Rejoined {
        /// All chunks below this number have arrived.
        received: u64,
        /// All chunks below this number are written.
        written: u64,
        /// The last round whose end was said.
        ended: u32,
        /// The last round that was acknowledged.
        acknowledged: u32,
    },
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
    /// Target: it closes the connection for this reason. What it has of the domain stays
    /// as if the wire had been cut.
    Broken(String),
}

/// The plain text of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A chunk of pages.
    Chunk(Text),
    /// Anything else.
    Message(Message),
}

impl Plain {
    /// What is sealed.
    #[must_use]
    pub fn into_text(self) -> Text {
        let (mut text, kind) = match self {
            Self::Chunk(chunk) => (chunk, 0),
            Self::Message(message) => {
                (Text::from(&*postcard::to_allocvec(&message).unwrap_or_default()), 1)
            }
        };
        text.push(&[kind]);
        text
    }

    /// Reads what was authentic.
    pub fn from_text(mut text: Text) -> Result<Self, Refusal> {
        match text.pop() {
            Some(0) => Ok(Self::Chunk(text)),
            Some(1) => {
                let (message, rest) =
                    postcard::take_from_bytes(text.plain()).map_err(|_| Refusal::Malformed)?;
                if rest.is_empty() { Ok(Self::Message(message)) } else { Err(Refusal::Malformed) }
            }
            _ => Err(Refusal::Malformed),
        }
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    whole: VecDeque<Vec<u8>>,
    /// The last one, as far as it has come.
    part: Vec<u8>,
}

impl Frames {
    /// More bytes arrived.
    pub fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = total(&self.part).unwrap_or(LENGTH_BYTES) - self.part.len();
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            if self.part.len() == LENGTH_BYTES {
                // All of a frame that can be; one that cannot is refused by its length.
                self.part.reserve_exact(wanted.min(FRAME_BYTES_MAX));
            }
            self.part.extend_from_slice(piece);
            bytes = rest;
            if total(&self.part) == Some(self.part.len()) {
                self.whole.push_back(std::mem::take(&mut self.part));
            }
        }
    }

    /// The next whole frame, its length included; refused when it would be longer
    /// than `most`.
    pub fn pop(&mut self, most: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let next = self.whole.front().unwrap_or(&self.part);
        if total(next).is_some_and(|total| total > most) {
            return Err(Refusal::Malformed);
        }
        Ok(self.whole.pop_front())
    }
}

const LENGTH_BYTES: usize = 4;

/// Bytes of the frame that begins so, its length included; none while that is not known.
fn total(frame: &[u8]) -> Option<usize> {
    frame.first_chunk().map(|length| LENGTH_BYTES + u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod test {
    use super::{FRAME_BYTES_MAX, Frames, Message, Plain};
    use crate::migrate::pages::Hasher;
    use crate::migrate::port::{Kind, Offer};
    use crate::migrate::seal::Text;
    use proptest::prelude::{any, prop};

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let frame = [&[0, 0, 0, 5][..], b"hello"].concat();
        let stream = frame.repeat(3);
        for step in [1, 7, stream.len()] {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for bytes in stream.chunks(step) {
                frames.put(bytes);
                while let Some(frame) = frames.pop(9).unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, vec![frame.clone(); 3]);
        }
        let mut frames = Frames::default();
        frames.put(&frame);
        assert!(frames.pop(8).is_err(), "longer than it may be");
    }

    #[test]
    fn a_frame_that_says_it_is_endless_is_refused_before_it_has_come() {
        let mut frames = Frames::default();
        frames.put(&[0xff; 4]);
        assert!(frames.pop(FRAME_BYTES_MAX).is_err());
    }

    proptest::proptest! {
        #[test]
        fn bytes_of_any_kind_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Plain::from_text(Text::from(&*bytes));
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
            Plain::Chunk(Text::from(&[5; 9][..])),
            Plain::Message(Message::Offer { offer, check_only: true, units: true }),
            Plain::Message(Message::Abort("why".into())),
            Plain::Message(Message::Verdict {
                problems: vec!["why".into()],
                live: false,
                hasher: Hasher::Sha256,
            }),
            Plain::Message(Message::Commit { uuid: "u".into(), epoch: 7 }),
            Plain::Message(Message::Off { uuid: "u".into(), epoch: 7, why: "w".into() }),
            Plain::Message(Message::Taken(8)),
            Plain::Message(Message::Rejoin),
            Plain::Message(Message::Rejoined {
                received: 9,
                written: 8,
                ended: 2,
                acknowledged: 1,
            }),
        ] {
            assert_eq!(Plain::from_text(plain.clone().into_text()), Ok(plain));
        }
    }
}
