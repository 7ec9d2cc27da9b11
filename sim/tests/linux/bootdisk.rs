//! Linux from a disk: nothing is put beside the firmware, which finds kernel and RAM disk in a
//! file system.

use super::disk::{digest, tool};
use super::log::trouble;
use super::session::{Session, boot};
use super::{Guest, guest, scratch};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MB: u64 = 1 << 20;

/// A label, as sfdisk takes it, whose second partition begins at sector `start` and has
/// `sectors`.
struct Label {
    text: &'static str,
    start: u64,
    sectors: u64,
}

const DOS: Label = Label {
    text: "label: dos\nstart=2048,size=2048\nstart=4096,size=65536\n",
    start: 4096,
    sectors: 65536,
};
/// Partitions of a Sun label begin with a cylinder, here of 16065 sectors.
const SUN: Label = Label {
    text: "label: sun\nstart=0,size=16065\nstart=16065,size=64260\n",
    start: 16065,
    sectors: 64260,
};

/// A disk with this label; its second partition has an ext4 with these files, as path and file
/// of the host. `None`, loudly, without the tools.
fn disk(folder: &Path, label: &Label, files: &[(&str, &Path)]) -> Option<PathBuf> {
    let tree = folder.join("tree");
    for (path, from) in files {
        let to = tree.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, &to).unwrap();
    }
    let image = folder.join("disk.img");
    std::fs::File::create(&image).unwrap().set_len(48 * MB).unwrap();
    let image_name = image.to_str().unwrap();
    let sfdisk = Command::new("sfdisk").args(["-q", image_name]).stdin(Stdio::piped()).spawn();
    let mut sfdisk = match sfdisk {
        Ok(child) => child,
        Err(why) => {
            eprintln!("SKIPPED: sfdisk: {why}");
            return None;
        }
    };
    sfdisk.stdin.take().unwrap().write_all(label.text.as_bytes()).unwrap();
    assert!(sfdisk.wait().unwrap().success(), "sfdisk: {}", label.text);
    let (offset, blocks) = (label.start * 512, label.sectors / 2);
    let (offset, blocks) = (format!("offset={offset}"), format!("{blocks}k"));
    let tree = tree.to_str().unwrap();
    let arguments = ["-q", "-F", "-t", "ext4", "-d", tree, "-E", &offset, image_name, &blocks];
    let made = tool("mke2fs", &arguments)?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(image)
}

/// A file packed by gzip.
fn packed(folder: &Path, file: &Path) -> Option<PathBuf> {
    let output = tool("gzip", &["-9nc", file.to_str().unwrap()])?;
    let packed = folder.join("vmlinux.gz");
    std::fs::write(&packed, output.stdout).unwrap();
    Some(packed)
}

/// At the shell: the command line came through, and Linux reads the label as the firmware does.
fn look(linux: &mut Session, guest: &Guest, command_line: &str, initrd: &str) {
    assert_eq!(linux.done("cat /proc/cmdline"), command_line);
    linux.done("mkdir -p /mnt && mount -t ext4 -o ro /dev/vdiska2 /mnt");
    let sum = linux.done(&format!("sha256sum < /mnt{initrd}"));
    assert_eq!(sum.split(' ').next().unwrap(), digest(&guest.initrd));
    linux.done("umount /mnt");
    let log = linux.done("dmesg");
    assert_eq!(trouble(&log), Vec::<&str>::new(), "{log}");
}

#[test]
fn the_firmware_starts_it_unasked_from_a_partition_of_an_ms_dos_table() {
    let Some(guest) = guest("a disk with an MS-DOS table") else { return };
    let folder = scratch("disk-dos");
    let Some(kernel) = packed(&folder, &guest.kernel) else { return };
    let files = [("boot/vmlinux.gz", &*kernel), ("boot/initrd.gz", &guest.initrd)];
    let Some(image) = disk(&folder, &DOS, &files) else { return };
    let mut linux = Session::start(boot().args([
        "--disk",
        image.to_str().unwrap(),
        "--variable",
        "boot-device=disk:1 disk:2,/boot/vmlinux.gz",
        "--variable",
        "boot-file=initrd=/boot/initrd.gz console=ttyHV0",
    ]));
    // The first device of the list has no file system.
    linux.expect("disk:1: ");
    linux.expect("disk@0:2  File and args: /boot/vmlinux.gz initrd=/boot/initrd.gz console=ttyHV0");
    linux.shell();
    look(&mut linux, &guest, "initrd=/boot/initrd.gz console=ttyHV0", "/boot/initrd.gz");
    // It is there again after a reboot, still unasked.
    linux.send("reboot -f\n");
    linux.expect("disk@0:2  File and args: /boot/vmlinux.gz");
    linux.shell();
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
}

#[test]
fn somebody_starts_it_at_the_prompt_from_a_slice_of_a_sun_label() {
    let Some(guest) = guest("a disk with a Sun label") else { return };
    let folder = scratch("disk-sun");
    let files = [("vmlinux", &*guest.kernel), ("initrd.gz", &guest.initrd)];
    let Some(image) = disk(&folder, &SUN, &files) else { return };
    let disk = image.to_str().unwrap();
    let mut linux = Session::start(boot().args(["--disk", disk, "--variable", "auto-boot?=false"]));
    linux.expect("{0} ok ");
    linux.send("boot disk:c\r");
    linux.expect("no such partition");
    linux.expect("{0} ok ");
    linux.send("boot disk:b initrd=/initrd.gz console=ttyHV0 quiet\r");
    linux.expect("/vmlinux: ");
    linux.expect("/initrd.gz: ");
    linux.shell();
    look(&mut linux, &guest, "initrd=/initrd.gz console=ttyHV0 quiet", "/initrd.gz");
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
}

/// What is set at the prompt is kept with the domain, over a reset.
#[test]
fn boot_file_may_be_changed_at_the_prompt_and_is_kept() {
    let Some(guest) = guest("a boot-file that is changed at the prompt") else { return };
    let folder = scratch("disk-variable");
    let files = [("boot/vmlinux", &*guest.kernel), ("boot/initrd.gz", &guest.initrd)];
    let Some(image) = disk(&folder, &DOS, &files) else { return };
    let mut linux = Session::start(boot().args([
        "--disk",
        image.to_str().unwrap(),
        "--vcpus",
        "1",
        "--variable",
        "auto-boot?=false",
    ]));
    linux.expect("{0} ok ");
    linux.send("setenv boot-file initrd=/boot/initrd.gz console=ttyHV0 run=true\r");
    linux.expect("{0} ok ");
    linux.send("setenv boot-device disk0:2\r");
    linux.expect("{0} ok ");
    linux.send("reset-all\r");
    linux.expect("{0} ok ");
    linux.send("boot\r");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("/boot/vmlinux: "), "{text}");
    assert!(text.contains("guest: exit 0"), "{text}");
}
