//! What a console's port remembers when the concentrator begins again.
//!
//! **Shape.** [`ConsolePortV1`], by the control domain's endpoint: a line that has not
//! ended, and what was typed and not yet taken.
//!
//! **Errors.** [`ConsolePortV1::load`]: the rule that the record breaks.

use super::{LINE_MAX, TYPED_MAX, Typed};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use sun4v::id::LdcId;

/// Codes of what is no character.
const BREAK: u16 = 0x100;
const HANG_UP: u16 = 0x101;

/// A port, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolePortV1 {
    /// The control domain's endpoint.
    pub channel: LdcId,
    /// The line so far.
    pub line: Vec<u8>,
    /// For the guest: characters, 0x100 a break, 0x101 a hang-up.
    pub typed: Vec<u16>,
}

/// The same, as a port takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    pub(super) line: Vec<u8>,
    pub(super) typed: VecDeque<Typed>,
}

impl Recalled {
    /// The record of the port at this endpoint.
    #[must_use]
    pub fn save(&self, channel: LdcId) -> ConsolePortV1 {
        let Self { line, typed } = self;
        let number = |typed: &Typed| match *typed {
            Typed::Char(byte) => u16::from(byte),
            Typed::Break => BREAK,
            Typed::HangUp => HANG_UP,
        };
        ConsolePortV1 { channel, line: line.clone(), typed: typed.iter().map(number).collect() }
    }
}

impl ConsolePortV1 {
    /// The endpoint, and what its port is to go on from.
    ///
    /// # Errors
    /// See the module.
    pub fn load(self) -> Result<(LdcId, Recalled), &'static str> {
        let Self { channel, line, typed } = self;
        if line.len() > LINE_MAX || line.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err("a line that has ended");
        }
        if typed.len() > TYPED_MAX {
            return Err("more was typed than a console takes");
        }
        let typed = typed.into_iter().map(|number| match (u8::try_from(number), number) {
            (Ok(byte), _) => Ok(Typed::Char(byte)),
            (_, BREAK) => Ok(Typed::Break),
            (_, HANG_UP) => Ok(Typed::HangUp),
            _ => Err("console input that is no character"),
        });
        Ok((channel, Recalled { line, typed: typed.collect::<Result<_, _>>()? }))
    }
}
