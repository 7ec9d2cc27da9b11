//! Logs that were cut off, altered and put in another order.

use super::{BODY_BYTES_MAX, DOMAINS_MAX, Damage, EntryV1, State, Store, ticket};
use crate::migrate::mutant::{Mutant, with};
use crate::migrate::port::{Kind, Offer};

fn entry(state: State, uuid: &str, epoch: u64) -> EntryV1 {
    let source = state.is_source();
    let owned = matches!(state, State::Activated | State::Here);
    let offer = Offer {
        name: "rover".into(),
        new_name: None,
        uuid: uuid.into(),
        epoch,
        kind: Kind::Active,
        memory: Vec::new(),
        description: vec![7; 100],
    };
    EntryV1 {
        state,
        migration: [epoch as u8; 16],
        uuid: uuid.into(),
        domain: "rover".into(),
        kind: Kind::Active,
        epoch,
        owned: if owned { epoch + 1 } else { 0 },
        before: 0,
        peer: "t5220".into(),
        ticket: if source { ticket(&[9; 32], &[1; 16]) } else { String::new() },
        digest: [9; 32],
        offer: (!source && !state.is_finished()).then_some(offer),
    }
}

fn store() -> Store {
    let mut store = Store::default();
    for (state, uuid, epoch) in [
        (State::Leaving, "a", 1),
        (State::Commit, "a", 1),
        (State::Reserved, "b", 4),
        (State::Prepared, "b", 4),
        (State::Released, "a", 1),
    ] {
        store.append(entry(state, uuid, epoch)).unwrap();
    }
    store
}

/// The entry that says so may have found no room.
#[test]
fn a_domain_that_leaves_had_arrived() {
    let arrival = |departures: &[(State, u64)]| {
        let mut store = Store::default();
        store.append(entry(State::Activated, "a", 4)).unwrap();
        for &(state, epoch) in departures {
            store.append(entry(state, "a", epoch)).unwrap();
        }
        assert_eq!(Store::open(store.bytes()).unwrap().0, store);
        store.ledger().arrivals().next().unwrap().state
    };
    assert_eq!(arrival(&[]), State::Activated);
    assert_eq!(arrival(&[(State::Leaving, 5)]), State::Here);
    assert_eq!(arrival(&[(State::Leaving, 5), (State::Commit, 5)]), State::Here);
    // What is told of an older departure says nothing of it.
    assert_eq!(arrival(&[(State::Released, 4)]), State::Activated);
}

#[test]
fn a_log_says_the_same_when_it_is_read_again() {
    let store = store();
    let (again, damage) = Store::open(store.bytes()).unwrap();
    assert_eq!((&again, damage), (&store, None));
    let departures: Vec<State> = again.ledger().departures().map(|own| own.state).collect();
    let arrivals: Vec<State> = again.ledger().arrivals().map(|own| own.state).collect();
    assert_eq!((departures, arrivals), (vec![State::Released], vec![State::Prepared]));
    assert_eq!(again.ledger().arrival(&[4; 16]).map(|own| own.state), Some(State::Prepared));
    assert_eq!(again.ledger().arrival(&[1; 16]), None, "that one left");
    assert_eq!((again.ledger().seen("a"), again.ledger().seen("b")), (1, 0));
}

#[test]
fn a_write_that_was_cut_off_anywhere_counts_as_not_written() {
    let store = store();
    let next = entry(State::Activated, "b", 4);
    let whole = store.draft(&next).unwrap().len();
    for part in 1..whole {
        let (read, damage) = Store::open(&store.torn(&next, part)).unwrap();
        assert_eq!(damage, Some(Damage::Torn { entry: 6, bytes: part }));
        assert_eq!(read, store);
    }
    assert_eq!(
        Store::open(&store.torn(&next, 77)).unwrap().1.unwrap().to_string(),
        "entry 6 of the migration journal is torn: 77 bytes of it are there"
    );
}

/// Turns every bit of a log, and counts those that nobody notices.
fn unnoticed(store: &Store) -> usize {
    let mut unnoticed = 0;
    for at in 0..store.bytes().len() {
        for bit in 0..8 {
            let mut bytes = store.bytes().to_vec();
            bytes[at] ^= 1 << bit;
            unnoticed += usize::from(!matches!(Store::open(&bytes), Err(Damage::Altered { .. })));
        }
    }
    unnoticed
}

#[test]
fn every_bit_that_turns_is_noticed_and_named() {
    let store = store();
    assert_eq!(unnoticed(&store), 0);
    let mut bytes = store.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(
        Store::open(&bytes).unwrap_err().to_string(),
        "entry 5 of the migration journal is altered: its digest is another"
    );
}

#[test]
fn mutant_the_digest_of_an_entry_is_not_looked_at() {
    assert!(with(Mutant::DigestOfEntryIgnored, || unnoticed(&store())) > 0);
}

#[test]
fn entries_that_are_missing_doubled_or_in_another_order_are_noticed() {
    let store = store();
    let length = |n: u64| {
        let mut front = Store::default();
        let states = [(State::Leaving, "a", 1), (State::Commit, "a", 1), (State::Reserved, "b", 4)];
        for &(state, uuid, epoch) in states.iter().take(n as usize) {
            front.append(entry(state, uuid, epoch)).unwrap();
        }
        front.bytes().len()
    };
    let (one, two, three) = (length(1), length(2), length(3));
    let bytes = store.bytes();
    let missing = [&bytes[..one], &bytes[two..]].concat();
    let doubled = [&bytes[..two], &bytes[one..]].concat();
    let swapped = [&bytes[..one], &bytes[two..three], &bytes[one..two], &bytes[three..]].concat();
    for bad in [missing, doubled, swapped, bytes[one..].to_vec(), b"LDJ2".to_vec()] {
        assert!(matches!(Store::open(&bad), Err(Damage::Altered { .. })));
    }
}

#[test]
fn entries_that_cannot_be_are_refused() {
    for bad in [
        EntryV1 { epoch: 0, ..entry(State::Leaving, "a", 1) },
        EntryV1 { epoch: !0, ..entry(State::Leaving, "a", 1) },
        EntryV1 { owned: 4, ..entry(State::Here, "a", 4) },
        EntryV1 { owned: 5, ..entry(State::Prepared, "a", 4) },
        EntryV1 { owned: 0, ..entry(State::Activated, "a", 4) },
        EntryV1 { uuid: String::new(), ..entry(State::Commit, "a", 4) },
    ] {
        let mut store = Store::default();
        store.append(bad.clone()).unwrap();
        assert!(Store::open(store.bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_log_that_is_tidied_remembers_what_may_be_asked_for() {
    let mut store = store();
    store.append(entry(State::Here, "c", 8)).unwrap();
    // It is offered once more, and not taken: the epoch that was here stays.
    store.append(entry(State::Gone, "c", 9)).unwrap();
    let (before, bytes) = (store.ledger().clone(), store.bytes().len());
    store.tidy();
    assert!(store.bytes().len() < bytes);
    for uuid in ["a", "b", "c"] {
        assert_eq!(store.ledger().seen(uuid), before.seen(uuid), "{uuid}");
    }
    assert_eq!(store.ledger().seen("c"), 9);
    assert!(store.ledger().arrivals().all(|own| own.offer.is_some() != own.state.is_finished()));
    assert_eq!(Store::open(store.bytes()).unwrap().0, store);
    // It goes on.
    store.append(entry(State::Activated, "b", 4)).unwrap();
    assert_eq!(Store::open(store.bytes()).unwrap().0.ledger().seen("b"), 5);
}

#[test]
fn it_is_bounded() {
    let mut store = Store::default();
    for n in 0..DOMAINS_MAX {
        store.append(entry(State::Gone, &n.to_string(), 3)).unwrap();
    }
    let more = entry(State::Reserved, "x", 3);
    assert_eq!(store.append(more), Err(Damage::Full));
    assert_eq!(store.append(entry(State::Reserved, "7", 4)), Ok(()));
    let mut long = entry(State::Reserved, "7", 5);
    long.offer.as_mut().unwrap().description = vec![0; BODY_BYTES_MAX];
    assert!(matches!(store.append(long), Err(Damage::TooLong(_))));
    for _ in 0..5000 {
        store.append(entry(State::Prepared, "7", 4)).unwrap();
    }
    assert!(store.bytes().len() < 2 << 20);
    assert!(Store::open(store.bytes()).is_ok());
}

proptest::proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_or_refused(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        at in 0_usize..2000,
    ) {
        let _ = Store::open(&bytes);
        let mut log = store().bytes().to_vec();
        let at = at.min(log.len());
        log.splice(at..at, bytes);
        let _ = Store::open(&log);
    }
}

#[test]
fn a_departure_is_over_once_the_domain_is_offered_here_at_a_newer_epoch() {
    let mut store = Store::default();
    for state in [State::Commit, State::Leaving, State::Off] {
        store.append(entry(state, "one", 3)).unwrap();
        store.append(entry(State::Gone, "other", 9)).unwrap();
        assert_eq!(store.ledger().open_departures().count(), 1, "{state:?}");
    }
    // What came before it left does not count; what comes after does, however far it is.
    store.append(entry(State::Here, "one", 2)).unwrap();
    assert_eq!(store.ledger().open_departures().count(), 1);
    store.append(entry(State::Reserved, "one", 4)).unwrap();
    assert_eq!(store.ledger().open_departures().count(), 0);
}
