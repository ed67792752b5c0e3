//! What the daemon and the vault say to each other: one question, one answer, typed and versioned.
//!
//! Times are milliseconds since 1970 and the vault's own clock's.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::SecretText;

/// The version of this page. The first question names it; another version is refused in words.
pub const VERSION: u16 = 1;
/// Bytes of one secret.
pub const SECRET_BYTES: usize = 4_096;
/// Secrets in one question.
pub const AT_ONCE: usize = 256;
/// Credentials in one grant.
pub const GRANTED: usize = 100_000;
/// Grants at the same time.
pub const GRANTS: usize = 8;

/// What is asked.
#[derive(Serialize, Deserialize)]
pub enum Question {
    /// The first question of every connection.
    Hello {
        /// The daemon's [`VERSION`].
        version: u16,
    },
    /// How are you?
    Status,
    /// Make the vault: a key pair, and a master password over the private key.
    Create {
        /// Whose vault it is, for the key file.
        appliance: String,
    },
    /// Is this the key file that opens the vault? Given back once, the warning goes.
    ProveKeyFile(SecretText),
    /// Open the vault.
    Unseal(Key),
    /// Close it.
    SealNow,
    /// Split the master password anew, so that `needed` of `total` shares open the vault.
    Split {
        /// The master password, or the key file.
        key: Key,
        /// How many of them open the vault; 1 of 1 ends the splitting.
        needed: u8,
        /// How many there are.
        total: u8,
    },
    /// Enrol what proves a person to the vault.
    Enrol {
        /// The master password, or the key file.
        key: Key,
        /// What to enrol.
        enrolment: Enrolment,
    },
    /// Take what is enrolled away.
    Unenrol {
        /// The master password, or the key file.
        key: Key,
        /// Which.
        kind: ProofKind,
    },
    /// Here is the proof. The answer is a pass.
    Prove(Proof),
    /// Seal these secrets. Works while the vault is sealed.
    Store(Vec<Plain>),
    /// Open one, for a person to see.
    Open {
        /// What a proof gave; none where nothing is enrolled.
        pass: Option<Pass>,
        /// Who asked and why, for the vault's log.
        reason: String,
        /// What to open.
        sealed: Sealed,
    },
    /// Let a job have secrets of these credentials.
    Grant {
        /// What a proof gave; none where nothing is enrolled.
        pass: Option<Pass>,
        /// Who began the job, for the vault's log.
        reason: String,
        /// The job.
        job: Uuid,
        /// Which credentials, and no others.
        credentials: Vec<Uuid>,
        /// How many secrets of each it may have, made and opened.
        each: u32,
    },
    /// The job has ended.
    EndGrant {
        /// The job.
        job: Uuid,
    },
    /// Make new secrets within a job's grant. Works while the vault is sealed.
    Make {
        /// The job.
        job: Uuid,
        /// For which credentials, each with the version that its new secret gets.
        wanted: Vec<(Uuid, u64)>,
        /// Of which form.
        form: Form,
    },
    /// Open within a job's grant.
    OpenForJob {
        /// The job.
        job: Uuid,
        /// What to open.
        sealed: Vec<Sealed>,
    },
    /// Open all of these, for an export. Counts for no limit, stands in the log.
    Export {
        /// The master password, or the key file.
        key: Key,
        /// Who asked, for the vault's log.
        reason: String,
        /// What to open.
        sealed: Vec<Sealed>,
    },
    /// Make a new key pair and master password. Until [`Question::EndRekey`] both key pairs open.
    BeginRekey {
        /// The master password, or the key file.
        key: Key,
    },
    /// Seal again what the former key pair opens.
    Reseal(Vec<Sealed>),
    /// Everything has been sealed again: drop the former key pair.
    EndRekey,
    /// Change how many secrets may be opened an hour.
    Limit {
        /// The master password, or the key file.
        key: Key,
        /// Openings an hour, 1 to 1,000.
        an_hour: u32,
    },
    /// Entries of the log from this number on, [`AT_ONCE`] at most.
    Log {
        /// The first.
        from: u64,
    },
}

/// What is answered.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was not.
    Refused(Refusal),
    /// How the vault is.
    Status(Status),
    /// A new master password, shown this once.
    Made(MasterKey),
    /// How far the unsealing is.
    Unsealing(Unsealing),
    /// The shares of a split, shown this once.
    Shares(Vec<SecretText>),
    /// What was enrolled: a TOTP secret is shown this once.
    Enrolled(Option<TotpSecret>),
    /// Goes with what needs a proof, for five minutes.
    Passed(Pass),
    /// What was sealed, in the order of the question.
    Sealed(Vec<Sealed>),
    /// What was opened, in the order of the question.
    Opened(Vec<SecretText>),
    /// What was made, in the order of the question.
    MadeSecrets(Vec<Made>),
    /// Of the log.
    Log(Vec<LogEntry>),
}

/// A sealed secret, and what is bound into its seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The credential.
    pub credential: Uuid,
    /// Its number in the credential.
    pub version: u64,
    /// The seal itself: format, number of the key pair, HPKE.
    #[serde(with = "crate::store::records::bytes")]
    pub bytes: Vec<u8>,
}

/// A secret that is to be sealed.
#[derive(Serialize, Deserialize)]
pub struct Plain {
    /// The credential.
    pub credential: Uuid,
    /// Its number in the credential.
    pub version: u64,
    /// The secret, [`SECRET_BYTES`] at most.
    pub secret: SecretText,
}

/// A new secret.
#[derive(Serialize, Deserialize)]
pub struct Made {
    /// The same, sealed: store it before anybody is told.
    pub sealed: Sealed,
    /// In the clear, for the device.
    pub secret: SecretText,
}

/// What new secrets look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Characters, 12 to 128.
    pub length: u8,
    /// Of which.
    pub alphabet: Alphabet,
}

/// Which characters a new secret has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alphabet {
    /// Letters and digits that nobody mistakes for another, some 5.8 bits each.
    Readable,
    /// Letters and digits.
    LettersAndDigits,
    /// Letters, digits and signs that every shell and form takes.
    WithSigns,
}

/// What opens the vault.
#[derive(Serialize, Deserialize)]
pub enum Key {
    /// The master password, as words or as base64url.
    Words(SecretText),
    /// The whole key file.
    File(SecretText),
    /// One share of several.
    Share(SecretText),
}

/// A new master password.
#[derive(Serialize, Deserialize)]
pub struct MasterKey {
    /// In words.
    pub words: SecretText,
    /// The key file: text to keep and print.
    pub file: SecretText,
}

/// How far an unsealing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unsealing {
    /// The vault is open.
    Open,
    /// More shares are needed.
    Missing {
        /// So many were given.
        given: u8,
        /// So many are needed.
        needed: u8,
    },
}

/// What can prove a person to the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofKind {
    /// A PIN.
    Pin,
    /// An authenticator app.
    Totp,
}

/// What is enrolled.
#[derive(Serialize, Deserialize)]
pub enum Enrolment {
    /// This PIN, 6 to 64 characters.
    Pin(SecretText),
    /// An authenticator app: the first answer shows its secret, and nothing counts yet.
    Totp {
        /// For whom, in the app.
        name: String,
    },
    /// A code of that app: now it counts.
    TotpCode(SecretText),
}

/// A proof.
#[derive(Serialize, Deserialize)]
pub enum Proof {
    /// The PIN.
    Pin(SecretText),
    /// A code.
    Totp(SecretText),
}

/// The secret of an authenticator app.
#[derive(Serialize, Deserialize)]
pub struct TotpSecret {
    /// For typing: base32.
    pub key: SecretText,
    /// For the picture: otpauth://…
    pub url: SecretText,
}

/// What a proof gave. Good for five minutes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass(pub SecretText);

/// How the vault is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told by itself, and none excludes another"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// There is one. All that follows is empty where there is none.
    pub made: bool,
    /// It is closed.
    pub sealed: bool,
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created: i64,
    /// The number of its key pair, from 1.
    pub epoch: u32,
    /// The key file has been given back.
    pub key_file_proven: bool,
    /// How many shares open it; 1 of 1: it is not split.
    pub needed: u8,
    /// Of how many.
    pub total: u8,
    /// Shares that wait for others.
    pub given: u8,
    /// What is enrolled.
    pub proofs: Vec<ProofKind>,
    /// Openings an hour that a person may have, grants not counted.
    pub an_hour: u32,
    /// Of these, still left.
    pub left: u32,
    /// Openings since it was made.
    pub opened: u64,
    /// A new key pair is being brought in.
    pub rekeying: bool,
    /// Its memory is locked: nothing of it gets into swap.
    pub memory_locked: bool,
    /// It is a unit of its own and outlives the daemon.
    pub own_unit: bool,
    /// The public key, PEM (`SubjectPublicKeyInfo`).
    pub public_key: String,
    /// Jobs that have a grant, sorted.
    #[serde(default)]
    pub granted: Vec<Uuid>,
}

/// Something that the vault did, each chained to the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// From 0.
    pub number: u64,
    /// When.
    pub at: i64,
    /// What: `created`, `unsealed`, `sealed`, `opened`, `granted`, …
    pub what: String,
    /// About what, and on whose word.
    pub about: String,
    /// SHA-256 over the entry before and this one's fields.
    #[serde(with = "crate::store::records::bytes")]
    pub hash: [u8; 32],
}

/// "No", and why. Each is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Another version of this page.
    #[error("the vault's process speaks version {0} and the daemon {VERSION}; update both")]
    Version(u16),
    /// There is no vault.
    #[error("there is no vault yet; make it in Settings, Credentials vault")]
    NotMade,
    /// There is one.
    #[error("there is a vault already; it was left as it is")]
    AlreadyMade,
    /// It is closed.
    #[error("the vault is sealed; unseal it with its key file in Settings, Credentials vault")]
    Sealed,
    /// Not a key, not this vault's, or damaged. Says which and what to do.
    #[error("{0}")]
    Key(String),
    /// Too many tries.
    #[error("too many wrong keys; the next try is possible in {seconds} s")]
    Wait {
        /// How long.
        seconds: u64,
    },
    /// A proof is due.
    #[error("the vault wants its own proof first: its PIN, or a code of its authenticator app")]
    ProofDue,
    /// The proof is wrong. Says how it goes on.
    #[error("{0}")]
    ProofWrong(String),
    /// The hour's openings are used up.
    #[error(
        "the vault has opened all that it may within an hour; the next is possible in {} min",
        seconds.div_ceil(60)
    )]
    Limit {
        /// How long.
        seconds: u64,
    },
    /// The job has no grant for this.
    #[error("the vault has no grant for this; begin the work anew")]
    NoGrant,
    /// It does not open: another vault's, another record's, or damaged.
    #[error("a sealed secret does not open: it is damaged, or another vault's or record's")]
    Seal,
    /// A bad question. Says what is wrong with it.
    #[error("{0}")]
    Form(String),
    /// Something that the vault itself cannot help. Says what.
    #[error("{0}")]
    Failed(String),
}
