//! When a job may begin something: from its time on, or each day for a while from that time of day.
//!
//! Counted in UTC from the moment that was given, so that it does not shift with summer time.

use std::time::Duration;

use crate::store::records::JobRecord;

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Whether now is the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// It is, for as long as this where it closes again.
    Open(Option<Duration>),
    /// It is after this.
    Closed(Duration),
}

/// Whether it is a job's time. Milliseconds since 1970.
pub(super) fn window(job: &JobRecord, now: i64) -> Window {
    let Some(begins) = job.not_before else { return Window::Open(None) };
    let since = now.saturating_sub(begins);
    if since < 0 {
        return Window::Closed(milliseconds(since.saturating_neg()));
    }
    let Some(seconds) = job.window_seconds else { return Window::Open(None) };
    let (length, into_the_day) = (i64::from(seconds) * 1_000, since.rem_euclid(DAY));
    if into_the_day < length {
        Window::Open(Some(milliseconds(length - into_the_day)))
    } else {
        Window::Closed(milliseconds(DAY - into_the_day))
    }
}

fn milliseconds(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_opens_at_its_time_each_day_and_closes_again() {
        let hour = 60 * 60 * 1_000;
        let mut job = JobRecord { not_before: Some(DAY), ..JobRecord::default() };
        assert_eq!(window(&job, DAY - 5), Window::Closed(Duration::from_millis(5)));
        assert_eq!(window(&job, 9 * DAY), Window::Open(None));
        job.window_seconds = Some(2 * 60 * 60);
        assert_eq!(window(&job, DAY + hour), Window::Open(Some(Duration::from_hours(1))));
        assert_eq!(window(&job, DAY + 2 * hour), Window::Closed(Duration::from_hours(22)));
        assert_eq!(window(&job, 4 * DAY), Window::Open(Some(Duration::from_hours(2))));
        assert_eq!(window(&JobRecord::default(), 0), Window::Open(None));
    }
}
