//! Frames of HTTP/2 that only an attacker sends. The connection ends or is held back, memory stays bounded, and the
//! owner is served meanwhile.

use aerie_tests::{Appliance, Owner, PATIENCE, accept_any_certificate};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const MIB: u64 = 1 << 20;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
/// How a connection is told why: the beginning of a reason in a frame GOAWAY.
const CALM: &[u8] = b"too_many_";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET / https`, by the static table alone, for the authority `a`.
const GET: &[u8] = b"\x82\x84\x87\x41\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

async fn http2(to: SocketAddr) -> TlsStream<TcpStream> {
    let mut config = accept_any_certificate();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(to).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream =
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake");
    stream.write_all(PREFACE).await.expect("a preface");
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("settings");
    stream
}

/// Sends the frames and waits until the appliance has ended the connection; what it said.
async fn abused(to: SocketAddr, frames: impl Iterator<Item = Vec<u8>> + Send) -> Vec<u8> {
    let stream = http2(to).await;
    let (mut from, mut into) = tokio::io::split(stream);
    let send = async {
        for frame in frames {
            if into.write_all(&frame).await.is_err() {
                return;
            }
        }
        drop(into.flush().await);
    };
    let mut heard = Vec::new();
    let talk = async { tokio::join!(send, from.read_to_end(&mut heard)) };
    drop(timeout(PATIENCE, talk).await.expect("the connection ends in time"));
    heard
}

async fn is_served(owner: &Owner) {
    owner.client.get("/devices").await.expect(200);
}

/// Odd numbers: the streams that a client opens.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

/// What floods a connection: many small frames that cost the other side more than the sender. Some kinds are counted, and
/// the connection is told to calm down; the others are answered one by one until it has been idle for too long.
fn floods() -> Vec<(&'static str, bool, Vec<Vec<u8>>)> {
    let opened = streams(20_000).flat_map(|stream| {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
        [open, frame(RESET, 0, stream, &8_u32.to_be_bytes())]
    });
    let endless = std::iter::once(frame(HEADERS, 0, 1, GET))
        .chain((0..5_000).map(|_| frame(CONTINUATION, 0, 1, &[0; 64])));
    let pings = (0..50_000_u64).map(|number| frame(PING, 0, 0, &number.to_be_bytes()));
    let settings = (0..50_000_u32).map(|number| {
        let window = [&[0, 4][..], &(number % 65_535).to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, &window)
    });
    let post = b"\x83\x84\x87\x41\x01a";
    let empty = std::iter::once(frame(HEADERS, END_HEADERS, 1, post))
        .chain((0..50_000).map(|_| frame(DATA, 0, 1, &[])));
    vec![
        ("streams that are opened and reset", true, opened.collect()),
        ("a head without end", true, endless.collect()),
        ("pings", false, pings.collect()),
        ("settings", false, settings.collect()),
        ("data of nothing", true, empty.collect()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_floods_of_http_2_frames_are_bounded_and_keep_nobody_out() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let before = appliance.process().resident_memory();
    let to = appliance.https();
    let mut tasks = JoinSet::new();
    for (name, is_counted, frames) in floods() {
        tasks.spawn(async move {
            let heard = abused(to, frames.into_iter()).await;
            let told = heard.windows(CALM.len()).any(|bytes| bytes == CALM);
            assert_eq!(told, is_counted, "{name}: {heard:?}");
        });
    }
    while let Some(flooded) = tasks.join_next().await {
        flooded.expect("a flood that ends");
        is_served(&owner).await;
    }
    let grown = appliance.process().resident_memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "the floods cost {} MiB", grown / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_http_2_frames_against_the_rules_end_the_connection_with_a_reason() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    // One header that the table keeps, and then thousands of references to it: small on the wire, huge in memory.
    let mut bomb = GET.to_vec();
    bomb.extend(b"\x40\x01x\x7f\x81\x1e");
    bomb.extend([b'a'; 4_000]);
    bomb.extend([0xbe; 12_000]);
    let shapes: [(&str, Vec<Vec<u8>>); 9] = [
        ("a header bomb", vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)]),
        ("data on a stream that is not open", vec![frame(DATA, 0, 7, b"x")]),
        ("a stream of the appliance's", vec![frame(HEADERS, END_HEADERS, 2, GET)]),
        ("headers on stream 0", vec![frame(HEADERS, END_HEADERS, 0, GET)]),
        ("a continuation of nothing", vec![frame(CONTINUATION, END_HEADERS, 1, GET)]),
        ("a window beyond its bound", vec![frame(WINDOW, 0, 0, &0x7fff_ffff_u32.to_be_bytes()); 3]),
        ("settings of odd length", vec![frame(SETTINGS, 0, 0, &[0; 5])]),
        ("a frame larger than agreed", vec![frame(DATA, 0, 1, &[0; 20_000])]),
        ("headers that are none", vec![frame(HEADERS, END_HEADERS, 1, &[0xff; 64])]),
    ];
    for (name, frames) in shapes {
        let heard = abused(appliance.https(), frames.into_iter()).await;
        assert!(heard.len() >= 9, "{name}: not even settings came");
        is_served(&owner).await;
    }
}
