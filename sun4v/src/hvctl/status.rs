//! Status and detail codes.

use crate::code::codes;
use std::fmt;

codes! {
    /// How a command ended.
    Status(u16) {
        /// Done.
        Ok = 0,
        /// Wrong sequence number; the session is closed.
        BadSeqn = 1,
        /// No session, or a wrong response; the session is closed.
        Auth = 2,
        /// A version or an item that the hypervisor does not have.
        NotSupported = 3,
        /// The MD does not parse, or asks for what cannot be; [`super::RcFail`] says
        /// what.
        BadMd = 4,
        /// The MD's `content-version` is not the hypervisor's.
        MdNotSupported = 5,
        /// Named by the protocol; the original never sends it, and neither do we.
        RcFailed = 6,
        /// A bad argument.
        Invalid = 7,
        /// Not in this state.
        Illegal = 8,
        /// The guest cannot be stopped now.
        StopFailed = 9,
    }
}

codes! {
    /// Kinds of resources.
    ResKind(u32) {
        /// A guest.
        Guest = 0,
        /// A virtual CPU.
        Vcpu = 1,
        /// A block of memory.
        Memory = 2,
        /// A modular arithmetic unit.
        Mau = 3,
        /// A control word queue.
        Cwq = 4,
        /// An LDC endpoint of a guest.
        Ldc = 5,
        /// A console.
        Console = 6,
        /// An LDC endpoint of the hypervisor.
        HvLdc = 7,
        /// A PCI Express bus.
        PcieBus = 8,
        /// A guest's MD.
        GuestMd = 9,
        /// A network device.
        NetworkDevice = 10,
    }
}

codes! {
    /// What exactly was wrong: one running enumeration for all kinds. Zero stands
    /// for "no error" too, in replies about guests.
    Detail(u32) {
        /// Guest: no `resource_id`. In replies about guests: no error.
        GuestMissingId = 0,
        /// Guest: no such id, or not configured.
        GuestInvalidId = 1,
        /// Guest: a property is missing.
        GuestMissingProperty = 2,
        /// Guest: it has no virtual CPUs.
        GuestNoCpus = 3,
        /// Guest: it is active.
        GuestActive = 4,
        /// Guest: it is stopped.
        GuestStopped = 5,
        /// Guest: its first block of memory does not hold its boot image.
        GuestBaseMblockTooSmall = 6,
        /// Virtual CPU: no `resource_id`.
        VcpuMissingId = 7,
        /// Virtual CPU: a bad one.
        VcpuInvalidId = 8,
        /// Virtual CPU: no `pid`.
        VcpuMissingStrand = 9,
        /// Virtual CPU: a bad one.
        VcpuInvalidStrand = 10,
        /// Virtual CPU: no `vid`.
        VcpuMissingVid = 11,
        /// Virtual CPU: a bad one, or one that is taken.
        VcpuInvalidVid = 12,
        /// Virtual CPU: no arc to its guest.
        VcpuMissingGuest = 13,
        /// Virtual CPU: no `partid`.
        VcpuMissingPartTag = 14,
        /// Virtual CPU: a bad one.
        VcpuInvalidPartTag = 15,
        /// Virtual CPU: it cannot move while its guest is active.
        VcpuRebind = 16,
        /// Memory: no `resource_id`.
        MemoryMissingId = 17,
        /// Memory: a bad one.
        MemoryInvalidId = 18,
        /// Memory: no `membase`.
        MemoryMissingBase = 19,
        /// Memory: no `memsize`.
        MemoryMissingSize = 20,
        /// Memory: physical addresses that are not there, or another's.
        MemoryInvalidPa = 21,
        /// Memory: no `realbase`.
        MemoryMissingReal = 22,
        /// Memory: real addresses that overlap or are out of range.
        MemoryInvalidRa = 23,
        /// Memory: no arc to its guest.
        MemoryMissingGuest = 24,
        /// Memory: it cannot move.
        MemoryRebind = 25,
        /// Memory: its guest is active.
        MemoryGuestActive = 26,
        /// MAU: no `resource_id`.
        MauMissingId = 27,
        /// MAU: a bad one.
        MauInvalidId = 28,
        /// MAU: no arc to a cpu.
        MauMissingCpu = 29,
        /// MAU: that cpu has no `pid`.
        MauMissingStrand = 30,
        /// MAU: a bad one.
        MauInvalidStrand = 31,
        /// MAU: no `ino`.
        MauMissingIno = 32,
        /// MAU: no arc to its guest.
        MauMissingGuest = 33,
        /// MAU: it cannot move while its guest is active.
        MauRebind = 34,
        /// CWQ: no `resource_id`.
        CwqMissingId = 35,
        /// CWQ: a bad one.
        CwqInvalidId = 36,
        /// CWQ: no arc to a cpu.
        CwqMissingCpu = 37,
        /// CWQ: that cpu has no `pid`.
        CwqMissingStrand = 38,
        /// CWQ: a bad one.
        CwqInvalidStrand = 39,
        /// CWQ: no `ino`.
        CwqMissingIno = 40,
        /// CWQ: no arc to its guest.
        CwqMissingGuest = 41,
        /// CWQ: it cannot move while its guest is active.
        CwqRebind = 42,
        /// PCI Express bus: a property is missing.
        PcieMissingProperty = 43,
        /// PCI Express bus: a bad one.
        PcieIllegalProperty = 44,
        /// PCI Express bus: it cannot move.
        PcieRebind = 45,
        /// PCI Express bus: no arc to its guest.
        PcieMissingGuest = 46,
        /// Network device: a property is missing.
        NetworkMissingProperty = 47,
        /// Network device: a bad one.
        NetworkIllegalProperty = 48,
        /// Network device: it cannot move.
        NetworkRebind = 49,
        /// Network device: no arc to its guest.
        NetworkMissingGuest = 50,
        /// LDC endpoint: a property is missing.
        LdcMissingProperty = 51,
        /// LDC endpoint: a bad one.
        LdcIllegalProperty = 52,
        /// LDC endpoint: it cannot change its target.
        LdcRebind = 53,
        /// Hypervisor's LDC endpoint: a property is missing.
        HvLdcMissingProperty = 54,
        /// Hypervisor's LDC endpoint: a bad one.
        HvLdcIllegalProperty = 55,
        /// Hypervisor's LDC endpoint: it cannot change its target.
        HvLdcRebind = 56,
        /// Console: no `resource_id`.
        ConsoleMissingId = 57,
        /// Console: no arc to its guest.
        ConsoleMissingGuest = 58,
        /// Console: its guest has no `resource_id`.
        ConsoleMissingGuestId = 59,
        /// Console: its guest has a bad one.
        ConsoleInvalidGuestId = 60,
        /// Console: its endpoint has no `channel`.
        ConsoleMissingLdc = 61,
        /// Console: an endpoint that is not of its guest, or not private.
        ConsoleInvalidLdc = 62,
        /// Console: no `ino`.
        ConsoleMissingIno = 63,
        /// Console: a bad one.
        ConsoleInvalidIno = 64,
        /// Console: neither an endpoint nor `uartbase`.
        ConsoleMissingUart = 65,
        /// An item of a resource that does not exist.
        InvalidInfo = 66,
        /// Ours: a page index outside the guest's memory.
        BadPage = 0x100,
        /// Ours: a buffer or list that is not in the control domain's memory.
        BadBuffer = 0x101,
        /// Ours: more pages than one message may name.
        TooMany = 0x102,
        /// Ours: the guest's pages are not being logged.
        NotLogging = 0x103,
        /// Ours: the buffer is too small.
        BufferTooSmall = 0x104,
        /// Ours: the state records were refused.
        StateRefused = 0x105,
        /// Ours: the guest is not suspended, or is already.
        NotInState = 0x106,
        /// Ours: a console whose guest has one already.
        ConsoleTaken = 0x107,
        /// Ours: a console that would change while its guest is active.
        ConsoleRebind = 0x108,
        /// Ours: a share of time that is none, or too large.
        BadShare = 0x109,
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::BadSeqn => "wrong sequence number",
            Self::Auth => "no session",
            Self::NotSupported => "not supported",
            Self::BadMd => "bad machine description",
            Self::MdNotSupported => "machine description of another version",
            Self::RcFailed => "reconfiguration failed",
            Self::Invalid => "invalid argument",
            Self::Illegal => "not allowed in this state",
            Self::StopFailed => "the guest cannot be stopped now",
        })
    }
}

impl fmt::Display for ResKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Vcpu => "cpu",
            Self::Memory => "mblock",
            Self::Mau => "mau",
            Self::Cwq => "cwq",
            Self::Ldc => "ldc_endpoint",
            Self::Console => "console",
            Self::HvLdc => "hv_ldc",
            Self::PcieBus => "pcie_bus",
            Self::GuestMd => "guest MD",
            Self::NetworkDevice => "network_device",
        })
    }
}
