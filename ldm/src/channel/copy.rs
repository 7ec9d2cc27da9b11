//! Copies between the domain's memory and memory that a peer lends.
//!
//! A copy stops at the end of either page, so long ones are loops of
//! `ldc_copy` through one page of our own.
//!
//! **Errors.** The hypervisor's; `ENOMAP` too when the cookies end before the
//! bytes do. What was copied before stays copied.

use crate::memory::{Arena, Block};
use sun4v::addr::PAGE_BYTES;
use sun4v::hcall::HvError;
use sun4v::id::LdcId;
use sun4v::ldc::{COPY_IN, COPY_OUT, Cookie, LDC_COPY};
use sun4v::native::Ports;

/// A page for copies to go through.
#[derive(Debug)]
pub struct Copier {
    page: Block,
}

impl Copier {
    /// Takes its page; `None` when memory is full.
    pub fn new(arena: &mut Arena) -> Option<Self> {
        Some(Self { page: arena.alloc(PAGE_BYTES)? })
    }

    /// Fills `bytes` from the run of memory that `cookies` name.
    ///
    /// # Errors
    /// See the module.
    pub fn copy_in(
        &self,
        ports: &mut dyn Ports,
        channel: LdcId,
        cookies: &[Cookie],
        bytes: &mut [u8],
    ) -> Result<(), HvError> {
        let mut done = 0;
        for (cookie, wanted) in pieces(cookies, bytes.len()) {
            let mut at = 0;
            while at < wanted {
                let n = self.step(ports, channel, COPY_IN, &cookie, at, wanted)?;
                ports.read(self.page.ra, &mut bytes[done + at..done + at + n]);
                at += n;
            }
            done += wanted;
        }
        if done == bytes.len() { Ok(()) } else { Err(HvError::NoMap) }
    }

    /// Writes `bytes` to the run of memory that `cookies` name. A length that is
    /// not a multiple of 8 is filled up with zeros.
    ///
    /// # Errors
    /// See the module.
    pub fn copy_out(
        &self,
        ports: &mut dyn Ports,
        channel: LdcId,
        cookies: &[Cookie],
        bytes: &[u8],
    ) -> Result<(), HvError> {
        let mut done = 0;
        for (cookie, wanted) in pieces(cookies, bytes.len()) {
            let mut at = 0;
            while at < wanted {
                let chunk = (wanted - at).min(PAGE_BYTES as usize);
                ports.write(self.page.ra, &bytes[done + at..done + at + chunk]);
                let fill = chunk.next_multiple_of(8) - chunk;
                ports.write(self.page.at(chunk as u64), &[0; 8][..fill]);
                at += self.step(ports, channel, COPY_OUT, &cookie, at, wanted)?;
            }
            done += wanted;
        }
        if done == bytes.len() { Ok(()) } else { Err(HvError::NoMap) }
    }

    /// One `ldc_copy`: bytes of `wanted` that it did from byte `at` on.
    fn step(
        &self,
        ports: &mut dyn Ports,
        channel: LdcId,
        direction: u64,
        cookie: &Cookie,
        at: usize,
        wanted: usize,
    ) -> Result<usize, HvError> {
        let chunk = (wanted - at).min(PAGE_BYTES as usize);
        let addr = cookie.addr.get().checked_add(at as u64).ok_or(HvError::NoMap)?;
        let length = chunk.next_multiple_of(8) as u64;
        let args = [u64::from(channel.0), direction, addr, self.page.ra.0, length];
        let [copied, ..] = ports.hcall(LDC_COPY, args)?;
        match usize::try_from(copied).unwrap_or(0).min(chunk) {
            0 => Err(HvError::Io),
            n => Ok(n),
        }
    }
}

/// The cookies cut to `bytes` in all, each with the bytes wanted of it.
fn pieces(cookies: &[Cookie], bytes: usize) -> impl Iterator<Item = (Cookie, usize)> {
    let mut left = bytes;
    cookies.iter().map_while(move |cookie| {
        let wanted = usize::try_from(cookie.size.get()).unwrap_or(usize::MAX).min(left);
        left -= wanted;
        (wanted > 0).then_some((*cookie, wanted))
    })
}
