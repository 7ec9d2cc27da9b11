//! Remote procedure calls over TCP: records, calls, replies, and the procedures
//! of MOUNT and NFS version 3 that a disk needs.
//!
//! **Shapes.** A record is fragments, each with a 32-bit header: length, and the
//! top bit on the last.
//!
//! **The fence.** A server that is shared by several machines may know a program
//! [`FENCE`], version 1. Its procedure 1, CLAIM, takes a file's handle, a domain's UUID
//! as text and an epoch (`u64`), and answers an `nfsstat3` and, if that is 0, another
//! handle of the same file. What is asked with that one is done as long as the domain has
//! claimed the file at no newer epoch, and is STALE from then on; so is an older claim.
//!
//! **Errors.** [`Records`] refuses records above [`RECORD_MAX`]; replies that do
//! not parse are `None`.
//!
//! **Source.** RFC 5531, RFC 1813.

use super::xdr::{Reader, Writer};
use crate::service::volume::Owner;

/// The longest record.
pub const RECORD_MAX: usize = 2 << 20;
/// The longest file handle.
pub const HANDLE_MAX: usize = 64;

const LAST_FRAGMENT: u32 = 1 << 31;
const CALL: u32 = 0;
const REPLY: u32 = 1;
/// Of an accepted call: no such program.
const PROG_UNAVAIL: u32 = 1;
const RPC_VERSION: u32 = 2;
const AUTH_UNIX: u32 = 1;
const MOUNT: u32 = 100_005;
const NFS: u32 = 100_003;
const VERSION_3: u32 = 3;
/// The program of the fence; RFC 5531 leaves 0x2000_0000 to 0x3fff_ffff to sites.
pub const FENCE: u32 = 0x2000_8101;

/// A file handle: opaque, at most [`HANDLE_MAX`] bytes.
pub type Handle = Vec<u8>;
/// Tells one life of a server from the next.
pub type Verifier = u64;

/// How stable a write is when it is answered.
pub const UNSTABLE: u32 = 0;
/// It is on disk, data and metadata.
pub const FILE_SYNC: u32 = 2;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// MOUNT MNT: the handle of an exported folder.
    Mount(String),
    /// The handle of a name in a folder.
    Lookup(Handle, String),
    /// A file's size.
    GetAttr(Handle),
    /// Bytes of a file.
    Read {
        /// The file.
        handle: Handle,
        /// First byte.
        offset: u64,
        /// How many.
        count: u32,
    },
    /// Bytes to a file.
    Write {
        /// The file.
        handle: Handle,
        /// First byte.
        offset: u64,
        /// [`UNSTABLE`] or [`FILE_SYNC`].
        stable: u32,
        /// What.
        data: Vec<u8>,
    },
    /// Earlier unstable writes become stable.
    Commit(Handle),
    /// The fence's CLAIM.
    Claim {
        /// The file, as [`Call::Lookup`] gives it.
        handle: Handle,
        /// For whom.
        owner: Owner,
    },
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A handle.
    Handle(Handle),
    /// A size.
    Size(u64),
    /// Bytes, and whether they end the file.
    Data(Vec<u8>, bool),
    /// Bytes written, how stable, under which verifier.
    Written(u32, u32, Verifier),
    /// Committed under this verifier.
    Committed(Verifier),
    /// The procedure failed with this status (RFC 1813, `nfsstat3`).
    Failed(u32),
    /// The server does not know the program.
    NoProgram,
    /// The server refused the call itself, or answered nonsense.
    Refused,
}

impl Call {
    /// Program, its version, and the procedure.
    const fn procedure(&self) -> (u32, u32, u32) {
        let (program, procedure) = match self {
            Self::Mount(_) => (MOUNT, 1),
            Self::GetAttr(_) => (NFS, 1),
            Self::Lookup(..) => (NFS, 3),
            Self::Read { .. } => (NFS, 6),
            Self::Write { .. } => (NFS, 7),
            Self::Commit(_) => (NFS, 21),
            Self::Claim { .. } => return (FENCE, 1, 1),
        };
        (program, VERSION_3, procedure)
    }

    /// The call as one record.
    #[must_use]
    pub fn encode(&self, xid: u32, machine: &str) -> Vec<u8> {
        let (program, version, procedure) = self.procedure();
        let mut credential = Writer::default();
        // Stamp, machine, uid, gid, no further groups.
        credential.u32(0).opaque(machine.as_bytes()).u32(0).u32(0).u32(0);
        let mut out = Writer(vec![0; 4]);
        out.u32(xid).u32(CALL).u32(RPC_VERSION).u32(program).u32(version).u32(procedure);
        out.u32(AUTH_UNIX).opaque(&credential.0).u32(0).u32(0);
        match self {
            Self::Mount(path) => out.opaque(path.as_bytes()),
            Self::Lookup(folder, name) => out.opaque(folder).opaque(name.as_bytes()),
            Self::GetAttr(handle) => out.opaque(handle),
            Self::Read { handle, offset, count } => out.opaque(handle).u64(*offset).u32(*count),
            Self::Write { handle, offset, stable, data } => {
                out.opaque(handle).u64(*offset).u32(data.len() as u32).u32(*stable).opaque(data)
            }
            Self::Commit(handle) => out.opaque(handle).u64(0).u32(0),
            Self::Claim { handle, owner } => {
                out.opaque(handle).opaque(owner.uuid.as_bytes()).u64(owner.epoch)
            }
        };
        let header = LAST_FRAGMENT | (out.0.len() - 4) as u32;
        out.0[..4].copy_from_slice(&header.to_be_bytes());
        out.0
    }

    /// What a reply's results mean for this call.
    #[must_use]
    pub fn answer(&self, reply: &Reply<'_>) -> Answer {
        self.parse(reply).unwrap_or(Answer::Refused)
    }

    fn parse(&self, reply: &Reply<'_>) -> Option<Answer> {
        if reply.no_program {
            return Some(Answer::NoProgram);
        }
        let mut results = Reader(reply.results?);
        let status = results.u32()?;
        if status != 0 {
            return Some(Answer::Failed(status));
        }
        match self {
            Self::Mount(_) | Self::Lookup(..) | Self::Claim { .. } => {
                Some(Answer::Handle(results.opaque(HANDLE_MAX)?.to_vec()))
            }
            Self::GetAttr(_) => {
                // Type, mode, links, user, group; then the size.
                results.take(20)?;
                Some(Answer::Size(results.u64()?))
            }
            Self::Read { count, .. } => {
                results.skip_optional(ATTR_BYTES)?;
                let n = results.u32()?;
                let end = results.u32()? != 0;
                let data = results.opaque(*count as usize)?;
                (data.len() == n as usize).then(|| Answer::Data(data.to_vec(), end))
            }
            Self::Write { .. } => {
                skip_weak_cache_data(&mut results)?;
                Some(Answer::Written(results.u32()?, results.u32()?, results.u64()?))
            }
            Self::Commit(_) => {
                skip_weak_cache_data(&mut results)?;
                Some(Answer::Committed(results.u64()?))
            }
        }
    }
}

/// Bytes of a file's attributes (`fattr3`).
pub const ATTR_BYTES: usize = 84;

fn skip_weak_cache_data(results: &mut Reader<'_>) -> Option<()> {
    // Before: size and two times. After: attributes.
    results.skip_optional(24)?;
    results.skip_optional(ATTR_BYTES)
}

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Of which call.
    pub xid: u32,
    /// Its results; `None` when the server refused the call.
    pub results: Option<&'a [u8]>,
    /// It refused it because it has no such program.
    pub no_program: bool,
}

impl<'a> Reply<'a> {
    /// The reply in a record; `None` when it is none.
    #[must_use]
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(record);
        let xid = reader.u32()?;
        if reader.u32()? != REPLY {
            return None;
        }
        let accepted = reader.u32()? == 0;
        if !accepted {
            return Some(Self { xid, results: None, no_program: false });
        }
        reader.u32()?;
        reader.opaque(400)?;
        let status = reader.u32()?;
        let results = (status == 0).then_some(reader.0);
        Some(Self { xid, results, no_program: status == PROG_UNAVAIL })
    }
}

/// Puts records together from a stream of bytes.
#[derive(Debug, Default)]
pub struct Records {
    stream: Vec<u8>,
    /// Bytes of the stream that were used.
    used: usize,
    record: Vec<u8>,
}

/// A record is longer than [`RECORD_MAX`]: the stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Records {
    /// Where to append what arrived.
    pub fn stream(&mut self) -> &mut Vec<u8> {
        self.stream.drain(..self.used);
        self.used = 0;
        &mut self.stream
    }

    /// The next whole record.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn next_record(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            let mut reader = Reader(&self.stream[self.used..]);
            let Some(header) = reader.u32() else { return Ok(None) };
            let n = (header & !LAST_FRAGMENT) as usize;
            if self.record.len() + n > RECORD_MAX {
                return Err(TooLong);
            }
            let Some(fragment) = reader.take(n) else { return Ok(None) };
            self.record.extend_from_slice(fragment);
            self.used += 4 + n;
            if header & LAST_FRAGMENT != 0 {
                return Ok(Some(std::mem::take(&mut self.record)));
            }
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Answer, Call, Owner, Records, Reply, TooLong};
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_read_is_these_bytes() {
        let call = Call::Read { handle: vec![0xaa; 5], offset: 0x1_0000, count: 512 };
        let hex: String =
            call.encode(7, "t5120").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "8000005c",
                "00000007",
                "00000000",
                "00000002",
                "000186a3",
                "00000003",
                "00000006",
                "00000001",
                "0000001c",
                "00000000",
                "00000005",
                "7435313230000000",
                "00000000",
                "00000000",
                "00000000",
                "00000000",
                "00000000",
                "00000005",
                "aaaaaaaaaa000000",
                "0000000000010000",
                "00000200",
            )
        );
    }

    #[test]
    fn a_record_in_pieces_comes_out_whole() {
        let mut records = Records::default();
        let bytes = [0, 0, 0, 2, b'a', b'b', 0x80, 0, 0, 1, b'c', 0x80, 0, 0, 0];
        let mut found = Vec::new();
        for byte in bytes {
            records.stream().push(byte);
            found.extend(records.next_record().unwrap());
        }
        assert_eq!(found, [b"abc".to_vec(), Vec::new()]);
        records.stream().extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(records.next_record(), Err(TooLong));
    }

    #[test]
    fn a_denied_call_is_refused() {
        let denied = [0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        let reply = Reply::parse(&denied).unwrap();
        assert_eq!(reply, Reply { xid: 9, results: None, no_program: false });
        assert_eq!(Call::GetAttr(vec![]).answer(&reply), Answer::Refused);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in any::<Vec<u8>>()) {
            let calls = [
                Call::Mount(String::new()),
                Call::GetAttr(vec![]),
                Call::Read { handle: vec![], offset: 0, count: 64 },
                Call::Write { handle: vec![], offset: 0, stable: 0, data: vec![] },
                Call::Commit(vec![]),
                Call::Claim { handle: vec![], owner: Owner::default() },
            ];
            for call in calls {
                let _ = call.answer(&Reply { xid: 0, results: Some(&bytes), no_program: false });
            }
            let _ = Reply::parse(&bytes);
            let mut records = Records::default();
            records.stream().extend_from_slice(&bytes);
            while let Ok(Some(_)) = records.next_record() {}
        }
    }
}
