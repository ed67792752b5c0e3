//! Codes from an app: RFC 6238 with SHA-1, six digits, and steps of thirty seconds. One step early
//! or late is taken, and each step once.

use jiff::Timestamp;
use totp_rs::{Algorithm, Builder, Totp};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::factors::{self, FactorError};
use super::{AccountError, Accounts, ClientInfo, Login, RecoveryCodes, fold, notices};
use crate::audit::Deed;
use crate::network::SourceNetwork;
use crate::seal::{self, Secret};
use crate::store::Writer;
use crate::store::records::TotpRecord;
use crate::store::tables::FACTORS;

/// Digits of a code.
const DIGITS: u8 = 6;
/// Seconds of a step.
const STEP: u64 = 30;
/// Steps that the clocks of app and appliance may differ.
const SKEW: u16 = 1;
/// Bytes of a secret (RFC 4226, section 4: 20 are advised).
const SECRET_BYTES: usize = 20;
/// Characters of a secret as it is typed.
const SECRET_CHARS: usize = 64;

/// A secret for an app. It counts once a code has confirmed it.
pub struct NewTotp {
    /// To be typed: base 32.
    pub base32: Secret<String>,
    /// For a QR code.
    pub url: Secret<String>,
}

/// What makes an app count.
#[derive(Clone, Copy)]
pub struct TotpConfirmation<'a> {
    /// The account's password.
    pub password: &'a str,
    /// The app's secret, as [`NewTotp::base32`].
    pub base32: &'a str,
    /// The app's present code.
    pub code: &'a str,
}

/// The name that an account's secret is sealed under.
pub(super) fn sealed_as(account: Uuid) -> String {
    format!("totp/{account}")
}

fn app(secret: &[u8]) -> Builder {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_step_duration(STEP)
        .with_skew(SKEW)
        .with_secret(secret.to_vec())
}

fn built(builder: Builder) -> Result<Totp, FactorError> {
    builder.build().map_err(|_| FactorError::TotpSecret)
}

/// The time step that a code is of, if it is one of the present's or its neighbours'.
pub(super) fn step_of(
    secret: &[u8],
    code: &str,
    now: Timestamp,
) -> Result<Option<u64>, FactorError> {
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    Ok(built(app(secret))?.check(code, seconds))
}

/// The secret that was typed.
fn typed_secret(base32: &str) -> Result<Zeroizing<Vec<u8>>, FactorError> {
    let bare = base32.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    let bare = Zeroizing::new(bare.take(SECRET_CHARS + 1).collect::<String>().to_uppercase());
    if bare.chars().count() > SECRET_CHARS {
        return Err(FactorError::TotpSecret);
    }
    let secret = totp_rs::Secret::try_from_base32(bare.trim_end_matches('='));
    let secret = secret.map_err(|_| FactorError::TotpSecret)?;
    // The same bound on what is too short as when it is used.
    built(app(secret.as_bytes()))?;
    Ok(Zeroizing::new(secret.as_bytes().to_vec()))
}

/// A code as it was typed, without the blank that apps show in its middle.
pub(super) fn typed_code(typed: &str) -> Option<Zeroizing<String>> {
    let bare = typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    let bare = Zeroizing::new(bare.take(usize::from(DIGITS) + 1).collect::<String>());
    let is_code = bare.len() == usize::from(DIGITS) && bare.bytes().all(|b| b.is_ascii_digit());
    is_code.then_some(bare)
}

fn new_totp(username: &str, host: &str) -> Result<NewTotp, AccountError> {
    let secret = Zeroizing::new(seal::random::<SECRET_BYTES>()?);
    // A colon would end the issuer's name.
    let plain = |text: &str| text.replace(':', "-");
    let issuer = plain(format!("Aerie {host}").trim());
    let totp = app(secret.as_slice()).with_issuer(Some(issuer)).with_account_name(plain(username));
    let totp = built(totp)?;
    let url = totp.to_url().map_err(|_| FactorError::TotpSecret)?;
    Ok(NewTotp { base32: Secret::new(totp.secret().to_base32()), url: Secret::new(url) })
}

impl Accounts {
    /// A secret for the app of an account that has none. Nothing of it is kept until
    /// [`Accounts::confirm_totp`]. `host`: the appliance's name, for the app's list.
    pub async fn new_totp(&self, account: Uuid, host: &str) -> Result<NewTotp, AccountError> {
        if self.factors(account).await?.totp.is_some() {
            return Err(FactorError::TotpOn.into());
        }
        new_totp(&self.record(account).await?.username, host)
    }

    /// From now on codes from this secret's app are the second factor of who is logged in. Answers
    /// recovery codes where there were none.
    pub async fn confirm_totp(
        &self,
        login: &Login,
        confirmation: TotpConfirmation<'_>,
        client: &ClientInfo,
    ) -> Result<Option<RecoveryCodes>, AccountError> {
        let TotpConfirmation { password, base32, code } = confirmation;
        let account = login.account;
        let secret = typed_secret(base32)?;
        if self.factors(account).await?.totp.is_some() {
            return Err(FactorError::TotpOn.into());
        }
        self.require_factor(login).await?;
        self.prove_again(account, password, client).await?;
        let step = self.first_step(account, &secret, code, client)?;
        let sealed = self.inner.seal.seal(&sealed_as(account), &secret)?;
        let codes = RecoveryCodes::new()?;
        let (hashes, now) = (codes.records(), self.inner.clock.now());
        let from = client.address.to_canonical();
        let room = self.clone();
        let fresh = self.inner.store.write(move |writer| {
            let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
            if record.totp.is_some() {
                return Ok(Err(FactorError::TotpOn));
            }
            record.totp = Some(TotpRecord {
                sealed: sealed.clone(),
                confirmed: now.as_millisecond(),
                last_step: step,
            });
            let fresh = factors::add_recovery(&mut record, &hashes);
            room.put_factors(writer, account, &record)?;
            Deed::new(&account.to_string(), "totp-on", "").sent_from(from).write(writer, now)?;
            let told = format!("Codes from an app became your second factor, from {from}.");
            notices::tell(writer, account, now, &told)?;
            Ok(Ok(fresh))
        });
        Ok(fresh.await??.then_some(codes))
    }

    /// The step of the code that confirms a new app.
    fn first_step(
        &self,
        account: Uuid,
        secret: &[u8],
        code: &str,
        client: &ClientInfo,
    ) -> Result<u64, AccountError> {
        let network = SourceNetwork::from(client.address);
        let name = sealed_as(account);
        let attempt = self.inner.throttle.attempt(&name, network, true);
        let attempt = attempt.map_err(AccountError::TooMany)?;
        let code = typed_code(code).ok_or(FactorError::CodeWrong)?;
        let step = step_of(secret, &code, self.inner.clock.now())?;
        let step = step.ok_or(FactorError::CodeWrong)?;
        attempt.right();
        Ok(step)
    }

    /// Codes from an app are no second factor any more. Refused where it is the last and one is
    /// required.
    pub async fn disable_totp(
        &self,
        login: &Login,
        password: &str,
        client: &ClientInfo,
    ) -> Result<(), AccountError> {
        let account = login.account;
        self.require_factor(login).await?;
        self.prove_again(account, password, client).await?;
        let now = self.inner.clock.now();
        let from = client.address.to_canonical();
        let room = self.clone();
        let off = move |writer: &Writer<'_>| {
            let mut record = writer.get(FACTORS, &account)?.unwrap_or_default();
            if record.totp.take().is_none() {
                return Ok(Err(FactorError::TotpOff));
            }
            if let Err(last) = room.put_fewer(writer, account, record)? {
                return Ok(Err(last));
            }
            Deed::new(&account.to_string(), "totp-off", "").sent_from(from).write(writer, now)?;
            let told = format!(
                "Codes from an app were turned off as your second factor, from {from}. If that was \
                 not you, change your password and turn them on again."
            );
            notices::tell(writer, account, now, &told).map(Ok)
        };
        Ok(self.inner.store.write(off).await??)
    }

    /// The password of who is logged in, once more.
    pub(super) async fn prove_again(
        &self,
        account: Uuid,
        password: &str,
        client: &ClientInfo,
    ) -> Result<(), AccountError> {
        let owner = self.record(account).await?;
        let known = Some((account, &owner));
        let right = self.prove(&fold(&owner.username), known, password, client).await?;
        if right { Ok(()) } else { Err(AccountError::Wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    const PUBLISHED: &[u8] = b"12345678901234567890";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn l5_the_codes_are_those_of_rfc_6238() {
        // The last six of the eight digits that the RFC gives for SHA-1.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(second / 30).unwrap();
            assert_eq!(step_of(PUBLISHED, code, at(second)).unwrap(), Some(step), "{second}");
        }
    }

    #[test]
    fn l5_one_step_early_or_late_is_taken_and_no_more() {
        let code = "005924";
        let step = 1_234_567_890 / 30;
        for (shift, taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let found = step_of(PUBLISHED, code, at((step + shift) * 30)).unwrap();
            assert_eq!(found.is_some(), taken, "{shift}");
        }
        assert_eq!(step_of(PUBLISHED, code, at(-5)).unwrap(), None);
    }

    #[test]
    fn l5_what_an_app_reads_names_appliance_and_account() {
        let new = new_totp("olga:nms", "2001:db8::1").unwrap();
        let (base32, url) = (new.base32.expose(), new.url.expose());
        assert_eq!(typed_secret(base32).unwrap().len(), SECRET_BYTES);
        assert_eq!(
            *url,
            format!(
                "otpauth://totp/Aerie%202001-db8--1:olga-nms?secret={base32}\
                 &issuer=Aerie%202001-db8--1"
            )
        );
        assert_ne!(new_totp("olga", "a").unwrap().base32.expose(), base32, "it is random");
    }

    #[test]
    fn l5_a_secret_is_read_as_people_type_it_and_a_weak_one_refused() {
        let base32 = "GEZD GNBV-gy3t QOJQ GEZD GNBV GY3T QOJQ";
        assert_eq!(typed_secret(base32).unwrap().as_slice(), PUBLISHED);
        let long = "A".repeat(100_000);
        for bad in ["", "GEZDGNBV", "no base 32 at all, 01890", &long] {
            assert!(matches!(typed_secret(bad), Err(FactorError::TotpSecret)), "{bad:.40}");
        }
    }

    #[test]
    fn l5_a_code_is_six_digits_and_nothing_else() {
        assert_eq!(typed_code(" 123 456 ").unwrap().as_str(), "123456");
        for bad in ["", "12345", "1234567", "12345a", "+12345", "１２３４５６"] {
            assert_eq!(typed_code(bad), None, "{bad}");
        }
    }
}
