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
    #[error("{0} is in use: end the program that listens there, or choose another address for {1}")]
    InUse(SocketAddr, &'static str, #[source] io::Error),
    /// A port below 1024.
    #[error(
        "not allowed to listen on {0}: give the daemon CAP_NET_BIND_SERVICE, or choose a port \
         from 1024 up for {1}"
    )]
    NotAllowed(SocketAddr, &'static str, #[source] io::Error),
    /// Anything else, such as an address that this machine does not have.
    #[error("cannot listen on {0}: is it an address of this machine? Choose another for {1}")]
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
            if std::fs::read_to_string(&path).is_ok_and(|before| before == text) {
                // A full disk keeps nobody from starting again.
                return Ok(());
            }
            std::fs::write(&new, text)?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|error| ListenError::AddressesFile(path.clone(), error))
    }
}

/// Opens an address, and answers what was bound: port 0 became a real one.
///
/// `others` are the listeners that are open already. Where one of them covers the same port on all
/// addresses, both stay: the kernel gives a connection to the one that names its address.
pub(super) fn open(
    address: SocketAddr,
    section: &'static str,
    others: &[&TcpListener],
) -> Result<(SocketAddr, TcpListener), ListenError> {
    let opened = match bind(address, false) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bind_beside(address, others).ok_or(error)
        }
        other => other,
    };
    let listener = opened.map_err(|error| explain(address, section, error))?;
    let bound = listener.local_addr().map_err(|error| explain(address, section, error))?;
    Ok((bound, listener))
}

/// A listener that another life of this process opened.
pub(super) fn adopt(kept: std::net::TcpListener) -> io::Result<(SocketAddr, TcpListener)> {
    kept.set_nonblocking(true)?;
    Ok((kept.local_addr()?, TcpListener::from_std(kept)?))
}

/// Whether this machine cannot have such an address at all: a kernel without IPv6 is no reason not
/// to serve IPv4.
pub(super) fn is_absent_family(error: &ListenError) -> bool {
    let absent = nix::errno::Errno::EAFNOSUPPORT as i32;
    let (ListenError::InUse(address, _, error)
    | ListenError::NotAllowed(address, _, error)
    | ListenError::Other(address, _, error)) = error
    else {
        return false;
    };
    address.is_ipv6()
        && (error.raw_os_error() == Some(absent)
            || (error.kind() == io::ErrorKind::AddrNotAvailable && address.ip().is_unspecified()))
}

fn explain(address: SocketAddr, section: &'static str, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address, section, error),
        io::ErrorKind::PermissionDenied => ListenError::NotAllowed(address, section, error),
        _ => ListenError::Other(address, section, error),
    }
}

/// While both sides agree to share a port, Linux lets a listener on one address stand beside one on
/// all addresses. They agree for this moment only: otherwise a second daemon of the same user
/// would silently take a part of our connections.
fn bind_beside(address: SocketAddr, others: &[&TcpListener]) -> Option<TcpListener> {
    let mut beside = Vec::new();
    for other in others {
        let bound = other.local_addr().ok()?;
        if bound.port() == address.port() && bound != address {
            setsockopt(other, sockopt::ReusePort, &true).ok()?;
            beside.push(*other);
        }
    }
    let bound = if beside.is_empty() { None } else { bind(address, true).ok() };
    for listener in beside.into_iter().chain(&bound) {
        if let Err(error) = setsockopt(listener, sockopt::ReusePort, &false) {
            tracing::warn!(%error, "a port stays open to be shared");
        }
    }
    bound
}

fn bind(address: SocketAddr, beside_another: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(beside_another)?;
    // An IPv6 listener that also takes IPv4 would collide with the IPv4 one, and hide sources.
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    // Accepted connections inherit these from the listener.
    socket.set_nodelay(true)?;
    let milliseconds = u32::try_from(TAKES_NOTHING.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&socket, sockopt::TcpUserTimeout, &milliseconds)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
