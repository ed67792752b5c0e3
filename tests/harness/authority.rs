//! A certificate authority of a test's own: a root, an intermediate, and what that signs.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Certificate authorities that clients can be told to trust.
pub struct Authority {
    root: String,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as an owner gives them to the appliance.
pub struct Issued {
    /// The certificate and the intermediate's, in PEM.
    pub chain: String,
    /// The private key in PEM (PKCS #8).
    pub key: String,
}

impl Authority {
    /// Makes root and intermediate.
    pub fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(issuer("Test root"), key()).expect("a root");
        let intermediate = CertifiedIssuer::signed_by(issuer("Test intermediate"), key(), &root)
            .expect("an intermediate");
        Self { root: root.pem(), intermediate }
    }

    /// Signs a certificate for `names` that is good for `days`.
    pub fn issue(&self, names: &[&str], days: u32) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params =
            params(names.first().map_or("nobody", String::as_str), names.clone(), days);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.intermediate).expect("a certificate");
        Issued {
            chain: format!("{}{}", certificate.pem(), self.intermediate.pem()),
            key: key.serialize_pem(),
        }
    }

    /// The root's certificate in PEM: what clients are told to trust.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The same as a file, `ca.pem`, in `folder`.
    pub fn root_file(&self, folder: &Path) -> PathBuf {
        let file = folder.join("ca.pem");
        std::fs::write(&file, &self.root).expect("a file");
        file
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn issuer(name: &str) -> CertificateParams {
    let mut params = params(name, Vec::new(), 365);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str, names: Vec<String>, days: u32) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("names");
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let now = Duration::from_secs(Timestamp::now().as_second().cast_unsigned());
    let hour_ago = date_time_ymd(1970, 1, 1) + now - Duration::from_hours(1);
    params.not_before = hour_ago;
    params.not_after = hour_ago + Duration::from_hours(u64::from(days) * 24);
    params
}
