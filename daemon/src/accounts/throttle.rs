//! Guesses cost time, and strangers do not lock the owner out.
//!
//! Wrong attempts are counted three times: for a name from one network, for that network whatever
//! the name (one password tried on many names), and for a name whatever the network (many machines
//! on one name). Beyond its free attempts each of the first two doubles the wait, up to a quarter
//! of an hour; the last allows so many within any day. An attempt within a wait is answered at once
//! and counts nowhere.
//!
//! Where an account has logged in before, it is at home, and only the first count is asked: what
//! strangers do elsewhere, or with other names from the same network, keeps nobody out there.
//!
//! An attempt counts before it is checked, so that two hundred at the same moment count as two
//! hundred. Counts that are half way or further are written within a second, in one transaction for
//! all: a power cut loses those of that second, and a clean end loses none. Names stand there as a
//! keyed hash, since whoever slips types a password there.

mod count;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha384;
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::count::Count;
use self::target::{NameHash, Target};
use crate::network::SourceNetwork;
use crate::store::records::ThrottleRecord;
use crate::store::tables::THROTTLE;
use crate::store::{StoreError, Writer};

/// Counts in memory; beyond it the smallest go, and of these the oldest.
const COUNTS: usize = 10_000;

/// Come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// After this time.
    pub retry_after: Duration,
}

/// All counts.
pub(super) struct Throttle {
    /// Makes names unreadable.
    key: Zeroizing<Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: HashMap<Target, Count>,
    /// Rows of counts that are gone, still in the store.
    gone: Vec<String>,
}

/// An attempt that has been counted as wrong, until somebody says otherwise.
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    targets: Vec<Target>,
    /// Those of which it used up what is free.
    full: Vec<Target>,
}

/// What is to be written.
pub(super) struct Unwritten {
    rows: Vec<(Target, ThrottleRecord)>,
    gone: Vec<String>,
}

impl Throttle {
    /// With what an earlier life wrote. The `key` has to outlast restarts.
    pub(super) fn restored(
        key: &[u8],
        rows: Vec<(String, ThrottleRecord)>,
        wall: Timestamp,
    ) -> Self {
        let (mut state, now) = (State::default(), Instant::now());
        for (row, record) in rows {
            match Target::from_row(&row) {
                Some(target) => {
                    let count = Count::from_record(&record, &target, now, wall);
                    state.counts.insert(target, count);
                }
                None => state.gone.push(row),
            }
        }
        Self { key: Zeroizing::new(key.to_vec()), state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, name: &str) -> NameHash {
        let mut hash = NameHash::default();
        // A key of any length will do, so there is one.
        if let Ok(mut mac) = Hmac::<Sha384>::new_from_slice(&self.key) {
            mac.update(b"throttle\0");
            mac.update(name.as_bytes());
            let full = mac.finalize().into_bytes();
            hash.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        }
        hash
    }

    /// Counts an attempt on `name`, or says when the next one may come. `at_home`: the account has
    /// logged in from this network before.
    pub(super) fn attempt(
        &self,
        name: &str,
        network: SourceNetwork,
        at_home: bool,
    ) -> Result<Attempt<'_>, TooMany> {
        let (now, name) = (Instant::now(), self.hash(name));
        let mut targets = vec![Target::Pair(name, network)];
        if !at_home {
            targets.extend([Target::Network(network), Target::Name(name)]);
        }
        let mut state = self.lock();
        let waits = targets.iter().filter_map(|target| state.counts.get(target)?.wait(now));
        if let Some(retry_after) = waits.max() {
            return Err(TooMany { retry_after });
        }
        let full = targets.iter().filter(|target| state.count(target, now)).copied().collect();
        drop(state);
        Ok(Attempt { throttle: self, targets, full })
    }

    /// Forgets what was counted on a name: its owner has proven otherwise who it is.
    pub(super) fn pardon(&self, name: &str) {
        let hash = self.hash(name);
        let mut state = self.lock();
        let of_name: Vec<Target> =
            state.counts.keys().filter(|target| target.name() == Some(&hash)).copied().collect();
        for target in &of_name {
            state.remove(target);
        }
    }

    /// What has to be written: counts that are half way or further, or all that there are.
    pub(super) fn unwritten(&self, all: bool, wall: Timestamp) -> Unwritten {
        let (state, now) = (self.lock(), Instant::now());
        let due = state.counts.iter().filter(|(target, count)| count.is_due(target, all));
        let rows = due.map(|(target, count)| (*target, count.record(now, wall))).collect();
        Unwritten { rows, gone: state.gone.clone() }
    }

    /// This stands in the store now.
    pub(super) fn written(&self, written: &Unwritten) {
        let mut state = self.lock();
        for (target, record) in &written.rows {
            match state.counts.get_mut(target) {
                Some(count) => count.is_written(record),
                // Gone while it was written.
                None => state.gone.push(target.row()),
            }
        }
        state.gone.retain(|row| !written.gone.contains(row));
    }
}

impl Unwritten {
    /// Nothing has to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.gone.is_empty()
    }

    /// Writes all of it.
    pub(super) fn put(&self, writer: &Writer<'_>) -> Result<(), StoreError> {
        for row in &self.gone {
            writer.delete(THROTTLE, row.as_str())?;
        }
        for (target, record) in &self.rows {
            writer.put(THROTTLE, target.row().as_str(), record)?;
        }
        Ok(())
    }
}

impl State {
    /// Counts; whether that used up what is free.
    fn count(&mut self, target: &Target, now: Instant) -> bool {
        if self.counts.len() >= COUNTS && !self.counts.contains_key(target) {
            self.make_room(now);
        }
        let count = self.counts.entry(*target).or_insert_with(|| Count::new(now));
        count.add(target, now);
        count.wrong() == target.free()
    }

    /// A tenth at a time, so that a flood of names does not look through all of them for each. The
    /// smallest counts go: a flood cannot wash a long siege away.
    fn make_room(&mut self, now: Instant) {
        let mut least: Vec<(u32, Instant, Target)> = self
            .counts
            .iter()
            .map(|(target, count)| (count.weight(target, now), count.last(), *target))
            .collect();
        let tenth = COUNTS / 10;
        if least.len() > tenth {
            least.select_nth_unstable_by_key(tenth, |(weight, last, _)| (*weight, *last));
        }
        for (_, _, target) in least.iter().take(tenth) {
            self.remove(target);
        }
    }

    fn remove(&mut self, target: &Target) {
        if self.counts.remove(target).is_some_and(|count| count.is_stored()) {
            self.gone.push(target.row());
        }
    }
}

impl Attempt<'_> {
    /// Whether it is the one that used up what its network has free.
    pub(super) fn fills_network(&self) -> bool {
        self.full.iter().any(|target| matches!(target, Target::Network(_)))
    }

    /// Whether it is the one that used up what its name has free in a day.
    pub(super) fn fills_day(&self) -> bool {
        self.full.iter().any(|target| matches!(target, Target::Name(_)))
    }

    /// The password was right: the name's count from here is cleared.
    pub(super) fn right(self) {
        let mut state = self.throttle.lock();
        for target in &self.targets {
            match target {
                Target::Pair(..) => state.remove(target),
                Target::Network(_) | Target::Name(_) => state.take_back(target),
            }
        }
    }

    /// The password was not looked at.
    pub(super) fn unchecked(self) {
        let mut state = self.throttle.lock();
        for target in &self.targets {
            state.take_back(target);
        }
    }
}

impl State {
    fn take_back(&mut self, target: &Target) {
        if let Some(count) = self.counts.get_mut(target) {
            count.take_back(target);
        }
    }
}
