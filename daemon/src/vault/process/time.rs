//! What time it is for the vault: the machine's clock for people, and a time of its own for waits
//! and limits, which nobody sets.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clock::Clock;

/// A moment, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// That the vault has lived through. Only grows, whatever is done to the machine's clock.
    pub(super) lived: i64,
    /// Since 1970, by the machine's clock.
    pub(super) wall: i64,
}

/// Tells the time.
pub(super) struct Times {
    clock: Clock,
    from: i64,
    started: Instant,
}

impl Times {
    /// Goes on from what an earlier life wrote last. What passed in between is known from the clock
    /// alone: one that was set back makes it nothing.
    pub(super) fn resume(clock: Clock, last: Moment) -> Self {
        let away = clock.now().as_millisecond().saturating_sub(last.wall);
        let from = last.lived.saturating_add(if last.wall == 0 { 0 } else { away.max(0) });
        Self { clock, from, started: Instant::now() }
    }

    pub(super) fn now(&self) -> Moment {
        let passed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Moment { lived: self.from.saturating_add(passed), wall: self.clock.now().as_millisecond() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn v1_a_clock_that_is_set_moves_no_wait() {
        let (clock, hand) = Clock::manual(Timestamp::from_second(1_000_000).unwrap());
        let times = Times::resume(clock.clone(), Moment::default());
        assert_eq!(times.now().lived, 0);
        hand.advance(Duration::from_mins(150));
        assert_eq!(times.now().lived, 0, "forward");
        tokio::time::advance(Duration::from_secs(5)).await;
        let last = times.now();
        assert_eq!(last, Moment { lived: 5_000, wall: 1_009_000_000 });
        // A new life, with the clock right, back and forward.
        for (wall, lived) in [(1_009_000, 5_000), (5, 5_000), (1_009_007, 12_000)] {
            let (clock, _) = Clock::manual(Timestamp::from_second(wall).unwrap());
            assert_eq!(Times::resume(clock, last).now().lived, lived, "{wall}");
        }
    }
}
