//! The ciphers of the unit.
//!
//! **Source.** FIPS 197 (AES), NIST SP 800-38A (chaining).

use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, InvalidLength, KeyInit, KeyIvInit,
};
use aes::{Aes128, Aes192, Aes256};
use ctr::{Ctr128BE, cipher::StreamCipher};
use sun4v::ncs::{Chaining, CipherKind};

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 16;

/// One operation's parameters.
pub struct Params<'a> {
    /// The cipher.
    pub kind: CipherKind,
    /// How blocks hang together.
    pub chaining: Chaining,
    /// Encrypt, or decrypt.
    pub encrypt: bool,
    /// As long as the cipher wants.
    pub key: &'a [u8],
    /// Initial vector, or first counter; unused with ECB.
    pub iv: [u8; BLOCK_BYTES],
}

/// Ciphers `data` in place. Fails when the key's length is not the cipher's, or
/// when ECB or CBC gets a broken block; `data` is as it was then.
pub fn run(params: &Params<'_>, data: &mut [u8]) -> Result<(), InvalidLength> {
    if params.chaining != Chaining::Ctr && !data.len().is_multiple_of(BLOCK_BYTES) {
        return Err(InvalidLength);
    }
    match params.kind {
        CipherKind::Aes128 => run_as::<Aes128, Ctr128BE<Aes128>>(params, data),
        CipherKind::Aes192 => run_as::<Aes192, Ctr128BE<Aes192>>(params, data),
        CipherKind::Aes256 => run_as::<Aes256, Ctr128BE<Aes256>>(params, data),
    }
}

fn run_as<C, S>(params: &Params<'_>, data: &mut [u8]) -> Result<(), InvalidLength>
where
    C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt,
    S: KeyIvInit + StreamCipher,
{
    if params.chaining == Chaining::Ctr {
        S::new_from_slices(params.key, &params.iv)?.apply_keystream(data);
        return Ok(());
    }
    let cipher = C::new_from_slice(params.key)?;
    let mut chain = params.iv;
    for block in data.as_chunks_mut::<BLOCK_BYTES>().0 {
        let before = *block;
        let cbc = params.chaining == Chaining::Cbc;
        if params.encrypt {
            if cbc {
                xor(block, &chain);
            }
            one(block, |bytes| cipher.encrypt_block(bytes));
            chain = *block;
        } else {
            one(block, |bytes| cipher.decrypt_block(bytes));
            if cbc {
                xor(block, &chain);
            }
            chain = before;
        }
    }
    Ok(())
}

fn one<N: aes::cipher::array::ArraySize>(
    block: &mut [u8; BLOCK_BYTES],
    cipher: impl FnOnce(&mut Array<u8, N>),
) {
    let mut bytes = Array::default();
    bytes.copy_from_slice(block);
    cipher(&mut bytes);
    block.copy_from_slice(&bytes);
}

fn xor(block: &mut [u8; BLOCK_BYTES], with: &[u8; BLOCK_BYTES]) {
    for (byte, other) in block.iter_mut().zip(with) {
        *byte ^= other;
    }
}
