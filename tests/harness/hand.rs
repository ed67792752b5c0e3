//! An appliance made by hand: enrols every device that has its key, and asks exactly what a test wants.

use crate::PATIENCE;
use crate::interceptor::forged_certificate;
use aerie_protocol::SUBPROTOCOL;
use aerie_protocol::inform::{
    Enrolled, FromAppliance, HeldPassword, KeepAlive, Reply, Request, decode_from_device,
    encode_from_appliance, from_appliance, from_device, request,
};
use aerie_protocol::key::{DeviceKey, KeySecret};
use aerie_protocol::noise::{Answered, Opening, Session, StaticKey};
use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Upgrade, Response};

/// The appliance: a port, a certificate, a static key and a device key.
pub struct HandAppliance {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    own: StaticKey,
    secret: KeySecret,
}

impl HandAppliance {
    /// Listens on a free port.
    pub async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"),
            acceptor: TlsAcceptor::from(Arc::new(forged_certificate())),
            own: StaticKey::generate().expect("a static key"),
            secret: KeySecret::generate().expect("a secret"),
        }
    }

    /// What is pasted into a device.
    pub fn key(&self) -> String {
        let key = DeviceKey {
            host: "127.0.0.1".to_owned(),
            port: self.listener.local_addr().expect("an address").port(),
            secret: self.secret.clone(),
            allow_untrusted: true,
            pin: Some(self.own.public()),
        };
        key.write().to_string()
    }

    /// The next device that comes to stay, enrolled, and what its identity says of passwords.
    pub async fn device(&self) -> (AtHand, Vec<HeldPassword>) {
        let arrives = async {
            loop {
                let (tcp, _) = self.listener.accept().await.expect("a connection");
                if let Some(arrived) = self.greet(tcp).await {
                    return arrived;
                }
            }
        };
        timeout(PATIENCE, arrives).await.expect("a device comes")
    }

    async fn greet(&self, tcp: TcpStream) -> Option<(AtHand, Vec<HeldPassword>)> {
        let stream = self.acceptor.accept(tcp).await.ok()?;
        // The shape of tungstenite's callback: its error is a whole response.
        #[expect(clippy::result_large_err, reason = "tungstenite's signature")]
        let agree = |_: &Upgrade, mut response: Response| {
            let subprotocol = SUBPROTOCOL.parse().expect("a header");
            response.headers_mut().insert("sec-websocket-protocol", subprotocol);
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.ok()?;
        let opening = Opening::parse(&binary(&mut socket).await?).ok()?;
        let first_contact = opening.key_id().is_some();
        let secret = first_contact.then_some(&self.secret);
        let (answered, reply) = opening.answer(&self.own, secret).ok()?;
        socket.send(Message::binary(reply)).await.ok()?;
        let session = match answered {
            Answered::Proven(session) => session,
            Answered::Awaiting(third) => third.finish(&binary(&mut socket).await?).ok()?,
        };
        let mut device = AtHand { socket, session };
        let mut hello = device.hello().await?;
        if first_contact {
            let enrolled = Enrolled { device_id: vec![7; 16], name: "mast".to_owned() };
            device.say(from_appliance::Body::Enrolled(enrolled)).await?;
            // Only its own appliance is told of accounts.
            hello = device.hello().await?;
        }
        Some((device, hello))
    }
}

/// A device, at the other end of a session.
pub struct AtHand {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    session: Session,
}

impl AtHand {
    /// Asks for something. Nothing comes back if the device goes away.
    pub async fn ask(&mut self, verb: request::Verb) -> Option<Reply> {
        self.begin_to_ask(verb).await?;
        self.reply().await
    }

    /// Asks, and does not wait.
    pub async fn begin_to_ask(&mut self, verb: request::Verb) -> Option<()> {
        let request = Request { request_id: 1, verb: Some(verb) };
        self.say(from_appliance::Body::Request(request)).await
    }

    /// The next reply.
    pub async fn reply(&mut self) -> Option<Reply> {
        loop {
            if let from_device::Body::Reply(reply) = self.hear().await? {
                return Some(reply);
            }
        }
    }

    /// What the next identity says of passwords.
    pub async fn hello(&mut self) -> Option<Vec<HeldPassword>> {
        loop {
            if let from_device::Body::Hello(hello) = self.hear().await? {
                return Some(hello.passwords);
            }
        }
    }

    /// The device's next message; nothing once it has gone. While a test waits, the device is told
    /// that its appliance lives.
    pub async fn hear(&mut self) -> Option<from_device::Body> {
        let alive = from_appliance::Body::KeepAlive(KeepAlive { sequence: 1 });
        self.say(alive).await?;
        loop {
            let sealed = timeout(PATIENCE, binary(&mut self.socket)).await.expect("a message")?;
            let mut plain = Vec::new();
            self.session.open(&sealed, &mut plain).expect("what the device sealed opens");
            match decode_from_device(&plain).expect("a message").body {
                Some(from_device::Body::KeepAlive(_)) => {}
                body => return body,
            }
        }
    }

    async fn say(&mut self, body: from_appliance::Body) -> Option<()> {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        encode_from_appliance(&FromAppliance::from(body), &mut plain).expect("a message");
        self.session.seal(&plain, &mut sealed).expect("sealed");
        self.socket.send(Message::binary(sealed)).await.ok()
    }
}

async fn binary(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> Option<Vec<u8>> {
    loop {
        match socket.next().await?.ok()? {
            Message::Binary(bytes) => return Some(bytes.to_vec()),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}
