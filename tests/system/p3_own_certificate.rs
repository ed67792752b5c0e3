//! The owner's own certificate: made by OpenSSL as owners make them, given in every wrong way, in files, over a restart.

use aerie_tests::{Appliance, ApplianceOptions, Authority, Client, LiveSocket, Owner, until};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What a small provider's own authority has lying around.
struct Papers(TempDir);

impl Papers {
    fn new() -> Self {
        let papers = Self(TempDir::new().expect("a folder"));
        let subject = ["-subj", "/CN=Lake Orta Root", "-days", "3650", "-nodes"];
        papers.openssl(
            &[
                &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
                &subject[..],
                &["-keyout", "root.key", "-out", "root.pem"],
            ]
            .concat(),
        );
        papers.issue("box", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], 365);
        papers
    }

    fn issue(&self, name: &str, key: &[&str], days: i32) {
        let (keyfile, request) = (format!("{name}.key"), format!("{name}.csr"));
        let to = ["-nodes", "-keyout", &keyfile, "-out", &request, "-subj", "/CN=box.example"];
        self.openssl(&[&["req", "-new"], key, &to].concat());
        std::fs::write(self.path("names"), "subjectAltName=DNS:box.example,DNS:localhost")
            .expect("written");
        let days = days.to_string();
        let out = format!("{name}.pem");
        self.openssl(&[
            "x509", "-req", "-in", &request, "-CA", "root.pem", "-CAkey", "root.key", "-days",
            &days, "-extfile", "names", "-out", &out,
        ]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(self.0.path()).output();
        let done = done.expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    fn body(&self, chain: &str, key: &str) -> Value {
        json!({"chain": self.text(chain), "key": self.text(key)})
    }

    /// Whether a client that knows the root alone is content.
    async fn trusts(
        &self,
        appliance: &Appliance,
        config: ClientConfig,
    ) -> Result<(), std::io::Error> {
        let tcp = TcpStream::connect(appliance.https()).await?;
        let name = ServerName::try_from("box.example").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map(drop)
    }

    fn client(&self, provider: rustls::crypto::CryptoProvider) -> ClientConfig {
        use rustls::pki_types::pem::PemObject;
        let root = rustls::pki_types::CertificateDer::from_pem_file(self.path("root.pem"));
        let mut roots = RootCertStore::empty();
        roots.add(root.expect("a certificate")).expect("a root");
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

async fn certificate(owner: &Owner) -> Value {
    owner.client.get("/nms/certificate").await.expect(200).json()
}

async fn closed(http: SocketAddr) {
    until("plain HTTP is closed", async || TcpStream::connect(http).await.err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_an_uploaded_certificate_is_shown_at_once_closes_port_80_and_stays_over_a_restart() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let papers = Papers::new();
    let http = appliance.http();
    let mut live = LiveSocket::open(&owner).await;
    live.next_of("hello").await;
    let trusted = || papers.client(rustls::crypto::aws_lc_rs::default_provider());
    papers.trusts(&appliance, trusted()).await.expect_err("it is self-signed");
    let body = papers.body("box.pem", "box.key");
    let verdict = owner.client.post("/nms/certificate/own/check", body.clone()).await.expect(200);
    assert_eq!(verdict.json()["shown"][0]["names"], json!(["box.example", "localhost"]));
    let shown = owner.client.put("/nms/certificate/own", body).await.expect(200).json();
    assert_eq!((&shown["mode"], &shown["own"]["source"]), (&json!("own"), &json!("upload")));
    papers.trusts(&appliance, trusted()).await.expect("a client that knows the root is content");
    closed(http).await;
    assert_eq!(certificate(&owner).await["port80"]["open"], false);
    owner.site("Somewhere").await;
    live.next_of("site").await;

    appliance.terminate().await;
    appliance.start_again().await;
    papers.trusts(&appliance, trusted()).await.expect("after a restart, too");
    closed(http).await;
    let owner = appliance.log_in().await;
    owner.client.put("/nms/certificate/self-signed", json!({})).await.expect(200);
    papers.trusts(&appliance, trusted()).await.expect_err("it is self-signed again");
    until("plain HTTP is open again", async || TcpStream::connect(http).await.ok()).await;
}

/// What owners give by mistake, and what they are told.
fn wrong_uploads(papers: &Papers) -> Vec<(Value, &'static str)> {
    vec![
        (papers.body("past.pem", "past.key"), "expired on"),
        (papers.body("box.pem", "past.key"), "none of the certificates"),
        (papers.body("box.pem", "locked.key"), "openssl pkey"),
        (papers.body("past.pem", "old.key"), "openssl pkey"),
        (papers.body("box.pem", "box.pem"), "no private key"),
        (papers.body("box.key", "box.key"), "no certificate"),
        (papers.body("root.pem", "root.key"), "names no host name"),
        (
            json!({"chain": String::from_utf8_lossy(&std::fs::read(papers.path("box.der")).expect("a file")),
            "key": papers.text("box.key")}),
            "no certificate",
        ),
        (json!({"chain": "", "key": ""}), "no certificate"),
        (json!({"chain": papers.text("box.pem")}), "key"),
        (
            json!({"chain": papers.text("box.pem"), "key": papers.text("box.key"), "rsaKey": "x"}),
            "needs its",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_whatever_is_wrong_with_an_upload_is_said_and_changes_nothing() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let papers = Papers::new();
    papers.issue("past", &["-newkey", "rsa:2048"], -1);
    papers.issue("short", &["-newkey", "rsa:1024"], 365);
    papers.openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        "box.key",
        "-out",
        "locked.key",
        "-passout",
        "pass:x",
    ]);
    papers.openssl(&[
        "rsa",
        "-aes128",
        "-in",
        "past.key",
        "-out",
        "old.key",
        "-passout",
        "pass:x",
        "-traditional",
    ]);
    papers.openssl(&["x509", "-in", "box.pem", "-outform", "der", "-out", "box.der"]);
    owner.client.put("/nms/certificate/own", papers.body("box.pem", "box.key")).await.expect(200);
    let before = appliance.client().shown_certificate().await;
    for (body, reason) in wrong_uploads(&papers) {
        let refused = owner.client.put("/nms/certificate/own", body.clone()).await.expect(400);
        let told = refused.json()["message"].as_str().expect("a sentence").to_owned();
        assert!(told.contains(reason), "{reason}: {told}");
        owner.client.post("/nms/certificate/own/check", body).await.expect(400);
        assert_eq!(appliance.client().shown_certificate().await, before, "{reason}");
    }
    let weak = papers.body("short.pem", "short.key");
    owner.client.put("/nms/certificate/own", weak).await.expect(400);
    let long = json!({"chain": "x".repeat(100_000), "key": ""});
    owner.client.put("/nms/certificate/own", long).await.expect(413);
    assert_eq!(appliance.client().shown_certificate().await, before);
    assert_eq!(certificate(&owner).await["mode"], "own");
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_files_at_install_are_shown_from_the_first_start_and_followed() {
    let papers = Papers::new();
    let more_config = format!(
        "[certificate]\nchain = {:?}\nkey = {:?}\n",
        papers.path("chain.pem"),
        papers.path("chain.key")
    );
    let put = |name: &str| {
        let copy = |from: String, to: &str| {
            std::fs::write(papers.path("new"), papers.text(&from)).expect("written");
            std::fs::rename(papers.path("new"), papers.path(to)).expect("moved");
        };
        copy(format!("{name}.key"), "chain.key");
        copy(format!("{name}.pem"), "chain.pem");
    };
    put("box");
    let options = ApplianceOptions { more_config, ..ApplianceOptions::default() };
    let appliance = Appliance::start_with(options).await;
    let client = || papers.client(rustls::crypto::aws_lc_rs::default_provider());
    papers.trusts(&appliance, client()).await.expect("from the first start");
    let owner = appliance.set_up().await;
    let shown = certificate(&owner).await;
    assert_eq!(
        (&shown["own"]["source"], &shown["own"]["fileError"]),
        (&json!("file"), &Value::Null)
    );
    assert_eq!(shown["port80"]["open"], false);
    let first = appliance.client().shown_certificate().await;
    papers.issue("next", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"], 20);
    put("next");
    let second = until("the new files are shown", async || {
        let shown = appliance.client().shown_certificate().await;
        (shown != first).then_some(shown)
    })
    .await;
    owner.logged("files have changed").await;
    owner.logged("expires within 30 days").await;
    std::fs::write(papers.path("chain.pem"), "nothing").expect("written");
    owner.logged("cannot be used: There is no certificate").await;
    assert_eq!(appliance.client().shown_certificate().await, second);
    let other = json!({"chainFile": papers.path("box.pem"), "keyFile": papers.path("nowhere")});
    let refused = owner.client.put("/nms/certificate/own-files", other).await.expect(400);
    assert!(refused.text().contains("nowhere"), "{}", refused.text());
    let other = json!({"chainFile": papers.path("box.pem"), "keyFile": papers.path("box.key")});
    owner.client.put("/nms/certificate/own-files", other).await.expect(200);
    assert_eq!(appliance.client().shown_certificate().await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_an_rsa_certificate_beside_serves_those_who_know_no_other() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let papers = Papers::new();
    papers.issue("old", &["-newkey", "rsa:2048"], 365);
    let mut body = papers.body("box.pem", "box.key");
    body["rsaChain"] = json!(papers.text("old.pem"));
    body["rsaKey"] = json!(papers.text("old.key"));
    let shown = owner.client.put("/nms/certificate/own", body.clone()).await.expect(200).json();
    let kinds = [&shown["shown"][0]["key"], &shown["shown"][1]["key"]];
    assert_eq!(kinds, [&json!("ECDSA P-256"), &json!("RSA 2048")]);
    let all = rustls::crypto::aws_lc_rs::default_provider();
    for wanted in ["ECDHE_ECDSA", "ECDHE_RSA"] {
        let mut provider = all.clone();
        provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains(wanted));
        papers.trusts(&appliance, papers.client(provider)).await.expect(wanted);
    }
    let swapped = json!({
        "chain": body["rsaChain"], "key": body["rsaKey"],
        "rsaChain": body["chain"], "rsaKey": body["key"],
    });
    owner.client.put("/nms/certificate/own", swapped).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_stranger_neither_sees_nor_changes_the_certificate() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let stranger = Client::new(appliance.https());
    for path in ["self-signed", "acme", "own", "own-files"] {
        stranger.put(&format!("/nms/certificate/{path}"), json!({})).await.expect(401);
    }
    stranger.get("/nms/certificate").await.expect(401);
    stranger.put("/nms/outbound", json!({"allowed": []})).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_ports_change_though_another_program_has_taken_the_closed_plain_port() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let certificate = Authority::new().issue(&["localhost"], 90);
    appliance.use_certificate(&owner, &certificate).await;
    let plain = appliance.http();
    let another = until("the plain port is free", async || TcpListener::bind(plain).ok()).await;
    let mut wanted = owner.client.get("/nms/ports").await.expect(200).json()["applied"].clone();
    wanted["inform"] = json!(["127.0.0.1:0"]);
    let changed = owner.client.put("/nms/ports", wanted).await.expect(200).json();
    let listeners = changed["ports"]["listeners"].as_array().expect("a list").clone();
    let shown = listeners.iter().find(|one| one["purpose"] == "http").expect("it is shown");
    assert_eq!(shown["state"], "closed");
    drop(another);
}
