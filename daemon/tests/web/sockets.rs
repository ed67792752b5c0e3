//! The live and the terminal socket, over a connection in memory.

use std::time::Duration;

use aerie::devices::Change;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

use super::fixture::{Appliance, PASSWORD, device};

struct Browser {
    socket: WebSocketStream<DuplexStream>,
    _connection: JoinSet<()>,
}

async fn upgrade(
    appliance: &Appliance,
    path: &str,
    origin: Option<&'static str>,
) -> Result<Browser, Error> {
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    let service = TowerToHyperService::new(appliance.router.clone());
    let mut connection = JoinSet::new();
    connection.spawn(async move {
        let serving = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        serving.with_upgrades().await.ok();
    });
    let mut request: Request<()> = format!("ws://aerie.example{path}").into_client_request()?;
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", HeaderValue::from_static(origin));
    }
    let (socket, _) = client_async(request, ours).await?;
    Ok(Browser { socket, _connection: connection })
}

impl Browser {
    async fn open(appliance: &Appliance, path: &str) -> Self {
        let origin = Some("https://aerie.example");
        upgrade(appliance, path, origin).await.expect("a socket")
    }

    async fn live(appliance: &Appliance, token: &str) -> Self {
        let ticket = ticket(appliance, token, json!({"route": "live"})).await;
        let mut browser = Self::open(appliance, "/nms/ws").await;
        browser.say(&json!({"ticket": ticket})).await;
        let hello = browser.next().await;
        assert_eq!(hello["type"], "hello");
        assert!(hello["serverTime"].is_string());
        browser
    }

    async fn say(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("a frame is sent");
    }

    /// The next text frame.
    async fn next(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).expect("JSON");
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no text frame but {other:?}"),
            }
        }
    }

    /// The next text frame of this type.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Reads until the socket closes, and returns its close code.
    async fn closes(&mut self) -> u16 {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return 0,
                Some(Ok(_)) => {}
            }
        }
    }
}

async fn ticket(appliance: &Appliance, token: &str, body: Value) -> Value {
    appliance.post("/tickets", Some(token), body).await.expect(201)["ticket"].clone()
}

#[tokio::test]
async fn a_browser_is_told_of_devices_sites_and_the_log() {
    let (id, record) = device(1, None);
    let appliance = Appliance::with_devices(&[(id, record)]).await;
    let owner = appliance.set_up().await;
    let mut browser = Browser::live(&appliance, &owner).await;
    for _ in 0..50 {
        appliance.devices.changed(Change::Device(id));
    }
    let frame = browser.until("device").await;
    assert_eq!(frame["sequence"], 1, "fifty changes are told once");
    assert_eq!(frame["device"]["identification"]["id"], id.to_string());
    assert!(frame["device"].get("interfaces").is_none());
    appliance.delete(&format!("/devices/{id}"), &owner).await.expect(200);
    let log = browser.until("log").await;
    assert!(log["log"]["message"].as_str().unwrap().contains("deleted"), "{log}");
    let removed = browser.until("deviceRemoved").await;
    assert_eq!((&removed["sequence"], &removed["id"]), (&json!(2), &json!(id)));
    let site = appliance.post("/sites", Some(&owner), json!({"name": "Mast"})).await.expect(200);
    assert_eq!(browser.until("site").await["site"]["id"], site["id"]);
    let path = format!("/sites/{}", site["id"].as_str().unwrap());
    appliance.delete(&path, &owner).await.expect(200);
    assert_eq!(browser.until("siteRemoved").await["id"], site["id"]);
    assert_eq!(browser.until("summary").await["summary"]["devicesTotal"], 0);
}

#[tokio::test]
async fn a_logout_closes_the_sockets_of_its_login_and_no_others() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let other = appliance.log_in("owner").await;
    let mut browser = Browser::live(&appliance, &owner).await;
    let mut second = Browser::live(&appliance, &other).await;
    appliance.post("/user/logout", Some(&owner), json!({})).await.expect(200);
    assert_eq!(browser.closes().await, 4401);
    second.until("summary").await;
}

#[tokio::test]
async fn a_browser_that_closes_is_answered() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let mut browser = Browser::live(&appliance, &owner).await;
    let frame = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    browser.socket.close(Some(frame)).await.expect("a close frame is sent");
    assert_eq!(browser.closes().await, 1000);
}

#[tokio::test]
async fn a_login_that_ends_by_time_closes_its_sockets() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let mut browser = Browser::live(&appliance, &owner).await;
    appliance.clock.advance(Duration::from_hours(31 * 24));
    assert_eq!(browser.closes().await, 4401);
}

#[tokio::test]
async fn a_ticket_opens_its_own_socket_once() {
    let (id, record) = device(1, None);
    let appliance = Appliance::with_devices(&[(id, record)]).await;
    let owner = appliance.set_up().await;
    let used = ticket(&appliance, &owner, json!({"route": "live"})).await;
    let mut browser = Browser::open(&appliance, "/nms/ws").await;
    browser.say(&json!({"ticket": used})).await;
    browser.until("hello").await;
    let terminal = ticket(&appliance, &owner, json!({"route": "terminal", "deviceId": id})).await;
    for (path, ticket) in [
        ("/nms/ws", &used),
        ("/nms/ws", &terminal),
        ("/nms/shell", &terminal),
        ("/nms/ws", &json!("")),
        ("/nms/ws", &json!("A".repeat(43))),
    ] {
        let mut browser = Browser::open(&appliance, path).await;
        browser.say(&json!({"ticket": ticket, "rows": 24, "columns": 80})).await;
        assert_eq!(browser.closes().await, 4403, "{path} {ticket}");
    }
}

#[tokio::test]
async fn a_ticket_ends_with_its_login() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let ticket = ticket(&appliance, &owner, json!({"route": "live"})).await;
    appliance.post("/user/logout", Some(&owner), json!({})).await.expect(200);
    let mut browser = Browser::open(&appliance, "/nms/ws").await;
    browser.say(&json!({"ticket": ticket})).await;
    assert_eq!(browser.closes().await, 4401);
}

#[tokio::test]
async fn a_socket_without_a_ticket_is_closed_after_five_seconds() {
    let appliance = Appliance::new().await;
    let mut browser = Browser::open(&appliance, "/nms/ws").await;
    tokio::time::pause();
    assert_eq!(browser.closes().await, 4408);
}

#[tokio::test]
async fn a_page_of_somebody_else_opens_no_socket() {
    let appliance = Appliance::new().await;
    for origin in ["https://evil.example", "http://aerie.example", "null"] {
        for path in ["/nms/ws", "/nms/shell"] {
            match upgrade(&appliance, path, Some(origin)).await {
                Err(Error::Http(answer)) => assert_eq!(answer.status(), 403, "{origin}"),
                other => panic!("{origin}: {:?}", other.map(|_| "a socket")),
            }
        }
    }
}

#[tokio::test]
async fn frames_that_cannot_be_understood_close_the_socket() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let nine: Vec<Uuid> = (0..9).map(Uuid::from_u128).collect();
    for frame in [json!({"type": "watch", "ids": nine}), json!({"type": "dance"}), json!(5)] {
        let mut browser = Browser::live(&appliance, &owner).await;
        browser.say(&frame).await;
        assert_eq!(browser.closes().await, 1008, "{frame}");
    }
    let mut browser = Browser::live(&appliance, &owner).await;
    browser.say(&json!({"type": "watch", "ids": nine[..8]})).await;
    browser.say(&json!("x".repeat(65 * 1024))).await;
    assert_eq!(browser.closes().await, 0, "too long a frame is not even answered");
}

#[tokio::test]
async fn d3_a_terminal_on_a_device_that_is_not_there_says_so() {
    let (id, record) = device(1, None);
    let appliance = Appliance::with_devices(&[(id, record)]).await;
    let owner = appliance.set_up().await;
    let body = json!({"route": "terminal", "deviceId": id});
    for (frame, told) in [
        (json!({"rows": 24, "columns": 80}), "not connected"),
        (json!({"rows": 0, "columns": 80}), "1 to 1000"),
        (json!({"rows": 24, "columns": 80, "attach": Uuid::max()}), "ended"),
    ] {
        let mut frame = frame;
        frame["ticket"] = ticket(&appliance, &owner, body.clone()).await;
        let mut browser = Browser::open(&appliance, "/nms/shell").await;
        browser.say(&frame).await;
        let closed = browser.next().await;
        assert_eq!(closed["type"], "closed");
        assert!(closed["exitStatus"].is_null());
        assert!(closed["message"].as_str().unwrap().contains(told), "{closed}");
        assert_eq!(browser.closes().await, 1000);
    }
}

#[tokio::test]
async fn a_browser_that_falls_behind_is_sent_to_fetch_the_lists() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let mut browser = Browser::live(&appliance, &owner).await;
    for number in 0..10_000 {
        appliance.devices.changed(Change::Device(Uuid::from_u128(number)));
    }
    browser.until("resync").await;
    let step_up = json!({"password": PASSWORD});
    appliance.post("/user/step-up", Some(&owner), step_up).await.expect(200);
}
