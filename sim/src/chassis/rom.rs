//! Boot images: what guests start from, in hypervisor memory.
//!
//! A chassis has one for all its guests, and may have others for domains by name. An
//! image is a firmware, or a firmware with what it is to start beside it: kernel,
//! initial RAM disk and arguments follow the firmware's 4 MB, with a header that says
//! where each is.
//!
//! **Shapes.** Numbers of the header are big-endian doublewords: magic `LDLBOOT1`, bytes
//! of all from the header on, then offset from the header and bytes of kernel, RAM
//! disk and arguments (0 bytes: none); parts begin on pages.
//!
//! **Errors.** [`RomError`] names the file and says what is wrong with it.
//!
//! **Source.** `firmware/openboot/payload.h`.

use crate::lab::scenario::{Chassis, GuestImage, host_path};
use std::collections::BTreeMap;
use sun4v::addr::{PAGE_BYTES, Pa};
use sun4v::hvmd::Rom;
use thiserror::Error;

/// Where boot images lie, one after the other.
pub const ROM_PA: Pa = Pa(64 << 20);
/// Bytes for all of them.
pub const ROM_BYTES_MAX: u64 = super::server::HV_BYTES - ROM_PA.0;
/// What a firmware may take before what is beside it.
const FIRMWARE_BYTES: usize = 4 << 20;
const MAGIC: &[u8; 8] = b"LDLBOOT1";

/// Images that are built in, by name.
const BUILT_IN: [(&str, &[u8]); 7] = [
    ("openboot", include_bytes!("../../../firmware/images/openboot.bin")),
    ("rover", include_bytes!("../../../firmware/images/rover.bin")),
    ("hello", include_bytes!("../../../firmware/images/hello.bin")),
    ("burn", include_bytes!("../../../firmware/images/burn.bin")),
    ("echo", include_bytes!("../../../firmware/images/echo.bin")),
    ("hostile", include_bytes!("../../../firmware/images/hostile.bin")),
    ("storm", include_bytes!("../../../firmware/images/storm.bin")),
];
/// The firmware that knows how to start what is beside it.
pub const OPENBOOT: &str = "openboot";

/// Why there is no boot image.
#[derive(Debug, Error)]
pub enum RomError {
    /// A file cannot be read.
    #[error("{file}: {why}")]
    File {
        /// Which.
        file: String,
        /// Why.
        why: std::io::Error,
    },
    /// A file with nothing in it.
    #[error("{0}: an empty file")]
    Empty(String),
    /// Something is to be beside another firmware.
    #[error("{0}: only the firmware `openboot` starts a kernel that is put beside it")]
    Firmware(String),
    /// More than there is room for.
    #[error("boot images of {0} bytes; 1 to {ROM_BYTES_MAX} fit")]
    Room(u64),
}

/// The boot images of a chassis: where each lies, and its bytes.
#[derive(Debug, Default)]
pub struct Roms {
    /// For guests without one of their own.
    pub all: Rom,
    /// By domain.
    pub of: BTreeMap<String, Rom>,
    /// Bytes.
    pub writes: Vec<(Pa, Vec<u8>)>,
}

impl Roms {
    /// Reads what the scenario names for a chassis.
    ///
    /// # Errors
    /// See [`RomError`].
    pub fn read(chassis: &Chassis) -> Result<Self, RomError> {
        let mut roms = Self::default();
        roms.all = roms.add(firmware(&chassis.boot)?)?;
        for (domain, image) in &chassis.guests {
            let rom = roms.add(beside(image)?)?;
            roms.of.insert(domain.clone(), rom);
        }
        Ok(roms)
    }

    /// One image for all guests.
    #[must_use]
    pub fn one(bytes: &[u8]) -> Self {
        let all = Rom { pa: ROM_PA, bytes: bytes.len() as u64 };
        Self { all, of: BTreeMap::new(), writes: vec![(ROM_PA, bytes.to_vec())] }
    }

    fn add(&mut self, bytes: Vec<u8>) -> Result<Rom, RomError> {
        let end = |(pa, bytes): &(Pa, Vec<u8>)| pa.0 + bytes.len() as u64;
        let from = self.writes.last().map_or(ROM_PA.0, end).next_multiple_of(PAGE_BYTES);
        let rom = Rom { pa: Pa(from), bytes: bytes.len() as u64 };
        let total = from - ROM_PA.0 + rom.bytes;
        if total > ROM_BYTES_MAX {
            return Err(RomError::Room(total));
        }
        self.writes.push((rom.pa, bytes));
        Ok(rom)
    }
}

fn file(path: &str) -> Result<Vec<u8>, RomError> {
    let bytes = host_path(path).and_then(std::fs::read);
    let bytes = bytes.map_err(|why| RomError::File { file: path.to_owned(), why })?;
    if bytes.is_empty() { Err(RomError::Empty(path.to_owned())) } else { Ok(bytes) }
}

/// The image that is built in under this name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static [u8]> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// A firmware by its name or path.
fn firmware(name: &str) -> Result<Vec<u8>, RomError> {
    built_in(name).map_or_else(|| file(name), |bytes| Ok(bytes.to_vec()))
}

/// A firmware with what it is to start.
fn beside(image: &GuestImage) -> Result<Vec<u8>, RomError> {
    let mut bytes = firmware(&image.firmware)?;
    if image.kernel.is_none() && image.initrd.is_none() && image.append.is_empty() {
        return Ok(bytes);
    }
    if image.firmware != OPENBOOT {
        return Err(RomError::Firmware(image.firmware.clone()));
    }
    let part = |path: &Option<String>| path.as_deref().map_or(Ok(Vec::new()), file);
    let parts = [part(&image.kernel)?, part(&image.initrd)?, image.append.clone().into_bytes()];
    let page = PAGE_BYTES as usize;
    let mut payload = vec![0; page];
    let mut header = Vec::from(MAGIC);
    let room: usize =
        page + parts.iter().map(|part| part.len().next_multiple_of(page)).sum::<usize>();
    header.extend((room as u64).to_be_bytes());
    for part in &parts {
        header.extend((payload.len() as u64).to_be_bytes());
        header.extend((part.len() as u64).to_be_bytes());
        payload.extend_from_slice(part);
        payload.resize(payload.len().next_multiple_of(page), 0);
    }
    payload[..header.len()].copy_from_slice(&header);
    bytes.resize(FIRMWARE_BYTES, 0);
    bytes.append(&mut payload);
    Ok(bytes)
}

#[cfg(test)]
mod test {
    use super::{FIRMWARE_BYTES, RomError, beside};
    use crate::lab::scenario::GuestImage;

    fn image() -> GuestImage {
        GuestImage { append: "quiet".to_owned(), ..GuestImage::default() }
    }

    #[test]
    fn what_is_beside_the_firmware_is_where_its_header_says() {
        let bytes = beside(&image()).unwrap();
        let word = |at: usize| {
            let at = FIRMWARE_BYTES + at;
            u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
        };
        assert_eq!(&bytes[FIRMWARE_BYTES..FIRMWARE_BYTES + 8], b"LDLBOOT1");
        assert_eq!(word(8), bytes.len() - FIRMWARE_BYTES);
        assert_eq!((word(24), word(40)), (0, 0), "neither kernel nor RAM disk");
        let from = FIRMWARE_BYTES + word(48);
        assert_eq!(&bytes[from..from + word(56)], b"quiet");
    }

    #[test]
    fn nothing_is_put_beside_another_firmware() {
        let other = GuestImage { firmware: "rover".to_owned(), ..image() };
        assert!(matches!(beside(&other), Err(RomError::Firmware(name)) if name == "rover"));
        let alone = GuestImage { firmware: "rover".to_owned(), ..GuestImage::default() };
        assert!(beside(&alone).unwrap().len() < FIRMWARE_BYTES);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let image = GuestImage { kernel: Some("/nowhere/vmlinux".to_owned()), ..image() };
        let why = beside(&image).unwrap_err().to_string();
        assert!(why.starts_with("/nowhere/vmlinux: "), "{why}");
    }
}
