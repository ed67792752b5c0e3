//! The front door: ports, TLS, certificates, and who is let through to which room.
//!
//! [`Listeners`] are opened first, so that their ports are known while the other rooms are built;
//! [`Edge::start`] then serves them. A connection goes through [`listen`], a place in the
//! [`crowd`], TLS ([`tls`], [`certificate`]) and HTTP ([`serve`]) to the router, or as a device to
//! `devices`. Plain HTTP gets as far as the [`redirect`].
//!
//! Invariants: nothing but the redirect is served without TLS. Everything a stranger can make us
//! keep is bounded in number and time. No accept loop ever ends by itself.

mod accepting;
mod body;
mod certificate;
mod crowd;
pub mod headers;
mod listen;
mod plain;
mod redirect;
mod serve;
mod socket;
mod tls;
mod upgrade;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::crowd::{Crowd, Place, Seats};
use self::listen::Bound;
use self::serve::{Purpose, TlsPort};
use self::socket::Socket;
use crate::devices::Devices;
use crate::supervisor::{Essential, Supervisor};

pub use self::accepting::Accepting;
pub use self::certificate::{
    AcmeSettings, AcmeStatus, CertificateError, CertificateInfo, CertificateStatus, Certificates,
    Challenge, Check, Failure, Foundation, Mode, NameCheck, OwnFiles, OwnPem, OwnStatus, Port80,
    Serving, Unfit,
};
pub use self::listen::{Addresses, ListenError, Listeners};
pub(crate) use self::tls::gather_entropy;

/// Connections that are no device sessions, at once.
const CROWD: usize = 4_096;
/// File descriptors kept for the store, terminals and everything else.
const RESERVED_DESCRIPTORS: u64 = 256;
/// As many as any machine of ours can serve.
const MOST_DESCRIPTORS: u64 = 1 << 20;
/// Time for requests to finish when the daemon stops.
const FINISH_TIME: Duration = Duration::from_secs(4);

/// Why the front door could not be opened.
#[derive(Debug, Error)]
pub enum EdgeError {
    /// The TLS library.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
    /// The ports, or the file that tells them.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Limits of the process.
    #[error("the limit of open files could not be read")]
    Descriptors(#[from] nix::Error),
}

/// Where a request comes from: the address of the connection itself. In every request's
/// extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Tells one request from all others of this run, in the log. In every request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

/// What stands behind the door.
pub struct Behind {
    /// The certificates that TLS shows.
    pub certificates: Certificates,
    /// GUI and API.
    pub router: Router,
    /// Where device connections go.
    pub devices: Devices,
    /// Is told whether the ports accept.
    pub accepting: Accepting,
}

/// The open front door.
#[derive(Clone, Debug)]
pub struct Edge {
    addresses: Arc<Addresses>,
}

impl Edge {
    /// Serves the listeners until the supervisor stops, and writes `addresses.json` into
    /// `data_dir` once everything is served.
    pub fn start(
        listeners: Listeners,
        behind: Behind,
        data_dir: &Path,
        supervisor: &Supervisor,
    ) -> Result<Self, EdgeError> {
        let addresses = Arc::new(listeners.addresses());
        let door = Door::new(behind.accepting.clone(), supervisor.token())?;
        let separate = !listeners.inform.is_empty();
        let people = match addresses.inform_port().filter(|_| separate) {
            Some(inform_port) => Purpose::People { inform_port },
            None => Purpose::Everything,
        };
        let https = door.tls_port(people, &behind, &tls::HTTP)?;
        let inform = door.tls_port(Purpose::Devices, &behind, &tls::UPGRADES)?;
        let certificates = behind.certificates.clone();
        certificates.port_80(!listeners.http.is_empty(), plain_http(&listeners));
        let redirect = Port::Redirect(addresses.https_port().unwrap_or(443), certificates);
        let serve = |name, listeners: Vec<Bound>, port: &Port| {
            for bound in listeners {
                let accepting = door.clone().accept_on(bound.listener, port.clone());
                supervisor.spawn(name, Essential::Yes, accepting);
            }
        };
        serve("http listener", listeners.http, &redirect);
        serve("https listener", listeners.https, &Port::Tls(https));
        serve("inform listener", listeners.inform, &Port::Tls(inform));
        let all = [&addresses.http, &addresses.https, &addresses.inform];
        let mut all: Vec<SocketAddr> = all.into_iter().flatten().copied().collect();
        all.dedup();
        let (stop, stopping) = (supervisor.token(), supervisor.token());
        supervisor.spawn("listener probe", Essential::Yes, async move {
            stop.run_until_cancelled(behind.accepting.probe(all)).await;
        });
        supervisor.spawn("certificate renewal", Essential::Yes, async move {
            stopping.run_until_cancelled(behind.certificates.keep(behind.devices)).await;
        });
        addresses.write(data_dir)?;
        Ok(Self { addresses })
    }

    /// What is bound.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }
}

/// What a port does with a connection.
#[derive(Clone)]
enum Port {
    /// Answers a CA's challenge, and sends everybody else to this HTTPS port.
    Redirect(u16, Certificates),
    Tls(Arc<TlsPort>),
}

/// What all accept loops share.
#[derive(Clone)]
struct Door {
    crowd: Arc<Crowd>,
    seats: Seats,
    tasks: TaskTracker,
    stop: CancellationToken,
    accepting: Accepting,
}

impl Door {
    fn new(accepting: Accepting, stop: CancellationToken) -> Result<Self, EdgeError> {
        let seats = usize::try_from(descriptors()?).unwrap_or(usize::MAX);
        let crowd = Crowd::new(CROWD.min(seats / 2).max(16));
        Ok(Self { crowd, seats: Seats::new(seats), tasks: TaskTracker::new(), stop, accepting })
    }

    fn tls_port(
        &self,
        purpose: Purpose,
        behind: &Behind,
        protocols: &[&[u8]],
    ) -> Result<Arc<TlsPort>, EdgeError> {
        let config = tls::config(behind.certificates.resolver(), protocols)?;
        Ok(Arc::new(TlsPort {
            purpose,
            challenged: TlsAcceptor::from(tls::with_challenge(&config)),
            tls: TlsAcceptor::from(config),
            certificates: behind.certificates.clone(),
            router: behind.router.clone(),
            devices: behind.devices.clone(),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        }))
    }

    /// Accepts until the daemon stops, then gives requests a little time to finish.
    async fn accept_on(self, listener: TcpListener, port: Port) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.accept(&listener, &port)).await;
        drop(listener);
        self.tasks.close();
        if tokio::time::timeout(FINISH_TIME, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some requests did not finish in time");
        }
    }

    async fn accept(&self, listener: &TcpListener, port: &Port) {
        loop {
            let (tcp, peer) = listen::accept(listener).await;
            if self.accepting.is_probe(&tcp, peer) {
                continue;
            }
            let Some(seat) = self.seats.take() else {
                tracing::warn!(%peer, "a connection was dropped: no file descriptor is left");
                continue;
            };
            let place = self.crowd.enter().await;
            let claim = place.claim();
            let socket = Socket::new(tcp, seat);
            let task = match port {
                Port::Redirect(https, certificates) => {
                    self.tasks.spawn(redirected(socket, place, *https, certificates.clone()))
                }
                Port::Tls(port) => self.tasks.spawn(Arc::clone(port).serve(socket, peer, place)),
            };
            claim.by(task.abort_handle());
        }
    }
}

async fn redirected(socket: Socket, place: Place, https_port: u16, certificates: Certificates) {
    redirect::serve(socket, https_port, &certificates).await;
    drop(place);
}

fn plain_http(listeners: &Listeners) -> String {
    if listeners.http.is_empty() {
        return "The settings name no port for plain HTTP.".to_owned();
    }
    "It answers a certificate authority's challenge and sends browsers to HTTPS.".to_owned()
}

/// How many connections may be open: all descriptors that the system grants, less a reserve.
fn descriptors() -> Result<u64, nix::Error> {
    let (granted, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = most.min(MOST_DESCRIPTORS);
    if granted < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, most)?;
    }
    Ok(granted.max(wanted).saturating_sub(RESERVED_DESCRIPTORS).max(64))
}
