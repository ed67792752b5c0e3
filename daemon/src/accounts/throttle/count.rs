//! How often something was wrong, and how long that costs.
//!
//! In memory by the clock that only goes forward; in the store by the wall clock, since only that
//! outlasts a restart. A wall clock that was wrong shortens or lengthens what is left of a wait, and
//! never beyond the longest that there is.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::target::Target;
use crate::store::records::ThrottleRecord;

const HOUR: Duration = Duration::from_hours(1);

/// Wrong attempts on one target.
pub(super) struct Count {
    wrong: u32,
    last: Instant,
    blocked_until: Instant,
    /// Of a name: when each hour with attempts began, and how many it had. Oldest first.
    hours: Vec<(Instant, u32)>,
    /// The number in the store, if there is a row.
    stored: Option<u32>,
    /// Not as it stands in the store.
    changed: bool,
}

impl Count {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            wrong: 0,
            last: now,
            blocked_until: now,
            hours: Vec::new(),
            stored: None,
            changed: false,
        }
    }

    pub(super) fn wrong(&self) -> u32 {
        self.wrong
    }

    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// How long the next attempt has to wait.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.blocked_until.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// How much would be lost with it.
    pub(super) fn weight(&self, target: &Target, now: Instant) -> u32 {
        let forgotten = now.duration_since(self.last) >= target.memory();
        // By how much of what is free is gone: fifty from a network are ten on a pair.
        if forgotten { 0 } else { self.wrong.saturating_mul(100) / target.free() }
    }

    pub(super) fn add(&mut self, target: &Target, now: Instant) {
        self.changed = true;
        if let Target::Name(_) = target {
            self.add_to_day(target, now);
        } else {
            if now.duration_since(self.last) >= target.memory() {
                self.wrong = 0;
            }
            self.wrong = self.wrong.saturating_add(1);
            if let Some(beyond) = self.wrong.checked_sub(target.free()) {
                let seconds = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX);
                self.blocked_until = now + Duration::from_secs(seconds).min(target.longest());
            }
        }
        self.last = now;
    }

    /// An hour is given back once the last attempt that it can have had is a day old.
    fn add_to_day(&mut self, target: &Target, now: Instant) {
        self.hours.retain(|(began, _)| now.duration_since(*began) < target.longest());
        match self.hours.last_mut().filter(|(began, _)| now.duration_since(*began) < HOUR) {
            Some((_, wrong)) => *wrong = wrong.saturating_add(1),
            None => self.hours.push((now, 1)),
        }
        self.sum();
        if self.wrong >= target.free() {
            let first = self.hours.first().map_or(now, |(began, _)| *began);
            self.blocked_until = first + target.longest();
        }
    }

    fn sum(&mut self) {
        let hours = self.hours.iter().map(|(_, wrong)| *wrong);
        self.wrong = hours.fold(0, u32::saturating_add);
    }

    pub(super) fn take_back(&mut self, target: &Target) {
        self.changed = true;
        if let Target::Name(_) = target {
            if let Some((_, wrong)) = self.hours.last_mut() {
                *wrong = wrong.saturating_sub(1);
            }
            self.sum();
        } else {
            self.wrong = self.wrong.saturating_sub(1);
        }
        if self.wrong < target.free() {
            self.blocked_until = self.last;
        }
    }

    pub(super) fn is_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// Whether it has to be written: when half of what is free is gone, or its row says more than
    /// it does, or at the end.
    pub(super) fn is_due(&self, target: &Target, all: bool) -> bool {
        self.changed && (all || self.wrong * 2 >= target.free() || self.is_stored())
    }

    pub(super) fn record(&self, now: Instant, wall: Timestamp) -> ThrottleRecord {
        let on_the_wall = |instant: Instant| {
            let (ahead, behind) =
                (instant.saturating_duration_since(now), now.saturating_duration_since(instant));
            wall.as_millisecond().saturating_add(millis(ahead)).saturating_sub(millis(behind))
        };
        ThrottleRecord {
            wrong: self.wrong,
            last: on_the_wall(self.last),
            blocked_until: on_the_wall(self.blocked_until),
            hours: self.hours.iter().map(|(began, wrong)| (on_the_wall(*began), *wrong)).collect(),
        }
    }

    pub(super) fn from_record(
        record: &ThrottleRecord,
        target: &Target,
        now: Instant,
        wall: Timestamp,
    ) -> Self {
        let wall = wall.as_millisecond();
        // What lies ahead of a clock that was set back happened now.
        let past = |at: i64| {
            let age = u64::try_from(wall.saturating_sub(at)).unwrap_or(0);
            now.checked_sub(Duration::from_millis(age).min(target.memory())).unwrap_or(now)
        };
        let left = u64::try_from(record.blocked_until.saturating_sub(wall)).unwrap_or(0);
        let mut count = Self {
            wrong: record.wrong,
            last: past(record.last),
            blocked_until: now + Duration::from_millis(left).min(target.longest()),
            hours: record.hours.iter().map(|(began, wrong)| (past(*began), *wrong)).collect(),
            stored: Some(record.wrong),
            changed: false,
        };
        if let Target::Name(_) = target {
            count.hours.retain(|(began, _)| now.duration_since(*began) < target.longest());
            count.sum();
        }
        count
    }

    /// It stands in the store like this now.
    pub(super) fn is_written(&mut self, record: &ThrottleRecord) {
        self.stored = Some(record.wrong);
        // Unless it went on while it was written.
        self.changed = self.wrong != record.wrong;
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
