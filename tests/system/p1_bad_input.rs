//! Bytes that no honest client sends, on each port: a clear refusal or a clean end, one answer at most, and the next
//! connection is served as ever.

use aerie_tests::{Appliance, ApplianceOptions, Client, PATIENCE};
use std::fmt::Write;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a smuggled request would be answered with.
const SMUGGLED: &str = "GET /nms/api/v2.1/nms/setup HTTP/1.1\r\nHost: localhost\r\n\r\n";
const MARK: &str = "isConfigured";
const LOGIN: &str = "POST /nms/api/v2.1/user/login HTTP/1.1\r\nHost: localhost\r\n";

async fn appliance() -> Appliance {
    let options = ApplianceOptions { separate_inform: true, ..ApplianceOptions::default() };
    Appliance::start_with(options).await
}

/// Says `bytes`, hangs up on its own side, and hears whatever comes until the other side closes.
async fn answer_to(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    let mut heard = Vec::new();
    let talk = async {
        // It may have hung up while we still write.
        drop(stream.write_all(bytes).await);
        drop(stream.flush().await);
        drop(stream.read_to_end(&mut heard).await);
    };
    timeout(PATIENCE, talk).await.expect("the connection ends in time");
    String::from_utf8_lossy(&heard).into_owned()
}

async fn over_tls(to: SocketAddr, bytes: &[u8]) -> String {
    answer_to(Client::new(to).connect().await.expect("a handshake"), bytes).await
}

async fn in_the_clear(to: SocketAddr, bytes: &[u8]) -> String {
    answer_to(TcpStream::connect(to).await.expect("a connection"), bytes).await
}

/// Refused in HTTP, or not answered at all.
fn is_refusal(answer: &str) -> bool {
    answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5")
}

fn answers_in(answer: &str) -> usize {
    answer.matches("HTTP/1.1 ").count()
}

/// Heads that are wrong: a refusal is the only answer.
fn wrong_heads() -> Vec<(&'static str, String)> {
    let get = |rest: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n\r\n");
    let login = |rest: &str| format!("{LOGIN}{rest}\r\n\r\n");
    let mut many = String::new();
    for number in 0..2_000 {
        write!(many, "X-{number}: y\r\n").expect("text");
    }
    vec![
        ("a header of 100 KB", get(&format!("X: {}", "a".repeat(100_000)))),
        ("2,000 headers", get(many.trim_end())),
        ("a path of 100 KB", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000))),
        ("a folded header", get("X: one\r\n two")),
        ("a space before the colon", get("X : one")),
        ("a header without a name", get(": one")),
        ("a header without a colon", get("nothing")),
        ("a zero byte in a header", get("X: a\0b")),
        ("a lone carriage return in a header", get("X: a\rContent-Length: 3")),
        ("two lengths that differ", login("Content-Length: 3\r\nContent-Length: 5") + "abcde"),
        ("a list of lengths", login("Content-Length: 3, 5") + "abcde"),
        ("a signed length", login("Content-Length: +3") + "abc"),
        ("a negative length", login("Content-Length: -3") + "abc"),
        ("a length that is none", login("Content-Length: 0x3") + "abc"),
        ("a length beyond 64 bits", login("Content-Length: 18446744073709551617") + "a"),
        ("a coding that is none", login("Transfer-Encoding: xchunked") + "0\r\n\r\n"),
        (
            "a coding that does not end in chunked",
            login("Transfer-Encoding: chunked, gzip") + "0\r\n\r\n",
        ),
        ("a version that is none", "GET /healthz HTTP/1.9\r\nHost: localhost\r\n\r\n".into()),
        ("a request of 1991", "GET /healthz\r\n\r\n".into()),
        (
            "two spaces in the first line",
            "GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".into(),
        ),
        ("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_heads_that_are_wrong_are_refused_on_every_port() {
    let appliance = appliance().await;
    for (name, request) in wrong_heads() {
        for to in [appliance.https(), appliance.inform()] {
            let answer = over_tls(to, request.as_bytes()).await;
            assert!(is_refusal(&answer), "{name}: {answer}");
            assert!(answers_in(&answer) <= 1, "{name}: {answer}");
        }
        let answer = in_the_clear(appliance.http(), request.as_bytes()).await;
        assert!(is_refusal(&answer), "{name} on the plain port: {answer}");
        assert_eq!(appliance.client().health().await, Some(200), "after {name}");
    }
}

/// A request hidden in another's body, behind two opinions on where that body ends.
fn smuggling() -> Vec<(&'static str, String)> {
    let length = SMUGGLED.len();
    let last = format!("\r\n\r\n0\r\n\r\n{SMUGGLED}");
    let login = |rest: &str| format!("{LOGIN}{rest}");
    let chunked = |body: &str| login(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    let two = |lines: &str| login(&format!("{lines}{last}"));
    let old = LOGIN.replace("HTTP/1.1", "HTTP/1.0");
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    vec![
        ("CL.TE", two(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked", length + 5))),
        ("CL.TE, too short", two("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        (
            "TE.CL",
            login(&format!(
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
            )),
        ),
        ("TE.TE", two("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
        ("TE in odd letters", two("Transfer-Encoding: \x0bchunked\r\nContent-Length: 5")),
        ("TE on HTTP/1.0", format!("{old}Transfer-Encoding: chunked{last}")),
        ("a chunk size beyond 64 bits", chunked(&format!("1{:016x}\r\n{SMUGGLED}", 0))),
        ("a negative chunk size", chunked(&format!("-1\r\n{SMUGGLED}"))),
        ("a chunk longer than it says", chunked(&format!("1\r\n{SMUGGLED}0\r\n\r\n"))),
        ("chunks with bare line feeds", chunked(&format!("0\n\n{SMUGGLED}"))),
        ("a chunk extension without end", chunked(&format!("1;{}", "a".repeat(200_000)))),
        ("a trailer of 100 KB", chunked(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(100_000)))),
        ("a GET with a body", format!("{get}Content-Length: {length}\r\n\r\n{SMUGGLED}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_no_request_can_be_smuggled_in_anothers_body() {
    let appliance = appliance().await;
    for (name, request) in smuggling() {
        let answer = over_tls(appliance.https(), request.as_bytes()).await;
        assert!(!answer.contains(MARK), "{name} got through: {answer}");
        assert!(answers_in(&answer) <= 1, "{name} was answered twice: {answer}");
        let answer = in_the_clear(appliance.http(), request.as_bytes()).await;
        assert!(answers_in(&answer) <= 1, "{name} on the plain port: {answer}");
        assert_eq!(appliance.client().health().await, Some(200), "after {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_what_is_no_tls_ends_cleanly_on_the_tls_ports() {
    let appliance = appliance().await;
    let record = |kind: u8, version: [u8; 2], length: u16, body: &[u8]| {
        let mut bytes = vec![kind, version[0], version[1]];
        bytes.extend(length.to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let shapes = [
        ("zeros", vec![0; 512]),
        ("ones", vec![0xff; 512]),
        ("a hello of SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec()),
        ("a handshake of nothing", record(0x16, [3, 1], 0, &[])),
        ("a record longer than any", record(0x16, [3, 1], 0xffff, &vec![1; 0xffff])),
        ("a hello of garbage", record(0x16, [3, 1], 64, &[0xaa; 64])),
        ("a hello that says 16 MB", record(0x16, [3, 1], 8, b"\x01\xff\xff\xff\x03\x03\0\0")),
        ("an alert first", record(0x15, [3, 3], 2, &[2, 40])),
        ("data first", record(0x17, [3, 3], 4, b"GET ")),
        ("a version that is none", record(0x16, [9, 9], 4, &[1, 0, 0, 0])),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("a proxy's line", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\x16\x03\x01".to_vec()),
    ];
    for (name, bytes) in shapes {
        for to in [appliance.https(), appliance.inform()] {
            let answer = in_the_clear(to, &bytes).await;
            let fine = is_refusal(&answer) || answer.starts_with('\u{15}');
            assert!(fine, "{name}: {answer:?}");
        }
        assert_eq!(appliance.client().health().await, Some(200), "after {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_plain_http_on_a_tls_port_is_told_what_to_write() {
    let appliance = appliance().await;
    for to in [appliance.https(), appliance.inform()] {
        for method in ["GET", "POST", "HEAD", "OPTIONS", "BREW"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = in_the_clear(to, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{method}: {answer}");
            assert!(answer.contains("https://"), "{method}: {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            let head = head.to_ascii_lowercase();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
            for header in ["x-content-type-options: nosniff", "cache-control: no-store"] {
                assert!(head.contains(header), "{header}: {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_plain_bytes_inside_a_tls_connection_end_it() {
    let appliance = appliance().await;
    for to in [appliance.https(), appliance.inform()] {
        let stream = Client::new(to).connect().await.expect("a handshake");
        let (tcp, _) = stream.into_inner();
        let answer = answer_to(tcp, SMUGGLED.as_bytes()).await;
        assert!(!answer.contains(MARK) && !answer.contains("HTTP/1.1"), "{answer:?}");
    }
    assert_eq!(appliance.client().health().await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_host_that_is_unknown_or_none_is_repeated_nowhere() {
    let appliance = appliance().await;
    for host in [
        "bank.example",
        "bank.example:1",
        "[2001:db8::1]",
        "a\"b",
        "a b",
        "<x>",
        "",
        "bank.example/x",
    ] {
        for path in ["/nms/", "/nms/api/v2.1/none", "/", "/nms/api/v2.1/nms/setup"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = over_tls(appliance.https(), request.as_bytes()).await;
            assert!(answers_in(&answer) == 1, "{host:?} {path}: {answer}");
            assert!(host.is_empty() || !answer.contains(host), "{host:?} {path}: {answer}");
        }
    }
    let twice = "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n";
    let answer = in_the_clear(appliance.http(), twice.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
