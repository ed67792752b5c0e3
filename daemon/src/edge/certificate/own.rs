//! The owner's own certificate: uploaded, or read from files that are watched.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::chain::{Chain, PEM_BYTES, Read};
use super::error::{CertificateError, Unfit};
use super::live::Shown;
use crate::seal::Seal;
use crate::store::tables::SealedBytes;
use crate::store::{Reader, StoreError, Writer, tables};

/// The setting that holds the certificates.
const SETTING: &str = "own-certificate";
/// The name that the private keys are sealed and stored under.
const SECRET: &str = "own-certificate-key";
/// Days before the end on which the owner is warned.
const WARNINGS: [i64; 4] = [1, 7, 14, FIRST_WARNING];
const FIRST_WARNING: i64 = 30;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What an owner gives: certificates and keys in PEM.
pub struct OwnPem {
    /// The certificate and those between it and its root.
    pub chain: String,
    /// Its private key.
    pub key: Zeroizing<String>,
    /// An RSA certificate beside it, with its key, for clients that know no other.
    pub rsa: Option<(String, Zeroizing<String>)>,
}

/// Where an owner's certificate lies on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnFiles {
    /// The certificate and those between it and its root.
    pub chain_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// The certificates, as they are stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    chain: Vec<String>,
    #[serde(default)]
    rsa_chain: Vec<String>,
    /// The least number of days before its end that the owner has been warned of.
    #[serde(default)]
    warned: Option<i64>,
}

/// The keys, as they are sealed.
#[derive(Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
struct Keys {
    key: String,
    rsa_key: Option<String>,
}

/// An own certificate that was found fit, and is in the store or about to be.
pub(super) struct Own {
    pub(super) shown: Shown,
    stored: Stored,
}

/// What [`Own::read`] gives: it, its keys for the store, and what was mended.
pub(super) struct ReadOwn {
    pub(super) own: Own,
    keys: Keys,
    pub(super) notes: Vec<String>,
}

impl Own {
    /// Judges what an owner gave.
    pub(super) fn read(pem: &OwnPem, now: Timestamp) -> Result<ReadOwn, Unfit> {
        let Read { chain: main, mut notes } = Chain::read(&pem.chain, &pem.key, now)?;
        let mut rsa = None;
        if let Some((chain, key)) = &pem.rsa {
            let read = Chain::read(chain, key, now)?;
            if main.is_rsa || !read.chain.is_rsa {
                return Err(Unfit::NotRsa);
            }
            notes.extend(read.notes);
            rsa = Some(read.chain);
        }
        let stored = Stored {
            chain: main.encoded(),
            rsa_chain: rsa.as_ref().map(Chain::encoded).unwrap_or_default(),
            warned: None,
        };
        let rsa_key = pem.rsa.as_ref().map(|(_, key)| key.to_string());
        let keys = Keys { key: pem.key.to_string(), rsa_key };
        Ok(ReadOwn { own: Self { shown: Shown { main, rsa }, stored }, keys, notes })
    }

    /// What the store holds of it, to be opened with [`Own::open`].
    pub(super) fn stored(reader: &Reader) -> Result<Option<(String, SealedBytes)>, StoreError> {
        let stored = reader.get(tables::SETTINGS, SETTING)?;
        Ok(stored.zip(reader.get(tables::SECRETS, SECRET)?))
    }

    /// Opens what the store holds.
    pub(super) fn open(
        seal: &Seal,
        (stored, sealed): &(String, SealedBytes),
    ) -> Result<Self, CertificateError> {
        let damaged = |unfit| CertificateError::Damaged(Some(unfit));
        let stored: Stored =
            serde_json::from_str(stored).map_err(|_| CertificateError::Damaged(None))?;
        let keys = seal.open_secret(SECRET, &sealed.0)?;
        let keys: Keys =
            serde_json::from_slice(&keys).map_err(|_| CertificateError::Damaged(None))?;
        let open = |chain: &[String], key: &str| {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
            Chain::stored(chain, &key.map_err(|_| damaged(Unfit::NoKey))?).map_err(damaged)
        };
        let main = open(&stored.chain, &keys.key)?;
        let rsa = keys.rsa_key.as_deref().map(|key| open(&stored.rsa_chain, key)).transpose()?;
        Ok(Self { shown: Shown { main, rsa }, stored })
    }

    /// Removes it from the store.
    pub(super) fn delete(writer: &Writer<'_>) -> Result<(), StoreError> {
        writer.delete(tables::SETTINGS, SETTING)?;
        writer.delete(tables::SECRETS, SECRET).map(|_| ())
    }

    /// Whole days until it ends; negative afterwards.
    pub(super) fn days_left(&self, now: Timestamp) -> i64 {
        let all = std::iter::once(&self.shown.main).chain(&self.shown.rsa);
        let end = all.map(|chain| chain.info.not_after.as_second()).min().unwrap_or_default();
        (end - now.as_second()).div_euclid(DAY_SECONDS)
    }

    /// Whether the owner is to be told that it ends soon.
    pub(super) fn warning(&self, now: Timestamp) -> Option<i64> {
        let left = self.days_left(now);
        (left <= FIRST_WARNING).then_some(left)
    }

    /// The days before its end that the owner has to be warned of now, each once; 0 when it is over.
    pub(super) fn new_warning(&self, now: Timestamp) -> Option<i64> {
        let left = self.days_left(now);
        let reached = WARNINGS.into_iter().find(|days| left <= *days);
        let due = if left < 0 { 0 } else { reached? };
        let warned = self.stored.warned.is_some_and(|warned| warned <= due);
        (!warned).then_some(due)
    }

    /// Remembers that the owner has been warned. What to write.
    pub(super) fn warned(
        &mut self,
        days: i64,
    ) -> impl Fn(&Writer<'_>) -> Result<(), StoreError> + use<> {
        self.stored.warned = Some(days);
        let text = serde_json::json!(self.stored).to_string();
        move |writer: &Writer<'_>| writer.put(tables::SETTINGS, SETTING, &text)
    }
}

impl ReadOwn {
    /// What to write into the store.
    pub(super) fn kept(
        &self,
        seal: &Seal,
    ) -> Result<
        impl Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static + use<>,
        CertificateError,
    > {
        let text = serde_json::json!(self.own.stored).to_string();
        let keys = serde_json::to_vec(&self.keys).map_err(|_| CertificateError::Damaged(None))?;
        let sealed = SealedBytes(seal.seal(SECRET, &Zeroizing::new(keys))?);
        Ok(move |writer: &Writer<'_>| {
            writer.put(tables::SETTINGS, SETTING, &text)?;
            writer.put(tables::SECRETS, SECRET, &sealed)
        })
    }
}

/// How files were when they were read last: when changed, and whether they are the same files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<(i64, i64, u64, u64)>; 2]);

impl OwnFiles {
    /// How the files are now.
    pub(super) async fn stamp(&self) -> Stamp {
        Stamp([stamp(&self.chain_file).await, stamp(&self.key_file).await])
    }

    /// Reads them.
    pub(super) async fn read(&self) -> Result<OwnPem, Unfit> {
        let chain = read(&self.chain_file).await?;
        let key = read(&self.key_file).await?;
        Ok(OwnPem { chain: chain.to_string(), key, rsa: None })
    }
}

async fn stamp(path: &Path) -> Option<(i64, i64, u64, u64)> {
    let found = tokio::fs::metadata(path).await.ok()?;
    Some((found.mtime(), found.mtime_nsec(), found.ino(), found.len()))
}

async fn read(path: &Path) -> Result<Zeroizing<String>, Unfit> {
    let unreadable =
        |error: std::io::Error| Unfit::File(path.display().to_string(), error.to_string());
    // A device or a pipe would never end.
    if !tokio::fs::metadata(path).await.map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is no file")));
    }
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut text = Zeroizing::new(String::new());
    let most = u64::try_from(PEM_BYTES).unwrap_or(u64::MAX) + 1;
    file.take(most).read_to_string(&mut text).await.map_err(unreadable)?;
    Ok(text)
}
