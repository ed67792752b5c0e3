//! Who did what: a chain in which every entry carries the hash of the one before.
//!
//! Bounded: beyond [`KEPT`] entries the oldest go. What is left is still a chain; only the first
//! entry's link then leads to nothing that could be checked.

use std::collections::VecDeque;
use std::net::IpAddr;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store::records::AuditRecord;
use crate::store::tables::AUDIT;
use crate::store::{Reader, StoreError, Writer};

/// Entries that are kept: years of an appliance's life, and some 20 MB.
const KEPT: u64 = 100_000;

/// Who changes something, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// The account.
    pub account: Uuid,
    /// Its address.
    pub address: IpAddr,
}

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

/// Adds what an account did, with where it came from.
pub fn note(
    writer: &Writer<'_>,
    at: Timestamp,
    by: Actor,
    what: &str,
    about: &str,
) -> Result<(), StoreError> {
    Deed::new(&by.account.to_string(), what, about).sent_from(by.address).write(writer, at)
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

/// Which entries are wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// Only what this one did: an account's id, or a part of the appliance.
    pub who: Option<String>,
    /// Only these deeds; none stands for all.
    pub what: Vec<String>,
    /// Entries a page.
    pub count: usize,
    /// Which page, from 1, the newest entries first.
    pub page: usize,
}

/// Some entries, newest first.
#[derive(Debug)]
pub struct Page {
    /// Each with its number.
    pub entries: Vec<(u64, AuditRecord)>,
    /// How many there are in all pages.
    pub total: u64,
    /// The first entry that is not as it was written, or follows on one that is missing.
    pub broken_at: Option<u64>,
}

impl Query {
    fn wants(&self, record: &AuditRecord) -> bool {
        self.who.as_ref().is_none_or(|who| *who == record.who)
            && (self.what.is_empty() || self.what.contains(&record.what))
    }
}

/// A page of the log. Reads all of it, in order, and checks the chain on the way: some 0.1 s for a
/// full one.
pub fn page(reader: &Reader, query: &Query) -> Result<Page, StoreError> {
    // Of the newest that match, as many as this page and those before it have.
    let (mut chain, mut total, mut newest) = (Chain::default(), 0, VecDeque::new());
    let reach = query.count.saturating_mul(query.page.max(1));
    reader.each(AUDIT, |number, record| {
        chain.follow(number, &record);
        if query.wants(&record) {
            total += 1;
            if newest.len() >= reach {
                newest.pop_front();
            }
            newest.push_back((number, record));
        }
    })?;
    let before = query.count.saturating_mul(query.page.saturating_sub(1));
    let entries = newest.into_iter().rev().skip(before).take(query.count).collect();
    Ok(Page { entries, total, broken_at: chain.broken_at })
}

/// Whether every entry is as it was written, and none in between is missing. The number of the
/// first that is not, if one is.
pub fn first_broken(reader: &Reader) -> Result<Option<u64>, StoreError> {
    let mut chain = Chain::default();
    reader.each(AUDIT, |number, record| chain.follow(number, &record))?;
    Ok(chain.broken_at)
}

/// Follows the chain from its first entry that is left.
#[derive(Default)]
struct Chain {
    /// Number and hash of the entry before.
    before: Option<(u64, [u8; 32])>,
    broken_at: Option<u64>,
}

impl Chain {
    fn follow(&mut self, number: u64, record: &AuditRecord) {
        let whole = match self.before {
            Some((before, hash)) => number == before + 1 && record.hash == link(hash, record),
            // The very first entry follows on nothing. A later one, once older entries have gone,
            // on a hash that is not known any more.
            None => number != 0 || record.hash == link([0; 32], record),
        };
        if !whole {
            self.broken_at = self.broken_at.or(Some(number));
        }
        self.before = Some((number, record.hash));
    }
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
    async fn an_address_is_covered_by_the_hash_and_may_be_missing() {
        let store = Store::memory().unwrap();
        let write = |writer: &Writer<'_>| {
            append(writer, Timestamp::UNIX_EPOCH, "olga", "did", "it")?;
            let deed = Deed::new("olga", "did", "it").sent_from([198, 51, 100, 7].into());
            deed.write(writer, Timestamp::UNIX_EPOCH)
        };
        store.write(write).await.unwrap();
        assert_eq!(store.read(first_broken).await.unwrap(), None);
        for (number, address) in [(1, None), (0, Some("198.51.100.7".to_owned()))] {
            let change = move |writer: &Writer<'_>| {
                let mut record = writer.get(AUDIT, &number)?.unwrap();
                let before = std::mem::replace(&mut record.address, address.clone());
                writer.put(AUDIT, &number, &record)?;
                Ok(before)
            };
            let before = store.write(change).await.unwrap();
            assert_eq!(store.read(first_broken).await.unwrap(), Some(number));
            let undo = move |writer: &Writer<'_>| {
                let mut record = writer.get(AUDIT, &number)?.unwrap();
                record.address.clone_from(&before);
                writer.put(AUDIT, &number, &record)
            };
            store.write(undo).await.unwrap();
        }
    }

    #[tokio::test]
    async fn pages_come_newest_first_and_by_who_and_what() {
        let store = Store::memory().unwrap();
        for number in 0..10 {
            let (who, what) = (["olga", "oleg"][number % 2], ["login", "logout"][number / 5]);
            let about = number.to_string();
            let write =
                move |writer: &Writer<'_>| append(writer, Timestamp::UNIX_EPOCH, who, what, &about);
            store.write(write).await.unwrap();
        }
        let found = async |who: Option<&str>, what: &[&str], page| {
            let query = Query {
                who: who.map(str::to_owned),
                what: what.iter().map(|what| (*what).to_owned()).collect(),
                count: 3,
                page,
            };
            let page = store.read(move |reader| super::page(reader, &query)).await.unwrap();
            assert_eq!(page.broken_at, None);
            let numbers: Vec<u64> = page.entries.iter().map(|(number, _)| *number).collect();
            (numbers, page.total)
        };
        assert_eq!(found(None, &[], 1).await, (vec![9, 8, 7], 10));
        assert_eq!(found(None, &[], 4).await, (vec![0], 10));
        assert_eq!(found(None, &[], 5).await, (vec![], 10));
        assert_eq!(found(Some("olga"), &[], 2).await, (vec![2, 0], 5));
        assert_eq!(found(Some("oleg"), &["login"], 1).await, (vec![3, 1], 2));
        assert_eq!(found(None, &["login", "logout"], 1).await.1, 10);
        assert_eq!(found(None, &["nothing"], 1).await, (vec![], 0));
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
