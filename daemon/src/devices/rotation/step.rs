//! One account on one device: a new password, stored before the device hears of it and counted only
//! once it is proven.

use std::sync::Arc;
use std::time::Duration;

use aerie_protocol::inform::{RefusalReason, SetPassword, TryPassword, reply, request};
use uuid::Uuid;

use super::super::ActionError;
use super::super::snapshot::refusal_text;
use super::Inner;
use super::held::Held;
use super::looking::{generated, is_of};
use super::plan::{Memory, Plan};
use crate::cut::cut;
use crate::jobs::{Outcome, Task};
use crate::store::Writer;
use crate::store::records::{CredentialRecord, SecretRecord};
use crate::store::tables::{CREDENTIALS, JOB_ITEMS};
use crate::vault::VaultError;
use crate::vault::candidates::{self, Moment};
use crate::vault::protocol::{Made, Refusal, Sealed};

/// How long a device may take to set a password and prove it. Hashing one is slow on small devices.
const SET: Duration = Duration::from_mins(1);
/// How long it may take to try one.
const TRY: Duration = Duration::from_secs(20);
/// How long a device that is busy, or said nothing, is left alone.
const AGAIN: Duration = Duration::from_secs(10);
/// How long to wait for another job to be done with the same account.
const SHORT: Duration = Duration::from_secs(2);
/// How often a device may say that it knows of something newer.
const OUTDATED: usize = 3;
/// Candidates that a device is asked to try: its own budget is five a quarter of an hour.
const TRIED: usize = 4;

/// The account at hand.
struct At {
    device: Uuid,
    account: String,
    credential: Uuid,
    plan: Plan,
}

/// What a device said to a new password.
enum Said {
    Proven,
    /// It knows of something newer.
    Outdated,
}

impl Inner {
    pub(super) async fn step(self: Arc<Self>, mut task: Task) -> Outcome {
        cut("rotation-begun");
        let Some(at) = At::of(&task) else {
            return Outcome::Failed("The job's record is damaged; begin a new one.".to_owned());
        };
        let Some(_kept) = self.keep(at.credential) else { return Outcome::Later(SHORT) };
        match self.rotate(&mut task, &at).await {
            Ok(()) => Outcome::Done,
            Err(outcome) => outcome,
        }
    }

    async fn rotate(&self, task: &mut Task, at: &At) -> Result<(), Outcome> {
        let mut held = self.held(at)?;
        let mut record = self.record(at).await?;
        if record.as_ref().is_some_and(|record| !record.candidates.is_empty()) {
            held = self.settle(at).await?;
            self.open_what_came_back(task, at).await;
            record = self.record(at).await?;
        }
        if let Some(record) = &record {
            if is_finished(record, task.job, &held, at.credential) {
                return self.finish(task, "").await;
            }
            if let Some(version) = self.search(task.job, at, record, &held).await
                && self.found(task, at, version).await?
            {
                return self.finish(task, "The device had lost track of it, and tried it.").await;
            }
        }
        for _ in 0..OUTDATED {
            let made = self.candidate(task, at, &held).await?;
            match self.set(task, at, made).await? {
                Said::Proven => return Ok(()),
                Said::Outdated => held = self.settle(at).await?,
            }
        }
        Err(Outcome::Failed(
            "The device keeps saying that it knows of a newer password than was just made. Look \
             whether another appliance changes its passwords too."
                .to_owned(),
        ))
    }

    /// What the device said of this account.
    fn held(&self, at: &At) -> Result<Held, Outcome> {
        let cell = self.devices.registry().by_id(at.device);
        let cell = cell.ok_or_else(|| Outcome::Failed("The device was deleted.".to_owned()))?;
        let state = cell.lock();
        if state.session.is_none() || !state.passwords.looked_at {
            return Err(Outcome::Offline);
        }
        let held = state.passwords.held.iter().find(|held| held.account == at.account);
        held.cloned().ok_or_else(|| not_allowed(&at.account))
    }

    async fn record(&self, at: &At) -> Result<Option<CredentialRecord>, Outcome> {
        let credential = at.credential;
        let read = self.store.read(move |reader| reader.get(CREDENTIALS, &credential)).await;
        read.map_err(|error| Outcome::of_store(&error))
    }

    /// Asks the device what it has now, after something was begun of which nobody knows the end.
    async fn settle(&self, at: &At) -> Result<Held, Outcome> {
        let held = self.ask_held(at.device).await.map_err(not_asked)?;
        cut("rotation-held");
        let held = held.into_iter().find(|held| held.account == at.account);
        let held = held.ok_or_else(|| not_allowed(&at.account))?;
        let stored = self.adopt(at.device, held.clone()).await;
        stored.map_err(|error| Outcome::of_store(&error))?;
        Ok(held)
    }

    // ------------------------------------------------------------ a new password

    /// A new password, stored as a candidate together with the item that is begun.
    async fn candidate(&self, task: &mut Task, at: &At, held: &Held) -> Result<Made, Outcome> {
        let record = self.record(at).await?.unwrap_or_default();
        let Some(version) = candidates::next_version(&record, held.newest) else {
            return Err(Outcome::Failed(
                "The device says that it was sent more passwords than there can be. Look at its \
                 agent's state."
                    .to_owned(),
            ));
        };
        let wanted = (at.credential, version);
        let made = self.making.make(&self.vault, task.job, wanted, at.plan.form).await;
        let made = made.map_err(|error| not_made(&error))?;
        cut("rotation-made");
        let now = self.clock.now();
        let secret = SecretRecord {
            version,
            sealed: made.sealed.bytes.clone(),
            made: now.as_millisecond(),
            job: Some(task.job),
            ..SecretRecord::default()
        };
        let (key, item) = (task.key(), task.begin(now));
        let (credential, device, account) = (at.credential, at.device, at.account.clone());
        let write = move |writer: &Writer<'_>| {
            let fresh = || generated(device, &account, now.as_millisecond());
            let added = candidates::change(writer, credential, fresh, |record| {
                is_of(record, device, &account) && candidates::add(record, secret.clone())
            })?;
            if added {
                writer.put(JOB_ITEMS, &key, &item)?;
            }
            Ok(added)
        };
        match self.store.write(write).await {
            Ok(true) => {}
            Ok(false) if record.candidates.len() >= candidates::CANDIDATES => {
                return Err(Outcome::Failed(
                    "Too many new passwords were made for this account and none was proven. Look \
                     at the device, then type in the password that it has."
                        .to_owned(),
                ));
            }
            // Somebody typed one in at the same moment.
            Ok(false) => return Err(Outcome::Later(SHORT)),
            Err(error) => return Err(Outcome::of_store(&error)),
        }
        cut("rotation-stored");
        Ok(made)
    }

    /// Tells the device, and stores what it says.
    async fn set(&self, task: &Task, at: &At, made: Made) -> Result<Said, Outcome> {
        let version = made.sealed.version;
        let verb = request::Verb::SetPassword(SetPassword {
            account: at.account.clone(),
            credential_id: at.credential.as_bytes().to_vec(),
            version,
            password: made.secret.expose().as_bytes().to_vec(),
            sealed: made.sealed.bytes.clone(),
        });
        let asked = self.devices.request(at.device, verb, SET);
        let replied = sent(asked).await;
        cut("rotation-replied");
        match replied.map_err(not_asked)?.1 {
            reply::Outcome::Passwords(passwords) => {
                let mut held = passwords.held.into_iter().filter_map(Held::from_message);
                let proven = held.any(|held| {
                    held.account == at.account && held.version_of(at.credential) == Some(version)
                });
                if !proven {
                    return Err(Outcome::Failed(
                        "The device took the new password, and says that the account has another \
                         one. Each that it may have stays in the vault; try again."
                            .to_owned(),
                    ));
                }
                self.commit(task, at, made.sealed).await?;
                Ok(Said::Proven)
            }
            reply::Outcome::Refusal(refusal) => self.refused(at, version, &refusal).await,
            reply::Outcome::Done(_) => Err(Outcome::Failed(
                "The device's agent is too old to set passwords; update it.".to_owned(),
            )),
        }
    }

    /// The device has proven it: from now on it counts, and the item is done.
    async fn commit(&self, task: &Task, at: &At, sealed: Sealed) -> Result<(), Outcome> {
        let now = self.clock.now();
        let (key, item) = (task.key(), task.done("", now));
        let (credential, device, account) = (at.credential, at.device, at.account.clone());
        let (at_time, job) = (now.as_millisecond(), task.job);
        let write = move |writer: &Writer<'_>| {
            let fresh = || generated(device, &account, at_time);
            candidates::change(writer, credential, fresh, |record| {
                if candidates::find(record, sealed.version).is_none() {
                    // Somebody deleted the credential meanwhile; the device has this password.
                    record.newest = record.newest.max(sealed.version);
                    record.candidates.push(SecretRecord {
                        version: sealed.version,
                        sealed: sealed.bytes.clone(),
                        made: at_time,
                        job: Some(job),
                        ..SecretRecord::default()
                    });
                }
                "generated".clone_into(&mut record.source);
                candidates::holds(record, sealed.version, Moment::Settled, at_time)
            })?;
            writer.put(JOB_ITEMS, &key, &item)
        };
        self.store.write(write).await.map_err(|error| Outcome::of_store(&error))?;
        cut("rotation-committed");
        Ok(())
    }

    async fn refused(
        &self,
        at: &At,
        version: u64,
        refusal: &aerie_protocol::inform::Refusal,
    ) -> Result<Said, Outcome> {
        let reason = refusal.reason();
        let untouched = matches!(
            reason,
            RefusalReason::NotAllowed
                | RefusalReason::UnknownRequest
                | RefusalReason::NotAuthorized
                | RefusalReason::Outdated
                | RefusalReason::Busy
        );
        if untouched {
            let credential = at.credential;
            let write = move |writer: &Writer<'_>| {
                let Some(mut record) = writer.get(CREDENTIALS, &credential)? else { return Ok(()) };
                candidates::refused(&mut record, version);
                writer.put(CREDENTIALS, &credential, &record)
            };
            self.store.write(write).await.map_err(|error| Outcome::of_store(&error))?;
        } else if let Err(outcome @ Outcome::Stop(_)) = self.settle(at).await {
            // Tried and not done, or done by half: the device says which it has.
            return Err(outcome);
        }
        let what = format!("The password of {} was not changed", at.account);
        match reason {
            RefusalReason::Outdated => Ok(Said::Outdated),
            RefusalReason::Busy => Err(Outcome::Later(AGAIN)),
            _ => Err(Outcome::Failed(refusal_text(&what, refusal))),
        }
    }

    async fn finish(&self, task: &Task, message: &str) -> Result<(), Outcome> {
        let (key, item) = (task.key(), task.done(message, self.clock.now()));
        let write = move |writer: &Writer<'_>| writer.put(JOB_ITEMS, &key, &item);
        self.store.write(write).await.map_err(|error| Outcome::of_store(&error))
    }

    // ------------------------------------------------------------ which of them it has

    /// A device that does not know which password it has tries the candidates, the newest first. An
    /// open vault is needed; where it is sealed, a fresh password does as well.
    async fn search(
        &self,
        job: Uuid,
        at: &At,
        record: &CredentialRecord,
        held: &Held,
    ) -> Option<u64> {
        if held.holds.is_some() || record.candidates.is_empty() || !self.vault_is_open() {
            return None;
        }
        let newest_first = record.candidates.iter().rev().chain(&record.current);
        for secret in newest_first.take(TRIED) {
            let (credential, version) = (at.credential, secret.version);
            let sealed = Sealed { credential, version, bytes: secret.sealed.clone() };
            let opened = self.vault.open_for_job(job, vec![sealed]).await.ok()?;
            let password = opened.first()?.expose().as_bytes().to_vec();
            let account = at.account.clone();
            let verb = request::Verb::TryPassword(TryPassword { account, password });
            match self.devices.request(at.device, verb, TRY).await.ok()?.1 {
                reply::Outcome::Done(_) => return Some(version),
                reply::Outcome::Refusal(no) if no.reason() == RefusalReason::Wrong => {}
                // It has had enough, or cannot: a fresh one then.
                reply::Outcome::Refusal(_) | reply::Outcome::Passwords(_) => return None,
            }
        }
        None
    }

    /// The device has this one. Whether that is what the job was to bring about.
    async fn found(&self, task: &Task, at: &At, version: u64) -> Result<bool, Outcome> {
        let (credential, job) = (at.credential, task.job);
        let now = self.clock.now().as_millisecond();
        let write = move |writer: &Writer<'_>| {
            let Some(mut record) = writer.get(CREDENTIALS, &credential)? else { return Ok(false) };
            candidates::opened(&mut record, version);
            candidates::holds(&mut record, version, Moment::Settled, now);
            writer.put(CREDENTIALS, &credential, &record)?;
            let current = record.current.as_ref();
            Ok(current.is_some_and(|it| it.version == version && it.job == Some(job)))
        };
        self.store.write(write).await.map_err(|error| Outcome::of_store(&error))
    }

    /// Sees whether what devices gave back opens, where the vault is open.
    async fn open_what_came_back(&self, task: &Task, at: &At) {
        let Ok(Some(record)) = self.record(at).await else { return };
        if !self.vault_is_open() {
            return;
        }
        for secret in record.candidates.iter().filter(|secret| secret.unopened) {
            let (credential, version) = (at.credential, secret.version);
            let sealed = Sealed { credential, version, bytes: secret.sealed.clone() };
            if self.vault.open_for_job(task.job, vec![sealed]).await.is_ok() {
                // Where that cannot be stored, the fresh password that follows cannot either.
                self.found(task, at, version).await.ok();
            }
        }
    }
}

impl At {
    fn of(task: &Task) -> Option<Self> {
        let Memory { credential } = Memory::read(&task.item.memory)?;
        let (device, account) = (task.item.device?, task.item.what.clone());
        Some(Self { device, account, credential, plan: Plan::read(&task.plan) })
    }
}

/// Waits for a reply, and passes the point at which the device may have heard.
async fn sent<T>(asked: impl Future<Output = T>) -> T {
    let mut asked = std::pin::pin!(asked);
    let first = futures_util::future::poll_immediate(&mut asked).await;
    cut("rotation-sent");
    match first {
        Some(replied) => replied,
        None => asked.await,
    }
}

/// An earlier try of this job has done it: what it made is what the device has.
fn is_finished(record: &CredentialRecord, job: Uuid, held: &Held, credential: Uuid) -> bool {
    record.current.as_ref().is_some_and(|current| {
        current.job == Some(job)
            && current.proven.is_some()
            && held.version_of(credential) == Some(current.version)
    })
}

fn not_allowed(account: &str) -> Outcome {
    Outcome::Failed(format!(
        "The device does not let the appliance set the password of {account}. On the device, in \
         /etc/aerie-agent.toml, write the section [passwords] with accounts = [{account:?}], restart \
         the agent, then press Retry."
    ))
}

fn not_asked(error: ActionError) -> Outcome {
    match error {
        ActionError::Offline => Outcome::Offline,
        ActionError::NoReply => Outcome::Later(AGAIN),
        ActionError::Refused(why) => Outcome::Failed(why),
        ActionError::UnknownDevice | ActionError::UnknownSite | ActionError::Unauthorized => {
            Outcome::Failed("The device was deleted.".to_owned())
        }
        ActionError::Store(error) => Outcome::of_store(&error),
    }
}

fn not_made(error: &VaultError) -> Outcome {
    match error {
        VaultError::Gone(_) | VaultError::Refused(Refusal::Sealed) => Outcome::Vault,
        VaultError::Refused(Refusal::NoGrant) => Outcome::Stop(
            "The vault makes no more passwords for this job: what it granted is used up, or a \
             month has passed. Press Retry to have it granted anew."
                .to_owned(),
        ),
        VaultError::Refused(refusal) => Outcome::Stop(format!("The vault says no: {refusal}.")),
        VaultError::Nonsense => Outcome::Stop(format!("{error}.")),
    }
}
