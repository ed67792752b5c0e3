//! A device as the published API shows it, and the block of our own beside it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::site_view::SiteIdentification;
use super::views::{Time, filled, mac_text, said, tenth};
use crate::devices::snapshot::{Connection, Device, Role};

/// A device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Device)]
pub(super) struct DeviceView {
    identification: Identification,
    overview: Overview,
    meta: Meta,
    firmware: Firmware,
    /// The device's first address, with its prefix length where that is known.
    #[schema(required)]
    ip_address: Option<String>,
    /// All addresses that the device reports.
    ip_address_list: Vec<String>,
    /// Always true: a device that is not wanted is deleted.
    enabled: bool,
    /// Only where the call asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    interfaces: Option<Vec<super::interface_view::InterfaceView>>,
    aerie: Extra,
}

/// Who the device is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceIdentification)]
struct Identification {
    /// Given at the first knock; stays through authorisation and new keys.
    id: Uuid,
    /// An admin has let it in.
    authorized: bool,
    category: Category,
    /// The owner's name for it, else the host name, else the model.
    display_name: String,
    /// The device's own host name.
    hostname: Option<String>,
    /// The same as `displayName`.
    name: String,
    firmware_version: Option<String>,
    /// The first address, with its prefix length where that is known.
    ip: Option<String>,
    mac: Option<String>,
    model: Option<String>,
    model_name: Option<String>,
    /// The operating system and its version.
    system_name: Option<String>,
    vendor: Option<String>,
    vendor_name: Option<String>,
    /// The machine type, as `uname` says.
    platform_id: Option<String>,
    platform_name: Option<String>,
    /// One of the published API's roles: ap, router, server, station, switch or other.
    #[schema(value_type = String)]
    role: &'static str,
    serial_number: Option<String>,
    /// The site it was authorised to.
    site: Option<SiteIdentification>,
    /// When the device itself started.
    started: Option<Time>,
    status: Status,
    /// Always `blackBox`, the published word for a device that is not of the vendor's families.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// The last message of any kind.
    updated: Time,
}

/// How the device is linked, as far as its role tells.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceCategory)]
enum Category {
    Wired,
    Wireless,
}

/// How the appliance and the device stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceStatus)]
pub(super) enum Status {
    /// Connected.
    Active,
    /// Authorised, and not connected.
    Disconnected,
    /// Waits in quarantine.
    Unauthorized,
}

/// Figures of the last report.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceOverview)]
struct Overview {
    status: Status,
    /// First knock.
    created_at: Time,
    /// The last message of any kind.
    last_seen: Time,
    /// Percent of all cores.
    cpu: Option<f32>,
    /// Percent.
    ram: Option<f32>,
    /// Degrees Celsius.
    temperature: Option<f32>,
    /// Seconds since the device started.
    uptime: Option<u64>,
    /// dBm, of the strongest wireless link.
    signal: Option<i32>,
    can_upgrade: bool,
    /// The device is showing where it is.
    is_locate_running: bool,
    key_exchange_status: KeyExchange,
}

/// Whether the device has its own key.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceKeyExchange)]
enum KeyExchange {
    Pending,
    Complete,
}

/// What the owner says of the device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceNotes)]
struct Meta {
    /// The owner's name for it.
    alias: Option<String>,
    note: Option<String>,
    /// It is being worked on.
    maintenance: bool,
    failed_message_decryption: bool,
    #[schema(required)]
    restart_timestamp: Option<Time>,
    /// Always `compatible`: an agent that speaks this protocol is.
    #[schema(value_type = String)]
    firmware_compatibility: &'static str,
}

/// The operating system's version. What would be newer is not known.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceFirmware)]
struct Firmware {
    compatible: bool,
    #[schema(required)]
    current: Option<String>,
    #[schema(required)]
    latest: Option<String>,
    #[schema(required)]
    latest_on_current_major_version: Option<String>,
    #[schema(required)]
    latest_over: Option<String>,
    #[schema(required)]
    upgrade_recommended_to_version: Option<String>,
    #[schema(required)]
    prospective: Option<String>,
}

/// What the published API has no words for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceExtra)]
struct Extra {
    /// Short form of the device's own key, to compare with what the device shows.
    fingerprint: String,
    /// The device has checked the appliance's key against a pin, or an admin has compared both.
    verified: bool,
    /// Other devices that claim the same MAC address.
    conflict: Vec<Uuid>,
    /// Where the present session comes from.
    source_address: Option<String>,
    /// The device's own settings let terminals be opened.
    terminal_allowed: bool,
    /// Local accounts whose passwords the device's own settings let the appliance set, as it said
    /// when it last connected.
    password_accounts: Vec<String>,
    agent_version: Option<String>,
    /// As `uname` says.
    architecture: Option<String>,
    load: Option<Load>,
    /// Bytes.
    ram_total: Option<u64>,
    /// Bytes.
    ram_used: Option<u64>,
    /// Start of the present session.
    connected_since: Option<Time>,
    /// When an admin let it in.
    authorized_at: Option<Time>,
    /// Until when a new key with this MAC address may take this device's place.
    refresh_until: Option<Time>,
    /// The device is showing where it is.
    locating: bool,
    /// When the figures were reported.
    reported_at: Option<Time>,
}

/// Processes that wait for a processor, averaged over minutes.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = DeviceLoad)]
pub(super) struct Load {
    one: f32,
    five: f32,
    fifteen: f32,
}

impl Load {
    /// From the figures as reported.
    pub(super) fn new([one, five, fifteen]: [f32; 3]) -> Self {
        Self { one, five, fifteen }
    }
}

impl DeviceView {
    /// Shows a device at its site; its interfaces only where they are asked for.
    pub(super) fn new(
        device: &Device,
        site: Option<SiteIdentification>,
        with_interfaces: bool,
        now: Timestamp,
    ) -> Self {
        Self {
            identification: Identification::new(device, site),
            overview: Overview::new(device),
            meta: Meta {
                alias: filled(&device.alias),
                note: filled(&device.note),
                maintenance: device.maintenance,
                failed_message_decryption: false,
                restart_timestamp: None,
                firmware_compatibility: "compatible",
            },
            firmware: Firmware {
                compatible: true,
                current: said(&device.claims.firmware_version),
                latest: None,
                latest_on_current_major_version: None,
                latest_over: None,
                upgrade_recommended_to_version: None,
                prospective: None,
            },
            ip_address: device.address().map(str::to_owned),
            ip_address_list: device.claims.addresses.iter().filter_map(said).collect(),
            enabled: true,
            interfaces: with_interfaces.then(|| super::interface_view::of(device)),
            aerie: Extra::new(device, now),
        }
    }
}

impl Identification {
    fn new(device: &Device, site: Option<SiteIdentification>) -> Self {
        let claims = &device.claims;
        let name = device.display_name().to_owned();
        let architecture = said(&claims.architecture);
        Self {
            id: device.id,
            authorized: device.authorized(),
            category: match claims.role {
                Role::AccessPoint | Role::Station => Category::Wireless,
                Role::Router | Role::Switch | Role::Server | Role::Other => Category::Wired,
            },
            display_name: name.clone(),
            hostname: said(&claims.hostname),
            name,
            firmware_version: said(&claims.firmware_version),
            ip: device.address().map(str::to_owned),
            mac: mac_text(claims.mac),
            model: said(&claims.model),
            model_name: said(&claims.model),
            system_name: said(&claims.firmware_version),
            vendor: said(&claims.vendor),
            vendor_name: said(&claims.vendor),
            platform_id: architecture.clone(),
            platform_name: architecture,
            role: claims.role.name(),
            serial_number: said(&claims.serial_number),
            site,
            started: started(device).map(Time),
            status: device.connection.into(),
            kind: KIND,
            updated: Time(device.last_seen),
        }
    }
}

/// The published type of every device that is not of the vendor's own families.
pub(super) const KIND: &str = "blackBox";

impl Overview {
    fn new(device: &Device) -> Self {
        // What a device said before it left is no figure of now.
        let status = device.status.as_ref().filter(|_| device.connected_since.is_some());
        Self {
            status: device.connection.into(),
            created_at: Time(device.first_seen),
            last_seen: Time(device.last_seen),
            cpu: status.map(|status| tenth(status.cpu_percent)),
            ram: status.map(|status| tenth(status.ram_percent())),
            temperature: status.and_then(|status| status.temperature).map(tenth),
            uptime: status.map(|status| status.uptime),
            signal: status.and_then(crate::devices::snapshot::Status::signal),
            can_upgrade: false,
            is_locate_running: status.is_some_and(|status| status.locating),
            key_exchange_status: if device.authorized() {
                KeyExchange::Complete
            } else {
                KeyExchange::Pending
            },
        }
    }
}

impl Extra {
    fn new(device: &Device, now: Timestamp) -> Self {
        let claims = &device.claims;
        let status = device.status.as_ref();
        Self {
            fingerprint: device.public_key.fingerprint(),
            verified: device.verified,
            conflict: device.conflicts.clone(),
            source_address: device.source.map(|source| source.ip().to_canonical().to_string()),
            terminal_allowed: claims.terminal_allowed,
            password_accounts: device.password_accounts.clone(),
            agent_version: said(&claims.agent_version),
            architecture: said(&claims.architecture),
            load: status.map(|status| Load::new(status.load)),
            ram_total: status.map(|status| status.ram_total),
            ram_used: status.map(|status| status.ram_used),
            connected_since: device.connected_since.map(Time),
            authorized_at: device.authorized_at.map(Time),
            refresh_until: device.refresh_until.filter(|until| now < *until).map(Time),
            locating: device.connected_since.is_some()
                && status.is_some_and(|status| status.locating),
            reported_at: status.map(|status| Time(status.at)),
        }
    }
}

impl From<Connection> for Status {
    fn from(connection: Connection) -> Self {
        match connection {
            Connection::Active => Self::Active,
            Connection::Disconnected => Self::Disconnected,
            Connection::Unauthorized => Self::Unauthorized,
        }
    }
}

/// When the device started, from its last report.
fn started(device: &Device) -> Option<Timestamp> {
    let status = device.status.as_ref()?;
    let uptime = jiff::SignedDuration::from_secs(i64::try_from(status.uptime).ok()?);
    status.at.checked_sub(uptime).ok()
}
