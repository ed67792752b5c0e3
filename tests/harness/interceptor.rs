//! Somebody in the middle: ends TLS with a certificate of his own and passes everything on, or not.

use crate::client::accept_any_certificate;
use crate::frames::{self, Frame};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the appliance.
    ToAppliance,
    /// From the appliance to the device.
    ToDevice,
}

/// A proxy with a forged certificate. Sees everything inside TLS.
pub struct Interceptor {
    address: SocketAddr,
    seen: Arc<Seen>,
    inject: broadcast::Sender<(Direction, Vec<u8>)>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    heads: Mutex<Vec<Vec<u8>>>,
    frames: Mutex<Vec<(Direction, Frame)>>,
}

impl Interceptor {
    /// Stands between devices and `appliance`.
    pub async fn before(appliance: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(forged_certificate()));
        let seen = Arc::new(Seen::default());
        let (inject, _) = broadcast::channel(16);
        let mut tasks = JoinSet::new();
        let middle =
            Middle { appliance, acceptor, seen: Arc::clone(&seen), inject: inject.clone() };
        tasks.spawn(middle.serve(listener));
        Self { address, seen, inject, _tasks: tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The device key with this proxy's port in place of the appliance's.
    pub fn key_through(&self, key: &str) -> String {
        let (head, rest) = key.split_once('+').expect("a device key");
        let (host, _port) = head.rsplit_once(':').expect("a port");
        format!("{host}:{}+{rest}", self.address.port())
    }

    /// The payloads of all binary frames that went one way.
    pub fn payloads(&self, direction: Direction) -> Vec<Vec<u8>> {
        let frames = self.seen.frames.lock().expect("not poisoned");
        let mine = frames.iter().filter(|(way, frame)| *way == direction && frame.is_binary());
        mine.map(|(_, frame)| frame.payload.clone()).collect()
    }

    /// Everything that was seen inside TLS, both ways, in one row of bytes.
    pub fn everything(&self) -> Vec<u8> {
        let heads = self.seen.heads.lock().expect("not poisoned");
        let frames = self.seen.frames.lock().expect("not poisoned");
        let payloads = frames.iter().map(|(_, frame)| frame.payload.as_slice());
        heads.iter().map(Vec::as_slice).chain(payloads).flatten().copied().collect()
    }

    /// How many connections got as far as an HTTP request inside TLS.
    pub fn connections(&self) -> usize {
        self.seen.heads.lock().expect("not poisoned").len() / 2
    }

    /// Slips a binary message into every open connection.
    pub fn inject(&self, direction: Direction, payload: &[u8]) {
        let wire = match direction {
            Direction::ToAppliance => frames::from_device(payload),
            Direction::ToDevice => frames::from_server(payload),
        };
        self.inject.send((direction, wire)).expect("a connection to inject into");
    }
}

#[derive(Clone)]
struct Middle {
    appliance: SocketAddr,
    acceptor: TlsAcceptor,
    seen: Arc<Seen>,
    inject: broadcast::Sender<(Direction, Vec<u8>)>,
}

impl Middle {
    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            connections.spawn(self.clone().relay(tcp));
        }
    }

    async fn relay(self, tcp: TcpStream) {
        let Ok(device) = self.acceptor.accept(tcp).await else { return };
        let connector = TlsConnector::from(Arc::new(one_protocol(accept_any_certificate())));
        let Ok(tcp) = TcpStream::connect(self.appliance).await else { return };
        let name = ServerName::try_from("localhost").expect("a name");
        let Ok(appliance) = connector.connect(name, tcp).await else { return };
        let (mut from_device, mut to_device) = tokio::io::split(device);
        let (mut from_appliance, mut to_appliance) = tokio::io::split(appliance);

        let Some(request) = frames::read_head(&mut from_device).await else { return };
        if to_appliance.write_all(&request).await.is_err() {
            return;
        }
        let Some(answer) = frames::read_head(&mut from_appliance).await else { return };
        self.seen.heads.lock().expect("not poisoned").extend([request, answer.clone()]);
        if to_device.write_all(&answer).await.is_err() {
            return;
        }
        // Either end closing ends both, as with one connection.
        tokio::select! {
            () = self.pump(Direction::ToAppliance, from_device, to_appliance) => {}
            () = self.pump(Direction::ToDevice, from_appliance, to_device) => {}
        }
    }

    async fn pump(
        &self,
        direction: Direction,
        mut from: impl AsyncRead + Unpin + Send,
        mut to: impl AsyncWrite + Unpin + Send,
    ) {
        let mut injected = self.inject.subscribe();
        loop {
            // Reading a frame must not be cut in two by an injection.
            let read = Frame::read(&mut from);
            tokio::pin!(read);
            let frame = loop {
                tokio::select! {
                    frame = &mut read => break frame,
                    Ok((way, wire)) = injected.recv() => {
                        if way == direction && to.write_all(&wire).await.is_err() {
                            return;
                        }
                        drop(to.flush().await);
                    }
                }
            };
            let Some(frame) = frame else { return };
            self.seen.frames.lock().expect("not poisoned").push((direction, frame.clone()));
            if to.write_all(&frame.wire).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    }
}

/// A TLS server with a fresh certificate for `localhost` that nobody signed.
pub fn forged_certificate() -> ServerConfig {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate that fits its key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// A certificate for `localhost` that nobody signed, ECDSA P-256, and its key, both in PEM.
pub fn self_signed_pem() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    (cert.pem(), signing_key.serialize_pem())
}

fn one_protocol(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
