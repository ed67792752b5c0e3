//! The room against servers of its own: what is not reached, not followed, not believed.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Gives prepared addresses, one set a question.
#[derive(Default)]
struct Prepared(Mutex<VecDeque<Vec<SocketAddr>>>);

impl Prepared {
    fn new(answers: &[&[&str]]) -> Self {
        let parse = |set: &&[&str]| set.iter().map(|text| text.parse().unwrap()).collect();
        Self(Mutex::new(answers.iter().map(parse).collect()))
    }
}

impl Resolve for Prepared {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        let next = self.0.lock().unwrap().pop_front();
        Box::pin(async move { next.ok_or_else(|| std::io::ErrorKind::NotFound.into()) })
    }
}

async fn outbound(answers: &[&[&str]], allowed: &[&str]) -> Outbound {
    let store = Store::memory().unwrap();
    let outbound = Outbound::with_resolver(&store, Prepared::new(answers)).await.unwrap();
    let allowed: Vec<String> = allowed.iter().map(|&text| text.to_owned()).collect();
    outbound.allow(&allowed, |_| Ok(())).await.unwrap();
    outbound
}

/// A server that gives one answer to whoever asks, and what its root is.
struct Server {
    address: SocketAddr,
    root: String,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start(name: &str, answer: &'static str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_key = KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = Issuer::from_params(&params, &root_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, acceptor, answer, Arc::clone(&asked)));
        Self { address, root: root.pem(), asked, _serving: serving }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/here?x=1", self.address.port())
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answer: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
        let mut head = Vec::new();
        let mut byte = [0; 1];
        while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
            head.push(byte[0]);
        }
        asked.lock().unwrap().push(String::from_utf8(head).unwrap());
        stream.write_all(answer.as_bytes()).await.ok();
        if answer.is_empty() {
            // Says nothing, and stays.
            std::future::pending::<()>().await;
        }
        stream.shutdown().await.ok();
    }
}

const OWN: &[&str] = &["127.0.0.1/32"];

async fn get(outbound: &Outbound, url: &str, root: Option<&str>) -> Result<Answer, OutboundError> {
    outbound.fetch(Ask::get(url, outbound.tls(root)?)).await
}

#[tokio::test]
async fn p7_a_request_goes_over_verified_tls_and_a_redirect_is_an_answer() {
    let answer =
        "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/else\r\nContent-Length: 4\r\n\r\nbody";
    let server = Server::start("ca.example", answer).await;
    let there = server.address.to_string();
    let outbound = outbound(&[&[there.as_str()]], OWN).await;
    let url = server.url("ca.example");
    let answer = get(&outbound, &url, Some(&server.root)).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (302, &b"body"[..]));
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "it was asked once and not followed: {asked:?}");
    assert!(asked[0].starts_with("GET /here?x=1 HTTP/1.1\r\n"), "{asked:?}");
    let host = format!("host: ca.example:{}\r\n", server.address.port());
    assert!(asked[0].contains(&host), "{asked:?}");
}

#[tokio::test]
async fn p7_a_certificate_that_nobody_vouches_for_or_of_another_name_is_refused() {
    let server = Server::start("ca.example", "HTTP/1.1 200 OK\r\n\r\n").await;
    let there = server.address.to_string();
    let again: &[&str] = &[&there];
    let outbound = outbound(&[again, again], OWN).await;
    let refused = get(&outbound, &server.url("ca.example"), None).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Certificate(..)), "{refused:?}");
    let refused = get(&outbound, &server.url("other.example"), Some(&server.root)).await;
    assert!(matches!(refused.unwrap_err(), OutboundError::Certificate(..)));
    assert!(server.asked.lock().unwrap().is_empty(), "nothing was said to it");
    for bad in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(outbound.tls(Some(bad)), Err(OutboundError::Roots)), "{bad:?}");
    }
}

#[tokio::test]
async fn p7_the_address_that_was_checked_is_the_one_that_is_asked() {
    let server = Server::start("ca.example", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let there = server.address.to_string();
    // The second answer would lead to where cloud machines keep their secrets.
    let outbound = outbound(&[&[&there], &["169.254.169.254:443"]], OWN).await;
    let url = server.url("ca.example");
    let answer = get(&outbound, &url, Some(&server.root)).await.unwrap();
    assert_eq!(answer.status, http::StatusCode::OK);
    let refused = get(&outbound, &url, Some(&server.root)).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Denied { .. }), "{refused:?}");
}

#[tokio::test]
async fn p7_one_address_that_is_denied_denies_the_name() {
    for denied in ["10.0.0.1:443", "[::ffff:127.0.0.1]:443", "[fd00::1]:443", "0.0.0.0:443"] {
        let outbound = outbound(&[&["198.51.100.1:443", denied]], &[]).await;
        let refused = outbound.check("https://ca.example/").await.unwrap_err();
        assert!(matches!(refused, OutboundError::Denied { .. }), "{denied}: {refused:?}");
    }
}

#[tokio::test]
async fn p7_private_networks_open_by_an_admins_word_and_own_addresses_by_name_alone() {
    let outbound = outbound(&[], &["10.1.2.0/24", "::1/128"]).await;
    let check = async |url: &str| outbound.check(url).await.map(|target| target.addresses);
    assert_eq!(check("https://10.1.2.3/").await.unwrap(), ["10.1.2.3:443".parse().unwrap()]);
    assert_eq!(check("https://[::1]:444/").await.unwrap(), ["[::1]:444".parse().unwrap()]);
    for denied in ["10.1.3.3", "127.0.0.1", "192.168.0.1", "169.254.169.254", "[fe80::1]"] {
        let refused = check(&format!("https://{denied}/")).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Denied { .. }), "{denied}: {refused:?}");
    }
    let own = own_addresses().into_iter().find(|own| own.is_ipv4() && !own.is_loopback());
    if let Some(own) = own {
        let wide = format!("{own}/32");
        assert!(matches!(
            check(&format!("https://{own}/")).await,
            Err(OutboundError::Denied { .. })
        ));
        outbound.allow(&[wide], |_| Ok(())).await.unwrap();
        outbound.check(&format!("https://{own}/")).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_allowed_stays_over_a_restart_and_a_bad_list_changes_nothing() {
    let store = Store::memory().unwrap();
    let outbound = Outbound::load(&store).await.unwrap();
    outbound.allow(&["10.1.2.0/24".to_owned()], |_| Ok(())).await.unwrap();
    let bad = ["10.0.0.0/8".to_owned(), "10.1.2.3/24".to_owned()];
    outbound.allow(&bad, |_| Ok(())).await.unwrap_err();
    for outbound in [outbound, Outbound::load(&store).await.unwrap()] {
        assert_eq!(outbound.allowed(), [Network::parse("10.1.2.0/24").unwrap()]);
    }
}

#[tokio::test]
async fn p7_only_https_addresses_are_asked() {
    let outbound = outbound(&[], &[]).await;
    let long = format!("https://a.example/{}", "a".repeat(URL_BYTES));
    for bad in [
        "http://a.example/",
        "ftp://a.example/",
        "a.example",
        "/path",
        "",
        "https:///x",
        "https://user:secret@a.example/",
        "https://a.example:0/",
        "https://a.example:65536/",
        &long,
    ] {
        let refused = outbound.check(bad).await.unwrap_err();
        assert!(matches!(refused, OutboundError::NoHttps(_)), "{bad}: {refused:?}");
    }
    let refused = outbound.check("https://nowhere.example/").await.unwrap_err();
    assert!(matches!(refused, OutboundError::NotFound(..)), "{refused:?}");
}

#[tokio::test]
async fn p7_answers_are_bounded_in_bytes_and_time() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let server = Server::start(
        "ca.example",
        Box::leak((long.to_owned() + &"x".repeat(100_000)).into_boxed_str()),
    )
    .await;
    let there = server.address.to_string();
    let outbound_ = outbound(&[&[&there]], OWN).await;
    let refused = get(&outbound_, &server.url("ca.example"), Some(&server.root)).await;
    assert!(matches!(refused.unwrap_err(), OutboundError::TooLong(..)));

    let silent = Server::start("ca.example", "").await;
    let there = silent.address.to_string();
    let outbound_ = outbound(&[&[&there]], OWN).await;
    let url = silent.url("ca.example");
    let mut ask = Ask::get(&url, outbound_.tls(Some(&silent.root)).unwrap());
    ask.time = Duration::from_millis(300);
    let refused = outbound_.fetch(ask).await.unwrap_err();
    assert!(matches!(refused, OutboundError::TooSlow { .. }), "{refused:?}");
}

#[tokio::test]
async fn who_takes_no_connection_or_speaks_no_tls_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let outbound = outbound(&[], OWN).await;
    let url = format!("https://{address}/");
    let speak = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        tcp.read_to_end(&mut Vec::new()).await.ok();
    };
    let (refused, ()) = tokio::join!(get(&outbound, &url, None), speak);
    assert!(matches!(refused.unwrap_err(), OutboundError::Tls(..)));
    drop(listener);
    let refused = get(&outbound, &url, None).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Connect { .. }), "{refused:?}");
}
