//! Where an appliance is found by its devices: a host and a port, always fit to be dialled.

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;

use crate::inform;

/// The longest host name, in bytes (RFC 1035).
const MAX_HOST_BYTES: usize = 253;
/// The longest part of a host name between two dots, in bytes (RFC 1035).
const MAX_LABEL_BYTES: usize = 63;

/// Why a host and a port are no address.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Neither a host name nor an address.
    #[error("this is neither a host name nor an IP address: write it without scheme and port")]
    Host,
    /// 0, or above 65,535.
    #[error("a port is a number from 1 to 65535")]
    Port,
}

/// An inform address in its one spelling: names in small letters, IPv6 as RFC 5952 writes it.
///
/// It holds no more than a device key's host and port can, so that either can take the other's
/// place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: Box<str>,
    port: u16,
}

impl Address {
    /// A DNS name, an IPv4 address or an IPv6 address without brackets, and a port.
    pub fn new(host: &str, port: u32) -> Result<Self, AddressError> {
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) if is_host_name(host) => host.to_ascii_lowercase(),
            Err(_) => return Err(AddressError::Host),
        };
        let port = u16::try_from(port).ok().filter(|port| *port > 0).ok_or(AddressError::Port)?;
        Ok(Self { host: host.into(), port })
    }

    /// The name or IP address; IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// As in a URL: `host:443`, `[2001:db8::7]:443`.
impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(out, "[{host}]:{port}")
        } else {
            write!(out, "{host}:{port}")
        }
    }
}

impl TryFrom<&inform::Address> for Address {
    type Error = AddressError;

    fn try_from(message: &inform::Address) -> Result<Self, AddressError> {
        Self::new(&message.host, message.port)
    }
}

impl From<&Address> for inform::Address {
    fn from(address: &Address) -> Self {
        Self { host: address.host().to_owned(), port: address.port().into() }
    }
}

/// Whether this can be a DNS name or an IPv4 address. Underscores are no host name's, but stand in
/// names on many private networks.
pub(crate) fn is_host_name(host: &str) -> bool {
    let well_formed = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= MAX_HOST_BYTES && host.split('.').all(well_formed)
}
