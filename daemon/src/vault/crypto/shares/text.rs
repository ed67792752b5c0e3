//! A share as text.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::super::fault::shown;
use super::super::{KEY_TEXT_BYTES, KeyFault, sweep};
use super::{MOST, SHARED_BYTES, Share};
use crate::vault::SecretText;

const MARK: &str = "aerie-share-1";
/// Crockford's base32: nobody takes one of these for another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters of one group, the last of which checks the others.
const GROUP: usize = 5;
/// Groups that carry the share: 280 bits.
const GROUPS: usize = SHARED_BYTES * 8 / (5 * (GROUP - 1));
/// Groups in one line.
const IN_LINE: usize = 5;

impl Share {
    /// As text to print.
    pub fn text(&self) -> SecretText {
        let mut text = Zeroizing::new(String::with_capacity(256));
        let Self { set, number, total, needed, .. } = self;
        for line in [
            MARK,
            &format!("vault {} set {set}", hex(self.vault)),
            &format!("share {number} of {total}, {needed} open the vault"),
        ] {
            text.push_str(line);
            text.push('\n');
        }
        let letters = letters(self.data.as_slice());
        for (place, four) in letters.chunks(GROUP - 1).enumerate() {
            for letter in four {
                text.push(symbol(*letter));
            }
            text.push(symbol(group_check(place, four)));
            text.push(if (place + 1) % IN_LINE == 0 { '\n' } else { ' ' });
        }
        for letter in self.whole_check() {
            text.push(symbol(letter));
        }
        text.push('\n');
        SecretText::new(std::mem::take(&mut *text))
    }

    /// Reads one, as it was typed: case, line breaks and quote marks of mail do no harm.
    pub fn parse(text: &str) -> Result<Self, KeyFault> {
        if text.len() > KEY_TEXT_BYTES {
            return Err(KeyFault::TooLong);
        }
        let small = Zeroizing::new(text.trim_start_matches('\u{feff}').to_ascii_lowercase());
        let mut parts = small
            .split(|letter: char| letter.is_whitespace() || letter == ',' || letter == '>')
            .filter(|part| !part.is_empty());
        if parts.next() != Some(MARK) {
            return Err(KeyFault::NotAShare);
        }
        let (mut share, groups) = head(&mut parts).ok_or(KeyFault::ShareHead)?;
        if groups.len() != GROUPS + 1 {
            return Err(KeyFault::ShareLength { got: groups.len() });
        }
        let (last, carrying) = groups.split_last().ok_or(KeyFault::NotAShare)?;
        let mut read = Zeroizing::new(Vec::with_capacity(GROUPS * (GROUP - 1)));
        for (place, group) in carrying.iter().enumerate() {
            let five = group_of(group).ok_or_else(|| damaged(place, group))?;
            let (check, four) = five.split_last().ok_or(KeyFault::NotAShare)?;
            if group_check(place, four) != *check {
                return Err(damaged(place, group));
            }
            read.extend_from_slice(four);
        }
        bytes(&read, share.data.as_mut_slice());
        let last_five = group_of(last).ok_or_else(|| damaged(GROUPS, last))?;
        if *last_five == share.whole_check() { Ok(share) } else { Err(KeyFault::ShareHead) }
    }

    /// Five letters that check all of it.
    fn whole_check(&self) -> [u8; GROUP] {
        let hash = Sha256::new_with_prefix(b"aerie share text")
            .chain_update(self.head())
            .chain_update(self.data.as_slice())
            .finalize();
        sweep();
        let mut check = [0; GROUP];
        for (letter, byte) in check.iter_mut().zip(hash) {
            *letter = byte & 31;
        }
        check
    }
}

/// "vault V set S share N of T M open the vault", and the groups after it.
fn head<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<(Share, Vec<&'a str>)> {
    let mut after = |word: &str| (parts.next()? == word).then(|| parts.next()).flatten();
    let vault = u32::from_str_radix(after("vault").filter(|id| id.len() == 8)?, 16).ok()?;
    let set = after("set")?.parse().ok()?;
    let number = after("share")?.parse().ok()?;
    let total = after("of")?.parse().ok()?;
    let needed = parts.next()?.parse().ok()?;
    if !["open", "the", "vault"].iter().all(|word| parts.next() == Some(word)) {
        return None;
    }
    if !(2..=total).contains(&needed) || total > MOST || !(1..=total).contains(&number) {
        return None;
    }
    let data = Zeroizing::new([0; SHARED_BYTES]);
    let share = Share { vault: vault.to_be_bytes(), set, needed, total, number, data };
    // One more than belongs to it, so that too many are found, and no more than that.
    Some((share, parts.take(GROUPS + 2).collect()))
}

fn damaged(place: usize, group: &str) -> KeyFault {
    KeyFault::ShareGroup { group: place + 1, text: shown(group, 2 * GROUP) }
}

/// The values of a group's letters. What Crockford forgives is forgiven: o for 0, i and l for 1.
fn group_of(group: &str) -> Option<Zeroizing<[u8; GROUP]>> {
    let mut five = Zeroizing::new([0; GROUP]);
    if group.len() != GROUP {
        return None;
    }
    for (letter, byte) in five.iter_mut().zip(group.bytes()) {
        let byte = match byte {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            other => other,
        };
        let value = ALPHABET.iter().position(|symbol| *symbol == byte)?;
        *letter = u8::try_from(value).ok()?;
    }
    Some(five)
}

fn symbol(letter: u8) -> char {
    ALPHABET.get(usize::from(letter & 31)).copied().map_or('0', char::from)
}

/// The letter that ends a group: a sum in which each place, and the group's own, weighs otherwise,
/// so that one wrong letter, two that changed places and two groups that did are found.
fn group_check(place: usize, four: &[u8]) -> u8 {
    let mut sum = place % 32;
    for (weight, letter) in [1, 3, 5, 7].into_iter().zip(four) {
        sum += weight * usize::from(*letter);
    }
    u8::try_from(sum % 32).unwrap_or(0)
}

/// Bytes in letters of five bits.
fn letters(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let bit = |at: usize| (bytes.get(at / 8).copied().unwrap_or(0) >> (7 - at % 8)) & 1;
    let count = (bytes.len() * 8).div_ceil(5);
    let letter = |at: usize| (at * 5..at * 5 + 5).fold(0, |value, at| (value << 1) | bit(at));
    Zeroizing::new((0..count).map(letter).collect())
}

/// Letters of five bits in bytes.
fn bytes(letters: &[u8], into: &mut [u8]) {
    let bit = |at: usize| (letters.get(at / 5).copied().unwrap_or(0) >> (4 - at % 5)) & 1;
    for (place, byte) in into.iter_mut().enumerate() {
        *byte = (place * 8..place * 8 + 8).fold(0, |value, at| (value << 1) | bit(at));
    }
}

/// Four bytes in hexadecimal digits.
pub(super) fn hex(bytes: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(bytes))
}
