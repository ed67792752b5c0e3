//! From the schema of an older release to this one's.
//!
//! One function a version, all run inside the one transaction that raises the version, so that a
//! power cut leaves the store at the old schema or the new one. A record that only gains fields
//! needs none. Nothing here is ever changed after a release.

use super::tables::{META, SCHEMA_VERSION};
use super::{Reader, StoreError, Writer};

/// The schema that this release writes.
pub const SCHEMA: u32 = 1;

type Migration = fn(&Writer<'_>) -> Result<(), StoreError>;

/// The migration at index n leads from version n + 1 to n + 2.
const MIGRATIONS: &[Migration] = &[];

/// Brings the store to [`SCHEMA`], or says that a newer release wrote it.
pub(super) fn migrate(writer: &Writer<'_>) -> Result<(), StoreError> {
    raise(writer, MIGRATIONS, SCHEMA)
}

fn raise(writer: &Writer<'_>, migrations: &[Migration], known: u32) -> Result<(), StoreError> {
    // None: a version from before versions, which there never was.
    let found = writer.get(META, SCHEMA_VERSION)?.unwrap_or(0);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
    for migration in migrations.iter().skip(done) {
        migration(writer)?;
    }
    if found != known {
        writer.put(META, SCHEMA_VERSION, &known)?;
    }
    Ok(())
}

/// Marks an empty store as one of this release.
pub(super) fn stamp(writer: &Writer<'_>) -> Result<(), StoreError> {
    writer.put(META, SCHEMA_VERSION, &SCHEMA)
}

/// The schema that a store says it has; `None` for what is no store of ours.
pub(super) fn version(reader: &Reader) -> Result<Option<u32>, StoreError> {
    reader.get(META, SCHEMA_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tables::SETTINGS;

    fn note(writer: &Writer<'_>, step: &str) -> Result<(), StoreError> {
        let before = writer.get(SETTINGS, "steps")?.unwrap_or_default();
        writer.put(SETTINGS, "steps", &format!("{before}{step}"))
    }

    const THREE: &[Migration] = &[
        |writer| note(writer, "one to two, "),
        |writer| note(writer, "two to three, "),
        |writer| note(writer, "three to four"),
    ];

    #[tokio::test]
    async fn each_migration_runs_once_and_in_order() {
        let store = Store::memory().unwrap();
        store.write(|writer| writer.put(META, SCHEMA_VERSION, &2)).await.unwrap();
        for _ in 0..2 {
            store.write(|writer| raise(writer, THREE, 4)).await.unwrap();
        }
        let (steps, version) = store
            .read(|reader| Ok((reader.get(SETTINGS, "steps")?, version(reader)?)))
            .await
            .unwrap();
        assert_eq!(steps.as_deref(), Some("two to three, three to four"));
        assert_eq!(version, Some(4));
    }

    #[tokio::test]
    async fn a_migration_that_fails_leaves_the_store_as_it_was() {
        let store = Store::memory().unwrap();
        let failing: &[Migration] =
            &[|writer| note(writer, "half"), |_| Err(StoreError::Refused("no"))];
        store.write(move |writer| raise(writer, failing, 3)).await.unwrap_err();
        let (steps, version) = store
            .read(|reader| Ok((reader.get(SETTINGS, "steps")?, version(reader)?)))
            .await
            .unwrap();
        assert_eq!((steps, version), (None, Some(SCHEMA)));
    }

    #[tokio::test]
    async fn the_store_of_a_newer_release_is_refused() {
        let store = Store::memory().unwrap();
        store.write(|writer| writer.put(META, SCHEMA_VERSION, &(SCHEMA + 1))).await.unwrap();
        let refused = store.write(migrate).await.unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found, .. } if found == SCHEMA + 1));
    }
}
