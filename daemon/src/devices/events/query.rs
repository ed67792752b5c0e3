//! Looking into the log.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::entry::{Entry, Level};

/// Entries that a page can have.
const LARGEST_PAGE: usize = 1_000;

/// What to look for in the log. Empty lists ask for all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Entries of a page, at least 1.
    pub count: usize,
    /// Which page, from 1.
    pub page: usize,
    /// With one of these levels.
    pub levels: Vec<Level>,
    /// With one of these tags.
    pub tags: Vec<String>,
    /// About one of these devices.
    pub devices: Vec<Uuid>,
    /// About one of these sites.
    pub sites: Vec<Uuid>,
    /// With this text in message or device name, whatever its case.
    pub text: String,
    /// Not older than this.
    pub from: Option<Timestamp>,
    /// Not newer than this.
    pub until: Option<Timestamp>,
}

/// A part of the log, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub items: Vec<Arc<Entry>>,
    /// Entries that match in all.
    pub total: usize,
    /// Pages that they fill.
    pub pages: usize,
    /// How many match in each level, the wanted levels aside.
    pub counts: LevelCounts,
}

/// How many entries there are of each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelCounts {
    /// [`Level::Info`].
    pub info: usize,
    /// [`Level::Warning`].
    pub warning: usize,
    /// [`Level::Error`].
    pub error: usize,
}

impl LevelCounts {
    /// All levels together.
    pub fn all(&self) -> usize {
        self.info + self.warning + self.error
    }

    fn add(&mut self, level: Level) {
        match level {
            Level::Info => self.info += 1,
            Level::Warning => self.warning += 1,
            Level::Error => self.error += 1,
        }
    }
}

/// A query made ready to be asked of each entry.
pub(super) struct Search<'a> {
    query: &'a Query,
    text: String,
}

impl<'a> Search<'a> {
    pub(super) fn new(query: &'a Query) -> Self {
        Self { query, text: query.text.to_lowercase() }
    }

    /// Goes through the entries, which come newest first.
    pub(super) fn run<'e>(self, newest_first: impl Iterator<Item = &'e Arc<Entry>>) -> Page {
        let count = self.query.count.clamp(1, LARGEST_PAGE);
        let skipped = self.query.page.saturating_sub(1).saturating_mul(count);
        let mut page = Page::default();
        for entry in newest_first.filter(|entry| self.matches(entry)) {
            page.counts.add(entry.level);
            if !is_wanted(&self.query.levels, &entry.level) {
                continue;
            }
            if page.total >= skipped && page.items.len() < count {
                page.items.push(Arc::clone(entry));
            }
            page.total += 1;
        }
        page.pages = page.total.div_ceil(count);
        page
    }

    /// Whether all but the level fits.
    fn matches(&self, entry: &Entry) -> bool {
        let query = self.query;
        query.from.is_none_or(|from| entry.at >= from)
            && query.until.is_none_or(|until| entry.at <= until)
            && (query.tags.is_empty() || query.tags.iter().any(|tag| *tag == entry.tag))
            && is_about(&query.devices, entry.device)
            && is_about(&query.sites, entry.site)
            && (self.text.is_empty()
                || entry.message.to_lowercase().contains(&self.text)
                || entry.device_name.to_lowercase().contains(&self.text))
    }
}

fn is_wanted<T: PartialEq>(wanted: &[T], found: &T) -> bool {
    wanted.is_empty() || wanted.contains(found)
}

fn is_about(wanted: &[Uuid], found: Option<Uuid>) -> bool {
    wanted.is_empty() || found.is_some_and(|found| wanted.contains(&found))
}
