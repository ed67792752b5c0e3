//! One open session as a pair of message pipes: WebSocket frames outside, Noise inside.

use std::time::Duration;

use aerie_protocol::{
    inform::{FromAppliance, FromDevice, MessageError, decode_from_appliance, encode_from_device},
    noise::{NoiseError, PublicKey, Session},
};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};
use zeroize::Zeroizing;

/// How long a message may wait for a peer that does not read.
const SENDING: Duration = Duration::from_secs(30);
/// How long the closing handshake may take: nothing depends on it.
const CLOSING: Duration = Duration::from_secs(1);

/// Why a session cannot go on.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The other end closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// The connection broke, or the other end does not speak WebSocket.
    #[error("the connection broke")]
    Broken(#[source] Box<tungstenite::Error>),
    /// A frame that is not binary.
    #[error("the other end sent text, which no appliance does")]
    NotBinary,
    /// The other end takes nothing any more.
    #[error("the other end did not take a message within {} s", SENDING.as_secs())]
    Stuck,
    /// A message did not open or did not seal: somebody meddled, or the session is worn out.
    #[error("a message failed its proof")]
    Noise(#[source] NoiseError),
    /// A message opened, and its content is none.
    #[error("a message makes no sense")]
    Message(#[source] MessageError),
}

/// What came in, proven.
#[derive(Debug)]
pub(crate) enum Received {
    Message(FromAppliance),
    /// A request with a verb of a later version.
    UnknownRequest(u64),
    /// A message of a kind of a later version.
    UnknownKind(u32),
}

/// An open session.
pub(crate) struct Link<S> {
    socket: Box<WebSocketStream<S>>,
    noise: Session,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(crate) fn new(socket: Box<WebSocketStream<S>>, noise: Session) -> Self {
        Self { socket, noise }
    }

    /// The appliance's proven static key.
    pub(crate) fn appliance(&self) -> PublicKey {
        self.noise.remote()
    }

    /// Messages both ways so far.
    pub(crate) fn messages(&self) -> u64 {
        self.noise.messages()
    }

    /// Sends a message; answers how many bytes it had before sealing.
    pub(crate) async fn send(&mut self, message: &FromDevice) -> Result<usize, LinkError> {
        let (length, sealed) = self.seal(message)?;
        send_binary(&mut self.socket, sealed).await?;
        Ok(length)
    }

    /// Waits for the next message. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Result<Received, LinkError> {
        let sealed = next_binary(&mut self.socket).await?;
        // Wiped after use, since some messages carry a password.
        let mut plain = Zeroizing::new(Vec::new());
        self.noise.open(&sealed, &mut plain).map_err(LinkError::Noise)?;
        match decode_from_appliance(&plain) {
            Ok(message) => Ok(Received::Message(message)),
            Err(MessageError::UnknownVerb { request_id }) => {
                Ok(Received::UnknownRequest(request_id))
            }
            Err(MessageError::Unknown { number }) => Ok(Received::UnknownKind(number)),
            Err(error) => Err(LinkError::Message(error)),
        }
    }

    /// Ends the WebSocket politely, if that goes quickly.
    pub(crate) async fn close(mut self) {
        match timeout(CLOSING, self.socket.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the close frame did not go out"),
            Err(_) => tracing::debug!("the close frame did not go out in time"),
        }
    }

    /// Apart from `send`, so that no buffer lives in its future.
    fn seal(&mut self, message: &FromDevice) -> Result<(usize, Vec<u8>), LinkError> {
        let mut plain = Vec::new();
        encode_from_device(message, &mut plain).map_err(LinkError::Message)?;
        let mut sealed = Vec::new();
        self.noise.seal(&plain, &mut sealed).map_err(LinkError::Noise)?;
        Ok((plain.len(), sealed))
    }
}

/// Sends one binary frame.
pub(crate) async fn send_binary<S>(
    socket: &mut WebSocketStream<S>,
    bytes: Vec<u8>,
) -> Result<(), LinkError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(SENDING, socket.send(Message::Binary(bytes.into()))).await {
        Ok(sent) => sent.map_err(broken),
        Err(_) => Err(LinkError::Stuck),
    }
}

/// Waits for the next binary frame; pings are answered on the way. Cancel-safe.
pub(crate) async fn next_binary<S>(socket: &mut WebSocketStream<S>) -> Result<Bytes, LinkError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Frame(_))) => return Err(LinkError::NotBinary),
            Some(Ok(Message::Close(_))) | None => return Err(LinkError::Closed),
            Some(Err(error)) => return Err(broken(error)),
        }
    }
}

fn broken(error: tungstenite::Error) -> LinkError {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            LinkError::Closed
        }
        error => LinkError::Broken(Box::new(error)),
    }
}
