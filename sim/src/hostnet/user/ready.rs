//! Which of the host's sockets have something to do.
//!
//! One `epoll` descriptor watches them all, at their edges: an event says that a socket has
//! become readable or writable, and whoever owns it works until the host says it would block.
//! The descriptor itself is readable while there are events, so it is all that anyone outside
//! has to wait for. A socket that is closed leaves by itself.

use rustix::event::{Timespec, epoll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Events taken at a time.
const BATCH: usize = 256;

/// Who owns a socket, and which of theirs it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A stream.
    Stream(u32),
    /// A port for streams that leads to a guest.
    Listener(u32),
    /// A flow of datagrams.
    Datagrams(u32),
    /// A port for datagrams that leads to a guest.
    Port(u32),
    /// A series of pings.
    Echo(u32),
}

impl Token {
    fn data(self) -> u64 {
        let (kind, id) = match self {
            Self::Stream(id) => (0, id),
            Self::Listener(id) => (1, id),
            Self::Datagrams(id) => (2, id),
            Self::Port(id) => (3, id),
            Self::Echo(id) => (4, id),
        };
        u64::from(id) | kind << 32
    }

    fn from_data(data: u64) -> Option<Self> {
        let id = u32::try_from(data & u64::from(u32::MAX)).ok()?;
        match data >> 32 {
            0 => Some(Self::Stream(id)),
            1 => Some(Self::Listener(id)),
            2 => Some(Self::Datagrams(id)),
            3 => Some(Self::Port(id)),
            4 => Some(Self::Echo(id)),
            _ => None,
        }
    }
}

/// What has happened to a socket.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Whose it is.
    pub token: Token,
    /// There may be something to read, or an end or an error to be told of.
    pub readable: bool,
    /// There may be room to write, or an error to be told of.
    pub writable: bool,
}

/// The sockets that are watched.
#[derive(Debug)]
pub struct Ready {
    epoll: OwnedFd,
}

impl Ready {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches a socket.
    pub fn add(&self, socket: impl AsFd, token: Token) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.data());
        let mut flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        if matches!(token, Token::Stream(_)) {
            // Others never wait for room, and each datagram that has left would be an event.
            flags |= epoll::EventFlags::OUT | epoll::EventFlags::RDHUP;
        }
        Ok(epoll::add(&self.epoll, socket, data, flags)?)
    }

    /// What has happened since the last call; never blocks.
    pub fn events(&self) -> Vec<Event> {
        let mut batch = Vec::with_capacity(BATCH);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut events = Vec::new();
        loop {
            batch.clear();
            let room = rustix::buffer::spare_capacity(&mut batch);
            let taken = epoll::wait(&self.epoll, room, Some(&now)).unwrap_or(0);
            for event in &batch {
                let (flags, data) = (event.flags, event.data);
                let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
                let ended = flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP);
                if let Some(token) = Token::from_data(data.u64()) {
                    let readable = broken || ended;
                    let writable = broken || flags.contains(epoll::EventFlags::OUT);
                    events.push(Event { token, readable, writable });
                }
            }
            if taken < BATCH {
                return events;
            }
        }
    }

    /// What to wait for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
