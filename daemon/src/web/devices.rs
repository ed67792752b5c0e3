//! Devices: looking at them, letting them in, and what an admin does with them.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::device_view::{DeviceView, KIND};
use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, Id, JsonBody, Params, no_such_device, no_such_site};
use super::interface_view::{self, InterfaceView};
use super::site_view::{SiteIdentification, Tallies};
use super::views::{ActionResult, Time, sentence};
use crate::clock::Clock;
use crate::devices::snapshot::{Device, DeviceFilter, Role};
use crate::devices::{ActionError, Devices};

/// Devices in one call that names them.
const AT_ONCE: usize = 1_000;
/// Devices that are asked something at the same time.
const SIDE_BY_SIDE: usize = 32;
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

/// Which site a device is to belong to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorizeRequest {
    site_id: Uuid,
}

/// Which devices are to belong to which site.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorizeManyRequest {
    site_id: Uuid,
    #[serde(default)]
    device_ids: Vec<Uuid>,
}

/// Several devices.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceIds {
    /// The devices. `deviceIds` is taken too.
    #[serde(alias = "deviceIds")]
    ids: Vec<Uuid>,
}

/// What became of a deletion.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedMany {
    deleted_ids: Vec<Uuid>,
    undeleted_ids: Vec<Uuid>,
    message: String,
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
) -> Result<Json<Vec<DeviceView>>, ApiError> {
    let with_interfaces = params.one("withInterfaces")?.unwrap_or(false);
    let filter = filter(&params)?;
    let only_other_types =
        params.list("type").next().is_some() && params.list("type").all(|kind| kind != KIND);
    if only_other_types {
        return Ok(Json(Vec::new()));
    }
    let sites = tallies.sites(&devices).await?;
    // Ten thousand devices are a megabyte of work; other requests should not wait for it.
    let views = tokio::task::spawn_blocking(move || {
        let now = clock.now();
        let found = devices.list(&filter);
        let view = |device: &Device| DeviceView::new(device, site_of(device, &sites), with_interfaces, now);
        found.iter().map(view).collect()
    });
    Ok(Json(views.await.map_err(ApiError::internal)?))
}

fn filter(params: &Params) -> Result<DeviceFilter, ApiError> {
    let roles: Vec<Role> = params.list("role").map(Role::from_name).collect();
    Ok(DeviceFilter { site: params.one("siteId")?, authorized: params.one("authorized")?, roles })
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

/// Lets devices in, to a site. Devices that are in already move there.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/authorize", tag = "devices",
    request_body = AuthorizeManyRequest,
    responses(
        (status = 200, description = "They are in", body = ActionResult),
        (status = 404, description = "There is no such device or site", body = ErrorBody),
    )
)]
pub(super) async fn authorize_many(
    State(devices): State<Devices>,
    Caller(login): Caller,
    JsonBody(wanted): JsonBody<AuthorizeManyRequest>,
) -> Result<Json<ActionResult>, ApiError> {
    let ids = bounded(wanted.device_ids)?;
    devices.authorize(&ids, wanted.site_id, Some(login.account)).await?;
    Ok(ActionResult::done(format!("{} authorised.", counted(ids.len()))))
}

/// Lets a device in, to a site.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/{id}/authorize", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    request_body = AuthorizeRequest,
    responses(
        (status = 200, description = "It is in", body = ActionResult),
        (status = 404, description = "There is no such device or site", body = ErrorBody),
    )
)]
pub(super) async fn authorize(
    State(devices): State<Devices>,
    Caller(login): Caller,
    id: Id,
    JsonBody(wanted): JsonBody<AuthorizeRequest>,
) -> Result<Json<ActionResult>, ApiError> {
    devices.authorize(&[id.device()?], wanted.site_id, Some(login.account)).await?;
    Ok(ActionResult::done("The device is authorised."))
}

/// Restarts a device.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/{id}/restart", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "It restarts", body = ActionResult),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 409, description = "DeviceOffline", body = ErrorBody),
    )
)]
pub(super) async fn restart(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    devices.restart(id.device()?).await?;
    Ok(ActionResult::done("The device restarts."))
}

/// Restarts several devices.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/bulkrestart", tag = "devices", request_body = DeviceIds,
    responses((status = 200, description = "How many restart", body = ActionResult))
)]
pub(super) async fn restart_many(
    State(devices): State<Devices>,
    JsonBody(wanted): JsonBody<DeviceIds>,
) -> Result<Json<ActionResult>, ApiError> {
    let ids = bounded(wanted.ids)?;
    let done = each(&ids, |id| {
        let devices = devices.clone();
        async move { devices.restart(id).await }
    });
    summed("restarted", &done.await)
}

/// Lets a device show where it is, for five minutes.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/{id}/locate/start", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "It shows where it is", body = ActionResult),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 409, description = "DeviceOffline", body = ErrorBody),
    )
)]
pub(super) async fn locate_start(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    devices.locate(id.device()?, true).await?;
    Ok(ActionResult::done("The device shows where it is, for five minutes."))
}

/// Ends that.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/{id}/locate/stop", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "It has ended", body = ActionResult),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 409, description = "DeviceOffline", body = ErrorBody),
    )
)]
pub(super) async fn locate_stop(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    devices.locate(id.device()?, false).await?;
    Ok(ActionResult::done("The device no longer shows where it is."))
}

/// For 15 minutes, a device that was reset may take its old place again.
///
/// It comes with the device key, a new key of its own and the same MAC address.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/{id}/refresh", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "Until when", body = ActionResult),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 409, description = "DeviceUnauthorized", body = ErrorBody),
    )
)]
pub(super) async fn refresh(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    let until = Time(devices.refresh(id.device()?).await?);
    Ok(ActionResult::done(format!("The device may come back with a new key until {until}.")))
}

/// The same for several devices.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/refresh", tag = "devices", request_body = DeviceIds,
    responses((status = 200, description = "For how many", body = ActionResult))
)]
pub(super) async fn refresh_many(
    State(devices): State<Devices>,
    JsonBody(wanted): JsonBody<DeviceIds>,
) -> Result<Json<ActionResult>, ApiError> {
    let ids = bounded(wanted.ids)?;
    let done = each(&ids, |id| {
        let devices = devices.clone();
        async move { devices.refresh(id).await.map(drop) }
    });
    summed("refreshed", &done.await)
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

/// Confirms that the fingerprints of device and appliance were compared and are right.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/{id}/confirm", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "It counts as verified", body = ActionResult),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn confirm(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    devices.confirm(id.device()?).await?;
    Ok(ActionResult::done("The device's fingerprint is confirmed."))
}

/// Deletes a device. It is told to forget the appliance now, or when it comes back.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/devices/{id}", tag = "devices",
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "It is gone", body = ActionResult),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    devices.delete(id.device()?).await?;
    Ok(ActionResult::done("The device is deleted."))
}

/// Deletes several devices.
#[utoipa::path(
    post, path = "/nms/api/v2.1/devices/bulkdelete", tag = "devices", request_body = DeviceIds,
    responses((status = 200, description = "Which are gone and which are not", body = DeletedMany))
)]
pub(super) async fn delete_many(
    State(devices): State<Devices>,
    JsonBody(wanted): JsonBody<DeviceIds>,
) -> Result<Json<DeletedMany>, ApiError> {
    let ids = bounded(wanted.ids)?;
    let (mut deleted_ids, mut undeleted_ids) = (Vec::new(), Vec::new());
    for id in ids {
        match devices.delete(id).await {
            Ok(()) => deleted_ids.push(id),
            Err(ActionError::UnknownDevice) => undeleted_ids.push(id),
            Err(error) => return Err(error.into()),
        }
    }
    let message = format!("{} deleted.", counted(deleted_ids.len()));
    Ok(Json(DeletedMany { deleted_ids, undeleted_ids, message }))
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

/// A text that the owner typed: trimmed, without control characters, of bounded length.
pub(super) fn tidy(what: &str, text: &str, characters: usize) -> Result<String, ApiError> {
    let kept = |character: &char| !character.is_control() || *character == '\n';
    let text: String = text.trim().chars().filter(kept).collect();
    if text.chars().count() > characters {
        let message = format!("The {what} may have at most {characters} characters.");
        return Err(ApiError::bad_request(message));
    }
    Ok(text)
}

fn bounded(ids: Vec<Uuid>) -> Result<Vec<Uuid>, ApiError> {
    if ids.is_empty() || ids.len() > AT_ONCE {
        let message = format!("Name 1 to {AT_ONCE} devices in one call.");
        return Err(ApiError::bad_request(message));
    }
    Ok(ids)
}

fn counted(devices: usize) -> String {
    if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") }
}

/// Does something with each device, several at the same time.
async fn each<F, W>(ids: &[Uuid], act: F) -> Vec<Result<(), ActionError>>
where
    F: Fn(Uuid) -> W,
    W: Future<Output = Result<(), ActionError>>,
{
    use futures_util::StreamExt as _;
    futures_util::stream::iter(ids.to_vec())
        .map(act)
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await
}

/// Says of how many devices something was done, and why not of the others.
fn summed(
    what: &str,
    results: &[Result<(), ActionError>],
) -> Result<Json<ActionResult>, ApiError> {
    let done = results.iter().filter(|result| result.is_ok()).count();
    let Some(error) = results.iter().find_map(|result| result.as_ref().err()) else {
        return Ok(ActionResult::done(format!("{} {what}.", counted(done))));
    };
    if done == 0 {
        let message = format!("No device was {what}: {error}.");
        return Err(ApiError::conflict("NothingDone", message));
    }
    let message = format!("{done} of {} {what}. The first that was not: {error}.", counted(results.len()));
    Ok(ActionResult::done(message))
}

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::UnknownDevice => no_such_device(),
            ActionError::UnknownSite => no_such_site(),
            ActionError::Offline => Self::conflict("DeviceOffline", sentence(&error)),
            ActionError::NoReply => Self::conflict("DeviceSilent", sentence(&error)),
            ActionError::Refused(_) => Self::conflict("DeviceRefused", sentence(&error)),
            ActionError::Unauthorized => Self::conflict("DeviceUnauthorized", sentence(&error)),
            ActionError::Store(_) => Self::internal(error),
        }
    }
}
