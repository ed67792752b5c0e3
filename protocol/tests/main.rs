//! What the protocol promises, checked from outside.

#![cfg(test)]

mod address;
mod corpus;
mod device_key;
mod device_text;
#[expect(unreachable_pub, reason = "a library for the fuzzer, a module here")]
#[path = "../../tests/fuzz/src/lib.rs"]
mod entries;
mod frozen;
mod handshake;
mod messages;
#[expect(unreachable_pub, reason = "shared with the daemon's tests, a module here")]
#[path = "../../tests/fuzz/src/mutation.rs"]
mod mutation;
mod samples;
mod session;
mod vectors;
