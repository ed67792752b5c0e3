//! What the person at the appliance's own console may do about accounts: whoever gets there owns the
//! appliance anyway, and it is the way back in when nothing else is.

use super::account::{Account, fold};
use super::passwords::{MIN_CHARS, MIN_CHARS_OF_TWO, acceptable};
use super::people::names_in;
use super::{AccountError, Accounts, notices};
use crate::audit::Deed;
use crate::store::Writer;
use crate::store::tables::{ACCOUNTS, FACTORS};

/// Who it was, in the audit log.
const CONSOLE: &str = "console";
/// What its account is told.
const RESET: &str = "Your password was set anew at the appliance's console, and every login ended.";

/// An account, and whether it has a second factor.
#[derive(Clone, Debug)]
pub struct KnownAccount {
    /// The account.
    pub account: Account,
    /// It has a second factor.
    pub second_factor: bool,
}

impl Accounts {
    /// All accounts, by name.
    pub async fn known(&self) -> Result<Vec<KnownAccount>, AccountError> {
        let read = self.inner.store.read(|reader| {
            let accounts = reader.all(ACCOUNTS)?.into_iter().map(|(id, record)| {
                let factors = reader.get(FACTORS, &id)?.unwrap_or_default();
                let second_factor = factors.totp.is_some() || !factors.passkeys.is_empty();
                Ok(KnownAccount { account: Account::from_record(id, record), second_factor })
            });
            accounts.collect::<Result<Vec<_>, _>>()
        });
        let mut accounts = read.await?;
        accounts.sort_by_cached_key(|known| fold(&known.account.username));
        Ok(accounts)
    }

    /// Sets an account's password anew, ends its logins and forgets how often it was guessed.
    /// None: nobody has that name.
    pub async fn reset_password(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Option<Account>, AccountError> {
        let Some((id, record)) = self.by_name(name).await? else { return Ok(None) };
        let two = self.has_factor(id).await?;
        let minimum = if two { MIN_CHARS_OF_TWO } else { MIN_CHARS };
        acceptable(password, &names_in(&record), minimum)?;
        let hash = self.inner.passwords.hash(password).await?;
        let (now, room) = (self.inner.clock.now(), self.clone());
        let write = move |writer: &Writer<'_>| {
            let Some(mut record) = writer.get(ACCOUNTS, &id)? else { return Ok(None) };
            record.password_hash.clone_from(&hash.bcrypt);
            record.pepper.clone_from(&hash.pepper);
            // The person at the console chose it, and nobody else knows it.
            record.force_password_change = false;
            room.put_anew(writer, id, &mut record)?;
            Deed::new(CONSOLE, "password-reset", &record.username).write(writer, now)?;
            notices::tell(writer, id, now, RESET)?;
            Ok(Some(record))
        };
        let Some(record) = self.inner.store.write(write).await? else { return Ok(None) };
        for name in [&record.username, &record.email] {
            self.inner.throttle.pardon(&fold(name));
        }
        self.keep(false).await?;
        Ok(Some(Account::from_record(id, record)))
    }

    /// Switches an account's second factors off; whether it had any. None: nobody has that name.
    pub async fn disable_factors(
        &self,
        name: &str,
    ) -> Result<Option<(Account, bool)>, AccountError> {
        let Some((id, record)) = self.by_name(name).await? else { return Ok(None) };
        let had = self.factors_off(id, CONSOLE).await?;
        Ok(Some((Account::from_record(id, record), had)))
    }
}
