//! Every table of the store, on one page.
//!
//! Keys are bytes in an order that sorts as the table is read; values are records of
//! [`super::records`] in `MessagePack` with named fields, so that they can grow.

use std::marker::PhantomData;

use uuid::Uuid;

use super::records::{
    AccountRecord, AuditRecord, CredentialRecord, DeviceRecord, EventRecord, FactorsRecord,
    ForgottenRecord, HistoryRecord, HomesRecord, JobItemRecord, JobRecord, LoginRecord,
    NoticesRecord, SiteRecord, ThrottleRecord, TokenRecord,
};

/// About the store itself: [`SCHEMA_VERSION`] and [`PROBE`].
pub const META: Table<str, u32> = Table::new("meta");
/// Under this key of [`META`]: the schema that the store has.
pub const SCHEMA_VERSION: &str = "schema_version";
/// Under this key of [`META`]: what is written to see whether writing works.
pub(super) const PROBE: &str = "probe";
/// Settings as JSON text, by name.
pub const SETTINGS: Table<str, String> = Table::new("settings");
/// Sealed secrets, by name.
pub const SECRETS: Table<str, SealedBytes> = Table::new("secrets");
/// Accounts.
pub const ACCOUNTS: Table<Uuid, AccountRecord> = Table::new("accounts");
/// Account ids by folded user name and by folded e-mail address.
pub const ACCOUNT_NAMES: Table<str, Uuid> = Table::new("account_names");
/// Logins, by the SHA-256 of their token.
pub const LOGINS: Table<[u8; 32], LoginRecord> = Table::new("logins");
/// Second factors, by account.
pub const FACTORS: Table<Uuid, FactorsRecord> = Table::new("factors");
/// API tokens and app keys, by the SHA-256 of their secret.
pub const TOKENS: Table<[u8; 32], TokenRecord> = Table::new("tokens");
/// Networks that accounts have logged in from, by account.
pub const HOMES: Table<Uuid, HomesRecord> = Table::new("homes");
/// What accounts have to be told, by account.
pub const NOTICES: Table<Uuid, NoticesRecord> = Table::new("notices");
/// Wrong attempts, by what they were aimed at.
pub const THROTTLE: Table<str, ThrottleRecord> = Table::new("throttle");
/// Sites.
pub const SITES: Table<Uuid, SiteRecord> = Table::new("sites");
/// Authorised devices.
pub const DEVICES: Table<Uuid, DeviceRecord> = Table::new("devices");
/// Device ids by static public key.
pub const DEVICE_KEYS: Table<[u8; 32], Uuid> = Table::new("device_keys");
/// Static public keys of deleted devices, which are told so when they come back.
pub const FORGOTTEN: Table<[u8; 32], ForgottenRecord> = Table::new("forgotten_devices");
/// The owner's log, in the order of time (UUID version 7).
pub const EVENTS: Table<Uuid, EventRecord> = Table::new("events");
/// Statistics of the last hour, by minute since 1970: one row holds all devices.
pub const HISTORY: Table<u64, HistoryRecord> = Table::new("history");
/// Credentials, sealed by the vault.
pub const CREDENTIALS: Table<Uuid, CredentialRecord> = Table::new("credentials");
/// Jobs, in the order in which they were made (UUID version 7).
pub const JOBS: Table<Uuid, JobRecord> = Table::new("jobs");
/// What jobs have to do, by job and number.
pub const JOB_ITEMS: Table<(Uuid, u32), JobItemRecord> = Table::new("job_items");
/// Who did what, hash-chained, in order.
pub const AUDIT: Table<u64, AuditRecord> = Table::new("audit");

/// Bytes that only [`crate::seal`] reads.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct SealedBytes(#[serde(with = "super::records::bytes")] pub Vec<u8>);

/// A table's name, and what its keys and values are.
#[derive(Debug)]
pub struct Table<K: ?Sized, R> {
    pub(super) name: &'static str,
    types: PhantomData<fn(&K) -> R>,
}

impl<K: ?Sized, R> Table<K, R> {
    const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }
}

impl<K: ?Sized, R> Clone for Table<K, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, R> Copy for Table<K, R> {}

/// What can be a key.
pub trait TableKey {
    /// A key read back.
    type Owned;
    /// Bytes that sort as the key does.
    fn to_key(&self) -> Vec<u8>;
    /// The key, unless the bytes are not one.
    fn from_key(bytes: &[u8]) -> Option<Self::Owned>;
}

impl TableKey for str {
    type Owned = String;
    fn to_key(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
    fn from_key(bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl TableKey for Uuid {
    type Owned = Self;
    fn to_key(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
    fn from_key(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

impl TableKey for [u8; 32] {
    type Owned = Self;
    fn to_key(&self) -> Vec<u8> {
        self.to_vec()
    }
    fn from_key(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

impl TableKey for (Uuid, u32) {
    type Owned = Self;
    fn to_key(&self) -> Vec<u8> {
        [self.0.as_bytes().as_slice(), self.1.to_be_bytes().as_slice()].concat()
    }
    fn from_key(bytes: &[u8]) -> Option<Self> {
        let (id, number) = bytes.split_first_chunk::<16>()?;
        Some((Uuid::from_bytes(*id), number.try_into().ok().map(u32::from_be_bytes)?))
    }
}

impl TableKey for u64 {
    type Owned = Self;
    fn to_key(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }
    fn from_key(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}
