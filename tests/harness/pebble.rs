//! A certificate authority that somebody else wrote: pebble, with a name server that knows every name as 127.0.0.1.

use crate::authority::Authority;
use crate::process::Process;
use crate::until;
use serde_json::json;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

/// How the authority is to behave.
#[derive(Clone)]
pub struct PebbleOptions {
    /// Where it looks for HTTP-01.
    pub http_port: u16,
    /// Where it looks for TLS-ALPN-01.
    pub tls_port: u16,
    /// Seconds for which its certificates count.
    pub life: u64,
    /// Percent of good nonces that it takes for lost ones.
    pub lost_nonces: u8,
    /// A domain that it gives nothing to.
    pub refused: Option<String>,
    /// Whether its name server knows any name.
    pub names_known: bool,
}

impl PebbleOptions {
    /// Looks at these two ports; its certificates count for ninety days.
    pub fn looking_at(http: SocketAddr, https: SocketAddr) -> Self {
        Self {
            http_port: http.port(),
            tls_port: https.port(),
            life: 90 * 24 * 60 * 60,
            lost_nonces: 0,
            refused: None,
            names_known: true,
        }
    }
}

/// The running authority. Ends when it is dropped.
pub struct Pebble {
    folder: TempDir,
    address: SocketAddr,
    names: SocketAddr,
    root: String,
    processes: Vec<Process>,
}

impl Pebble {
    /// Starts it and waits until it answers.
    pub async fn start(options: &PebbleOptions) -> Self {
        let folder = TempDir::new().expect("a folder");
        let authority = Authority::new();
        let certificate = authority.issue(&["127.0.0.1"], 90);
        std::fs::write(folder.path().join("cert.pem"), certificate.chain).expect("written");
        std::fs::write(folder.path().join("key.pem"), certificate.key).expect("written");
        let root = authority.root().to_owned();
        let (address, names) = (free_port(), free_port());
        let mut pebble = Self { folder, address, names, root, processes: Vec::new() };
        pebble.start_again(options).await;
        pebble
    }

    /// Starts it at the same address, knowing nothing of its earlier life.
    pub async fn start_again(&mut self, options: &PebbleOptions) {
        self.stop().await;
        let file = |name: &str| self.folder.path().join(name);
        let config = json!({"pebble": {
            "listenAddress": self.address,
            "managementListenAddress": free_port(),
            "certificate": file("cert.pem"),
            "privateKey": file("key.pem"),
            "httpPort": options.http_port,
            "tlsPort": options.tls_port,
            "certificateValidityPeriod": options.life,
            "domainBlocklist": options.refused.iter().collect::<Vec<_>>(),
        }});
        std::fs::write(file("config.json"), config.to_string()).expect("a config file");
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv4", if options.names_known { "127.0.0.1" } else { "" }]);
        names.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-dns01", &self.names.to_string(), "-management", &free_port().to_string()]);
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(file("config.json"));
        pebble.args(["-dnsserver", &self.names.to_string()]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        pebble.env("PEBBLE_WFE_NONCEREJECT", options.lost_nonces.to_string());
        self.processes = vec![
            Process::start("pebble-challtestsrv", names, &file("names.log")),
            Process::start("pebble", pebble, &file("pebble.log")),
        ];
        for address in [self.names, self.address] {
            until("the authority listens", async || TcpStream::connect(address).await.ok()).await;
        }
    }

    /// From now on nobody answers there.
    pub async fn stop(&mut self) {
        for mut process in self.processes.drain(..) {
            process.kill().await;
        }
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// What to trust when talking to it.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// What it has printed.
    pub fn printed(&self) -> String {
        self.processes.iter().map(Process::printed).collect()
    }
}

/// A port that is free for TCP and UDP. The programs cannot choose one themselves and tell it.
fn free_port() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = tcp.local_addr().expect("its address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
