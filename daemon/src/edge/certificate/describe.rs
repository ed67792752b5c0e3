//! What a certificate says, for people.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::public_key::PublicKey;

use super::error::Unfit;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Whom it names.
    pub subject: String,
    /// DNS names and addresses that it is good for.
    pub names: Vec<String>,
    /// Who made it.
    pub issuer: String,
    /// From when on it counts.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Its number at the issuer, in hex.
    pub serial: String,
    /// Its fingerprint, in hex with colons.
    pub sha256: String,
    /// The kind of its key.
    pub key: String,
    /// It vouches for itself.
    pub self_signed: bool,
}

/// What is needed to judge a certificate, beside what people read.
pub(super) struct Described {
    pub(super) info: CertificateInfo,
    pub(super) raw_subject: Vec<u8>,
    pub(super) raw_issuer: Vec<u8>,
    pub(super) is_authority: bool,
    pub(super) for_servers: bool,
    pub(super) is_rsa: bool,
    pub(super) key_bits: usize,
}

/// Reads a certificate (DER).
pub(super) fn describe(der: &[u8]) -> Result<Described, Unfit> {
    let (rest, certificate) = parse_x509_certificate(der).map_err(|_| Unfit::Unreadable)?;
    if !rest.is_empty() {
        return Err(Unfit::Unreadable);
    }
    let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| Unfit::Unreadable);
    let validity = certificate.validity();
    let usage = certificate.extended_key_usage().map_err(|_| Unfit::Unreadable)?;
    let public = certificate.public_key().parsed().map_err(|_| Unfit::Unreadable)?;
    let (raw_subject, raw_issuer) = (certificate.subject().as_raw(), certificate.issuer().as_raw());
    let info = CertificateInfo {
        subject: certificate.subject().to_string(),
        names: names(&certificate)?,
        issuer: certificate.issuer().to_string(),
        not_before: moment(validity.not_before.timestamp())?,
        not_after: moment(validity.not_after.timestamp())?,
        serial: hex(certificate.raw_serial(), ""),
        sha256: hex(digest(&SHA256, der).as_ref(), ":"),
        key: key(&certificate, &public),
        self_signed: raw_subject == raw_issuer,
    };
    Ok(Described {
        raw_subject: raw_subject.to_vec(),
        raw_issuer: raw_issuer.to_vec(),
        is_authority: certificate.is_ca(),
        for_servers: usage.is_none_or(|usage| usage.value.server_auth || usage.value.any),
        is_rsa: matches!(public, PublicKey::RSA(_)),
        key_bits: public.key_size(),
        info,
    })
}

fn names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, Unfit> {
    let extension = certificate.subject_alternative_name().map_err(|_| Unfit::Unreadable)?;
    let Some(extension) = extension else { return Ok(Vec::new()) };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    Ok(names.collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from_octets(bytes)));
    let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from_octets(bytes)));
    v4.or_else(|_| v6()).ok()
}

fn key(certificate: &X509Certificate<'_>, public: &PublicKey<'_>) -> String {
    match public {
        PublicKey::RSA(rsa) => format!("RSA {}", rsa.key_size()),
        // A point on P-521 has 66 bytes a coordinate.
        PublicKey::EC(point) if point.key_size() > 512 => "ECDSA P-521".to_owned(),
        PublicKey::EC(point) => format!("ECDSA P-{}", point.key_size()),
        _ => match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            other => other.to_owned(),
        },
    }
}

fn hex(bytes: &[u8], between: &str) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        if !text.is_empty() {
            text.push_str(between);
        }
        // Writing into a string cannot fail.
        write!(text, "{byte:02X}").ok();
    }
    text
}

impl CertificateInfo {
    /// Whether it is good for a host name or address.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.names.iter().any(|name| {
            let wild = name.strip_prefix("*.").zip(host.split_once('.'));
            *name == host || wild.is_some_and(|(domain, (_, parent))| domain == parent)
        })
    }
}
