//! The manager's commands by name: their aliases and their synopses.
//!
//! **Shapes.** A command is a verb and a noun. `remove` may be `rm`, `list` may be
//! `ls`, a noun may be one of its short forms, and some commands have a word of their
//! own.

/// Nouns and their short forms.
const NOUNS: [(&str, &[&str]); 16] = [
    ("domain", &["dom"]),
    ("vcpu", &["cpu"]),
    ("crypto", &["mau"]),
    ("memory", &["mem"]),
    ("variable", &["var"]),
    ("vnet", &["if"]),
    ("vsw", &["vswitch"]),
    ("vds", &["vdiskserver"]),
    ("vdsdev", &["vdiskserverdevice"]),
    ("vdisk", &["disk"]),
    ("vcc", &["vconscon"]),
    ("vcons", &["console"]),
    ("bindings", &["bind"]),
    ("services", &["serv"]),
    ("constraints", &["cons"]),
    ("devices", &["dev"]),
];

/// Commands that have a word of their own.
const SHORT: [(&str, &str); 12] = [
    ("ls", "list-domain"),
    ("list", "list-domain"),
    ("create", "add-domain"),
    ("destroy", "remove-domain"),
    ("modify", "set-domain"),
    ("cancel-op", "cancel-operation"),
    ("bind", "bind-domain"),
    ("unbind", "unbind-domain"),
    ("start", "start-domain"),
    ("stop", "stop-domain"),
    ("panic", "panic-domain"),
    ("migrate", "migrate-domain"),
];

/// Resources (aliases) with their verbs' synopses.
const SYNOPSES: &[(&str, &[&str])] = &[
    (
        "domain ( dom )",
        &[
            "add-domain [mac-addr=<num>] [hostid=<num>] [failure-policy=ignore|panic|reset|stop] \
             [master=<master-ldom1,...>] [uuid=<uuid>] <ldom>",
            "add-domain <ldom>...",
            "set-domain [mac-addr=<num>] [hostid=<num>] \
             [failure-policy=ignore|panic|reset|stop] [master=[<master-ldom1,...>]] <ldom>",
            "remove-domain (-a | <ldom>...)",
            "list-domain [-e] [-l] [-o <format>] [-p] [<ldom>...]",
            "start-domain (-a | <ldom>...)",
            "stop-domain [-f] (-a | <ldom>...)",
            "bind-domain <ldom>",
            "unbind-domain <ldom>",
            "panic-domain <ldom>",
            "migrate-domain [-f] [-n] [-p <password-file>] <source-ldom> \
             [<user>@]<target-host>[:<target-ldom>]",
            "cancel-operation migration <ldom>",
            "complete-operation -f migration <ldom>",
        ],
    ),
    (
        "vcpu ( cpu )",
        &["add-vcpu <number> <ldom>", "set-vcpu <number> <ldom>", "remove-vcpu <number> <ldom>"],
    ),
    (
        "crypto ( mau )",
        &[
            "add-crypto <number> <ldom>",
            "set-crypto [-f] <number> <ldom>",
            "remove-crypto [-f] <number> <ldom>",
        ],
    ),
    (
        "memory ( mem )",
        &[
            "add-memory [--auto-adj] <number>[GMK] <ldom>",
            "set-memory [--auto-adj] <number>[GMK] <ldom>",
            "remove-memory [--auto-adj] <number>[GMK] <ldom>",
        ],
    ),
    (
        "vsw ( vswitch )",
        &[
            "add-vsw [default-vlan-id=<vid>] [pvid=<pvid>] [vid=<vid1,...>] [mac-addr=<num>] \
             [net-dev=<device>] [mtu=<size>] [id=<switchid>] <vswitch_name> <ldom>",
            "remove-vsw [-f] <vswitch_name>",
        ],
    ),
    (
        "vnet ( if )",
        &[
            "add-vnet [mac-addr=<num>] [pvid=<pvid>] [vid=<vid1,...>] [id=<netid>] [mtu=<size>] \
             <if_name> <vswitch_name> <ldom>",
            "set-vnet [mac-addr=<num>] [vswitch=<vswitch_name>] [pvid=<pvid>] [vid=[<vid1,...>]] \
             [mtu=<size>] <if_name> <ldom>",
            "remove-vnet [-f] <if_name> <ldom>",
        ],
    ),
    ("vds ( vdiskserver )", &["add-vds <service_name> <ldom>", "remove-vds [-f] <service_name>"]),
    (
        "vdsdev ( vdiskserverdevice )",
        &[
            "add-vdsdev [-f] [-q] [options={ro,slice,excl}] [mpgroup=<mpgroup>] <backend> \
             <volume_name>@<service_name>",
            "set-vdsdev [-f] options=[{ro,slice,excl}] [mpgroup=<mpgroup>] \
             <volume_name>@<service_name>",
            "remove-vdsdev [-f] <volume_name>@<service_name>",
        ],
    ),
    (
        "vdisk ( disk )",
        &[
            "add-vdisk [timeout=<seconds>] [id=<diskid>] <disk_name> \
             <volume_name>@<service_name> <ldom>",
            "set-vdisk [timeout=<seconds>] [volume=<volume_name>@<service_name>] <disk_name> \
             <ldom>",
            "remove-vdisk [-f] <disk_name> <ldom>",
        ],
    ),
    (
        "vcc ( vconscon )",
        &[
            "add-vcc port-range=<x>-<y> <vcc_name> <ldom>",
            "set-vcc port-range=<x>-<y> <vcc_name>",
            "remove-vcc [-f] <vcc_name>",
        ],
    ),
    (
        "vcons ( console )",
        &["set-vcons [port=[<port-num>]] [group=<group>] [service=<vcc_server>] <ldom>"],
    ),
    (
        "variable ( var )",
        &[
            "add-variable <var_name>=[<value>]... <ldom>",
            "set-variable <var_name>=[<value>]... <ldom>",
            "remove-variable <var_name>... <ldom>",
            "list-variable [<var_name>...] <ldom>",
        ],
    ),
    (
        "lists",
        &[
            "list-bindings [-e] [-p] [<ldom>...]",
            "list-services [-e] [-p] [<ldom>...]",
            "list-constraints [-e] [-p] [<ldom>...]",
            "list-devices [-a] [-p] [core] [cpu] [crypto] [memory] [io]",
        ],
    ),
];

/// The full name of a verb that an operator wrote.
#[must_use]
pub fn full_name(word: &str) -> Option<String> {
    if let Some(&(_, full)) = SHORT.iter().find(|(short, _)| *short == word) {
        return Some(full.to_owned());
    }
    let (verb, noun) = word.split_once('-')?;
    let verb = match verb {
        "rm" => "remove",
        "ls" => "list",
        other => other,
    };
    let alias = NOUNS.iter().find(|(_, short)| short.contains(&noun));
    let full = format!("{verb}-{}", alias.map_or(noun, |(full, _)| *full));
    let known = synopses().any(|synopsis| synopsis.split(' ').next() == Some(&full));
    known.then_some(full)
}

/// Every command's synopsis.
pub(super) fn synopses() -> impl Iterator<Item = &'static str> {
    SYNOPSES.iter().flat_map(|(_, list)| list.iter().copied())
}

/// What `ldm --help [verb]` prints.
#[must_use]
pub fn help(verb: Option<&str>) -> Option<String> {
    let mut text = String::from("Usage:\n");
    if let Some(verb) = verb {
        let full = full_name(verb)?;
        for line in synopses().filter(|line| line.split(' ').next() == Some(&full)) {
            text.push_str(&format!("        ldm {line}\n"));
        }
        return Some(text);
    }
    text.push_str("        ldm [--help] command [options] [properties] operands\n\n");
    text.push_str("        ldm -V\n\n");
    text.push_str("Command(s) for each resource (aliases in parens):\n");
    for (resource, list) in SYNOPSES {
        text.push_str(&format!("\n    {resource}\n"));
        for line in *list {
            text.push_str(&format!("        {line}\n"));
        }
    }
    Some(text)
}

#[cfg(test)]
mod test {
    use super::{full_name, help};

    #[test]
    fn every_alias_names_its_command() {
        for (word, full) in [
            ("list", "list-domain"),
            ("ls", "list-domain"),
            ("ls-dom", "list-domain"),
            ("create", "add-domain"),
            ("destroy", "remove-domain"),
            ("modify", "set-domain"),
            ("bind", "bind-domain"),
            ("bind-dom", "bind-domain"),
            ("unbind-dom", "unbind-domain"),
            ("start", "start-domain"),
            ("stop-dom", "stop-domain"),
            ("panic", "panic-domain"),
            ("migrate", "migrate-domain"),
            ("migrate-dom", "migrate-domain"),
            ("cancel-op", "cancel-operation"),
            ("ls-bind", "list-bindings"),
            ("ls-bindings", "list-bindings"),
            ("ls-serv", "list-services"),
            ("ls-cons", "list-constraints"),
            ("ls-dev", "list-devices"),
            ("rm-vdsdev", "remove-vdsdev"),
            ("add-mem", "add-memory"),
            ("set-mau", "set-crypto"),
            ("set-console", "set-vcons"),
            ("add-if", "add-vnet"),
            ("add-vswitch", "add-vsw"),
            ("add-vdiskserverdevice", "add-vdsdev"),
            ("ls-var", "list-variable"),
        ] {
            assert_eq!(full_name(word).as_deref(), Some(full), "{word}");
        }
        for word in ["", "lis", "add", "add-x", "list-x", "rm", "remove-vcons-x", "migrate-vsw"] {
            assert_eq!(full_name(word), None, "{word}");
        }
    }

    #[test]
    fn help_names_every_command_once() {
        let all = help(None).unwrap();
        assert!(all.contains("        migrate-domain [-f] [-n] "));
        assert!(help(Some("ls")).unwrap().starts_with("Usage:\n        ldm list-domain "));
        assert_eq!(help(Some("x")), None);
    }
}
