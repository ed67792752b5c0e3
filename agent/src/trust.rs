//! The outer certificate: when it decides and when it is only noted.
//!
//! Before a device is enrolled, nothing but the certificate (and the key's pin, if it has one)
//! tells an appliance from a man in the middle who knows a leaked generic key; so an untrusted one
//! is refused unless the key says otherwise. Afterwards the stored static key decides inside, and
//! a lapsed certificate must never orphan a device.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use thiserror::Error;

/// Where distributions keep the certificates of authorities that they trust, in order of use.
const SYSTEM_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What an untrusted certificate means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRule {
    /// First contact: no connection.
    Refuse,
    /// First contact with a key that allows untrusted certificates: nothing.
    Allow,
    /// Enrolled: an event in the log; the static key decides.
    Note,
}

/// Why outer connections cannot be made at all.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file of authorities was named and cannot be used.
    #[error(
        "cannot use the certificate authorities in {}: name a PEM file in SSL_CERT_FILE, or nothing",
        path.display()
    )]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The TLS library refuses its own settings.
    #[error("cannot set up TLS")]
    Setup(#[source] TlsError),
    /// The TLS library refuses the list of authorities.
    #[error("cannot set up the check of certificates")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
}

/// Ready-made TLS settings, one for each rule. Cheap to clone; thousands of agents share one.
#[derive(Clone, Debug)]
pub struct Trust {
    refuse: Arc<ClientConfig>,
    allow: Arc<ClientConfig>,
    note: Arc<ClientConfig>,
}

impl Trust {
    /// The authorities built in, and the system's own: the file that `SSL_CERT_FILE` names, else
    /// the distribution's, where there is one.
    pub fn system() -> Result<Self, TrustError> {
        let mut roots = built_in();
        if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
            add(&mut roots, Path::new(&path))?;
        } else if let Some(path) = SYSTEM_FILES.iter().map(Path::new).find(|path| path.exists()) {
            // A broken bundle of the distribution leaves the authorities built in.
            if let Err(error) = add(&mut roots, path) {
                tracing::warn!(error = %crate::chain::Chain(&error), "going on without");
            }
        }
        Self::with_roots(roots)
    }

    /// The authorities built in, and those of one PEM file.
    pub fn with_authorities(path: &Path) -> Result<Self, TrustError> {
        let mut roots = built_in();
        add(&mut roots, path)?;
        Self::with_roots(roots)
    }

    fn with_roots(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = Arc::new(provider());
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(TrustError::Verifier)?;
        let settings = |rule| {
            let check = Check { authorities: Arc::clone(&authorities), rule };
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(TrustError::Setup)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(check))
                .with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            // A device connects once in days: nothing to resume, and no tickets to keep.
            config.resumption = Resumption::disabled();
            Ok(Arc::new(config))
        };
        Ok(Self {
            refuse: settings(CertificateRule::Refuse)?,
            allow: settings(CertificateRule::Allow)?,
            note: settings(CertificateRule::Note)?,
        })
    }

    /// The settings under a rule.
    pub fn settings(&self, rule: CertificateRule) -> Arc<ClientConfig> {
        Arc::clone(match rule {
            CertificateRule::Refuse => &self.refuse,
            CertificateRule::Allow => &self.allow,
            CertificateRule::Note => &self.note,
        })
    }
}

/// The hybrid key exchange first: what is recorded today must not be read in twenty years.
fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite;
    CryptoProvider {
        // SHA-256 has instructions of its own on ARMv8 and x86, SHA-384 has none: a handshake hashes
        // more than it encrypts. What counts inside is sealed with 256 bits by the inner layer.
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    }
}

fn built_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let failed = |source| TrustError::Authorities { path: path.to_path_buf(), source };
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
        found.push(certificate.map_err(failed)?);
    }
    if found.is_empty() {
        let empty = io::Error::new(io::ErrorKind::InvalidData, "no certificate in it");
        return Err(failed(rustls_pki_types::pem::Error::Io(empty)));
    }
    let (_, ignored) = roots.add_parsable_certificates(found);
    if ignored > 0 {
        tracing::debug!(path = %path.display(), ignored, "authorities of an unknown kind");
    }
    Ok(())
}

/// Checks the certificate like anybody else, and then asks the rule what a "no" means. The
/// handshake's signature is checked in any case: the peer holds the key of what it shows.
#[derive(Debug)]
struct Check {
    authorities: Arc<WebPkiServerVerifier>,
    rule: CertificateRule,
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verdict = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let host = server_name.to_str();
        match (verdict, self.rule) {
            (Ok(trusted), _) => Ok(trusted),
            (Err(error), CertificateRule::Refuse) => Err(error),
            (Err(error), CertificateRule::Allow) => {
                tracing::debug!(%host, %error, "untrusted certificate, allowed by the device key");
                Ok(ServerCertVerified::assertion())
            }
            (Err(error), CertificateRule::Note) => {
                tracing::warn!(%host, %error, "untrusted certificate; the appliance's static key decides");
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
