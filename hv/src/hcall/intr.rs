//! Interrupt services, by sysino and by cookie.
//!
//! Console and crypto units are under cfg handle 0x100 and have sysinos; LDC
//! endpoints are under 0x200 and have cookies. A source is looked at again when the guest
//! writes IDLE to it or makes it valid.
//!
//! **Differences.** Four places where T2 does what no guest relies on: it takes any number
//! as a new state of a virtual device, which then never fires again, where this is EINVAL;
//! it answers the level of a crypto unit's source for its state, where this is the state;
//! it does not look at a console again; and it calls an endpoint's interrupt delivered that
//! has packets and no target, where this one waits for a target and for the next occasion.
//!
//! **Source.** sun4v hypervisor API, interrupt services; the OpenSPARC hypervisor's
//! `vdev_intr.s` and `ldc.s`.

use crate::guest::{Call, CallResult, Guest, GuestState};
use crate::intr::{Interrupt, IntrState};
use crate::platform::Cpus;
use crate::trap::Answer;
use sun4v::hcall::{HvError, nr};
use sun4v::id::LdcId;

/// The cfg handle of virtual devices.
const VIRTUAL_DEVICES: u64 = 0x100;
/// The cfg handle of channel devices.
const CHANNEL_DEVICES: u64 = 0x200;
/// Interrupt numbers of channels.
const LDC_INOS: u64 = 512;

impl Guest {
    /// Is the source under 0x100 with this number active by itself?
    fn device_active(&self, ino: u16) -> bool {
        let console = self.console.as_ref().is_some_and(|console| {
            console.conf.ino == ino
                && (!console.input.is_empty() || console.blocked && console.output.is_empty())
        });
        console
            || self
                .crypto
                .values()
                .any(|unit| unit.ino == ino && unit.entries != 0 && unit.head != unit.marker)
    }

    /// A source under 0x100 became active, or may be sent again.
    pub(crate) fn raise_device(&mut self, cpus: &mut dyn Cpus, ino: u16) {
        if self.state == GuestState::Suspended || !self.device_active(ino) {
            return;
        }
        let fired = self.interrupts.get_mut(&ino).and_then(Interrupt::fire);
        if let Some((vcpu, word)) = fired {
            self.device_mondo(cpus, vcpu, word);
        }
    }

    /// An endpoint's receive source became active, or may be sent again.
    pub(crate) fn raise_ldc(&mut self, cpus: &mut dyn Cpus, channel: LdcId) {
        if self.state == GuestState::Suspended {
            return; // all are looked at when it goes on
        }
        let fired = self.endpoints.get_mut(&channel).and_then(|end| end.rx_intr.fire());
        if let Some((vcpu, word)) = fired {
            self.device_mondo(cpus, vcpu, word);
        }
    }
}

impl Call<'_> {
    /// The source that a sysino names.
    fn sysino(&mut self, sysino: u64) -> Result<(u16, &mut Interrupt), HvError> {
        let ino = sysino.checked_sub(VIRTUAL_DEVICES).filter(|&ino| ino < 64);
        let ino = ino.ok_or(HvError::Inval)? as u16;
        let intr = self.guest.interrupts.get_mut(&ino).ok_or(HvError::Inval)?;
        Ok((ino, intr))
    }

    /// a0: the sysino of a device's interrupt.
    pub(super) fn intr_devino2sysino(&mut self, handle: u64, ino: u64) -> CallResult {
        if handle != VIRTUAL_DEVICES || ino >= 64 {
            return Err(HvError::Inval.into());
        }
        let sysino = handle | ino;
        self.sysino(sysino)?;
        Ok(Answer::ok(&[sysino]))
    }

    /// a1: 1 enabled.
    pub(super) fn intr_getenabled(&mut self, sysino: u64) -> CallResult {
        let enabled = self.sysino(sysino)?.1.valid;
        Ok(Answer::ok(&[u64::from(enabled)]))
    }

    /// a2: enabling a source that is idle and active fires it.
    pub(super) fn intr_setenabled(&mut self, sysino: u64, enabled: u64) -> CallResult {
        if enabled > 1 {
            return Err(HvError::Inval.into());
        }
        let (ino, intr) = self.sysino(sysino)?;
        intr.valid = enabled == 1;
        intr.cookie = sysino;
        self.guest.raise_device(self.cpus, ino);
        Ok(Answer::default())
    }

    /// a3: 0 idle, 1 received, 2 delivered.
    pub(super) fn intr_getstate(&mut self, sysino: u64) -> CallResult {
        let state = self.sysino(sysino)?.1.state;
        Ok(Answer::ok(&[state as u64]))
    }

    /// a4: the same; IDLE fires a source that is active and enabled.
    pub(super) fn intr_setstate(&mut self, sysino: u64, state: u64) -> CallResult {
        let (ino, intr) = self.sysino(sysino)?;
        intr.state = IntrState::from_number(state).ok_or(HvError::Inval)?;
        self.guest.raise_device(self.cpus, ino);
        Ok(Answer::default())
    }

    /// a5: 0 before anybody said.
    pub(super) fn intr_gettarget(&mut self, sysino: u64) -> CallResult {
        let target = self.sysino(sysino)?.1.target;
        Ok(Answer::ok(&[target.map_or(0, |vcpu| u64::from(vcpu.0))]))
    }

    /// a6: by itself fires nothing.
    pub(super) fn intr_settarget(&mut self, sysino: u64, vcpu: u64) -> CallResult {
        self.sysino(sysino)?;
        let vcpu = self.guest.vcpu_id(vcpu)?;
        self.sysino(sysino)?.1.target = Some(vcpu);
        Ok(Answer::default())
    }

    /// The endpoint whose interrupt `ino` is, and whether it is the receiving one.
    fn ldc_ino(&self, ino: u64) -> Result<(LdcId, bool), HvError> {
        if ino >= LDC_INOS {
            return Err(HvError::Inval);
        }
        let found = self.guest.endpoints.values().find_map(|end| {
            let conf = end.conf;
            let rx = u64::from(conf.rx_ino) == ino;
            let ours = !conf.private_console && (rx || u64::from(conf.tx_ino) == ino);
            ours.then_some((conf.channel, rx))
        });
        found.ok_or(HvError::Inval)
    }

    /// a7 to ae: the cookie interface. A target's virtual CPU is looked for before the
    /// interrupt number is. Without a target, `vintr_gettarget` answers 0.
    ///
    /// IDLE written to a valid receive interrupt, or making an idle one valid, fires it while
    /// packets wait in the receive queue. T2 also looks into the peer's transmit queue; here
    /// the boundary has moved those, or moves them and rings.
    pub(super) fn vintr(&mut self, call: u64, handle: u64, ino: u64, value: u64) -> CallResult {
        let too_large = match call {
            nr::vintr_setvalid => value > 1,
            nr::vintr_setstate => value > 2,
            _ => false,
        };
        if too_large || handle != CHANNEL_DEVICES || ino >= LDC_INOS {
            return Err(HvError::Inval.into());
        }
        let target = match call {
            nr::vintr_settarget => Some(self.guest.vcpu_id(value)?),
            _ => None,
        };
        let (channel, rx) = self.ldc_ino(ino)?;
        let Some(end) = self.guest.endpoints.get_mut(&channel) else {
            return Err(HvError::Inval.into());
        };
        let packets = rx && !end.rx.is_empty();
        let intr = if rx { &mut end.rx_intr } else { &mut end.tx_intr };
        let value = match call {
            nr::vintr_getcookie => intr.cookie,
            nr::vintr_getvalid => u64::from(intr.valid),
            nr::vintr_getstate => intr.state as u64,
            nr::vintr_gettarget => intr.target.map_or(0, |vcpu| u64::from(vcpu.0)),
            _ => {
                match call {
                    nr::vintr_setcookie => intr.cookie = value,
                    nr::vintr_setvalid => intr.valid = value == 1,
                    nr::vintr_setstate => {
                        intr.state = IntrState::from_number(value).ok_or(HvError::Inval)?;
                    }
                    _ => intr.target = target,
                }
                if packets && matches!(call, nr::vintr_setvalid | nr::vintr_setstate) {
                    self.guest.raise_ldc(self.cpus, channel);
                }
                return Ok(Answer::default());
            }
        };
        Ok(Answer::ok(&[value]))
    }
}
