//! An appliance that is none: knows a leaked device key, but has a static key of its own.

use crate::interceptor::forged_certificate;
use aerie_protocol::SUBPROTOCOL;
use aerie_protocol::inform::{
    Enrolled, Forget, FromAppliance, Waiting, encode_from_appliance, from_appliance,
};
use aerie_protocol::key::DeviceKey;
use aerie_protocol::noise::{Answered, Opening, PublicKey, Session, StaticKey};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// A forged appliance with a forged certificate. Enrols whoever believes it, then tells it to forget.
pub struct Impostor {
    address: SocketAddr,
    own: StaticKey,
    told: Arc<Mutex<Told>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Told {
    openings: Vec<Vec<u8>>,
    messages: Vec<Vec<u8>>,
}

impl Impostor {
    /// Starts with the secret of a leaked device key.
    pub async fn with_leaked(key: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let key = Arc::new(DeviceKey::parse(key).expect("a device key"));
        let own = StaticKey::generate().expect("a static key");
        let acceptor = TlsAcceptor::from(Arc::new(forged_certificate()));
        let told = Arc::new(Mutex::new(Told::default()));
        let mut tasks = JoinSet::new();
        let (own_here, told_here) = (own.clone(), Arc::clone(&told));
        tasks.spawn(async move {
            let mut victims = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, key) = (acceptor.clone(), Arc::clone(&key));
                let (own, told) = (own_here.clone(), Arc::clone(&told_here));
                victims.spawn(async move {
                    pose(tcp, acceptor, &key, &own, &told).await;
                });
            }
        });
        Self { address, own, told, _tasks: tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its own static key.
    pub fn public(&self) -> PublicKey {
        self.own.public()
    }

    /// How many devices sent it an opening.
    pub fn openings(&self) -> usize {
        self.told.lock().expect("not poisoned").openings.len()
    }

    /// Plain messages that devices sent it, believing in it.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.told.lock().expect("not poisoned").messages.clone()
    }
}

async fn pose(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    key: &DeviceKey,
    own: &StaticKey,
    told: &Mutex<Told>,
) -> Option<()> {
    let stream = acceptor.accept(tcp).await.ok()?;
    // The shape of tungstenite's callback: its error is a whole response.
    #[expect(clippy::result_large_err, reason = "tungstenite's signature")]
    let agree = |_: &Request, mut response: Response| {
        response
            .headers_mut()
            .insert("sec-websocket-protocol", SUBPROTOCOL.parse().expect("a header"));
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.ok()?;
    let opening = binary(socket.next().await?.ok()?)?;
    told.lock().expect("not poisoned").openings.push(opening.clone());
    let (answered, reply) = Opening::parse(&opening).ok()?.answer(own, Some(&key.secret)).ok()?;
    socket.send(Message::binary(reply)).await.ok()?;
    let mut session = match answered {
        Answered::Proven(session) => session,
        Answered::Awaiting(third) => third.finish(&binary(socket.next().await?.ok()?)?).ok()?,
    };
    for body in [
        from_appliance::Body::Waiting(Waiting {}),
        from_appliance::Body::Enrolled(Enrolled {
            device_id: vec![7; 16],
            name: "mine now".to_owned(),
        }),
        from_appliance::Body::Forget(Forget {}),
    ] {
        socket.send(Message::binary(sealed(&mut session, body))).await.ok()?;
    }
    while let Some(Ok(message)) = socket.next().await {
        if let Some(cipher) = binary(message) {
            let mut plain = Vec::new();
            session.open(&cipher, &mut plain).ok()?;
            told.lock().expect("not poisoned").messages.push(plain);
        }
    }
    Some(())
}

fn binary(message: Message) -> Option<Vec<u8>> {
    if let Message::Binary(bytes) = message { Some(bytes.to_vec()) } else { None }
}

fn sealed(session: &mut Session, body: from_appliance::Body) -> Vec<u8> {
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    encode_from_appliance(&FromAppliance::from(body), &mut plain).expect("a message");
    session.seal(&plain, &mut sealed).expect("sealed");
    sealed
}
