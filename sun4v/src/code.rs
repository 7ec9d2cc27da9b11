//! Enumerations whose values are numbers on a wire.

/// Declares an enumeration with `code` (the number) and `from_code` (back).
macro_rules! codes {
    (
        $(#[$doc:meta])* $name:ident($int:ty) {
            $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr($int)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $value,)*
        }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> $int {
                self as $int
            }
            /// What the number names; unknown numbers are `None`.
            #[must_use]
            pub const fn from_code(code: $int) -> Option<Self> {
                match code {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use codes;
