//! What an Aerie appliance and its devices say to each other. No I/O here: bytes in, bytes out.
//!
//! [`key`] is the string that an owner pastes into a device, [`noise`] proves both ends to each
//! other and seals every message, [`inform`] is what stands inside, [`address`] is where an
//! appliance is found, and [`text`] is what any string of a device has to pass before it is shown
//! or stored.

pub mod address;
pub mod inform;
pub mod key;
pub mod noise;
pub mod text;

/// The WebSocket subprotocol that a device offers and an appliance echoes.
pub const SUBPROTOCOL: &str = "aerie.inform.v1";

/// What devices of the reference product's maker offer. Their protocol is not public, so an
/// upgrade that offers it is closed politely.
pub const VENDOR_SUBPROTOCOL: &str = "unms2";

/// The largest WebSocket message, in bytes: Noise allows no more.
pub const MAX_MESSAGE: usize = 65_535;
