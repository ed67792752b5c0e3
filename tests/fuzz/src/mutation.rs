//! A corpus and mutations of it that are the same in every run: fuzzing for a toolchain without
//! libFuzzer.

use std::fs;
use std::path::Path;

/// Inputs that are made of a corpus.
const MUTATIONS: usize = 20_000;
/// Longest input that mutation makes, in bytes.
const MAX_INPUT: usize = 4096;

/// Marsaglia's xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `bound`, or 0 when there is nothing below it.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let place = random.below(input.len());
    let end = place + random.below(input.len() - place + 1);
    match random.below(8) {
        0 if !input.is_empty() => input[place] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[place] = random.byte(),
        // Where parsers count: the ends of the range, and the bits that say "more follows".
        2 if !input.is_empty() => input[place] = [0x00, 0x7F, 0x80, 0xFF, b'+'][random.below(5)],
        3 => input.insert(place, random.byte()),
        4 => drop(input.drain(place..end)),
        5 => input.extend_from_within(place..end),
        6 => input.truncate(place),
        _ => drop(input.splice(place..end, other[random.below(other.len())..].iter().copied())),
    }
    input.truncate(MAX_INPUT);
}

/// Gives each input of a corpus, and each mutation, to what parses it.
pub fn exercise(folder: &Path, entry: fn(&[u8])) {
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(corpus.len() > 3, "{} holds too little", folder.display());
    for input in &corpus {
        entry(input);
    }
    let mut random = Random(0x4165_7269_6521);
    for _ in 0..MUTATIONS {
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        for _ in 0..=random.below(8) {
            mutate(&mut random, &mut input, other);
        }
        entry(&input);
    }
}
