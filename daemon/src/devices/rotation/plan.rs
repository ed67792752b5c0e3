//! What a rotation is to do, and what its items remember.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::RotationError;
use crate::vault::protocol::{Alphabet, Form};

/// The kind's name, in the store and the API.
pub(super) const KIND: &str = "rotation";
/// Accounts of a device in one job.
const ACCOUNTS: usize = 16;
/// Bytes of an account's name.
const ACCOUNT_BYTES: usize = 64;
/// Characters of a new password.
const LENGTH: std::ops::RangeInclusive<u8> = 12..=128;
/// Devices at once.
const PARALLEL: std::ops::RangeInclusive<u32> = 1..=64;
/// Failures in a row.
const FAILURES: std::ops::RangeInclusive<u32> = 1..=1_000;
/// A maintenance window is shorter than a day.
const WINDOW_MINUTES: std::ops::RangeInclusive<u32> = 1..=1_439;

/// Which devices get new passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// These.
    Devices(Vec<Uuid>),
    /// All of a site.
    Site(Uuid),
    /// All that were let in.
    All,
}

/// A rotation as somebody wants it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// On which devices.
    pub targets: Targets,
    /// Of which accounts; none: of all that each device allows.
    pub accounts: Vec<String>,
    /// What the new passwords look like.
    pub form: Form,
    /// When it may begin; at once where not set.
    pub start_at: Option<Timestamp>,
    /// For how long each day from then.
    pub window_minutes: Option<u32>,
    /// Devices at once.
    pub parallel: u32,
    /// After how many failures in a row it stops.
    pub stop_after: u32,
}

impl Wanted {
    /// Says what is wrong, if something is.
    pub(super) fn check(&self) -> Result<(), RotationError> {
        let wrong = |message: &str| Err(RotationError::Form(message.to_owned()));
        if self.accounts.len() > ACCOUNTS || !self.accounts.iter().all(|name| is_account(name)) {
            return wrong(
                "the accounts must be 1 to 16 names of at most 64 letters, digits, dots, hyphens \
                 and underscores",
            );
        }
        if !LENGTH.contains(&self.form.length) {
            return wrong("the length must be 12 to 128 characters");
        }
        if !PARALLEL.contains(&self.parallel) {
            return wrong("the number of devices at once must be 1 to 64");
        }
        if !FAILURES.contains(&self.stop_after) {
            return wrong("the number of failures in a row must be 1 to 1000");
        }
        match (self.start_at, self.window_minutes) {
            (_, Some(minutes)) if !WINDOW_MINUTES.contains(&minutes) => {
                wrong("the window must be 1 to 1439 minutes long")
            }
            (None, Some(_)) => wrong("a window needs the time at which it opens: startAt"),
            _ => Ok(()),
        }
    }
}

/// Names as `useradd` takes them, and no others: they go into commands on the device.
fn is_account(name: &str) -> bool {
    let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | '_');
    !name.is_empty()
        && name.len() <= ACCOUNT_BYTES
        && name.chars().all(plain)
        && !name.starts_with(['-', '.'])
}

/// What a job's record keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The accounts.
    pub accounts: Vec<String>,
    /// What the new passwords look like.
    pub form: Form,
}

impl Plan {
    /// A plan as it is stored. One of another release is as plain as can be.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            accounts: Vec::new(),
            form: Form { length: 20, alphabet: Alphabet::Readable },
        })
    }

    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What an item remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The credential that the account's passwords belong to.
    pub(super) credential: Uuid,
}

impl Memory {
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn write(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            targets: Targets::All,
            accounts: vec!["admin".to_owned()],
            form: Form { length: 20, alphabet: Alphabet::Readable },
            start_at: None,
            window_minutes: None,
            parallel: 8,
            stop_after: 5,
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_bound() {
        wanted().check().unwrap();
        let refused = |wanted: Wanted| wanted.check().unwrap_err().to_string();
        for name in ["", "two words", "a\nb", "-rf", "a:b", &"x".repeat(65)] {
            let accounts = vec![name.to_owned()];
            assert!(refused(Wanted { accounts, ..wanted() }).contains("1 to 16 names"), "{name:?}");
        }
        let form = |length| Form { length, alphabet: Alphabet::Readable };
        assert!(refused(Wanted { form: form(11), ..wanted() }).contains("12 to 128"));
        assert!(refused(Wanted { form: form(129), ..wanted() }).contains("12 to 128"));
        assert!(refused(Wanted { parallel: 0, ..wanted() }).contains("1 to 64"));
        assert!(refused(Wanted { stop_after: 1_001, ..wanted() }).contains("1 to 1000"));
        let window =
            |start_at, minutes| Wanted { start_at, window_minutes: Some(minutes), ..wanted() };
        assert!(refused(window(None, 60)).contains("startAt"));
        assert!(refused(window(Some(Timestamp::UNIX_EPOCH), 1_440)).contains("1439"));
    }

    #[test]
    fn plans_and_memories_come_back_as_they_were_stored() {
        let plan = Plan {
            accounts: vec!["root".to_owned()],
            form: Form { length: 99, alphabet: Alphabet::WithSigns },
        };
        assert_eq!(Plan::read(&plan.write()), plan);
        let memory = Memory { credential: Uuid::new_v4() };
        assert_eq!(Memory::read(&memory.write()), Some(memory));
        assert_eq!((Memory::read(""), Plan::read("").form.length), (None, 20));
    }
}
