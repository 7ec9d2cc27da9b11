//! The control domain's own virtual CPUs and crypto units change while it runs, and so do
//! virtual CPUs of a guest whose system helps.
//!
//! **Rules.** Virtual CPUs have the numbers 0 to n-1. The last ones go first, so the
//! one that the domain's software runs on stays; those that remain keep their strands.
//! New ones get the lowest free strands, in ascending order. A crypto unit can be had
//! for each core with a strand of the domain; with the last of those goes the unit.
//!
//! **Errors.** Sentences for the operator.

use super::refuse;
use crate::manager::domain::Domain;
use crate::manager::model::{Model, Refused};
use crate::manager::place;
use std::collections::BTreeSet;
use sun4v::id::CoreId;

/// Gives the domain so many virtual CPUs.
pub(in crate::manager) fn set_vcpus(
    model: &mut Model,
    name: &str,
    count: u64,
) -> Result<(), Refused> {
    if count == 0 {
        return refuse(format!("LDom {name} runs: its last virtual CPU cannot be removed"));
    }
    let free = place::free_strands(model, name);
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    if wanted > free.len() {
        return Err(vec![place::few_strands(name, wanted, free.len())]);
    }
    let Domain { wish, given, .. } = model.domain_mut(name)?;
    wish.vcpus = count;
    if let Some(given) = given {
        let fresh = free.into_iter().filter(|strand| !given.strands.contains(strand));
        let fresh: Vec<_> = fresh.take(wanted.saturating_sub(given.strands.len())).collect();
        given.strands.truncate(wanted);
        given.strands.extend(fresh);
        let cores: BTreeSet<CoreId> = given.strands.iter().map(|strand| strand.core()).collect();
        let had = given.crypto.len();
        given.crypto.retain(|core| cores.contains(core));
        if given.crypto.len() < had {
            wish.crypto = given.crypto.len() as u64;
        }
    }
    Ok(())
}

/// Gives the domain so many crypto units.
pub(super) fn set_crypto(model: &mut Model, name: &str, count: u64) -> Result<(), Refused> {
    let taken = |core| model.owner_of_crypto(core).is_some_and(|owner| owner.name != name);
    let strands = model.domain(name)?.given.iter().flat_map(|given| &given.strands);
    let cores: BTreeSet<CoreId> =
        strands.map(|strand| strand.core()).filter(|&core| !taken(core)).collect();
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    if wanted > cores.len() {
        return Err(vec![place::few_units(name, wanted, cores.len())]);
    }
    let Domain { wish, given, .. } = model.domain_mut(name)?;
    wish.crypto = count;
    if let Some(given) = given {
        let fresh = cores.into_iter().filter(|core| !given.crypto.contains(core));
        let fresh: Vec<_> = fresh.take(wanted.saturating_sub(given.crypto.len())).collect();
        given.crypto.truncate(wanted);
        given.crypto.extend(fresh);
        given.crypto.sort();
    }
    Ok(())
}

#[cfg(test)]
mod test {
    use crate::manager::Change;
    use crate::manager::testing::Server;
    use crate::migrate::port::{Manager, Status};
    use sun4v::hvmd::CryptoKind;
    use sun4v::id::GuestId;

    /// Strands by virtual CPU, and cores of crypto units, as the hypervisor has them.
    fn own(server: &Server, guest: u8) -> (Vec<u8>, Vec<u8>) {
        let config = &server.hv.config;
        let vcpus = config.vcpus.iter().filter(|vcpu| vcpu.guest == GuestId(guest));
        let mut vcpus: Vec<_> = vcpus.map(|vcpu| (vcpu.vid, vcpu.strand.0)).collect();
        vcpus.sort_unstable();
        let of = |kind| {
            let units = config.crypto.iter().filter(move |unit| unit.kind == kind);
            let units = units.filter(|unit| unit.guest == GuestId(guest));
            units.map(|unit| unit.core.0).collect::<Vec<u8>>()
        };
        assert_eq!(of(CryptoKind::Mau), of(CryptoKind::Cwq));
        (vcpus.into_iter().map(|(_, strand)| strand).collect(), of(CryptoKind::Cwq))
    }

    /// A server with `rover` bound to two cores.
    fn lab() -> Server {
        let mut server = Server::new("t5120");
        for line in [
            "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
            "ldm add-domain rover",
            "ldm add-vcpu 16 rover",
            "ldm add-memory 512M rover",
            "ldm bind rover",
        ] {
            assert_eq!(server.out(line), "", "{line}");
        }
        server.changes.clear();
        server
    }

    #[test]
    fn virtual_cpus_go_from_behind_and_come_on_free_strands() {
        let mut server = lab();
        assert_eq!(own(&server, 0), ((0..16).collect(), vec![0, 1]));
        assert_eq!(own(&server, 1).0, (16..32).collect::<Vec<u8>>());
        assert_eq!(server.out("ldm rm-vcpu 3 primary"), "");
        assert_eq!(own(&server, 0), ((0..13).collect(), vec![0, 1]));
        assert_eq!(server.out("ldm add-vcpu 5 primary"), "");
        assert_eq!(own(&server, 0).0, [(0..16).collect::<Vec<u8>>(), vec![32, 33]].concat());
        let md = server.hv.guest_md(0);
        assert_eq!(md.named("cpu").count(), 18);
        // The strands of rover are free again; those that are had stay where they are.
        server.out("ldm unbind rover");
        server.out("ldm set-vcpu 19 primary");
        assert_eq!(own(&server, 0).0, [(0..16).collect(), vec![32, 33, 16]].concat());
        server.out("ldm set-vcpu 64 primary");
        assert_eq!(own(&server, 0).0.len(), 64);
        server.out("ldm set-vcpu 1 primary");
        assert_eq!(own(&server, 0), (vec![0], vec![0]));
    }

    #[test]
    fn crypto_units_come_and_go_with_the_cores() {
        let mut server = lab();
        assert_eq!(server.out("ldm set-mau 0 primary"), "");
        assert!(own(&server, 0).1.is_empty());
        assert_eq!(server.hv.guest_md(0).named("exec-unit").count(), 2 + 4);
        server.out("ldm add-crypto 1 primary");
        assert_eq!(own(&server, 0).1, [0]);
        server.out("ldm add-crypto 1 primary");
        server.out("ldm rm-crypto -f 1 primary");
        assert_eq!(own(&server, 0).1, [0]);
        server.out("ldm set-crypto 2 primary");
        let said = server.out("ldm set-vcpu 4 primary");
        assert_eq!(said, "1 crypto unit of LDom primary is removed with its core\n");
        assert_eq!(own(&server, 0), (vec![0, 1, 2, 3], vec![0]));
        // It does not come back by itself.
        server.out("ldm set-vcpu 16 primary");
        assert_eq!(own(&server, 0).1, [0]);
        insta::assert_snapshot!(server.session(&[
            "ldm list primary",
            "ldm list -o cpu,crypto -p primary",
            "ldm list-constraints -p primary",
        ]));
    }

    #[test]
    fn units_are_closed_before_and_opened_after_whatever_comes_of_it() {
        let brackets = [Change::CloseUnits, Change::OpenUnits];
        let mut server = lab();
        server.out("ldm set-vcpu 4 primary");
        assert_eq!(std::mem::take(&mut server.changes), brackets);
        server.out("ldm set-vcpu 4 primary");
        assert_eq!(server.changes, [], "nothing changes");
        let before = server.hv.config.clone();
        server.hv.refuse = true;
        server.err("ldm set-vcpu 8 primary");
        assert_eq!(std::mem::take(&mut server.changes), brackets);
        server.hv.broken = true;
        server.err("ldm set-crypto 0 primary");
        assert_eq!(std::mem::take(&mut server.changes), brackets);
        server.hv.broken = false;
        server.closes = Some(Err("it burns".into()));
        assert_eq!(server.err("ldm set-crypto 0 primary"), "it burns\n");
        assert_eq!(std::mem::take(&mut server.changes), brackets);
        assert_eq!(server.hv.config, before);
        assert!(server.out("ldm list -p primary").contains("|ncpu=4|"));

        // Nothing happens, and nobody else is served, until they are closed.
        server.closes = None;
        let id = server.types("ldm set-crypto 0 primary");
        let list = server.types("ldm list");
        assert!(server.desk.replies.is_empty());
        assert_eq!((&server.hv.config, &server.changes[..]), (&before, &brackets[..1]));
        server.manager.units_closed(&mut server.desk, &mut server.hv, Ok(()));
        server.pump();
        assert_eq!(server.changes, brackets);
        assert!(own(&server, 0).1.is_empty());
        assert!(server.desk.replies.contains_key(&id) && server.desk.replies.contains_key(&list));
        // Said once more, it means nothing.
        server.manager.units_closed(&mut server.desk, &mut server.hv, Ok(()));
        server.pump();
        assert_eq!(server.changes, brackets);
    }

    #[test]
    fn a_lost_session_leaves_no_doubt_about_units() {
        for taken in [true, false] {
            let mut server = lab();
            server.hv.loses = Some(taken);
            assert_eq!(server.run("ldm set-vcpu 4 primary").status, u8::from(!taken));
            assert_eq!(own(&server, 0).0.len(), if taken { 4 } else { 16 });
            assert_eq!(server.changes, [Change::CloseUnits, Change::OpenUnits]);
        }
    }

    #[test]
    fn what_the_control_domain_cannot_have_is_refused() {
        let mut server = lab();
        let mut text = String::new();
        let mut refused = |server: &mut Server, lines: &[&str]| {
            for line in lines {
                text.push_str(&format!("# {line}\n{}", server.err(line)));
            }
        };
        let lines = [
            "ldm set-vcpu 0 primary",
            "ldm rm-vcpu 16 primary",
            "ldm rm-vcpu 17 primary",
            "ldm set-vcpu 49 primary",
            "ldm add-vcpu 33 primary",
            "ldm add-vcpu 18446744073709551615 primary",
            "ldm set-crypto 3 primary",
            "ldm add-mau 1 primary",
            "ldm rm-mau 3 primary",
            "ldm set-memory 8G primary",
            "ldm set-domain mac-addr=00:14:4f:fc:00:01 primary",
        ];
        let before = server.hv.config.clone();
        refused(&mut server, &lines);
        // A unit that a guest took meanwhile.
        for line in [
            "ldm set-vcpu 12 primary",
            "ldm set-crypto 0 primary",
            "ldm unbind rover",
            "ldm set-vcpu 52 rover",
            "ldm set-crypto 7 rover",
            "ldm bind rover",
        ] {
            server.out(line);
        }
        assert_eq!(own(&server, 1).1, [1, 2, 3, 4, 5, 6, 7]);
        refused(&mut server, &["ldm add-vcpu 1 primary", "ldm set-crypto 2 primary"]);
        server.out("ldm start rover");
        server.out("ldm set-crypto 1 primary");
        refused(&mut server, &["ldm set-vcpu 4 rover", "ldm set-crypto 0 rover"]);
        // While a domain moves.
        let status = Status { source: true, peer: "t5220".into(), percent: 3, doubtful: false };
        server.port().0.status("rover", Some(status));
        let lines =
            ["ldm set-vcpu 4 primary", "ldm add-crypto 1 primary", "ldm set-crypto 0 primary"];
        server.changes.clear();
        refused(&mut server, &lines);
        assert_eq!(server.changes, []);
        server.port().0.status("rover", None);
        server.out("ldm set-crypto 0 primary");
        assert_ne!(server.hv.config, before);
        insta::assert_snapshot!(text);
    }
}
