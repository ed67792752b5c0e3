//! Importing a CSV file: all of it or nothing.

use std::collections::HashMap;

use uuid::Uuid;

use super::changing::{put_current, typed};
use super::places::{Directory, Place};
use super::rows::{self, Row, Rows};
use super::{CredentialError, Credentials, TRIES};
use crate::audit::{Actor, note};
use crate::store::records::CredentialRecord;
use crate::store::tables::{CREDENTIALS, DEVICES};
use crate::store::{Reader, StoreError, Writer};
use crate::vault::SecretText;
use crate::vault::protocol::{Plain, Sealed};

/// Bytes of a file.
pub const IMPORT_BYTES: usize = 2 << 20;

/// What a file has, or would have, brought.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Its rows, the first line not counted.
    pub rows: usize,
    /// New credentials.
    pub added: usize,
    /// Credentials with a new secret.
    pub changed: usize,
    /// What is wrong. While there is anything, nothing is stored.
    pub faults: Vec<Fault>,
    /// The columns that were read.
    pub columns: Vec<String>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which, from 1.
    pub line: u64,
    /// What, and what to do.
    pub message: String,
}

/// Which account a credential is about.
type Account = (Place, String);
/// A credential's id, and the version that its next secret gets.
type Next = (Uuid, u64);

/// A row with where it goes.
struct Step {
    row: Row,
    next: Next,
    is_new: bool,
}

impl Credentials {
    /// Reads a file and keeps what it holds. `dry_run` only tells.
    pub async fn import(
        &self,
        by: Actor,
        file: SecretText,
        dry_run: bool,
    ) -> Result<Import, CredentialError> {
        for _ in 0..TRIES {
            let (told, steps) = self.plan(file.clone()).await?;
            if dry_run || !told.faults.is_empty() || steps.is_empty() {
                return Ok(told);
            }
            let plain = steps.iter().map(|step| Plain {
                credential: step.next.0,
                version: step.next.1,
                secret: step.row.secret.clone(),
            });
            let sealed = self.inner.vault.store(plain.collect()).await?;
            let about = format!("{} added, {} changed", told.added, told.changed);
            if self.put_all(by, about, steps, sealed).await? {
                return Ok(told);
            }
        }
        Err(CredentialError::Busy)
    }

    async fn plan(&self, file: SecretText) -> Result<(Import, Vec<Step>), CredentialError> {
        let read = move |reader: &Reader| {
            let directory = Directory::read(reader)?;
            let mut present = HashMap::new();
            reader.each(CREDENTIALS, |id, record| {
                present.insert(account(&record), next(id, &record));
            })?;
            Ok(rows::read(file.expose(), &directory).map(|rows| steps(rows, &present)))
        };
        self.inner.store.read(read).await?
    }

    /// Writes all of them, unless one is not any more as it was when its secret was sealed.
    async fn put_all(
        &self,
        by: Actor,
        about: String,
        steps: Vec<Step>,
        sealed: Vec<Sealed>,
    ) -> Result<bool, CredentialError> {
        let now = self.inner.clock.now();
        let write = move |writer: &Writer<'_>| {
            let all = writer.all(CREDENTIALS)?;
            let present: HashMap<Account, (Next, CredentialRecord)> = all
                .into_iter()
                .map(|(id, record)| (account(&record), (next(id, &record), record)))
                .collect();
            for (step, sealed) in steps.iter().zip(&sealed) {
                let found = present.get(&account(&step.row.record));
                if found.map(|(next, _)| *next) != (!step.is_new).then_some(step.next)
                    || gone(writer, &step.row.record)?
                {
                    return Ok(false);
                }
                let mut record = step.row.record.clone();
                record.created = now.as_millisecond();
                if let Some((_, before)) = found {
                    record = updated(before.clone(), &record);
                }
                put_current(&mut record, typed(sealed.clone(), now));
                writer.put(CREDENTIALS, &step.next.0, &record)?;
            }
            note(writer, now, by, "credentials-imported", &about)?;
            Ok(true)
        };
        Ok(self.inner.store.write(write).await?)
    }
}

fn account(record: &CredentialRecord) -> Account {
    (Place::of(record), record.username.clone())
}

fn next(id: Uuid, record: &CredentialRecord) -> Next {
    (id, record.newest.saturating_add(1))
}

fn gone(writer: &Writer<'_>, record: &CredentialRecord) -> Result<bool, StoreError> {
    Ok(match record.device {
        Some(device) => writer.get(DEVICES, &device)?.is_none(),
        None => false,
    })
}

/// A credential with what a row says of it. An empty field keeps.
fn updated(mut before: CredentialRecord, row: &CredentialRecord) -> CredentialRecord {
    before.source.clone_from(&row.source);
    before.read_only |= row.read_only;
    before.ssh_port = row.ssh_port.or(before.ssh_port);
    before.https_port = row.https_port.or(before.https_port);
    if !row.note.is_empty() {
        before.note.clone_from(&row.note);
    }
    before
}

fn steps(mut rows: Rows, present: &HashMap<Account, Next>) -> (Import, Vec<Step>) {
    rows::blame_twins(&mut rows);
    let steps: Vec<Step> = rows
        .good
        .into_iter()
        .map(|row| {
            let found = present.get(&account(&row.record)).copied();
            let next = found.unwrap_or_else(|| (Uuid::now_v7(), 1));
            Step { row, next, is_new: found.is_none() }
        })
        .collect();
    let added = steps.iter().filter(|step| step.is_new).count();
    let told = Import {
        rows: rows.count,
        added,
        changed: steps.len() - added,
        faults: rows.faults,
        columns: rows.columns,
    };
    (told, steps)
}
