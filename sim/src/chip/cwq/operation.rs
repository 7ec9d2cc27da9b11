//! What the words of one operation ask for: whether they may, how long it takes, and
//! doing it.
//!
//! **Shape.** All of its source is read, then its results are written: destination or
//! pieces in place, then state. So source and destination may overlap, and what the
//! unit writes goes no further than [`sun4v::ncs::Reach`] says.
//!
//! **Errors.** `None` is a protocol error; nothing has been written then.

use super::rate::{self, Engine};
use super::{ControlWord, Counters, Dma, checksum, cipher, hash, rc4};
use sun4v::addr::Pa;
use sun4v::ncs::{Auth, Chaining, CipherKind, Control, HashKind, Opcode, RC4_BYTES, Reach};

/// An operation that breaks no rule.
#[derive(Clone, Copy)]
pub enum Operation {
    /// A copy.
    Copy,
    /// A cipher, either way.
    Cipher {
        /// Which.
        kind: CipherKind,
        /// How its blocks hang together.
        chaining: Chaining,
    },
    /// An authentication.
    Auth(Auth),
}

impl Operation {
    /// What a whole chain asks for, or `None` when it breaks a rule.
    pub fn of(words: &[ControlWord]) -> Option<Self> {
        let (first, last) = (words.first()?, words.last()?);
        let whole = first.control.has(Control::SOB) && last.control.has(Control::EOB);
        if !whole || words.iter().any(|word| word.source == Pa(0)) {
            return None;
        }
        let bytes = source_bytes(words);
        let operation = match first.control.opcode()? {
            Opcode::Copy => Self::Copy,
            Opcode::Cipher => {
                let (kind, chaining) = first.control.cipher_kind()?;
                if chaining != Chaining::Ctr && !bytes.is_multiple_of(kind.block_bytes()) {
                    return None;
                }
                Self::Cipher { kind, chaining }
            }
            Opcode::Hash => Self::Auth(first.control.auth_kind()?),
        };
        let reach = Reach::of(first.control, bytes as u64);
        let pointers = [
            (reach.auth_key, first.auth_key),
            (reach.auth_iv, first.auth_iv),
            (reach.auth_state, first.auth_state),
            (reach.key, first.key),
            (reach.iv, first.iv),
            (reach.destination, first.destination),
        ];
        let present = pointers.into_iter().all(|(bytes, pa)| bytes == 0 || pa != Pa(0));
        present.then_some(operation)
    }

    /// Cycles of core clock that the whole chain takes.
    pub fn cycles(self, words: &[ControlWord]) -> u64 {
        let Some(first) = words.first() else { return 0 };
        let bytes = source_bytes(words);
        let reach = Reach::of(first.control, bytes as u64);
        let parameters = reach.auth_key + reach.auth_iv + reach.key + reach.iv;
        let more = words.len() as u64 - 1;
        let fetch = rate::fetch_cycles(parameters) + more * rate::fetch_cycles(0);
        let key_bytes = reach.auth_key as usize;
        let blocks = |kind: HashKind, blocks: usize| (engine_of(kind), blocks * hash::BLOCK_BYTES);
        let (engine, work_bytes) = match self {
            Self::Copy | Self::Auth(Auth::Crc32c | Auth::TcpChecksum) => (Engine::Memory, bytes),
            Self::Cipher { kind, .. } => {
                let engine = match kind {
                    CipherKind::Rc4 | CipherKind::Rc4Once => Engine::Rc4,
                    CipherKind::Des => Engine::Des,
                    CipherKind::TripleDes => Engine::TripleDes,
                    CipherKind::Aes128 => Engine::Aes128,
                    CipherKind::Aes192 => Engine::Aes192,
                    CipherKind::Aes256 => Engine::Aes256,
                };
                (engine, bytes.next_multiple_of(kind.block_bytes()))
            }
            Self::Auth(Auth::Hash(kind)) => blocks(kind, hash::blocks(bytes)),
            Self::Auth(Auth::Hmac(kind)) => blocks(kind, hash::hmac_blocks(key_bytes, bytes)),
            Self::Auth(Auth::SslMac(kind)) => {
                blocks(kind, hash::ssl_mac_blocks(kind, key_bytes, bytes))
            }
        };
        let stored = match self {
            Self::Cipher { kind: CipherKind::Rc4, .. } => RC4_BYTES as u64,
            _ => 0,
        };
        fetch + rate::work_cycles(engine, work_bytes as u64) + rate::store_cycles(stored)
    }

    /// Does it.
    pub fn run(self, words: &[ControlWord], dma: &dyn Dma, counters: &mut Counters) -> Option<()> {
        let first = words.first()?;
        let mut data = vec![0; source_bytes(words)];
        let mut rest = data.as_mut_slice();
        for word in words {
            let (piece, after) = rest.split_at_mut(word.control.bytes());
            dma.read(word.source, piece);
            rest = after;
        }
        match self {
            Self::Copy => {
                counters.copied_bytes += data.len() as u64;
                dma.write(first.destination, &data);
            }
            Self::Cipher { kind, .. } if kind.is_stream() => {
                let mut state = [0; RC4_BYTES];
                dma.read(first.key, &mut state);
                rc4::run(&mut state, &mut data);
                counters.ciphered_bytes += data.len() as u64;
                write_ciphered(words, &data, dma);
                if kind == CipherKind::Rc4 {
                    dma.write(first.key, &state);
                }
            }
            Self::Cipher { kind, chaining } => {
                let mut key = vec![0; kind.key_bytes()];
                dma.read(first.key, &mut key);
                let mut iv = vec![0; kind.block_bytes()];
                if chaining != Chaining::Ecb {
                    dma.read(first.iv, &mut iv);
                }
                let encrypt = first.control.has(Control::ENCRYPT);
                let params = cipher::Params { kind, chaining, encrypt, key: &key, iv: &iv };
                cipher::run(&params, &mut data).ok()?;
                counters.ciphered_bytes += data.len() as u64;
                write_ciphered(words, &data, dma);
            }
            Self::Auth(auth) => {
                let (result, state) = authenticate(auth, first, &data, dma)?;
                match auth {
                    Auth::Crc32c | Auth::TcpChecksum => counters.summed_bytes += data.len() as u64,
                    _ => counters.hashed_bytes += data.len() as u64,
                }
                let wanted = first.control.hash_bytes().min(result.len());
                dma.write(first.destination, &result[..wanted]);
                if first.control.has(Control::STORE_STATE) {
                    dma.write(first.auth_state, &state);
                }
            }
        }
        Some(())
    }
}

/// Bytes that a chain brings.
fn source_bytes(words: &[ControlWord]) -> usize {
    words.iter().map(|word| word.control.bytes()).sum()
}

const fn engine_of(kind: HashKind) -> Engine {
    match kind {
        HashKind::Md5 => Engine::Md5,
        HashKind::Sha1 => Engine::Sha1,
        HashKind::Sha256 => Engine::Sha256,
    }
}

/// Writes what a cipher has made of a chain's source, there or elsewhere.
fn write_ciphered(words: &[ControlWord], data: &[u8], dma: &dyn Dma) {
    let Some(first) = words.first() else { return };
    if !first.control.has(Control::IN_PLACE) {
        dma.write(first.destination, data);
        return;
    }
    let mut rest = data;
    for word in words {
        let (piece, after) = rest.split_at(word.control.bytes());
        dma.write(word.source, piece);
        rest = after;
    }
}

/// The result, which is cut to the length that is wanted, and the state.
fn authenticate(
    auth: Auth,
    first: &ControlWord,
    data: &[u8],
    dma: &dyn Dma,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut initial = vec![0; auth.state_bytes()];
    dma.read(first.auth_iv, &mut initial);
    let mut key = Vec::new();
    if auth.is_keyed() {
        key.resize(first.control.auth_key_bytes(), 0);
        dma.read(first.auth_key, &mut key);
    }
    let state = match auth {
        Auth::Hash(kind) => hash::digest(kind, &initial, data),
        Auth::Hmac(kind) => hash::hmac(kind, &initial, &key, data),
        Auth::SslMac(kind) => hash::ssl_mac(kind, &initial, &key, data),
        Auth::Crc32c => {
            let (result, state) = checksum::crc32c(initial.try_into().ok()?, data);
            return Some((result.to_vec(), state.to_vec()));
        }
        Auth::TcpChecksum => {
            let (result, state) = checksum::internet(initial.try_into().ok()?, data);
            return Some((result.to_vec(), state.to_vec()));
        }
    };
    Some((state.clone(), state))
}
