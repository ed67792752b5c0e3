//! The setup code: who can read the appliance's data directory makes the first account.
//!
//! 100 bits in a file of mode 0600, there until the first account is. Five guesses a minute; after
//! twenty wrong ones a new code takes its place.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::seal::{self, SealError};

/// Crockford's base 32: no letter that reads like a digit.
const ALPHABET: [char; 32] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J',
    'K', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z',
];
/// Letters of a code, 5 bits each.
const LETTERS: usize = 20;
/// Letters in a group.
const GROUP: usize = 5;
/// Guesses a minute.
const GUESSES: u32 = 5;
const MINUTE: Duration = Duration::from_mins(1);
/// Wrong guesses before a new code.
const WRONG: u32 = 20;

/// Why a code was not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum CodeError {
    #[error("wrong code")]
    Wrong,
    #[error("too many guesses")]
    TooMany(Duration),
}

/// The code and how often it was guessed.
pub(super) struct SetupCode {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    code: Zeroizing<String>,
    minute: Instant,
    guesses: u32,
    wrong: u32,
}

impl SetupCode {
    /// Reads the code of this appliance, or makes one.
    pub(super) fn open(data_dir: &Path) -> Result<Self, SealError> {
        let path = data_dir.join("setup-code");
        let code = match fs::read_to_string(&path) {
            Ok(text) if bare(&text).len() == LETTERS => Zeroizing::new(text.trim().to_owned()),
            _ => make(&path)?,
        };
        let state = State { code, minute: Instant::now(), guesses: 0, wrong: 0 };
        Ok(Self { path, state: Mutex::new(state) })
    }

    /// Takes the file away: there is an account.
    pub(super) fn remove(data_dir: &Path) {
        let path = data_dir.join("setup-code");
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %path.display(), "the setup code could not be removed");
        }
    }

    /// As it is now.
    pub(super) fn code(&self) -> Zeroizing<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).code.clone()
    }

    /// Checks a guess. Spaces, dashes and case do not matter, and O, I and L read as digits.
    pub(super) fn check(&self, guess: &str) -> Result<(), CodeError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = state.minute.elapsed();
        if passed >= MINUTE {
            state.minute = Instant::now();
            state.guesses = 0;
        }
        if state.guesses >= GUESSES {
            return Err(CodeError::TooMany(MINUTE.saturating_sub(passed)));
        }
        let guess = Zeroizing::new(bare(guess));
        let code = Zeroizing::new(bare(&state.code));
        if guess.as_bytes().ct_eq(code.as_bytes()).into() {
            return Ok(());
        }
        state.guesses += 1;
        state.wrong += 1;
        if state.wrong >= WRONG {
            match make(&self.path) {
                Ok(code) => {
                    tracing::warn!("after {WRONG} wrong guesses there is a new setup code");
                    state.code = code;
                    state.wrong = 0;
                }
                Err(error) => tracing::error!(%error, "no new setup code could be made"),
            }
        }
        Err(CodeError::Wrong)
    }
}

fn make(path: &Path) -> Result<Zeroizing<String>, SealError> {
    let code = new_code()?;
    seal::write_private(path, format!("{}\n", code.as_str()).as_bytes())?;
    Ok(code)
}

/// A code of 100 bits that nobody has had before, in four groups.
pub fn new_code() -> Result<Zeroizing<String>, SealError> {
    let mut code = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / GROUP));
    for (index, byte) in seal::random::<LETTERS>()?.into_iter().enumerate() {
        if index > 0 && index % GROUP == 0 {
            code.push('-');
        }
        // 32 divides 256, so every letter is as likely.
        code.extend(ALPHABET.get(usize::from(byte % 32)));
    }
    Ok(code)
}

/// A code without what people add, at most as long as one can be.
fn bare(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(LETTERS + 1)
        .map(|letter| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test(start_paused = true)]
    async fn l1_the_code_is_private_long_and_forgiving_to_read() {
        let data = tempfile::tempdir().unwrap();
        let code = SetupCode::open(data.path()).unwrap();
        let path = data.path().join("setup-code");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(text.trim().len(), 23);
        code.check(&text).unwrap();
        code.check(&text.to_lowercase().replace('-', " ").replace('1', "l")).unwrap();
        SetupCode::open(data.path()).unwrap().check(&text).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn five_guesses_a_minute_and_a_new_code_after_twenty() {
        let data = tempfile::tempdir().unwrap();
        let code = SetupCode::open(data.path()).unwrap();
        let path = data.path().join("setup-code");
        let first = fs::read_to_string(&path).unwrap();
        for _ in 0..4 {
            for _ in 0..5 {
                assert_eq!(code.check("00000"), Err(CodeError::Wrong));
            }
            assert!(matches!(code.check(&first), Err(CodeError::TooMany(_))));
            tokio::time::advance(MINUTE).await;
        }
        let second = fs::read_to_string(&path).unwrap();
        assert_ne!(first, second);
        assert_eq!(code.check(&first), Err(CodeError::Wrong));
        code.check(&second).unwrap();
    }
}
