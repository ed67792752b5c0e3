//! Why the appliance did not connect, or got no answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

use super::allowed::Network;
use crate::store::StoreError;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum OutboundError {
    /// Not an address of the kind that may be asked.
    #[error("{0:?} is no https address; write it like https://host.example/path")]
    NoHttps(String),
    /// The name.
    #[error("the name {0} was not found; check its spelling and the appliance's DNS server")]
    NotFound(String, #[source] Option<std::io::Error>),
    /// An address that may not be reached.
    #[error("{host} is {address}: {why}")]
    Denied {
        /// What was to be asked.
        host: String,
        /// What it resolved to.
        address: IpAddr,
        /// Why not.
        why: &'static str,
    },
    /// Nobody there.
    #[error("{host} does not take connections at {address}; check whether it runs, and firewalls")]
    Connect {
        /// What was to be asked.
        host: String,
        /// The address that was tried last.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Its certificate.
    #[error(
        "the certificate of {0} does not convince: {1}. Check the appliance's clock; a private \
         authority's root certificate has to be given"
    )]
    Certificate(String, String),
    /// TLS in another way.
    #[error("{0} does not speak TLS as it should; check the port")]
    Tls(String, #[source] std::io::Error),
    /// HTTP.
    #[error("{0} gave no proper answer")]
    Http(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// Too much.
    #[error("the answer of {0} is longer than {1} bytes")]
    TooLong(String, usize),
    /// Too slow.
    #[error("{host} did not answer within {} s", time.as_secs())]
    TooSlow {
        /// What was asked.
        host: String,
        /// The time that it had.
        time: Duration,
    },
    /// Extra roots.
    #[error(
        "the extra root is no certificate in PEM; it begins with -----BEGIN CERTIFICATE----- and \
         is shorter than 64 KiB"
    )]
    Roots,
    /// The TLS library.
    #[error("TLS could not be set up")]
    Setup(#[from] rustls::Error),
    /// A network.
    #[error("{0:?} is no network; write it like 10.1.2.0/24, or 10.1.2.3/32 for one address")]
    NoNetwork(String),
    /// A network with more than its first bits.
    #[error("{network} has bits behind its length; did you mean {meant}?")]
    HostBits {
        /// As it was given.
        network: String,
        /// What it may have been.
        meant: Network,
    },
    /// A network that stays closed.
    #[error("{network} cannot be allowed: {why}")]
    NeverReached {
        /// Which.
        network: Network,
        /// Why.
        why: &'static str,
    },
    /// More than one own address at once.
    #[error(
        "{0} is this appliance itself; allow one address of it exactly, such as 127.0.0.1/32 or \
         ::1/128"
    )]
    LoopbackNetwork(Network),
    /// A long list.
    #[error("at most {0} networks can be allowed")]
    TooManyNetworks(usize),
    /// The store.
    #[error("the list of allowed networks could not be stored")]
    Store(#[from] StoreError),
}
