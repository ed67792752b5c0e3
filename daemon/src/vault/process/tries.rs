//! Guessing at the vault is slow: a few wrong tries are free, and then each doubles the wait.
//!
//! A try counts before it is looked at, on the disk too, so that a power cut forgets none.

use serde::{Deserialize, Serialize};

/// What is guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guessed {
    /// The master password, in whatever form.
    Key,
    /// The PIN.
    Pin,
    /// The app's code.
    Totp,
}

impl Guessed {
    /// Wrong tries after which the next needs no wait.
    const fn free(self) -> u32 {
        match self {
            Self::Key => 3,
            Self::Pin | Self::Totp => 4,
        }
    }

    /// The first wait and the longest, in milliseconds.
    const fn waits(self) -> (i64, i64) {
        match self {
            Self::Key => (2_000, 900_000),
            Self::Pin | Self::Totp => (30_000, 3_600_000),
        }
    }

    fn wait_after(self, wrong: u32) -> i64 {
        let Some(beyond) = wrong.checked_sub(self.free() + 1) else { return 0 };
        let (first, longest) = self.waits();
        first.checked_shl(beyond.min(30)).map_or(longest, |wait| wait.min(longest))
    }
}

/// Wrong tries at one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tries {
    wrong: u32,
    /// When the next is possible, in the vault's own time.
    next: i64,
}

impl Tries {
    /// Counts a try as wrong, or says in how many seconds one is possible.
    pub(super) fn begin(&mut self, at: Guessed, lived: i64) -> Result<(), u64> {
        let left = self.next.saturating_sub(lived);
        if left > 0 {
            return Err(u64::try_from(left).unwrap_or_default().div_ceil(1_000));
        }
        self.wrong = self.wrong.saturating_add(1);
        self.next = lived.saturating_add(at.wait_after(self.wrong));
        Ok(())
    }

    /// It was right.
    pub(super) fn right(&mut self) {
        *self = Self::default();
    }

    /// It was not looked at after all.
    pub(super) fn take_back(&mut self) {
        self.wrong = self.wrong.saturating_sub(1);
        self.next = 0;
    }

    /// Tries until a wait begins; none left where one has.
    pub(super) fn left(&self, at: Guessed) -> u32 {
        (at.free() + 1).saturating_sub(self.wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_three_wrong_keys_cost_nothing_and_each_further_one_twice_as_much() {
        let (mut tries, mut now) = (Tries::default(), 7);
        for _ in 0..4 {
            tries.begin(Guessed::Key, now).unwrap();
        }
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert_eq!(tries.begin(Guessed::Key, now), Err(seconds));
            now += i64::try_from(seconds).unwrap() * 1_000 - 1;
            assert_eq!(tries.begin(Guessed::Key, now), Err(1), "not a moment early");
            now += 1;
            tries.begin(Guessed::Key, now).unwrap();
        }
        tries.right();
        tries.begin(Guessed::Key, now).unwrap();
        assert_eq!(tries.left(Guessed::Key), 3);
    }

    #[test]
    fn v1_a_pin_has_five_tries() {
        let mut tries = Tries::default();
        for left in [5, 4, 3, 2, 1] {
            assert_eq!(tries.left(Guessed::Pin), left);
            tries.begin(Guessed::Pin, 0).unwrap();
        }
        assert_eq!(tries.begin(Guessed::Pin, 0), Err(30));
        tries.wrong = u32::MAX;
        assert_eq!(Guessed::Pin.wait_after(tries.wrong), 3_600_000);
    }
}
