//! Packets of the remote protocol: `$data#checksum`, escapes, hexadecimal numbers.
//!
//! **Shapes.** A packet's data are bytes, at most [`SIZE`] of them; in binary parts
//! `}` announces a byte that was changed by 0x20.
//!
//! **Errors.** A wrong checksum is [`Input::Garbled`]; bytes between packets that mean
//! nothing are passed over; a packet that is too long is garbled once it ends.

/// The longest packet.
pub const SIZE: usize = 0x4000;
const ESCAPE: u8 = b'}';

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A packet's data, its escapes as they are.
    Packet(Vec<u8>),
    /// A packet whose checksum is wrong.
    Garbled,
    /// The last packet was not understood.
    Again,
    /// Stop the machine.
    Interrupt,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    Data,
    First,
    Second(u8),
}

/// Takes bytes apart.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    data: Vec<u8>,
    sum: u8,
    long: bool,
}

impl Reader {
    /// Takes a byte in.
    pub fn byte(&mut self, byte: u8) -> Option<Input> {
        match self.state {
            State::Between => match byte {
                b'$' => {
                    *self = Self { state: State::Data, ..Self::default() };
                    None
                }
                b'-' => Some(Input::Again),
                3 => Some(Input::Interrupt),
                _ => None,
            },
            State::Data if byte == b'#' => {
                self.state = State::First;
                None
            }
            State::Data => {
                self.sum = self.sum.wrapping_add(byte);
                self.long |= self.data.len() >= SIZE;
                if !self.long {
                    self.data.push(byte);
                }
                None
            }
            State::First => {
                self.state = State::Second(byte);
                None
            }
            State::Second(first) => {
                self.state = State::Between;
                let sum = digit(first).zip(digit(byte)).map(|(high, low)| high << 4 | low);
                Some(if sum == Some(self.sum) && !self.long {
                    Input::Packet(std::mem::take(&mut self.data))
                } else {
                    Input::Garbled
                })
            }
        }
    }
}

/// A packet around `data`, which is escaped already where it has to be.
#[must_use]
pub fn frame(data: &[u8]) -> Vec<u8> {
    let sum = data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let mut out = vec![b'$'];
    out.extend(data);
    out.extend(format!("#{sum:02x}").bytes());
    out
}

/// Bytes with escapes, no longer than `limit`; how many of them are in.
#[must_use]
pub fn escape(bytes: &[u8], limit: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    for (&byte, count) in bytes.iter().zip(0..) {
        let special = matches!(byte, b'#' | b'$' | b'*' | ESCAPE);
        if out.len() + 1 + usize::from(special) > limit {
            return (out, count);
        }
        if special {
            out.extend([ESCAPE, byte ^ 0x20]);
        } else {
            out.push(byte);
        }
    }
    (out, bytes.len())
}

/// Bytes without escapes.
#[must_use]
pub fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.iter();
    let mut out = Vec::new();
    while let Some(&byte) = bytes.next() {
        match byte {
            ESCAPE => out.extend(bytes.next().map(|byte| byte ^ 0x20)),
            _ => out.push(byte),
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// A hexadecimal number of 1 to 16 digits.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |value, &byte| Some(value << 4 | u64::from(digit(byte)?)))
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that are in hexadecimal.
#[must_use]
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// Both sides of the first `at`.
#[must_use]
pub fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = text.iter().position(|byte| *byte == at)?;
    Some((&text[..index], &text[index + 1..]))
}

#[cfg(test)]
mod test {
    use super::{Input, Reader, SIZE, escape, frame, hex, number, unescape, unhex};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn read(bytes: &[u8]) -> Vec<Input> {
        let mut reader = Reader::default();
        bytes.iter().filter_map(|byte| reader.byte(*byte)).collect()
    }

    #[test]
    fn packets_interrupts_and_complaints_are_told_apart() {
        let packet = |data: &[u8]| Input::Packet(data.to_vec());
        assert_eq!(
            read(b"+$g#67\x03-$?#00$#00xx$m0,4#fd"),
            [
                packet(b"g"),
                Input::Interrupt,
                Input::Again,
                Input::Garbled,
                packet(b""),
                packet(b"m0,4")
            ]
        );
        assert_eq!(read(&frame(&[b'x'; SIZE])).len(), 1);
        assert_eq!(read(&frame(&[b'x'; SIZE + 1])), [Input::Garbled]);
    }

    #[test]
    fn numbers_have_one_to_sixteen_digits() {
        assert_eq!(number(b"ffffFFFFffffFFFF"), Some(u64::MAX));
        for bad in [&b""[..], b"10000000000000000", b"x", b"-1"] {
            assert_eq!(number(bad), None);
        }
        assert_eq!(unhex(b"0aF"), None);
        assert_eq!(unhex(b"0aFf"), Some(vec![10, 255]));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_reader_goes_on(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut all = bytes;
            all.extend(b"#00#00");
            all.extend(frame(b"g"));
            prop_assert_eq!(read(&all).pop(), Some(Input::Packet(b"g".to_vec())));
        }

        #[test]
        fn bytes_survive_escapes_and_hexadecimal(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let (escaped, count) = escape(&bytes, usize::MAX);
            prop_assert_eq!(count, bytes.len());
            prop_assert_eq!(&unescape(&escaped), &bytes);
            prop_assert_eq!(unhex(hex(&bytes).as_bytes()), Some(bytes));
        }
    }
}
