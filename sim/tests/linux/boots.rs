//! Linux comes up to its shell.

use super::guest;
use super::log::{masked, trouble};
use super::session::Session;

fn boot(vcpus: &str, memory: &str) {
    let Some(guest) = guest(&format!("{vcpus} vCPUs and {memory}")) else { return };
    let mut linux = Session::linux(&guest, "loglevel=8", &["--vcpus", vcpus, "--memory", memory]);
    linux.shell();
    assert_eq!(linux.done("nproc"), vcpus, "all are online");
    let info = linux.done("grep -E '^(cpu|type|fpu|ncpus)' /proc/cpuinfo");
    assert!(info.contains("UltraSparc T2 (Niagara2)"), "{info}");
    assert!(info.contains("sun4v"), "{info}");
    let all: u64 = linux.done("awk '/MemTotal/{print $2}' /proc/meminfo").parse().unwrap();
    let megabytes = memory.trim_end_matches(['M', 'G']).parse::<u64>().unwrap()
        * if memory.ends_with('G') { 1024 } else { 1 };
    assert!(all > megabytes * 1024 * 85 / 100 && all < megabytes * 1024, "{all} kB");
    let log = linux.done("dmesg");
    assert_eq!(trouble(&log), Vec::<&str>::new(), "{log}");
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
    if vcpus == "1" && guest.has_snapshots("the log of its start") {
        insta::assert_snapshot!("boot_log", masked(&log));
    }
}

#[test]
fn one_vcpu_with_256_megabytes() {
    boot("1", "256M");
}

#[test]
fn eight_vcpus_with_512_megabytes() {
    boot("8", "512M");
}

#[test]
fn sixty_four_vcpus_with_4_gigabytes() {
    boot("64", "4G");
}
