//! The second step of a login: after the password a code from an app, a recovery code or a passkey.
//!
//! The password alone begins nothing: it gives an id that waits, in [`super::pending`]. A code is
//! spent in the transaction that writes the login, so that it begins one and never another, over a
//! restart too. Guesses of codes are counted for the id, and for the account apart from those of
//! its password.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::factors::FactorError;
use super::pending::LASTS;
use super::standing::has_factor;
use super::throttle::Attempt;
use super::{
    Account, AccountError, Accounts, Begun, ClientInfo, Login, LoginId, LoginToken, notices,
    recovery, role, totp,
};
use crate::audit::Deed;
use crate::network::SourceNetwork;
use crate::seal::Secret;
use crate::store::records::{AccountRecord, FactorsRecord, RecoveryRecord};
use crate::store::tables::{ACCOUNTS, FACTORS};
use crate::store::{StoreError, Writer};

/// Codes that a login which waits may bring.
const CODES: u32 = 5;

/// The password was right, and a second factor is due.
pub struct FactorDue {
    /// To go on with, once and within [`FactorDue::until`].
    pub id: Secret<String>,
    /// Whose login it is.
    pub account: Uuid,
    /// Until when it waits.
    pub until: Timestamp,
    /// A code from an app will do.
    pub totp: bool,
    /// A recovery code will do: there are some left.
    pub recovery_codes: bool,
    /// The host names that there are passkeys for.
    pub passkey_hosts: Vec<String>,
}

impl fmt::Debug for FactorDue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FactorDue").field("account", &self.account).finish_non_exhaustive()
    }
}

/// A login that waits for its second factor.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) account: Uuid,
    /// The account's count when the password was right.
    pub(super) era: u32,
    pub(super) idle: Option<i64>,
    /// Codes that it has brought.
    codes: u32,
}

/// Who begins a login.
pub(super) struct Entering {
    pub(super) account: Uuid,
    /// The account's count when its password was right: since then nobody ended all its logins.
    pub(super) era: Option<u32>,
    /// The wanted idle time in milliseconds.
    pub(super) idle: Option<i64>,
    /// A second factor was proven.
    pub(super) factor: bool,
}

/// A code that fits, to be spent in the transaction of what it is for.
pub(super) enum Fitting {
    /// Of this time step, from the app with this sealed secret.
    Step(u64, Vec<u8>),
    /// The recovery code with this hash.
    Recovery(RecoveryRecord),
}

impl Fitting {
    /// Spends the code. `false`: somebody was faster, or the factor is gone.
    pub(super) fn spend(
        &self,
        writer: &Writer<'_>,
        account: Uuid,
        at: Timestamp,
        from: IpAddr,
    ) -> Result<bool, StoreError> {
        let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
        match self {
            Self::Step(step, sealed) => {
                let app = record.totp.as_mut();
                let Some(app) = app.filter(|app| app.sealed == *sealed && app.last_step < *step)
                else {
                    return Ok(false);
                };
                app.last_step = *step;
                writer.put(FACTORS, &account, &record)?;
            }
            Self::Recovery(code) => {
                let before = record.recovery.len();
                record.recovery.retain(|kept| kept != code);
                let left = record.recovery.len();
                if left == before || !has_factor(&record) {
                    return Ok(false);
                }
                writer.put(FACTORS, &account, &record)?;
                Deed::new(&account.to_string(), "recovery-code-used", "")
                    .sent_from(from)
                    .write(writer, at)?;
                let told = format!(
                    "A recovery code took the place of your second factor, from {from}; {left} are \
                     left. If that was not you, change your password and make new codes."
                );
                notices::tell(writer, account, at, &told)?;
            }
        }
        Ok(true)
    }
}

impl Accounts {
    /// The refusal of a login whose account has a second factor.
    pub(super) fn ask_for_factor(
        &self,
        (account, era): (Uuid, u32),
        idle: Option<i64>,
        factors: &FactorsRecord,
        client: &ClientInfo,
    ) -> AccountError {
        let waiting = Waiting { account, era, idle, codes: 0 };
        let id = match self.inner.waiting.put(waiting, client.address.into()) {
            Ok(id) => id,
            Err(error) => return error.into(),
        };
        AccountError::FactorDue(Box::new(FactorDue {
            id,
            account,
            until: self.inner.clock.now() + LASTS,
            totp: factors.totp.is_some(),
            recovery_codes: !factors.recovery.is_empty(),
            passkey_hosts: factors.passkeys.iter().map(|key| key.host.clone()).collect(),
        }))
    }

    /// Ends a login's waiting with a code from an app or a recovery code. `idle` counts more than
    /// what was said with the password.
    pub async fn login_with_code(
        &self,
        id: &str,
        code: &str,
        idle: Option<i64>,
        client: &ClientInfo,
    ) -> Result<(Account, LoginToken), AccountError> {
        let network = SourceNetwork::from(client.address);
        let waiting = self.inner.waiting.with(id, network, |waiting| waiting.clone());
        let Waiting { account, era, idle: said, .. } = waiting.ok_or(FactorError::Gone)?;
        let attempt = self.code_attempt(account, code, client).await?;
        // Counted before it is checked, so that many at the same moment count as many.
        let codes = self.inner.waiting.with(id, network, |waiting| {
            waiting.codes += 1;
            waiting.codes
        });
        let codes = codes.filter(|codes| *codes <= CODES);
        let Some(codes) = codes else {
            attempt.unchecked();
            return Err(FactorError::Gone.into());
        };
        let entered = match self.fitting(account, code).await {
            Ok(Some(fitting)) => {
                let now = self.inner.clock.now();
                let from = client.address.to_canonical();
                let spend = move |writer: &Writer<'_>| fitting.spend(writer, account, now, from);
                let entering =
                    Entering { account, era: Some(era), idle: idle.or(said), factor: true };
                self.enter(entering, client, spend).await
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match entered {
            Ok(Some(entered)) => {
                attempt.right();
                self.inner.waiting.take(id, network);
                Ok(entered)
            }
            Ok(None) => {
                if codes == CODES {
                    self.give_up(id, account, client).await?;
                }
                Err(FactorError::CodeWrong.into())
            }
            Err(error) => {
                attempt.unchecked();
                Err(error)
            }
        }
    }

    /// Five wrong codes after a right password: somebody knows it, or needs help.
    async fn give_up(
        &self,
        id: &str,
        account: Uuid,
        client: &ClientInfo,
    ) -> Result<(), AccountError> {
        self.inner.waiting.take(id, client.address.into());
        let now = self.inner.clock.now();
        let from = client.address.to_canonical();
        let write = move |writer: &Writer<'_>| {
            Deed::new(&account.to_string(), "second-factor-refused", "")
                .sent_from(from)
                .write(writer, now)?;
            let told = format!(
                "Somebody typed your right password and then {CODES} wrong codes, from {from}. If \
                 that was not you, change your password."
            );
            notices::tell(writer, account, now, &told)
        };
        Ok(self.inner.store.write(write).await?)
    }

    /// Counts an attempt with a code. A recovery code has too many bits to be guessed from many
    /// networks, so that only its own network's count holds it back.
    async fn code_attempt(
        &self,
        account: Uuid,
        code: &str,
        client: &ClientInfo,
    ) -> Result<Attempt<'_>, AccountError> {
        let network = SourceNetwork::from(client.address);
        let (name, at_home) = if recovery::hash_of(code).is_some() {
            (format!("recovery/{account}"), true)
        } else {
            (totp::sealed_as(account), self.at_home(Some(account), client).await?)
        };
        self.inner.throttle.attempt(&name, network, at_home).map_err(AccountError::TooMany)
    }

    /// The code of an account that was typed, if it fits.
    async fn fitting(&self, account: Uuid, typed: &str) -> Result<Option<Fitting>, AccountError> {
        let record = self.factors(account).await?;
        if let Some(hash) = recovery::hash_of(typed) {
            let hash = RecoveryRecord(hash);
            return Ok(record.recovery.contains(&hash).then_some(Fitting::Recovery(hash)));
        }
        let (Some(app), Some(code)) = (record.totp, totp::typed_code(typed)) else {
            return Ok(None);
        };
        let opened = self.inner.seal.open_secret(&totp::sealed_as(account), &app.sealed);
        let secret: Zeroizing<Vec<u8>> = opened?;
        let step = totp::step_of(&secret, &code, self.inner.clock.now())?;
        let step = step.filter(|step| *step > app.last_step);
        Ok(step.map(|step| Fitting::Step(step, app.sealed)))
    }

    /// Begins a login of an account that has proven all that it has to. `spend` runs in the login's
    /// transaction; when it says `false`, or the account may not log in any more, there is no
    /// login.
    pub(super) async fn enter<F>(
        &self,
        entering: Entering,
        client: &ClientInfo,
        spend: F,
    ) -> Result<Option<(Account, LoginToken)>, AccountError>
    where
        F: Fn(&Writer<'_>) -> Result<bool, StoreError> + Send + 'static,
    {
        let Entering { account, era, idle, factor } = entering;
        let owner = self.record(account).await?;
        let mut begun = self.begin(account, &owner, idle, client)?;
        begun.record.factor = factor.then_some(begun.record.created);
        let (id, written, surplus) = (begun.id, begun.record.clone(), begun.surplus.clone());
        let entered = self.inner.store.write(move |writer| {
            let owner: Option<AccountRecord> = writer.get(ACCOUNTS, &account)?;
            let may = |owner: &AccountRecord| {
                owner.enabled && owner.era == written.era && era.is_none_or(|era| era == owner.era)
            };
            let Some(owner) = owner.filter(may) else { return Ok(None) };
            if !spend(writer)? {
                return Ok(None);
            }
            Begun::put(writer, id, &written, &surplus)?;
            Ok(Some(owner))
        });
        let Some(owner) = entered.await? else { return Ok(None) };
        self.forget(&begun.surplus);
        self.inner.logins.put(begun.id, begun.record, role(&owner));
        Ok(Some((Account::from_record(account, owner), begun.token)))
    }

    /// Proves once more who sits there, with a code from an app or a recovery code.
    pub async fn step_up_with_code(
        &self,
        id: LoginId,
        code: &str,
        client: &ClientInfo,
    ) -> Result<Login, AccountError> {
        let now = self.inner.clock.now();
        let account = self.inner.logins.get(&id, now).ok_or(AccountError::NoLogin)?.account;
        let attempt = self.code_attempt(account, code, client).await?;
        let Some(fitting) = self.fitting(account, code).await? else {
            return Err(FactorError::CodeWrong.into());
        };
        let from = client.address.to_canonical();
        let spend = move |writer: &Writer<'_>| fitting.spend(writer, account, now, from);
        if !self.inner.store.write(spend).await? {
            return Err(FactorError::CodeWrong.into());
        }
        attempt.right();
        self.stepped_up(id, true, client).await
    }

    /// Notes that a login has stepped up.
    pub(super) async fn stepped_up(
        &self,
        id: LoginId,
        factor: bool,
        client: &ClientInfo,
    ) -> Result<Login, AccountError> {
        let from = client.address.to_canonical();
        let at = self.inner.clock.now();
        let stepped = self.inner.logins.step_up(id, factor, at);
        let (login, written) = stepped.ok_or(AccountError::NoLogin)?;
        let who = login.account.to_string();
        let write = move |writer: &Writer<'_>| {
            writer.put(crate::store::tables::LOGINS, id.as_bytes(), &written)?;
            Deed::new(&who, "step-up", &written.client).sent_from(from).write(writer, at)
        };
        self.inner.store.write(write).await?;
        Ok(login)
    }
}
