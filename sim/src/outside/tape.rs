//! A tape: all that entered a run from outside, so that the run can be had again.
//!
//! **Shapes.** A file of JSON lines. The first is the head ([`Head`]): `format` and
//! `version`, the `ldomlab` that wrote it, the `scenario` (TOML), `engine` and `timing`,
//! whether the lab's network was joined to one of the host (`network`), and the `files`
//! that the run was given, each with its role, path, bytes and SHA-256. Every other line
//! is something that entered ([`Entry`]), with its simulated time `at` in picoseconds,
//! in order of time; bytes are hexadecimal. The last line says when the run ended; a run
//! that was cut off lacks it.
//!
//! ```text
//! {"typed":{"at":1200000000000,"place":"t5120","domain":"guest","bytes":"626f6f740d"}}
//! {"break":{"at":1300000000000,"place":"t5120","domain":"guest"}}
//! {"frame":{"at":1300100000000,"network":"lab","bytes":"ffffffffffff…"}}
//! {"end":{"at":2000000000000}}
//! ```
//!
//! **Errors.** [`TapeError`] names the line.

use super::Input;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use sun4v::native::ConsoleInput;
use sun4v::time::SimTime;
use thiserror::Error;

/// What a tape says that it is.
pub const FORMAT: &str = "ldomlab tape";
/// Its version.
pub const VERSION: u32 = 1;

/// A file that a run was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// What it was for, such as `firmware`.
    pub role: String,
    /// Where it was.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Version of the program that wrote it.
    pub ldomlab: String,
    /// The scenario.
    pub scenario: String,
    /// The engine.
    pub engine: String,
    /// The timing model.
    pub timing: String,
    /// Was the lab's network joined to one of the host?
    pub network: bool,
    /// Files that the run was given.
    pub files: Vec<Given>,
}

/// Any other line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// Somebody typed.
    Typed {
        /// When.
        at: SimTime,
        /// At which chassis.
        place: String,
        /// At whose console.
        domain: String,
        /// What.
        bytes: String,
    },
    /// Somebody sent a break.
    Break {
        /// When.
        at: SimTime,
        /// At which chassis.
        place: String,
        /// At whose console.
        domain: String,
    },
    /// Somebody left.
    HangUp {
        /// When.
        at: SimTime,
        /// At which chassis.
        place: String,
        /// At whose console.
        domain: String,
    },
    /// A frame came in.
    Frame {
        /// When.
        at: SimTime,
        /// Into which network.
        network: String,
        /// The frame.
        bytes: String,
    },
    /// The run ended.
    End {
        /// When.
        at: SimTime,
    },
}

/// Why a tape cannot be read.
#[derive(Debug, Error)]
#[error("line {line}: {why}")]
pub struct TapeError {
    /// Which line, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// A tape that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// Its head.
    pub head: Head,
    /// What enters, and when.
    pub inputs: Vec<(SimTime, Input)>,
    /// When the run ended, unless it was cut off.
    pub end: Option<SimTime>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.ok_or_else(|| "bytes that are not hexadecimal".to_owned())
}

/// Writes the first line.
///
/// # Errors
/// Those of `out`.
pub fn write_head(head: &Head, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, head)?;
    out.write_all(b"\n")
}

/// Writes what entered at `at`.
///
/// # Errors
/// Those of `out`.
pub fn write_input(at: SimTime, input: &Input, out: &mut dyn Write) -> io::Result<()> {
    let entry = match input.clone() {
        Input::Console { place, domain, input } => match input {
            ConsoleInput::Typed(bytes) => Entry::Typed { at, place, domain, bytes: hex(&bytes) },
            ConsoleInput::Break => Entry::Break { at, place, domain },
            ConsoleInput::HangUp => Entry::HangUp { at, place, domain },
        },
        Input::Frame { network, bytes } => Entry::Frame { at, network, bytes: hex(&bytes) },
    };
    serde_json::to_writer(&mut *out, &entry)?;
    out.write_all(b"\n")
}

/// Writes the last line.
///
/// # Errors
/// Those of `out`.
pub fn write_end(at: SimTime, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Entry::End { at })?;
    out.write_all(b"\n")
}

impl Entry {
    /// When, and what enters; `None` at the end.
    fn input(self) -> Result<(SimTime, Option<Input>), String> {
        let console = |place, domain, input| Some(Input::Console { place, domain, input });
        Ok(match self {
            Self::Typed { at, place, domain, bytes } => {
                (at, console(place, domain, ConsoleInput::Typed(unhex(&bytes)?)))
            }
            Self::Break { at, place, domain } => (at, console(place, domain, ConsoleInput::Break)),
            Self::HangUp { at, place, domain } => {
                (at, console(place, domain, ConsoleInput::HangUp))
            }
            Self::Frame { at, network, bytes } => {
                (at, Some(Input::Frame { network, bytes: unhex(&bytes)? }))
            }
            Self::End { at } => (at, None),
        })
    }
}

/// Reads a tape.
///
/// # Errors
/// See [`TapeError`].
pub fn read(from: impl BufRead) -> Result<Tape, TapeError> {
    let refuse = |line: usize, why: String| TapeError { line, why };
    let mut lines = (1..).zip(from.lines());
    let (_, first) = lines.next().ok_or_else(|| refuse(1, "there is none".to_owned()))?;
    let first = first.map_err(|why| refuse(1, why.to_string()))?;
    #[derive(Deserialize)]
    struct Kind {
        format: String,
        version: u32,
    }
    let kind: Kind =
        serde_json::from_str(&first).map_err(|why| refuse(1, format!("no {FORMAT}: {why}")))?;
    if kind.format != FORMAT || kind.version != VERSION {
        let why = format!("`{}` version {}, not `{FORMAT}` {VERSION}", kind.format, kind.version);
        return Err(refuse(1, why));
    }
    let head = serde_json::from_str(&first).map_err(|why| refuse(1, why.to_string()))?;
    let mut tape = Tape { head, inputs: Vec::new(), end: None };
    let mut last = SimTime::ZERO;
    for (number, line) in lines {
        let line = line.map_err(|why| refuse(number, why.to_string()))?;
        let entry: Entry =
            serde_json::from_str(&line).map_err(|why| refuse(number, why.to_string()))?;
        let (at, input) = entry.input().map_err(|why| refuse(number, why))?;
        if tape.end.is_some() {
            return Err(refuse(number, "something behind the end".to_owned()));
        }
        if at < last {
            return Err(refuse(number, "earlier than the line before it".to_owned()));
        }
        last = at;
        match input {
            Some(input) => tape.inputs.push((at, input)),
            None => tape.end = Some(at),
        }
    }
    Ok(tape)
}

#[cfg(test)]
mod test {
    use super::{FORMAT, Given, Head, Tape, VERSION, read, write_end, write_head, write_input};
    use crate::outside::Input;
    use proptest::prelude::{any, proptest};
    use sun4v::native::ConsoleInput;
    use sun4v::time::SimTime;

    fn tape() -> Tape {
        let console =
            |input| Input::Console { place: "t5120".to_owned(), domain: "guest".to_owned(), input };
        let frame = Input::Frame { network: "lab".to_owned(), bytes: vec![0xff; 14] };
        let given = Given {
            role: "firmware".to_owned(),
            path: "rover.bin".to_owned(),
            bytes: 3,
            sha256: "ab".repeat(32),
        };
        let head = Head {
            format: FORMAT.to_owned(),
            version: VERSION,
            ldomlab: "0.1.0".to_owned(),
            scenario: "name = \"boot\"\n".to_owned(),
            engine: "cached".to_owned(),
            timing: "functional".to_owned(),
            network: true,
            files: vec![given],
        };
        let inputs = vec![
            (SimTime::ms(1), console(ConsoleInput::Typed(b"\x03ls\r".to_vec()))),
            (SimTime::ms(1), console(ConsoleInput::Break)),
            (SimTime::ms(2), frame),
            (SimTime::ms(3), console(ConsoleInput::HangUp)),
        ];
        Tape { head, inputs, end: Some(SimTime::ms(4)) }
    }

    fn text(tape: &Tape) -> String {
        let mut out = Vec::new();
        write_head(&tape.head, &mut out).unwrap();
        for (at, input) in &tape.inputs {
            write_input(*at, input, &mut out).unwrap();
        }
        if let Some(end) = tape.end {
            write_end(end, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_tape_reads_as_it_was_written() {
        let mut tape = tape();
        insta::assert_snapshot!(text(&tape));
        assert_eq!(read(text(&tape).as_bytes()).unwrap(), tape);
        tape.end = None;
        assert_eq!(read(text(&tape).as_bytes()).unwrap(), tape);
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let whole = text(&tape());
        let why = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(why(""), "line 1: there is none");
        let other = whole.replace("\"version\":1", "\"version\":2");
        assert_eq!(why(&other), "line 1: `ldomlab tape` version 2, not `ldomlab tape` 1");
        assert!(why("{}\n").starts_with("line 1: no ldomlab tape: missing field"));
        assert!(why(&whole[..whole.len() - 5]).starts_with("line 6: EOF"));
        let again = format!("{whole}{{\"end\":{{\"at\":4000000000}}}}\n");
        assert_eq!(why(&again), "line 7: something behind the end");
        let odd = whole.replace("036c730d", "036c730");
        assert_eq!(why(&odd), "line 2: bytes that are not hexadecimal");
        let early = whole.replacen("\"at\":3000000000", "\"at\":1", 1);
        assert_eq!(why(&early), "line 5: earlier than the line before it");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4)) {
            let _ = read(text.as_bytes());
            let mut whole = self::text(&tape()).into_bytes();
            for (at, byte) in flips {
                let at = usize::from(at) % whole.len();
                whole[at] = byte;
            }
            let _ = read(whole.as_slice());
        }
    }
}
