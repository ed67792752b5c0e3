//! Which addresses the appliance may connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;

/// What an address is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anybody's.
    Public,
    /// Of a network that is not the internet.
    Private,
    /// One of this machine's interfaces has it.
    Own,
    /// This machine.
    Loopback,
    /// Nothing that a service of ours is found at, and why.
    Never(&'static str),
}

/// Where clouds tell a machine its secrets, besides 169.254.169.254 and its neighbours, which are
/// link-local.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

/// Sorts an address. `own` are the addresses of this machine's interfaces.
pub(super) fn kind(address: IpAddr, own: &[IpAddr]) -> Kind {
    let address = inner(address);
    if METADATA.contains(&address) {
        return Kind::Never("an address where clouds keep a machine's secrets");
    }
    let by_range = match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => kind_v6(v6),
    };
    match by_range {
        Kind::Public | Kind::Private if own.contains(&address) => Kind::Own,
        kind => kind,
    }
}

/// The IPv4 address inside an IPv6 one, where the system or a gateway would take it out.
pub(super) fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match v6.segments() {
        // Mapped; translated by NAT64; 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        // Written the old way. `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => address,
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        [0, ..] => Kind::Never("no address of a machine"),
        [127, ..] => Kind::Loopback,
        [169, 254, ..] => Kind::Never("a link-local address"),
        [192, 0, 0, _] | [240..=255, ..] => Kind::Never("a reserved address"),
        [224..=239, ..] => Kind::Never("a multicast address"),
        // RFC 1918, carriers' NAT (RFC 6598), benchmarks (RFC 2544).
        [10, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [198, 18..=19, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Never("no address of a machine"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        [0xfe80..=0xfebf, ..] => Kind::Never("a link-local address"),
        [0xff00..=0xffff, ..] => Kind::Never("a multicast address"),
        // Teredo, ORCHID, a gateway's own translation, the discard prefix.
        [0x2001, 0..=0x01ff, ..] | [0x64, 0xff9b, ..] | [0x0100, ..] => {
            Kind::Never("a reserved address")
        }
        // Unique local, and what site-local once was.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

/// The addresses of this machine's interfaces now, loopback included.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Kind {
        let own = ["198.51.100.7", "10.0.0.7", "2001:db8::7"].map(|own| own.parse().unwrap());
        kind(text.parse().unwrap(), &own)
    }

    #[test]
    fn p7_an_address_is_sorted_by_its_range() {
        for public in ["198.51.100.8", "1.1.1.1", "2606:4700::1", "172.32.0.1", "100.128.0.1"] {
            assert_eq!(of(public), Kind::Public, "{public}");
        }
        for private in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1"] {
            assert_eq!(of(private), Kind::Private, "{private}");
        }
        for own in ["198.51.100.7", "10.0.0.7", "2001:db8::7"] {
            assert_eq!(of(own), Kind::Own, "{own}");
        }
        for loopback in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(of(loopback), Kind::Loopback, "{loopback}");
        }
        for never in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.192",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "2001::1",
            "64:ff9b:1::a00:1",
        ] {
            assert!(matches!(of(never), Kind::Never(_)), "{never}");
        }
    }

    #[test]
    fn p7_an_ipv4_address_inside_an_ipv6_one_counts_as_what_it_is() {
        for (mapped, kind) in [
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::ffff:10.0.0.1", Kind::Private),
            ("::ffff:10.0.0.7", Kind::Own),
            ("::127.0.0.1", Kind::Loopback),
            ("64:ff9b::a00:1", Kind::Private),
            ("2002:7f00:1::", Kind::Loopback),
            ("::ffff:1.1.1.1", Kind::Public),
        ] {
            assert_eq!(of(mapped), kind, "{mapped}");
        }
        for metadata in ["::ffff:169.254.169.254", "2002:a9fe:a9fe::", "64:ff9b::a9fe:a9fe"] {
            assert!(matches!(of(metadata), Kind::Never(_)), "{metadata}");
        }
    }
}
