//! The front door: ports, TLS, certificates, and who is let through to which room.
//!
//! [`Opening`] opens the ports first, so that they are known while the other rooms are built;
//! [`start`] then serves them, and [`ports`] changes them while everything runs. A connection goes
//! through [`listen`], a place in the [`crowd`], TLS ([`tls`], [`certificate`]) and HTTP
//! ([`serve`]) to the router, or as a device to `devices`. Plain HTTP gets as far as the
//! [`redirect`]. Where there are no data, [`fault_page`] is all that is served. Who is behind a proxy is [`forwarded`]'s to say.
//!
//! Invariants: nothing but the redirect is served without TLS. Everything a stranger can make us
//! keep is bounded in number and time. No accept loop ever ends by itself.

mod accepting;
mod body;
mod certificate;
mod crowd;
mod door;
mod fault_page;
mod forwarded;
pub mod headers;
mod listen;
mod plain;
pub mod ports;
mod redirect;
mod refusal;
mod security;
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

use axum::Router;
use thiserror::Error;

use self::forwarded::Proxies;
use self::ports::Keeper;
use crate::devices::Devices;
use crate::supervisor::{Essential, Supervisor};

pub use self::accepting::Accepting;
pub use self::body::ArrivingError;
pub use self::certificate::{
    AcmeSettings, AcmeStatus, CertificateError, CertificateInfo, CertificateStatus, Certificates,
    Challenge, Check, Failure, Foundation, Mode, NameCheck, OwnFiles, OwnPem, OwnStatus, Serving,
    Unfit,
};
pub use self::fault_page::FaultPage;
pub use self::listen::{Addresses, ListenError};
pub use self::ports::{Opening, Ports};
pub use self::redirect::{APP_KEY_HEADER, TOKEN_HEADERS, TokenSeen, https_origin};
pub use self::security::{Security, SecurityError, SecuritySettings};
pub(crate) use self::tls::gather_entropy;

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

/// The listener by which a request came. In every request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through(pub SocketAddr);

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
    /// What the owner says about security to the outside.
    pub security: Security,
    /// Is told of login tokens that came without encryption.
    pub token_seen: Arc<TokenSeen>,
}

/// Serves the open ports until the supervisor stops, and writes `addresses.json` into `data_dir`
/// once everything is served.
pub fn start(
    opening: Opening,
    behind: Behind,
    data_dir: &Path,
    supervisor: &Supervisor,
) -> Result<(), EdgeError> {
    let (accepting, certificates) = (behind.accepting.clone(), behind.certificates.clone());
    let devices = behind.devices.clone();
    let keeper = Keeper::new(opening, behind, data_dir, supervisor.token())?;
    let open = keeper.open_addresses();
    supervisor.spawn("ports", Essential::Yes, keeper.keep());
    let (stop, stopping) = (supervisor.token(), supervisor.token());
    supervisor.spawn("listener probe", Essential::Yes, async move {
        stop.run_until_cancelled(accepting.probe(open)).await;
    });
    supervisor.spawn("certificate renewal", Essential::Yes, async move {
        stopping.run_until_cancelled(certificates.keep(devices)).await;
    });
    Ok(())
}
