//! How far the pointers of an operation reach: what a hypervisor has to find inside a
//! guest's memory before the unit, which knows physical addresses only, may have it.
//!
//! **Shape.** Bytes from each pointer on; zero is "not followed". Only the first word
//! of a chain has pointers other than its source, and its destination takes what the
//! whole chain brings.
//!
//! **Source.** Follows from [`Control`] and the lengths of the algorithms.

use super::{Chaining, Control, Opcode};

/// Bytes that the unit reads or writes at each pointer of a first word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Authentication key; read.
    pub auth_key: u64,
    /// Initial state of the authentication; read.
    pub auth_iv: u64,
    /// Final state; written.
    pub auth_state: u64,
    /// Cipher key; read, and for stateful RC4 written.
    pub key: u64,
    /// Initial vector; read.
    pub iv: u64,
    /// Result; written.
    pub destination: u64,
}

impl Reach {
    /// That of an operation which begins with `first` and whose words bring `bytes`.
    /// One that the unit refuses reaches nowhere.
    #[must_use]
    pub fn of(first: Control, bytes: u64) -> Self {
        let none = Self::default();
        match first.opcode() {
            None => none,
            Some(Opcode::Copy) => Self { destination: bytes, ..none },
            Some(Opcode::Cipher) => {
                let Some((kind, chaining)) = first.cipher_kind() else { return none };
                let has_vector = chaining != Chaining::Ecb;
                let in_place = first.has(Control::IN_PLACE);
                Self {
                    key: kind.key_bytes() as u64,
                    iv: if has_vector { kind.block_bytes() as u64 } else { 0 },
                    destination: if in_place { 0 } else { bytes },
                    ..none
                }
            }
            Some(Opcode::Hash) => {
                let Some(auth) = first.auth_kind() else { return none };
                let state = auth.state_bytes();
                let key = if auth.is_keyed() { first.auth_key_bytes() } else { 0 };
                let stored = if first.has(Control::STORE_STATE) { state } else { 0 };
                Self {
                    auth_key: key as u64,
                    auth_iv: state as u64,
                    auth_state: stored as u64,
                    destination: first.hash_bytes().min(state) as u64,
                    ..none
                }
            }
        }
    }
}

#[cfg(test)]
mod test {
    use super::Reach;
    use crate::ncs::{Auth, Chaining, CipherKind, Control, HashKind};

    #[test]
    fn pointers_reach_as_far_as_the_operation_needs() {
        let rc4 = Control::cipher(CipherKind::Rc4, Chaining::Ecb, 5);
        let reach = Reach::of(rc4, 5);
        assert_eq!((reach.key, reach.iv, reach.destination), (258, 0, 5));
        let cbc = Control::cipher(CipherKind::TripleDes, Chaining::Cbc, 8);
        let reach = Reach::of(cbc.with(Control::IN_PLACE), 64);
        assert_eq!((reach.key, reach.iv, reach.destination), (24, 8, 0));
        let mac = Control::auth(Auth::Hmac(HashKind::Sha1), 100, 1).with(Control::STORE_STATE);
        let expected = Reach {
            auth_key: 100,
            auth_iv: 20,
            auth_state: 20,
            destination: 20,
            ..Reach::default()
        };
        assert_eq!(Reach::of(mac, 65536), expected);
        assert_eq!(Reach::of(Control(!0), 65536), Reach::default());
    }
}
