//! Programs of our own beside those of the guest's initial RAM disk: an archive that is
//! put behind it, as the kernel allows.

use super::Guest;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The guest with these programs of `tests/linux/guest` in its `/bin`; `None`, loudly,
/// without a cross compiler.
pub fn with_programs(guest: &Guest, folder: &Path, programs: &[&str]) -> Option<Guest> {
    let mut archive = Vec::new();
    for program in programs {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/linux/guest/{program}.c"));
        let built = folder.join(program);
        let compiler = Command::new("sparc64-linux-gnu-gcc")
            .args(["-O2", "-Wall", "-Werror", "-static", "-s", "-o"])
            .args([&built, &source])
            .status();
        match compiler {
            Ok(status) => assert!(status.success(), "{}", source.display()),
            Err(why) => {
                eprintln!("SKIPPED: sparc64-linux-gnu-gcc: {why}; {program} was not built");
                return None;
            }
        }
        entry(&mut archive, &format!("bin/{program}"), 0o100_755, &std::fs::read(&built).unwrap());
    }
    entry(&mut archive, "TRAILER!!!", 0, &[]);
    let mut both = std::fs::read(&guest.initrd).unwrap();
    // Between archives there may be zeros, up to a multiple of four.
    both.resize(both.len().next_multiple_of(4), 0);
    both.extend(archive);
    let initrd: PathBuf = folder.join("initrd");
    std::fs::write(&initrd, both).unwrap();
    Some(Guest { kernel: guest.kernel.clone(), initrd })
}

/// One file of an archive in the format "newc".
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8]) {
    let number = archive.len() as u32 + 1;
    let fields =
        [number, mode, 0, 0, 1, 0, bytes.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    archive.extend(b"070701");
    for field in fields {
        archive.extend(format!("{field:08X}").bytes());
    }
    archive.extend(name.bytes().chain([0]));
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(bytes);
    archive.resize(archive.len().next_multiple_of(4), 0);
}
