//! A network that an admin allows to be reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::addresses::{self, Kind};
use super::error::OutboundError;
use super::shown;

/// An address and how many of its first bits count, such as `10.1.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads a network, and refuses one that could never be reached or says less than it seems to.
    pub fn parse(text: &str) -> Result<Self, OutboundError> {
        let wrong = || OutboundError::NoNetwork(shown(text));
        let (address, bits) = text.trim().split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?;
        let network = Self { address, bits };
        let start = network.masked(address);
        if start != address {
            let meant = Self { address: start, bits };
            return Err(OutboundError::HostBits { network: shown(text), meant });
        }
        // As what it is, it can be written as IPv4.
        if addresses::inner(address) != address {
            return Err(wrong());
        }
        match addresses::kind(address, &[]) {
            Kind::Never(why) => Err(OutboundError::NeverReached { network, why }),
            Kind::Loopback if bits < most => Err(OutboundError::LoopbackNetwork(network)),
            _ => Ok(network),
        }
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.address
    }

    /// Whether it is this one address.
    pub fn is_exactly(&self, address: IpAddr) -> bool {
        self.address == address && self.bits == if address.is_ipv4() { 32 } else { 128 }
    }

    fn masked(self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits).min(32)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits).min(128)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
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
