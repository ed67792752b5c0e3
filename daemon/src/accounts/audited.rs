//! The audit log as admins read it: with the names of the accounts that did something.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::account::fold;
use super::{AccountError, Accounts};
use crate::audit::{self, Query};
use crate::store::records::AuditRecord;
use crate::store::tables::{ACCOUNT_NAMES, ACCOUNTS};
use crate::store::{Reader, StoreError};

/// An entry of the log.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Its place in the log.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who: an account's id, or a part of the appliance.
    pub who: String,
    /// The account's user name, or the part. None: the account is gone.
    pub who_name: Option<String>,
    /// What was done.
    pub what: String,
    /// To what.
    pub about: String,
    /// Where it came from.
    pub address: Option<String>,
}

/// Some entries, newest first.
#[derive(Debug)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// How many there are in all pages.
    pub total: u64,
    /// The first entry that is not as it was written, or follows on one that is missing.
    pub broken_at: Option<u64>,
}

impl Accounts {
    /// Looks into the audit log. Who did it may be named by id, by name, or by e-mail address.
    pub async fn audit(&self, query: Query) -> Result<AuditPage, AccountError> {
        let read = move |reader: &Reader| {
            let who = query.who.as_deref().map(|who| id_of(reader, who)).transpose()?;
            let page = audit::page(reader, &Query { who, ..query })?;
            let mut names = HashMap::new();
            let entries = page.entries.into_iter().map(|(number, record)| {
                let who_name = name_of(reader, &mut names, &record.who)?;
                Ok(AuditEntry::new(number, record, who_name))
            });
            let entries = entries.collect::<Result<_, StoreError>>()?;
            Ok(AuditPage { entries, total: page.total, broken_at: page.broken_at })
        };
        Ok(self.inner.store.read(read).await?)
    }
}

impl AuditEntry {
    fn new(number: u64, record: AuditRecord, who_name: Option<String>) -> Self {
        Self {
            number,
            at: Timestamp::from_millisecond(record.at).unwrap_or_default(),
            who: record.who,
            who_name,
            what: record.what,
            about: record.about,
            address: record.address,
        }
    }
}

/// The id that a name stands for; what is no name stands for itself.
fn id_of(reader: &Reader, who: &str) -> Result<String, StoreError> {
    let named = reader.get(ACCOUNT_NAMES, fold(who).as_str())?;
    Ok(named.map_or_else(|| who.to_owned(), |id| id.to_string()))
}

fn name_of(
    reader: &Reader,
    names: &mut HashMap<String, Option<String>>,
    who: &str,
) -> Result<Option<String>, StoreError> {
    if let Some(known) = names.get(who) {
        return Ok(known.clone());
    }
    let name = match who.parse::<Uuid>() {
        Ok(id) => reader.get(ACCOUNTS, &id)?.map(|account| account.username),
        Err(_) => Some(who.to_owned()),
    };
    names.insert(who.to_owned(), name.clone());
    Ok(name)
}
