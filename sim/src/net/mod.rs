//! Virtual wires: links, switches, captures.
//!
//! A [`fabric::Fabric`] is one network: ports by name, each joined by a full
//! duplex [`link::Link`] to a learning [`switch::Switch`]. Frames are real
//! Ethernet without the FCS. Nothing here knows what a frame carries.

pub mod fabric;
pub mod link;
pub mod pcap;
pub mod record;
pub mod switch;
