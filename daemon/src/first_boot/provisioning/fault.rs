//! What is wrong with a provisioning file: every fault with its line, and all of them at once.

use std::fmt;

/// Faults that are told; what has more is no provisioning file.
const MOST: usize = 50;
/// Characters of a key that is not known, as it is told.
const KEY_CHARS: usize = 40;

/// One fault. It never repeats a value: a value may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// The key, with its section: `[network] gateway`; empty where the line has none.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, problem, fix } = self;
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        write!(out, "line {line}: {key}{problem}. {fix}")
    }
}

/// All faults of a file while it is read.
pub(super) struct Faults<'a> {
    text: &'a str,
    found: Vec<Fault>,
    /// Lines that are no TOML: what else is said about them may be a consequence.
    broken: Vec<usize>,
}

impl<'a> Faults<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, found: Vec::new(), broken: Vec::new() }
    }

    /// The line of a place in the text.
    pub(super) fn line(&self, place: usize) -> usize {
        line_of(self.text.as_bytes(), place)
    }

    /// A line that is no TOML.
    pub(super) fn broken(&mut self, place: usize, problem: &str) {
        let line = self.line(place);
        if !self.broken.contains(&line) {
            self.broken.push(line);
            let problem = told(problem);
            let fix = "Write keys as key = \"text\" below their [section]".to_owned();
            self.found.push(Fault { line, key: String::new(), problem, fix: fix + "." });
        }
    }

    pub(super) fn add(&mut self, line: usize, key: &str, problem: &str, fix: &str) {
        let fix = fix.to_owned();
        self.found.push(Fault { line, key: key.to_owned(), problem: problem.to_owned(), fix });
    }

    /// Whether every line is TOML.
    pub(super) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// In the order of lines; `None` where there are none.
    pub(super) fn into_list(mut self) -> Option<Vec<Fault>> {
        let broken = std::mem::take(&mut self.broken);
        self.found.retain(|fault| fault.key.is_empty() || !broken.contains(&fault.line));
        self.found.sort_by_key(|fault| fault.line);
        let more = self.found.len().saturating_sub(MOST);
        if more > 0 {
            self.found.truncate(MOST);
            let line = self.found.last().map_or(1, |last| last.line);
            let problem = format!("{more} more faults follow");
            let fix = "Begin with the example in docs/appliance.md.".to_owned();
            self.found.push(Fault { line, key: String::new(), problem, fix });
        }
        (!self.found.is_empty()).then_some(self.found)
    }
}

/// The line of a place, counted from 1.
pub(super) fn line_of(bytes: &[u8], place: usize) -> usize {
    bytes.iter().take(place).filter(|byte| **byte == b'\n').count() + 1
}

/// A key as somebody wrote it, short and without what a terminal would act on.
pub(super) fn key_told(key: &str) -> String {
    let short: String = key.chars().take(KEY_CHARS).collect();
    let cut = if short.len() < key.len() { "…" } else { "" };
    let seen = short.chars().map(|letter| if letter.is_control() { '?' } else { letter });
    seen.collect::<String>() + cut
}

/// A parser's message on one line, without its end.
fn told(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').chars().filter(|letter| !letter.is_control()).collect()
}
