//! What stands in clear before message 1.

use super::{NoiseError, Pattern, VERSION};
use crate::key::KeySecret;

const PATTERN_FIRST_CONTACT: u8 = 1;
const PATTERN_RECONNECT: u8 = 2;

/// Length of message 1 of a first contact: ephemeral key, tag.
const FIRST_CONTACT_BYTES: usize = 32 + 16;
/// Length of message 1 of a reconnect: ephemeral key, sealed static key, tag.
const RECONNECT_BYTES: usize = 32 + 48 + 16;

/// The clear header of an opening. All of it is in the prologue, so nobody changes it unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    FirstContact { bytes: [u8; 6], key_id: [u8; 4] },
    Reconnect { bytes: [u8; 2] },
}

impl Header {
    pub(super) fn first_contact(secret: &KeySecret) -> Self {
        Self::with_key_id(secret.generation())
    }

    pub(super) fn reconnect() -> Self {
        Self::Reconnect { bytes: [VERSION, PATTERN_RECONNECT] }
    }

    fn with_key_id(key_id: [u8; 4]) -> Self {
        let [a, b, c, d] = key_id;
        Self::FirstContact { bytes: [VERSION, PATTERN_FIRST_CONTACT, a, b, c, d], key_id }
    }

    /// Splits an opening into its header and message 1, whose length is right.
    pub(super) fn parse(opening: &[u8]) -> Result<(Self, &[u8]), NoiseError> {
        let (&version, rest) = opening.split_first().ok_or(NoiseError::Version)?;
        if version != VERSION {
            return Err(NoiseError::Version);
        }
        let (&pattern, rest) = rest.split_first().ok_or(NoiseError::Pattern)?;
        let (header, message) = match pattern {
            PATTERN_RECONNECT => (Self::reconnect(), rest),
            PATTERN_FIRST_CONTACT => {
                let (key_id, message) = rest.split_first_chunk().ok_or(NoiseError::NoKeyId)?;
                if *key_id == [0; 4] {
                    return Err(NoiseError::NoKeyId);
                }
                (Self::with_key_id(*key_id), message)
            }
            _ => return Err(NoiseError::Pattern),
        };
        let expected = header.message_length();
        if message.len() == expected {
            Ok((header, message))
        } else {
            Err(NoiseError::Length { expected, got: message.len() })
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::FirstContact { bytes, .. } => bytes,
            Self::Reconnect { bytes } => bytes,
        }
    }

    pub(super) fn pattern(&self) -> Pattern {
        match self {
            Self::FirstContact { .. } => Pattern::FirstContact,
            Self::Reconnect { .. } => Pattern::Reconnect,
        }
    }

    pub(super) fn key_id(&self) -> Option<[u8; 4]> {
        match self {
            Self::FirstContact { key_id, .. } => Some(*key_id),
            Self::Reconnect { .. } => None,
        }
    }

    /// Bytes of the message 1 that follows.
    pub(super) fn message_length(&self) -> usize {
        match self {
            Self::FirstContact { .. } => FIRST_CONTACT_BYTES,
            Self::Reconnect { .. } => RECONNECT_BYTES,
        }
    }
}
