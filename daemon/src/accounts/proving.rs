//! Proving a password: within what guessing is allowed, in a fair queue, and refusals on record.
//!
//! What is wrong is written behind, by a task and once a second, so that the answer takes the same
//! time whoever was meant.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::account::{EMAIL_BYTES, hash_of};
use super::passwords::{self, Asker, MAX_BYTES, MIN_CHARS};
use super::people::names_in;
use super::throttle::Attempt;
use super::{AccountError, Accounts, ClientInfo, notices, pass_by_pass};
use crate::audit::Deed;
use crate::network::SourceNetwork;
use crate::store::records::AccountRecord;
use crate::store::tables::ACCOUNTS;
use crate::store::{StoreError, Writer};
use crate::supervisor::Supervisor;

/// How often counts and refusals are written: what a power cut may lose.
const KEEPING: Duration = Duration::from_secs(1);
/// Refusals that may wait to be written. What guessing allows in a second stays far below.
const WAITING: usize = 256;

/// Who throttles, in the audit log.
const THROTTLE: &str = "throttle";
/// What an account is told whose day is used up.
const THROTTLED: &str = "Somebody guessed at your password many times, from networks in which you \
    had never logged in. For a day it is taken only where you have logged in before.";

/// Between two networks that are noted: a crowd of them must not wash the log away.
const BETWEEN_NETWORKS: Duration = Duration::from_mins(1);

/// Wrong passwords on their way into the audit log.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    refusals: Vec<Refusal>,
    /// When a network was noted last.
    network: Option<Instant>,
}

/// Who, what, about what, from where and when.
#[derive(Clone)]
struct Refusal {
    who: String,
    what: &'static str,
    about: String,
    address: IpAddr,
    at: Timestamp,
    /// Whom to tell that guessing has used up the day.
    tell: Option<Uuid>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, refusal: Refusal) {
        let mut waiting = self.lock();
        if waiting.refusals.len() < WAITING {
            waiting.refusals.push(refusal);
        }
    }

    /// Whether a network may be noted now.
    fn next_network(&self) -> bool {
        let mut waiting = self.lock();
        let due = waiting.network.is_none_or(|last| last.elapsed() >= BETWEEN_NETWORKS);
        if due {
            waiting.network = Some(Instant::now());
        }
        due
    }

    fn take(&self) -> Vec<Refusal> {
        std::mem::take(&mut self.lock().refusals)
    }
}

impl Refusal {
    fn put(&self, writer: &Writer<'_>) -> Result<(), StoreError> {
        let deed = Deed::new(&self.who, self.what, &self.about);
        deed.sent_from(self.address).write(writer, self.at)?;
        let told = self.tell.map(|account| notices::tell(writer, account, self.at, THROTTLED));
        told.unwrap_or(Ok(()))
    }
}

impl Accounts {
    /// Whether `password` is right, within what guessing is allowed. Without an account it never
    /// is, after the same time.
    pub(super) async fn prove(
        &self,
        name: &str,
        account: Option<(Uuid, &AccountRecord)>,
        password: &str,
        client: &ClientInfo,
    ) -> Result<bool, AccountError> {
        if !could_be(name, password) {
            return Err(AccountError::CredentialForm);
        }
        let network = SourceNetwork::from(client.address);
        let at_home = self.at_home(account.map(|(id, _)| id), client).await?;
        let attempt = self.inner.throttle.attempt(name, network, at_home);
        let attempt = attempt.map_err(AccountError::TooMany)?;
        let hash = account.map(|(_, record)| hash_of(record));
        let asker = Asker { network: Some(network), at_home };
        match self.inner.passwords.check(password, hash.as_ref(), asker).await {
            Ok(true) => {
                attempt.right();
                if let Some((id, record)) = account.filter(|(_, record)| record.enabled) {
                    self.renew(id, record, password).await?;
                }
                Ok(true)
            }
            Ok(false) => {
                self.refused(account, &attempt, client);
                Ok(false)
            }
            Err(error) => {
                attempt.unchecked();
                Err(error.into())
            }
        }
    }

    /// Notes a wrong password: for an account that there is, and for a network that has tried many
    /// names. Names that nobody has are not noted one by one: strangers would fill the log.
    fn refused(
        &self,
        account: Option<(Uuid, &AccountRecord)>,
        attempt: &Attempt<'_>,
        client: &ClientInfo,
    ) {
        let (at, address) = (self.inner.clock.now(), client.address);
        let note = |who: &str, what, about: &str, tell| {
            let (who, about) = (who.to_owned(), about.to_owned());
            self.inner.refusals.note(Refusal { who, what, about, address, at, tell });
        };
        if let Some((id, record)) = account {
            note(&id.to_string(), "password-refused", &client.agent, None);
            if attempt.fills_day() {
                note(THROTTLE, "account-throttled", &record.username, Some(id));
            }
        }
        if attempt.fills_network() && self.inner.refusals.next_network() {
            let network = SourceNetwork::from(address).to_string();
            note(THROTTLE, "network-throttled", &network, None);
        }
    }

    /// Hashes a right password anew where its hash is cheaper than the setting, or has an older
    /// pepper or none. While the hashers are busy, the next login does it. A password that nobody
    /// here has judged yet, since its hash came from elsewhere, is judged: where the rules refuse
    /// it, its account has to choose another one first.
    async fn renew(
        &self,
        id: Uuid,
        record: &AccountRecord,
        password: &str,
    ) -> Result<(), AccountError> {
        let before = hash_of(record);
        if !self.inner.passwords.is_outdated(&before) {
            return Ok(());
        }
        let refused = before.is_plain()
            && passwords::acceptable(password, &names_in(record), MIN_CHARS).is_err();
        let hash = self.inner.passwords.hash(password).await.ok();
        if hash.is_none() && !refused {
            return Ok(());
        }
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            let Some(mut record) = writer.get(ACCOUNTS, &id)? else { return Ok(()) };
            // Unless the password was changed meanwhile.
            if record.password_hash == before.bcrypt {
                if let Some(hash) = &hash {
                    record.password_hash.clone_from(&hash.bcrypt);
                    record.pepper.clone_from(&hash.pepper);
                }
                record.force_password_change |= refused;
                writer.put(ACCOUNTS, &id, &record)?;
                room.inner.standings.know(id, &record);
            }
            Ok(())
        };
        Ok(self.inner.store.write(write).await?)
    }

    /// Starts writing counts and refusals behind.
    pub(super) fn keep_counts(&self, supervisor: &Supervisor) {
        let accounts = self.clone();
        pass_by_pass(supervisor, "throttle keeper", KEEPING, move |last| {
            let accounts = accounts.clone();
            async move {
                if let Err(error) = accounts.keep(last).await {
                    // The next pass writes the counts; the refusals of a second are lost.
                    tracing::error!(%error, "wrong attempts could not be written");
                }
            }
        });
    }

    /// Writes counts that are due, or all, and every refusal.
    pub(super) async fn keep(&self, all: bool) -> Result<(), AccountError> {
        let refusals = self.inner.refusals.take();
        let counts = Arc::new(self.inner.throttle.unwritten(all, self.inner.clock.now()));
        if refusals.is_empty() && counts.is_empty() {
            return Ok(());
        }
        let written = Arc::clone(&counts);
        let write = move |writer: &Writer<'_>| {
            refusals.iter().try_for_each(|refusal| refusal.put(writer))?;
            counts.put(writer)
        };
        self.inner.store.write(write).await?;
        self.inner.throttle.written(&written);
        Ok(())
    }
}

/// Whether anybody could have such a name and such a password. What nobody can have is no guess.
fn could_be(name: &str, password: &str) -> bool {
    name.len() <= EMAIL_BYTES
        && !name.contains(char::is_control)
        && password.len() <= MAX_BYTES
        && !password.contains('\0')
}
