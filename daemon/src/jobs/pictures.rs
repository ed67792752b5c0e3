//! What other rooms see of jobs: owned pictures, taken at one moment.

use jiff::Timestamp;
use uuid::Uuid;

use super::board::{Counts, ItemState, WaitsFor};
use super::window::{Window, window};
use super::{CANCELLED, DONE, Inner, Jobs, JobsError, Living};
use crate::store::records::{JobItemRecord, JobRecord};
use crate::store::tables::JOBS;

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its time has not come.
    Waiting,
    /// It goes on.
    Running,
    /// It waits, and goes on by itself.
    Paused(WaitsFor),
    /// It has stopped by itself, and somebody has to look.
    Stopped,
    /// Somebody ended it.
    Cancelled,
    /// Everything was tried.
    Done,
}

impl JobState {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused(_) => "paused",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// What it waits for, in the API's word; empty where it does not.
    pub fn waits_for(self) -> &'static str {
        match self {
            Self::Waiting => WaitsFor::Window.name(),
            Self::Paused(what) => what.name(),
            _ => "",
        }
    }
}

/// A job as it stands now.
#[derive(Clone, Debug)]
pub struct JobPicture {
    /// Its id.
    pub id: Uuid,
    /// As it is stored.
    pub record: JobRecord,
    /// How it stands.
    pub state: JobState,
    /// How many items are how far.
    pub counts: Counts,
}

/// An item as it stands now.
#[derive(Clone, Debug)]
pub struct ItemPicture {
    /// Its number in the job.
    pub number: u32,
    /// As it is stored.
    pub record: JobItemRecord,
    /// How it stands.
    pub state: ItemState,
}

/// Some items of a job, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct ItemPage {
    /// These.
    pub items: Vec<ItemPicture>,
    /// How many there are in all pages.
    pub total: usize,
}

impl JobPicture {
    fn of_living(living: &Living, now: Timestamp) -> Self {
        let record = living.record().clone();
        let (counts, waits_for) = {
            let board = living.board();
            (board.counts(), board.waits_for())
        };
        let begun = counts.running + counts.done + counts.failed > 0;
        let closed = matches!(window(&record, now.as_millisecond()), Window::Closed(_));
        let state = match waits_for {
            _ if record.state == CANCELLED => JobState::Cancelled,
            _ if !record.stopped.is_empty() => JobState::Stopped,
            _ if closed && !begun => JobState::Waiting,
            _ if closed && counts.running == 0 => JobState::Paused(WaitsFor::Window),
            Some(what) => JobState::Paused(what),
            None => JobState::Running,
        };
        Self { id: living.id, record, state, counts }
    }

    fn of_ended(id: Uuid, record: JobRecord) -> Self {
        let [done, failed, cancelled] = record.outcome;
        let total = record.items;
        let state = if record.state == DONE { JobState::Done } else { JobState::Cancelled };
        Self {
            id,
            record,
            state,
            counts: Counts { total, done, failed, cancelled, ..Counts::default() },
        }
    }
}

impl Jobs {
    /// All jobs that are kept, the newest first.
    pub async fn list(&self) -> Result<Vec<JobPicture>, JobsError> {
        let records = self.inner.store.read(|reader| reader.all(JOBS)).await?;
        Ok(records.into_iter().rev().map(|(id, record)| self.inner.picture(id, record)).collect())
    }

    /// One job.
    pub async fn get(&self, id: Uuid) -> Result<JobPicture, JobsError> {
        if let Some(living) = self.inner.living(id) {
            return Ok(JobPicture::of_living(&living, self.inner.clock.now()));
        }
        let record = self.inner.store.read(move |reader| reader.get(JOBS, &id)).await?;
        Ok(JobPicture::of_ended(id, record.ok_or(JobsError::Unknown)?))
    }

    /// A page of a job's items: those in one of these states, all without any.
    pub async fn items(
        &self,
        id: Uuid,
        states: Vec<ItemState>,
        count: usize,
        page: usize,
    ) -> Result<ItemPage, JobsError> {
        self.get(id).await?;
        let records = self.inner.items(id).await?;
        let living = self.inner.living(id);
        let now = |number: u32, record: &JobItemRecord| {
            let present = living.as_ref().and_then(|living| living.board().state(number));
            present.unwrap_or_else(|| ItemState::stored(record))
        };
        let pictures = (0..).zip(records).map(|(number, record)| {
            let state = now(number, &record);
            ItemPicture { number, record, state }
        });
        let wanted = |item: &ItemPicture| states.is_empty() || states.contains(&item.state);
        let mut found: Vec<_> = pictures.filter(wanted).collect();
        let total = found.len();
        let before = count.saturating_mul(page.saturating_sub(1)).min(total);
        found.drain(..before);
        found.truncate(count);
        Ok(ItemPage { items: found, total })
    }

    /// All items of a job as they are stored, with their numbers.
    pub async fn stored_items(&self, id: Uuid) -> Result<Vec<JobItemRecord>, JobsError> {
        Ok(self.inner.items(id).await?)
    }
}

impl Inner {
    fn picture(&self, id: Uuid, record: JobRecord) -> JobPicture {
        match self.living(id) {
            Some(living) => JobPicture::of_living(&living, self.clock.now()),
            None => JobPicture::of_ended(id, record),
        }
    }

    pub(super) fn picture_of(&self, living: &Living) -> JobPicture {
        JobPicture::of_living(living, self.clock.now())
    }
}
