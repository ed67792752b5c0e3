//! The browser's two sockets: live updates and the terminal.

use crate::PATIENCE;
use crate::appliance::Owner;
use crate::client::Client;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// `GET /nms/ws`: live updates as JSON.
pub struct LiveSocket(Socket);

/// `GET /nms/shell`: a terminal.
pub struct TerminalSocket {
    socket: Socket,
    /// The terminal's id, for attaching again.
    pub id: String,
    screen: Vec<u8>,
    closed: Option<Value>,
}

/// Opens a WebSocket the way a browser of this appliance does, with its own origin.
pub async fn open_socket(client: &Client, path: &str) -> Result<Socket, String> {
    let address = client.address();
    open_socket_from(client, path, &format!("https://{address}")).await
}

/// The same with any `Origin`.
pub async fn open_socket_from(client: &Client, path: &str, origin: &str) -> Result<Socket, String> {
    let stream = client.connect().await.map_err(|error| error.to_string())?;
    let mut request =
        format!("wss://{}{path}", client.address()).into_client_request().expect("a request");
    request.headers_mut().insert("origin", origin.parse().expect("an origin"));
    let (socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .map_err(|error| error.to_string())?;
    Ok(socket)
}

async fn next(socket: &mut Socket) -> Option<Message> {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message in time");
    message.and_then(Result::ok)
}

impl LiveSocket {
    /// Opens it with a fresh ticket.
    pub async fn open(owner: &Owner) -> Self {
        let ticket = owner.ticket("live", None).await;
        let mut socket =
            open_socket(&owner.client, "/nms/ws").await.expect("the live socket opens");
        let first = json!({"ticket": ticket}).to_string();
        socket.send(Message::text(first)).await.expect("sent");
        Self(socket)
    }

    /// Sends one JSON frame.
    pub async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// Waits for a frame of `kind`.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            match next(&mut self.0).await.unwrap_or_else(|| panic!("closed before {kind}")) {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame["type"] == kind {
                        return frame;
                    }
                }
                Message::Close(reason) => panic!("closed before {kind}: {reason:?}"),
                _ => {}
            }
        }
    }

    /// Waits for the end and returns the close code.
    pub async fn close_code(mut self) -> Option<u16> {
        loop {
            match next(&mut self.0).await {
                Some(Message::Close(reason)) => return reason.map(|reason| reason.code.into()),
                Some(_) => {}
                None => return None,
            }
        }
    }
}

impl TerminalSocket {
    /// Opens a new terminal on `device`.
    pub async fn open(owner: &Owner, device: &str) -> Self {
        Self::try_open(owner, device, None).await.expect("the terminal opens")
    }

    /// Opens or attaches; the closing frame when it is refused.
    pub async fn try_open(
        owner: &Owner,
        device: &str,
        attach: Option<&str>,
    ) -> Result<Self, Value> {
        let ticket = owner.ticket("terminal", Some(device)).await;
        let mut socket = open_socket(&owner.client, "/nms/shell").await.expect("the socket opens");
        let mut first = json!({"ticket": ticket, "rows": 24, "columns": 80});
        if let Some(terminal) = attach {
            first["attach"] = json!(terminal);
        }
        socket.send(Message::text(first.to_string())).await.expect("sent");
        loop {
            match next(&mut socket).await {
                Some(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame["type"] != "opened" {
                        return Err(frame);
                    }
                    let id = frame["terminalId"].as_str().expect("an id").to_owned();
                    return Ok(Self { socket, id, screen: Vec::new(), closed: None });
                }
                Some(Message::Close(reason)) => {
                    let reason =
                        reason.map(|reason| (u16::from(reason.code), reason.reason.to_string()));
                    return Err(json!({"type": "close", "reason": reason}));
                }
                Some(_) => {}
                None => return Err(json!({"type": "gone"})),
            }
        }
    }

    /// Types.
    pub async fn type_in(&mut self, keys: &str) {
        self.socket.send(Message::binary(keys.as_bytes().to_vec())).await.expect("sent");
    }

    /// Sends one control frame.
    pub async fn control(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// Reads one message without saying that it was shown. False at the end.
    pub async fn read_unacknowledged(&mut self) -> bool {
        match next(&mut self.socket).await {
            Some(Message::Binary(bytes)) => self.screen.extend_from_slice(&bytes),
            Some(Message::Text(text)) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                if frame["type"] == "closed" {
                    self.closed = Some(frame);
                    return false;
                }
            }
            Some(Message::Close(_)) | None => return false,
            Some(_) => {}
        }
        true
    }

    async fn read(&mut self) -> bool {
        let before = self.screen.len();
        let more = self.read_unacknowledged().await;
        let fresh = self.screen.len() - before;
        if fresh > 0 {
            self.control(json!({"type": "ack", "bytes": fresh})).await;
        }
        more
    }

    /// Reads until `text` has been on the screen; what came before it is forgotten.
    pub async fn shows(&mut self, text: &str) {
        loop {
            let shown = String::from_utf8_lossy(&self.screen).into_owned();
            if let Some(place) = shown.find(text) {
                self.screen = shown.as_bytes()[place + text.len()..].to_vec();
                return;
            }
            assert!(
                self.read().await,
                "the terminal ended before {text:?}: {shown:?} {:?}",
                self.closed
            );
        }
    }

    /// Reads to the end and returns the closing frame.
    pub async fn closes(mut self) -> Value {
        while self.read().await {}
        self.closed.expect("a closing frame")
    }

    /// How many bytes have come and not been looked for.
    pub fn unread(&self) -> usize {
        self.screen.len()
    }

    /// Drops the connection without a word, as a browser that lost its network.
    pub fn vanish(self) -> String {
        self.id
    }
}
