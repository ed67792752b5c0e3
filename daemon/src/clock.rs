//! What time it is. Handed to who needs it, so that tests choose it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// A source of wall-clock time. For lengths of time use `tokio::time::Instant`.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

/// Moves a manual clock.
#[derive(Clone, Debug)]
pub struct ClockHand(Arc<AtomicI64>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands until its hand moves it. Precise to a millisecond.
    pub fn manual(now: Timestamp) -> (Self, ClockHand) {
        let millis = Arc::new(AtomicI64::new(now.as_millisecond()));
        (Self(Source::Manual(Arc::clone(&millis))), ClockHand(millis))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(millis) => {
                Timestamp::from_millisecond(millis.load(Ordering::Acquire)).unwrap_or_default()
            }
        }
    }
}

impl ClockHand {
    /// Puts the clock forward.
    pub fn advance(&self, by: std::time::Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, Ordering::AcqRel);
    }
}
