//! What other rooms see of a device: one owned picture, taken at one moment.

use std::net::SocketAddr;

use aerie_protocol::inform;
use aerie_protocol::noise::PublicKey;
use aerie_protocol::text::DeviceText;
use jiff::Timestamp;
use uuid::Uuid;

/// How the appliance and a device stand to each other at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// In quarantine: it knocked with a valid device key and waits for an admin.
    Unauthorized,
    /// Authorised, and its session is up.
    Active,
    /// Authorised, without a session.
    Disconnected,
}

/// A device as it stands now.
#[derive(Clone, Debug)]
pub struct Device {
    /// Given at the first knock; stays through authorisation and new keys.
    pub id: Uuid,
    /// The device's static key: its identity.
    pub public_key: PublicKey,
    /// Session state.
    pub connection: Connection,
    /// The owner's name for it; empty when none was given.
    pub alias: String,
    /// The owner's note.
    pub note: String,
    /// The owner said that it is being worked on.
    pub maintenance: bool,
    /// What the device says of itself. Claims, cleaned for display, never proofs.
    pub claims: Claims,
    /// The site it was authorised to.
    pub site: Option<Uuid>,
    /// The device checked the appliance's key against a pin, or an admin confirmed it.
    pub verified: bool,
    /// Other devices that claim the same MAC address.
    pub conflicts: Vec<Uuid>,
    /// Where the present session comes from.
    pub source: Option<SocketAddr>,
    /// First knock.
    pub first_seen: Timestamp,
    /// Last message of any kind.
    pub last_seen: Timestamp,
    /// Start of the present session.
    pub connected_since: Option<Timestamp>,
    /// When an admin let it in.
    pub authorized_at: Option<Timestamp>,
    /// Until when a new identity with this MAC may take this device's place.
    pub refresh_until: Option<Timestamp>,
    /// Local accounts whose passwords its own file lets the appliance set.
    pub password_accounts: Vec<String>,
    /// The last status report.
    pub status: Option<Status>,
}

impl Device {
    /// An admin has let it in.
    pub fn authorized(&self) -> bool {
        self.connection != Connection::Unauthorized
    }

    /// The name to show: the owner's, else the host name, else the model.
    pub fn display_name(&self) -> &str {
        self.claims.name_unless(&self.alias)
    }

    /// The first address that the device claims, with its prefix length.
    pub fn address(&self) -> Option<&str> {
        self.claims.addresses.first().map(DeviceText::as_str)
    }
}

impl Claims {
    /// The owner's name for the device, or else what it calls itself.
    pub(super) fn name_unless<'a>(&'a self, alias: &'a str) -> &'a str {
        [alias, self.hostname.as_str(), self.model.as_str()]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or("unnamed device")
    }
}

/// What a device says of itself in its hello.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// The main interface's MAC address.
    pub mac: [u8; 6],
    /// Host name.
    pub hostname: DeviceText,
    /// Model name.
    pub model: DeviceText,
    /// Vendor name.
    pub vendor: DeviceText,
    /// Operating system and its version.
    pub firmware_version: DeviceText,
    /// Version of the agent.
    pub agent_version: DeviceText,
    /// Serial number, empty where there is none.
    pub serial_number: DeviceText,
    /// Machine type as `uname` says.
    pub architecture: DeviceText,
    /// Addresses with prefix lengths, the main one first.
    pub addresses: Vec<DeviceText>,
    /// What kind of device it is.
    pub role: Role,
    /// The device's own file lets terminals be opened.
    pub terminal_allowed: bool,
}

/// What a device is for, in the words of the published API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Routes between networks.
    Router,
    /// Switches frames.
    Switch,
    /// Wireless access point.
    AccessPoint,
    /// Wireless station.
    Station,
    /// A server.
    Server,
    /// Anything else.
    #[default]
    Other,
}

impl Role {
    /// The published API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Switch => "switch",
            Self::AccessPoint => "ap",
            Self::Station => "station",
            Self::Server => "server",
            Self::Other => "other",
        }
    }

    /// The inverse of [`Role::name`]; what is unknown is [`Role::Other`].
    pub fn from_name(name: &str) -> Self {
        match name {
            "router" => Self::Router,
            "switch" => Self::Switch,
            "ap" => Self::AccessPoint,
            "station" => Self::Station,
            "server" => Self::Server,
            _ => Self::Other,
        }
    }
}

impl From<inform::DeviceRole> for Role {
    fn from(role: inform::DeviceRole) -> Self {
        match role {
            inform::DeviceRole::Router => Self::Router,
            inform::DeviceRole::Switch => Self::Switch,
            inform::DeviceRole::AccessPoint => Self::AccessPoint,
            inform::DeviceRole::Station => Self::Station,
            inform::DeviceRole::Server => Self::Server,
            inform::DeviceRole::Other | inform::DeviceRole::Unspecified => Self::Other,
        }
    }
}

/// A status report, cleaned for display.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// When the appliance received it.
    pub at: Timestamp,
    /// Processor use of all cores, 0 to 100.
    pub cpu_percent: f32,
    /// Bytes.
    pub ram_total: u64,
    /// Bytes.
    pub ram_used: u64,
    /// Seconds since the device started.
    pub uptime: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f32; 3],
    /// Degrees Celsius.
    pub temperature: Option<f32>,
    /// The device is showing where it is.
    pub locating: bool,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
}

impl Status {
    /// Memory in use, 0 to 100.
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    pub fn ram_percent(&self) -> f32 {
        if self.ram_total == 0 { 0.0 } else { self.ram_used as f32 * 100.0 / self.ram_total as f32 }
    }

    /// The strongest wireless signal in dBm, where there is one.
    pub fn signal(&self) -> Option<i32> {
        self.interfaces.iter().filter_map(|interface| interface.signal).max()
    }
}

/// One network interface of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// Name on the device.
    pub name: DeviceText,
    /// Index on the device.
    pub index: u32,
    /// ethernet, wireless, bridge, vlan, tunnel, loopback or other.
    pub kind: DeviceText,
    /// Hardware address; all zero where there is none.
    pub mac: [u8; 6],
    /// With prefix length.
    pub addresses: Vec<DeviceText>,
    /// Bytes.
    pub mtu: u32,
    /// Switched on by the device's administrator.
    pub enabled: bool,
    /// Has a carrier.
    pub plugged: bool,
    /// Mbit/s.
    pub speed: Option<u32>,
    /// Counters since the device started.
    pub counters: Counters,
    /// dBm.
    pub signal: Option<i32>,
    /// dBm.
    pub noise: Option<i32>,
}

/// Interface counters since the device started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received bytes.
    pub rx_bytes: u64,
    /// Sent bytes.
    pub tx_bytes: u64,
    /// Receive and transmit errors.
    pub errors: u64,
    /// Frames dropped both ways.
    pub dropped: u64,
}

const NAME_BYTES: usize = 128;
const ADDRESS_BYTES: usize = 64;

impl Claims {
    /// Takes a hello's claims through [`DeviceText`].
    pub fn from_hello(hello: &inform::Hello) -> Self {
        let clean = |text: &str| DeviceText::clean(text, NAME_BYTES);
        Self {
            mac: mac(&hello.mac),
            hostname: clean(&hello.hostname),
            model: clean(&hello.model),
            vendor: clean(&hello.vendor),
            firmware_version: clean(&hello.firmware_version),
            agent_version: clean(&hello.agent_version),
            serial_number: clean(&hello.serial_number),
            architecture: clean(&hello.architecture),
            addresses: addresses(&hello.addresses),
            role: hello.role().into(),
            terminal_allowed: hello.terminal_allowed,
        }
    }
}

impl Status {
    /// Takes a status message's claims through [`DeviceText`] and into units for people.
    #[expect(clippy::cast_precision_loss, reason = "figures for people, not for accounts")]
    pub fn from_message(status: &inform::Status, at: Timestamp) -> Self {
        let centi = |value: u32| value as f32 / 100.0;
        Self {
            at,
            cpu_percent: (status.cpu_permille as f32 / 10.0).min(100.0),
            ram_total: status.ram_total_bytes,
            ram_used: status.ram_used_bytes.min(status.ram_total_bytes),
            uptime: status.uptime_seconds,
            load: [
                centi(status.load1_centi),
                centi(status.load5_centi),
                centi(status.load15_centi),
            ],
            temperature: status.temperature_milli_celsius.map(|milli| milli as f32 / 1000.0),
            locating: status.locating,
            interfaces: status.interfaces.iter().map(Interface::from_message).collect(),
        }
    }
}

impl Interface {
    fn from_message(interface: &inform::Interface) -> Self {
        let wireless = interface.wireless.as_ref();
        Self {
            name: DeviceText::clean(&interface.name, NAME_BYTES),
            index: interface.index,
            kind: DeviceText::clean(&interface.kind, NAME_BYTES),
            mac: mac(&interface.mac),
            addresses: addresses(&interface.addresses),
            mtu: interface.mtu,
            enabled: interface.enabled,
            plugged: interface.plugged,
            speed: interface.speed_mbps,
            counters: Counters {
                rx_bytes: interface.rx_bytes,
                tx_bytes: interface.tx_bytes,
                errors: interface.rx_errors.saturating_add(interface.tx_errors),
                dropped: interface.rx_dropped.saturating_add(interface.tx_dropped),
            },
            signal: wireless.and_then(|wireless| wireless.signal_dbm),
            noise: wireless.and_then(|wireless| wireless.noise_dbm),
        }
    }
}

/// A MAC address, all zero where the device gave none.
fn mac(bytes: &[u8]) -> [u8; 6] {
    bytes.try_into().unwrap_or_default()
}

fn addresses(texts: &[String]) -> Vec<DeviceText> {
    texts.iter().map(|text| DeviceText::clean(text, ADDRESS_BYTES)).collect()
}

/// Which devices a list should hold. Empty sets ask for all.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    /// Of this site alone.
    pub site: Option<Uuid>,
    /// Authorised ones, or those in quarantine.
    pub authorized: Option<bool>,
    /// With one of these roles.
    pub roles: Vec<Role>,
}

/// A device's "no" in words: ours first, then what it said itself, cleaned.
pub(super) fn refusal_text(what: &str, refusal: &inform::Refusal) -> String {
    let why = match refusal.reason() {
        inform::RefusalReason::UnknownRequest => "it does not know this request",
        inform::RefusalReason::NotAllowed => "its own settings do not allow it",
        inform::RefusalReason::Outdated => "it knows of something newer",
        inform::RefusalReason::Wrong => "this is not the password",
        inform::RefusalReason::Busy => "it is busy; try again in a moment",
        inform::RefusalReason::NotAuthorized => "it is not authorised",
        inform::RefusalReason::Failed | inform::RefusalReason::Unspecified => "it could not",
    };
    let detail = DeviceText::clean(&refusal.detail, 200);
    if detail.is_empty() { format!("{what}: {why}.") } else { format!("{what}: {why} ({detail}).") }
}
