//! An account with everything that is shown of it beside.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::account::Account;
use super::error::AccountError;
use super::logins::time;
use super::notices::Notice;
use super::standing::{Due, has_factor};
use super::{Accounts, MIN_CHARS, MIN_CHARS_OF_TWO};
use crate::store::records::{AccountRecord, FactorsRecord, HomesRecord};
use crate::store::tables::{ACCOUNTS, FACTORS, HOMES};

/// The second factors of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// An app makes codes.
    pub totp: bool,
    /// Passkeys.
    pub passkeys: usize,
    /// Recovery codes that have not been used.
    pub recovery_codes_left: usize,
    /// Every account needs a second factor.
    pub required: bool,
}

/// An account, and what is shown of it beside.
#[derive(Clone, Debug)]
pub struct Person {
    /// The account.
    pub account: Account,
    /// Its second factors.
    pub factors: Factors,
    /// What it has to do before anything else.
    pub due: Option<Due>,
    /// Characters that a new password needs.
    pub password_min: usize,
    /// What it has not been told yet; only where it is asked for itself.
    pub notices: Vec<Notice>,
    /// Last login.
    pub last_login: Option<Timestamp>,
    /// Live logins.
    pub logins: usize,
}

impl Person {
    /// Has something beside its password.
    pub fn has_factor(&self) -> bool {
        self.factors.totp || self.factors.passkeys > 0
    }
}

/// Characters that a new password of an account needs.
pub(super) fn minimum(factors: &FactorsRecord) -> usize {
    if has_factor(factors) { MIN_CHARS_OF_TWO } else { MIN_CHARS }
}

impl Accounts {
    /// An account as it is shown to itself.
    pub async fn person(&self, id: Uuid) -> Result<Person, AccountError> {
        let read = self.inner.store.read(move |reader| {
            Ok((
                reader.get(ACCOUNTS, &id)?,
                reader.get(FACTORS, &id)?.unwrap_or_default(),
                reader.get(HOMES, &id)?,
            ))
        });
        let (record, factors, homes) = read.await?;
        let record = record.ok_or(AccountError::NoAccount)?;
        let mut person = self.shown(id, record, &factors, homes.as_ref());
        person.notices = self.notices(id).await?;
        Ok(person)
    }

    /// All accounts, by name. What they have to be told is theirs alone.
    pub async fn people(&self) -> Result<Vec<Person>, AccountError> {
        let read = self
            .inner
            .store
            .read(|reader| Ok((reader.all(ACCOUNTS)?, reader.all(FACTORS)?, reader.all(HOMES)?)));
        let (accounts, factors, homes) = read.await?;
        let factors: HashMap<Uuid, FactorsRecord> = factors.into_iter().collect();
        let homes: HashMap<Uuid, HomesRecord> = homes.into_iter().collect();
        let none = FactorsRecord::default();
        let show = |(id, record): (Uuid, AccountRecord)| {
            self.shown(id, record, factors.get(&id).unwrap_or(&none), homes.get(&id))
        };
        let mut people: Vec<Person> = accounts.into_iter().map(show).collect();
        people.sort_by_cached_key(|person| person.account.username.to_lowercase());
        Ok(people)
    }

    fn shown(
        &self,
        id: Uuid,
        record: AccountRecord,
        factors: &FactorsRecord,
        homes: Option<&HomesRecord>,
    ) -> Person {
        let mut live = self.inner.logins.all(Some(id));
        live.retain(|(login, _)| self.is_live(login));
        let begun = live.iter().map(|(_, login)| login.created);
        let came = homes.iter().flat_map(|homes| homes.networks.iter().map(|(_, _, last)| *last));
        let standing = self.inner.standings.get(id);
        Person {
            account: Account::from_record(id, record),
            factors: Factors {
                totp: factors.totp.is_some(),
                passkeys: factors.passkeys.len(),
                recovery_codes_left: factors.recovery.len(),
                required: self.inner.standings.required(),
            },
            due: standing.and_then(|standing| self.inner.standings.due(standing)),
            password_min: minimum(factors),
            notices: Vec::new(),
            last_login: begun.chain(came).max().map(time),
            logins: live.len(),
        }
    }
}
