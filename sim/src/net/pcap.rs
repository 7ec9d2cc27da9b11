//! Captures: frames as a pcapng file, one interface per port.
//!
//! **Shapes.** Timestamps are nanoseconds since the lab was powered on
//! (`if_tsresol` 9), so a reader shows dates in January 1970. A frame is cut to
//! the snap length; its original length is kept. The link type is Ethernet, without
//! FCS.
//!
//! **Errors.** Those of the writer, as `std::io::Error`.
//!
//! **Source.** draft-ietf-opsawg-pcapng; written by the `pcap-file` crate.

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;
use sun4v::time::SimTime;

/// Bytes of a frame that a capture keeps unless told otherwise.
pub const SNAPLEN: u32 = 128;

/// Names an interface of a [`Capture`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceId(u32);

/// A frame that was seen on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When its last bit had come in.
    pub at: SimTime,
    /// The port of the network it came in at.
    pub port: usize,
    /// Its length on the wire.
    pub length: u32,
    /// Its first bytes.
    pub head: Vec<u8>,
}

/// A pcapng file under way.
pub struct Capture<W: Write> {
    writer: PcapNgWriter<W>,
    snaplen: u32,
    interfaces: u32,
}

/// The writer's own error; the blocks are ours and well formed.
fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl<W: Write> Capture<W> {
    /// Starts a file; `snaplen` 0 keeps frames whole.
    pub fn new(writer: W, snaplen: u32) -> io::Result<Self> {
        let writer = PcapNgWriter::new(writer).map_err(io_error)?;
        Ok(Self { writer, snaplen, interfaces: 0 })
    }

    /// Adds an interface, such as `lab/t5120`.
    pub fn interface(&mut self, name: &str) -> io::Result<InterfaceId> {
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: self.snaplen,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        };
        self.writer.write_pcapng_block(block).map_err(io_error)?;
        self.interfaces += 1;
        Ok(InterfaceId(self.interfaces - 1))
    }

    /// Writes a frame of `length` bytes that begins with `head`.
    pub fn frame(
        &mut self,
        interface: InterfaceId,
        at: SimTime,
        length: u32,
        head: &[u8],
    ) -> io::Result<()> {
        let keep = if self.snaplen == 0 { head.len() } else { self.snaplen as usize };
        let block = EnhancedPacketBlock {
            interface_id: interface.0,
            timestamp: Duration::from_nanos(at.0 / 1_000),
            original_len: length,
            data: Cow::Borrowed(&head[..head.len().min(keep)]),
            options: Vec::new(),
        };
        self.writer.write_pcapng_block(block).map_err(io_error)?;
        Ok(())
    }

    /// What it writes to, for frames that are in its form already.
    pub fn get_mut(&mut self) -> &mut W {
        self.writer.get_mut()
    }

    /// Flushes the writer and gives it back.
    pub fn finish(self) -> io::Result<W> {
        let mut writer = self.writer.into_inner();
        writer.flush()?;
        Ok(writer)
    }
}

#[cfg(test)]
mod test {
    use super::{Capture, SNAPLEN};
    use pcap_file::pcapng::{Block, PcapNgReader};
    use std::io::Write;
    use std::process::Command;
    use sun4v::time::SimTime;

    /// An ARP request, padded.
    fn arp() -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1]);
        frame.extend([192, 168, 1, 20, 0, 0, 0, 0, 0, 0, 192, 168, 1, 50]);
        frame.resize(200, 0);
        frame
    }

    fn file(snaplen: u32) -> Vec<u8> {
        let mut capture = Capture::new(Vec::new(), snaplen).unwrap();
        let lab = capture.interface("lab/t5120").unwrap();
        let storage = capture.interface("storage/nas").unwrap();
        capture.frame(lab, SimTime::us(1_500_000), 200, &arp()).unwrap();
        capture.frame(storage, SimTime(2_000_000_001_999), 60, &arp()[..60]).unwrap();
        capture.finish().unwrap()
    }

    #[test]
    fn a_reader_finds_interfaces_times_and_lengths() {
        let mut seen = Vec::new();
        let bytes = file(SNAPLEN);
        let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                let len = packet.data.len();
                seen.push((packet.interface_id, packet.timestamp, packet.original_len, len));
            }
        }
        insta::assert_debug_snapshot!(seen);
        assert!(file(0).len() > bytes.len());
    }

    #[test]
    fn tshark_reads_it_where_there_is_one() {
        let path = std::env::temp_dir().join(format!("ldomlab-{}.pcapng", std::process::id()));
        std::fs::File::create(&path).unwrap().write_all(&file(SNAPLEN)).unwrap();
        let fields = ["frame.time_epoch", "frame.interface_name", "arp.dst.proto_ipv4"];
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(&path).args(["-T", "fields"]);
        fields.iter().for_each(|field| {
            tshark.args(["-e", field]);
        });
        let output = tshark.output();
        std::fs::remove_file(&path).unwrap();
        let Ok(output) = output else {
            eprintln!("SKIPPED: no tshark here, so it has read nothing");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0][1..], ["lab/t5120", "192.168.1.50"], "{text}");
        assert_eq!(lines[1][1..], ["storage/nas", "192.168.1.50"], "{text}");
    }
}
