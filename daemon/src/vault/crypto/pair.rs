//! The vault's key pair, and the seal: HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256),
//! HKDF-SHA256 and AES-256-GCM.
//!
//! Sealed bytes: format (1), number of the key pair (4, big endian), HPKE's encapsulated key (65),
//! ciphertext, tag (16). `info` names the vault; the associated data is the credential's id and the
//! secret's version, so that no two records can be swapped. Inside stand two bytes of length, the
//! secret, and zeros up to a multiple of 32: a seal shows how long a secret is to within 32 bytes.

use hpke::aead::{AeadTag, AesGcm256};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::draw::{Drawn, random};
use super::{CryptoError, sweep};
use crate::vault::SecretText;
use crate::vault::protocol::SECRET_BYTES;

/// Bytes of a public key: SEC1, uncompressed.
pub const PUBLIC_BYTES: usize = 65;
/// Bytes of a private key.
pub(super) const PRIVATE_BYTES: usize = 32;
/// Bytes of the largest seal.
pub const SEALED_BYTES: usize = HEAD_BYTES + PUBLIC_BYTES + padded(SECRET_BYTES) + TAG_BYTES;

/// The format of sealed bytes that is written.
const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 5;
const TAG_BYTES: usize = 16;
const LENGTH_BYTES: usize = 2;
/// To a multiple of which a secret with its length is filled up.
const BLOCK_BYTES: usize = 32;
const INFO: &[u8] = b"aerie vault v1";

type Public = <DhP256HkdfSha256 as Kem>::PublicKey;
type Private = <DhP256HkdfSha256 as Kem>::PrivateKey;
type Encapsulated = <DhP256HkdfSha256 as Kem>::EncappedKey;

/// What a seal is bound to. With anything else it does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The vault.
    pub vault: Uuid,
    /// The number of its key pair.
    pub epoch: u32,
    /// The credential.
    pub credential: Uuid,
    /// The secret's number in the credential.
    pub version: u64,
}

impl Bound {
    fn info(&self) -> Vec<u8> {
        [INFO, self.vault.as_bytes()].concat()
    }

    fn associated(&self) -> Vec<u8> {
        [self.credential.as_bytes().as_slice(), &self.version.to_be_bytes()].concat()
    }
}

/// The half that seals. Anybody may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Public);

/// The half that opens. Wiped when it is dropped; it leaves this room wrapped only.
pub struct PrivateKey(Private);

/// Makes a key pair.
pub fn generate() -> Result<(PrivateKey, PublicKey), CryptoError> {
    let (private, public) = DhP256HkdfSha256::derive_keypair(random::<32>()?.as_slice());
    sweep();
    Ok((PrivateKey(private), PublicKey(public)))
}

/// The number of the key pair that these bytes are sealed for. Nothing is proven by it.
pub fn epoch_of(sealed: &[u8]) -> Option<u32> {
    let (format, rest) = sealed.split_first()?;
    let (epoch, _) = rest.split_first_chunk::<4>()?;
    (*format == FORMAT).then(|| u32::from_be_bytes(*epoch))
}

impl PublicKey {
    /// Reads SEC1 bytes, uncompressed; checks that they are a point of the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        Public::from_bytes(bytes).map(Self).map_err(|_| CryptoError::PublicKey)
    }

    /// SEC1 bytes, uncompressed.
    pub fn to_bytes(&self) -> [u8; PUBLIC_BYTES] {
        self.0.to_bytes().into()
    }

    /// As text that other programs read: `SubjectPublicKeyInfo` in PEM.
    pub fn pem(&self) -> Result<String, CryptoError> {
        p256::PublicKey::from_sec1_bytes(&self.to_bytes())
            .ok()
            .and_then(|key| key.to_public_key_pem(LineEnding::LF).ok())
            .ok_or(CryptoError::PublicKey)
    }

    /// Seals a secret.
    pub fn seal(&self, bound: &Bound, secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let drawn = Drawn::draw(PRIVATE_BYTES)?;
        let sealed = self.seal_with(bound, secret, drawn);
        sweep();
        sealed
    }

    pub(super) fn seal_with(
        &self,
        bound: &Bound,
        secret: &[u8],
        mut drawn: Drawn,
    ) -> Result<Vec<u8>, CryptoError> {
        let mut text = pad(secret)?;
        let (encapsulated, tag) = hpke::single_shot_seal_inout_detached_with_rng::<
            AesGcm256,
            HkdfSha256,
            DhP256HkdfSha256,
        >(
            &OpModeS::Base,
            &self.0,
            &bound.info(),
            InOutBuf::from(text.as_mut_slice()),
            &bound.associated(),
            &mut drawn,
        )
        .map_err(|_| CryptoError::PublicKey)?;
        drawn.enough()?;
        Ok([
            &[FORMAT],
            bound.epoch.to_be_bytes().as_slice(),
            encapsulated.to_bytes().as_slice(),
            text.as_slice(),
            tag.to_bytes().as_slice(),
        ]
        .concat())
    }
}

impl PrivateKey {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Private::from_bytes(bytes).map(Self).ok()
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; PRIVATE_BYTES]> {
        let mut bytes = Zeroizing::new([0; PRIVATE_BYTES]);
        self.0.write_exact(bytes.as_mut_slice());
        bytes
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        let public = DhP256HkdfSha256::sk_to_pk(&self.0);
        sweep();
        PublicKey(public)
    }

    /// Opens what was sealed for this key pair and bound to this.
    pub fn open(&self, bound: &Bound, sealed: &[u8]) -> Result<SecretText, CryptoError> {
        let opened = self.open_bound(bound, sealed);
        sweep();
        opened.ok_or(CryptoError::Seal)
    }

    fn open_bound(&self, bound: &Bound, sealed: &[u8]) -> Option<SecretText> {
        if sealed.len() > SEALED_BYTES || epoch_of(sealed) != Some(bound.epoch) {
            return None;
        }
        let (encapsulated, text) = sealed.get(HEAD_BYTES..)?.split_at_checked(PUBLIC_BYTES)?;
        let (text, tag) = text.split_at_checked(text.len().checked_sub(TAG_BYTES)?)?;
        let encapsulated = Encapsulated::from_bytes(encapsulated).ok()?;
        let tag = AeadTag::<AesGcm256>::from_bytes(tag).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        hpke::single_shot_open_inout_detached::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &self.0,
            &encapsulated,
            &bound.info(),
            InOutBuf::from(text.as_mut_slice()),
            &bound.associated(),
            &tag,
        )
        .ok()?;
        unpad(&text)
    }
}

/// How long a secret is inside its seal.
const fn padded(length: usize) -> usize {
    (LENGTH_BYTES + length).next_multiple_of(BLOCK_BYTES)
}

fn pad(secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    if secret.len() > SECRET_BYTES {
        return Err(CryptoError::TooLong);
    }
    std::str::from_utf8(secret).map_err(|_| CryptoError::NotText)?;
    let length = u16::try_from(secret.len()).map_err(|_| CryptoError::TooLong)?;
    let mut text = Zeroizing::new(Vec::with_capacity(padded(secret.len())));
    text.extend_from_slice(&length.to_be_bytes());
    text.extend_from_slice(secret);
    text.resize(padded(secret.len()), 0);
    Ok(text)
}

fn unpad(text: &[u8]) -> Option<SecretText> {
    let (length, rest) = text.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > SECRET_BYTES || text.len() != padded(length) {
        return None;
    }
    let (secret, zeros) = rest.split_at_checked(length)?;
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    std::str::from_utf8(secret).ok().map(|secret| SecretText::new(secret.to_owned()))
}
