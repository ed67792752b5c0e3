//! The cryptography that snow runs on: X25519 of aws-lc, AES-256-GCM and SHA-256 of `RustCrypto`.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::rand;
use sha2::{Digest as _, Sha256};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::identity::StaticKey;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// What snow asks for its cryptography. Public so that published test vectors can run through it.
#[derive(Debug, Default)]
pub struct Primitives {
    own: Option<StaticKey>,
}

impl Primitives {
    /// For the handshakes of one static key, which is then not taken apart again in each of them.
    pub fn of(own: &StaticKey) -> Self {
        Self { own: Some(own.clone()) }
    }
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SystemRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(Curve25519::new(self.own.clone()))),
            DHChoice::Curve448 => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::SHA256 => Some(Box::new(Sha256Hash::default())),
            HashChoice::SHA512 | HashChoice::Blake2s | HashChoice::Blake2b => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::AESGCM => Some(Box::new(AesGcm256::default())),
            CipherChoice::ChaChaPoly => None,
        }
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        rand::fill(dest).map_err(|_| Error::Rng)
    }
}

enum Agreeing {
    Nothing,
    /// The long-lived key of this end.
    Own(StaticKey),
    /// A key of this handshake only.
    Passing(PrivateKey),
}

struct Curve25519 {
    own: Option<StaticKey>,
    agreeing: Agreeing,
    public: [u8; KEY_BYTES],
}

impl Curve25519 {
    fn new(own: Option<StaticKey>) -> Self {
        Self { own, agreeing: Agreeing::Nothing, public: [0; KEY_BYTES] }
    }

    fn take(&mut self, key: PrivateKey) -> Result<(), Error> {
        let public = key.compute_public_key().map_err(|_| Error::Dh)?;
        self.public = public.as_ref().try_into().map_err(|_| Error::Dh)?;
        self.agreeing = Agreeing::Passing(key);
        Ok(())
    }
}

impl Dh for Curve25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_BYTES
    }

    fn priv_len(&self) -> usize {
        KEY_BYTES
    }

    fn set(&mut self, privkey: &[u8]) {
        // Snow hands in bytes; the static key among them was computed long ago.
        let own = self.own.take().filter(|own| bool::from(own.secret().ct_eq(privkey)));
        if let Some(own) = own {
            self.public = own.public().0;
            self.agreeing = Agreeing::Own(own);
            return;
        }
        // No failure can be told from here: without a key, the first agreement fails.
        let taken = PrivateKey::from_private_key(&X25519, privkey).map_err(|_| Error::Dh);
        if taken.and_then(|key| self.take(key)).is_err() {
            self.agreeing = Agreeing::Nothing;
        }
    }

    fn generate(&mut self, _rng: &mut dyn Random) -> Result<(), Error> {
        // aws-lc draws from the same source as `SystemRandom`, without the key passing through
        // memory that nobody wipes.
        self.take(PrivateKey::generate(&X25519).map_err(|_| Error::Rng)?)
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    /// Nothing: only snow's own key generation asks, which this crate does not use.
    fn privkey(&self) -> &[u8] {
        &[]
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let key = match &self.agreeing {
            Agreeing::Nothing => return Err(Error::Dh),
            Agreeing::Own(own) => own.agreeing(),
            Agreeing::Passing(key) => key,
        };
        // Snow's buffers are as long as the longest key of any curve.
        let pubkey = pubkey.get(..KEY_BYTES).ok_or(Error::Dh)?;
        let out = out.get_mut(..KEY_BYTES).ok_or(Error::Dh)?;
        let pubkey = UnparsedPublicKey::new(&X25519, pubkey);
        // aws-lc refuses a peer whose key makes the result zero.
        agreement::agree(key, pubkey, Error::Dh, |shared| {
            if shared.len() != out.len() {
                return Err(Error::Dh);
            }
            out.copy_from_slice(shared);
            Ok(())
        })
    }
}

#[derive(Default)]
struct Sha256Hash(Sha256);

impl Hash for Sha256Hash {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Sha256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        // Snow's buffers are as long as the longest hash: only the front is ours.
        for (to, from) in out.iter_mut().zip(self.0.finalize_reset()) {
            *to = from;
        }
    }
}

/// The key alone: the expanded one is ten times as large, and a session keeps two of them.
#[derive(Default)]
struct AesGcm256(Zeroizing<[u8; KEY_BYTES]>);

impl AesGcm256 {
    fn expanded(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

/// 32 zero bits and the counter, big-endian (Noise specification, 12.4).
fn nonce(counter: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = Nonce::default();
    for (to, from) in nonce.iter_mut().skip(4).zip(counter.to_be_bytes()) {
        *to = from;
    }
    nonce
}

impl Cipher for AesGcm256 {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; KEY_BYTES]) {
        *self.0 = *key;
    }

    fn encrypt(&self, counter: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let sealed = out.split_at_mut_checked(plaintext.len()).and_then(|(body, rest)| {
            let room = rest.get_mut(..TAG_BYTES)?;
            let body = InOutBuf::new(plaintext, body).ok()?;
            let cipher = self.expanded();
            let tag = cipher.encrypt_inout_detached(&nonce(counter), authtext, body).ok()?;
            room.copy_from_slice(&tag);
            Some(())
        });
        if sealed.is_none() {
            // Snow checks the room and the length first. Should it ever not, then zeros leave,
            // which the peer refuses, and not the plain text.
            out.fill(0);
        }
        plaintext.len() + TAG_BYTES
    }

    fn decrypt(
        &self,
        counter: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let (body, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..body.len()).ok_or(Error::Decrypt)?;
        let buffer = InOutBuf::new(body, out).map_err(|_| Error::Decrypt)?;
        let cipher = self.expanded();
        let opened = cipher.decrypt_inout_detached(&nonce(counter), authtext, buffer, tag.into());
        opened.map(|()| body.len()).map_err(|_| Error::Decrypt)
    }
}
