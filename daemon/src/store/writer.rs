//! The one thread that writes.

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use redb::{Database, Durability};
use tokio::sync::{oneshot, watch};

use super::{StoreError, Writer};

/// Writes that may wait.
const QUEUE: usize = 1024;
/// Writes in one transaction.
const GROUP: usize = 256;

/// A write with the way back to who waits for it.
trait Job: Send {
    /// Runs it and keeps its outcome.
    fn run(&mut self, writer: &Writer<'_>) -> bool;
    /// Hands the outcome back, or the reason why the commit failed.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Pending<T, F> {
    write: F,
    outcome: Option<Result<T, StoreError>>,
    waiting: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: Fn(&Writer<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, writer: &Writer<'_>) -> bool {
        let outcome = (self.write)(writer);
        let good = outcome.is_ok();
        self.outcome = Some(outcome);
        good
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or(Err(StoreError::Unavailable)),
            Err(error) => Err(error),
        };
        // Who asked may have stopped waiting; the write stands all the same.
        drop(self.waiting.send(outcome));
    }
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Sound,
    /// The disk failed, and nothing can be read or written any more.
    Broken,
}

/// The way to the writing thread.
#[derive(Clone)]
pub(super) struct Writing {
    queue: SyncSender<Box<dyn Job>>,
}

impl Writing {
    /// Starts the thread. It ends by itself once the last handle is dropped, closes the file and
    /// drops `state`.
    pub(super) fn start(
        database: Arc<Database>,
        state: watch::Sender<State>,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = thread::Builder::new().name("store".to_owned());
        let body = move || {
            run(&database, &jobs, &state);
            drop(database);
            drop(state);
        };
        // Its end is seen through `state`.
        drop(thread.spawn(body).map_err(StoreError::Thread)?);
        Ok(Self { queue })
    }

    pub(super) async fn submit<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (waiting, outcome) = oneshot::channel();
        let job = Box::new(Pending { write, outcome: None, waiting });
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => StoreError::Unavailable,
        })?;
        outcome.await.map_err(|_| StoreError::Unavailable)?
    }
}

fn run(database: &Database, jobs: &Receiver<Box<dyn Job>>, state: &watch::Sender<State>) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        match together(database, &mut group) {
            Ok(true) => group.into_iter().for_each(|job| job.finish(Ok(()))),
            // One of them failed by itself: each alone, so that it takes no neighbour with it.
            Ok(false) => group.into_iter().for_each(|job| alone(database, job)),
            // The store itself failed; nothing was acknowledged. Each hears its own reason.
            Err(error) => {
                tracing::error!(%error, cause = error.source(), "a transaction failed");
                for job in group {
                    alone(database, job);
                }
                if is_broken(database) {
                    state.send_replace(State::Broken);
                }
            }
        }
    }
}

/// After the disk has failed once, redb refuses everything until the file is opened anew.
fn is_broken(database: &Database) -> bool {
    match database.begin_write() {
        Err(error) => matches!(redb::Error::from(error), redb::Error::PreviousIo),
        Ok(transaction) => transaction.abort().is_err(),
    }
}

/// Runs all in one transaction. `false`: one failed, and nothing was written.
fn together(database: &Database, group: &mut [Box<dyn Job>]) -> Result<bool, StoreError> {
    let transaction = begin(database)?;
    let writer = Writer { transaction: &transaction };
    let good = group.iter_mut().all(|job| job.run(&writer));
    if good {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(good)
}

fn alone(database: &Database, mut job: Box<dyn Job>) {
    let outcome = together(database, std::slice::from_mut(&mut job)).map(|_| ());
    job.finish(outcome);
}

fn begin(database: &Database) -> Result<redb::WriteTransaction, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(|_| StoreError::Refused("the store cannot write durably"))?;
    Ok(transaction)
}

/// Runs one write now, on this thread.
pub(super) fn once<T>(
    database: &Database,
    write: impl FnOnce(&Writer<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = begin(database)?;
    let done = write(&Writer { transaction: &transaction })?;
    transaction.commit()?;
    Ok(done)
}
