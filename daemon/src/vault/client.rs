//! The daemon's end of the talk: one method a question.

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::protocol::{
    AT_ONCE, Answer, Enrolment, Form, Key, LogEntry, Made, MasterKey, Pass, Plain, Proof,
    ProofKind, Question, Sealed, Status, TotpSecret, Unsealing,
};
use super::{SecretText, VaultError};

/// A question on its way, and where its answer goes.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    pub(super) questions: mpsc::Sender<Asked>,
    pub(super) status: watch::Receiver<Option<Status>>,
}

impl Vault {
    /// A vault whose process is not there: whatever is asked of it fails.
    pub fn absent() -> Self {
        let (questions, _) = mpsc::channel(1);
        let (_, status) = watch::channel(None);
        Self { questions, status }
    }

    async fn ask(&self, question: Question) -> Result<Answer, VaultError> {
        let (answer, answered) = oneshot::channel();
        let gone = || VaultError::Gone(std::io::ErrorKind::BrokenPipe.into());
        self.questions.send(Asked { question, answer }).await.map_err(|_| gone())?;
        match answered.await.map_err(|_| gone())? {
            Answer::Refused(refusal) => Err(refusal.into()),
            answer => Ok(answer),
        }
    }

    async fn tell(&self, question: Question) -> Result<(), VaultError> {
        match self.ask(question).await? {
            Answer::Done => Ok(()),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// How the vault is, asked now.
    pub async fn status(&self) -> Result<Status, VaultError> {
        match self.ask(Question::Status).await? {
            Answer::Status(status) => Ok(status),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// How the vault was when it last changed; none while it does not answer.
    pub fn watch(&self) -> watch::Receiver<Option<Status>> {
        self.status.clone()
    }

    /// Makes the vault, open.
    pub async fn create(&self, appliance: String) -> Result<MasterKey, VaultError> {
        self.made(Question::Create { appliance }).await
    }

    async fn made(&self, question: Question) -> Result<MasterKey, VaultError> {
        match self.ask(question).await? {
            Answer::Made(key) => Ok(key),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Takes the key file back, as a proof that the owner has it.
    pub async fn prove_key_file(&self, file: SecretText) -> Result<(), VaultError> {
        self.tell(Question::ProveKeyFile(file)).await
    }

    /// Opens the vault, or takes one share of several.
    pub async fn unseal(&self, key: Key) -> Result<Unsealing, VaultError> {
        match self.ask(Question::Unseal(key)).await? {
            Answer::Unsealing(unsealing) => Ok(unsealing),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Closes the vault.
    pub async fn seal_now(&self) -> Result<(), VaultError> {
        self.tell(Question::SealNow).await
    }

    /// Splits the master password into shares, or ends that with 1 of 1.
    pub async fn split(
        &self,
        key: Key,
        needed: u8,
        total: u8,
    ) -> Result<Vec<SecretText>, VaultError> {
        match self.ask(Question::Split { key, needed, total }).await? {
            Answer::Shares(shares) => Ok(shares),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Enrols what proves a person. What an app needs is answered once.
    pub async fn enrol(
        &self,
        key: Key,
        enrolment: Enrolment,
    ) -> Result<Option<TotpSecret>, VaultError> {
        match self.ask(Question::Enrol { key, enrolment }).await? {
            Answer::Enrolled(secret) => Ok(secret),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Takes what is enrolled away.
    pub async fn unenrol(&self, key: Key, kind: ProofKind) -> Result<(), VaultError> {
        self.tell(Question::Unenrol { key, kind }).await
    }

    /// Proves a person. The pass is good for five minutes.
    pub async fn prove(&self, proof: Proof) -> Result<Pass, VaultError> {
        match self.ask(Question::Prove(proof)).await? {
            Answer::Passed(pass) => Ok(pass),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Seals secrets, [`AT_ONCE`] a question. Works while the vault is sealed.
    pub async fn store(&self, secrets: Vec<Plain>) -> Result<Vec<Sealed>, VaultError> {
        let mut sealed = Vec::with_capacity(secrets.len());
        let mut rest = secrets.into_iter().peekable();
        while rest.peek().is_some() {
            let some: Vec<_> = rest.by_ref().take(AT_ONCE).collect();
            sealed.extend(self.sealed(some.len(), Question::Store(some)).await?);
        }
        Ok(sealed)
    }

    async fn sealed(&self, count: usize, question: Question) -> Result<Vec<Sealed>, VaultError> {
        match self.ask(question).await? {
            Answer::Sealed(sealed) if sealed.len() == count => Ok(sealed),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Opens one secret for a person. `reason` says who asked and why.
    pub async fn open(
        &self,
        pass: Option<Pass>,
        reason: String,
        sealed: Sealed,
    ) -> Result<SecretText, VaultError> {
        let opened = self.opened(1, Question::Open { pass, reason, sealed }).await?;
        opened.into_iter().next().ok_or(VaultError::Nonsense)
    }

    async fn opened(
        &self,
        count: usize,
        question: Question,
    ) -> Result<Vec<SecretText>, VaultError> {
        match self.ask(question).await? {
            Answer::Opened(opened) if opened.len() == count => Ok(opened),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Lets a job have secrets: `each` of every credential named, made and opened ones together.
    #[expect(clippy::too_many_arguments, reason = "one question and what stands in it")]
    pub async fn grant(
        &self,
        pass: Option<Pass>,
        reason: String,
        job: Uuid,
        credentials: Vec<Uuid>,
        each: u32,
    ) -> Result<(), VaultError> {
        self.tell(Question::Grant { pass, reason, job, credentials, each }).await
    }

    /// Ends a job's grant.
    pub async fn end_grant(&self, job: Uuid) -> Result<(), VaultError> {
        self.tell(Question::EndGrant { job }).await
    }

    /// Makes new secrets within a job's grant, [`AT_ONCE`] at most. Works while the vault is sealed.
    pub async fn make(
        &self,
        job: Uuid,
        wanted: Vec<(Uuid, u64)>,
        form: Form,
    ) -> Result<Vec<Made>, VaultError> {
        let count = wanted.len();
        match self.ask(Question::Make { job, wanted, form }).await? {
            Answer::MadeSecrets(made) if made.len() == count => Ok(made),
            _ => Err(VaultError::Nonsense),
        }
    }

    /// Opens secrets within a job's grant, [`AT_ONCE`] at most.
    pub async fn open_for_job(
        &self,
        job: Uuid,
        sealed: Vec<Sealed>,
    ) -> Result<Vec<SecretText>, VaultError> {
        self.opened(sealed.len(), Question::OpenForJob { job, sealed }).await
    }

    /// Opens secrets for an export, [`AT_ONCE`] at most.
    pub async fn export(
        &self,
        key: Key,
        reason: String,
        sealed: Vec<Sealed>,
    ) -> Result<Vec<SecretText>, VaultError> {
        self.opened(sealed.len(), Question::Export { key, reason, sealed }).await
    }

    /// Begins a re-key: a new key pair and master password.
    pub async fn begin_rekey(&self, key: Key) -> Result<MasterKey, VaultError> {
        self.made(Question::BeginRekey { key }).await
    }

    /// Seals again under the new key pair, [`AT_ONCE`] at most.
    pub async fn reseal(&self, sealed: Vec<Sealed>) -> Result<Vec<Sealed>, VaultError> {
        self.sealed(sealed.len(), Question::Reseal(sealed)).await
    }

    /// Ends a re-key: the former key pair is dropped.
    pub async fn end_rekey(&self) -> Result<(), VaultError> {
        self.tell(Question::EndRekey).await
    }

    /// Changes how many secrets a person may have opened within an hour.
    pub async fn limit(&self, key: Key, an_hour: u32) -> Result<(), VaultError> {
        self.tell(Question::Limit { key, an_hour }).await
    }

    /// The vault's own log from a number on.
    pub async fn log(&self, from: u64) -> Result<Vec<LogEntry>, VaultError> {
        match self.ask(Question::Log { from }).await? {
            Answer::Log(entries) => Ok(entries),
            _ => Err(VaultError::Nonsense),
        }
    }
}
