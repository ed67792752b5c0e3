//! The messages inside a session: protobuf, one oneof a direction, bounded before they are decoded.
//!
//! The types are generated from `proto/inform.proto`. A message has exactly one body; a reader that
//! does not know it says so ([`MessageError::Unknown`], [`MessageError::UnknownVerb`]) and refuses
//! it towards the sender. Unknown fields inside a known body are skipped, so that bodies can grow.

mod bounds;
mod secret;
mod wire;

use prost::Message;
use thiserror::Error;

use crate::noise::MAX_PLAIN;

mod generated {
    #![expect(
        missing_docs,
        clippy::pedantic,
        reason = "written by prost-build; what there is to say stands in inform.proto"
    )]
    include!(concat!(env!("OUT_DIR"), "/aerie.inform.v1.rs"));
}

pub use self::generated::*;

/// The most interfaces that one status may name.
pub const MAX_INTERFACES: usize = 64;
/// The most addresses that a hello or an interface may name.
pub const MAX_ADDRESSES: usize = 32;
/// The longest name (host, model, interface, ...), in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// The longest address with its prefix length, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 64;
/// The longest explanation in a refusal, in bytes.
pub const MAX_DETAIL_BYTES: usize = 1024;
/// The most local accounts whose passwords one device may name.
pub const MAX_ACCOUNTS: usize = 16;
/// The longest name of a local account, in bytes.
pub const MAX_ACCOUNT_BYTES: usize = 64;
/// The longest password of a local account, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 256;
/// The longest sealed password, in bytes.
pub const MAX_SEALED_BYTES: usize = 1024;

/// Why a message was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    /// More bytes than a sealed message can carry.
    #[error("a message of {got} bytes is more than the {MAX_PLAIN} that fit: send it in parts")]
    TooLarge {
        /// How many bytes.
        got: usize,
    },
    /// Not protobuf, or not exactly one body, or a field of the wrong type.
    #[error("a message is malformed: the peer is faulty, update it")]
    Malformed,
    /// No body at all, or a reply without its outcome.
    #[error("a message says nothing: the peer is faulty, update it")]
    Empty,
    /// A body that this version does not know.
    #[error("message kind {number} is unknown here: update this end to understand it")]
    Unknown {
        /// Its field number in the oneof.
        number: u32,
    },
    /// A request whose verb this version does not know. Answer it with a refusal.
    #[error("request {request_id} asks for something unknown here: update the device's agent")]
    UnknownVerb {
        /// The request to refuse.
        request_id: u64,
    },
    /// A list has more entries than allowed.
    #[error("the list {field} has more than {limit} entries: send the first {limit} only")]
    TooMany {
        /// The list.
        field: &'static str,
        /// The most entries allowed.
        limit: usize,
    },
    /// A string has more bytes than allowed.
    #[error("the text {field} has more than {limit} bytes: shorten it")]
    TooLong {
        /// The string.
        field: &'static str,
        /// The most bytes allowed.
        limit: usize,
    },
    /// A field of fixed length has another one.
    #[error("the field {field} must have {expected} bytes: the peer is faulty, update it")]
    WrongLength {
        /// The field.
        field: &'static str,
        /// How many bytes it has to have.
        expected: usize,
    },
    /// A host and a port that nobody can dial.
    #[error("the field {field} is no address that can be dialled: the peer is faulty, update it")]
    NoAddress {
        /// The field.
        field: &'static str,
    },
}

/// Decodes what a device sent.
pub fn decode_from_device(bytes: &[u8]) -> Result<FromDevice, MessageError> {
    let (number, body) = wire::only_body(bytes)?;
    bounds::scan_from_device(number, body)?;
    let message = FromDevice::decode(bytes).map_err(|_| MessageError::Malformed)?;
    bounds::check_from_device(&message, number)?;
    Ok(message)
}

/// Decodes what the appliance sent.
pub fn decode_from_appliance(bytes: &[u8]) -> Result<FromAppliance, MessageError> {
    let (number, _) = wire::only_body(bytes)?;
    let message = FromAppliance::decode(bytes).map_err(|_| MessageError::Malformed)?;
    bounds::check_from_appliance(&message, number)?;
    Ok(message)
}

/// Replaces what is in `out` by the encoded message. Checks the same bounds as the other end will.
pub fn encode_from_device(message: &FromDevice, out: &mut Vec<u8>) -> Result<(), MessageError> {
    bounds::check_from_device(message, 0)?;
    encode(message, out)
}

/// Replaces what is in `out` by the encoded message. Checks the same bounds as the other end will.
pub fn encode_from_appliance(
    message: &FromAppliance,
    out: &mut Vec<u8>,
) -> Result<(), MessageError> {
    bounds::check_from_appliance(message, 0)?;
    encode(message, out)
}

fn encode(message: &impl Message, out: &mut Vec<u8>) -> Result<(), MessageError> {
    out.clear();
    let got = message.encoded_len();
    if got > MAX_PLAIN {
        return Err(MessageError::TooLarge { got });
    }
    // At once: a buffer that grows leaves a copy of what it held behind.
    out.reserve(got);
    // A vector grows as needed, so this cannot fail; should it, nothing half-written leaves.
    message.encode(out).map_err(|_| MessageError::TooLarge { got })
}

impl From<from_device::Body> for FromDevice {
    fn from(body: from_device::Body) -> Self {
        Self { body: Some(body) }
    }
}

impl From<from_appliance::Body> for FromAppliance {
    fn from(body: from_appliance::Body) -> Self {
        Self { body: Some(body) }
    }
}
