//! Opening the ports, and telling others which ones they became.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::config::Config;

/// Connections that the kernel holds for us while a storm is let in.
const BACKLOG: u32 = 4096;
/// A peer that takes nothing for so long is gone, whatever it still acknowledges.
const TAKES_NOTHING: Duration = Duration::from_mins(1);
/// The file in the data directory that tells which addresses are bound.
const ADDRESSES_FILE: &str = "addresses.json";

/// Why the ports could not be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error("{0} is in use: end the program that listens there, or choose another [{1}] listen")]
    InUse(SocketAddr, &'static str, #[source] io::Error),
    /// A port below 1024.
    #[error(
        "not allowed to listen on {0}: give the daemon CAP_NET_BIND_SERVICE, or choose a port \
         from 1024 up in [{1}] listen"
    )]
    NotAllowed(SocketAddr, &'static str, #[source] io::Error),
    /// Anything else, such as an address that this machine does not have.
    #[error("cannot listen on {0}: correct [{1}] listen")]
    Other(SocketAddr, &'static str, #[source] io::Error),
    /// The address file.
    #[error("cannot write {0}: make the data directory writable for the daemon")]
    AddressesFile(PathBuf, #[source] io::Error),
}

/// The addresses that are really bound, with the ports that were chosen for port 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// Plain HTTP: the redirect.
    pub http: Vec<SocketAddr>,
    /// GUI and API.
    pub https: Vec<SocketAddr>,
    /// Where devices connect; the same as `https` when there is no port of their own.
    pub inform: Vec<SocketAddr>,
}

impl Addresses {
    /// The port that the redirect sends to.
    pub fn https_port(&self) -> Option<u16> {
        self.https.first().map(SocketAddr::port)
    }

    /// The port that belongs into device keys.
    pub fn inform_port(&self) -> Option<u16> {
        self.inform.first().map(SocketAddr::port)
    }

    /// Writes the address file: whole or not at all, for scripts that wait for it.
    pub(super) fn write(&self, data_dir: &Path) -> Result<(), ListenError> {
        let path = data_dir.join(ADDRESSES_FILE);
        let write = || {
            let new = data_dir.join(format!("{ADDRESSES_FILE}.new"));
            let mut text = serde_json::to_string(self)?;
            text.push('\n');
            std::fs::write(&new, text)?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|error| ListenError::AddressesFile(path.clone(), error))
    }
}

/// Ports that are open, so that the kernel already queues connections, and not yet served.
#[derive(Debug)]
pub struct Listeners {
    pub(super) http: Vec<Bound>,
    pub(super) https: Vec<Bound>,
    /// Empty when devices use the HTTPS port.
    pub(super) inform: Vec<Bound>,
}

/// One open port.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    pub(super) listener: TcpListener,
}

impl Listeners {
    /// Opens all ports of the boot file. Call it inside the runtime.
    pub fn bind(config: &Config) -> Result<Self, ListenError> {
        let separate = config.inform.as_ref().map_or(&[][..], |inform| &inform.listen);
        Ok(Self {
            http: bind_all(&config.http.listen, "http")?,
            https: bind_all(&config.https.listen, "https")?,
            inform: bind_all(separate, "inform")?,
        })
    }

    /// What was bound.
    pub fn addresses(&self) -> Addresses {
        let of = |listeners: &[Bound]| listeners.iter().map(|bound| bound.address).collect();
        let inform = if self.inform.is_empty() { &self.https } else { &self.inform };
        Addresses { http: of(&self.http), https: of(&self.https), inform: of(inform) }
    }
}

fn bind_all(wanted: &[SocketAddr], section: &'static str) -> Result<Vec<Bound>, ListenError> {
    let mut all = Vec::with_capacity(wanted.len());
    let mut absent = None;
    for address in wanted {
        match bind(*address) {
            Ok(bound) => all.push(bound),
            // A kernel without IPv6 is no reason not to serve IPv4.
            Err(error) if address.is_ipv6() && is_absent_family(&error) => {
                tracing::warn!(%address, section, "this machine has no IPv6; not listening there");
                absent = Some(explain(*address, section, error));
            }
            Err(error) => return Err(explain(*address, section, error)),
        }
    }
    match absent {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

fn is_absent_family(error: &io::Error) -> bool {
    let absent = nix::errno::Errno::EAFNOSUPPORT as i32;
    error.raw_os_error() == Some(absent) || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn explain(address: SocketAddr, section: &'static str, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address, section, error),
        io::ErrorKind::PermissionDenied => ListenError::NotAllowed(address, section, error),
        _ => ListenError::Other(address, section, error),
    }
}

fn bind(address: SocketAddr) -> io::Result<Bound> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    // An IPv6 listener that also takes IPv4 would collide with the IPv4 one, and hide sources.
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    // Accepted connections inherit these from the listener.
    socket.set_nodelay(true)?;
    let milliseconds = u32::try_from(TAKES_NOTHING.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&socket, sockopt::TcpUserTimeout, &milliseconds)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    Ok(Bound { address: listener.local_addr()?, listener })
}

/// The next connection. Out of descriptors or memory is a reason to wait, never to end.
pub(super) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut pause = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The peer left before it was its turn: nothing is wrong here.
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
