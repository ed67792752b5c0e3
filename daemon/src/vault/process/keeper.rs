//! Who answers: the state behind one lock, which nobody holds while a key is derived or a batch is
//! sealed.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::counter::{self, Counter};
use super::files::Folder;
use super::grants::Grants;
use super::log::Log;
use super::proofs::Proofs;
use super::state::State;
use super::time::{Moment, Times};
use super::unsealing::{GivenShares, Keys, Verified};
use crate::clock::Clock;
use crate::vault::crypto::PublicKey;
use crate::vault::protocol::{Answer, LogEntry, Question, Refusal, Status};

/// Characters of a reason, or of an appliance's name.
const REASON: usize = 512;

/// The vault itself.
pub(super) struct Keeper {
    inner: Mutex<Inner>,
    times: Times,
    memory_locked: bool,
    own_unit: bool,
}

pub(super) struct Inner {
    pub(super) folder: Folder,
    pub(super) state: Option<State>,
    pub(super) counter: Counter,
    pub(super) grants: Grants,
    log: Log,
    /// The private keys while it is open.
    pub(super) open: Option<Arc<Keys>>,
    pub(super) shares: GivenShares,
    pub(super) proofs: Proofs,
    pub(super) verified: Option<Verified>,
}

impl Keeper {
    pub(super) fn open(
        folder: Folder,
        clock: Clock,
        memory_locked: bool,
        own_unit: bool,
    ) -> io::Result<Self> {
        let state = State::read(&folder)?;
        let counter = match folder.read(counter::NAME, counter::BYTES)? {
            Some(bytes) => rmp_serde::from_slice(&bytes).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, "counter is damaged; see the runbook")
            })?,
            None => Counter::default(),
        };
        let times = Times::resume(clock, counter.written);
        let log = Log::open(&folder, times.now().wall)?;
        let grants = Grants::open(&folder)?;
        let inner = Inner {
            folder,
            state,
            counter,
            grants,
            log,
            open: None,
            shares: GivenShares::default(),
            proofs: Proofs::default(),
            verified: None,
        };
        Ok(Self { inner: Mutex::new(inner), times, memory_locked, own_unit })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Moment {
        self.times.now()
    }

    /// Answers a question. Blocks, a second or more where a key is derived.
    pub(super) fn answer(&self, question: Question) -> Answer {
        self.answered(question).unwrap_or_else(Answer::Refused)
    }

    fn answered(&self, question: Question) -> Result<Answer, Refusal> {
        let done = |()| Answer::Done;
        match question {
            Question::Hello { .. } => Ok(Answer::Done),
            Question::Status => Ok(Answer::Status(self.status())),
            Question::Create { appliance } => self.create(&appliance).map(Answer::Made),
            Question::ProveKeyFile(file) => self.prove_key_file(file).map(done),
            Question::Unseal(key) => self.unseal(&key).map(Answer::Unsealing),
            Question::SealNow => self.seal_now().map(done),
            Question::Split { key, needed, total } => {
                self.split(&key, needed, total).map(Answer::Shares)
            }
            Question::Enrol { key, enrolment } => self.enrol(&key, enrolment).map(Answer::Enrolled),
            Question::Unenrol { key, kind } => self.unenrol(&key, kind).map(done),
            Question::Prove(proof) => self.prove(&proof).map(Answer::Passed),
            Question::Store(secrets) => self.store(secrets).map(Answer::Sealed),
            Question::Open { pass, reason, sealed } => {
                self.open_one(pass.as_ref(), &reason, &sealed).map(|one| Answer::Opened(vec![one]))
            }
            Question::Grant { pass, reason, job, credentials, each } => {
                self.grant(pass.as_ref(), &reason, job, (credentials, each)).map(done)
            }
            Question::EndGrant { job } => self.end_grant(job).map(done),
            Question::Make { job, wanted, form } => {
                self.make(job, wanted, form).map(Answer::MadeSecrets)
            }
            Question::OpenForJob { job, sealed } => {
                self.open_for_job(job, sealed).map(Answer::Opened)
            }
            Question::Export { key, reason, sealed } => {
                self.export(&key, &reason, sealed).map(Answer::Opened)
            }
            Question::BeginRekey { key } => self.begin_rekey(&key).map(Answer::Made),
            Question::Reseal(sealed) => self.reseal(sealed).map(Answer::Sealed),
            Question::EndRekey => self.end_rekey().map(done),
            Question::Limit { key, an_hour } => self.limit(&key, an_hour).map(done),
            Question::Log { from } => self.log(from).map(Answer::Log),
        }
    }

    /// How it is.
    pub(super) fn status(&self) -> Status {
        let now = self.now();
        let mut inner = self.lock();
        let given = inner.shares.given(now.lived);
        let state = inner.state.as_ref();
        let split = state.and_then(|state| state.split.as_ref());
        let an_hour = state.map_or(0, |state| state.an_hour);
        let key = state.and_then(|state| PublicKey::from_bytes(&state.public).ok());
        Status {
            made: state.is_some(),
            sealed: state.is_some() && inner.open.is_none(),
            id: state.map_or(Uuid::nil(), |state| state.id),
            created: state.map_or(0, |state| state.created),
            epoch: state.map_or(0, |state| state.epoch),
            key_file_proven: state.is_some_and(|state| state.key_file_proven),
            needed: split.map_or(1, |split| split.needed),
            total: split.map_or(1, |split| split.total),
            given,
            proofs: state.map_or_else(Vec::new, State::proofs),
            an_hour,
            left: inner.counter.left(an_hour, now.lived),
            opened: inner.counter.opened,
            rekeying: state.is_some_and(State::is_rekeying),
            memory_locked: self.memory_locked,
            own_unit: self.own_unit,
            public_key: key.and_then(|key| key.pem().ok()).unwrap_or_default(),
            granted: inner.grants.jobs(),
        }
    }

    fn seal_now(&self) -> Result<(), Refusal> {
        let now = self.now();
        let mut inner = self.lock();
        inner.made()?;
        if inner.open.take().is_some() {
            inner.verified = None;
            inner.note(now, &[("sealed", String::new())])?;
        }
        Ok(())
    }

    fn limit(&self, key: &crate::vault::protocol::Key, an_hour: u32) -> Result<(), Refusal> {
        if !(1..=1_000).contains(&an_hour) {
            return Err(Refusal::Form("the limit is 1 to 1,000 openings an hour".to_owned()));
        }
        self.unlock(key)?;
        let now = self.now();
        self.lock().change(now, ("limit", format!("{an_hour} openings an hour")), |state| {
            state.an_hour = an_hour;
        })
    }

    fn log(&self, from: u64) -> Result<Vec<LogEntry>, Refusal> {
        self.lock().log.from(from).map_err(|error| failed(&error))
    }
}

impl Inner {
    /// The vault, if one was made.
    pub(super) fn made(&self) -> Result<&State, Refusal> {
        self.state.as_ref().ok_or(Refusal::NotMade)
    }

    /// The private keys, if it is open.
    pub(super) fn opened(&self) -> Result<Arc<Keys>, Refusal> {
        self.made()?;
        self.open.clone().ok_or(Refusal::Sealed)
    }

    /// Writes down what happens.
    pub(super) fn note(&mut self, now: Moment, entries: &[(&str, String)]) -> Result<(), Refusal> {
        self.log.add(now.wall, entries).map_err(|error| failed(&error))
    }

    /// Puts a changed state in the place of what was, on the disk first.
    pub(super) fn save(&mut self, state: State) -> Result<(), Refusal> {
        state.write(&self.folder).map_err(|error| failed(&error))?;
        self.state = Some(state);
        Ok(())
    }

    /// Changes the state, once it stands in the log.
    pub(super) fn change(
        &mut self,
        now: Moment,
        entry: (&str, String),
        change: impl FnOnce(&mut State),
    ) -> Result<(), Refusal> {
        let mut state = self.made()?.clone();
        change(&mut state);
        self.note(now, &[entry])?;
        self.save(state)
    }

    /// Counts something, on the disk first. Where `count` refuses, nothing is counted.
    pub(super) fn count<T>(
        &mut self,
        now: Moment,
        count: impl FnOnce(&mut Counter) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut counter = self.counter.clone();
        let done = count(&mut counter)?;
        counter.written = now;
        let bytes =
            rmp_serde::to_vec_named(&counter).map_err(|error| failed(&io::Error::other(error)))?;
        self.folder.write(counter::NAME, &bytes).map_err(|error| failed(&error))?;
        self.counter = counter;
        Ok(done)
    }
}

/// The directory cannot be written to.
pub(super) fn failed(error: &io::Error) -> Refusal {
    Refusal::Failed(format!(
        "the vault cannot use its directory, so nothing was done ({error}); give the disk space, or \
         look at the directory's owner"
    ))
}

/// A text for the log.
pub(super) fn reason(text: &str) -> Result<&str, Refusal> {
    if text.chars().count() > REASON {
        return Err(Refusal::Form(format!("a reason has {REASON} characters at most")));
    }
    Ok(text)
}
