//! Opening secrets for a person to see. The vault counts each, and may refuse it.

use uuid::Uuid;

use super::looking::named;
use super::{Credential, CredentialError, Credentials};
use crate::store::Reader;
use crate::store::records::{CredentialRecord, SecretRecord};
use crate::store::tables::{CREDENTIALS, DEVICES};
use crate::vault::protocol::{Pass, Refusal, Sealed};
use crate::vault::{SecretText, VaultError};

/// Seconds until the next try, where the hour's openings do not reach for all that was asked.
const HOUR: u64 = 3_600;

/// A secret that was found and is still sealed.
#[derive(Debug)]
pub struct Findings {
    /// Whose it is.
    pub credential: Credential,
    sealed: Sealed,
}

impl Findings {
    /// Its number in its credential.
    pub fn version(&self) -> u64 {
        self.sealed.version
    }
}

/// A secret in the clear.
pub struct Opened {
    /// Whose it is.
    pub credential: Credential,
    /// Its number in the credential.
    pub version: u64,
    /// Itself.
    pub secret: SecretText,
}

impl Credentials {
    /// Finds a secret: this version, or else the present one.
    pub async fn find(&self, id: Uuid, version: Option<u64>) -> Result<Findings, CredentialError> {
        let read = move |reader: &Reader| {
            let Some(record) = reader.get(CREDENTIALS, &id)? else {
                return Ok(Err(CredentialError::NoCredential));
            };
            let Some(secret) = secret(&record, version) else {
                return Ok(Err(CredentialError::NoVersion));
            };
            let credential = named(reader, id, &record)?;
            Ok(Ok(Findings { credential, sealed: sealed(id, secret) }))
        };
        self.inner.store.read(read).await?
    }

    /// The present secrets of a device, those with full rights first; of all devices, where none
    /// is named.
    pub async fn of_devices(&self, device: Option<Uuid>) -> Result<Vec<Findings>, CredentialError> {
        let read = move |reader: &Reader| {
            if let Some(device) = device
                && reader.get(DEVICES, &device)?.is_none()
            {
                return Ok(Err(CredentialError::NoDevice));
            }
            let mut found = Vec::new();
            let wanted = |of: Uuid| device.is_none_or(|device| device == of);
            for (id, record) in reader.all(CREDENTIALS)? {
                if record.device.is_some_and(wanted)
                    && let Some(current) = &record.current
                {
                    let credential = named(reader, id, &record)?;
                    found.push(Findings { credential, sealed: sealed(id, current) });
                }
            }
            found.sort_by_key(|one| (one.credential.read_only, one.credential.id));
            Ok(Ok(found))
        };
        self.inner.store.read(read).await?
    }

    /// Opens one. `reason` says who asked and why.
    pub async fn open(
        &self,
        pass: Option<Pass>,
        reason: String,
        found: Findings,
    ) -> Result<Opened, CredentialError> {
        let version = found.version();
        let secret = self.inner.vault.open(pass, reason, found.sealed).await?;
        Ok(Opened { credential: found.credential, version, secret })
    }

    /// Refuses more openings than the hour still has. For those that ask for many at once, so that
    /// they use up none before they are refused.
    pub async fn affords(&self, openings: usize) -> Result<(), CredentialError> {
        let left = self.inner.vault.status().await?.left;
        if usize::try_from(left).is_ok_and(|left| left < openings) {
            return Err(VaultError::from(Refusal::Limit { seconds: HOUR }).into());
        }
        Ok(())
    }

    /// Opens all of these, one after the other.
    pub async fn open_all(
        &self,
        pass: Option<Pass>,
        reason: String,
        found: Vec<Findings>,
    ) -> Result<Vec<Opened>, CredentialError> {
        let mut opened = Vec::with_capacity(found.len());
        for one in found {
            opened.push(self.open(pass.clone(), reason.clone(), one).await?);
        }
        Ok(opened)
    }
}

fn secret(record: &CredentialRecord, version: Option<u64>) -> Option<&SecretRecord> {
    let Some(version) = version else { return record.current.as_ref() };
    let all = record.current.iter().chain(&record.candidates).chain(&record.former);
    all.into_iter().find(|secret| secret.version == version)
}

pub(super) fn sealed(credential: Uuid, secret: &SecretRecord) -> Sealed {
    Sealed { credential, version: secret.version, bytes: secret.sealed.clone() }
}
