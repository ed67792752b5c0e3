//! What an admin does with devices: lets them in, restarts, finds, refreshes, deletes them.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, Id, JsonBody, no_such_device, no_such_site};
use super::told::About;
use super::views::{ActionResult, Time, sentence};
use crate::devices::{ActionError, Devices};

/// Devices in one call that names them.
const AT_ONCE: usize = 1_000;
/// Devices that are asked something at the same time.
const SIDE_BY_SIDE: usize = 32;

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

/// An answer about several devices, with what the audit log tells of them.
type Many<T> = (Extension<About>, Json<T>);

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
) -> Result<Many<ActionResult>, ApiError> {
    let ids = bounded(wanted.device_ids)?;
    devices.authorize(&ids, wanted.site_id, Some(login.account)).await?;
    let names = About::devices(&devices, &ids);
    let done = ActionResult::done(format!("{} authorised.", counted(ids.len())));
    Ok((About::these(names), done))
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
) -> Result<Many<ActionResult>, ApiError> {
    let ids = bounded(wanted.ids)?;
    let done = each(&ids, |id| {
        let devices = devices.clone();
        async move { devices.restart(id).await }
    });
    summed("restarted", &devices, &ids, &done.await)
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
) -> Result<Many<ActionResult>, ApiError> {
    let ids = bounded(wanted.ids)?;
    let done = each(&ids, |id| {
        let devices = devices.clone();
        async move { devices.refresh(id).await.map(drop) }
    });
    summed("refreshed", &devices, &ids, &done.await)
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
) -> Result<Many<DeletedMany>, ApiError> {
    let ids = bounded(wanted.ids)?;
    let (mut deleted_ids, mut undeleted_ids) = (Vec::new(), Vec::new());
    let mut names = Vec::new();
    for id in ids {
        let name = About::devices(&devices, &[id]);
        match devices.delete(id).await {
            Ok(()) => {
                deleted_ids.push(id);
                names.extend(name);
            }
            Err(ActionError::UnknownDevice) => undeleted_ids.push(id),
            Err(error) => return Err(error.into()),
        }
    }
    let message = format!("{} deleted.", counted(deleted_ids.len()));
    Ok((About::these(names), Json(DeletedMany { deleted_ids, undeleted_ids, message })))
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
    futures_util::stream::iter(ids.to_vec()).map(act).buffered(SIDE_BY_SIDE).collect().await
}

/// Says of how many devices something was done, and why not of the others.
fn summed(
    what: &str,
    devices: &Devices,
    ids: &[Uuid],
    results: &[Result<(), ActionError>],
) -> Result<Many<ActionResult>, ApiError> {
    let with_results = ids.iter().zip(results);
    let done: Vec<Uuid> =
        with_results.filter(|(_, result)| result.is_ok()).map(|(id, _)| *id).collect();
    let message = match results.iter().find_map(|result| result.as_ref().err()) {
        None => format!("{} {what}.", counted(done.len())),
        Some(error) if done.is_empty() => {
            let message = format!("No device was {what}: {error}.");
            return Err(ApiError::conflict("NothingDone", message));
        }
        Some(error) => {
            let (of, all) = (done.len(), results.len());
            format!("{of} of {all} {what}. The first that was not: {error}.")
        }
    };
    Ok((About::these(About::devices(devices, &done)), ActionResult::done(message)))
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
