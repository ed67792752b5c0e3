//! A certificate from an authority by ACME (RFC 8555): what is wanted, how it stands, and when the
//! next attempt is due. [`order`] makes one attempt, [`problem`] says in plain words why it failed.

pub(super) mod order;
pub(super) mod problem;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls_acme::acme::LETS_ENCRYPT_PRODUCTION_DIRECTORY;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::chain::Chain;
use super::error::CertificateError;
use crate::network::is_host_name;
use crate::seal::Seal;
use crate::store::tables::SealedBytes;
use crate::store::{Reader, StoreError, Writer, tables};

/// The setting that holds the certificate.
const SETTING: &str = "acme-certificate";
/// The name that its private key is sealed and stored under.
const SECRET: &str = "acme-certificate-key";
/// The setting that tells how it stands.
const STATUS: &str = "acme-status";
/// The name that the account's key is sealed and stored under.
const ACCOUNT: &str = "acme-account-key";
/// Names in one certificate.
const NAMES: usize = 20;
/// Bytes of an e-mail address or URL.
const TEXT_BYTES: usize = 254;
/// Minutes to wait after each failure, the last for all that follow.
const WAITS: [i64; 8] = [1, 10, 30, 60, 120, 240, 480, 720];
/// After a clock was set back, no attempt is put off for longer than this.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(15);
/// A CA that has been asked too often is left alone for so long, unless it says when to come back.
const RATE_LIMIT_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// A CA's word on when to come back is followed for so long at most.
const LONGEST_WORD: SignedDuration = SignedDuration::from_hours(14);

/// How the CA finds out that a name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// It asks port 80.
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// It asks port 443, in TLS itself.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// What certificate is wanted, and from whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcmeSettings {
    /// DNS names, at least one.
    pub names: Vec<String>,
    /// Where the CA writes to when something is wrong.
    pub email: Option<String>,
    /// The CA's directory.
    pub directory: String,
    /// How it checks.
    pub challenge: Challenge,
    /// What to trust beside the public roots when talking to the CA, in PEM.
    pub extra_root: Option<String>,
}

impl AcmeSettings {
    /// Let's Encrypt's directory.
    pub const LETS_ENCRYPT: &'static str = LETS_ENCRYPT_PRODUCTION_DIRECTORY;

    /// Refuses what no CA would take, and writes names as they are compared.
    pub(super) fn checked(mut self) -> Result<Self, CertificateError> {
        let mut names: Vec<String> = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
            if !is_public_name(&name) {
                return Err(CertificateError::Name(name.chars().take(80).collect()));
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !(1..=NAMES).contains(&names.len()) {
            return Err(CertificateError::Wanted("a certificate needs one to twenty names"));
        }
        self.names = names;
        self.email = self.email.filter(|email| !email.is_empty());
        let is_email = |email: &String| {
            let whole = email.split_once('@');
            email.len() <= TEXT_BYTES
                && email.bytes().all(|byte| byte.is_ascii_graphic())
                && whole.is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
        };
        if !self.email.iter().all(is_email) {
            let sentence = "the e-mail address is none; correct it or leave it out";
            return Err(CertificateError::Wanted(sentence));
        }
        Ok(self)
    }
}

/// A DNS name with a dot, no address, no wildcard (for which ACME wants DNS).
pub(super) fn is_public_name(name: &str) -> bool {
    name.contains('.') && is_host_name(name)
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// Reaching the CA.
    Directory,
    /// Looking a name up.
    Dns,
    /// Asking port 80.
    Http,
    /// Asking port 443.
    Tls,
    /// The CA's patience.
    RateLimit,
    /// The account at the CA.
    Account,
    /// A CAA record.
    Caa,
    /// Anything else.
    Other,
}

/// Why an attempt failed, in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed.
    pub check: Check,
    /// What happened.
    pub what: String,
    /// What to do.
    pub todo: String,
    /// The CA's own words.
    pub detail: String,
    /// When it may be asked again, if it said so.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeStatus {
    /// An attempt is being made now.
    #[serde(skip)]
    pub working: bool,
    /// Attempts that failed since the last success.
    pub failures: usize,
    /// When the certificate is to be renewed.
    pub renews_at: Option<Timestamp>,
    /// The next attempt after one that failed.
    pub next_attempt: Option<Timestamp>,
    /// The last certificate.
    pub last_success: Option<Timestamp>,
    /// The last failure since.
    pub last_error: Option<(Timestamp, Failure)>,
}

impl AcmeStatus {
    /// After a success.
    pub(super) fn succeeded(&mut self, now: Timestamp, chain: &Chain) {
        let life = chain.info.not_after.duration_since(chain.info.not_before);
        let before_end = chain.info.not_after - life / 3;
        // Where the clock is far ahead, a new certificate is due at once, again and again.
        let soonest = now + (life / 20).min(SignedDuration::from_hours(24));
        *self = Self {
            renews_at: Some(before_end.max(soonest)),
            last_success: Some(now),
            ..Self::default()
        };
    }

    /// After a failure. `random` spreads the attempts of many appliances.
    pub(super) fn failed(&mut self, now: Timestamp, failure: Failure, random: u8) {
        let minutes = WAITS.get(self.failures).or(WAITS.last()).copied().unwrap_or(60);
        let mut wait = SignedDuration::from_secs(minutes * 60 + minutes * i64::from(random) / 40);
        if failure.check == Check::RateLimit {
            let word = failure.not_before.map(|until| until.duration_since(now));
            wait = wait.max(word.unwrap_or(RATE_LIMIT_WAIT).min(LONGEST_WORD));
        }
        self.working = false;
        self.failures += 1;
        self.next_attempt = Some(now + wait);
        self.last_error = Some((now, failure));
    }

    /// Whether an attempt is due. `current`: there is a certificate as it is wanted.
    pub(super) fn is_due(&self, now: Timestamp, current: bool) -> bool {
        let wanted = !current || self.renews_at.is_none_or(|at| now >= at);
        let allowed = self.next_attempt.is_none_or(|at| now >= at || at > now + LONGEST_WAIT);
        wanted && allowed
    }

    /// How long until that may change.
    pub(super) fn due_in(&self, now: Timestamp) -> Duration {
        let next = self.next_attempt.or(self.renews_at);
        let wait = next.map(|at| at.duration_since(now));
        wait.and_then(|wait| wait.try_into().ok()).unwrap_or(Duration::ZERO)
    }

    /// What to write.
    pub(super) fn kept(
        &self,
    ) -> impl Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static + use<> {
        let text = serde_json::json!(self).to_string();
        move |writer: &Writer<'_>| writer.put(tables::SETTINGS, STATUS, &text)
    }

    /// What the store says.
    pub(super) fn stored(reader: &Reader) -> Result<Self, StoreError> {
        let text = reader.get(tables::SETTINGS, STATUS)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }
}

/// A certificate that a CA gave.
pub(super) struct Issued {
    pub(super) chain: Chain,
    stored: Stored,
}

/// The same as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    chain: Vec<String>,
    names: Vec<String>,
    directory: String,
}

impl Issued {
    fn new(chain: Chain, settings: &AcmeSettings) -> Self {
        let stored = Stored {
            chain: chain.encoded(),
            names: settings.names.clone(),
            directory: settings.directory.clone(),
        };
        Self { chain, stored }
    }

    /// Whether it is what is wanted.
    pub(super) fn fits(&self, settings: &AcmeSettings) -> bool {
        let Stored { names, directory, .. } = &self.stored;
        *directory == settings.directory
            && names.len() == settings.names.len()
            && settings.names.iter().all(|name| names.contains(name))
    }

    /// What to write.
    pub(super) fn kept(
        &self,
        seal: &Seal,
        key: &[u8],
    ) -> Result<
        impl Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static + use<>,
        CertificateError,
    > {
        let text = serde_json::json!(self.stored).to_string();
        let sealed = SealedBytes(seal.seal(SECRET, key)?);
        Ok(move |writer: &Writer<'_>| {
            writer.put(tables::SETTINGS, SETTING, &text)?;
            writer.put(tables::SECRETS, SECRET, &sealed)
        })
    }

    /// What the store holds of it, to be opened with [`Issued::open`].
    pub(super) fn stored(reader: &Reader) -> Result<Option<(String, SealedBytes)>, StoreError> {
        let stored = reader.get(tables::SETTINGS, SETTING)?;
        Ok(stored.zip(reader.get(tables::SECRETS, SECRET)?))
    }

    /// Opens what the store holds.
    pub(super) fn open(
        seal: &Seal,
        (stored, sealed): &(String, SealedBytes),
    ) -> Result<Self, CertificateError> {
        let stored: Stored =
            serde_json::from_str(stored).map_err(|_| CertificateError::Damaged(None))?;
        let key = seal.open_secret(SECRET, &sealed.0)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&**key));
        let chain = Chain::stored(&stored.chain, &key);
        let chain = chain.map_err(|unfit| CertificateError::Damaged(Some(unfit)))?;
        Ok(Self { chain, stored })
    }

    /// Removes it, and how it stands, from the store. The account stays.
    pub(super) fn delete(writer: &Writer<'_>) -> Result<(), StoreError> {
        writer.delete(tables::SETTINGS, SETTING)?;
        writer.delete(tables::SETTINGS, STATUS)?;
        writer.delete(tables::SECRETS, SECRET).map(|_| ())
    }
}

/// The key of the account at a CA: one for each directory that is in use.
pub(super) struct AccountKey(pub(super) Zeroizing<Vec<u8>>);

impl AccountKey {
    /// Opens the key of the account at this directory.
    pub(super) fn open(
        seal: &Seal,
        sealed: Option<&SealedBytes>,
        directory: &str,
    ) -> Result<Option<Self>, CertificateError> {
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = seal.open_secret(ACCOUNT, &sealed.0)?;
        // The directory, a zero, the key: a key that belongs elsewhere is not used here.
        let key = plain.strip_prefix(directory.as_bytes()).and_then(|key| key.strip_prefix(&[0]));
        Ok(key.map(|key| Self(Zeroizing::new(key.to_vec()))))
    }

    /// What the store holds.
    pub(super) fn stored(reader: &Reader) -> Result<Option<SealedBytes>, StoreError> {
        reader.get(tables::SECRETS, ACCOUNT)
    }

    /// What to write.
    pub(super) fn kept(
        &self,
        seal: &Seal,
        directory: &str,
    ) -> Result<
        impl Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static + use<>,
        CertificateError,
    > {
        let plain = Zeroizing::new([directory.as_bytes(), &[0], &self.0].concat());
        let sealed = SealedBytes(seal.seal(ACCOUNT, &plain)?);
        Ok(move |writer: &Writer<'_>| writer.put(tables::SECRETS, ACCOUNT, &sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn failure(check: Check, not_before: Option<&str>) -> Failure {
        let text = String::new;
        let not_before = not_before.map(at);
        Failure { check, what: text(), todo: text(), detail: text(), not_before }
    }

    #[test]
    fn p2_attempts_that_fail_are_made_again_later_and_later() {
        let now = at("2027-01-15T08:00:00Z");
        let mut status = AcmeStatus::default();
        assert!(status.is_due(now, false), "the first at once");
        let mut waits = Vec::new();
        for _ in 0..10 {
            status.failed(now, failure(Check::Http, None), 0);
            waits.push(status.next_attempt.unwrap().duration_since(now).as_mins());
            assert!(!status.is_due(now, false));
            assert!(status.is_due(status.next_attempt.unwrap(), false));
        }
        assert_eq!(waits, [1, 10, 30, 60, 120, 240, 480, 720, 720, 720]);
    }

    #[test]
    fn p2_a_ca_that_was_asked_too_often_is_left_alone_as_long_as_it_says() {
        let now = at("2027-01-15T08:00:00Z");
        for (word, hours) in
            [(None, 1), (Some("2027-01-15T11:00:00Z"), 3), (Some("2028-01-01T00:00:00Z"), 14)]
        {
            let mut status = AcmeStatus::default();
            status.failed(now, failure(Check::RateLimit, word), 0);
            assert_eq!(status.next_attempt.unwrap().duration_since(now).as_hours(), hours);
        }
    }

    #[test]
    fn p2_a_clock_that_jumps_neither_stops_the_renewal_nor_drives_it_round() {
        let now = at("2027-01-15T08:00:00Z");
        let mut status =
            AcmeStatus { renews_at: Some(at("2027-03-15T00:00:00Z")), ..AcmeStatus::default() };
        assert!(!status.is_due(now, true));
        assert!(status.is_due(at("2029-01-01T00:00:00Z"), true), "forward: it is over");
        assert!(!status.is_due(at("1970-01-02T00:00:00Z"), true), "back: there is one");
        assert!(status.is_due(now, false), "other names are wanted");
        // Failed while the clock was years ahead, then set right.
        status.failed(at("2035-01-01T00:00:00Z"), failure(Check::Directory, None), 3);
        assert!(status.is_due(at("2027-03-16T00:00:00Z"), true));
    }
}
