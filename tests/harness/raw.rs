//! A device made by hand: says exactly what a test wants, frame by frame, however wrong.

use crate::PATIENCE;
use crate::client::accept_any_certificate;
use crate::frames::{self, Frame};
use aerie_protocol::inform::{
    DeviceRole, FromAppliance, FromDevice, Hello, decode_from_appliance, encode_from_device,
    from_appliance, from_device,
};
use aerie_protocol::key::DeviceKey;
use aerie_protocol::noise::{FirstContact, PublicKey, Reconnect, Session, StaticKey};
use aerie_protocol::{SUBPROTOCOL, VENDOR_SUBPROTOCOL};
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An upgraded connection to the inform port. No Noise yet.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    /// The appliance's answer to the upgrade.
    pub answer: String,
}

impl Wire {
    /// Upgrades with our subprotocol; panics unless the appliance agrees.
    pub async fn open(inform: SocketAddr) -> Self {
        let wire = Self::offering(inform, SUBPROTOCOL).await.expect("an answer to the upgrade");
        assert!(wire.answer.starts_with("HTTP/1.1 101"), "{}", wire.answer);
        wire
    }

    /// Upgrades as an old vendor device does.
    pub async fn open_as_vendor(inform: SocketAddr) -> Self {
        Self::offering(inform, VENDOR_SUBPROTOCOL).await.expect("an answer to the upgrade")
    }

    /// Asks for an upgrade with any subprotocol. Nothing when the connection ends without an answer.
    pub async fn offering(inform: SocketAddr, subprotocol: &str) -> Option<Self> {
        Self::upgraded(TcpStream::connect(inform).await.ok()?, inform, subprotocol).await
    }

    /// Asks for an upgrade with our subprotocol, coming from a chosen address of this machine.
    pub async fn coming_from(source: IpAddr, inform: SocketAddr) -> Option<Self> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind((source, 0).into()).ok()?;
        Self::upgraded(socket.connect(inform).await.ok()?, inform, SUBPROTOCOL).await
    }

    async fn upgraded(tcp: TcpStream, inform: SocketAddr, subprotocol: &str) -> Option<Self> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(Arc::new(accept_any_certificate()));
        let mut stream = connector.connect(name, tcp).await.ok()?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {inform}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let head =
            timeout(PATIENCE, frames::read_head(&mut stream)).await.expect("an answer in time")?;
        Some(Self { stream, answer: String::from_utf8_lossy(&head).into_owned() })
    }

    /// Sends one binary message.
    pub async fn send(&mut self, payload: &[u8]) {
        self.send_bytes(&frames::from_device(payload)).await;
    }

    /// Sends bytes as they are. That the other end has hung up already is no fault of the test.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
        drop(self.stream.flush().await);
    }

    /// The next frame; nothing once the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, Frame::read(&mut self.stream))
            .await
            .expect("a frame, or the end, in time")
    }

    /// The next binary message; nothing once the appliance closed.
    pub async fn next_message(&mut self) -> Option<Vec<u8>> {
        loop {
            let frame = self.next().await?;
            match frame.first {
                0x82 => return Some(frame.payload),
                0x88 => return None,
                _ => {}
            }
        }
    }

    /// Waits until the appliance ends the connection, whatever it says before.
    pub async fn ends(mut self) {
        while self.next().await.is_some() {}
    }
}

/// A device behind a finished handshake.
pub struct RawDevice {
    /// The connection below.
    pub wire: Wire,
    session: Session,
}

impl RawDevice {
    /// First contact with the device key. Fails where the appliance does not answer.
    pub async fn first_contact(inform: SocketAddr, key: &str, own: &StaticKey) -> Option<Self> {
        Self::first_contact_on(Wire::open(inform).await, key, own).await
    }

    /// The same on a connection that has been upgraded.
    pub async fn first_contact_on(mut wire: Wire, key: &str, own: &StaticKey) -> Option<Self> {
        let key = DeviceKey::parse(key).expect("a device key");
        let (handshake, opening) = FirstContact::start(own, &key.secret).expect("message 1");
        wire.send(&opening).await;
        let reply = wire.next_message().await?;
        let reply = handshake.read_reply(&reply, |_| true).expect("message 2");
        wire.send(&reply.third.expect("message 3")).await;
        Some(Self { wire, session: reply.session })
    }

    /// Reconnect of an enrolled device.
    pub async fn reconnect(
        inform: SocketAddr,
        appliance: &PublicKey,
        own: &StaticKey,
    ) -> Option<Self> {
        let (handshake, opening) = Reconnect::start(own, appliance).expect("message 1");
        let mut wire = Wire::open(inform).await;
        wire.send(&opening).await;
        let reply = wire.next_message().await?;
        let reply = handshake.read_reply(&reply, |_| true).expect("message 2");
        Some(Self { wire, session: reply.session })
    }

    /// First contact and a hello.
    pub async fn knock(inform: SocketAddr, key: &str, own: &StaticKey, name: &str) -> Option<Self> {
        let mut device = Self::first_contact(inform, key, own).await?;
        device.say(hello(name, mac_of(own))).await;
        Some(device)
    }

    /// The appliance's static key.
    pub fn appliance(&self) -> PublicKey {
        self.session.remote()
    }

    /// Sends a message.
    pub async fn say(&mut self, body: from_device::Body) {
        let sealed = self.seal(body);
        self.wire.send(&sealed).await;
    }

    /// Seals a message without sending it.
    pub fn seal(&mut self, body: from_device::Body) -> Vec<u8> {
        let mut plain = Vec::new();
        encode_from_device(&FromDevice::from(body), &mut plain).expect("a message");
        self.seal_bytes(&plain)
    }

    /// Seals any bytes.
    pub fn seal_bytes(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.session.seal(plain, &mut sealed).expect("sealed");
        sealed
    }

    /// The appliance's next message; nothing once it closed.
    pub async fn hear(&mut self) -> Option<from_appliance::Body> {
        let sealed = self.wire.next_message().await?;
        let mut plain = Vec::new();
        self.session.open(&sealed, &mut plain).expect("what the appliance sealed opens");
        let message: FromAppliance = decode_from_appliance(&plain).expect("a message");
        message.body
    }

    /// Answers keep-alives until a message comes that `wanted` takes.
    pub async fn hear_until<T>(
        &mut self,
        mut wanted: impl FnMut(&from_appliance::Body) -> Option<T>,
    ) -> Option<T> {
        loop {
            let body = self.hear().await?;
            if let from_appliance::Body::KeepAlive(beat) = &body {
                self.say(from_device::Body::KeepAlive(*beat)).await;
            }
            if let Some(found) = wanted(&body) {
                return Some(found);
            }
        }
    }

    /// Waits until it is told that it is enrolled.
    pub async fn enrolled(&mut self) {
        let wanted = |body: &from_appliance::Body| {
            matches!(body, from_appliance::Body::Enrolled(_)).then_some(())
        };
        self.hear_until(wanted).await.expect("enrolled");
    }
}

/// A hello as an honest small router says it.
pub fn hello(name: &str, mac: [u8; 6]) -> from_device::Body {
    from_device::Body::Hello(Hello {
        mac: mac.to_vec(),
        hostname: name.to_owned(),
        model: "Test router".to_owned(),
        vendor: "Nobody".to_owned(),
        firmware_version: "1.0".to_owned(),
        agent_version: "0.0".to_owned(),
        architecture: "x86_64".to_owned(),
        addresses: vec!["192.0.2.7/24".to_owned()],
        role: DeviceRole::Router.into(),
        ..Hello::default()
    })
}

/// A MAC address of its own for every identity.
pub fn mac_of(own: &StaticKey) -> [u8; 6] {
    let PublicKey(key) = own.public();
    [0x02, key[1], key[2], key[3], key[4], key[5]]
}
