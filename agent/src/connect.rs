//! From an address to a proven session: TCP, TLS, WebSocket, Noise.
//!
//! The order of the checks is the point: the appliance's static key is compared with the stored
//! one (or with the key's pin) before this device shows its own identity in message 3, and nothing
//! in here can change the state.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use aerie_protocol::{
    SUBPROTOCOL,
    address::Address,
    key::DeviceKey,
    noise::{DeviceReply, FirstContact, NoiseError, PublicKey, Reconnect},
};
use http::{Request, StatusCode, header};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, lookup_host},
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, handshake::client::generate_key, protocol::WebSocketConfig},
};

use crate::{
    link::{Link, LinkError, next_binary, send_binary},
    state::Known,
    trust::{CertificateRule, Trust},
};

/// Everything from the name's look-up to the last handshake message.
const WHOLE_CONNECT: Duration = Duration::from_secs(30);
/// One address among several.
const ONE_ADDRESS: Duration = Duration::from_secs(10);
/// The longest "come back later" that a plain HTTP answer can give: nobody has proven anything yet.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Why there is no session.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The device was never given a key.
    #[error(
        "this device has no device key: give it one with --key-file, or with `aerie-agent adopt`"
    )]
    NoKey,
    /// The host name has no address.
    #[error("cannot find the appliance's address: check the device's DNS")]
    Name(#[source] io::Error),
    /// No TCP connection.
    #[error("cannot reach the appliance: check network, address and port")]
    Tcp(#[source] io::Error),
    /// No TLS connection; at first contact, an untrusted certificate too.
    #[error(
        "no secure connection to the appliance: give it a trusted certificate, or use a key that allows an untrusted one"
    )]
    Tls(#[source] io::Error),
    /// The host can stand in no certificate.
    #[error("the device key's host is neither a name nor an address: copy the key again")]
    Host,
    /// The appliance (or something in front of it) answered something else than "yes".
    #[error("the appliance answered the connect with HTTP status {status}")]
    Refused {
        /// What it answered.
        status: StatusCode,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No WebSocket connection.
    #[error("what answers at the appliance's address is no Aerie appliance")]
    WebSocket(#[source] Box<tungstenite::Error>),
    /// The connection broke in the middle of the handshake.
    #[error("the appliance ended the handshake: is the device key the current one?")]
    Broken(#[source] LinkError),
    /// The handshake failed: wrong key, wrong appliance, or somebody in between.
    #[error("the appliance did not prove itself")]
    Noise(#[source] NoiseError),
    /// It took too long.
    #[error("the appliance did not answer within {} s", WHOLE_CONNECT.as_secs())]
    TimedOut,
}

impl ConnectError {
    /// The pause that the other end asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Makes outer connections; a test makes them in memory.
pub trait Dial: Send {
    /// A connection on which the WebSocket upgrade is spoken.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects to a host under a rule for its certificate.
    fn dial(
        &mut self,
        host: &str,
        port: u16,
        rule: CertificateRule,
    ) -> impl Future<Output = Result<(Self::Stream, Option<SocketAddr>), ConnectError>> + Send;
}

/// TLS over TCP.
#[derive(Clone, Debug)]
pub struct TlsDialer {
    trust: Trust,
    source: Option<IpAddr>,
}

impl TlsDialer {
    /// Dials with these TLS settings.
    pub fn new(trust: Trust) -> Self {
        Self { trust, source: None }
    }

    /// Dials from a chosen local address.
    #[must_use]
    pub fn from_address(self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses: Vec<SocketAddr> =
            lookup_host((host, port)).await.map_err(ConnectError::Name)?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(ONE_ADDRESS, self.reach(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(ConnectError::Tcp(last))
    }

    async fn reach(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = self.source {
            socket.bind((source, 0).into())?;
        }
        let stream = socket.connect(address).await?;
        // Keystrokes are small and wait for nobody.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Dial for TlsDialer {
    type Stream = TlsStream<TcpStream>;

    async fn dial(
        &mut self,
        host: &str,
        port: u16,
        rule: CertificateRule,
    ) -> Result<(Self::Stream, Option<SocketAddr>), ConnectError> {
        let name = ServerName::try_from(host).map_err(|_| ConnectError::Host)?.to_owned();
        let tcp = self.tcp(host, port).await?;
        let peer = tcp.peer_addr().ok();
        let connector = TlsConnector::from(self.trust.settings(rule));
        let stream = connector.connect(name, tcp).await.map_err(ConnectError::Tls)?;
        Ok((stream, peer))
    }
}

/// A session that the appliance has proven itself for.
pub(crate) struct Connected<S> {
    pub(crate) link: Link<S>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) took: Duration,
    /// Where it was dialled.
    pub(crate) address: Address,
}

/// Connects to this address as what the device is: enrolled (IK) or not (`XXpsk0`).
pub(crate) async fn connect<D: Dial>(
    dialer: &mut D,
    known: &Known,
    address: Address,
) -> Result<Connected<D::Stream>, ConnectError> {
    let began = Instant::now();
    let connecting = async {
        let key = known.key.as_ref().ok_or(ConnectError::NoKey)?;
        let rule = match (&known.enrolment, key.allow_untrusted) {
            (Some(_), _) => CertificateRule::Note,
            (None, true) => CertificateRule::Allow,
            (None, false) => CertificateRule::Refuse,
        };
        let (stream, peer) = dialer.dial(address.host(), address.port(), rule).await?;
        let mut socket = Box::new(upgrade(stream, &address).await?);
        let reply = handshake(&mut socket, known, key).await?;
        let link = Link::new(socket, reply.session);
        Ok(Connected { link, peer, took: began.elapsed(), address })
    };
    timeout(WHOLE_CONNECT, connecting).await.unwrap_or(Err(ConnectError::TimedOut))
}

async fn upgrade<S>(stream: S, address: &Address) -> Result<WebSocketStream<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let authority = address.to_string();
    let request = Request::builder()
        .uri(format!("wss://{authority}/"))
        .header(header::HOST, authority)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(())
        .map_err(|_| ConnectError::Host)?;
    match client_async_with_config(request, stream, Some(small_buffers())).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(ConnectError::Refused {
            status: response.status(),
            retry_after: retry_after(response.headers()),
        }),
        Err(error) => Err(ConnectError::WebSocket(Box::new(error))),
    }
}

/// Whoever has ten thousand of them pays for every byte of a default.
fn small_buffers() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_message_size(Some(aerie_protocol::MAX_MESSAGE))
        .max_frame_size(Some(aerie_protocol::MAX_MESSAGE))
}

fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

async fn handshake<S>(
    socket: &mut WebSocketStream<S>,
    known: &Known,
    key: &DeviceKey,
) -> Result<DeviceReply, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = match &known.enrolment {
        Some(enrolment) => Reconnect::start(&known.identity, &enrolment.appliance),
        None => FirstContact::start(&known.identity, &key.secret),
    };
    let (handshake, opening) = started.map_err(ConnectError::Noise)?;
    send_binary(socket, opening).await.map_err(ConnectError::Broken)?;
    let message = next_binary(socket).await.map_err(ConnectError::Broken)?;
    let accept = |appliance: &PublicKey| is_expected(known, key, appliance);
    let mut reply = handshake.read_reply(&message, accept).map_err(ConnectError::Noise)?;
    if let Some(third) = reply.third.take() {
        send_binary(socket, third).await.map_err(ConnectError::Broken)?;
    }
    Ok(reply)
}

/// The stored static key decides; before there is one, the pin, if the key has one.
fn is_expected(known: &Known, key: &DeviceKey, appliance: &PublicKey) -> bool {
    match &known.enrolment {
        Some(enrolment) => enrolment.appliance == *appliance,
        None => key.pin.is_none_or(|pin| pin == *appliance),
    }
}
