//! From a name to addresses, once.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::error::OutboundError;
use super::shown;

/// Time for a name server.
const TIME: Duration = Duration::from_secs(10);
/// Addresses of one name that are looked at.
const ADDRESSES: usize = 16;
/// Bytes of a name (RFC 1035).
const NAME_BYTES: usize = 253;

/// Addresses on their way.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Turns names into addresses.
pub trait Resolve: Send + Sync {
    /// The addresses of a name, with the port put to each.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// Asks the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
    }
}

/// Resolves within a bound of time, to a bounded number of addresses, and at least one.
pub(super) async fn bounded(
    resolver: &dyn Resolve,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, OutboundError> {
    if host.is_empty() || host.len() > NAME_BYTES {
        return Err(OutboundError::NotFound(shown(host), None));
    }
    let missing = |source| OutboundError::NotFound(shown(host), source);
    let mut found = match timeout(TIME, resolver.resolve(host, port)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(missing(Some(error))),
        Err(_) => return Err(missing(Some(io::ErrorKind::TimedOut.into()))),
    };
    found.truncate(ADDRESSES);
    if found.is_empty() { Err(missing(None)) } else { Ok(found) }
}
