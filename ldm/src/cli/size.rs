//! Memory sizes as the manager reads and writes them.
//!
//! **Shapes.** Read: a number and `k`, `m`, `g` or nothing for bytes. Written: the
//! largest unit that divides exactly, so 32640M is never 31.9G.

/// Reads a size, in bytes.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let shift = match text.chars().last()?.to_ascii_lowercase() {
        'k' => 10,
        'm' => 20,
        'g' => 30,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Writes a size.
#[must_use]
pub fn show(bytes: u64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod test {
    use super::{parse, show};

    #[test]
    fn the_largest_exact_unit_is_shown() {
        for (bytes, text) in
            [(4 << 30, "4G"), (3840 << 20, "3840M"), (8192, "8K"), (100, "100"), (0, "0")]
        {
            assert_eq!(show(bytes), text);
        }
    }

    #[test]
    fn a_size_without_unit_is_bytes() {
        assert_eq!(parse("512"), Some(512));
        assert_eq!(parse("512m"), Some(512 << 20));
        assert_eq!(parse("2G"), Some(2 << 30));
        for bad in ["", "G", "1.5G", "-1", "x", "99999999999G", "2GB", "é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
