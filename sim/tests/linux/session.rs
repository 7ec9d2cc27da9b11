//! A guest under `ldomlab boot`, and somebody who types and reads.

use super::{Guest, ldomlab};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a word may be waited for: the machines that run this are slow and shared.
const PATIENCE: Duration = Duration::from_secs(120);

/// `ldomlab boot`, in step with the host's time.
pub fn boot() -> Command {
    let mut command = Command::new(ldomlab());
    command.args(["boot", "--pace", "on"]);
    command
}

/// `ldomlab boot` with Linux put beside the firmware.
pub fn boot_linux(guest: &Guest, append: &str) -> Command {
    let mut command = boot();
    command.arg("--kernel").arg(&guest.kernel).arg("--initrd").arg(&guest.initrd);
    command.args(["--append", &format!("console=ttyHV0 {append}")]);
    command
}

/// A running guest.
pub struct Session {
    child: Child,
    input: Option<Box<dyn Write>>,
    output: Receiver<Vec<u8>>,
    /// Everything so far.
    pub text: String,
    /// How much of it was looked at.
    read: usize,
}

impl Session {
    /// Starts Linux with these options beside kernel and RAM disk.
    pub fn linux(guest: &Guest, append: &str, options: &[&str]) -> Self {
        Self::start(boot_linux(guest, append).args(options))
    }

    /// Starts a command whose output is read.
    pub fn start(command: &mut Command) -> Self {
        let mut session = Self::spawn(command.stdin(Stdio::piped()));
        session.input = session.child.stdin.take().map(|pipe| Box::new(pipe) as Box<dyn Write>);
        session
    }

    /// Starts a command with a person at its terminal; what it says is read all the same.
    pub fn at_a_terminal(command: &mut Command) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let program = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut session = Self::spawn(command.stdin(program));
        session.input = Some(Box::new(File::from(person)));
        session
    }

    /// What it says and what it complains of come by one pipe, so in its own order.
    fn spawn(command: &mut Command) -> Self {
        let (mut pipe, writer) = std::io::pipe().unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = command.spawn().unwrap();
        // The command would keep its ends of the pipe.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, input: None, output, text: String::new(), read: 0 }
    }

    /// Takes in what has come, waiting for it no longer than `until`; false at the end.
    fn take(&mut self, until: Instant) -> bool {
        match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
            Err(_) => return false,
        }
        true
    }

    /// Waits for a text, and gives what came before it since the last.
    pub fn expect(&mut self, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text[self.read..].find(wanted) {
                let before = self.text[self.read..self.read + at].to_owned();
                self.read += at + wanted.len();
                return before;
            }
            if !self.take(until) {
                let from = self.text.len().saturating_sub(4000);
                let tail: String = self.text.chars().skip(from).collect();
                panic!("`{wanted}` did not come; the end of what did:\n{tail}");
            }
        }
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).unwrap();
    }

    /// Waits for the guest's shell.
    pub fn shell(&mut self) {
        self.expect("guest: Linux");
        self.expect("# ");
    }

    /// Gives the shell a command; what it printed, and its exit status.
    pub fn ask(&mut self, command: &str) -> (String, i32) {
        // What is typed is echoed, so what marks begin and end is not typed as it is printed.
        self.send(&format!("echo be''gin; {command}; echo en''d:$?:\n"));
        self.expect("begin\r\n");
        let printed = self.expect("end:").replace('\r', "");
        let status = self.expect(":").parse().expect("a status");
        (printed.trim_end().to_owned(), status)
    }

    /// Gives the shell a command that must succeed; what it printed.
    pub fn done(&mut self, command: &str) -> String {
        let (printed, status) = self.ask(command);
        assert_eq!(status, 0, "{command}: {printed}");
        printed
    }

    /// Waits for the end; the exit status.
    pub fn end(mut self) -> (i32, String) {
        let until = Instant::now() + PATIENCE;
        while self.take(until) {}
        drop(self.input.take());
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), std::mem::take(&mut self.text))
    }

    /// Ends it as a machine ends whose power goes.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::take(&mut self.text)
    }

    /// CPU time of the command so far.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
