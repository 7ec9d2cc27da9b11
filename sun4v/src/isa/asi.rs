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

/// Is a load of an integer pair written LDTXA with this ASI, as of two 64-bit words?
/// [`TWINX_NUCLEUS_QUAD`] loads them too, but has kept the older name.
#[must_use]
pub const fn is_twin(asi: u8) -> bool {
    matches!(asi & !8, 0x22 | 0x23 | 0x26 | 0x27 | 0xe2 | 0xe3)
}

/// The name that the GNU assembler and `objdump` have for an ASI, after the `#`.
/// Below 0x80 some of them are those of older processors that gave the number
/// another meaning.
#[must_use]
pub const fn assembler_name(asi: u8) -> Option<&'static str> {
    Some(match asi {
        0x04 => "ASI_N",
        0x0c => "ASI_N_L",
        0x10 => "ASI_AIUP",
        0x11 => "ASI_AIUS",
        0x12 => "ASI_MAIUP",
        0x13 => "ASI_MAIUS",
        0x14 => "ASI_PHYS_USE_EC",
        0x15 => "ASI_PHYS_BYPASS_EC_E",
        0x16 => "ASI_BLK_AIUP_4V",
        0x17 => "ASI_BLK_AIUS_4V",
        0x18 => "ASI_AIUP_L",
        0x19 => "ASI_AIUS_L",
        0x1c => "ASI_PHYS_USE_EC_L",
        0x1d => "ASI_PHYS_BYPASS_EC_E_L",
        0x1e => "ASI_BLK_AIUP_L_4V",
        0x1f => "ASI_BLK_AIUS_L_4V",
        0x20 => "ASI_SCRATCHPAD",
        0x21 => "ASI_MMU",
        0x22 => "ASI_TWINX_AIUP",
        0x23 => "ASI_BLK_INIT_QUAD_LDD_AIUS",
        0x24 => "ASI_NUCLEUS_QUAD_LDD",
        0x25 => "ASI_QUEUE",
        0x26 => "ASI_QUAD_LDD_PHYS_4V",
        0x27 => "ASI_TWINX_N",
        0x2a => "ASI_TWINX_AIUP_L",
        0x2b => "ASI_TWINX_AIUS_L",
        0x2c => "ASI_NUCLEUS_QUAD_LDD_L",
        0x2e => "ASI_TWINX_REAL_L",
        0x2f => "ASI_TWINX_NL",
        0x30 => "ASI_PCACHE_DATA_STATUS",
        0x31 => "ASI_PCACHE_DATA",
        0x32 => "ASI_PCACHE_TAG",
        0x33 => "ASI_PCACHE_SNOOP_TAG",
        0x34 => "ASI_QUAD_LDD_PHYS",
        0x36 => "ASI_AIPN",
        0x38 => "ASI_WCACHE_VALID_BITS",
        0x39 => "ASI_WCACHE_DATA",
        0x3a => "ASI_WCACHE_TAG",
        0x3b => "ASI_WCACHE_SNOOP_TAG",
        0x3c => "ASI_QUAD_LDD_PHYS_L",
        0x3e => "ASI_AIPN_L",
        0x40 => "ASI_SRAM_FAST_INIT",
        0x41 => "ASI_CORE_AVAILABLE",
        0x42 => "ASI_INST_MASK_REG",
        0x43 => "ASI_ERROR_INJECT_REG",
        0x45 => "ASI_LSU_CONTROL_REG",
        0x46 => "ASI_DCACHE_DATA",
        0x47 => "ASI_DCACHE_TAG",
        0x48 => "ASI_INTR_DISPATCH_STAT",
        0x49 => "ASI_INTR_RECEIVE",
        0x4b => "ASI_ESTATE_ERROR_EN",
        0x4c => "ASI_AFSR",
        0x4d => "ASI_AFAR",
        0x4e => "ASI_EC_TAG_DATA",
        0x4f => "ASI_HYP_SCRATCHPAD",
        0x50 => "ASI_IMMU",
        0x51 => "ASI_IMMU_TSB_8KB_PTR",
        0x52 => "ASI_IMMU_TSB_64KB_PTR",
        0x53 => "ASI_ITLB_PROBE",
        0x54 => "ASI_ITLB_DATA_IN",
        0x55 => "ASI_ITLB_DATA_ACCESS",
        0x56 => "ASI_ITLB_TAG_READ",
        0x57 => "ASI_IMMU_DEMAP",
        0x58 => "ASI_DMMU",
        0x59 => "ASI_DMMU_TSB_8KB_PTR",
        0x5a => "ASI_DMMU_TSB_64KB_PTR",
        0x5b => "ASI_DMMU_TSB_DIRECT_PTR",
        0x5c => "ASI_DTLB_DATA_IN",
        0x5d => "ASI_DTLB_DATA_ACCESS",
        0x5e => "ASI_DTLB_TAG_READ",
        0x5f => "ASI_DMMU_DEMAP",
        0x60 => "ASI_IIU_INST_TRAP",
        0x63 => "ASI_INTR_ID",
        0x64 => "ASI_CORE_SELECT_COMMIT_NHT",
        0x66 => "ASI_IC_INSTR",
        0x67 => "ASI_IC_TAG",
        0x68 => "ASI_IC_STAG",
        0x6f => "ASI_BRPRED_ARRAY",
        0x70 => "ASI_BLK_AIUP",
        0x71 => "ASI_BLK_AIUS",
        0x72 => "ASI_MCU_CTRL_REG",
        0x74 => "ASI_EC_DATA",
        0x75 => "ASI_EC_CTRL",
        0x76 => "ASI_EC_W",
        0x77 => "ASI_INTR_W",
        0x78 => "ASI_BLK_AIUPL",
        0x79 => "ASI_BLK_AIUSL",
        0x7e => "ASI_EC_R",
        0x7f => "ASI_INTR_R",
        0x80 => "ASI_P",
        0x81 => "ASI_S",
        0x82 => "ASI_PNF",
        0x83 => "ASI_SNF",
        0x88 => "ASI_P_L",
        0x89 => "ASI_S_L",
        0x8a => "ASI_PNF_L",
        0x8b => "ASI_SNF_L",
        0xb0 => "ASI_PIC",
        0xc0 => "ASI_PST8_P",
        0xc1 => "ASI_PST8_S",
        0xc2 => "ASI_PST16_P",
        0xc3 => "ASI_PST16_S",
        0xc4 => "ASI_PST32_P",
        0xc5 => "ASI_PST32_S",
        0xc8 => "ASI_PST8_PL",
        0xc9 => "ASI_PST8_SL",
        0xca => "ASI_PST16_PL",
        0xcb => "ASI_PST16_SL",
        0xcc => "ASI_PST32_PL",
        0xcd => "ASI_PST32_SL",
        0xd0 => "ASI_FL8_P",
        0xd1 => "ASI_FL8_S",
        0xd2 => "ASI_FL16_P",
        0xd3 => "ASI_FL16_S",
        0xd8 => "ASI_FL8_PL",
        0xd9 => "ASI_FL8_SL",
        0xda => "ASI_FL16_PL",
        0xdb => "ASI_FL16_SL",
        0xe0 => "ASI_BLK_COMMIT_P",
        0xe1 => "ASI_BLK_COMMIT_S",
        0xe2 => "ASI_BLK_INIT_QUAD_LDD_P",
        0xe3 => "ASI_TWINX_S",
        0xea => "ASI_TWINX_PL",
        0xeb => "ASI_TWINX_SL",
        0xf0 => "ASI_BLK_P",
        0xf1 => "ASI_BLK_S",
        0xf2 => "ASI_STBI_PM",
        0xf3 => "ASI_STBI_SM",
        0xf8 => "ASI_BLK_PL",
        0xf9 => "ASI_BLK_SL",
        0xfa => "ASI_STBI_PLM",
        0xfb => "ASI_STBI_SLM",
        _ => return None,
    })
}
