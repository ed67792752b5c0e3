//! What stands in the tables: records with named fields.
//!
//! A record may gain fields that default; a field never changes its meaning or type. What does not
//! fit that way is a migration.

mod credentials;
mod jobs;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::credentials::{CredentialRecord, SecretRecord};
pub use self::jobs::{JobItemRecord, JobRecord};

/// Byte strings as `MessagePack`'s own bytes instead of lists of numbers.
pub(crate) mod bytes {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer, B: AsRef<[u8]>>(
        bytes: &B,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes.as_ref())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<B, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        let bytes = deserializer.deserialize_bytes(Bytes)?;
        B::try_from(bytes).map_err(|_| D::Error::custom("a byte string of another length"))
    }
}

/// An authorised device. Times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Static public key: its identity.
    #[serde(with = "bytes")]
    pub public_key: [u8; 32],
    /// The MAC address that it claims.
    #[serde(with = "bytes")]
    pub mac: [u8; 6],
    /// The owner's name for it.
    #[serde(default)]
    pub alias: String,
    /// The owner's note.
    #[serde(default)]
    pub note: String,
    /// The owner works on it.
    #[serde(default)]
    pub maintenance: bool,
    /// Claimed host name.
    #[serde(default)]
    pub hostname: String,
    /// Claimed model.
    #[serde(default)]
    pub model: String,
    /// Claimed vendor.
    #[serde(default)]
    pub vendor: String,
    /// Claimed operating system and version.
    #[serde(default)]
    pub firmware_version: String,
    /// Claimed agent version.
    #[serde(default)]
    pub agent_version: String,
    /// Claimed serial number.
    #[serde(default)]
    pub serial_number: String,
    /// Claimed machine type.
    #[serde(default)]
    pub architecture: String,
    /// Claimed addresses with prefix lengths.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Claimed role, in the published API's word.
    #[serde(default)]
    pub role: String,
    /// Its own file lets terminals be opened.
    #[serde(default)]
    pub terminal_allowed: bool,
    /// The site that it belongs to.
    #[serde(default)]
    pub site: Option<Uuid>,
    /// It checked the appliance's key, or an admin confirmed it.
    #[serde(default)]
    pub verified: bool,
    /// Generation of the device key that it came with.
    #[serde(with = "bytes")]
    pub generation: [u8; 4],
    /// First knock.
    pub first_seen: i64,
    /// Last message, as of the last write of this record.
    pub last_seen: i64,
    /// When an admin let it in.
    pub authorized_at: i64,
    /// Which account did.
    #[serde(default)]
    pub authorized_by: Option<Uuid>,
    /// Until when a new identity may take its place.
    #[serde(default)]
    pub refresh_until: Option<i64>,
    /// Host and port by which it last came.
    #[serde(default)]
    pub came_by: Option<(String, u16)>,
}

/// A deleted device's key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ForgottenRecord {
    /// When it was deleted, in milliseconds since 1970.
    pub at: i64,
}

/// A place where devices are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SiteRecord {
    /// Its name.
    pub name: String,
    /// "site" or "endpoint" (a subscriber's).
    #[serde(default)]
    pub kind: String,
    /// The site above.
    #[serde(default)]
    pub parent: Option<Uuid>,
    /// Postal address.
    #[serde(default)]
    pub address: String,
    /// The owner's note.
    #[serde(default)]
    pub note: String,
    /// Whom to call there.
    #[serde(default)]
    pub contact: ContactRecord,
    /// Latitude and longitude in degrees.
    #[serde(default)]
    pub location: Option<(f64, f64)>,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Last change.
    pub updated: i64,
}

/// Whom to call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRecord {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Telephone number.
    #[serde(default)]
    pub phone: String,
    /// E-mail address.
    #[serde(default)]
    pub email: String,
}

/// A line of the owner's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// Milliseconds since 1970.
    pub at: i64,
    /// "info", "warning" or "error".
    pub level: String,
    /// What it is about, in the published API's words.
    pub tag: String,
    /// For people.
    pub message: String,
    /// The device that it is about.
    #[serde(default)]
    pub device: Option<Uuid>,
    /// The device's name at that time.
    #[serde(default)]
    pub device_name: String,
    /// The site that it is about.
    #[serde(default)]
    pub site: Option<Uuid>,
    /// The account that did it.
    #[serde(default)]
    pub account: Option<Uuid>,
}

/// Statistics of one minute, packed by the devices room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HistoryRecord {
    /// Which packing.
    pub version: u8,
    /// The points.
    #[serde(with = "bytes")]
    pub points: Vec<u8>,
}

/// A person who logs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountRecord {
    /// User name as typed.
    pub username: String,
    /// E-mail address as typed.
    pub email: String,
    /// First name.
    #[serde(default)]
    pub first_name: String,
    /// Last name.
    #[serde(default)]
    pub last_name: String,
    /// "superadmin", "admin" or "guest".
    pub role: String,
    /// bcrypt hash of the peppered pre-hash, or of the password itself where the pepper is "plain".
    pub password_hash: String,
    /// Which pepper the hash was made with; "plain" for none: a provisioning file brought the hash,
    /// and nobody has logged in with it yet.
    pub pepper: String,
    /// May log in.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Time zone name.
    #[serde(default)]
    pub timezone: String,
    /// Country code.
    #[serde(default)]
    pub country: String,
    /// Idle time after which a login ends, in milliseconds.
    #[serde(default)]
    pub session_timeout: Option<i64>,
    /// GUI preferences as JSON text.
    #[serde(default)]
    pub preferences: String,
    /// Nothing but a change of the password is allowed to it.
    #[serde(default)]
    pub force_password_change: bool,
    /// Counts the times that all its logins were ended; those of another count are worth nothing.
    #[serde(default)]
    pub era: u32,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Last change.
    pub updated: i64,
}

fn yes() -> bool {
    true
}

/// The second factors of an account. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FactorsRecord {
    /// Codes from an app.
    #[serde(default)]
    pub totp: Option<TotpRecord>,
    /// SHA-256 of the recovery codes that have not been used.
    #[serde(default)]
    pub recovery: Vec<RecoveryRecord>,
    /// Passkeys.
    #[serde(default)]
    pub passkeys: Vec<PasskeyRecord>,
}

/// A confirmed app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TotpRecord {
    /// The secret, sealed under `totp/<account>`.
    #[serde(with = "bytes")]
    pub sealed: Vec<u8>,
    /// When its first code confirmed it.
    pub confirmed: i64,
    /// The newest time step of which a code was taken (RFC 6238, section 5.2: each once).
    pub last_step: u64,
}

/// A recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRecord(#[serde(with = "bytes")] pub [u8; 32]);

/// A passkey.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyRecord {
    /// For the list.
    pub id: Uuid,
    /// The account's name for it.
    pub name: String,
    /// The host name that it was made for: its relying party.
    pub host: String,
    /// The credential, as the library writes it in JSON.
    pub credential: String,
    /// When it was enrolled.
    pub created: i64,
    /// Last use.
    #[serde(default)]
    pub last_used: Option<i64>,
}

/// An API token or a key of the CRM. Times are milliseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Who made it.
    pub account: Uuid,
    /// "token" for the network API, "app-key" for the CRM.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// A note.
    #[serde(default)]
    pub meta: String,
    /// "superadmin", "admin" or "guest"; of an app key, "read" or "write".
    pub scope: String,
    /// May do what a login has to step up for, from its addresses.
    #[serde(default)]
    pub step_up: bool,
    /// Networks that it may come from, as CIDR; none: from anywhere.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// When it was made.
    pub created: i64,
    /// When it ends; never, if not set.
    #[serde(default)]
    pub expires: Option<i64>,
    /// Last use.
    #[serde(default)]
    pub last_used: Option<i64>,
    /// Where the last use came from.
    #[serde(default)]
    pub last_address: String,
    /// Addresses that it came from, each with its first and last use; the least recent goes first.
    #[serde(default)]
    pub seen: Vec<(String, i64, i64)>,
}

/// The networks that an account has logged in from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HomesRecord {
    /// Each with its first and last login, in milliseconds since 1970; the least recent goes first.
    pub networks: Vec<(String, i64, i64)>,
}

/// What an account has to be told at its next login.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NoticesRecord {
    /// Oldest first.
    pub notices: Vec<NoticeRecord>,
}

/// Something to tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoticeRecord {
    /// For the list.
    pub id: Uuid,
    /// Milliseconds since 1970.
    pub at: i64,
    /// For people.
    pub message: String,
}

/// Wrong attempts, over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleRecord {
    /// How many.
    pub wrong: u32,
    /// The last of them, in milliseconds since 1970.
    pub last: i64,
    /// Until when the next one has to wait.
    pub blocked_until: i64,
    /// Where a day's worth counts: when each hour with wrong attempts began, and how many it had.
    #[serde(default)]
    pub hours: Vec<(i64, u32)>,
}

/// A login. Times are milliseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginRecord {
    /// Whose.
    pub account: Uuid,
    /// When it began.
    pub created: i64,
    /// Last use.
    pub last_used: i64,
    /// When it ends unless it is used.
    pub expires: i64,
    /// When it ends whatever happens.
    pub latest: i64,
    /// Idle time that a use gives, in milliseconds.
    pub idle: i64,
    /// Last step-up.
    #[serde(default)]
    pub stepped_up: Option<i64>,
    /// When a second factor was last proven.
    #[serde(default)]
    pub factor: Option<i64>,
    /// Address of the client, as of the last use.
    #[serde(default)]
    pub address: String,
    /// User agent of the client.
    #[serde(default)]
    pub client: String,
    /// The account's count when it began.
    #[serde(default)]
    pub era: u32,
    /// Addresses that it came from, each with its first and last use; the least recent goes first.
    #[serde(default)]
    pub seen: Vec<(String, i64, i64)>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Who: an account's id, or what part of the appliance.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub about: String,
    /// Where it came from, if from anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// SHA-256 over the entry before and this one's fields.
    #[serde(with = "bytes")]
    pub hash: [u8; 32],
}
