//! Debian's nginx, unpacked below `.tools`: what people put in front of a server, and what ours is compared with.

use crate::interceptor::self_signed_pem;
use crate::process::Process;
use crate::tool::tool;
use crate::{until, user_name};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

/// A single nginx process, which works as one worker does, with a certificate like the appliance's own. Ends when it
/// is dropped.
pub struct Nginx {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

/// Where it is unpacked.
const PROGRAM: &str = ".tools/nginx/usr/sbin/nginx";

impl Nginx {
    /// Whether this machine has it.
    pub fn is_here() -> bool {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PROGRAM).exists()
    }

    /// Starts with `http` in the block `http` and `location` in the server's only location.
    pub async fn start(http: &str, location: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let (certificate, key) = self_signed_pem();
        std::fs::write(folder.path().join("cert.pem"), certificate).expect("a file");
        std::fs::write(folder.path().join("key.pem"), key).expect("a file");
        // nginx does not tell which port it got, so one is chosen for it.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let configuration = configuration(folder.path(), address, http, location);
        std::fs::write(folder.path().join("nginx.conf"), configuration).expect("a file");
        let mut command = Command::new(tool(PROGRAM));
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = Process::start("nginx", command, &folder.path().join("nginx.log"));
        until("nginx listens", async || TcpStream::connect(address).await.ok()).await;
        Self { address, process, _folder: folder }
    }

    /// Where it listens, with TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn configuration(folder: &Path, address: SocketAddr, http: &str, location: &str) -> String {
    let folder = folder.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "user {user};\ndaemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n{paths}    access_log off;\n    {http}\n    server {{\n\
         \x20       listen {address} ssl http2;\n        ssl_certificate cert.pem;\n\
         \x20       ssl_certificate_key key.pem;\n        ssl_protocols TLSv1.2 TLSv1.3;\n\
         \x20       location / {{ {location} }}\n    }}\n}}\n",
        user = user_name()
    )
}
