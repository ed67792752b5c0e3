//! The fuzz targets without a fuzzer: their stored corpus, and mutations of it that are the same in
//! every run, so that a toolchain without libFuzzer goes through the same parsers.

use std::fs;
use std::path::Path;

use crate::entries;
use crate::mutation;

fn exercise(name: &str) {
    let (_, entry) = entries::TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
    mutation::exercise(&folder, *entry);
}

#[test]
fn stored_and_mutated_device_keys_never_break_the_parser() {
    exercise("device_key");
}

#[test]
fn stored_and_mutated_messages_of_devices_never_break_the_decoder() {
    exercise("inform_from_device");
}

#[test]
fn stored_and_mutated_messages_of_the_appliance_never_break_the_decoder() {
    exercise("inform_from_appliance");
}

#[test]
fn stored_and_mutated_handshakes_never_break_either_end() {
    exercise("noise_opening");
}

#[test]
fn stored_and_mutated_texts_always_come_out_clean() {
    exercise("device_text");
}

#[test]
fn every_target_has_a_corpus_and_a_libfuzzer_entry() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
    let own = entries::TARGETS.map(|(name, _)| name);
    let names = own.iter().chain(&entries::OF_THE_DAEMON);
    for name in names.clone() {
        assert!(fuzz.join("corpus").join(name).is_dir(), "{name}");
        assert!(fuzz.join("fuzz_targets").join(format!("{name}.rs")).is_file(), "{name}");
    }
    assert_eq!(fs::read_dir(fuzz.join("corpus")).unwrap().count(), names.clone().count());
    assert_eq!(fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count(), names.clone().count());
}
