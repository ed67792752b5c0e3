//! TLS handshakes a second and core, beside Debian's nginx in the same run.

use crate::figures::Figures;
use crate::{per_second, say, thousands};
use aerie_tests::{Appliance, Nginx, accept_any_certificate_with};
use rustls::client::Resumption;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, NamedGroup};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// How long each kind of handshake is repeated.
const TIME: Duration = Duration::from_secs(5);
/// Clients at once.
const CLIENTS: usize = 8;

/// Measures all kinds on the appliance and on nginx, where there is one, which take turns.
pub(crate) async fn measure(appliance: &mut Appliance, figures: &mut Figures) {
    let nginx =
        if Nginx::is_here() { Some(Nginx::start("", "return 200 ok;").await) } else { None };
    let address = appliance.https();
    for (group, called) in
        [(kx_group::X25519MLKEM768, "X25519MLKEM768"), (kx_group::X25519, "X25519")]
    {
        for (kind, which) in [(HandshakeKind::Full, "full"), (HandshakeKind::Resumed, "resumed")] {
            say(&format!("{which} handshakes, {called}"));
            let process = appliance.process();
            let ours = rate(address, group, kind, || process.processor_time()).await;
            let theirs = match &nginx {
                Some(nginx) => {
                    rate(nginx.address(), group, kind, || nginx.process().processor_time()).await
                }
                None => None,
            };
            let what =
                format!("{which} TLS 1.3 handshakes per second and core, {called}, ECDSA P-256");
            let aim = match theirs {
                Some(theirs) => format!("nginx's {} or more", thousands(theirs)),
                None => "nginx here cannot".to_owned(),
            };
            figures.add(&what, ours.map_or_else(|| "none".to_owned(), thousands), &aim);
        }
    }
}

/// Handshakes by the server's processor seconds; nothing where the server does not speak this key exchange.
async fn rate(
    to: SocketAddr,
    group: &'static dyn SupportedKxGroup,
    kind: HandshakeKind,
    spent: impl Fn() -> Duration,
) -> Option<u64> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let client = Client::new(to, group, kind);
        // The first one brings the ticket for the next.
        assert_eq!(client.handshake().await?, (group.name(), HandshakeKind::Full));
        clients.push(client);
    }
    let before = spent();
    let deadline = Instant::now() + TIME;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(async move {
            let mut done = 0;
            while Instant::now() < deadline {
                let made = client.handshake().await.expect("a handshake");
                assert_eq!(made, (client.group.name(), kind));
                done += 1;
            }
            done
        });
    }
    let done: u64 = tasks.join_all().await.into_iter().sum();
    Some(per_second(done, spent().saturating_sub(before)))
}

/// One client after the other, each with the ticket of the one before where sessions are to be resumed.
struct Client {
    to: SocketAddr,
    group: &'static dyn SupportedKxGroup,
    connector: TlsConnector,
}

impl Client {
    fn new(to: SocketAddr, group: &'static dyn SupportedKxGroup, kind: HandshakeKind) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![group];
        let mut config = accept_any_certificate_with(provider);
        if kind == HandshakeKind::Full {
            config.resumption = Resumption::disabled();
        }
        Self { to, group, connector: TlsConnector::from(Arc::new(config)) }
    }

    /// Connects, shakes hands, says goodbye and waits for the server's end, so that the server is done as well and
    /// its ticket has come.
    async fn handshake(&self) -> Option<(NamedGroup, HandshakeKind)> {
        let tcp = TcpStream::connect(self.to).await.ok()?;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = self.connector.connect(name, tcp).await.ok()?;
        let connection = stream.get_ref().1;
        let group = connection.negotiated_key_exchange_group()?.name();
        let kind = connection.handshake_kind()?;
        stream.shutdown().await.ok()?;
        // nginx ends without a goodbye, which is an error to rustls and none here.
        drop(stream.read_to_end(&mut Vec::new()).await);
        Some((group, kind))
    }
}
