//! What is done with a fuzzed key file or share of the vault.
//!
//! The fuzzer comes here through `fuzz_targets/`, the stored corpus with its mutations through
//! `daemon/tests/fuzzed.rs`.

use aerie::vault::crypto::shares::Share;
use aerie::vault::crypto::{KeyFault, Master, keyfile};

/// A key file that reads is written to a text that reads to the same; a master password likewise.
/// What does not read is told in a sentence.
pub fn vault_key_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match keyfile::parse(text) {
        Ok(file) => {
            let written = keyfile::write(&file);
            let again = keyfile::parse(written.expose()).expect("what was written reads");
            assert_eq!((again.vault, again.epoch), (file.vault, file.epoch));
            assert_eq!((&again.appliance, again.created), (&file.appliance, file.created));
            assert!(again.master == file.master);
            let master = keyfile::master(text, file.vault, file.epoch);
            assert!(master.expect("it is of this vault") == file.master);
        }
        Err(fault) => told(&fault),
    }
    match Master::from_words(text) {
        Ok(master) => {
            let again = Master::from_words(master.words().expose());
            assert!(again.expect("its own words read") == master);
        }
        Err(fault) => told(&fault),
    }
}

/// A share that reads is written to a text that reads to the same.
pub fn vault_share(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Share::parse(text) {
        Ok(share) => {
            let again = Share::parse(share.text().expose()).expect("what was written reads");
            assert_eq!(again.fingerprint(), share.fingerprint());
        }
        Err(fault) => told(&fault),
    }
}

/// A sentence, no longer than people read and without what a terminal would act on.
fn told(fault: &KeyFault) {
    let sentence = fault.to_string();
    assert!((10..300).contains(&sentence.len()), "{sentence}");
    assert!(!sentence.chars().any(char::is_control));
}
