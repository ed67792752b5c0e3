//! What an account changes about itself.

use super::account::{
    self, Account, AccountChange, Changed, check_email, check_person_name, check_session_timeout,
    fold, role,
};
use super::error::AccountError;
use super::logins::{Login, LoginToken};
use super::people::{Actor, names_in, note};
use super::person::minimum;
use super::{Accounts, Begun, ClientInfo, passwords};
use crate::store::Writer;
use crate::store::records::AccountRecord;
use crate::store::tables::{ACCOUNTS, FACTORS};

impl Accounts {
    /// Changes what an account says of itself.
    pub async fn change(&self, by: Actor, change: AccountChange) -> Result<Account, AccountError> {
        change.email.as_deref().map_or(Ok(()), check_email)?;
        let names = [&change.first_name, &change.last_name];
        names.into_iter().flatten().try_for_each(|name| check_person_name(name))?;
        change.session_timeout.map_or(Ok(()), check_session_timeout)?;
        let (id, now) = (by.account, self.inner.clock.now());
        let write = move |writer: &Writer<'_>| {
            let changed = account::change(writer, id, change.clone(), now)?;
            // What the GUI remembers for itself is nobody's business.
            if matches!(changed, Changed::Done(_)) && change.is_about_the_person() {
                note(writer, now, by, "account-changed", "the own account")?;
            }
            Ok(changed)
        };
        match self.inner.store.write(write).await? {
            Changed::Done(record) => Ok(Account::from_record(id, *record)),
            Changed::NoAccount => Err(AccountError::NoLogin),
            Changed::EmailTaken => Err(AccountError::Email),
        }
    }

    /// Changes the password of who is logged in and knows the present one. All logins end; the
    /// token of a new one is handed out.
    pub async fn change_password(
        &self,
        login: &Login,
        current: &str,
        new: &str,
        client: &ClientInfo,
    ) -> Result<LoginToken, AccountError> {
        let id = login.account;
        let before = self.record(id).await?;
        let factors = self.inner.store.read(move |reader| reader.get(FACTORS, &id)).await?;
        passwords::acceptable(new, &names_in(&before), minimum(&factors.unwrap_or_default()))?;
        if !self.prove(&fold(&before.username), Some((id, &before)), current, client).await? {
            return Err(AccountError::Wrong);
        }
        if passwords::same(current, new) {
            return Err(AccountError::SamePassword);
        }
        let hash = self.inner.passwords.hash(new).await?;
        let era = before.era;
        let begun =
            self.begin(id, &AccountRecord { era: era.wrapping_add(1), ..before }, None, client)?;
        let (login, record) = (begun.id, begun.record.clone());
        let by = Actor { account: id, address: client.address };
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            let Some(mut after) = writer.get(ACCOUNTS, &id)? else { return Ok(None) };
            if after.era != era || !after.enabled {
                return Ok(None);
            }
            let now = room.inner.clock.now();
            after.password_hash.clone_from(&hash.bcrypt);
            after.pepper.clone_from(&hash.pepper);
            after.force_password_change = false;
            room.put_anew(writer, id, &mut after)?;
            note(writer, now, by, "password-changed", &after.username)?;
            Begun::put(writer, login, &record, &[])?;
            Ok(Some(role(&after)))
        };
        // Without an answer somebody ended all logins, or disabled the account, in between.
        let role = self.inner.store.write(write).await?.ok_or(AccountError::NoLogin)?;
        self.inner.logins.put(begun.id, begun.record, role);
        Ok(begun.token)
    }
}
