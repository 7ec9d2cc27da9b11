//! What is known of guests and virtual CPUs: asked by `get_res_stat`, told unasked
//! by `new_res_stat`.

use super::Session;
use crate::Hypervisor;
use crate::guest::{Guest, GuestState};
use crate::platform::Machine;
use crate::vcpu::VcpuState;
use sun4v::hvctl::{
    self, Body, Detail, Op, Reply, ResData, ResInfo, ResKind, Status, Utilisation, VcpuStatus,
};
use sun4v::id::{GuestId, STRANDS, StrandId, T2_STRANDS};
use sun4v::time::{SimTime, T2_HZ};

const NOTHING: [u8; 40] = [0; 40];

fn ticks(span: SimTime) -> u64 {
    span.ticks(T2_HZ)
}

/// The reply to `get_res_stat`; resource, number and item come back zero.
fn stat(detail: Option<Detail>, data: [u8; 40]) -> Body {
    let code = detail.map_or(0, Detail::code);
    Body::ResStat { res: 0, id: 0, info: 0, code, data }
}

fn state(guest: &Guest) -> hvctl::GuestState {
    match guest.state {
        GuestState::Stopped => hvctl::GuestState::Stopped,
        GuestState::Resetting => hvctl::GuestState::Resetting,
        GuestState::Normal => hvctl::GuestState::Normal,
        GuestState::Suspended => hvctl::GuestState::Suspended,
        GuestState::Exiting => hvctl::GuestState::Exiting,
    }
}

fn soft_state(guest: &Guest) -> ResData {
    let soft = hvctl::SoftState::from_code(guest.soft_state.state);
    ResData::SoftState(soft.unwrap_or(hvctl::SoftState::Transition), guest.soft_state.text)
}

/// The offset is told, not the time.
fn tod(guest: &Guest) -> ResData {
    ResData::Tod(guest.tod_offset.cast_unsigned())
}

impl Hypervisor {
    /// `get_res_stat`: the item, and it may be told again.
    pub(super) fn res_stat(
        &mut self,
        (res, id, info): (u32, u32, u32),
        machine: &mut dyn Machine,
    ) -> (Status, Body) {
        let kind = ResKind::from_code(res);
        let item = ResInfo::from_codes(res, info);
        let invalid = |detail| (Status::Invalid, stat(Some(detail), NOTHING));
        match kind {
            Some(ResKind::Guest | ResKind::Vcpu) => {}
            None | Some(ResKind::Cwq | ResKind::Console) => {
                return (Status::Invalid, stat(None, NOTHING));
            }
            Some(_) => return (Status::NotSupported, stat(None, NOTHING)),
        }
        // The number is looked at before the item.
        let end = if kind == Some(ResKind::Vcpu) { STRANDS } else { T2_STRANDS };
        let number = u8::try_from(id).ok().filter(|&id| usize::from(id) < end);
        let data = match (kind, number, item) {
            (Some(ResKind::Vcpu), None, _) => return invalid(Detail::VcpuInvalidId),
            (_, None, _) => return invalid(Detail::GuestInvalidId),
            (_, _, None) => return invalid(Detail::InvalidInfo),
            (_, Some(strand), Some(ResInfo::VcpuState)) => {
                ResData::Vcpu(self.vcpu_status(StrandId(strand), machine))
            }
            (_, Some(id), Some(item)) => {
                self.service.told.remove(&(GuestId(id), item));
                match self.guest_item(GuestId(id), item, machine) {
                    Some(data) => data,
                    None => return (Status::Ok, stat(None, NOTHING)),
                }
            }
        };
        (Status::Ok, stat(None, data.to_bytes()))
    }

    /// An item of a guest; of one that is not configured nothing but its state is known.
    fn guest_item(
        &mut self,
        id: GuestId,
        item: ResInfo,
        machine: &mut dyn Machine,
    ) -> Option<ResData> {
        let Some(guest) = self.guest_mut(id) else {
            let unconfigured = ResData::GuestState(hvctl::GuestState::Unconfigured);
            return (item == ResInfo::GuestState).then_some(unconfigured);
        };
        Some(match item {
            ResInfo::GuestState => ResData::GuestState(state(guest)),
            ResInfo::SoftState => soft_state(guest),
            ResInfo::Tod => tod(guest),
            ResInfo::Utilisation | ResInfo::VcpuState => {
                ResData::Utilisation(guest.utilisation(machine))
            }
        })
    }

    fn vcpu_status(&mut self, strand: StrandId, machine: &mut dyn Machine) -> VcpuStatus {
        let nothing = VcpuStatus {
            state: hvctl::VcpuState::Unconfigured,
            lifespan: 0,
            wallclock_delta: 0,
            active_delta: 0,
            yielded_cycles: 0,
        };
        let guests = self.guests.values_mut().flatten();
        let mut vcpus = guests.flat_map(|guest| {
            let (id, suspended) = (guest.id, guest.state == GuestState::Suspended);
            guest.vcpus.iter_mut().map(move |(&vid, vcpu)| (id, suspended, vid, vcpu))
        });
        let found = vcpus.find(|(.., vcpu)| vcpu.strand == strand);
        let Some((id, suspended, vid, vcpu)) = found else { return nothing };
        let state = match vcpu.state {
            VcpuState::Stopped => {
                return VcpuStatus { state: hvctl::VcpuState::Stopped, ..nothing };
            }
            VcpuState::Running if suspended => hvctl::VcpuState::Suspended,
            VcpuState::Running => hvctl::VcpuState::Running,
            VcpuState::Error => hvctl::VcpuState::Error,
        };
        let (now, busy) = (machine.now(), machine.cpus(id).busy(vid));
        let reading = vcpu.figures.read(now, busy);
        VcpuStatus {
            state,
            lifespan: ticks(reading.lifespan),
            wallclock_delta: ticks(reading.wallclock),
            active_delta: ticks(reading.active),
            yielded_cycles: ticks(vcpu.figures.idle(now, busy)),
        }
    }

    /// Tells the manager what changed since the last boundary.
    pub(crate) fn notify(&mut self, machine: &mut dyn Machine) {
        let control = self.control_domain();
        let open = matches!(self.service.session, Session::Open(_));
        let mut any = false;
        for guest in self.guests.values_mut().flatten() {
            let news = [
                (ResInfo::GuestState, std::mem::take(&mut guest.state_news)),
                (ResInfo::SoftState, std::mem::take(&mut guest.soft_news)),
                (ResInfo::Tod, std::mem::take(&mut guest.tod_news)),
            ];
            for (item, changed) in news {
                if !changed || !open || control == Some(guest.id) {
                    continue;
                }
                if !self.service.told.insert((guest.id, item)) {
                    continue;
                }
                let data = match item {
                    ResInfo::SoftState => soft_state(guest),
                    ResInfo::Tod => tod(guest),
                    _ => ResData::GuestState(state(guest)),
                };
                let (res, info) = item.codes();
                let id = guest.id.0.into();
                let body = Body::ResStat { res, id, info, code: 0, data: data.to_bytes() };
                let notice = Reply { seqn: 0, op: Op::NewResStat, status: Status::Ok, body };
                self.service.waiting.push_back(notice.to_bytes());
                any = true;
            }
        }
        if any {
            self.serve(machine);
        }
    }
}

impl Guest {
    /// Its figures; their deltas count from the last reading.
    fn utilisation(&mut self, machine: &mut dyn Machine) -> Utilisation {
        if self.state == GuestState::Stopped || self.state == GuestState::Resetting {
            return Utilisation::default();
        }
        let (now, cpus) = (machine.now(), machine.cpus(self.id));
        let reading = self.figures.read(now, self.busy(cpus));
        let running = self.vcpus.iter().filter(|(_, vcpu)| vcpu.state == VcpuState::Running);
        let yielded = running.fold(SimTime::ZERO, |sum, (&id, vcpu)| {
            sum.plus(vcpu.figures.idle(now, cpus.busy(id)))
        });
        Utilisation {
            lifespan: ticks(reading.lifespan),
            wallclock_delta: ticks(reading.wallclock),
            active_delta: ticks(reading.active),
            stopped_cycles: 0,
            yielded_cycles: ticks(yielded),
        }
    }
}
