//! Everything over TLS; plain HTTP only points there.

use aerie_tests::{Appliance, Client, LiveSocket, until};
use hyper::{HeaderMap, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn p1_plain_http_answers_a_redirect_to_the_real_port_and_nothing_else() {
    let appliance = Appliance::start().await;
    let plain = Client::new(appliance.http());
    let port = appliance.https().port();
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
        for path in ["/", "/devices?x=1", "/nms/api/v2.1/nms/setup", "/healthz", "/nms/ws"] {
            let host = format!("box.example:{}", appliance.http().port());
            let answer = plain.send_plain(method.clone(), &host, path).await;
            if answer.status >= 400 {
                continue;
            }
            assert!(
                matches!(answer.status, 301 | 302 | 307 | 308),
                "{method} {path}: {}",
                answer.status
            );
            let expected = format!("https://box.example:{port}{path}");
            assert_eq!(answer.header("location"), Some(expected.as_str()), "{method} {path}");
            assert!(!answer.text().contains("isConfigured"), "{method} {path} answered the API");
        }
    }
    let answer = plain.send_plain(Method::GET, "box.example", "/").await;
    assert!((300..400).contains(&answer.status), "GET / is redirected, not {}", answer.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_websocket_in_the_clear_is_not_upgraded() {
    let appliance = Appliance::start().await;
    for path in ["/", "/nms/ws", "/nms/shell"] {
        let mut stream = TcpStream::connect(appliance.http()).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: box.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: aerie.inform.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.expect("an answer");
        assert_ne!(&first, b"HTTP/1.1 101", "{path} was upgraded without TLS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_token_that_is_sent_in_the_clear_is_worth_nothing_from_then_on() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let witness = appliance.log_in().await;
    let token = owner.client.token().expect("a token");
    let mut stream = TcpStream::connect(appliance.http()).await.expect("a connection");
    let request =
        format!("GET /nms/summary HTTP/1.1\r\nHost: localhost\r\nA-Auth-Token: {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer).await);
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");

    let refused = owner.client.get("/user").await.expect(401).json();
    assert_eq!(refused["error"], "TokenLeaked");
    assert!(
        refused["message"].as_str().is_some_and(|text| text.contains("plain HTTP")),
        "{refused}"
    );
    // Other logins of the account stay, and are told.
    until("it is told in the log", async || {
        let logs = witness.client.get("/logs?count=20&page=1").await.expect(200).text();
        logs.contains("A login of owner was ended: its token came from 127.0.0.1").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_the_tls_port_gives_nothing_to_plain_http() {
    let appliance = Appliance::start().await;
    let mut stream = TcpStream::connect(appliance.https()).await.expect("a connection");
    stream
        .write_all(b"GET /nms/api/v2.1/nms/setup HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("isConfigured") && !answer.contains(" 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_gui_api_and_sockets_answer_over_tls() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let door = appliance.client().send(Method::GET, "/", HeaderMap::new(), Vec::new()).await;
    assert_eq!((door.status, door.header("location")), (302, Some("/nms/")));
    let page = appliance.client().send(Method::GET, "/nms/", HeaderMap::new(), Vec::new()).await;
    let page = page.expect(200);
    assert!(page.text().contains("<!doctype html>") || page.text().contains("<!DOCTYPE html>"));
    let policy =
        page.header("content-security-policy").expect("a content security policy").to_owned();
    assert!(!policy.contains("unsafe"), "{policy}");
    owner.client.get("/devices").await.expect(200);
    let mut live = LiveSocket::open(&owner).await;
    assert!(live.next_of("hello").await["sequence"].is_number());
}
