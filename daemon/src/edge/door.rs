//! Behind each listener: an accept loop, a place in the crowd, and what the port is for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::crowd::{Crowd, Place, Seats};
use super::redirect::Plain;
use super::serve::TlsPort;
use super::socket::Socket;
use super::tls::Policy;
use super::{Accepting, Behind, EdgeError, Proxies, listen};

/// Connections that are no device sessions, at once.
const CROWD: usize = 4_096;
/// File descriptors kept for the store, terminals and everything else.
const RESERVED_DESCRIPTORS: u64 = 256;
/// As many as any machine of ours can serve.
const MOST_DESCRIPTORS: u64 = 1 << 20;
/// Time for requests to finish when the daemon stops.
const FINISH_TIME: Duration = Duration::from_secs(4);

/// What a port does with a connection.
#[derive(Clone)]
pub(super) enum Port {
    /// Plain HTTP.
    Plain(Arc<Plain>),
    /// GUI, API, devices.
    Tls(Arc<TlsPort>),
}

/// What all accept loops share.
#[derive(Clone)]
pub(super) struct Door {
    crowd: Arc<Crowd>,
    seats: Seats,
    tasks: TaskTracker,
    accepting: Accepting,
    tls: Policy,
    behind: Arc<Behind>,
    proxies: Proxies,
    gui_port: Arc<AtomicU16>,
}

impl Door {
    pub(super) fn new(behind: Behind, proxies: Proxies) -> Result<Self, EdgeError> {
        let seats = usize::try_from(descriptors()?).unwrap_or(usize::MAX);
        Ok(Self {
            crowd: Crowd::new(CROWD.min(seats / 2).max(16)),
            seats: Seats::new(seats),
            tasks: TaskTracker::new(),
            accepting: behind.accepting.clone(),
            tls: Policy::new(&behind.certificates)?,
            behind: Arc::new(behind),
            proxies,
            gui_port: Arc::new(AtomicU16::new(443)),
        })
    }

    /// Where plain HTTP sends browsers from now on.
    pub(super) fn redirect_to(&self, gui_port: u16) {
        self.gui_port.store(gui_port, Ordering::Relaxed);
    }

    /// What stands behind a plain port.
    pub(super) fn plain(&self) -> Port {
        let token_seen = Arc::clone(&self.behind.token_seen);
        let certificates = self.behind.certificates.clone();
        let gui_port = Arc::clone(&self.gui_port);
        Port::Plain(Arc::new(Plain { gui_port, token_seen, certificates }))
    }

    /// What stands behind a TLS port, until `stop`.
    pub(super) fn secure(&self, listener: SocketAddr, stop: CancellationToken) -> Arc<TlsPort> {
        Arc::new(TlsPort {
            listener,
            purpose: std::sync::RwLock::default(),
            tls: self.tls.clone(),
            behind: Arc::clone(&self.behind),
            proxies: self.proxies.clone(),
            tasks: self.tasks.clone(),
            stop,
        })
    }

    /// Accepts until `stop`, then closes the listener.
    pub(super) async fn accept_on(
        self,
        listener: Arc<TcpListener>,
        port: Port,
        stop: CancellationToken,
    ) {
        stop.run_until_cancelled(self.accept(&listener, &port)).await;
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
                Port::Plain(plain) => {
                    self.tasks.spawn(plainly(Arc::clone(plain), socket, peer, place))
                }
                Port::Tls(port) => self.tasks.spawn(Arc::clone(port).serve(socket, peer, place)),
            };
            claim.by(task.abort_handle());
        }
    }

    /// Gives requests a little time to finish when the daemon stops.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        if tokio::time::timeout(FINISH_TIME, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some requests did not finish in time");
        }
    }
}

async fn plainly(plain: Arc<Plain>, socket: Socket, peer: SocketAddr, place: Place) {
    plain.serve(socket, peer).await;
    drop(place);
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
