//! The second factors of an account: codes from an app, passkeys, and recovery codes beside them.
//!
//! An account that has a factor needs one to log in and to change its factors. Recovery codes are
//! none of their own: they come with the first factor and go with the last. Whatever happens to
//! factors is told to the account and stands in the audit, in the same transaction.

use thiserror::Error;
use uuid::Uuid;

use super::logins::Login;
use super::{AccountError, Accounts, ClientInfo, RecoveryCodes, notices};
use crate::audit;
use crate::store::records::{FactorsRecord, RecoveryRecord};
use crate::store::tables::{FACTORS, SETTINGS};
use crate::store::{Reader, StoreError, Writer};

/// The setting that holds what is asked of all accounts.
pub(super) const SETTING: &str = "accounts";

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
    #[error("the passkey needs a name of 1 to 64 characters")]
    PasskeyName,
    /// Not what a browser's authenticator answers.
    #[error("this is no answer of an authenticator; send the credential as its toJSON() gives it")]
    PasskeyForm,
    /// There is no such passkey.
    #[error("there is no passkey with this id; it may have been removed")]
    NoPasskey,
}

/// How an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TwoFactor {
    /// Codes from an app.
    pub totp: bool,
    /// How many passkeys.
    pub passkeys: usize,
    /// Recovery codes that have not been used.
    pub recovery_codes_left: usize,
    /// Every account needs a second factor.
    pub required: bool,
}

impl TwoFactor {
    /// It has a second factor.
    pub fn is_on(&self) -> bool {
        self.totp || self.passkeys > 0
    }
}

/// Whether an account has a second factor.
pub(super) fn has_factor(record: &FactorsRecord) -> bool {
    record.totp.is_some() || !record.passkeys.is_empty()
}

/// Whether a factor is required of every account, from [`SETTING`].
pub(super) fn is_required(setting: Option<&String>) -> bool {
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Asked {
        two_factor_required: bool,
    }
    let asked = setting.and_then(|text| serde_json::from_str::<Asked>(text).ok());
    asked.unwrap_or_default().two_factor_required
}

/// Gives recovery codes to an account that has none left. `false`: it has.
pub(super) fn add_recovery(record: &mut FactorsRecord, hashes: &[RecoveryRecord]) -> bool {
    let fresh = record.recovery.is_empty();
    if fresh {
        record.recovery = hashes.to_vec();
    }
    fresh
}

/// Writes the factors of an account that lost one.
pub(super) fn put_fewer(
    writer: &Writer<'_>,
    account: Uuid,
    mut record: FactorsRecord,
) -> Result<Result<(), FactorError>, StoreError> {
    if has_factor(&record) {
        writer.put(FACTORS, &account, &record)?;
        return Ok(Ok(()));
    }
    if is_required(writer.get(SETTINGS, SETTING)?.as_ref()) {
        return Ok(Err(FactorError::Last));
    }
    record.recovery.clear();
    writer.put(FACTORS, &account, &record)?;
    Ok(Ok(()))
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

    /// How an account's second factors stand.
    pub async fn two_factor(&self, account: Uuid) -> Result<TwoFactor, AccountError> {
        let read = move |reader: &Reader| {
            let record = reader.get(FACTORS, &account)?.unwrap_or_default();
            Ok((record, reader.get(SETTINGS, SETTING)?))
        };
        let (record, setting) = self.inner.store.read(read).await?;
        Ok(TwoFactor {
            totp: record.totp.is_some(),
            passkeys: record.passkeys.len(),
            recovery_codes_left: record.recovery.len(),
            required: is_required(setting.as_ref()),
        })
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
        let from = client.address.to_canonical().to_string();
        let renew = move |writer: &Writer<'_>| {
            let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
            if !has_factor(&record) {
                return Ok(Err(FactorError::NoFactor));
            }
            record.recovery.clone_from(&hashes);
            writer.put(FACTORS, &account, &record)?;
            audit::append(writer, now, &account.to_string(), "recovery-codes-new", &from)?;
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
        let off = move |writer: &Writer<'_>| {
            let record = writer.get(FACTORS, &account)?.unwrap_or_default();
            if !has_factor(&record) && record.recovery.is_empty() {
                return Ok(false);
            }
            writer.delete(FACTORS, &account)?;
            audit::append(writer, now, &by, "factors-off", &account.to_string())?;
            let told = "Your second factors and recovery codes were removed by somebody who may. \
                Ask who it was if you did not ask for it, and set up a new one.";
            notices::tell(writer, account, now, told).map(|()| true)
        };
        let had = self.inner.store.write(off).await?;
        if had {
            self.logout_all(account).await?;
        }
        Ok(had)
    }
}
