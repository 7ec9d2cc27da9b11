//! Domain services: what a domain and its manager say to each other.
//!
//! They travel over an LDC link in reliable mode. After INIT each end registers the
//! services that it provides or uses under handles of its own choice; DATA goes to a
//! handle. What the data of each service is, is in [`service`].
//!
//! **Shapes.** A message is a type and the length of what follows it, both `u32`, then
//! that payload. All numbers are big-endian. Messages are a stream of bytes
//! ([`Stream`]), though a sender does well to send each whole: Linux expects that.
//!
//! **Differences.** Linux 6.1 puts the name of the service in REG_REQ eight bytes behind
//! the versions instead of at once, after four zero bytes, and does not end it. Both forms
//! are read.
//!
//! **Errors.** A payload that is too short for its type, a name that is no name, and a type
//! that is none are [`BadMessage`]; a length beyond [`PAYLOAD_MAX`] is [`TooLong`], after
//! which nobody knows where a message begins.
//!
//! **Source.** Linux `arch/sparc/kernel/ds.c`; illumos `ds_impl.h`, `ds_common.c`.

pub mod service;

pub use service::{CpuOp, CpuRecord, CpuResult, CpuStat, Service};

use crate::code::codes;
use thiserror::Error;

/// Bytes of a payload at most. The longest that means anything is a variable's value.
pub const PAYLOAD_MAX: usize = 16 << 10;
/// Type and length.
pub const HEADER_BYTES: usize = 8;
/// Major version of the protocol itself, whose minor is 0.
pub const MAJOR: u16 = 1;

codes! {
    /// Type of a message.
    Type(u32) {
        /// A domain begins.
        InitReq = 0,
        /// It may.
        InitAck = 1,
        /// Not with this version.
        InitNack = 2,
        /// A service is registered.
        RegReq = 3,
        /// It is.
        RegAck = 4,
        /// It is not.
        RegNack = 5,
        /// A service goes.
        UnregReq = 6,
        /// It is gone.
        UnregAck = 7,
        /// It was not there.
        UnregNack = 8,
        /// For a service.
        Data = 9,
        /// Data that could not be taken.
        Nack = 0xa,
    }
}

codes! {
    /// Why something was refused.
    Refusal(u64) {
        /// The version; or the service is not known.
        Version = 1,
        /// The service is registered already.
        Duplicate = 2,
        /// No service has this handle.
        Handle = 3,
        /// The service does not know what was sent.
        Kind = 4,
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Major and minor that the sender would like.
    InitReq(u16, u16),
    /// Minor that holds.
    InitAck(u16),
    /// Major that the sender has; 0 is none.
    InitNack(u16),
    /// A service is registered.
    RegReq {
        /// Names it from now on.
        handle: u64,
        /// Major and minor of the service.
        version: (u16, u16),
        /// Its name.
        name: String,
    },
    /// It is.
    RegAck {
        /// Its handle.
        handle: u64,
        /// Minor that holds.
        minor: u16,
    },
    /// It is not.
    RegNack {
        /// Its handle.
        handle: u64,
        /// [`Refusal`].
        result: u64,
        /// Major that the sender has; 0 is that it knows no such service.
        major: u16,
    },
    /// The service with this handle goes.
    UnregReq(u64),
    /// It is gone.
    UnregAck(u64),
    /// It was not there.
    UnregNack(u64),
    /// For the service with this handle.
    Data(u64, Vec<u8>),
    /// Data for this handle could not be taken: [`Refusal`].
    Nack(u64, u64),
}

/// A message that means nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadMessage {
    /// No such type.
    #[error("a message of type {0:#x}")]
    Type(u32),
    /// Its payload is too short.
    #[error("a message of type {0:#x} with {1} bytes")]
    Short(u32, usize),
    /// The name of a service is not printable.
    #[error("a service whose name is none")]
    Name,
}

/// A message that is longer than any.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a message of {0} bytes")]
pub struct TooLong(pub u32);

/// Big-endian numbers from the front of a payload.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The string in front of the first NUL, if it has only printable characters.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    std::str::from_utf8(text).ok().filter(|text| !text.chars().any(char::is_control))
}

impl Message {
    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> Type {
        match self {
            Self::InitReq(..) => Type::InitReq,
            Self::InitAck(_) => Type::InitAck,
            Self::InitNack(_) => Type::InitNack,
            Self::RegReq { .. } => Type::RegReq,
            Self::RegAck { .. } => Type::RegAck,
            Self::RegNack { .. } => Type::RegNack,
            Self::UnregReq(_) => Type::UnregReq,
            Self::UnregAck(_) => Type::UnregAck,
            Self::UnregNack(_) => Type::UnregNack,
            Self::Data(..) => Type::Data,
            Self::Nack(..) => Type::Nack,
        }
    }

    /// Its bytes, whole.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::InitReq(major, minor) => {
                body.extend(major.to_be_bytes());
                body.extend(minor.to_be_bytes());
            }
            Self::InitAck(half) | Self::InitNack(half) => body.extend(half.to_be_bytes()),
            Self::RegReq { handle, version: (major, minor), name } => {
                body.extend(handle.to_be_bytes());
                body.extend(major.to_be_bytes());
                body.extend(minor.to_be_bytes());
                body.extend(name.as_bytes());
                body.push(0);
            }
            Self::RegAck { handle, minor } => {
                body.extend(handle.to_be_bytes());
                body.extend(minor.to_be_bytes());
                body.extend([0; 6]);
            }
            Self::RegNack { handle, result, major } => {
                body.extend(handle.to_be_bytes());
                body.extend(result.to_be_bytes());
                body.extend(major.to_be_bytes());
                body.extend([0; 6]);
            }
            Self::UnregReq(handle) | Self::UnregAck(handle) | Self::UnregNack(handle) => {
                body.extend(handle.to_be_bytes());
            }
            Self::Data(handle, payload) => {
                body.extend(handle.to_be_bytes());
                body.extend(payload);
            }
            Self::Nack(handle, result) => {
                body.extend(handle.to_be_bytes());
                body.extend(result.to_be_bytes());
            }
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend(self.kind().code().to_be_bytes());
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.append(&mut body);
        bytes
    }

    /// Reads a payload of type `kind`. What follows the fields is left out.
    ///
    /// # Errors
    /// See [`BadMessage`].
    pub fn parse(kind: u32, payload: &[u8]) -> Result<Self, BadMessage> {
        let own = Type::from_code(kind).ok_or(BadMessage::Type(kind))?;
        let short = BadMessage::Short(kind, payload.len());
        if own == Type::RegReq {
            return Self::registration(payload).ok_or(short)?;
        }
        Self::fields(own, Fields(payload)).ok_or(short)
    }

    fn fields(kind: Type, mut from: Fields<'_>) -> Option<Self> {
        Some(match kind {
            Type::InitReq => Self::InitReq(from.u16()?, from.u16()?),
            Type::InitAck => Self::InitAck(from.u16()?),
            Type::InitNack => Self::InitNack(from.u16()?),
            Type::RegReq => return None,
            Type::RegAck => Self::RegAck { handle: from.u64()?, minor: from.u16()? },
            Type::RegNack => {
                Self::RegNack { handle: from.u64()?, result: from.u64()?, major: from.u16()? }
            }
            Type::UnregReq => Self::UnregReq(from.u64()?),
            Type::UnregAck => Self::UnregAck(from.u64()?),
            Type::UnregNack => Self::UnregNack(from.u64()?),
            Type::Data => Self::Data(from.u64()?, from.rest().to_vec()),
            Type::Nack => Self::Nack(from.u64()?, from.u64()?),
        })
    }

    fn registration(payload: &[u8]) -> Option<Result<Self, BadMessage>> {
        let mut from = Fields(payload);
        let handle = from.u64()?;
        let version = (from.u16()?, from.u16()?);
        // The form of Linux.
        let name = match from.rest() {
            [0, 0, 0, 0, behind @ ..] => behind,
            own => own,
        };
        let name = text(name).filter(|name| !name.is_empty()).ok_or(BadMessage::Name);
        Some(name.map(|name| Self::RegReq { handle, version, name: name.to_owned() }))
    }
}

/// Messages that come in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    bytes: Vec<u8>,
}

impl Stream {
    /// Takes bytes that follow those before.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes of a message that has not come whole.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.bytes.len()
    }

    /// The next message that is whole: its type and payload.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn take(&mut self) -> Result<Option<(u32, Vec<u8>)>, TooLong> {
        let mut from = Fields(&self.bytes);
        let (Some(kind), Some(length)) = (from.u32(), from.u32()) else { return Ok(None) };
        let bytes = length as usize;
        if bytes > PAYLOAD_MAX {
            return Err(TooLong(length));
        }
        let Some(payload) = from.rest().get(..bytes) else { return Ok(None) };
        let payload = payload.to_vec();
        self.bytes.drain(..HEADER_BYTES + bytes);
        Ok(Some((kind, payload)))
    }
}

#[cfg(test)]
mod test;
