//! One connection on a TLS port: handshake, then HTTP/2 or HTTP/1.1, then perhaps a device session.
//!
//! Each phase is a boxed future of its own and gone when the next begins: a task keeps the size of
//! its largest branch for ever, and ten thousand sessions pay for it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::body::{Answer, Arriving};
use super::certificate::CHALLENGE;
use super::crowd::Place;
use super::redirect::host;
use super::refusal::{self, Refusing};
use super::socket::Socket;
use super::tls::Policy;
use super::upgrade::{self, Guest};
use super::{Behind, Peer, Proxies, RequestId, Through, headers, plain};

/// Time for the first byte and the whole handshake together.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Time for a request's head, also counted while a kept-alive connection waits for its next one.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Time for the first request on HTTP/2.
const FIRST_REQUEST_TIME: Duration = Duration::from_secs(10);
/// An HTTP/2 connection without a request is told to leave after this time.
const IDLE_TIME: Duration = Duration::from_mins(2);
/// Time for an HTTP/2 peer to leave once it has been told.
const LEAVE_TIME: Duration = Duration::from_secs(10);
/// Time for a peer to take a last word and close too.
const CLOSE_TIME: Duration = Duration::from_secs(3);
/// Bytes of one request's head.
pub(super) const HEAD_BYTES: usize = 16 * 1024;
/// Bytes of it that are read on HTTP/2, where a refusal of the library's own would carry no headers
/// of ours: as many as a client's library sends.
const HTTP2_HEAD_BYTES: u32 = 64 * 1024;
const HEADERS: usize = 64;
/// What the first byte of every TLS connection is: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a vendor's device is not spoken to. A close frame (RFC 6455) with code 1000.
const VENDOR_REASON: &[u8] = b"The protocol of this device is not public";

/// What a TLS port serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    /// GUI, API and devices.
    #[default]
    Everything,
    /// GUI and API; devices have the port given.
    People { inform_port: u16 },
    /// Devices and nothing else.
    Devices,
}

/// One TLS port, shared by all its connections.
pub(super) struct TlsPort {
    pub(super) listener: SocketAddr,
    /// May change while connections live.
    pub(super) purpose: RwLock<Purpose>,
    pub(super) tls: Policy,
    pub(super) behind: Arc<Behind>,
    pub(super) proxies: Proxies,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl TlsPort {
    fn purpose(&self) -> Purpose {
        *self.purpose.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, also on connections that are open.
    pub(super) fn serve_as(&self, purpose: Purpose) {
        *self.purpose.write().unwrap_or_else(PoisonError::into_inner) = purpose;
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, socket: Socket, peer: SocketAddr, place: Place) {
        let deadline = Instant::now() + HANDSHAKE_TIME;
        match timeout_at(deadline, socket.first_byte()).await {
            Ok(Ok(Some(TLS_HANDSHAKE))) => {}
            Ok(Ok(Some(first))) if first.is_ascii_uppercase() => {
                return Box::pin(speak_https(socket)).await;
            }
            _ => return,
        }
        place.moved();
        let talk = Box::pin(self.talk(socket, peer, place, deadline));
        if let Some(guest) = talk.await {
            Box::pin(self.hand_over(guest)).await;
        }
    }

    /// TLS and HTTP, until the peer leaves or has been let in as a guest.
    async fn talk(
        self: &Arc<Self>,
        socket: Socket,
        peer: SocketAddr,
        place: Place,
        deadline: Instant,
    ) -> Option<Admitted> {
        let handshake = Box::pin(timeout_at(deadline, handshake(&self.tls, socket)));
        let Ok(Ok(stream)) = handshake.await else { return None };
        // A CA has seen what it wanted to see: the handshake.
        if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE) {
            return None;
        }
        place.moved();
        let (port, place) = (Arc::clone(self), Arc::new(place));
        let connection = Arc::new(Connection { port, peer, place, guest: Mutex::default() });
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            Box::pin(connection.http2(stream)).await;
            return None;
        }
        Box::pin(Arc::clone(&connection).http1(stream)).await;
        connection.guest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes the TLS stream back out of hyper and gives it to whom it is for.
    async fn hand_over(&self, admitted: Admitted) {
        let Admitted { guest, upgrade, source } = admitted;
        let Ok(upgraded) = upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Refusing<TlsStream<Socket>>>>() else {
            return;
        };
        let stream = parts.io.into_inner().into_inner();
        match guest {
            // Copied, since an empty slice would keep hyper's whole buffer.
            Guest::Device => {
                let already = Bytes::copy_from_slice(&parts.read_buf);
                self.behind.devices.serve_inform(stream, already, source);
            }
            Guest::Vendor => Box::pin(close_vendor(stream)).await,
        }
    }
}

/// Who has been let in, by which upgrade, and where they come from.
struct Admitted {
    guest: Guest,
    upgrade: OnUpgrade,
    source: SocketAddr,
}

async fn handshake(tls: &Policy, socket: Socket) -> std::io::Result<TlsStream<Socket>> {
    let opened = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
    let config = tls.for_hello(&opened.client_hello());
    opened.into_stream(config).await
}

/// One connection that speaks HTTP.
struct Connection {
    port: Arc<TlsPort>,
    peer: SocketAddr,
    place: Arc<Place>,
    /// Who has been let in by the answer that is on its way.
    guest: Mutex<Option<Admitted>>,
}

impl Connection {
    async fn http1(self: Arc<Self>, stream: TlsStream<Socket>) {
        let stop = self.port.stop.clone();
        let more = self.on_every_answer(&stream);
        let service = service_fn(move |request| Arc::clone(&self).answer(request));
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(Refusing::new(stream, more)), service)
            .with_upgrades();
        let mut http = pin!(http);
        // How it ended does not matter here: whoever wrote a request has been answered.
        tokio::select! {
            _ = http.as_mut() => return,
            () = stop.cancelled() => http.as_mut().graceful_shutdown(),
        }
        http.await.ok();
    }

    async fn http2(self: Arc<Self>, stream: TlsStream<Socket>) {
        let stop = self.port.stop.clone();
        let place = Arc::clone(&self.place);
        let executor = Tasks(self.port.tasks.clone());
        let service = service_fn(move |request| Arc::clone(&self).answer(request));
        let http = http2::Builder::new(executor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(64)
            .max_header_list_size(HTTP2_HEAD_BYTES)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(256 * 1024)
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .serve_connection(TokioIo::new(stream), service);
        let mut http = pin!(http);
        let idle = async {
            place.idle_for(FIRST_REQUEST_TIME).await;
            // Silent from the start, or between two requests.
            if place.has_asked() {
                place.idle_for(IDLE_TIME).await;
            }
        };
        tokio::select! {
            _ = http.as_mut() => return,
            () = stop.cancelled() => {}
            () = idle => {}
        }
        http.as_mut().graceful_shutdown();
        drop(timeout(LEAVE_TIME, http).await);
    }

    /// What a browser is told by the name that it asked for in the handshake.
    fn on_every_answer(&self, stream: &TlsStream<Socket>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if stream.get_ref().1.server_name().is_some_and(headers::can_stay_secure) {
            self.stay_secure(&mut headers);
        }
        headers
    }

    fn stay_secure(&self, headers: &mut HeaderMap) {
        headers::stay_secure(headers, self.port.behind.security.include_sub_domains());
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Infallible> {
        let busy = Arc::new(self.place.busy());
        let purpose = self.port.purpose();
        let source = self.port.proxies.source(self.peer, request.headers());
        let named = host(&request).is_some_and(|host| headers::can_stay_secure(&host));
        let mut response = if refusal::is_too_long(request.headers()) {
            plain::text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, refusal::TOO_LONG)
        } else if upgrade::is_knock(&request) {
            self.knock(request, purpose, source)
        } else if purpose == Purpose::Devices {
            let sentence = "Only devices connect to this port. The web GUI has another one.\n";
            plain::text(StatusCode::NOT_FOUND, sentence)
        } else {
            let mut request = request.map(|body| Arriving::body(body, Arc::clone(&busy)));
            request.extensions_mut().insert(Peer(source));
            request.extensions_mut().insert(Through(self.port.listener));
            request.extensions_mut().insert(RequestId::next());
            match self.port.behind.router.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        if named {
            self.stay_secure(response.headers_mut());
        }
        Ok(response.map(|body| Answer::new(body, busy)))
    }

    fn knock(
        &self,
        mut request: Request<Incoming>,
        purpose: Purpose,
        source: SocketAddr,
    ) -> Response<axum::body::Body> {
        if let Purpose::People { inform_port } = purpose {
            let sentence = format!("Devices connect to port {inform_port} of this appliance.\n");
            return plain::text(StatusCode::NOT_FOUND, sentence);
        }
        let (guest, response) = upgrade::answer(&request, &self.port.behind.devices, source);
        if let Some(guest) = guest {
            let upgrade = hyper::upgrade::on(&mut request);
            let admitted = Some(Admitted { guest, upgrade, source });
            *self.guest.lock().unwrap_or_else(PoisonError::into_inner) = admitted;
        }
        response
    }
}

/// Somebody typed `http://` before the address of a TLS port.
async fn speak_https(mut socket: Socket) {
    const SENTENCE: &str = "This port speaks HTTPS: write https:// at the start of the address\n";
    let answer = plain::whole(StatusCode::BAD_REQUEST, SENTENCE, &HeaderMap::new());
    let told = async {
        socket.write_all(&answer).await?;
        socket.shutdown().await?;
        drain(socket).await
    };
    drop(timeout(CLOSE_TIME, told).await);
}

/// Says goodbye to a vendor's device in WebSocket's own words.
async fn close_vendor(mut stream: TlsStream<Socket>) {
    let mut frame = Vec::with_capacity(4 + VENDOR_REASON.len());
    frame.push(0x88);
    frame.extend(u8::try_from(2 + VENDOR_REASON.len()));
    frame.extend(1000_u16.to_be_bytes());
    frame.extend(VENDOR_REASON);
    let told = async {
        stream.write_all(&frame).await?;
        stream.shutdown().await?;
        drain(stream).await
    };
    drop(timeout(CLOSE_TIME, told).await);
}

/// Reads what the peer still sends, so that closing does not become a reset that eats the answer.
async fn drain(mut stream: impl AsyncRead + Unpin) -> std::io::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Where hyper runs the streams of an HTTP/2 connection.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
