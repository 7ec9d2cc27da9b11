//! The hash functions of the unit, from a state that the guest gives.
//!
//! **Source.** RFC 1321 (MD5), FIPS 180-4 (SHA-1, SHA-256), RFC 2104 (HMAC), RFC 6101
//! section 5.2.3.1 (the MAC of SSL 3.0).

use sha2::block_api::compress256;
use sun4v::ncs::HashKind;

/// Bytes of a block of each of the three functions.
pub const BLOCK_BYTES: usize = 64;

/// Hashes `data` with padding, from the state `initial` (as long as
/// [`HashKind::state_bytes`]), to the final state, whole.
pub fn digest(kind: HashKind, initial: &[u8], data: &[u8]) -> Vec<u8> {
    let little = kind == HashKind::Md5;
    let mut state = [0; 8];
    for (word, &bytes) in state.iter_mut().zip(initial.as_chunks::<4>().0) {
        *word = if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    }
    let (whole, rest) = data.as_chunks::<BLOCK_BYTES>();
    compress(kind, &mut state, whole);

    let mut tail = rest.to_vec();
    tail.push(0x80);
    tail.resize((tail.len() + 8).next_multiple_of(BLOCK_BYTES) - 8, 0);
    let bits = (data.len() as u64).wrapping_mul(8);
    tail.extend_from_slice(&if little { bits.to_le_bytes() } else { bits.to_be_bytes() });
    compress(kind, &mut state, tail.as_chunks::<BLOCK_BYTES>().0);

    let words = state.iter().take(kind.state_bytes() / 4);
    words.flat_map(|word| if little { word.to_le_bytes() } else { word.to_be_bytes() }).collect()
}

/// The HMAC of `data`; a key longer than a block is hashed first.
pub fn hmac(kind: HashKind, initial: &[u8], key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > BLOCK_BYTES { digest(kind, initial, key) } else { key.to_vec() };
    block.resize(BLOCK_BYTES, 0);
    let mut inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).collect();
    inner.extend_from_slice(data);
    let mut outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5c).collect();
    outer.extend_from_slice(&digest(kind, initial, &inner));
    digest(kind, initial, &outer)
}

/// The MAC of SSL 3.0 with `secret` over `data`, which is a record's sequence number, type,
/// length and content.
pub fn ssl_mac(kind: HashKind, initial: &[u8], secret: &[u8], data: &[u8]) -> Vec<u8> {
    let begun = |pad| {
        let mut begun = secret.to_vec();
        begun.resize(secret.len() + ssl_pad_bytes(kind), pad);
        begun
    };
    let inner = digest(kind, initial, &[begun(0x36), data.to_vec()].concat());
    digest(kind, initial, &[begun(0x5c), inner].concat())
}

/// Blocks that [`digest`] compresses for `bytes` of data.
pub const fn blocks(bytes: usize) -> usize {
    (bytes + 9).div_ceil(BLOCK_BYTES)
}

/// Blocks that [`hmac`] compresses: its key's block before the data, then that and one
/// with the inner digest; and before all, a key that is too long.
pub const fn hmac_blocks(key_bytes: usize, bytes: usize) -> usize {
    let key = if key_bytes > BLOCK_BYTES { blocks(key_bytes) } else { 0 };
    key + blocks(BLOCK_BYTES + bytes) + 2
}

/// Blocks that [`ssl_mac`] compresses.
pub const fn ssl_mac_blocks(kind: HashKind, secret_bytes: usize, bytes: usize) -> usize {
    let begun = secret_bytes + ssl_pad_bytes(kind);
    blocks(begun + bytes) + blocks(begun + kind.state_bytes())
}

/// Bytes of the two pads of SSL 3.0, which has none for SHA-256.
const fn ssl_pad_bytes(kind: HashKind) -> usize {
    match kind {
        HashKind::Md5 => 48,
        HashKind::Sha1 | HashKind::Sha256 => 40,
    }
}

fn compress(kind: HashKind, state: &mut [u32; 8], blocks: &[[u8; BLOCK_BYTES]]) {
    let [a, b, c, d, e, ..] = state;
    match kind {
        HashKind::Md5 => {
            let mut four = [*a, *b, *c, *d];
            md5::block_api::compress(&mut four, blocks);
            [*a, *b, *c, *d] = four;
        }
        HashKind::Sha1 => {
            let mut five = [*a, *b, *c, *d, *e];
            sha1::block_api::compress(&mut five, blocks);
            [*a, *b, *c, *d, *e] = five;
        }
        HashKind::Sha256 => compress256(state, blocks),
    }
}
