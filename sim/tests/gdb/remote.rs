//! `ldomlab` before a debugger, and a debugger made of packets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// `ldomlab` that waits for a debugger.
pub struct Server {
    child: Child,
    /// Where.
    pub address: String,
    errors: BufReader<std::process::ChildStderr>,
}

impl Server {
    /// Starts it with these arguments and `--gdb 0`.
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ldomlab"))
            .args(args)
            .args(["--gdb", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(line.starts_with("ldomlab: waiting for a debugger on "), "{line}");
        Self { child, address, errors }
    }

    /// Waits for its end.
    pub fn finish(mut self) -> (Option<i32>, String, String) {
        let mut err = String::new();
        self.errors.read_to_string(&mut err).unwrap();
        let Output { status, stdout, .. } = self.child.wait_with_output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), err)
    }
}

/// A debugger.
pub struct Remote(TcpStream);

impl Remote {
    /// Connects.
    pub fn connect(server: &Server) -> Self {
        Self(TcpStream::connect(&server.address).unwrap())
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.0.read_exact(&mut byte).unwrap();
        byte[0]
    }

    /// The next byte that is no acknowledgement of the server's, or the next packet.
    pub fn receive(&mut self) -> String {
        loop {
            match self.byte() {
                b'+' => {}
                b'$' => break,
                other => return char::from(other).to_string(),
            }
        }
        let mut data = Vec::new();
        loop {
            match self.byte() {
                b'#' => break,
                byte => data.push(byte),
            }
        }
        self.byte();
        self.byte();
        self.send(b"+");
        String::from_utf8_lossy(&data).into_owned()
    }

    /// Sends a packet.
    pub fn say(&mut self, data: &str) {
        let sum = data.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte));
        self.send(format!("${data}#{sum:02x}").as_bytes());
    }

    /// Sends a packet and gives the answer.
    pub fn ask(&mut self, data: &str) -> String {
        self.say(data);
        self.receive()
    }
}

/// Is a tool here? Says so when it is not.
pub fn have(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: no {tool}");
    }
    found
}

/// What GDB prints for a list of commands, without a program of its own or with `program`.
pub fn gdb(program: Option<&Path>, commands: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = std::thread::current().name().unwrap_or("gdb").replace("::", "-");
    let script = folder.join(format!("{name}.gdb"));
    let head = "set pagination off\nset confirm off\nset remotetimeout 60\n";
    std::fs::write(&script, format!("{head}{commands}")).unwrap();
    let output = Command::new("gdb-multiarch")
        .args(["-nx", "-batch", "-x"])
        .arg(&script)
        .args(program)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    format!("{text}--- errors\n{errors}")
}
