//! Protobuf's wire format, just far enough to count before anything is allocated.
//!
//! A list entry may take two bytes on the wire and two hundred in memory; counting first keeps a
//! hostile message at what it weighs.

use super::MessageError;
use crate::noise::MAX_PLAIN;

/// The number and the bytes of the one body of a message.
pub(super) fn only_body(bytes: &[u8]) -> Result<(u32, &[u8]), MessageError> {
    if bytes.len() > MAX_PLAIN {
        return Err(MessageError::TooLarge { got: bytes.len() });
    }
    if bytes.is_empty() {
        return Err(MessageError::Empty);
    }
    let mut fields = Fields(bytes);
    match (fields.next(), fields.next()) {
        (Some(Ok((number, Value::Bytes(body)))), None) => Ok((number, body)),
        _ => Err(MessageError::Malformed),
    }
}

/// A field's value; only nested bytes are of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'message> {
    Bytes(&'message [u8]),
    Number,
}

/// The fields of a message, in their order, each with its number. Ends after the first error.
pub(super) struct Fields<'message>(pub(super) &'message [u8]);

impl<'message> Iterator for Fields<'message> {
    type Item = Result<(u32, Value<'message>), MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(MessageError::Malformed))
    }
}

impl<'message> Fields<'message> {
    fn field(&mut self) -> Option<(u32, Value<'message>)> {
        let key = u32::try_from(self.varint()?).ok()?;
        let number = key >> 3;
        let value = match key & 7 {
            0 => self.varint().map(|_| Value::Number)?,
            1 => self.take(8).map(|_| Value::Number)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Number)?,
            // 3 and 4 are groups, which proto3 does not have.
            _ => return None,
        };
        (number > 0).then_some((number, value))
    }

    fn take(&mut self, length: usize) -> Option<&'message [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Seven bits a byte, the lowest first, at most ten bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
