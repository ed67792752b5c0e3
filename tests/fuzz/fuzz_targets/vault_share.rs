#![no_main]

#[path = "../src/vault.rs"]
#[allow(dead_code, reason = "each target takes one of them")]
mod vault;

libfuzzer_sys::fuzz_target!(|data: &[u8]| vault::vault_share(data));
