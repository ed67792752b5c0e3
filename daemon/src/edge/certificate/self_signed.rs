//! The certificate that the appliance makes itself.
//!
//! At the first boot nobody vouches for the appliance, so it vouches for itself, with the names and
//! addresses that it knows of. Devices do not rely on it: they pin the appliance's static key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::chain::Chain;
use super::error::CertificateError;
use crate::clock;
use crate::outbound::own_addresses;
use crate::seal::Seal;
use crate::store::tables::SealedBytes;
use crate::store::{Store, tables};

/// The setting that holds the certificate.
const SETTING: &str = "self-signed-certificate";
/// The name that its private key is sealed and stored under.
const SECRET: &str = "self-signed-certificate-key";
/// Some systems refuse longer ones even where their owner trusts them.
const LIFE: SignedDuration = SignedDuration::from_hours(825 * 24);
/// For peers whose clock is behind.
const BEFORE: SignedDuration = SignedDuration::from_hours(48);
/// It is made anew so long before it ends.
const RENEWAL: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Names and addresses in a certificate. A container host has hundreds.
const NAMES: usize = 32;

/// The appliance's own certificate, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    /// DER in base64.
    certificate: String,
    /// What it is for.
    names: Vec<String>,
    /// From when on it counts.
    from: Timestamp,
    /// Until when it counts.
    until: Timestamp,
}

impl Stored {
    fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether it is time for another one, also after a clock was set that had been wrong.
    fn is_due(&self, now: Timestamp) -> bool {
        now < self.from || now > self.until - RENEWAL
    }
}

/// The certificate that the appliance made.
pub(super) struct SelfSigned {
    stored: Stored,
    pub(super) chain: Chain,
}

impl SelfSigned {
    /// Reads it from the store. Makes one where there is none, where it is due, and where it does
    /// not cover `host`, the host name of the set-up.
    pub(super) async fn load(
        store: &Store,
        seal: &Seal,
        now: Timestamp,
        host: Option<&str>,
    ) -> Result<Self, CertificateError> {
        let now = plausible(now);
        let read = store.read(|reader| {
            Ok((reader.get(tables::SETTINGS, SETTING)?, reader.get(tables::SECRETS, SECRET)?))
        });
        let mut loaded = match read.await? {
            (Some(stored), Some(key)) => {
                let stored: Stored =
                    serde_json::from_str(&stored).map_err(|_| CertificateError::Damaged(None))?;
                let key = seal.open_secret(SECRET, &key.0)?;
                let chain = chain(&stored, &key)?;
                Self { stored, chain }
            }
            _ => make(store, seal, now, host).await?,
        };
        loaded.refresh(store, seal, now, host).await?;
        Ok(loaded)
    }

    /// Sees to it that it is not about to end and covers the host name. Whether it was made anew.
    pub(super) async fn refresh(
        &mut self,
        store: &Store,
        seal: &Seal,
        now: Timestamp,
        host: Option<&str>,
    ) -> Result<bool, CertificateError> {
        let now = plausible(now);
        if !self.stored.is_due(now) && host.is_none_or(|host| self.stored.covers(host)) {
            return Ok(false);
        }
        let host = host.map(str::to_owned).or_else(|| self.stored.names.first().cloned());
        *self = make(store, seal, now, host.as_deref()).await?;
        tracing::info!(names = ?self.stored.names, "made a self-signed certificate");
        Ok(true)
    }
}

/// A clock that stands at 1970 would make a certificate that ended before every browser's time.
fn plausible(now: Timestamp) -> Timestamp {
    now.max(clock::built())
}

/// Makes a certificate and its key; durable when it returns.
async fn make(
    store: &Store,
    seal: &Seal,
    now: Timestamp,
    host: Option<&str>,
) -> Result<SelfSigned, CertificateError> {
    let names = names(host);
    let (from, until) = (now - BEFORE, now + LIFE);
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.clone())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, names.first().map_or("aerie", String::as_str));
    subject.push(DnType::OrganizationName, "Aerie appliance, self-signed");
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (year, month, date) = day(from);
    params.not_before = date_time_ymd(year, month, date);
    let (year, month, date) = day(until);
    params.not_after = date_time_ymd(year, month, date);
    let certificate = STANDARD.encode(params.self_signed(&pair)?.der());
    let stored = Stored { certificate, names, from, until };
    let key = Zeroizing::new(pair.serialize_der());
    let text = serde_json::json!(stored).to_string();
    let sealed = SealedBytes(seal.seal(SECRET, &key)?);
    let written = store.write(move |writer| {
        writer.put(tables::SETTINGS, SETTING, &text)?;
        writer.put(tables::SECRETS, SECRET, &sealed)
    });
    written.await?;
    let chain = chain(&stored, &key)?;
    Ok(SelfSigned { stored, chain })
}

fn chain(stored: &Stored, key: &[u8]) -> Result<Chain, CertificateError> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let chain = Chain::stored(std::slice::from_ref(&stored.certificate), &key);
    chain.map_err(|unfit| CertificateError::Damaged(Some(unfit)))
}

/// All that the appliance may be called by: first the host name of the set-up, then what the
/// machine says of itself.
fn names(host: Option<&str>) -> Vec<String> {
    let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let machine = machine.filter(|name| is_dns_name(name));
    let fixed = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut names: Vec<String> = Vec::new();
    let host = host.map(str::to_ascii_lowercase);
    for name in host.into_iter().chain(machine).chain(fixed).chain(addresses()) {
        if !names.contains(&name) && names.len() < NAMES {
            names.push(name);
        }
    }
    names
}

fn is_dns_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// The addresses of this machine's interfaces that others can use.
fn addresses() -> Vec<String> {
    let usable = own_addresses().into_iter().filter(|address| match address {
        std::net::IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        std::net::IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    });
    usable.map(|address| address.to_string()).collect()
}

/// Year, month and day in UTC: whole days are exact enough for a certificate.
fn day(at: Timestamp) -> (i32, u8, u8) {
    let date = Offset::UTC.to_datetime(at).date();
    let number = |value: i8| u8::try_from(value).unwrap_or(1);
    (i32::from(date.year()), number(date.month()), number(date.day()))
}
