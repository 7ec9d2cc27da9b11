//! Commands: from the manager to the hypervisor.

use super::{MESSAGE_BYTES, MessageError, Op, Version, Wire, migrate};
use crate::addr::Pa;

/// A command. Guest ids are as alleged, `u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Opens a session.
    Hello(Version),
    /// Answers a challenge.
    Response(u64),
    /// Where the hypervisor and its MD lie.
    GetHvConfig,
    /// Take the MD at `md` into force.
    Reconfigure {
        /// Where it lies.
        md: Pa,
        /// Ignored by immediate ones.
        guest: u32,
    },
    /// The same when `guest` exits.
    GuestDelayedReconf {
        /// Where it lies.
        md: Pa,
        /// Whose exit.
        guest: u32,
    },
    /// As `Reconfigure`, for one guest's resources.
    GuestOnlyReconf {
        /// Where it lies.
        md: Pa,
        /// Which guest.
        guest: u32,
    },
    /// The same when the guest exits.
    GuestOnlyDelayedReconf {
        /// Where it lies.
        md: Pa,
        /// Which guest.
        guest: u32,
    },
    /// Start a guest.
    GuestStart(u32),
    /// Stop it at once.
    GuestStop(u32),
    /// Named by the protocol, never implemented.
    GuestSuspend,
    /// Named by the protocol, never implemented.
    GuestResume,
    /// Make it panic.
    GuestPanic(u32),
    /// Item `info` of resource `id` of kind `res`.
    GetResStat {
        /// [`super::ResKind`].
        res: u32,
        /// Guest id, or strand.
        id: u32,
        /// Which item; see [`super::ResInfo`].
        info: u32,
    },
    /// Forget a delayed reconfiguration.
    CancelReconf,
    /// Our extension.
    Migrate(migrate::Request),
}

impl Request {
    /// What the command is about.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::Hello(_) => Op::Hello,
            Self::Response(_) => Op::Response,
            Self::GetHvConfig => Op::GetHvConfig,
            Self::Reconfigure { .. } => Op::Reconfigure,
            Self::GuestDelayedReconf { .. } => Op::GuestDelayedReconf,
            Self::GuestOnlyReconf { .. } => Op::GuestOnlyReconf,
            Self::GuestOnlyDelayedReconf { .. } => Op::GuestOnlyDelayedReconf,
            Self::GuestStart(_) => Op::GuestStart,
            Self::GuestStop(_) => Op::GuestStop,
            Self::GuestSuspend => Op::GuestSuspend,
            Self::GuestResume => Op::GuestResume,
            Self::GuestPanic(_) => Op::GuestPanic,
            Self::GetResStat { .. } => Op::GetResStat,
            Self::CancelReconf => Op::CancelReconf,
            Self::Migrate(request) => request.op(),
        }
    }

    /// The message.
    #[must_use]
    pub fn to_bytes(&self, seqn: u16) -> [u8; MESSAGE_BYTES] {
        let mut wire = Wire::new(self.op().code(), seqn, 0);
        match *self {
            Self::Hello(version) => {
                wire.u16(8, version.major).u16(10, version.minor);
            }
            Self::Response(code) => {
                wire.u64(8, code);
            }
            Self::GetHvConfig | Self::CancelReconf | Self::GuestSuspend | Self::GuestResume => {}
            Self::Reconfigure { md, guest }
            | Self::GuestDelayedReconf { md, guest }
            | Self::GuestOnlyReconf { md, guest }
            | Self::GuestOnlyDelayedReconf { md, guest } => {
                wire.u64(8, md.0).u32(16, guest);
            }
            Self::GuestStart(guest) | Self::GuestStop(guest) | Self::GuestPanic(guest) => {
                wire.u32(8, guest);
            }
            Self::GetResStat { res, id, info } => {
                wire.u32(8, res).u32(12, id).u32(16, info);
            }
            Self::Migrate(request) => request.emit(&mut wire),
        }
        wire.0
    }

    /// Reads a message; its number is [`super::sequence`].
    ///
    /// # Errors
    /// An operation that the manager does not send.
    pub fn parse(bytes: &[u8; MESSAGE_BYTES]) -> Result<Self, MessageError> {
        let wire = Wire(*bytes);
        let code = wire.get16(0);
        let (md, guest) = (Pa(wire.get64(8)), wire.get32(16));
        Ok(match Op::from_code(code).ok_or(MessageError::Op(code))? {
            Op::Hello => Self::Hello(Version { major: wire.get16(8), minor: wire.get16(10) }),
            Op::Response => Self::Response(wire.get64(8)),
            Op::GetHvConfig => Self::GetHvConfig,
            Op::Reconfigure => Self::Reconfigure { md, guest },
            Op::GuestDelayedReconf => Self::GuestDelayedReconf { md, guest },
            Op::GuestOnlyReconf => Self::GuestOnlyReconf { md, guest },
            Op::GuestOnlyDelayedReconf => Self::GuestOnlyDelayedReconf { md, guest },
            Op::GuestStart => Self::GuestStart(wire.get32(8)),
            Op::GuestStop => Self::GuestStop(wire.get32(8)),
            Op::GuestSuspend => Self::GuestSuspend,
            Op::GuestResume => Self::GuestResume,
            Op::GuestPanic => Self::GuestPanic(wire.get32(8)),
            Op::GetResStat => {
                Self::GetResStat { res: wire.get32(8), id: wire.get32(12), info: wire.get32(16) }
            }
            Op::CancelReconf => Self::CancelReconf,
            op => Self::Migrate(migrate::Request::take(op, &wire).ok_or(MessageError::Op(code))?),
        })
    }
}
