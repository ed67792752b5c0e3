//! From PEM to what TLS shows: the chain in order, without its root, with the key that fits.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::describe::{CertificateInfo, Described, describe};
use super::error::Unfit;

/// Bytes of a chain or key in PEM.
pub(super) const PEM_BYTES: usize = 64 * 1024;
/// Certificates in a chain.
const CERTIFICATES: usize = 10;
/// Bits of an RSA key.
const RSA_BITS: usize = 2_048;

/// A certificate with its chain and key, fit to be shown.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) info: CertificateInfo,
    pub(super) is_rsa: bool,
}

/// A chain as it was given, and what was mended in it.
pub(super) struct Read {
    pub(super) chain: Chain,
    pub(super) notes: Vec<String>,
}

impl Chain {
    /// Reads what an owner or a CA gave, and refuses what no browser would take.
    pub(super) fn read(chain: &str, key: &str, now: Timestamp) -> Result<Read, Unfit> {
        if chain.len() > PEM_BYTES || key.len() > PEM_BYTES {
            return Err(Unfit::TooLong);
        }
        let certificates: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let certificates = certificates.map_err(|_| Unfit::Unreadable)?;
        match certificates.len() {
            0 => return Err(Unfit::NoCertificate),
            1..=CERTIFICATES => {}
            _ => return Err(Unfit::TooLong),
        }
        let key = read_key(key)?;
        let (certificates, notes) = mend(certificates, &key)?;
        let chain = Self::of(certificates, key)?;
        chain.judge(now)?;
        Ok(Read { chain, notes })
    }

    /// Puts a chain that was judged before together again.
    pub(super) fn stored(certificates: &[String], key: &PrivateKeyDer<'_>) -> Result<Self, Unfit> {
        let key = any_supported_type(key).map_err(|_| Unfit::UnknownKey)?;
        let decode = |text: &String| STANDARD.decode(text).map(CertificateDer::from);
        let certificates: Result<Vec<_>, _> = certificates.iter().map(decode).collect();
        Self::of(certificates.map_err(|_| Unfit::Unreadable)?, key)
    }

    fn of(
        certificates: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Result<Self, Unfit> {
        let certified = CertifiedKey::new(certificates, key);
        certified.keys_match().map_err(|_| Unfit::OtherPair)?;
        let Described { info, is_rsa, .. } =
            describe(certified.end_entity_cert().map_err(|_| Unfit::NoCertificate)?)?;
        Ok(Self { certified: Arc::new(certified), info, is_rsa })
    }

    /// The certificates as they are stored.
    pub(super) fn encoded(&self) -> Vec<String> {
        self.certified.cert.iter().map(|der| STANDARD.encode(der)).collect()
    }

    fn judge(&self, now: Timestamp) -> Result<(), Unfit> {
        let leaf = self.certified.end_entity_cert().map_err(|_| Unfit::NoCertificate)?;
        let described = describe(leaf)?;
        if now > self.info.not_after {
            return Err(Unfit::Expired(self.info.not_after));
        }
        if now < self.info.not_before {
            return Err(Unfit::NotYet(self.info.not_before));
        }
        if self.info.names.is_empty() {
            return Err(Unfit::NoNames);
        }
        if described.is_authority && !self.info.self_signed {
            return Err(Unfit::Authority);
        }
        if !described.for_servers {
            return Err(Unfit::NotForServers);
        }
        if described.is_rsa && described.key_bits < RSA_BITS {
            return Err(Unfit::WeakKey(described.key_bits));
        }
        Ok(())
    }

    /// Whether one of the public authorities vouches for it now.
    pub(super) fn is_vouched_for(&self, now: Timestamp) -> bool {
        let Some(verifier) = &*PUBLIC else { return false };
        let Some((leaf, rest)) = self.certified.cert.split_first() else { return false };
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        // Each certificate is good for its own names; whether for the one that is asked for, is
        // another question.
        let name = self.info.names.iter().map(|name| name.replacen('*', "any", 1));
        let name = name.into_iter().find_map(|name| ServerName::try_from(name).ok());
        name.is_some_and(|name| verifier.verify_server_cert(leaf, rest, &name, &[], now).is_ok())
    }
}

/// Knows the public authorities.
static PUBLIC: LazyLock<Option<Arc<WebPkiServerVerifier>>> = LazyLock::new(|| {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(super::super::tls::provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()
});

fn read_key(pem: &str) -> Result<Arc<dyn SigningKey>, Unfit> {
    // PKCS #8's own form, and OpenSSL's older one.
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Unfit::EncryptedKey);
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| match error {
        PemError::NoItemsFound => Unfit::NoKey,
        _ => Unfit::UnknownKey,
    })?;
    any_supported_type(&key).map_err(|_| Unfit::UnknownKey)
}

/// Puts the certificates in order, from the key's own up to the one below the root, and says what
/// it changed.
fn mend(
    given: Vec<CertificateDer<'static>>,
    key: &Arc<dyn SigningKey>,
) -> Result<(Vec<CertificateDer<'static>>, Vec<String>), Unfit> {
    let before = given.clone();
    let mut left: Vec<(CertificateDer<'static>, Described)> = Vec::with_capacity(given.len());
    for der in given {
        let described = describe(&der)?;
        left.push((der, described));
    }
    let fits = |der: &CertificateDer<'static>| {
        CertifiedKey::new(vec![der.clone()], Arc::clone(key)).keys_match().is_ok()
    };
    let leaf = left.iter().position(|(der, _)| fits(der)).ok_or(Unfit::OtherPair)?;
    let (leaf, mut top) = left.remove(leaf);
    let mut chain = vec![leaf];
    while top.raw_issuer != top.raw_subject {
        let above = left.iter().position(|(_, it)| it.raw_subject == top.raw_issuer);
        let Some(above) = above else { break };
        let (der, described) = left.remove(above);
        top = described;
        chain.push(der);
    }
    let mut notes = Vec::new();
    if chain.len() > 1 && top.raw_issuer == top.raw_subject {
        chain.pop();
        notes.push("The root certificate has been left out: browsers have their own.".to_owned());
    }
    let in_order = before.iter().zip(&chain).all(|(before, after)| before == after);
    if !in_order {
        notes.push("The chain was out of order and has been put right.".to_owned());
    }
    if !left.is_empty() {
        notes.push(format!("{} that do not belong to the chain have been left out.", left.len()));
    }
    Ok((chain, notes))
}
