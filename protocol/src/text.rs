//! Strings that a device chose, made fit to be shown and stored.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// A string from a device: NFC, no control or bidirectional characters, of bounded length.
///
/// It is still the device's claim. What it can no longer do is break a log line, a terminal or a
/// page, or show itself in another order than it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceText(Box<str>);

impl DeviceText {
    /// Drops what does not belong into a name, normalises, cuts at `max_bytes` (never inside a
    /// character), and takes white space off both ends. Never fails: what is left may be empty.
    pub fn clean(text: &str, max_bytes: usize) -> Self {
        // Nearly every name is plain ASCII, which is NFC as it stands.
        if text.len() <= max_bytes && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Self(text.trim().into());
        }
        // Dropping comes first: a character gone from between two others may let them compose.
        let wanted = text.chars().filter(|character| !is_dropped(*character));
        let mut clean = String::with_capacity(text.len().min(max_bytes));
        for character in wanted.nfc() {
            if clean.len() + character.len_utf8() > max_bytes {
                break;
            }
            clean.push(character);
        }
        Self(clean.trim().into())
    }

    /// The string itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl AsRef<str> for DeviceText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// Control characters, line separators, what turns the reading direction, and what is invisible
/// without any use in a name. Joiners (U+200C, U+200D) stay: some scripts are unreadable without.
fn is_dropped(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061C}' // Arabic letter mark
                | '\u{200B}' // zero-width space
                | '\u{200E}'..='\u{200F}' // left-to-right and right-to-left mark
                | '\u{2028}'..='\u{202E}' // line and paragraph separator, embeddings, overrides
                | '\u{2060}'..='\u{206F}' // invisible operators, isolates, deprecated controls
                | '\u{FEFF}' // byte order mark
                | '\u{FFF9}'..='\u{FFFB}' // interlinear annotation
                | '\u{E0000}'..='\u{E007F}' // tags
        )
}
