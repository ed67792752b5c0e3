//! The last hour of one device.

use std::collections::VecDeque;

use aerie_protocol::inform::{Interface, Status};
use jiff::Timestamp;

use super::packed::{Packed, Sample};

/// Minutes that are kept.
pub(super) const MINUTES: u32 = 60;
/// Reports that come faster than this are those of a device that somebody looks at.
const FAST: i64 = 10_000;
/// Fine points that are kept: five minutes at one report in two seconds.
const FINE_POINTS: usize = 150;
/// Seconds after which four reports in that time mean that nobody looks any more.
const FINE_AGE: u32 = 170;
/// Two reports further apart than this say nothing of the time between them.
const TORN: i64 = 150_000;
/// Two reports closer than this say nothing of a rate.
const TOO_CLOSE: i64 = 500;
/// Of names that are longer, this is kept.
const NAME_CHARS: usize = 32;

/// The minute that an instant belongs to, counted from 1970.
pub(super) fn minute_of(at: Timestamp) -> u32 {
    u32::try_from(at.as_second().div_euclid(60)).unwrap_or(0)
}

/// What is remembered of one device. Under 800 bytes; see the test.
pub(super) struct Track {
    minutes: [Packed; MINUTES as usize],
    /// The minute of the newest report.
    newest: u32,
    /// The reports of that minute.
    mean: Mean,
    before: Option<Before>,
    /// Name of the main interface.
    interface: Box<str>,
    /// Empty unless somebody looks at the device.
    fine: VecDeque<FinePoint>,
}

/// The running mean of a minute.
#[derive(Clone, Copy, Default)]
struct Mean {
    sums: [f32; 7],
    counts: [u16; 7],
}

/// The counters of the last report.
#[derive(Clone, Copy)]
struct Before {
    /// Milliseconds since 1970.
    at: i64,
    uptime: u64,
    /// Of the main interface, where there is one.
    index: Option<u32>,
    rx_bytes: u64,
    tx_bytes: u64,
    errors: u64,
}

/// One report.
#[derive(Clone, Copy)]
struct FinePoint {
    /// Seconds since 1970.
    at: u32,
    packed: Packed,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            minutes: [Packed::GAP; MINUTES as usize],
            newest: 0,
            mean: Mean::default(),
            before: None,
            interface: Box::default(),
            fine: VecDeque::new(),
        }
    }
}

impl Track {
    /// Takes a report in.
    pub(super) fn record(&mut self, now: Timestamp, status: &Status) {
        let at = now.as_millisecond();
        let minute = minute_of(now);
        if minute < self.newest {
            // The clock was set back. By a little: the reports go on in the newest minute. By
            // more: what is kept lies in the future and would never go.
            if self.newest - minute > 2 {
                *self = Self::default();
            } else {
                self.before = None;
            }
        }
        let main = main_interface(status, self.before.and_then(|before| before.index));
        let counters = Before {
            at,
            uptime: status.uptime_seconds,
            index: main.map(|main| main.index),
            rx_bytes: main.map_or(0, |main| main.rx_bytes),
            tx_bytes: main.map_or(0, |main| main.tx_bytes),
            errors: errors_of(status),
        };
        let sample = self.sample(status, &counters, main.and_then(|main| main.speed_mbps));
        self.put(minute.max(self.newest), &sample);
        self.put_fine(at, &sample);
        if let Some(main) = main {
            self.name_interface(&main.name);
        }
        // Of two reports in one breath the first one stays, so that the next rate has a base.
        let breath = self.before.is_some_and(|before| (0..TOO_CLOSE).contains(&(at - before.at)));
        if !breath {
            self.before = Some(counters);
        }
    }

    /// The session has ended: what comes next does not continue what was.
    pub(super) fn gap(&mut self, now: Timestamp) {
        self.before = None;
        if !self.fine.is_empty() {
            let at = u32::try_from(now.as_second()).unwrap_or(0);
            self.fine.push_back(FinePoint { at, packed: Packed::GAP });
        }
    }

    /// Puts a minute in that the store remembered.
    pub(super) fn restore(&mut self, minute: u32, packed: Packed) {
        self.advance(minute, None);
        self.set(minute, packed);
    }

    /// The newest minute that something is known of.
    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// What is known of a minute.
    pub(super) fn minute(&self, minute: u32) -> Packed {
        let kept = minute <= self.newest && self.newest - minute < MINUTES;
        let slot = self.minutes.get((minute % MINUTES) as usize).filter(|_| kept);
        slot.copied().unwrap_or(Packed::GAP)
    }

    /// Name of the interface whose rates are kept; empty while it is not known.
    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    /// Single reports of the last minutes, in seconds since 1970; of watched devices only.
    pub(super) fn fine(&self) -> impl Iterator<Item = (u32, Packed)> {
        self.fine.iter().map(|point| (point.at, point.packed))
    }

    /// Drops the fine points when nobody looks at the device any more.
    pub(super) fn rest(&mut self, now: Timestamp) {
        let oldest = u32::try_from(now.as_second()).unwrap_or(0).saturating_sub(FINE_AGE);
        // A watched device has reported several times since; one that rests, once a minute.
        let fourth = self.fine.iter().rev().nth(3).or(self.fine.front());
        if fourth.is_some_and(|fourth| fourth.at < oldest) {
            self.fine = VecDeque::new();
        }
    }

    fn sample(&self, status: &Status, now: &Before, speed: Option<u32>) -> Sample {
        let same = |before: &&Before| before.index == now.index && now.index.is_some();
        let since = self.before.as_ref().filter(same);
        let rate = |counter: fn(&Before) -> u64| {
            since.and_then(|before| rate(before, now, counter, speed))
        };
        Sample {
            cpu: Some(f64::from(status.cpu_permille.min(1000)) / 10.0),
            ram: percent(status.ram_used_bytes, status.ram_total_bytes),
            temperature: status.temperature_milli_celsius.map(|milli| f64::from(milli) / 1000.0),
            signal: signal_of(status).map(f64::from),
            errors: self.before.and_then(|before| now.errors.checked_sub(before.errors)).map(float),
            receive: rate(|counters| counters.rx_bytes),
            transmit: rate(|counters| counters.tx_bytes),
        }
    }

    fn put(&mut self, minute: u32, sample: &Sample) {
        // Reports come every minute, but not on its stroke: one that was late leaves no gap.
        let late = self.before.is_some() && minute.checked_sub(self.newest) == Some(2);
        self.advance(minute, late.then(|| Packed::pack(sample)));
        let mean = self.mean.add(sample);
        self.set(minute, Packed::pack(&mean));
    }

    /// Makes `minute` the newest one and the minutes that were left out `between`.
    fn advance(&mut self, minute: u32, between: Option<Packed>) {
        if minute <= self.newest {
            return;
        }
        let first = (self.newest + 1).max(minute.saturating_sub(MINUTES - 1));
        for left_out in first..minute {
            self.set(left_out, between.unwrap_or(Packed::GAP));
        }
        self.set(minute, Packed::GAP);
        self.newest = minute;
        self.mean = Mean::default();
    }

    fn set(&mut self, minute: u32, packed: Packed) {
        if let Some(slot) = self.minutes.get_mut((minute % MINUTES) as usize) {
            *slot = packed;
        }
    }

    fn put_fine(&mut self, at: i64, sample: &Sample) {
        let fast = self.before.is_some_and(|before| (0..FAST).contains(&(at - before.at)));
        let second = u32::try_from(at.div_euclid(1000)).unwrap_or(0);
        // Once begun, it takes every report, so that it has no holes.
        if fast || !self.fine.is_empty() {
            if self.fine.len() >= FINE_POINTS {
                self.fine.pop_front();
            }
            self.fine.push_back(FinePoint { at: second, packed: Packed::pack(sample) });
        }
    }

    fn name_interface(&mut self, name: &str) {
        if *self.interface != *name {
            let name = aerie_protocol::text::DeviceText::clean(name, NAME_CHARS);
            if *self.interface != *name.as_str() {
                self.interface = name.as_str().into();
            }
        }
    }
}

impl Mean {
    #[expect(clippy::cast_possible_truncation, reason = "a mean for a chart")]
    fn add(&mut self, sample: &Sample) -> Sample {
        let mut means = [None; 7];
        let fields = sample.fields();
        let sums = self.sums.iter_mut().zip(&mut self.counts);
        for (mean, (value, (sum, count))) in means.iter_mut().zip(fields.iter().zip(sums)) {
            if let Some(value) = value {
                *sum += *value as f32;
                *count = count.saturating_add(1);
            }
            *mean = (*count > 0).then(|| f64::from(*sum) / f64::from(*count));
        }
        let mut mean = Sample::from_fields(means);
        // Errors are counted, not averaged.
        let [.., errors, _, _] = self.sums;
        mean.errors = mean.errors.map(|_| f64::from(errors));
        mean
    }
}

/// Bit/s between two reports, unless the counter says nothing about that time.
fn rate(
    before: &Before,
    now: &Before,
    counter: fn(&Before) -> u64,
    speed_mbps: Option<u32>,
) -> Option<f64> {
    let elapsed = now.at - before.at;
    let restarted = now.uptime < before.uptime;
    if restarted || !(TOO_CLOSE..=TORN).contains(&elapsed) {
        return None;
    }
    let seconds = float(u64::try_from(elapsed).ok()?) / 1000.0;
    let (old, new) = (counter(before), counter(now));
    let per_second = |bytes: u64| float(bytes) * 8.0 / seconds;
    if let Some(bytes) = new.checked_sub(old) {
        return Some(per_second(bytes));
    }
    // It went back. A 32-bit counter that was near its end has wrapped, if the rate is one that
    // the link can carry; else the counter began anew.
    let near_end = (3 << 30..1 << 32).contains(&old);
    let wrapped = per_second((1_u64 << 32).saturating_sub(old).saturating_add(new));
    let possible = f64::from(speed_mbps.unwrap_or(1_000)) * 1e6;
    (near_end && wrapped <= possible).then_some(wrapped)
}

/// The interface whose traffic stands for the device: the one that it was, or the connected one
/// with addresses that carries most.
fn main_interface(status: &Status, known: Option<u32>) -> Option<&Interface> {
    let usable = || status.interfaces.iter().filter(|one| one.kind != "loopback");
    let is_known = |one: &Interface| Some(one.index) == known;
    usable().find(|one| is_known(one) && one.plugged).or_else(|| {
        usable().max_by_key(|one| {
            let traffic = one.rx_bytes.saturating_add(one.tx_bytes);
            (one.plugged, !one.addresses.is_empty(), traffic)
        })
    })
}

fn errors_of(status: &Status) -> u64 {
    let errors = |one: &Interface| one.rx_errors.saturating_add(one.tx_errors);
    status.interfaces.iter().map(errors).fold(0, u64::saturating_add)
}

fn signal_of(status: &Status) -> Option<i32> {
    let wireless = status.interfaces.iter().filter_map(|one| one.wireless.as_ref());
    wireless.filter_map(|wireless| wireless.signal_dbm).max()
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| float(part.min(whole)) * 100.0 / float(whole))
}

#[expect(clippy::cast_precision_loss, reason = "figures for charts")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use aerie_protocol::inform::Wireless;

    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn minute(second: i64) -> u32 {
        minute_of(at(second))
    }

    fn report(rx_bytes: u64, uptime: u64) -> Status {
        Status {
            cpu_permille: 250,
            ram_total_bytes: 1000,
            ram_used_bytes: 500,
            uptime_seconds: uptime,
            interfaces: vec![Interface {
                name: "eth0".to_owned(),
                index: 2,
                kind: "ethernet".to_owned(),
                plugged: true,
                rx_bytes,
                wireless: Some(Wireless { signal_dbm: Some(-60), ..Wireless::default() }),
                ..Interface::default()
            }],
            ..Status::default()
        }
    }

    fn receive(track: &Track, second: i64) -> Option<f64> {
        track.minute(minute(second)).unpack().receive
    }

    fn assert_rate(actual: Option<f64>, expected: f64) {
        let actual = actual.expect("no rate");
        assert!((actual - expected).abs() <= expected * 0.001, "{actual} is not {expected}");
    }

    #[test]
    fn a_device_at_rest_costs_less_than_800_bytes() {
        assert!(size_of::<Track>() < 784, "{}", size_of::<Track>());
    }

    #[test]
    fn rates_come_from_counters_and_the_first_report_has_none() {
        let mut track = Track::default();
        track.record(at(0), &report(1_000_000, 100));
        assert_eq!(receive(&track, 0), None);
        track.record(at(60), &report(8_500_000, 160));
        assert_rate(receive(&track, 60), 1_000_000.0);
        let sample = track.minute(minute(60)).unpack();
        assert_eq!(sample.cpu, Some(25.0));
        assert_eq!(sample.ram, Some(50.0));
        assert_eq!(sample.signal, Some(-60.0));
        assert_eq!(sample.temperature, None);
    }

    #[test]
    fn a_counter_that_began_anew_makes_a_gap_and_no_peak() {
        let mut track = Track::default();
        track.record(at(0), &report(9_000_000_000, 100));
        track.record(at(60), &report(5_000, 160));
        assert_eq!(receive(&track, 60), None, "the counter was reset");
        track.record(at(120), &report(7_505_000, 20));
        assert_eq!(receive(&track, 120), None, "the device was restarted");
        track.record(at(180), &report(15_005_000, 80));
        assert_rate(receive(&track, 180), 1_000_000.0);
    }

    #[test]
    fn a_32_bit_counter_that_wrapped_goes_on() {
        let mut track = Track::default();
        track.record(at(0), &report((1 << 32) - 2_500_000, 100));
        track.record(at(60), &report(5_000_000, 160));
        assert_rate(receive(&track, 60), 1_000_000.0);
    }

    #[test]
    fn a_report_that_was_late_leaves_no_gap_and_a_broken_session_does() {
        let mut track = Track::default();
        track.record(at(0), &report(0, 100));
        track.record(at(125), &report(1_000, 225));
        assert!(receive(&track, 60).is_some());
        track.gap(at(130));
        track.record(at(240), &report(2_000, 340));
        assert_eq!(track.minute(minute(180)), Packed::GAP);
        assert_eq!(receive(&track, 240), None);
        assert_eq!(track.minute(minute(240)).unpack().cpu, Some(25.0));
    }

    #[test]
    fn a_minute_with_many_reports_holds_their_mean() {
        let mut track = Track::default();
        for (second, cpu) in [(0, 100), (20, 200), (40, 600)] {
            let status = Status { cpu_permille: cpu, ..Status::default() };
            track.record(at(second), &status);
        }
        assert_eq!(track.minute(minute(0)).unpack().cpu, Some(30.0));
    }

    #[test]
    fn an_hour_is_kept_and_what_is_older_goes() {
        let mut track = Track::default();
        for step in 0..100 {
            track.record(at(step * 60), &report(0, 100));
        }
        assert_eq!(track.minute(minute(39 * 60)), Packed::GAP);
        assert_ne!(track.minute(minute(40 * 60)), Packed::GAP);
        track.record(at(500 * 60), &report(0, 100));
        assert_eq!(track.minute(minute(499 * 60)), Packed::GAP);
        assert_eq!(track.minute(minute(450 * 60)), Packed::GAP);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_nothing_in_the_future() {
        let mut track = Track::default();
        track.record(at(86_400), &report(0, 100));
        track.record(at(0), &report(0, 100));
        assert_eq!(track.newest(), minute(0));
        track.record(at(120), &report(0, 100));
        track.record(at(30), &report(0, 100));
        assert_eq!(track.newest(), minute(120), "a small step back goes on where it was");
    }

    #[test]
    fn fine_points_are_kept_while_reports_come_fast_and_dropped_after() {
        let mut track = Track::default();
        for step in 0..400 {
            track.record(at(step * 2), &report(0, 100));
        }
        assert_eq!(track.fine().count(), FINE_POINTS);
        for step in 0..6 {
            track.record(at(860 + step * 60), &report(0, 100));
            track.rest(at(860 + step * 60));
        }
        assert_eq!(track.fine().count(), 0);
    }

    #[test]
    fn the_main_interface_stays_the_same_while_it_is_connected() {
        let interface = |index, rx_bytes, plugged| Interface {
            name: format!("eth{index}"),
            index,
            plugged,
            rx_bytes,
            ..Interface::default()
        };
        let loopback = Interface { kind: "loopback".to_owned(), ..interface(1, u64::MAX, true) };
        let mut status = Status {
            interfaces: vec![loopback, interface(2, 500, true), interface(3, 100, true)],
            ..Status::default()
        };
        let mut track = Track::default();
        track.record(at(0), &status);
        assert_eq!(track.interface(), "eth2");
        status.interfaces[2].rx_bytes = 1_000_000;
        track.record(at(60), &status);
        assert_eq!(track.interface(), "eth2");
        status.interfaces[1].plugged = false;
        track.record(at(120), &status);
        assert_eq!(track.interface(), "eth3");
        assert_eq!(receive(&track, 120), None, "two interfaces' counters are not one rate");
    }
}
