//! The inner layer: who is at the other end, proven, and every message sealed.
//!
//! A first contact is `Noise_XXpsk0_25519_AESGCM_SHA256` with the device key's 32 bytes as the
//! pre-shared key; an enrolled device comes back by `Noise_IK_25519_AESGCM_SHA256`. The device
//! speaks first. Before its message 1 stand in clear, and in the prologue of the handshake:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 1 | pattern: 1 first contact, 2 reconnect |
//! | 4 | first contact only: the device key's generation, never zero |
//!
//! Handshake payloads are empty, so every handshake message has one possible length, which is
//! checked before anything is computed. Message 1 has no effect on the appliance: it may be a
//! recording. Only a transport message that opened proves a live device.
//!
//! What this cannot wipe: snow keeps the pre-shared key and the chaining key of a handshake in
//! plain memory until the handshake ends. Transport keys and static keys are wiped when dropped.

mod appliance;
mod device;
mod header;
mod identity;
mod primitives;
mod session;

use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};
use thiserror::Error;

pub use self::appliance::{Answered, AwaitingThird, Opening};
pub use self::device::{DeviceHandshake, DeviceReply, FirstContact, Reconnect};
pub use self::identity::{PublicKey, StaticKey};
pub use self::primitives::Primitives;
pub use self::session::{MAX_PLAIN, MESSAGES_PER_SESSION, Session, TAG_BYTES};

/// The version byte of every opening.
pub const VERSION: u8 = 1;

/// Length of message 2 of a first contact: ephemeral key, sealed static key, tag.
const FIRST_CONTACT_REPLY_BYTES: usize = 32 + 48 + 16;
/// Length of message 3 of a first contact: sealed static key, tag.
const FIRST_CONTACT_THIRD_BYTES: usize = 48 + 16;
/// Length of message 2 of a reconnect: ephemeral key, tag.
const RECONNECT_REPLY_BYTES: usize = 32 + 16;

/// Why a handshake or a message was refused.
#[derive(Debug, Error, PartialEq)]
pub enum NoiseError {
    /// The first byte of an opening is not [`VERSION`], or there is none.
    #[error("the device speaks another version of the protocol: update whichever end is older")]
    Version,
    /// The second byte of an opening is neither pattern.
    #[error("the opening names no known handshake pattern: update whichever end is older")]
    Pattern,
    /// A handshake message of a length that no empty payload gives.
    #[error("a handshake message has {got} bytes instead of {expected}: the peer is no Aerie peer")]
    Length {
        /// Bytes that it should have.
        expected: usize,
        /// Bytes that it has.
        got: usize,
    },
    /// The key id of an opening is zero.
    #[error("the opening names no device key: copy the appliance's key into the device again")]
    NoKeyId,
    /// A first contact was to be answered without its device key.
    #[error(
        "the device came with a key that this appliance does not know: give it the current one"
    )]
    KeyUnknown,
    /// The device key given is not the one that the opening names.
    #[error("the device key at hand is not the one that the opening names: look it up by its id")]
    KeyMismatch,
    /// The appliance proved a static key that the caller does not accept.
    #[error("another appliance answered, with the key {0}: check the address and the key's pin")]
    NotAccepted(PublicKey),
    /// The peer does not know the key it should, or its bytes were changed on the way.
    #[error("the peer could not prove itself: wrong device key, wrong appliance, or changed bytes")]
    Handshake(#[source] snow::Error),
    /// A transport message did not open: changed, repeated, reordered, or cut.
    #[error("a message was not what the peer sealed next: end the session and connect again")]
    Message(#[source] snow::Error),
    /// A message above what Noise allows.
    #[error("a message of {got} bytes is more than the {limit} that fit: send it in parts")]
    TooLarge {
        /// Most bytes allowed.
        limit: usize,
        /// Bytes there are.
        got: usize,
    },
    /// A static key could not be made or read.
    #[error("the static key could not be made: the system gives no random numbers; try again")]
    StaticKey,
    /// A public key is not the base64url of 32 bytes.
    #[error("a public key is 43 base64url characters: copy it again")]
    PublicKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    FirstContact,
    Reconnect,
}

impl Pattern {
    fn parameters(self) -> Result<NoiseParams, snow::Error> {
        match self {
            Self::FirstContact => "Noise_XXpsk0_25519_AESGCM_SHA256".parse(),
            Self::Reconnect => "Noise_IK_25519_AESGCM_SHA256".parse(),
        }
    }
}

/// Everything a handshake is built from. Snow copies the keys.
struct Handshake<'keys> {
    pattern: Pattern,
    prologue: &'keys [u8],
    own: &'keys StaticKey,
    psk: Option<&'keys [u8; 32]>,
    appliance: Option<&'keys PublicKey>,
}

impl Handshake<'_> {
    /// The device's side.
    fn initiate(&self) -> Result<Box<HandshakeState>, NoiseError> {
        let state = self.builder().and_then(Builder::build_initiator);
        state.map(Box::new).map_err(NoiseError::Handshake)
    }

    /// The appliance's side.
    fn respond(&self) -> Result<Box<HandshakeState>, NoiseError> {
        let state = self.builder().and_then(Builder::build_responder);
        state.map(Box::new).map_err(NoiseError::Handshake)
    }

    fn builder(&self) -> Result<Builder<'_>, snow::Error> {
        let primitives = Box::new(Primitives::of(self.own));
        let mut builder = Builder::with_resolver(self.pattern.parameters()?, primitives)
            .prologue(self.prologue)?
            .local_private_key(self.own.secret())?;
        if let Some(psk) = self.psk {
            builder = builder.psk(0, psk)?;
        }
        if let Some(appliance) = self.appliance {
            builder = builder.remote_public_key(appliance.as_bytes())?;
        }
        Ok(builder)
    }
}

/// Reads a handshake message, which must have exactly `expected` bytes.
fn read(state: &mut HandshakeState, message: &[u8], expected: usize) -> Result<(), NoiseError> {
    if message.len() != expected {
        return Err(NoiseError::Length { expected, got: message.len() });
    }
    // The exact length leaves room for an empty payload only.
    state.read_message(message, &mut []).map(|_| ()).map_err(NoiseError::Handshake)
}

/// Appends a handshake message with an empty payload to `out`.
fn write(state: &mut HandshakeState, length: usize, out: &mut Vec<u8>) -> Result<(), NoiseError> {
    let start = out.len();
    out.resize(start + length, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = state.write_message(&[], room).map_err(NoiseError::Handshake)?;
    out.truncate(start + written);
    Ok(())
}

/// The static key that the handshake proved for the other end.
fn proven(state: &HandshakeState) -> Result<PublicKey, NoiseError> {
    let key = state.get_remote_static().and_then(|key| key.try_into().ok());
    key.map(PublicKey).ok_or(NoiseError::Handshake(snow::Error::Input))
}
