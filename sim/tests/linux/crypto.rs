//! Linux' drivers of the crypto units and the random number generator.

use super::log::trouble;
use super::overlay::with_programs;
use super::session::Session;
use super::{guest, scratch};
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use sha2::{Digest, Sha256};

/// The driver's queues come up, all its algorithms are registered. Its self-tests go as they
/// go with this driver: see `log.rs`.
#[test]
fn the_driver_has_its_queues() {
    let Some(guest) = guest("the driver of the crypto units") else { return };
    let options = ["--vcpus", "8", "--memory", "256M", "--crypto", "1"];
    let mut linux = Session::linux(&guest, "", &options);
    linux.shell();
    let log = linux.done("dmesg");
    for line in [
        "n2_crypto: Registered NCS HVAPI version 2.0",
        "n2_crypto: cbc(aes) alg registered",
        "n2_crypto: sha256 alg registered",
        "n2_crypto: Found NCP at /virtual-devices@100/ncp@6",
        "n2rng",
        "Found single-unit RNG",
    ] {
        assert!(log.contains(line), "`{line}` is missing in\n{log}");
    }
    assert_eq!(trouble(&log), Vec::<&str>::new(), "{log}");
    let noise = linux.done("dd if=/dev/hwrng bs=4096 count=2 2>/dev/null | sha256sum");
    let more = linux.done("dd if=/dev/hwrng bs=4096 count=2 2>/dev/null | sha256sum");
    assert_ne!(noise, more);
    assert_eq!(linux.done("cat /sys/class/misc/hw_random/rng_current"), "n2rng");
}

fn bytes(count: usize, step: usize, first: usize) -> Vec<u8> {
    (0..count).map(|n| (step * n + first) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cipher block chaining, in software.
fn cbc<C: BlockCipherEncrypt>(cipher: &C, iv: &[u8], text: &[u8]) -> Vec<u8> {
    let mut chain = iv.to_vec();
    let mut sealed = Vec::new();
    for block in text.chunks(iv.len()) {
        let mixed: Vec<u8> = block.iter().zip(&chain).map(|(a, b)| a ^ b).collect();
        let mut block = aes::cipher::Block::<C>::try_from(mixed.as_slice()).unwrap();
        cipher.encrypt_block(&mut block);
        chain = block.to_vec();
        sealed.extend_from_slice(&chain);
    }
    sealed
}

/// What the unit says through the kernel's interface is what software says.
#[test]
fn what_programs_get_is_what_software_computes() {
    let Some(guest) = guest("ciphers and hashes through AF_ALG") else { return };
    let folder = scratch("afalg");
    let Some(guest) = with_programs(&guest, &folder, &["afalg"]) else { return };
    let calls = folder.join("calls");
    let options = ["--vcpus", "8", "--memory", "256M", "--crypto", "1", "--trace"];
    let options = [&options[..], &[calls.to_str().unwrap()]].concat();
    // Without self-tests, which this driver cannot pass, the kernel lets programs have it.
    let mut linux = Session::linux(&guest, "cryptomgr.notests=1", &options);
    linux.shell();
    let known = linux.done("cat /proc/crypto");
    for driver in ["ecb-aes-n2", "cbc-aes-n2", "cbc-3des-n2", "sha256-n2", "hmac-sha1-n2"] {
        assert!(known.contains(driver), "{driver} is missing");
    }
    let mut compare = |arguments: &str, name: &str, length: usize, expected: &[u8]| {
        let said = linux.done(&format!("afalg {arguments}"));
        assert_eq!(said, format!("{name} {length} {}", hex(expected)), "{arguments}");
    };
    for length in [1, 63, 64, 65, 1000, 4096, 8192] {
        let text = bytes(length, 7, 3);
        compare(&format!("hash sha256 0 {length}"), "sha256", length, &Sha256::digest(&text));
        compare(&format!("hash sha1 0 {length}"), "sha1", length, &sha1::Sha1::digest(&text));
        compare(&format!("hash md5 0 {length}"), "md5", length, &md5::Md5::digest(&text));
        let mut mac =
            <hmac::Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&bytes(20, 5, 1)).unwrap();
        hmac::Mac::update(&mut mac, &text);
        let tag = hmac::Mac::finalize(mac).into_bytes();
        compare(&format!("hash 'hmac(sha256)' 20 {length}"), "hmac(sha256)", length, &tag);
    }
    for length in [16, 64, 4096, 32768] {
        let text = bytes(length, 7, 3);
        let (key, iv) = (bytes(16, 5, 1), bytes(16, 3, 2));
        let sealed = cbc(&aes::Aes128::new_from_slice(&key).unwrap(), &iv, &text);
        compare(&format!("cipher 'cbc(aes)' 16 16 {length}"), "cbc(aes)", length, &sealed);
        let (key, iv) = (bytes(24, 5, 1), bytes(8, 3, 2));
        let sealed = cbc(&des::TdesEde3::new_from_slice(&key).unwrap(), &iv, &text);
        compare(&format!("cipher 'cbc(des3_ede)' 24 8 {length}"), "cbc(des3_ede)", length, &sealed);
    }
    linux.send("poweroff -f\n");
    linux.end();
    // Each was a job of the unit, no software took over.
    let trace = std::fs::read_to_string(calls).unwrap();
    let jobs = trace.lines().filter(|line| line.contains(" ncs_settail(")).count();
    assert!(jobs >= 7 * 4 + 4 * 2, "{jobs} jobs");
}
