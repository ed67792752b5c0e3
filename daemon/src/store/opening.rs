//! Opening the store's file, and making it the first time.
//!
//! A file that is there is opened or refused, never written over. A new one is made beside its
//! place and moved there once it is whole: a power cut in the middle leaves nothing that the next
//! start would have to refuse.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError};

use super::migrations::{self, version};
use super::{Reader, StoreError, writer};

/// Pages that redb may keep in memory, in bytes.
const CACHE: usize = 4 * 1024 * 1024;

pub(super) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    // Reads the whole file once: 20 ms for 18 MB. Without it redb trusts the file and panics where
    // it is damaged, maybe a week later.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Opens the store at `path`, or makes it when there is nothing.
pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    let unreachable = |source| StoreError::Unreachable { path: path.to_owned(), source };
    if !fs::exists(path).map_err(unreachable)? {
        make(path)?;
    }
    let database = builder().open(path).map_err(|error| refusal(path, error))?;
    let reader = Reader { transaction: database.begin_read()? };
    match version(&reader) {
        Ok(Some(_)) => Ok(database),
        Ok(None) => Err(StoreError::Foreign(path.to_owned())),
        // Another program's table of that name.
        Err(StoreError::Database(error)) if is_another_type(&error) => {
            Err(StoreError::Foreign(path.to_owned()))
        }
        Err(error) => Err(error),
    }
}

fn is_another_type(error: &redb::Error) -> bool {
    matches!(error, redb::Error::TableTypeMismatch { .. } | redb::Error::TableIsMultimap(_))
}

fn make(path: &Path) -> Result<(), StoreError> {
    let draft = path.with_extension("new");
    let failed = |source| StoreError::Unreachable { path: path.to_owned(), source };
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed)?;
    let database = FileBackend::new(file)
        .and_then(|backend| builder().create_with_backend(backend))
        .map_err(|error| refusal(&draft, error))?;
    writer::once(&database, migrations::stamp)?;
    drop(database);
    put_in_place(&draft, path).map_err(failed)
}

/// Never over a file that has come there meanwhile.
fn put_in_place(draft: &Path, path: &Path) -> io::Result<()> {
    File::open(draft)?.sync_all()?;
    fs::hard_link(draft, path)?;
    fs::remove_file(draft)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// In words of ours, by what redb says.
fn refusal(path: &Path, error: DatabaseError) -> StoreError {
    let path = PathBuf::from(path);
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path),
        DatabaseError::Storage(StorageError::Io(source)) if !is_about_content(&source) => {
            StoreError::Unreachable { path, source }
        }
        DatabaseError::Storage(StorageError::Io(source))
            if source.kind() == ErrorKind::InvalidData =>
        {
            // No redb file at all, by its first bytes.
            tracing::debug!(%source, "redb does not know the file");
            StoreError::Foreign(path)
        }
        other => StoreError::Damaged { path, source: Box::new(other.into()) },
    }
}

fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}
