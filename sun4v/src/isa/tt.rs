//! Trap types that a guest sees.
//!
//! **Source.** UltraSPARC Architecture 2007, chapter 12; OpenSPARC T2.

macro_rules! traps {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`.")] pub const $name: u16 = $value;)*

        /// The name of a trap type, as the architecture writes it.
        #[must_use]
        pub const fn name(tt: u16) -> &'static str {
            match tt {
                $($value => $text,)*
                0x41..=0x4f => "interrupt_level_n",
                0x80..=0x9f => "spill_n_normal",
                0xa0..=0xbf => "spill_n_other",
                0xc0..=0xdf => "fill_n_normal",
                0xe0..=0xff => "fill_n_other",
                0x100..=0x17f => "trap_instruction",
                0x180..=0x1ff => "htrap_instruction",
                _ => "reserved",
            }
        }
    };
}

traps! {
    WATCHDOG_RESET = 0x002, "watchdog_reset";
    INSTRUCTION_ACCESS_EXCEPTION = 0x008, "instruction_access_exception";
    INSTRUCTION_ACCESS_MMU_MISS = 0x009, "instruction_access_MMU_miss";
    ILLEGAL_INSTRUCTION = 0x010, "illegal_instruction";
    PRIVILEGED_OPCODE = 0x011, "privileged_opcode";
    FP_DISABLED = 0x020, "fp_disabled";
    FP_EXCEPTION_IEEE_754 = 0x021, "fp_exception_ieee_754";
    FP_EXCEPTION_OTHER = 0x022, "fp_exception_other";
    TAG_OVERFLOW = 0x023, "tag_overflow";
    CLEAN_WINDOW = 0x024, "clean_window";
    DIVISION_BY_ZERO = 0x028, "division_by_zero";
    DATA_ACCESS_EXCEPTION = 0x030, "data_access_exception";
    DATA_ACCESS_MMU_MISS = 0x031, "data_access_MMU_miss";
    MEM_ADDRESS_NOT_ALIGNED = 0x034, "mem_address_not_aligned";
    LDDF_MEM_ADDRESS_NOT_ALIGNED = 0x035, "LDDF_mem_address_not_aligned";
    STDF_MEM_ADDRESS_NOT_ALIGNED = 0x036, "STDF_mem_address_not_aligned";
    PRIVILEGED_ACTION = 0x037, "privileged_action";
    INTERRUPT_LEVEL = 0x040, "interrupt_level_0";
    FAST_INSTRUCTION_ACCESS_MMU_MISS = 0x064, "fast_instruction_access_MMU_miss";
    FAST_DATA_ACCESS_MMU_MISS = 0x068, "fast_data_access_MMU_miss";
    FAST_DATA_ACCESS_PROTECTION = 0x06c, "fast_data_access_protection";
    CONTROL_TRANSFER_INSTRUCTION = 0x074, "control_transfer_instruction";
    CPU_MONDO = 0x07c, "cpu_mondo";
    DEV_MONDO = 0x07d, "dev_mondo";
    RESUMABLE_ERROR = 0x07e, "resumable_error";
    NONRESUMABLE_ERROR = 0x07f, "nonresumable_error";
    SPILL_NORMAL = 0x080, "spill_0_normal";
    SPILL_OTHER = 0x0a0, "spill_0_other";
    FILL_NORMAL = 0x0c0, "fill_0_normal";
    FILL_OTHER = 0x0e0, "fill_0_other";
    TRAP_INSTRUCTION = 0x100, "trap_instruction_0";
    FAST_TRAP = 0x180, "fast_trap";
    MMU_MAP_ADDR = 0x183, "mmu_map_addr";
    MMU_UNMAP_ADDR = 0x184, "mmu_unmap_addr";
    TTRACE_ADDENTRY = 0x185, "ttrace_addentry";
    CORE_TRAP = 0x1ff, "core_trap";
}
