//! Logical domain channels.
//!
//! **Differences.** Where T2's hypervisor looks at the other domain inside the call, these
//! see what the last boundary published, and what they change is seen from the next one on:
//! a link state is that of the boundary; `ldc_rx_get_state` finds packets that a boundary
//! has moved, 128 a channel at most, instead of pulling them itself; and `ldc_copy` returns
//! when the boundary has copied. So packets leave the sender's queue without a call of the
//! receiver, as far as its queue has room. `ldc_mapin` finds no region to map into, since
//! on T2 nobody could use one.
//!
//! **Source.** sun4v hypervisor API, logical domain channels; the OpenSPARC hypervisor's
//! `ldc.s` for the order of tests.

use super::End;
use crate::guest::{Call, CallResult, Pending};
use crate::ldc::{Copy, Endpoint, MapTable};
use crate::trap::Answer;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::id::LdcId;

impl Call<'_> {
    /// The endpoint that the guest names: its own, and not the hypervisor's console.
    fn endpoint(&mut self, channel: u64) -> Result<&mut Endpoint, HvError> {
        let id = u16::try_from(channel).map(LdcId).map_err(|_| HvError::Channel)?;
        let end = self.guest.endpoints.get_mut(&id);
        end.filter(|end| !end.conf.private_console).ok_or(HvError::Channel)
    }

    /// Checks a queue's place: `None` takes its memory away.
    fn queue_place(&self, base: u64, entries: u64) -> Result<Option<Pa>, HvError> {
        if entries == 0 {
            return Ok(None);
        }
        let bytes = entries.checked_mul(64).filter(|_| entries.is_power_of_two());
        let bytes = bytes.ok_or(HvError::Inval)?;
        if base & (bytes - 1) != 0 {
            return Err(HvError::BadAlign);
        }
        self.guest.resolve(Ra(base), bytes).map(Some)
    }

    /// e0: transmit queue. Tells the peer nothing. Packets that were in it are gone.
    pub(super) fn ldc_tx_qconf(&mut self, channel: u64, base: u64, entries: u64) -> CallResult {
        self.endpoint(channel)?;
        let place = self.queue_place(base, entries)?;
        let end = self.endpoint(channel)?;
        match place {
            Some(pa) => end.tx.configure(Ra(base), pa, entries),
            None => end.tx.unconfigure(),
        }
        Ok(Answer::default())
    }

    /// e4: receive queue. The peer is told, unless a queue without memory loses it; a queue
    /// that had memory before reads as RESET.
    pub(super) fn ldc_rx_qconf(&mut self, channel: u64, base: u64, entries: u64) -> CallResult {
        self.endpoint(channel)?;
        let place = self.queue_place(base, entries)?;
        let end = self.endpoint(channel)?;
        let had = end.rx.is_configured();
        match place {
            Some(pa) => end.rx.configure(Ra(base), pa, entries),
            None => end.rx.unconfigure(),
        }
        end.rx_reset |= had;
        end.rx_changed |= had || place.is_some();
        let id = end.conf.channel;
        self.guest.stirred.insert(id);
        Ok(Answer::default())
    }

    /// e1, e5: of a queue that lost its memory the old address, as on T2, and no entries.
    pub(super) fn ldc_qinfo(&mut self, channel: u64, transmit: bool) -> CallResult {
        let end = self.endpoint(channel)?;
        let queue = if transmit { &end.tx } else { &end.rx };
        Ok(Answer::ok(&[queue.ra.0, queue.entries]))
    }

    /// e2, e6: offsets and link state. Either uses up a RESET, also while the link is down.
    pub(super) fn ldc_get_state(&mut self, channel: u64, transmit: bool) -> CallResult {
        let end = self.endpoint(channel)?;
        let queue = if transmit { end.tx } else { end.rx };
        if !queue.is_configured() {
            return Err(HvError::Inval.into());
        }
        Ok(Answer::ok(&[queue.head, queue.tail, end.link_state()]))
    }

    /// e3: packets up to `tail` are ready.
    pub(super) fn ldc_tx_set_qtail(&mut self, channel: u64, tail: u64) -> CallResult {
        let end = self.endpoint(channel)?;
        end.tx.set_tail(tail)?;
        let id = end.conf.channel;
        self.guest.stirred.insert(id);
        Ok(Answer::default())
    }

    /// e7: packets up to `head` are consumed.
    pub(super) fn ldc_rx_set_qhead(&mut self, channel: u64, head: u64) -> CallResult {
        let end = self.endpoint(channel)?;
        end.rx.set_head(head)?;
        let id = end.conf.channel;
        self.guest.stirred.insert(id);
        Ok(Answer::default())
    }

    /// ea: the table of exported memory. Alignment comes before the channel.
    pub(super) fn ldc_set_map_table(&mut self, channel: u64, ra: u64, entries: u64) -> CallResult {
        if !ra.is_multiple_of(64) {
            return Err(HvError::BadAlign.into());
        }
        self.endpoint(channel)?;
        let table = match entries {
            0 => None,
            2..0x4000_0000 if entries.is_power_of_two() => {
                let pa = self.guest.resolve(Ra(ra), entries * 16)?;
                Some(MapTable { ra: Ra(ra), pa, entries })
            }
            _ => return Err(HvError::Inval.into()),
        };
        self.endpoint(channel)?.table = table;
        Ok(Answer::default())
    }

    /// eb: zeros without a table.
    pub(super) fn ldc_get_map_table(&mut self, channel: u64) -> CallResult {
        let table = self.endpoint(channel)?.table;
        let (ra, entries) = table.map_or((0, 0), |table| (table.ra.0, table.entries));
        Ok(Answer::ok(&[ra, entries]))
    }

    /// ec: checked here as far as the caller goes, done at the boundary.
    pub(super) fn ldc_copy(&mut self, ch: u64, dir: u64, cookie: u64, ra: u64, n: u64) -> End {
        match self.check_copy(ch, dir, cookie, ra, n) {
            Ok(channel) => {
                let now = self.cpus.now();
                let wanted = Copy { out: dir == 1, cookie, ra: Ra(ra), bytes: n };
                let work = Pending::LdcCopy { channel, wanted };
                self.guest.defer(now, self.vcpu, work);
                End::Block
            }
            Err(status) => End::Answer(Err(status.into())),
        }
    }

    fn check_copy(
        &mut self,
        channel: u64,
        direction: u64,
        cookie: u64,
        ra: u64,
        bytes: u64,
    ) -> Result<LdcId, HvError> {
        if !(cookie | ra | bytes).is_multiple_of(8) {
            return Err(HvError::BadAlign);
        }
        if direction > 1 || bytes as i64 <= 0 {
            return Err(HvError::Inval);
        }
        let id = self.endpoint(channel)?.conf.channel;
        self.guest.resolve(Ra(ra), bytes)?;
        Ok(id)
    }

    /// ed: no guest has a region to map into.
    pub(super) fn ldc_mapin(&mut self, channel: u64) -> CallResult {
        self.endpoint(channel)?;
        Err(HvError::NotSupported.into())
    }
}
