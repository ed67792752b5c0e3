//! What the vault's list of credentials keeps.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bytes;

/// Something that the vault keeps a secret of: an account on a device, mostly. Times are
/// milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    /// The device, where it is one of ours.
    #[serde(default)]
    pub device: Option<Uuid>,
    /// What it is for, where it is no device of ours.
    #[serde(default)]
    pub label: String,
    /// The account's name.
    pub username: String,
    /// How the secret came in: `typed`, `imported` or `generated`.
    pub source: String,
    /// The account may only look.
    #[serde(default)]
    pub read_only: bool,
    /// Where SSH listens.
    #[serde(default)]
    pub ssh_port: Option<u16>,
    /// Where HTTPS listens.
    #[serde(default)]
    pub https_port: Option<u16>,
    /// What people note about it.
    #[serde(default)]
    pub note: String,
    /// When it was made.
    pub created: i64,
    /// The secret that is known to hold, or was typed.
    #[serde(default)]
    pub current: Option<SecretRecord>,
    /// Secrets of which one may hold: each was stored before the device was told. Oldest first.
    #[serde(default)]
    pub candidates: Vec<SecretRecord>,
    /// Secrets that held before, the latest first.
    #[serde(default)]
    pub former: Vec<SecretRecord>,
    /// The highest version that was ever given out.
    #[serde(default)]
    pub newest: u64,
    /// What is not as it should be: `older-password`, `changed-on-device`, empty.
    #[serde(default)]
    pub trouble: String,
}

/// One sealed secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// Its number in its credential, from 1; bound into the seal.
    pub version: u64,
    /// What the vault alone opens.
    #[serde(with = "bytes")]
    pub sealed: Vec<u8>,
    /// When it was made.
    pub made: i64,
    /// When it was proven to hold.
    #[serde(default)]
    pub proven: Option<i64>,
    /// The job that made it.
    #[serde(default)]
    pub job: Option<Uuid>,
    /// The device gave it back, and nobody has seen yet whether it opens.
    #[serde(default)]
    pub unopened: bool,
}
