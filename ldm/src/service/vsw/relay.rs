//! Frames that one chassis kept for a guest, on their way to the chassis that has
//! it now: in datagrams from control domain to control domain, so that no switch
//! between them sees a source address where it is not.
//!
//! **Shapes.** A datagram: number of the frame `u32`, part `u8`, parts `u8`, then
//! the part's bytes, [`PART`] at most. A frame takes one or two, a jumbo frame up to
//! [`PARTS_MAX`].
//!
//! **Errors.** Anything else is `None`; a frame whose other part never comes is
//! forgotten when the next begins.

/// The UDP port, next to that of migration.
pub const PORT: u16 = 8102;
/// Bytes of a frame in one datagram of a 1500-byte network.
pub const PART: usize = 1400;
/// Parts of the longest frame that a network here may have.
pub const PARTS_MAX: u8 = 12;
const HEADER: usize = 6;

/// Cuts frames into datagrams.
#[derive(Debug, Default)]
pub struct Sender {
    next: u32,
}

impl Sender {
    /// The datagrams of one frame.
    pub fn datagrams(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let number = self.next;
        self.next = number.wrapping_add(1);
        let parts = frame.len().div_ceil(PART) as u8;
        let datagram = |(part, bytes): (usize, &[u8])| {
            let mut datagram = number.to_be_bytes().to_vec();
            datagram.extend_from_slice(&[part as u8, parts]);
            datagram.extend_from_slice(bytes);
            datagram
        };
        frame.chunks(PART).enumerate().map(datagram).collect()
    }
}

/// Puts frames together.
#[derive(Debug, Default)]
pub struct Receiver {
    number: u32,
    frame: Vec<u8>,
    parts: u8,
}

impl Receiver {
    /// Takes a datagram; the frame, when it is the last part.
    pub fn datagram(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let number = u32::from_be_bytes(header[..4].try_into().ok()?);
        let (part, parts) = (header[4], header[5]);
        if rest.is_empty() || rest.len() > PART || parts > PARTS_MAX {
            return None;
        }
        if part == 0 {
            *self = Self { number, frame: Vec::new(), parts: 0 };
        }
        if number != self.number || part != self.parts || part >= parts {
            return None;
        }
        self.frame.extend_from_slice(rest);
        self.parts += 1;
        (self.parts == parts).then(|| std::mem::take(&mut self.frame))
    }
}

#[cfg(test)]
mod test {
    use super::{PART, PARTS_MAX, Receiver, Sender};
    use proptest::prelude::{any, proptest};

    #[test]
    fn frames_of_every_length_arrive() {
        let (mut sender, mut receiver) = (Sender::default(), Receiver::default());
        for length in [14, 60, PART, PART + 1, 1518, 16_018] {
            let frame: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let arrived: Vec<_> =
                sender.datagrams(&frame).iter().filter_map(|d| receiver.datagram(d)).collect();
            assert_eq!(arrived, [frame]);
        }
    }

    #[test]
    fn a_lost_part_loses_one_frame() {
        let (mut sender, mut receiver) = (Sender::default(), Receiver::default());
        let (first, second) = (sender.datagrams(&[1; 1500]), sender.datagrams(&[2; 1500]));
        assert_eq!(receiver.datagram(&first[0]), None);
        assert_eq!(receiver.datagram(&second[1]), None);
        assert_eq!(receiver.datagram(&second[0]), None);
        assert_eq!(receiver.datagram(&second[1]), Some(vec![2; 1500]));
        assert_eq!(receiver.datagram(&first[1]), None);
    }

    proptest! {
        #[test]
        fn any_datagrams_are_taken(datagrams in any::<Vec<Vec<u8>>>()) {
            let mut receiver = Receiver::default();
            for datagram in datagrams {
                let frame = receiver.datagram(&datagram);
                assert!(frame.is_none_or(|frame| frame.len() <= usize::from(PARTS_MAX) * PART));
            }
        }
    }
}
