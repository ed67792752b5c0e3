//! The transport phase: sealed messages, each opened once and in order.

use std::fmt;

use snow::{HandshakeState, TransportState};

use super::{NoiseError, PublicKey, proven};
use crate::MAX_MESSAGE;

/// What sealing adds to a message, in bytes.
pub const TAG_BYTES: usize = 16;

/// The longest message that can be sealed, in bytes.
pub const MAX_PLAIN: usize = MAX_MESSAGE - TAG_BYTES;

/// After as many messages, both ways together, the ends shake hands again.
pub const MESSAGES_PER_SESSION: u64 = 1 << 20;

/// A finished handshake: seals what this end sends and opens what the other end sealed.
///
/// Small, because an appliance keeps thousands: the two keys lie on the heap in 32 bytes each and
/// are expanded when a message passes.
pub struct Session {
    transport: TransportState,
    remote: PublicKey,
}

impl Session {
    pub(super) fn new(state: HandshakeState) -> Result<Self, NoiseError> {
        let remote = proven(&state)?;
        let transport = state.into_transport_mode().map_err(NoiseError::Handshake)?;
        Ok(Self { transport, remote })
    }

    /// The static key that the other end proved.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Replaces what is in `out` by the sealed message. Allocates only when `out` has to grow.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        out.clear();
        if plain.len() > MAX_PLAIN {
            return Err(NoiseError::TooLarge { limit: MAX_PLAIN, got: plain.len() });
        }
        out.resize(plain.len() + TAG_BYTES, 0);
        let sealed = self.transport.write_message(plain, out);
        finish(sealed, out)
    }

    /// Replaces what is in `out` by the opened message. Allocates only when `out` has to grow.
    ///
    /// A failure means that somebody meddled: end the session. Nothing of the message is in `out`.
    pub fn open(&mut self, cipher: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        out.clear();
        if cipher.len() > MAX_MESSAGE {
            return Err(NoiseError::TooLarge { limit: MAX_MESSAGE, got: cipher.len() });
        }
        out.resize(cipher.len().saturating_sub(TAG_BYTES), 0);
        let opened = self.transport.read_message(cipher, out);
        finish(opened, out)
    }

    /// Messages sealed and opened so far, for [`MESSAGES_PER_SESSION`].
    pub fn messages(&self) -> u64 {
        self.transport.sending_nonce().saturating_add(self.transport.receiving_nonce())
    }
}

fn finish(done: Result<usize, snow::Error>, out: &mut Vec<u8>) -> Result<(), NoiseError> {
    match done {
        Ok(length) => {
            out.truncate(length);
            Ok(())
        }
        Err(error) => {
            out.clear();
            Err(NoiseError::Message(error))
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session").field("remote", &self.remote).finish_non_exhaustive()
    }
}
