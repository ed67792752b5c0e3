//! A minute of a device in ten bytes.
//!
//! Charts need no more precision than this, and ten thousand devices keep an hour each. Percent
//! in halves, degrees and dBm in ones, rates on a logarithmic scale with steps of 0.04 percent.

/// What a device reported, or the mean of what it reported in a minute. `None` is a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Percent of all cores.
    pub(super) cpu: Option<f64>,
    /// Percent.
    pub(super) ram: Option<f64>,
    /// Degrees Celsius.
    pub(super) temperature: Option<f64>,
    /// dBm.
    pub(super) signal: Option<f64>,
    /// Interface errors since the report before.
    pub(super) errors: Option<f64>,
    /// Bit/s of the main interface.
    pub(super) receive: Option<f64>,
    /// Bit/s of the main interface.
    pub(super) transmit: Option<f64>,
}

impl Sample {
    pub(super) fn fields(&self) -> [Option<f64>; 7] {
        let Self { cpu, ram, temperature, signal, errors, receive, transmit } = *self;
        [cpu, ram, temperature, signal, errors, receive, transmit]
    }

    pub(super) fn from_fields(fields: [Option<f64>; 7]) -> Self {
        let [cpu, ram, temperature, signal, errors, receive, transmit] = fields;
        Self { cpu, ram, temperature, signal, errors, receive, transmit }
    }
}

/// A [`Sample`] in memory and in the store. The largest value of each field means a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    cpu: u8,
    ram: u8,
    temperature: u8,
    signal: u8,
    errors: u16,
    receive: u16,
    transmit: u16,
}

/// Bytes of a [`Packed`] in the store.
pub(super) const PACKED_BYTES: usize = 10;

/// Steps of a rate's natural logarithm: 65,534 of them reach a Tbit/s.
const RATE_SCALE: f64 = 2_371.0;
/// So that temperatures and signals down to -127 fit.
const BELOW_ZERO: f64 = 127.0;

impl Packed {
    /// Nothing is known of this minute.
    pub(super) const GAP: Self = Self {
        cpu: u8::MAX,
        ram: u8::MAX,
        temperature: u8::MAX,
        signal: u8::MAX,
        errors: u16::MAX,
        receive: u16::MAX,
        transmit: u16::MAX,
    };

    pub(super) fn pack(sample: &Sample) -> Self {
        Self {
            cpu: byte(sample.cpu.map(|percent| percent * 2.0)),
            ram: byte(sample.ram.map(|percent| percent * 2.0)),
            temperature: byte(sample.temperature.map(|degrees| degrees + BELOW_ZERO)),
            signal: byte(sample.signal.map(|dbm| dbm + BELOW_ZERO)),
            errors: word(sample.errors),
            receive: word(sample.receive.map(|rate| rate.ln_1p() * RATE_SCALE)),
            transmit: word(sample.transmit.map(|rate| rate.ln_1p() * RATE_SCALE)),
        }
    }

    pub(super) fn unpack(self) -> Sample {
        let byte = |value: u8| (value < u8::MAX).then(|| f64::from(value));
        let word = |value: u16| (value < u16::MAX).then(|| f64::from(value));
        let rate = |value| word(value).map(|steps| (steps / RATE_SCALE).exp_m1().round());
        Sample {
            cpu: byte(self.cpu).map(|halves| halves / 2.0),
            ram: byte(self.ram).map(|halves| halves / 2.0),
            temperature: byte(self.temperature).map(|degrees| degrees - BELOW_ZERO),
            signal: byte(self.signal).map(|dbm| dbm - BELOW_ZERO),
            errors: word(self.errors),
            receive: rate(self.receive),
            transmit: rate(self.transmit),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; PACKED_BYTES] {
        let [e0, e1] = self.errors.to_le_bytes();
        let [r0, r1] = self.receive.to_le_bytes();
        let [t0, t1] = self.transmit.to_le_bytes();
        [self.cpu, self.ram, self.temperature, self.signal, e0, e1, r0, r1, t0, t1]
    }

    pub(super) fn from_bytes(bytes: [u8; PACKED_BYTES]) -> Self {
        let [cpu, ram, temperature, signal, e0, e1, r0, r1, t0, t1] = bytes;
        Self {
            cpu,
            ram,
            temperature,
            signal,
            errors: u16::from_le_bytes([e0, e1]),
            receive: u16::from_le_bytes([r0, r1]),
            transmit: u16::from_le_bytes([t0, t1]),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the type's range first"
)]
fn byte(value: Option<f64>) -> u8 {
    value.map_or(u8::MAX, |value| value.round().clamp(0.0, f64::from(u8::MAX - 1)) as u8)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the type's range first"
)]
fn word(value: Option<f64>) -> u16 {
    value.map_or(u16::MAX, |value| value.round().clamp(0.0, f64::from(u16::MAX - 1)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_comes_back_within_a_tenth_of_a_percent() {
        for rate in [0.0, 1.0, 950.0, 64_000.0, 98_400_000.0, 10e9, 400e9, 1e12] {
            let sample = Sample { receive: Some(rate), ..Sample::default() };
            let back = Packed::pack(&sample).unpack().receive.unwrap();
            assert!((back - rate).abs() <= rate * 0.001, "{rate} became {back}");
        }
    }

    #[test]
    fn a_gap_stays_a_gap_and_nothing_else_becomes_one() {
        assert_eq!(Packed::GAP.unpack(), Sample::default());
        assert_eq!(Packed::pack(&Sample::default()), Packed::GAP);
        let largest = Sample::from_fields([Some(f64::MAX); 7]);
        assert!(Packed::pack(&largest).unpack().fields().iter().all(Option::is_some));
        let smallest = Sample::from_fields([Some(f64::MIN); 7]);
        assert!(Packed::pack(&smallest).unpack().temperature.is_some());
    }

    #[test]
    fn what_is_written_is_read() {
        let sample = Sample {
            cpu: Some(12.5),
            ram: Some(100.0),
            temperature: Some(-40.0),
            signal: Some(-67.0),
            errors: Some(3.0),
            receive: None,
            transmit: Some(0.0),
        };
        let packed = Packed::pack(&sample);
        assert_eq!(Packed::from_bytes(packed.to_bytes()), packed);
        assert_eq!(packed.unpack(), sample);
    }
}
