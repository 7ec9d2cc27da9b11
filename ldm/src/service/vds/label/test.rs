use super::sun::{self, SunLabel};
use super::{BLOCK, Extent, FRONT_BYTES, Label, gpt, is_iso};
use proptest::prelude::{any, proptest};
use sun4v::vio::vdisk::Geometry;
use zerocopy::IntoBytes;

/// The front of a disk with one partition of 64 blocks.
fn one_partition() -> Vec<u8> {
    let mut front = vec![0; FRONT_BYTES];
    let made = gpt::of_slice(64, *b"0123456789abcdef");
    front[..made.front.len()].copy_from_slice(&made.front);
    front
}

#[test]
fn a_sun_label_is_512_bytes_with_its_magic_at_the_end() {
    let geometry = Geometry::of(1 << 21);
    let label = SunLabel::new(&geometry, &sun::unlabelled(1 << 21)).unwrap();
    let bytes = label.as_bytes();
    assert_eq!(bytes.len(), 512);
    assert_eq!(bytes[508..510], [0xda, 0xbe]);
    assert_eq!(bytes[188..192], [0x60, 0x0d, 0xde, 0xee]);
    assert_eq!(bytes[140..142], [0, 8]);
    // Data cylinders, alternates, heads, sectors.
    assert_eq!(bytes[432..440], [0x0d, 0xa5, 0, 2, 0, 1, 2, 88]);
    // Partition 2 begins at cylinder 0.
    let blocks = u32::from(geometry.ncyl.get()) * 600;
    assert_eq!(bytes[460..464], [0; 4]);
    assert_eq!(bytes[464..468], blocks.to_be_bytes());
}

#[test]
fn a_sun_label_gives_back_what_was_put_in_and_says_where_its_copies_go() {
    let geometry = Geometry::of(1 << 21);
    let vtoc = sun::unlabelled(1 << 21);
    let label = SunLabel::new(&geometry, &vtoc).unwrap();
    let mut front = label.as_bytes().to_vec();
    assert_eq!(Label::read(&front), Label::Sun(Box::new(label)));
    assert_eq!((label.vtoc(), label.geometry()), (vtoc, geometry));
    let last = (u64::from(geometry.ncyl.get()) + 2) * 600;
    let copies: Vec<_> = label.copies(1 << 21).collect();
    assert_eq!(copies, [1, 3, 5, 7, 9].map(|n| last - 600 + n));
    for at in 0..512 {
        front[at] ^= 0x10;
        assert_eq!(Label::read(&front), Label::None, "byte {at}");
        front[at] ^= 0x10;
    }
}

#[test]
fn a_table_of_contents_that_fits_no_label_is_refused() {
    let geometry = Geometry::of(1 << 21);
    let mut vtoc = sun::unlabelled(1 << 21);
    vtoc.num_partitions = 9.into();
    assert!(SunLabel::new(&geometry, &vtoc).is_none());
    let mut vtoc = sun::unlabelled(1 << 21);
    vtoc.partitions[1].nblocks = (1 << 32).into();
    assert!(SunLabel::new(&geometry, &vtoc).is_none());
    let none = Geometry { nhead: 0.into(), ..geometry };
    assert!(SunLabel::new(&none, &sun::unlabelled(1 << 21)).is_none());
}

#[test]
fn a_gpt_is_read_and_every_damage_seen() {
    let mut front = one_partition();
    let slices = gpt::read(&front).unwrap();
    assert_eq!(slices[0], Extent { start: 34, blocks: 64 });
    assert_eq!(slices[1], Extent::default());
    assert_eq!(Label::read(&front), Label::Gpt(slices));
    for at in (512..604).chain(1024..1200) {
        front[at] ^= 1;
        assert_eq!(Label::read(&front), Label::None, "byte {at}");
        front[at] ^= 1;
    }
    assert_eq!(gpt::read(&front[..1024]), None);
}

#[test]
fn both_tables_of_a_made_up_disk_say_the_same() {
    let made = gpt::of_slice(1 << 31, [7; 16]);
    assert_eq!(made.blocks, 34 + (1 << 31) + 16_384 + 33);
    assert_eq!((made.front.len() as u64, made.back.len() as u64), (34 * BLOCK, 33 * BLOCK));
    // The second header, put where the first is, with its entries behind it, is sound
    // but for where it says that they are.
    let mut front = vec![0; 512];
    front.extend(&made.back[32 * 512..]);
    assert_eq!(front[512..520], *b"EFI PART");
    assert_eq!(front[512 + 24..512 + 32], (made.blocks - 1).to_le_bytes());
    assert_eq!(front[512 + 72..512 + 80], (made.blocks - 33).to_le_bytes());
    assert_eq!(made.back[..32 * 512], made.front[1024..]);
    // CRC of the entries.
    assert_eq!(front[512 + 88..512 + 92], made.front[512 + 88..512 + 92]);
}

#[test]
fn a_cd_is_known_by_its_first_descriptor() {
    let mut front = vec![0; FRONT_BYTES];
    assert!(!is_iso(&front));
    front[32_768..32_775].copy_from_slice(b"\x01CD001\x01");
    assert!(is_iso(&front));
    assert!(!is_iso(&front[..32_768]));
}

proptest! {
    #[test]
    fn no_front_brings_the_reader_down(
        words in proptest::collection::vec((0_usize..FRONT_BYTES, any::<u64>()), 0..20),
        cut in 0_usize..=FRONT_BYTES,
        summed in any::<bool>(),
    ) {
        let mut front = one_partition();
        for (at, word) in words {
            let at = if at % 2 == 0 { 512 + at % 92 } else { at };
            let end = (at + 8).min(front.len());
            front[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
        }
        if summed {
            // As a malicious writer would: the header's sum is right.
            let bytes = u32::from_le_bytes(front[524..528].try_into().unwrap()) as usize;
            if (92..=512).contains(&bytes) {
                front[528..532].fill(0);
                let sum = gpt::crc32(&front[512..512 + bytes]);
                front[528..532].copy_from_slice(&sum.to_le_bytes());
            }
        }
        let _ = Label::read(&front[..cut]);
    }
}
