//! Names and networks of the internet: what a host may be called, and where somebody comes from as
//! far as it can be held against him.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where a listener can be reached on its own machine, also when it listens on all addresses.
pub fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The part of a source address that one customer of a provider holds: an IPv4 /24 or an IPv6 /64.
/// Guesses and strangers are counted by it, since single addresses are free to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceNetwork {
    /// The first three bytes.
    V4([u8; 3]),
    /// The first four groups.
    V6([u16; 4]),
}

impl From<IpAddr> for SourceNetwork {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl fmt::Display for SourceNetwork {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(out, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6([a, b, c, d]) => write!(out, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
        }
    }
}

/// A text that is no network of the size that is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl FromStr for SourceNetwork {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, prefix) = text.split_once('/').ok_or(NoNetwork)?;
        match (address.parse().map_err(|_| NoNetwork)?, prefix) {
            (IpAddr::V4(v4), "24") => Ok(Self::from(IpAddr::V4(v4))),
            (IpAddr::V6(v6), "64") if v6.to_ipv4_mapped().is_none() => {
                Ok(Self::from(IpAddr::V6(v6)))
            }
            _ => Err(NoNetwork),
        }
    }
}

/// Whether a text is a host name (RFC 952, RFC 1123) and no IPv4 address, whole or broken.
pub fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_has_whole_labels_and_does_not_end_in_a_number() {
        let long = format!("{}.org", "a".repeat(64));
        for good in ["localhost", "NET.example.org", "xn--bcher-kva.example", "1.2.3.a"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", ".", "a..b", "-a.org", "a-.org", "a_b.org", "a.org.", "1.2.3", "7", &long] {
            assert!(!is_host_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_network_is_written_and_read_back() {
        for (address, written) in
            [("198.51.100.7", "198.51.100.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")]
        {
            let network = SourceNetwork::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(network.to_string(), written);
            assert_eq!(written.parse(), Ok(network));
        }
        for bad in ["", "198.51.100.0", "198.51.100.0/25", "2001:db8::/24", "::ffff:1.2.3.0/64"] {
            assert_eq!(bad.parse::<SourceNetwork>(), Err(NoNetwork), "{bad}");
        }
    }

    #[test]
    fn a_mapped_address_counts_as_what_it_is() {
        let mapped: IpAddr = "::ffff:198.51.100.7".parse().unwrap();
        let plain: IpAddr = "198.51.100.9".parse().unwrap();
        assert_eq!(SourceNetwork::from(mapped), SourceNetwork::from(plain));
    }
}
