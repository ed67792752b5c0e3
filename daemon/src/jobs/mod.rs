//! Long works with progress: persistent, resumed after a crash, cancellable, so many items at once.
//!
//! A [`Kind`] knows how to do one item; this room knows which one comes next ([`board`]), when a job
//! may ([`window`]), and keeps all of it in the store. What a kind stores as done, it stores in one
//! transaction with what it did, so that a crash between the two cannot happen.
//!
//! Not kept: which devices are away, and how many failures came in a row. After a restart every
//! unfinished item has its turn again, and a kind finds out by itself what has become of it.

mod board;
mod pictures;
mod running;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use self::board::Board;
use crate::clock::Clock;
use crate::cut::cut;
use crate::store::records::{JobItemRecord, JobRecord};
use crate::store::tables::{JOB_ITEMS, JOBS};
use crate::store::{Store, StoreError, Writer};
use crate::supervisor::Supervisor;

pub use self::board::{Counts, ItemState, Outcome, WaitsFor};
pub use self::pictures::{ItemPage, ItemPicture, JobPicture, JobState};

/// States as they are stored.
const RUNNING: &str = "running";
const DONE: &str = "done";
const FAILED: &str = "failed";
const CANCELLED: &str = "cancelled";
const WAITING: &str = "waiting";
const BEGUN: &str = "begun";

/// Items of one job.
pub const ITEMS: usize = 100_000;
/// Jobs that have not ended.
pub const ALIVE: usize = 8;
/// Jobs that have ended, and are kept to be looked at.
const KEPT: usize = 200;
/// Changes that a slow listener may be behind.
const CHANGES: usize = 256;

/// Why jobs could not be read or changed.
#[derive(Debug, Error)]
pub enum JobsError {
    /// No such job.
    #[error("there is no job with this id; it may have been so long ago that it is not kept")]
    Unknown,
    /// Too many at once.
    #[error("{ALIVE} jobs are going on; wait until one has ended, or cancel one")]
    TooMany,
    /// Nothing to do.
    #[error("there is nothing for this job to do")]
    Nothing,
    /// More than one job may have.
    #[error("a job may have at most {ITEMS} items; choose fewer devices or accounts")]
    TooLarge,
    /// It has ended.
    #[error("the job has ended already")]
    Ended,
    /// It was cancelled.
    #[error("the job was cancelled; begin a new one for what is left")]
    Cancelled,
    /// Nothing of it failed.
    #[error("nothing of this job has failed or stopped, so there is nothing to try again")]
    NothingFailed,
    /// The store.
    #[error("the job could not be read or stored, so nothing was changed")]
    Store(#[from] StoreError),
}

/// What jobs do, and how.
pub trait Kind: Send + Sync + 'static {
    /// Its name in the store and the API.
    fn name(&self) -> &'static str;
    /// Whether something can be done with a device now. Asked often; must not wait.
    fn is_there(&self, device: Uuid) -> bool;
    /// Does an item, or finds out why not. Dropped where the daemon stops.
    fn step(&self, task: Task) -> BoxFuture<'static, Outcome>;
    /// A job has ended: lets go of what was held for it. May be called again after a restart.
    fn release(&self, job: Uuid) -> BoxFuture<'static, ()>;
    /// Tells people of a job's end.
    fn tell_end(&self, job: &JobPicture);
}

/// An item on its turn.
#[derive(Clone, Debug)]
pub struct Task {
    /// The job.
    pub job: Uuid,
    /// The item's number in it.
    pub number: u32,
    /// The item as it is stored.
    pub item: JobItemRecord,
    /// The job's plan.
    pub plan: Arc<str>,
}

impl Task {
    /// Under which key the item is stored.
    pub fn key(&self) -> (Uuid, u32) {
        (self.job, self.number)
    }

    /// The item begun once more, to be stored with what was done for it.
    pub fn begin(&mut self, now: Timestamp) -> JobItemRecord {
        self.item.attempts = self.item.attempts.saturating_add(1);
        BEGUN.clone_into(&mut self.item.state);
        self.item.changed = now.as_millisecond();
        self.item.clone()
    }

    /// The item done, to be stored with what was done.
    pub fn done(&self, message: &str, now: Timestamp) -> JobItemRecord {
        let (state, message) = (DONE.to_owned(), message.to_owned());
        JobItemRecord { state, message, changed: now.as_millisecond(), ..self.item.clone() }
    }

    fn failed(&self, message: &str, now: Timestamp) -> JobItemRecord {
        let begun = self.item.state == BEGUN;
        let attempts = self.item.attempts.saturating_add(u32::from(!begun));
        let state = FAILED.to_owned();
        let (message, changed) = (message.to_owned(), now.as_millisecond());
        JobItemRecord { state, message, attempts, changed, ..self.item.clone() }
    }
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    supervisor: Supervisor,
    living: Mutex<BTreeMap<Uuid, Arc<Living>>>,
    /// Decisions of people, one at a time.
    deciding: tokio::sync::Mutex<()>,
    changes: broadcast::Sender<Uuid>,
}

/// A job that has not ended.
struct Living {
    id: Uuid,
    kind: Arc<dyn Kind>,
    plan: Arc<str>,
    record: Mutex<JobRecord>,
    board: Mutex<Board>,
    /// Something about it changed.
    changed: Notify,
}

/// A job to be.
pub struct NewJob {
    /// Its id: [`Jobs::new_id`].
    pub id: Uuid,
    /// What is known of it. Kind, state and counts are filled in.
    pub record: JobRecord,
    /// What it has to do: device, what else, and what its kind remembers.
    pub items: Vec<(Uuid, String, String)>,
}

impl Jobs {
    /// A room without any job. Those of the store come back kind by kind: [`Jobs::resume`].
    pub fn new(store: Store, clock: Clock, supervisor: &Supervisor) -> Self {
        let (changes, _) = broadcast::channel(CHANGES);
        let (living, deciding) = (Mutex::default(), tokio::sync::Mutex::default());
        let supervisor = supervisor.clone();
        Self { inner: Arc::new(Inner { store, clock, supervisor, living, deciding, changes }) }
    }

    /// Goes on with the jobs of a kind that had not ended when the daemon did.
    pub async fn resume(&self, kind: &Arc<dyn Kind>) -> Result<(), StoreError> {
        let _deciding = self.inner.deciding.lock().await;
        let day = jiff::SignedDuration::from_hours(24);
        let lately = (self.inner.clock.now() - day).as_millisecond();
        let records = self.inner.store.read(|reader| reader.all(JOBS)).await?;
        for (id, record) in records.into_iter().filter(|(_, it)| it.kind == kind.name()) {
            match record.ended {
                None => self.revive(id, record, kind).await?,
                Some(ended) if ended > lately => {
                    let release = kind.release(id);
                    self.inner.supervisor.spawn("ended job", release);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn revive(
        &self,
        id: Uuid,
        record: JobRecord,
        kind: &Arc<dyn Kind>,
    ) -> Result<(), StoreError> {
        let items = self.inner.items(id).await?;
        let mut board = Board::new(items.iter());
        if record.state == CANCELLED {
            board.cancel();
        }
        self.live(id, record, kind, board);
        Ok(())
    }

    fn live(&self, id: Uuid, record: JobRecord, kind: &Arc<dyn Kind>, board: Board) {
        let living = Arc::new(Living {
            id,
            kind: Arc::clone(kind),
            plan: record.plan.as_str().into(),
            record: Mutex::new(record),
            board: Mutex::new(board),
            changed: Notify::new(),
        });
        self.inner.lock().insert(id, Arc::clone(&living));
        let run = running::run(Arc::clone(&self.inner), living);
        self.inner.supervisor.spawn("job", run);
        self.inner.tell(id);
    }

    /// The id of a job to be: they sort by when they were made.
    pub fn new_id() -> Uuid {
        Uuid::now_v7()
    }

    /// Whether a job has not ended.
    pub fn lives(&self, id: Uuid) -> bool {
        self.inner.lock().contains_key(&id)
    }

    /// Whether one more may begin.
    pub fn has_room(&self) -> Result<(), JobsError> {
        if self.inner.lock().len() >= ALIVE { Err(JobsError::TooMany) } else { Ok(()) }
    }

    /// Stores a job, together with what `also` writes, and begins it.
    pub async fn start(
        &self,
        kind: &Arc<dyn Kind>,
        new: NewJob,
        also: impl Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<JobPicture, JobsError> {
        let _deciding = self.inner.deciding.lock().await;
        self.has_room()?;
        let NewJob { id, mut record, items } = new;
        if items.is_empty() {
            return Err(JobsError::Nothing);
        }
        if items.len() > ITEMS {
            return Err(JobsError::TooLarge);
        }
        let now = self.inner.clock.now().as_millisecond();
        kind.name().clone_into(&mut record.kind);
        RUNNING.clone_into(&mut record.state);
        record.created = now;
        record.items = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let items = items.into_iter().map(|(device, what, memory)| JobItemRecord {
            device: Some(device),
            what,
            memory,
            state: WAITING.to_owned(),
            changed: now,
            ..JobItemRecord::default()
        });
        let items: Arc<[JobItemRecord]> = items.collect();
        let (stored, of_job) = (record.clone(), Arc::clone(&items));
        let write = move |writer: &Writer<'_>| {
            also(writer)?;
            forget_oldest(writer)?;
            writer.put(JOBS, &id, &stored)?;
            (0..)
                .zip(&*of_job)
                .try_for_each(|(number, it)| writer.put(JOB_ITEMS, &(id, number), it))
        };
        self.inner.store.write(write).await?;
        cut("job-stored");
        self.live(id, record, kind, Board::new(items.iter()));
        self.get(id).await
    }

    /// Ends a job; what runs is finished first.
    pub async fn cancel(&self, id: Uuid) -> Result<JobPicture, JobsError> {
        let _deciding = self.inner.deciding.lock().await;
        let Some(living) = self.inner.living(id) else {
            return Err(self.get(id).await.map_or_else(|error| error, |_| JobsError::Ended));
        };
        let mut record = living.record().clone();
        CANCELLED.clone_into(&mut record.state);
        record.stopped.clear();
        // What runs stores its own outcome; the rest is written when the job ends.
        let stored = record.clone();
        self.inner.store.write(move |writer| writer.put(JOBS, &id, &stored)).await?;
        *living.record() = record;
        living.board().cancel();
        living.changed.notify_one();
        self.get(id).await
    }

    /// Tries what has failed once more, and goes on with what has stopped.
    pub async fn retry(&self, kind: &Arc<dyn Kind>, id: Uuid) -> Result<JobPicture, JobsError> {
        let _deciding = self.inner.deciding.lock().await;
        let picture = self.get(id).await?;
        if picture.record.state == CANCELLED {
            return Err(JobsError::Cancelled);
        }
        if picture.counts.failed == 0 && picture.record.stopped.is_empty() {
            return Err(JobsError::NothingFailed);
        }
        if self.inner.living(id).is_none() {
            self.has_room()?;
        }
        let now = self.inner.clock.now().as_millisecond();
        let mut record = picture.record;
        RUNNING.clone_into(&mut record.state);
        record.stopped.clear();
        record.ended = None;
        let stored = record.clone();
        let write = move |writer: &Writer<'_>| {
            writer.put(JOBS, &id, &stored)?;
            for number in 0..stored.items {
                let Some(mut item) = writer.get(JOB_ITEMS, &(id, number))? else { continue };
                if item.state == FAILED {
                    WAITING.clone_into(&mut item.state);
                    item.message.clear();
                    item.changed = now;
                    writer.put(JOB_ITEMS, &(id, number), &item)?;
                }
            }
            Ok(())
        };
        self.inner.store.write(write).await?;
        if let Some(living) = self.inner.living(id) {
            *living.record() = record;
            living.board().retry();
            living.changed.notify_one();
        } else {
            self.revive(id, record, kind).await?;
        }
        self.get(id).await
    }

    /// A device is there.
    pub fn wake(&self, device: Uuid) {
        for living in self.inner.all_living() {
            if living.board().wake(device) {
                living.changed.notify_one();
            }
        }
    }

    /// The vault answers, or is open.
    pub fn wake_vault(&self) {
        for living in self.inner.all_living() {
            if living.board().wake_vault() {
                living.changed.notify_one();
            }
        }
    }

    /// Which jobs change from now on. A listener that falls behind asks anew.
    pub fn changes(&self) -> broadcast::Receiver<Uuid> {
        self.inner.changes.subscribe()
    }
}

/// Drops the oldest jobs that have ended, so that there is room for one more.
fn forget_oldest(writer: &Writer<'_>) -> Result<(), StoreError> {
    let jobs = writer.all(JOBS)?;
    let ended: Vec<_> = jobs.iter().filter(|(_, record)| record.ended.is_some()).collect();
    let excess = (ended.len() + 1).saturating_sub(KEPT);
    for (id, record) in ended.into_iter().take(excess) {
        writer.delete(JOBS, id)?;
        for number in 0..record.items {
            writer.delete(JOB_ITEMS, &(*id, number))?;
        }
    }
    Ok(())
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Living>>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn living(&self, id: Uuid) -> Option<Arc<Living>> {
        self.lock().get(&id).cloned()
    }

    fn all_living(&self) -> Vec<Arc<Living>> {
        self.lock().values().cloned().collect()
    }

    fn tell(&self, id: Uuid) {
        // Nobody listens: then nobody has to know.
        self.changes.send(id).ok();
    }

    async fn items(&self, id: Uuid) -> Result<Vec<JobItemRecord>, StoreError> {
        let rows = self.store.read(move |reader| reader.below(JOB_ITEMS, id.as_bytes())).await?;
        Ok(rows.into_iter().map(|(_, record)| record).collect())
    }
}

impl Living {
    fn record(&self) -> MutexGuard<'_, JobRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
