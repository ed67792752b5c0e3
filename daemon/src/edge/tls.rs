//! What TLS the appliance speaks: 1.3 and 1.2, ephemeral key exchange and authenticated ciphers only.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};

use super::certificate::{CHALLENGE, Certificates};
use crate::outbound;

/// HTTP/2 and HTTP/1.1, for browsers.
const HTTP: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// HTTP/1.1 alone, for devices: an upgrade to WebSocket is HTTP/1.1.
const UPGRADES: [&[u8]; 1] = [b"http/1.1"];

/// Everything with forward secrecy and an authenticated cipher, nothing else. Key exchange is by
/// the server's preference: hybrid post-quantum first.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        ..outbound::provider()
    }
}

/// Draws the first random byte of this process, and throws it away: aws-lc gathers entropy for it
/// for some tens of milliseconds, which may pass while the store is opened. Blocks.
pub(crate) fn gather_entropy() {
    if provider().secure_random.fill(&mut [0]).is_err() {
        tracing::warn!("the system gave no random numbers at the start");
    }
}

/// How TLS is spoken, by whom it is spoken with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Policy {
    people: Arc<ServerConfig>,
    devices: Arc<ServerConfig>,
    /// For a CA that looks into TLS itself (TLS-ALPN-01).
    challenge: Arc<ServerConfig>,
    certificates: Certificates,
}

impl Policy {
    pub(super) fn new(certificates: &Certificates) -> Result<Self, rustls::Error> {
        let people = config(certificates.resolver(), &HTTP)?;
        let challenge = config(certificates.resolver(), &[CHALLENGE])?;
        let mut devices = config(certificates.resolver(), &UPGRADES)?;
        // A device opens one connection and keeps it: a ticket to come back costs both sides an
        // encryption and a packet, and is never used.
        devices.send_tls13_tickets = 0;
        Ok(Self {
            people: Arc::new(people),
            devices: Arc::new(devices),
            challenge: Arc::new(challenge),
            certificates: certificates.clone(),
        })
    }

    /// The configuration for who opened with this hello. Browsers offer HTTP/2, tools offer
    /// nothing; HTTP/1.1 alone is what a device offers.
    pub(super) fn for_hello(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let offered: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        if offered == [CHALLENGE] && self.certificates.awaits_tls_challenge() {
            return Arc::clone(&self.challenge);
        }
        Arc::clone(if offered == UPGRADES { &self.devices } else { &self.people })
    }
}

/// Sessions resume by tickets that the peer keeps, so that ten thousand connections leave nothing
/// in memory here.
fn config(
    resolver: Arc<dyn ResolvesServerCert>,
    protocols: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Ticketer::new()?;
    Ok(config)
}
