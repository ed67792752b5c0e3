//! One living job: a task that begins what may begin, and hears how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::board::{ItemState, Outcome};
use super::window::{Window, window};
use super::{CANCELLED, DONE, Inner, JobPicture, Living, Task};
use crate::audit;
use crate::cut::cut;
use crate::store::records::JobRecord;
use crate::store::tables::{JOB_ITEMS, JOBS};
use crate::store::{StoreError, Writer};

/// How often a job looks at the clock by itself: somebody may set it.
const LOOK: Duration = Duration::from_mins(1);
/// How long to wait after the store could not write.
const RETRY: Duration = Duration::from_secs(10);
/// How often listeners are told of a job, at most.
const TELL: Duration = Duration::from_millis(200);
/// How long a busy store is given.
const BUSY: Duration = Duration::from_secs(1);

impl Outcome {
    /// What it means for an item that the store did not write.
    pub fn of_store(error: &StoreError) -> Self {
        if matches!(error, StoreError::Unavailable) {
            return Self::Later(BUSY);
        }
        let cause = std::error::Error::source(error);
        let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
        Self::Stop(format!(
            "The appliance could not store what comes next: {error}{cause}. Look whether its disk \
             is full, then press Retry. No device was told anything that is not stored."
        ))
    }
}

/// Runs a job until it has ended or the daemon stops.
pub(super) async fn run(inner: Arc<Inner>, living: Arc<Living>) {
    let token = inner.supervisor.token();
    let mut trying = JoinSet::new();
    let (mut news, mut tell_at) = (true, Instant::now());
    while !is_over(&living) {
        let mut look_again = begin(&inner, &living, &mut trying);
        if news && tell_at <= Instant::now() {
            inner.tell(living.id);
            (news, tell_at) = (false, Instant::now() + TELL);
        } else if news {
            look_again = look_again.min(tell_at);
        }
        tokio::select! {
            // What was being tried is dropped; each item finds out later how far it came.
            () = token.cancelled() => return,
            Some(ended) = trying.join_next() => {
                news = true;
                hear_all(&inner, &living, ended, &mut trying).await;
            }
            () = living.changed.notified() => news = true,
            () = sleep_until(look_again) => {}
        }
    }
    tokio::select! {
        () = token.cancelled() => {}
        () = end(&inner, &living) => {}
    }
}

/// Notes how one item ended, and those that have ended with it.
async fn hear_all(
    inner: &Inner,
    living: &Living,
    first: Result<(u32, Outcome), JoinError>,
    trying: &mut JoinSet<(u32, Outcome)>,
) {
    let mut reason = heard(living, first);
    while let Some(ended) = trying.try_join_next() {
        reason = heard(living, ended).or(reason);
    }
    if let Some(reason) = reason {
        stop(inner, living, reason).await;
    }
}

fn is_over(living: &Living) -> bool {
    let stopped = !living.record().stopped.is_empty();
    living.board().is_finished() && !stopped
}

/// Begins what may begin. Answers when to look again if nothing happens.
fn begin(
    inner: &Arc<Inner>,
    living: &Arc<Living>,
    trying: &mut JoinSet<(u32, Outcome)>,
) -> Instant {
    let (open, parallel) = {
        let record = living.record();
        let open = window(&record, inner.clock.now().as_millisecond());
        let stopped = !record.stopped.is_empty() || record.state == CANCELLED;
        (if stopped { Window::Closed(LOOK) } else { open }, record.parallel)
    };
    let now = Instant::now();
    let wait = match open {
        Window::Closed(wait) => return now + wait.min(LOOK),
        Window::Open(wait) => wait.unwrap_or(LOOK).min(LOOK),
    };
    let parallel = usize::try_from(parallel).unwrap_or(1).max(1);
    let mut board = living.board();
    while trying.len() < parallel {
        let Some(number) = board.take(now, |device| living.kind.is_there(device)) else { break };
        trying.spawn(attempt(Arc::clone(inner), Arc::clone(living), number));
    }
    board.next_due().map_or(now + wait, |due| due.min(now + wait))
}

async fn attempt(inner: Arc<Inner>, living: Arc<Living>, number: u32) -> (u32, Outcome) {
    let key = (living.id, number);
    let stored = inner.store.read(move |reader| reader.get(JOB_ITEMS, &key)).await;
    let item = match stored {
        Ok(Some(item)) => item,
        Ok(None) => return (number, Outcome::Failed(String::new())),
        Err(error) => return (number, Outcome::of_store(&error)),
    };
    let task = Task { job: living.id, number, item, plan: Arc::clone(&living.plan) };
    // A fault in one item ends that item and no other.
    let outcome = AssertUnwindSafe(living.kind.step(task)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        let message = "The appliance made a mistake here; its log says more. Try again.";
        Outcome::Failed(message.to_owned())
    });
    (number, store_failure(&inner, key, outcome).await)
}

/// Stores why an item failed; a kind does not.
async fn store_failure(inner: &Inner, key: (Uuid, u32), outcome: Outcome) -> Outcome {
    let Outcome::Failed(message) = outcome else { return outcome };
    let now = inner.clock.now();
    let (job, number) = key;
    let why = message.clone();
    let write = move |writer: &Writer<'_>| {
        let Some(item) = writer.get(JOB_ITEMS, &key)? else { return Ok(()) };
        let task = Task { job, number, item, plan: Arc::from("") };
        writer.put(JOB_ITEMS, &key, &task.failed(&why, now))
    };
    match inner.store.write(write).await {
        Ok(()) => {
            cut("item-failed");
            Outcome::Failed(message)
        }
        Err(error) => Outcome::of_store(&error),
    }
}

/// Notes how an item ended. Answers why the job has to stop, if it has to.
fn heard(living: &Living, ended: Result<(u32, Outcome), JoinError>) -> Option<String> {
    // Faults are caught in the task itself.
    let (number, outcome) = ended.ok()?;
    let (cancelled, stop_after) = {
        let record = living.record();
        (record.state == CANCELLED, record.stop_after.max(1))
    };
    let mut board = living.board();
    board.ended(number, &outcome, Instant::now());
    if outcome == Outcome::Offline {
        board.look_again(number, |device| living.kind.is_there(device));
    }
    if cancelled {
        board.cancel();
        return None;
    }
    match outcome {
        Outcome::Stop(reason) => Some(reason),
        Outcome::Failed(message) if board.failures_in_a_row() >= stop_after => Some(format!(
            "{stop_after} failed in a row, the last one so: {message} Nothing more was begun. Look \
             what is wrong, then press Retry."
        )),
        _ => None,
    }
}

async fn stop(inner: &Inner, living: &Living, reason: String) {
    let record = {
        let mut record = living.record();
        record.stopped = reason;
        record.clone()
    };
    let id = living.id;
    if let Err(error) = inner.store.write(move |writer| writer.put(JOBS, &id, &record)).await {
        // It has stopped all the same; after a restart it tries again and stops again.
        tracing::error!(%error, job = %id, "that a job has stopped could not be stored");
    }
    tracing::warn!(job = %id, "a job has stopped by itself");
}

/// Writes a job's end down, tells of it and lets go of what was held for it.
async fn end(inner: &Inner, living: &Living) {
    let picture = inner.picture_of(living);
    let record = ended(&picture, inner.clock.now().as_millisecond());
    loop {
        match inner.store.write(write_end(living, record.clone(), inner.clock.now())).await {
            Ok(()) => break,
            Err(error) => {
                tracing::error!(%error, job = %living.id, "a job's end could not be stored");
                sleep(RETRY).await;
            }
        }
    }
    cut("job-ended");
    *living.record() = record.clone();
    inner.lock().remove(&living.id);
    living.kind.tell_end(&JobPicture { record, ..picture });
    inner.tell(living.id);
    living.kind.release(living.id).await;
}

fn ended(picture: &JobPicture, now: i64) -> JobRecord {
    let counts = picture.counts;
    let mut record = picture.record.clone();
    if record.state != CANCELLED {
        DONE.clone_into(&mut record.state);
    }
    record.ended = Some(now);
    record.outcome = [counts.done, counts.failed, counts.cancelled];
    record
}

fn write_end(
    living: &Living,
    record: JobRecord,
    now: jiff::Timestamp,
) -> impl Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static {
    let board = living.board();
    let given_up: Vec<u32> = (0..record.items)
        .filter(|number| board.state(*number) == Some(ItemState::Cancelled))
        .collect();
    drop(board);
    let (id, kind) = (living.id, living.kind.name());
    move |writer| {
        for number in &given_up {
            let Some(mut item) = writer.get(JOB_ITEMS, &(id, *number))? else { continue };
            if item.state != CANCELLED {
                CANCELLED.clone_into(&mut item.state);
                item.changed = now.as_millisecond();
                writer.put(JOB_ITEMS, &(id, *number), &item)?;
            }
        }
        writer.put(JOBS, &id, &record)?;
        let [done, failed, cancelled] = record.outcome;
        let about =
            format!("{}: {done} done, {failed} failed, {cancelled} cancelled", record.title);
        audit::append(writer, now, "jobs", &format!("{kind}-ended"), &about)
    }
}
