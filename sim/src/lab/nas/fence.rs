//! The fence: which domain has claimed an image at which epoch, and who is too old.
//!
//! A domain has an epoch, one more whenever it changes hands between servers. A server
//! claims an image for a domain before that runs there, and gets a handle that says for
//! whom and at which epoch. What comes with a handle of an older epoch than the newest
//! claim of the same domain is STALE, as for access that was revoked: nothing is read
//! or written. Domains that share an image do not shut each other out, and handles that
//! nobody has claimed with are anybody's, as with any NFS server.
//!
//! **Protocol.** Program [`PROGRAM`], version 1. CLAIM (1): handle, UUID as text, epoch
//! (`u64`); results: `nfsstat3`, and if it is 0 the handle. INVAL is for what is no UUID or
//! no file, STALE for an epoch that is old, NOSPC for more than [`OWNERS_MAX`] domains.
//!
//! **Durable.** Claims are on the disk with the image when they are answered, and in its
//! record. `owners` lists them, `release IMAGE` forgets those of an image: for a domain
//! that is made anew with an old UUID.

use super::nfs::Status;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The program; RFC 5531 leaves 0x2000_0000 to 0x3fff_ffff to sites.
pub const PROGRAM: u32 = 0x2000_8101;
/// Its version.
pub const VERSION: u32 = 1;
/// The only procedure besides NULL.
pub const CLAIM: u32 = 1;
/// Domains that an image remembers.
pub const OWNERS_MAX: usize = 1024;
/// Bytes of a claim in a handle.
pub const CLAIM_BYTES: usize = 24;

/// A UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Uuid(pub u128);

impl Uuid {
    /// Reads its text: 32 digits in groups.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let groups: Vec<_> = text.split('-').map(str::len).collect();
        let digits = text.replace('-', "");
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| plain)?;
        (groups == [8, 4, 4, 4, 12]).then_some(Self(number))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (a, b, c, d) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20]);
        write!(f, "{a}-{b}-{c}-{d}-{}", &digits[20..])
    }
}

/// For whom a handle was claimed, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The domain.
    pub uuid: Uuid,
    /// Its epoch.
    pub epoch: u64,
}

impl Claim {
    /// Its bytes in a handle.
    #[must_use]
    pub fn to_bytes(self) -> [u8; CLAIM_BYTES] {
        let mut bytes = [0; CLAIM_BYTES];
        bytes[..16].copy_from_slice(&self.uuid.0.to_be_bytes());
        bytes[16..].copy_from_slice(&self.epoch.to_be_bytes());
        bytes
    }

    /// The claim in a handle.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (uuid, epoch) = bytes.split_first_chunk()?;
        let uuid = Uuid(u128::from_be_bytes(*uuid));
        Some(Self { uuid, epoch: u64::from_be_bytes(epoch.try_into().ok()?) })
    }
}

/// What an image knows of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The newest epoch at which it was claimed.
    pub epoch: u64,
    /// Calls at older ones that were refused since.
    pub refused: u64,
}

/// The owners of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(pub BTreeMap<Uuid, Owner>);

impl Owners {
    /// Claims it.
    ///
    /// # Errors
    /// The epoch is old, or there are too many owners.
    pub fn claim(&mut self, claim: Claim) -> Result<(), Status> {
        if !self.0.contains_key(&claim.uuid) && self.0.len() >= OWNERS_MAX {
            return Err(Status::NoSpc);
        }
        self.check(claim)?;
        let owner = self.0.entry(claim.uuid).or_default();
        if claim.epoch > owner.epoch {
            *owner = Owner { epoch: claim.epoch, refused: 0 };
        }
        Ok(())
    }

    /// May somebody with this claim come near?
    ///
    /// # Errors
    /// The domain has claimed it at a newer epoch.
    pub fn check(&self, claim: Claim) -> Result<(), Status> {
        let newer = |owner: &Owner| owner.epoch > claim.epoch;
        if self.0.get(&claim.uuid).is_some_and(newer) { Err(Status::Stale) } else { Ok(()) }
    }

    /// Somebody was refused: the newest epoch, for the first.
    pub fn refused(&mut self, claim: Claim) -> Option<u64> {
        let owner = self.0.get_mut(&claim.uuid)?;
        owner.refused += 1;
        (owner.refused == 1).then_some(owner.epoch)
    }
}

#[cfg(test)]
mod test {
    use super::{Claim, OWNERS_MAX, Owner, Owners, Status, Uuid};

    const TEXT: &str = "0c0ffee0-0000-4000-8000-00000000000a";

    #[test]
    fn a_uuid_is_its_text() {
        let uuid = Uuid::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(uuid.to_string(), TEXT);
        assert_eq!(uuid.0 & 0xff, 10);
        for wrong in ["", "0c0ffee0", &TEXT[1..], &TEXT.replace('a', "g"), &TEXT.replace('-', "")] {
            assert_eq!(Uuid::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Uuid::parse(&TEXT.replace("0c0f", "+c0f").into_bytes()), None);
    }

    #[test]
    fn the_newest_epoch_counts_and_each_domain_has_its_own() {
        let mut owners = Owners::default();
        let claim = |domain: u128, epoch| Claim { uuid: Uuid(domain), epoch };
        assert_eq!(Claim::from_bytes(&claim(7, 9).to_bytes()), Some(claim(7, 9)));
        assert_eq!(Claim::from_bytes(&[0; 23]), None);
        assert_eq!(owners.check(claim(1, 1)), Ok(()), "nobody has claimed it");
        assert_eq!(owners.claim(claim(1, 2)), Ok(()));
        assert_eq!(owners.claim(claim(1, 2)), Ok(()), "again");
        assert_eq!(owners.claim(claim(1, 1)), Err(Status::Stale));
        assert_eq!(owners.claim(claim(2, 1)), Ok(()));
        assert_eq!((owners.refused(claim(1, 1)), owners.refused(claim(1, 1))), (Some(2), None));
        assert_eq!(owners.0[&Uuid(1)], Owner { epoch: 2, refused: 2 });
        owners.claim(claim(1, 4)).unwrap();
        assert_eq!(owners.0[&Uuid(1)], Owner { epoch: 4, refused: 0 });
        for domain in 3..=OWNERS_MAX as u128 {
            owners.claim(claim(domain, 1)).unwrap();
        }
        assert_eq!(owners.claim(claim(0, 1)), Err(Status::NoSpc));
        assert_eq!(owners.claim(claim(1, 5)), Ok(()), "it is known");
    }
}
