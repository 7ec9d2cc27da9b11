//! How long operations take.

use super::{Ram, WHOLE, auth, chain, cipher, hash, run};
use crate::chip::cwq::rate::{Engine, PEAKS, fetch_cycles, refuse_cycles, work_cycles};
use crate::chip::cwq::{ControlWord, Cwq, Status};
use sun4v::ncs::{Auth, Chaining, CipherKind, Control, HashKind};
use sun4v::time::{SimTime, T2_HZ};

/// The operation that an engine's peak is for.
fn of(engine: Engine, bytes: usize) -> ControlWord {
    let ctr = |kind| cipher(kind, Chaining::Ctr, true, bytes);
    match engine {
        Engine::Rc4 => ctr(CipherKind::Rc4),
        Engine::Des => ctr(CipherKind::Des),
        Engine::TripleDes => ctr(CipherKind::TripleDes),
        Engine::Aes128 => ctr(CipherKind::Aes128),
        Engine::Aes192 => ctr(CipherKind::Aes192),
        Engine::Aes256 => ctr(CipherKind::Aes256),
        Engine::Md5 => hash(HashKind::Md5, bytes),
        Engine::Sha1 => hash(HashKind::Sha1, bytes),
        Engine::Sha256 => hash(HashKind::Sha256, bytes),
        Engine::Memory => auth(Auth::Crc32c, 1, bytes),
    }
}

fn cycles(words: &[ControlWord]) -> u64 {
    let mut unit = Cwq::new(T2_HZ);
    unit.submit(SimTime::ZERO, words);
    let mut last = SimTime::ZERO;
    while let Some(due) = unit.next_due() {
        last = due;
        unit.advance(due, &Ram::new());
    }
    last.ticks(T2_HZ)
}

#[test]
fn full_words_on_eight_units_at_1_4_ghz_come_close_to_the_published_rates() {
    for (engine, gbit) in PEAKS {
        let mut unit = Cwq::new(1_400_000_000);
        unit.submit(SimTime::ZERO, &[of(engine, Control::BYTES_MAX)]);
        let took = unit.next_due().unwrap().as_secs_f64();
        let reached = 8.0 * 8.0 * Control::BYTES_MAX as f64 / took / 1e9;
        let part = reached / gbit as f64;
        assert!((0.99..1.0).contains(&part), "{engine:?}: {reached} of {gbit} Gbit/s");
    }
}

#[test]
fn an_operation_takes_its_words_its_parameters_and_its_work() {
    let aes = of(Engine::Aes256, 1024);
    let one = fetch_cycles(32 + 16) + work_cycles(Engine::Aes256, 1024);
    assert_eq!(cycles(&[aes]), one);
    assert_eq!(cycles(&[aes, aes]), 2 * one, "strictly in order");
    assert_eq!(cycles(&chain(aes, &[24, 500, 500])), one + 2 * fetch_cycles(0));
    // 3 bytes and padding fill a block.
    let sha = fetch_cycles(20) + work_cycles(Engine::Sha1, 64);
    assert_eq!(cycles(&[of(Engine::Sha1, 3)]), sha);
    // Key and data, then key and digest: two blocks each.
    let hmac = fetch_cycles(20 + 20) + work_cycles(Engine::Sha1, 4 * 64);
    assert_eq!(cycles(&[auth(Auth::Hmac(HashKind::Sha1), 20, 3)]), hmac);
    // Secret, pad and data in two blocks; secret, pad and digest too.
    let ssl = fetch_cycles(20 + 20) + work_cycles(Engine::Sha1, 4 * 64);
    assert_eq!(cycles(&[auth(Auth::SslMac(HashKind::Sha1), 20, 3)]), ssl);
    // RC4 reads 258 bytes and, if it keeps its state, writes them.
    let once = fetch_cycles(258) + work_cycles(Engine::Rc4, 64);
    assert_eq!(cycles(&[cipher(CipherKind::Rc4Once, Chaining::Ecb, true, 64)]), once);
    assert_eq!(cycles(&[of(Engine::Rc4, 64)]), once + 33);
    assert_eq!(cycles(&[of(Engine::Memory, 64)]), fetch_cycles(4) + 8);
}

#[test]
fn what_is_refused_takes_its_words_only() {
    let unknown = ControlWord { control: Control(7).with(WHOLE), ..ControlWord::default() };
    let ram = Ram::new();
    let (ends, took, counters) = run(&ram, &[unknown]);
    assert_eq!(ends, [Status::ProtocolError]);
    assert_eq!(took.ticks(T2_HZ), refuse_cycles());
    assert_eq!(counters.busy, took);
}

#[test]
fn short_operations_lose_what_fetching_takes() {
    // 64 bytes of AES-256 take 185 cycles, and its word and parameters 59 before.
    let part = work_cycles(Engine::Aes256, 64) as f64 / cycles(&[of(Engine::Aes256, 64)]) as f64;
    assert!((0.75..0.77).contains(&part), "{part}");
}
