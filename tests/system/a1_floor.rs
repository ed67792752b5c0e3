//! What a binary asks of the system that it runs on, and who refuses one that asks too much. Whole machines of both
//! architectures boot in `tests/boot`; the programs of another one run under emulation by `make test-cross`.

use aerie_tests::{Printed, binary, run_tool};
use std::path::Path;
use tokio::process::Command;

async fn judge(glibc: &str, systemd: &str) -> Printed {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/toolchain/floor.sh");
    let mut command = Command::new(script);
    command.args([glibc, systemd]).arg(binary("aerie")).arg(binary("aerie-agent"));
    run_tool(command).await
}

#[tokio::test]
async fn a1_a_binary_that_needs_a_newer_system_than_promised_is_refused() {
    let fits = judge("9.99", "999").await;
    assert_eq!(fits.code, Some(0), "{}", fits.everything);
    assert!(fits.output.contains("needs") && fits.output.contains("libc.so.6"), "{}", fits.output);
    // As old as no Rust program can be.
    let refused = judge("2.2.5", "999").await;
    assert_eq!(refused.code, Some(1), "{}", refused.everything);
    assert!(refused.everything.contains("aerie needs GLIBC_2."), "{}", refused.everything);
    assert!(refused.everything.contains("aerie-agent needs GLIBC_2."), "{}", refused.everything);
    let refused = judge("9.99", "1").await;
    assert_eq!(refused.code, Some(1), "{}", refused.everything);
    assert!(refused.everything.contains("aerie needs LIBSYSTEMD_"), "{}", refused.everything);
}
