//! The random number generator of the machine, which is the control domain's to set up: until
//! it is, nobody is given data.
//!
//! **Shapes.** Four control words: each of the three noise cells by itself with an oscillator
//! of its own rate, then all of them together, the register fed back and read after 2048
//! clocks.
//!
//! **Errors.** What the hypervisor refuses, as text for the log: a domain without the
//! privilege of the generator.
//!
//! **Source.** sun4v hypervisor API, RNG group; the words are those of Linux's `n2-drv.c` and
//! `n2rng.h`.

use crate::memory::Arena;
use sun4v::native::Ports;
use sun4v::rng::{CONTROL_WORDS, RngState};

const API_SET_VERSION: u64 = 0;
const GROUP: u64 = 0x104;
const GET_DIAG_CONTROL: u64 = 0x130;
const CTL_WRITE: u64 = 0x132;
/// Fed back; the second analog output; clocks between two reads.
const COMMON: u64 = 1 << 3 | 2 << 4 | 2048 << 9;

/// What the generator is told.
const fn words() -> [u64; CONTROL_WORDS] {
    [COMMON | 1 << 6 | 1, COMMON | 2 << 6 | 2, COMMON | 3 << 6 | 4, COMMON | 7]
}

/// Takes the generator and sets it up.
///
/// # Errors
/// See the module.
pub fn set_up(arena: &mut Arena, ports: &mut dyn Ports) -> Result<(), String> {
    let said = |call: &str, error: sun4v::hcall::HvError| format!("{call}: {error}");
    let group = [GROUP, 1, 0, 0, 0];
    ports.core_call(API_SET_VERSION, group).map_err(|why| said("api_set_version", why))?;
    ports.hcall(GET_DIAG_CONTROL, [0; 5]).map_err(|why| said("rng_get_diag_control", why))?;
    let block = arena.alloc(8 * CONTROL_WORDS as u64).ok_or("no memory for control words")?;
    let bytes: Vec<u8> = words().into_iter().flat_map(u64::to_be_bytes).collect();
    ports.write(block.ra, &bytes);
    let state = RngState::Configured.code();
    let written = ports.hcall(CTL_WRITE, [block.ra.0, state, 0, 0, 0]);
    arena.free(block);
    written.map(drop).map_err(|why| said("rng_ctl_write", why))
}
