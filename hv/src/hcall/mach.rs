//! Machine services: machine description, exit, reset, watchdog, memory, time of day.

use super::End;
use crate::guest::{Call, CallResult, Pending};
use crate::trap::{Answer, Failure};
use crate::watchdog::{self, Watchdog};
use sun4v::addr::Ra;
use sun4v::hcall::HvError;

/// The most that one call scrubs or synchronises.
const MEM_STEP_BYTES: u64 = 4 << 20;

impl Call<'_> {
    /// 00: the guest ends. The code goes to whoever watches. The control domain starts again
    /// instead, unless it is the last guest.
    pub(super) fn mach_exit(&mut self, code: u64) -> End {
        self.wait(Pending::Exit { code })
    }

    /// 02: the guest starts again.
    pub(super) fn mach_sir(&mut self) -> End {
        self.wait(Pending::Reset)
    }

    /// 05: sets the watchdog; gives what was left of it in any case.
    pub(super) fn mach_set_watchdog(&mut self, timeout: u64) -> CallResult {
        let now = self.cpus.now();
        let left = self.guest.watchdog.left(now, self.guest.is_control()) * watchdog::MS;
        let watchdog = Watchdog::set(timeout, now);
        self.guest.watchdog = watchdog.ok_or(Failure::with(HvError::Inval, &[left]))?;
        Ok(Answer::ok(&[left]))
    }

    /// 01: copies the machine description; too small a buffer is EINVAL with the size
    /// needed.
    pub(super) fn mach_desc(&mut self, buffer: u64, bytes: u64) -> CallResult {
        let Some(conf) = &self.guest.conf else { return Err(HvError::Inval.into()) };
        let md = conf.md_pa;
        let room = self.guest.md_room;
        let mut header = [0; 16];
        self.cpus.memory().read(md, &mut header);
        let word = |at: usize| {
            u64::from(u32::from_be_bytes([
                header[at],
                header[at + 1],
                header[at + 2],
                header[at + 3],
            ]))
        };
        let size = 16 + word(4) + word(8) + word(12);
        let rounded = size.next_multiple_of(16);
        if rounded > room {
            // The manager has written something else there since.
            return Err(HvError::Inval.into());
        }
        if bytes < rounded {
            return Err(Failure::with(HvError::Inval, &[rounded]));
        }
        if !buffer.is_multiple_of(16) {
            return Err(HvError::BadAlign.into());
        }
        let to = self.guest.resolve(Ra(buffer), rounded)?;
        self.cpus.memory().copy(md, to, rounded);
        Ok(Answer::ok(&[rounded]))
    }

    /// 31: zeroes memory, 4 MiB a call; all that is named must be the caller's.
    pub(super) fn mem_scrub(&mut self, ra: u64, bytes: u64) -> CallResult {
        if bytes == 0 {
            return Err(HvError::Inval.into());
        }
        if !(ra | bytes).is_multiple_of(64) {
            return Err(HvError::BadAlign.into());
        }
        let pa = self.guest.resolve(Ra(ra), bytes)?;
        let done = bytes.min(MEM_STEP_BYTES);
        self.cpus.memory().zero(pa, done);
        Ok(Answer::ok(&[done]))
    }

    /// 32: flushes memory: nothing to do, caches are not modelled.
    pub(super) fn mem_sync(&mut self, ra: u64, bytes: u64) -> CallResult {
        if bytes == 0 {
            return Err(HvError::Inval.into());
        }
        if !(ra | bytes).is_multiple_of(8192) {
            return Err(HvError::BadAlign.into());
        }
        self.guest.resolve(Ra(ra), bytes)?;
        Ok(Answer::ok(&[bytes.min(MEM_STEP_BYTES)]))
    }

    /// 50: the time of day.
    pub(super) fn tod_get(&mut self) -> CallResult {
        let seconds = self.guest.time_of_day(self.cpus.now()).ok_or(HvError::NotSupported)?;
        Ok(Answer::ok(&[seconds]))
    }

    /// 51: sets the guest's offset to the machine's time of day.
    pub(super) fn tod_set(&mut self, seconds: u64) -> CallResult {
        let now = self.guest.time_of_day(self.cpus.now()).ok_or(HvError::NotSupported)?;
        let shift = seconds.wrapping_sub(now).cast_signed();
        self.guest.tod_offset = self.guest.tod_offset.wrapping_add(shift);
        self.guest.tod_news |= shift != 0;
        self.guest.tod_set = true;
        Ok(Answer::default())
    }
}
