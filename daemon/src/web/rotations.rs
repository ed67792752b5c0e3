//! New passwords on devices: how that begins.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use super::extract::{Acting, Id, JsonBody};
use super::job_view::JobView;
use super::jobs::{Told, told};
use super::sealed::{Looker, WithPass, reason};
use super::told::About;
use super::views::sentence;
use crate::accounts::{Accounts, Actor};
use crate::devices::rotation::{Rotation, RotationError, Targets, Wanted};
use crate::vault::protocol::{Alphabet, Form, Pass};

/// Devices that one call may name; more are named by their site, or as all.
const NAMED: usize = 1_000;

/// Which passwords are to be new, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RotationRequest {
    /// These devices, at most 1000. One of `deviceIds`, `siteId` and `all` is needed.
    #[serde(default)]
    device_ids: Option<Vec<Uuid>>,
    /// All devices of this site.
    #[serde(default)]
    site_id: Option<Uuid>,
    /// All devices.
    #[serde(default)]
    all: bool,
    /// Of these local accounts; none: of all that each device allows.
    #[serde(default)]
    accounts: Vec<String>,
    /// Characters of the new passwords.
    #[serde(default = "length")]
    #[schema(minimum = 12, maximum = 128)]
    length: u8,
    /// readable, letters-and-digits or with-signs.
    #[serde(default = "alphabet")]
    #[schema(value_type = String)]
    alphabet: Alphabet,
    /// When it may begin; at once, if not set.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_at: Option<Timestamp>,
    /// For how many minutes each day from then.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1439)]
    window_minutes: Option<u32>,
    /// Devices at once.
    #[serde(default = "parallel")]
    #[schema(minimum = 1, maximum = 64)]
    parallel: u32,
    /// After how many failures in a row it stops by itself.
    #[serde(default = "stop_after")]
    #[schema(minimum = 1, maximum = 1000)]
    stop_after_failures: u32,
    /// For the vault's log.
    #[serde(default)]
    reason: Option<String>,
}

fn length() -> u8 {
    20
}

fn alphabet() -> Alphabet {
    Alphabet::Readable
}

fn parallel() -> u32 {
    8
}

fn stop_after() -> u32 {
    5
}

/// Devices whose passwords are to be new.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct RegenerateRequest {
    /// The devices, at most 1000.
    #[serde(alias = "deviceIds")]
    ids: Vec<Uuid>,
}

/// An answer with a job that was begun.
type Begun = (StatusCode, Extension<About>, Json<JobView>);

/// Gives accounts on devices new passwords, which the vault makes and keeps.
///
/// Works while the vault is sealed. Devices that are away follow when they are back.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/rotations", tag = "jobs", request_body = RotationRequest,
    params(
        ("Vault-Pass" = Option<String>, Header, description = "Where the vault wants its proof"),
    ),
    responses(
        (status = 201, description = "The job", body = JobView),
        (status = 403, description = "StepUpRequired or VaultProofRequired", body = ErrorBody),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 409, description = "TooManyJobs or NoAccounts", body = ErrorBody),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn begin(
    State(rotation): State<Rotation>,
    State(accounts): State<Accounts>,
    Acting(by): Acting,
    WithPass(pass): WithPass,
    JsonBody(asked): JsonBody<RotationRequest>,
) -> Result<Begun, ApiError> {
    let why = asked.reason.clone();
    let (status, (about, job)) =
        begun(&rotation, &accounts, (by, pass), asked.wanted()?, why.as_deref()).await?;
    Ok((status, about, job))
}

/// Gives the accounts of several devices new passwords, as the published API names it.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/credentials/regenerate", tag = "jobs",
    request_body = RegenerateRequest,
    params(
        ("Vault-Pass" = Option<String>, Header, description = "Where the vault wants its proof"),
    ),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 403, description = "StepUpRequired or VaultProofRequired", body = ErrorBody),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn regenerate_many(
    State(rotation): State<Rotation>,
    State(accounts): State<Accounts>,
    Looker { by, pass }: Looker,
    JsonBody(asked): JsonBody<RegenerateRequest>,
) -> Result<Told, ApiError> {
    let wanted = of_all_accounts(bounded(asked.ids)?);
    Ok(begun(&rotation, &accounts, (by, pass), wanted, None).await?.1)
}

/// Gives the accounts of a device new passwords, as the published API names it.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/{id}/credentials/regenerate", tag = "jobs",
    params(
        ("id" = Uuid, Path, description = "The device"),
        ("Vault-Pass" = Option<String>, Header, description = "Where the vault wants its proof"),
    ),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 403, description = "StepUpRequired or VaultProofRequired", body = ErrorBody),
        (status = 404, description = "There is no such device", body = ErrorBody),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn regenerate(
    State(rotation): State<Rotation>,
    State(accounts): State<Accounts>,
    Looker { by, pass }: Looker,
    id: Id,
) -> Result<Told, ApiError> {
    let wanted = of_all_accounts(vec![id.device()?]);
    Ok(begun(&rotation, &accounts, (by, pass), wanted, None).await?.1)
}

async fn begun(
    rotation: &Rotation,
    accounts: &Accounts,
    (by, pass): (Actor, Option<Pass>),
    wanted: Wanted,
    why: Option<&str>,
) -> Result<(StatusCode, Told), ApiError> {
    let why = reason(accounts, by, why).await;
    let job = rotation.begin(wanted, pass, by.account, why).await?;
    Ok((StatusCode::CREATED, told(accounts, job).await))
}

impl RotationRequest {
    fn wanted(self) -> Result<Wanted, ApiError> {
        let targets = match (self.device_ids, self.site_id, self.all) {
            (Some(ids), None, false) => Targets::Devices(bounded(ids)?),
            (None, Some(site), false) => Targets::Site(site),
            (None, None, true) => Targets::All,
            _ => {
                return Err(ApiError::bad_request(
                    "Say which devices: deviceIds, siteId or all, and only one of the three.",
                ));
            }
        };
        Ok(Wanted {
            targets,
            accounts: self.accounts,
            form: Form { length: self.length, alphabet: self.alphabet },
            start_at: self.start_at,
            window_minutes: self.window_minutes,
            parallel: self.parallel,
            stop_after: self.stop_after_failures,
        })
    }
}

fn of_all_accounts(ids: Vec<Uuid>) -> Wanted {
    Wanted {
        targets: Targets::Devices(ids),
        accounts: Vec::new(),
        form: Form { length: length(), alphabet: alphabet() },
        start_at: None,
        window_minutes: None,
        parallel: parallel(),
        stop_after: stop_after(),
    }
}

fn bounded(ids: Vec<Uuid>) -> Result<Vec<Uuid>, ApiError> {
    if ids.is_empty() || ids.len() > NAMED {
        let message = format!("Name 1 to {NAMED} devices; more of them by siteId, or with all.");
        return Err(ApiError::bad_request(message));
    }
    Ok(ids)
}

impl From<RotationError> for ApiError {
    fn from(error: RotationError) -> Self {
        let told = sentence(&error);
        match error {
            RotationError::Job(error) => error.into(),
            RotationError::Vault(error) => error.into(),
            RotationError::UnknownDevice(_) => Self::not_found(told),
            RotationError::NoAccounts => Self::conflict("NoAccounts", told),
            RotationError::Form(_) | RotationError::OtherJob => Self::bad_request(told),
        }
    }
}
