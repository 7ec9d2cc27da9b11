//! A machine without a simulator, for tests of hypercalls.
//!
//! [`Board`] has memory, and virtual CPUs that execute nothing but remember what
//! the hypervisor did to them. [`Lab`] puts a hypervisor on it:
//!
//! ```
//! use hv::testing::Lab;
//!
//! let mut lab = Lab::new();
//! assert_eq!(lab.call(0x16, [0; 5]).rets[0], 0); // cpu_myid
//! ```

mod board;
mod show;

/// The examples of the book's chapter about this, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../book/src/testing.md")]
pub struct Chapter;

pub use board::{Board, Pages, Seats, Seen};
pub use show::Shown;

use crate::platform::{Machine, MauEnd, MauOperation, Memory};
use crate::{Answer, HvMemory, Hypervisor, Outcome, PowerOnError, Trap};
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hcall::{Group, VERSIONS};
use sun4v::hvmd::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf,
    NetworkConf, PcieBusConf, Privileges, VcpuConf,
};
use sun4v::id::{CoreId, GuestId, LdcId, StrandId, VcpuId};

/// The first real address of a guest of [`Lab`].
pub const BASE: u64 = 0x800_0000;
/// Bytes of memory of each.
pub const BYTES: u64 = 16 << 20;

/// The hypervisor's memory on a board that is switched on.
pub const HV_MEMORY: HvMemory = HvMemory { base: Pa(0), bytes: 0x20_0000 };
/// Where the hypervisor MD lies in it.
pub const HV_MD: Pa = Pa(0x10_0000);
/// A machine description of one empty node list.
const EMPTY_MD: [u8; 16] = [0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0];

/// A hypervisor on a board, with two running guests of two virtual CPUs each that
/// share channel 0, have the crypto units of a core each and have opened every group.
/// Guest 0 has the bus and the network unit.
pub struct Lab {
    /// The hypervisor.
    pub hv: Hypervisor,
    /// The machine.
    pub board: Board,
    /// Who calls.
    pub caller: (GuestId, VcpuId),
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// Powers it on.
    #[must_use]
    pub fn new() -> Self {
        let owner = GuestId(0);
        let mut config = HvConfig {
            pcie_bus: Some(PcieBusConf { handle: PcieBusConf::HANDLE, guest: owner }),
            network: Some(NetworkConf { handle: NetworkConf::HANDLE, guest: owner }),
            ..HvConfig::default()
        };
        for id in 0..2u8 {
            let guest = GuestId(id);
            config.guests.push(GuestConf {
                id: guest,
                name: format!("guest{id}"),
                md_pa: Pa(0x1000),
                rom_pa: Pa(0),
                rom_bytes: 0,
                tod_offset: 0,
                privileges: if id == 0 { Privileges::ALL } else { Privileges::default() },
            });
            for vcpu in 0..2 {
                let strand = StrandId(id * 8 + vcpu);
                config.vcpus.push(VcpuConf { strand, guest, vid: VcpuId(vcpu) });
            }
            let pa = Pa(0x1000_0000 + u64::from(id) * BYTES);
            config
                .mblocks
                .push(MblockConf { guest, range: RealRange { ra: Ra(BASE), pa, size: BYTES } });
            let target = LdcTarget::Guest { guest: GuestId(1 - id), channel: LdcId(0) };
            config.ldc_endpoints.push(LdcConf {
                guest,
                channel: LdcId(0),
                target,
                tx_ino: 0,
                rx_ino: 1,
                private_console: false,
                leads: false,
            });
            // Guest 0 is the concentrator of guest 1's console.
            let peer = LdcTarget::Guest { guest: GuestId(1 - id), channel: LdcId(3) };
            config.ldc_endpoints.push(LdcConf {
                guest,
                channel: LdcId(3),
                target: peer,
                tx_ino: 6,
                rx_ino: 7,
                private_console: id == 1,
                leads: false,
            });
            let endpoint = (id == 1).then_some(LdcId(3));
            config.consoles.push(ConsoleConf { guest, ino: 0x11, endpoint });
            for (kind, first) in [(CryptoKind::Mau, 0x28), (CryptoKind::Cwq, 0x20)] {
                let ino = first + u16::from(id);
                config.crypto.push(CryptoConf { core: CoreId(id), kind, guest, ino });
            }
        }
        let (mut hv, mut board) = (Hypervisor::new(), Board::default());
        hv.apply(config, &mut board);
        hv.set_trace(true);
        board.memory.write(Pa(0x1000), &EMPTY_MD);
        let mut lab = Self { hv, board, caller: (GuestId(0), VcpuId(0)) };
        for id in 0..2 {
            lab.caller = (GuestId(id), VcpuId(0));
            let started = lab.hv.boot(GuestId(id), Ra(BASE), &mut lab.board);
            assert_eq!(started, Ok(()));
            // The oldest interface for interrupts has both; of the others the newest.
            for version in VERSIONS.iter().filter(|v| (v.group, v.major) != (Group::Intr, 2)) {
                lab.core(0, [version.group as u64, u64::from(version.major), 9, 0, 0]);
            }
        }
        lab.hv.boundary(&mut lab.board);
        lab.board.trace.clear();
        lab.caller = (GuestId(0), VcpuId(0));
        lab
    }

    /// A chassis that is switched on with this configuration, from a hypervisor MD at
    /// [`HV_MD`]; guests' MDs are empty.
    ///
    /// # Errors
    /// As [`Hypervisor::power_on`].
    pub fn power_on(config: &HvConfig) -> Result<Self, PowerOnError> {
        let mut board = Board::default();
        board.memory.write(HV_MD, &config.to_md().to_bytes());
        for guest in &config.guests {
            board.memory.write(guest.md_pa, &EMPTY_MD);
        }
        let hv = Hypervisor::power_on(HV_MEMORY, HV_MD, &mut board)?;
        Ok(Self { hv, board, caller: (GuestId(0), VcpuId(0)) })
    }

    /// Hands a trap of the caller to the hypervisor.
    pub fn trap(&mut self, trap: Trap) -> Outcome {
        let (id, vcpu) = self.caller;
        let Some(mut guest) = self.hv.take(id) else { return Outcome::Blocked };
        let outcome = guest.htrap(vcpu, trap, self.board.cpus(id));
        self.hv.put(guest);
        outcome
    }

    /// A fast-trap call; one that waits for the boundary gets one.
    pub fn call(&mut self, nr: u64, args: [u64; 5]) -> Answer {
        self.number(0x80, nr, args)
    }

    /// A core-trap call.
    pub fn core(&mut self, nr: u64, args: [u64; 5]) -> Answer {
        self.number(0xff, nr, args)
    }

    /// A call by any software trap number; one that does not return gives EOK.
    pub fn number(&mut self, number: u8, nr: u64, args: [u64; 5]) -> Answer {
        self.make(number, nr, args).unwrap_or_default()
    }

    /// A call by any software trap number; `None` when it does not return.
    fn make(&mut self, number: u8, nr: u64, [a, b, c, d, e]: [u64; 5]) -> Option<Answer> {
        match self.trap(Trap::Hypercall { number, args: [a, b, c, d, e, nr] }) {
            Outcome::Done(answer) => Some(answer),
            Outcome::Parked(answer) => {
                let (id, vcpu) = self.caller;
                self.board.cpus(id).park(vcpu);
                Some(answer)
            }
            Outcome::Resumed => Some(Answer::default()),
            Outcome::Blocked => {
                self.hv.boundary(&mut self.board);
                let answer = self.take_answer();
                answer.or_else(|| {
                    let ends = std::mem::take(&mut self.board.mau_ends);
                    self.run_mau(&ends);
                    self.take_answer()
                })
            }
        }
    }

    /// The answer that the caller got at a boundary.
    fn take_answer(&mut self) -> Option<Answer> {
        let (id, vcpu) = self.caller;
        let (status, rets) = self.board.seats.get_mut(&id)?.at(vcpu).answers.pop()?;
        Some(Answer { status, ..Answer::ok(&rets) })
    }

    /// Lets the modular arithmetic units end all they were given, as if they did it: `ends`
    /// says how the first operations end, the others are done. Void ones fail, and
    /// a failure takes the rest of its job along.
    pub fn run_mau(&mut self, ends: &[MauEnd]) {
        self.hv.boundary(&mut self.board);
        let mut wanted = ends.iter().copied();
        let mut runs: Vec<(CoreId, Vec<MauEnd>)> = Vec::new();
        let mut failed = false;
        for (core, operation) in self.board.operations.drain(..) {
            let MauOperation { void, last, .. } = operation;
            let end = match (failed, void) {
                (true, _) => MauEnd::Skipped,
                (false, true) => MauEnd::Void,
                (false, false) => wanted.next().unwrap_or(MauEnd::Done),
            };
            failed = end != MauEnd::Done && !last;
            match runs.last_mut() {
                Some((same, ends)) if *same == core => ends.push(end),
                _ => runs.push((core, vec![end])),
            }
        }
        for (core, ends) in runs {
            self.hv.mau_done(core, &ends, &mut self.board);
        }
    }

    /// Writes the caller's memory.
    pub fn poke(&mut self, ra: u64, bytes: &[u8]) {
        if let Some(pa) = self.place(ra, bytes.len()) {
            self.board.memory.write(pa, bytes);
        }
    }

    /// Reads the caller's memory.
    #[must_use]
    pub fn peek<const N: usize>(&self, ra: u64) -> [u8; N] {
        let mut bytes = [0; N];
        if let Some(pa) = self.place(ra, N) {
            self.board.memory.read(pa, &mut bytes);
        }
        bytes
    }

    fn place(&self, ra: u64, bytes: usize) -> Option<Pa> {
        self.hv.guest(self.caller.0)?.map.resolve(Ra(ra), bytes as u64)
    }
}
