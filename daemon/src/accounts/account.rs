//! An account, and the rules for its names.

use jiff::Timestamp;
use uuid::Uuid;

use super::error::AccountError;
use super::logins;
use super::passwords::PasswordHash;
use super::roles::Role;
use crate::store::records::AccountRecord;
use crate::store::tables::{ACCOUNT_NAMES, ACCOUNTS};
use crate::store::{StoreError, Writer};

/// Characters that no user name may have, as published.
pub(super) const FORBIDDEN: &str = "@{}()<>/+*'\";=%";
/// Characters of a user name.
pub(super) const NAME_CHARS: usize = 64;
/// Bytes of an e-mail address (RFC 5321).
pub(super) const EMAIL_BYTES: usize = 254;

/// A person who logs in.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// User name.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// What it may do.
    pub role: Role,
    /// May log in.
    pub enabled: bool,
    /// Time zone name.
    pub timezone: String,
    /// Country code.
    pub country: String,
    /// Idle time of its logins, in milliseconds.
    pub session_timeout: i64,
    /// GUI preferences as JSON text.
    pub preferences: String,
    /// It has to choose a new password before anything else.
    pub force_password_change: bool,
    /// Last change.
    pub updated: Timestamp,
}

/// What the first account is made of.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// User name.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// Time zone name.
    pub timezone: String,
    /// Country code.
    pub country: String,
}

/// What an account changes about itself. `None` keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// GUI preferences as JSON text.
    pub preferences: Option<String>,
    /// Idle time of its next logins, in milliseconds.
    pub session_timeout: Option<i64>,
}

impl AccountChange {
    /// Whether it is about more than what the GUI remembers.
    pub(super) fn is_about_the_person(&self) -> bool {
        *self != Self { preferences: self.preferences.clone(), ..Self::default() }
    }
}

impl Account {
    pub(super) fn from_record(id: Uuid, record: AccountRecord) -> Self {
        Self {
            id,
            role: role(&record),
            username: record.username,
            email: record.email,
            first_name: record.first_name,
            last_name: record.last_name,
            enabled: record.enabled,
            timezone: record.timezone,
            country: record.country,
            session_timeout: record.session_timeout.unwrap_or(logins::IDLE),
            preferences: record.preferences,
            force_password_change: record.force_password_change,
            updated: Timestamp::from_millisecond(record.updated).unwrap_or_default(),
        }
    }
}

/// A role that this release does not know may look and nothing more.
pub(super) fn role(record: &AccountRecord) -> Role {
    Role::from_name(&record.role).unwrap_or(Role::ReadOnly)
}

pub(super) fn hash_of(record: &AccountRecord) -> PasswordHash {
    PasswordHash { bcrypt: record.password_hash.clone(), pepper: record.pepper.clone() }
}

/// A name as it is looked up.
pub(super) fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

pub(super) fn check_names(new: &NewAccount) -> Result<(), AccountError> {
    check_username(&new.username)?;
    check_email(&new.email)?;
    [&new.timezone, &new.country].into_iter().try_for_each(|name| check_person_name(name))
}

pub(super) fn check_username(name: &str) -> Result<(), AccountError> {
    let chars = name.chars().count();
    let forbidden =
        |letter: char| FORBIDDEN.contains(letter) || letter.is_whitespace() || is_unseen(letter);
    if !(1..=NAME_CHARS).contains(&chars) || name.chars().any(forbidden) {
        return Err(AccountError::Username);
    }
    Ok(())
}

/// Refuses a first or last name, a time zone or a country that cannot be.
pub(super) fn check_person_name(name: &str) -> Result<(), AccountError> {
    if name.chars().count() <= NAME_CHARS && !name.chars().any(is_unseen) {
        return Ok(());
    }
    Err(AccountError::Invalid(
        "a first or last name, time zone or country has at most 64 characters, and none that \
         cannot be seen",
    ))
}

/// Refuses an idle time out of bounds.
pub(super) fn check_session_timeout(idle: i64) -> Result<(), AccountError> {
    let (least, most) = logins::IDLE_BOUNDS;
    if (least..=most).contains(&idle) {
        return Ok(());
    }
    Err(AccountError::Invalid(
        "the sessionTimeout is in milliseconds, from 30 minutes (1800000) to 30 days (2592000000)",
    ))
}

/// Controls, and what turns or hides letters: two names that look alike would not be.
pub(super) fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

pub(super) fn check_email(email: &str) -> Result<(), AccountError> {
    let sound = email.len() <= EMAIL_BYTES
        && !email.chars().any(|letter| letter.is_whitespace() || is_unseen(letter))
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && domain.len() >= 3 && domain.contains('.') && !domain.contains('@')
        });
    if sound { Ok(()) } else { Err(AccountError::Email) }
}

pub(super) fn first_record(new: NewAccount, hash: PasswordHash, now: Timestamp) -> AccountRecord {
    AccountRecord {
        username: new.username,
        email: new.email,
        first_name: String::new(),
        last_name: String::new(),
        role: Role::Admin.name().to_owned(),
        password_hash: hash.bcrypt,
        pepper: hash.pepper,
        enabled: true,
        timezone: new.timezone,
        country: new.country,
        session_timeout: None,
        preferences: String::new(),
        force_password_change: false,
        era: 0,
        created: now.as_millisecond(),
        updated: now.as_millisecond(),
    }
}

/// Writes the first account with its names. `false`: there is one already.
pub(super) fn put_first(
    writer: &Writer<'_>,
    id: Uuid,
    record: &AccountRecord,
) -> Result<bool, StoreError> {
    if writer.len(ACCOUNTS)? > 0 {
        return Ok(false);
    }
    writer.put(ACCOUNTS, &id, record)?;
    // An account that was provisioned may have no address yet.
    for name in [&record.username, &record.email].into_iter().filter(|name| !name.is_empty()) {
        writer.put(ACCOUNT_NAMES, fold(name).as_str(), &id)?;
    }
    Ok(true)
}

/// What came of a change.
pub(super) enum Changed {
    Done(Box<AccountRecord>),
    NoAccount,
    EmailTaken,
}

pub(super) fn change(
    writer: &Writer<'_>,
    id: Uuid,
    change: AccountChange,
    now: Timestamp,
) -> Result<Changed, StoreError> {
    let Some(mut record) = writer.get(ACCOUNTS, &id)? else { return Ok(Changed::NoAccount) };
    if let Some(email) = change.email {
        let (before, after) = (fold(&record.email), fold(&email));
        // Another account's address would lead its owner here.
        if writer.get(ACCOUNT_NAMES, after.as_str())?.is_some_and(|other| other != id) {
            return Ok(Changed::EmailTaken);
        }
        writer.delete(ACCOUNT_NAMES, before.as_str())?;
        writer.put(ACCOUNT_NAMES, after.as_str(), &id)?;
        record.email = email;
    }
    record.first_name = change.first_name.unwrap_or(record.first_name);
    record.last_name = change.last_name.unwrap_or(record.last_name);
    record.preferences = change.preferences.unwrap_or(record.preferences);
    record.session_timeout = change.session_timeout.or(record.session_timeout);
    record.updated = now.as_millisecond();
    writer.put(ACCOUNTS, &id, &record)?;
    Ok(Changed::Done(Box::new(record)))
}
