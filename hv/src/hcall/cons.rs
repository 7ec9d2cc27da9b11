//! Console services.
//!
//! **Differences.** T2's hypervisor makes a packet of each call; here characters of several
//! calls share one, and leave at the boundary. So more characters find room before a call is
//! EWOULDBLOCK: 128 full packets behind what the concentrator's queue holds.
//!
//! **Source.** sun4v hypervisor API, console services; the OpenSPARC hypervisor's
//! `vdev_console.s` for the order of tests.

use crate::console::{Console, Input, PACKET_CHARS};
use crate::guest::{Call, CallResult};
use crate::trap::Answer;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;

/// What `cons_getchar` and `cons_read` give for a break and a hang-up.
const BREAK: u64 = u64::MAX;
const HANG_UP: u64 = u64::MAX - 1;

impl Call<'_> {
    fn output(&mut self, bytes: &[u8]) -> Result<usize, HvError> {
        let Some(console) = &mut self.guest.console else { return Ok(bytes.len()) };
        let written = console.write(bytes).ok_or(HvError::WouldBlock)?;
        self.guest.console_stirred = true;
        Ok(written)
    }

    fn input(&mut self) -> Result<&mut Console, HvError> {
        let console = self.guest.console.as_mut();
        console.filter(|console| !console.input.is_empty()).ok_or(HvError::WouldBlock)
    }

    /// The guest has read: what waits at the concentrator may have room now.
    fn was_read(&mut self) {
        if let Some(console) = &mut self.guest.console
            && console.full
            && console.has_room()
            && let Some(channel) = console.conf.endpoint
        {
            console.full = false;
            self.guest.stirred.insert(channel);
        }
    }

    /// 60: the next character, break (-1) or hang-up (-2).
    pub(super) fn cons_getchar(&mut self) -> CallResult {
        let value = match self.input()?.input.pop_front() {
            Some(Input::Char(byte)) => u64::from(byte),
            Some(Input::Break) => BREAK,
            Some(Input::HangUp) => HANG_UP,
            None => return Err(HvError::WouldBlock.into()),
        };
        self.was_read();
        Ok(Answer::ok(&[value]))
    }

    /// 61: one character, of which the low eight bits count. -1, which the specification
    /// calls a break, is a character as on T2. Without a console, or where nobody listens
    /// at the other end, it is gone, and EOK.
    pub(super) fn cons_putchar(&mut self, character: u64) -> CallResult {
        self.output(&[character as u8])?;
        Ok(Answer::default())
    }

    /// 62: characters into a buffer; break and hang-up come alone. Where nothing waits, no
    /// buffer is looked at.
    pub(super) fn cons_read(&mut self, buffer: u64, bytes: u64) -> CallResult {
        if bytes == 0 {
            return Ok(Answer::ok(&[0]));
        }
        self.input()?;
        let pa = self.guest.resolve(Ra(buffer), bytes)?;
        let console = self.input()?;
        let mut read = Vec::new();
        let mut signal = None;
        while (read.len() as u64) < bytes && signal.is_none() {
            match console.input.front() {
                Some(&Input::Char(byte)) => read.push(byte),
                Some(Input::Break) if read.is_empty() => signal = Some(BREAK),
                Some(Input::HangUp) if read.is_empty() => signal = Some(HANG_UP),
                _ => break,
            }
            console.input.pop_front();
        }
        self.was_read();
        self.cpus.memory().write(pa, &read);
        Ok(Answer::ok(&[signal.unwrap_or(read.len() as u64)]))
    }

    /// 63: characters from a buffer, 56 a call at most and one at least. The buffer is
    /// looked at first of all; without a console all of it counts as written.
    pub(super) fn cons_write(&mut self, buffer: u64, bytes: u64) -> CallResult {
        if bytes == 0 {
            return Ok(Answer::ok(&[0]));
        }
        let pa = self.guest.resolve(Ra(buffer), bytes)?;
        if self.guest.console.is_none() {
            return Ok(Answer::ok(&[bytes]));
        }
        let mut chars = [0; PACKET_CHARS];
        let chars = &mut chars[..bytes.min(PACKET_CHARS as u64) as usize];
        self.cpus.memory().read(pa, chars);
        let written = self.output(chars)?;
        Ok(Answer::ok(&[written as u64]))
    }
}
