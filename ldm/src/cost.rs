//! What the services' work costs the control domain's strands.
//!
//! Cycles of one strand. None of them was measured on a T5x20: each is an estimate
//! of the instructions on the path, taken at [`calibration::KERNEL_CYCLES`]; they are
//! in [`sun4v::calibration`], so that a measurement can replace an estimate in one
//! place. None was chosen for what a run comes to.

use serde::{Deserialize, Serialize};
use sun4v::calibration;

/// Cycles by kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Taking a mondo: trap, dispatch, a task queue's wake-up; about 1,500
    /// instructions.
    pub mondo: u64,
    /// A VIO or link packet, in or out: about 300 instructions and a hypercall.
    pub message: u64,
    /// A frame through the switch: descriptor, lookup, buffer; about 1,200
    /// instructions.
    pub frame: u64,
    /// A virtual disk request: descriptor, buf, file system, completion; about
    /// 6,000 instructions.
    pub disk_request: u64,
    /// An NFS call and its reply: XDR, RPC, about 5,000 instructions.
    pub rpc: u64,
    /// A frame through the TCP/IP stack, either way: about 2,500 instructions.
    pub ip_frame: u64,
    /// Bytes, by the KiB, that move once between buffers: 128 load-store pairs of
    /// 8 bytes, and 16 lines that miss twice.
    pub copy_kib: u64,
    /// A character of a console: about 100 instructions.
    pub console_byte: u64,
    /// A command of the manager: parse, constraints, machine descriptions; about
    /// two million instructions.
    pub command: u64,
}

impl Default for Cost {
    fn default() -> Self {
        let instructions = |n: u64| n * calibration::KERNEL_CYCLES;
        Self {
            mondo: instructions(calibration::MONDO),
            message: instructions(calibration::LINK_MESSAGE),
            frame: instructions(calibration::SWITCH_FRAME),
            disk_request: instructions(calibration::DISK_REQUEST),
            rpc: instructions(calibration::NFS_CALL),
            ip_frame: instructions(calibration::IP_FRAME),
            copy_kib: instructions(calibration::KIB_COPY)
                + calibration::KIB_MISSES * calibration::L2_CYCLES,
            console_byte: instructions(calibration::CONSOLE_BYTE),
            command: instructions(calibration::MANAGER_COMMAND),
        }
    }
}

impl Cost {
    /// Moving `bytes` once.
    #[must_use]
    pub const fn copy(&self, bytes: u64) -> u64 {
        bytes * self.copy_kib / 1024
    }
}
