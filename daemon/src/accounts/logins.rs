//! Logins: a token proves one, and only its hash is kept.
//!
//! All of them stand in memory, so that a request costs no disk; a use is written at most once a
//! minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::seal::{self, SealError, Secret};
use crate::store::records::LoginRecord;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// Idle time of a login, when neither account nor login says another: 24 hours.
pub(super) const IDLE: i64 = DAY;
/// Shortest and longest idle time.
const IDLE_BOUNDS: (i64, i64) = (30 * MINUTE, 30 * DAY);
/// A login ends one month after it began, whatever happens.
const LATEST: i64 = 30 * DAY;
/// A login this young, or stepped up this lately, may do what needs a step-up.
const STEPPED_UP: i64 = 5 * MINUTE;

/// A login's name: the SHA-256 of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginId([u8; 32]);

impl From<[u8; 32]> for LoginId {
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl LoginId {
    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The login that a token proves, if there is one.
    pub fn of_token(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// The token, handed out once.
pub type LoginToken = Secret<String>;

/// 256 bits.
pub(super) fn new_token() -> Result<LoginToken, SealError> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(seal::random::<32>()?)))
}

/// All live logins.
#[derive(Default)]
pub(super) struct Logins {
    live: Mutex<HashMap<LoginId, LoginRecord>>,
}

/// What a use of a login means for the store.
#[derive(Clone, Debug)]
pub(super) struct Used {
    pub(super) record: LoginRecord,
    /// More than a minute since it was last written.
    pub(super) to_write: bool,
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, HashMap<LoginId, LoginRecord>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, id: LoginId, record: LoginRecord) {
        self.lock().insert(id, record);
    }

    pub(super) fn get(&self, id: &LoginId) -> Option<LoginRecord> {
        self.lock().get(id).cloned()
    }

    pub(super) fn remove(&self, id: &LoginId) -> Option<LoginRecord> {
        self.lock().remove(id)
    }

    pub(super) fn of_account(&self, account: Uuid) -> Vec<LoginId> {
        let live = self.lock();
        live.iter().filter(|(_, record)| record.account == account).map(|(id, _)| *id).collect()
    }

    /// Those that have ended by time.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<LoginId> {
        let now = now.as_millisecond();
        let live = self.lock();
        live.iter().filter(|(_, record)| record.expires <= now).map(|(id, _)| *id).collect()
    }

    /// Extends a login by its use. `None`: there is none, or it has ended.
    pub(super) fn touch(&self, id: &LoginId, now: Timestamp) -> Option<Used> {
        let now = now.as_millisecond();
        let mut live = self.lock();
        let record = live.get_mut(id)?;
        if record.expires <= now {
            return None;
        }
        let to_write = now - record.last_used >= MINUTE;
        if to_write {
            record.last_used = now;
            record.expires = (now + record.idle).min(record.latest);
        }
        Some(Used { record: record.clone(), to_write })
    }

    pub(super) fn step_up(&self, id: &LoginId, now: Timestamp) -> Option<LoginRecord> {
        let mut live = self.lock();
        let record = live.get_mut(id)?;
        record.stepped_up = Some(now.as_millisecond());
        Some(record.clone())
    }
}

/// A login that begins now. `idle` in milliseconds; out of bounds, the nearest bound counts.
pub(super) fn begin(account: Uuid, idle: Option<i64>, now: Timestamp) -> LoginRecord {
    let now = now.as_millisecond();
    let idle = idle.filter(|idle| *idle > 0).unwrap_or(IDLE).clamp(IDLE_BOUNDS.0, IDLE_BOUNDS.1);
    LoginRecord {
        account,
        created: now,
        last_used: now,
        expires: (now + idle).min(now + LATEST),
        latest: now + LATEST,
        idle,
        stepped_up: None,
        address: String::new(),
        client: String::new(),
    }
}

/// Until when a login may do what needs a step-up.
pub(super) fn stepped_up_until(record: &LoginRecord) -> Timestamp {
    let since = record.stepped_up.unwrap_or(record.created).max(record.created);
    Timestamp::from_millisecond(since + STEPPED_UP).unwrap_or(Timestamp::UNIX_EPOCH)
}
