//! Seeing off who leaves: the account is disabled, nothing of it lets anybody in, and what it has
//! seen is listed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Accounts;
use super::error::AccountError;
use super::logins::{LoginId, time};
use super::people::{Actor, note, refusal};
use crate::store::tables::{ACCOUNTS, AUDIT, TOKENS};
use crate::store::{StoreError, Writer};

/// What the audit log says of an account that was shown a secret.
const SECRET_SEEN: &str = "secret seen";
/// A secret that is shown again within this time is not written down again.
const SEEN_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// Secrets that an offboarding lists.
const SECRETS_LISTED: usize = 500;

/// What became of an account whose owner leaves.
#[derive(Clone, Debug)]
pub struct Offboarded {
    /// Logins that were ended.
    pub logins: usize,
    /// API tokens that were deleted.
    pub tokens: usize,
    /// App keys that were deleted.
    pub app_keys: usize,
    /// Secrets that it has been shown, the latest first.
    pub secrets: Vec<SecretSeen>,
}

/// A secret that an account was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSeen {
    /// When.
    pub at: Timestamp,
    /// That it was shown.
    pub what: String,
    /// Which, and from where.
    pub about: String,
}

/// Secrets that were shown lately, by account.
#[derive(Default)]
pub(super) struct Shown(Mutex<HashMap<(Uuid, String), Timestamp>>);

impl Shown {
    /// Whether a look was written down within the hour.
    fn knows(&self, look: &(Uuid, String), now: Timestamp) -> bool {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|_, at| now.duration_since(*at) < SEEN_AGAIN);
        shown.contains_key(look)
    }

    fn remember(&self, look: (Uuid, String), now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(look, now);
    }
}

impl Accounts {
    /// Disables the account of who leaves, ends its logins, deletes its tokens and app keys, and
    /// lists the secrets that it has been shown.
    pub async fn offboard(&self, by: Actor, id: Uuid) -> Result<Offboarded, AccountError> {
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            let Some(mut record) = writer.get(ACCOUNTS, &id)? else {
                return Ok(Err(AccountError::NoAccount));
            };
            record.enabled = false;
            if let Some(refused) = refusal(writer, by, id, Some(&record))? {
                return Ok(Err(refused));
            }
            let now = room.inner.clock.now();
            let logins = room.put_anew(writer, id, &mut record)?.len();
            let deleted = delete_tokens(writer, id)?;
            let app_keys = deleted.iter().filter(|(_, app_key)| *app_key).count();
            let tokens = deleted.len() - app_keys;
            note(writer, now, by, "account-offboarded", &record.username)?;
            room.forget(&deleted.into_iter().map(|(token, _)| token).collect::<Vec<_>>());
            Ok(Ok((logins, tokens, app_keys)))
        };
        let (logins, tokens, app_keys) = self.inner.store.write(write).await??;
        let secrets = self.secrets_seen(id).await?;
        Ok(Offboarded { logins, tokens, app_keys, secrets })
    }

    /// Writes down that an account is shown a secret. Before it is.
    pub async fn shows_secret(&self, by: Actor, secret: String) -> Result<(), AccountError> {
        let now = self.inner.clock.now();
        let look = (by.account, secret);
        if self.inner.shown.knows(&look, now) {
            return Ok(());
        }
        let written = look.1.clone();
        let write = move |writer: &Writer<'_>| note(writer, now, by, SECRET_SEEN, &written);
        self.inner.store.write(write).await?;
        self.inner.shown.remember(look, now);
        Ok(())
    }

    async fn secrets_seen(&self, id: Uuid) -> Result<Vec<SecretSeen>, AccountError> {
        let entries = self.inner.store.read(|reader| reader.all(AUDIT)).await?;
        let who = id.to_string();
        let seen = entries.into_iter().rev().map(|(_, entry)| entry);
        let seen = seen.filter(|entry| entry.who == who && entry.what == SECRET_SEEN);
        let secrets = seen.map(|entry| SecretSeen {
            at: time(entry.at),
            what: entry.what,
            about: entry.about,
        });
        Ok(secrets.take(SECRETS_LISTED).collect())
    }
}

/// Deletes the tokens and app keys of an account from the store. Each with whether it is an app
/// key.
pub(super) fn delete_tokens(
    writer: &Writer<'_>,
    id: Uuid,
) -> Result<Vec<(LoginId, bool)>, StoreError> {
    let mut deleted = Vec::new();
    for (hash, token) in writer.all(TOKENS)? {
        if token.account == id {
            writer.delete(TOKENS, &hash)?;
            deleted.push((LoginId::from(hash), token.kind == "app-key"));
        }
    }
    Ok(deleted)
}
