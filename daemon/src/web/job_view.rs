//! Jobs and their items as JSON.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::paging::Pagination;
use super::views::Time;
use crate::devices::rotation::Plan;
use crate::jobs::{Counts, ItemPicture, JobPicture};
use crate::vault::protocol::Alphabet;

/// A long work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(super) struct JobView {
    id: Uuid,
    /// What kind: rotation.
    kind: String,
    /// What it does, for people.
    title: String,
    /// waiting, running, paused, stopped, cancelled or done.
    #[schema(value_type = String)]
    state: &'static str,
    /// What it waits for: window, vault or devices; else empty.
    #[schema(value_type = String)]
    waits_for: &'static str,
    /// Why it has stopped by itself; else empty.
    stopped_because: String,
    created_at: Time,
    not_before: Option<Time>,
    /// For how many minutes each day from then.
    window_minutes: Option<u32>,
    ended_at: Option<Time>,
    /// Who began it.
    by: Option<JobOwner>,
    counts: CountsView,
    /// Devices at once.
    parallel: u32,
    /// After how many failures in a row it stops.
    stop_after_failures: u32,
    /// Whose passwords.
    accounts: Vec<String>,
    form: FormView,
}

/// Who began a job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct JobOwner {
    pub(super) id: Uuid,
    /// Empty once the account is gone.
    pub(super) username: String,
}

/// How many items are how far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobCounts)]
struct CountsView {
    total: u32,
    waiting: u32,
    /// Of those that wait, those whose device is away.
    offline: u32,
    running: u32,
    done: u32,
    failed: u32,
    cancelled: u32,
}

/// What the new passwords look like.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PasswordForm)]
struct FormView {
    /// Characters.
    length: u8,
    /// readable, letters-and-digits or with-signs.
    #[schema(value_type = String)]
    alphabet: Alphabet,
}

/// Jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobList {
    pub(super) items: Vec<JobView>,
}

/// A page of a job's items.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobItemPage {
    pub(super) items: Vec<ItemView>,
    pub(super) pagination: Pagination,
}

/// One thing that a job has to do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobItem)]
pub(super) struct ItemView {
    /// Its number in the job.
    number: u32,
    device_id: Option<Uuid>,
    /// Empty once the device is gone.
    device_name: String,
    account: String,
    /// waiting, offline, running, done, failed or cancelled.
    #[schema(value_type = String)]
    state: &'static str,
    /// Why it failed, or what else there is to say.
    message: String,
    /// How often it was begun.
    attempts: u32,
    changed_at: Time,
}

impl JobView {
    /// Shows a job.
    pub(super) fn new(job: JobPicture, by: Option<JobOwner>) -> Self {
        let JobPicture { id, record, state, counts } = job;
        let Plan { accounts, form } = Plan::read(&record.plan);
        Self {
            id,
            kind: record.kind,
            title: record.title,
            state: state.name(),
            waits_for: state.waits_for(),
            stopped_because: record.stopped,
            created_at: time(record.created),
            not_before: record.not_before.map(time),
            window_minutes: record.window_seconds.map(|seconds| seconds / 60),
            ended_at: record.ended.map(time),
            by,
            counts: CountsView::new(counts),
            parallel: record.parallel,
            stop_after_failures: record.stop_after,
            accounts,
            form: FormView { length: form.length, alphabet: form.alphabet },
        }
    }
}

impl CountsView {
    fn new(counts: Counts) -> Self {
        let Counts { total, waiting, offline, running, done, failed, cancelled } = counts;
        Self { total, waiting, offline, running, done, failed, cancelled }
    }
}

impl ItemView {
    /// Shows an item, with its device's name.
    pub(super) fn new(item: ItemPicture, device_name: String) -> Self {
        let ItemPicture { number, record, state } = item;
        Self {
            number,
            device_id: record.device,
            device_name,
            account: record.what,
            state: state.name(),
            message: record.message,
            attempts: record.attempts,
            changed_at: time(record.changed),
        }
    }
}

fn time(milliseconds: i64) -> Time {
    Time(jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default())
}
