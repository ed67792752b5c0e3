//! The master password: 256 random bits, shown as 24 words (BIP-39, English) or as one line of
//! base64url.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bip39::Language;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::draw::random;
use super::fault::shown;
use super::{CryptoError, KeyFault, sweep};
use crate::vault::SecretText;

/// Bytes of the longest text that is read as a master password, key file or share.
pub const KEY_TEXT_BYTES: usize = 16 * 1024;

/// Bytes of a master password.
pub(super) const MASTER_BYTES: usize = 32;
/// Letters of it in one line.
pub(super) const LINE_LETTERS: usize = 43;
pub(super) const WORDS: usize = 24;
/// Bits that one word carries.
const WORD_BITS: usize = 11;
/// The longest word of the list has 8 letters; more of a wrong one is not worth showing.
const SHOWN_LETTERS: usize = 16;
/// Words that are offered for a wrong one.
const OFFERED: usize = 3;
/// Letters between a wrong word and one that is offered for it.
const FAR: usize = 2;

/// The master password. Wiped when it is dropped.
pub struct Master(Zeroizing<[u8; MASTER_BYTES]>);

impl Master {
    /// Makes one.
    pub fn generate() -> Result<Self, CryptoError> {
        random().map(Self)
    }

    pub(super) fn of(bytes: Zeroizing<[u8; MASTER_BYTES]>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// As 24 words, the last of which carries the checksum.
    pub fn words(&self) -> SecretText {
        let mut text = String::with_capacity(WORDS * 9);
        for word in self.each_word() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        SecretText::new(text)
    }

    /// The words one by one.
    pub(super) fn each_word(&self) -> impl Iterator<Item = &'static str> {
        let check = checksum(self.bytes());
        let list = Language::English.word_list();
        (0..WORDS).filter_map(move |word| {
            let index = (word * WORD_BITS..(word + 1) * WORD_BITS).fold(0, |index, bit| {
                let byte = self.bytes().get(bit / 8).copied().unwrap_or(check);
                (index << 1) | usize::from((byte >> (7 - bit % 8)) & 1)
            });
            list.get(index).copied()
        })
    }

    /// As one line.
    pub(super) fn line(&self) -> SecretText {
        let mut letters = Zeroizing::new([0; LINE_LETTERS]);
        let length = URL_SAFE_NO_PAD.encode_slice(self.bytes(), letters.as_mut_slice());
        let line = length.ok().and_then(|length| letters.get(..length));
        let line = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
        SecretText::new(line.to_owned())
    }

    /// Reads words or the one line. Case, line breaks, numbers before the words and commas between
    /// them do no harm.
    pub fn from_words(text: &str) -> Result<Self, KeyFault> {
        if text.len() > KEY_TEXT_BYTES {
            return Err(KeyFault::TooLong);
        }
        let mut parts = text.split_whitespace();
        if let (Some(line), None) = (parts.next(), parts.next())
            && line.len() + 8 > LINE_LETTERS
        {
            return Self::from_line(line);
        }
        let words: Vec<&str> = text
            .split(|letter: char| letter.is_whitespace() || letter == ',')
            .map(|part| part.trim_matches(|letter: char| !letter.is_alphabetic()))
            .filter(|word| !word.is_empty())
            .collect();
        let master = Self::from_each_word(&words);
        sweep();
        master
    }

    pub(super) fn from_line(line: &str) -> Result<Self, KeyFault> {
        let mut bytes = Zeroizing::new([0; MASTER_BYTES]);
        let length = URL_SAFE_NO_PAD.decode_slice(line, bytes.as_mut_slice());
        if line.len() == LINE_LETTERS && length == Ok(MASTER_BYTES) {
            Ok(Self(bytes))
        } else {
            Err(KeyFault::OneLine)
        }
    }

    pub(super) fn from_each_word(words: &[&str]) -> Result<Self, KeyFault> {
        // More than this is no list of words: nothing of it is looked up.
        if words.len() > 4 * WORDS {
            return Err(KeyFault::WordCount { got: words.len() });
        }
        let mut bytes = Zeroizing::new([0_u8; MASTER_BYTES + 1]);
        for (place, word) in words.iter().enumerate() {
            let small = Zeroizing::new(word.to_lowercase());
            let Some(index) = Language::English.find_word(&small) else {
                let word = shown(word, SHOWN_LETTERS);
                return Err(KeyFault::Word { place: place + 1, word, near: near(&small) });
            };
            for bit in 0..WORD_BITS {
                let at = place * WORD_BITS + bit;
                if (index >> (WORD_BITS - 1 - bit)) & 1 == 1
                    && let Some(byte) = bytes.get_mut(at / 8)
                {
                    *byte |= 1 << (7 - at % 8);
                }
            }
        }
        if words.len() != WORDS {
            return Err(KeyFault::WordCount { got: words.len() });
        }
        let (check, entropy) = match bytes.split_last_chunk::<1>() {
            Some((entropy, [check])) => (*check, entropy),
            None => return Err(KeyFault::Checksum),
        };
        let mut master = Zeroizing::new([0; MASTER_BYTES]);
        master.copy_from_slice(entropy);
        if checksum(master.as_slice()) == check {
            Ok(Self(master))
        } else {
            Err(KeyFault::Checksum)
        }
    }
}

impl PartialEq for Master {
    fn eq(&self, other: &Self) -> bool {
        bool::from(subtle::ConstantTimeEq::ct_eq(self.bytes(), other.bytes()))
    }
}

/// The first eight bits of SHA-256, as BIP-39 has it for 256 bits.
fn checksum(bytes: &[u8]) -> u8 {
    Sha256::digest(bytes).first().copied().unwrap_or(0)
}

/// The words of the list that are nearest to this one, if any is near at all.
fn near(word: &str) -> Vec<&'static str> {
    if word.chars().count() > SHOWN_LETTERS {
        return Vec::new();
    }
    let list = Language::English.word_list();
    let distances = list.iter().map(|other| (distance(word, other), *other));
    let mut close: Vec<_> = distances.filter(|(far, _)| *far <= FAR).collect();
    let least = close.iter().map(|(far, _)| *far).min().unwrap_or(0);
    close.retain(|(far, _)| *far == least);
    close.sort_by_key(|(_, other)| std::cmp::Reverse(same_start(word, other)));
    close.into_iter().take(OFFERED).map(|(_, other)| other).collect()
}

fn same_start(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
}

/// Letters to put in, take out, change, or let change places with the next.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, against) in other.iter().enumerate() {
            let mut least = at(&row, j) + usize::from(letter != against);
            least = least.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let turned = i > 0
                && j > 0
                && one.get(i - 1) == Some(against)
                && other.get(j - 1) == Some(letter);
            if turned {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}
