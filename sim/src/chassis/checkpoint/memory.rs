//! The memory of a chassis: the pages that are not all zeros.
//!
//! **Shape.** A stream of pages in ascending order: number (`u64`, big-endian), then
//! 8 KiB. Only stretches that belong to somebody are looked at: what nobody owns was
//! zeroed when its owner lost it.
//!
//! **Errors.** Pages out of order or outside the memory.

use super::LoadError;
use super::file::{SectionReader, SectionWriter};
use crate::mem::Ram;
use std::ops::Range;
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Pa};

/// Writes the pages of these stretches of memory, which are whole pages, in ascending
/// order.
pub fn save(ram: &Ram, stretches: &[Range<Pa>], out: &mut SectionWriter<'_>) {
    let mut page = [0; PAGE_BYTES as usize];
    for stretch in stretches {
        for number in stretch.start.0 >> PAGE_SHIFT..stretch.end.0 >> PAGE_SHIFT {
            let pa = Pa(number << PAGE_SHIFT);
            if ram.is_zero_page(pa) {
                continue;
            }
            ram.read(pa, &mut page);
            out.add(&number.to_be_bytes());
            out.add(&page);
        }
    }
}

/// Reads pages into memory that is all zeros.
///
/// # Errors
/// See the module.
pub fn load(ram: &Ram, name: &str, mut from: SectionReader<'_, '_>) -> Result<(), LoadError> {
    let mut number = [0; 8];
    let mut page = [0; PAGE_BYTES as usize];
    let mut next = 0;
    while from.fill(&mut number)? {
        let at = u64::from_be_bytes(number);
        if at < next || at >= ram.bytes() >> PAGE_SHIFT {
            return Err(LoadError::section(name, format!("page {at:#x} is not where it can be")));
        }
        next = at + 1;
        if !from.fill(&mut page)? {
            return Err(LoadError::section(name, "it ends too early"));
        }
        ram.write(Pa(at << PAGE_SHIFT), &page);
    }
    Ok(())
}

#[cfg(test)]
mod test {
    use super::super::file::{Reader, Writer};
    use super::{load, save};
    use crate::mem::Ram;
    use sun4v::addr::Pa;

    #[test]
    fn pages_that_are_not_zero_come_back_and_no_others() {
        let ram = Ram::new(1 << 20).unwrap();
        ram.store(Pa(0x2008), 7u8);
        ram.store(Pa(0x5ff8), u64::MAX);
        ram.store(Pa(0xf_fff8), 1u64);
        ram.store(Pa(0x8_0000), 9u64);
        let mut writer = Writer::default();
        let stretches = [Pa(0)..Pa(0x8_0000), Pa(0x8_2000)..Pa(1 << 20)];
        save(&ram, &stretches, &mut writer.section("memory"));
        let file = writer.finish();
        let other = Ram::new(1 << 20).unwrap();
        let mut reader = Reader::new(&file).unwrap();
        load(&other, "memory", reader.section("memory").unwrap()).unwrap();
        let nonzero: Vec<_> = (0..128).filter(|n| !other.is_zero_page(Pa(n << 13))).collect();
        assert_eq!(nonzero, [1, 2, 127]);
        assert_eq!(other.load::<u8>(Pa(0x2008)), 7);
        assert_eq!(other.load::<u64>(Pa(0x5ff8)), u64::MAX);
        let small = Ram::new(1 << 19).unwrap();
        let mut reader = Reader::new(&file).unwrap();
        let error = load(&small, "memory", reader.section("memory").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "section memory: page 0x7f is not where it can be");
    }
}
