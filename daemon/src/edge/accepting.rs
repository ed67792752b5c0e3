//! Whether the ports really accept connections, tried out every few seconds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::network;
use crate::supervisor::Heartbeat;

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_secs(3);
/// Time for one listener to accept.
const LIMIT: Duration = Duration::from_secs(2);

/// Tells whether all listeners accept. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Accepting {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Source port of the probe that is on its way; 0 when there is none.
    probe: AtomicU32,
    arrived: Notify,
    proven: watch::Sender<Option<Instant>>,
}

impl Accepting {
    /// Whether all listeners have accepted a connection within this time.
    pub fn within(&self, age: Duration) -> bool {
        self.shared.proven.borrow().is_some_and(|proven| proven.elapsed() <= age)
    }

    /// Returns once all listeners have accepted.
    #[cfg(test)]
    pub(super) async fn proven(&self) {
        let mut proven = self.shared.proven.subscribe();
        proven.wait_for(Option::is_some).await.unwrap();
    }

    /// Whether an accepted connection is our own probe, which wants nothing but to arrive.
    pub(super) fn is_probe(&self, tcp: &TcpStream, peer: SocketAddr) -> bool {
        let port = u32::from(peer.port());
        // From this machine to itself: source and destination are one address.
        let probe = self.shared.probe.load(Relaxed) == port
            && tcp.local_addr().is_ok_and(|local| local.ip() == peer.ip());
        if probe && self.shared.probe.swap(0, Relaxed) == port {
            self.shared.arrived.notify_one();
        }
        probe
    }

    /// Tries the listeners that are open at these addresses, for ever. One that does not accept is
    /// told to who asks for the appliance's health, and no reason to start the daemon anew: its
    /// address may have gone, or a flood may fill its queue.
    pub(super) async fn probe(
        self,
        open: watch::Receiver<Vec<SocketAddr>>,
        mut heartbeat: Heartbeat,
    ) {
        loop {
            let mut all = true;
            let listeners = open.borrow().clone();
            for listener in &listeners {
                heartbeat.beat();
                let arrived = timeout(LIMIT, self.knock(network::reachable(*listener))).await;
                // One that arrives too late proves nothing to the next.
                self.shared.probe.store(0, Relaxed);
                // It may have been closed meanwhile.
                let still = open.borrow().contains(listener);
                if !matches!(arrived, Ok(Ok(()))) && still {
                    tracing::warn!(%listener, "the listener does not accept connections");
                    all = false;
                }
            }
            if all {
                self.shared.proven.send_replace(Some(Instant::now()));
            }
            heartbeat.during(sleep(PAUSE)).await;
        }
    }

    async fn knock(&self, listener: SocketAddr) -> std::io::Result<()> {
        let socket = if listener.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        // Bound before it connects, so that the other side can know it by its port. Its end is
        // a reset, so that no closed connection lingers.
        socket.set_zero_linger()?;
        socket.bind(SocketAddr::new(listener.ip(), 0))?;
        self.shared.probe.store(u32::from(socket.local_addr()?.port()), Relaxed);
        let _connected = socket.connect(listener).await?;
        self.shared.arrived.notified().await;
        Ok(())
    }
}
