//! A sealed vault: everything that writes goes on, nothing is shown, and no device notices.

use aerie_tests::{Agent, Appliance, Owner, VaultBeside, until};
use serde_json::json;

/// Every call that would show a password, with the status and the word of its refusal.
async fn shows_nothing(owner: &Owner, device: &str, record: &str) {
    let client = &owner.client;
    let answers = [
        owner.reveal(record, None).await,
        client.get("/vault/credentials/devices").await,
        client.get(&format!("/vault/{device}/credentials")).await,
        client.post("/vault/records/export", json!({"passphrase": "x"})).await,
    ];
    for answer in answers {
        let answer = answer.expect(412).json();
        assert_eq!(answer["error"], "VaultSealed", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_while_the_vault_is_sealed_everything_goes_on_but_showing_passwords() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let _agent = Agent::start(&owner.key);
    let device = owner.admit_one().await;
    let key = owner.make_vault().await;
    let before = owner
        .keep(json!({"deviceId": device, "username": "root", "password": "typed while open"}))
        .await;
    assert_eq!(owner.password(&before).await, "typed while open");
    // The machine loses power: the vault's process goes with the daemon's.
    appliance.kill().await;
    appliance.start_again().await;
    let owner = appliance.log_in().await;
    let vault = owner.vault().await;
    assert_eq!((&vault["isPassphraseMissing"], &vault["sealed"]), (&json!(true), &json!(true)));
    owner.sees_status(&device, "active").await;
    shows_nothing(&owner, &device, &before).await;
    let typed =
        json!({"label": "Radio mast", "username": "admin", "password": "typed while sealed"});
    let sealed = owner.keep(typed).await;
    let change = json!({"password": "changed while sealed"});
    owner.client.put(&format!("/vault/records/{before}"), change).await.expect(200);
    let csv = "label,username,password\nSwitch room,admin,imported while sealed\n";
    let imported = json!({"csv": csv, "dryRun": false});
    let told = owner.client.post("/vault/records/import", imported).await.expect(200).json();
    assert_eq!((&told["added"], &told["errors"]), (&json!(1), &json!([])), "{told}");
    let history = owner.client.get(&format!("/vault/records/{before}/history")).await.expect(200);
    assert_eq!(history.json()["current"]["version"], 2);
    shows_nothing(&owner, &device, &sealed).await;
    owner.sees_status(&device, "active").await;
    owner.unseal(&key).await;
    assert_eq!(owner.password(&before).await, "changed while sealed");
    assert_eq!(owner.password(&sealed).await, "typed while sealed");
    let found = owner.client.get("/vault/records?query=switch%20room").await.expect(200).json();
    let imported = aerie_tests::id_of(&found["items"][0]);
    assert_eq!(owner.password(&imported).await, "imported while sealed");
    let old = json!({"version": 1});
    let old = owner.client.post(&format!("/vault/records/{before}/reveal"), old).await.expect(200);
    assert_eq!(old.json()["password"], "typed while open");
    owner.client.post("/vault/credentials/lock", json!({})).await.expect(200);
    shows_nothing(&owner, &device, &sealed).await;
    owner.sees_status(&device, "active").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_a_vault_that_is_a_unit_of_its_own_stays_open_while_the_daemon_starts_again() {
    let mut unit = VaultBeside::start();
    let mut appliance = Appliance::start_with(unit.options()).await;
    let owner = appliance.set_up().await;
    until("the vault answers", async || (owner.vault().await["reachable"] == true).then_some(()))
        .await;
    let key = owner.make_vault().await;
    assert_eq!(owner.vault().await["ownUnit"], true);
    let record =
        owner.keep(json!({"label": "Mast", "username": "root", "password": "kept open"})).await;
    for crash in [false, true] {
        if crash {
            appliance.kill().await;
        } else {
            appliance.terminate().await;
        }
        appliance.start_again().await;
        let owner = appliance.log_in().await;
        until("the vault answers", async || {
            (owner.vault().await["reachable"] == true).then_some(())
        })
        .await;
        assert_eq!(owner.vault().await["sealed"], false);
        assert_eq!(owner.password(&record).await, "kept open");
    }
    // A reboot seals.
    unit.start_again().await;
    let owner = appliance.log_in().await;
    until("the vault answers, sealed", async || {
        let vault = owner.vault().await;
        (vault["reachable"] == true && vault["sealed"] == true).then_some(())
    })
    .await;
    assert_eq!(owner.reveal(&record, None).await.expect(412).json()["error"], "VaultSealed");
    owner.unseal(&key).await;
    assert_eq!(owner.password(&record).await, "kept open");
}
