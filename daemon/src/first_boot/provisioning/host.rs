//! What belongs to the machine: `host_name`, `[network]` and `[time]`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::fault::Faults;
use super::table::{At, Section};
use crate::accounts::FirstAdmin;
use crate::network::is_host_name;

/// Characters of a machine's name on Linux.
const NAME_CHARS: usize = 64;
/// Bytes of an interface's name on Linux.
const INTERFACE_BYTES: usize = 15;
/// Name servers that are asked.
const MOST_DNS: usize = 4;
/// Time servers that are asked.
const MOST_NTP: usize = 8;

/// How an interface gets its address.
const ADDRESS: &str = "address = \"192.0.2.2/24\"";

/// What the machine is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Host {
    /// Its name, under which devices find it too.
    pub name: Option<String>,
    /// Its network.
    pub network: Option<Network>,
    /// The first account's time zone; the machine itself keeps UTC.
    pub zone: Option<String>,
    /// Time servers; empty: the system's own.
    pub ntp: Vec<String>,
}

/// How it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// The interface; none: every wired one for DHCP, the first wired one for an address.
    pub interface: Option<String>,
    /// How it gets its address.
    pub addressing: Addressing,
    /// Name servers.
    pub dns: Vec<IpAddr>,
}

/// How an interface gets its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Addressing {
    /// From the network.
    Dhcp,
    /// It has one of its own.
    Static(StaticAddress),
}

/// An address that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
    /// The way out.
    pub gateway: Option<IpAddr>,
}

/// Reads all of it.
pub(super) fn read(top: &mut Section<'_>, faults: &mut Faults<'_>) -> Host {
    let name = top.text("host_name", "host_name = \"net.example.org\"", faults);
    let name = name.and_then(|at| name_of(top, at, faults));
    let network = top.below("network", faults);
    let network = network.and_then(|section| network_of(section, faults));
    let time = top.below("time", faults);
    let (zone, ntp) = time.map_or_else(Default::default, |section| time_of(section, faults));
    Host { name, network, zone, ntp }
}

fn name_of(top: &Section<'_>, (text, place): At<&str>, faults: &mut Faults<'_>) -> Option<String> {
    if text.len() <= NAME_CHARS && is_host_name(text) {
        return Some(text.to_ascii_lowercase());
    }
    let problem = "it is no host name of at most 64 characters";
    let fix = "Write a name such as net.example.org: letters, digits, - and dots, no underscore.";
    top.fault(faults, ("host_name", place), problem, fix);
    None
}

fn network_of(mut section: Section<'_>, faults: &mut Faults<'_>) -> Option<Network> {
    let interface = section.text("interface", "interface = \"eth0\"", faults);
    if let Some((name, place)) = interface
        && !is_interface(name)
    {
        let fix = "Write it as `ip link` shows it, such as eth0, or leave it out.";
        section.fault(faults, ("interface", place), "it is no interface's name", fix);
    }
    let dhcp = section.flag("dhcp", "dhcp = true", faults);
    let address = section.text("address", ADDRESS, faults);
    let gateway = section.text("gateway", "gateway = \"192.0.2.1\"", faults);
    let dns = section.texts("dns", "dns = [\"192.0.2.53\"]", faults);
    let dns = servers(&section, &dns, faults);
    let addressing = match (dhcp, address) {
        (Some((true, _)), Some(address)) => {
            let fix = "Take dhcp or address out.";
            let problem = "with dhcp = true the network gives the address";
            section.fault(faults, ("address", address.1), problem, fix);
            None
        }
        (Some((true, _)), None) => {
            if let Some((_, place)) = gateway {
                let problem = "with dhcp = true the network names the gateway";
                section.fault(faults, ("gateway", place), problem, "Take it out.");
            }
            Some(Addressing::Dhcp)
        }
        (_, Some(address)) => static_of(&section, address, gateway, faults),
        (_, None) => {
            if !section.has("address") && (dhcp.is_some() || !section.has("dhcp")) {
                let fix = format!("Write dhcp = true, or {ADDRESS}");
                section.missing(faults, "address", &fix);
            }
            None
        }
    };
    section.finish(faults);
    let interface = interface.map(|(name, _)| name.to_owned());
    Some(Network { interface, addressing: addressing?, dns })
}

/// A name that the system takes and that stands for itself in networkd's files.
fn is_interface(name: &str) -> bool {
    (1..=INTERFACE_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

fn static_of(
    section: &Section<'_>,
    (text, place): At<&str>,
    gateway: Option<At<&str>>,
    faults: &mut Faults<'_>,
) -> Option<Addressing> {
    let Some((address, prefix)) = address_of(text) else {
        let fix = format!("Write the machine's own address with its network's bits: {ADDRESS}");
        let problem = "it is no address that a machine can have";
        section.fault(faults, ("address", place), problem, &fix);
        return None;
    };
    let Some((text, place)) = gateway else {
        return Some(Addressing::Static(StaticAddress { address, prefix, gateway: None }));
    };
    let reached = text.parse().ok().filter(|gateway| reaches((address, prefix), *gateway));
    if reached.is_none() {
        let problem = "it is no other address of the network that address names";
        let fix = "Write the router's address there, or leave it out.";
        section.fault(faults, ("gateway", place), problem, fix);
    }
    Some(Addressing::Static(StaticAddress { address, prefix, gateway: Some(reached?) }))
}

fn address_of(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let plain = prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let (address, prefix): (IpAddr, u8) =
        (address.parse().ok()?, prefix.parse().ok().filter(|_| plain)?);
    let bits = bits(address);
    let host_bits = bits.checked_sub(prefix).filter(|_| prefix > 0)?;
    let host = number(address) & mask(host_bits);
    // In a network of two or one, every address is a machine's (RFC 3021).
    let of_network = address.is_ipv4() && host_bits > 1 && (host == 0 || host == mask(host_bits));
    let odd = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    (!of_network && !odd).then_some((address, prefix))
}

/// Whether a gateway is another machine in the network of an address, or on its link.
fn reaches((address, prefix): (IpAddr, u8), gateway: IpAddr) -> bool {
    if let (IpAddr::V6(_), IpAddr::V6(gateway)) = (address, gateway)
        && gateway.is_unicast_link_local()
    {
        return true;
    }
    let same = address.is_ipv4() == gateway.is_ipv4();
    let host_bits = bits(address).saturating_sub(prefix);
    same && address != gateway
        && number(address) & !mask(host_bits) == number(gateway) & !mask(host_bits)
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(host_bits: u8) -> u128 {
    1_u128.checked_shl(host_bits.into()).map_or(u128::MAX, |above| above - 1)
}

fn servers(section: &Section<'_>, texts: &[At<&str>], faults: &mut Faults<'_>) -> Vec<IpAddr> {
    let mut servers = Vec::new();
    for (text, place) in texts {
        match text.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() && !address.is_multicast() => {
                servers.push(address);
            }
            _ => section.fault(
                faults,
                ("dns", *place),
                "it is no IP address",
                "Name servers have addresses and no names: dns = [\"192.0.2.53\"]",
            ),
        }
    }
    too_many(section, "dns", texts, MOST_DNS, faults);
    servers
}

fn too_many(
    section: &Section<'_>,
    key: &str,
    texts: &[At<&str>],
    most: usize,
    faults: &mut Faults<'_>,
) {
    if let Some((_, place)) = texts.get(most) {
        let fix = format!("At most {most} are asked: take the rest out.");
        section.fault(faults, (key, *place), "these are too many servers", &fix);
    }
}

fn time_of(mut section: Section<'_>, faults: &mut Faults<'_>) -> (Option<String>, Vec<String>) {
    let zone = section.text("zone", "zone = \"Europe/Vienna\"", faults);
    let zone = zone.and_then(|(text, place)| {
        let sound = is_zone(text) && FirstAdmin::check_timezone(text).is_ok();
        if !sound {
            let fix = "Write it like this: zone = \"Europe/Vienna\"";
            section.fault(faults, ("zone", place), "it is no time zone's name", fix);
        }
        sound.then(|| text.to_owned())
    });
    let texts = section.texts("ntp", "ntp = [\"ntp.example.net\"]", faults);
    for (text, place) in &texts {
        if !is_host_name(text) && text.parse::<IpAddr>().is_err() {
            let fix = "Write it like this: ntp = [\"ntp.example.net\", \"192.0.2.123\"]";
            section.fault(faults, ("ntp", *place), "it is no host name or address", fix);
        }
    }
    too_many(&section, "ntp", &texts, MOST_NTP, faults);
    section.finish(faults);
    (zone, texts.into_iter().map(|(text, _)| text.to_owned()).collect())
}

/// `UTC`, `Europe/Vienna`, `America/Argentina/Buenos_Aires`.
fn is_zone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    text.split('/').count() <= 3 && text.split('/').all(part)
}
