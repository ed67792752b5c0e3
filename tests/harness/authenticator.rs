//! A passkey in software: what a browser and an authenticator make of the appliance's options, byte by byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Somebody is there.
const PRESENT: u8 = 0x01;
/// The authenticator made sure who it is.
const VERIFIED: u8 = 0x04;
/// A new key follows.
const KEY: u8 = 0x40;

/// One passkey with the browser around it.
pub struct Authenticator {
    key: KeyPair,
    id: [u8; 16],
    user: String,
    /// Signatures so far; each one counts up.
    pub count: u32,
    /// Where the browser thinks that it is.
    pub origin: String,
    /// It makes sure who holds it.
    pub verifies: bool,
}

impl Authenticator {
    /// A new one in a browser at `origin`.
    pub fn new(origin: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let digest: [u8; 32] = Sha256::digest(key.der_bytes()).into();
        let (id, _) = digest.split_first_chunk().expect("bytes");
        let (user, origin) = (String::new(), origin.to_owned());
        Self { key, id: *id, user, count: 0, origin, verifies: true }
    }

    /// Answers `navigator.credentials.create`.
    pub fn make(&mut self, options: &Value) -> Value {
        text(&options["user"]["id"]).clone_into(&mut self.user);
        let client_data = self.client_data("webauthn.create", options);
        let mut data = self.data(text(&options["rp"]["id"]), KEY);
        data.extend([0; 16]);
        data.extend(length(self.id.len()));
        data.extend(self.id);
        data.extend(self.public_key());
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(length(data.len()));
        object.extend(&data);
        self.credential(&json!({
            "clientDataJSON": encode(client_data),
            "attestationObject": encode(object),
            "authenticatorData": encode(data),
            "transports": ["internal"],
            "publicKeyAlgorithm": -7,
        }))
    }

    /// Answers `navigator.credentials.get`.
    pub fn answer(&mut self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.data(text(&options["rpId"]), 0);
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = self.key.sign(&signed).expect("a signature");
        self.credential(&json!({
            "clientDataJSON": encode(client_data),
            "authenticatorData": encode(data),
            "signature": encode(signature),
            "userHandle": self.user,
        }))
    }

    fn credential(&self, response: &Value) -> Value {
        json!({
            "id": encode(self.id), "rawId": encode(self.id), "type": "public-key",
            "response": response, "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let data = json!({
            "type": kind, "challenge": options["challenge"], "origin": self.origin,
            "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    fn data(&mut self, relying_party: &str, flags: u8) -> Vec<u8> {
        let flags = flags | PRESENT | if self.verifies { VERIFIED } else { 0 };
        self.count += 1;
        let hash = Sha256::digest(relying_party.as_bytes());
        [hash.as_slice(), &[flags], &self.count.to_be_bytes()].concat()
    }

    /// A COSE key: EC2, ES256, P-256, x, y.
    fn public_key(&self) -> Vec<u8> {
        let (x, y) = self.key.der_bytes().strip_prefix(&[4]).expect("a point").split_at(32);
        let head = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20";
        [head.as_slice(), x, b"\x22\x58\x20", y].concat()
    }
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("not many bytes").to_be_bytes()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
