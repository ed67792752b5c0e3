//! A secret text on its way between the two processes.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A secret text: no `Debug`, no `Display`, wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a secret in.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Shows it. Look for this word to find every place that does.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SecretText;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<SecretText, E> {
                // Exactly as long as it is: a string that grows leaves copies behind.
                Ok(SecretText::new(text.to_owned()))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<SecretText, E> {
                Ok(SecretText::new(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
