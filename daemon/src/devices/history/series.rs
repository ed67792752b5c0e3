//! An hour of a device in the shape that the published API has for statistics.

use jiff::Timestamp;

use super::packed::{Packed, Sample};
use super::track::{MINUTES, Track, minute_of};

/// Statistics of one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Milliseconds between two points.
    pub period: i64,
    /// What the series cover.
    pub interval: Interval,
    /// Percent of all cores.
    pub cpu: Series,
    /// Percent.
    pub ram: Series,
    /// Degrees Celsius.
    pub temperature: Series,
    /// dBm, of the strongest wireless link.
    pub signal: Series,
    /// Errors of all interfaces since the point before.
    pub errors: Series,
    /// The main interface, where it is known.
    pub interfaces: Vec<InterfaceSeries>,
}

/// From when to when, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// First point.
    pub start: i64,
    /// Last point.
    pub end: i64,
}

/// Traffic of one interface, bit/s.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceSeries {
    /// The interface's name, which identifies it on its device.
    pub id: String,
    /// The same.
    pub name: String,
    /// Towards the device.
    pub receive: Series,
    /// From the device.
    pub transmit: Series,
}

/// One figure over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The mean of each step.
    pub avg: Vec<Point>,
    /// The highest value of each step. Steps are the finest that are kept, so it is the mean.
    pub max: Vec<Point>,
}

/// One point of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970.
    pub x: i64,
    /// `None` where nothing is known: a gap.
    pub y: Option<f64>,
}

const MINUTE: i64 = 60_000;

/// The hour before `now`: minute by minute, the last minutes report by report where the device is
/// being watched. `None` is a device of which nothing is known: an hour of gaps.
pub(super) fn last_hour(track: Option<&Track>, now: Timestamp) -> Statistics {
    let end = minute_of(now);
    let start = end.saturating_sub(MINUTES - 1);
    let points = match track {
        Some(track) => points(track, start, end),
        None => (start..=end).map(|minute| (at_minute(minute), Packed::GAP)).collect(),
    };
    let points: Vec<(i64, Sample)> = points.into_iter().map(|(x, it)| (x, it.unpack())).collect();
    let series = |field: fn(&Sample) -> Option<f64>| {
        let avg: Vec<Point> =
            points.iter().map(|(x, sample)| Point { x: *x, y: field(sample) }).collect();
        Series { max: avg.clone(), avg }
    };
    let interface = track.map(Track::interface).filter(|name| !name.is_empty());
    let interfaces = interface.map(|name| InterfaceSeries {
        id: name.to_owned(),
        name: name.to_owned(),
        receive: series(|sample| sample.receive),
        transmit: series(|sample| sample.transmit),
    });
    Statistics {
        period: MINUTE,
        interval: Interval { start: at_minute(start), end: now.as_millisecond() },
        cpu: series(|sample| sample.cpu),
        ram: series(|sample| sample.ram),
        temperature: series(|sample| sample.temperature),
        signal: series(|sample| sample.signal),
        errors: series(|sample| sample.errors),
        interfaces: interfaces.into_iter().collect(),
    }
}

fn points(track: &Track, start: u32, end: u32) -> Vec<(i64, Packed)> {
    let fine_from = track.fine().next().map_or(u32::MAX, |(second, _)| second / 60);
    let minutes = (start..=end.min(fine_from.saturating_sub(1)))
        .map(|minute| (at_minute(minute), track.minute(minute)));
    let reports = track
        .fine()
        .filter(|(second, _)| (start..=end).contains(&(second / 60)))
        .map(|(second, packed)| (i64::from(second) * 1000, packed));
    // The reports have stopped since.
    let last = track.fine().last().map_or(u32::MAX, |(second, _)| second / 60);
    let after = (last.saturating_add(1)..=end).map(|minute| (at_minute(minute), Packed::GAP));
    minutes.chain(reports).chain(after).collect()
}

fn at_minute(minute: u32) -> i64 {
    i64::from(minute) * MINUTE
}

#[cfg(test)]
mod tests {
    use aerie_protocol::inform::{Interface, Status};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn report(cpu_permille: u32) -> Status {
        let eth0 = Interface { name: "eth0".to_owned(), plugged: true, ..Interface::default() };
        Status { cpu_permille, interfaces: vec![eth0], ..Status::default() }
    }

    #[test]
    fn a_device_without_history_has_an_hour_of_gaps() {
        let statistics = last_hour(None, at(30));
        assert_eq!(statistics.cpu.avg.len(), 60);
        assert!(statistics.cpu.avg.iter().all(|point| point.y.is_none()));
        assert_eq!(statistics.interval.end - statistics.cpu.avg[59].x, 30_000);
        assert!(statistics.interfaces.is_empty());
    }

    #[test]
    fn the_hour_ends_with_the_single_reports_of_a_watched_device() {
        let mut track = Track::default();
        for minute in 0..60 {
            track.record(at(minute * 60), &report(100));
        }
        for second in 0..20 {
            track.record(at(3_540 + 2 + second * 2), &report(500));
        }
        let statistics = last_hour(Some(&track), at(3_590));
        let cpu = &statistics.cpu.avg;
        assert_eq!(cpu.len(), 59 + 20);
        assert!(cpu.is_sorted_by(|a, b| a.x < b.x));
        assert_eq!(cpu.first().unwrap().y, Some(10.0));
        assert_eq!(cpu.last().unwrap().y, Some(50.0));
        assert_eq!(statistics.interfaces[0].name, "eth0");
        assert_eq!(statistics.interfaces[0].receive.avg[0].y, None);
    }
}
