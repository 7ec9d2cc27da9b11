//! What a kernel's log may say.

/// Words of trouble.
const TROUBLE: [&str; 13] = [
    "WARNING",
    "BUG",
    "Oops",
    "Call Trace",
    "Kernel panic",
    "stuck",
    "Unable to",
    "unexpected",
    "rror",
    "ailed",
    "timed out",
    "invalid",
    "lockup",
];

/// Lines that tell of no trouble, or of one that is the kernel's own: each with why.
const EXPLAINED: [&str; 6] = [
    // The driver of the crypto unit has no states to export.
    "export() failed with err -90 on test vector 0, cfg=\"import/export\"",
    // It says so again for each of the seven hashes.
    "alg: self-tests for ",
    // It gives back the wrong initial vector for counter mode, and loses what a block that
    // lies in two pieces was enciphered to: it never asks for that to be copied.
    "-n2 encryption test failed",
    // The same, as the kernel's test manager reports it: where it stands, and its ways there.
    "crypto/testmgr.c",
    "Call Trace:",
    // A word on how numbers of errors are printed.
    "Invalid PCR",
];

/// Lines of a log that tell of trouble that nobody explains.
pub fn trouble(log: &str) -> Vec<&str> {
    let told = |line: &&str| TROUBLE.iter().any(|word| line.contains(word));
    let explained = |line: &&str| EXPLAINED.iter().any(|word| line.contains(word));
    log.lines().filter(told).filter(|line| !explained(line)).collect()
}

/// A log with everything masked that differs from machine to machine and from run to
/// run: times, sizes, addresses.
pub fn masked(log: &str) -> String {
    let mut lines = Vec::new();
    for line in log.lines() {
        let line = line.trim_end();
        let text = match line.split_once("] ") {
            Some((time, text)) if line.starts_with('[') && time.len() < 16 => text,
            _ => line,
        };
        lines.push(mask(text));
    }
    lines.join("\n")
}

/// Numbers of more than three digits, and hexadecimal ones, become `#`.
fn mask(text: &str) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\n']) {
        if letter.is_ascii_alphanumeric() {
            word.push(letter);
            continue;
        }
        let digits = word.chars().all(|letter| letter.is_ascii_hexdigit());
        let number = word.chars().any(|letter| letter.is_ascii_digit());
        let hex = word.starts_with("0x");
        masked.push_str(if hex || (digits && number && word.len() > 3) { "#" } else { &word });
        word.clear();
        if letter != '\n' {
            masked.push(letter);
        }
    }
    masked
}

#[test]
fn trouble_is_told_from_what_is_explained() {
    assert_eq!(trouble("clocksource: stick\n"), Vec::<&str>::new());
    assert_eq!(trouble("alg: self-tests for md5 using md5-n2 failed (rc=-90)"), Vec::<&str>::new());
    let log = "CPU1: stuck\nfine\nEXT4-fs error (device vdiska)";
    assert_eq!(trouble(log), ["CPU1: stuck", "EXT4-fs error (device vdiska)"]);
    assert_eq!(
        masked("[    0.000024] Top of RAM: 0x27ffe000, 12 of 496544"),
        "Top of RAM: #, 12 of #"
    );
}
