//! What the owner says about security to the outside: whom to tell of weaknesses, and how strictly
//! browsers keep to HTTPS.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::store::{Store, StoreError, tables};

/// The setting that holds it.
const SETTING: &str = "security";
/// A contact counts for so long after somebody has stood by it (RFC 9116, section 2.5.5: less than
/// a year).
const CONTACT_LIFE: SignedDuration = SignedDuration::from_hours(360 * 24);
/// Characters of a contact.
const CONTACT_CHARS: usize = 256;

/// Why it was not changed.
#[derive(Debug, Error)]
pub enum SecurityError {
    /// Nobody could be reached by it.
    #[error(
        "the contact must be an e-mail address such as mailto:security@example.net, or the \
         address of a page such as https://example.net/security"
    )]
    Contact,
    /// The store.
    #[error("the security settings could not be read or stored; nothing was changed")]
    Store(#[from] StoreError),
}

/// What the owner says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecuritySettings {
    /// Whom to tell of a weakness: a `mailto:` or `https:` URI.
    pub contact: Option<String>,
    /// When somebody last stood by the contact.
    pub contact_since: Option<Timestamp>,
    /// Whether browsers keep to HTTPS for all names below the appliance's too.
    #[serde(default)]
    pub hsts_include_sub_domains: bool,
}

impl SecuritySettings {
    /// Until when the contact counts.
    pub fn contact_expires(&self) -> Option<Timestamp> {
        self.contact_since.map(|since| since + CONTACT_LIFE)
    }
}

/// The settings, announced to whoever follows them. Cheap to clone.
#[derive(Clone)]
pub struct Security {
    store: Store,
    now: Arc<watch::Sender<SecuritySettings>>,
}

impl Security {
    /// Reads them from the store.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let stored = store.read(|reader| reader.get(tables::SETTINGS, SETTING)).await?;
        let settings = stored.and_then(|text: String| serde_json::from_str(&text).ok());
        let now = Arc::new(watch::Sender::new(settings.unwrap_or_default()));
        Ok(Self { store: store.clone(), now })
    }

    /// How they are now.
    pub fn settings(&self) -> SecuritySettings {
        self.now.borrow().clone()
    }

    /// Whether browsers are told about the names below, too.
    pub(super) fn include_sub_domains(&self) -> bool {
        self.now.borrow().hsts_include_sub_domains
    }

    /// Changes them: durable when it returns.
    pub async fn change(&self, settings: SecuritySettings) -> Result<(), SecurityError> {
        if settings.contact.as_deref().is_some_and(|contact| !is_contact(contact)) {
            return Err(SecurityError::Contact);
        }
        let text = serde_json::json!(settings).to_string();
        self.store.write(move |writer| writer.put(tables::SETTINGS, SETTING, &text)).await?;
        self.now.send_replace(settings);
        Ok(())
    }
}

fn is_contact(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_graphic();
    if text.chars().count() > CONTACT_CHARS || !text.chars().all(plain) {
        return false;
    }
    let mail = text.strip_prefix("mailto:").and_then(|address| address.split_once('@'));
    let page = text.strip_prefix("https://");
    mail.is_some_and(|(who, host)| !who.is_empty() && host.contains('.') && !host.contains('@'))
        || page.is_some_and(|rest| rest.split('/').next().is_some_and(|host| host.contains('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_a_mail_address_or_a_page() {
        for good in ["mailto:security@example.net", "https://example.net/security?x#y"] {
            assert!(is_contact(good), "{good}");
        }
        let long = format!("mailto:{}@example.net", "a".repeat(300));
        for bad in [
            "",
            "security@example.net",
            "mailto:",
            "mailto:@example.net",
            "mailto:a@b@example.net",
            "mailto:a b@example.net",
            "http://example.net",
            "https://",
            "mailto:a@example.net\nExpires: never",
            &long,
        ] {
            assert!(!is_contact(bad), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn s1_the_contact_outlives_a_restart_and_counts_less_than_a_year() {
        let store = Store::memory().unwrap();
        let security = Security::load(&store).await.unwrap();
        assert_eq!(security.settings(), SecuritySettings::default());
        let since: Timestamp = "2027-01-15T08:00:00Z".parse().unwrap();
        let wanted = SecuritySettings {
            contact: Some("mailto:security@example.net".to_owned()),
            contact_since: Some(since),
            hsts_include_sub_domains: true,
        };
        security.change(wanted.clone()).await.unwrap();
        let again = Security::load(&store).await.unwrap();
        assert_eq!(again.settings(), wanted);
        assert_eq!(wanted.contact_expires(), Some("2028-01-10T08:00:00Z".parse().unwrap()));
        let bad = SecuritySettings { contact: Some("me".to_owned()), ..wanted.clone() };
        assert!(matches!(again.change(bad).await, Err(SecurityError::Contact)));
        assert_eq!(again.settings(), wanted);
    }
}
