//! The terminal, and what else can wake whoever waits for it.
//!
//! [`Raw`] hands every key through and is undone when it is dropped, whatever the reason.
//! The output keeps its processing, so that a lone line feed begins a line.
//!
//! **Errors.** Those of the host, in words.

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::io::Stdin;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Is standard input a terminal?
#[must_use]
pub fn is_terminal() -> bool {
    isatty(std::io::stdin())
}

/// A terminal in raw mode.
#[derive(Debug)]
pub struct Raw {
    saved: Termios,
}

impl Raw {
    /// Puts standard input, a terminal, into raw mode.
    ///
    /// # Errors
    /// Its settings cannot be read or changed.
    pub fn enter() -> anyhow::Result<Self> {
        let saved = tcgetattr(std::io::stdin()).context("the terminal")?;
        let mut raw = saved.clone();
        raw.make_raw();
        raw.output_modes = saved.output_modes;
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw).context("the terminal")?;
        Ok(Self { saved })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.saved);
    }
}

/// Signals that ask us to end.
#[derive(Debug)]
pub struct Signals {
    last: Arc<AtomicUsize>,
    wakes: UnixStream,
}

impl Signals {
    /// From now on they do not end us by themselves.
    ///
    /// # Errors
    /// The host refuses.
    pub fn catch() -> anyhow::Result<Self> {
        let last = Arc::new(AtomicUsize::new(0));
        let (wakes, bell) = UnixStream::pair().context("signals")?;
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register_usize(signal, Arc::clone(&last), signal as usize)
                .context("signals")?;
            let bell = bell.try_clone().context("signals")?;
            signal_hook::low_level::pipe::register(signal, bell).context("signals")?;
        }
        Ok(Self { last, wakes })
    }

    /// The last one that came.
    #[must_use]
    pub fn came(&self) -> Option<u8> {
        u8::try_from(self.last.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }
}

/// What was read from standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// Nothing for now.
    Nothing,
    /// Bytes.
    Bytes(Vec<u8>),
    /// It has ended.
    End,
}

/// Waits until something can be read, a signal comes or the time is over; reads standard
/// input if `keys` says so.
///
/// # Errors
/// Standard input cannot be read.
pub fn wait(
    input: &Stdin,
    keys: bool,
    signals: &Signals,
    others: &[BorrowedFd<'_>],
    timeout: Duration,
) -> anyhow::Result<Got> {
    let mut fds = vec![PollFd::new(&signals.wakes, PollFlags::IN)];
    fds.extend(others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
    let own = fds.len();
    if keys {
        fds.push(PollFd::new(input, PollFlags::IN));
    }
    let timeout = Timespec {
        tv_sec: timeout.as_secs().min(3600) as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Got::Nothing),
        Err(why) => return Err(why).context("waiting for input"),
    }
    if fds.get(own).is_none_or(|fd| fd.revents().is_empty()) {
        return Ok(Got::Nothing);
    }
    let mut bytes = vec![0; 4096];
    match rustix::io::read(input.as_fd(), &mut bytes[..]) {
        Ok(0) => Ok(Got::End),
        Ok(read) => {
            bytes.truncate(read);
            Ok(Got::Bytes(bytes))
        }
        Err(Errno::INTR | Errno::AGAIN) => Ok(Got::Nothing),
        // A terminal that is gone.
        Err(Errno::IO) => Ok(Got::End),
        Err(why) => Err(why).context("standard input"),
    }
}
