//! Recovery codes: ten of them, each takes the place of a second factor once.
//!
//! A code has 60 bits, far too many to guess within what guessing is allowed. Only its SHA-256 is
//! kept.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::seal::{self, SealError, Secret};
use crate::store::records::RecoveryRecord;

/// Crockford's base 32: no letter that reads like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Codes that an account gets.
const CODES: usize = 10;
/// Letters of a code, 5 bits each.
const LETTERS: usize = 12;
/// Letters in a group.
const GROUP: usize = 4;

/// Codes that were made just now: to be shown once, and kept as hashes.
pub struct RecoveryCodes(Vec<Secret<String>>);

impl RecoveryCodes {
    pub(super) fn new() -> Result<Self, SealError> {
        (0..CODES).map(|_| new_code()).collect::<Result<_, _>>().map(Self)
    }

    /// Shows them.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|code| code.expose().as_str())
    }

    pub(super) fn records(&self) -> Vec<RecoveryRecord> {
        self.expose().filter_map(hash_of).map(RecoveryRecord).collect()
    }
}

fn new_code() -> Result<Secret<String>, SealError> {
    let bytes = Zeroizing::new(seal::random::<LETTERS>()?);
    let mut code = String::with_capacity(LETTERS + LETTERS / GROUP);
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 && place % GROUP == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: each letter is as likely as the others.
        let letter = ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or_default();
        code.push(char::from(letter));
    }
    Ok(Secret::new(code))
}

/// The hash of a code as it was typed; `None` where it is none. Spaces, dashes and case do not
/// matter, and O, I and L read as digits.
pub(super) fn hash_of(typed: &str) -> Option<[u8; 32]> {
    let mut bare = Zeroizing::new(Vec::with_capacity(LETTERS));
    for letter in typed.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'-') {
        let letter = match letter.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            letter => letter,
        };
        if bare.len() == LETTERS || !ALPHABET.contains(&letter) {
            return None;
        }
        bare.push(letter);
    }
    (bare.len() == LETTERS).then(|| Sha256::digest(bare.as_slice()).into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn l5_ten_codes_that_differ_and_of_which_only_hashes_are_kept() {
        let codes = RecoveryCodes::new().unwrap();
        let shown: HashSet<&str> = codes.expose().collect();
        assert_eq!(shown.len(), CODES);
        for code in &shown {
            assert_eq!(code.len(), LETTERS + 2, "{code}");
            assert!(code.split('-').all(|group| group.len() == GROUP), "{code}");
        }
        let kept = codes.records();
        assert_eq!(kept.len(), CODES);
        for (code, RecoveryRecord(hash)) in codes.expose().zip(kept) {
            assert_eq!(hash_of(code), Some(hash));
        }
    }

    #[test]
    fn l5_a_code_is_read_however_it_is_typed() {
        let kept = hash_of("0123-ABCD-1890").unwrap();
        for typed in ["o123abcdl890", " 0 1 2 3 - a b c d - I 8 9 O ", "0123ABCD1890"] {
            assert_eq!(hash_of(typed), Some(kept), "{typed}");
        }
        let long = "0".repeat(100_000);
        for no_code in ["", "123456", "0123-ABCD-189", "0123-ABCD-18900", "0123-ABCD-189ü", &long]
        {
            assert_eq!(hash_of(no_code), None);
        }
    }
}
