//! The outer layer for real: TCP, TLS, certificates.

use std::{fs, sync::Arc};

use aerie_agent::{
    Agent,
    connect::{ConnectError, Dial as _, TlsDialer},
    host::LinuxHost,
    policy::Policy,
    state::{Known, State},
    trust::{CertificateRule, Trust},
};
use aerie_protocol::key::DeviceKey;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign,
};
use rustls_pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::appliance::Appliance;

/// A TLS server on a free port of this machine.
pub(crate) struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    certificate_pem: String,
}

impl Server {
    pub(crate) async fn new() -> Self {
        let certified = certificate();
        let key = certified.signing_key.serialize_der();
        Self::with_key(&certified, key).await
    }

    /// A server that shows a certificate and signs with any key.
    async fn with_key(certified: &CertifiedKey<KeyPair>, key: Vec<u8>) -> Self {
        let key = PrivateKeyDer::try_from(key).unwrap();
        let signing = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let shown = sign::CertifiedKey::new(vec![certified.cert.der().clone()], signing);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(Arc::new(shown))));
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate_pem: certified.cert.pem(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (tcp, _) = self.listener.accept().await.unwrap();
        self.acceptor.accept(tcp).await
    }

    /// One connect under a rule: what became of it on the device.
    async fn dialled_under(
        &self,
        trust: &Trust,
        rule: CertificateRule,
    ) -> Result<(), ConnectError> {
        let mut dialer = TlsDialer::new(trust.clone());
        let (dialled, _) = tokio::join!(dialer.dial("127.0.0.1", self.port(), rule), self.accept());
        dialled.map(drop)
    }
}

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap()
}

#[derive(Debug)]
struct Always(Arc<sign::CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn d2_an_untrusted_certificate_is_refused_at_first_contact_unless_the_key_allows_it() {
    let server = Server::new().await;
    let trust = Trust::system().unwrap();
    let refused = server.dialled_under(&trust, CertificateRule::Refuse).await;
    assert!(matches!(refused, Err(ConnectError::Tls(_))), "{refused:?}");
    server.dialled_under(&trust, CertificateRule::Allow).await.unwrap();
}

#[tokio::test]
async fn a_lapsed_certificate_never_orphans_an_enrolled_device() {
    let server = Server::new().await;
    server.dialled_under(&Trust::system().unwrap(), CertificateRule::Note).await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_a_known_authority_is_trusted() {
    let server = Server::new().await;
    let folder = tempfile::tempdir().unwrap();
    let authorities = folder.path().join("authorities.pem");
    fs::write(&authorities, &server.certificate_pem).unwrap();
    let trust = Trust::with_authorities(&authorities).unwrap();
    server.dialled_under(&trust, CertificateRule::Refuse).await.unwrap();
    // For its own name only.
    let mut dialer = TlsDialer::new(trust);
    let (other, _) = tokio::join!(
        dialer.dial("localhost", server.port(), CertificateRule::Refuse),
        server.accept()
    );
    assert!(matches!(other, Err(ConnectError::Tls(_))));
}

#[tokio::test]
async fn a_file_without_authorities_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    assert!(Trust::with_authorities(&empty).is_err(), "it is not there");
    fs::write(&empty, "no certificate\n").unwrap();
    assert!(Trust::with_authorities(&empty).is_err());
}

#[tokio::test]
async fn whoever_shows_a_certificate_must_hold_its_key() {
    let certified = certificate();
    let other = KeyPair::generate().unwrap().serialize_der();
    let server = Server::with_key(&certified, other).await;
    let trust = Trust::system().unwrap();
    for rule in [CertificateRule::Refuse, CertificateRule::Allow, CertificateRule::Note] {
        let refused = server.dialled_under(&trust, rule).await;
        assert!(matches!(refused, Err(ConnectError::Tls(_))), "{rule:?}");
    }
}

#[tokio::test]
async fn the_key_exchange_is_safe_from_tomorrows_computers() {
    let server = Server::new().await;
    let mut dialer = TlsDialer::new(Trust::system().unwrap());
    let (dialled, accepted) = tokio::join!(
        dialer.dial("127.0.0.1", server.port(), CertificateRule::Allow),
        server.accept()
    );
    dialled.unwrap();
    let accepted = accepted.unwrap();
    let group = accepted.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn d1_a_real_machine_enrols_over_real_tls() {
    let server = Server::new().await;
    let appliance = Appliance::new();
    let key = DeviceKey {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        allow_untrusted: true,
        ..appliance.key()
    };
    let state = State::in_memory(Known { key: Some(key), ..Known::fresh().unwrap() });
    let stop = CancellationToken::new();
    let dialer = TlsDialer::new(Trust::system().unwrap());
    let mut agent = Agent::new(LinuxHost::new(Policy::default()), dialer, state);
    let serving = async {
        let mut peer = Box::pin(appliance.welcome(server.accept().await.unwrap())).await;
        peer.enrol("real").await;
        drop(peer);
        let mut peer = Box::pin(appliance.welcome(server.accept().await.unwrap())).await;
        assert!(!peer.first_contact);
        let before = peer.settle(1).await;
        assert_eq!(before.len(), 1, "a status comes with the connect: {before:?}");
        stop.cancel();
        while peer.next().await.is_some() {}
    };
    tokio::join!(agent.run(&stop), serving);
    assert_eq!(agent.state().known().enrolment.as_ref().unwrap().name, "real");
}
