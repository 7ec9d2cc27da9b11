//! A command line as words, as a shell parts them.
//!
//! **Shapes.** Blanks part words; `'…'` keeps everything, `"…"` everything but
//! `\"` and `\\`; a backslash keeps the next character. Nothing is expanded.
//!
//! **Errors.** A quote that does not end.

/// The words of a line.
///
/// # Errors
/// A quote that does not end, as a sentence.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err(format!("Unmatched {c}")),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => match chars.next() {
                            None => return Err(format!("Unmatched {c}")),
                            Some(kept @ ('"' | '\\')) => word.push(kept),
                            Some(other) => word.extend(['\\', other]),
                        },
                        Some(inner) => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod test {
    use super::split;

    #[test]
    fn quotes_keep_blanks_and_may_stand_inside_a_word() {
        let words = split(r#"ldm  set-var boot-device="/a b" 'x y' auto-boot\?="" d"#).unwrap();
        assert_eq!(words, ["ldm", "set-var", "boot-device=/a b", "x y", "auto-boot?=", "d"]);
        assert_eq!(split(r#"a "b\"c\d""#).unwrap(), ["a", r#"b"c\d"#]);
        assert_eq!(split("ldm 'x"), Err("Unmatched '".into()));
        assert!(split(" \t ").unwrap().is_empty());
    }
}
