//! Devices: looking at them, and what the owner says of them.

use std::collections::HashMap;

use aerie_protocol::text::DeviceText;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::device_view::{DeviceView, KIND};
use super::error::{ApiError, ErrorBody};
use super::extract::{Id, JsonBody, Params, no_such_device};
use super::interface_view::{self, InterfaceView};
use super::site_view::{SiteIdentification, Tallies};
use crate::clock::Clock;
use crate::devices::Devices;
use crate::devices::snapshot::{Device, DeviceFilter, Role};

/// Characters of the owner's name for a device.
const ALIAS: usize = 30;
/// Characters of the owner's note on a device.
const NOTE: usize = 300;

/// Which devices are wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct DeviceQuery {
    /// Only those of this site.
    #[param(rename = "siteId")]
    site_id: Option<Uuid>,
    /// Each with its interfaces.
    #[param(rename = "withInterfaces")]
    with_interfaces: Option<bool>,
    /// Only those that were let in, or only those that wait.
    authorized: Option<bool>,
    /// Only these types. May be repeated.
    #[param(rename = "type")]
    kind: Option<Vec<String>>,
    /// Only these roles. May be repeated.
    role: Option<Vec<String>>,
}

/// What the owner says of a device.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceSettings {
    /// Taken for compatibility: every device follows the appliance's settings.
    #[serde(default)]
    override_global: bool,
    #[serde(default)]
    meta: DeviceMeta,
}

/// Name, note, and whether the device is being worked on.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceMeta {
    /// The owner's name for it; empty for the device's own. At most 30 characters.
    #[schema(max_length = 30)]
    alias: Option<String>,
    /// At most 300 characters.
    #[schema(max_length = 300)]
    note: Option<String>,
    maintenance: Option<bool>,
}

/// All devices, those in quarantine too.
#[utoipa::path(
    get, path = "/nms/api/v2.1/devices", tag = "devices", params(DeviceQuery),
    responses((status = 200, description = "The devices", body = Vec<DeviceView>))
)]
pub(super) async fn list(
    State(devices): State<Devices>,
    State(tallies): State<Tallies>,
    State(clock): State<Clock>,
    params: Params,
) -> Result<Response, ApiError> {
    let with_interfaces = params.one("withInterfaces")?.unwrap_or(false);
    let Some(filter) = filter(&params)? else {
        return Ok(Json([(); 0]).into_response());
    };
    let sites = tallies.sites(&devices).await?;
    // Ten thousand devices are megabytes of text; other requests should not wait for it.
    let written = tokio::task::spawn_blocking(move || {
        let now = clock.now();
        let found = devices.list(&filter);
        let view = |device| DeviceView::new(device, site_of(device, &sites), with_interfaces, now);
        Json(found.iter().map(view).collect::<Vec<_>>()).into_response()
    });
    written.await.map_err(ApiError::internal)
}

/// What is looked for; none when no device can match.
fn filter(params: &Params) -> Result<Option<DeviceFilter>, ApiError> {
    let mut types = params.list("type").peekable();
    if types.peek().is_some() && types.all(|kind| kind != KIND) {
        return Ok(None);
    }
    // The published API knows more roles than our devices have.
    let known = |name: &&str| Role::from_name(name).name() == *name;
    let roles: Vec<Role> = params.list("role").filter(known).map(Role::from_name).collect();
    if roles.is_empty() && params.list("role").next().is_some() {
        return Ok(None);
    }
    let (site, authorized) = (params.one("siteId")?, params.one("authorized")?);
    Ok(Some(DeviceFilter { site, authorized, roles }))
}

fn site_of(
    device: &Device,
    sites: &HashMap<Uuid, SiteIdentification>,
) -> Option<SiteIdentification> {
    device.site.and_then(|site| sites.get(&site).cloned())
}

/// One device with its interfaces.
#[utoipa::path(
    get, path = "/nms/api/v2.1/devices/{id}", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "The device", body = DeviceView),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(devices): State<Devices>,
    State(tallies): State<Tallies>,
    State(clock): State<Clock>,
    id: Id,
) -> Result<Json<DeviceView>, ApiError> {
    let device = devices.device(id.device()?).ok_or_else(no_such_device)?;
    let sites = tallies.sites(&devices).await?;
    Ok(Json(DeviceView::new(&device, site_of(&device, &sites), true, clock.now())))
}

/// The same as the device itself.
#[utoipa::path(
    get, path = "/nms/api/v2.1/devices/{id}/detail", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "The device", body = DeviceView),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn detail(
    devices: State<Devices>,
    tallies: State<Tallies>,
    clock: State<Clock>,
    id: Id,
) -> Result<Json<DeviceView>, ApiError> {
    read(devices, tallies, clock, id).await
}

/// The interfaces of a device, as it reported them last.
#[utoipa::path(
    get, path = "/nms/api/v2.1/devices/{id}/interfaces", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "The interfaces", body = Vec<InterfaceView>),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn interfaces(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<Vec<InterfaceView>>, ApiError> {
    let device = devices.device(id.device()?).ok_or_else(no_such_device)?;
    Ok(Json(interface_view::of(&device)))
}

/// What the owner says of a device.
#[utoipa::path(
    get, path = "/nms/api/v2.1/devices/{id}/system/unms", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "The settings", body = DeviceSettings),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn settings(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<DeviceSettings>, ApiError> {
    let device = devices.device(id.device()?).ok_or_else(no_such_device)?;
    Ok(Json(DeviceSettings::of(&device)))
}

/// Renames a device, notes something about it, or says that it is being worked on.
///
/// What is left out stays. A new name is told to the device when it is connected.
#[utoipa::path(
    put, path = "/nms/api/v2.1/devices/{id}/system/unms", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    request_body = DeviceSettings,
    responses(
        (status = 200, description = "The settings as they are now", body = DeviceSettings),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn change_settings(
    State(devices): State<Devices>,
    id: Id,
    JsonBody(wanted): JsonBody<DeviceSettings>,
) -> Result<Json<DeviceSettings>, ApiError> {
    let DeviceMeta { alias, note, maintenance } = wanted.meta;
    let alias = alias.map(|alias| tidy("alias", &alias, ALIAS)).transpose()?;
    let note = note.map(|note| tidy("note", &note, NOTE)).transpose()?;
    let id = id.device()?;
    devices.describe(id, alias, note, maintenance).await?;
    let device = devices.device(id).ok_or_else(no_such_device)?;
    Ok(Json(DeviceSettings::of(&device)))
}

impl DeviceSettings {
    fn of(device: &Device) -> Self {
        Self {
            override_global: false,
            meta: DeviceMeta {
                alias: Some(device.alias.clone()),
                note: Some(device.note.clone()),
                maintenance: Some(device.maintenance),
            },
        }
    }
}

/// What the owner typed, cleaned for display and within bounds. A note may have lines.
fn tidy(what: &str, text: &str, characters: usize) -> Result<String, ApiError> {
    if text.trim().chars().count() > characters {
        let message = format!("The {what} may have at most {characters} characters.");
        return Err(ApiError::bad_request(message));
    }
    let clean = |line: &str| DeviceText::clean(line, usize::MAX).as_str().to_owned();
    Ok(match what {
        "note" => text.trim().lines().map(clean).collect::<Vec<_>>().join("\n"),
        _ => clean(text),
    })
}
