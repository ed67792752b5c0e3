//! How fast devices may come in.
//!
//! After a power cut a whole network knocks at once. A token bucket lets in what the machine can
//! greet and tells the rest when to come back, each at a moment of its own, so that none is lost.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::network::SourceNetwork;

/// Whether a device may connect now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Come in.
    Accept,
    /// Come back after this time.
    RetryAfter(Duration),
}

/// Shortest and longest time that a device is sent away for.
const AWAY: std::ops::Range<u64> = 5..31;

/// The token buckets at the door.
pub(super) struct AdmissionControl {
    connects: DefaultDirectRateLimiter,
    strangers: DefaultKeyedRateLimiter<SourceNetwork>,
}

impl AdmissionControl {
    /// Lets in `connects_per_second` connections in all, and `strangers_per_minute` new
    /// identities from each source network.
    pub(super) fn new(connects_per_second: NonZeroU32, strangers_per_minute: NonZeroU32) -> Self {
        Self {
            connects: RateLimiter::direct(Quota::per_second(connects_per_second)),
            strangers: RateLimiter::keyed(Quota::per_minute(strangers_per_minute)),
        }
    }

    /// Asked at every upgrade, before anything is allocated for the device.
    pub(super) fn connect(&self) -> Admission {
        match self.connects.check() {
            Ok(()) => Admission::Accept,
            Err(_) => Admission::RetryAfter(away()),
        }
    }

    /// Asked when an identity knocks that nobody knows.
    pub(super) fn stranger(&self, source: IpAddr) -> Admission {
        match self.strangers.check_key(&source.into()) {
            Ok(()) => Admission::Accept,
            Err(_) => Admission::RetryAfter(away()),
        }
    }

    /// Forgets sources that have not been seen for a while.
    pub(super) fn sweep(&self) {
        self.strangers.retain_recent();
        self.strangers.shrink_to_fit();
    }
}

/// A moment of its own for each device that is sent away.
fn away() -> Duration {
    Duration::from_millis(super::jitter::between(AWAY.start * 1000..AWAY.end * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_spread_and_told_when_to_come_back() {
        let three = NonZeroU32::new(3).unwrap();
        let control = AdmissionControl::new(three, three);
        let answers: Vec<_> = (0..50).map(|_| control.connect()).collect();
        let accepted = answers.iter().filter(|answer| **answer == Admission::Accept).count();
        assert!((3..10).contains(&accepted), "{accepted} were let in");
        let mut aways: Vec<_> = answers
            .iter()
            .filter_map(|answer| match answer {
                Admission::RetryAfter(away) => Some(*away),
                Admission::Accept => None,
            })
            .collect();
        assert!(aways.iter().all(|away| (5..31).contains(&away.as_secs())));
        aways.dedup();
        assert!(aways.len() > 5, "all were sent away for the same time");
    }

    #[test]
    fn strangers_of_one_network_do_not_use_up_the_share_of_another() {
        let control = AdmissionControl::new(NonZeroU32::MAX, NonZeroU32::new(2).unwrap());
        let flood: IpAddr = "198.51.100.7".parse().unwrap();
        let neighbour: IpAddr = "198.51.100.200".parse().unwrap();
        let honest: IpAddr = "203.0.113.9".parse().unwrap();
        assert_eq!(control.stranger(flood), Admission::Accept);
        assert_eq!(control.stranger(neighbour), Admission::Accept);
        assert!(matches!(control.stranger(flood), Admission::RetryAfter(_)));
        assert_eq!(control.stranger(honest), Admission::Accept);
    }
}
