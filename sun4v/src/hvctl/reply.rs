//! Replies and notices: from the hypervisor to the manager.

use super::{MESSAGE_BYTES, MessageError, Op, ResKind, Status, Version, Wire};
use crate::addr::Pa;
use crate::code::codes;

/// A reply, or a notice that comes unasked ([`Op::NewResStat`], number 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The hypervisor's number.
    pub seqn: u16,
    /// What it answers; a challenge answers `hello`.
    pub op: Op,
    /// How that ended.
    pub status: Status,
    /// What it says.
    pub body: Body,
}

/// What a reply says; which variant, follows from operation and status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing more.
    None,
    /// To `hello` with a version that is not supported: the one that is.
    Version(Version),
    /// To `hello`.
    Challenge {
        /// See [`super::response`].
        code: u64,
        /// The hypervisor's version.
        version: Version,
    },
    /// To `get_hvconfig`.
    HvInfo(HvInfo),
    /// To a reconfiguration that failed.
    RcFail(RcFail),
    /// To start, stop and panic: a [`super::Detail`], zero when all is well.
    Code(u32),
    /// To `get_res_stat`, and in notices.
    ResStat {
        /// Zero in replies.
        res: u32,
        /// Zero in replies.
        id: u32,
        /// Zero in replies.
        info: u32,
        /// A [`super::Detail`], zero when all is well.
        code: u32,
        /// The item; see [`ResData`].
        data: [u8; 40],
    },
    /// To the commands of our extension.
    Migrate {
        /// A [`super::Detail`], zero when all is well.
        code: u32,
        /// See [`super::migrate`].
        value: u64,
    },
}

/// Where the hypervisor and its MD lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HvInfo {
    /// The hypervisor's memory.
    pub membase: Pa,
    /// Its bytes.
    pub memsize: u64,
    /// The MD in force.
    pub md: Pa,
    /// The one that waits for a guest to exit.
    pub delayed_md: Pa,
    /// That guest, or [`super::INVALID_GUEST`].
    pub delayed_guest: u32,
}

/// Why a reconfiguration failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RcFail {
    /// The MD.
    pub md: Pa,
    /// [`ResKind`].
    pub res: u32,
    /// [`super::Detail`].
    pub code: u32,
    /// Index of the node's first element.
    pub node: u32,
    /// `resource_id` of the resource.
    pub id: u32,
}

impl Reply {
    /// A reply without payload.
    #[must_use]
    pub const fn plain(op: Op, seqn: u16, status: Status) -> Self {
        Self { seqn, op, status, body: Body::None }
    }

    /// The message.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; MESSAGE_BYTES] {
        let mut wire = Wire::new(self.op.code(), self.seqn, self.status.code());
        match self.body {
            Body::None => {}
            Body::Version(version) => {
                wire.u16(8, version.major).u16(10, version.minor);
            }
            Body::Challenge { code, version } => {
                wire.u64(8, code).u16(16, version.major).u16(18, version.minor);
            }
            Body::HvInfo(info) => {
                wire.u64(8, info.membase.0).u64(16, info.memsize).u64(24, info.md.0);
                wire.u64(32, info.delayed_md.0).u32(40, info.delayed_guest);
            }
            Body::RcFail(fail) => {
                wire.u64(8, fail.md.0).u32(16, fail.res).u32(20, fail.code);
                wire.u32(24, fail.node).u32(28, fail.id);
            }
            Body::Code(code) => {
                wire.u32(12, code);
            }
            Body::ResStat { res, id, info, code, data } => {
                wire.u32(8, res).u32(12, id).u32(16, info).u32(20, code).put(24, &data);
            }
            Body::Migrate { code, value } => {
                wire.u32(12, code).u64(16, value);
            }
        }
        wire.0
    }

    /// Reads a message.
    ///
    /// # Errors
    /// An operation or a status that has no meaning.
    pub fn parse(bytes: &[u8; MESSAGE_BYTES]) -> Result<Self, MessageError> {
        let wire = Wire(*bytes);
        let op = Op::from_code(wire.get16(0)).ok_or(MessageError::Op(wire.get16(0)))?;
        let status = wire.get16(6);
        let status = Status::from_code(status).ok_or(MessageError::Status(status))?;
        let body = match op {
            Op::Hello if status == Status::NotSupported => {
                Body::Version(Version { major: wire.get16(8), minor: wire.get16(10) })
            }
            Op::Challenge => Body::Challenge {
                code: wire.get64(8),
                version: Version { major: wire.get16(16), minor: wire.get16(18) },
            },
            Op::GetHvConfig if status == Status::Ok => Body::HvInfo(HvInfo {
                membase: Pa(wire.get64(8)),
                memsize: wire.get64(16),
                md: Pa(wire.get64(24)),
                delayed_md: Pa(wire.get64(32)),
                delayed_guest: wire.get32(40),
            }),
            Op::Reconfigure
            | Op::GuestDelayedReconf
            | Op::GuestOnlyReconf
            | Op::GuestOnlyDelayedReconf
                if status != Status::Ok =>
            {
                Body::RcFail(RcFail {
                    md: Pa(wire.get64(8)),
                    res: wire.get32(16),
                    code: wire.get32(20),
                    node: wire.get32(24),
                    id: wire.get32(28),
                })
            }
            Op::GuestStart | Op::GuestStop | Op::GuestPanic => Body::Code(wire.get32(12)),
            Op::GetResStat | Op::NewResStat => Body::ResStat {
                res: wire.get32(8),
                id: wire.get32(12),
                info: wire.get32(16),
                code: wire.get32(20),
                data: std::array::from_fn(|at| wire.0[24 + at]),
            },
            op if op.is_migration() => {
                Body::Migrate { code: wire.get32(12), value: wire.get64(16) }
            }
            _ => Body::None,
        };
        Ok(Self { seqn: wire.get16(2), op, status, body })
    }
}

codes! {
    /// State of a guest.
    GuestState(u64) {
        /// Bound, not started.
        Stopped = 0,
        /// Starting or starting again.
        Resetting = 1,
        /// It runs.
        Normal = 2,
        /// It stands still.
        Suspended = 3,
        /// It is being stopped.
        Exiting = 4,
        /// There is none of this number.
        Unconfigured = 0xff,
    }
}

codes! {
    /// State of a virtual CPU.
    VcpuState(u8) {
        /// There is none.
        Invalid = 0,
        /// It does not run.
        Stopped = 1,
        /// It runs.
        Running = 2,
        /// It is in error state.
        Error = 3,
        /// Its guest is suspended.
        Suspended = 4,
        /// It belongs to no guest.
        Unconfigured = 5,
        /// On its way to stop.
        Stopping = 6,
        /// On its way to run.
        Starting = 7,
    }
}

codes! {
    /// What a guest says of itself.
    SoftState(u8) {
        /// Its system runs.
        Normal = 1,
        /// It boots, halts, or stands at a prompt.
        Transition = 2,
    }
}

/// An item that `get_res_stat` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResInfo {
    /// [`GuestState`] of a guest.
    GuestState,
    /// [`SoftState`] and a text, of a guest.
    SoftState,
    /// A guest's time of day.
    Tod,
    /// [`Utilisation`] of a guest.
    Utilisation,
    /// [`VcpuStatus`] of a strand.
    VcpuState,
}

impl ResInfo {
    /// Resource kind and item number.
    #[must_use]
    pub const fn codes(self) -> (u32, u32) {
        let guest = ResKind::Guest.code();
        match self {
            Self::GuestState => (guest, 0),
            Self::SoftState => (guest, 1),
            Self::Tod => (guest, 2),
            Self::Utilisation => (guest, 3),
            Self::VcpuState => (ResKind::Vcpu.code(), 0),
        }
    }

    /// The item of these numbers.
    #[must_use]
    pub const fn from_codes(res: u32, info: u32) -> Option<Self> {
        match (res, info) {
            (0, 0) => Some(Self::GuestState),
            (0, 1) => Some(Self::SoftState),
            (0, 2) => Some(Self::Tod),
            (0, 3) => Some(Self::Utilisation),
            (1, 0) => Some(Self::VcpuState),
            _ => None,
        }
    }
}

/// How busy a guest was; cycles of `%stick`. The deltas count from the last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utilisation {
    /// Since it was started.
    pub lifespan: u64,
    /// Since the last read.
    pub wallclock_delta: u64,
    /// Of all its virtual CPUs, not yielding, since the last read.
    pub active_delta: u64,
    /// Of all its virtual CPUs, stopped.
    pub stopped_cycles: u64,
    /// Of all its virtual CPUs, yielding.
    pub yielded_cycles: u64,
}

/// State and figures of a strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuStatus {
    /// Its state.
    pub state: VcpuState,
    /// Cycles since it was started.
    pub lifespan: u64,
    /// Since the last read.
    pub wallclock_delta: u64,
    /// Not yielding, since the last read.
    pub active_delta: u64,
    /// Yielding, in all.
    pub yielded_cycles: u64,
}

/// The data of [`Body::ResStat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResData {
    /// For [`ResInfo::GuestState`].
    GuestState(GuestState),
    /// For [`ResInfo::SoftState`]: and its text, filled up with NULs.
    SoftState(SoftState, [u8; 32]),
    /// For [`ResInfo::Tod`]: seconds that the guest's clock is ahead of the machine's, as a
    /// number of 64 bits that wraps.
    Tod(u64),
    /// For [`ResInfo::Utilisation`].
    Utilisation(Utilisation),
    /// For [`ResInfo::VcpuState`].
    Vcpu(VcpuStatus),
}

impl ResData {
    /// The 40 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 40] {
        let mut words = [0_u64; 5];
        let mut bytes = [0; 40];
        match *self {
            Self::GuestState(state) => words[0] = state.code(),
            Self::SoftState(state, text) => {
                bytes[0] = state.code();
                bytes[1..33].copy_from_slice(&text);
                return bytes;
            }
            Self::Tod(seconds) => words[0] = seconds,
            Self::Utilisation(util) => {
                words = [
                    util.lifespan,
                    util.wallclock_delta,
                    util.active_delta,
                    util.stopped_cycles,
                    util.yielded_cycles,
                ];
            }
            Self::Vcpu(vcpu) => {
                words = [
                    u64::from(vcpu.state.code()) << 56,
                    vcpu.lifespan,
                    vcpu.wallclock_delta,
                    vcpu.active_delta,
                    vcpu.yielded_cycles,
                ];
            }
        }
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Reads the item `info`; `None` when a state has no meaning.
    #[must_use]
    pub fn parse(info: ResInfo, bytes: &[u8; 40]) -> Option<Self> {
        let words: [u64; 5] = std::array::from_fn(|at| {
            bytes[at * 8..at * 8 + 8].iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
        });
        Some(match info {
            ResInfo::GuestState => Self::GuestState(GuestState::from_code(words[0])?),
            ResInfo::SoftState => {
                let text = std::array::from_fn(|at| bytes[1 + at]);
                Self::SoftState(SoftState::from_code(bytes[0])?, text)
            }
            ResInfo::Tod => Self::Tod(words[0]),
            ResInfo::Utilisation => Self::Utilisation(Utilisation {
                lifespan: words[0],
                wallclock_delta: words[1],
                active_delta: words[2],
                stopped_cycles: words[3],
                yielded_cycles: words[4],
            }),
            ResInfo::VcpuState => Self::Vcpu(VcpuStatus {
                state: VcpuState::from_code(bytes[0])?,
                lifespan: words[1],
                wallclock_delta: words[2],
                active_delta: words[3],
                yielded_cycles: words[4],
            }),
        })
    }
}
