//! The device key: `wss://HOST:PORT+SECRET+FLAGS`, the one string an owner pastes into a device.
//!
//! SECRET is 48 base64url characters: 32 secret bytes, the pre-shared key of a first contact, and
//! 4 generation bytes, by which the appliance finds the key again. FLAGS are joined by `+` and may
//! be empty; the plus before them stands there always.

use std::fmt;
use std::net::Ipv6Addr;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::address::{Address, AddressError, is_host_name};
use crate::noise::PublicKey;

/// The longest key that is looked at, in bytes: the longest host name and every flag fit twice.
pub const MAX_KEY_BYTES: usize = 1024;

const SECRET_BYTES: usize = 36;
const SECRET_CHARACTERS: usize = 48;

const SCHEME: &str = "wss://";
const ALLOW_UNTRUSTED: &str = "allowUntrustedCertificate";
/// What older devices call [`ALLOW_UNTRUSTED`]. Read, never written.
const ALLOW_UNTRUSTED_OLD: &str = "allowSelfSignedCertificate";
const PIN: &str = "pin=";

/// Why a device key was refused. Never carries a part of the key itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// More than [`MAX_KEY_BYTES`].
    #[error("the device key is too long: copy the key alone, from the appliance's 'Add device'")]
    TooLong,
    /// It does not start with `wss://`.
    #[error("a device key starts with wss:// : copy the whole key from the appliance")]
    Scheme,
    /// A plus between the parts is missing.
    #[error("the device key is cut off: copy all of it, the plus signs included")]
    CutOff,
    /// The part before the port is neither a host name nor an address.
    #[error("the device key names no valid host: copy the key from the appliance again")]
    Host,
    /// The port is missing, 0, above 65,535 or no number.
    #[error("the device key needs a port from 1 to 65535 behind the host, as in host:443")]
    Port,
    /// The secret is not 48 characters long.
    #[error(
        "the secret in the device key has {characters} characters instead of 48: copy it again"
    )]
    SecretLength {
        /// How many there are.
        characters: usize,
    },
    /// The secret is not base64url.
    #[error("the secret in the device key has characters that do not belong there: copy it again")]
    SecretEncoding,
    /// The generation bytes are zero, as in keys that the reference product wrote for one device.
    #[error("this key was made for one device of another product: use this appliance's own key")]
    Generation,
    /// The pin is not the base64url of 32 bytes.
    #[error("the pin in the device key is damaged: copy the whole key from the appliance again")]
    Pin,
    /// The pin is there twice.
    #[error("the device key has two pins: copy the key from the appliance again")]
    PinTwice,
    /// A flag that this version does not know. It may be a promise, so it is not skipped.
    #[error("flag {position} of the device key is unknown here: copy it again or update the agent")]
    UnknownFlag {
        /// Which one, counted from 1.
        position: usize,
    },
    /// The operating system gave no random bytes.
    #[error("the system gives no random numbers, so no key was made: try again")]
    NoRandomness,
}

/// The secret part of a device key: the pre-shared key and its generation.
///
/// Compared in constant time, wiped when dropped, never printed.
#[derive(Clone)]
pub struct KeySecret {
    psk: Zeroizing<[u8; 32]>,
    generation: [u8; 4],
}

impl KeySecret {
    /// A fresh secret with a fresh generation. The caller sees to it that no live key has the same
    /// generation.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        loop {
            rand::fill(bytes.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
            // A zero generation comes once in four thousand million times.
            if let Ok(secret) = Self::from_bytes(&bytes) {
                return Ok(secret);
            }
        }
    }

    /// From 32 secret bytes and 4 generation bytes, which must not all be zero.
    pub fn from_bytes(bytes: &[u8; SECRET_BYTES]) -> Result<Self, KeyError> {
        let mut secret = Self { psk: Zeroizing::new([0; 32]), generation: [0; 4] };
        let (psk, generation) = bytes.split_at(32);
        secret.psk.copy_from_slice(psk);
        secret.generation.copy_from_slice(generation);
        if secret.generation == [0; 4] { Err(KeyError::Generation) } else { Ok(secret) }
    }

    /// The 32 secret bytes and the 4 generation bytes, to be sealed before they are stored.
    pub fn to_bytes(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        let (psk, generation) = bytes.split_at_mut(32);
        psk.copy_from_slice(self.psk.as_slice());
        generation.copy_from_slice(&self.generation);
        bytes
    }

    /// The pre-shared key of a first contact.
    pub fn psk(&self) -> &[u8; 32] {
        &self.psk
    }

    /// The key id: travels in clear, never zero.
    pub fn generation(&self) -> [u8; 4] {
        self.generation
    }

    fn parse(text: &str) -> Result<Self, KeyError> {
        let characters = text.chars().count();
        if characters != SECRET_CHARACTERS {
            return Err(KeyError::SecretLength { characters });
        }
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        match URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()) {
            Ok(SECRET_BYTES) => Self::from_bytes(&bytes),
            Ok(_) | Err(_) => Err(KeyError::SecretEncoding),
        }
    }
}

impl PartialEq for KeySecret {
    fn eq(&self, other: &Self) -> bool {
        let same = self.psk.ct_eq(other.psk.as_slice()) & self.generation.ct_eq(&other.generation);
        same.into()
    }
}

impl Eq for KeySecret {}

impl fmt::Debug for KeySecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KeySecret").finish_non_exhaustive()
    }
}

/// A device key, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKey {
    /// DNS name, IPv4 address, or IPv6 address without its brackets.
    pub host: String,
    /// The inform port, never 0.
    pub port: u16,
    /// The pre-shared key and its generation.
    pub secret: KeySecret,
    /// Whether a certificate that nobody vouches for is good enough at first contact.
    pub allow_untrusted: bool,
    /// The appliance's static public key; a first contact with any other is refused.
    pub pin: Option<PublicKey>,
}

impl DeviceKey {
    /// Reads a key as it was pasted; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong);
        }
        let scheme = text.get(..SCHEME.len()).ok_or(KeyError::Scheme)?;
        let rest = text.get(SCHEME.len()..).ok_or(KeyError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(KeyError::Scheme);
        }
        let (address, rest) = rest.split_once('+').ok_or(KeyError::CutOff)?;
        let (host, port) = parse_address(address)?;
        let (secret, flags) = rest.split_once('+').ok_or(KeyError::CutOff)?;
        let secret = KeySecret::parse(secret)?;
        let mut key = Self { host, port, secret, allow_untrusted: false, pin: None };
        key.read_flags(flags)?;
        Ok(key)
    }

    /// Where the key says that the appliance is. A key that was parsed always says so.
    pub fn address(&self) -> Result<Address, AddressError> {
        Address::new(&self.host, self.port.into())
    }

    /// The key as it is pasted, in the newer spelling of its flags.
    pub fn write(&self) -> Zeroizing<String> {
        // Room for everything at once: a string that grows would leave copies of the secret.
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_BYTES));
        text.push_str(SCHEME);
        let brackets = self.host.contains(':');
        text.push_str(if brackets { "[" } else { "" });
        text.push_str(&self.host);
        text.push_str(if brackets { "]:" } else { ":" });
        text.push_str(&self.port.to_string());
        text.push('+');
        URL_SAFE_NO_PAD.encode_string(self.secret.to_bytes().as_slice(), &mut text);
        text.push('+');
        if self.allow_untrusted {
            text.push_str(ALLOW_UNTRUSTED);
        }
        if let Some(pin) = &self.pin {
            text.push_str(if self.allow_untrusted { "+" } else { "" });
            text.push_str(PIN);
            text.push_str(&pin.to_string());
        }
        text
    }

    fn read_flags(&mut self, flags: &str) -> Result<(), KeyError> {
        if flags.is_empty() {
            return Ok(());
        }
        for (position, flag) in (1..).zip(flags.split('+')) {
            if flag == ALLOW_UNTRUSTED || flag == ALLOW_UNTRUSTED_OLD {
                self.allow_untrusted = true;
            } else if let Some(pin) = flag.strip_prefix(PIN) {
                let pin = pin.parse().map_err(|_| KeyError::Pin)?;
                if self.pin.replace(pin).is_some() {
                    return Err(KeyError::PinTwice);
                }
            } else {
                return Err(KeyError::UnknownFlag { position });
            }
        }
        Ok(())
    }
}

fn parse_address(address: &str) -> Result<(String, u16), KeyError> {
    let (host, port) = if let Some(bracketed) = address.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']').ok_or(KeyError::Host)?;
        let host: Ipv6Addr = host.parse().map_err(|_| KeyError::Host)?;
        (host.to_string(), port.strip_prefix(':').ok_or(KeyError::Port)?)
    } else {
        let (host, port) = address.split_once(':').ok_or(KeyError::Port)?;
        if !is_host_name(host) {
            return Err(KeyError::Host);
        }
        (host.to_owned(), port)
    };
    // `parse` alone would take "+443" and "0443" too.
    if port.starts_with('0') || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(KeyError::Port);
    }
    Ok((host, port.parse().map_err(|_| KeyError::Port)?))
}
