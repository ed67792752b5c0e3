//! Proving with a passkey who sits there: at a login, alone or as its second step, and at a step-up.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, PasskeyAuthentication, PublicKeyCredential,
    WebauthnError,
};
use zeroize::Zeroizing;

use super::super::factors::FactorError;
use super::super::second_step::Entering;
use super::super::{Account, AccountError, Accounts, ClientInfo, Login, LoginToken, notices};
use super::{Answer, Asked, Question, RelyingParty, opened, options_of, read, refused, usable};
use crate::audit::Deed;
use crate::network::SourceNetwork;
use crate::store::records::FactorsRecord;
use crate::store::tables::FACTORS;
use crate::store::{StoreError, Writer};

/// The count of signatures as it is stored.
fn count_of(credential: &str) -> Option<u64> {
    let stored: Value = serde_json::from_str(credential).ok()?;
    stored.pointer("/cred/counter")?.as_u64()
}

/// Tells an account that somebody may have a copy of a passkey of its own.
fn tell_copied(
    writer: &Writer<'_>,
    account: Uuid,
    at: Timestamp,
    from: IpAddr,
) -> Result<(), StoreError> {
    Deed::new(&account.to_string(), "passkey-copied", "").sent_from(from).write(writer, at)?;
    let told = format!(
        "A passkey of yours was refused, from {from}: it has made fewer signatures than before, so \
         somebody may have a copy. Remove it and make a new one."
    );
    notices::tell(writer, account, at, &told)
}

/// Writes what an answer said of its passkey. `false`: the passkey is gone, or was used with a later
/// count meanwhile, which is told.
fn note_use(
    writer: &Writer<'_>,
    account: Uuid,
    used: &AuthenticationResult,
    at: Timestamp,
    from: IpAddr,
) -> Result<bool, StoreError> {
    let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
    for kept in &mut record.passkeys {
        let Some(mut passkey) = opened(kept).filter(|key| key.cred_id() == used.cred_id()) else {
            continue;
        };
        let Some(before) = count_of(&kept.credential) else { return Ok(false) };
        let counts = before > 0 || used.counter() > 0;
        if counts && u64::from(used.counter()) <= before {
            tell_copied(writer, account, at, from)?;
            return Ok(false);
        }
        passkey.update_credential(used);
        let Ok(credential) = serde_json::to_string(&passkey) else { return Ok(false) };
        kept.credential = credential;
        kept.last_used = Some(at.as_millisecond());
        writer.put(FACTORS, &account, &record)?;
        return Ok(true);
    }
    Ok(false)
}

/// A question to the passkeys of an account.
fn started(
    record: &FactorsRecord,
    party: &RelyingParty,
) -> Result<(Value, PasskeyAuthentication), FactorError> {
    let passkeys = usable(record, party);
    if passkeys.is_empty() {
        return Err(FactorError::PasskeyRefused("the account has none for the appliance's name"));
    }
    let started = party.webauthn.start_passkey_authentication(&passkeys);
    let (asked, state) = started.map_err(|error| refused(&error))?;
    Ok((options_of(&asked)?, state))
}

impl Accounts {
    /// Begins a login with a passkey: alone, or as the second step of the login that waits under
    /// `waiting`.
    pub async fn ask_for_passkey(
        &self,
        party: &RelyingParty,
        waiting: Option<&str>,
        client: &ClientInfo,
    ) -> Result<Question, AccountError> {
        let Some(id) = waiting else {
            let started = party.webauthn.start_discoverable_authentication();
            let (asked, state) = started.map_err(|error| refused(&error))?;
            return self.ask(Asked::Alone(state), options_of(&asked)?, client);
        };
        let network = SourceNetwork::from(client.address);
        let account = self.inner.waiting.with(id, network, |waiting| waiting.account);
        let record = self.factors(account.ok_or(FactorError::Gone)?).await?;
        let (options, state) = started(&record, party)?;
        self.ask(Asked::Second(Zeroizing::new(id.to_owned()), state), options, client)
    }

    /// Begins a login with the passkey that answers. `idle` counts more than what was said with the
    /// password.
    pub async fn login_with_passkey(
        &self,
        party: &RelyingParty,
        answer: Answer,
        idle: Option<i64>,
        client: &ClientInfo,
    ) -> Result<(Account, LoginToken), AccountError> {
        let network = SourceNetwork::from(client.address);
        let asked = self.inner.asked.take(&answer.id, network).ok_or(FactorError::Gone)?;
        let credential: PublicKeyCredential = read(answer.credential)?;
        let (account, waited, used) = match &asked {
            Asked::Alone(state) => {
                let (account, used) = self.recognised(party, &credential, state, client).await?;
                (account, None, used)
            }
            Asked::Second(id, state) => {
                let account = self.inner.waiting.with(id, network, |waiting| waiting.account);
                let account = account.ok_or(FactorError::Gone)?;
                let used = party.webauthn.finish_passkey_authentication(&credential, state);
                let used = self.judged(account, used, client).await?;
                let waiting = self.inner.waiting.take(id, network).ok_or(FactorError::Gone)?;
                (waiting.account, Some((waiting.era, waiting.idle)), used)
            }
            Asked::Enrol(..) | Asked::StepUp(..) => return Err(FactorError::Gone.into()),
        };
        let (now, from) = (self.inner.clock.now(), client.address.to_canonical());
        let spend = move |writer: &Writer<'_>| note_use(writer, account, &used, now, from);
        let (era, said) = waited.unzip();
        let entering = Entering { account, era, idle: idle.or(said.flatten()), factor: true };
        let entered = self.enter(entering, client, spend).await?;
        Ok(entered.ok_or(FactorError::PasskeyWrong)?)
    }

    /// Whose passkey answers, where nobody said a name.
    async fn recognised(
        &self,
        party: &RelyingParty,
        credential: &PublicKeyCredential,
        state: &DiscoverableAuthentication,
        client: &ClientInfo,
    ) -> Result<(Uuid, AuthenticationResult), AccountError> {
        let found = party.webauthn.identify_discoverable_authentication(credential);
        let (account, id) = found.map_err(|error| refused(&error))?;
        let record = self.factors(account).await?;
        let passkey = usable(&record, party).into_iter().find(|key| key.cred_id() == id);
        let passkey = passkey.ok_or(FactorError::PasskeyWrong)?;
        let state = state.clone();
        let used =
            party.webauthn.finish_discoverable_authentication_v2(credential, state, &passkey);
        Ok((account, self.judged(account, used, client).await?))
    }

    /// What came of an answer. An older count of signatures than before is told: somebody may have a
    /// copy of the passkey.
    async fn judged(
        &self,
        account: Uuid,
        used: Result<AuthenticationResult, WebauthnError>,
        client: &ClientInfo,
    ) -> Result<AuthenticationResult, AccountError> {
        let error = match used {
            Ok(used) => return Ok(used),
            Err(error) => error,
        };
        if matches!(error, WebauthnError::CredentialPossibleCompromise) {
            let now = self.inner.clock.now();
            let from = client.address.to_canonical();
            let tell = move |writer: &Writer<'_>| tell_copied(writer, account, now, from);
            self.inner.store.write(tell).await?;
        }
        Err(refused(&error).into())
    }

    /// Begins a step-up with a passkey.
    pub async fn ask_to_step_up(
        &self,
        login: &Login,
        party: &RelyingParty,
        client: &ClientInfo,
    ) -> Result<Question, AccountError> {
        let record = self.factors(login.account).await?;
        let (options, state) = started(&record, party)?;
        self.ask(Asked::StepUp(login.id, state), options, client)
    }

    /// Proves once more who sits there, with a passkey.
    pub async fn step_up_with_passkey(
        &self,
        login: &Login,
        party: &RelyingParty,
        answer: Answer,
        client: &ClientInfo,
    ) -> Result<Login, AccountError> {
        let network = SourceNetwork::from(client.address);
        let asked = self.inner.asked.take(&answer.id, network);
        let Some(Asked::StepUp(asked, state)) = asked else {
            return Err(FactorError::Gone.into());
        };
        if asked != login.id {
            return Err(FactorError::Gone.into());
        }
        let credential: PublicKeyCredential = read(answer.credential)?;
        let used = party.webauthn.finish_passkey_authentication(&credential, &state);
        let used = self.judged(login.account, used, client).await?;
        let (account, now) = (login.account, self.inner.clock.now());
        let from = client.address.to_canonical();
        let note = move |writer: &Writer<'_>| note_use(writer, account, &used, now, from);
        if !self.inner.store.write(note).await? {
            return Err(FactorError::PasskeyWrong.into());
        }
        self.stepped_up(login.id, true, client).await
    }
}
