//! The pictures of the drawing, each kept once.
//!
//! A picture is noted in words the first time it is seen, and by its number from then
//! on: a drawing that comes back to what it has shown does not fill the record.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Pictures that are told apart; later ones have no number.
pub const PICTURES_MAX: usize = 256;

/// Pictures by their bytes.
#[derive(Debug, Default)]
pub struct Pictures(BTreeMap<Vec<u8>, u64>);

impl Pictures {
    /// The number of a picture, and whether it is new. `None` when there are too many.
    pub fn see(&mut self, picture: &[u8]) -> Option<(u64, bool)> {
        if let Some(&number) = self.0.get(picture) {
            return Some((number, false));
        }
        let number = self.0.len() as u64;
        if self.0.len() == PICTURES_MAX {
            return None;
        }
        self.0.insert(picture.to_vec(), number);
        Some((number, true))
    }

    /// All of them, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Vec<u8>> {
        let mut list: Vec<_> = self.0.iter().collect();
        list.sort_by_key(|&(_, number)| *number);
        list.into_iter().map(|(picture, _)| picture.clone()).collect()
    }

    /// Those of a list, if each is in it once and there are not too many.
    #[must_use]
    pub fn of(list: Vec<Vec<u8>>) -> Option<Self> {
        let length = list.len();
        let pictures: BTreeMap<_, _> = list.into_iter().zip(0..).collect();
        (pictures.len() == length && length <= PICTURES_MAX).then_some(Self(pictures))
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod test {
    use super::{PICTURES_MAX, Pictures, digits};

    #[test]
    fn a_picture_has_one_number_and_there_is_an_end_of_numbers() {
        let mut pictures = Pictures::default();
        assert_eq!(pictures.see(b"one"), Some((0, true)));
        assert_eq!(pictures.see(b"two"), Some((1, true)));
        assert_eq!(pictures.see(b"one"), Some((0, false)));
        let mut again = Pictures::of(pictures.list()).unwrap();
        assert_eq!(again.see(b"two"), Some((1, false)));
        for n in 2..PICTURES_MAX as u64 {
            assert_eq!(again.see(&n.to_be_bytes()), Some((n, true)));
        }
        assert_eq!(again.see(b"more"), None);
        assert_eq!(again.see(b"one"), Some((0, false)));
        assert!(Pictures::of(vec![vec![1], vec![1]]).is_none());
        assert!(Pictures::of((0..=256_u16).map(|n| n.to_be_bytes().to_vec()).collect()).is_none());
        assert_eq!(digits(&[0, 0xfe]), "00fe");
    }
}
