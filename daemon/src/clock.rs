//! What time it is. Handed to who needs it, so that tests choose it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// No clock that is right shows less: when this program was built, or a moment before.
const BUILT: i64 = {
    /// The beginning of November 2026: no release is older.
    const FIRST: i64 = 1_793_491_200;
    // Set where builds are to be the same each time (reproducible-builds.org).
    match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) => match i64::from_str_radix(text, 10) {
            Ok(built) if built > FIRST => built,
            _ => FIRST,
        },
        None => FIRST,
    }
};

/// When this program was built, or a moment before.
pub fn built() -> Timestamp {
    Timestamp::from_second(BUILT).unwrap_or_default()
}

/// Whether a clock cannot be right: it shows a time before this program was built. A machine
/// without a battery for its clock starts that way.
pub fn is_behind(now: Timestamp) -> bool {
    now < built()
}

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
