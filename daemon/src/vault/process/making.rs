//! New passwords: each character drawn evenly from its alphabet.

use zeroize::Zeroizing;

use crate::vault::SecretText;
use crate::vault::protocol::{Alphabet, Form, Refusal};

/// Lengths that a new password may have.
const LENGTHS: std::ops::RangeInclusive<u8> = 12..=128;

/// The classes of an alphabet; a password has something of each.
const fn classes(alphabet: Alphabet) -> &'static [&'static str] {
    match alphabet {
        // Without l and o, I and O, 0 and 1: 56 characters.
        Alphabet::Readable => &["abcdefghijkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789"],
        Alphabet::LettersAndDigits => {
            &["abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"]
        }
        // No quote, blank, backslash or dollar, nothing that a shell, an address or a table of
        // accounts takes for more than itself.
        Alphabet::WithSigns => {
            &["abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "-_.,+=@%"]
        }
    }
}

/// A new password. Drawn as a whole until it has something of every class, and begins with no sign
/// that a program would take for an option: so all that are possible are equally likely.
pub(super) fn password(form: Form) -> Result<SecretText, Refusal> {
    if !LENGTHS.contains(&form.length) {
        return Err(Refusal::Form("a password has 12 to 128 characters".to_owned()));
    }
    let classes = classes(form.alphabet);
    let letters: Vec<u8> = classes.iter().flat_map(|class| class.bytes()).collect();
    let length = usize::from(form.length);
    let mut drawn = Drawn::new()?;
    loop {
        let mut text = Zeroizing::new(String::with_capacity(length));
        while text.len() < length {
            let letter = drawn.below(letters.len())?;
            text.extend(letters.get(letter).map(|letter| char::from(*letter)));
        }
        let whole = classes.iter().all(|class| text.contains(|letter| class.contains(letter)));
        if whole && text.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
            return Ok(SecretText::new(std::mem::take(&mut *text)));
        }
    }
}

/// Random bytes, some at a time.
struct Drawn {
    bytes: Zeroizing<[u8; 256]>,
    used: usize,
}

impl Drawn {
    fn new() -> Result<Self, Refusal> {
        let mut drawn = Self { bytes: Zeroizing::new([0; 256]), used: 0 };
        drawn.fill()?;
        Ok(drawn)
    }

    fn fill(&mut self) -> Result<(), Refusal> {
        self.used = 0;
        let none = |_| Refusal::Failed("the system gives no random numbers".to_owned());
        getrandom::fill(self.bytes.as_mut_slice()).map_err(none)
    }

    /// A number below `bound`, 256 at most, each as likely as the others: a byte that would favour
    /// the first few is thrown away.
    fn below(&mut self, bound: usize) -> Result<usize, Refusal> {
        let even = 256 - 256 % bound;
        loop {
            let Some(byte) = self.bytes.get(self.used).copied().map(usize::from) else {
                self.fill()?;
                continue;
            };
            self.used += 1;
            if byte < even {
                return Ok(byte % bound);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_new_password_has_its_form() {
        for alphabet in [Alphabet::Readable, Alphabet::LettersAndDigits, Alphabet::WithSigns] {
            let all = classes(alphabet).concat();
            for length in [12, 20, 128] {
                for _ in 0..50 {
                    let made = password(Form { length, alphabet }).unwrap();
                    let made = made.expose();
                    assert_eq!(made.len(), usize::from(length));
                    assert!(made.chars().all(|letter| all.contains(letter)), "{made}");
                    for class in classes(alphabet) {
                        assert!(made.contains(|letter| class.contains(letter)), "{made}");
                    }
                    assert!(!made.starts_with('-'));
                }
            }
        }
        for length in [0, 11, 129] {
            password(Form { length, alphabet: Alphabet::Readable }).map(|_| ()).unwrap_err();
        }
        assert_eq!(classes(Alphabet::Readable).concat().len(), 56);
    }

    #[test]
    fn no_letter_is_likelier_than_another() {
        let mut counts: HashMap<char, u32> = HashMap::new();
        let form = Form { length: 128, alphabet: Alphabet::LettersAndDigits };
        for _ in 0..500 {
            for letter in password(form).unwrap().expose().chars() {
                *counts.entry(letter).or_default() += 1;
            }
        }
        // 64,000 letters, 62 kinds: 1,032 each, and ten standard deviations are 321.
        assert_eq!(counts.len(), 62);
        for (letter, count) in counts {
            assert!((711..1_353).contains(&count), "{letter}: {count}");
        }
    }
}
