//! Hypercall status codes.

use thiserror::Error;

macro_rules! status {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $name:literal, $text:literal;)*) => {
        /// Hypercall status, returned in `%o0`; zero, EOK, is `Ok`.
        ///
        /// **Source.** sun4v hypervisor API, "error codes".
        #[derive(Clone, Copy, Debug, Error, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u64)]
        pub enum HvError {
            $(#[doc = concat!($name, ": ", $text, ".")] #[error($text)] $variant = $value,)*
        }

        impl HvError {
            /// Every status, in ascending order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name the field writes, such as `ENORADDR`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

status! {
    NoCpu = 1, "ENOCPU", "invalid virtual CPU id";
    NoRaddr = 2, "ENORADDR", "invalid real address";
    NoIntr = 3, "ENOINTR", "invalid interrupt id";
    BadPgsz = 4, "EBADPGSZ", "invalid page size";
    BadTsb = 5, "EBADTSB", "invalid TSB description";
    Inval = 6, "EINVAL", "invalid argument";
    BadTrap = 7, "EBADTRAP", "invalid function number";
    BadAlign = 8, "EBADALIGN", "invalid address alignment";
    WouldBlock = 9, "EWOULDBLOCK", "cannot complete without blocking";
    NoAccess = 10, "ENOACCESS", "no access to the resource";
    Io = 11, "EIO", "I/O error";
    CpuError = 12, "ECPUERROR", "virtual CPU is in error state";
    NotSupported = 13, "ENOTSUPPORTED", "not supported";
    NoMap = 14, "ENOMAP", "no mapping found";
    TooMany = 15, "ETOOMANY", "too many items";
    Channel = 16, "ECHANNEL", "invalid LDC channel";
    Busy = 17, "EBUSY", "resource is busy";
}

impl HvError {
    /// The number that goes to `%o0`.
    #[must_use]
    pub const fn code(self) -> u64 {
        self as u64
    }

    /// The status with this number; zero and unknown numbers are `None`.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|error| error.code() == code)
    }
}
