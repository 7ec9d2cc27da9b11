//! What a case is.

use hv::Guest;
use hv::testing::{Lab, Shown};
use sun4v::hcall::HvError;
use sun4v::id::GuestId;

/// How a case must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// EOK, or the call does not return.
    Success,
    /// With this error.
    Error(HvError),
    /// With the first error, although the call is wrong in the second way too.
    Order(HvError, HvError),
}

/// One call under test.
pub struct Case {
    /// Its name.
    pub call: &'static str,
    /// How it must end.
    pub end: End,
    /// What is special about it, in a few words.
    pub about: &'static str,
    /// Prepares, and makes the call.
    pub run: fn(&mut Lab) -> Shown,
}

/// Something that no test can show, and why.
pub struct Never {
    /// The call.
    pub call: &'static str,
    /// What never happens.
    pub end: End,
    /// Why.
    pub why: &'static str,
}

/// Changes a guest behind its back.
pub fn change(lab: &mut Lab, id: GuestId, how: impl FnOnce(&mut Guest)) {
    let Some(mut guest) = lab.hv.take(id) else { panic!("no guest {id}") };
    how(&mut guest);
    lab.hv.put(guest);
}

/// The call succeeds.
pub const fn good(call: &'static str, about: &'static str, run: fn(&mut Lab) -> Shown) -> Case {
    Case { call, end: End::Success, about, run }
}

/// The call fails.
pub const fn bad(
    call: &'static str,
    error: HvError,
    about: &'static str,
    run: fn(&mut Lab) -> Shown,
) -> Case {
    Case { call, end: End::Error(error), about, run }
}

/// The call is wrong in two ways, and the first is answered.
pub const fn order(
    call: &'static str,
    first: HvError,
    second: HvError,
    about: &'static str,
    run: fn(&mut Lab) -> Shown,
) -> Case {
    Case { call, end: End::Order(first, second), about, run }
}

/// No test can show it.
pub const fn never(call: &'static str, end: End, why: &'static str) -> Never {
    Never { call, end, why }
}
