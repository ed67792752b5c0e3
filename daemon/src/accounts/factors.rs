//! Second factors.

use uuid::Uuid;

use super::{AccountError, Accounts, notices};
use crate::audit::Deed;
use crate::store::Writer;
use crate::store::tables::FACTORS;

/// What its account is told.
const OFF: &str = "Your second factors were switched off: the app, the passkeys and the recovery \
    codes count no more. Set one up again under your account.";

impl Accounts {
    /// Whether an account has a second factor.
    pub async fn has_factor(&self, account: Uuid) -> Result<bool, AccountError> {
        let factors = self.inner.store.read(move |reader| reader.get(FACTORS, &account)).await?;
        Ok(factors.is_some_and(|factors| factors.totp.is_some() || !factors.passkeys.is_empty()))
    }

    /// Switches an account's second factors off, and tells it. `false`: it had none.
    pub async fn factors_off(&self, account: Uuid, by: &str) -> Result<bool, AccountError> {
        let (now, by) = (self.inner.clock.now(), by.to_owned());
        let write = move |writer: &Writer<'_>| {
            if !writer.delete(FACTORS, &account)? {
                return Ok(false);
            }
            Deed::new(&by, "factors-off", &account.to_string()).write(writer, now)?;
            notices::tell(writer, account, now, OFF).map(|()| true)
        };
        Ok(self.inner.store.write(write).await?)
    }
}
