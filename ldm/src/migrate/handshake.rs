//! The first three frames of a connection: how two ends that share a password become
//! two ends that share keys.
//!
//! | frame | from | what |
//! |---|---|---|
//! | [`Hello`] | source | versions that it speaks, its share, who it is, which migration |
//! | answer | target | version that holds, versions that it speaks, its share, who it is, its proof |
//! | proof | source | its proof |
//!
//! **The exchange** is SPAKE2 over edwards25519. Either share is blinded by the
//! password, so that a recording of the connection says nothing about it, and whoever
//! pretends to be one of the ends can try one password a connection and no more, with the
//! other end looking on. The secrets behind the shares are forgotten with the connection:
//! a password that leaks later opens nothing that was recorded.
//!
//! **Proofs.** Keys come of the exchange and of a hash over hello and answer as they
//! were on the wire, versions included (`seal`). A proof is an HMAC over that hash, with
//! a key of its own for either end. So an end that believes a proof knows that the other
//! has the password *and* saw the same two frames: nobody has made them agree on an older
//! version, or on another migration. The source shows its proof after it has checked
//! the target's, and says nothing of the domain before.
//!
//! **Shape**, numbers big-endian, every frame behind its length:
//!
//! - hello: `ldmg`, oldest and newest version (`u16` each), [`Hello`] in postcard form;
//! - answer: `ldmg`, oldest and newest version, the version that holds or 0 for none,
//!   and if one does: share and host in postcard form, proof (32 bytes);
//! - proof: 32 bytes.
//!
//! **Tickets.** A connection about a migration that is under way is opened with its
//! [`ticket`] in place of the password. The target says it under seal in the first one.
//!
//! **Randomness** is what the owner gives, and the number of the connection. The same
//! owner must not come with the same again.
//!
//! **Errors.** A frame that does not parse is [`Refusal::Malformed`], no version in common
//! [`Refusal::Version`], a proof that does not fit [`Refusal::Password`].
//!
//! **Source.** RFC 9382 (SPAKE2), with the crate's older encoding of password and
//! transcript; RFC 5869 (HKDF).

use super::Refusal;
use super::journal::ticket;
use super::seal::{self, Session};
use hmac::Mac;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spake2::{Ed25519Group, Identity, Password, Spake2};

/// Most bytes of one of these frames, its length included.
pub const GREETING_BYTES_MAX: usize = 1024;
/// Versions of the protocol that are spoken here.
pub const VERSIONS: Versions = Versions { oldest: 3, newest: 3 };

const MAGIC: [u8; 4] = *b"ldmg";
const LENGTH_BYTES: usize = 4;
/// Bytes of magic and versions.
const PREFACE_BYTES: usize = 8;
const PROOF_BYTES: usize = 32;
// What stands before a share on the wire of the exchange's own making: its role.
const SOURCE_ROLE: u8 = b'A';
const TARGET_ROLE: u8 = b'B';

/// Half of the exchange: a point, blinded by the password.
pub type Share = [u8; 32];

type Exchange = Spake2<Ed25519Group>;

/// Versions that an end speaks, all between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// First.
    pub oldest: u16,
    /// Last.
    pub newest: u16,
}

impl Versions {
    /// The newest that both speak.
    #[must_use]
    pub fn agree(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest) && newest > 0).then_some(newest)
    }

    fn to_preface(self) -> Vec<u8> {
        [&MAGIC[..], &self.oldest.to_be_bytes(), &self.newest.to_be_bytes()].concat()
    }

    /// Reads magic and versions: what a frame of any version begins with.
    fn from_frame(frame: &[u8]) -> Result<(Self, &[u8]), Refusal> {
        let body = frame.get(LENGTH_BYTES..).ok_or(Refusal::Malformed)?;
        let (preface, rest) =
            body.split_first_chunk::<PREFACE_BYTES>().ok_or(Refusal::Malformed)?;
        let [a, b, c, d, versions @ ..] = *preface;
        let [o, p, n, m] = versions;
        let versions =
            Self { oldest: u16::from_be_bytes([o, p]), newest: u16::from_be_bytes([n, m]) };
        if [a, b, c, d] == MAGIC { Ok((versions, rest)) } else { Err(Refusal::Malformed) }
    }
}

/// What a source says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its half of the exchange.
    pub share: Share,
    /// Its host name.
    pub host: String,
    /// The migration that this connection goes on with, by the number that the
    /// source gave it.
    pub migration: [u8; 16],
    /// A new migration, and not a question about an old one.
    pub fresh: bool,
}

impl Hello {
    /// Its frame.
    #[must_use]
    pub fn to_frame(&self, versions: Versions) -> Vec<u8> {
        let body = postcard::to_allocvec(self).unwrap_or_default();
        framed(&[&versions.to_preface(), &body])
    }

    /// Reads a whole frame: the versions, and the rest if it is of one that is spoken
    /// here.
    pub fn from_frame(frame: &[u8]) -> Result<(Versions, Self), Refusal> {
        let (versions, body) = Versions::from_frame(frame)?;
        VERSIONS.agree(versions).ok_or(Refusal::Version)?;
        Ok((versions, whole(body)?))
    }
}

/// What a target answers, without version and proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    share: Share,
    host: String,
}

/// What a target keeps to itself.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The password that a source must have.
    pub password: String,
    /// The key of the tickets that it gives out.
    pub tickets: [u8; 32],
}

/// An end's side of the exchange.
#[derive(Clone, Debug)]
pub struct Own {
    /// The password of the target; at a source that asks about an old migration, its
    /// [`ticket`].
    pub password: String,
    /// Target: the key of its tickets.
    pub tickets: [u8; 32],
    /// Fresh randomness.
    pub entropy: [u8; 32],
    /// The number of the connection for which it is used.
    pub connection: u64,
    /// Host name of this end.
    pub host: String,
}

impl Own {
    fn begin(&self, role: u8, secret: &str) -> (Exchange, Share) {
        let number = self.connection.to_be_bytes();
        let seed = Sha256::digest([&self.entropy[..], b"exchange", &[role], &number].concat());
        let random = ChaCha20Rng::from_seed(seed.into());
        let password = Password::new(secret);
        let (source, target) =
            (Identity::new(b"migration source"), Identity::new(b"migration target"));
        let (exchange, message) = match role {
            SOURCE_ROLE => Spake2::start_a_with_rng(&password, &source, &target, random),
            _ => Spake2::start_b_with_rng(&password, &source, &target, random),
        };
        let mut share = Share::default();
        share.copy_from_slice(&message[1..]);
        (exchange, share)
    }
}

/// The answer to a hello of which no version is spoken here: which ones are.
#[must_use]
pub fn no_version() -> Vec<u8> {
    framed(&[&VERSIONS.to_preface(), &0u16.to_be_bytes()])
}

/// A connection's first frames, as far as they have come.
#[derive(Clone, Debug, Default)]
pub enum Handshake {
    /// Nobody has begun, or it is over.
    #[default]
    Idle,
    /// Source: the answer is waited for.
    Called(Called),
    /// Target: the hello is waited for.
    Listening(Own),
    /// Target: the source's proof is waited for.
    Answered(Answered),
}

/// A source that has said hello. The exchange comes of what it has of its own, so it is
/// begun again when the answer is there.
#[derive(Clone, Debug)]
pub struct Called {
    own: Own,
    hello: Vec<u8>,
}

/// A target that has answered.
#[derive(Clone, Debug)]
pub struct Answered {
    hello: Hello,
    common: Common,
}

/// Two ends that have proved to each other that they know the password.
#[derive(Debug)]
pub struct Met {
    /// Their keys.
    pub session: Session,
    /// Host name of the other end.
    pub host: String,
    /// Target: what the source has said of the migration.
    pub hello: Option<Hello>,
}

/// What comes of the exchange and the first two frames.
#[derive(Clone)]
struct Common {
    session: Session,
    transcript: [u8; 32],
    source_key: [u8; 32],
    target_key: [u8; 32],
}

impl std::fmt::Debug for Common {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Common").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Common {
    /// `share` is that of the other end, whose role is `role`.
    fn derive(
        exchange: Exchange,
        role: u8,
        share: &Share,
        frames: [&[u8]; 2],
    ) -> Result<Self, Refusal> {
        let message = [&[role], &share[..]].concat();
        let secret = exchange.finish(&message).map_err(|_| Refusal::Malformed)?;
        // Every frame says how long it is, so no two pairs give the same bytes.
        let transcript: [u8; 32] = Sha256::digest(frames.concat()).into();
        let root = seal::hmac(&transcript, &[&secret]);
        Ok(Self {
            session: Session::derive(&root),
            transcript,
            source_key: seal::expand(&root, "source", "proof"),
            target_key: seal::expand(&root, "target", "proof"),
        })
    }

    fn prove(&self, key: &[u8; 32]) -> [u8; PROOF_BYTES] {
        seal::hmac(key, &[&self.transcript])
    }

    fn check(&self, key: &[u8; 32], proof: &[u8]) -> Result<(), Refusal> {
        // Takes as long whichever byte differs.
        seal::mac(key, &[&self.transcript]).verify_slice(proof).map_err(|_| Refusal::Password)
    }
}

impl Handshake {
    /// A source begins: its hello.
    #[must_use]
    pub fn call(own: &Own, migration: [u8; 16], fresh: bool) -> (Self, Vec<u8>) {
        let (_, share) = own.begin(SOURCE_ROLE, &own.password);
        let hello = Hello { share, host: own.host.clone(), migration, fresh };
        let hello = hello.to_frame(VERSIONS);
        (Self::Called(Called { own: own.clone(), hello: hello.clone() }), hello)
    }

    /// A whole frame has come; `reply` is what goes back, even if the connection ends
    /// with it. Gives the other end once it has proved itself.
    pub fn frame(&mut self, frame: &[u8], reply: &mut Vec<u8>) -> Result<Option<Met>, Refusal> {
        match std::mem::take(self) {
            Self::Idle => Err(Refusal::Unexpected),
            Self::Called(called) => called.answer(frame, reply).map(Some),
            Self::Listening(own) => {
                *self = Self::Answered(own.hello(frame, reply)?);
                Ok(None)
            }
            Self::Answered(answered) => answered.proof(frame).map(Some),
        }
    }

    /// Target: host name of a source that has said hello and not proved itself.
    #[must_use]
    pub fn stranger(&self) -> Option<&str> {
        match self {
            Self::Answered(answered) => Some(&answered.hello.host),
            _ => None,
        }
    }
}

impl Own {
    /// Target: a source has said hello.
    fn hello(&self, frame: &[u8], reply: &mut Vec<u8>) -> Result<Answered, Refusal> {
        let (versions, hello) = Hello::from_frame(frame).inspect_err(|&refusal| {
            if refusal == Refusal::Version {
                *reply = no_version();
            }
        })?;
        let version = VERSIONS.agree(versions).ok_or(Refusal::Version)?.to_be_bytes();
        let ticket = ticket(&self.tickets, &hello.migration);
        let secret = if hello.fresh { &self.password } else { &ticket };
        let (exchange, share) = self.begin(TARGET_ROLE, secret);
        let answer = Answer { share, host: self.host.clone() };
        let body = postcard::to_allocvec(&answer).unwrap_or_default();
        let mut answer = framed(&[&VERSIONS.to_preface(), &version, &body, &[0; PROOF_BYTES]]);
        let proof = answer.len() - PROOF_BYTES;
        let frames = [frame, &answer[..proof]];
        let common = Common::derive(exchange, SOURCE_ROLE, &hello.share, frames)?;
        answer[proof..].copy_from_slice(&common.prove(&common.target_key));
        *reply = answer;
        Ok(Answered { hello, common })
    }
}

impl Called {
    /// The target has answered.
    fn answer(self, frame: &[u8], reply: &mut Vec<u8>) -> Result<Met, Refusal> {
        let (versions, rest) = Versions::from_frame(frame)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(Refusal::Malformed)?;
        if VERSIONS.agree(versions) != Some(u16::from_be_bytes(*version)) {
            return Err(Refusal::Version);
        }
        let (body, proof) = rest.split_last_chunk::<PROOF_BYTES>().ok_or(Refusal::Malformed)?;
        let answer: Answer = whole(body)?;
        let frames = [&self.hello, &frame[..frame.len() - PROOF_BYTES]];
        let (exchange, _) = self.own.begin(SOURCE_ROLE, &self.own.password);
        let common = Common::derive(exchange, TARGET_ROLE, &answer.share, frames)?;
        common.check(&common.target_key, proof)?;
        *reply = framed(&[&common.prove(&common.source_key)]);
        Ok(Met { session: common.session, host: answer.host, hello: None })
    }
}

impl Answered {
    /// The source has shown its proof.
    fn proof(self, frame: &[u8]) -> Result<Met, Refusal> {
        let proof = frame.get(LENGTH_BYTES..).ok_or(Refusal::Malformed)?;
        self.common.check(&self.common.source_key, proof)?;
        let host = self.hello.host.clone();
        Ok(Met { session: self.common.session, host, hello: Some(self.hello) })
    }
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(LENGTH_BYTES + bytes);
    frame.extend_from_slice(&(bytes as u32).to_be_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

fn whole<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refusal> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(|_| Refusal::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(Refusal::Malformed) }
}

#[cfg(test)]
mod test;
