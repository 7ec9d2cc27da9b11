//! The connection to a debugger: one listens, and one debugger at a time is heard.
//!
//! A host thread of its own accepts and reads, so that whoever runs guests is
//! interrupted by the [`Bell`] and asks for nothing else.
//!
//! **Errors.** No port to listen on. A debugger that goes away is [`Event::Closed`].

use super::points::Bell;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// What came from outside.
#[derive(Debug)]
pub enum Event {
    /// A debugger has connected.
    Connected(TcpStream),
    /// It says something.
    Bytes(Vec<u8>),
    /// It has gone.
    Closed,
}

/// A port on which debuggers are heard.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    events: Receiver<Event>,
    peer: Option<TcpStream>,
    bell: Bell,
}

impl Link {
    /// Listens on a port of this host's own address; port 0 is any that is free.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn listen(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let (send, events) = unbounded();
        let bell = Bell::default();
        let rung = bell.clone();
        std::thread::spawn(move || listen(&listener, &send, &rung));
        Ok(Self { address, events, peer: None, bell })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What rings when something has come.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Waits for a debugger, unless one is there.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub fn wait(&mut self) -> io::Result<()> {
        while self.peer.is_none() {
            self.hear()?;
        }
        Ok(())
    }

    /// Has a debugger connected?
    pub fn connected(&mut self) -> bool {
        // Nobody to hear is nobody connected.
        while self.peer.is_none() && matches!(self.poll(), Ok(Some(_))) {}
        self.peer.is_some()
    }

    /// What comes next, waiting for it; bytes or the end.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub fn hear(&mut self) -> io::Result<Event> {
        let event = self.events.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(self.take(event))
    }

    /// What has come already.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub fn poll(&mut self) -> io::Result<Option<Event>> {
        match self.events.try_recv() {
            Ok(event) => Ok(Some(self.take(event))),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn take(&mut self, event: Event) -> Event {
        match &event {
            Event::Connected(stream) => self.peer = stream.try_clone().ok(),
            Event::Closed => self.peer = None,
            Event::Bytes(_) => {}
        }
        event
    }

    /// Says something to the debugger.
    ///
    /// # Errors
    /// It has gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let peer = self.peer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        peer.write_all(bytes)
    }

    /// Lets the debugger take the last answer in and go, or goes first after a second.
    pub fn part(&mut self) {
        while self.peer.is_some() {
            match self.events.recv_timeout(Duration::from_secs(1)) {
                Ok(event) => {
                    self.take(event);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(peer) = self.peer.take() {
            // It is gone either way.
            let _ = peer.shutdown(std::net::Shutdown::Both);
        }
        self.bell.silence();
    }
}

/// Accepts debuggers, one after the other, and hands on what they say.
fn listen(listener: &TcpListener, send: &Sender<Event>, bell: &Bell) {
    let tell = |event| {
        let heard = send.send(event).is_ok();
        bell.ring();
        heard
    };
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        // Small packets, each of which somebody waits for; slower without it, no worse.
        let _ = stream.set_nodelay(true);
        let Ok(peer) = stream.try_clone() else { continue };
        if !tell(Event::Connected(peer)) {
            return;
        }
        let mut buffer = [0; 4096];
        loop {
            let event = match stream.read(&mut buffer) {
                Ok(0) | Err(_) => Event::Closed,
                Ok(count) => Event::Bytes(buffer[..count].to_vec()),
            };
            let closed = matches!(event, Event::Closed);
            if !tell(event) {
                return;
            }
            if closed {
                break;
            }
        }
    }
}
