//! sslyze: whether TLS is what Mozilla calls intermediate, and nothing else.

use crate::scanned::{NAME, Scanned};
use aerie_tests::{run_tool, tool};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn p4_sslyze_finds_both_ports_compliant_with_mozillas_intermediate_profile() {
    let scanned = Scanned::vouched_for().await;
    for address in [scanned.appliance.https(), scanned.appliance.inform()] {
        let mut command = Command::new(tool(".tools/python/bin/sslyze"));
        command.arg("--mozilla_config=intermediate");
        command.arg(format!("--certinfo_ca_file={}", scanned.trusted.display()));
        command.arg(format!("{NAME}:{}{{{}}}", address.port(), address.ip()));
        let printed = run_tool(command).await;
        assert!(printed.output.contains(": OK - Compliant."), "{}", printed.everything);
        assert_eq!(printed.code, Some(0), "{}", printed.everything);
    }
}
