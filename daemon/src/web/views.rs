//! Small pieces that many answers are made of.

use std::fmt;

use aerie_protocol::text::DeviceText;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// A moment as the API writes it: ISO 8601 in UTC, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Time(pub(super) Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.3}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Timestamp> for Time {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

/// What came of an action.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ActionResult {
    /// Done.
    result: bool,
    /// What was done, for people.
    message: String,
}

impl ActionResult {
    /// It was done.
    pub(super) fn done(message: impl Into<String>) -> axum::Json<Self> {
        axum::Json(Self { result: true, message: message.into() })
    }
}

/// A MAC address as six pairs of hex digits; none where the device gave none.
pub(super) fn mac_text(mac: [u8; 6]) -> Option<String> {
    (mac != [0; 6]).then(|| mac.map(|byte| format!("{byte:02x}")).join(":"))
}

/// What a device said, if it said anything.
pub(super) fn said(text: &DeviceText) -> Option<String> {
    (!text.is_empty()).then(|| text.as_str().to_owned())
}

/// A text, unless it is empty.
pub(super) fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// To one decimal: more would be noise, and bytes on the wire.
pub(super) fn tenth(value: f32) -> f32 {
    (value * 10.0).round() / 10.0
}

/// A room's error as a sentence.
pub(super) fn sentence(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().collect::<String>());
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_in_utc_with_milliseconds() {
        let moment: Timestamp = "2026-03-01T12:00:00.123456789Z".parse().unwrap();
        assert_eq!(serde_json::to_string(&Time(moment)).unwrap(), "\"2026-03-01T12:00:00.123Z\"");
        let whole: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(Time(whole).to_string(), "2026-03-01T12:00:00.000Z");
    }

    #[test]
    fn a_sentence_begins_with_a_capital_and_ends_once() {
        assert_eq!(sentence(&"the PIN is wrong"), "The PIN is wrong.");
        assert_eq!(sentence(&"it is done."), "It is done.");
        assert_eq!(
            sentence(&"word 7 is not known; is it “heron”?"),
            "Word 7 is not known; is it “heron”?"
        );
        assert_eq!(sentence(&""), ".");
    }

    #[test]
    fn no_mac_address_is_shown_where_there_is_none() {
        assert_eq!(mac_text([0; 6]), None);
        assert_eq!(mac_text([2, 0, 0, 0, 0, 0x0f]).unwrap(), "02:00:00:00:00:0f");
    }
}
