//! Machine services, and the time of day.

use crate::case::{Case, Never, bad, good, order};
use hv::platform::Memory as _;
use hv::testing::{BASE, BYTES, Lab};
use sun4v::addr::Pa;
use sun4v::hcall::HvError::{BadAlign, Inval, NoRaddr, NotSupported};
use sun4v::hvmd::{LdcConf, LdcTarget};
use sun4v::id::{GuestId, LdcId};
use sun4v::time::SimTime;

const END: u64 = BASE + BYTES;
/// The longest watchdog, in milliseconds.
const YEAR: u64 = 365 * 24 * 60 * 60 * 1000;

/// Makes the caller's domain the control domain.
fn control(lab: &mut Lab) {
    let mut config = lab.hv.config().clone();
    config.ldc_endpoints.push(LdcConf {
        guest: GuestId(0),
        channel: LdcId(9),
        target: LdcTarget::Hypervisor,
        tx_ino: 18,
        rx_ino: 19,
        private_console: false,
        leads: false,
    });
    lab.hv.apply(config, &mut lab.board);
}

/// Takes the other guest away.
fn alone(lab: &mut Lab) {
    let mut config = lab.hv.config().clone();
    let mine = GuestId(0);
    config.guests.retain(|guest| guest.id == mine);
    config.vcpus.retain(|vcpu| vcpu.guest == mine);
    config.mblocks.retain(|block| block.guest == mine);
    config.ldc_endpoints.clear();
    config.consoles.retain(|console| console.guest == mine);
    lab.hv.apply(config, &mut lab.board);
}

/// Gives the caller's domain a boot image.
fn image(lab: &mut Lab) {
    let Some(mut guest) = lab.hv.take(GuestId(0)) else { return };
    if let Some(conf) = &mut guest.conf {
        (conf.rom_pa, conf.rom_bytes) = (Pa(0x2000), 64);
    }
    lab.hv.put(guest);
    lab.board.memory.write(Pa(0x2000), &[0x5a; 64]);
}

/// A machine without a clock.
fn clockless(lab: &mut Lab) {
    lab.board.clockless = true;
    lab.hv.boundary(&mut lab.board);
}

pub const CASES: &[Case] = &[
    good("mach_exit", "a guest among others: it stops", |lab| {
        lab.call(0x14, [0x3c, BASE, 2, 0, 0]);
        lab.show("mach_exit", &[3])
    }),
    good("mach_exit", "the last guest: power may go off", |lab| {
        alone(lab);
        lab.show("mach_exit", &[3])
    }),
    good("mach_exit", "the control domain: it starts again", |lab| {
        control(lab);
        lab.call(0x14, [0x3c, BASE, 2, 0, 0]);
        lab.show("mach_exit", &[3])
    }),
    good("mach_exit", "the control domain when it is the last guest", |lab| {
        alone(lab);
        control(lab);
        lab.show("mach_exit", &[0])
    }),
    good("mach_desc", "an empty description", |lab| lab.show("mach_desc", &[BASE, 32])),
    good("mach_desc", "more room than it takes", |lab| lab.show("mach_desc", &[BASE, 8192])),
    bad("mach_desc", Inval, "the usual question for the size", |lab| {
        lab.show("mach_desc", &[0, 0])
    }),
    bad("mach_desc", Inval, "one byte less than it takes", |lab| {
        lab.show("mach_desc", &[BASE, 31])
    }),
    bad("mach_desc", BadAlign, "a buffer at 8 bytes", |lab| lab.show("mach_desc", &[BASE + 8, 32])),
    bad("mach_desc", NoRaddr, "a buffer behind memory", |lab| lab.show("mach_desc", &[END, 32])),
    order("mach_desc", Inval, BadAlign, "size before alignment", |lab| {
        lab.show("mach_desc", &[BASE + 8, 0])
    }),
    order("mach_desc", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("mach_desc", &[END + 8, 32])
    }),
    good("mach_sir", "what a virtual CPU had is gone; memory stays, but for the image", |lab| {
        image(lab);
        lab.call(0x14, [0x3c, BASE, 2, 0, 0]);
        lab.call(0x26, [BASE + 0x80, 0, 0, 0, 0]);
        lab.poke(BASE + 0x100, b"still here");
        lab.show("mach_sir", &[])
    }),
    good("mach_set_watchdog", "1 ms is a second, and one more for the beat that is near", |lab| {
        control(lab);
        lab.show("mach_set_watchdog", &[1])
    }),
    good("mach_set_watchdog", "1001 ms are two seconds", |lab| {
        control(lab);
        lab.show("mach_set_watchdog", &[1001])
    }),
    good("mach_set_watchdog", "a year", |lab| {
        control(lab);
        lab.show("mach_set_watchdog", &[YEAR])
    }),
    good("mach_set_watchdog", "off, with what was left of five seconds after two", |lab| {
        control(lab);
        lab.call(0x05, [5000, 0, 0, 0, 0]);
        lab.board.advance(SimTime::ms(2000));
        lab.show("mach_set_watchdog", &[0])
    }),
    good("mach_set_watchdog", "that of another guest stands still", |lab| {
        lab.call(0x05, [5000, 0, 0, 0, 0]);
        lab.board.advance(SimTime::secs(100));
        lab.show("mach_set_watchdog", &[0])
    }),
    bad("mach_set_watchdog", Inval, "more than a year: it stays as it was, and is told", |lab| {
        lab.call(0x05, [9000, 0, 0, 0, 0]);
        lab.show("mach_set_watchdog", &[YEAR + 1])
    }),
    bad("mach_set_watchdog", Inval, "no sum of it wraps", |lab| {
        lab.show("mach_set_watchdog", &[u64::MAX])
    }),
    good("tod_get", "the machine's clock", |lab| lab.show("tod_get", &[])),
    good("tod_get", "a clock that was set goes on from there", |lab| {
        lab.call(0x51, [1_400_000_000, 0, 0, 0, 0]);
        lab.board.advance(SimTime::secs(7));
        lab.show("tod_get", &[])
    }),
    bad("tod_get", NotSupported, "a machine without a clock", |lab| {
        clockless(lab);
        lab.show("tod_get", &[])
    }),
    good("tod_set", "an offset that is the guest's alone", |lab| {
        lab.show("tod_set", &[1_400_000_000])
    }),
    good("tod_set", "into the past", |lab| lab.show("tod_set", &[1_300_000_000])),
    good("tod_set", "the control domain's is told to the service processor", |lab| {
        control(lab);
        lab.show("tod_set", &[1_308_301_500])
    }),
    bad("tod_set", NotSupported, "a machine without a clock", |lab| {
        clockless(lab);
        lab.show("tod_set", &[1_400_000_000])
    }),
];

pub const NEVERS: &[Never] = &[];
