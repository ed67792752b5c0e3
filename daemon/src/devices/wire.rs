//! WebSocket frames to and from one device.
//!
//! The one place that knows which WebSocket library reads the bytes: a session asks [`Frames`]
//! for the next binary message and hands it one to send, nothing more. Buffers are small, since
//! ten thousand idle sessions keep theirs all day.

use std::time::Duration;

use aerie_protocol::MAX_MESSAGE;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

/// How long a device may take to accept what is sent to it.
const SEND_TIME: Duration = Duration::from_secs(10);
/// How long a close may take before the connection is dropped.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Why a connection can carry no more messages.
#[derive(Debug, Error)]
pub(super) enum WireError {
    /// The device broke the WebSocket protocol (RFC 6455) or a limit.
    #[error("the device broke the WebSocket protocol")]
    Protocol(#[source] Box<SocketError>),
    /// A text frame, where only binary ones belong.
    #[error("the device sent a text frame; inform speaks binary frames alone")]
    Text,
    /// It takes nothing more.
    #[error("the device did not take a message within {} s", SEND_TIME.as_secs())]
    Slow,
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
}

/// One device's WebSocket, as a row of binary messages.
pub(super) struct Frames<S> {
    socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// Speaks WebSocket over `stream`, whose upgrade has been answered; `already` is what was read
    /// behind the upgrade request.
    pub(super) async fn over(stream: S, already: Bytes) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * MAX_MESSAGE)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocketStream::from_partially_read(
            stream,
            already.to_vec(),
            Role::Server,
            Some(config),
        )
        .await;
        Self { socket }
    }

    /// The next message; `None` when the device has closed. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes)),
                Some(Ok(Message::Text(_))) => return Err(WireError::Text),
                Some(Ok(Message::Close(_)) | Err(SocketError::ConnectionClosed)) | None => {
                    return Ok(None);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Sends one message and waits until the connection has taken it.
    pub(super) async fn send(&mut self, message: Bytes) -> Result<(), WireError> {
        match timeout(SEND_TIME, self.socket.send(Message::Binary(message))).await {
            Ok(sent) => sent.map_err(WireError::from),
            Err(_) => Err(WireError::Slow),
        }
    }

    /// Says why and closes. What the device makes of it does not matter any more.
    pub(super) async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        if let Ok(Ok(())) = timeout(CLOSE_TIME, self.socket.close(Some(frame))).await {
            // Until the device has closed too, so that our last bytes are not lost to a reset.
            let drained =
                timeout(CLOSE_TIME, async { while let Some(Ok(_)) = self.socket.next().await {} });
            drained.await.ok();
        }
    }
}

impl From<SocketError> for WireError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::ConnectionClosed | SocketError::AlreadyClosed | SocketError::Io(_) => {
                Self::Closed
            }
            other => Self::Protocol(Box::new(other)),
        }
    }
}
