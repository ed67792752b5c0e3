//! Randomness that was drawn beforehand, so that a system without any is an error and no panic.

use std::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use super::CryptoError;

/// So many random bytes.
pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, CryptoError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| CryptoError::Random)?;
    Ok(bytes)
}

/// Random bytes for a library that asks for a generator.
///
/// Once it is dry it gives zeros and remembers that: what was made of them is thrown away.
pub(super) struct Drawn {
    bytes: Zeroizing<Vec<u8>>,
    used: usize,
    dry: bool,
}

impl Drawn {
    /// Draws so many.
    pub(super) fn draw(count: usize) -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new(vec![0; count]);
        getrandom::fill(&mut bytes).map_err(|_| CryptoError::Random)?;
        Ok(Self::of(bytes))
    }

    /// These, and no others.
    pub(super) fn of(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { bytes, used: 0, dry: false }
    }

    /// All that was given was random. Ask before the result is used.
    pub(super) fn enough(&self) -> Result<(), CryptoError> {
        if self.dry { Err(CryptoError::Random) } else { Ok(()) }
    }

    fn fill(&mut self, into: &mut [u8]) {
        let end = self.used.saturating_add(into.len());
        if let Some(next) = self.bytes.get(self.used..end) {
            into.copy_from_slice(next);
            self.used = end;
        } else {
            into.fill(0);
            self.dry = true;
        }
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        self.fill(into);
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_dry_says_so() {
        let mut drawn = Drawn::of(Zeroizing::new(vec![1, 2, 3, 4, 5]));
        assert_eq!(drawn.try_next_u32(), Ok(0x0102_0304));
        assert_eq!(drawn.enough(), Ok(()));
        assert_eq!(drawn.try_next_u32(), Ok(0));
        assert_eq!(drawn.enough(), Err(CryptoError::Random));
    }

    #[test]
    fn nothing_is_given_twice() {
        let mut drawn = Drawn::draw(64).unwrap();
        let mut given = [[0; 16]; 4];
        for part in &mut given {
            drawn.fill(part);
        }
        assert_eq!(drawn.enough(), Ok(()));
        for (place, part) in given.iter().enumerate() {
            assert!(!given[place + 1..].contains(part));
        }
    }
}
