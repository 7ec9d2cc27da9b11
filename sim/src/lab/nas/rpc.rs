//! ONC RPC over TCP: records, calls and replies.
//!
//! **Shapes.** A record is one or more fragments, each behind a word whose top bit
//! says that it is the last and whose rest is its length. A call has its number
//! (xid), program, version, procedure and credentials in front of its arguments.
//!
//! **Errors.** A record above [`RECORD_MAX`] is refused; its connection is no
//! longer in step and must be closed. A call that cannot be served is answered as
//! the RFC says; bytes that are no call at all are dropped.
//!
//! **Source.** RFC 5531.

use super::xdr::{Garbage, Reader, Writer};

/// Largest record that is taken: a write of 1 MiB with its header fits.
pub const RECORD_MAX: usize = (1 << 20) + 4096;

/// The other side broke the record marking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfStep;

/// Puts records together from a stream of bytes.
#[derive(Clone, Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    record: Vec<u8>,
}

impl Records {
    /// Takes in what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole record, if there is one.
    pub fn pop(&mut self) -> Result<Option<Vec<u8>>, OutOfStep> {
        loop {
            let Some(mark) = self.bytes.first_chunk() else { return Ok(None) };
            let mark = u32::from_be_bytes(*mark);
            let length = (mark & 0x7fff_ffff) as usize;
            if self.record.len() + length > RECORD_MAX {
                return Err(OutOfStep);
            }
            let Some(fragment) = self.bytes.get(4..4 + length) else { return Ok(None) };
            self.record.extend_from_slice(fragment);
            self.bytes.drain(..4 + length);
            if mark >> 31 == 1 {
                return Ok(Some(std::mem::take(&mut self.record)));
            }
        }
    }
}

/// A message as one record of one fragment.
#[must_use]
pub fn mark(message: &[u8]) -> Vec<u8> {
    let mark = 1 << 31 | message.len() as u32;
    [&mark.to_be_bytes(), message].concat()
}

/// A call whose form is right.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Its number.
    pub xid: u32,
    /// Program.
    pub program: u32,
    /// Version of the program.
    pub version: u32,
    /// Procedure.
    pub procedure: u32,
    /// Its arguments.
    pub arguments: Reader<'a>,
}

/// What a service answers.
pub enum Answer {
    /// The procedure's results.
    Results(Vec<u8>),
    /// No such program.
    NoProgram,
    /// Another version only, from and to.
    NoVersion(u32, u32),
    /// No such procedure.
    NoProcedure,
    /// Arguments that do not parse.
    Garbage,
}

/// Serves one record: parses the call and writes the reply. No reply to what is no
/// call.
pub fn serve(record: &[u8], serve: impl FnOnce(Call<'_>) -> Answer) -> Option<Vec<u8>> {
    let mut reader = Reader::new(record);
    let xid = reader.u32().ok()?;
    if reader.u32().ok()? != 0 {
        return None;
    }
    let mut reply = Writer::default();
    reply.u32(xid).u32(1);
    let parsed = parse(xid, reader);
    let call = match parsed {
        Ok(call) => call,
        Err(Refusal::Garbage) => {
            reply.u32(0).u32(0).u32(0).u32(4);
            return Some(reply.0);
        }
        Err(Refusal::RpcVersion) => {
            reply.u32(1).u32(0).u32(2).u32(2);
            return Some(reply.0);
        }
        Err(Refusal::Credentials) => {
            // AUTH_ERROR, AUTH_REJECTEDCRED.
            reply.u32(1).u32(1).u32(2);
            return Some(reply.0);
        }
    };
    reply.u32(0).u32(0).u32(0);
    match serve(call) {
        Answer::Results(results) => {
            reply.u32(0).0.extend(results);
        }
        Answer::NoProgram => {
            reply.u32(1);
        }
        Answer::NoVersion(low, high) => {
            reply.u32(2).u32(low).u32(high);
        }
        Answer::NoProcedure => {
            reply.u32(3);
        }
        Answer::Garbage => {
            reply.u32(4);
        }
    }
    Some(reply.0)
}

/// Why a call is not served.
enum Refusal {
    Garbage,
    RpcVersion,
    Credentials,
}

impl From<Garbage> for Refusal {
    fn from(_: Garbage) -> Self {
        Self::Garbage
    }
}

fn parse(xid: u32, mut reader: Reader<'_>) -> Result<Call<'_>, Refusal> {
    if reader.u32()? != 2 {
        return Err(Refusal::RpcVersion);
    }
    let (program, version, procedure) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let flavor = reader.u32()?;
    reader.opaque(400)?;
    reader.u32()?;
    reader.opaque(400)?;
    // AUTH_NONE and AUTH_SYS.
    if flavor > 1 {
        return Err(Refusal::Credentials);
    }
    Ok(Call { xid, program, version, procedure, arguments: reader })
}

#[cfg(test)]
mod test {
    use super::{Answer, OutOfStep, RECORD_MAX, Records, mark, serve};
    use proptest::prelude::{any, prop, proptest};

    #[test]
    fn fragments_of_any_cut_make_one_record() {
        let stream = [&[0, 0, 0, 2, 1, 2][..], &[0x80, 0, 0, 1, 3], &mark(&[9; 5])].concat();
        for step in 1..stream.len() {
            let mut records = Records::default();
            let mut got = Vec::new();
            for piece in stream.chunks(step) {
                records.push(piece);
                while let Some(record) = records.pop().unwrap() {
                    got.push(record);
                }
            }
            assert_eq!(got, [vec![1, 2, 3], vec![9; 5]]);
        }
    }

    #[test]
    fn an_endless_record_is_refused_before_it_arrives() {
        let mut records = Records::default();
        records.push(&(RECORD_MAX as u32 + 1).to_be_bytes());
        assert_eq!(records.pop(), Err(OutOfStep));
    }

    fn call(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn reply(words: &[u32]) -> Option<Vec<u8>> {
        serve(&call(words), |call| {
            assert_eq!((call.program, call.version, call.procedure), (100_003, 3, 0));
            Answer::Results(vec![1, 2, 3, 4])
        })
    }

    #[test]
    fn a_call_is_answered_refused_or_dropped_as_the_rfc_says() {
        let good = [7, 0, 2, 100_003, 3, 0, 0, 0, 0, 0];
        assert_eq!(reply(&good), Some([call(&[7, 1, 0, 0, 0, 0]), vec![1, 2, 3, 4]].concat()));
        let mut other = good;
        other[2] = 3;
        assert_eq!(reply(&other), Some(call(&[7, 1, 1, 0, 2, 2])));
        other = good;
        other[6] = 6;
        assert_eq!(reply(&other), Some(call(&[7, 1, 1, 1, 2])));
        assert_eq!(reply(&good[..9]), Some(call(&[7, 1, 0, 0, 0, 4])));
        other[1] = 1;
        assert_eq!(reply(&other), None);
        assert_eq!(reply(&[1]), None);
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let mut records = Records::default();
            records.push(&bytes);
            let _ = records.pop();
            let _ = serve(&bytes, |_| Answer::NoProgram);
        }
    }
}
