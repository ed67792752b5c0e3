//! What the vault computes: pure functions, no file, no clock, no socket.
//!
//! ```text
//!  24 words / key file / shares ──> Master ──Argon2id──> AES-256-GCM ──> Wrapped (on the disk)
//!                                                                          │
//!  secret ──HPKE, PublicKey──> sealed bytes ──HPKE, PrivateKey──> secret   └─> PrivateKey
//! ```
//!
//! Whatever holds a secret here is wiped when it is dropped. What the libraries keep on the stack
//! while they compute is swept by [`sweep`] after each call that had a key in its hands.

mod draw;
mod fault;
pub mod keyfile;
mod master;
mod pair;
pub mod shares;
mod wrapped;

use thiserror::Error;
use zeroize::Zeroize;

pub use self::fault::KeyFault;
pub use self::master::{KEY_TEXT_BYTES, Master};
pub use self::pair::{
    Bound, PUBLIC_BYTES, PrivateKey, PublicKey, SEALED_BYTES, epoch_of, generate,
};
pub use self::wrapped::{Cost, Wrapped, unwrap, wrap};

/// Why something could not be computed. No fault of a key that somebody gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CryptoError {
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
    /// Too much for one seal.
    #[error("a secret has {} bytes at most", crate::vault::protocol::SECRET_BYTES)]
    TooLong,
    /// Bytes that are no text.
    #[error("a secret is text, and this is not UTF-8")]
    NotText,
    /// It does not open.
    #[error("a sealed secret does not open: it is damaged, or another vault's or record's")]
    Seal,
    /// Bytes that are no point of the curve, or none that a key may be.
    #[error("the vault's public key is damaged; restore the vault's directory from a backup")]
    PublicKey,
    /// The wrapped key is not what was written.
    #[error(
        "the vault's key on this machine's disk is damaged, your password is not at fault; restore \
         the vault's directory from a backup"
    )]
    Wrapped,
    /// Parameters out of bounds.
    #[error("Argon2id with these parameters is not for this vault")]
    Cost,
    /// No memory for Argon2id.
    #[error("this machine has not enough memory free to open the vault's key; close something")]
    Memory,
    /// A split that cannot be.
    #[error("2 to 16 shares, and 2 to all of them to open the vault")]
    Split,
}

/// Overwrites the stack below the caller, where a library's frames have just been: they hold
/// copies of keys that no library wipes.
#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "it is the stack that is swept")]
fn sweep() {
    let mut below = [0_u8; 48 * 1024];
    below.zeroize();
}

#[cfg(test)]
mod tests;
