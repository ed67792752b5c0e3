//! What proves a person to the vault itself, and not to the daemon: a PIN, an authenticator app.

use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use totp_rs::Builder;
use zeroize::Zeroizing;

use super::keeper::{Inner, Keeper};
use super::state::{PinRecord, TotpRecord};
use super::time::Moment;
use super::tries::Guessed;
use crate::vault::SecretText;
use crate::vault::protocol::{Enrolment, Key, Pass, Proof, ProofKind, Refusal, TotpSecret};

/// How long a pass is good for, in milliseconds, and how many there are at a time.
const PASS_LIFE: i64 = 5 * 60 * 1_000;
const PASSES: usize = 64;
/// Characters of a PIN.
const PIN: std::ops::RangeInclusive<usize> = 6..=64;
/// Bytes of an app's secret (RFC 4226, section 4: 20 are advised).
const SECRET_BYTES: usize = 20;

/// What is known in memory alone.
#[derive(Default)]
pub(super) struct Proofs {
    /// Hashes of passes, each until a time.
    passes: Vec<([u8; 32], i64)>,
    /// The secret of an app that no code has confirmed.
    unconfirmed: Option<Zeroizing<Vec<u8>>>,
}

impl Inner {
    /// Where something is enrolled, only a pass goes on.
    pub(super) fn require_pass(&self, pass: Option<&Pass>, now: Moment) -> Result<(), Refusal> {
        if self.made()?.proofs().is_empty() {
            return Ok(());
        }
        let hash: Option<[u8; 32]> = pass.map(|pass| Sha256::digest(pass.0.expose()).into());
        let good = |(known, until): &([u8; 32], i64)| *until > now.lived && Some(*known) == hash;
        if self.proofs.passes.iter().any(good) { Ok(()) } else { Err(Refusal::ProofDue) }
    }

    fn new_pass(&mut self, now: Moment) -> Result<Pass, Refusal> {
        let pass = SecretText::new(hex(random::<32>()?.as_slice()));
        let passes = &mut self.proofs.passes;
        passes.retain(|(_, until)| *until > now.lived);
        if passes.len() >= PASSES {
            passes.remove(0);
        }
        passes.push((Sha256::digest(pass.expose()).into(), now.lived.saturating_add(PASS_LIFE)));
        Ok(Pass(pass))
    }
}

impl Keeper {
    pub(super) fn enrol(
        &self,
        key: &Key,
        enrolment: Enrolment,
    ) -> Result<Option<TotpSecret>, Refusal> {
        if let Enrolment::Pin(pin) = &enrolment
            && !PIN.contains(&pin.expose().chars().count())
        {
            return Err(Refusal::Form("a PIN has 6 to 64 characters".to_owned()));
        }
        self.unlock(key)?;
        let now = self.now();
        match enrolment {
            Enrolment::Pin(pin) => {
                let pin = PinRecord::new(&pin)?;
                let entry = ("enrolled", "a PIN".to_owned());
                self.lock().change(now, entry, |state| state.pin = Some(pin))?;
                Ok(None)
            }
            Enrolment::Totp { name } => {
                let (secret, told) = new_app(&name)?;
                self.lock().proofs.unconfirmed = Some(secret);
                Ok(Some(told))
            }
            Enrolment::TotpCode(code) => {
                let mut inner = self.lock();
                let told = "begin the enrolment of the authenticator app anew";
                let none = || Refusal::Form(told.to_owned());
                let secret = inner.proofs.unconfirmed.clone().ok_or_else(none)?;
                inner.begin_try(now, Guessed::Totp)?;
                let step = step_of(&secret, &code, now)?.ok_or_else(|| wrong_code(now))?;
                inner.right(now, Guessed::Totp)?;
                let totp = TotpRecord { secret: secret.to_vec(), last_step: step };
                let entry = ("enrolled", "an authenticator app".to_owned());
                inner.change(now, entry, |state| state.totp = Some(totp))?;
                inner.proofs.unconfirmed = None;
                Ok(None)
            }
        }
    }

    pub(super) fn unenrol(&self, key: &Key, kind: ProofKind) -> Result<(), Refusal> {
        self.unlock(key)?;
        let what = match kind {
            ProofKind::Pin => "a PIN",
            ProofKind::Totp => "an authenticator app",
        };
        let now = self.now();
        let mut inner = self.lock();
        inner.proofs = Proofs::default();
        inner.change(now, ("unenrolled", what.to_owned()), |state| match kind {
            ProofKind::Pin => state.pin = None,
            ProofKind::Totp => state.totp = None,
        })
    }

    pub(super) fn prove(&self, proof: &Proof) -> Result<Pass, Refusal> {
        match proof {
            Proof::Pin(pin) => self.prove_pin(pin),
            Proof::Totp(code) => self.prove_totp(code),
        }
    }

    fn prove_pin(&self, pin: &SecretText) -> Result<Pass, Refusal> {
        let none = || Refusal::ProofWrong("no PIN is enrolled with the vault".to_owned());
        let record = self.lock().made()?.pin.clone().ok_or_else(none)?;
        self.lock().begin_try(self.now(), Guessed::Pin)?;
        let right = PIN.contains(&pin.expose().chars().count()) && record.is(pin)?;
        let now = self.now();
        let mut inner = self.lock();
        if right {
            inner.right(now, Guessed::Pin)?;
            inner.note(now, &[("proven", "by the PIN".to_owned())])?;
            return inner.new_pass(now);
        }
        inner.note(now, &[("wrong-pin", String::new())])?;
        let left = inner.counter.tries(Guessed::Pin).left(Guessed::Pin);
        Err(Refusal::ProofWrong(match left {
            0 => "the PIN is wrong; the next try has to wait".to_owned(),
            left => format!("the PIN is wrong; {left} more tries, then each has to wait"),
        }))
    }

    fn prove_totp(&self, code: &SecretText) -> Result<Pass, Refusal> {
        let none = || Refusal::ProofWrong("no app is enrolled with the vault".to_owned());
        let now = self.now();
        let mut inner = self.lock();
        let record = inner.made()?.totp.clone().ok_or_else(none)?;
        inner.begin_try(now, Guessed::Totp)?;
        // Each code once, also where the clock was set back.
        let step = step_of(&record.secret, code, now)?.filter(|step| *step > record.last_step);
        let Some(step) = step else {
            inner.note(now, &[("wrong-code", String::new())])?;
            return Err(wrong_code(now));
        };
        inner.right(now, Guessed::Totp)?;
        inner.change(now, ("proven", "by a code".to_owned()), |state| {
            if let Some(totp) = &mut state.totp {
                totp.last_step = step;
            }
        })?;
        inner.new_pass(now)
    }
}

impl PinRecord {
    fn new(pin: &SecretText) -> Result<Self, Refusal> {
        let salt = *random::<16>()?;
        Ok(Self { salt, hash: *hashed(pin, &salt)? })
    }

    fn is(&self, pin: &SecretText) -> Result<bool, Refusal> {
        Ok(hashed(pin, &self.salt)?.ct_eq(&self.hash).into())
    }
}

/// Argon2id, 19 MiB and 2 passes (OWASP's advice for passwords of people).
fn hashed(pin: &SecretText, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, Refusal> {
    let failed = |_| Refusal::Failed("there is not enough memory to hash a PIN".to_owned());
    let params = Params::new(19 * 1_024, 2, 1, Some(32)).map_err(failed)?;
    let mut hash = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(pin.expose().as_bytes(), salt, hash.as_mut_slice())
        .map_err(failed)?;
    Ok(hash)
}

/// A secret for an app, and what the app reads of it.
fn new_app(name: &str) -> Result<(Zeroizing<Vec<u8>>, TotpSecret), Refusal> {
    let secret = Zeroizing::new(random::<SECRET_BYTES>()?.to_vec());
    // A colon would end the issuer's name.
    let plain: String =
        name.chars().filter(|letter| !letter.is_control() && *letter != ':').take(64).collect();
    let app = app(&secret).with_issuer(Some("Aerie vault")).with_account_name(plain);
    let app = app.build().map_err(|_| Refusal::Form("this name does not do".to_owned()))?;
    let url = app.to_url().map_err(|_| Refusal::Form("this name does not do".to_owned()))?;
    let key = SecretText::new(app.secret().to_base32());
    Ok((secret, TotpSecret { key, url: SecretText::new(url) }))
}

/// Codes of six digits, thirty seconds each, one early or late is taken (RFC 6238, SHA-1).
fn app(secret: &[u8]) -> Builder {
    Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        .with_skew(1)
        .with_secret(secret.to_vec())
}

fn step_of(secret: &[u8], code: &SecretText, now: Moment) -> Result<Option<u64>, Refusal> {
    let bare = code.expose().chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    let bare = Zeroizing::new(bare.take(7).collect::<String>());
    if bare.len() != 6 || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let app = app(secret).build();
    let app = app.map_err(|_| Refusal::Failed("the app's secret is damaged".to_owned()))?;
    Ok(app.check(&bare, u64::try_from(now.wall / 1_000).unwrap_or_default()))
}

fn wrong_code(now: Moment) -> Refusal {
    let clock = jiff::Timestamp::from_millisecond(now.wall).unwrap_or_default();
    let clock = clock.strftime("%H:%M:%S");
    Refusal::ProofWrong(format!(
        "the code is wrong or was used already; wait for the next one, and compare the clocks (here \
         it is {clock} UTC)"
    ))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Refusal> {
    let mut bytes = Zeroizing::new([0; N]);
    let none = |_| Refusal::Failed("the system gives no random numbers".to_owned());
    getrandom::fill(bytes.as_mut_slice()).map_err(none)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(half.into(), 16));
        }
    }
    text
}
