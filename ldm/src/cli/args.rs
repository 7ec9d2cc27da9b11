//! From words to a [`Verb`].
//!
//! **Shapes.** `ldm VERB [options] [prop=value ...] operands`. A verb has a full
//! name, `remove` may be `rm` and `list` may be `ls`, and a noun may be one of its
//! short forms.
//!
//! **Errors.** [`Usage`]: text for standard error, with the synopsis of the verb.

use super::size;
use super::synopsis::{full_name, synopses};
use super::verb::{DeviceKind, Edit, Format, How, List, ListKind, Migrate, Props, Verb, Which};
use std::collections::VecDeque;

/// Why words are not a command: lines for standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage(pub Vec<String>);

/// What is left of a command's words, and which command it is.
struct Words {
    verb: String,
    left: VecDeque<String>,
}

impl Words {
    fn usage(&self) -> Usage {
        let mut lines = vec!["Usage:".to_owned()];
        let own = synopses().filter(|line| line.split(' ').next() == Some(&self.verb));
        lines.extend(own.map(|line| format!("        ldm {line}")));
        Usage(lines)
    }

    /// A sentence before the synopsis.
    fn because(&self, why: String) -> Usage {
        let mut usage = self.usage();
        usage.0.insert(0, why);
        usage
    }

    /// Options at the front: letters, with their values where `spec` has a colon.
    fn options(&mut self, spec: &str) -> Result<Vec<(char, String)>, Usage> {
        let mut found = Vec::new();
        while self.left.front().is_some_and(|word| word.len() > 1 && word.starts_with('-')) {
            let word = self.left.pop_front().unwrap_or_default();
            if word == "--auto-adj" && spec.contains('A') {
                found.push(('A', String::new()));
                continue;
            }
            let mut letters = word.chars().skip(1);
            while let Some(letter) = letters.next() {
                let at = spec.find(letter).filter(|_| letter.is_ascii_lowercase());
                let at = at.ok_or_else(|| self.because(format!("Invalid option: {word}")))?;
                let mut value = String::new();
                if spec[at + 1..].starts_with(':') {
                    value = letters.by_ref().collect();
                    if value.is_empty() {
                        value = self.next()?;
                    }
                }
                found.push((letter, value));
            }
        }
        Ok(found)
    }

    fn next(&mut self) -> Result<String, Usage> {
        self.left.pop_front().ok_or_else(|| self.usage())
    }

    fn last(&mut self) -> Result<String, Usage> {
        let word = self.next()?;
        self.end()?;
        Ok(word)
    }

    fn end(&self) -> Result<(), Usage> {
        if self.left.is_empty() { Ok(()) } else { Err(self.usage()) }
    }

    fn some(&mut self) -> Result<Vec<String>, Usage> {
        if self.left.is_empty() { Err(self.usage()) } else { Ok(self.left.drain(..).collect()) }
    }

    /// Properties at the front, of these names.
    fn props(&mut self, names: &[&str]) -> Result<Props, Usage> {
        let mut props = Props::new();
        while let Some((name, value)) = self.left.front().and_then(|word| word.split_once('=')) {
            if !names.contains(&name) {
                return Err(self.because(format!("Unknown property: {name}")));
            }
            props.insert(name.to_owned(), value.to_owned());
            self.left.pop_front();
        }
        Ok(props)
    }

    fn count(&mut self) -> Result<u64, Usage> {
        let word = self.next()?;
        word.parse().map_err(|_| self.because(format!("Invalid number: {word}")))
    }

    /// `VOLUME@SERVER`.
    fn volume(&mut self) -> Result<(String, String), Usage> {
        let word = self.next()?;
        match word.split_once('@') {
            Some((volume, server)) if !volume.is_empty() && !server.is_empty() => {
                Ok((volume.to_owned(), server.to_owned()))
            }
            _ => Err(self.because(format!("Invalid volume name: {word}"))),
        }
    }

    fn which(&mut self, all: bool) -> Result<Which, Usage> {
        if all {
            self.end()?;
            return Ok(Which::All);
        }
        Ok(Which::Named(self.some()?))
    }
}

fn has(options: &[(char, String)], letter: char) -> bool {
    options.iter().any(|(own, _)| *own == letter)
}

fn value(options: &[(char, String)], letter: char) -> Option<String> {
    options.iter().rev().find(|(own, _)| *own == letter).map(|(_, value)| value.clone())
}

/// Reads a command; the word `ldm` itself may lead or not.
///
/// # Errors
/// See [`Usage`].
pub fn parse(words: Vec<String>) -> Result<Verb, Usage> {
    let mut left = VecDeque::from(words);
    if left.front().is_some_and(|word| word == "ldm") {
        left.pop_front();
    }
    let Some(first) = left.pop_front() else { return Ok(Verb::Help(None)) };
    match first.as_str() {
        "-V" => return Ok(Verb::Version),
        "-h" | "--help" | "help" => return Ok(Verb::Help(left.pop_front())),
        _ => {}
    }
    let Some(verb) = full_name(&first) else {
        return Err(Usage(vec![format!("Unknown command: {first}"), "Use \"ldm --help\"".into()]));
    };
    let mut words = Words { verb, left };
    let (verb, noun) = words.verb.split_once('-').unwrap_or_default();
    let (verb, noun) = (verb.to_owned(), noun.to_owned());
    match (verb.as_str(), noun.as_str()) {
        ("list", "devices") => list_devices(&mut words),
        ("list", "variable") => {
            let mut names = words.some()?;
            let domain = names.pop().ok_or_else(|| words.usage())?;
            Ok(Verb::ListVariable { names, domain })
        }
        ("list", _) => list(&mut words, &noun),
        ("bind", _) => Ok(Verb::Bind({
            words.options("fq")?;
            words.last()?
        })),
        ("unbind", _) => Ok(Verb::Unbind(words.last()?)),
        ("start", _) => {
            let options = words.options("a")?;
            Ok(Verb::Start(words.which(has(&options, 'a'))?))
        }
        ("stop", _) => {
            let options = words.options("af")?;
            let which = words.which(has(&options, 'a'))?;
            Ok(Verb::Stop { force: has(&options, 'f'), which })
        }
        ("panic", _) => Ok(Verb::Panic(words.last()?)),
        ("migrate", _) => migrate(&mut words),
        ("cancel", _) => match words.next()?.as_str() {
            "migration" => Ok(Verb::CancelMigration(words.last()?)),
            _ => Err(words.usage()),
        },
        ("complete", _) => {
            let force = has(&words.options("f")?, 'f');
            match words.next()?.as_str() {
                "migration" => Ok(Verb::CompleteMigration { force, domain: words.last()? }),
                _ => Err(words.usage()),
            }
        }
        _ => edit(&mut words, &verb, &noun).map(Verb::Edit),
    }
}

fn list(words: &mut Words, noun: &str) -> Result<Verb, Usage> {
    let kind = match noun {
        "bindings" => ListKind::Bindings,
        "services" => ListKind::Services,
        "constraints" => ListKind::Constraints,
        _ => ListKind::Domain,
    };
    let options = words.options(if kind == ListKind::Domain { "elpo:" } else { "ep" })?;
    let mut formats = Vec::new();
    for word in value(&options, 'o').iter().flat_map(|list| list.split(',')) {
        formats.push(match word {
            "domain" => Format::Domain,
            "core" => Format::Core,
            "cpu" => Format::Cpu,
            "crypto" | "mau" => Format::Crypto,
            "memory" | "mem" => Format::Memory,
            "physio" => Format::Physio,
            "resmgmt" => Format::Resmgmt,
            "network" | "net" => Format::Network,
            "disk" => Format::Disk,
            "serial" => Format::Serial,
            "console" => Format::Console,
            "stats" => Format::Stats,
            "status" => Format::Status,
            _ => return Err(words.because(format!("Unknown format: {word}"))),
        });
    }
    Ok(Verb::List(List {
        kind,
        long: has(&options, 'l') || has(&options, 'e'),
        parseable: has(&options, 'p'),
        formats,
        domains: words.left.drain(..).collect(),
    }))
}

fn list_devices(words: &mut Words) -> Result<Verb, Usage> {
    let options = words.options("ap")?;
    let mut kinds = Vec::new();
    while let Some(word) = words.left.pop_front() {
        kinds.push(match word.as_str() {
            "core" => DeviceKind::Core,
            "cpu" | "vcpu" => DeviceKind::Cpu,
            "crypto" | "mau" => DeviceKind::Crypto,
            "mem" | "memory" => DeviceKind::Memory,
            "io" => DeviceKind::Io,
            _ => return Err(words.because(format!("Unknown device type: {word}"))),
        });
    }
    Ok(Verb::ListDevices { all: has(&options, 'a'), parseable: has(&options, 'p'), kinds })
}

fn migrate(words: &mut Words) -> Result<Verb, Usage> {
    let options = words.options("fnp:")?;
    let domain = words.next()?;
    let target = words.last()?;
    let (user, place) = match target.split_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, target.as_str()),
    };
    let (host, new_name) = match place.split_once(':') {
        Some((host, name)) => (host, Some(name.to_owned())),
        None => (place, None),
    };
    if host.is_empty() || new_name.as_ref().is_some_and(String::is_empty) {
        return Err(words.usage());
    }
    Ok(Verb::Migrate(Migrate {
        force: has(&options, 'f'),
        check_only: has(&options, 'n'),
        password_file: value(&options, 'p'),
        domain,
        user,
        host: host.to_owned(),
        new_name,
    }))
}

fn edit(words: &mut Words, verb: &str, noun: &str) -> Result<Edit, Usage> {
    let how = match verb {
        "add" => How::Add,
        "set" => How::Set,
        _ => How::Remove,
    };
    match noun {
        "domain" => edit_domain(words, how),
        "vcpu" => {
            words.options("")?;
            let count = words.count()?;
            Ok(Edit::Vcpu(how, count, words.last()?))
        }
        "crypto" => {
            words.options("f")?;
            let count = words.count()?;
            Ok(Edit::Crypto(how, count, words.last()?))
        }
        "memory" => {
            let options = words.options("A")?;
            let word = words.next()?;
            let mut bytes = size::parse(&word)
                .ok_or_else(|| words.because(format!("Invalid memory size: {word}")))?;
            if has(&options, 'A') {
                const STEP: u64 = 256 << 20;
                bytes = match how {
                    How::Remove => bytes / STEP * STEP,
                    _ => bytes.checked_next_multiple_of(STEP).unwrap_or(bytes),
                };
            }
            Ok(Edit::Memory(how, bytes, words.last()?))
        }
        "variable" => edit_variables(words, how),
        "vcons" => {
            let props = words.props(&["port", "group", "service"])?;
            Ok(Edit::SetConsole { props, domain: words.last()? })
        }
        "vdisk" | "vnet" => edit_device(words, how, noun),
        _ => edit_service(words, how, noun),
    }
}

fn edit_domain(words: &mut Words, how: How) -> Result<Edit, Usage> {
    if how == How::Remove {
        let options = words.options("a")?;
        return Ok(Edit::RemoveDomain(words.which(has(&options, 'a'))?));
    }
    let mut names = vec!["mac-addr", "hostid", "failure-policy", "master"];
    if how == How::Add {
        names.push("uuid");
    }
    let props = words.props(&names)?;
    if how == How::Set {
        return Ok(Edit::SetDomain { props, name: words.last()? });
    }
    let names = words.some()?;
    if names.len() > 1 && !props.is_empty() {
        return Err(words.usage());
    }
    Ok(Edit::AddDomain { names, props })
}

fn edit_variables(words: &mut Words, how: How) -> Result<Edit, Usage> {
    let mut list = words.some()?;
    let domain = list.pop().ok_or_else(|| words.usage())?;
    if list.is_empty() {
        return Err(words.usage());
    }
    if how == How::Remove {
        return Ok(Edit::RemoveVariables { names: list, domain });
    }
    let variables = list
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(words.usage()),
        })
        .collect::<Result<_, _>>()?;
    Ok(Edit::SetVariables { variables, domain })
}

fn edit_device(words: &mut Words, how: How, noun: &str) -> Result<Edit, Usage> {
    if how == How::Remove {
        words.options("f")?;
        let (name, domain) = (words.next()?, words.last()?);
        return Ok(if noun == "vdisk" {
            Edit::RemoveDisk { name, domain }
        } else {
            Edit::RemoveNet { name, domain }
        });
    }
    if noun == "vdisk" {
        if how == How::Set {
            let props = words.props(&["timeout", "volume"])?;
            return Ok(Edit::SetDisk { props, name: words.next()?, domain: words.last()? });
        }
        let props = words.props(&["timeout", "id"])?;
        let name = words.next()?;
        let (volume, server) = words.volume()?;
        return Ok(Edit::AddDisk { props, name, volume, server, domain: words.last()? });
    }
    if how == How::Set {
        let props = words.props(&["mac-addr", "vswitch", "pvid", "vid", "mtu"])?;
        return Ok(Edit::SetNet { props, name: words.next()?, domain: words.last()? });
    }
    let props = words.props(&["mac-addr", "pvid", "vid", "id", "mtu"])?;
    let (name, switch) = (words.next()?, words.next()?);
    Ok(Edit::AddNet { props, name, switch, domain: words.last()? })
}

fn edit_service(words: &mut Words, how: How, noun: &str) -> Result<Edit, Usage> {
    let options = words.options(if noun == "vdsdev" && how == How::Add { "fq" } else { "f" })?;
    let force = has(&options, 'f');
    Ok(match (noun, how) {
        ("vds", How::Add) => Edit::AddServer { name: words.next()?, domain: words.last()? },
        ("vds", _) => Edit::RemoveServer { force, name: words.last()? },
        ("vdsdev", _) => {
            let props = words.props(&["options", "mpgroup"])?;
            let backend = if how == How::Add { words.next()? } else { String::new() };
            let (volume, server) = words.volume()?;
            words.end()?;
            match how {
                How::Add => Edit::AddVolume { force, props, backend, volume, server },
                How::Set => Edit::SetVolume { props, volume, server },
                How::Remove => Edit::RemoveVolume { force, volume, server },
            }
        }
        ("vsw", How::Add) => {
            let names = ["default-vlan-id", "pvid", "vid", "mac-addr", "net-dev", "mtu", "id"];
            let props = words.props(&names)?;
            Edit::AddSwitch { props, name: words.next()?, domain: words.last()? }
        }
        ("vsw", _) => Edit::RemoveSwitch { force, name: words.last()? },
        ("vcc", How::Add) => {
            let props = words.props(&["port-range"])?;
            Edit::AddConcentrator { props, name: words.next()?, domain: words.last()? }
        }
        ("vcc", How::Set) => {
            let props = words.props(&["port-range"])?;
            Edit::SetConcentrator { props, name: words.last()? }
        }
        _ => Edit::RemoveConcentrator { force, name: words.last()? },
    })
}

#[cfg(test)]
mod test {
    use super::super::verb::{Edit, Format, How, List, ListKind, Verb, Which};
    use super::super::words::split;
    use super::parse;

    fn verb(line: &str) -> Verb {
        parse(split(line).unwrap()).unwrap()
    }

    #[test]
    fn options_may_be_joined_and_have_values() {
        let list = |long, parseable, formats: Vec<Format>, domains: &[&str]| {
            Verb::List(List {
                kind: ListKind::Domain,
                long,
                parseable,
                formats,
                domains: domains.iter().map(|&name| name.into()).collect(),
            })
        };
        assert_eq!(verb("ldm list -l -p a b"), list(true, true, vec![], &["a", "b"]));
        assert_eq!(verb("ls -lp"), list(true, true, vec![], &[]));
        let formats = vec![Format::Status, Format::Cpu];
        assert_eq!(verb("ldm list -o status,cpu x"), list(false, false, formats, &["x"]));
        assert_eq!(verb("ldm stop -fa"), Verb::Stop { force: true, which: Which::All });
        let Verb::Migrate(migrate) = verb("ldm migrate -n -p /pw rover root@t5220:r2") else {
            panic!()
        };
        assert!(migrate.check_only && !migrate.force);
        assert_eq!(migrate.password_file.as_deref(), Some("/pw"));
        assert_eq!((migrate.user.as_deref(), migrate.host.as_str()), (Some("root"), "t5220"));
        assert_eq!(migrate.new_name.as_deref(), Some("r2"));
    }

    #[test]
    fn auto_adj_rounds_to_256_megabytes() {
        let memory = |how, bytes| Verb::Edit(Edit::Memory(how, bytes, "d".into()));
        assert_eq!(verb("ldm add-mem --auto-adj 300M d"), memory(How::Add, 512 << 20));
        assert_eq!(verb("ldm rm-mem --auto-adj 300M d"), memory(How::Remove, 256 << 20));
    }

    #[test]
    fn wrong_words_bring_the_synopsis() {
        let lines = |line: &str| parse(split(line).unwrap()).unwrap_err().0.join("\n");
        insta::assert_snapshot!(
            [
                lines("ldm add-vcpu eight rover"),
                lines("ldm add-vcpu 8"),
                lines("ldm frob"),
                lines("ldm list -x"),
                lines("ldm add-vdsdev /a vol"),
                lines("ldm add-vnet colour=red v s d"),
                lines("ldm list -o colour"),
            ]
            .join("\n--\n")
        );
    }
}
