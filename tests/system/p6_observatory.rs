//! MDN's HTTP Observatory: what a public scanner of response headers says.

use crate::scanned::{NAME, Scanned};
use aerie_tests::{on_stage, run_tool, tool};
use serde_json::Value;

#[test]
fn p6_the_observatory_gives_a_plus_and_every_point_there_is_without_preload() {
    on_stage(
        "p6_observatory::p6_the_observatory_gives_a_plus_and_every_point_there_is_without_preload",
        async |stage| {
            let scanned = Scanned::on(&stage).await;
            let observatory =
                "tests/observatory/node_modules/@mdn/mdn-http-observatory/src/scan.js";
            let mut command = stage.command(tool(".tools/node/bin/node"));
            command.arg(tool(observatory)).arg(NAME);
            command.env("NODE_EXTRA_CA_CERTS", &scanned.trusted);
            let printed = run_tool(command).await;
            let report: Value = serde_json::from_str(&printed.output)
                .unwrap_or_else(|_| panic!("no report: {}", printed.everything));
            assert_eq!(report["scan"]["grade"], "A+", "{report:#}");
            let score = report["scan"]["score"].as_u64().unwrap_or_default();
            assert!(score >= 135, "{score} points: {report:#}");
            assert_eq!(report["scan"]["testsFailed"], 0, "{report:#}");
        },
    );
}
