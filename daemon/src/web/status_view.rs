//! A report of a watched device, with rates made of its counters.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::views::tenth;
use crate::devices::snapshot::{Counters, Interface, Status};

/// A report of a watched device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveStatus)]
pub(super) struct StatusView {
    /// When it arrived: milliseconds since 1970.
    t: i64,
    /// Percent of all cores.
    cpu: f32,
    /// Percent.
    ram: f32,
    /// Seconds since the device started.
    uptime: u64,
    load1: f32,
    load5: f32,
    load15: f32,
    /// Degrees Celsius.
    temperature: Option<f32>,
    /// dBm, of the strongest wireless link.
    signal: Option<i32>,
    interfaces: Vec<InterfaceTraffic>,
}

/// Traffic of one interface.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveInterface)]
struct InterfaceTraffic {
    name: String,
    /// Bit/s since the report before; null for the first one and when a counter began anew.
    rxrate: Option<u64>,
    /// Bit/s since the report before.
    txrate: Option<u64>,
    /// Bytes since the device started.
    rxbytes: u64,
    /// Bytes since the device started.
    txbytes: u64,
    errors: u64,
    dropped: u64,
}

/// Makes rates of one device's counters, report by report.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: Option<Arc<Status>>,
}

/// Reports that lie further apart say nothing about now, in seconds.
const TORN: f64 = 180.0;

impl Rates {
    /// Shows a report, with the rates since the one before.
    pub(super) fn view(&mut self, status: &Arc<Status>) -> StatusView {
        let before = self.before.replace(Arc::clone(status));
        let since = before.as_deref().and_then(|before| Since::new(before, status));
        let [one, five, fifteen] = status.load;
        let traffic = |interface: &Interface| {
            let counters = &interface.counters;
            let rate = |counter: fn(&Counters) -> u64| {
                since.as_ref().and_then(|since| since.rate(interface, counter))
            };
            InterfaceTraffic {
                name: interface.name.as_str().to_owned(),
                rxrate: rate(|counters| counters.rx_bytes),
                txrate: rate(|counters| counters.tx_bytes),
                rxbytes: counters.rx_bytes,
                txbytes: counters.tx_bytes,
                errors: counters.errors,
                dropped: counters.dropped,
            }
        };
        StatusView {
            t: status.at.as_millisecond(),
            cpu: tenth(status.cpu_percent),
            ram: tenth(status.ram_percent()),
            uptime: status.uptime,
            load1: one,
            load5: five,
            load15: fifteen,
            temperature: status.temperature.map(tenth),
            signal: status.signal(),
            interfaces: status.interfaces.iter().map(traffic).collect(),
        }
    }
}

/// The report before, and how long ago it was.
struct Since<'a> {
    seconds: f64,
    counters: HashMap<u32, &'a Counters>,
}

impl<'a> Since<'a> {
    fn new(before: &'a Status, now: &Status) -> Option<Self> {
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        let restarted = now.uptime < before.uptime;
        let counters = before.interfaces.iter().map(|one| (one.index, &one.counters)).collect();
        (seconds > 0.1 && seconds < TORN && !restarted).then_some(Self { seconds, counters })
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people; a difference of counters is not negative"
    )]
    fn rate(&self, interface: &Interface, counter: fn(&Counters) -> u64) -> Option<u64> {
        let before = counter(self.counters.get(&interface.index)?);
        let bytes = counter(&interface.counters).checked_sub(before)?;
        Some((bytes as f64 * 8.0 / self.seconds).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn report(second: i64, rx_bytes: u64, uptime: u64) -> Arc<Status> {
        let counters = Counters { rx_bytes, ..Counters::default() };
        Arc::new(Status {
            at: Timestamp::from_second(second).unwrap(),
            uptime,
            interfaces: vec![Interface { index: 2, counters, ..Interface::default() }],
            ..Status::default()
        })
    }

    #[test]
    fn a_rate_is_bits_a_second_since_the_report_before() {
        let mut rates = Rates::default();
        assert_eq!(rates.view(&report(10, 1_000, 5)).interfaces[0].rxrate, None);
        assert_eq!(rates.view(&report(12, 3_500, 7)).interfaces[0].rxrate, Some(10_000));
        assert_eq!(rates.view(&report(14, 3_500, 9)).interfaces[0].rxrate, Some(0));
    }

    #[test]
    fn a_counter_that_began_anew_is_no_rate() {
        let mut rates = Rates::default();
        rates.view(&report(10, 1_000, 50));
        assert_eq!(rates.view(&report(12, 500, 52)).interfaces[0].rxrate, None);
        assert_eq!(rates.view(&report(14, 9_500, 1)).interfaces[0].rxrate, None, "restarted");
        assert_eq!(rates.view(&report(914, 9_600, 901)).interfaces[0].rxrate, None, "torn");
    }
}
