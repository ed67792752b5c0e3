//! The appliance itself: its device key, its version, and how it is doing.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::Rooms;
use super::error::ApiError;
use super::extract::Acting;
use super::process::Meter;
use super::setup;
use super::views::{ActionResult, Time};
use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::devices::Devices;
use crate::devices::events::{Event, Level};

/// What this is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub(super) struct Release {
    /// The release.
    #[schema(value_type = String)]
    version: &'static str,
    /// How it was installed.
    #[schema(value_type = String)]
    deployment: &'static str,
    /// Which build of the release.
    #[schema(value_type = String)]
    build: &'static str,
    /// The appliance's time.
    time: Time,
}

/// The login still counts, and was extended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeepAlive {
    result: bool,
    #[schema(value_type = String)]
    message: &'static str,
    #[schema(value_type = String)]
    version: &'static str,
}

/// Counters of the whole network.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// Authorised devices.
    authorized_ubnt_devices: usize,
    /// Devices in quarantine.
    devices_unauthorized_count: usize,
    devices_discovered_count: usize,
    /// Authorised and connected.
    active_devices: usize,
    recently_active_devices: usize,
    all_sites_count: usize,
    active_sites_count: usize,
    all_clients_count: usize,
    active_clients_count: usize,
    outages_active_count: usize,
    outages_unread_count: usize,
    logs_unread_count: usize,
    firmwares_unread_count: usize,
    /// The part of the authorised devices that is connected, 0 to 1.
    network_health: f64,
    is_overloaded: bool,
    #[schema(value_type = String)]
    version: &'static str,
    timestamp: Time,
    aerie: SummaryExtra,
}

/// What the published API has no words for. Sent on the live socket too.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SummaryExtra {
    /// All devices, those in quarantine too.
    pub(super) devices_total: usize,
    pub(super) devices_active: usize,
    pub(super) devices_disconnected: usize,
    pub(super) devices_unauthorized: usize,
    pub(super) sites: usize,
    /// Connections of devices, waiting ones included.
    pub(super) sessions: usize,
    /// Resident bytes of the daemon.
    pub(super) memory_bytes: u64,
    /// The daemon's percent of one core.
    pub(super) cpu_percent: f32,
    /// Bytes of the store's file.
    pub(super) store_bytes: u64,
    /// Seconds since the daemon started.
    pub(super) uptime: u64,
}

impl SummaryExtra {
    /// Counts.
    pub(super) async fn now(rooms: &Rooms, meter: &Meter) -> Result<Self, ApiError> {
        let counts = rooms.devices.counts();
        Ok(Self {
            devices_total: counts.active + counts.disconnected + counts.unauthorized,
            devices_active: counts.active,
            devices_disconnected: counts.disconnected,
            devices_unauthorized: counts.unauthorized,
            sites: rooms.devices.sites().list().await.map_err(ApiError::internal)?.len(),
            sessions: counts.sessions,
            memory_bytes: Meter::memory(),
            cpu_percent: meter.cpu(),
            store_bytes: rooms.store.bytes(),
            uptime: meter.uptime(),
        })
    }
}

/// The release of this daemon.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The device key: paste it into a device, and the device connects.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/connection", tag = "nms",
    responses((status = 200, description = "The device key", body = String))
)]
pub(super) async fn connection(
    State(devices): State<Devices>,
    State(accounts): State<Accounts>,
    Acting(by): Acting,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<String>, ApiError> {
    let keys = devices.keys();
    if keys.host().is_none() {
        // The power went between the first account and its host name: the name under which an
        // admin comes in is as good.
        keys.set_host(setup::host_of(&uri, &headers)?).await.map_err(ApiError::internal)?;
    }
    let (key, generation) = keys.named_device_key().map_err(ApiError::internal)?;
    accounts.shows_secret(by, secret_name(generation)).await?;
    Ok(Json(key.to_string()))
}

/// What the audit log calls a device key.
pub(super) fn secret_name(generation: [u8; 4]) -> String {
    format!("device key {}", generation.map(|byte| format!("{byte:02x}")).concat())
}

/// Makes a new device key. The old one lets no device in from now on; enrolled devices need none.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/connection/rotate", tag = "nms",
    responses((status = 200, description = "There is a new one", body = ActionResult))
)]
pub(super) async fn rotate(
    State(devices): State<Devices>,
    State(clock): State<Clock>,
    Acting(by): Acting,
) -> Result<Json<ActionResult>, ApiError> {
    devices.keys().rotate(by, clock.now()).await.map_err(ApiError::internal)?;
    let message = "The device key was changed; the old one lets no device in.";
    let event = Event::quiet(Level::Warning, "device", message.to_owned()).by(by.account);
    devices.events().record(event.at_once());
    Ok(ActionResult::done(message))
}

/// What this appliance runs.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/version", tag = "nms",
    responses((status = 200, description = "The release", body = Release))
)]
pub(super) async fn version(State(rooms): State<Rooms>) -> Json<Release> {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    Json(Release { version: VERSION, deployment: "aerie", build, time: Time(rooms.clock.now()) })
}

/// The release, as the CRM's API tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CrmVersion {
    #[schema(value_type = String)]
    version: &'static str,
}

/// What this appliance runs, for whoever has an app key.
#[utoipa::path(
    get, path = "/crm/api/v1.0/version", tag = "crm",
    responses((status = 200, description = "The release", body = CrmVersion))
)]
pub(super) async fn crm_version() -> Json<CrmVersion> {
    Json(CrmVersion { version: VERSION })
}

/// The same under the other prefix.
#[utoipa::path(
    get, path = "/crm/api/v2.1/version", tag = "crm",
    responses((status = 200, description = "The release", body = CrmVersion))
)]
pub(super) async fn crm_version_too() -> Json<CrmVersion> {
    crm_version().await
}

/// Extends the login.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/keep-alive", tag = "nms",
    responses((status = 200, description = "It is extended", body = KeepAlive))
)]
pub(super) async fn keep_alive() -> Json<KeepAlive> {
    Json(KeepAlive { result: true, message: "Your login is extended.", version: VERSION })
}

/// How the network and the appliance are doing.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/summary", tag = "nms",
    responses((status = 200, description = "Counters", body = Summary))
)]
pub(super) async fn summary(
    State(rooms): State<Rooms>,
    State(meter): State<Meter>,
) -> Result<Json<Summary>, ApiError> {
    let aerie = SummaryExtra::now(&rooms, &meter).await?;
    let authorized = aerie.devices_active + aerie.devices_disconnected;
    Ok(Json(Summary {
        authorized_ubnt_devices: authorized,
        devices_unauthorized_count: aerie.devices_unauthorized,
        devices_discovered_count: 0,
        active_devices: aerie.devices_active,
        recently_active_devices: aerie.devices_active,
        all_sites_count: aerie.sites,
        active_sites_count: aerie.sites,
        all_clients_count: 0,
        active_clients_count: 0,
        outages_active_count: aerie.devices_disconnected,
        outages_unread_count: 0,
        logs_unread_count: 0,
        firmwares_unread_count: 0,
        network_health: part(aerie.devices_active, authorized),
        is_overloaded: false,
        version: VERSION,
        timestamp: Time(rooms.clock.now()),
        aerie,
    }))
}

/// Of nothing, everything is well.
fn part(some: usize, all: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if all == 0 { 1.0 } else { number(some) / number(all) }
}
