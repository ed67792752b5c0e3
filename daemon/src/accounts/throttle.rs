//! Guesses cost time, and strangers do not lock the owner out.
//!
//! Counted by account and source network together: ten guesses are free, then each one doubles the
//! wait, and an attempt in the waiting time is answered at once. An attempt counts before it is
//! checked, so that two hundred at the same moment count as two hundred.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Guesses before the first wait.
const FREE: u32 = 10;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How long a count is remembered after its last guess.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// Counts in memory; beyond it the oldest go.
const COUNTS: usize = 10_000;

/// Come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// After this time.
    pub retry_after: Duration,
}

#[derive(Clone, Copy)]
struct Count {
    guesses: u32,
    blocked_until: Instant,
    last: Instant,
}

/// What is guessed at, from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    name: String,
    network: [u8; 8],
}

impl Target {
    pub(super) fn new(name: &str, source: IpAddr) -> Self {
        let mut network = [0; 8];
        match source.to_canonical() {
            IpAddr::V4(v4) => {
                for (to, from) in network.iter_mut().zip(v4.octets().into_iter().take(3)) {
                    *to = from;
                }
            }
            IpAddr::V6(v6) => {
                for (to, from) in network.iter_mut().zip(v6.octets()) {
                    *to = from;
                }
            }
        }
        // Bounded: a name is what somebody typed.
        Self { name: name.to_lowercase().chars().take(128).collect(), network }
    }
}

/// All counts.
#[derive(Default)]
pub(super) struct Throttle {
    counts: Mutex<HashMap<Target, Count>>,
}

impl Throttle {
    /// Counts a guess, or says when the next one may come.
    pub(super) fn guess(&self, target: &Target) -> Result<(), TooMany> {
        let now = Instant::now();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTS {
            counts.retain(|_, count| now.duration_since(count.last) < MEMORY);
        }
        if counts.len() >= COUNTS
            && let Some(oldest) =
                counts.iter().min_by_key(|(_, count)| count.last).map(|(target, _)| target.clone())
        {
            counts.remove(&oldest);
        }
        let fresh = Count { guesses: 0, blocked_until: now, last: now };
        let count = counts.entry(target.clone()).or_insert(fresh);
        if now.duration_since(count.last) >= MEMORY {
            *count = fresh;
        }
        if now < count.blocked_until {
            return Err(TooMany { retry_after: count.blocked_until - now });
        }
        count.guesses = count.guesses.saturating_add(1);
        count.last = now;
        if let Some(beyond) = count.guesses.checked_sub(FREE) {
            let seconds = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX);
            count.blocked_until = now + Duration::from_secs(seconds).min(LONGEST);
        }
        Ok(())
    }

    /// The guess was no guess.
    pub(super) fn right(&self, target: &Target) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(source: &str) -> Target {
        Target::new("Olga", source.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn ten_guesses_are_free_and_then_the_wait_doubles() {
        let throttle = Throttle::default();
        let target = target("198.51.100.7");
        for _ in 0..10 {
            throttle.guess(&target).unwrap();
        }
        for wait in [1, 2, 4, 8] {
            let refused = throttle.guess(&target).unwrap_err();
            assert_eq!(refused.retry_after, Duration::from_secs(wait));
            tokio::time::advance(refused.retry_after).await;
            throttle.guess(&target).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_hundred_at_once_count_as_two_hundred() {
        let throttle = Throttle::default();
        let passed =
            (0..200).filter(|_| throttle.guess(&target("198.51.100.7")).is_ok()).count();
        assert_eq!(passed, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_does_not_lock_out_the_owner_elsewhere() {
        let throttle = Throttle::default();
        while throttle.guess(&target("198.51.100.7")).is_ok() {}
        throttle.guess(&target("198.51.100.200")).unwrap_err();
        throttle.guess(&target("203.0.113.5")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_clears_the_count() {
        let throttle = Throttle::default();
        let target = target("2001:db8::7");
        for _ in 0..9 {
            throttle.guess(&target).unwrap();
        }
        throttle.right(&target);
        for _ in 0..10 {
            throttle.guess(&target).unwrap();
        }
    }
}
