//! What can go wrong with the store.

use std::path::PathBuf;

use thiserror::Error;

/// Why the store could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file is damaged.
    #[error(
        "the store {} is damaged; it was left as it is. Move it away, restore the last backup in \
         its place and start again", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What redb says.
        #[source]
        source: Box<redb::Error>,
    },
    /// The file is something else.
    #[error(
        "{} is no store of aerie; it was left as it is. Move it away, and restore the last backup \
         in its place if there was a store", .0.display()
    )]
    Foreign(PathBuf),
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
    /// The file or its folder.
    #[error("the store {} cannot be reached; check the folder, its owner and the disk", path.display())]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The writing thread could not be started.
    #[error("the system gives the store no thread to write with")]
    Thread(#[source] std::io::Error),
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
    /// The queue of writes is full, or the room is closing.
    #[error("the store takes no more work now; try again in a few seconds")]
    Unavailable,
}

impl<E: RedbError> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// The errors of redb's calls within a transaction. A trait of ours, because `?` needs one rule
/// for all of them and none that would also take [`std::io::Error`].
pub(super) trait RedbError: Into<redb::Error> {}
impl RedbError for redb::TransactionError {}
impl RedbError for redb::TableError {}
impl RedbError for redb::StorageError {}
impl RedbError for redb::CommitError {}
