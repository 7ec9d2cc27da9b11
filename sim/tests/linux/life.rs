//! How a guest ends, begins again, and is watched.

use super::guest;
use super::session::Session;

#[test]
fn a_reboot_comes_back_by_itself_and_a_power_off_ends() {
    let Some(guest) = guest("reboot and power-off") else { return };
    let mut linux = Session::linux(&guest, "", &["--memory", "256M"]);
    linux.shell();
    linux.done("echo kept > /tmp/file");
    linux.send("reboot -f\n");
    linux.expect("reboot: Restarting system");
    linux.shell();
    assert_eq!(linux.ask("cat /tmp/file 2>/dev/null").1, 1, "it began from nothing");
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("reboot: Power down"), "{text}");
}

#[test]
fn a_panic_is_told_and_a_kernel_may_start_again_after_it() {
    let Some(guest) = guest("a panic") else { return };
    let mut linux = Session::linux(&guest, "panic=1", &["--memory", "256M"]);
    linux.shell();
    linux.send("echo c > /proc/sysrq-trigger\n");
    linux.expect("Kernel panic - not syncing: sysrq triggered crash");
    linux.shell();
    linux.kill();
}

/// A T2's hypervisor takes a guest's watchdog and does nothing when it ends.
#[test]
fn a_guests_watchdog_is_accepted_and_never_bites() {
    let Some(guest) = guest("a watchdog") else { return };
    let mut linux = Session::linux(&guest, "", &["--memory", "256M"]);
    linux.shell();
    if linux.ask("test -c /dev/watchdog0").1 != 0 {
        eprintln!("SKIPPED: this kernel has no driver of a watchdog");
        return;
    }
    linux.done("watchdog -T 2 -t 1 /dev/watchdog0; sleep 3; killall -9 watchdog; sleep 5");
    assert_eq!(linux.done("echo $((6*7))"), "42");
    linux.kill();
}
