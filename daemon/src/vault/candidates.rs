//! What becomes of a credential's secrets as devices take them, lose them and come back with them.
//!
//! A secret is a *candidate* from before the device hears of it until one of them is known to hold.
//! The rule behind all of this: a secret that the device may have is never forgotten for one that it
//! is not known to have.

use uuid::Uuid;

use crate::store::records::{CredentialRecord, SecretRecord};
use crate::store::tables::CREDENTIALS;
use crate::store::{StoreError, Writer};

/// Secrets that held before, and are kept; as many again that perhaps did.
pub const FORMER: usize = 10;
/// Secrets of which one may hold. Beyond that somebody has to look at the device.
pub const CANDIDATES: usize = 32;
/// The highest version that is believed: no device was ever sent more.
pub const HIGHEST: u64 = 1 << 48;

/// The device has an older password than the one that was proven last.
pub const OLDER_PASSWORD: &str = "older-password";
/// Somebody changed the password on the device.
pub const CHANGED_ON_DEVICE: &str = "changed-on-device";

/// What a device's word about a version comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is the current one.
    Current,
    /// It is newer than what was current, and current now.
    Committed,
    /// It is older than what was current, and current now.
    Older,
    /// It came back from the device and has not been opened yet.
    Unopened,
    /// Nobody here knows it: the store is older than the device.
    Unknown,
}

/// When a device says which version holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is on its way to it: it has just connected, or has answered what it was told.
    Settled,
    /// Something newer may be on its way.
    Underway,
}

/// The version that a new secret gets, above all that record and device know of.
pub fn next_version(record: &CredentialRecord, device: u64) -> Option<u64> {
    let next = record.newest.max(device).checked_add(1)?;
    (next <= HIGHEST).then_some(next)
}

/// Lists a candidate. `false`, and nothing is changed, where its version is taken or too many are
/// listed.
pub fn add(record: &mut CredentialRecord, candidate: SecretRecord) -> bool {
    if candidate.version <= record.newest || record.candidates.len() >= CANDIDATES {
        return false;
    }
    record.newest = candidate.version;
    record.candidates.push(candidate);
    true
}

/// The device said in so many words that it did not take a candidate.
pub fn refused(record: &mut CredentialRecord, version: u64) {
    record.candidates.retain(|secret| secret.version != version);
}

/// The device says that this version holds.
pub fn holds(record: &mut CredentialRecord, version: u64, moment: Moment, now: i64) -> Finding {
    if find(record, version).is_none_or(|secret| secret.unopened) {
        return find(record, version).map_or(Finding::Unknown, |_| Finding::Unopened);
    }
    let before = record.current.as_ref().map(|secret| secret.version);
    let Some(mut held) = take(record, version) else { return Finding::Unknown };
    if before != Some(version) || held.proven.is_none() {
        held.proven = Some(now);
    }
    let outrun: Vec<SecretRecord> = match moment {
        Moment::Settled => std::mem::take(&mut record.candidates),
        Moment::Underway => record.candidates.extract_if(.., |one| one.version < version).collect(),
    };
    let outrun = outrun.into_iter().chain(record.current.replace(held)).collect();
    shelve(record, outrun);
    let newest_proven = record.former.iter().filter(|secret| secret.proven.is_some());
    let newest_proven = newest_proven.map(|secret| secret.version).max().max(before);
    if before == Some(version) {
        if record.trouble == CHANGED_ON_DEVICE {
            record.trouble.clear();
        }
        Finding::Current
    } else if newest_proven > Some(version) {
        OLDER_PASSWORD.clone_into(&mut record.trouble);
        Finding::Older
    } else {
        record.trouble.clear();
        Finding::Committed
    }
}

/// The device has a password that the appliance did not set. `true` where that is news.
pub fn changed_on_device(record: &mut CredentialRecord) -> bool {
    // What was typed was never set by us: then nothing has changed.
    let set = record.current.as_ref().is_some_and(|secret| secret.proven.is_some());
    let news = set && record.trouble != CHANGED_ON_DEVICE;
    if news {
        CHANGED_ON_DEVICE.clone_into(&mut record.trouble);
    }
    news
}

/// Takes a sealed secret back from the device that has it. It stays a candidate until somebody has
/// seen that it opens: the device may have it from another appliance's vault. `false` where it is
/// known already or not to be believed.
pub fn adopt(record: &mut CredentialRecord, version: u64, sealed: Vec<u8>, now: i64) -> bool {
    let known = find(record, version).is_some();
    if version == 0 || version > HIGHEST || sealed.is_empty() || known {
        return false;
    }
    let full = record.candidates.len() >= CANDIDATES;
    if full {
        return false;
    }
    record.newest = record.newest.max(version);
    let unopened = true;
    record.candidates.push(SecretRecord {
        version,
        sealed,
        made: now,
        unopened,
        ..SecretRecord::default()
    });
    record.candidates.sort_by_key(|secret| secret.version);
    true
}

/// A secret that came back from its device opens.
pub fn opened(record: &mut CredentialRecord, version: u64) {
    let listed = record.candidates.iter_mut().chain(&mut record.former);
    for secret in listed.filter(|secret| secret.version == version) {
        secret.unopened = false;
    }
}

/// The secret with this version, wherever it is listed.
pub fn find(record: &CredentialRecord, version: u64) -> Option<&SecretRecord> {
    let listed = record.current.iter().chain(&record.candidates).chain(&record.former);
    listed.into_iter().find(|secret| secret.version == version)
}

/// Changes a credential within a transaction, and makes it first where there is none. The record is
/// written where `change` changes it.
pub fn change<T>(
    writer: &Writer<'_>,
    id: Uuid,
    fresh: impl FnOnce() -> CredentialRecord,
    change: impl FnOnce(&mut CredentialRecord) -> T,
) -> Result<T, StoreError> {
    let stored = writer.get(CREDENTIALS, &id)?;
    let mut record = stored.clone().unwrap_or_else(fresh);
    let outcome = change(&mut record);
    if stored.as_ref() != Some(&record) {
        writer.put(CREDENTIALS, &id, &record)?;
    }
    Ok(outcome)
}

fn take(record: &mut CredentialRecord, version: u64) -> Option<SecretRecord> {
    if let Some(current) = record.current.take_if(|secret| secret.version == version) {
        return Some(current);
    }
    for listed in [&mut record.candidates, &mut record.former] {
        if let Some(place) = listed.iter().position(|secret| secret.version == version) {
            return Some(listed.remove(place));
        }
    }
    None
}

/// Puts secrets to the former ones, the latest first, and keeps the latest of those that held and
/// of those that perhaps did.
pub(super) fn shelve(record: &mut CredentialRecord, secrets: Vec<SecretRecord>) {
    record.former.extend(secrets);
    record.former.sort_by_key(|secret| std::cmp::Reverse(secret.version));
    let mut kept = [0; 2];
    record.former.retain(|secret| {
        let [held, perhaps] = &mut kept;
        let count = if secret.proven.is_some() { held } else { perhaps };
        *count += 1;
        *count <= FORMER
    });
}

#[cfg(test)]
mod tests;
