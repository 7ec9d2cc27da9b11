//! Mistakes that somebody could make here, each of which a test must find.
//!
//! Outside of tests and of the feature `mutants` there are none: [`is`] is `false`, and the
//! compiler takes the wrong way out. A test makes one on its own thread; with the feature,
//! the whole process makes the one that it was told to ([`set`]).

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// Source: *commit* is said before its entry is durable.
    CommitBeforeDurable,
    /// Target: *verified* is said before its entry is durable.
    VerifiedBeforeDurable,
    /// Target: the domain runs before its entry is durable.
    RunsBeforeDurable,
    /// Target: *not here* is said before its entry is durable.
    NotHereBeforeDurable,
    /// Source: one that begins again after *commit* lets the domain run.
    RunsAfterCommit,
    /// Source: a connection that is lost after *commit* means that it failed.
    GuessesAfterCommit,
    /// Source: it can be cancelled while *commit* is being written.
    CancelsCommit,
    /// Target: an offer of any epoch is taken.
    EpochNotChecked,
    /// Target: the epoch stays as it was.
    EpochNotRaised,
    /// Target: one that takes over by force raises the epoch like any other.
    ForceRaisesByOne,
    /// Target: one that begins again with everything prepared takes it apart.
    PreparedForgotten,
    /// Target: one that begins again leaves the shell standing.
    ShellLeft,
    /// Source: one that begins again leaves the dirty log on.
    LogLeftOn,
    /// Source: pages that were written during the last round are not sent.
    DirtyDropped,
    /// Source: a target that may hold the domain ready is not told that it is off.
    FarewellForgotten,
    /// Target: who asks about a migration that is not known is told *not here*, whatever
    /// has become of the domain since.
    SeenForgotten,
    /// Journal: an entry with another digest is believed.
    DigestOfEntryIgnored,
    /// Disk server: a volume is used without saying whose it is and at which epoch.
    EpochNotCheckedByDisk,
    /// Target: the domain runs before its volumes are claimed.
    RunsBeforeClaimed,
    /// Source: the domain's ports at the switches stay open when it is given away.
    PortLeftOpen,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::CommitBeforeDurable,
        Self::VerifiedBeforeDurable,
        Self::RunsBeforeDurable,
        Self::NotHereBeforeDurable,
        Self::RunsAfterCommit,
        Self::GuessesAfterCommit,
        Self::CancelsCommit,
        Self::EpochNotChecked,
        Self::EpochNotRaised,
        Self::ForceRaisesByOne,
        Self::PreparedForgotten,
        Self::ShellLeft,
        Self::LogLeftOn,
        Self::DirtyDropped,
        Self::FarewellForgotten,
        Self::SeenForgotten,
        Self::DigestOfEntryIgnored,
    ];
}

#[cfg(all(feature = "mutants", not(test)))]
mod process {
    use super::Mutant;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// Which one is made, plus one; 0 for none.
    static ON: AtomicU8 = AtomicU8::new(0);

    /// Is this mistake being made?
    pub fn is(mutant: Mutant) -> bool {
        ON.load(Ordering::Relaxed) == mutant as u8 + 1
    }

    /// Makes this mistake from now on, in the whole process, or none.
    pub fn set(mutant: Option<Mutant>) {
        ON.store(mutant.map_or(0, |mutant| mutant as u8 + 1), Ordering::Relaxed);
    }
}
#[cfg(all(feature = "mutants", not(test)))]
pub use process::{is, set};

#[cfg(test)]
std::thread_local! {
    static ON: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Is this mistake being made?
#[cfg(test)]
pub fn is(mutant: Mutant) -> bool {
    ON.get() >> mutant as u32 & 1 != 0
}

/// Is this mistake being made?
#[cfg(not(any(test, feature = "mutants")))]
pub const fn is(_: Mutant) -> bool {
    false
}

/// Makes a mistake on this thread while `act` runs, besides those that are being made.
#[cfg(test)]
pub fn with<R>(mutant: Mutant, act: impl FnOnce() -> R) -> R {
    struct Back(u64);
    impl Drop for Back {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _back = Back(ON.get());
    ON.set(ON.get() | 1 << mutant as u32);
    act()
}
