//! Jobs: looking at them, ending them, trying again what failed.

use std::collections::HashMap;

use axum::extract::{FromRef, State};
use axum::{Extension, Json};
use uuid::Uuid;

use super::Web;
use super::error::{ApiError, ErrorBody};
use super::extract::{Acting, Id, Params};
use super::job_view::{ItemView, JobItemPage, JobList, JobOwner, JobView};
use super::paging::Paged;
use super::sealed::{WithPass, reason};
use super::told::About;
use super::views::sentence;
use crate::accounts::Accounts;
use crate::devices::Devices;
use crate::devices::rotation::Rotation;
use crate::jobs::{ItemState, JobPicture, Jobs, JobsError};

/// How the items of a job are paged.
const PAGED: Paged = Paged { usual: 50, largest: 1_000, last: usize::MAX };

/// Which items are wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct ItemQuery {
    /// Only those in these states: waiting, offline, running, done, failed, cancelled. May be
    /// repeated.
    state: Option<Vec<String>>,
    /// Items a page, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
    /// Which page, from 1.
    #[param(minimum = 1)]
    page: Option<usize>,
}

/// An answer about a job, with what the audit log tells of it.
pub(super) type Told = (Extension<About>, Json<JobView>);

/// All jobs that are kept, the newest first.
#[utoipa::path(
    get, path = "/nms/api/v2.1/jobs", tag = "jobs",
    responses((status = 200, description = "The jobs", body = JobList))
)]
pub(super) async fn list(
    State(jobs): State<Jobs>,
    State(accounts): State<Accounts>,
) -> Result<Json<JobList>, ApiError> {
    let mut names: HashMap<Uuid, JobOwner> = HashMap::new();
    let mut items = Vec::new();
    for job in jobs.list().await? {
        let by = match job.record.account {
            Some(id) if !names.contains_key(&id) => {
                let owner = owner(&accounts, id).await;
                names.insert(id, owner.clone());
                Some(owner)
            }
            Some(id) => names.get(&id).cloned(),
            None => None,
        };
        items.push(JobView::new(job, by));
    }
    Ok(Json(JobList { items }))
}

/// One job.
#[utoipa::path(
    get, path = "/nms/api/v2.1/jobs/{id}", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 404, description = "There is no such job", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(jobs): State<Jobs>,
    State(accounts): State<Accounts>,
    id: Id,
) -> Result<Json<JobView>, ApiError> {
    let job = jobs.get(job_id(id)?).await?;
    Ok(Json(view(&accounts, job).await))
}

/// What a job has to do, and how far each of it is.
#[utoipa::path(
    get, path = "/nms/api/v2.1/jobs/{id}/items", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job"), ItemQuery),
    responses(
        (status = 200, description = "A page of its items", body = JobItemPage),
        (status = 404, description = "There is no such job", body = ErrorBody),
    )
)]
pub(super) async fn items(
    State(jobs): State<Jobs>,
    State(devices): State<Devices>,
    id: Id,
    params: Params,
) -> Result<Json<JobItemPage>, ApiError> {
    let asked = PAGED.asked(&params)?;
    let states: Result<Vec<ItemState>, ApiError> = params
        .list("state")
        .map(|name| {
            ItemState::from_name(name).ok_or_else(|| {
                ApiError::bad_request(
                    "The query's state must be waiting, offline, running, done, failed or \
                     cancelled.",
                )
            })
        })
        .collect();
    let found = jobs.items(job_id(id)?, states?, asked.count, asked.page).await?;
    let name = |device: Option<Uuid>| {
        let device = device.and_then(|id| devices.device(id));
        device.map(|device| device.display_name().to_owned()).unwrap_or_default()
    };
    let views = found.items.into_iter().map(|item| {
        let name = name(item.record.device);
        ItemView::new(item, name)
    });
    Ok(Json(JobItemPage { items: views.collect(), pagination: asked.of(found.total) }))
}

/// Ends a job. What is being done is finished; what is not begun is given up.
#[utoipa::path(
    post, path = "/nms/api/v2.1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = 409, description = "JobEnded", body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(jobs): State<Jobs>,
    State(accounts): State<Accounts>,
    id: Id,
) -> Result<Told, ApiError> {
    let job = jobs.cancel(job_id(id)?).await?;
    Ok(told(&accounts, job).await)
}

/// Tries what has failed once more, and goes on with a job that has stopped by itself.
///
/// The vault grants anew what the job needs, so it may want its proof.
#[utoipa::path(
    post, path = "/nms/api/v2.1/jobs/{id}/retry", tag = "jobs",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("Vault-Pass" = Option<String>, Header, description = "Where the vault wants its proof"),
    ),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 403, description = "StepUpRequired or VaultProofRequired", body = ErrorBody),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = 409, description = "NothingFailed, JobCancelled or TooManyJobs", body = ErrorBody),
    )
)]
pub(super) async fn retry(
    State(rotation): State<Rotation>,
    State(accounts): State<Accounts>,
    Acting(by): Acting,
    WithPass(pass): WithPass,
    id: Id,
) -> Result<Told, ApiError> {
    let why = reason(&accounts, by, Some("once more")).await;
    let job = rotation.retry(job_id(id)?, pass, why).await?;
    Ok(told(&accounts, job).await)
}

/// The answer to what was done with a job.
pub(super) async fn told(accounts: &Accounts, job: JobPicture) -> Told {
    let about = About::these(vec![job.record.title.clone()]);
    (about, Json(view(accounts, job).await))
}

/// A job with who began it.
pub(super) async fn view(accounts: &Accounts, job: JobPicture) -> JobView {
    let by = match job.record.account {
        Some(id) => Some(owner(accounts, id).await),
        None => None,
    };
    JobView::new(job, by)
}

async fn owner(accounts: &Accounts, id: Uuid) -> JobOwner {
    let account = accounts.account(id).await;
    JobOwner { id, username: account.map(|account| account.username).unwrap_or_default() }
}

fn job_id(id: Id) -> Result<Uuid, ApiError> {
    id.any().ok_or_else(|| JobsError::Unknown.into())
}

impl From<JobsError> for ApiError {
    fn from(error: JobsError) -> Self {
        let told = sentence(&error);
        match error {
            JobsError::Unknown => Self::not_found(told),
            JobsError::TooMany => Self::conflict("TooManyJobs", told),
            JobsError::Nothing | JobsError::TooLarge => Self::bad_request(told),
            JobsError::Ended => Self::conflict("JobEnded", told),
            JobsError::Cancelled => Self::conflict("JobCancelled", told),
            JobsError::NothingFailed => Self::conflict("NothingFailed", told),
            JobsError::Store(_) => Self::internal(error),
        }
    }
}

impl FromRef<Web> for Jobs {
    fn from_ref(web: &Web) -> Self {
        web.rooms.rotation.jobs().clone()
    }
}

impl FromRef<Web> for Rotation {
    fn from_ref(web: &Web) -> Self {
        web.rooms.rotation.clone()
    }
}
