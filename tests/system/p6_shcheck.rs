//! shcheck: the headers that the observatory does not ask for.

use crate::scanned::{NAME, Scanned};
use aerie_tests::{on_stage, run_tool, tool};
use serde_json::Value;

#[test]
fn p6_shcheck_misses_no_header_on_the_page_the_api_and_an_error() {
    on_stage(
        "p6_shcheck::p6_shcheck_misses_no_header_on_the_page_the_api_and_an_error",
        async |stage| {
            let scanned = Scanned::on(&stage).await;
            for path in
                ["/nms/", "/nms/api/v2.1/nms/setup", "/nms/api/v2.1/devices", "/nms/none.js"]
            {
                let mut command = stage.command(tool(".tools/python/bin/shcheck.py"));
                command.arg("--json-output").arg(format!("https://{NAME}{path}"));
                command.env("SSL_CERT_FILE", &scanned.trusted);
                let printed = run_tool(command).await;
                let report: Value = serde_json::from_str(&printed.output)
                    .unwrap_or_else(|_| panic!("no report: {}", printed.everything));
                let (_, found) =
                    report.as_object().and_then(|sites| sites.iter().next()).expect("a site");
                let present = found["present"].as_object().expect("headers").len();
                assert!(present >= 8, "{path}: {report:#}");
                assert_eq!(found["missing"], serde_json::json!([]), "{path}: {report:#}");
            }
        },
    );
}
