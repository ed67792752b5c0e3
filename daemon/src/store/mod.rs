//! The store: one redb file, and nothing else knows of redb.
//!
//! Reads run on the blocking pool, bounded. Writes go through one thread that joins what waits into
//! one durable transaction (a group commit): a hundred writes cost the one `fdatasync` that a
//! single one costs. A write is acknowledged once it is on the disk, and not before.

mod migrations;
pub mod records;
pub mod tables;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::Semaphore;

use self::tables::{Table, TableKey};
use self::writer::Writing;
pub use self::migrations::SCHEMA;

/// Pages that redb may keep in memory, in bytes.
const CACHE: usize = 4 * 1024 * 1024;
/// Reads at the same time.
const READS: usize = 8;

type Definition<'name> = TableDefinition<'name, &'static [u8], &'static [u8]>;

/// Why the store could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file is damaged, or is no store.
    #[error(
        "the store {path} cannot be read; it was left as it is. Move it away and restore the last \
         backup, or give its path if this is the wrong file", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What redb says.
        #[source]
        source: Box<redb::Error>,
    },
    /// Another daemon has it open.
    #[error("the store {} is in use by another aerie; stop that one first", .0.display())]
    InUse(PathBuf),
    /// A later release wrote it.
    #[error("the store has schema {found}, this release knows {known}; install the newer release")]
    Newer {
        /// What the file says.
        found: u32,
        /// What this release writes.
        known: u32,
    },
    /// The file or folder.
    #[error("the store's file could not be reached")]
    Io(#[from] std::io::Error),
    /// redb refused.
    #[error("the store could not be read or written")]
    Database(#[source] Box<redb::Error>),
    /// A record that this release cannot read or write.
    #[error("a record in table {table} cannot be read or written: {problem}")]
    Record {
        /// The table.
        table: &'static str,
        /// What serde says.
        problem: String,
    },
    /// A caller's own condition did not hold, so nothing was written.
    #[error("{0}")]
    Refused(&'static str),
    /// The writing thread has gone, or its queue is full.
    #[error("the store takes no writes now; try again")]
    Unavailable,
}

impl<E: Into<redb::Error>> From<E> for StoreError
where
    E: RedbError,
{
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// The errors of redb's calls, which all are kinds of [`redb::Error`].
trait RedbError {}
impl RedbError for redb::TransactionError {}
impl RedbError for redb::TableError {}
impl RedbError for redb::StorageError {}
impl RedbError for redb::CommitError {}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    writing: Writing,
    reads: Arc<Semaphore>,
    path: Option<Arc<Path>>,
}

impl Store {
    /// Opens the store at `path`, and makes it when there is no such file. A file that cannot be
    /// read is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        let opened = if fs::exists(path)? { builder.open(path) } else { builder.create(path) };
        let database = opened.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            other => StoreError::Damaged { path: path.to_owned(), source: Box::new(other.into()) },
        })?;
        Self::start(database, Some(path.into()))
    }

    /// A store in memory, for tests.
    pub fn memory() -> Result<Self, StoreError> {
        Self::on_backend(redb::backends::InMemoryBackend::new())
    }

    /// A store on a backend of the caller's, for tests that cut the power.
    pub fn on_backend(backend: impl redb::StorageBackend) -> Result<Self, StoreError> {
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create_with_backend(backend)
            .map_err(|error| StoreError::Database(Box::new(error.into())))?;
        Self::start(database, None)
    }

    fn start(database: Database, path: Option<Arc<Path>>) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        writer::once(&database, migrations::migrate)?;
        let writing = Writing::start(Arc::clone(&database))?;
        Ok(Self { database, writing, reads: Arc::new(Semaphore::new(READS)), path })
    }

    /// Runs `read` on one consistent picture of the store.
    pub async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let _permit = self.reads.acquire().await.map_err(|_| StoreError::Unavailable)?;
        let database = Arc::clone(&self.database);
        let reading = tokio::task::spawn_blocking(move || {
            read(&Reader { transaction: database.begin_read()? })
        });
        reading.await.map_err(|_| StoreError::Unavailable)?
    }

    /// Runs `write` in a transaction and returns once it is durable. When `write` fails, nothing of
    /// it is kept. It may be run twice, if a neighbour in the same transaction failed.
    pub async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.writing.submit(write).await
    }

    /// Writes something small, to see whether the store still can.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(|writer| writer.put(tables::META, "probe", &SCHEMA)).await
    }

    /// Bytes of the store's file; 0 in memory.
    pub fn bytes(&self) -> u64 {
        let metadata = self.path.as_ref().and_then(|path| fs::metadata(path).ok());
        metadata.map_or(0, |metadata| metadata.len())
    }
}
