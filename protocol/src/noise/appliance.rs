//! The appliance's side of a handshake: it answers.

use std::fmt;

use snow::HandshakeState;

use super::header::Header;
use super::{
    FIRST_CONTACT_REPLY_BYTES, FIRST_CONTACT_THIRD_BYTES, Handshake, NoiseError,
    RECONNECT_REPLY_BYTES, Session, StaticKey, read, write,
};
use crate::key::KeySecret;

/// The longest message 1.
const MAX_MESSAGE_1_BYTES: usize = 32 + 48 + 16;

/// What a device sent first: checked for its form, nothing computed yet.
#[derive(Clone)]
pub struct Opening {
    header: Header,
    message: [u8; MAX_MESSAGE_1_BYTES],
}

impl Opening {
    /// Checks version, pattern, key id and length. Costs nothing, so that a flood costs nothing.
    pub fn parse(opening: &[u8]) -> Result<Self, NoiseError> {
        let (header, sent) = Header::parse(opening)?;
        let mut message = [0; MAX_MESSAGE_1_BYTES];
        for (to, from) in message.iter_mut().zip(sent) {
            *to = *from;
        }
        Ok(Self { header, message })
    }

    /// By which device key the device comes; none when it is enrolled and reconnects.
    pub fn key_id(&self) -> Option<[u8; 4]> {
        self.header.key_id()
    }

    /// Reads message 1 and writes message 2. A first contact needs the device key that
    /// [`Opening::key_id`] names and fails before any Diffie-Hellman when it is the wrong one.
    ///
    /// Whatever comes out, message 1 may be a recording: change nothing because of it.
    pub fn answer(
        &self,
        own: &StaticKey,
        psk: Option<&KeySecret>,
    ) -> Result<(Answered, Vec<u8>), NoiseError> {
        let psk = match (self.key_id(), psk) {
            (None, _) => None,
            (Some(_), None) => return Err(NoiseError::KeyUnknown),
            (Some(id), Some(key)) if key.generation() == id => Some(key.psk()),
            (Some(_), Some(_)) => return Err(NoiseError::KeyMismatch),
        };
        let pattern = self.header.pattern();
        let prologue = self.header.bytes();
        let mut state = Handshake { pattern, prologue, own, psk, appliance: None }.respond()?;
        let length = self.header.message_length();
        let message = self.message.get(..length).unwrap_or_default();
        read(&mut state, message, length)?;
        let mut reply = Vec::with_capacity(FIRST_CONTACT_REPLY_BYTES);
        let answered = if psk.is_some() {
            write(&mut state, FIRST_CONTACT_REPLY_BYTES, &mut reply)?;
            Answered::Awaiting(AwaitingThird { state })
        } else {
            write(&mut state, RECONNECT_REPLY_BYTES, &mut reply)?;
            Answered::Proven(Session::new(*state)?)
        };
        Ok((answered, reply))
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Opening").field("header", &self.header).finish_non_exhaustive()
    }
}

/// How the handshake goes on once message 2 is sent.
#[derive(Debug)]
pub enum Answered {
    /// Reconnect: whose static key sealed message 1 is known. It may be a recording until the
    /// session's first message has been opened.
    Proven(Session),
    /// First contact: message 3 will tell who it is.
    Awaiting(AwaitingThird),
}

/// A first contact whose message 2 is on its way.
pub struct AwaitingThird {
    state: Box<HandshakeState>,
}

impl AwaitingThird {
    /// Reads message 3, which proves the device's static key.
    pub fn finish(mut self, third: &[u8]) -> Result<Session, NoiseError> {
        read(&mut self.state, third, FIRST_CONTACT_THIRD_BYTES)?;
        Session::new(*self.state)
    }
}

impl fmt::Debug for AwaitingThird {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AwaitingThird").finish_non_exhaustive()
    }
}
