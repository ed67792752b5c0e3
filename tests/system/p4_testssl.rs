//! testssl.sh: the grade after SSL Labs' rating guide. It waits for minutes, so `make test` runs it beside the others.

use crate::scanned::{NAME, Scanned};
use aerie_tests::{run_tool, tool};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::process::Command;

/// Judges one port. What it found stands in the panic where that is not the best.
async fn graded_a_plus(scanned: &Scanned, name: &str, address: SocketAddr) {
    let package = tool(".tools/testssl.sh");
    // Without its own data, testssl does not judge the chain and gives an A+ that means nothing.
    let data = package.join("etc/testssl");
    let findings = scanned.appliance.folder().join(format!("{name}.json"));
    let mut command = Command::new(package.join("usr/bin/testssl"));
    command.env("TESTSSL_INSTALL_DIR", &data).env("CA_BUNDLES_PATH", &data);
    command.args(["--quiet", "--color", "0", "--warnings", "off", "-n", "none", "--ip"]);
    command.arg(address.ip().to_string());
    command.arg("--add-ca").arg(&scanned.trusted).arg("--jsonfile").arg(&findings);
    command.arg(format!("{NAME}:{}", address.port()));
    let printed = run_tool(command).await;
    let text = std::fs::read_to_string(&findings).unwrap_or_default();
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
    let found = |id: &str| {
        let mut of_id = findings.iter().filter(|finding| finding["id"] == id);
        of_id.next().and_then(|finding| finding["finding"].as_str()).unwrap_or("nothing").to_owned()
    };
    let shown = printed.everything;
    assert_eq!(found("overall_grade"), "A+", "{name} port: {shown}");
    assert!(found("cert_chain_of_trust").starts_with("passed"), "{name} port: {shown}");
    assert!(shown.contains("Chain of trust               Ok"), "{name} port: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes more than a minute: tests/setup/test.sh runs it beside the others"]
async fn p4_testssl_grades_both_ports_a_plus_and_their_chain_ok() {
    let scanned = Scanned::vouched_for().await;
    let (https, inform) = (scanned.appliance.https(), scanned.appliance.inform());
    tokio::join!(
        graded_a_plus(&scanned, "https", https),
        graded_a_plus(&scanned, "inform", inform)
    );
}
