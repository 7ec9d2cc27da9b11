//! What a native program of a domain may touch.
//!
//! A domain runs either a SPARC image or a native program: a state machine in
//! Rust that is woken by [`Event`]s and acts through [`Ports`] alone. It makes
//! the same hypercalls as a SPARC guest, through the same dispatcher and with the
//! same rights; its memory is pages of its own domain; its network interfaces
//! carry real Ethernet frames; its work is charged to its own strands.
//!
//! **Time.** A program runs at slice boundaries and takes no time by itself. What
//! it does costs time through [`Ports::charge`] and [`Ports::job`], so a domain
//! with fewer strands is slower.

use crate::addr::Ra;
use crate::hcall::HvError;
use crate::id::VcpuId;
use crate::time::SimTime;
use crate::vio::vdisk::Errno;

/// Names a job that was given to [`Ports::job`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What somebody at a console does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleInput {
    /// Types.
    Typed(Vec<u8>),
    /// Sends a break.
    Break,
    /// Leaves.
    HangUp,
}

/// Why a program is woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The domain was started. Comes once, first.
    Start,
    /// The domain runs on, and its software has begun again from what it saved
    /// ([`Program::save`]). Comes once, first, in place of [`Event::Start`].
    Restarted,
    /// An entry of the device mondo queue: word 0 is the interrupt's cookie.
    Mondo([u64; 8]),
    /// A time set by [`Ports::set_timer`] has come.
    Timer(u64),
    /// A frame arrived at network interface `nic`; no FCS.
    Frame {
        /// Which interface.
        nic: u8,
        /// Destination, source, type, payload.
        bytes: Vec<u8>,
    },
    /// A job has ended.
    JobDone {
        /// Which one.
        job: JobId,
        /// What it computed.
        output: Vec<u8>,
    },
    /// A request to a disk of the chassis has ended.
    DiskDone {
        /// What [`Ports::disk`] was given.
        token: u64,
        /// What was read; empty otherwise.
        result: Result<Vec<u8>, Errno>,
    },
    /// The operator typed a command line; answer with [`Ports::reply`].
    Command {
        /// Names the answer.
        id: u64,
        /// Words after the prompt, such as `ldm list -l rover`.
        line: String,
    },
    /// Somebody does something at the console of another domain. What does not fit
    /// ([`Ports::console_room`]) is refused whole.
    Console {
        /// Whose console.
        domain: String,
        /// What.
        input: ConsoleInput,
    },
}

/// The answer to an operator's command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Text for standard output, lines ended.
    pub stdout: String,
    /// Text for standard error, lines ended.
    pub stderr: String,
    /// Exit status: zero is success.
    pub status: u8,
}

/// A fact that a program notes for the record of a run: numbers by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What it is about, such as `migration`.
    pub subject: &'static str,
    /// What happened, such as `round`.
    pub what: &'static str,
    /// Which domain, disk or connection.
    pub name: String,
    /// Its figures, units in their names (`sealed_bytes`, `pause_us`).
    pub values: Vec<(&'static str, u64)>,
}

/// A pure function of bytes that it owns; computed by a host worker meanwhile.
pub type Work = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// A disk of the chassis that the domain owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDisk {
    /// Its name, such as `c0t1d0`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// It takes no writes.
    pub read_only: bool,
}

/// What is asked of a disk. Offsets and sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskRequest {
    /// Reads.
    Read {
        /// First byte.
        offset: u64,
        /// How many.
        bytes: u32,
    },
    /// Writes.
    Write {
        /// First byte.
        offset: u64,
        /// What.
        data: Vec<u8>,
        /// Durable before it completes.
        durable: bool,
    },
    /// Every write that was submitted before becomes durable.
    Flush,
}

/// Results of a hypercall: the values of `%o1..=%o5`.
pub type Rets = [u64; 5];

/// Everything a program can do.
pub trait Ports {
    /// Simulated time.
    fn now(&self) -> SimTime;
    /// A fast-trap hypercall (`ta 0x80`) made by vCPU 0: `nr` in `%o5`, `args` in
    /// `%o0..=%o4`. Calls that SPARC guests wait for complete at once.
    fn hcall(&mut self, nr: u64, args: [u64; 5]) -> Result<Rets, HvError>;
    /// A fast-trap hypercall made by another vCPU: some calls are about the core
    /// that they are made on (`ncs_qconf`). ENOCPU where there is only vCPU 0.
    fn hcall_on(&mut self, vcpu: VcpuId, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        if vcpu == VcpuId(0) { self.hcall(nr, args) } else { Err(HvError::NoCpu) }
    }
    /// A core-trap hypercall (`ta 0xff`), such as `api_set_version`.
    fn core_call(&mut self, nr: u64, args: [u64; 5]) -> Result<Rets, HvError>;
    /// Real address of the domain's first byte of memory, and its bytes.
    fn memory(&self) -> (Ra, u64);
    /// Reads the domain's memory. Panics outside it: a program's own mistake.
    fn read(&self, ra: Ra, bytes: &mut [u8]);
    /// Writes the domain's memory. Panics outside it: a program's own mistake.
    fn write(&mut self, ra: Ra, bytes: &[u8]);
    /// Sends a frame (no FCS) through network interface `nic`.
    fn send_frame(&mut self, nic: u8, frame: Vec<u8>);
    /// Wakes the program with [`Event::Timer`] at `at` or as soon as it can.
    fn set_timer(&mut self, at: SimTime, token: u64);
    /// Gives work to the least busy strand: done after `cycles` of its time.
    fn job(&mut self, cycles: u64, work: Work) -> JobId;
    /// Disks of the chassis, by number. It stays the same.
    fn disks(&self) -> Vec<LocalDisk> {
        Vec::new()
    }
    /// Submits a request to disk number `disk`; [`Event::DiskDone`] follows. Requests of
    /// one disk are carried out one after the other. Panics where there is no such disk:
    /// a program's own mistake.
    fn disk(&mut self, disk: usize, token: u64, request: DiskRequest) {
        panic!("request {token} to disk {disk}, which is not there: {request:?}");
    }
    /// Charges `cycles` of bookkeeping to the least busy strand.
    fn charge(&mut self, cycles: u64);
    /// Virtual CPUs of the domain.
    fn vcpus(&self) -> usize;
    /// Busy time of each vCPU so far.
    fn busy(&self) -> Vec<SimTime>;
    /// Answers [`Event::Command`] `id`; may come much later.
    fn reply(&mut self, id: u64, reply: Reply);
    /// A line for the domain's log, stamped with the time.
    fn log(&mut self, line: String);
    /// A line that another domain wrote to its console, for the record of the run.
    fn console(&mut self, domain: &str, line: String) {
        self.log(format!("{domain}: {line}"));
    }
    /// Bytes that another domain wrote to its console, as they are, for whoever sits
    /// there; each once and in order.
    fn console_out(&mut self, _domain: &str, _bytes: &[u8]) {}
    /// How many characters the console of another domain takes now; `None` when there is
    /// no such console any longer. Told when it has changed.
    fn console_room(&mut self, _domain: &str, _room: Option<usize>) {}
    /// A fact for the record of the run.
    fn observe(&mut self, fact: Observation);
}

/// The software of a domain, in Rust.
pub trait Program: Send {
    /// Handles one event.
    fn event(&mut self, event: Event, ports: &mut dyn Ports);
    /// What must outlive the program when its domain goes on and its software begins
    /// again: records, whose canonical bytes are the same for the same state. What it
    /// leaves out is lost, as when a service is restarted: connections, sessions,
    /// requests under way.
    ///
    /// # Errors
    /// Why it cannot be stopped now, for a person: "a migration is in progress".
    fn save(&self) -> Result<Vec<u8>, String> {
        Err("this program cannot be saved".to_owned())
    }
}
