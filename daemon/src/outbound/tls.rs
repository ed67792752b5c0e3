//! The TLS that the appliance speaks as a client: 1.3 and 1.2, verified.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

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
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
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
        ..aws_lc_rs::default_provider()
    }
}
