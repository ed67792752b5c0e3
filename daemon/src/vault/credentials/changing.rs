//! Making, changing and deleting credentials by hand. All of it works while the vault is sealed.

use jiff::Timestamp;
use uuid::Uuid;

use super::bounds::{check_name, check_note, check_secret};
use super::places::{Place, device_name, title};
use super::{Credential, CredentialError, Credentials, TRIES};
use crate::audit::{Actor, note};
use crate::store::records::{CredentialRecord, DeviceRecord, SecretRecord};
use crate::store::tables::{CREDENTIALS, DEVICES};
use crate::store::{Reader, StoreError, Writer};
use crate::vault::candidates;
use crate::vault::protocol::{Plain, Sealed};
use crate::vault::{SecretText, VaultError};

/// What a credential is made of.
#[derive(Clone, Debug, Default)]
pub struct NewCredential {
    /// The device, where it is one of ours.
    pub device: Option<Uuid>,
    /// What it is for, where it is not.
    pub label: String,
    /// The account's name.
    pub username: String,
    /// The account may only look.
    pub read_only: bool,
    /// Where SSH listens.
    pub ssh_port: Option<u16>,
    /// Where HTTPS listens.
    pub https_port: Option<u16>,
    /// What people note about it.
    pub note: String,
}

/// What is to change about a credential. `None` keeps.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Another device.
    pub device: Option<Uuid>,
    /// Another label: then it is for no device of ours.
    pub label: Option<String>,
    /// The account's name.
    pub username: Option<String>,
    /// The account may only look.
    pub read_only: Option<bool>,
    /// Where SSH listens; 0 takes it away.
    pub ssh_port: Option<u16>,
    /// Where HTTPS listens; 0 takes it away.
    pub https_port: Option<u16>,
    /// What people note about it.
    pub note: Option<String>,
}

/// How a write within a transaction went.
type Outcome = Result<(), CredentialError>;

impl NewCredential {
    /// The record, unless something about it cannot be.
    pub(super) fn record(&self, source: &str) -> Result<CredentialRecord, CredentialError> {
        if self.device.is_none() && self.label.is_empty() {
            let told = "name the device, or give a label that says what the password is for";
            return Err(CredentialError::Form(told.to_owned()));
        }
        if self.username.is_empty() {
            return Err(CredentialError::Form("the user name is empty".to_owned()));
        }
        check_name("user name", &self.username)?;
        check_name("label", &self.label)?;
        check_note(&self.note)?;
        Ok(CredentialRecord {
            device: self.device,
            label: if self.device.is_none() { self.label.clone() } else { String::new() },
            username: self.username.clone(),
            source: source.to_owned(),
            read_only: self.read_only,
            ssh_port: self.ssh_port.filter(|port| *port != 0),
            https_port: self.https_port.filter(|port| *port != 0),
            note: self.note.clone(),
            ..CredentialRecord::default()
        })
    }
}

impl Change {
    fn apply(&self, record: &mut CredentialRecord) {
        if let Some(device) = self.device {
            record.device = Some(device);
            record.label.clear();
        } else if let Some(label) = self.label.as_ref().filter(|label| !label.is_empty()) {
            record.device = None;
            record.label.clone_from(label);
        }
        if let Some(username) = &self.username {
            record.username.clone_from(username);
        }
        if let Some(note) = &self.note {
            record.note.clone_from(note);
        }
        record.read_only = self.read_only.unwrap_or(record.read_only);
        for (port, wanted) in
            [(&mut record.ssh_port, self.ssh_port), (&mut record.https_port, self.https_port)]
        {
            if let Some(wanted) = wanted {
                *port = Some(wanted).filter(|port| *port != 0);
            }
        }
    }

    fn check(&self) -> Outcome {
        if self.username.as_ref().is_some_and(String::is_empty) {
            return Err(CredentialError::Form("the user name is empty".to_owned()));
        }
        self.username.as_ref().map_or(Ok(()), |name| check_name("user name", name))?;
        self.label.as_ref().map_or(Ok(()), |label| check_name("label", label))?;
        self.note.as_ref().map_or(Ok(()), |note| check_note(note))
    }
}

impl Credentials {
    /// Keeps a password that somebody typed.
    pub async fn create(
        &self,
        by: Actor,
        wanted: NewCredential,
        secret: SecretText,
    ) -> Result<Credential, CredentialError> {
        let mut record = wanted.record("typed")?;
        check_secret(&secret)?;
        let (id, now) = (Uuid::now_v7(), self.inner.clock.now());
        let sealed = self.seal(id, 1, secret).await?;
        record.created = now.as_millisecond();
        put_current(&mut record, typed(sealed, now));
        let write = move |writer: &Writer<'_>| {
            if let Some(refused) = misplaced(writer, id, &record)? {
                return Ok(Err(refused));
            }
            writer.put(CREDENTIALS, &id, &record)?;
            note(writer, now, by, "credential-made", &title(writer, &record)?).map(Ok)
        };
        self.inner.store.write(write).await??;
        self.get(id).await
    }

    /// Changes a credential. A password that comes with it is the present one from now on.
    pub async fn change(
        &self,
        by: Actor,
        id: Uuid,
        change: Change,
        secret: Option<SecretText>,
    ) -> Result<Credential, CredentialError> {
        change.check()?;
        secret.as_ref().map_or(Ok(()), check_secret)?;
        for _ in 0..TRIES {
            let newest = self.inner.store.read(move |reader| reader.get(CREDENTIALS, &id)).await?;
            let version = newest.ok_or(CredentialError::NoCredential)?.newest.saturating_add(1);
            let sealed = match &secret {
                Some(secret) => Some(self.seal(id, version, secret.clone()).await?),
                None => None,
            };
            match self.apply(by, id, change.clone(), sealed).await {
                Err(CredentialError::Busy) => {}
                done => return done,
            }
        }
        Err(CredentialError::Busy)
    }

    async fn apply(
        &self,
        by: Actor,
        id: Uuid,
        change: Change,
        sealed: Option<Sealed>,
    ) -> Result<Credential, CredentialError> {
        let now = self.inner.clock.now();
        let write = move |writer: &Writer<'_>| {
            let Some(mut record) = writer.get(CREDENTIALS, &id)? else {
                return Ok(Err(CredentialError::NoCredential));
            };
            let place = (Place::of(&record), record.username.clone());
            change.apply(&mut record);
            let moved = place != (Place::of(&record), record.username.clone());
            if moved && let Some(refused) = misplaced(writer, id, &record)? {
                return Ok(Err(refused));
            }
            if let Some(sealed) = sealed.clone() {
                if record.newest.saturating_add(1) != sealed.version {
                    return Ok(Err(CredentialError::Busy));
                }
                put_current(&mut record, typed(sealed, now));
                "typed".clone_into(&mut record.source);
            }
            writer.put(CREDENTIALS, &id, &record)?;
            let what = if sealed.is_some() { "password-typed" } else { "credential-changed" };
            note(writer, now, by, what, &title(writer, &record)?).map(Ok)
        };
        self.inner.store.write(write).await??;
        self.get(id).await
    }

    /// Deletes a credential with all its secrets.
    pub async fn delete(&self, by: Actor, id: Uuid) -> Result<(), CredentialError> {
        let now = self.inner.clock.now();
        let write = move |writer: &Writer<'_>| {
            let Some(record) = writer.get(CREDENTIALS, &id)? else {
                return Ok(Err(CredentialError::NoCredential));
            };
            writer.delete(CREDENTIALS, &id)?;
            note(writer, now, by, "credential-deleted", &title(writer, &record)?).map(Ok)
        };
        self.inner.store.write(write).await?
    }

    /// Keeps a password of a device's account, whether there was one or not.
    pub async fn keep(
        &self,
        by: Actor,
        wanted: NewCredential,
        secret: SecretText,
    ) -> Result<Credential, CredentialError> {
        for _ in 0..TRIES {
            let draft = wanted.record("typed")?;
            let (place, username) = (Place::of(&draft), draft.username);
            let read = move |reader: &Reader| {
                let mut present = None;
                reader.each(CREDENTIALS, |id, record: CredentialRecord| {
                    if record.username == username && Place::of(&record) == place {
                        present = Some(id);
                    }
                })?;
                Ok(present)
            };
            let done = match self.inner.store.read(read).await? {
                Some(id) => self.change(by, id, wanted.clone().into(), Some(secret.clone())).await,
                None => self.create(by, wanted.clone(), secret.clone()).await,
            };
            match done {
                // Another made or deleted it in between.
                Err(CredentialError::Taken(_) | CredentialError::NoCredential) => {}
                done => return done,
            }
        }
        Err(CredentialError::Busy)
    }

    async fn seal(
        &self,
        credential: Uuid,
        version: u64,
        secret: SecretText,
    ) -> Result<Sealed, CredentialError> {
        let plain = vec![Plain { credential, version, secret }];
        let sealed = self.inner.vault.store(plain).await?;
        Ok(sealed.into_iter().next().ok_or(VaultError::Nonsense)?)
    }
}

impl From<NewCredential> for Change {
    fn from(new: NewCredential) -> Self {
        Self {
            ssh_port: new.ssh_port,
            https_port: new.https_port,
            read_only: Some(new.read_only),
            ..Self::default()
        }
    }
}

/// Why a credential cannot be where it says: no such device, or there is one already.
fn misplaced(
    writer: &Writer<'_>,
    id: Uuid,
    record: &CredentialRecord,
) -> Result<Option<CredentialError>, StoreError> {
    if let Some(device) = record.device
        && writer.get(DEVICES, &device)?.is_none()
    {
        return Ok(Some(CredentialError::NoDevice));
    }
    let place = Place::of(record);
    let taken = writer.all(CREDENTIALS)?.into_iter().any(|(other, present)| {
        other != id && present.username == record.username && Place::of(&present) == place
    });
    Ok(if taken { Some(CredentialError::Taken(title(writer, record)?)) } else { None })
}

pub(super) fn typed(sealed: Sealed, now: Timestamp) -> SecretRecord {
    SecretRecord {
        version: sealed.version,
        sealed: sealed.bytes,
        made: now.as_millisecond(),
        ..SecretRecord::default()
    }
}

/// Makes a secret the present one. The one before goes into the history; candidates stay, since a
/// device may have taken one.
pub(super) fn put_current(record: &mut CredentialRecord, secret: SecretRecord) {
    record.newest = record.newest.max(secret.version);
    record.trouble.clear();
    if let Some(before) = record.current.replace(secret) {
        candidates::shelve(record, vec![before]);
    }
}

/// Lets the credentials of a device that is deleted stay, under its name. In the transaction that
/// deletes it, before it does.
pub fn leave_device(writer: &Writer<'_>, device: Uuid) -> Result<(), StoreError> {
    let Some(gone): Option<DeviceRecord> = writer.get(DEVICES, &device)? else { return Ok(()) };
    for (id, mut record) in writer.all(CREDENTIALS)? {
        if record.device == Some(device) {
            record.device = None;
            record.label = device_name(&gone);
            writer.put(CREDENTIALS, &id, &record)?;
        }
    }
    Ok(())
}
