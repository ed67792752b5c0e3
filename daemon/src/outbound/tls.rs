//! The TLS that the appliance speaks as a client: 1.3 and 1.2, verified.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::error::OutboundError;

/// Bytes of extra roots.
const ROOTS_BYTES: usize = 64 * 1024;
/// Extra roots.
const ROOTS: usize = 16;

/// A client's configuration that trusts the public roots and the extra ones.
pub(super) fn config(extra_roots: Option<&str>) -> Result<Arc<ClientConfig>, OutboundError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_roots {
        for root in parse(pem)? {
            roots.add(root).map_err(|_| OutboundError::Roots)?;
        }
    }
    let begun = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    Ok(finished(begun.with_root_certificates(roots)))
}

/// A client's configuration that trusts one certificate, by its SHA-256 in hexadecimal digits, and no
/// authority.
pub(super) fn pinned(sha256: &str) -> Result<Arc<ClientConfig>, OutboundError> {
    let bytes = sha256.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let sha256 = bytes.collect::<Result<Vec<u8>, _>>().unwrap_or_default();
    let provider = Arc::new(provider());
    let pin = Arc::new(Pin { sha256, provider: Arc::clone(&provider) });
    let begun =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
    Ok(finished(begun.dangerous().with_custom_certificate_verifier(pin)))
}

/// What every client says beside whom it trusts: it has no certificate, and speaks HTTP/1.1.
fn finished(trusting: ConfigBuilder<ClientConfig, WantsClientCert>) -> Arc<ClientConfig> {
    let mut config = trusting.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The one certificate that is trusted. Who shows it has to have its key, as ever.
#[derive(Debug)]
struct Pin {
    sha256: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if digest(&SHA256, shown).as_ref() == self.sha256 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, shown, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, shown, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn parse(pem: &str) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    if pem.len() > ROOTS_BYTES {
        return Err(OutboundError::Roots);
    }
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let roots = roots.map_err(|_| OutboundError::Roots)?;
    let some = (1..=ROOTS).contains(&roots.len());
    if some { Ok(roots) } else { Err(OutboundError::Roots) }
}

/// The library, and key exchange in our order: hybrid post-quantum first. All of its suites have
/// forward secrecy and an authenticated cipher. The appliance's own ports begin with the same.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..default_provider()
    }
}
