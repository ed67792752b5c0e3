//! The vault's own log: what it did and on whose word, each entry chained to the one before.
//!
//! One line of JSON an entry, added and never changed. Beyond [`FILE_BYTES`] the file becomes the
//! former one and a new one goes on with the chain; the former's former goes. What a power cut tore
//! off at the end is cut at the last whole entry, and that stands in the log itself.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Result};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::Folder;
use crate::vault::protocol::{AT_ONCE, LogEntry};

/// The file, and the one before.
const NAME: &str = "log";
const FORMER: &str = "log.former";
/// Bytes of a file: some forty thousand openings.
const FILE_BYTES: u64 = 8 * 1_024 * 1_024;
/// Bytes of an entry's line.
const LINE_BYTES: usize = 8 * 1_024;
/// Characters of what an entry is about.
const ABOUT: usize = 600;

/// The open log.
pub(super) struct Log {
    folder: Folder,
    file: File,
    length: u64,
    bound: u64,
    /// Of the next entry, and the hash of the last.
    next: u64,
    last: [u8; 32],
}

/// An entry's line.
#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    at: i64,
    what: String,
    about: String,
    hash: String,
}

impl Log {
    /// Opens it. A torn end is cut off.
    pub(super) fn open(folder: &Folder, at: i64) -> Result<Self> {
        Self::bounded(folder, at, FILE_BYTES)
    }

    fn bounded(folder: &Folder, at: i64, bound: u64) -> Result<Self> {
        let file = folder.append(NAME)?;
        let mut log =
            Self { folder: folder.clone(), file, length: 0, bound, next: 0, last: [0; 32] };
        let mut former = Chain::default();
        if let Some(file) = log.former()? {
            former.follow(file, |_| {})?;
        }
        let mut chain = Chain { last: former.last, ..Chain::default() };
        chain.follow(log.file.try_clone()?, |_| {})?;
        if let Some((number, hash)) = chain.last {
            (log.next, log.last) = (number + 1, hash);
        }
        log.length = chain.whole;
        let torn = log.file.metadata()?.len().saturating_sub(chain.whole);
        if torn > 0 {
            log.file.set_len(chain.whole)?;
            log.add(at, &[("log-cut", format!("{torn} bytes at its end were no whole entry"))])?;
        }
        Ok(log)
    }

    /// Adds entries, durably and all or none.
    pub(super) fn add(&mut self, at: i64, entries: &[(&str, String)]) -> Result<()> {
        if self.length >= self.bound {
            self.turn()?;
        }
        let (mut number, mut last, mut text) = (self.next, self.last, Vec::new());
        for (what, about) in entries {
            let about: String = about.chars().filter(|c| !c.is_control()).take(ABOUT).collect();
            last = link(last, number, at, what, &about);
            let what = (*what).to_owned();
            let line = Line { number, at, what, about, hash: hex(&last) };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
            number += 1;
        }
        self.folder.add(&mut self.file, self.length, &text)?;
        self.length += text.len() as u64;
        (self.next, self.last) = (number, last);
        Ok(())
    }

    /// The file is full: it becomes the former one.
    fn turn(&mut self) -> Result<()> {
        self.folder.rename(NAME, FORMER)?;
        self.file = self.folder.append(NAME)?;
        self.length = 0;
        Ok(())
    }

    fn former(&self) -> Result<Option<File>> {
        match File::open(self.folder.path(FORMER)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Entries from a number on, as many as one answer takes.
    pub(super) fn from(&self, number: u64) -> Result<Vec<LogEntry>> {
        let mut found = Vec::new();
        let own = File::open(self.folder.path(NAME))?;
        for file in self.former()?.into_iter().chain([own]) {
            Chain::default().follow(file, |entry| {
                if entry.number >= number && found.len() < AT_ONCE {
                    found.push(entry);
                }
            })?;
        }
        Ok(found)
    }
}

/// Reads a file's whole entries in order.
#[derive(Default)]
struct Chain {
    /// Number and hash of the last.
    last: Option<(u64, [u8; 32])>,
    /// Bytes until its end.
    whole: u64,
}

impl Chain {
    /// Up to the first line that is no entry, or does not follow on the one before.
    fn follow(&mut self, file: File, mut each: impl FnMut(LogEntry)) -> Result<()> {
        let mut reader = BufReader::new(file);
        std::io::Seek::rewind(&mut reader)?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let bound = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
            let length = reader.by_ref().take(bound).read_until(b'\n', &mut line)?;
            let Some(entry) = self.next(&line) else { return Ok(()) };
            self.whole += length as u64;
            self.last = Some((entry.number, entry.hash));
            each(entry);
        }
    }

    fn next(&self, line: &[u8]) -> Option<LogEntry> {
        let line: Line = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
        let Line { number, at, what, about, hash } = line;
        let hash = from_hex(&hash)?;
        let follows = match self.last {
            Some((before, last)) => {
                number == before + 1 && link(last, number, at, &what, &about) == hash
            }
            // Once older ones have gone, the first follows on what is not known any more.
            None => number != 0 || link([0; 32], number, at, &what, &about) == hash,
        };
        follows.then_some(LogEntry { number, at, what, about, hash })
    }
}

fn link(before: [u8; 32], number: u64, at: i64, what: &str, about: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(number.to_be_bytes());
    hash.update(at.to_be_bytes());
    for text in [what, about] {
        // With its length, so that no text runs into the next.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        text.extend(
            [byte >> 4, byte & 15].map(|half| char::from_digit(half.into(), 16)).iter().flatten(),
        );
        text
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(data.path()).unwrap();
        (data, folder)
    }

    fn abouts(log: &Log) -> Vec<String> {
        log.from(0).unwrap().into_iter().map(|entry| entry.about).collect()
    }

    #[test]
    fn v1_a_torn_end_is_cut_at_the_last_whole_entry_and_told() {
        let (_data, folder) = folder();
        let mut log = Log::open(&folder, 1).unwrap();
        log.add(1, &[("opened", "one".to_owned()), ("opened", "two\nlines".to_owned())]).unwrap();
        let whole = std::fs::read(folder.path(NAME)).unwrap();
        drop(log);
        let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in second..whole.len() {
            std::fs::write(folder.path(NAME), &whole[..length]).unwrap();
            let mut log = Log::open(&folder, 2).unwrap();
            log.add(3, &[("sealed", "three".to_owned())]).unwrap();
            let told = format!("{} bytes at its end were no whole entry", length - second);
            let cut = if length == second { vec![] } else { vec![told] };
            let expected = [vec!["one".to_owned()], cut, vec!["three".to_owned()]].concat();
            assert_eq!(abouts(&log), expected, "{length}");
        }
    }

    #[test]
    fn v1_a_changed_entry_ends_the_chain() {
        let (_data, folder) = folder();
        let mut log = Log::open(&folder, 1).unwrap();
        for about in ["one", "two", "three"] {
            log.add(1, &[("opened", about.to_owned())]).unwrap();
        }
        let text = std::fs::read_to_string(folder.path(NAME)).unwrap();
        std::fs::write(folder.path(NAME), text.replace("two", "owt")).unwrap();
        assert_eq!(abouts(&log), ["one"]);
    }

    #[test]
    fn v1_a_full_file_becomes_the_former_one_and_the_chain_goes_on() {
        let (_data, folder) = folder();
        let mut log = Log::bounded(&folder, 1, 1_000).unwrap();
        for number in 0..40 {
            log.add(number, &[("opened", number.to_string())]).unwrap();
            if number % 3 == 0 {
                log = Log::bounded(&folder, 1, 1_000).unwrap();
            }
        }
        let entries = log.from(0).unwrap();
        assert!(entries.len() < 40 && entries.len() > 8, "{}", entries.len());
        assert_eq!(entries.last().unwrap().about, "39");
        for pair in entries.windows(2) {
            let LogEntry { number, at, what, about, hash } = &pair[1];
            assert_eq!(*number, pair[0].number + 1);
            assert_eq!(*hash, link(pair[0].hash, *number, *at, what, about));
        }
        assert_eq!(log.from(38).unwrap().len(), 2);
    }
}
