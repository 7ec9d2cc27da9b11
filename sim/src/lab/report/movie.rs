//! The drawing, as an animated picture that needs no script.
//!
//! **Shapes.** An animated PNG: a picture of one bit a pixel and for each frame how many
//! milliseconds it stood, so that it plays at its own speed and stops where the drawing
//! stopped.
//!
//! **Source.** PNG (RFC 2083) with the extension of animated PNG (`acTL`, `fcTL`,
//! `fdAT`); its data in stored blocks of deflate (RFC 1951, 3.2.4) in zlib's frame
//! (RFC 1950).

use super::super::record::Fact;
use super::base64;
use std::collections::BTreeMap;
use sun4v::time::SimTime;

/// Bytes of a row of the guest's picture (88 pixels).
pub const ROW_BYTES: usize = 11;
/// Bytes of data in a stored block.
const STORED_MAX: usize = 0xffff;
/// Longest that a frame can stand.
const STANDS_MAX: u64 = 0xffff;

/// A frame that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When.
    pub time: SimTime,
    /// Number of its picture.
    pub picture: u64,
}

/// The pictures of a record, by number.
pub fn pictures(facts: &[Fact]) -> BTreeMap<u64, Vec<u8>> {
    let those = facts.iter().filter(|fact| fact.is("drawing", "picture"));
    those.filter_map(|fact| Some((fact.value("picture"), bytes(&fact.text)?))).collect()
}

/// Frames of a domain's drawing in this time, those whose pictures are known.
pub fn frames(facts: &[Fact], domain: &str, (from, until): (SimTime, SimTime)) -> Vec<Frame> {
    let those = facts.iter().filter(|fact| fact.is("drawing", "frame") && fact.name == domain);
    let inside = those.filter(|fact| from <= fact.time && fact.time <= until);
    let frame =
        |fact: &Fact| Some(Frame { time: fact.time, picture: *fact.values.get("picture")? });
    inside.filter_map(frame).collect()
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The frames as the address of an image, `data:…`. `None` if there are fewer than two
/// with pictures of one size.
pub fn data(frames: &[Frame], pictures: &BTreeMap<u64, Vec<u8>>) -> Option<(String, usize, usize)> {
    let rows = pictures.get(&frames.first()?.picture)?.len() / ROW_BYTES;
    let whole = |frame: &&Frame| {
        pictures.get(&frame.picture).is_some_and(|bytes| bytes.len() == rows * ROW_BYTES)
    };
    let shown: Vec<_> = frames.iter().filter(whole).collect();
    if shown.len() < 2 || rows == 0 {
        return None;
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let (width, height) = (ROW_BYTES as u32 * 8, u32::try_from(rows).ok()?);
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // One bit, grey, deflate, the usual filters, not interlaced.
    chunk(&mut file, b"IHDR", &[&size[..], &[1, 0, 0, 0, 0]].concat());
    let count = u32::try_from(shown.len()).ok()?;
    chunk(&mut file, b"acTL", &[count.to_be_bytes(), 0_u32.to_be_bytes()].concat());
    let mut sequence = 0_u32;
    let mut next = || {
        sequence += 1;
        (sequence - 1).to_be_bytes()
    };
    for (at, frame) in shown.iter().enumerate() {
        // The last stands as long as one of twenty a second.
        let until = shown.get(at + 1).map_or(frame.time.plus(SimTime::ms(50)), |next| next.time);
        let stands = (until.since(frame.time).as_us().div_ceil(1000)).min(STANDS_MAX) as u16;
        let mut control = next().to_vec();
        control.extend(&size);
        control.extend([0; 8]);
        control.extend(stands.to_be_bytes());
        control.extend(1000_u16.to_be_bytes());
        control.extend([0, 0]);
        chunk(&mut file, b"fcTL", &control);
        let packed = stored(&lines(pictures.get(&frame.picture)?));
        if at == 0 {
            chunk(&mut file, b"IDAT", &packed);
        } else {
            chunk(&mut file, b"fdAT", &[&next()[..], &packed].concat());
        }
    }
    chunk(&mut file, b"IEND", &[]);
    let address = format!("data:image/png;base64,{}", base64::encode(&file));
    Some((address, width as usize, rows))
}

/// Rows with their filter in front: none.
fn lines(picture: &[u8]) -> Vec<u8> {
    picture.chunks(ROW_BYTES).flat_map(|row| [&[0], row].concat()).collect()
}

/// Data in zlib's frame, not compressed.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks = data.chunks(STORED_MAX);
    let last = blocks.len().saturating_sub(1);
    for (at, block) in blocks.enumerate() {
        let length = block.len() as u16;
        out.push(u8::from(at == last));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let begin = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = crc(&file[begin..]);
    file.extend(sum.to_be_bytes());
}

/// CRC-32 as PNG has it, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| sum >> 1 ^ (0xedb8_8320 * (sum & 1)))
    })
}

#[cfg(test)]
mod test {
    use super::{Frame, bytes, crc, data, stored};
    use sun4v::time::SimTime;

    #[test]
    fn sums_are_those_of_their_standards() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(b"IEND"), 0xae42_6082);
        // Adler-32 of "Wikipedia".
        assert_eq!(stored(b"Wikipedia")[16..], 0x11e6_0398_u32.to_be_bytes());
        assert_eq!(bytes("00fe"), Some(vec![0, 0xfe]));
        assert_eq!(bytes("0g"), None);
    }

    #[test]
    fn a_frame_stands_until_the_next_and_an_odd_one_is_left_out() {
        let pictures = [(0, vec![0xaa; 22]), (1, vec![0x55; 22]), (2, vec![1, 2])].into();
        let frame = |ms, picture| Frame { time: SimTime::ms(ms), picture };
        let frames = [frame(0, 0), frame(50, 2), frame(393, 1)];
        let (address, width, rows) = data(&frames, &pictures).unwrap();
        assert_eq!((width, rows), (88, 2));
        insta::assert_snapshot!(address);
        assert_eq!(data(&frames[..2], &pictures), None);
        assert_eq!(data(&[], &pictures), None);
    }
}
