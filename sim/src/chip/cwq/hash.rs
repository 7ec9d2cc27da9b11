//! The hash functions of the unit, from a state that the guest gives.
//!
//! **Source.** RFC 1321 (MD5), FIPS 180-4 (SHA-1, SHA-256), FIPS 198-1 (HMAC).

use sha2::block_api::compress256;
use std::sync::LazyLock;
use sun4v::ncs::HashKind;

/// Bytes of a block of each of the three functions.
pub const BLOCK_BYTES: usize = 64;

/// Hashes `data` with padding, from the state `initial` (as long as
/// [`HashKind::state_bytes`]), to the final state, whole.
pub fn digest(kind: HashKind, initial: &[u8], data: &[u8]) -> Vec<u8> {
    let little = kind == HashKind::Md5;
    let mut state = [0; 8];
    for (word, bytes) in state.iter_mut().zip(initial.chunks_exact(4)) {
        *word = word_of(bytes, little);
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

/// Blocks that [`digest`] compresses for `bytes` of data.
pub const fn blocks(bytes: usize) -> usize {
    (bytes + 9).div_ceil(BLOCK_BYTES)
}

fn word_of(bytes: &[u8], little: bool) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(bytes);
    if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }
}

fn compress(kind: HashKind, state: &mut [u32; 8], blocks: &[[u8; BLOCK_BYTES]]) {
    match kind {
        HashKind::Md5 => blocks.iter().for_each(|block| md5(state, block)),
        HashKind::Sha1 => blocks.iter().for_each(|block| sha1(state, block)),
        HashKind::Sha256 => compress256(state, blocks),
    }
}

/// The first 32 bits of `|sin(n)|` for 1 to 64, n in radians.
static MD5_SINES: LazyLock<[u32; 64]> = LazyLock::new(|| {
    std::array::from_fn(|n| ((n as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32)
});

fn md5(state: &mut [u32; 8], block: &[u8; BLOCK_BYTES]) {
    const SHIFTS: [[u32; 4]; 4] =
        [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = word_of(bytes, true);
    }
    let [mut a, mut b, mut c, mut d, ..] = *state;
    for step in 0..64 {
        let (mix, index) = match step / 16 {
            0 => (b & c | !b & d, step),
            1 => (b & d | c & !d, 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step),
        };
        let sum = a.wrapping_add(mix).wrapping_add(MD5_SINES[step]).wrapping_add(words[index % 16]);
        let turned = sum.rotate_left(SHIFTS[step / 16][step % 4]);
        (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

fn sha1(state: &mut [u32; 8], block: &[u8; BLOCK_BYTES]) {
    let mut words = [0; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = word_of(bytes, false);
    }
    for t in 16..80 {
        words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e, ..] = *state;
    for (t, word) in words.into_iter().enumerate() {
        let (mix, constant) = match t / 20 {
            0 => (b & c | !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6u32),
        };
        let sum = a.rotate_left(5).wrapping_add(mix).wrapping_add(e);
        let sum = sum.wrapping_add(constant).wrapping_add(word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(add);
    }
}
