//! What the live and the terminal socket have in common: who may open one, and how it ends.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use http::StatusCode;
use http::header::{HOST, HeaderMap, ORIGIN};
use http::request::Parts;
use http::uri::{Authority, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::extract::Source;
use super::{Rooms, Web};
use crate::accounts::{Accounts, LoginId};

/// Bytes of a frame that a browser may send.
const FRAME_BYTES: usize = 64 * 1024;
/// Bytes that are read at once; most frames are keystrokes.
const READ_BYTES: usize = 4 * 1024;
/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 16 * 1024;
/// Bytes that may wait for a slow browser before sending fails.
const UNSENT_BYTES: usize = 512 * 1024;
/// How long a socket may go without its ticket.
const TICKET_TIME: Duration = Duration::from_secs(5);
/// How long a frame may take to leave.
const SEND_TIME: Duration = Duration::from_secs(20);
/// How long a browser may take to answer a goodbye.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// How often a login is looked at, beside being told of its end.
const LOOK: Duration = Duration::from_secs(2);

/// Sockets of all browsers.
const OPEN: Bounds = Bounds { total: 512, each: 32 };
/// Sockets that have not shown their ticket, by source.
const WAITING: Bounds = Bounds { total: 256, each: 16 };

/// Why a socket is closed, as the browser is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was asked for.
    Done,
    /// The daemon stops.
    Stopping,
    /// A frame could not be understood.
    Misfit,
    /// The login has ended.
    LoginEnded,
    /// The ticket is not good for this.
    NotAllowed,
    /// No ticket came in time.
    NoTicket,
    /// Too many sockets.
    TooMany,
    /// The browser has gone: nobody is left to tell.
    Gone,
}

impl Why {
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Done => (1000, "closed"),
            Self::Stopping => (1001, "the appliance restarts"),
            Self::Misfit => (1008, "a frame could not be understood"),
            Self::LoginEnded => (4401, "the login has ended"),
            Self::NotAllowed => (4403, "the ticket is not good for this"),
            Self::NoTicket => (4408, "no ticket came in time"),
            Self::TooMany => (4429, "too many sockets are open"),
            Self::Gone => return None,
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

/// How many there may be, in all and of each.
#[derive(Clone, Copy)]
struct Bounds {
    total: usize,
    each: usize,
}

/// Counts what is open, by whose it is.
struct Counted<K> {
    bounds: Bounds,
    open: Mutex<HashMap<K, usize>>,
}

/// One of what is counted; free again when dropped.
struct Seat<K: Eq + Hash> {
    counted: Arc<Counted<K>>,
    of: Option<K>,
}

impl<K: Eq + Hash + Clone> Counted<K> {
    fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, open: Mutex::default() })
    }

    fn enter(self: &Arc<Self>, of: K) -> Option<Seat<K>> {
        let mut open = self.lock();
        if open.values().sum::<usize>() >= self.bounds.total {
            return None;
        }
        let count = open.entry(of.clone()).or_default();
        if *count >= self.bounds.each {
            return None;
        }
        *count += 1;
        Some(Seat { counted: Arc::clone(self), of: Some(of) })
    }
}

impl<K: Eq + Hash> Counted<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let Some(of) = self.of.take() else { return };
        let mut open = self.counted.lock();
        if let Some(count) = open.get_mut(&of) {
            *count -= 1;
            if *count == 0 {
                open.remove(&of);
            }
        }
    }
}

/// All open sockets. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sockets {
    open: Arc<Counted<LoginId>>,
    waiting: Arc<Counted<IpAddr>>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self { open: Counted::new(OPEN), waiting: Counted::new(WAITING) }
    }
}

impl Sockets {
    /// How many sockets have shown their ticket and are open.
    pub(super) fn open(&self) -> usize {
        self.open.lock().values().sum()
    }
}

/// An upgrade that may become a socket: its origin is ours, and there is room for it.
pub(super) struct Knock {
    upgrade: WebSocketUpgrade,
    seat: Seat<IpAddr>,
}

impl FromRequestParts<Web> for Knock {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, ApiError> {
        if !is_same_origin(&parts.uri, &parts.headers) {
            return Err(ApiError::forbidden(
                "This socket opens for pages of this appliance alone.",
            ));
        }
        let Source(client) = Source::from_request_parts(parts, web).await?;
        let seat = web.sockets.waiting.enter(network(client.address)).ok_or_else(|| {
            ApiError::throttled(TICKET_TIME).because("too many sockets without a ticket")
        })?;
        let upgrade = WebSocketUpgrade::from_request_parts(parts, web).await.map_err(|error| {
            ApiError::new(
                StatusCode::UPGRADE_REQUIRED,
                "This is a WebSocket: open it with an upgrade (RFC 6455).",
            )
            .because(error)
        })?;
        Ok(Self { upgrade, seat })
    }
}

impl Knock {
    /// Answers the upgrade, and runs the socket until it says why it closes.
    pub(super) fn accept<F, R>(self, run: F) -> axum::response::Response
    where
        F: FnOnce(Newcomer) -> R + Send + 'static,
        R: Future<Output = (WebSocket, Why)> + Send,
    {
        let Self { upgrade, seat } = self;
        upgrade
            .max_message_size(FRAME_BYTES)
            .max_frame_size(FRAME_BYTES)
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_write_buffer_size(UNSENT_BYTES)
            .on_upgrade(move |socket| async move {
                let (socket, why) = Box::pin(run(Newcomer { socket, seat })).await;
                close(socket, why).await;
            })
    }
}

/// A socket that has not shown its ticket.
pub(super) struct Newcomer {
    socket: WebSocket,
    seat: Seat<IpAddr>,
}

/// A socket's first frame.
pub(super) trait Opening: DeserializeOwned {
    /// The ticket in it.
    fn ticket(&self) -> &str;
}

/// What hangs on a login: a place among its sockets, and word of its end.
pub(super) struct Hold {
    pub(super) login: LoginId,
    accounts: Accounts,
    ended: broadcast::Receiver<LoginId>,
    look: tokio::time::Interval,
    stop: CancellationToken,
    _seat: Seat<LoginId>,
}

impl Newcomer {
    /// Waits for the first frame.
    pub(super) async fn opening<T: Opening>(self) -> Result<(WebSocket, T), (WebSocket, Why)> {
        // The seat among those who wait is free again once the ticket is here.
        let Self { mut socket, seat: _seat } = self;
        match timeout(TICKET_TIME, first_text(&mut socket)).await {
            Err(_) => Err((socket, Why::NoTicket)),
            Ok(None) => Err((socket, Why::Gone)),
            Ok(Some(text)) => match serde_json::from_str(&text) {
                Ok(opening) => Ok((socket, opening)),
                Err(_) => Err((socket, Why::Misfit)),
            },
        }
    }
}

async fn first_text(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.recv().await? {
            Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_) | Message::Close(_)) | Err(_) => return None,
        }
    }
}

impl Hold {
    /// Hangs on a login, unless it has ended or has too many sockets.
    pub(super) fn on(login: LoginId, rooms: &Rooms, sockets: &Sockets) -> Result<Self, Why> {
        // Subscribed first: an end between the two would be missed for ever.
        let ended = rooms.accounts.ended();
        if !rooms.accounts.is_live(&login) {
            return Err(Why::LoginEnded);
        }
        if rooms.accounts.is_due(&login) {
            return Err(Why::NotAllowed);
        }
        let seat = sockets.open.enter(login).ok_or(Why::TooMany)?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (accounts, stop) = (rooms.accounts.clone(), rooms.supervisor.token());
        Ok(Self { login, accounts, ended, look, stop, _seat: seat })
    }

    /// Returns once the login has ended or the daemon stops. Safe to cancel.
    pub(super) async fn ends(&mut self) -> Why {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Why::Stopping,
                ended = self.ended.recv() => match ended {
                    Ok(id) if id == self.login => return Why::LoginEnded,
                    // Too many at once to be told of each: looked at below.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Why::Stopping,
                },
                _ = self.look.tick() => {}
            }
            if !self.accounts.is_live(&self.login) {
                return Why::LoginEnded;
            }
            if self.accounts.is_due(&self.login) {
                return Why::NotAllowed;
            }
        }
    }

    /// Sends frames, unless the login ends first or the browser takes them too slowly.
    pub(super) async fn send(
        &mut self,
        socket: &mut WebSocket,
        frames: impl IntoIterator<Item = Message> + Send,
    ) -> Result<(), Why> {
        use futures_util::SinkExt as _;
        let all = async {
            for frame in frames {
                timeout(SEND_TIME, socket.feed(frame)).await.ok()?.ok()?;
            }
            timeout(SEND_TIME, socket.flush()).await.ok()?.ok()
        };
        tokio::select! {
            sent = all => sent.ok_or(Why::Gone),
            why = self.ends() => Err(why),
        }
    }
}

/// A frame of JSON.
pub(super) fn json(frame: &impl Serialize) -> Option<Message> {
    // Our own frames always serialise; one that did not would be missed, not harmful.
    serde_json::to_string(frame).ok().map(|text| Message::Text(text.into()))
}

/// Says why, and gives the browser a moment to hear it: a reset would eat the close frame. To a
/// browser that closes by itself, reading on sends the answer that it waits for.
async fn close(mut socket: WebSocket, why: Why) {
    let goodbye = async {
        if let Some(frame) = why.frame() {
            socket.send(Message::Close(Some(frame))).await.ok()?;
        }
        while socket.recv().await?.is_ok() {}
        Some(())
    };
    timeout(GOODBYE_TIME, goodbye).await.ok();
}

/// Whether a request comes from a page of this appliance. What is no browser sends no origin.
/// HTTP/2 has the host in the address.
pub(super) fn is_same_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|text| text.parse::<Authority>().ok());
    let host = uri.authority().cloned().or(host);
    let secure = origin.as_ref().filter(|origin| origin.scheme_str() == Some("https"));
    match (secure.and_then(Uri::authority), host) {
        (Some(origin), Some(host)) => {
            origin.host().eq_ignore_ascii_case(host.host())
                && origin.port_u16().unwrap_or(443) == host.port_u16().unwrap_or(443)
        }
        _ => false,
    }
}

/// One source: an IPv4 address, or an IPv6 network that one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn same(headers: &HeaderMap) -> bool {
        is_same_origin(&Uri::from_static("/nms/ws"), headers)
    }

    #[test]
    fn a_socket_opens_for_pages_of_this_appliance_alone() {
        let host = ("host", "aerie.example:8443");
        assert!(same(&headers(&[host])));
        assert!(same(&headers(&[host, ("origin", "https://aerie.example:8443")])));
        assert!(same(&headers(&[host, ("origin", "https://AERIE.example:8443")])));
        for strange in [
            "https://evil.example:8443",
            "https://aerie.example",
            "http://aerie.example:8443",
            "null",
        ] {
            let headers = headers(&[host, ("origin", strange)]);
            assert!(!same(&headers), "{strange:?}");
        }
        assert!(!same(&headers(&[("origin", "https://aerie.example")])));
        let whole = Uri::from_static("https://aerie.example/nms/ws");
        let ours = headers(&[("origin", "https://aerie.example")]);
        assert!(is_same_origin(&whole, &ours), "as HTTP/2 writes it");
        assert!(same(&headers(&[
            ("host", "aerie.example"),
            ("origin", "https://aerie.example:443")
        ])));
    }

    #[test]
    fn seats_are_bounded_in_all_and_each_and_free_again_when_left() {
        let counted = Counted::new(Bounds { total: 3, each: 2 });
        let first = counted.enter(1).unwrap();
        let second = counted.enter(1).unwrap();
        assert!(counted.enter(1).is_none(), "no third of one");
        let third = counted.enter(2).unwrap();
        assert!(counted.enter(3).is_none(), "no fourth in all");
        drop(first);
        assert!(counted.enter(3).is_some());
        drop((second, third));
        assert!(counted.lock().is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::2")));
        assert_ne!(network(address("2001:db8:0:1::1")), network(address("2001:db8::1")));
        assert_eq!(network(address("192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn the_close_codes_are_those_of_the_contract() {
        let code = |why: Why| why.frame().map(|frame| frame.code);
        assert_eq!(code(Why::LoginEnded), Some(4401));
        assert_eq!(code(Why::NotAllowed), Some(4403));
        assert_eq!(code(Why::NoTicket), Some(4408));
        assert_eq!(code(Why::Gone), None);
    }
}
