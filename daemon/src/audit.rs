//! Who did what: a chain in which every entry carries the hash of the one before.
//!
//! Bounded: beyond [`KEPT`] entries the oldest go. What is left is still a chain; only the first
//! entry's link then leads to nothing that could be checked.

use std::net::IpAddr;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::store::records::AuditRecord;
use crate::store::tables::AUDIT;
use crate::store::{Reader, StoreError, Writer};

/// Entries that are kept: years of an appliance's life, and some 20 MB.
const KEPT: u64 = 100_000;

/// Something that was done, on its way into the log.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    who: &'a str,
    what: &'a str,
    about: &'a str,
    address: Option<IpAddr>,
}

impl<'a> Deed<'a> {
    /// Who did what to what.
    pub fn new(who: &'a str, what: &'a str, about: &'a str) -> Self {
        Self { who, what, about, address: None }
    }

    /// The same, from where.
    #[must_use]
    pub fn sent_from(self, address: IpAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Adds it, in the transaction of what it tells about.
    pub fn write(self, writer: &Writer<'_>, at: Timestamp) -> Result<(), StoreError> {
        let (number, before) = match writer.last_key(AUDIT)? {
            Some(last) => {
                let hash = writer.get(AUDIT, &last)?.map_or([0; 32], |record| record.hash);
                (last + 1, hash)
            }
            None => (0, [0; 32]),
        };
        let mut record = AuditRecord {
            at: at.as_millisecond(),
            who: self.who.to_owned(),
            what: self.what.to_owned(),
            about: self.about.to_owned(),
            address: self.address.map(|address| address.to_canonical().to_string()),
            hash: [0; 32],
        };
        record.hash = link(before, &record);
        writer.put(AUDIT, &number, &record)?;
        writer.delete_first(AUDIT, writer.len(AUDIT)?.saturating_sub(KEPT))
    }
}

/// Adds an entry that came from nowhere in particular.
pub fn append(
    writer: &Writer<'_>,
    at: Timestamp,
    who: &str,
    what: &str,
    about: &str,
) -> Result<(), StoreError> {
    Deed::new(who, what, about).write(writer, at)
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
    // An entry without an address is linked as it was before there were any.
    let texts = [&record.who, &record.what, &record.about];
    for text in texts.into_iter().chain(&record.address) {
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
