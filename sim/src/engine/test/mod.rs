//! What every engine has to do, once for each of them.

use super::Which;

mod interp {
    const WHICH: super::Which = super::Which::Interp;
    include!("programs.rs");
    include!("rules.rs");
    include!("regressions.rs");
    mod counted {
        include!("counted.rs");
    }
}

mod cached {
    const WHICH: super::Which = super::Which::Cached;
    include!("programs.rs");
    include!("rules.rs");
    include!("regressions.rs");
    mod counted {
        include!("counted.rs");
    }
}
