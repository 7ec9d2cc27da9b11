//! The block ciphers of the unit.
//!
//! **Shape.** A block is 16 bytes (AES) or 8 (DES, three DES); an initial vector or
//! first counter is as long as a block. Counters are big-endian and count as wide as
//! they are. ECB, CBC and CFB take whole blocks; counter mode takes any length.
//!
//! **Uncertain.** Linux offers CFB with DES only and counter mode with AES only; that
//! the unit has both with all is our reading of its codes. So is that CFB feeds back
//! whole blocks, 128 or 64 bits.
//!
//! **Source.** FIPS 197 (AES), FIPS 46-3 (DES), NIST SP 800-38A (chaining).

use aes::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, InvalidLength, KeyInit, KeyIvInit,
};
use aes::{Aes128, Aes192, Aes256};
use ctr::{Ctr64BE, Ctr128BE, cipher::StreamCipher};
use des::{Des, TdesEde3};
use sun4v::ncs::{Chaining, CipherKind};

/// One operation's parameters.
pub struct Params<'a> {
    /// The cipher; not RC4.
    pub kind: CipherKind,
    /// How blocks hang together.
    pub chaining: Chaining,
    /// Encrypt, or decrypt.
    pub encrypt: bool,
    /// As long as the cipher wants.
    pub key: &'a [u8],
    /// Initial vector, or first counter, as long as a block; unused with ECB.
    pub iv: &'a [u8],
}

/// Ciphers `data` in place. Fails when a length is not the cipher's, or when all but
/// counter mode get a broken block; `data` is as it was then.
pub fn run(params: &Params<'_>, data: &mut [u8]) -> Result<(), InvalidLength> {
    match params.kind {
        CipherKind::Des => run_as::<Des, Ctr64BE<Des>>(params, data),
        CipherKind::TripleDes => run_as::<TdesEde3, Ctr64BE<TdesEde3>>(params, data),
        CipherKind::Aes128 => run_as::<Aes128, Ctr128BE<Aes128>>(params, data),
        CipherKind::Aes192 => run_as::<Aes192, Ctr128BE<Aes192>>(params, data),
        CipherKind::Aes256 => run_as::<Aes256, Ctr128BE<Aes256>>(params, data),
        CipherKind::Rc4 | CipherKind::Rc4Once => Err(InvalidLength),
    }
}

fn run_as<C, S>(params: &Params<'_>, data: &mut [u8]) -> Result<(), InvalidLength>
where
    C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt,
    S: KeyIvInit + StreamCipher,
{
    if params.chaining == Chaining::Ctr {
        S::new_from_slices(params.key, params.iv)?.apply_keystream(data);
        return Ok(());
    }
    let block_bytes = params.kind.block_bytes();
    if !data.len().is_multiple_of(block_bytes) {
        return Err(InvalidLength);
    }
    let cipher = C::new_from_slice(params.key)?;
    let mut chain = Block::<C>::default();
    if params.chaining != Chaining::Ecb {
        chain = params.iv.try_into().map_err(|_| InvalidLength)?;
    }
    for bytes in data.chunks_exact_mut(block_bytes) {
        let mut block = Block::<C>::default();
        block.copy_from_slice(bytes);
        let before = block.clone();
        match (params.chaining, params.encrypt) {
            (Chaining::Cfb, encrypt) => {
                cipher.encrypt_block(&mut chain);
                xor(&mut block, &chain);
                chain = if encrypt { block.clone() } else { before };
            }
            (Chaining::Cbc, true) => {
                xor(&mut block, &chain);
                cipher.encrypt_block(&mut block);
                chain = block.clone();
            }
            (Chaining::Cbc, false) => {
                cipher.decrypt_block(&mut block);
                xor(&mut block, &chain);
                chain = before;
            }
            (Chaining::Ecb | Chaining::Ctr, true) => cipher.encrypt_block(&mut block),
            (Chaining::Ecb | Chaining::Ctr, false) => cipher.decrypt_block(&mut block),
        }
        bytes.copy_from_slice(&block);
    }
    Ok(())
}

fn xor(block: &mut [u8], with: &[u8]) {
    for (byte, other) in block.iter_mut().zip(with) {
        *byte ^= other;
    }
}
