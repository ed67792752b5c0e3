//! A device's network interfaces as the published API shows them.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use super::views::{mac_text, said};
use crate::devices::snapshot::{Device, Interface};

/// A network interface.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceInterface)]
pub(super) struct InterfaceView {
    identification: Identification,
    addresses: Vec<Address>,
    /// Switched on by the device's administrator.
    enabled: bool,
    /// Bytes, written as text as the published API does.
    mtu: Option<String>,
    /// Mbit/s and duplex, such as `1000-full`.
    speed: Option<String>,
    statistics: Counters,
    status: Link,
    aerie: Extra,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InterfaceIdentification)]
struct Identification {
    name: String,
    display_name: String,
    description: Option<String>,
    mac: Option<String>,
    /// The interface's index on the device.
    position: u32,
    /// ethernet, wireless, bridge, vlan, tunnel, loopback or other.
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InterfaceAddress)]
struct Address {
    /// With prefix length.
    cidr: String,
    /// How the device came to it is not reported: always `static`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// `v4` or `v6`.
    #[schema(value_type = Option<String>)]
    version: Option<&'static str>,
}

/// Counters since the device started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InterfaceCounters)]
struct Counters {
    /// Frames dropped both ways.
    dropped: u64,
    /// Receive and transmit errors.
    errors: u64,
    /// Received bytes.
    rxbytes: u64,
    /// Sent bytes.
    txbytes: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InterfaceLink)]
struct Link {
    /// Mbit/s and duplex, such as `1000-full`.
    current_speed: Option<String>,
    description: Option<String>,
    /// Has a carrier.
    plugged: bool,
    /// The same as `currentSpeed`.
    speed: Option<String>,
    /// `active`, `disconnected` or `disabled`.
    #[schema(value_type = String)]
    status: &'static str,
}

/// What the published API has no words for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InterfaceExtra)]
struct Extra {
    /// dBm.
    signal: Option<i32>,
    /// dBm.
    noise: Option<i32>,
    /// Mbit/s.
    speed_mbps: Option<u32>,
}

/// All interfaces of a device, as it reported them last.
pub(super) fn of(device: &Device) -> Vec<InterfaceView> {
    let interfaces = device.status.as_ref().map(|status| status.interfaces.as_slice());
    interfaces.unwrap_or_default().iter().map(InterfaceView::new).collect()
}

impl InterfaceView {
    fn new(interface: &Interface) -> Self {
        let name = interface.name.as_str().to_owned();
        let speed = interface.speed.map(|speed| format!("{speed}-full"));
        Self {
            identification: Identification {
                display_name: name.clone(),
                name,
                description: None,
                mac: mac_text(interface.mac),
                position: interface.index,
                kind: said(&interface.kind),
            },
            addresses: interface.addresses.iter().filter_map(said).map(Address::new).collect(),
            enabled: interface.enabled,
            mtu: (interface.mtu > 0).then(|| interface.mtu.to_string()),
            speed: speed.clone(),
            statistics: Counters {
                dropped: interface.counters.dropped,
                errors: interface.counters.errors,
                rxbytes: interface.counters.rx_bytes,
                txbytes: interface.counters.tx_bytes,
            },
            status: Link {
                current_speed: speed.clone(),
                description: speed.clone(),
                plugged: interface.plugged,
                speed,
                status: match (interface.enabled, interface.plugged) {
                    (false, _) => "disabled",
                    (true, true) => "active",
                    (true, false) => "disconnected",
                },
            },
            aerie: Extra {
                signal: interface.signal,
                noise: interface.noise,
                speed_mbps: interface.speed,
            },
        }
    }
}

impl Address {
    fn new(cidr: String) -> Self {
        let address = cidr.split('/').next().and_then(|address| address.parse().ok());
        let version = address.map(|address: IpAddr| if address.is_ipv4() { "v4" } else { "v6" });
        Self { cidr, kind: "static", version }
    }
}
