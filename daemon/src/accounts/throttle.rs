//! Guesses cost time, and strangers do not lock the owner out.
//!
//! Wrong attempts are counted three times: for a name from one network, for that network whatever
//! the name (one password tried on many names), and for a name whatever the network (many machines
//! on one name). Beyond its free attempts each count doubles the wait, and an attempt within the
//! wait is answered at once. The last count is not asked where the account has a live login from
//! the same network: a crowd elsewhere does not keep its owner out.
//!
//! An attempt counts before it is checked, so that two hundred at the same moment count as two
//! hundred.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::network::SourceNetwork;

/// Free attempts on one name from one network.
const FREE_PAIR: u32 = 10;
/// Free attempts from one network: several people may share it.
const FREE_NETWORK: u32 = 50;
/// Free attempts on one name.
const FREE_NAME: u32 = 100;
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(15);
/// How long a count is remembered after its last attempt.
const MEMORY: Duration = Duration::from_hours(1);
/// Counts in memory; beyond it the oldest go.
const COUNTS: usize = 10_000;
/// Characters of a name that count.
const NAME_CHARS: usize = 128;

/// Come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// After this time.
    pub retry_after: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    Pair(String, SourceNetwork),
    Network(SourceNetwork),
    Name(String),
}

impl Target {
    fn free(&self) -> u32 {
        match self {
            Self::Pair(..) => FREE_PAIR,
            Self::Network(_) => FREE_NETWORK,
            Self::Name(_) => FREE_NAME,
        }
    }
}

#[derive(Clone, Copy)]
struct Count {
    wrong: u32,
    blocked_until: Instant,
    last: Instant,
}

/// All counts.
#[derive(Default)]
pub(super) struct Throttle {
    counts: Mutex<HashMap<Target, Count>>,
}

/// An attempt that has been counted as wrong, until somebody says otherwise.
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    targets: Vec<Target>,
}

impl Throttle {
    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an attempt on `name`, or says when the next one may come. `at_home`: the account has
    /// a live login from this network.
    pub(super) fn attempt(
        &self,
        name: &str,
        network: SourceNetwork,
        at_home: bool,
    ) -> Result<Attempt<'_>, TooMany> {
        let now = Instant::now();
        // Bounded: a name is what somebody typed.
        let name: String = name.chars().take(NAME_CHARS).collect();
        let mut targets = vec![Target::Pair(name.clone(), network), Target::Network(network)];
        if !at_home {
            targets.push(Target::Name(name));
        }
        let mut counts = self.lock();
        let waits = targets.iter().filter_map(|target| counts.get(target));
        let blocked = waits.map(|count| count.blocked_until).max().filter(|until| now < *until);
        if let Some(until) = blocked {
            return Err(TooMany { retry_after: until - now });
        }
        for target in &targets {
            count(&mut counts, target, now);
        }
        drop(counts);
        Ok(Attempt { throttle: self, targets })
    }
}

fn count(counts: &mut HashMap<Target, Count>, target: &Target, now: Instant) {
    if counts.len() >= COUNTS && !counts.contains_key(target) {
        make_room(counts, now);
    }
    let fresh = Count { wrong: 0, blocked_until: now, last: now };
    let count = counts.entry(target.clone()).or_insert(fresh);
    if now.duration_since(count.last) >= MEMORY {
        *count = fresh;
    }
    count.wrong = count.wrong.saturating_add(1);
    count.last = now;
    if let Some(beyond) = count.wrong.checked_sub(target.free()) {
        let seconds = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX);
        count.blocked_until = now + Duration::from_secs(seconds).min(LONGEST);
    }
}

/// A tenth at a time, so that a flood of names does not look through all of them for each.
fn make_room(counts: &mut HashMap<Target, Count>, now: Instant) {
    counts.retain(|_, count| now.duration_since(count.last) < MEMORY);
    let mut ages: Vec<Instant> = counts.values().map(|count| count.last).collect();
    if ages.len() < COUNTS {
        return;
    }
    let (_, oldest, _) = ages.select_nth_unstable(COUNTS / 10);
    let oldest = *oldest;
    counts.retain(|_, count| count.last > oldest);
}

impl Attempt<'_> {
    /// The password was right: the name's count from here is cleared.
    pub(super) fn right(self) {
        let mut counts = self.throttle.lock();
        for target in &self.targets {
            match target {
                Target::Pair(..) => drop(counts.remove(target)),
                Target::Network(_) | Target::Name(_) => take_back(&mut counts, target),
            }
        }
    }

    /// The password was not looked at.
    pub(super) fn unchecked(self) {
        let mut counts = self.throttle.lock();
        for target in &self.targets {
            take_back(&mut counts, target);
        }
    }
}

fn take_back(counts: &mut HashMap<Target, Count>, target: &Target) {
    if let Some(count) = counts.get_mut(target) {
        count.wrong = count.wrong.saturating_sub(1);
        if count.wrong < target.free() {
            count.blocked_until = count.last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(source: &str) -> SourceNetwork {
        SourceNetwork::from(source.parse::<std::net::IpAddr>().unwrap())
    }

    const HERE: SourceNetwork = SourceNetwork::V4([198, 51, 100]);

    #[tokio::test(start_paused = true)]
    async fn ten_guesses_are_free_and_then_the_wait_doubles() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            throttle.attempt("olga", HERE, false).unwrap();
        }
        for wait in [1, 2, 4, 8] {
            let refused = throttle.attempt("olga", HERE, false).err().unwrap();
            assert_eq!(refused.retry_after, Duration::from_secs(wait));
            tokio::time::advance(refused.retry_after).await;
            throttle.attempt("olga", HERE, false).unwrap();
        }
        tokio::time::advance(MEMORY).await;
        for _ in 0..10 {
            throttle.attempt("olga", HERE, false).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_has_an_end() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            if let Err(refused) = throttle.attempt("olga", HERE, true) {
                assert!(refused.retry_after <= LONGEST);
                tokio::time::advance(refused.retry_after).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_hundred_at_once_count_as_two_hundred() {
        let throttle = Throttle::default();
        let passed = (0..200).filter(|_| throttle.attempt("olga", HERE, false).is_ok()).count();
        assert_eq!(passed, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn one_password_tried_on_many_names_is_held_back() {
        let throttle = Throttle::default();
        let passed = (0..200)
            .filter(|number| throttle.attempt(&format!("name {number}"), HERE, false).is_ok())
            .count();
        assert_eq!(passed, 50);
        throttle.attempt("olga", network("203.0.113.5"), false).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn many_machines_on_one_name_are_held_back_and_do_not_lock_its_owner_out() {
        let throttle = Throttle::default();
        let passed = (0..=255)
            .filter(|third| {
                throttle.attempt("olga", SourceNetwork::V4([10, 0, *third]), false).is_ok()
            })
            .count();
        assert_eq!(passed, 100);
        assert!(throttle.attempt("olga", HERE, false).is_err());
        throttle.attempt("olga", HERE, true).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_does_not_lock_out_the_owner_elsewhere() {
        let throttle = Throttle::default();
        while throttle.attempt("olga", HERE, false).is_ok() {}
        assert!(throttle.attempt("olga", network("198.51.100.200"), false).is_err());
        throttle.attempt("olga", network("203.0.113.5"), false).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn right_passwords_and_unchecked_ones_do_not_count() {
        let throttle = Throttle::default();
        for _ in 0..300 {
            throttle.attempt("olga", HERE, false).unwrap().right();
            throttle.attempt("olga", HERE, false).unwrap().unchecked();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_names_uses_bounded_memory() {
        let throttle = Throttle::default();
        for number in 0..15_000_u32 {
            let [_, a, b, c] = number.to_be_bytes();
            throttle.attempt(&format!("{number}"), SourceNetwork::V4([a, b, c]), true).unwrap();
            if number % 100 == 0 {
                tokio::time::advance(Duration::from_millis(1)).await;
            }
        }
        assert!(throttle.lock().len() <= COUNTS + 1);
    }
}
