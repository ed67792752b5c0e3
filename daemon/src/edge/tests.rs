//! The front door over real TCP and TLS, with real rooms behind it.

mod knocks;
mod moving;
mod slow;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::WebSocketUpgrade;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::{SinkExt, StreamExt};
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::devices::connection_key::ConnectionKeys;
use crate::devices::events::{Events, Query};
use crate::devices::{Ground, Tuning};
use crate::outbound::Outbound;
use crate::seal::Seal;
use crate::store::Store;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(30);

const KNOCK: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A front door with everything behind it.
struct House {
    ports: Ports,
    devices: Devices,
    certificates: Certificates,
    accepting: Accepting,
    supervisor: Supervisor,
    store: Store,
    data: tempfile::TempDir,
}

fn config(data: &Path, separate: bool) -> Config {
    let mut config = Config { data_dir: data.to_owned(), ..Config::default() };
    let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    config.http.listen = vec![anywhere];
    config.https.listen = vec![anywhere, "[::1]:0".parse().unwrap()];
    config.inform = separate.then(|| crate::config::Inform { listen: vec![anywhere] });
    config
}

fn router() -> Router {
    async fn who(Extension(peer): Extension<Peer>, Extension(id): Extension<RequestId>) -> String {
        format!("{} {id}", peer.0.ip())
    }
    async fn echo(body: String) -> String {
        body
    }
    async fn socket(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket| {
            let heard = socket.recv().await.unwrap().unwrap();
            socket.send(heard).await.unwrap();
        })
    }
    Router::new()
        .route("/nms/ws", get(socket))
        .route("/", get(|| async { "the GUI" }))
        .route("/who", get(who))
        .route("/echo", post(echo))
}

async fn house(separate: bool) -> House {
    house_with(separate, Tuning::default()).await
}

async fn house_with(separate: bool, tuning: Tuning) -> House {
    let data = tempfile::tempdir().unwrap();
    let (store, clock) = (Store::memory().unwrap(), Clock::system());
    let seal = Seal::open(data.path()).unwrap();
    let supervisor = Supervisor::new();
    let keys = ConnectionKeys::load(&store, &seal).await.unwrap();
    keys.set_host("localhost".to_owned()).await.unwrap();
    let outbound = Outbound::load(&store).await.unwrap();
    let foundation = Foundation { store: store.clone(), seal, clock: clock.clone(), outbound };
    let certificates = Certificates::load(&foundation, Some("localhost"), None).await.unwrap();
    let events = Events::load(store.clone(), clock.clone(), &supervisor).await.unwrap();
    let ground = Ground { store: store.clone(), clock, keys, events };
    let devices = Devices::start(ground, tuning, &supervisor).await.unwrap();
    let accepting = Accepting::default();
    let behind = Behind {
        certificates: certificates.clone(),
        router: router(),
        devices: devices.clone(),
        accepting: accepting.clone(),
        security: Security::load(&store).await.unwrap(),
        token_seen: Arc::new(|_, _| {}),
    };
    let config = config(data.path(), separate);
    let (opening, ports) = Opening::open(&config, &store, Vec::new()).await.unwrap();
    start(opening, behind, data.path(), &supervisor).unwrap();
    House { ports, devices, certificates, accepting, supervisor, store, data }
}

impl House {
    fn addresses(&self) -> Addresses {
        self.ports.picture().addresses()
    }

    fn https(&self) -> SocketAddr {
        self.addresses().https[0]
    }

    fn inform(&self) -> SocketAddr {
        self.addresses().inform[0]
    }

    fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificates.shown()).unwrap();
        let provider = Arc::new(tls::provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    async fn tls(&self, to: SocketAddr) -> TlsStream<TcpStream> {
        connect(to, self.client(rustls::ALL_VERSIONS).into()).await
    }

    async fn http2(&self) -> TlsStream<TcpStream> {
        let mut config = self.client(rustls::ALL_VERSIONS);
        config.alpn_protocols = vec![b"h2".to_vec()];
        connect(self.https(), config.into()).await
    }

    /// Sends bytes and reads until the answer's head is there.
    async fn knock(&self, to: SocketAddr, request: &str) -> (TlsStream<TcpStream>, String) {
        let mut stream = self.tls(to).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = head(&mut stream).await;
        (stream, head)
    }

    /// Sends a request and reads the whole answer.
    async fn ask(&self, to: SocketAddr, request: &str) -> String {
        let mut stream = self.tls(to).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

async fn connect(to: SocketAddr, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    timeout(PATIENCE, TlsConnector::from(config).connect(name, tcp)).await.unwrap().unwrap()
}

async fn head(stream: &mut TlsStream<TcpStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// What comes until the other side closes.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    // Some ends are resets, after the answer.
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn logged(devices: &Devices) -> String {
    let query = Query { count: 10, page: 1, ..Query::default() };
    let page = devices.events().query(&query);
    page.items.iter().map(|entry| entry.message.to_string()).collect()
}

#[tokio::test]
async fn p1_the_router_answers_over_tls_and_knows_who_asks() {
    let house = house(false).await;
    assert!(house.ask(house.https(), &get_request("/")).await.ends_with("the GUI"));
    let v6 = house.addresses().https[1];
    let first = house.ask(v6, &get_request("/who")).await;
    let second = house.ask(v6, &get_request("/who")).await;
    assert!(first.contains("\r\n\r\n::1 "), "{first}");
    assert_ne!(first, second, "each request has an id of its own");
    let post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Length: 5\r\n\r\nhello";
    assert!(house.ask(house.https(), post).await.ends_with("hello"));
}

#[tokio::test]
async fn p1_plain_http_redirects_to_the_https_port_and_serves_nothing() {
    let house = house(false).await;
    let to = format!("https://localhost:{}", house.https().port());
    for request in
        [get_request("/a?b"), get_request("/who").replace("GET", "POST"), knock_without()]
    {
        let mut tcp = TcpStream::connect(house.addresses().http[0]).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut tcp).await;
        assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
        assert!(answer.contains(&format!("location: {to}/")), "{answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
    }
}

fn knock_without() -> String {
    format!("{KNOCK}\r\n")
}

fn knock_of(subprotocols: &str) -> String {
    format!("{KNOCK}Sec-WebSocket-Protocol: {subprotocols}\r\n\r\n")
}

async fn next(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> bytes::Bytes {
    match timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
        Message::Binary(bytes) => bytes,
        other => panic!("{other:?} instead of a binary message"),
    }
}

#[tokio::test]
async fn a_browsers_socket_goes_through_the_router() {
    let house = house(false).await;
    let request = format!("{KNOCK}\r\n").replace("GET / ", "GET /nms/ws ");
    let (stream, head) = house.knock(house.https(), &request).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    socket.send(Message::Binary(b"hello".as_slice().into())).await.unwrap();
    assert_eq!(next(&mut socket).await, b"hello".as_slice());
}

#[tokio::test]
async fn browsers_are_served_over_http_2() {
    let house = house(false).await;
    let stream = house.http2().await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    for _ in 0..3 {
        let request = Request::get("https://localhost/echo").method("POST");
        let request = request.body(Body::from("hello")).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
    // An upgrade is HTTP/1.1; over HTTP/2 the root is the GUI.
    let root = sender.send_request(Request::new(Body::empty())).await.unwrap();
    assert_eq!(root.into_body().collect().await.unwrap().to_bytes(), "the GUI");
    drop(sender);
    assert!(house.supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(start_paused = true)]
async fn an_http_2_connection_without_a_request_is_closed() {
    let house = house(false).await;
    let mut silent = house.http2().await;
    rest(&mut silent).await;
    let mut polite = house.http2().await;
    polite.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    rest(&mut polite).await;
}

#[tokio::test]
async fn tls_prefers_the_hybrid_key_exchange_and_resumes_by_ticket() {
    let house = house(false).await;
    let config = Arc::new(house.client(rustls::ALL_VERSIONS));
    let mut first = connect(house.https(), Arc::clone(&config)).await;
    let connection = first.get_ref().1;
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = connection.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    // The ticket arrives with the first answer.
    first.write_all(get_request("/").as_bytes()).await.unwrap();
    rest(&mut first).await;
    let second = connect(house.https(), config).await;
    assert_eq!(second.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));

    let old = house.client(&[&rustls::version::TLS12]);
    let old = connect(house.https(), old.into()).await;
    let suite = old.get_ref().1.negotiated_cipher_suite().unwrap();
    assert!(format!("{:?}", suite.suite()).starts_with("TLS_ECDHE_ECDSA_WITH_"));
}

#[tokio::test]
async fn a_new_host_name_is_soon_in_the_certificate() {
    let house = house(false).await;
    house.devices.keys().set_host("aerie.example".to_owned()).await.unwrap();
    let handshake = async || {
        let config = house.client(rustls::ALL_VERSIONS);
        let tcp = TcpStream::connect(house.https()).await.unwrap();
        let name = ServerName::try_from("aerie.example").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    let soon = timeout(PATIENCE, async { while handshake().await.is_err() {} });
    soon.await.unwrap();
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_to_use_https() {
    let house = house(false).await;
    let mut tcp = TcpStream::connect(house.https()).await.unwrap();
    tcp.write_all(get_request("/").as_bytes()).await.unwrap();
    let answer = rest(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{answer}");
    let mut garbage = TcpStream::connect(house.https()).await.unwrap();
    garbage.write_all(&[0xff; 512]).await.unwrap();
    assert_eq!(rest(&mut garbage).await, "");
}

#[tokio::test(start_paused = true)]
async fn connections_that_never_speak_are_closed_and_disturb_nobody() {
    let house = house(false).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(house.https()).await.unwrap());
        silent.push(TcpStream::connect(house.addresses().http[0]).await.unwrap());
    }
    let begun = tokio::time::Instant::now();
    for mut tcp in silent {
        assert_eq!(rest(&mut tcp).await, "");
    }
    assert!(begun.elapsed() < Duration::from_secs(16), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_stops_in_its_head_or_body_is_given_up() {
    let house = house(false).await;
    for half in [
        "GET / HTTP/1.1\r\nHost: loc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf",
    ] {
        let mut stream = house.tls(house.https()).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn heads_without_bounds_are_refused() {
    let house = house(false).await;
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(200));
    for request in [&long, &many] {
        let answer = house.ask(house.https(), request).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert_secured(&answer);
        assert!(answer.ends_with("16 KiB are read.\n"), "{answer}");
    }
    assert!(house.ask(house.https(), &get_request("/")).await.ends_with("the GUI"));
}

#[tokio::test]
async fn p6_a_head_that_cannot_be_read_is_answered_with_every_header_and_a_sentence() {
    let house = house(false).await;
    let broken = [
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(),
        "GET / HTTP/3.7\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
        format!("{}\0\r\n\r\n", get_request("/").trim_end()),
    ];
    for request in &broken {
        for secure in [true, false] {
            let answer = if secure {
                house.ask(house.https(), request).await
            } else {
                let mut tcp = TcpStream::connect(house.addresses().http[0]).await.unwrap();
                tcp.write_all(request.as_bytes()).await.unwrap();
                rest(&mut tcp).await
            };
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
            assert_secured(&answer);
            assert!(answer.ends_with("cannot be read.\n"), "{answer}");
        }
    }
}

fn assert_secured(answer: &str) {
    let mut wanted = http::HeaderMap::new();
    headers::secure(&mut wanted);
    headers::never_store(&mut wanted);
    for (name, value) in &wanted {
        let line = format!("\r\n{name}: {}\r\n", value.to_str().unwrap());
        assert!(answer.contains(&line), "{line:?} is missing: {answer}");
    }
}

#[tokio::test]
async fn the_daemon_stops_without_waiting_for_idle_connections() {
    let house = house(false).await;
    let mut idle = house.tls(house.https()).await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    head(&mut idle).await;
    assert!(house.supervisor.shutdown(PATIENCE).await);
    assert!(rest(&mut idle).await.ends_with("the GUI"));
    TcpStream::connect(house.https()).await.unwrap_err();
}

#[tokio::test]
async fn bound_addresses_are_told_in_a_file_and_the_ports_prove_to_accept() {
    let house = house(true).await;
    let path = house.data.path().join("addresses.json");
    let text = std::fs::read_to_string(path).unwrap();
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told, serde_json::json!(house.addresses()));
    assert_eq!(told["inform"][0], house.inform().to_string());
    assert!(!house.accepting.clone().within(Duration::ZERO));
    timeout(PATIENCE, house.accepting.proven()).await.unwrap();
    assert!(house.accepting.within(PATIENCE));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::memory().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(data.path(), false);
    let refusal = async |config: &Config| {
        let refused = Opening::open(config, &store, Vec::new()).await;
        refused.map(|_| ()).unwrap_err()
    };
    config.https.listen = vec![taken.local_addr().unwrap()];
    let error = refusal(&config).await;
    assert!(matches!(error, ports::PortsError::Listen(ListenError::InUse(..))));
    assert!(error.to_string().starts_with(&taken.local_addr().unwrap().to_string()), "{error}");
    config.https.listen = vec!["192.0.2.1:0".parse().unwrap()];
    let error = refusal(&config).await;
    assert!(matches!(error, ports::PortsError::Listen(ListenError::Other(..))));
}
