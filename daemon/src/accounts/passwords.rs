//! Passwords: bcrypt over a peppered pre-hash, and nothing else, but for one moment: an account that
//! a provisioning file brought has plain bcrypt until its first login.
//!
//! bcrypt reads 72 bytes and stops at a zero byte. So the password goes through HMAC-SHA-384 with
//! a pepper first, written as 64 base64url characters: every byte of every password counts. The
//! hash names its pepper, so that a lost pepper is told from a wrong password.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bcrypt::{BcryptError, HashParts};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::guessed;
use super::hashing::Hashers;
use crate::network::SourceNetwork;
use crate::seal::{Pepper, Peppers};

/// bcrypt's cost unless the boot file says another: 2^12 rounds.
const COST: u32 = 12;
/// Characters of a password that is the only factor (NIST SP 800-63B-4, section 3.1.1.2).
pub const MIN_CHARS: usize = 15;
/// Characters of a password that has a second factor beside it (the same).
pub const MIN_CHARS_OF_TWO: usize = 8;
/// Bytes of a password.
pub const MAX_BYTES: usize = 1024;
/// Bytes of a password that plain bcrypt reads.
const PLAIN_BYTES: usize = 72;
/// Stands in a pepper's place where a hash was made without any, by another program: no pepper has
/// such a name.
const PLAIN: &str = "plain";
/// How a hash of another program has to begin: bcrypt without the faults of its first forms.
const PLAIN_FORMS: [&str; 2] = ["$2b$", "$2y$"];
/// The dearest hash of another program: each check of any password takes as long.
const DEAREST: u32 = 16;
/// The end of a hash that nobody knows a password of. Checked in place of an unknown name's, so
/// that both take the same time.
const DECOY: &str = "m7prWwjiAv.a/7Wl3rzwue2yqPgznLhDguIlWTXdpW/XBDDj5Queq";

/// Why a password is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Too short.
    #[error("the password has {0} characters; take at least {1}, a few words are fine")]
    TooShort(usize, usize),
    /// Too long.
    #[error("the password is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Longer than what plain bcrypt reads.
    #[error(
        "the password has more than {PLAIN_BYTES} bytes, and the hash in a provisioning file tells \
         no more of one; take a shorter one"
    )]
    TooLongForPlain,
    /// A hash of another program that is not taken.
    #[error(
        "it is no bcrypt hash of the form $2b$ or $2y$ with a cost of {0} to {DEAREST}; \
         `aerie hash-password` makes one"
    )]
    PlainForm(u32),
    /// What not every keyboard can type.
    #[error("the password has a control character; take letters, digits, signs and spaces")]
    Control,
    /// Guessed first.
    #[error("this password is one of the first that a guesser tries: {0}; take another one")]
    Common(&'static str),
    /// All hashers are busy.
    #[error("too many logins at this moment; try again in a few seconds")]
    Busy,
    /// The system gives no thread.
    #[error("the system gives no thread to hash passwords on")]
    NoThread,
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

impl PasswordHash {
    /// A hash that another program made without a pepper, of at least this cost.
    pub(super) fn plain(bcrypt: &str, least: u32) -> Result<Self, PasswordError> {
        let form = PLAIN_FORMS.iter().any(|form| bcrypt.starts_with(form));
        let cost = cost_of(bcrypt).filter(|cost| form && (least..=DEAREST).contains(cost));
        cost.ok_or(PasswordError::PlainForm(least))?;
        Ok(Self { bcrypt: bcrypt.to_owned(), pepper: PLAIN.to_owned() })
    }

    /// Whether it was made without a pepper.
    pub(super) fn is_plain(&self) -> bool {
        self.pepper == PLAIN
    }
}

/// Hashes a password as other programs do, for a provisioning file. Blocks.
pub(super) fn hash_plain(password: &str, cost: u32) -> Result<String, PasswordError> {
    acceptable(password, "", MIN_CHARS)?;
    let password = normal(password);
    if password.len() > PLAIN_BYTES {
        return Err(PasswordError::TooLongForPlain);
    }
    bcrypt::hash(password.as_bytes(), cost).map_err(|_| PasswordError::Hash)
}

/// Who asks for a hash: whose turn it is goes by that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// Where from. None: the room itself, for somebody whom it has let in.
    pub(super) network: Option<SourceNetwork>,
    /// The account has logged in from there before.
    pub(super) at_home: bool,
}

/// For somebody who has proven a password, or the set-up code, and so had a turn already.
const LET_IN: Asker = Asker { network: None, at_home: true };

/// Hashes and checks passwords, in a fair queue.
#[derive(Clone)]
pub(super) struct Passwords {
    peppers: Peppers,
    hashers: Hashers,
    cost: Arc<AtomicU32>,
    /// The dearest cost of any hash that was seen.
    dearest: Arc<AtomicU32>,
}

impl Passwords {
    pub(super) fn start(peppers: Peppers) -> Result<Self, PasswordError> {
        Ok(Self {
            peppers,
            hashers: Hashers::start()?,
            cost: Arc::new(AtomicU32::new(COST)),
            dearest: Arc::default(),
        })
    }

    /// The cost of hashes from now on.
    pub(super) fn set_cost(&self, cost: u32) {
        self.cost.store(cost, Ordering::Release);
    }

    /// A hash that stands in the store: every check takes as long as the dearest.
    pub(super) fn has_seen(&self, bcrypt: &str) {
        self.dearest.fetch_max(cost_of(bcrypt).unwrap_or(0), Ordering::AcqRel);
    }

    fn cost(&self) -> u32 {
        self.cost.load(Ordering::Acquire)
    }

    /// Hashes a new password, for somebody who has been let in.
    pub(super) async fn hash(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        let pepper = self.peppers.newest().ok_or(PasswordError::PepperMissing)?;
        let (id, cost) = (pepper.id.clone(), self.cost());
        let prehash = prehash(pepper, password)?;
        let work = move || bcrypt::hash(prehash.as_str(), cost);
        let hashed = self.hashers.run(LET_IN, work).await?;
        Ok(PasswordHash { bcrypt: hashed.map_err(|_| PasswordError::Hash)?, pepper: id })
    }

    /// Whether `password` is the one; without a hash, never, after the same time.
    pub(super) async fn check(
        &self,
        password: &str,
        hash: Option<&PasswordHash>,
        asker: Asker,
    ) -> Result<bool, PasswordError> {
        let level = self.cost().max(self.dearest.load(Ordering::Acquire));
        let plain = hash.is_some_and(PasswordHash::is_plain);
        let (bcrypt, pepper) = match hash {
            Some(hash) if !plain => (hash.bcrypt.clone(), self.peppers.by_id(&hash.pepper)),
            Some(hash) => (hash.bcrypt.clone(), self.peppers.newest()),
            None => (decoy(level), self.peppers.newest()),
        };
        // Made for a plain hash too, so that it takes as long.
        let mut hashed = prehash(pepper.ok_or(PasswordError::PepperMissing)?, password)?;
        let mut whole = true;
        if plain {
            hashed = normal(password);
            whole = hashed.len() <= PLAIN_BYTES;
        }
        let work = move || verify(&hashed, &bcrypt, level);
        let right = self.hashers.run(asker, work).await?.map_err(|_| PasswordError::Hash)?;
        Ok(right && whole && hash.is_some())
    }

    /// Whether a hash is cheaper than hashes made now, or has an older pepper, or none.
    pub(super) fn is_outdated(&self, hash: &PasswordHash) -> bool {
        let cheaper = cost_of(&hash.bcrypt).is_some_and(|cost| cost < self.cost());
        cheaper || self.peppers.newest().is_some_and(|newest| newest.id != hash.pepper)
    }
}

fn cost_of(bcrypt: &str) -> Option<u32> {
    Some(bcrypt.parse::<HashParts>().ok()?.get_cost())
}

fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}${DECOY}")
}

/// A cheaper hash than the `level` takes as long: each step up the ladder costs what all the steps
/// below it do, and once more.
fn verify(hashed: &str, bcrypt: &str, level: u32) -> Result<bool, BcryptError> {
    let right = bcrypt::verify(hashed, bcrypt)?;
    let cost = cost_of(bcrypt).unwrap_or(level);
    for step in cost..level {
        bcrypt::verify(hashed, &decoy(step))?;
    }
    Ok(right)
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

/// Checks a new password against the rules of NIST SP 800-63B-4: its length, and whether a guesser
/// tries it first. `names` are words that go with the account, with spaces between them. The
/// `minimum` is [`MIN_CHARS`], or [`MIN_CHARS_OF_TWO`].
pub(super) fn acceptable(password: &str, names: &str, minimum: usize) -> Result<(), PasswordError> {
    let password = normal(password);
    let chars = password.chars().count();
    if chars < minimum {
        return Err(PasswordError::TooShort(chars, minimum));
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    if password.chars().any(char::is_control) {
        return Err(PasswordError::Control);
    }
    match guessed::first_reason(&password, names, minimum) {
        Some(reason) => Err(PasswordError::Common(reason)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Seal;

    fn passwords() -> (tempfile::TempDir, Passwords) {
        let data = tempfile::tempdir().unwrap();
        let seal = Seal::open(data.path()).unwrap();
        let passwords = Passwords::start(seal.peppers().clone()).unwrap();
        passwords.set_cost(4);
        (data, passwords)
    }

    const ASKER: Asker = Asker { network: Some(SourceNetwork::V4([198, 51, 100])), at_home: false };

    #[tokio::test]
    async fn l6_a_hash_is_bcrypt_with_cost_12_and_checks_its_password_alone() {
        let (_data, passwords) = passwords();
        passwords.set_cost(COST);
        let hash = passwords.hash("a mast in the meadow").await.unwrap();
        assert!(hash.bcrypt.starts_with("$2b$12$"), "{}", hash.bcrypt);
        assert!(passwords.check("a mast in the meadow", Some(&hash), ASKER).await.unwrap());
        assert!(!passwords.check("a mast in the meadow ", Some(&hash), ASKER).await.unwrap());
        assert!(!passwords.check("a mast in the meadow", None, ASKER).await.unwrap());
    }

    #[tokio::test]
    async fn l6_passwords_that_differ_only_in_byte_73_differ() {
        let (_data, passwords) = passwords();
        let (one, two) = ("x".repeat(72) + "1", "x".repeat(72) + "2");
        let hash = passwords.hash(&one).await.unwrap();
        assert!(passwords.check(&one, Some(&hash), ASKER).await.unwrap());
        assert!(!passwords.check(&two, Some(&hash), ASKER).await.unwrap());
        let (nul, cut) = ("before\0after and more", "before\0other and more");
        let hash = passwords.hash(nul).await.unwrap();
        assert!(!passwords.check(cut, Some(&hash), ASKER).await.unwrap());
    }

    #[tokio::test]
    async fn l6_one_password_from_two_keyboards_is_one_password() {
        let (_data, passwords) = passwords();
        let (one, two) = ("caf\u{e9} on the hill", "cafe\u{301} on the hill");
        let hash = passwords.hash(one).await.unwrap();
        assert!(passwords.check(two, Some(&hash), ASKER).await.unwrap());
    }

    #[test]
    fn l3_the_decoy_costs_what_a_hash_costs() {
        for cost in [4, COST, 14] {
            assert_eq!(cost_of(&decoy(cost)), Some(cost));
        }
        assert!(!bcrypt::verify("any", &decoy(4)).unwrap());
    }

    #[tokio::test]
    async fn l6_a_hash_is_outdated_by_a_higher_cost_and_not_by_a_lower_one() {
        let (_data, passwords) = passwords();
        let hash = passwords.hash("a mast in the meadow").await.unwrap();
        assert!(!passwords.is_outdated(&hash));
        passwords.set_cost(5);
        assert!(passwords.is_outdated(&hash));
        assert!(passwords.check("a mast in the meadow", Some(&hash), ASKER).await.unwrap());
        let hash = passwords.hash("a mast in the meadow").await.unwrap();
        passwords.set_cost(4);
        assert!(!passwords.is_outdated(&hash));
        let other_pepper = PasswordHash { pepper: "another".to_owned(), ..hash };
        assert!(passwords.is_outdated(&other_pepper));
    }

    #[tokio::test]
    async fn l6_a_missing_pepper_is_reported_and_not_taken_for_a_wrong_password() {
        let (_one, first) = passwords();
        let (_two, second) = passwords();
        let hash = first.hash("a mast in the meadow").await.unwrap();
        let checked = second.check("a mast in the meadow", Some(&hash), ASKER).await;
        assert_eq!(checked, Err(PasswordError::PepperMissing));
    }

    /// As libxcrypt makes them, and Debian's mkpasswd and Apache's htpasswd with it.
    const OF_OTHER_PROGRAMS: [(&str, &str); 3] = [
        (
            "seven herons over Lake Orta",
            "$2b$06$L6Bc/AlTQHyd9liGgGEZyOIM0JdtYwTi92/w6zeAx7Vlf2VJ7varm",
        ),
        (
            "seven herons over Lake Orta",
            "$2y$06$L6Bc/AlTQHyd9liGgGEZyOIM0JdtYwTi92/w6zeAx7Vlf2VJ7varm",
        ),
        (
            "caf\u{e9} on the hill, and more",
            "$2b$05$L6Bc/AlTQHyd9liGgGEZyOPEoG.X7jE0nCUbfJViJ0CXTizW0WYLG",
        ),
    ];

    #[tokio::test]
    async fn l6_a_plain_hash_checks_its_password_alone_and_is_outdated() {
        let (_data, passwords) = passwords();
        for (password, bcrypt) in OF_OTHER_PROGRAMS {
            let hash = PasswordHash::plain(bcrypt, 5).unwrap();
            assert!(hash.is_plain() && passwords.is_outdated(&hash));
            assert!(passwords.check(password, Some(&hash), ASKER).await.unwrap());
            let other_keyboard = password.replace('\u{e9}', "e\u{301}");
            assert!(passwords.check(&other_keyboard, Some(&hash), ASKER).await.unwrap());
            for wrong in [format!("{password} "), bcrypt.to_owned(), String::new()] {
                assert!(!passwords.check(&wrong, Some(&hash), ASKER).await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn l6_what_plain_bcrypt_does_not_read_is_never_right() {
        let (_data, passwords) = passwords();
        let all = "mast, meadow, ".repeat(5) + "xy";
        assert_eq!(all.len(), PLAIN_BYTES);
        let hash = PasswordHash::plain(&hash_plain(&all, 5).unwrap(), 5).unwrap();
        assert!(passwords.check(&all, Some(&hash), ASKER).await.unwrap());
        let longer = all.clone() + "z";
        assert!(!passwords.check(&longer, Some(&hash), ASKER).await.unwrap());
        assert_eq!(hash_plain(&longer, 5), Err(PasswordError::TooLongForPlain));
        assert!(matches!(hash_plain("short", 5), Err(PasswordError::TooShort(5, 15))));
    }

    #[test]
    fn l6_a_plain_hash_that_is_cheap_old_or_endless_is_refused() {
        let good = hash_plain("a mast in the meadow", 5).unwrap();
        for bad in [
            good.replacen("$2b$", "$2a$", 1),
            good.replacen("$2b$", "$2x$", 1),
            good.replacen("$05$", "$04$", 1),
            good.replacen("$05$", "$17$", 1),
            good.replacen("$05$", "$31$", 1),
            good[..59].to_owned(),
            good.clone() + "x",
            format!("{}!", &good[..59]),
            String::new(),
            "a mast in the meadow".to_owned(),
        ] {
            assert_eq!(PasswordHash::plain(&bad, 5).err(), Some(PasswordError::PlainForm(5)));
        }
    }

    #[test]
    fn l6_short_common_and_own_passwords_are_refused_with_the_reason() {
        let judged = |password: &str| acceptable(password, "olga net.example.org", MIN_CHARS);
        assert_eq!(judged("short"), Err(PasswordError::TooShort(5, 15)));
        assert_eq!(judged(&"x".repeat(1025)), Err(PasswordError::TooLong));
        assert_eq!(judged("a mast in\0 the meadow"), Err(PasswordError::Control));
        for common in ["aaaaaaaaaaaaaaaaaaaa", "Password12345678!", "olgaolgaolgaolga12"] {
            assert!(matches!(judged(common), Err(PasswordError::Common(_))), "{common}");
        }
        for good in ["a mast in the meadow", "пятнадцать букв", &"mast, meadow, ".repeat(73)]
        {
            assert_eq!(judged(good), Ok(()), "{good}");
        }
        assert_eq!(acceptable("kvx7 grau", "", MIN_CHARS_OF_TWO), Ok(()));
    }
}
