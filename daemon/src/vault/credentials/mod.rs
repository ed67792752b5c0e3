//! The daemon's list of credentials: what people typed or imported, and what jobs made.
//!
//! Secrets are sealed by the vault's process before they are stored; nothing here opens one without
//! asking it. A secret, its version and what the audit log tells of it go into one transaction, and
//! a version is given out once: who finds that another came first seals again.

mod bounds;
mod changing;
mod exporting;
mod importing;
mod looking;
mod opening;
mod places;
mod rekeying;
mod rows;

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Vault, VaultError};
use crate::clock::Clock;
use crate::store::records::{CredentialRecord, SecretRecord};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;

pub use self::changing::{Change, NewCredential, leave_device};
pub use self::importing::{Fault, IMPORT_BYTES, Import};
pub use self::looking::{Counts, Found, Query};
pub use self::opening::{Findings, Opened};
pub use self::rekeying::FormerKey;

/// How often a secret is sealed again because another came first.
const TRIES: usize = 8;

/// Why something was not done with credentials.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The store.
    #[error("the credentials could not be read or written, so nothing was changed")]
    Store(#[from] StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// No such credential.
    #[error("there is no credential with this id; it may have been deleted")]
    NoCredential,
    /// No such device.
    #[error("there is no authorised device with this id; it may have been deleted")]
    NoDevice,
    /// The device has none.
    #[error("the vault keeps no password of this device; type it in or rotate it")]
    NoneOfDevice,
    /// No such version.
    #[error("the credential has no secret of this version; its history lists those that it has")]
    NoVersion,
    /// There is one for the same account.
    #[error("the vault keeps a password of {0} already; change that one")]
    Taken(String),
    /// A bad input. Says what is wrong with it.
    #[error("{0}")]
    Form(String),
    /// Others change the same at the same time.
    #[error("somebody else changes the same credential; try again")]
    Busy,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    vault: Vault,
    clock: Clock,
    /// Somebody began a re-key.
    rekey: Notify,
}

/// A credential, without its secrets.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its id.
    pub id: Uuid,
    /// The device, where it is one of ours.
    pub device: Option<Uuid>,
    /// That one's name.
    pub device_name: Option<String>,
    /// What it is for, where it is no device of ours.
    pub label: String,
    /// The account's name.
    pub username: String,
    /// How the secret came in: `typed`, `imported` or `generated`.
    pub source: String,
    /// The account may only look.
    pub read_only: bool,
    /// Where SSH listens.
    pub ssh_port: Option<u16>,
    /// Where HTTPS listens.
    pub https_port: Option<u16>,
    /// What people note about it.
    pub note: String,
    /// When it was made.
    pub created: Timestamp,
    /// The secret that is known to hold, or was typed.
    pub current: Option<Secret>,
    /// Secrets of which one may hold, oldest first.
    pub candidates: Vec<Secret>,
    /// Secrets that held before, the latest first.
    pub former: Vec<Secret>,
    /// What is not as it should be: `older-password`, `changed-on-device`, empty.
    pub trouble: String,
}

/// What is known of a secret, without itself.
#[derive(Clone, Copy, Debug)]
pub struct Secret {
    /// Its number in its credential.
    pub version: u64,
    /// When it was made.
    pub made: Timestamp,
    /// When it was proven to hold.
    pub proven: Option<Timestamp>,
    /// The job that made it.
    pub job: Option<Uuid>,
}

impl Credentials {
    /// Opens the list. A re-key that was under way goes on by itself.
    pub fn start(store: Store, vault: Vault, clock: Clock, supervisor: &Supervisor) -> Self {
        let inner = Inner { store, vault, clock, rekey: Notify::new() };
        let credentials = Self { inner: Arc::new(inner) };
        credentials.keep_rekeying(supervisor);
        credentials
    }

    /// The vault that seals and opens.
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }
}

impl Credential {
    fn new(id: Uuid, record: &CredentialRecord, device_name: Option<String>) -> Self {
        let secrets = |some: &[SecretRecord]| some.iter().map(Secret::new).collect();
        Self {
            id,
            device: record.device,
            device_name,
            label: record.label.clone(),
            username: record.username.clone(),
            source: record.source.clone(),
            read_only: record.read_only,
            ssh_port: record.ssh_port,
            https_port: record.https_port,
            note: record.note.clone(),
            created: time(record.created),
            current: record.current.as_ref().map(Secret::new),
            candidates: secrets(&record.candidates),
            former: secrets(&record.former),
            trouble: record.trouble.clone(),
        }
    }

    /// Where it counts: the device's name, or the label.
    pub fn place(&self) -> &str {
        self.device_name.as_deref().unwrap_or(&self.label)
    }
}

impl Secret {
    fn new(record: &SecretRecord) -> Self {
        Self {
            version: record.version,
            made: time(record.made),
            proven: record.proven.map(time),
            job: record.job,
        }
    }
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
