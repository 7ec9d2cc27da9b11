//! Every figure of the model that no specification gives, and where each is from.
//!
//! What a specification says (layouts, latencies, limits) stands where it is used. What
//! somebody had to count, look up, estimate or fit stands here, once; the rooms that use
//! it read it from here, and the report on a run prints the list.
//!
//! **Shapes.** A figure is a whole number, its unit is in the table. [`Basis`] says how
//! much it is worth:
//!
//! - *fitted*: chosen so that a run comes to something that was observed. There is one
//!   such sum: the fixed time of a migration, to the 15 s of 512 MB. A claim about that
//!   is no prediction; all others are.
//! - *counted*: instructions were counted in a program that a compiler built for T2, by
//!   `ldomlab run --stats` and `trace`.
//! - *published*: told by the maker or by those who measured the machine.
//! - *estimated*: instructions on a path that nobody has, times cycles an instruction.
//! - *chosen*: a setting of the lab; a scenario can say otherwise.
//!
//! No figure but the fitted sum was chosen for what a run comes to.

/// What a figure rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Fitted to an observation.
    Fitted,
    /// Counted in a program.
    Counted,
    /// Published.
    Published,
    /// Estimated.
    Estimated,
    /// Chosen.
    Chosen,
}

impl Basis {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fitted => "fitted",
            Self::Counted => "counted",
            Self::Published => "published",
            Self::Estimated => "estimated",
            Self::Chosen => "chosen",
        }
    }
}

/// A figure and where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name here.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Of what.
    pub unit: &'static str,
    /// What it rests on.
    pub basis: Basis,
    /// Where it is from.
    pub origin: &'static str,
}

macro_rules! figures {
    ($($name:ident = $value:expr, $unit:literal, $basis:ident, $origin:literal;)*) => {
        $(
            #[doc = concat!("In ", $unit, ": ", $origin, ".")]
            pub const $name: u64 = $value;
        )*
        /// All of them.
        pub const FIGURES: &[Figure] = &[$(Figure {
            name: stringify!($name),
            value: $name,
            unit: $unit,
            basis: Basis::$basis,
            origin: $origin,
        }),*];
    };
}

figures! {
    // The fixed time of a migration. Only the sum along the operator's wait is fitted;
    // `SETTLE` passes beside `DESTROY`.
    FIXED_CONNECT = 2_000, "ms", Fitted,
        "a migration of 512 MB takes about 15 s: session with the other manager";
    FIXED_CHECK = 2_500, "ms", Fitted,
        "the same: the target looks at all that the domain needs";
    FIXED_SHELL = 4_500, "ms", Fitted,
        "the same: the target binds a domain and tells its services";
    FIXED_QUIESCE = 250, "ms", Fitted,
        "the same: the guest's own suspend handler";
    FIXED_RESUME = 50, "ms", Fitted,
        "the same: virtual CPUs begin to run; inside the pause, which nobody saw, so short";
    FIXED_SETTLE = 1_200, "ms", Fitted,
        "beside the next, so in no sum: services, variables and console settle";
    FIXED_DESTROY = 4_500, "ms", Fitted,
        "the same: the source unbinds and destroys what is left";

    // What a migration's work costs a strand.
    BUSY_CORE_CYCLES = 4, "cycles an instruction", Published,
        "a core issues two instructions a cycle for its eight strands, all of them busy";
    PAGE_SCAN = 2, "cycles a byte", Estimated,
        "is a page all zeros: three instructions a doubleword";
    COMPRESS = 67, "cycles a byte", Counted,
        "16.8 instructions a byte: a byte-oriented LZ with one hash table, gcc -O2, 64 KB blocks \
         of text";
    EXPAND = 38, "cycles a byte", Counted,
        "9.5 instructions a byte of what comes out: the same program, back";
    SHA256 = 326, "cycles a byte", Counted,
        "81.5 instructions a byte: FIPS 180 in C, 16 KB; only without crypto units";
    BLAKE3 = 106, "cycles a byte", Counted,
        "26.7 instructions a byte: BLAKE3 in C, pages of 8 KB; only unless both ends have crypto units";
    AES128 = 240, "cycles a byte", Counted,
        "60.0 instructions a byte: four tables in C, counter blocks; only without crypto units";
    BUFFER_COPY = 2, "cycles a byte", Estimated,
        "between buffers and the TCP/IP stack: three instructions a doubleword, and a line that \
         misses every eight of them";
    PIECE_OF_WORK = 20_000, "cycles", Estimated,
        "handing a piece of work from strand to strand";
    CRYPTO_OPERATION = 3_000, "cycles", Estimated,
        "writing a few control words and looking at them again";

    // What the services' work costs a strand.
    KERNEL_CYCLES = 3, "cycles an instruction", Estimated,
        "I/O paths of a kernel, in order, missing the 8 KB data cache every few instructions, \
         26 cycles each";
    MONDO = 1_500, "instructions", Estimated,
        "taking a mondo: trap, dispatch, a task queue's wake-up";
    LINK_MESSAGE = 300, "instructions", Estimated,
        "a VIO or link packet, in or out, with its hypercall";
    SWITCH_FRAME = 1_200, "instructions", Estimated,
        "a frame through the switch: descriptor, lookup, buffer";
    DISK_REQUEST = 6_000, "instructions", Estimated,
        "a virtual disk request: descriptor, buffer, file system, completion";
    NFS_CALL = 5_000, "instructions", Estimated,
        "an NFS call and its reply: XDR, RPC";
    IP_FRAME = 2_500, "instructions", Estimated,
        "a frame through the TCP/IP stack, either way";
    KIB_COPY = 256, "instructions a KB", Estimated,
        "bytes that move once: 128 load-store pairs of 8 bytes";
    KIB_MISSES = 32, "misses a KB", Estimated,
        "the same: 16 lines that miss where they are read and where they are written";
    CONSOLE_BYTE = 100, "instructions", Estimated,
        "a character of a console";
    MANAGER_COMMAND = 2_000_000, "instructions", Estimated,
        "a command of the manager: parse, constraints, machine descriptions";

    // The chip.
    L2_CYCLES = 26, "cycles", Published,
        "a read that the level 2 cache answers; commonly quoted, uncertain";
    PEAK_RC4 = 83, "Gbit/s of 8 units at 1.4 GHz", Published,
        "Sun's figures, told again and again; no paper of Sun's at hand, uncertain";
    PEAK_DES = 83, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    PEAK_3DES = 27, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    PEAK_AES128 = 44, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    PEAK_AES192 = 36, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    PEAK_AES256 = 31, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    PEAK_MD5 = 41, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    PEAK_SHA1 = 32, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    PEAK_SHA256 = 41, "Gbit/s of 8 units at 1.4 GHz", Published, "the same";
    REDUCE_CYCLES = 4, "cycles a word", Estimated,
        "a word of the subtraction that ends a modular product: the steps of the T1 unit";

    // The lab.
    DISK_CALL = 50, "us", Chosen,
        "a filer that has it in its cache, for every call; `call_time` of a scenario";
    DISK_BYTES = 400_000_000, "bytes a second", Chosen,
        "the same, on top; `bytes_per_second` of a scenario";
    PAUSE_BUDGET = 300, "ms", Chosen,
        "how long a domain may be predicted to stand still before another round is tried";
    ROUNDS_MAX = 30, "rounds", Chosen,
        "after which a domain is suspended whatever is left";
}

/// Cycles of a strand in which a busy core does so many instructions, in tenths.
#[must_use]
pub const fn counted(tenths: u64) -> u64 {
    (tenths * BUSY_CORE_CYCLES).div_euclid(10)
}

#[cfg(test)]
mod test {
    use super::{AES128, BLAKE3, Basis, COMPRESS, EXPAND, FIGURES, SHA256, counted};
    use std::collections::BTreeSet;

    #[test]
    fn every_figure_has_one_name_and_an_origin() {
        let names: BTreeSet<_> = FIGURES.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), FIGURES.len());
        assert!(FIGURES.iter().all(|figure| !figure.origin.is_empty() && figure.value > 0));
        let bases: BTreeSet<_> = FIGURES.iter().map(|figure| figure.basis.name()).collect();
        assert_eq!(bases.len(), 5);
    }

    #[test]
    fn what_is_fitted_is_the_fixed_time_and_nothing_else() {
        let fitted = FIGURES.iter().filter(|figure| figure.basis == Basis::Fitted);
        assert!(fitted.clone().all(|figure| figure.name.starts_with("FIXED_")));
        let waited: u64 =
            fitted.filter(|figure| figure.name != "FIXED_SETTLE").map(|figure| figure.value).sum();
        assert_eq!(waited, 13_800);
    }

    #[test]
    fn counted_costs_are_what_was_counted() {
        let counts = [COMPRESS, EXPAND, SHA256, BLAKE3, AES128];
        assert_eq!([168, 95, 815, 267, 600].map(counted), counts);
    }
}
