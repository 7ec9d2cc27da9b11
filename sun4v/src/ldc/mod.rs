//! Logical domain channels: 64-byte packets, the link protocol that domains
//! speak over them, and the tables through which they lend memory.
//!
//! **Source.** sun4v hypervisor API, LDC group 0x101; the LDC link protocol as
//! Linux, Solaris and OpenBSD speak it.

pub mod map;
pub mod packet;

pub use map::{Cookie, CookieAddr, MapEntry, Mte};
pub use packet::{Ctrl, Kind, Mode, PACKET_BYTES, Packet, State, Stype, Version};

/// Sets a queue of packets to send: channel, base, entries.
pub const LDC_TX_QCONF: u64 = 0xe0;
/// Asks for it: base, entries.
pub const LDC_TX_QINFO: u64 = 0xe1;
/// Head, tail and state of the channel ([`State`]), from the sending side.
pub const LDC_TX_GET_STATE: u64 = 0xe2;
/// Moves the tail: packets up to it are sent.
pub const LDC_TX_SET_QTAIL: u64 = 0xe3;
/// Sets a queue of packets to receive.
pub const LDC_RX_QCONF: u64 = 0xe4;
/// Asks for it.
pub const LDC_RX_QINFO: u64 = 0xe5;
/// Pulls packets from the peer's queue; head, tail, state.
pub const LDC_RX_GET_STATE: u64 = 0xe6;
/// Moves the head: packets up to it are free.
pub const LDC_RX_SET_QHEAD: u64 = 0xe7;
/// Sets the endpoint's map table: channel, address, entries.
pub const LDC_SET_MAP_TABLE: u64 = 0xea;
/// Asks for it.
pub const LDC_GET_MAP_TABLE: u64 = 0xeb;
/// Copies to or from memory that the peer exports: channel, direction, cookie,
/// own real address, bytes; answers the bytes copied.
pub const LDC_COPY: u64 = 0xec;

/// Direction of [`LDC_COPY`]: from the peer's memory.
pub const COPY_IN: u64 = 0;
/// Direction of [`LDC_COPY`]: to the peer's memory.
pub const COPY_OUT: u64 = 1;
