//! The accounts of this machine: `/etc/shadow`, changed by `chpasswd` alone.
//!
//! A password is proven in two ways: against the entry that stands in the file now, as `login`
//! does, and by `unix_chkpwd` where the machine has it, which is what PAM itself asks. Neither
//! goes through PAM's stack, so nothing that counts wrong logins there hears of it, and no account
//! is locked by a try.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _},
    path::PathBuf,
};

use sha_crypt::{PasswordHasher as _, PasswordVerifier as _, ShaCrypt};
use zeroize::Zeroizing;

use super::{
    Accounts, Home, HomeError, Moment,
    programs::{self, Answer},
};
use crate::host::Roots;

/// A machine with more accounts than fit has no agent like this one.
const LONGEST_SHADOW: u64 = 4 << 20;
/// Bytes of salt: sixteen characters, the most that a hash of this kind takes.
const SALT: usize = 12;

/// The accounts of this machine.
#[derive(Debug)]
pub struct ShadowAccounts {
    etc: PathBuf,
    proc: PathBuf,
    lock: File,
    /// Whether `lock` is this process's.
    locked: bool,
}

impl ShadowAccounts {
    /// The accounts of the machine below these roots. What the agent before this one has started
    /// may still be at work: while it is, nothing is changed.
    pub fn new(roots: &Roots, home: &Home) -> Result<Self, HomeError> {
        let Roots { etc, proc, .. } = roots.clone();
        Ok(Self { etc, proc, lock: home.lock()?, locked: false })
    }

    fn read(&self) -> io::Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(String::new());
        File::open(self.etc.join("shadow"))?.take(LONGEST_SHADOW).read_to_string(&mut text)?;
        Ok(text)
    }

    /// The kernel lets go of the lock once no process has it any more: this one, and the programs
    /// that it started.
    fn claim(&mut self) -> Result<(), String> {
        if !self.locked {
            self.locked = match self.lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => {
                    return Err("a change that the agent before this one began is still under way: try again in a minute".to_owned());
                }
                // A file system that cannot lock is no reason to leave a device without.
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, "cannot lock what is known of passwords; going on without");
                    true
                }
            };
        }
        Ok(())
    }
}

impl Accounts for ShadowAccounts {
    fn ready(&mut self) -> Result<(), String> {
        self.claim()
    }

    fn entry(&mut self, account: &str) -> Result<Option<String>, String> {
        let text = self.read().map_err(|error| {
            format!("cannot read {} on the device: {error}", self.etc.join("shadow").display())
        })?;
        Ok(entry_in(&text, account).map(str::to_owned))
    }

    fn entry_for(&mut self, password: &str) -> Result<String, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot make an entry: {error}");
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
        let entry = ShaCrypt::SHA512.hash_password_with_salt(password.as_bytes(), &salt);
        entry.map(|entry| entry.as_str().to_owned()).map_err(|error| failed(&error))
    }

    async fn set(&mut self, account: &str, entry: &str) -> Result<(), String> {
        let holding = self.lock.try_clone().map_err(|error| error.to_string())?;
        programs::set(account, entry, holding).await
    }

    async fn authenticates(&mut self, account: &str, password: &str) -> Result<bool, String> {
        let present = self.entry(account)?.unwrap_or_default();
        let by_entry = matches(password, &present);
        if by_entry == Some(false) {
            return Ok(false);
        }
        match (programs::check(account, password).await, by_entry) {
            (Answer::Yes, _) => Ok(true),
            (Answer::No, _) => Ok(false),
            (Answer::None, Some(matches)) => Ok(matches),
            (Answer::None, None) => Err(format!(
                "the device cannot check the password that `{account}` has now: it is stored in a way that needs unix_chkpwd, which is not there"
            )),
        }
    }

    fn now(&self) -> Moment {
        let read = |file: &str| fs::read_to_string(self.proc.join(file)).unwrap_or_default();
        Moment {
            boot: read("sys/kernel/random/boot_id").trim().to_owned(),
            seconds: seconds(&read("uptime")),
        }
    }
}

/// What stands between the first colon and the second on the account's line.
fn entry_in<'text>(text: &'text str, account: &str) -> Option<&'text str> {
    text.lines().find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        (name == account).then(|| rest.split(':').next().unwrap_or_default())
    })
}

/// Whether an entry is of this password; nothing where that cannot be told here.
fn matches(password: &str, entry: &str) -> Option<bool> {
    // No password, or one that never gets in.
    if entry.is_empty() || entry.starts_with(['!', '*']) {
        return Some(false);
    }
    if !entry.starts_with("$5$") && !entry.starts_with("$6$") {
        return None;
    }
    Some(ShaCrypt::default().verify_password(password.as_bytes(), entry).is_ok())
}

/// The first number of `/proc/uptime`, whole.
fn seconds(uptime: &str) -> u64 {
    uptime.split('.').next().and_then(|whole| whole.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_the_whole_name() {
        let shadow = "root:*:1::::::\nadmin2:$6$a$b:1::::::\nadmin:$6$c$d:1:0:99999:7:::\nbare\n";
        assert_eq!(entry_in(shadow, "admin"), Some("$6$c$d"));
        assert_eq!(entry_in(shadow, "root"), Some("*"));
        for none in ["adm", "admin3", "bare", ""] {
            assert_eq!(entry_in(shadow, none), None, "{none}");
        }
    }

    #[test]
    fn no_password_and_a_locked_one_get_nobody_in() {
        let entry = ShaCrypt::SHA512.hash_password_with_salt(b"right", &[7; SALT]).unwrap();
        let entry = entry.as_str();
        assert_eq!(matches("right", entry), Some(true));
        assert_eq!(matches("wrong", entry), Some(false));
        assert_eq!(matches("right", &format!("!{entry}")), Some(false));
        for never in ["", "*", "!", "!!", "$6$broken", "$6$$"] {
            assert_eq!(matches("", never), Some(false), "{never}");
        }
        for unknown in ["$y$j9T$salt$hash", "$1$salt$hash", "$2b$10$x", "aaDES"] {
            assert_eq!(matches("right", unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_uptime_is_read_to_the_second() {
        assert_eq!(seconds("4711.99 1234.5\n"), 4711);
        assert_eq!(seconds(""), 0);
    }
}
