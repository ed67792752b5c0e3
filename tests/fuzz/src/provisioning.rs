//! What is done with a fuzzed provisioning file.
//!
//! The fuzzer comes here through `fuzz_targets/`, the stored corpus with its mutations through
//! `daemon/tests/fuzzed.rs`.

use aerie::config::Config;
use aerie::first_boot::provisioning;

/// A file is followed whole or told whole: what is read is kept as it is, and each fault is a
/// sentence with a line that the file has.
pub fn provisioning(data: &[u8]) {
    match provisioning::read(data, &Config::default()) {
        Ok(read) => {
            let kept = serde_json::to_string(&read).expect("it can be kept");
            let again: provisioning::Provisioning = serde_json::from_str(&kept).expect("it reads");
            assert_eq!(serde_json::to_string(&again).expect("it can be kept"), kept);
        }
        Err(faults) => {
            let lines = data.split(|byte| *byte == b'\n').count();
            assert!((1..60).contains(&faults.len()));
            for fault in faults {
                let sentence = fault.to_string();
                assert!((1..=lines).contains(&fault.line), "{sentence}");
                assert!((10..1000).contains(&sentence.len()), "{sentence}");
                assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
            }
        }
    }
}
