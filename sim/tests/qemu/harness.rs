//! The program under `qemu-sparc64` that executes cases.
//!
//! **Shapes.** A batch goes in as three words (records, where code goes, bytes of
//! code), the code and the records; the records come back. Words are big-endian.
//!
//! **Errors.** When QEMU stops, the answer says how, and the harness is dead.

use super::case::{BATCH, Case, State, WORDS};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Builds the program, under that name since tests run side by side; `None`, said aloud,
/// when a tool is missing.
pub fn build(name: &str) -> Option<PathBuf> {
    let present = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !present("sparc64-linux-gnu-gcc") || !present("qemu-sparc64") {
        eprintln!("SKIPPED: no sparc64-linux-gnu-gcc or no qemu-sparc64, nothing was compared");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qemu/harness.S");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("harness-{name}"));
    let built = Command::new("sparc64-linux-gnu-gcc")
        .args(["-nostdlib", "-static", "-no-pie", "-fno-pie", "-mcpu=niagara2", "-o"])
        .args([&program, &source])
        .output()
        .expect("the compiler runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// The program, running.
pub struct Harness {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    bytes: Vec<u8>,
}

impl Harness {
    /// Starts it.
    pub fn new(program: &Path) -> Self {
        let mut child = Command::new("qemu-sparc64")
            .args(["-cpu", "Sun UltraSparc T2"])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("qemu runs");
        let input = child.stdin.take().expect("it has an input");
        let output = child.stdout.take().expect("it has an output");
        Self { child, input, output, bytes: Vec::new() }
    }

    /// Hands it cases, which lie in slots one behind the other.
    pub fn send(&mut self, cases: &[Case]) -> Result<(), String> {
        assert!((1..=BATCH).contains(&cases.len()));
        self.bytes.clear();
        let code: Vec<u8> = cases.iter().flat_map(Case::slot).collect();
        for word in [cases.len() as u64, cases[0].start(), code.len() as u64] {
            self.bytes.extend(word.to_be_bytes());
        }
        self.bytes.extend(code);
        for case in cases {
            self.bytes.extend(case.state.iter().flat_map(|word| word.to_be_bytes()));
        }
        self.input.write_all(&self.bytes).map_err(|_| self.death())
    }

    /// What the cases have left.
    pub fn receive(&mut self, count: usize) -> Result<Vec<State>, String> {
        self.bytes.resize(count * WORDS * 8, 0);
        if self.output.read_exact(&mut self.bytes).is_err() {
            return Err(self.death());
        }
        let state = |record: &[u8]| {
            let mut state = [0; WORDS];
            for (word, bytes) in state.iter_mut().zip(record.as_chunks::<8>().0) {
                *word = u64::from_be_bytes(*bytes);
            }
            state
        };
        Ok(self.bytes.chunks_exact(WORDS * 8).map(state).collect())
    }

    /// How it ended: by a signal, or by a trap that it prints with the registers.
    fn death(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            let _ = errors.read_to_string(&mut text);
        }
        let after = |key: &str| text.split_once(key)?.1.split_whitespace().next();
        if let (Some(tt), Some(fsr)) = (after("Unhandled trap: "), after("fsr: ")) {
            return format!("QEMU: trap {tt}, fsr {fsr}");
        }
        match self.child.wait() {
            Ok(status) => format!("QEMU: {status}"),
            Err(error) => format!("QEMU: {error}"),
        }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // It may be in an endless loop of a case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
