//! What devices reported in the last hour: small enough to keep ten thousand of them in memory.
//!
//! Once a minute what is new goes to the store, all devices in one record, so that a restart keeps
//! the hour and flash memory lasts.

mod packed;
mod series;
mod track;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use aerie_protocol::inform::Status;
use jiff::Timestamp;
use uuid::Uuid;

use self::packed::{PACKED_BYTES, Packed};
use self::track::{MINUTES, Track, minute_of};
use crate::store::records::HistoryRecord;
use crate::store::{Store, StoreError, tables};

pub use self::series::{InterfaceSeries, Interval, Point, Series, Statistics};

/// Bytes of one device in the record of a minute: its id and what is known.
const ENTRY_BYTES: usize = 16 + PACKED_BYTES;

/// The packing that this release writes.
const VERSION: u8 = 1;

/// The last hour of all devices.
#[derive(Default)]
pub struct History {
    tracks: RwLock<HashMap<Uuid, Arc<Mutex<Track>>>>,
    /// The minutes that are in the store.
    stored: Mutex<BTreeSet<u32>>,
}

/// One minute of all devices, on its way to the store.
struct Minute {
    minute: u32,
    record: HistoryRecord,
}

impl History {
    /// Reads back what the store kept.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let rows = store.read(|reader| reader.all(tables::HISTORY)).await?;
        let history = Self::default();
        for (key, record) in rows {
            let Some(minute) = minute_of_key(key) else { continue };
            lock(&history.stored).insert(minute);
            // Another packing is no reason not to start: its hour is lost, that is all.
            for (id, packed) in unpack(&record.points).filter(|_| record.version == VERSION) {
                lock(&history.track(id)).restore(minute, packed);
            }
        }
        Ok(history)
    }

    /// Takes in what a device reports.
    pub fn record(&self, id: Uuid, now: Timestamp, status: &Status) {
        lock(&self.track(id)).record(now, status);
    }

    /// A device's session has ended: what it reports next does not continue what was.
    pub fn gap(&self, id: Uuid, now: Timestamp) {
        if let Some(track) = self.existing(id) {
            lock(&track).gap(now);
        }
    }

    /// A device is gone.
    pub fn forget(&self, id: Uuid) {
        self.tracks.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// When the device last reported, to the minute, if that was within the hour.
    pub fn last_seen(&self, id: Uuid) -> Option<Timestamp> {
        let newest = lock(&*self.existing(id)?).newest();
        (newest > 0).then(|| Timestamp::from_second(i64::from(newest) * 60).ok()).flatten()
    }

    /// The hour before `now`.
    pub fn statistics(&self, id: Uuid, now: Timestamp) -> Statistics {
        match self.existing(id) {
            Some(track) => series::last_hour(Some(&lock(&track)), now),
            None => series::last_hour(None, now),
        }
    }

    /// Writes the minutes that are complete and not in the store yet, in one transaction, and
    /// drops devices that have not reported for an hour. To be called about once a minute.
    pub async fn flush(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let current = minute_of(now);
        let kept = current.saturating_sub(MINUTES)..current;
        self.rest(now, kept.start);
        let stored = lock(&self.stored).clone();
        // Those ahead of us were written before the clock was set back.
        let outdated: Vec<u32> =
            stored.iter().copied().filter(|minute| !kept.contains(minute)).collect();
        let newest = stored.iter().rev().find(|minute| kept.contains(minute));
        let from = newest.map_or(kept.start, |newest| newest + 1);
        let minutes: Vec<Minute> = (from..kept.end).filter_map(|it| self.pack(it)).collect();
        if minutes.is_empty() && outdated.is_empty() {
            return Ok(());
        }
        let written: Vec<u32> = minutes.iter().map(|minute| minute.minute).collect();
        let gone = outdated.clone();
        store
            .write(move |writer| {
                for minute in &minutes {
                    writer.put(tables::HISTORY, &key_of(minute.minute), &minute.record)?;
                }
                for minute in &outdated {
                    writer.delete(tables::HISTORY, &key_of(*minute))?;
                }
                Ok(())
            })
            .await?;
        let mut stored = lock(&self.stored);
        stored.extend(written);
        stored.retain(|minute| !gone.contains(minute));
        Ok(())
    }

    fn track(&self, id: Uuid) -> Arc<Mutex<Track>> {
        if let Some(track) = self.existing(id) {
            return track;
        }
        let mut tracks = self.tracks.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tracks.entry(id).or_default())
    }

    fn existing(&self, id: Uuid) -> Option<Arc<Mutex<Track>>> {
        self.tracks.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// What all devices did in a minute, if any did.
    fn pack(&self, minute: u32) -> Option<Minute> {
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        let mut points = Vec::new();
        for (id, track) in &*tracks {
            let packed = lock(track).minute(minute);
            if packed != Packed::GAP {
                points.extend_from_slice(id.as_bytes());
                points.extend_from_slice(&packed.to_bytes());
            }
        }
        let record = HistoryRecord { version: VERSION, points };
        (!record.points.is_empty()).then_some(Minute { minute, record })
    }

    fn rest(&self, now: Timestamp, oldest: u32) {
        let mut tracks = self.tracks.write().unwrap_or_else(PoisonError::into_inner);
        tracks.retain(|_, track| {
            let mut track = lock(track);
            track.rest(now);
            track.newest() >= oldest
        });
        if tracks.capacity() > 4 * tracks.len() {
            tracks.shrink_to_fit();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rows are by minute, not by device: one write a minute instead of one for each device.
fn key_of(minute: u32) -> u64 {
    u64::from(minute)
}

fn minute_of_key(key: u64) -> Option<u32> {
    u32::try_from(key).ok()
}

fn unpack(entries: &[u8]) -> impl Iterator<Item = (Uuid, Packed)> {
    entries.chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let (id, packed) = entry.split_first_chunk::<16>()?;
        Some((Uuid::from_bytes(*id), Packed::from_bytes(packed.try_into().ok()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn report(cpu_permille: u32) -> Status {
        Status { cpu_permille, ..Status::default() }
    }

    fn cpu(history: &History, id: Uuid, now: i64) -> Vec<Option<f64>> {
        history.statistics(id, at(now)).cpu.avg.iter().map(|point| point.y).collect()
    }

    #[tokio::test]
    async fn the_hour_survives_a_restart() {
        let store = Store::memory().unwrap();
        let history = History::load(&store).await.unwrap();
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        for minute in 0..10 {
            history.record(first, at(minute), &report(100));
            history.flush(&store, at(minute)).await.unwrap();
        }
        history.record(second, at(8), &report(900));
        history.flush(&store, at(10)).await.unwrap();

        let after = History::load(&store).await.unwrap();
        let kept = cpu(&after, first, 9);
        assert_eq!(kept[50..], [Some(10.0); 10]);
        assert_eq!(kept[49], None);
        assert_eq!(after.last_seen(first), Some(at(9)));
        assert_eq!(after.last_seen(Uuid::now_v7()), None);
    }

    #[tokio::test]
    async fn the_store_keeps_an_hour_and_no_more() {
        let store = Store::memory().unwrap();
        let history = History::load(&store).await.unwrap();
        let id = Uuid::now_v7();
        for minute in 0..200 {
            history.record(id, at(minute), &report(100));
            history.flush(&store, at(minute)).await.unwrap();
        }
        let rows = store.read(|reader| reader.all(tables::HISTORY)).await.unwrap();
        assert_eq!(rows.len(), 60);
        // The clock was set back by a day: nothing of the future is left.
        history.record(id, at(-1440), &report(100));
        history.flush(&store, at(-1439)).await.unwrap();
        let rows = store.read(|reader| reader.all(tables::HISTORY)).await.unwrap();
        assert_eq!(rows.len(), 1);
    }

    #[tokio::test]
    async fn a_device_that_is_silent_for_an_hour_costs_nothing() {
        let store = Store::memory().unwrap();
        let history = History::default();
        let id = Uuid::now_v7();
        history.record(id, at(0), &report(100));
        history.flush(&store, at(59)).await.unwrap();
        assert!(history.existing(id).is_some());
        history.flush(&store, at(61)).await.unwrap();
        assert!(history.existing(id).is_none());
        assert!(cpu(&history, id, 61).iter().all(Option::is_none));
    }

    #[tokio::test]
    async fn a_deleted_device_is_forgotten() {
        let history = History::default();
        let id = Uuid::now_v7();
        history.record(id, at(0), &report(100));
        history.gap(id, at(0));
        history.forget(id);
        assert!(history.existing(id).is_none());
    }
}
