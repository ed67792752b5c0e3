//! Keys and finished handshakes that several tests start from.

use aerie_protocol::key::KeySecret;
use aerie_protocol::noise::{
    Answered, AwaitingThird, DeviceHandshake, FirstContact, Opening, Reconnect, Session, StaticKey,
};

/// The secret of the synthetic key: 00, 01, ... 1f, and de ad be ef.
pub(crate) fn secret_bytes() -> [u8; 36] {
    let mut bytes: [u8; 36] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    bytes[32..].copy_from_slice(&[0xDE, 0xAD, 0xBE, 0xEF]);
    bytes
}

pub(crate) fn secret() -> KeySecret {
    KeySecret::from_bytes(&secret_bytes()).unwrap()
}

pub(crate) fn device() -> StaticKey {
    StaticKey::from_bytes(&[0x11; 32]).unwrap()
}

pub(crate) fn appliance() -> StaticKey {
    StaticKey::from_bytes(&[0x33; 32]).unwrap()
}

/// A first contact up to message 2: the device, its opening, the appliance, its reply.
pub(crate) fn first_contact() -> (DeviceHandshake, Vec<u8>, AwaitingThird, Vec<u8>) {
    let (waiting, opening) = FirstContact::start(&device(), &secret()).unwrap();
    let parsed = Opening::parse(&opening).unwrap();
    let (answered, reply) = parsed.answer(&appliance(), Some(&secret())).unwrap();
    let Answered::Awaiting(third) = answered else { panic!("a first contact has a message 3") };
    (waiting, opening, third, reply)
}

/// A reconnect up to message 2: the device, its opening, the appliance's session, its reply.
pub(crate) fn reconnect() -> (DeviceHandshake, Vec<u8>, Session, Vec<u8>) {
    let (waiting, opening) = Reconnect::start(&device(), &appliance().public()).unwrap();
    let (answered, reply) = Opening::parse(&opening).unwrap().answer(&appliance(), None).unwrap();
    let Answered::Proven(session) = answered else { panic!("a reconnect has no message 3") };
    (waiting, opening, session, reply)
}

/// Both ends of a session: the device's first.
pub(crate) fn sessions() -> (Session, Session) {
    let (waiting, _, appliance, reply) = reconnect();
    (waiting.read_reply(&reply, |_| true).unwrap().session, appliance)
}
