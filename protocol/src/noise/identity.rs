//! Static keys: what an appliance or a device is known by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::NoiseError;

/// How many characters of a fingerprint people compare.
const FINGERPRINT_GROUPS: usize = 4;

/// A static public key (X25519). Written as 43 base64url characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The 32 bytes as they travel.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Short enough to read aloud: the first 8 bytes of the key's SHA-256 in hexadecimal, in groups
    /// of four digits. For people to compare; the software compares whole keys.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.0);
        let pairs = digest.iter().zip(digest.iter().skip(1)).step_by(2);
        let groups = pairs.take(FINGERPRINT_GROUPS).map(|(a, b)| format!("{a:02x}{b:02x}"));
        groups.collect::<Vec<_>>().join(":")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = NoiseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        // The length is checked first: 32 bytes are 43 characters and nothing else.
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(NoiseError::PublicKey),
        }
    }
}

/// A static key pair (X25519), wiped when its last copy is dropped, never printed.
///
/// Copies share it: a daemon hands the same one to every handshake, and the public half is
/// computed once.
#[derive(Clone)]
pub struct StaticKey(Arc<Pair>);

struct Pair {
    secret: Zeroizing<[u8; 32]>,
    /// The same in aws-lc's form, which wipes its own memory.
    agreeing: PrivateKey,
    public: PublicKey,
}

impl StaticKey {
    /// A fresh key pair.
    pub fn generate() -> Result<Self, NoiseError> {
        let mut secret = Zeroizing::new([0; 32]);
        rand::fill(secret.as_mut_slice()).map_err(|_| NoiseError::StaticKey)?;
        Self::from_bytes(&secret)
    }

    /// From the 32 secret bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, NoiseError> {
        let agreeing = PrivateKey::from_private_key(&X25519, secret);
        let agreeing = agreeing.map_err(|_| NoiseError::StaticKey)?;
        let public = agreeing.compute_public_key().map_err(|_| NoiseError::StaticKey)?;
        let public = public.as_ref().try_into().map_err(|_| NoiseError::StaticKey)?;
        let secret = Zeroizing::new(*secret);
        Ok(Self(Arc::new(Pair { secret, agreeing, public: PublicKey(public) })))
    }

    /// The 32 secret bytes, to be stored where nobody else reads.
    pub fn secret(&self) -> &[u8; 32] {
        &self.0.secret
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.0.public
    }

    pub(super) fn agreeing(&self) -> &PrivateKey {
        &self.0.agreeing
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StaticKey").field("public", &self.public()).finish_non_exhaustive()
    }
}
