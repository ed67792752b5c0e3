//! The private key as it lies on the disk: AES-256-GCM under a key that Argon2id makes of the master
//! password.
//!
//! The master password is 256 random bits and never a word that somebody chose, so guessing it is
//! out of reach whatever a guess costs. Argon2id is here for what is not foreseen: a list of words
//! that was drawn with bad randomness, or half of a key file that was photographed. So it may be
//! cheap: 32 MiB and 3 passes, above the 19 MiB and 2 passes that OWASP asks for passwords of
//! people, and small enough for memory that is locked on a box with little of it.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::draw::random;
use super::pair::PRIVATE_BYTES;
use super::{CryptoError, KeyFault, Master, PrivateKey, sweep};

const SALT_BYTES: usize = 16;
/// Bytes of the nonce (NIST SP 800-38D, 96 bits, random; each key encrypts once).
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const CHECK_BYTES: usize = 16;
/// More memory than this no wrapped key may ask for: it comes from a file.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 4;

/// What one derivation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes; they are computed one after the other.
    pub lanes: u32,
}

impl Cost {
    /// What a new vault takes.
    pub const USUAL: Self = Self { memory_kib: 32 * 1024, passes: 3, lanes: 1 };

    fn params(self) -> Result<Params, CryptoError> {
        if self.memory_kib > MOST_MEMORY_KIB || self.passes > MOST_PASSES || self.lanes > MOST_LANES
        {
            return Err(CryptoError::Cost);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| CryptoError::Cost)
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::USUAL
    }
}

/// The private key, encrypted. Opens with the master password alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrapped {
    /// Whose key it is.
    pub vault: Uuid,
    /// The number of the key pair.
    pub epoch: u32,
    /// What the derivation costs.
    pub cost: Cost,
    /// Salt of the derivation.
    #[serde(with = "crate::store::records::bytes")]
    salt: [u8; SALT_BYTES],
    #[serde(with = "crate::store::records::bytes")]
    nonce: [u8; NONCE_BYTES],
    /// The encrypted key.
    #[serde(with = "crate::store::records::bytes")]
    key: [u8; PRIVATE_BYTES],
    #[serde(with = "crate::store::records::bytes")]
    tag: [u8; TAG_BYTES],
    /// SHA-256 over all the rest, cut short: a damaged file is told from a wrong password.
    #[serde(with = "crate::store::records::bytes")]
    check: [u8; CHECK_BYTES],
}

impl Wrapped {
    fn associated(&self) -> Vec<u8> {
        [b"aerie vault key v1".as_slice(), self.vault.as_bytes(), &self.epoch.to_be_bytes()]
            .concat()
    }

    fn checked(&self) -> [u8; CHECK_BYTES] {
        let whole = Sha256::new()
            .chain_update(self.associated())
            .chain_update(self.cost.memory_kib.to_be_bytes())
            .chain_update(self.cost.passes.to_be_bytes())
            .chain_update(self.cost.lanes.to_be_bytes())
            .chain_update(self.salt)
            .chain_update(self.nonce)
            .chain_update(self.key)
            .chain_update(self.tag)
            .finalize();
        let mut check = [0; CHECK_BYTES];
        for (byte, of) in check.iter_mut().zip(whole) {
            *byte = of;
        }
        check
    }

    fn cipher(&self, master: &Master) -> Result<Aes256Gcm, CryptoError> {
        let mut key = Zeroizing::new([0; 32]);
        derive(master.bytes(), &self.salt, self.cost, key.as_mut_slice())?;
        Aes256Gcm::new_from_slice(key.as_slice()).map_err(|_| CryptoError::Cost)
    }
}

/// Encrypts the private key under the master password. Takes its time: not for the runtime's threads.
pub fn wrap(
    private: &PrivateKey,
    master: &Master,
    vault: Uuid,
    epoch: u32,
    cost: Cost,
) -> Result<Wrapped, CryptoError> {
    let mut wrapped = Wrapped {
        vault,
        epoch,
        cost,
        salt: *random()?,
        nonce: *random()?,
        key: [0; PRIVATE_BYTES],
        tag: [0; TAG_BYTES],
        check: [0; CHECK_BYTES],
    };
    let mut key = private.to_bytes();
    let tag = wrapped
        .cipher(master)?
        .encrypt_inout_detached(
            &Nonce::from(wrapped.nonce),
            &wrapped.associated(),
            key.as_mut_slice().into(),
        )
        .map_err(|_| CryptoError::Cost)?;
    sweep();
    wrapped.key = *key;
    wrapped.tag = tag.into();
    wrapped.check = wrapped.checked();
    Ok(wrapped)
}

/// Decrypts the private key. Takes its time: not for the runtime's threads.
pub fn unwrap(wrapped: &Wrapped, master: &Master) -> Result<PrivateKey, KeyFault> {
    if wrapped.check != wrapped.checked() {
        return Err(CryptoError::Wrapped.into());
    }
    let mut key = Zeroizing::new(wrapped.key);
    let opened = wrapped.cipher(master)?.decrypt_inout_detached(
        &Nonce::from(wrapped.nonce),
        &wrapped.associated(),
        key.as_mut_slice().into(),
        &Tag::from(wrapped.tag),
    );
    let private = PrivateKey::from_bytes(key.as_slice());
    sweep();
    opened.map_err(|_| KeyFault::Wrong)?;
    private.ok_or(KeyFault::Failed(CryptoError::Wrapped))
}

/// Argon2id version 1.3 (RFC 9106) in memory that is wiped afterwards.
pub(super) fn derive(
    password: &[u8],
    salt: &[u8],
    cost: Cost,
    key: &mut [u8],
) -> Result<(), CryptoError> {
    let params = cost.params()?;
    let blocks = params.block_count();
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(blocks).map_err(|_| CryptoError::Memory)?;
    memory.resize(blocks, Block::default());
    let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, key, memory.as_mut_slice())
        .map_err(|_| CryptoError::Cost);
    sweep();
    derived
}
