//! TLS handshakes a second and core, beside Debian's nginx in the same run.

use crate::figures::Figures;
use crate::{per_second, say, thousands};
use aerie_tests::{
    Appliance, Process, accept_any_certificate_with, self_signed_pem, tool, until, user_name,
};
use rustls::client::Resumption;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, NamedGroup};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// How long each kind of handshake is repeated.
const TIME: Duration = Duration::from_secs(5);
/// Clients at once.
const CLIENTS: usize = 8;

/// Measures all kinds on the appliance and on nginx, which take turns.
pub(crate) async fn measure(appliance: &mut Appliance, figures: &mut Figures) {
    let nginx = Nginx::start().await;
    let address = appliance.https();
    for (group, called) in
        [(kx_group::X25519MLKEM768, "X25519MLKEM768"), (kx_group::X25519, "X25519")]
    {
        for (kind, which) in [(HandshakeKind::Full, "full"), (HandshakeKind::Resumed, "resumed")] {
            say(&format!("{which} handshakes, {called}"));
            let process = appliance.process();
            let ours = rate(address, group, kind, || process.processor_time()).await;
            let nginx_spent = || nginx.process.processor_time();
            let theirs = rate(nginx.address, group, kind, nginx_spent).await;
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

/// Debian's nginx as a single process, which works as one worker does, with a certificate like the appliance's own.
struct Nginx {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Nginx {
    async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let (certificate, key) = self_signed_pem();
        std::fs::write(folder.path().join("cert.pem"), certificate).expect("a file");
        std::fs::write(folder.path().join("key.pem"), key).expect("a file");
        // nginx does not tell which port it got, so one is chosen for it.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        std::fs::write(folder.path().join("nginx.conf"), configuration(folder.path(), address))
            .expect("a file");
        let mut command = Command::new(tool(".tools/nginx/usr/sbin/nginx"));
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = Process::start("nginx", command, &folder.path().join("nginx.log"));
        until("nginx listens", async || TcpStream::connect(address).await.ok()).await;
        Self { address, process, _folder: folder }
    }
}

fn configuration(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "user {user};\ndaemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n{paths}    access_log off;\n    server {{\n\
         \x20       listen {address} ssl http2;\n        ssl_certificate cert.pem;\n\
         \x20       ssl_certificate_key key.pem;\n        ssl_protocols TLSv1.2 TLSv1.3;\n\
         \x20       location / {{ return 200 ok; }}\n    }}\n}}\n",
        user = user_name()
    )
}
