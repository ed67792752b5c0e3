//! The second factors of an account: codes from an app, passkeys, and recovery codes beside them.
//!
//! An account that has a factor needs one to log in and to change its factors. Recovery codes are
//! none of their own: they come with the first factor and go with the last. Whatever happens to
//! factors is told to the account and stands in the audit, in the same transaction.

use thiserror::Error;
use uuid::Uuid;

use super::logins::Login;
use super::standing::{RULES, Rules, has_factor};
use super::{AccountError, Accounts, ClientInfo, RecoveryCodes, notices};
use crate::audit::Deed;
use crate::store::records::{FactorsRecord, RecoveryRecord};
use crate::store::tables::{ACCOUNTS, FACTORS, SETTINGS};
use crate::store::{StoreError, Writer};

/// Why a factor was not taken, made or removed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FactorError {
    /// A wrong code, or one that was used already.
    #[error(
        "the code is wrong or was used already; wait for the app's next one, and check that the \
         telephone's clock is right"
    )]
    CodeWrong,
    /// What waited for a second step is gone.
    #[error("this took longer than five minutes, or was begun elsewhere; begin again")]
    Gone,
    /// A second factor has to be proven first.
    #[error(
        "confirm with your second factor first: a code from your app, a passkey or a recovery code"
    )]
    ProveFactor,
    /// There is an app already.
    #[error("codes from an app are your second factor already; turn them off first")]
    TotpOn,
    /// There is no app.
    #[error("codes from an app are not turned on")]
    TotpOff,
    /// A secret that no app can use.
    #[error("the key for the app must be base 32 of 16 to 40 bytes, as the appliance gave it")]
    TotpSecret,
    /// The last factor where one is required.
    #[error("a second factor is required of every account here; set up another one first")]
    Last,
    /// There is no factor.
    #[error("this account has no second factor; set up one first")]
    NoFactor,
    /// A passkey that does not fit.
    #[error("the passkey was not accepted; try again, or use another way to log in")]
    PasskeyWrong,
    /// A passkey that cannot be taken in.
    #[error("this passkey cannot be used here: {0}")]
    PasskeyRefused(&'static str),
    /// A name that no passkey can have.
    #[error("the passkey needs a name of 1 to 64 characters, and none that cannot be seen")]
    PasskeyName,
    /// Not what a browser's authenticator answers.
    #[error("this is no answer of an authenticator; send the credential as its toJSON() gives it")]
    PasskeyForm,
    /// There is no such passkey.
    #[error("there is no passkey with this id; it may have been removed")]
    NoPasskey,
}

/// Gives recovery codes to an account that has none left. `false`: it has.
pub(super) fn add_recovery(record: &mut FactorsRecord, hashes: &[RecoveryRecord]) -> bool {
    let fresh = record.recovery.is_empty();
    if fresh {
        record.recovery = hashes.to_vec();
    }
    fresh
}

impl Accounts {
    pub(super) async fn factors(&self, account: Uuid) -> Result<FactorsRecord, StoreError> {
        let read = self.inner.store.read(move |reader| reader.get(FACTORS, &account));
        Ok(read.await?.unwrap_or_default())
    }

    /// Whether an account has a second factor.
    pub async fn has_factor(&self, account: Uuid) -> Result<bool, AccountError> {
        Ok(has_factor(&self.factors(account).await?))
    }

    /// Writes an account's factors. In the transaction of what became of them.
    pub(super) fn put_factors(
        &self,
        writer: &Writer<'_>,
        account: Uuid,
        record: &FactorsRecord,
    ) -> Result<(), StoreError> {
        writer.put(FACTORS, &account, record)?;
        self.inner.standings.set_factor(account, has_factor(record));
        Ok(())
    }

    /// Writes the factors of an account that lost one. The last stays where one is required.
    pub(super) fn put_fewer(
        &self,
        writer: &Writer<'_>,
        account: Uuid,
        mut record: FactorsRecord,
    ) -> Result<Result<(), FactorError>, StoreError> {
        if !has_factor(&record) {
            if Rules::read(writer.get(SETTINGS, RULES)?.as_deref()).two_factor_required {
                return Ok(Err(FactorError::Last));
            }
            record.recovery.clear();
        }
        self.put_factors(writer, account, &record).map(Ok)
    }

    /// Refuses a login that has not proven a second factor in the last minutes, if its account has
    /// one: who knows the password alone does not change the factors.
    pub(super) async fn require_factor(&self, login: &Login) -> Result<(), AccountError> {
        let proven = self.inner.logins.factor_is_fresh(&login.id, self.inner.clock.now());
        if proven || !self.has_factor(login.account).await? {
            return Ok(());
        }
        Err(FactorError::ProveFactor.into())
    }

    /// Makes ten new recovery codes. The old ones are worth nothing from now on.
    pub async fn new_recovery_codes(
        &self,
        login: &Login,
        client: &ClientInfo,
    ) -> Result<RecoveryCodes, AccountError> {
        let account = login.account;
        self.require_factor(login).await?;
        let codes = RecoveryCodes::new()?;
        let (hashes, now) = (codes.records(), self.inner.clock.now());
        let from = client.address.to_canonical();
        let renew = move |writer: &Writer<'_>| {
            let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
            if !has_factor(&record) {
                return Ok(Err(FactorError::NoFactor));
            }
            record.recovery.clone_from(&hashes);
            writer.put(FACTORS, &account, &record)?;
            Deed::new(&account.to_string(), "recovery-codes-new", "")
                .sent_from(from)
                .write(writer, now)?;
            let told = format!("New recovery codes were made, from {from}. The old ones are void.");
            notices::tell(writer, account, now, &told).map(Ok)
        };
        self.inner.store.write(renew).await??;
        Ok(codes)
    }

    /// Removes all second factors of an account and ends its logins: for an admin, or whoever sits
    /// at the console, `by` whose name it stands in the audit. `false`: it had none. The account is
    /// told.
    pub async fn factors_off(&self, account: Uuid, by: &str) -> Result<bool, AccountError> {
        let (now, by) = (self.inner.clock.now(), by.to_owned());
        let room = self.clone();
        let off = move |writer: &Writer<'_>| {
            let record = writer.get(FACTORS, &account)?.unwrap_or_default();
            if !has_factor(&record) && record.recovery.is_empty() {
                return Ok(false);
            }
            room.put_factors(writer, account, &FactorsRecord::default())?;
            if let Some(mut owner) = writer.get(ACCOUNTS, &account)? {
                room.put_anew(writer, account, &mut owner)?;
            }
            Deed::new(&by, "factors-off", &account.to_string()).write(writer, now)?;
            let told = "Your second factors and recovery codes were removed by somebody who may. \
                Ask who it was if you did not ask for it, and set up a new one.";
            notices::tell(writer, account, now, told).map(|()| true)
        };
        Ok(self.inner.store.write(off).await?)
    }
}
