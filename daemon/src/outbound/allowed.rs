//! A network that an admin allows to be reached.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::addresses::{self, Kind};
use super::error::OutboundError;
use super::shown;

/// An address and how many of its first bits count, such as `10.1.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Reads a network, and refuses one that could never be reached or says less than it seems to.
    pub fn parse(text: &str) -> Result<Self, OutboundError> {
        let wrong = || OutboundError::NoNetwork(shown(text));
        let network: IpNet = text.trim().parse().map_err(|_| wrong())?;
        if network.trunc() != network {
            let meant = Self(network.trunc());
            return Err(OutboundError::HostBits { network: shown(text), meant });
        }
        // As what it is, it can be written as IPv4.
        if addresses::inner(network.addr()) != network.addr() {
            return Err(wrong());
        }
        let whole = network.prefix_len() == network.max_prefix_len();
        match addresses::kind(network.addr(), &[]) {
            Kind::Never(why) => Err(OutboundError::NeverReached { network: Self(network), why }),
            Kind::Loopback if !whole => Err(OutboundError::LoopbackNetwork(Self(network))),
            _ => Ok(Self(network)),
        }
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether it is this one address.
    pub fn is_exactly(&self, address: IpAddr) -> bool {
        self.0 == IpNet::from(address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = OutboundError;

    fn try_from(text: String) -> Result<Self, OutboundError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_its_bits_say() {
        let holds = |network: &str, address: &str| {
            Network::parse(network).unwrap().contains(address.parse().unwrap())
        };
        assert!(holds("10.1.2.0/24", "10.1.2.255") && !holds("10.1.2.0/24", "10.1.3.0"));
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "10.0.0.1"));
        assert!(holds("192.168.1.7/32", "192.168.1.7") && !holds("192.168.1.7/32", "192.168.1.6"));
        assert!(Network::parse("::1/128").unwrap().is_exactly("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_or_never_reached_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("10.1.2.3", "no network"),
            ("10.1.2.0/33", "no network"),
            ("here/8", "no network"),
            ("10.1.2.3/24", "10.1.2.0/24"),
            ("127.0.0.0/8", "/32"),
            ("169.254.0.0/16", "link-local"),
            ("169.254.169.254/32", "link-local"),
            ("100.100.100.200/32", "secrets"),
            ("0.0.0.0/0", "no address"),
            ("fe80::/10", "link-local"),
            ("::ffff:10.0.0.1/128", "no network"),
        ] {
            let told = Network::parse(bad).unwrap_err().to_string();
            assert!(told.contains(reason), "{bad}: {told}");
        }
    }
}
