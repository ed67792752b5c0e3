#![no_main]

#[path = "../src/provisioning.rs"]
mod provisioning;

libfuzzer_sys::fuzz_target!(|data: &[u8]| provisioning::provisioning(data));
