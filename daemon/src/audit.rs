//! Who did what: a chain in which every entry carries the hash of the one before.
//!
//! Bounded: beyond [`KEPT`] entries the oldest go. What is left is still a chain; only the first
//! entry's link then leads to nothing that could be checked.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::store::records::AuditRecord;
use crate::store::tables::AUDIT;
use crate::store::{Reader, StoreError, Writer};

/// Entries that are kept: years of an appliance's life, and some 20 MB.
const KEPT: u64 = 100_000;

/// Adds an entry, in the transaction of what it tells about.
pub fn append(
    writer: &Writer<'_>,
    at: Timestamp,
    who: &str,
    what: &str,
    about: &str,
) -> Result<(), StoreError> {
    let (number, before) = match writer.last_key(AUDIT)? {
        Some(last) => {
            let hash = writer.get(AUDIT, &last)?.map_or([0; 32], |record| record.hash);
            (last + 1, hash)
        }
        None => (0, [0; 32]),
    };
    let mut record = AuditRecord {
        at: at.as_millisecond(),
        who: who.to_owned(),
        what: what.to_owned(),
        about: about.to_owned(),
        hash: [0; 32],
    };
    record.hash = link(before, &record);
    writer.put(AUDIT, &number, &record)?;
    writer.delete_first(AUDIT, writer.len(AUDIT)?.saturating_sub(KEPT))
}

/// Whether every entry is as it was written, and none in between is missing. The number of the
/// first that is not, if one is.
pub fn first_broken(reader: &Reader) -> Result<Option<u64>, StoreError> {
    let entries = reader.all(AUDIT)?;
    // The very first entry follows on nothing. Later ones, once older entries have gone, on a hash
    // that is not known any more.
    let mut before = entries.first().filter(|(number, _)| *number == 0).map(|_| [0; 32]);
    let mut expected = entries.first().map_or(0, |(number, _)| *number);
    for (number, record) in entries {
        if number != expected || before.is_some_and(|before| record.hash != link(before, &record)) {
            return Ok(Some(number));
        }
        before = Some(record.hash);
        expected = number + 1;
    }
    Ok(None)
}

fn link(before: [u8; 32], record: &AuditRecord) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(record.at.to_be_bytes());
    for text in [&record.who, &record.what, &record.about] {
        // With its length, so that no text runs into the next.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_changed_entry_breaks_the_chain() {
        let store = Store::memory().unwrap();
        for about in ["one", "two", "three"] {
            store
                .write(move |writer| append(writer, Timestamp::UNIX_EPOCH, "olga", "did", about))
                .await
                .unwrap();
        }
        assert_eq!(store.read(first_broken).await.unwrap(), None);
        store
            .write(|writer| {
                let mut record = writer.get(AUDIT, &1)?.unwrap();
                record.about = "another".to_owned();
                writer.put(AUDIT, &1, &record)
            })
            .await
            .unwrap();
        assert_eq!(store.read(first_broken).await.unwrap(), Some(1));
        store.write(|writer| writer.delete(AUDIT, &1).map(|_| ())).await.unwrap();
        assert_eq!(store.read(first_broken).await.unwrap(), Some(2), "one is missing");
    }

    #[tokio::test]
    async fn the_chain_holds_after_its_oldest_entries_have_gone() {
        let store = Store::memory().unwrap();
        store
            .write(|writer| {
                for _ in 0..5 {
                    append(writer, Timestamp::UNIX_EPOCH, "olga", "did", "it")?;
                }
                writer.delete_first(AUDIT, 3)?;
                append(writer, Timestamp::UNIX_EPOCH, "olga", "did", "it")
            })
            .await
            .unwrap();
        assert_eq!(store.read(first_broken).await.unwrap(), None);
        assert_eq!(store.read(|reader| reader.all(AUDIT)).await.unwrap().len(), 3);
    }
}
