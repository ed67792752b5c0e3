//! The daemon's crate from outside: its command line, stores that earlier releases wrote, its API.

// So that the lints know these modules for tests.
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
#[expect(unreachable_pub, reason = "shared with the protocol's tests, a module here")]
#[path = "../../tests/fuzz/src/mutation.rs"]
mod mutation;
#[cfg(test)]
mod old_stores;
#[cfg(test)]
#[expect(unreachable_pub, reason = "a library for the fuzzer, a module here")]
#[path = "../../tests/fuzz/src/provisioning.rs"]
mod provisioning_entry;
#[cfg(test)]
#[expect(unreachable_pub, reason = "a library for the fuzzer, a module here")]
#[path = "../../tests/fuzz/src/vault.rs"]
mod vault_entries;
#[cfg(test)]
mod web;
