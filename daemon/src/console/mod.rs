//! The appliance's own console: what root, or the daemon's own user, may ask of it on the machine
//! itself.
//!
//! A running daemon listens on a Unix socket in its data directory and looks at who connects. Where
//! none runs, the same is done on the store, whose lock says that nobody else has it. One question,
//! one answer, each a bounded frame of JSON.

mod asking;
mod frame;
mod hashing;
mod serving;
mod typed;
mod welcome;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroize;

use crate::accounts::{AccountError, Accounts};

pub use self::asking::{ask, running, welcome};
pub use self::hashing::hash_for_provisioning;
pub use self::serving::serve;
pub use self::typed::{new_password, password};

/// The socket's name in the data directory.
const SOCKET: &str = "control.sock";

/// What is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Question {
    /// Which accounts are there?
    Accounts,
    /// Set an account's password anew.
    ResetPassword {
        /// Its user name or e-mail address.
        name: String,
        /// The new password.
        password: String,
    },
    /// Switch an account's second factors off.
    DisableFactors {
        /// Its user name or e-mail address.
        name: String,
    },
    /// How is the daemon that runs?
    Running,
    /// Where is it opened, and with which set-up code?
    Welcome,
}

/// How the daemon is that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Running {
    /// Its version.
    pub version: String,
    /// The SHA-256 of the certificate that its ports show.
    pub certificate: String,
    /// What is wrong with it, in a sentence.
    pub fault: Option<String>,
    /// The URLs at which people open it. None: it has no address yet.
    pub urls: Vec<String>,
}

/// Tells how the daemon is.
pub type Telling = dyn Fn() -> Running + Send + Sync;

impl Drop for Question {
    fn drop(&mut self) {
        if let Self::ResetPassword { password, .. } = self {
            password.zeroize();
        }
    }
}

/// What is answered, for people.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Done(String),
    Refused(String),
    Running(Running),
}

/// Why there is no answer, or none that helps.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// The appliance says no.
    #[error("{0}")]
    Refused(String),
    /// Neither a daemon nor a store.
    #[error(
        "there is no store in {0}; name the boot file that the daemon is started with by --config"
    )]
    NoStore(String),
    /// No daemon.
    #[error("no daemon listens on {0}; it is not started, or still starts")]
    NotRunning(String),
    /// The daemon does not answer.
    #[error(
        "a daemon has the store open and does not answer on {0}; wait a moment and try again, or \
         stop the daemon and try again without it"
    )]
    Silent(String),
    /// The socket.
    #[error("the daemon's socket {path} cannot be used; be root, or the daemon's own user")]
    Socket {
        /// The socket.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The terminal, or standard input.
    #[error("the password could not be read")]
    Input(#[source] std::io::Error),
    /// Two different passwords.
    #[error("the two passwords differ; nothing was changed")]
    Differ,
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The keys beside it cannot.
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
    /// The accounts in it cannot be read.
    #[error(transparent)]
    Accounts(#[from] AccountError),
}

/// Does what is asked.
async fn answer(accounts: &Accounts, question: &Question) -> Answer {
    let answered = match question {
        Question::Accounts => list(accounts).await,
        Question::ResetPassword { name, password } => reset(accounts, name, password).await,
        Question::DisableFactors { name } => disable(accounts, name).await,
        Question::Running | Question::Welcome => {
            return Answer::Refused("no daemon runs".to_owned());
        }
    };
    // What the accounts say is a sentence, and names no secret.
    answered.unwrap_or_else(|error| Answer::Refused(error.to_string()))
}

async fn list(accounts: &Accounts) -> Result<Answer, AccountError> {
    let known = accounts.known().await?;
    if known.is_empty() {
        return Ok(Answer::Done("There is no account yet: set the appliance up first.\n".into()));
    }
    let lines = known.iter().map(|known| {
        let account = &known.account;
        let state = if account.enabled { "enabled" } else { "disabled" };
        let factors = if known.second_factor { "two factors" } else { "one factor" };
        let (name, email, role) = (&account.username, &account.email, account.role.name());
        format!("{name}\t{email}\t{role}\t{state}\t{factors}\n")
    });
    Ok(Answer::Done(lines.collect()))
}

async fn reset(accounts: &Accounts, name: &str, password: &str) -> Result<Answer, AccountError> {
    let Some(account) = accounts.reset_password(name, password).await? else {
        return Ok(unknown());
    };
    let disabled = if account.enabled {
        ""
    } else {
        " The account is disabled: it cannot log in until an admin enables it."
    };
    let factors = if accounts.has_factor(account.id).await? {
        " It still asks for its second factor; `aerie account disable-2fa` switches that off."
    } else {
        ""
    };
    Ok(Answer::Done(format!(
        "The password of {} is set, and all its logins have ended.{factors}{disabled}\n",
        account.username
    )))
}

async fn disable(accounts: &Accounts, name: &str) -> Result<Answer, AccountError> {
    Ok(match accounts.disable_factors(name).await? {
        Some((account, true)) => Answer::Done(format!(
            "The second factors of {} are off: its password alone logs in.\n",
            account.username
        )),
        Some((account, false)) => {
            Answer::Done(format!("{} has no second factor; nothing to do.\n", account.username))
        }
        None => unknown(),
    })
}

fn unknown() -> Answer {
    Answer::Refused(
        "there is no account with this user name or e-mail address; `aerie account list` shows \
         which there are"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests;
