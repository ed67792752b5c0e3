//! A new key pair: every secret is sealed again in the background, over restarts too.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::opening::sealed;
use super::{CredentialError, Credentials, time};
use crate::audit::{Actor, note};
use crate::store::records::{CredentialRecord, SecretRecord};
use crate::store::tables::{CREDENTIALS, SETTINGS};
use crate::store::{Reader, StoreError, Writer};
use crate::supervisor::{DEADLINE, Supervisor};
use crate::vault::VaultError;
use crate::vault::crypto::epoch_of;
use crate::vault::protocol::{AT_ONCE, Key, MasterKey, Refusal, Sealed};

/// Under this name [`SETTINGS`] has the key pairs that there were.
const FORMER_KEYS: &str = "vault/former-keys";
/// Key pairs that are listed.
const LISTED: usize = 50;
/// How often a re-key that was interrupted is tried again, unless the vault says something before.
const AGAIN: Duration = Duration::from_mins(1);

/// A key pair that there was. Its key file and shares open backups from its time and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerKey {
    /// Its number.
    pub epoch: u32,
    /// Until when.
    pub until: Timestamp,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct KeptKey {
    epoch: u32,
    until: i64,
}

/// A secret's place: its credential and its version.
type Spot = (Uuid, u64);

impl Credentials {
    /// Makes a new key pair and master password. Sealing everything again goes on by itself.
    pub async fn rekey(&self, by: Actor, key: Key) -> Result<MasterKey, CredentialError> {
        let before = self.inner.vault.status().await?;
        let made = self.inner.vault.begin_rekey(key).await?;
        let now = self.inner.clock.now();
        let former = KeptKey { epoch: before.epoch, until: now.as_millisecond() };
        let write = move |writer: &Writer<'_>| {
            let mut keys = kept(writer.get(SETTINGS, FORMER_KEYS)?);
            // Begun again, it makes another master password for the same new pair.
            if !before.rekeying {
                keys.insert(0, former);
                keys.truncate(LISTED);
                put_kept(writer, &keys)?;
            }
            note(writer, now, by, "vault-rekeyed", &format!("key pair {}", former.epoch))
        };
        // The new master password exists and is shown this once, whatever the store says.
        if let Err(error) = self.inner.store.write(write).await {
            tracing::error!(%error, "the audit log was not told of a re-key");
        }
        self.inner.rekey.notify_one();
        Ok(made)
    }

    /// Key pairs that there were, the latest first.
    pub async fn former_keys(&self) -> Result<Vec<FormerKey>, CredentialError> {
        let text = self.inner.store.read(|reader| reader.get(SETTINGS, FORMER_KEYS)).await?;
        let keys = kept(text).into_iter();
        Ok(keys.map(|key| FormerKey { epoch: key.epoch, until: time(key.until) }).collect())
    }

    /// Follows the vault, and goes on with a re-key whenever that is possible.
    pub(super) fn keep_rekeying(&self, supervisor: &Supervisor) {
        let (room, token) = (self.clone(), supervisor.token());
        supervisor.spawn_essential("vault re-key", DEADLINE, async move |mut heartbeat| {
            let mut status = room.inner.vault.watch();
            loop {
                let rekeying = status
                    .borrow_and_update()
                    .as_ref()
                    .is_some_and(|status| status.rekeying && !status.sealed);
                let mut again = false;
                // The vault answers when it can; one that hangs is no reason to start the daemon anew.
                if rekeying && let Err(error) = heartbeat.during(room.go_on()).await {
                    tracing::warn!(%error, "the re-key was interrupted and goes on by itself");
                    again = true;
                }
                let pause = async {
                    tokio::select! {
                        changed = status.changed() => if changed.is_err() {
                            // Nobody will tell any more: the daemon stops.
                            std::future::pending::<()>().await;
                        },
                        () = room.inner.rekey.notified() => {}
                        () = tokio::time::sleep(AGAIN), if again => {}
                    }
                };
                if token.run_until_cancelled(heartbeat.during(pause)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Seals again what the former key pair sealed, until nothing is left, and drops that one.
    async fn go_on(&self) -> Result<(), CredentialError> {
        let status = self.inner.vault.status().await?;
        if !status.rekeying {
            return Ok(());
        }
        let epoch = status.epoch;
        let mut lost = HashSet::new();
        loop {
            let skipped = lost.clone();
            let read = move |reader: &Reader| some_old(reader, epoch, &skipped);
            let old = self.inner.store.read(read).await?;
            if old.is_empty() {
                break;
            }
            match self.inner.vault.reseal(old.clone()).await {
                Ok(new) => self.replace(old, new).await?,
                Err(VaultError::Refused(Refusal::Seal)) => self.one_by_one(old, &mut lost).await?,
                Err(error) => return Err(error.into()),
            }
        }
        // The vault drops the former key pair once the new key file has been given back.
        Ok(self.inner.vault.end_rekey().await?)
    }

    /// What is damaged must not keep the rest from its new seal. It is left as it is.
    async fn one_by_one(
        &self,
        old: Vec<Sealed>,
        lost: &mut HashSet<Spot>,
    ) -> Result<(), CredentialError> {
        for one in old {
            match self.inner.vault.reseal(vec![one.clone()]).await {
                Ok(new) => self.replace(vec![one], new).await?,
                Err(VaultError::Refused(Refusal::Seal)) => {
                    let (credential, version) = (one.credential, one.version);
                    tracing::error!(%credential, version, "a sealed secret does not open");
                    lost.insert((credential, version));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Puts new seals in the place of old ones, wherever the old ones still are.
    async fn replace(&self, old: Vec<Sealed>, new: Vec<Sealed>) -> Result<(), CredentialError> {
        let write = move |writer: &Writer<'_>| {
            for (old, new) in old.iter().zip(&new) {
                let Some(mut record) = writer.get(CREDENTIALS, &old.credential)? else { continue };
                for secret in secrets_mut(&mut record) {
                    if secret.version == old.version && secret.sealed == old.bytes {
                        secret.sealed.clone_from(&new.bytes);
                    }
                }
                writer.put(CREDENTIALS, &old.credential, &record)?;
            }
            Ok(())
        };
        Ok(self.inner.store.write(write).await?)
    }
}

fn put_kept(writer: &Writer<'_>, keys: &[KeptKey]) -> Result<(), StoreError> {
    let text = serde_json::to_string(keys)
        .map_err(|error| StoreError::Record { table: "settings", problem: error.to_string() })?;
    writer.put(SETTINGS, FORMER_KEYS, &text)
}

fn kept(text: Option<String>) -> Vec<KeptKey> {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn secrets_mut(record: &mut CredentialRecord) -> impl Iterator<Item = &mut SecretRecord> {
    let CredentialRecord { current, candidates, former, .. } = record;
    current.iter_mut().chain(candidates).chain(former)
}

/// Some secrets that another key pair sealed.
fn some_old(
    reader: &Reader,
    epoch: u32,
    skipped: &HashSet<Spot>,
) -> Result<Vec<Sealed>, StoreError> {
    let mut found = Vec::new();
    reader.each(CREDENTIALS, |id, record: CredentialRecord| {
        let all = record.current.iter().chain(&record.candidates).chain(&record.former);
        let old = all.filter(|secret| {
            epoch_of(&secret.sealed) != Some(epoch) && !skipped.contains(&(id, secret.version))
        });
        let room = AT_ONCE - found.len();
        found.extend(old.take(room).map(|secret| sealed(id, secret)));
    })?;
    Ok(found)
}
