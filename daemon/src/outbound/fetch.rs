//! One request and its answer, over TLS and bounded in bytes and time.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Target;
use super::error::OutboundError;

/// Time for one address to take a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Time for port 80 to answer.
const PLAIN_TIME: Duration = Duration::from_secs(8);
/// Bytes that are read from port 80.
const PLAIN_BYTES: u64 = 2 * 1024;
/// What we call ourselves.
const AGENT: &str = concat!("aerie/", env!("CARGO_PKG_VERSION"));

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// An `https` address.
    pub url: &'a str,
    /// More headers than the host and who we are.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent.
    pub body: Bytes,
    /// From [`super::Outbound::tls`].
    pub tls: Arc<ClientConfig>,
    /// Bytes of the answer's body.
    pub limit: usize,
    /// Time for all of it.
    pub time: Duration,
}

impl<'a> Ask<'a> {
    /// A GET whose answer has at most 64 KiB and 30 seconds.
    pub fn get(url: &'a str, tls: Arc<ClientConfig>) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            tls,
            limit: 64 * 1024,
            time: Duration::from_secs(30),
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status. A redirect is one, too.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Sends the request to the addresses of the target, which are not resolved again.
pub(super) async fn fetch(target: &Target, ask: Ask<'_>) -> Result<Answer, OutboundError> {
    let time = ask.time;
    let talk = Box::pin(talk(target, ask));
    let slow = || OutboundError::TooSlow { host: target.host.clone(), time };
    timeout(time, talk).await.unwrap_or_else(|_| Err(slow()))
}

async fn talk(target: &Target, ask: Ask<'_>) -> Result<Answer, OutboundError> {
    let http = |source| OutboundError::Http(target.host.clone(), source);
    let request = request(target, &ask).map_err(|error| http(error.into()))?;
    let stream = secure(target, ask.tls).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| http(error.into()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| http(error.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ask.limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                OutboundError::TooLong(target.host.clone(), ask.limit)
            } else {
                http(error)
            }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    // The connection is driven beside, and its end is not the answer's.
    let driving = async {
        connection.await.ok();
        std::future::pending().await
    };
    tokio::select! {
        answer = pin!(answer) => answer,
        never = pin!(driving) => never,
    }
}

fn request(target: &Target, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = target.uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close");
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(ask.body.clone()))
}

async fn secure(
    target: &Target,
    tls: Arc<ClientConfig>,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, OutboundError> {
    let tcp = connect(&target.host, &target.addresses).await?;
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| OutboundError::NotFound(target.host.clone(), None))?;
    let secured = TlsConnector::from(tls).connect(name, tcp).await;
    secured.map_err(|error| tls_error(&target.host, error))
}

fn tls_error(host: &str, error: io::Error) -> OutboundError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            OutboundError::Certificate(host.to_owned(), reason.to_string())
        }
        _ => OutboundError::Tls(host.to_owned(), error),
    }
}

/// Connects to the first address that takes it.
async fn connect(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream, OutboundError> {
    let mut last = OutboundError::NotFound(host.to_owned(), None);
    for address in addresses {
        let connected = timeout(CONNECT_TIME, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(tcp) => return Ok(tcp),
            Err(source) => {
                last = OutboundError::Connect { host: host.to_owned(), address: *address, source };
            }
        }
    }
    Err(last)
}

/// The beginning of what port 80 answers to a GET, head and all.
pub(super) async fn plain(
    host: &str,
    addresses: &[SocketAddr],
    path: &str,
) -> Result<Vec<u8>, OutboundError> {
    let asked = async {
        let mut tcp = connect(host, addresses).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n"
        );
        let mut answer = Vec::new();
        let talk = async {
            tcp.write_all(request.as_bytes()).await?;
            tcp.take(PLAIN_BYTES).read_to_end(&mut answer).await
        };
        match talk.await {
            Ok(_) => Ok(answer),
            Err(error) => Err(OutboundError::Http(host.to_owned(), error.into())),
        }
    };
    let slow = || OutboundError::TooSlow { host: host.to_owned(), time: PLAIN_TIME };
    timeout(PLAIN_TIME, asked).await.unwrap_or_else(|_| Err(slow()))
}
