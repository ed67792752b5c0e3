//! The certificate that TLS shows, and how the appliance makes its own.
//!
//! At the first boot nobody vouches for the appliance, so it vouches for itself, with the names and
//! addresses that it knows of. Devices do not rely on it: they pin the appliance's static key.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use nix::ifaddrs::getifaddrs;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::seal::{Seal, SealError};
use crate::store::tables::SealedBytes;
use crate::store::{Store, StoreError, tables};

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
/// How often somebody looks whether that is the case.
const LOOK: Duration = Duration::from_hours(6);
/// Names and addresses in a certificate. A container host has hundreds.
const NAMES: usize = 32;

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The store.
    #[error("the certificate could not be read or stored")]
    Store(#[from] StoreError),
    /// The machine key is another one.
    #[error("the certificate's private key could not be sealed or opened")]
    Seal(#[from] SealError),
    /// Making it.
    #[error("the appliance's own certificate could not be made")]
    Make(#[from] rcgen::Error),
    /// What is stored is no certificate and key.
    #[error("the stored certificate cannot be used; restore the last backup")]
    Damaged(#[source] Option<rustls::Error>),
}

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

/// The certificates in use. Cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    seal: Seal,
    clock: Clock,
    live: Arc<Live>,
    plain_closed: watch::Sender<bool>,
    stored: tokio::sync::Mutex<Stored>,
}

/// What every handshake asks for; swapped while connections live.
struct Live(RwLock<Arc<CertifiedKey>>);

impl Certificates {
    /// Reads the certificate from the store. Makes one where there is none, where it is due, and
    /// where it does not cover `host`, the host name of the set-up.
    pub async fn load(
        store: &Store,
        seal: &Seal,
        clock: &Clock,
        host: Option<&str>,
    ) -> Result<Self, CertificateError> {
        let read = store.read(|reader| {
            Ok((reader.get(tables::SETTINGS, SETTING)?, reader.get(tables::SECRETS, SECRET)?))
        });
        let (stored, key) = match read.await? {
            (Some(stored), Some(key)) => {
                let stored: Stored =
                    serde_json::from_str(&stored).map_err(|_| CertificateError::Damaged(None))?;
                (stored, seal.open_secret(SECRET, &key.0)?)
            }
            _ => make(store, seal, clock.now(), host).await?,
        };
        let certified = certified(&stored, &key)?;
        let certificates = Self {
            shared: Arc::new(Shared {
                store: store.clone(),
                seal: seal.clone(),
                clock: clock.clone(),
                live: Arc::new(Live(RwLock::new(certified))),
                plain_closed: watch::Sender::new(false),
                stored: tokio::sync::Mutex::new(stored),
            }),
        };
        certificates.refresh(host).await?;
        Ok(certificates)
    }

    /// Whether nobody but the appliance vouches for the certificate, so that device keys have to
    /// allow that.
    pub fn is_untrusted(&self) -> bool {
        true
    }

    /// Whether plain HTTP has to stay closed, and every change of that.
    pub(super) fn plain_closed(&self) -> watch::Receiver<bool> {
        self.shared.plain_closed.subscribe()
    }

    /// What is shown now.
    #[cfg(test)]
    pub(super) fn shown(&self) -> CertificateDer<'static> {
        self.shared.live.0.read().unwrap().cert[0].clone()
    }

    /// What TLS asks.
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.shared.live) as Arc<dyn ResolvesServerCert>
    }

    /// Makes the certificate anew before it ends and for each new host name of the set-up, for
    /// ever.
    pub(super) async fn keep_fresh(self, mut hosts: watch::Receiver<Option<String>>) {
        loop {
            tokio::select! {
                () = sleep(LOOK) => {}
                changed = hosts.changed() => if changed.is_err() {
                    // The rooms below are gone: the daemon ends.
                    return std::future::pending().await;
                }
            }
            let host = hosts.borrow_and_update().clone();
            if let Err(error) = self.refresh(host.as_deref()).await {
                // The old one still works, for a month.
                tracing::error!(%error, "the certificate could not be renewed; trying again");
            }
        }
    }

    /// Sees to it that the certificate is not about to end and covers the host name. Connections
    /// that are open do not notice.
    async fn refresh(&self, host: Option<&str>) -> Result<(), CertificateError> {
        let Shared { store, seal, clock, live, stored, .. } = &*self.shared;
        let mut stored = stored.lock().await;
        let now = clock.now();
        if !stored.is_due(now) && host.is_none_or(|host| stored.covers(host)) {
            return Ok(());
        }
        let host = host.map(str::to_owned).or_else(|| stored.names.first().cloned());
        let (made, key) = make(store, seal, now, host.as_deref()).await?;
        let certified = certified(&made, &key)?;
        *live.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        tracing::info!(names = ?made.names, "made a self-signed certificate");
        *stored = made;
        Ok(())
    }
}

impl ResolvesServerCert for Live {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Makes a certificate and its key; durable when it returns.
async fn make(
    store: &Store,
    seal: &Seal,
    now: Timestamp,
    host: Option<&str>,
) -> Result<(Stored, Zeroizing<Vec<u8>>), CertificateError> {
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
    Ok((stored, key))
}

fn certified(stored: &Stored, key: &[u8]) -> Result<Arc<CertifiedKey>, CertificateError> {
    let der = STANDARD.decode(&stored.certificate);
    let der = der.map_err(|_| CertificateError::Damaged(None))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let key = any_ecdsa_type(&key).map_err(|error| CertificateError::Damaged(Some(error)))?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(der)], key);
    certified.keys_match().map_err(|error| CertificateError::Damaged(Some(error)))?;
    Ok(Arc::new(certified))
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
    let interfaces = getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    let usable = addresses.filter(|address| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    });
    usable.map(|address| address.to_string()).collect()
}

/// Year, month and day in UTC: whole days are exact enough for a certificate.
fn day(at: Timestamp) -> (i32, u8, u8) {
    let date = Offset::UTC.to_datetime(at).date();
    let number = |value: i8| u8::try_from(value).unwrap_or(1);
    (i32::from(date.year()), number(date.month()), number(date.day()))
}

#[cfg(test)]
mod tests {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

    const NOW: &str = "2027-01-15T08:00:00Z";

    struct Appliance {
        store: Store,
        seal: Seal,
        _data: tempfile::TempDir,
    }

    impl Appliance {
        fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let seal = Seal::open(data.path()).unwrap();
            Self { store: Store::memory().unwrap(), seal, _data: data }
        }

        async fn certificates(&self, now: &str, host: Option<&str>) -> Certificates {
            let (clock, _) = Clock::manual(now.parse().unwrap());
            Certificates::load(&self.store, &self.seal, &clock, host).await.unwrap()
        }
    }

    /// What a client says that was told to trust this certificate.
    fn check(certificates: &Certificates, name: &str, now: &str) -> Result<(), rustls::Error> {
        let certificate = certificates.shown();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(super::super::tls::provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let now: Timestamp = now.parse().unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().cast_unsigned()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let verifier = verifier.build().unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], now).map(drop)
    }

    #[tokio::test]
    async fn the_certificate_is_good_for_every_name_of_the_appliance() {
        let appliance = Appliance::new();
        let certificates = appliance.certificates(NOW, Some("Aerie.example")).await;
        for name in ["aerie.example", "localhost", "127.0.0.1", "::1"] {
            check(&certificates, name, NOW).unwrap();
        }
        check(&certificates, "other.example", NOW).unwrap_err();
        check(&certificates, "localhost", "2029-06-01T00:00:00Z").unwrap_err();
    }

    #[tokio::test]
    async fn it_stays_over_a_restart_and_is_made_anew_for_a_new_host_name() {
        let appliance = Appliance::new();
        let first = appliance.certificates(NOW, None).await.shown();
        let again = appliance.certificates(NOW, Some("localhost")).await;
        assert_eq!(again.shown(), first);
        again.refresh(Some("192.0.2.7")).await.unwrap();
        assert_ne!(again.shown(), first, "it is shown at once");
        check(&again, "192.0.2.7", NOW).unwrap();
        let after = appliance.certificates(NOW, Some("192.0.2.7")).await;
        assert_eq!(after.shown(), again.shown());
        again.refresh(Some("192.0.2.7")).await.unwrap();
        assert_eq!(after.shown(), again.shown());
    }

    #[tokio::test]
    async fn it_is_made_anew_before_it_ends_and_when_the_clock_had_been_wrong() {
        let appliance = Appliance::new();
        let wrong = appliance.certificates("1970-01-05T00:00:00Z", Some("aerie.example")).await;
        let right = appliance.certificates(NOW, None).await;
        assert_ne!(wrong.shown(), right.shown());
        check(&right, "aerie.example", NOW).unwrap();
        let later = "2029-04-01T00:00:00Z";
        let renewed = appliance.certificates(later, None).await;
        assert_ne!(renewed.shown(), right.shown());
        check(&renewed, "aerie.example", later).unwrap();
    }

    #[tokio::test]
    async fn the_private_key_is_stored_sealed() {
        let appliance = Appliance::new();
        let _certificates = appliance.certificates(NOW, None).await;
        let rows = appliance.store.read(|reader| reader.all(tables::SECRETS)).await.unwrap();
        let (name, SealedBytes(sealed)) = &rows[0];
        let opened = appliance.seal.open_secret(name, sealed).unwrap();
        // The beginning of a PKCS #8 document.
        assert_eq!(opened[..2], [0x30, 0x81]);
        assert_ne!(sealed[..2], opened[..2]);
    }
}
