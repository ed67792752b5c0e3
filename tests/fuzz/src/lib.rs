//! What is done with a fuzzed input: one function for each parser of outside bytes.
//!
//! Both ways of fuzzing come here: libFuzzer through `fuzz_targets/`, and the stored corpus with
//! its mutations on the stable toolchain through `protocol/tests/corpus.rs`.

use std::sync::OnceLock;

use aerie_protocol::inform;
use aerie_protocol::key::{DeviceKey, KeySecret};
use aerie_protocol::noise::{Answered, FirstContact, Opening, Reconnect, StaticKey};
use aerie_protocol::text::DeviceText;

/// What an input is given to.
pub type Entry = fn(&[u8]);

/// Every target by its name, which is also that of its folder in `corpus/`.
pub const TARGETS: [(&str, Entry); 5] = [
    ("device_key", device_key),
    ("inform_from_device", inform_from_device),
    ("inform_from_appliance", inform_from_appliance),
    ("noise_opening", noise_opening),
    ("device_text", device_text),
];

/// Targets in `vault.rs` and `provisioning.rs`: they go through the daemon's crate, which this file's
/// tests do not know.
pub const OF_THE_DAEMON: [&str; 3] = ["provisioning", "vault_key_file", "vault_share"];

/// A key that parses is written in a form that parses to the same.
pub fn device_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match DeviceKey::parse(text) {
        Ok(key) => {
            assert_ne!(key.port, 0);
            assert_ne!(key.secret.generation(), [0; 4]);
            assert_eq!(DeviceKey::parse(&key.write()), Ok(key));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A message that decodes is within its bounds and is encoded to bytes that decode to the same.
pub fn inform_from_device(data: &[u8]) {
    if let Ok(message) = inform::decode_from_device(data) {
        let mut bytes = Vec::new();
        inform::encode_from_device(&message, &mut bytes).expect("what decodes can be encoded");
        assert_eq!(inform::decode_from_device(&bytes), Ok(message));
    }
}

/// A message that decodes is within its bounds and is encoded to bytes that decode to the same.
pub fn inform_from_appliance(data: &[u8]) {
    if let Ok(message) = inform::decode_from_appliance(data) {
        let mut bytes = Vec::new();
        inform::encode_from_appliance(&message, &mut bytes).expect("what decodes can be encoded");
        assert_eq!(inform::decode_from_appliance(&bytes), Ok(message));
    }
}

/// Bytes as either end of a handshake may receive them, at each place where it reads.
pub fn noise_opening(data: &[u8]) {
    let (own, secret) = keys();
    if let Ok(opening) = Opening::parse(data) {
        // Only a stored opening under this very key gets an answer, and then no session.
        if let Ok((Answered::Awaiting(third), _)) = opening.answer(own, Some(secret)) {
            assert!(third.finish(data.get(..64).unwrap_or_default()).is_err());
        }
    }
    let start = match data.len() {
        96 => FirstContact::start(own, secret),
        48 => Reconnect::start(own, &own.public()),
        _ => return,
    };
    let (waiting, _) = start.expect("the device's own keys are good");
    assert!(waiting.read_reply(data, |_| true).is_err(), "nobody answers a fresh opening unseen");
}

/// The first byte is the cap, the rest the text. What is clean stays as it is.
pub fn device_text(data: &[u8]) {
    let Some((&cap, text)) = data.split_first() else { return };
    let cap = usize::from(cap);
    let clean = DeviceText::clean(&String::from_utf8_lossy(text), cap);
    assert!(clean.as_str().len() <= cap);
    assert!(!clean.as_str().chars().any(char::is_control));
    assert_eq!(DeviceText::clean(clean.as_str(), cap), clean);
}

/// The keys of the stored openings: those of `protocol/tests/vectors/xxpsk0.json`.
fn keys() -> &'static (StaticKey, KeySecret) {
    static KEYS: OnceLock<(StaticKey, KeySecret)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut secret = [0; 36];
        for (index, byte) in (0..32).zip(&mut secret) {
            *byte = index;
        }
        secret[32..].copy_from_slice(&[0xDE, 0xAD, 0xBE, 0xEF]);
        let own = StaticKey::from_bytes(&[0x33; 32]).expect("any 32 bytes are a key");
        (own, KeySecret::from_bytes(&secret).expect("its generation is not zero"))
    })
}
