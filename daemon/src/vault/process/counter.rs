//! What the vault counts: openings, those of the last hour, and wrong tries. On the disk before
//! anything is answered.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::time::Moment;
use super::tries::{Guessed, Tries};

/// The file's name.
pub(super) const NAME: &str = "counter";
/// Bytes of it: a thousand openings an hour.
pub(super) const BYTES: usize = 64 * 1_024;
/// Milliseconds of an hour.
const HOUR: i64 = 3_600_000;

/// All counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    /// Openings since the vault was made.
    pub(super) opened: u64,
    /// When those of the last hour were, in the vault's own time.
    hour: VecDeque<i64>,
    key: Tries,
    pin: Tries,
    totp: Tries,
    /// When this was written.
    #[serde(default)]
    pub(super) written: Moment,
}

impl Counter {
    /// Counts an opening for a person, or says in how many seconds one is possible.
    pub(super) fn open(&mut self, an_hour: u32, lived: i64) -> Result<(), u64> {
        while self.hour.front().is_some_and(|at| at.saturating_add(HOUR) <= lived) {
            self.hour.pop_front();
        }
        let allowed = usize::try_from(an_hour).unwrap_or(usize::MAX);
        if let Some(beyond) = self.hour.len().checked_sub(allowed) {
            // So many have to become older than an hour; where none is allowed at all, an hour.
            let at = self.hour.get(beyond).copied().unwrap_or(lived);
            let left = at.saturating_add(HOUR).saturating_sub(lived);
            return Err(u64::try_from(left).unwrap_or_default().div_ceil(1_000));
        }
        self.hour.push_back(lived);
        self.opened = self.opened.saturating_add(1);
        Ok(())
    }

    /// Openings that are left of the hour's.
    pub(super) fn left(&self, an_hour: u32, lived: i64) -> u32 {
        let used = self.hour.iter().filter(|at| at.saturating_add(HOUR) > lived).count();
        an_hour.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    pub(super) fn tries(&mut self, at: Guessed) -> &mut Tries {
        match at {
            Guessed::Key => &mut self.key,
            Guessed::Pin => &mut self.pin,
            Guessed::Totp => &mut self.totp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_an_hour_opens_so_many_and_slides() {
        let mut counter = Counter::default();
        for lived in [0, 1_000, 2_000] {
            counter.open(3, lived).unwrap();
        }
        assert_eq!(counter.left(3, 2_000), 0);
        assert_eq!(counter.open(3, 2_500), Err(3_598));
        assert_eq!(counter.open(3, HOUR - 1), Err(1));
        counter.open(3, HOUR).unwrap();
        assert_eq!(counter.open(3, HOUR), Err(1));
        assert_eq!((counter.opened, counter.left(5, HOUR)), (4, 2));
        // Fewer are allowed now: so many more have to become old.
        assert_eq!(counter.open(1, HOUR), Err(3_600));
        counter.open(3, HOUR + 1_000).unwrap();
    }
}
