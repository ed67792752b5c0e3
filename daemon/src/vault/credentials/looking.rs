//! Looking at credentials. No secret is opened for it.

use std::collections::HashMap;

use uuid::Uuid;

use super::places::{device_name, device_names};
use super::{Credential, CredentialError, Credentials};
use crate::store::records::CredentialRecord;
use crate::store::tables::{CREDENTIALS, DEVICES};
use crate::store::{Reader, StoreError};

/// Which credentials are wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// Text to be found in the device's name, the label, the account's name or the note.
    pub text: String,
    /// Only those of this device.
    pub device: Option<Uuid>,
    /// Only those with something that is not as it should be, or only the others.
    pub trouble: Option<bool>,
    /// Credentials a page.
    pub count: usize,
    /// Which page, from 1.
    pub page: usize,
}

/// A page of credentials, by place and account.
#[derive(Debug)]
pub struct Found {
    /// The page.
    pub items: Vec<Credential>,
    /// How many there are in all pages.
    pub total: usize,
}

/// How many credentials there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub credentials: usize,
    /// With secrets of which one may hold.
    pub unproven: usize,
    /// With something that is not as it should be.
    pub trouble: usize,
}

impl Query {
    fn wants(&self, credential: &Credential) -> bool {
        let texts = [credential.place(), &credential.username, &credential.note, &credential.label];
        self.device.is_none_or(|device| credential.device == Some(device))
            && self.trouble.is_none_or(|trouble| credential.trouble.is_empty() != trouble)
            && (self.text.is_empty()
                || texts.iter().any(|text| text.to_lowercase().contains(&self.text)))
    }
}

impl Credentials {
    /// Looks for credentials.
    pub async fn list(&self, mut query: Query) -> Result<Found, CredentialError> {
        query.text = query.text.to_lowercase();
        let read = move |reader: &Reader| {
            let mut all = every(reader, |credential| query.wants(credential))?;
            let key = |one: &Credential| {
                (one.place().to_lowercase(), one.username.to_lowercase(), one.id)
            };
            all.sort_by_cached_key(key);
            let total = all.len();
            let before = query.count.saturating_mul(query.page.saturating_sub(1));
            let items = all.into_iter().skip(before).take(query.count).collect();
            Ok(Found { items, total })
        };
        Ok(self.inner.store.read(read).await?)
    }

    /// One credential.
    pub async fn get(&self, id: Uuid) -> Result<Credential, CredentialError> {
        let read = move |reader: &Reader| {
            let found = reader.get(CREDENTIALS, &id)?;
            found.map(|record| named(reader, id, &record)).transpose()
        };
        self.inner.store.read(read).await?.ok_or(CredentialError::NoCredential)
    }

    /// What these are called, as far as they are still kept: the account, and where.
    pub async fn names(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, String>, CredentialError> {
        let read = move |reader: &Reader| {
            let mut names = HashMap::new();
            for id in ids {
                if names.contains_key(&id) {
                    continue;
                }
                if let Some(record) = reader.get(CREDENTIALS, &id)? {
                    let one = named(reader, id, &record)?;
                    names.insert(id, format!("{} on {}", one.username, one.place()));
                }
            }
            Ok(names)
        };
        Ok(self.inner.store.read(read).await?)
    }

    /// How many there are.
    pub async fn counts(&self) -> Result<Counts, CredentialError> {
        let read = |reader: &Reader| {
            let mut counts = Counts::default();
            reader.each(CREDENTIALS, |_, record: CredentialRecord| {
                counts.credentials += 1;
                counts.unproven += usize::from(!record.candidates.is_empty());
                counts.trouble += usize::from(!record.trouble.is_empty());
            })?;
            Ok(counts)
        };
        Ok(self.inner.store.read(read).await?)
    }
}

/// A credential with its device's name.
pub(super) fn named(
    reader: &Reader,
    id: Uuid,
    record: &CredentialRecord,
) -> Result<Credential, StoreError> {
    let device = record.device.map(|device| reader.get(DEVICES, &device)).transpose()?.flatten();
    Ok(Credential::new(id, record, device.as_ref().map(device_name)))
}

fn every(
    reader: &Reader,
    wanted: impl Fn(&Credential) -> bool,
) -> Result<Vec<Credential>, StoreError> {
    let names: HashMap<Uuid, String> = device_names(reader)?;
    let mut found = Vec::new();
    reader.each(CREDENTIALS, |id, record| {
        let name = record.device.and_then(|device| names.get(&device).cloned());
        found.extend(Some(Credential::new(id, &record, name)).filter(&wanted));
    })?;
    Ok(found)
}
