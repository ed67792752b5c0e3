//! The vault: a process of its own that alone opens the secrets of devices, and the daemon's end of
//! the talk with it.
//!
//! ```text
//!  daemon                                    aerie vault (own user, no network)
//!  ├ credentials  sealed records in the      ├ process/   key, proofs, limits, log
//!  │              store, never opened here   ├ crypto/    HPKE, Argon2id, shares, key file
//!  ├ candidates   which of them a device may have
//!  └ client ── protocol, over a Unix socket ─┘
//! ```
//!
//! Sealed records lie in the daemon's store; the vault's own directory holds the wrapped private
//! key, the public key, enrolments, its counter and its log. So an owned daemon opens what the
//! vault's limit allows and no more, and the vault's log shows each opening.

pub mod candidates;
mod client;
pub mod credentials;
pub mod crypto;
mod frame;
pub mod link;
pub mod process;
pub mod protocol;
mod text;

use thiserror::Error;

pub use self::client::Vault;
pub use self::text::SecretText;

/// Why the vault did not do it.
#[derive(Debug, Error)]
pub enum VaultError {
    /// It says no.
    #[error(transparent)]
    Refused(#[from] protocol::Refusal),
    /// It cannot be reached.
    #[error("the vault's process does not answer; it is started anew, try again in a moment")]
    Gone(#[source] std::io::Error),
    /// It said something else than what was asked.
    #[error("the vault's process answered something else; update both to one version")]
    Nonsense,
}
