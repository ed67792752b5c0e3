//! What happened, and the line of the log that it becomes.

use std::borrow::Cow;

use aerie_protocol::text::DeviceText;
use jiff::Timestamp;
use uuid::Uuid;

use crate::store::records::EventRecord;

/// Bytes of a message.
const MESSAGE_BYTES: usize = 600;
/// Bytes of a name.
const NAME_BYTES: usize = 128;

/// The published API's words for what an event is about.
pub const TAGS: [&str; 15] = [
    "login",
    "device",
    "email-dispatch",
    "nms-backup",
    "nms-update",
    "nms-error",
    "device-alert-message",
    "device-state",
    "device-backup",
    "device-upgrade",
    "device-restart",
    "device-interface",
    "site",
    "uisp-general",
    "pevice-preregistration",
];

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// For the record.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody has to act.
    Error,
}

impl Level {
    /// The published API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The inverse of [`Level::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Error].into_iter().find(|level| level.name() == name)
    }
}

/// Whose doing an event is, and so how many of its kind are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Noise {
    /// Anybody can make us say this as often as he likes.
    Strangers,
    /// Somebody who was let in did it.
    Ours,
}

/// Something that happened, to be recorded.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) noise: Noise,
    pub(super) level: Level,
    pub(super) tag: &'static str,
    pub(super) message: String,
    pub(super) device: Option<(Uuid, String)>,
    pub(super) site: Option<Uuid>,
    pub(super) account: Option<Uuid>,
    pub(super) at_once: bool,
}

impl Event {
    pub(super) fn new(noise: Noise, level: Level, tag: &'static str, message: String) -> Self {
        let (device, site, account) = (None, None, None);
        Self { noise, level, tag, message, device, site, account, at_once: false }
    }

    /// What an admin or an authorised device did. `tag` is one of [`TAGS`].
    pub fn quiet(level: Level, tag: &'static str, message: String) -> Self {
        Self::new(Noise::Ours, level, tag, message)
    }

    /// What a stranger can make happen as often as he likes: equal ones are listed once in ten
    /// minutes, and all of a tag share a small budget. `tag` is one of [`TAGS`].
    pub fn noisy(level: Level, tag: &'static str, message: String) -> Self {
        Self::new(Noise::Strangers, level, tag, message)
    }

    /// The device that it is about, with its name at this time.
    #[must_use]
    pub fn about(self, device: Uuid, name: &str) -> Self {
        Self { device: Some((device, name.to_owned())), ..self }
    }

    /// The site that it is about.
    #[must_use]
    pub fn at_site(self, site: Uuid) -> Self {
        Self { site: Some(site), ..self }
    }

    /// The account that did it.
    #[must_use]
    pub fn by(self, account: Uuid) -> Self {
        Self { account: Some(account), ..self }
    }

    /// Concerns security: written to the store without waiting for others.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self { at_once: true, ..self }
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Sorts by time (UUID version 7).
    pub id: Uuid,
    /// When it was recorded.
    pub at: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// What it is about: one of [`TAGS`].
    pub tag: Cow<'static, str>,
    /// For people.
    pub message: Box<str>,
    /// The device that it is about.
    pub device: Option<Uuid>,
    /// The device's name at that time; empty without a device.
    pub device_name: Box<str>,
    /// The site that it is about.
    pub site: Option<Uuid>,
    /// The account that did it.
    pub account: Option<Uuid>,
}

impl Entry {
    /// The line that an event becomes. Its texts are cleaned, since names in them are a
    /// stranger's choice.
    pub(super) fn new(id: Uuid, at: Timestamp, event: Event) -> Self {
        let clean = |text: &str, bytes| Box::from(DeviceText::clean(text, bytes).as_str());
        let (device, device_name) = event.device.unzip();
        Self {
            id,
            at,
            level: event.level,
            tag: Cow::Borrowed(event.tag),
            message: clean(&event.message, MESSAGE_BYTES),
            device,
            device_name: clean(&device_name.unwrap_or_default(), NAME_BYTES),
            site: event.site,
            account: event.account,
        }
    }

    pub(super) fn from_record(id: Uuid, record: EventRecord) -> Self {
        let known = TAGS.into_iter().find(|tag| *tag == record.tag);
        Self {
            id,
            at: Timestamp::from_millisecond(record.at).unwrap_or_default(),
            // A level of a later release is nothing to hide.
            level: Level::from_name(&record.level).unwrap_or(Level::Warning),
            tag: known.map_or(Cow::Owned(record.tag), Cow::Borrowed),
            message: record.message.into(),
            device: record.device,
            device_name: record.device_name.into(),
            site: record.site,
            account: record.account,
        }
    }

    pub(super) fn to_record(&self) -> EventRecord {
        EventRecord {
            at: self.at.as_millisecond(),
            level: self.level.name().to_owned(),
            tag: self.tag.clone().into_owned(),
            message: self.message.to_string(),
            device: self.device,
            device_name: self.device_name.to_string(),
            site: self.site,
            account: self.account,
        }
    }
}
