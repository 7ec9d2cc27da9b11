//! A file system on a virtual disk.

use super::log::trouble;
use super::session::Session;
use super::{guest, scratch};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a tool of the host; `None`, loudly, when it is not there.
pub fn tool(name: &str, arguments: &[&str]) -> Option<std::process::Output> {
    match Command::new(name).args(arguments).output() {
        Ok(output) => Some(output),
        Err(why) => {
            eprintln!("SKIPPED: {name}: {why}");
            None
        }
    }
}

/// An image of 256 MB with an empty ext4.
pub fn image(folder: &Path) -> Option<PathBuf> {
    let image = folder.join("disk.img");
    std::fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
    let output = tool("mke2fs", &["-q", "-t", "ext4", image.to_str().unwrap()])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(image)
}

pub fn digest(path: &Path) -> String {
    use sha2::Digest;
    let bytes = std::fs::read(path).unwrap();
    sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A guest that writes 100 MB and syncs; what it says their digest is.
fn write(test: &str, folder: &Path) -> Option<(Session, PathBuf, String)> {
    let guest = guest(test)?;
    let image = image(folder)?;
    let mut linux =
        Session::linux(&guest, "", &["--memory", "512M", "--disk", image.to_str().unwrap()]);
    linux.shell();
    linux.done("mkdir -p /mnt && mount -t ext4 /dev/vdiska /mnt");
    // No two blocks are the same. Linux would make random numbers of jitter first, which a
    // machine without any has little of.
    linux.done(
        "for n in $(seq 100); do echo part $n; head -c 1048576 /bin/busybox; done \
         | head -c 104857600 > /mnt/file",
    );
    let sum = linux.done("sha256sum < /mnt/file");
    linux.done("sync");
    assert_eq!(trouble(&linux.done("dmesg")), Vec::<&str>::new());
    let sum = sum.split_whitespace().next().unwrap().to_owned();
    Some((linux, image, sum))
}

/// The file system is sound, and the file is what the guest wrote.
fn check(folder: &Path, image: &Path, sum: &str) {
    let image = image.to_str().unwrap();
    let output = tool("e2fsck", &["-fn", image]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let copy = folder.join("file");
    let dump = format!("dump /file {}", copy.display());
    tool("debugfs", &["-R", &dump, image]).unwrap();
    assert_eq!(digest(&copy), sum);
}

#[test]
fn what_was_written_is_there_after_power_off() {
    let folder = scratch("disk");
    let Some((mut linux, image, sum)) = write("a disk and a power-off", &folder) else { return };
    linux.done("umount /mnt");
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
    check(&folder, &image, &sum);
}

#[test]
fn what_was_synced_is_there_after_a_hard_stop() {
    let folder = scratch("hard");
    let Some((linux, image, sum)) = write("a disk and a hard stop", &folder) else { return };
    linux.kill();
    // As the next mount does: the journal first.
    let replay = tool("e2fsck", &["-fp", "-E", "journal_only", image.to_str().unwrap()]).unwrap();
    assert!(replay.status.code().is_some_and(|code| code <= 1), "{replay:?}");
    check(&folder, &image, &sum);
}
