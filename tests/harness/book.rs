//! Accounts of invented devices: they touch no machine.

use aerie_agent::passwords::{Accounts, Home, Memory, Moment, Passwords};
use aerie_agent::policy::PasswordPolicy;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Accounts in a book. An entry is the password with a number before it, so that no two are the same.
#[derive(Clone)]
pub struct Book {
    /// By account.
    pub entries: BTreeMap<String, String>,
    /// Nothing is entered any more, whatever is asked.
    pub deaf: bool,
    made: u32,
    boots: u32,
    started: Instant,
}

impl Book {
    /// Accounts with the passwords that they have from the factory: `factory-` and what is given.
    pub fn from_the_factory(accounts: &[String], given: &str) -> Self {
        let entry = format!("0 factory-{given}");
        let entries = accounts.iter().map(|account| (account.clone(), entry.clone())).collect();
        Self { entries, deaf: false, made: 0, boots: 0, started: Instant::now() }
    }

    /// The device starts again.
    pub fn reboot(&mut self) {
        self.boots += 1;
        self.started = Instant::now();
    }

    /// What each account really has.
    pub fn passwords(&self) -> BTreeMap<&str, &str> {
        self.entries.iter().map(|(account, entry)| (account.as_str(), plain(entry))).collect()
    }

    /// Lets the appliance set the passwords of all these accounts.
    pub fn kept(self, memory: Memory) -> Passwords<Self> {
        let accounts = self.entries.keys().cloned().collect();
        let file = "a file that no invented device has".into();
        Passwords::new(self, PasswordPolicy { accounts }, file, Home::in_memory(memory))
    }
}

fn plain(entry: &str) -> &str {
    entry.split_once(' ').map_or("", |(_, password)| password)
}

impl Accounts for Book {
    fn entry(&mut self, account: &str) -> Result<Option<String>, String> {
        Ok(self.entries.get(account).cloned())
    }

    fn entry_for(&mut self, password: &str) -> Result<String, String> {
        self.made += 1;
        Ok(format!("{} {password}", self.made))
    }

    async fn set(&mut self, account: &str, entry: &str) -> Result<(), String> {
        if !self.deaf {
            self.entries.insert(account.to_owned(), entry.to_owned());
        }
        Ok(())
    }

    async fn authenticates(&mut self, account: &str, password: &str) -> Result<bool, String> {
        Ok(self.entries.get(account).map(|entry| plain(entry)) == Some(password))
    }

    fn now(&self) -> Moment {
        Moment { boot: self.boots.to_string(), seconds: self.started.elapsed().as_secs() }
    }
}
