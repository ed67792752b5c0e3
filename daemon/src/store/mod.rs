//! The store: one redb file, and nothing else knows of redb.
//!
//! Reads run on the blocking pool, bounded. Writes go through one thread that joins what waits into
//! one durable transaction (a group commit): a hundred writes cost the one `fdatasync` that a
//! single one costs. A write is acknowledged once it is on the disk, and not before.
//!
//! Measured with 10,000 records of 400 bytes (18 MB) on the build machine, where an `fdatasync` of
//! 4 KiB takes 0.11 ms: a commit of one record 0.27 ms, of a hundred 2.7 ms; with redb's
//! `quick_repair`, which commits in two phases, 0.45 and 2.9 ms. On flash the second sync is what
//! counts: 4 ms more for each. Opening after a kill takes 21 ms with the integrity check that
//! every start makes, with or without `quick_repair`; so it is off.

#[cfg(test)]
mod crash;
mod error;
mod migrations;
mod opening;
pub mod records;
pub mod reserve;
pub mod tables;
#[cfg(test)]
mod tests;
mod transaction;
mod writer;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};
use tokio::sync::{Semaphore, watch};

pub use self::error::StoreError;
pub use self::migrations::SCHEMA;
pub use self::transaction::{Reader, Writer};
use self::writer::{State, Writing};

/// Reads at the same time.
const READS: usize = 8;

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    writing: Writing,
    reads: Arc<Semaphore>,
    path: Option<Arc<Path>>,
    state: watch::Receiver<State>,
}

/// Tells how the store's file is. Holds nothing open.
#[derive(Clone)]
pub struct StoreFile(watch::Receiver<State>);

impl StoreFile {
    /// Returns once the last handle is dropped and all that was queued is written.
    pub async fn closed(mut self) {
        // It ends when the other side is gone.
        while self.0.changed().await.is_ok() {}
    }

    /// Returns once the disk has failed: nothing can be read or written until the file is opened
    /// anew.
    pub async fn broken(mut self) {
        if self.0.wait_for(|state| *state == State::Broken).await.is_err() {
            // Closed before it broke.
            std::future::pending::<()>().await;
        }
    }
}

impl Store {
    /// Opens the store at `path`, and makes it when there is no such file. A file that cannot be
    /// read, or is no store, is left as it is. Blocks.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::start(opening::open(path)?, Some(path.into()))
    }

    /// A store in memory, for tests.
    pub fn memory() -> Result<Self, StoreError> {
        Self::on_backend(redb::backends::InMemoryBackend::new())
    }

    /// A store on a backend, new or of an earlier life.
    fn on_backend(backend: impl redb::StorageBackend) -> Result<Self, StoreError> {
        let database = opening::builder()
            .create_with_backend(backend)
            .map_err(|error| StoreError::Database(Box::new(error.into())))?;
        if migrations::version(&Reader { transaction: database.begin_read()? })?.is_none() {
            writer::once(&database, migrations::stamp)?;
        }
        Self::start(database, None)
    }

    fn start(database: Database, path: Option<Arc<Path>>) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        writer::once(&database, migrations::migrate)?;
        let (telling, state) = watch::channel(State::Sound);
        let writing = Writing::start(Arc::clone(&database), telling)?;
        Ok(Self { database, writing, reads: Arc::new(Semaphore::new(READS)), path, state })
    }

    /// A way to hear of the file's end, good or bad.
    pub fn file(&self) -> StoreFile {
        StoreFile(self.state.clone())
    }

    /// Runs `read` on one consistent picture of the store.
    pub async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let reads = Arc::clone(&self.reads);
        let permit = reads.acquire_owned().await.map_err(|_| StoreError::Unavailable)?;
        let database = Arc::clone(&self.database);
        let reading = tokio::task::spawn_blocking(move || {
            // Held by the work and not by who waits for it: they may leave before it ends.
            let _permit = permit;
            read(&Reader { transaction: database.begin_read()? })
        });
        reading.await.map_err(|_| StoreError::Unavailable)?
    }

    /// Runs `write` in a transaction and returns once it is durable. When `write` fails, nothing of
    /// it is kept. It may be run twice, if a neighbour in the same transaction failed. Who stops
    /// waiting does not undo it.
    pub async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.writing.submit(write).await
    }

    /// Writes something small, to see whether the store still can.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(|writer| writer.put(tables::META, tables::PROBE, &SCHEMA)).await
    }

    /// Bytes of the store's file; 0 in memory.
    pub fn bytes(&self) -> u64 {
        let metadata = self.path.as_ref().and_then(|path| fs::metadata(path).ok());
        metadata.map_or(0, |metadata| metadata.len())
    }
}
