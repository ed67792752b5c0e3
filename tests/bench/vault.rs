//! The vault: sealing while it is sealed, unsealing, and new passwords for all devices at once.

use crate::figures::Figures;
use crate::{per_second, say, thousands};
use aerie_tests::{Appliance, ApplianceOptions, Owner, within};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// Credentials that are imported.
const CREDENTIALS: u64 = 10_000;
/// What a rotation of all devices may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// Seals credentials while the vault is sealed, and unseals it.
pub(crate) async fn sealing(options: ApplianceOptions, figures: &mut Figures) {
    let appliance = Appliance::start_with(options).await;
    let owner = appliance.set_up().await;
    let passphrase = make(&owner).await;
    owner.client.post("/vault/credentials/lock", json!({})).await.expect(200);

    say("sealing credentials");
    let mut csv = String::from("label,username,password\n");
    for number in 0..CREDENTIALS {
        let _ = writeln!(csv, "Mast {number},admin,a password of mast {number}");
    }
    let began = Instant::now();
    let body = json!({"csv": csv, "dryRun": false});
    let imported = owner.client.post("/vault/records/import", body).await.expect(200).json();
    let took = began.elapsed();
    assert_eq!(imported["added"].as_u64(), Some(CREDENTIALS), "{imported}");
    let what = format!(
        "{} credentials imported, sealed and durable, while the vault is sealed",
        thousands(CREDENTIALS)
    );
    figures.add(&what, seconds(took), "5 s or less on two cores");

    say("unsealing");
    let began = Instant::now();
    let body = json!({"passphrase": passphrase});
    owner.client.post("/vault/credentials/unlock", body).await.expect(200);
    figures.add("unsealing with the master password", seconds(began.elapsed()), "");
}

/// Gives every connected device a new password.
pub(crate) async fn rotation(owner: &Owner, devices: u32, figures: &mut Figures) {
    say("new passwords for all devices");
    make(owner).await;
    let body = json!({
        "all": true, "accounts": ["admin"], "length": 20, "alphabet": "readable",
        "parallel": 64, "stopAfterFailures": 5,
    });
    let began = Instant::now();
    let job = owner.client.post("/vault/rotations", body).await.expect(201).json();
    let path = format!("/jobs/{}", job["id"].as_str().expect("an id"));
    within(PATIENCE, "all passwords are new", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let job = owner.client.get(&path).await.expect(200).json();
        // Devices of earlier measurements may be away for ever: the job waits for them.
        if job["counts"]["done"] == json!(devices) {
            return Some(());
        }
        assert_eq!(job["state"], "running", "{job}");
        None
    })
    .await;
    let rate = per_second(devices.into(), began.elapsed());
    figures.add(
        "rotation: devices a second with a new password, set, proven and durable, devices on the other core",
        thousands(rate),
        "500 or more",
    );
}

/// Makes the vault; its master password.
async fn make(owner: &Owner) -> Value {
    let body = json!({"isVaultEnabled": true, "isCloudVaultEnabled": false});
    owner.client.post("/vault/credentials", body).await.expect(200).json()["passphrase"].clone()
}

fn seconds(time: Duration) -> String {
    format!("{}.{:02} s", time.as_secs(), time.subsec_millis() / 10)
}
