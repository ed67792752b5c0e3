//! Passkeys (`WebAuthn`), as a second factor and as the only one.
//!
//! A passkey belongs to a host name, its relying party: known by another name, the appliance cannot
//! use it. The authenticator has to verify who holds it, so that one passkey is two factors. A
//! challenge waits five minutes for one answer. What an answer says of the passkey, its count of
//! signatures above all, is written in the transaction of what it is for.

mod proving;

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration,
    RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder, WebauthnError,
};
use zeroize::Zeroizing;

use super::account::is_unseen;
use super::factors::{self, FactorError};
use super::{
    AccountError, Accounts, Actor, ClientInfo, Login, LoginId, RecoveryCodes, notices, people,
};
use crate::audit::Deed;
use crate::network::{SourceNetwork, is_host_name};
use crate::seal::Secret;
use crate::store::records::{FactorsRecord, PasskeyRecord, RecoveryRecord};
use crate::store::tables::{ACCOUNTS, FACTORS};
use crate::store::{Reader, StoreError, Writer};

/// Passkeys of one account.
const PER_ACCOUNT: usize = 20;
/// Characters of a passkey's name.
const NAME_CHARS: usize = 64;

/// The host name that passkeys are made for.
pub struct RelyingParty {
    host: String,
    webauthn: Webauthn,
}

impl RelyingParty {
    /// `None` for an address: passkeys belong to names.
    pub fn new(host: &str) -> Option<Self> {
        if !is_host_name(host) {
            return None;
        }
        let origin = Url::parse(&format!("https://{host}")).ok()?;
        // Any port: a proxy may stand in front, and ports move.
        let builder = WebauthnBuilder::new(host, &origin).ok()?.rp_name("Aerie");
        let webauthn = builder.allow_any_port(true).build().ok()?;
        Some(Self { host: host.to_owned(), webauthn })
    }

    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// A question to a browser's authenticator.
pub struct Question {
    /// To answer it by, once and within five minutes.
    pub id: Secret<String>,
    /// The options of `navigator.credentials`, as JSON with base64url in place of bytes.
    pub options: Value,
}

/// An answer.
pub struct Answer {
    /// The question's id.
    pub id: String,
    /// The credential as `toJSON` gives it.
    pub credential: Value,
}

/// A new passkey.
pub struct NewPasskey {
    /// What the browser answered.
    pub answer: Answer,
    /// How it is called.
    pub name: String,
}

/// A passkey, as its account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyInfo {
    /// To rename or remove it by.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The host name that it was made for.
    pub host: String,
    /// When it was enrolled.
    pub created: Timestamp,
    /// Last use.
    pub last_used: Option<Timestamp>,
}

/// A question that waits for its answer.
pub(super) enum Asked {
    /// For a new passkey of who is logged in.
    Enrol(LoginId, PasskeyRegistration),
    /// For the second step of the login with this id.
    Second(Zeroizing<String>, PasskeyAuthentication),
    /// For a login with a passkey alone.
    Alone(DiscoverableAuthentication),
    /// For a step-up.
    StepUp(LoginId, PasskeyAuthentication),
}

impl PasskeyInfo {
    fn of(record: &PasskeyRecord) -> Self {
        let time = |millis| Timestamp::from_millisecond(millis).unwrap_or_default();
        Self {
            id: record.id,
            name: record.name.clone(),
            host: record.host.clone(),
            created: time(record.created),
            last_used: record.last_used.map(time),
        }
    }
}

fn opened(record: &PasskeyRecord) -> Option<Passkey> {
    serde_json::from_str(&record.credential).ok()
}

/// The passkeys of an account that the appliance can use by this name.
fn usable(record: &FactorsRecord, party: &RelyingParty) -> Vec<Passkey> {
    let here = record.passkeys.iter().filter(|key| key.host == party.host);
    here.filter_map(opened).collect()
}

fn name_of(typed: &str) -> Result<String, FactorError> {
    let name = typed.trim();
    let sound = (1..=NAME_CHARS).contains(&name.chars().take(NAME_CHARS + 1).count());
    if !sound || name.chars().any(is_unseen) {
        return Err(FactorError::PasskeyName);
    }
    Ok(name.to_owned())
}

/// The options inside `publicKey`.
fn options_of(asked: &impl serde::Serialize) -> Result<Value, FactorError> {
    let mut asked = serde_json::to_value(asked).map_err(|_| FactorError::PasskeyWrong)?;
    let options = asked.get_mut("publicKey").map(Value::take);
    options.ok_or(FactorError::PasskeyWrong)
}

impl Accounts {
    /// The passkeys of an account.
    pub async fn passkeys(&self, account: Uuid) -> Result<Vec<PasskeyInfo>, AccountError> {
        let record = self.factors(account).await?;
        Ok(record.passkeys.iter().map(PasskeyInfo::of).collect())
    }

    fn ask(
        &self,
        asked: Asked,
        options: Value,
        client: &ClientInfo,
    ) -> Result<Question, AccountError> {
        let id = self.inner.asked.put(asked, client.address.into())?;
        Ok(Question { id, options })
    }

    /// Begins to enrol a passkey for who is logged in.
    pub async fn ask_new_passkey(
        &self,
        login: &Login,
        party: &RelyingParty,
        client: &ClientInfo,
    ) -> Result<Question, AccountError> {
        self.require_factor(login).await?;
        let owner = self.record(login.account).await?;
        let record = self.factors(login.account).await?;
        if record.passkeys.len() >= PER_ACCOUNT {
            return Err(FactorError::PasskeyRefused("an account has at most 20").into());
        }
        let known = usable(&record, party).iter().map(|key| key.cred_id().clone()).collect();
        let started = party.webauthn.start_passkey_registration(
            login.account,
            &owner.username,
            &owner.username,
            Some(known),
        );
        let (asked, state) = started.map_err(|error| refused(&error))?;
        let mut options = options_of(&asked)?;
        // So that it can be the only factor too, where the authenticator has room.
        let selection = options.get_mut("authenticatorSelection").and_then(Value::as_object_mut);
        if let Some(selection) = selection {
            selection.insert("residentKey".to_owned(), Value::from("preferred"));
        }
        self.ask(Asked::Enrol(login.id, state), options, client)
    }

    /// Enrols the passkey that answers. With the first factor come recovery codes.
    pub async fn enrol_passkey(
        &self,
        login: &Login,
        party: &RelyingParty,
        new: NewPasskey,
        client: &ClientInfo,
    ) -> Result<(PasskeyInfo, Option<RecoveryCodes>), AccountError> {
        let NewPasskey { answer, name } = new;
        let name = name_of(&name)?;
        let network = SourceNetwork::from(client.address);
        let Some(Asked::Enrol(asked, state)) = self.inner.asked.take(&answer.id, network) else {
            return Err(FactorError::Gone.into());
        };
        if asked != login.id {
            return Err(FactorError::Gone.into());
        }
        self.require_factor(login).await?;
        let credential: RegisterPublicKeyCredential = read(answer.credential)?;
        let passkey = party.webauthn.finish_passkey_registration(&credential, &state);
        let passkey = passkey.map_err(|error| refused(&error))?;
        let now = self.inner.clock.now();
        let record = PasskeyRecord {
            id: Uuid::new_v4(),
            name,
            host: party.host.clone(),
            credential: serde_json::to_string(&passkey).map_err(|_| FactorError::PasskeyWrong)?,
            created: now.as_millisecond(),
            last_used: None,
        };
        let codes = RecoveryCodes::new()?;
        let info = PasskeyInfo::of(&record);
        let enrolled = Enrolled {
            account: login.account,
            passkey,
            record,
            hashes: codes.records(),
            at: now,
            from: client.address.to_canonical(),
        };
        let room = self.clone();
        let fresh = self.inner.store.write(move |writer| enrolled.put(&room, writer)).await??;
        Ok((info, fresh.then_some(codes)))
    }

    /// Gives a passkey another name.
    pub async fn rename_passkey(
        &self,
        by: Actor,
        id: Uuid,
        name: &str,
    ) -> Result<PasskeyInfo, AccountError> {
        let name = name_of(name)?;
        let (account, now) = (by.account, self.inner.clock.now());
        let rename = move |writer: &Writer<'_>| {
            let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
            let Some(kept) = record.passkeys.iter_mut().find(|kept| kept.id == id) else {
                return Ok(Err(FactorError::NoPasskey));
            };
            let about = format!("{}, called {name} now", kept.name);
            kept.name.clone_from(&name);
            let info = PasskeyInfo::of(kept);
            writer.put(FACTORS, &account, &record)?;
            people::note(writer, now, by, "passkey-renamed", &about)?;
            Ok(Ok(info))
        };
        Ok(self.inner.store.write(rename).await??)
    }

    /// Removes a passkey. Refused where it is the last factor and one is required.
    pub async fn remove_passkey(
        &self,
        login: &Login,
        id: Uuid,
        client: &ClientInfo,
    ) -> Result<(), AccountError> {
        self.require_factor(login).await?;
        let (account, now) = (login.account, self.inner.clock.now());
        let from = client.address.to_canonical();
        let room = self.clone();
        let remove = move |writer: &Writer<'_>| {
            let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
            let place = record.passkeys.iter().position(|kept| kept.id == id);
            let Some(gone) = place.map(|place| record.passkeys.remove(place)) else {
                return Ok(Err(FactorError::NoPasskey));
            };
            if let Err(last) = room.put_fewer(writer, account, record)? {
                return Ok(Err(last));
            }
            Deed::new(&account.to_string(), "passkey-removed", &gone.name)
                .sent_from(from)
                .write(writer, now)?;
            let told = format!("The passkey \"{}\" was removed, from {from}.", gone.name);
            notices::tell(writer, account, now, &told).map(Ok)
        };
        Ok(self.inner.store.write(remove).await??)
    }

    /// The user names of accounts that would be left without a second factor that they can use, if
    /// the appliance was called `new` and not `old` any more. Recovery codes do not count: they run
    /// out.
    pub async fn depend_on_name(&self, old: &str, new: &str) -> Result<Vec<String>, AccountError> {
        let (old, new) = (old.to_owned(), new.to_owned());
        let read = move |reader: &Reader| {
            let mut names = Vec::new();
            for (account, record) in reader.all(FACTORS)? {
                let made_for = |host: &str| record.passkeys.iter().any(|key| key.host == host);
                if record.totp.is_none()
                    && made_for(&old)
                    && !made_for(&new)
                    && let Some(owner) = reader.get(ACCOUNTS, &account)?
                {
                    names.push(owner.username);
                }
            }
            names.sort();
            Ok(names)
        };
        Ok(self.inner.store.read(read).await?)
    }
}

fn read<T: serde::de::DeserializeOwned>(credential: Value) -> Result<T, FactorError> {
    serde_json::from_value(credential).map_err(|_| FactorError::PasskeyForm)
}

/// The reason is for who keeps the appliance: to a stranger it would tell what to mend.
fn refused(reason: &WebauthnError) -> FactorError {
    tracing::info!(%reason, "a passkey was refused");
    FactorError::PasskeyWrong
}

/// A passkey on its way into the store.
struct Enrolled {
    account: Uuid,
    passkey: Passkey,
    record: PasskeyRecord,
    hashes: Vec<RecoveryRecord>,
    at: Timestamp,
    from: IpAddr,
}

impl Enrolled {
    /// Writes it, and whether the recovery codes are new.
    fn put(
        &self,
        room: &Accounts,
        writer: &Writer<'_>,
    ) -> Result<Result<bool, FactorError>, StoreError> {
        for (_, other) in writer.all(FACTORS)? {
            let taken = other.passkeys.iter().filter_map(opened);
            if taken.into_iter().any(|key| key.cred_id() == self.passkey.cred_id()) {
                return Ok(Err(FactorError::PasskeyRefused("it is enrolled already")));
            }
        }
        let mut record: FactorsRecord = writer.get(FACTORS, &self.account)?.unwrap_or_default();
        if record.passkeys.len() >= PER_ACCOUNT {
            return Ok(Err(FactorError::PasskeyRefused("an account has at most 20")));
        }
        record.passkeys.push(self.record.clone());
        let fresh = factors::add_recovery(&mut record, &self.hashes);
        room.put_factors(writer, self.account, &record)?;
        let (who, from) = (self.account.to_string(), self.from);
        Deed::new(&who, "passkey-added", &self.record.name)
            .sent_from(from)
            .write(writer, self.at)?;
        let told = format!("The passkey \"{}\" was added, from {from}.", self.record.name);
        notices::tell(writer, self.account, self.at, &told)?;
        Ok(Ok(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l5_a_passkey_belongs_to_a_name_and_never_to_an_address() {
        for name in ["localhost", "net.example.org", "xn--bcher-kva.example"] {
            assert_eq!(RelyingParty::new(name).unwrap().host(), name);
        }
        for none in ["", "192.0.2.7", "2001:db8::1", "1.2.3", "a b", "a.org/x", "a.org:443"] {
            assert!(RelyingParty::new(none).is_none(), "{none}");
        }
    }

    #[test]
    fn l5_a_passkey_has_a_name_that_can_be_shown() {
        assert_eq!(name_of(" Key on the ring ").unwrap(), "Key on the ring");
        assert_eq!(name_of(&"ü".repeat(64)).unwrap().chars().count(), 64);
        for bad in ["", "  ", "a\0b", "a\u{202e}b", &"x".repeat(65), &"x".repeat(100_000)] {
            assert_eq!(name_of(bad), Err(FactorError::PasskeyName));
        }
    }
}
