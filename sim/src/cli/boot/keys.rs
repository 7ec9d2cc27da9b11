//! What somebody types: for the guest, or for us.
//!
//! **Shape.** `~` at the beginning of a line is for us: `~.` leaves, `~#` sends a break,
//! `~?` says what there is, `~~` is a `~` for the guest; with anything else both
//! characters are the guest's. A line begins where a carriage return or a line feed was
//! typed, and when somebody sits down.

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Characters for the guest.
    Typed(Vec<u8>),
    /// A break for the guest.
    Break,
    /// Somebody wants to know what can be typed.
    Help,
    /// Somebody leaves.
    Leave,
}

/// What can be typed.
pub const HELP: &str = "\
~.  leaves; the machine is switched off
~#  sends a break
~?  says this
~~  types a ~
";

/// Takes what is for us out of what is typed.
#[derive(Debug)]
pub struct Escapes {
    /// The next character begins a line.
    begins: bool,
    /// A `~` that began a line waits for what follows.
    tilde: bool,
}

impl Default for Escapes {
    fn default() -> Self {
        Self { begins: true, tilde: false }
    }
}

impl Escapes {
    /// What these bytes mean, in their order.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut typed = Vec::new();
        for &byte in bytes {
            if std::mem::take(&mut self.tilde) {
                let key = match byte {
                    b'.' => Key::Leave,
                    b'#' => Key::Break,
                    b'?' => Key::Help,
                    _ => {
                        typed.push(b'~');
                        if byte != b'~' {
                            typed.push(byte);
                        }
                        self.begins = matches!(byte, b'\r' | b'\n');
                        continue;
                    }
                };
                // The next one may follow at once.
                self.begins = true;
                if !typed.is_empty() {
                    keys.push(Key::Typed(std::mem::take(&mut typed)));
                }
                keys.push(key);
            } else if self.begins && byte == b'~' {
                self.tilde = true;
            } else {
                self.begins = matches!(byte, b'\r' | b'\n');
                typed.push(byte);
            }
        }
        if !typed.is_empty() {
            keys.push(Key::Typed(typed));
        }
        keys
    }
}

#[cfg(test)]
mod test {
    use super::{Escapes, Key};

    fn keys(parts: &[&str]) -> Vec<Key> {
        let mut escapes = Escapes::default();
        parts.iter().flat_map(|part| escapes.take(part.as_bytes())).collect()
    }

    fn typed(text: &str) -> Key {
        Key::Typed(text.into())
    }

    #[test]
    fn a_tilde_that_begins_a_line_is_ours() {
        assert_eq!(keys(&["~."]), [Key::Leave]);
        assert_eq!(
            keys(&["boot\r~#ls\r~?~."]),
            [typed("boot\r"), Key::Break, typed("ls\r"), Key::Help, Key::Leave]
        );
        assert_eq!(keys(&["ls\r", "~", "."]), [typed("ls\r"), Key::Leave]);
    }

    #[test]
    fn every_other_tilde_is_the_guests() {
        assert_eq!(keys(&["cd ~.\r"]), [typed("cd ~.\r")]);
        assert_eq!(keys(&["~~.\r"]), [typed("~.\r")]);
        assert_eq!(keys(&["~x~."]), [typed("~x~.")]);
        assert_eq!(keys(&["~\r~."]), [typed("~\r"), Key::Leave]);
        assert_eq!(keys(&["~"]), []);
        assert_eq!(keys(&["\u{1b}[A\x03"]), [typed("\u{1b}[A\x03")]);
    }
}
