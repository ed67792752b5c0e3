//! The passwords of local accounts that the appliance may set.
//!
//! ```text
//! check ─> make the entry ─> remember ─> set ─> read back ─> prove
//! ```
//!
//! What is to be set is remembered, durably, before anything is set, and which password an account
//! has is never remembered at all: it is found by comparing the entry that the account has with
//! those that were remembered. So an agent that ends between any two steps finds the truth when it
//! starts again, and so does one whose device came back with an older password.
//!
//! Where the agent is two processes, all of this is root's; see [`crate::separation`].

mod home;
mod memory;
mod programs;
mod shadow;

use std::{
    future::Future,
    path::{Path, PathBuf},
};

use aerie_protocol::inform::{
    HeldPassword, MAX_PASSWORD_BYTES, MAX_SEALED_BYTES, RefusalReason, SetPassword, TryPassword,
};
use thiserror::Error;

use self::memory::{LONGEST_MEMORY_OF_TRIES, MOST_WRONG_TRIES, Sent};
pub use self::{
    home::{Home, HomeError},
    memory::{Memory, Moment},
    shadow::ShadowAccounts,
};
use crate::policy::PasswordPolicy;

/// The accounts of a machine, as far as their passwords go.
pub trait Accounts: Send {
    /// Whether something can be changed now. Asked before anything is remembered.
    fn ready(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// What stands for the account's password now; `None` where there is no such account.
    fn entry(&mut self, account: &str) -> Result<Option<String>, String>;

    /// What would stand for this password. Never the same twice.
    fn entry_for(&mut self, password: &str) -> Result<String, String>;

    /// Puts an entry in the place of the account's.
    fn set(
        &mut self,
        account: &str,
        entry: &str,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// Whether somebody with this password gets in as this account.
    fn authenticates(
        &mut self,
        account: &str,
        password: &str,
    ) -> impl Future<Output = Result<bool, String>> + Send;

    /// What time it is, on a clock that nobody sets.
    fn now(&self) -> Moment;
}

/// Why a password was not set, not tried, or not told.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    /// The device's own file says no, or the agent has no power over accounts.
    #[error("the device's own policy does not allow it: {0}")]
    NotAllowed(String),
    /// It was tried, or is known to be of no use here.
    #[error("{0}")]
    Failed(String),
    /// Not now.
    #[error("{0}")]
    Busy(String),
    /// The device knows of something newer.
    #[error(
        "the device was sent version {newest} already: ask for what it holds, and go on above that"
    )]
    Outdated {
        /// The highest version that it was sent.
        newest: u64,
    },
    /// This is not the account's password.
    #[error("this is not the account's password")]
    Wrong,
}

impl PasswordError {
    /// The reason, as the appliance is told it.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::NotAllowed(_) => RefusalReason::NotAllowed,
            Self::Failed(_) => RefusalReason::Failed,
            Self::Busy(_) => RefusalReason::Busy,
            Self::Outdated { .. } => RefusalReason::Outdated,
            Self::Wrong => RefusalReason::Wrong,
        }
    }

    /// The file does not name this account. Says what to write where.
    fn account_not_named(account: &str, file: &Path) -> Self {
        Self::NotAllowed(format!(
            "write `[passwords]` and below it `accounts = [\"{}\"]` into {} on the device, and restart the agent",
            account.escape_debug(),
            file.display()
        ))
    }
}

/// Between which steps a change can be cut off; each is tried by a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The change is allowed and newer than what is known.
    Checked,
    /// The new entry is made.
    Made,
    /// The new version is remembered, durably.
    Remembered,
    /// The account has the new entry.
    Set,
    /// It was read back.
    ReadBack,
    /// The password gets in.
    Proven,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Checked, Self::Made, Self::Remembered, Self::Set, Self::ReadBack, Self::Proven];
}

/// Sets and proves passwords, under the device's own policy.
#[derive(Debug)]
pub struct Passwords<A> {
    accounts: A,
    policy: PasswordPolicy,
    /// Where the policy stands.
    file: PathBuf,
    home: Home,
}

impl<A: Accounts> Passwords<A> {
    /// Those of these accounts that the policy names. `file` is where the policy stands.
    pub fn new(accounts: A, policy: PasswordPolicy, file: PathBuf, home: Home) -> Self {
        Self { accounts, policy, file, home }
    }

    /// The accounts.
    pub fn accounts(&self) -> &A {
        &self.accounts
    }

    /// The accounts, to change them behind the back of what is remembered.
    pub fn accounts_mut(&mut self) -> &mut A {
        &mut self.accounts
    }

    /// What is remembered.
    pub fn memory(&self) -> &Memory {
        self.home.memory()
    }

    /// Which passwords the accounts have that the policy names and the machine has.
    pub fn held(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        let Self { accounts, policy, home, .. } = self;
        let mut held = Vec::new();
        for account in &policy.accounts {
            if let Some(entry) = accounts.entry(account).map_err(PasswordError::Failed)? {
                held.push(home.memory().held(account, &entry));
            }
        }
        Ok(held)
    }

    /// Sets a password and proves it. Answers what the account has then, without what is sealed.
    pub async fn set(&mut self, set: &SetPassword) -> Result<HeldPassword, PasswordError> {
        self.set_stopping(set, &mut |_| Ok(())).await
    }

    /// The same; `after` runs after each step, and its error ends it there.
    pub async fn set_stopping(
        &mut self,
        set: &SetPassword,
        after: &mut (dyn FnMut(Step) -> Result<(), PasswordError> + Send),
    ) -> Result<HeldPassword, PasswordError> {
        let (credential_id, password, former) = self.check(set)?;
        after(Step::Checked)?;
        let entry = self.accounts.entry_for(password).map_err(PasswordError::Failed)?;
        after(Step::Made)?;
        let remembered = Sent {
            credential_id,
            version: set.version,
            entry: entry.clone(),
            sealed: set.sealed.clone(),
        };
        self.home.change(|memory| memory.remember(&set.account, remembered, &former))?;
        after(Step::Remembered)?;
        let done = self.accounts.set(&set.account, &entry).await;
        after(Step::Set)?;
        // Whatever was said about it: what the account has now is what counts.
        let found = self.accounts.entry(&set.account).map_err(PasswordError::Failed)?;
        if found.as_ref() != Some(&entry) {
            return Err(PasswordError::Failed(done.err().unwrap_or_else(|| {
                "the password was set, but the account has another one: does something else on the device manage it?"
                    .to_owned()
            })));
        }
        after(Step::ReadBack)?;
        let proven = self.accounts.authenticates(&set.account, password).await;
        if !proven.map_err(PasswordError::Failed)? {
            return Err(PasswordError::Failed(
                "the password was set, but does not get in: see the device's log".to_owned(),
            ));
        }
        after(Step::Proven)?;
        let held = self.home.memory().held(&set.account, &entry);
        Ok(HeldPassword { sealed: Vec::new(), ..held })
    }

    /// Everything that has to be known before something is made: whose credential it is, the
    /// password, and the account's present entry.
    fn check<'set>(
        &mut self,
        set: &'set SetPassword,
    ) -> Result<([u8; 16], &'set str, String), PasswordError> {
        let former = self.present(&set.account)?;
        self.accounts.ready().map_err(PasswordError::Busy)?;
        let credential_id = <[u8; 16]>::try_from(set.credential_id.as_slice())
            .map_err(|_| PasswordError::Failed("the credential's id is none".to_owned()))?;
        if set.sealed.len() > MAX_SEALED_BYTES {
            return Err(PasswordError::Failed("what is sealed is too long".to_owned()));
        }
        let newest = self.home.memory().newest(&set.account, &credential_id);
        if set.version <= newest {
            return Err(PasswordError::Outdated { newest });
        }
        Ok((credential_id, usable(&set.password)?, former))
    }

    /// The entry of an account that the policy names.
    fn present(&mut self, account: &str) -> Result<String, PasswordError> {
        if !self.policy.allows(account) {
            return Err(PasswordError::account_not_named(account, &self.file));
        }
        let entry = self.accounts.entry(account).map_err(PasswordError::Failed)?;
        entry.ok_or_else(|| {
            PasswordError::Failed(format!("this device has no account `{account}` of its own"))
        })
    }

    /// Whether the account has this password. Wrong ones are few: they are counted before they are
    /// tried, so that an agent that ends meanwhile does not forget them.
    pub async fn try_password(&mut self, tried: &TryPassword) -> Result<(), PasswordError> {
        self.present(&tried.account)?;
        let password = usable(&tried.password)?;
        let now = self.accounts.now();
        if self.home.memory().wrong_tries(&tried.account, &now) >= MOST_WRONG_TRIES {
            return Err(PasswordError::Busy(format!(
                "{MOST_WRONG_TRIES} wrong passwords were tried within {} minutes: wait as long",
                LONGEST_MEMORY_OF_TRIES.as_secs() / 60
            )));
        }
        self.home.change(|memory| memory.count_try(&tried.account, now.clone()))?;
        let outcome = match self.accounts.authenticates(&tried.account, password).await {
            Ok(true) => Ok(()),
            Ok(false) => return Err(PasswordError::Wrong),
            // Nobody has learnt anything.
            Err(reason) => Err(PasswordError::Failed(reason)),
        };
        self.home.change(|memory| memory.forgive_try(&tried.account, &now))?;
        outcome
    }
}

/// A password that every way into a Linux machine takes.
fn usable(password: &[u8]) -> Result<&str, PasswordError> {
    let refused = |why: &str| PasswordError::Failed(format!("no account can have it: {why}"));
    let password = std::str::from_utf8(password).map_err(|_| refused("the password is no text"))?;
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(refused("the password is empty or too long"));
    }
    if password.chars().any(char::is_control) {
        return Err(refused("the password has a character in it that nobody can type"));
    }
    Ok(password)
}

#[cfg(test)]
mod tests;
