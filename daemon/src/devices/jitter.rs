//! Random moments, so that a crowd does not act as one. Not for secrets.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number in `range`, which must not be empty.
pub(super) fn between(range: Range<u64>) -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Keyed by the system's randomness once a process.
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let width = range.end.saturating_sub(range.start).max(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    range.start + KEY.hash_one(count) % width
}

#[cfg(test)]
mod tests {
    #[test]
    fn stays_in_its_range_and_moves() {
        let numbers: Vec<u64> = (0..1000).map(|_| super::between(15..21)).collect();
        assert!(numbers.iter().all(|number| (15..21).contains(number)));
        assert!((15..21).all(|number| numbers.contains(&number)));
    }
}
