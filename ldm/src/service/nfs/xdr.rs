//! External data representation, as far as NFS needs it.
//!
//! **Shapes.** Everything is big-endian in units of four bytes; opaque data have
//! a length before and zeros behind up to the next unit.
//!
//! **Errors.** Reading past the end, or a length beyond its limit, is `None`.
//!
//! **Source.** RFC 4506.

/// Appends values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// An unsigned integer.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    /// An unsigned hyper integer.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    /// Opaque data of variable length.
    pub fn opaque(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// Takes values from the front.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// `n` bytes as they are.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(bytes)
    }
    /// An unsigned integer.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
    /// An unsigned hyper integer.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }
    /// Opaque data of at most `max` bytes.
    pub fn opaque(&mut self, max: usize) -> Option<&'a [u8]> {
        let n = self.u32()? as usize;
        if n > max {
            return None;
        }
        Some(&self.take(n.next_multiple_of(4))?[..n])
    }
    /// An optional value of `bytes` bytes, skipped.
    pub fn skip_optional(&mut self, bytes: usize) -> Option<()> {
        if self.u32()? != 0 {
            self.take(bytes)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod test {
    use super::{Reader, Writer};
    use proptest::prelude::{any, proptest};

    #[test]
    fn opaque_data_fill_whole_units() {
        let mut out = Writer::default();
        out.u32(7).opaque(b"hello").u64(9);
        assert_eq!(out.0, *b"\0\0\0\x07\0\0\0\x05hello\0\0\0\0\0\0\0\0\0\0\x09");
        let mut reader = Reader(&out.0);
        assert_eq!(reader.u32(), Some(7));
        assert_eq!(reader.opaque(5), Some(&b"hello"[..]));
        assert_eq!(reader.u64(), Some(9));
        assert_eq!(reader.u32(), None);
        assert_eq!(Reader(&out.0[4..]).opaque(4), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in any::<Vec<u8>>(), max in any::<usize>()) {
            let _ = Reader(&bytes).opaque(max);
            let _ = Reader(&bytes).skip_optional(max);
        }
    }
}
