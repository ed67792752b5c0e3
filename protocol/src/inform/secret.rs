//! The messages that carry a password in clear: never shown, and told apart so that buffers are wiped.
//!
//! The messages themselves wipe what they hold when they go (see `build.rs`).

use std::fmt;

use super::{FromAppliance, SetPassword, TryPassword, from_appliance, request};

impl FromAppliance {
    /// Whether it carries a password: then whoever encoded or decoded it wipes the bytes as well.
    pub fn is_secret(&self) -> bool {
        use request::Verb;
        let Some(from_appliance::Body::Request(request)) = &self.body else { return false };
        matches!(request.verb, Some(Verb::SetPassword(_) | Verb::TryPassword(_)))
    }
}

impl fmt::Debug for SetPassword {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SetPassword")
            .field("account", &self.account)
            .field("credential_id", &self.credential_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TryPassword {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TryPassword").field("account", &self.account).finish_non_exhaustive()
    }
}
