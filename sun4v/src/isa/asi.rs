//! Address space identifiers that a sun4v guest may use.
//!
//! **Source.** UltraSPARC Architecture 2007, chapter 10; OpenSPARC T2. ASIs below
//! 0x80 need PSTATE.PRIV. Bit 3 of the translating ones selects little-endian.

macro_rules! asis {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub const $name: u8 = $value;)*
    };
}

asis! {
    /// Nucleus context: what TL > 0 uses by itself.
    NUCLEUS = 0x04;
    /// Nucleus, little-endian.
    NUCLEUS_LITTLE = 0x0c;
    /// Primary context with user rights.
    AS_IF_USER_PRIMARY = 0x10;
    /// Secondary context with user rights.
    AS_IF_USER_SECONDARY = 0x11;
    /// Real address, cacheable.
    REAL = 0x14;
    /// Real address with side effects.
    REAL_IO = 0x15;
    /// Block access, primary, user rights.
    BLOCK_AS_IF_USER_PRIMARY = 0x16;
    /// Block access, secondary, user rights.
    BLOCK_AS_IF_USER_SECONDARY = 0x17;
    /// Primary, user rights, little-endian.
    AS_IF_USER_PRIMARY_LITTLE = 0x18;
    /// Secondary, user rights, little-endian.
    AS_IF_USER_SECONDARY_LITTLE = 0x19;
    /// Real address, little-endian.
    REAL_LITTLE = 0x1c;
    /// Real address with side effects, little-endian.
    REAL_IO_LITTLE = 0x1d;
    /// Block access, primary, user rights, little-endian.
    BLOCK_AS_IF_USER_PRIMARY_LITTLE = 0x1e;
    /// Block access, secondary, user rights, little-endian.
    BLOCK_AS_IF_USER_SECONDARY_LITTLE = 0x1f;
    /// Scratchpad registers.
    SCRATCHPAD = 0x20;
    /// Context registers.
    MMU_CONTEXT = 0x21;
    /// Twin load, block-initialising store, primary, user rights.
    TWINX_AS_IF_USER_PRIMARY = 0x22;
    /// The same, secondary.
    TWINX_AS_IF_USER_SECONDARY = 0x23;
    /// Twin load, nucleus ("quad load").
    TWINX_NUCLEUS_QUAD = 0x24;
    /// Heads and tails of the interrupt queues.
    QUEUE = 0x25;
    /// Twin load, real address.
    TWINX_REAL = 0x26;
    /// Twin load, block-initialising store, nucleus.
    TWINX_NUCLEUS = 0x27;
    /// Primary context: what TL = 0 uses by itself.
    PRIMARY = 0x80;
    /// Secondary context.
    SECONDARY = 0x81;
    /// Primary, a load that never faults.
    PRIMARY_NO_FAULT = 0x82;
    /// Secondary, a load that never faults.
    SECONDARY_NO_FAULT = 0x83;
    /// Primary, little-endian.
    PRIMARY_LITTLE = 0x88;
    /// Secondary, little-endian.
    SECONDARY_LITTLE = 0x89;
    /// Primary, never faults, little-endian.
    PRIMARY_NO_FAULT_LITTLE = 0x8a;
    /// Secondary, never faults, little-endian.
    SECONDARY_NO_FAULT_LITTLE = 0x8b;
    /// Partial store of bytes, primary.
    PST8_PRIMARY = 0xc0;
    /// Short floating-point load and store of a byte, primary.
    FL8_PRIMARY = 0xd0;
    /// Short floating-point load and store of two bytes, primary.
    FL16_PRIMARY = 0xd2;
    /// Block store that commits, primary.
    BLOCK_COMMIT_PRIMARY = 0xe0;
    /// Block store that commits, secondary.
    BLOCK_COMMIT_SECONDARY = 0xe1;
    /// Twin load, block-initialising store, primary.
    TWINX_PRIMARY = 0xe2;
    /// Twin load, block-initialising store, secondary.
    TWINX_SECONDARY = 0xe3;
    /// Block access, primary.
    BLOCK_PRIMARY = 0xf0;
    /// Block access, secondary.
    BLOCK_SECONDARY = 0xf1;
    /// Block access, primary, little-endian.
    BLOCK_PRIMARY_LITTLE = 0xf8;
    /// Block access, secondary, little-endian.
    BLOCK_SECONDARY_LITTLE = 0xf9;
}
