//! Telnet, as far as a person at a shell needs it: what is no text is taken out of the
//! stream and answered.
//!
//! **Options.** The other side may echo and need not say when it is our turn (ECHO,
//! SUPPRESS-GO-AHEAD): with both, each character is sent as it is typed. All else is
//! refused, in either direction, once for each time that it is asked. A shell that
//! speaks no telnet sends none of it and is answered nothing.
//!
//! **Source.** RFC 854 (commands and the doubled IAC), RFC 855 (an offer that changes
//! nothing is not answered), RFC 857 (ECHO), RFC 858 (SUPPRESS-GO-AHEAD).

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
/// A negotiation with values begins, and ends.
const SB: u8 = 250;
const SE: u8 = 240;

const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind IAC.
    Command,
    /// Behind IAC and a verb.
    Option(u8),
    /// Inside values.
    Values,
    /// Inside values, behind IAC.
    ValuesCommand,
}

/// The near end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Telnet {
    state: State,
    /// The other side echoes, and sends without turns.
    echoes: bool,
    talks: bool,
}

impl Telnet {
    /// A byte has come: the text in it, if any. What must be answered goes behind
    /// `reply`.
    pub fn byte(&mut self, byte: u8, reply: &mut Vec<u8>) -> Option<u8> {
        let (state, text) = match (self.state, byte) {
            (State::Text, IAC) => (State::Command, None),
            (State::Text, text) => (State::Text, Some(text)),
            (State::Command, IAC) => (State::Text, Some(IAC)),
            (State::Command, WILL | WONT | DO | DONT) => (State::Option(byte), None),
            (State::Command, SB) => (State::Values, None),
            (State::Option(verb), option) => {
                reply.extend(
                    self.answer(verb, option).map(|verb| [IAC, verb, option]).iter().flatten(),
                );
                (State::Text, None)
            }
            (State::Values, IAC) => (State::ValuesCommand, None),
            (State::ValuesCommand, SE) | (State::Command, _) => (State::Text, None),
            (State::Values | State::ValuesCommand, _) => (State::Values, None),
        };
        self.state = state;
        text
    }

    fn answer(&mut self, verb: u8, option: u8) -> Option<u8> {
        let known = match option {
            ECHO => Some(&mut self.echoes),
            SUPPRESS_GO_AHEAD => Some(&mut self.talks),
            _ => None,
        };
        match (verb, known) {
            (WILL, Some(on)) => (!std::mem::replace(on, true)).then_some(DO),
            (WILL, None) => Some(DONT),
            (WONT, Some(on)) => std::mem::replace(on, false).then_some(DONT),
            (DO, _) => Some(WONT),
            _ => None,
        }
    }
}

#[cfg(test)]
mod test {
    use super::{DO, DONT, ECHO, IAC, SB, SE, SUPPRESS_GO_AHEAD, Telnet, WILL, WONT};

    fn talk(telnet: &mut Telnet, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut reply = Vec::new();
        let text = bytes.iter().filter_map(|&byte| telnet.byte(byte, &mut reply)).collect();
        (text, reply)
    }

    #[test]
    fn a_server_may_echo_and_all_else_is_refused_once() {
        let mut telnet = Telnet::default();
        // As busybox' telnetd greets: DO ECHO, DO NAWS, WILL ECHO, WILL SUPPRESS-GO-AHEAD.
        let greeting =
            [IAC, DO, ECHO, IAC, DO, 31, IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD, b'#', b' '];
        let (text, reply) = talk(&mut telnet, &greeting);
        assert_eq!(text, b"# ");
        let expected = [IAC, WONT, ECHO, IAC, WONT, 31, IAC, DO, ECHO, IAC, DO, SUPPRESS_GO_AHEAD];
        assert_eq!(reply, expected);
        // What changes nothing is not answered.
        assert!(talk(&mut telnet, &[IAC, WILL, ECHO, IAC, DONT, 31, IAC, WONT, 6]).1.is_empty());
        assert_eq!(talk(&mut telnet, &[IAC, WILL, 6]).1, [IAC, DONT, 6]);
        assert_eq!(talk(&mut telnet, &[IAC, WONT, ECHO]).1, [IAC, DONT, ECHO]);
    }

    #[test]
    fn text_is_all_that_is_left() {
        let mut telnet = Telnet::default();
        let values = [b'a', IAC, SB, 24, 1, IAC, IAC, IAC, SE, b'b', IAC, 241, IAC, IAC, b'c'];
        assert_eq!(talk(&mut telnet, &values), (vec![b'a', b'b', IAC, b'c'], Vec::new()));
        assert!(talk(&mut telnet, b"rover: login shell\r\n$ ").1.is_empty());
    }
}
