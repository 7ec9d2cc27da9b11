//! XDR: how remote procedure calls lay out their arguments.
//!
//! **Shapes.** Everything is a multiple of four bytes, big-endian; an opaque or a
//! string has its length in front and zeros behind.
//!
//! **Errors.** [`Garbage`] for arguments that end too early or break a bound.
//!
//! **Source.** RFC 4506.

/// Arguments that do not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage;

/// Takes values off the front of a message.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Garbage> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Garbage)?;
        self.0 = tail;
        Ok(head)
    }

    /// An unsigned integer.
    pub fn u32(&mut self) -> Result<u32, Garbage> {
        Ok(self.take(4)?.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)))
    }

    /// An unsigned hyper.
    pub fn u64(&mut self) -> Result<u64, Garbage> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    /// An opaque or a string of at most `max` bytes.
    pub fn opaque(&mut self, max: usize) -> Result<&'a [u8], Garbage> {
        let length = self.u32()? as usize;
        if length > max {
            return Err(Garbage);
        }
        let bytes = self.take(length)?;
        self.take(length.wrapping_neg() % 4)?;
        Ok(bytes)
    }
}

/// Appends values to a message.
#[derive(Clone, Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// An unsigned integer, an enum or a boolean.
    pub fn u32(&mut self, word: u32) -> &mut Self {
        self.0.extend_from_slice(&word.to_be_bytes());
        self
    }

    /// An unsigned hyper.
    pub fn u64(&mut self, word: u64) -> &mut Self {
        self.0.extend_from_slice(&word.to_be_bytes());
        self
    }

    /// An opaque or a string.
    pub fn opaque(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

#[cfg(test)]
mod test {
    use super::{Garbage, Reader, Writer};
    use proptest::prelude::{any, prop, proptest};

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(
            a in any::<u32>(), b in any::<u64>(), c in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut writer = Writer::default();
            writer.u32(a).opaque(&c).u64(b);
            assert_eq!(writer.0.len() % 4, 0);
            let mut reader = Reader::new(&writer.0);
            assert_eq!(reader.u32(), Ok(a));
            assert_eq!(reader.opaque(20), Ok(c.as_slice()));
            assert_eq!(reader.u64(), Ok(b));
            assert_eq!(reader.u32(), Err(Garbage));
        }
    }

    #[test]
    fn a_length_past_the_bound_or_the_end_is_garbage() {
        let bytes = [0, 0, 0, 5, 1, 2, 3, 4, 5];
        assert_eq!(Reader::new(&bytes).opaque(4), Err(Garbage));
        assert_eq!(Reader::new(&bytes).opaque(5), Err(Garbage));
        assert_eq!(Reader::new(&[0xff; 8]).opaque(usize::MAX), Err(Garbage));
    }
}
