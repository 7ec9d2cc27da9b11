//! The record of a NAS: what was written to its disks, and how they were used.
//!
//! Connections end, and calls that were not answered are forgotten: who asked asks
//! again.

use super::Nas;
use super::fence::{OWNERS_MAX, Owner, Owners, Uuid};
use super::image::{BLOCK_BYTES, Image};
use super::nfs::{File, Use};
use crate::lab::host::only;
use serde::{Deserialize, Serialize};
use sun4v::record::{LoadError, Schema, encode};
use sun4v::time::SimTime;

/// A NAS, version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NasV2 {
    /// When its disks are free.
    pub disks_free_at: SimTime,
    /// Which file (by its place) was used by which client, in ascending order.
    pub opened: Vec<(u32, String)>,
    /// Its files, in order.
    pub files: Vec<FileV2>,
}

impl Schema for NasV2 {
    const KIND: &'static str = "lab/nas";
    const VERSION: u32 = 2;
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileV2 {
    /// Its name.
    pub name: String,
    /// SHA-256 of the file of the host as which it began, if it was one.
    pub began_as: Option<[u8; 32]>,
    /// Reads, bytes read, writes, bytes written.
    pub used: [u64; 4],
    /// Which domains have claimed it, in ascending order.
    pub owners: Vec<(Uuid, Owner)>,
    /// When it was written last.
    pub written_at: SimTime,
    /// How often a block was spoiled.
    pub spoiled: u64,
    /// Blocks that were written or spoiled, by number, in ascending order.
    pub blocks: Vec<(u64, Vec<u8>)>,
}

impl Nas {
    pub(super) fn record(&self) -> Vec<u8> {
        let Self {
            // The scenario's.
            name: _,
            disks: _,
            // Ends with its connections.
            host: _,
            connections: _,
            pending: _,
            // Taken before.
            facts: _,
            next: _,
            export,
            disks_free_at,
            opened,
        } = self;
        let files = export.files().iter().map(|file| {
            let File { name, image, used, owners, written_at } = file;
            let Use { reads, read_bytes, writes, written_bytes } = *used;
            FileV2 {
                name: name.clone(),
                began_as: image.file_digest(),
                used: [reads, read_bytes, writes, written_bytes],
                owners: owners.0.iter().map(|(&uuid, &owner)| (uuid, owner)).collect(),
                written_at: *written_at,
                spoiled: image.spoiled(),
                blocks: image.written().map(|(n, block)| (n, block.to_vec())).collect(),
            }
        });
        let record = NasV2 {
            disks_free_at: *disks_free_at,
            opened: opened.iter().map(|(file, by)| (*file as u32, by.clone())).collect(),
            files: files.collect(),
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        bytes
    }

    pub(super) fn load_record(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let check = |sound: bool, why| match sound {
            true => Ok(()),
            false => Err(LoadError::Inconsistent { kind: NasV2::KIND, why }),
        };
        let NasV2 { disks_free_at, opened, files } = only(bytes)?;
        let names = files.iter().map(|file| &file.name);
        let own = self.export.files().iter().map(|file| &file.name);
        check(names.eq(own), "other files than the scenario's")?;
        check(opened.is_sorted_by(|a, b| a < b), "a list out of order")?;
        let known = |(file, _): &(u32, String)| (*file as usize) < files.len();
        check(opened.iter().all(known), "a file that is not there")?;
        for (own, file) in self.export.files().iter().zip(&files) {
            let same = own.image.file_digest() == file.began_as;
            check(same, "a disk whose file is not as it was")?;
            let numbers = file.blocks.iter().map(|(number, _)| *number);
            check(numbers.clone().is_sorted_by(|a, b| a < b), "blocks out of order")?;
            check(numbers.max().is_none_or(|n| n < own.image.blocks()), "a block past the end")?;
            let whole = |(_, block): &(u64, Vec<u8>)| block.len() == BLOCK_BYTES;
            check(file.blocks.iter().all(whole), "a block of another size")?;
            check(file.owners.len() <= OWNERS_MAX, "too many owners")?;
            check(file.owners.is_sorted_by(|a, b| a.0 < b.0), "owners out of order")?;
        }
        for (own, file) in self.export.files_mut().iter_mut().zip(files) {
            let FileV2 { name: _, began_as: _, used, owners, written_at, spoiled, blocks } = file;
            let [reads, read_bytes, writes, written_bytes] = used;
            own.used = Use { reads, read_bytes, writes, written_bytes };
            own.written_at = written_at;
            own.owners = Owners(owners.into_iter().collect());
            own.image.load(spoiled, blocks);
        }
        self.disks_free_at = disks_free_at;
        self.opened = opened.into_iter().map(|(file, by)| (file as usize, by)).collect();
        Ok(())
    }
}

impl Image {
    /// Blocks that were written or spoiled, by number.
    pub(super) fn written(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.written.iter().map(|(number, block)| (*number, &block[..]))
    }

    /// Takes over what another image of its kind has been through. Blocks are whole.
    fn load(&mut self, spoiled: u64, blocks: Vec<(u64, Vec<u8>)>) {
        self.spoiled = spoiled;
        let blocks = blocks.into_iter().map(|(number, bytes)| {
            let mut block = Box::new([0; BLOCK_BYTES]);
            block.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
            (number, block)
        });
        self.written = blocks.collect();
    }
}

#[cfg(test)]
mod test {
    use super::super::{Disks, Nas};
    use super::{BLOCK_BYTES, Image, NasV2, Owner, Uuid};
    use crate::lab::host::{Address, LabHost};
    use crate::lab::nas::nfs::Export;
    use crate::time::rng::Seed;
    use sun4v::record::{decode, encode};

    fn nas() -> Nas {
        let address =
            Address { mac: [2, 0, 0, 0, 2, 2], ip: [192, 168, 2, 2], prefix: 24, mtu: 9000 };
        let mut export = Export::new("/export", 1);
        export.add("a.img", Image::new(7, 1 << 20));
        export.add("b.img", Image::new(7, 1 << 20));
        Nas::new("nas", &address, Seed(1), export, Disks::default())
    }

    /// With blocks written and one spoiled.
    fn used() -> Nas {
        let mut nas = nas();
        let image = nas.export_mut().image_mut("b.img").unwrap();
        assert!(image.write(BLOCK_BYTES as u64 - 4, &[9; 8]) && image.spoil(100));
        nas.opened.insert((1, "192.168.2.20".to_owned()));
        let owners = &mut nas.export_mut().files_mut()[0].owners;
        owners.0 = [(Uuid(7), Owner { epoch: 3, refused: 1 }), (Uuid(9), Owner::default())].into();
        nas
    }

    #[test]
    fn what_was_written_is_there_and_the_rest_is_made_again() {
        let (one, mut other) = (used(), nas());
        let bytes = one.save().unwrap();
        assert!(bytes.len() > 3 * BLOCK_BYTES && (bytes.len() as u64) < one.records_max());
        other.load(&bytes).unwrap();
        assert_eq!(other.save().unwrap(), bytes);
        for (one, other) in one.export().files().iter().zip(other.export().files()) {
            assert_eq!(one.image.read(0, 1 << 20), other.image.read(0, 1 << 20));
        }
        assert_eq!(other.export().files()[1].image.spoiled(), 1);
        assert_eq!(other.export().files()[0].owners, one.export().files()[0].owners);
    }

    #[test]
    fn every_broken_rule_refuses_the_record_and_changes_nothing() {
        type Damage = fn(&mut NasV2);
        let breaks: [(&str, Damage); 8] = [
            ("owners", |r| r.files[0].owners.reverse()),
            ("files", |r| r.files.truncate(1)),
            ("name", |r| r.files[0].name.push('x')),
            ("file", |r| r.files[0].began_as = Some([1; 32])),
            ("opened", |r| r.opened[0].0 = 2),
            ("order", |r| r.files[1].blocks.reverse()),
            ("end", |r| r.files[1].blocks[2].0 = 128),
            ("size", |r| r.files[1].blocks[2].1.truncate(8191)),
        ];
        let good: NasV2 = decode(&mut used().save().unwrap().as_slice()).unwrap();
        for (what, damage) in breaks {
            let mut record = good.clone();
            damage(&mut record);
            let mut bytes = Vec::new();
            encode(&record, &mut bytes);
            let mut nas = nas();
            let before = nas.save().unwrap();
            assert!(nas.load(&bytes).is_err(), "{what}");
            assert_eq!(nas.save().unwrap(), before, "{what}");
        }
    }
}
