//! The device's side of a handshake: it speaks first.

use std::fmt;

use snow::HandshakeState;

use super::header::Header;
use super::{
    FIRST_CONTACT_REPLY_BYTES, FIRST_CONTACT_THIRD_BYTES, Handshake, NoiseError, Pattern,
    PublicKey, RECONNECT_REPLY_BYTES, Session, StaticKey, proven, read, write,
};
use crate::key::KeySecret;

/// A first contact: the device knows the device key, and nothing of the appliance but, at best,
/// its pin.
#[derive(Clone, Copy, Debug)]
pub struct FirstContact;

impl FirstContact {
    /// Gives the opening to send: the clear header and message 1.
    pub fn start(
        own: &StaticKey,
        secret: &KeySecret,
    ) -> Result<(DeviceHandshake, Vec<u8>), NoiseError> {
        DeviceHandshake::start(Header::first_contact(secret), own, Some(secret.psk()), None)
    }
}

/// An enrolled device coming back: it knows the appliance's static key and needs no device key.
#[derive(Clone, Copy, Debug)]
pub struct Reconnect;

impl Reconnect {
    /// Gives the opening to send: the clear header and message 1.
    pub fn start(
        own: &StaticKey,
        appliance: &PublicKey,
    ) -> Result<(DeviceHandshake, Vec<u8>), NoiseError> {
        DeviceHandshake::start(Header::reconnect(), own, None, Some(appliance))
    }
}

/// Message 1 is on its way.
pub struct DeviceHandshake {
    state: Box<HandshakeState>,
    pattern: Pattern,
}

/// The appliance has proven itself, and its key was accepted.
#[derive(Debug)]
pub struct DeviceReply {
    /// Its static key.
    pub appliance: PublicKey,
    /// Message 3, to be sent before anything else; a reconnect has none.
    pub third: Option<Vec<u8>>,
    /// Ready for transport messages.
    pub session: Session,
}

impl DeviceHandshake {
    fn start(
        header: Header,
        own: &StaticKey,
        psk: Option<&[u8; 32]>,
        appliance: Option<&PublicKey>,
    ) -> Result<(Self, Vec<u8>), NoiseError> {
        let pattern = header.pattern();
        let prologue = header.bytes();
        let mut state = Handshake { pattern, prologue, own, psk, appliance }.initiate()?;
        let mut opening = prologue.to_vec();
        write(&mut state, header.message_length(), &mut opening)?;
        Ok((Self { state, pattern }, opening))
    }

    /// Reads message 2. `accept` decides on the static key that the appliance proved, before this
    /// device shows its own: against the pin, or against the key that was stored at enrolment.
    pub fn read_reply(
        mut self,
        reply: &[u8],
        accept: impl FnOnce(&PublicKey) -> bool,
    ) -> Result<DeviceReply, NoiseError> {
        let expected = match self.pattern {
            Pattern::FirstContact => FIRST_CONTACT_REPLY_BYTES,
            Pattern::Reconnect => RECONNECT_REPLY_BYTES,
        };
        read(&mut self.state, reply, expected)?;
        let appliance = proven(&self.state)?;
        if !accept(&appliance) {
            return Err(NoiseError::NotAccepted(appliance));
        }
        let third = match self.pattern {
            Pattern::Reconnect => None,
            Pattern::FirstContact => {
                let mut third = Vec::with_capacity(FIRST_CONTACT_THIRD_BYTES);
                write(&mut self.state, FIRST_CONTACT_THIRD_BYTES, &mut third)?;
                Some(third)
            }
        };
        Ok(DeviceReply { appliance, third, session: Session::new(*self.state)? })
    }
}

impl fmt::Debug for DeviceHandshake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DeviceHandshake").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}
