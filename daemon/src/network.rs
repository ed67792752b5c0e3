//! Where somebody comes from, as far as it can be held against him.

use std::net::IpAddr;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_counts_as_what_it_is() {
        let mapped: IpAddr = "::ffff:198.51.100.7".parse().unwrap();
        let plain: IpAddr = "198.51.100.9".parse().unwrap();
        assert_eq!(SourceNetwork::from(mapped), SourceNetwork::from(plain));
    }
}
