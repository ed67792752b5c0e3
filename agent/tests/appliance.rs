//! The appliance's side of a session, as far as a device can see it: real WebSocket, real Noise.

use aerie_agent::state::{Enrolment, Known, State};
use aerie_protocol::{
    SUBPROTOCOL,
    inform::{
        Enrolled, FromAppliance, KeepAlive, decode_from_device, encode_from_appliance,
        from_appliance, from_device,
    },
    key::{DeviceKey, KeySecret},
    noise::{Answered, Opening, Session, StaticKey},
};
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Duration, Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

/// An appliance: its identity and its generic key.
#[derive(Clone)]
pub(crate) struct Appliance {
    pub(crate) identity: StaticKey,
    pub(crate) secret: KeySecret,
}

impl Appliance {
    pub(crate) fn new() -> Self {
        Self { identity: StaticKey::generate().unwrap(), secret: KeySecret::generate().unwrap() }
    }

    /// The same generic key in other hands.
    pub(crate) fn impostor(&self) -> Self {
        Self { identity: StaticKey::generate().unwrap(), secret: self.secret.clone() }
    }

    /// The key that an owner copies, pin included.
    pub(crate) fn key(&self) -> DeviceKey {
        DeviceKey { pin: Some(self.identity.public()), ..self.key_without_pin() }
    }

    pub(crate) fn key_without_pin(&self) -> DeviceKey {
        DeviceKey {
            host: "appliance.example".to_owned(),
            port: 8443,
            secret: self.secret.clone(),
            allow_untrusted: false,
            pin: None,
        }
    }

    /// A device that has this appliance's key and was never authorised.
    pub(crate) fn new_device(&self) -> Known {
        Known { key: Some(self.key()), ..Known::fresh().unwrap() }
    }

    /// A device that belongs to this appliance.
    pub(crate) fn enrolled_device(&self) -> Known {
        let enrolment = Enrolment {
            appliance: self.identity.public(),
            device_id: [5; 16],
            name: "mast".to_owned(),
        };
        Known { enrolment: Some(enrolment), ..self.new_device() }
    }

    pub(crate) fn enrolled_state(&self) -> State {
        State::in_memory(self.enrolled_device())
    }

    /// Accepts the WebSocket and reads what the device opens with.
    pub(crate) async fn greet<S>(&self, stream: S) -> Greeted<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut socket = upgrade(stream).await;
        let opening = Opening::parse(&binary(&mut socket).await.unwrap()).unwrap();
        Greeted { socket, opening }
    }

    /// Accepts a device to the point where its `Hello` is next.
    pub(crate) async fn accept<S>(&self, stream: S) -> Peer<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut greeted = self.greet(stream).await;
        let first_contact = greeted.opening.key_id().is_some();
        let noise = greeted.answer(self).await.expect("the device ended the handshake");
        Peer { socket: greeted.socket, noise, first_contact }
    }

    /// Accepts a device and hears its `Hello`.
    pub(crate) async fn welcome<S>(&self, stream: S) -> Peer<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut peer = self.accept(stream).await;
        let hello = peer.next().await;
        assert!(matches!(hello, Some(from_device::Body::Hello(_))), "{hello:?}");
        peer
    }
}

/// A device that has spoken first.
pub(crate) struct Greeted<S> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) opening: Opening,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Greeted<S> {
    /// Finishes the handshake; `None` if the device left in the middle of it.
    pub(crate) async fn answer(&mut self, appliance: &Appliance) -> Option<Session> {
        let psk = self.opening.key_id().map(|_| &appliance.secret);
        let (answered, reply) = self.opening.answer(&appliance.identity, psk).unwrap();
        self.socket.send(Message::Binary(reply.into())).await.unwrap();
        match answered {
            Answered::Proven(session) => Some(session),
            Answered::Awaiting(awaiting) => {
                let third = binary(&mut self.socket).await?;
                Some(awaiting.finish(&third).unwrap())
            }
        }
    }
}

/// An open session with a device.
pub(crate) struct Peer<S> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) noise: Session,
    pub(crate) first_contact: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn send(&mut self, body: from_appliance::Body) {
        self.try_send(body).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, body: from_appliance::Body) -> Result<(), Error> {
        let mut plain = Vec::new();
        encode_from_appliance(&FromAppliance::from(body), &mut plain).unwrap();
        self.send_sealed(&plain).await
    }

    /// Seals and sends any bytes.
    pub(crate) async fn send_plain(&mut self, plain: &[u8]) {
        self.send_sealed(plain).await.unwrap();
    }

    async fn send_sealed(&mut self, plain: &[u8]) -> Result<(), Error> {
        let mut sealed = Vec::new();
        self.noise.seal(plain, &mut sealed).unwrap();
        self.socket.send(Message::Binary(sealed.into())).await
    }

    /// The device's next message; `None` once it has left.
    pub(crate) async fn next(&mut self) -> Option<from_device::Body> {
        let sealed = binary(&mut self.socket).await?;
        let mut plain = Vec::new();
        self.noise.open(&sealed, &mut plain).unwrap();
        decode_from_device(&plain).unwrap().body
    }

    /// The device's next message that is not a status.
    pub(crate) async fn answer(&mut self) -> Option<from_device::Body> {
        loop {
            match self.next().await {
                Some(from_device::Body::Status(_)) => {}
                other => return other,
            }
        }
    }

    /// Waits until everything sent so far has been worked off: the answer to a keep-alive comes
    /// after it. Returns what came before.
    pub(crate) async fn settle(&mut self, sequence: u32) -> Vec<from_device::Body> {
        self.send(from_appliance::Body::KeepAlive(KeepAlive { sequence })).await;
        let mut before = Vec::new();
        loop {
            match self.next().await.expect("the device left") {
                from_device::Body::KeepAlive(answer) if answer.sequence == sequence => {
                    return before;
                }
                other => before.push(other),
            }
        }
    }

    /// Serves a session for so long, as an appliance does, or until the device leaves; what came
    /// in meanwhile, with its time.
    pub(crate) async fn serve(&mut self, duration: Duration) -> Vec<(Duration, from_device::Body)> {
        let began = Instant::now();
        let mut came = Vec::new();
        let mut next_alive = began;
        while began.elapsed() < duration {
            if Instant::now() >= next_alive {
                // The device may be leaving: then its goodbye is still to be read.
                let alive = from_appliance::Body::KeepAlive(KeepAlive { sequence: 7 });
                if self.try_send(alive).await.is_err() {
                    next_alive = began + duration;
                }
                next_alive += Duration::from_secs(15);
            }
            let wait = next_alive.min(began + duration) - Instant::now();
            match timeout(wait, self.next()).await {
                Ok(Some(from_device::Body::KeepAlive(answer))) => assert_eq!(answer.sequence, 7),
                Ok(Some(body)) => came.push((began.elapsed(), body)),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        came
    }

    pub(crate) async fn enrol(&mut self, name: &str) {
        let enrolled = Enrolled { device_id: vec![5; 16], name: name.to_owned() };
        self.send(from_appliance::Body::Enrolled(enrolled)).await;
        self.settle(u32::MAX).await;
    }
}

/// The server's half of the WebSocket upgrade.
pub(crate) async fn upgrade<S>(stream: S) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let echo = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
        assert_eq!(request.uri().path(), "/");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    accept_hdr_async(stream, echo).await.unwrap()
}

/// The next binary frame; `None` once the other side has gone.
pub(crate) async fn binary<S>(socket: &mut WebSocketStream<S>) -> Option<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return Some(bytes.to_vec()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return None,
        }
    }
}
