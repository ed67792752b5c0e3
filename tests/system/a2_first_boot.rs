//! The first boot of a machine whose clock has no battery.

use aerie_tests::{Appliance, ApplianceOptions, until};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_clock_at_1970_hinders_nothing_and_is_told_until_it_is_right() {
    let folder = TempDir::new().expect("a folder");
    #[expect(clippy::disallowed_methods, reason = "how far back the clock goes is told from now")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later than 1970").as_secs();
    std::fs::write(folder.path().join("clock"), format!("-{}", now - 60)).expect("written");
    let options = ApplianceOptions { own_clock: true, ..ApplianceOptions::default() };
    let mut appliance = Appliance::start_in(folder, options).await;
    let behind = async |appliance: &Appliance| {
        let state = appliance.client().get("/nms/setup").await.expect(200).json();
        state["isClockBehind"].as_bool().expect("yes or no")
    };
    assert!(behind(&appliance).await);
    // Browsers have the right time, and the certificate has not ended by then.
    let shown = appliance.shows_certificate_for("localhost").await;
    let owner = appliance.set_up().await;
    owner.site("Somewhere").await;
    appliance.terminate().await;
    appliance.start_again().await;
    assert_eq!(appliance.shows_certificate_for("localhost").await, shown, "made anew each time");
    appliance.set_clock("+0");
    until("the clock is right", async || (!behind(&appliance).await).then_some(())).await;
    let owner = appliance.log_in().await;
    assert!(owner.client.get("/sites").await.expect(200).text().contains("Somewhere"));
    appliance.shows_certificate_for("localhost").await;
}
