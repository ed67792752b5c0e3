//! Network interfaces, as the kernel tells them over rtnetlink; speed and radio from `/sys`.

use std::{collections::HashMap, fs, net::IpAddr, path::Path};

use aerie_protocol::inform::{Interface, MAX_INTERFACES};
use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle,
    packet_route::{
        address::{AddressAttribute, AddressMessage, AddressScope},
        link::{
            InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, Stats,
            Stats64,
        },
    },
};
use thiserror::Error;

use super::{linux::Roots, wireless};

/// Addresses of one interface in a report: as many as fit when every interface has so many.
const MOST_ADDRESSES: usize = 8;

/// Why the kernel did not tell its interfaces.
#[derive(Debug, Error)]
pub(super) enum InterfacesError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: is the agent's sandbox too tight?")]
    Socket(#[source] std::io::Error),
    /// The kernel refused, or the socket broke.
    #[error("the kernel did not tell its interfaces")]
    Refused(#[source] rtnetlink::Error),
    /// The socket ended in the middle of an answer.
    #[error("the netlink socket ended early")]
    Ended,
}

/// Every interface, loopback included, in the kernel's order. A container host can have thousands
/// of virtual cables (veth) and a report has an end: those are left out first.
pub(super) async fn read(roots: &Roots) -> Result<Vec<Interface>, InterfacesError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(InterfacesError::Socket)?;
    let (mut links, addresses) = tokio::select! {
        answer = dump(&handle) => answer.map_err(InterfacesError::Refused)?,
        () = connection => return Err(InterfacesError::Ended),
    };
    let mut addresses = by_interface(&addresses);
    let signals = fs::read_to_string(roots.proc.join("net/wireless")).unwrap_or_default();
    links.sort_by_key(is_virtual_cable);
    let interfaces = links.iter().take(MAX_INTERFACES).map(|link| {
        let mut interface = describe(link);
        let folder = roots.sys.join("class/net").join(&interface.name);
        if is_radio(&folder) {
            "wireless".clone_into(&mut interface.kind);
            interface.wireless = wireless::of_interface(&signals, &interface.name);
        }
        interface.speed_mbps = speed_mbps(&folder);
        interface.addresses = addresses.remove(&interface.index).unwrap_or_default();
        interface
    });
    Ok(interfaces.collect())
}

async fn dump(
    handle: &Handle,
) -> Result<(Vec<LinkMessage>, Vec<AddressMessage>), rtnetlink::Error> {
    let links = handle.link().get().execute().try_collect().await?;
    let addresses = handle.address().get().execute().try_collect().await?;
    Ok((links, addresses))
}

/// `address/prefix` by interface index: IPv4 first, link-local last.
fn by_interface(messages: &[AddressMessage]) -> HashMap<u32, Vec<String>> {
    let mut found: HashMap<u32, Vec<(bool, bool, String)>> = HashMap::new();
    for message in messages {
        let Some(address) = own_address(message) else { continue };
        found.entry(message.header.index).or_default().push((
            message.header.scope == AddressScope::Link,
            address.is_ipv6(),
            format!("{address}/{}", message.header.prefix_len),
        ));
    }
    let texts = found.into_iter().map(|(index, mut addresses)| {
        addresses.sort();
        let texts = addresses.into_iter().map(|(_, _, text)| text).take(MOST_ADDRESSES);
        (index, texts.collect())
    });
    texts.collect()
}

/// On a point-to-point link `Address` is the other end, and `Local` this one.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

fn describe(link: &LinkMessage) -> Interface {
    let mut interface = Interface {
        index: link.header.index,
        kind: kind(link).to_owned(),
        enabled: link.header.flags.contains(LinkFlags::Up),
        plugged: link.header.flags.contains(LinkFlags::LowerUp),
        ..Interface::default()
    };
    let mut counters = None;
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Address(address) if address.len() == 6 => {
                interface.mac.clone_from(address);
            }
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Carrier(carrier) => interface.plugged = *carrier == 1,
            LinkAttribute::Stats64(stats) => counters = Some(*stats),
            LinkAttribute::Stats(stats) => counters = counters.or_else(|| Some(widen(stats))),
            _ => {}
        }
    }
    if let Some(stats) = counters {
        interface.rx_bytes = stats.rx_bytes;
        interface.tx_bytes = stats.tx_bytes;
        interface.rx_errors = stats.rx_errors;
        interface.tx_errors = stats.tx_errors;
        interface.rx_dropped = stats.rx_dropped;
        interface.tx_dropped = stats.tx_dropped;
    }
    interface
}

/// The counters of a kernel that knows 32 bits only.
fn widen(stats: &Stats) -> Stats64 {
    let mut wide = Stats64::default();
    wide.rx_bytes = stats.rx_bytes.into();
    wide.tx_bytes = stats.tx_bytes.into();
    wide.rx_errors = stats.rx_errors.into();
    wide.tx_errors = stats.tx_errors.into();
    wide.rx_dropped = stats.rx_dropped.into();
    wide.tx_dropped = stats.tx_dropped.into();
    wide
}

/// One of the kinds that `inform.proto` names; radios are told apart by `/sys` alone.
fn kind(link: &LinkMessage) -> &'static str {
    if link.header.flags.contains(LinkFlags::Loopback) {
        return "loopback";
    }
    match made_by(link) {
        Some(InfoKind::Bridge) => "bridge",
        Some(InfoKind::Vlan) => "vlan",
        Some(
            InfoKind::Tun
            | InfoKind::Wireguard
            | InfoKind::Vxlan
            | InfoKind::Geneve
            | InfoKind::GreTap
            | InfoKind::GreTap6
            | InfoKind::GreTun
            | InfoKind::GreTun6
            | InfoKind::IpIp
            | InfoKind::Ip6Tnl
            | InfoKind::SitTun
            | InfoKind::Vti
            | InfoKind::Vti6
            | InfoKind::Xfrm,
        ) => "tunnel",
        Some(InfoKind::Dummy | InfoKind::Ifb | InfoKind::Nlmon | InfoKind::Vrf) => "other",
        _ => match link.header.link_layer_type {
            LinkLayerType::Ether => "ethernet",
            LinkLayerType::Ppp | LinkLayerType::Tunnel | LinkLayerType::Tunnel6 => "tunnel",
            _ => "other",
        },
    }
}

/// The driver, for interfaces that are made by software.
fn made_by(link: &LinkMessage) -> Option<&InfoKind> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(parts) => parts.iter().find_map(|part| match part {
            LinkInfo::Kind(kind) => Some(kind),
            _ => None,
        }),
        _ => None,
    })
}

fn is_virtual_cable(link: &LinkMessage) -> bool {
    matches!(made_by(link), Some(InfoKind::Veth))
}

fn is_radio(folder: &Path) -> bool {
    folder.join("wireless").exists() || folder.join("phy80211").exists()
}

/// `speed` says -1, or nothing at all, while the link has none.
fn speed_mbps(folder: &Path) -> Option<u32> {
    let speed: u32 = fs::read_to_string(folder.join("speed")).ok()?.trim().parse().ok()?;
    (speed > 0 && speed != u32::MAX).then_some(speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/proc/net/dev` is the kernel's other, older way to tell the same counters.
    fn from_proc() -> HashMap<String, u64> {
        let table = fs::read_to_string("/proc/net/dev").unwrap();
        let rows = table.lines().skip(2).filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let received = counters.split_whitespace().next()?.parse().ok()?;
            Some((name.trim().to_owned(), received))
        });
        rows.collect()
    }

    #[tokio::test]
    async fn the_kernels_two_ways_agree() {
        let before = from_proc();
        let interfaces = read(&Roots::default()).await.unwrap();
        let after = from_proc();
        assert_eq!(interfaces.len(), after.len());
        for interface in &interfaces {
            let (low, high) = (before[&interface.name], after[&interface.name]);
            assert!((low..=high).contains(&interface.rx_bytes), "{interface:?}");
            let folder = Path::new("/sys/class/net").join(&interface.name);
            let fact = |name| fs::read_to_string(folder.join(name)).unwrap().trim().to_owned();
            assert_eq!(fact("ifindex"), interface.index.to_string());
            assert_eq!(fact("mtu"), interface.mtu.to_string());
            let mac: Vec<String> = interface.mac.iter().map(|byte| format!("{byte:02x}")).collect();
            if !mac.is_empty() {
                assert_eq!(fact("address"), mac.join(":"));
            }
        }
    }

    #[tokio::test]
    async fn loopback_is_what_everybody_knows() {
        let interfaces = read(&Roots::default()).await.unwrap();
        let lo = interfaces.iter().find(|interface| interface.name == "lo").unwrap();
        assert_eq!(lo.kind, "loopback");
        if lo.enabled {
            assert_eq!(lo.addresses.first().map(String::as_str), Some("127.0.0.1/8"));
        }
        assert!(lo.wireless.is_none() && lo.speed_mbps.is_none());
    }

    #[test]
    fn speed_and_radio_come_from_sys() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(speed_mbps(folder.path()), None);
        for (text, speed) in [("1000\n", Some(1000)), ("-1\n", None), ("0\n", None)] {
            fs::write(folder.path().join("speed"), text).unwrap();
            assert_eq!(speed_mbps(folder.path()), speed);
        }
        assert!(!is_radio(folder.path()));
        fs::create_dir(folder.path().join("phy80211")).unwrap();
        assert!(is_radio(folder.path()));
    }
}
