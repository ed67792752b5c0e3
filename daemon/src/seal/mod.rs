//! Secrets at rest: sealed with AES-256-GCM under the machine key.
//!
//! The machine key comes from systemd's credential `machine-key`, or from a file of its own that
//! nobody else may read. It stands outside the store, so that a copy of the store alone opens
//! nothing. What is sealed carries the name that it was sealed under: put under another name, it
//! does not open.

mod keyfile;
mod pepper;
mod secret;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use thiserror::Error;
use zeroize::Zeroizing;

use self::keyfile::{KEY_BYTES, Missing};
pub use self::keyfile::{KeyFile, write_private};
pub use self::pepper::{Pepper, Peppers};
pub use self::secret::Secret;

/// Bytes of the nonce before each sealed secret (NIST SP 800-38D, 96 bits, random).
const NONCE_BYTES: usize = 12;

/// Why a secret could not be sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// A key file could not be read or made.
    #[error("the key file {} cannot be used", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The machine key has gone, and there are secrets that it sealed.
    #[error(
        "the machine key {} is missing; put it back from a backup, or the systemd credential \
         machine-key: nothing else opens the secrets in this store", .0.display()
    )]
    KeyMissing(PathBuf),
    /// A key file of the wrong form.
    #[error("the key file {} is damaged; restore it from a backup", .0.display())]
    KeyForm(PathBuf),
    /// Sealed under another key or name, or damaged.
    #[error(
        "the secret \"{0}\" does not open with this machine's key; restore the machine key that \
         belongs to this store"
    )]
    WrongKey(String),
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Seal {
    cipher: Arc<Aes256Gcm>,
    peppers: Peppers,
}

impl Seal {
    /// Reads the machine key and the peppers, and makes them at the first start.
    pub fn open(data_dir: &Path) -> Result<Self, SealError> {
        Self::with(data_dir, Missing::Make)
    }

    /// The same where secrets have been sealed before: a missing machine key is told, and no new
    /// one made.
    pub fn open_existing(data_dir: &Path) -> Result<Self, SealError> {
        Self::with(data_dir, Missing::Refuse)
    }

    fn with(data_dir: &Path, missing: Missing) -> Result<Self, SealError> {
        let key = keyfile::machine_key(data_dir, missing)?;
        let cipher = cipher(&key).ok_or_else(|| SealError::KeyForm(data_dir.to_owned()))?;
        Ok(Self { cipher: Arc::new(cipher), peppers: Peppers::open(data_dir)? })
    }

    /// The peppers of the password hashes.
    pub fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// Seals a secret under a name.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload { msg: plain, aad: name.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError::WrongKey(name.to_owned()))?;
        Ok([nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what was sealed under the same name.
    pub fn open_secret(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        open(&self.cipher, name, sealed)
    }
}

fn cipher(key: &[u8; KEY_BYTES]) -> Option<Aes256Gcm> {
    Aes256Gcm::new_from_slice(key).ok()
}

fn open(cipher: &Aes256Gcm, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let wrong = || SealError::WrongKey(name.to_owned());
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(wrong)?;
    let payload = Payload { msg: sealed, aad: name.as_bytes() };
    let plain = cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| wrong())?;
    Ok(Zeroizing::new(plain))
}

/// Random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| SealError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_under_its_own_name_and_key_alone() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seal = Seal::open(one.path()).unwrap();
        let sealed = seal.seal("device-key", b"secret").unwrap();
        assert_eq!(seal.open_secret("device-key", &sealed).unwrap().as_slice(), b"secret");
        seal.open_secret("tls-key", &sealed).unwrap_err();
        Seal::open(two.path()).unwrap().open_secret("device-key", &sealed).unwrap_err();
        let again = Seal::open(one.path()).unwrap();
        assert_eq!(again.open_secret("device-key", &sealed).unwrap().as_slice(), b"secret");
    }

    #[test]
    fn a_lost_machine_key_is_told_and_no_new_one_made() {
        let data = tempfile::tempdir().unwrap();
        let Err(SealError::KeyMissing(path)) = Seal::open_existing(data.path()) else {
            panic!("it was not told")
        };
        assert!(!path.exists());
        Seal::open(data.path()).unwrap();
        Seal::open_existing(data.path()).unwrap();
    }

    #[test]
    fn key_files_are_private_and_become_so() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().unwrap();
        Seal::open(data.path()).unwrap();
        let path = data.path().join("machine-key");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        Seal::open(data.path()).unwrap();
        assert_eq!(mode(), 0o600);
        std::fs::write(&path, b"too short").unwrap();
        assert!(matches!(Seal::open(data.path()), Err(SealError::KeyForm(_))));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let data = tempfile::tempdir().unwrap();
        let seal = Seal::open(data.path()).unwrap();
        let sealed = seal.seal("name", b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            seal.open_secret("name", &changed).unwrap_err();
        }
        seal.open_secret("name", &sealed[..11]).unwrap_err();
    }
}
