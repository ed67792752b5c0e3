//! Why there is no certificate, or not the one that was wanted.

use jiff::Timestamp;
use jiff::tz::Offset;
use thiserror::Error;

use crate::outbound::OutboundError;
use crate::seal::SealError;
use crate::store::StoreError;

/// Why a certificate could not be made, stored or put in place.
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
    Damaged(#[source] Option<Unfit>),
    /// What was given cannot be used. The certificate from before stays.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// What was asked of ACME cannot be.
    #[error("{0}")]
    Wanted(&'static str),
    /// A name that ACME gives no certificate for.
    #[error(
        "{0:?} is no name that a certificate authority can check; use DNS names such as \
         net.example.org"
    )]
    Name(String),
    /// The CA's address.
    #[error("the directory of the certificate authority cannot be used")]
    Directory(#[source] OutboundError),
    /// Another mode.
    #[error("the certificate does not come from a CA by ACME; choose that first")]
    NotAcme,
}

/// Why a certificate and its key cannot be used. Each says what to do.
#[derive(Debug, Error)]
pub enum Unfit {
    /// Nothing there.
    #[error(
        "There is no certificate in it. It must be PEM and begins with \
         -----BEGIN CERTIFICATE-----."
    )]
    NoCertificate,
    /// Nothing there.
    #[error(
        "There is no private key in it. It must be PEM and begins with -----BEGIN PRIVATE KEY-----, \
         -----BEGIN EC PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----."
    )]
    NoKey,
    /// Too much.
    #[error("It is longer than 64 KiB or holds more than ten certificates. Give the chain alone.")]
    TooLong,
    /// With a password.
    #[error(
        "The private key is encrypted with a password. Take the password off first: openssl pkey \
         -in KEY.pem -out PLAIN.pem"
    )]
    EncryptedKey,
    /// A key of another kind.
    #[error(
        "The private key is damaged or of a kind that is not served. Use ECDSA (P-256 or P-384) or \
         RSA (2048 to 4096 bits)."
    )]
    UnknownKey,
    /// A certificate that cannot be read.
    #[error("A certificate in it is damaged. Copy the file again, whole.")]
    Unreadable,
    /// Another key.
    #[error(
        "The private key belongs to none of the certificates. Give the key that the certificate \
         was requested with."
    )]
    OtherPair,
    /// Too late.
    #[error("The certificate expired on {}. Get a new one.", day(*.0))]
    Expired(Timestamp),
    /// Too early.
    #[error(
        "The certificate counts only from {} on. Check the appliance's clock, or wait.", day(*.0)
    )]
    NotYet(Timestamp),
    /// Nobody could check it.
    #[error(
        "The certificate names no host name or address (subject alternative name), so no browser \
         takes it. Request it with the appliance's name."
    )]
    NoNames,
    /// For something else.
    #[error(
        "The certificate is not meant for servers (extended key usage). Get one for TLS servers."
    )]
    NotForServers,
    /// An authority's own certificate.
    #[error(
        "The certificate is an authority's own. Give the one that it issued for the appliance."
    )]
    Authority,
    /// A short key.
    #[error("The key has {0} bits. RSA keys need at least 2048.")]
    WeakKey(usize),
    /// The second chain.
    #[error("The second certificate must be an RSA one, beside a first that is ECDSA.")]
    NotRsa,
    /// A file.
    #[error("The file {0} cannot be read: {1}. Check its path and its permissions.")]
    File(String, String),
}

/// A day as people write it.
pub(super) fn day(at: Timestamp) -> String {
    Offset::UTC.to_datetime(at).date().to_string()
}
