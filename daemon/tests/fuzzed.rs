//! The daemon's fuzz targets without a fuzzer: their stored corpus, and mutations of it.

use std::path::Path;

use crate::{mutation, provisioning_entry, vault_entries};

fn corpus(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name)
}

#[test]
fn stored_and_mutated_key_files_never_break_the_parser() {
    mutation::exercise(&corpus("vault_key_file"), vault_entries::vault_key_file);
}

#[test]
fn stored_and_mutated_shares_never_break_the_parser() {
    mutation::exercise(&corpus("vault_share"), vault_entries::vault_share);
}

#[test]
fn stored_and_mutated_provisioning_files_never_break_the_parser() {
    mutation::exercise(&corpus("provisioning"), provisioning_entry::provisioning);
}
