//! What admins do with accounts: they make, change, disable, delete them, and see off who leaves.
//!
//! Every rule is asked inside the transaction that follows it: of two admins who lower each other
//! at the same moment, one stays.

use uuid::Uuid;

use super::account::{
    NewAccount, check_email, check_person_name, check_session_timeout, check_username,
    first_record, fold, role,
};
use super::error::AccountError;
use super::leaving::delete_tokens;
use super::logins::LoginId;
use super::passwords::{self, MIN_CHARS, PasswordHash};
use super::roles::Role;
use super::standing::{RULES, Rules, has_factor};
use super::{Accounts, notices};
pub use crate::audit::Actor;
pub(super) use crate::audit::note;
use crate::store::records::AccountRecord;
use crate::store::tables::{ACCOUNT_NAMES, ACCOUNTS, FACTORS, HOMES, LOGINS, NOTICES, SETTINGS};
use crate::store::{StoreError, Writer};

/// What an admin makes an account of.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// User name; the e-mail address gives one where it is left out.
    pub username: Option<String>,
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
    /// It has to choose a password of its own first.
    pub force_password_change: bool,
}

/// What an admin changes about an account. `None` keeps.
#[derive(Clone, Debug, Default)]
pub struct PersonChange {
    /// User name.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// What it may do.
    pub role: Option<Role>,
    /// May log in.
    pub enabled: Option<bool>,
    /// Time zone name.
    pub timezone: Option<String>,
    /// Country code.
    pub country: Option<String>,
    /// Idle time of its next logins, in milliseconds.
    pub session_timeout: Option<i64>,
    /// It has to choose another password first.
    pub force_password_change: Option<bool>,
    /// All its second factors are taken away.
    pub factors_off: bool,
}

/// The user name of an account, for a sentence.
pub(super) fn name_of(writer: &Writer<'_>, id: Uuid) -> Result<String, StoreError> {
    let found = writer.get(ACCOUNTS, &id)?;
    Ok(found.map_or_else(|| "a deleted account".to_owned(), |record| record.username))
}

/// What a guesser knows of an account.
pub(super) fn names_in(record: &AccountRecord) -> String {
    format!("{} {}", record.username, record.email)
}

fn is_admin(record: &AccountRecord) -> bool {
    record.enabled && role(record) == Role::Admin
}

/// Why `by` may not make an account so; `None` stands for a deletion.
pub(super) fn refusal(
    writer: &Writer<'_>,
    by: Actor,
    id: Uuid,
    after: Option<&AccountRecord>,
) -> Result<Option<AccountError>, StoreError> {
    let accounts = writer.all(ACCOUNTS)?;
    let admins = || accounts.iter().filter(|(_, record)| is_admin(record)).map(|(id, _)| *id);
    if !admins().any(|admin| admin == by.account) {
        return Ok(Some(AccountError::NotAdmin));
    }
    if after.is_some_and(is_admin) {
        return Ok(None);
    }
    if !admins().any(|admin| admin != id) {
        return Ok(Some(AccountError::LastAdmin));
    }
    Ok((by.account == id).then_some(AccountError::Yourself))
}

/// Why an account cannot have these names.
fn taken(
    writer: &Writer<'_>,
    id: Uuid,
    record: &AccountRecord,
) -> Result<Option<AccountError>, StoreError> {
    let other = |name: &str| {
        let holder = writer.get(ACCOUNT_NAMES, fold(name).as_str())?;
        Ok::<_, StoreError>(holder.is_some_and(|holder| holder != id))
    };
    if other(&record.username)? {
        return Ok(Some(AccountError::UsernameTaken));
    }
    Ok(other(&record.email)?.then_some(AccountError::Email))
}

fn put_names(writer: &Writer<'_>, id: Uuid, record: &AccountRecord) -> Result<(), StoreError> {
    // An account that was provisioned may have no address yet.
    for name in [&record.username, &record.email].into_iter().filter(|name| !name.is_empty()) {
        writer.put(ACCOUNT_NAMES, fold(name).as_str(), &id)?;
    }
    Ok(())
}

fn delete_names(writer: &Writer<'_>, record: &AccountRecord) -> Result<(), StoreError> {
    for name in [&record.username, &record.email] {
        writer.delete(ACCOUNT_NAMES, fold(name).as_str())?;
    }
    Ok(())
}

/// Ends all logins of an account in the store, and counts on, so that one which begins at this
/// moment is worth nothing either.
pub(super) fn end_all(
    writer: &Writer<'_>,
    id: Uuid,
    record: &mut AccountRecord,
) -> Result<Vec<LoginId>, StoreError> {
    record.era = record.era.wrapping_add(1);
    let mut ended = Vec::new();
    for (hash, login) in writer.all(LOGINS)? {
        if login.account == id {
            writer.delete(LOGINS, &hash)?;
            ended.push(LoginId::from(hash));
        }
    }
    Ok(ended)
}

impl PersonChange {
    fn check(&self) -> Result<(), AccountError> {
        self.username.as_deref().map_or(Ok(()), check_username)?;
        self.email.as_deref().map_or(Ok(()), check_email)?;
        let names = [&self.first_name, &self.last_name, &self.timezone, &self.country];
        names.into_iter().flatten().try_for_each(|name| check_person_name(name))?;
        self.session_timeout.map_or(Ok(()), check_session_timeout)
    }

    /// Puts it into a record.
    fn apply(self, record: &mut AccountRecord) {
        let text = |into: &mut String, text: Option<String>| *into = text.unwrap_or(into.clone());
        text(&mut record.username, self.username);
        text(&mut record.email, self.email);
        text(&mut record.first_name, self.first_name);
        text(&mut record.last_name, self.last_name);
        text(&mut record.timezone, self.timezone);
        text(&mut record.country, self.country);
        if let Some(wanted) = self.role.filter(|wanted| *wanted != role(record)) {
            wanted.name().clone_into(&mut record.role);
        }
        record.enabled = self.enabled.unwrap_or(record.enabled);
        record.session_timeout = self.session_timeout.or(record.session_timeout);
        record.force_password_change =
            self.force_password_change.unwrap_or(record.force_password_change);
    }
}

/// What differs, in words for the audit log and for the account.
fn differences(before: &AccountRecord, after: &AccountRecord) -> Vec<String> {
    let mut told = Vec::new();
    let mut changed = |differs: bool, words: String| {
        if differs {
            told.push(words);
        }
    };
    changed(before.username != after.username, format!("user name {}", after.username));
    changed(before.email != after.email, "e-mail address".to_owned());
    let name = |record: &AccountRecord| (record.first_name.clone(), record.last_name.clone());
    changed(name(before) != name(after), "name".to_owned());
    let place = |record: &AccountRecord| (record.timezone.clone(), record.country.clone());
    changed(place(before) != place(after), "time zone or country".to_owned());
    changed(role(before) != role(after), format!("role {}", after.role));
    let enabled = if after.enabled { "enabled" } else { "disabled" };
    changed(before.enabled != after.enabled, enabled.to_owned());
    changed(before.session_timeout != after.session_timeout, "session time-out".to_owned());
    changed(before.password_hash != after.password_hash, "password reset".to_owned());
    let forced = !before.force_password_change && after.force_password_change;
    changed(forced, "has to choose a new password".to_owned());
    told
}

impl Accounts {
    /// Makes an account.
    pub async fn create_person(
        &self,
        by: Actor,
        new: NewPerson,
        password: &str,
    ) -> Result<Uuid, AccountError> {
        check_email(&new.email)?;
        let local = || new.email.split('@').next().unwrap_or_default().to_owned();
        let username = new.username.clone().unwrap_or_else(local);
        check_username(&username)?;
        check_person_name(&new.first_name)?;
        check_person_name(&new.last_name)?;
        passwords::acceptable(password, &format!("{username} {}", new.email), MIN_CHARS)?;
        let hash = self.inner.passwords.hash(password).await?;
        let (id, now) = (Uuid::new_v4(), self.inner.clock.now());
        let names = NewAccount {
            username,
            email: new.email,
            timezone: String::new(),
            country: String::new(),
        };
        let record = AccountRecord {
            first_name: new.first_name,
            last_name: new.last_name,
            role: new.role.name().to_owned(),
            enabled: new.enabled,
            force_password_change: new.force_password_change,
            ..first_record(names, hash, now)
        };
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            if let Some(refused) = refusal(writer, by, id, Some(&record))? {
                return Ok(Err(refused));
            }
            if let Some(refused) = taken(writer, id, &record)? {
                return Ok(Err(refused));
            }
            writer.put(ACCOUNTS, &id, &record)?;
            put_names(writer, id, &record)?;
            note(
                writer,
                now,
                by,
                "account-made",
                &format!("{} ({})", record.username, record.role),
            )?;
            room.inner.standings.know(id, &record);
            Ok(Ok(id))
        };
        self.inner.store.write(write).await?
    }

    /// Changes an account. A new role, password or set of factors ends its logins, and so does
    /// disabling it; whatever it is, the account is told.
    pub async fn change_person(
        &self,
        by: Actor,
        id: Uuid,
        change: PersonChange,
        password: Option<&str>,
    ) -> Result<(), AccountError> {
        change.check()?;
        let hash = match password {
            Some(password) => Some(self.reset_hash(by, id, password).await?),
            None => None,
        };
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            room.change_person_in(writer, by, id, (change.clone(), hash.clone()))
        };
        self.inner.store.write(write).await?
    }

    /// The hash of a password that an admin gives an account.
    async fn reset_hash(
        &self,
        by: Actor,
        id: Uuid,
        password: &str,
    ) -> Result<PasswordHash, AccountError> {
        if by.account == id {
            return Err(AccountError::Invalid(
                "change your own password in your own account, with the present one",
            ));
        }
        let read = self.inner.store.read(move |reader| reader.get(ACCOUNTS, &id)).await?;
        let record = read.ok_or(AccountError::NoAccount)?;
        // Whether a factor is beside it may change at any time.
        passwords::acceptable(password, &names_in(&record), MIN_CHARS)?;
        Ok(self.inner.passwords.hash(password).await?)
    }

    fn change_person_in(
        &self,
        writer: &Writer<'_>,
        by: Actor,
        id: Uuid,
        (change, hash): (PersonChange, Option<PasswordHash>),
    ) -> Result<Result<(), AccountError>, StoreError> {
        let Some(before) = writer.get(ACCOUNTS, &id)? else {
            return Ok(Err(AccountError::NoAccount));
        };
        let mut after = before.clone();
        let factors = writer.get(FACTORS, &id)?.unwrap_or_default();
        let factors_off = change.factors_off && has_factor(&factors);
        let force = change.force_password_change.unwrap_or(true);
        change.apply(&mut after);
        if let Some(hash) = hash {
            (after.password_hash, after.pepper) = (hash.bcrypt, hash.pepper);
            after.force_password_change = force;
        }
        if let Some(refused) = refusal(writer, by, id, Some(&after))? {
            return Ok(Err(refused));
        }
        if let Some(refused) = taken(writer, id, &after)? {
            return Ok(Err(refused));
        }
        if factors_off && by.account == id {
            return Ok(Err(AccountError::Invalid(
                "turn your own second factor off in your own account",
            )));
        }
        let mut changes = differences(&before, &after);
        if factors_off {
            changes.push("second factors removed".to_owned());
            writer.delete(FACTORS, &id)?;
        }
        if changes.is_empty() {
            return Ok(Ok(()));
        }
        let now = self.inner.clock.now();
        delete_names(writer, &before)?;
        put_names(writer, id, &after)?;
        if by.account != id {
            let told = format!("{} changed: {}.", name_of(writer, by.account)?, changes.join(", "));
            notices::tell(writer, id, now, &told)?;
        }
        let about = format!("{}: {}", before.username, changes.join(", "));
        note(writer, now, by, "account-changed", &about)?;
        let ends = factors_off
            || role(&before) != role(&after)
            || before.enabled && !after.enabled
            || before.password_hash != after.password_hash;
        if ends {
            self.put_anew(writer, id, &mut after)?;
        } else {
            after.updated = now.as_millisecond();
            writer.put(ACCOUNTS, &id, &after)?;
            self.inner.standings.know(id, &after);
        }
        if factors_off {
            self.inner.standings.set_factor(id, false);
        }
        Ok(Ok(()))
    }

    /// Writes an account that has become another one: all its logins end, those too that begin at
    /// this moment, and what hangs on its tokens closes, since they may reach less far now. In the
    /// transaction of what made it so; the ended logins.
    pub(super) fn put_anew(
        &self,
        writer: &Writer<'_>,
        id: Uuid,
        record: &mut AccountRecord,
    ) -> Result<Vec<LoginId>, StoreError> {
        record.updated = self.inner.clock.now().as_millisecond();
        let ended = end_all(writer, id, record)?;
        writer.put(ACCOUNTS, &id, record)?;
        self.inner.standings.know(id, record);
        self.inner.waiting.retain(|waiting| waiting.account != id);
        self.forget(&ended);
        self.forget(&self.inner.logins.of_account(id));
        for (token, _) in self.inner.tokens.all(Some(id)) {
            self.inner.ended.send(token).ok();
        }
        Ok(ended)
    }

    /// Deletes an account with everything that was its own.
    pub async fn delete_person(&self, by: Actor, id: Uuid) -> Result<(), AccountError> {
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            let Some(mut record) = writer.get(ACCOUNTS, &id)? else {
                return Ok(Err(AccountError::NoAccount));
            };
            if let Some(refused) = refusal(writer, by, id, None)? {
                return Ok(Err(refused));
            }
            let mut ended = end_all(writer, id, &mut record)?;
            ended.extend(delete_tokens(writer, id)?.into_iter().map(|(token, _)| token));
            writer.delete(ACCOUNTS, &id)?;
            delete_names(writer, &record)?;
            writer.delete(FACTORS, &id)?;
            writer.delete(HOMES, &id)?;
            writer.delete(NOTICES, &id)?;
            note(writer, room.inner.clock.now(), by, "account-deleted", &record.username)?;
            room.inner.standings.forget(id);
            room.forget(&ended);
            Ok(Ok(()))
        };
        self.inner.store.write(write).await?
    }

    /// Whether every account needs a second factor.
    pub fn two_factor_required(&self) -> bool {
        self.inner.standings.required()
    }

    /// Asks every account for a second factor, or does so no more. Who asks needs one himself.
    pub async fn require_two_factor(&self, by: Actor, required: bool) -> Result<(), AccountError> {
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            let actor = writer.get(ACCOUNTS, &by.account)?;
            if !actor.as_ref().is_some_and(is_admin) {
                return Ok(Err(AccountError::NotAdmin));
            }
            let factors = writer.get(FACTORS, &by.account)?.unwrap_or_default();
            if required && !has_factor(&factors) {
                return Ok(Err(AccountError::NoFactor));
            }
            let rules = Rules { two_factor_required: required };
            let text = serde_json::to_string(&rules).unwrap_or_default();
            writer.put(SETTINGS, RULES, &text)?;
            let about = if required { "required of all" } else { "not required" };
            note(writer, room.inner.clock.now(), by, "second-factor", about)?;
            room.inner.standings.require(required);
            Ok(Ok(()))
        };
        self.inner.store.write(write).await?
    }
}
