//! The record of a workstation: the session, what is still to be typed, and the pictures
//! that were seen.

use super::Workstation;
use super::pictures::Pictures;
use super::session::{Mood, Session};
use crate::lab::host::{Host, only};
use crate::lab::record::Fact;
use serde::{Deserialize, Serialize};
use smoltcp::socket::tcp;
use sun4v::record::{LoadError, Schema, encode};
use sun4v::time::SimTime;

/// A workstation, version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkstationV2 {
    /// It looks at the drawing.
    pub watching: bool,
    /// Where the last session was, or is.
    pub host: String,
    /// Its port here.
    pub port: u16,
    /// There is a session.
    pub open: bool,
    /// Somebody has asked for its end.
    pub closing: bool,
    /// Commands are typed over and over.
    pub typist: bool,
    /// Lines to be typed; the first may be one that was being typed.
    pub asked: Vec<String>,
    /// Lines that the typist has typed.
    pub lines_typed: u64,
    /// When the next key is due.
    pub next_key: SimTime,
    /// Keys so far.
    pub typed: u64,
    /// Those of them whose echoes were on their way.
    pub waiting: u64,
    /// Pictures of the drawing, by number.
    pub pictures: Vec<Vec<u8>>,
}

impl Schema for WorkstationV2 {
    const KIND: &'static str = "lab/workstation";
    const VERSION: u32 = 2;
}

impl Workstation {
    pub(super) fn record(&self) -> Vec<u8> {
        // The stack begins anew; facts are taken before.
        let Self {
            name: _,
            host: _,
            names: _,
            drawing: _,
            session,
            watching,
            pictures,
            facts: _,
            next: _,
        } = self;
        let Session {
            socket: _,
            // Made anew with the connection.
            connected: _,
            line: _,
            mood: _,
            output: _,
            unsent: _,
            telnet: _,
            host,
            port,
            open,
            typist,
            asked,
            text,
            lines_typed,
            next_key,
            waiting,
            lost,
            typed,
            closing,
        } = session;
        let begun = (!text.is_empty()).then_some(text);
        let record = WorkstationV2 {
            watching: *watching,
            host: host.clone(),
            port: *port,
            open: *open,
            closing: *closing,
            typist: *typist,
            asked: begun.into_iter().chain(asked).cloned().collect(),
            lines_typed: *lines_typed as u64,
            next_key: *next_key,
            typed: *typed,
            waiting: waiting.len() as u64 + lost,
            pictures: pictures.list(),
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        bytes
    }

    pub(super) fn load_record(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let check = |sound: bool, why| match sound {
            true => Ok(()),
            false => Err(LoadError::Inconsistent { kind: WorkstationV2::KIND, why }),
        };
        let record: WorkstationV2 = only(bytes)?;
        let WorkstationV2 {
            watching,
            host,
            port,
            open,
            closing,
            typist,
            asked,
            lines_typed,
            next_key,
            typed,
            waiting,
            pictures,
        } = record;
        check(port >= 49_151, "a port below those of sessions")?;
        check(!open || self.names.find(&host).is_ok(), "a session at no host")?;
        let text = |line: &String| line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        check(asked.iter().all(text), "a line that cannot be typed")?;
        check(waiting <= typed, "more echoes than keys")?;
        let pictures = Pictures::of(pictures).ok_or(LoadError::Inconsistent {
            kind: WorkstationV2::KIND,
            why: "pictures that are not one each, or too many",
        })?;
        self.watching = watching;
        self.pictures = pictures;
        self.session.host = host;
        self.session.port = port;
        self.session.open = open;
        self.session.closing = closing;
        self.session.typist = typist;
        self.session.asked = asked.into();
        self.session.lines_typed = lines_typed as usize;
        self.session.next_key = next_key;
        self.session.typed = typed;
        self.session.lost = waiting;
        Ok(())
    }
}

impl Session {
    /// The connection ends at once, and the other side hears it.
    pub fn hold(&mut self, host: &mut Host) {
        host.socket::<tcp::Socket<'_>>(self.socket).abort();
    }

    /// After a checkpoint: what to note of a session that it has ended. The person logs
    /// in again, unless about to leave.
    pub fn restart(&mut self, host: &mut Host, to: Option<[u8; 4]>, now: SimTime) -> Option<Fact> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        let fact = Fact { name: self.host.clone(), ..Fact::default() };
        let fact = fact.with("waiting", std::mem::take(&mut self.lost)).saying(if self.closing {
            "us"
        } else {
            "a checkpoint"
        });
        self.mood = Mood::Typing;
        self.waiting.clear();
        let name = self.host.clone();
        if let Some(to) = to.filter(|_| !self.closing) {
            // The socket is fresh: this cannot fail.
            let _ = self.login(host, &name, to);
            self.next_key = self.next_key.max(now);
        }
        Some(fact)
    }
}

#[cfg(test)]
mod test {
    use super::super::Workstation;
    use super::WorkstationV2;
    use crate::lab::host::LabHost;
    use crate::lab::host::test::{address, names};
    use crate::time::rng::Seed;
    use sun4v::record::{decode, encode};
    use sun4v::time::SimTime;

    fn workstation() -> Workstation {
        Workstation::new("workstation", &address(10), Seed(1), names())
    }

    fn record() -> WorkstationV2 {
        WorkstationV2 {
            watching: false,
            host: "rover".to_owned(),
            port: 49_160,
            open: true,
            closing: false,
            typist: true,
            asked: vec!["scrub start".to_owned(), "time".to_owned()],
            lines_typed: 3,
            next_key: SimTime::secs(5),
            typed: 20,
            waiting: 2,
            pictures: vec![vec![1], vec![0]],
        }
    }

    fn bytes(record: &WorkstationV2) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(record, &mut bytes);
        bytes
    }

    #[test]
    fn a_session_is_made_again_and_says_so() {
        let mut host = workstation();
        host.load(&bytes(&record())).unwrap();
        assert_eq!(host.save().unwrap(), bytes(&record()));
        host.restart(SimTime::secs(6));
        let facts = host.take_facts();
        assert_eq!((facts.len(), &*facts[0].what, &*facts[0].text), (1, "closed", "a checkpoint"));
        assert_eq!(facts[0].value("waiting"), 2);
        host.run(SimTime::secs(6));
        // It asks where its host is.
        assert_eq!(host.take_frames().len(), 1);
        let after: WorkstationV2 = decode(&mut host.save().unwrap().as_slice()).unwrap();
        let next_key = SimTime::secs(6);
        assert_eq!(after, WorkstationV2 { port: 49_161, waiting: 0, next_key, ..record() });
    }

    #[test]
    fn a_line_that_was_begun_is_typed_anew() {
        let mut host = workstation();
        host.session.asked.push_back("uptime".to_owned());
        host.session.text = "scrub start".to_owned();
        host.session.line.extend(b"start".iter());
        let saved: WorkstationV2 = decode(&mut host.save().unwrap().as_slice()).unwrap();
        assert_eq!(saved.asked, ["scrub start", "uptime"]);
    }

    #[test]
    fn somebody_about_to_leave_does_not_come_back() {
        let mut host = workstation();
        host.load(&bytes(&WorkstationV2 { closing: true, ..record() })).unwrap();
        host.restart(SimTime::secs(6));
        assert_eq!(&*host.take_facts()[0].text, "us");
        host.run(SimTime::secs(6));
        assert_eq!(host.take_frames(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn every_broken_rule_refuses_the_record() {
        type Damage = fn(&mut WorkstationV2);
        let breaks: [(&str, Damage); 5] = [
            ("port", |r| r.port = 23),
            ("host", |r| r.host = "mars".to_owned()),
            ("text", |r| r.asked[1].push('\n')),
            ("echoes", |r| r.waiting = 21),
            ("pictures", |r| r.pictures[1] = vec![1]),
        ];
        for (what, damage) in breaks {
            let mut record = record();
            damage(&mut record);
            assert!(workstation().load(&bytes(&record)).is_err(), "{what}");
        }
    }
}
