//! RC4, from a state that software has made.
//!
//! **Shape.** The key block is 258 bytes: the permutation S, then the indices x and
//! y. The unit does not schedule keys; the driver does.
//!
//! **Uncertain.** The layout is that of the state which Linux' driver hands to the
//! unit, and no manual confirms it; that the stateful form writes it back and the
//! other does not is our reading of their names.
//!
//! **Source.** Linux, `n2_core.c` up to 5.9 (`ecb(arc4)`);
//! draft-kaukonen-cipher-arcfour.

use sun4v::ncs::RC4_BYTES;

/// Ciphers `data` in place, either way, and moves the state on. Any 258 bytes are a
/// state.
pub fn run(state: &mut [u8; RC4_BYTES], data: &mut [u8]) {
    let [s @ .., x, y] = state;
    for byte in data {
        *x = x.wrapping_add(1);
        *y = y.wrapping_add(s[usize::from(*x)]);
        s.swap(usize::from(*x), usize::from(*y));
        let sum = s[usize::from(*x)].wrapping_add(s[usize::from(*y)]);
        *byte ^= s[usize::from(sum)];
    }
}

#[cfg(test)]
pub mod test {
    use super::RC4_BYTES;

    /// The state that a driver makes of a key of 1 to 256 bytes.
    pub fn schedule(key: &[u8]) -> [u8; RC4_BYTES] {
        let mut state = [0; RC4_BYTES];
        let [s @ .., _, _] = &mut state;
        for (n, place) in s.iter_mut().enumerate() {
            *place = n as u8;
        }
        let mut j = 0_u8;
        for n in 0..s.len() {
            j = j.wrapping_add(s[n]).wrapping_add(key[n % key.len()]);
            s.swap(n, usize::from(j));
        }
        state
    }
}
