//! Passwords: bcrypt over a peppered pre-hash, and nothing else.
//!
//! bcrypt reads 72 bytes and stops at a zero byte. So the password goes through HMAC-SHA-384 with
//! a pepper first, written as 64 base64url characters: every byte of every password counts. The
//! hash names its pepper, so that a lost pepper is told from a wrong password.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use thiserror::Error;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::seal::{Pepper, Peppers};

/// bcrypt's cost: 2^12 rounds.
const COST: u32 = 12;
/// Characters of a password that is the only factor (NIST SP 800-63B-4, section 3.1.1.2).
pub const MIN_CHARS: usize = 15;
/// Bytes of a password.
pub const MAX_BYTES: usize = 1024;
/// Passwords that are hashed or wait for it: eight seconds' worth on two cores.
const WAITING: usize = 64;
/// A hash of cost 12 that nobody knows a password of. Checked in place of an unknown name's, so
/// that both take the same time.
const DECOY: &str = "$2b$12$m7prWwjiAv.a/7Wl3rzwue2yqPgznLhDguIlWTXdpW/XBDDj5Queq";

/// Why a password is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Too short.
    #[error("the password has {0} characters; take at least {1}, a few words are fine")]
    TooShort(usize, usize),
    /// Too long.
    #[error("the password is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Guessed first.
    #[error("this password is one of the first that a guesser tries: {0}; take another one")]
    Common(&'static str),
    /// All hashers are busy.
    #[error("too many logins at this moment; try again in a few seconds")]
    Busy,
    /// The hash was made with a pepper that this machine does not have.
    #[error(
        "the password cannot be checked: its pepper is missing on this machine. Restore the file \
         \"peppers\" that belongs to this store"
    )]
    PepperMissing,
    /// bcrypt refused, or the stored hash is damaged.
    #[error("the password's hash is damaged; reset the password on the appliance's console")]
    Hash,
}

/// A stored password.
#[derive(Clone, Debug)]
pub(super) struct PasswordHash {
    pub(super) bcrypt: String,
    pub(super) pepper: String,
}

/// Hashes and checks passwords, a bounded number at a time.
#[derive(Clone)]
pub(super) struct Passwords {
    peppers: Peppers,
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new(peppers: Peppers) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            peppers,
            hashing: Arc::new(Semaphore::new(cores)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    pub(super) async fn hash(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        let pepper = self.peppers.newest().ok_or(PasswordError::PepperMissing)?;
        let id = pepper.id.clone();
        let prehash = prehash(pepper, password)?;
        let bcrypt = self.blocking(move || bcrypt::hash(prehash.as_str(), COST)).await?;
        Ok(PasswordHash { bcrypt, pepper: id })
    }

    /// Whether `password` is the one; without a hash, never, after the same time.
    pub(super) async fn check(
        &self,
        password: &str,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let (bcrypt, pepper) = match hash {
            Some(hash) => (hash.bcrypt.clone(), self.peppers.by_id(&hash.pepper)),
            None => (DECOY.to_owned(), self.peppers.newest()),
        };
        let prehash = prehash(pepper.ok_or(PasswordError::PepperMissing)?, password)?;
        let right = self.blocking(move || bcrypt::verify(prehash.as_str(), &bcrypt)).await?;
        Ok(right && hash.is_some())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let busy = |_| PasswordError::Busy;
        let place =
            Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let core = Arc::clone(&self.hashing).acquire_owned().await.map_err(busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // Held by the work and not by who waits for it: they may leave before it ends.
            let (_place, _core) = (place, core);
            work()
        });
        done.await.map_err(|_| PasswordError::Hash)?.map_err(|_| PasswordError::Hash)
    }
}

/// 64 characters that depend on every byte of the password. It is put into NFC first: two keyboards
/// may write the same letter differently.
fn prehash(pepper: &Pepper, password: &str) -> Result<Zeroizing<String>, PasswordError> {
    let password = normal(password);
    let mut mac = Hmac::<Sha384>::new_from_slice(pepper.key()).map_err(|_| PasswordError::Hash)?;
    mac.update(password.as_bytes());
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

fn normal(password: &str) -> Zeroizing<String> {
    let mut normal = Zeroizing::new(String::with_capacity(password.len() * 3));
    normal.extend(password.nfc());
    normal
}

/// Whether two texts are one password.
pub(super) fn same(one: &str, other: &str) -> bool {
    normal(one) == normal(other)
}

/// Checks a new password against the rules: its length, and whether a guesser tries it first.
pub(super) fn acceptable(
    password: &str,
    username: &str,
    minimum: usize,
) -> Result<(), PasswordError> {
    let password = normal(password);
    let chars = password.chars().count();
    if chars < minimum {
        return Err(PasswordError::TooShort(chars, minimum));
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    let folded = password.to_lowercase();
    let letters: Vec<char> = folded.chars().collect();
    if letters.windows(2).all(|pair| pair.first() == pair.last()) {
        return Err(PasswordError::Common("one character again and again"));
    }
    let username = username.to_lowercase();
    if !username.is_empty() && folded.replace(&username, "").chars().count() < 8 {
        return Err(PasswordError::Common("little more than the user name"));
    }
    let runs = [
        "123456789012345678901234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiopasdfghjklzxcvbnm",
    ];
    if runs.iter().any(|run| run.contains(folded.as_str())) {
        return Err(PasswordError::Common("a run of keys"));
    }
    let common = ["password", "passwort", "letmein", "administrator", "iloveyou", "welcome"];
    let bare: String = folded.chars().filter(|letter| letter.is_alphabetic()).collect();
    if common.iter().any(|word| bare.replace(word, "").is_empty() && !bare.is_empty()) {
        return Err(PasswordError::Common("a very common password"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Seal;

    fn passwords() -> (tempfile::TempDir, Passwords) {
        let data = tempfile::tempdir().unwrap();
        let seal = Seal::open(data.path()).unwrap();
        let passwords = Passwords::new(seal.peppers().clone());
        (data, passwords)
    }

    #[tokio::test]
    async fn l6_a_hash_is_bcrypt_with_cost_12_and_checks_its_password_alone() {
        let (_data, passwords) = passwords();
        let hash = passwords.hash("a mast in the meadow").await.unwrap();
        assert!(hash.bcrypt.starts_with("$2b$12$"), "{}", hash.bcrypt);
        assert!(passwords.check("a mast in the meadow", Some(&hash)).await.unwrap());
        assert!(!passwords.check("a mast in the meadow ", Some(&hash)).await.unwrap());
        assert!(!passwords.check("a mast in the meadow", None).await.unwrap());
    }

    #[tokio::test]
    async fn l6_passwords_that_differ_only_in_byte_73_differ() {
        let (_data, passwords) = passwords();
        let (one, two) = ("x".repeat(72) + "1", "x".repeat(72) + "2");
        let hash = passwords.hash(&one).await.unwrap();
        assert!(passwords.check(&one, Some(&hash)).await.unwrap());
        assert!(!passwords.check(&two, Some(&hash)).await.unwrap());
        let (nul, cut) = ("before\0after and more", "before\0other and more");
        let hash = passwords.hash(nul).await.unwrap();
        assert!(!passwords.check(cut, Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn l6_one_password_from_two_keyboards_is_one_password() {
        let (_data, passwords) = passwords();
        let (one, two) = ("caf\u{e9} on the hill", "cafe\u{301} on the hill");
        let hash = passwords.hash(one).await.unwrap();
        assert!(passwords.check(two, Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn l6_more_than_can_wait_is_refused_at_once() {
        let (_data, passwords) = passwords();
        let places = Arc::clone(&passwords.waiting);
        let all = u32::try_from(WAITING).unwrap();
        let _all = places.acquire_many_owned(all).await.unwrap();
        assert_eq!(passwords.check("any", None).await, Err(PasswordError::Busy));
    }

    #[test]
    fn the_decoy_costs_what_a_hash_costs() {
        let decoy: bcrypt::HashParts = DECOY.parse().unwrap();
        assert_eq!(decoy.get_cost(), COST);
    }

    #[tokio::test]
    async fn l6_a_missing_pepper_is_reported_and_not_taken_for_a_wrong_password() {
        let (_one, first) = passwords();
        let (_two, second) = passwords();
        let hash = first.hash("a mast in the meadow").await.unwrap();
        let checked = second.check("a mast in the meadow", Some(&hash)).await;
        assert_eq!(checked, Err(PasswordError::PepperMissing));
    }

    #[test]
    fn l6_short_common_and_named_passwords_are_refused_with_the_reason() {
        assert_eq!(acceptable("short", "olga", MIN_CHARS), Err(PasswordError::TooShort(5, 15)));
        assert_eq!(acceptable(&"x".repeat(1025), "", MIN_CHARS), Err(PasswordError::TooLong));
        for common in
            ["aaaaaaaaaaaaaaaaaaaa", "123456789012345", "Password12345678!", "olgaolgaolgaolga12"]
        {
            assert!(
                matches!(acceptable(common, "olga", MIN_CHARS), Err(PasswordError::Common(_))),
                "{common}"
            );
        }
        acceptable("a mast in the meadow", "olga", MIN_CHARS).unwrap();
        acceptable("пятнадцать букв", "olga", MIN_CHARS).unwrap();
    }
}
