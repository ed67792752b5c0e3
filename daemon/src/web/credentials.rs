//! Credentials: typed, changed, shown, imported, exported.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::credential_view::{
    DeviceAccount, DeviceCredential, DevicesCredentials, HistoryView, ImportView,
    OneDevicesCredentials, RecordPage, RecordView, RevealedView,
};
use super::error::{ApiError, ErrorBody};
use super::extract::{Acting, Id, Params};
use super::paging::{Asked, Paged};
use super::sealed::{Looker, SecretBody, reason};
use super::vault::KeyRequest;
use super::views::ActionResult;
use crate::accounts::Accounts;
use crate::vault::SecretText;
use crate::vault::credentials::{
    Change, CredentialError, Credentials, Findings, IMPORT_BYTES, NewCredential, Query,
};

/// How credentials are paged.
const PAGED: Paged = Paged { usual: 50, largest: 1_000, last: usize::MAX };
/// Bytes of a body with a file in it: JSON writes an end of line as two.
const IMPORT_BODY_BYTES: usize = 2 * IMPORT_BYTES;

/// Which credentials are wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct RecordQuery {
    /// Text to be found in the device's name, the label, the user name or the note.
    query: Option<String>,
    /// Only those of this device.
    #[param(rename = "deviceId")]
    device_id: Option<Uuid>,
    /// Only those with something that is not as it should be, or only the others.
    trouble: Option<bool>,
    /// Credentials a page, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
    /// Which page, from 1.
    #[param(minimum = 1)]
    page: Option<usize>,
}

/// A credential that is typed in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewRecord {
    /// The device; or
    device_id: Option<Uuid>,
    /// what the password is for. At most 128 characters.
    #[schema(max_length = 128)]
    label: Option<String>,
    /// At most 128 characters.
    #[schema(max_length = 128)]
    username: String,
    /// At most 4096 bytes.
    #[schema(value_type = String, format = Password)]
    password: SecretText,
    /// The account may only look.
    read_only: Option<bool>,
    ssh_port: Option<u16>,
    https_port: Option<u16>,
    /// At most 1000 characters.
    #[schema(max_length = 1000)]
    note: Option<String>,
}

/// What is to change about a credential. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordUpdate {
    /// Another device.
    device_id: Option<Uuid>,
    /// Another label: then it is for no device.
    label: Option<String>,
    username: Option<String>,
    /// Another password: the one before goes into the history.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretText>,
    read_only: Option<bool>,
    /// Null or 0 takes it away.
    #[serde(default, deserialize_with = "port_or_none")]
    ssh_port: Option<u16>,
    /// Null or 0 takes it away.
    #[serde(default, deserialize_with = "port_or_none")]
    https_port: Option<u16>,
    note: Option<String>,
}

/// A port that is said: null is 0, which takes it away. What is left out does not get here.
fn port_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    Ok(Some(Option::deserialize(from)?.unwrap_or_default()))
}

/// A device's password that is typed in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DevicePassword {
    username: String,
    /// At most 4096 bytes.
    #[schema(value_type = String, format = Password)]
    password: SecretText,
    /// The account may only look.
    read_only: Option<bool>,
    ssh_port: Option<u16>,
    https_port: Option<u16>,
}

/// Which secret is to be shown, and why.
#[derive(Deserialize, ToSchema)]
pub(super) struct RevealRequest {
    /// The present one, unless it says another of the history.
    version: Option<u64>,
    /// For the vault's log.
    reason: Option<String>,
}

/// A file with credentials.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportRequest {
    /// Its text: at most 2 MiB and 20,000 rows, separated by commas or semicolons. Its first line
    /// names the columns: `device` (id, name, MAC address or address) or `label`, `username`,
    /// `password`, `read_only`, `ssh_port`, `https_port`, `note`.
    #[schema(value_type = String, format = Password)]
    csv: SecretText,
    /// Only tells what it would do.
    dry_run: bool,
}

/// Credentials, without their secrets.
#[utoipa::path(
    get, path = "/nms/api/v2.1/vault/records", tag = "vault", params(RecordQuery),
    responses((status = 200, description = "A page of credentials", body = RecordPage))
)]
pub(super) async fn list(
    State(credentials): State<Credentials>,
    params: Params,
) -> Result<Json<RecordPage>, ApiError> {
    let query = query(&params)?;
    let asked = Asked { count: query.count, page: query.page };
    let found = credentials.list(query).await?;
    Ok(Json(RecordPage {
        items: found.items.into_iter().map(RecordView::new).collect(),
        pagination: asked.of(found.total),
    }))
}

fn query(params: &Params) -> Result<Query, ApiError> {
    let Asked { count, page } = PAGED.asked(params)?;
    Ok(Query {
        text: params.text("query").unwrap_or_default().chars().take(200).collect(),
        device: params.one("deviceId")?,
        trouble: params.one("trouble")?,
        count,
        page,
    })
}

/// Keeps a password that somebody types in. Works while the vault is sealed.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/records", tag = "vault", request_body = NewRecord,
    responses(
        (status = 201, description = "The credential", body = RecordView),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 409, description = "CredentialTaken: change the one that there is",
            body = ErrorBody),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(credentials): State<Credentials>,
    Acting(by): Acting,
    SecretBody(wanted): SecretBody<NewRecord>,
) -> Result<(StatusCode, Json<RecordView>), ApiError> {
    let new = NewCredential {
        device: wanted.device_id,
        label: wanted.label.unwrap_or_default(),
        username: wanted.username,
        read_only: wanted.read_only.unwrap_or_default(),
        ssh_port: wanted.ssh_port,
        https_port: wanted.https_port,
        note: wanted.note.unwrap_or_default(),
    };
    let made = credentials.create(by, new, wanted.password).await?;
    Ok((StatusCode::CREATED, Json(RecordView::new(made))))
}

/// Changes a credential. Works while the vault is sealed.
#[utoipa::path(
    put, path = "/nms/api/v2.1/vault/records/{id}", tag = "vault", request_body = RecordUpdate,
    params(("id" = Uuid, Path, description = "The credential")),
    responses(
        (status = 200, description = "The credential as it is now", body = RecordView),
        (status = 404, description = "There is no such credential or device", body = ErrorBody),
        (status = 409, description = "CredentialTaken or CredentialBusy", body = ErrorBody),
    )
)]
pub(super) async fn change(
    State(credentials): State<Credentials>,
    Acting(by): Acting,
    id: Id,
    SecretBody(wanted): SecretBody<RecordUpdate>,
) -> Result<Json<RecordView>, ApiError> {
    let change = Change {
        device: wanted.device_id,
        label: wanted.label,
        username: wanted.username,
        read_only: wanted.read_only,
        ssh_port: wanted.ssh_port,
        https_port: wanted.https_port,
        note: wanted.note,
    };
    let changed = credentials.change(by, credential(id)?, change, wanted.password).await?;
    Ok(Json(RecordView::new(changed)))
}

/// Deletes a credential with all its secrets.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/vault/records/{id}", tag = "vault",
    params(("id" = Uuid, Path, description = "The credential")),
    responses(
        (status = 200, description = "It is gone", body = ActionResult),
        (status = 404, description = "There is no such credential", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(credentials): State<Credentials>,
    Acting(by): Acting,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    credentials.delete(by, credential(id)?).await?;
    Ok(ActionResult::done("The credential is deleted."))
}

/// Shows a password. The vault counts it, and its log tells who asked and why.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/records/{id}/reveal", tag = "vault",
    request_body = RevealRequest,
    params(
        ("id" = Uuid, Path, description = "The credential"),
        ("Vault-Pass" = Option<String>, Header, description = "Where the vault wants its proof"),
    ),
    responses(
        (status = 200, description = "The password", body = RevealedView),
        (status = 403, description = "StepUpRequired or VaultProofRequired", body = ErrorBody),
        (status = 404, description = "There is no such credential or version", body = ErrorBody),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
        (status = 429, description = "VaultLimit; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn reveal(
    State(credentials): State<Credentials>,
    State(accounts): State<Accounts>,
    Looker { by, pass }: Looker,
    id: Id,
    SecretBody(wanted): SecretBody<RevealRequest>,
) -> Result<Json<RevealedView>, ApiError> {
    let found = credentials.find(credential(id)?, wanted.version).await?;
    let told = told(&found);
    let reason = reason(&accounts, by, wanted.reason.as_deref()).await;
    let opened = credentials.open(pass, reason, found).await?;
    accounts.shows_secret(by, told).await?;
    Ok(Json(RevealedView::new(opened)))
}

/// The secrets that a credential has had, without themselves.
#[utoipa::path(
    get, path = "/nms/api/v2.1/vault/records/{id}/history", tag = "vault",
    params(("id" = Uuid, Path, description = "The credential")),
    responses(
        (status = 200, description = "Its secrets", body = HistoryView),
        (status = 404, description = "There is no such credential", body = ErrorBody),
    )
)]
pub(super) async fn history(
    State(credentials): State<Credentials>,
    id: Id,
) -> Result<Json<HistoryView>, ApiError> {
    Ok(Json(HistoryView::new(&credentials.get(credential(id)?).await?)))
}

/// Reads a CSV file with credentials: all of it is kept, or nothing. Works while the vault is sealed.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/records/import", tag = "vault",
    request_body = ImportRequest,
    responses(
        (status = 200, description = "What it has, or would have, brought", body = ImportView),
        (status = 409, description = "CredentialBusy", body = ErrorBody),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn import(
    State(credentials): State<Credentials>,
    Acting(by): Acting,
    SecretBody(wanted): SecretBody<ImportRequest, IMPORT_BODY_BYTES>,
) -> Result<Json<ImportView>, ApiError> {
    Ok(Json(ImportView::new(credentials.import(by, wanted.csv, wanted.dry_run).await?)))
}

/// All credentials in the clear, as a CSV file that an import takes.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/records/export", tag = "vault", request_body = KeyRequest,
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/csv"),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn export(
    State(credentials): State<Credentials>,
    State(accounts): State<Accounts>,
    Looker { by, .. }: Looker,
    SecretBody(wanted): SecretBody<KeyRequest>,
) -> Result<Response, ApiError> {
    let key = wanted.key()?;
    let reason = reason(&accounts, by, None).await;
    let mut file = credentials.export(by, key, reason).await?;
    accounts.shows_secret(by, "all passwords, by an export".to_owned()).await?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"credentials.csv\""),
    ];
    Ok((headers, std::mem::take(&mut *file)).into_response())
}

/// The passwords of all devices. The vault counts each.
#[utoipa::path(
    get, path = "/nms/api/v2.1/vault/credentials/devices", tag = "vault",
    params(
        ("Vault-Pass" = Option<String>, Header, description = "Where the vault wants its proof"),
    ),
    responses(
        (status = 200, description = "The passwords", body = DevicesCredentials),
        (status = 403, description = "StepUpRequired or VaultProofRequired", body = ErrorBody),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
        (status = 429, description = "VaultLimit; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn of_devices(
    State(credentials): State<Credentials>,
    State(accounts): State<Accounts>,
    Looker { by, pass }: Looker,
) -> Result<Json<DevicesCredentials>, ApiError> {
    let found = credentials.of_devices(None).await?;
    credentials.affords(found.len()).await?;
    let seen: Vec<String> = found.iter().map(told).collect();
    let reason = reason(&accounts, by, Some("all devices")).await;
    let opened = credentials.open_all(pass, reason, found).await?;
    for secret in seen {
        accounts.shows_secret(by, secret).await?;
    }
    Ok(Json(DevicesCredentials {
        credentials: opened.into_iter().map(DeviceCredential::new).collect(),
        is_passphrase_missing: false,
    }))
}

/// The password of a device's account with the most rights.
#[utoipa::path(
    get, path = "/nms/api/v2.1/vault/{id}/credentials", tag = "vault",
    params(
        ("id" = Uuid, Path, description = "The device"),
        ("Vault-Pass" = Option<String>, Header, description = "Where the vault wants its proof"),
    ),
    responses(
        (status = 200, description = "The password", body = OneDevicesCredentials),
        (status = 403, description = "StepUpRequired or VaultProofRequired", body = ErrorBody),
        (status = 404, description = "There is no such device, or no password of it",
            body = ErrorBody),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
        (status = 429, description = "VaultLimit; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn of_device(
    State(credentials): State<Credentials>,
    State(accounts): State<Accounts>,
    Looker { by, pass }: Looker,
    id: Id,
) -> Result<Json<OneDevicesCredentials>, ApiError> {
    let found = credentials.of_devices(Some(id.device()?)).await?.into_iter().next();
    let found = found.ok_or(CredentialError::NoneOfDevice)?;
    let told = told(&found);
    let reason = reason(&accounts, by, None).await;
    let opened = credentials.open(pass, reason, found).await?;
    accounts.shows_secret(by, told).await?;
    let credentials = DeviceAccount::new(opened);
    Ok(Json(OneDevicesCredentials { credentials, is_passphrase_missing: false }))
}

/// Keeps a password of a device that somebody types in. The device is not told.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/{id}/credentials/change", tag = "vault",
    request_body = DevicePassword,
    params(("id" = Uuid, Path, description = "The device")),
    responses(
        (status = 200, description = "It is kept", body = ActionResult),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 409, description = "CredentialBusy", body = ErrorBody),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn change_of_device(
    State(credentials): State<Credentials>,
    Acting(by): Acting,
    id: Id,
    SecretBody(wanted): SecretBody<DevicePassword>,
) -> Result<Json<ActionResult>, ApiError> {
    let new = NewCredential {
        device: Some(id.device()?),
        username: wanted.username,
        read_only: wanted.read_only.unwrap_or_default(),
        ssh_port: wanted.ssh_port,
        https_port: wanted.https_port,
        ..NewCredential::default()
    };
    credentials.keep(by, new, wanted.password).await?;
    Ok(ActionResult::done("The password is kept. The device itself was not told."))
}

/// What an offboarding lists of a secret that was shown.
fn told(found: &Findings) -> String {
    let credential = &found.credential;
    let (username, place) = (&credential.username, credential.place());
    format!("password {} of {username} on {place}", found.version())
}

fn credential(id: Id) -> Result<Uuid, ApiError> {
    Ok(id.any().ok_or(CredentialError::NoCredential)?)
}
