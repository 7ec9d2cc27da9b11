//! Quantities as people write them: `100ms`, `512M`, `1Gbit/s`.
//!
//! **Shapes.** A span is a number and `ps`, `ns`, `us`, `ms`, `s` or `min`; a size
//! is a number of bytes with an optional `K`, `M` or `G` of 1024; a rate is a number
//! and `bit/s`, `kbit/s`, `Mbit/s` or `Gbit/s`. Numbers may have a decimal point
//! (`1.5s`), no sign and no blanks.
//!
//! **Errors.** A sentence with the text in it.

use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::str::FromStr;
use sun4v::time::SimTime;

/// A span of simulated time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub SimTime);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Bits per second, at least one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

/// `text` as a whole number of the unit that `units` gives it.
fn parse(text: &str, what: &str, example: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let refuse = || format!("`{text}` is no {what} such as `{example}`");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let &(_, scale) = units.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || decimals.contains('.') || (number.contains('.') && decimals.is_empty()) {
        return Err(refuse());
    }
    let too_large = || format!("`{text}` is too large");
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    let places = u32::try_from(decimals.len()).ok().filter(|&n| n <= 12).ok_or_else(refuse)?;
    let part: u128 =
        if decimals.is_empty() { 0 } else { decimals.parse().map_err(|_| refuse())? };
    let scaled = whole
        .checked_mul(u128::from(scale))
        .and_then(|whole| whole.checked_add(part * u128::from(scale) / 10_u128.pow(places)));
    scaled.and_then(|value| u64::try_from(value).ok()).ok_or_else(too_large)
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let units = [
            ("ps", 1),
            ("ns", 1_000),
            ("us", 1_000_000),
            ("ms", 1_000_000_000),
            ("s", 1_000_000_000_000),
            ("min", 60_000_000_000_000),
        ];
        parse(text, "span of time", "100ms", &units).map(|ps| Self(SimTime(ps)))
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
        parse(text, "size", "512M", &units).map(Self)
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let units =
            [("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000)];
        match parse(text, "rate", "1Gbit/s", &units)? {
            0 => Err(format!("`{text}` carries nothing")),
            rate => Ok(Self(rate)),
        }
    }
}

/// Reads a string and parses it.
fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from_text(from)
            }
        }
    )*};
}

as_text! { Span Size Rate }

#[cfg(test)]
mod test {
    use super::{Rate, Size, Span};
    use sun4v::time::SimTime;

    #[test]
    fn units_and_decimals_count() {
        assert_eq!("100ms".parse(), Ok(Span(SimTime::ms(100))));
        assert_eq!("1.5s".parse(), Ok(Span(SimTime::ms(1500))));
        assert_eq!("2min".parse(), Ok(Span(SimTime::secs(120))));
        assert_eq!("512M".parse(), Ok(Size(512 << 20)));
        assert_eq!("0.5K".parse(), Ok(Size(512)));
        assert_eq!("8192".parse(), Ok(Size(8192)));
        assert_eq!("2.5Gbit/s".parse(), Ok(Rate(2_500_000_000)));
    }

    #[test]
    fn what_is_no_quantity_says_so() {
        for text in ["", "s", "1", "-1s", "1.s", ".5s", "1.2.3s", "1 s", "1h", "1.0000000000001s"] {
            let error = text.parse::<Span>().unwrap_err();
            assert_eq!(error, format!("`{text}` is no span of time such as `100ms`"));
        }
        assert_eq!("20000000s".parse::<Span>(), Err("`20000000s` is too large".to_owned()));
        assert_eq!("0bit/s".parse::<Rate>(), Err("`0bit/s` carries nothing".to_owned()));
        assert!("1T".parse::<Size>().is_err());
        let huge = format!("{}G", "9".repeat(60));
        assert_eq!(huge.parse::<Size>(), Err(format!("`{huge}` is too large")));
    }
}
