//! How long to wait before the next connect.
//!
//! Exponential with full jitter: after a power cut a whole town of devices comes back in the
//! same second, and only chance keeps them from knocking in step. What the appliance ordered
//! ("come back in N s") is a floor, never a ceiling.

use std::time::Duration;

/// Ceiling of the first pause.
const FIRST: Duration = Duration::from_secs(1);
/// Ceiling of every pause that nobody ordered.
const LONGEST: Duration = Duration::from_mins(1);
/// The longest order an authenticated appliance can give.
const LONGEST_ORDER: Duration = Duration::from_hours(1);

/// The pause between connects; it grows until [`Backoff::reset`].
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause. `ordered` is what the appliance asked for; `entropy` is any random number,
    /// passed in so that a test chooses it.
    pub fn next(&mut self, ordered: Option<Duration>, entropy: u64) -> Duration {
        let doubled = FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        match ordered {
            None => share(doubled.min(LONGEST), entropy),
            Some(ordered) => {
                let floor = ordered.min(LONGEST_ORDER);
                floor + share(FIRST + floor / 4, entropy)
            }
        }
    }

    /// The last session was a good one: start small again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random number for spreading things in time; without one they are not spread.
pub(crate) fn entropy() -> u64 {
    getrandom::u64().unwrap_or(0)
}

/// A fraction of `whole`, evenly spread over `entropy`, in steps of a millisecond.
fn share(whole: Duration, entropy: u64) -> Duration {
    let steps = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_millis(entropy % steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entropy that yields the ceiling of a pause of `seconds`.
    fn most(seconds: u64) -> u64 {
        seconds * 1000
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(backoff.next(None, most(seconds)), Duration::from_secs(seconds));
        }
        for _ in 0..100 {
            assert!(backoff.next(None, u64::MAX) <= LONGEST);
        }
    }

    #[test]
    fn the_jitter_reaches_down_to_nothing() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            assert_eq!(backoff.next(None, 0), Duration::ZERO);
        }
    }

    #[test]
    fn an_order_is_a_floor_with_jitter_above_it() {
        let mut backoff = Backoff::default();
        let ordered = Duration::from_secs(40);
        for entropy in [0, 1, 5_000, u64::MAX / 3, u64::MAX] {
            let pause = backoff.next(Some(ordered), entropy);
            assert!(pause >= ordered && pause <= Duration::from_secs(51), "{pause:?}");
        }
    }

    #[test]
    fn nobody_can_send_a_device_away_for_good() {
        let pause = Backoff::default().next(Some(Duration::from_secs(u64::MAX)), u64::MAX);
        assert!(pause < Duration::from_hours(2), "{pause:?}");
    }

    #[test]
    fn a_good_session_starts_it_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            backoff.next(None, 0);
        }
        backoff.reset();
        assert!(backoff.next(None, u64::MAX) <= FIRST);
    }
}
