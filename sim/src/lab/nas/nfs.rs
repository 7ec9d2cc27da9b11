//! NFS version 3 and its mount protocol, over one folder of disk images.
//!
//! Pure: a call's arguments in, its results out; no sockets and no time but the
//! one that is passed in ([`Export::serve`]).
//!
//! **Shapes.** The export is one folder; its files are disk images of fixed size.
//! A handle is sixteen bytes: a constant and the file's number. One that was claimed for a
//! domain ([`fence`](super::fence)) says for whom, in 24 more. Reads and writes
//! are at most [`TRANSFER_MAX`] bytes; longer ones are cut, as the protocol
//! allows. Writes are stable at once.
//!
//! **Errors.** `NFS3ERR_*` in the results; procedures that change names
//! (`CREATE`, `REMOVE`, …) and read folders do not exist here and are answered with
//! `PROC_UNAVAIL`.
//!
//! **Source.** RFC 1813, with appendix I for the mount protocol.

use super::fence::{self, Claim, Owners, Uuid};
use super::image::Image;
use super::rpc::{Answer, Call};
use super::xdr::{Garbage, Reader, Writer};
use sun4v::time::SimTime;

/// The NFS program.
pub const NFS: u32 = 100_003;
/// The mount program.
pub const MOUNT: u32 = 100_005;
/// Both in this version.
pub const VERSION: u32 = 3;
/// Bytes that one read or write carries at most.
pub const TRANSFER_MAX: u32 = 128 << 10;
/// Seconds from 1970 to the moment at which the lab is powered on, 16 June 2011.
const POWER_ON: u64 = 1_308_218_400;

/// Procedures of NFS that exist here.
mod procedure {
    pub const NULL: u32 = 0;
    pub const GETATTR: u32 = 1;
    pub const LOOKUP: u32 = 3;
    pub const ACCESS: u32 = 4;
    pub const READ: u32 = 6;
    pub const WRITE: u32 = 7;
    pub const FSSTAT: u32 = 18;
    pub const FSINFO: u32 = 19;
    pub const PATHCONF: u32 = 20;
    pub const COMMIT: u32 = 21;
}

/// Procedures of the mount protocol that exist here.
mod mount {
    pub const NULL: u32 = 0;
    pub const MNT: u32 = 1;
    pub const UMNT: u32 = 3;
    pub const EXPORT: u32 = 5;
}

/// `nfsstat3`, and `mountstat3` where they agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// NFS3_OK.
    Ok = 0,
    /// NFS3ERR_NOENT: no such file.
    NoEnt = 2,
    /// NFS3ERR_NOTDIR: a file where a folder is needed.
    NotDir = 20,
    /// NFS3ERR_ISDIR: a folder where a file is needed.
    IsDir = 21,
    /// NFS3ERR_INVAL: the arguments contradict each other.
    Inval = 22,
    /// NFS3ERR_FBIG: past the end of an image of fixed size.
    FBig = 27,
    /// NFS3ERR_NOSPC: too many owners.
    NoSpc = 28,
    /// NFS3ERR_NAMETOOLONG: above 255 bytes.
    NameTooLong = 63,
    /// NFS3ERR_STALE: the file is not here any more, or access to it has been revoked.
    Stale = 70,
    /// NFS3ERR_BADHANDLE: no handle of ours.
    BadHandle = 10001,
}

/// A file of the export.
pub struct File {
    /// Name within the folder.
    pub name: String,
    /// Content.
    pub image: Image,
    /// Use since power on.
    pub used: Use,
    /// Which domains have claimed it.
    pub owners: Owners,
    pub(super) written_at: SimTime,
}

/// How much a file was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// READ calls that succeeded.
    pub reads: u64,
    /// Bytes that they gave.
    pub read_bytes: u64,
    /// WRITE calls that succeeded.
    pub writes: u64,
    /// Bytes that they took.
    pub written_bytes: u64,
}

/// The folder that is exported.
pub struct Export {
    path: String,
    files: Vec<File>,
    /// Changes with every power on; here, with the seed.
    verifier: u64,
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Folder,
    File(usize),
}

const HANDLE_MAGIC: [u8; 8] = *b"ldomlab\0";
const HANDLE_MAX: usize = 64;

impl Object {
    fn file_id(self) -> u64 {
        match self {
            Self::Folder => 1,
            Self::File(n) => n as u64 + 2,
        }
    }

    fn handle(self) -> [u8; 16] {
        let mut handle = [0; 16];
        handle[..8].copy_from_slice(&HANDLE_MAGIC);
        handle[8..].copy_from_slice(&self.file_id().to_be_bytes());
        handle
    }
}

/// What a call did, beside its results; the server's own book-keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Bytes that moved from or to a disk.
    pub disk_bytes: u64,
    /// A path that was mounted.
    pub mounted: Option<String>,
    /// A file that was read or written.
    pub file: Option<usize>,
    /// The first refusal of an old owner of a file, and the newest epoch.
    pub refused: Option<(usize, Claim, u64)>,
}

impl Export {
    /// An empty folder at `path`, such as `/export`.
    #[must_use]
    pub fn new(path: &str, verifier: u64) -> Self {
        Self { path: path.to_owned(), files: Vec::new(), verifier }
    }

    /// Adds an image.
    pub fn add(&mut self, name: &str, image: Image) {
        let file = File {
            name: name.to_owned(),
            image,
            used: Use::default(),
            owners: Owners::default(),
            written_at: SimTime::ZERO,
        };
        self.files.push(file);
    }

    /// Its files, in the order in which they were added.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The same, to change them.
    pub(super) fn files_mut(&mut self) -> &mut [File] {
        &mut self.files
    }

    /// The image called `name`.
    pub fn image_mut(&mut self, name: &str) -> Option<&mut Image> {
        self.files.iter_mut().find(|file| file.name == name).map(|file| &mut file.image)
    }

    /// Answers one call of any program.
    pub fn serve(&mut self, call: Call<'_>, now: SimTime) -> (Answer, Effect) {
        let mut effect = Effect::default();
        let mut out = Writer::default();
        let mut arguments = call.arguments;
        let served = match (call.program, call.version) {
            (NFS, VERSION) => self.nfs(call.procedure, &mut arguments, now, &mut out, &mut effect),
            (MOUNT, VERSION) => self.mount(call.procedure, &mut arguments, &mut out, &mut effect),
            (fence::PROGRAM, fence::VERSION) => {
                self.fence(call.procedure, &mut arguments, &mut out, &mut effect)
            }
            (NFS | MOUNT, _) => return (Answer::NoVersion(VERSION, VERSION), effect),
            (fence::PROGRAM, _) => {
                return (Answer::NoVersion(fence::VERSION, fence::VERSION), effect);
            }
            _ => return (Answer::NoProgram, effect),
        };
        let answer = match served {
            Ok(true) => Answer::Results(out.0),
            Ok(false) => Answer::NoProcedure,
            Err(Garbage) => Answer::Garbage,
        };
        (answer, effect)
    }

    /// The mount protocol. False: no such procedure.
    fn mount(
        &self,
        procedure: u32,
        arguments: &mut Reader<'_>,
        out: &mut Writer,
        effect: &mut Effect,
    ) -> Result<bool, Garbage> {
        match procedure {
            mount::NULL => {}
            mount::MNT => {
                let path = arguments.opaque(1024)?;
                let trimmed = path.strip_suffix(b"/").unwrap_or(path);
                if trimmed == self.path.as_bytes() {
                    effect.mounted = Some(self.path.clone());
                    // AUTH_SYS and AUTH_NONE are welcome.
                    out.u32(0).opaque(&Object::Folder.handle()).u32(2).u32(1).u32(0);
                } else if self.below(trimmed).is_some() {
                    out.u32(Status::NotDir as u32);
                } else {
                    out.u32(Status::NoEnt as u32);
                }
            }
            mount::UMNT => {
                arguments.opaque(1024)?;
            }
            mount::EXPORT => {
                out.u32(1).opaque(self.path.as_bytes()).u32(0).u32(0);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The file at an absolute path.
    fn below(&self, path: &[u8]) -> Option<usize> {
        let name = path.strip_prefix(self.path.as_bytes())?.strip_prefix(b"/")?;
        self.files.iter().position(|file| file.name.as_bytes() == name)
    }

    /// The fence. False: no such procedure.
    fn fence(
        &mut self,
        procedure: u32,
        arguments: &mut Reader<'_>,
        out: &mut Writer,
        effect: &mut Effect,
    ) -> Result<bool, Garbage> {
        match procedure {
            0 => {}
            fence::CLAIM => {
                let handle = arguments.opaque(HANDLE_MAX)?;
                let uuid = Uuid::parse(arguments.opaque(HANDLE_MAX)?);
                let epoch = arguments.u64()?;
                let claimed = self.object(handle, effect).and_then(|object| match (object, uuid) {
                    (Object::File(number), Some(uuid)) => {
                        let claim = Claim { uuid, epoch };
                        let claimed = self.files[number].owners.claim(claim);
                        if claimed == Err(Status::Stale) {
                            self.refuse(number, claim, effect);
                        }
                        claimed.map(|()| [&object.handle()[..], &claim.to_bytes()].concat())
                    }
                    _ => Err(Status::Inval),
                });
                match claimed {
                    Ok(handle) => out.u32(0).opaque(&handle),
                    Err(status) => out.u32(status as u32),
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn refuse(&mut self, number: usize, claim: Claim, effect: &mut Effect) {
        let first = self.files[number].owners.refused(claim);
        effect.refused = first.map(|newest| (number, claim, newest));
    }

    /// The NFS protocol. False: no such procedure.
    fn nfs(
        &mut self,
        procedure: u32,
        arguments: &mut Reader<'_>,
        now: SimTime,
        out: &mut Writer,
        effect: &mut Effect,
    ) -> Result<bool, Garbage> {
        if procedure == procedure::NULL {
            return Ok(true);
        }
        let known = [
            procedure::GETATTR,
            procedure::LOOKUP,
            procedure::ACCESS,
            procedure::READ,
            procedure::WRITE,
            procedure::FSSTAT,
            procedure::FSINFO,
            procedure::PATHCONF,
            procedure::COMMIT,
        ];
        if !known.contains(&procedure) {
            return Ok(false);
        }
        let object = self.object(arguments.opaque(HANDLE_MAX)?, effect);
        match procedure {
            procedure::GETATTR => match object {
                Ok(object) => {
                    out.u32(0);
                    self.attributes(object, out);
                }
                Err(status) => {
                    out.u32(status as u32);
                }
            },
            procedure::LOOKUP => {
                let name = arguments.opaque(1024)?;
                match object.and_then(|object| Ok((object, self.lookup(object, name)?))) {
                    Ok((folder, found)) => {
                        out.u32(0).opaque(&found.handle());
                        self.post_attributes(Ok(found), out);
                        self.post_attributes(Ok(folder), out);
                    }
                    Err(status) => {
                        out.u32(status as u32);
                        self.post_attributes(object, out);
                    }
                }
            }
            procedure::ACCESS => {
                let wanted = arguments.u32()?;
                self.head(object, out);
                if let Ok(object) = object {
                    // READ, LOOKUP, MODIFY, EXTEND, DELETE, EXECUTE.
                    let granted = if object == Object::Folder { 0x03 } else { 0x05 };
                    out.u32(wanted & granted);
                }
            }
            procedure::READ => self.read(object, arguments, out, effect)?,
            procedure::WRITE => self.write(object, arguments, now, out, effect)?,
            procedure::FSSTAT => {
                self.head(object, out);
                if object.is_ok() {
                    let total = self.files.iter().map(|file| file.image.size()).sum();
                    out.u64(total).u64(0).u64(0);
                    out.u64(self.files.len() as u64 + 1).u64(0).u64(0).u32(0);
                }
            }
            procedure::FSINFO => {
                self.head(object, out);
                if object.is_ok() {
                    // Reads, then writes: largest, preferred, multiple of.
                    for _ in 0..2 {
                        out.u32(TRANSFER_MAX).u32(TRANSFER_MAX).u32(512);
                    }
                    // Preferred READDIR, largest file, time step 1 ns, homogeneous.
                    out.u32(8192).u64(u64::MAX >> 1).u32(0).u32(1).u32(0x08);
                }
            }
            procedure::PATHCONF => {
                self.head(object, out);
                if object.is_ok() {
                    out.u32(1).u32(255).u32(1).u32(1).u32(0).u32(1);
                }
            }
            _ => {
                // COMMIT: writes are stable already.
                arguments.u64()?;
                arguments.u32()?;
                let status = match object {
                    Ok(Object::File(_)) => Status::Ok,
                    Ok(Object::Folder) => Status::IsDir,
                    Err(status) => status,
                };
                out.u32(status as u32).u32(0);
                self.post_attributes(object, out);
                if status == Status::Ok {
                    out.u64(self.verifier);
                }
            }
        }
        Ok(true)
    }

    /// What a handle stands for, if whoever has it may come near.
    fn object(&mut self, handle: &[u8], effect: &mut Effect) -> Result<Object, Status> {
        let rest = handle.strip_prefix(&HANDLE_MAGIC).ok_or(Status::BadHandle)?;
        let (id, claim) = rest.split_first_chunk().ok_or(Status::BadHandle)?;
        let id = u64::from_be_bytes(*id);
        let mut objects =
            std::iter::once(Object::Folder).chain((0..self.files.len()).map(Object::File));
        let object = objects.find(|object| object.file_id() == id).ok_or(Status::Stale)?;
        if claim.is_empty() {
            return Ok(object);
        }
        let claim = Claim::from_bytes(claim).ok_or(Status::BadHandle)?;
        let Object::File(number) = object else { return Err(Status::BadHandle) };
        let checked = self.files[number].owners.check(claim);
        if checked.is_err() {
            self.refuse(number, claim, effect);
        }
        checked.map(|()| object)
    }

    fn lookup(&self, folder: Object, name: &[u8]) -> Result<Object, Status> {
        if folder != Object::Folder {
            return Err(Status::NotDir);
        }
        match name {
            b"." | b".." => Ok(Object::Folder),
            _ if name.len() > 255 => Err(Status::NameTooLong),
            _ => self
                .files
                .iter()
                .position(|file| file.name.as_bytes() == name)
                .map(Object::File)
                .ok_or(Status::NoEnt),
        }
    }

    fn read(
        &mut self,
        object: Result<Object, Status>,
        arguments: &mut Reader<'_>,
        out: &mut Writer,
        effect: &mut Effect,
    ) -> Result<(), Garbage> {
        let (offset, count) = (arguments.u64()?, arguments.u32()?.min(TRANSFER_MAX));
        let number = match object {
            Ok(Object::File(number)) => number,
            other => {
                out.u32(other.map_or_else(|status| status, |_| Status::IsDir) as u32);
                self.post_attributes(object, out);
                return Ok(());
            }
        };
        let file = &mut self.files[number];
        let bytes = file.image.read(offset, count as usize);
        let ends = offset.saturating_add(bytes.len() as u64) >= file.image.size();
        file.used.reads += 1;
        file.used.read_bytes += bytes.len() as u64;
        *effect =
            Effect { disk_bytes: bytes.len() as u64, file: Some(number), ..Effect::default() };
        self.head(object, out);
        out.u32(bytes.len() as u32).u32(u32::from(ends)).opaque(&bytes);
        Ok(())
    }

    fn write(
        &mut self,
        object: Result<Object, Status>,
        arguments: &mut Reader<'_>,
        now: SimTime,
        out: &mut Writer,
        effect: &mut Effect,
    ) -> Result<(), Garbage> {
        let (offset, count, stable) = (arguments.u64()?, arguments.u32()?, arguments.u32()?);
        let bytes = arguments.opaque(super::rpc::RECORD_MAX)?;
        let bytes = &bytes[..bytes.len().min(TRANSFER_MAX as usize)];
        let outcome = match object {
            Ok(Object::File(_)) if stable > 2 || (bytes.len() as u32) < count.min(TRANSFER_MAX) => {
                Err(Status::Inval)
            }
            Ok(Object::File(number)) => {
                let bytes = &bytes[..bytes.len().min(count as usize)];
                let file = &mut self.files[number];
                if file.image.write(offset, bytes) {
                    file.used.writes += 1;
                    file.used.written_bytes += bytes.len() as u64;
                    file.written_at = now;
                    let disk_bytes = bytes.len() as u64;
                    *effect = Effect { disk_bytes, file: Some(number), ..Effect::default() };
                    Ok(bytes.len() as u32)
                } else {
                    Err(Status::FBig)
                }
            }
            Ok(Object::Folder) => Err(Status::IsDir),
            Err(status) => Err(status),
        };
        out.u32(outcome.err().unwrap_or(Status::Ok) as u32).u32(0);
        self.post_attributes(object, out);
        if let Ok(written) = outcome {
            // FILE_SYNC, whatever was asked for.
            out.u32(written).u32(2).u64(self.verifier);
        }
        Ok(())
    }

    /// A status and the attributes that follow it in most results.
    fn head(&self, object: Result<Object, Status>, out: &mut Writer) {
        out.u32(object.err().unwrap_or(Status::Ok) as u32);
        self.post_attributes(object, out);
    }

    /// `post_op_attr`.
    fn post_attributes(&self, object: Result<Object, Status>, out: &mut Writer) {
        out.u32(u32::from(object.is_ok()));
        if let Ok(object) = object {
            self.attributes(object, out);
        }
    }

    /// `fattr3`.
    fn attributes(&self, object: Object, out: &mut Writer) {
        let (kind, mode, links, size, used, at) = match object {
            Object::Folder => (2, 0o755, 2, 512, 512, SimTime::ZERO),
            Object::File(n) => {
                let file = &self.files[n];
                (1, 0o600, 1, file.image.size(), file.image.size(), file.written_at)
            }
        };
        let ns = at.0 / 1_000;
        let (seconds, rest) = ((POWER_ON + ns / 1_000_000_000) as u32, ns % 1_000_000_000);
        out.u32(kind).u32(mode).u32(links).u32(0).u32(0).u64(size).u64(used);
        // No device numbers; one file system.
        out.u32(0).u32(0).u64(1).u64(object.file_id());
        for _ in 0..3 {
            out.u32(seconds).u32(rest as u32);
        }
    }
}

#[cfg(test)]
mod test;
