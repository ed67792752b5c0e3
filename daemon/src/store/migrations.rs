//! From the schema of an older release to this one's.
//!
//! One function a version, each run once inside the transaction that raises the version. A record
//! that only gains fields needs none. Nothing here is ever changed after a release.

use super::tables::{META, SCHEMA_VERSION};
use super::{StoreError, Writer};

/// The schema that this release writes.
pub const SCHEMA: u32 = 1;

type Migration = fn(&Writer<'_>) -> Result<(), StoreError>;

/// The migration at index n leads from version n + 1 to n + 2.
const MIGRATIONS: &[Migration] = &[];

/// Brings the store to [`SCHEMA`], or says that a newer release wrote it.
pub(super) fn migrate(writer: &Writer<'_>) -> Result<(), StoreError> {
    let found = writer.get(META, SCHEMA_VERSION)?;
    let version = found.unwrap_or(SCHEMA);
    if version > SCHEMA {
        return Err(StoreError::Newer { found: version, known: SCHEMA });
    }
    let done = usize::try_from(version.saturating_sub(1)).unwrap_or(usize::MAX);
    for migration in MIGRATIONS.iter().skip(done) {
        migration(writer)?;
    }
    if found != Some(SCHEMA) {
        writer.put(META, SCHEMA_VERSION, &SCHEMA)?;
    }
    Ok(())
}
