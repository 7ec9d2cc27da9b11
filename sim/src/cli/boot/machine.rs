//! The machine that `boot` starts: a chassis with a control domain and one guest, as a
//! scenario; and the files that it is given.
//!
//! **Shapes.** The scenario's script is what an operator types at the control domain:
//! services, then the domain with its resources, then `bind-domain` and `start-domain`.
//!
//! **Errors.** A file that cannot be read, or is another than it was; what a scenario
//! refuses.

use super::{CHASSIS, GUEST, NETWORK};
use crate::chassis::rom::built_in;
use crate::hostnet::conf::MTU_DEFAULT;
use crate::lab::scenario::{Chassis, GuestImage, Scenario};
use crate::outside::tape::Given;
use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;

/// What the machine consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What the guest starts from.
    pub image: GuestImage,
    /// Its virtual CPUs.
    pub vcpus: usize,
    /// Its memory.
    pub memory: u64,
    /// Its crypto units.
    pub crypto: usize,
    /// Variables of its firmware: name, value.
    pub variables: Vec<(String, String)>,
    /// Its disks: path of a file of the host, and whether it takes no writes.
    pub disks: Vec<(String, bool)>,
    /// It has a network interface, whose packets have this many bytes at most.
    pub network: Option<u16>,
    /// What looks like chance comes of it.
    pub seed: u64,
}

/// Virtual CPUs and memory of the control domain.
const PRIMARY: (usize, u64) = (8, 1 << 30);
/// Strands of a chassis, and of one with the core that a lab may add.
const STRANDS: [usize; 2] = [64, 72];
/// Disks that a guest may have.
const DISKS_MAX: usize = 8;
const GB: u64 = 1 << 30;
const MB: u64 = 1 << 20;

/// What a disk of the chassis is called.
fn disk(number: usize) -> String {
    format!("c0t{number}d0")
}

/// A string as it stands in TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Machine {
    /// Its scenario.
    ///
    /// # Errors
    /// More than a chassis has, or a name that cannot be typed.
    pub fn scenario(&self) -> anyhow::Result<String> {
        let Self { image, vcpus, memory, crypto, variables, disks, network, seed } = self;
        let [usual, most] = STRANDS.map(|strands| strands - PRIMARY.0);
        ensure!((1..=most).contains(vcpus), "--vcpus {vcpus}: a guest has 1 to {most}");
        ensure!(memory % MB == 0 && *memory > 0, "--memory: a whole number of megabytes");
        ensure!(disks.len() <= DISKS_MAX, "--disk: a guest has {DISKS_MAX} at most");
        // Beside the guest there are the control domain and the hypervisor, and gaps.
        let chassis = (memory.div_ceil(GB) + 2).max(4);
        ensure!(chassis <= 64, "--memory: a guest has 62G at most");
        let mut lines = Vec::new();
        let mut say = |line: String| lines.push(line);
        say("ldm add-vcc port-range=5000-5000 primary-vcc0 primary".to_owned());
        if !disks.is_empty() {
            say("ldm add-vds primary-vds0 primary".to_owned());
        }
        for (number, (_, read_only)) in disks.iter().enumerate() {
            let options = if *read_only { "options=ro " } else { "" };
            let device = format!("/dev/dsk/{}s2", disk(number));
            say(format!("ldm add-vdsdev {options}{device} disk{number}@primary-vds0"));
        }
        let mtu = network.filter(|mtu| *mtu != MTU_DEFAULT);
        let frames = mtu.map(|mtu| format!("mtu={mtu} ")).unwrap_or_default();
        if network.is_some() {
            say(format!("ldm add-vsw net-dev=e1000g0 {frames}primary-vsw0 primary"));
        }
        say(format!("ldm add-domain {GUEST}"));
        say(format!("ldm add-vcpu {vcpus} {GUEST}"));
        say(format!("ldm add-memory {}M {GUEST}", memory / MB));
        if *crypto > 0 {
            say(format!("ldm add-crypto {crypto} {GUEST}"));
        }
        for number in 0..disks.len() {
            say(format!("ldm add-vdisk vdisk{number} disk{number}@primary-vds0 {GUEST}"));
        }
        if network.is_some() {
            say(format!("ldm add-vnet {frames}vnet0 primary-vsw0 {GUEST}"));
        }
        for (name, value) in variables {
            let plain = |c: char| c.is_ascii_graphic() && !"'\"\\`$".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                bail!("--variable {name}={value}: no name of a variable");
            }
            if !value.chars().all(|c| plain(c) || c == ' ') {
                bail!("--variable {name}={value}: characters that cannot be typed");
            }
            say(format!("ldm set-variable '{name}={value}' {GUEST}"));
        }
        say(format!("ldm bind-domain {GUEST}"));
        say(format!("ldm start-domain {GUEST}"));
        let mut text = format!(
            "name = \"boot\"\nseed = {seed}\n\n[networks.{NETWORK}]\n{}\n\
             [chassis.{CHASSIS}]\nmodel = \"t5120\"\nmemory = \"{chassis}G\"\n\
             primary = {{ vcpus = {}, memory = \"{}G\", crypto = 1 }}\n\
             addresses = {{ {NETWORK} = \"169.254.51.20\" }}\n\n\
             [chassis.{CHASSIS}.guests.{GUEST}]\nfirmware = {}\n",
            mtu.map(|mtu| format!("mtu = {mtu}\n")).unwrap_or_default(),
            PRIMARY.0,
            PRIMARY.1 / GB,
            quoted(&image.firmware),
        );
        // Writing to a string cannot fail.
        for (key, file) in [("kernel", &image.kernel), ("initrd", &image.initrd)] {
            if let Some(file) = file {
                let _ = writeln!(text, "{key} = {}", quoted(file));
            }
        }
        if !image.append.is_empty() {
            let _ = writeln!(text, "append = {}", quoted(&image.append));
        }
        if *vcpus > usual {
            text = text.replacen("model = ", "cores = 9\nmodel = ", 1);
        }
        if !disks.is_empty() {
            let _ = writeln!(text, "\n[chassis.{CHASSIS}.local_disks]");
        }
        for (number, (file, read_only)) in disks.iter().enumerate() {
            let (name, file) = (disk(number), quoted(file));
            let _ = writeln!(text, "{name} = {{ file = {file}, read_only = {read_only} }}");
        }
        for line in lines {
            let _ = write!(text, "\n[[script]]\nrun = {}\n", quoted(&format!("{CHASSIS}# {line}")));
        }
        Ok(text)
    }
}

/// The place of a file in a scenario, by its role.
fn place<'a>(scenario: &'a mut Scenario, role: &str) -> Option<&'a mut String> {
    let chassis = scenario.chassis.get_mut(CHASSIS)?;
    if let Some(name) = role.strip_prefix("disk ") {
        return Some(&mut chassis.local_disks.get_mut(name)?.file);
    }
    let image = chassis.guests.get_mut(GUEST)?;
    match role {
        "firmware" => Some(&mut image.firmware),
        "kernel" => image.kernel.as_mut(),
        "initrd" => image.initrd.as_mut(),
        _ => None,
    }
}

/// The files that a scenario names: role, path.
fn named(chassis: &Chassis) -> Vec<(String, &str)> {
    let Some(image) = chassis.guests.get(GUEST) else { return Vec::new() };
    let mut files = vec![("firmware".to_owned(), image.firmware.as_str())];
    files.extend(image.kernel.as_deref().map(|path| ("kernel".to_owned(), path)));
    files.extend(image.initrd.as_deref().map(|path| ("initrd".to_owned(), path)));
    let disks = chassis.local_disks.iter();
    files.extend(disks.map(|(name, disk)| (format!("disk {name}"), disk.file.as_str())));
    files
}

/// A file with its digest.
fn given(role: &str, path: &str) -> anyhow::Result<Given> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    if let Some(image) = built_in(path).filter(|_| role == "firmware") {
        hash.update(image);
        bytes = image.len() as u64;
    } else {
        let mut file = File::open(path).with_context(|| path.to_owned())?;
        let mut piece = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut piece).with_context(|| path.to_owned())?;
            if read == 0 {
                break;
            }
            hash.update(&piece[..read]);
            bytes += read as u64;
        }
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Given { role: role.to_owned(), path: path.to_owned(), bytes, sha256 })
}

/// All files that a scenario names, with their digests.
///
/// # Errors
/// One cannot be read.
pub fn files(scenario: &Scenario) -> anyhow::Result<Vec<Given>> {
    let chassis = scenario.chassis.get(CHASSIS).into_iter();
    chassis.flat_map(named).map(|(role, path)| given(&role, path)).collect()
}

/// Looks whether the files of a run are still what they were. `moved` says where those
/// are, by role, that are somewhere else now.
///
/// # Errors
/// One is not; its path and its role are named.
pub fn same_files(
    scenario: &mut Scenario,
    files: &[Given],
    moved: &[(String, &str)],
) -> anyhow::Result<()> {
    for was in files {
        let now = moved.iter().find(|(role, _)| *role == was.role).map_or(&*was.path, |now| now.1);
        let is = given(&was.role, now)?;
        ensure!(
            (is.bytes, &is.sha256) == (was.bytes, &was.sha256),
            "{now}: not the {} of the run, which had {} bytes and the SHA-256 {}",
            was.role,
            was.bytes,
            was.sha256
        );
        let place = place(scenario, &was.role);
        *place.with_context(|| format!("no place for a file `{}`", was.role))? = now.to_owned();
    }
    for (role, path) in moved {
        let known = files.iter().any(|was| was.role == *role);
        ensure!(known, "{path}: the run had no {role}");
    }
    Ok(())
}

#[cfg(test)]
mod test {
    use super::{Machine, files, same_files};
    use crate::lab::scenario::{GuestImage, Scenario};

    fn machine() -> Machine {
        Machine {
            image: GuestImage::default(),
            vcpus: 2,
            crypto: 0,
            memory: 512 << 20,
            variables: Vec::new(),
            disks: Vec::new(),
            network: None,
            seed: 1,
        }
    }

    #[test]
    fn a_machine_is_a_scenario() {
        let image = GuestImage {
            kernel: Some("a \"kernel\"".to_owned()),
            initrd: Some("initrd.gz".to_owned()),
            append: "console=ttyHV0 quiet".to_owned(),
            ..GuestImage::default()
        };
        let variables = vec![("boot-device".to_owned(), "vdisk0 vnet0".to_owned())];
        let memory = 8 << 30;
        let disks = vec![("root.img".to_owned(), false), ("cd.iso".to_owned(), true)];
        let machine = Machine {
            vcpus: 64,
            disks,
            image: image.clone(),
            variables,
            network: Some(1500),
            memory,
            ..machine()
        };
        let text = machine.scenario().unwrap();
        insta::assert_snapshot!(text);
        let scenario = Scenario::parse(&text, "boot", &[]).unwrap();
        assert_eq!(scenario.chassis["t5120"].guests["guest"], image);
    }

    #[test]
    fn what_a_chassis_does_not_have_is_refused() {
        let why = |machine: Machine| machine.scenario().unwrap_err().to_string();
        assert_eq!(why(Machine { vcpus: 65, ..machine() }), "--vcpus 65: a guest has 1 to 64");
        assert!(why(Machine { memory: 1000, ..machine() }).starts_with("--memory: a whole"));
        assert!(why(Machine { memory: 63 << 30, ..machine() }).contains("62G at most"));
        let variables = vec![("a".to_owned(), "x'; ldm list".to_owned())];
        assert!(why(Machine { variables, ..machine() }).contains("cannot be typed"));
    }

    #[test]
    fn another_file_is_noticed() {
        let path = std::env::temp_dir().join(format!("ldomlab-firmware-{}", std::process::id()));
        let name = path.to_str().unwrap().to_owned();
        std::fs::write(&path, b"one").unwrap();
        let image = GuestImage { firmware: name.clone(), ..GuestImage::default() };
        let text = Machine { image, ..machine() }.scenario().unwrap();
        let mut scenario = Scenario::parse(&text, "boot", &[]).unwrap();
        let was = files(&scenario).unwrap();
        assert_eq!((was.len(), was[0].bytes, was[0].role.as_str()), (1, 3, "firmware"));
        same_files(&mut scenario, &was, &[]).unwrap();
        std::fs::write(&path, b"two").unwrap();
        let why = same_files(&mut scenario, &was, &[]).unwrap_err().to_string();
        assert!(why.starts_with(&format!("{name}: not the firmware of the run")), "{why}");
        let other = format!("{name}.moved");
        std::fs::write(&other, b"one").unwrap();
        same_files(&mut scenario, &was, &[("firmware".to_owned(), &other)]).unwrap();
        assert_eq!(scenario.chassis["t5120"].guests["guest"].firmware, other);
        assert!(same_files(&mut scenario, &was, &[("kernel".to_owned(), "x")]).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(same_files(&mut scenario, &was, &[]).is_err());
        std::fs::remove_file(&other).unwrap();
        let text = machine().scenario().unwrap();
        let scenario = Scenario::parse(&text, "boot", &[]).unwrap();
        assert!(files(&scenario).unwrap()[0].bytes > 1000, "the firmware that is built in");
    }
}
