//! A break at the console, `~#` at a terminal: whoever has the console takes it.

use super::guest;
use super::session::{Session, boot_linux};

/// Linux takes a break as the beginning of a SysRq, and a second one instead of a key as the
/// wish to be at the firmware's prompt, which it asks for (`enter`). It comes back by `go`.
#[test]
fn linux_takes_one_as_sysrq_and_two_lead_to_the_prompt_and_back() {
    let Some(guest) = guest("a break") else { return };
    let mut linux = Session::at_a_terminal(boot_linux(&guest, "").args(["--vcpus", "4"]));
    linux.shell();
    linux.send("\r~#h");
    linux.expect("sysrq: HELP");
    // The shell gets the key as well.
    let end_of_line = |linux: &mut Session| {
        linux.send("\r");
        linux.expect("not found");
        linux.expect("# ");
    };
    end_of_line(&mut linux);
    linux.send("\r~#~#");
    linux.expect("Type  'go' to resume");
    linux.expect("{0} ok ");
    linux.send("printenv auto-boot?\r");
    linux.expect("auto-boot? =");
    linux.expect("{0} ok ");
    linux.send("go\r");
    linux.expect("go\r\n");
    // Linux remembers the breaks until it gets a key behind another one; before that, each
    // interrupt of its console leads here again.
    linux.send("~#");
    for _ in 0..2 {
        linux.expect("Type  'go' to resume");
        linux.expect("{0} ok ");
        linux.send("go\r");
        linux.expect("go\r\n");
    }
    linux.send("h");
    linux.expect("sysrq: HELP");
    end_of_line(&mut linux);
    // All virtual CPUs go on, with their timers.
    let each = "for n in 1 2 4 8; do taskset $n /bin/sleep 0.1 && echo -n $n; done";
    assert_eq!(linux.done(each), "1248");
    linux.send("poweroff -f\r");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
}

/// Before there is a client, a break keeps the firmware from booting.
#[test]
fn the_firmware_does_not_boot_behind_one() {
    let Some(guest) = guest("a break before the boot") else { return };
    let mut linux = Session::at_a_terminal(&mut boot_linux(&guest, "run=true"));
    linux.send("~#");
    linux.expect("Break: auto-boot is off for this start.");
    linux.expect("{0} ok ");
    // Nothing more happens by one at the prompt.
    linux.send("~#");
    linux.send("printenv auto-boot?\r");
    linux.expect("auto-boot? =");
    linux.expect("{0} ok ");
    linux.send("boot\r");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("guest: exit 0"), "{text}");
}
