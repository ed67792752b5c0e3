//! What people do wrong with the vault: a sentence that says what to do, and nothing changed.

use aerie_tests::{Appliance, Owner};
use serde_json::{Value, json};

async fn nothing_is_kept(owner: &Owner) {
    let list = owner.client.get("/vault/records").await.expect(200).json();
    assert_eq!(list["pagination"]["total"], 0, "{list}");
}

fn label(username: &str, password: &str) -> Value {
    json!({"label": "Mast", "username": username, "password": password})
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_without_a_vault_each_call_says_so_and_a_second_one_is_not_made() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let vault = owner.vault().await;
    assert_eq!(vault["isVaultEnabled"], false);
    assert_eq!(vault["isPassphraseMissing"], false);
    let client = &owner.client;
    for (path, body) in [
        ("/vault/records", label("root", "secret")),
        ("/vault/credentials/unlock", json!({"passphrase": "one two"})),
        ("/vault/credentials/lock", json!({})),
        ("/vault/key-file/prove", json!({"keyFile": "x"})),
    ] {
        let refused = client.post(path, body).await.expect(412).json();
        assert_eq!(refused["error"], "VaultNotMade", "{path}: {refused}");
    }
    nothing_is_kept(&owner).await;
    let cloud = json!({"isVaultEnabled": true, "isCloudVaultEnabled": true});
    client.post("/vault/credentials", cloud).await.expect(400);
    let key = owner.make_vault().await;
    let again = client.post("/vault/credentials", json!({"isVaultEnabled": true})).await;
    assert_eq!(again.expect(409).json()["error"], "VaultAlreadyMade");
    client.post("/vault/credentials/lock", json!({})).await.expect(200);
    owner.unseal(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_what_cannot_be_kept_is_refused_before_anything_is_stored() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    owner.make_vault().await;
    let long = "n".repeat(129);
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (record, status, told) in [
        (label("root", &"p".repeat(64 * 1024)), 400, "4096 bytes"),
        (label("root", &"p".repeat(4_097)), 400, "4096 bytes"),
        (label("root", ""), 400, "empty"),
        (label("root", "two\nlines"), 400, "control"),
        (label("ro\not", "secret"), 400, "user name"),
        (label("", "secret"), 400, "user name"),
        (label(&long, "secret"), 400, "128 characters"),
        (label("\u{202e}root", "secret"), 400, "user name"),
        (json!({"label": "a\nb", "username": "u", "password": "p"}), 400, "label"),
        (json!({"label": long, "username": "u", "password": "p"}), 400, "128 characters"),
        (json!({"username": "u", "password": "p"}), 400, "label"),
        (
            json!({"label": "a", "username": "u", "password": "p", "note": "n".repeat(1_001)}),
            400,
            "1000",
        ),
        (
            json!({"label": "a", "username": "u", "password": "p", "sshPort": 70_000}),
            400,
            "sshPort",
        ),
        (json!({"deviceId": unknown, "username": "u", "password": "p"}), 404, "device"),
        (json!({"label": "a", "username": "u", "password": 5}), 400, "password"),
    ] {
        let answer = owner.client.post("/vault/records", record).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let message = answer.json()["message"].as_str().expect("a sentence").to_owned();
        assert!(message.contains(told), "{told:?} is not in {message:?}");
    }
    nothing_is_kept(&owner).await;
    let huge = json!({"csv": "x".repeat((2 << 20) + 1), "dryRun": false});
    owner.client.post("/vault/records/import", huge).await.expect(400);
    let record = owner.keep(label("root", "as it was")).await;
    let twice = owner.client.post("/vault/records", label("root", "other")).await.expect(409);
    assert_eq!(twice.json()["error"], "CredentialTaken");
    let change = json!({"password": "p".repeat(64 * 1024)});
    owner.client.put(&format!("/vault/records/{record}"), change).await.expect(400);
    assert_eq!(owner.password(&record).await, "as it was");
    for path in [unknown, "no-id"] {
        owner.client.get(&format!("/vault/records/{path}/history")).await.expect(404);
        owner.client.get(&format!("/vault/{path}/credentials")).await.expect(404);
        owner.client.delete(&format!("/vault/records/{path}")).await.expect(404);
    }
}

/// The words with one letter wrong in the fourth.
fn misspelt(words: &str) -> String {
    let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    words[3].insert(1, 'q');
    words.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_a_wrong_key_is_told_apart_from_a_damaged_one_and_too_many_have_to_wait() {
    let (appliance, other) = (Appliance::start().await, Appliance::start().await);
    let (owner, stranger) = (appliance.set_up().await, other.set_up().await);
    let (key, foreign) = (owner.make_vault().await, stranger.make_vault().await);
    let record = owner.keep(label("root", "still there")).await;
    owner.client.post("/vault/credentials/lock", json!({})).await.expect(200);
    let half = key.key_file.len() / 2;
    let unlock = async |body: Value| owner.client.post("/vault/credentials/unlock", body).await;
    let mut told = Vec::new();
    for body in [
        json!({"keyFile": "shopping list: eggs, bread"}),
        json!({"keyFile": foreign.key_file}),
        json!({"keyFile": key.key_file[..half]}),
        json!({"passphrase": misspelt(&key.passphrase)}),
    ] {
        let refused = unlock(body).await.expect(400).json();
        assert_eq!(refused["error"], "VaultKeyWrong", "{refused}");
        told.push(refused["message"].as_str().expect("a sentence").to_owned());
    }
    for (one, message) in told.iter().enumerate() {
        assert!(!told[one + 1..].contains(message), "two faults are told alike: {message}");
    }
    assert!(told[3].contains('4') || told[3].contains("fourth"), "which word? {}", told[3]);
    assert_eq!(owner.vault().await["sealed"], true);
    // Words that are spelt right and are another vault's: guesses, of which there are few.
    let mut waits = false;
    for _ in 0..12 {
        let refused = unlock(json!({"passphrase": foreign.passphrase})).await;
        if refused.status == 429 {
            let wait = refused.header("retry-after").expect("how long").parse::<u64>();
            assert!(wait.is_ok_and(|wait| wait > 0));
            waits = true;
            break;
        }
        refused.expect(400);
    }
    assert!(waits, "a dozen wrong master passwords cost nothing");
    let kept = owner.client.get("/vault/records").await.expect(200).json();
    assert_eq!(aerie_tests::id_of(&kept["items"][0]), record);
    unlock(json!({})).await.expect(400);
}
