//! Lanes of a register: what each instruction does to one, and how lanes are taken
//! apart and put together. Lane 0 is the least significant.

/// Applies `f` to the four 16-bit lanes.
#[inline(always)]
pub fn zip16(a: u64, b: u64, f: impl Fn(u16, u16) -> u16) -> u64 {
    (0..64)
        .step_by(16)
        .fold(0, |all, at| all | u64::from(f((a >> at) as u16, (b >> at) as u16)) << at)
}

/// Applies `f` to the two 32-bit lanes.
#[inline(always)]
pub fn zip32(a: u64, b: u64, f: impl Fn(u32, u32) -> u32) -> u64 {
    u64::from(f((a >> 32) as u32, (b >> 32) as u32)) << 32 | u64::from(f(a as u32, b as u32))
}

/// One bit for each of four signed lanes.
#[inline(always)]
pub fn lanes16(a: u64, b: u64, f: impl Fn(i16, i16) -> bool) -> u64 {
    (0..4).fold(0, |all, lane| {
        all | u64::from(f((a >> (16 * lane)) as i16, (b >> (16 * lane)) as i16)) << lane
    })
}

/// One bit for each of two signed lanes.
#[inline(always)]
pub fn lanes32(a: u64, b: u64, f: impl Fn(i32, i32) -> bool) -> u64 {
    u64::from(f((a >> 32) as i32, (b >> 32) as i32)) << 1 | u64::from(f(a as i32, b as i32))
}

/// The low half of a single in all four lanes.
pub fn four(half: u32) -> u64 {
    u64::from(half & 0xffff) * 0x0001_0001_0001_0001
}

/// The halves of a single as two 32-bit lanes.
pub fn two(halves: u32) -> u64 {
    u64::from(halves >> 16) << 32 | u64::from(halves & 0xffff)
}

/// Cuts `bits` off a product, rounding to nearest, half up.
fn rounded(product: i32, bits: u32) -> u16 {
    ((product + (1 << (bits - 1))) >> bits) as u16
}

/// `fmul8x16`: unsigned bytes times signed lanes, the upper 16 of 24 bits.
pub fn mul8x16(bytes: u32, lanes: u64) -> u64 {
    (0..4).fold(0, |all, lane| {
        let byte = i32::from((bytes >> (8 * lane)) as u8);
        let product = byte * i32::from((lanes >> (16 * lane)) as i16);
        all | u64::from(rounded(product, 8)) << (16 * lane)
    })
}

/// The signed upper byte of `x` times `y`, without the last `bits`.
pub fn upper(x: u16, y: u16, bits: u32) -> u16 {
    rounded(upper_whole(x.into(), y.into()) as i32, bits)
}

/// The unsigned lower byte of `x` times `y`, without the last `bits`.
pub fn lower(x: u16, y: u16, bits: u32) -> u16 {
    rounded(lower_whole(x.into(), y.into()) as i32, bits)
}

/// The signed upper byte of 16 bits times 16 signed bits.
pub fn upper_whole(x: u32, y: u32) -> u32 {
    (i32::from((x >> 8) as i8) * i32::from(y as i16)) as u32
}

/// The unsigned lower byte times 16 signed bits.
pub fn lower_whole(x: u32, y: u32) -> u32 {
    (i32::from(x as u8) * i32::from(y as i16)) as u32
}

/// Scales a signed word, cuts `bits` off and clips to an unsigned byte.
pub fn clip_byte(word: u32, scale: u32, bits: u32) -> u32 {
    ((i64::from(word as i32) << scale) >> bits).clamp(0, 255) as u32
}

/// `fpack16`: four signed lanes to bytes.
pub fn pack16(lanes: u64, scale: u32) -> u32 {
    (0..4).fold(0, |all, lane| {
        let signed = i32::from((lanes >> (16 * lane)) as i16) as u32;
        all | clip_byte(signed, scale, 7) << (8 * lane)
    })
}

/// `fpackfix`: two signed words to signed halves.
pub fn packfix(words: u64, scale: u32) -> u32 {
    let half = |word: u32| {
        let scaled = (i64::from(word as i32) << scale) >> 16;
        u32::from(scaled.clamp(i16::MIN.into(), i16::MAX.into()) as u16)
    };
    half((words >> 32) as u32) << 16 | half(words as u32)
}

/// `fexpand`: bytes to lanes with four bits of fraction.
pub fn expand(bytes: u32) -> u64 {
    (0..4).fold(0, |all, lane| all | u64::from((bytes >> (8 * lane)) as u8) << (16 * lane + 4))
}

/// `fpmerge`: bytes of one and the other in turn, `a`'s first.
pub fn merge(a: u32, b: u32) -> u64 {
    (0..4).fold(0, |all, lane| {
        let pair = u64::from((a >> (8 * lane)) as u8) << 8 | u64::from((b >> (8 * lane)) as u8);
        all | pair << (16 * lane)
    })
}

/// `pdist`: the sum of the distances of eight unsigned bytes.
pub fn distance(a: u64, b: u64) -> u64 {
    a.to_be_bytes().into_iter().zip(b.to_be_bytes()).map(|(x, y)| u64::from(x.abs_diff(y))).sum()
}

/// `bshuffle`: each nibble of the mask picks a byte of `a` and `b`, byte 0 the most
/// significant of `a`.
pub fn shuffle(mask: u32, a: u64, b: u64) -> u64 {
    let both = u128::from(a) << 64 | u128::from(b);
    (0..8).rev().fold(0, |all, nibble| {
        let from = mask >> (4 * nibble) & 15;
        all << 8 | u64::from((both >> (8 * (15 - from))) as u8)
    })
}
