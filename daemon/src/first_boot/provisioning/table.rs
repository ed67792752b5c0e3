//! A section of the file while it is read: each key is taken once, and what nobody takes is told.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Faults, key_told};

/// Entries of a list that are read.
const LIST: usize = 16;

/// A section, or the part above all sections.
pub(super) struct Section<'a> {
    name: &'static str,
    entries: Option<&'a DeTable<'a>>,
    /// Where it begins.
    place: usize,
    taken: Vec<&'static str>,
}

/// A value with its place.
pub(super) type At<T> = (T, usize);

/// What stands in a list of addresses or for one port.
pub(super) enum Listed<'a> {
    /// A number.
    Port(Option<u16>),
    /// Texts.
    Texts(Vec<At<&'a str>>),
}

impl<'a> Section<'a> {
    /// The part above all sections.
    pub(super) fn top(entries: &'a DeTable<'a>) -> Self {
        Self { name: "", entries: Some(entries), place: 0, taken: Vec::new() }
    }

    /// A section below the top, if it is there.
    pub(super) fn below(&mut self, name: &'static str, faults: &mut Faults<'_>) -> Option<Self> {
        let (value, place) = self.take(name)?;
        let DeValue::Table(entries) = value else {
            let problem = "it is a section and not a value";
            faults.add(faults.line(place), name, problem, &format!("Write [{name}] on its line."));
            return None;
        };
        Some(Self { name, entries: Some(entries), place, taken: Vec::new() })
    }

    /// The key with its section's name, as faults name it.
    pub(super) fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("[{}] {key}", self.name) }
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// Tells a fault of a key.
    pub(super) fn fault(
        &self,
        faults: &mut Faults<'_>,
        (key, place): At<&str>,
        problem: &str,
        fix: &str,
    ) {
        faults.add(faults.line(place), &self.full(key), problem, fix);
    }

    /// Tells that a key is missing, unless it may stand on a line that cannot be read.
    pub(super) fn missing(&self, faults: &mut Faults<'_>, key: &str, fix: &str) {
        if faults.is_whole() {
            self.fault(faults, (key, self.place), "it is missing", fix);
        }
    }

    /// Whether a key is there, good or bad.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    fn take(&mut self, key: &'static str) -> Option<At<&'a DeValue<'a>>> {
        self.taken.push(key);
        let value: &Spanned<DeValue<'a>> = self.entries?.get(key)?;
        Some((value.get_ref(), value.span().start))
    }

    /// A text.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        example: &str,
        faults: &mut Faults<'_>,
    ) -> Option<At<&'a str>> {
        let (value, place) = self.take(key)?;
        let DeValue::String(text) = value else {
            self.wrong_kind(faults, (key, place), "a text in quotes", example);
            return None;
        };
        Some((text, place))
    }

    /// `true` or `false`.
    pub(super) fn flag(
        &mut self,
        key: &'static str,
        example: &str,
        faults: &mut Faults<'_>,
    ) -> Option<At<bool>> {
        let (value, place) = self.take(key)?;
        let DeValue::Boolean(flag) = value else {
            self.wrong_kind(faults, (key, place), "true or false", example);
            return None;
        };
        Some((*flag, place))
    }

    /// A list of texts.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        example: &str,
        faults: &mut Faults<'_>,
    ) -> Vec<At<&'a str>> {
        let Some((value, place)) = self.take(key) else { return Vec::new() };
        self.list((key, place), value, example, faults).unwrap_or_else(|| {
            self.wrong_kind(faults, (key, place), "a list of texts in quotes", example);
            Vec::new()
        })
    }

    /// A port's number, or a list of addresses with ports.
    pub(super) fn listed(
        &mut self,
        key: &'static str,
        example: &str,
        faults: &mut Faults<'_>,
    ) -> Option<At<Listed<'a>>> {
        let (value, place) = self.take(key)?;
        if let DeValue::Integer(number) = value {
            let port = u16::from_str_radix(number.as_str(), number.radix()).ok();
            return Some((Listed::Port(port), place));
        }
        let texts = self.list((key, place), value, example, faults);
        if texts.is_none() {
            self.wrong_kind(faults, (key, place), "a port, or a list of addresses", example);
        }
        texts.map(|texts| (Listed::Texts(texts), place))
    }

    /// `None`: it is no list. An entry that is no text is told.
    fn list(
        &self,
        at: At<&str>,
        value: &'a DeValue<'a>,
        example: &str,
        faults: &mut Faults<'_>,
    ) -> Option<Vec<At<&'a str>>> {
        let list = value.as_array()?;
        if list.len() > LIST {
            let problem = format!("it has {} entries", list.len());
            self.fault(faults, at, &problem, &format!("At most {LIST} are taken."));
            return Some(Vec::new());
        }
        let mut texts = Vec::with_capacity(list.len());
        for entry in list {
            let place = entry.span().start;
            match entry.get_ref() {
                DeValue::String(text) => texts.push((Cow::as_ref(text), place)),
                _ => self.wrong_kind(faults, (at.0, place), "a text in quotes", example),
            }
        }
        Some(texts)
    }

    fn wrong_kind(&self, faults: &mut Faults<'_>, at: At<&str>, wanted: &str, example: &str) {
        let problem = format!("it has to be {wanted}");
        self.fault(faults, at, &problem, &format!("Write it like this: {example}"));
    }

    /// Tells the keys that nobody has taken.
    pub(super) fn finish(self, faults: &mut Faults<'_>) {
        for (key, _) in self.entries.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.taken.contains(&name) {
                continue;
            }
            let place = key.span().start;
            let fix = format!("There are: {}. Correct it or take it out.", self.taken.join(", "));
            self.fault(faults, (&key_told(name), place), "there is no such key", &fix);
        }
    }
}
