//! Services by name, and the data that is sent to each.
//!
//! **Shapes.** A request begins with a number that its answer repeats. The manager asks and
//! the domain answers, but for variables, where the domain asks and nothing is numbered.
//!
//! - `md-update`, `domain-panic`: nothing more; `domain-shutdown`: milliseconds of grace
//!   (`u32`, four bytes of fill). Answers: a result (`u32`; 0 well, 1 not, 2 not
//!   understood), then a reason in words or nothing.
//! - `dr-cpu`: a letter (`u32`), how many, their numbers (`u32` each). Answers: `o` or `e`,
//!   how many, and a record each: number, [`CpuResult`], [`CpuStat`], and where in the
//!   payload its reason is, or 0.
//! - `var-config`, `var-config-backup`: [`VariableRequest`]; the answer is its type plus 2
//!   and a [`VariableResult`].
//!
//! **Errors.** What does not have this form is `None`.
//!
//! **Source.** Linux `arch/sparc/kernel/ds.c`; illumos `platsvc.h`, `drctl.h`,
//! `dr_cpu.h`, `varconfig.h`.

use super::{Fields, text};
use crate::code::codes;

/// Records of an answer at most: one for every number that a virtual CPU can have.
const RECORDS_MAX: u32 = 1024;

codes! {
    /// A service.
    Service(u8) {
        /// The domain reads its machine description again.
        MdUpdate = 0,
        /// It shuts down in an orderly way.
        Shutdown = 1,
        /// It panics.
        Panic = 2,
        /// It takes virtual CPUs into use and out of it.
        DrCpu = 3,
        /// It would be told of the machine's resources.
        Pri = 4,
        /// It keeps variables with its manager.
        VarConfig = 5,
        /// The same, for when the other is not there.
        VarConfigBackup = 6,
    }
}

impl Service {
    /// All, in the order in which Linux registers them.
    pub const ALL: [Self; 7] = [
        Self::MdUpdate,
        Self::Shutdown,
        Self::Panic,
        Self::DrCpu,
        Self::Pri,
        Self::VarConfig,
        Self::VarConfigBackup,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MdUpdate => "md-update",
            Self::Shutdown => "domain-shutdown",
            Self::Panic => "domain-panic",
            Self::DrCpu => "dr-cpu",
            Self::Pri => "pri",
            Self::VarConfig => "var-config",
            Self::VarConfigBackup => "var-config-backup",
        }
    }

    /// The service of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.name() == name)
    }
}

/// A request that is its number alone: `md-update`, `domain-panic`.
#[must_use]
pub fn plain_request(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// A request to shut down after so many milliseconds.
#[must_use]
pub fn shutdown_request(number: u64, delay_ms: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &delay_ms.to_be_bytes(), &[0; 4]].concat()
}

/// An answer of `md-update`, `domain-shutdown` or `domain-panic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainAnswer {
    /// The request's number.
    pub number: u64,
    /// 0 well, 1 not, 2 not understood.
    pub result: u32,
    /// Why, or nothing.
    pub reason: String,
}

impl PlainAnswer {
    /// Reads one.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut from = Fields(payload);
        let (number, result) = (from.u64()?, from.u32()?);
        let reason = text(from.rest()).unwrap_or_default().to_owned();
        Some(Self { number, result, reason })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { number, result, reason } = self;
        [&number.to_be_bytes()[..], &result.to_be_bytes(), reason.as_bytes(), &[0]].concat()
    }
}

codes! {
    /// What is to be done with virtual CPUs.
    CpuOp(u32) {
        /// Take into use.
        Configure = 0x43,
        /// Take out of use.
        Unconfigure = 0x55,
        /// The same, whatever is bound to them.
        ForceUnconfigure = 0x46,
        /// Say how they are.
        Status = 0x53,
    }
}

codes! {
    /// What came of it for one.
    CpuResult(u32) {
        /// It is done.
        Ok = 0,
        /// It is not.
        Failure = 1,
        /// Something stands against it.
        Blocked = 2,
        /// The virtual CPU does not answer.
        NotResponding = 3,
        /// The machine description does not have it.
        NotInMd = 4,
    }
}

codes! {
    /// How one is.
    CpuStat(u32) {
        /// Not there.
        NotPresent = 0,
        /// There, and not in use.
        Unconfigured = 1,
        /// In use.
        Configured = 2,
    }
}

/// A request about virtual CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuRequest {
    /// Its number.
    pub number: u64,
    /// What to do.
    pub op: CpuOp,
    /// With which.
    pub cpus: Vec<u32>,
}

impl CpuRequest {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { number, op, cpus } = self;
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend(op.code().to_be_bytes());
        bytes.extend((cpus.len() as u32).to_be_bytes());
        bytes.extend(cpus.iter().flat_map(|cpu| cpu.to_be_bytes()));
        bytes
    }

    /// Reads one.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut from = Fields(payload);
        let (number, op) = (from.u64()?, CpuOp::from_code(from.u32()?)?);
        let count = from.u32().filter(|count| *count <= RECORDS_MAX)?;
        let cpus = (0..count).map(|_| from.u32()).collect::<Option<_>>()?;
        Some(Self { number, op, cpus })
    }
}

/// What an answer says of one virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuRecord {
    /// Which.
    pub cpu: u32,
    /// What came of it.
    pub result: CpuResult,
    /// How it is now.
    pub stat: CpuStat,
    /// Why, or nothing.
    pub reason: String,
}

/// An answer about virtual CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuAnswer {
    /// The request's number.
    pub number: u64,
    /// It was understood: `o`, not `e`.
    pub ok: bool,
    /// One for each virtual CPU.
    pub records: Vec<CpuRecord>,
}

impl CpuAnswer {
    const OK: u32 = 0x6f;
    const ERROR: u32 = 0x65;
    /// Number, letter, count.
    const HEADER_BYTES: usize = 16;
    const RECORD_BYTES: usize = 16;

    /// Reads one.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut from = Fields(payload);
        let number = from.u64()?;
        let ok = match from.u32()? {
            Self::OK => true,
            Self::ERROR => false,
            _ => return None,
        };
        let count = from.u32().filter(|count| *count <= RECORDS_MAX)?;
        let records = (0..if ok { count } else { 0 }).map(|_| {
            let (cpu, result, stat, at) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
            let behind = payload.get(at as usize..).filter(|_| at != 0);
            let reason = behind.and_then(text).unwrap_or_default().to_owned();
            let (result, stat) = (CpuResult::from_code(result)?, CpuStat::from_code(stat)?);
            Some(CpuRecord { cpu, result, stat, reason })
        });
        Some(Self { number, ok, records: records.collect::<Option<_>>()? })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { number, ok, records } = self;
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend(if *ok { Self::OK } else { Self::ERROR }.to_be_bytes());
        bytes.extend((records.len() as u32).to_be_bytes());
        let (mut strings, first) =
            (Vec::new(), Self::HEADER_BYTES + Self::RECORD_BYTES * records.len());
        for CpuRecord { cpu, result, stat, reason } in records {
            let at = if reason.is_empty() { 0 } else { first + strings.len() };
            for field in [*cpu, result.code(), stat.code(), at as u32] {
                bytes.extend(field.to_be_bytes());
            }
            if at != 0 {
                strings.extend(reason.as_bytes());
                strings.push(0);
            }
        }
        bytes.append(&mut strings);
        bytes
    }
}

/// What a domain asks for its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableRequest {
    /// Set one.
    Set {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Delete one.
    Delete {
        /// Its name.
        name: String,
    },
}

codes! {
    /// What came of it.
    VariableResult(u32) {
        /// It is done.
        Ok = 0,
        /// There is no room for it.
        NoSpace = 1,
        /// The name is none.
        BadName = 2,
        /// The value cannot be.
        BadValue = 3,
        /// There is no such variable.
        NotPresent = 4,
    }
}

impl VariableRequest {
    const SET: u32 = 0;
    const DELETE: u32 = 1;

    /// Reads one. Whether the name is one is not judged here.
    ///
    /// # Errors
    /// The answer when there is one to give: a value that is not text.
    pub fn parse(payload: &[u8]) -> Option<Result<Self, Vec<u8>>> {
        let mut from = Fields(payload);
        let command = from.u32()?;
        let mut parts = from.rest().splitn(2, |&byte| byte == 0);
        let answer = |result| Some(Err(answer(command, result)));
        let name = match parts.next().map(std::str::from_utf8) {
            Some(Ok(name)) => name.to_owned(),
            _ => return answer(VariableResult::BadName),
        };
        match command {
            Self::SET => {
                let value = parts.next()?.split(|&byte| byte == 0).next().unwrap_or_default();
                match std::str::from_utf8(value) {
                    Ok(value) => Some(Ok(Self::Set { name, value: value.to_owned() })),
                    Err(_) => answer(VariableResult::BadValue),
                }
            }
            Self::DELETE => Some(Ok(Self::Delete { name })),
            _ => None,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Set { name, value } => {
                [&Self::SET.to_be_bytes()[..], name.as_bytes(), &[0], value.as_bytes(), &[0]]
                    .concat()
            }
            Self::Delete { name } => {
                [&Self::DELETE.to_be_bytes()[..], name.as_bytes(), &[0]].concat()
            }
        }
    }

    /// The answer to it.
    #[must_use]
    pub fn answer(&self, result: VariableResult) -> Vec<u8> {
        let command = match self {
            Self::Set { .. } => Self::SET,
            Self::Delete { .. } => Self::DELETE,
        };
        answer(command, result)
    }
}

fn answer(command: u32, result: VariableResult) -> Vec<u8> {
    [command.wrapping_add(2).to_be_bytes(), result.code().to_be_bytes()].concat()
}
