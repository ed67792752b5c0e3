//! Credentials that people type, import and export, and what the vault wants to see first.

use aerie_tests::{Agent, Appliance, until};
use serde_json::{Value, json};

fn label(label: &str, username: &str, password: &str) -> Value {
    json!({"label": label, "username": username, "password": password})
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_a_file_is_imported_whole_or_not_at_all_and_an_export_gives_it_back() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let _agent = Agent::start(&owner.key);
    let device = owner.admit_one().await;
    let key = owner.make_vault().await;
    let import = async |csv: &str, dry_run: bool| {
        let body = json!({"csv": csv, "dryRun": dry_run});
        owner.client.post("/vault/records/import", body).await.expect(200).json()
    };
    let bad = format!(
        "device;label;username;password\n{device};;root;one\nnowhere;;root;two\n;Mast;;three\n"
    );
    for dry_run in [true, false] {
        let told = import(&bad, dry_run).await;
        let lines: Vec<_> = told["errors"].as_array().expect("a list").iter().collect();
        assert_eq!((lines.len(), &lines[0]["line"], &lines[1]["line"]), (2, &json!(3), &json!(4)));
        assert_eq!(owner.vault().await["credentials"], 0);
    }
    let good = format!(
        "device;label;username;password;note\n{device};;root;=one;-1\n;=Mast;admin;\"t;\"\"wo\";\n"
    );
    let told = import(&good, true).await;
    assert_eq!(
        (&told["rows"], &told["added"], &told["changed"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_eq!(owner.vault().await["credentials"], 0, "a dry run keeps nothing");
    import(&good, false).await;
    let told = import(&good.replace("=one", "=new"), false).await;
    assert_eq!((&told["added"], &told["changed"]), (&json!(0), &json!(2)));
    let shown = owner.client.get(&format!("/vault/{device}/credentials")).await.expect(200).json();
    assert_eq!(shown["credentials"]["password"], "=new");
    let wrong = json!({"passphrase": "one two three"});
    owner.client.post("/vault/records/export", wrong).await.expect(400);
    let body = json!({"keyFile": key.key_file});
    let file = owner.client.post("/vault/records/export", body).await.expect(200);
    assert_eq!(file.header("cache-control"), Some("no-store"));
    let text = file.text();
    assert!(text.contains(&format!("{device},")) && text.contains("=new"), "{text}");
    assert!(text.contains("'=Mast") && text.contains("'-1"), "no formula: {text}");
    // It is what an import takes.
    let told = import(&text, false).await;
    assert_eq!((&told["added"], &told["changed"]), (&json!(0), &json!(2)), "{told}");
    let mast = owner.client.get("/vault/records?query=mast").await.expect(200).json();
    assert_eq!(mast["items"][0]["label"], "=Mast");
    assert_eq!(owner.password(&aerie_tests::id_of(&mast["items"][0])).await, "t;\"wo");
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_who_was_shown_a_password_stands_in_both_logs_and_in_the_offboarding() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    owner.make_vault().await;
    let record = owner.keep(label("Mast", "root", "shown")).await;
    let nina = owner.person("nina", "admin").await;
    let client = appliance.log_in_as("nina", aerie_tests::PASSWORD).await;
    let why = json!({"reason": "the mast is down"});
    let shown = client.post(&format!("/vault/records/{record}/reveal"), why).await.expect(200);
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(shown.json()["hideAfterSeconds"], 30);
    let log = owner.client.get("/vault/log").await.expect(200).json();
    let opened: Vec<_> = log["entries"].as_array().expect("a list").iter().collect();
    let opened = opened.iter().find(|entry| entry["what"] == "opened").expect("it is told");
    let about = opened["about"].as_str().expect("about what");
    assert!(about.contains("nina") && about.contains("the mast is down"), "{about}");
    assert!(about.starts_with(&record), "as the vault wrote it: {about}");
    assert_eq!(opened["name"], "root on Mast");
    let audit = owner.client.get("/nms/audit?who=nina").await.expect(200).json();
    assert_eq!(audit["items"][0]["what"], "secret seen", "{audit}");
    let gone = owner.client.post(&format!("/users/{nina}/offboard"), json!({})).await.expect(200);
    let seen = gone.json()["secretsSeen"][0]["about"].as_str().expect("a secret").to_owned();
    assert!(seen.contains("root on Mast"), "{seen}");
    owner.client.delete(&format!("/vault/records/{record}")).await.expect(200);
    let log = owner.client.get("/vault/log").await.expect(200).json();
    let mut entries = log["entries"].as_array().expect("a list").iter();
    let opened = entries.find(|entry| entry["what"] == "opened").expect("it stays");
    assert_eq!(opened["name"], Value::Null, "nobody knows it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_a_port_that_is_null_is_taken_away_and_one_that_is_left_out_stays() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    owner.make_vault().await;
    let mut new = label("Mast", "root", "kept");
    new["sshPort"] = json!(2222);
    new["httpsPort"] = json!(8443);
    let path = format!("/vault/records/{}", owner.keep(new).await);
    let change = async |change: Value| {
        let now = owner.client.put(&path, change).await.expect(200).json();
        (now["sshPort"].clone(), now["httpsPort"].clone())
    };
    assert_eq!(change(json!({"note": "by the barn"})).await, (json!(2222), json!(8443)));
    assert_eq!(change(json!({"sshPort": null})).await, (Value::Null, json!(8443)));
    assert_eq!(change(json!({"sshPort": 22})).await, (json!(22), json!(8443)));
    assert_eq!(change(json!({"sshPort": null, "httpsPort": 0})).await, (Value::Null, Value::Null));
    let wrong = json!({"httpsPort": 65_536});
    owner.client.put(&path, wrong).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_the_vault_wants_its_own_proof_once_one_is_enrolled_and_opens_no_more_than_it_may() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let key = owner.make_vault().await;
    let record = owner.keep(label("Mast", "root", "behind a PIN")).await;
    let client = &owner.client;
    let pin = json!({"passphrase": key.passphrase, "pin": "271828"});
    client.post("/vault/proofs/pin", pin).await.expect(204);
    let refused = owner.reveal(&record, None).await.expect(403).json();
    assert_eq!(refused["error"], "VaultProofRequired");
    let wrong = client.post("/vault/prove", json!({"pin": "000000"})).await.expect(400).json();
    assert_eq!(wrong["error"], "VaultProofWrong");
    let pass = client.post("/vault/prove", json!({"pin": "271828"})).await.expect(200).json();
    let pass = pass["pass"].as_str().expect("a pass").to_owned();
    let shown = owner.reveal(&record, Some(&pass)).await.expect(200).json();
    assert_eq!(shown["password"], "behind a PIN");
    owner.reveal(&record, Some("no such pass")).await.expect(403);
    let body = json!({"passphrase": key.passphrase});
    client.delete_with("/vault/proofs/pin", body).await.expect(204);
    let few = json!({"passphrase": key.passphrase, "perHour": 2});
    assert_eq!(client.put("/vault/limit", few).await.expect(200).json()["perHour"], 2);
    owner.password(&record).await;
    let refused = owner.reveal(&record, None).await.expect(429);
    assert_eq!(refused.json()["error"], "VaultLimit");
    assert!(refused.header("retry-after").is_some());
    let export = json!({"passphrase": key.passphrase});
    let file = client.post("/vault/records/export", export).await.expect(200);
    assert!(file.text().contains("behind a PIN"), "an export counts for no limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_a_deleted_device_leaves_its_password_under_its_name() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let _agent = Agent::start(&owner.key);
    let device = owner.admit_one().await;
    owner.make_vault().await;
    let name = json!({"meta": {"alias": "Old mill"}});
    owner.client.put(&format!("/devices/{device}/system/unms"), name).await.expect(200);
    let record =
        owner.keep(json!({"deviceId": device, "username": "root", "password": "kept"})).await;
    owner.client.delete(&format!("/devices/{device}")).await.expect(200);
    let list = owner.client.get("/vault/records?query=old%20mill").await.expect(200).json();
    assert_eq!(list["items"][0]["deviceId"], Value::Null);
    assert_eq!(list["items"][0]["label"], "Old mill");
    assert_eq!(owner.password(&record).await, "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_after_a_re_key_the_new_key_file_alone_opens_everything() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let old = owner.make_vault().await;
    let mut records = Vec::new();
    for number in 0..20 {
        let password = format!("secret {number}");
        records.push(owner.keep(label(&format!("Mast {number}"), "root", &password)).await);
    }
    let body = json!({"keyFile": old.key_file});
    let made = owner.client.post("/vault/rekey", body).await.expect(200).json();
    assert!(made["former"][0].as_str().is_some_and(|told| told.contains("key pair 1")), "{made}");
    let new = aerie_tests::MasterKey {
        passphrase: made["passphrase"].as_str().expect("words").to_owned(),
        key_file: made["keyFile"].as_str().expect("a file").to_owned(),
    };
    // Cut off in the middle, it goes on.
    appliance.kill().await;
    appliance.start_again().await;
    let owner = appliance.log_in().await;
    owner.unseal(&new).await;
    let file = json!({"keyFile": new.key_file});
    owner.client.post("/vault/key-file/prove", file).await.expect(204);
    until("everything is sealed again", async || {
        let vault = owner.vault().await;
        (vault["rekeying"] == false && vault["epoch"] == 2).then_some(())
    })
    .await;
    owner.client.post("/vault/credentials/lock", json!({})).await.expect(200);
    let body = json!({"keyFile": old.key_file});
    owner.client.post("/vault/credentials/unlock", body).await.expect(400);
    owner.unseal(&new).await;
    for (number, record) in records.iter().enumerate() {
        assert_eq!(owner.password(record).await, format!("secret {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_who_change_one_password_at_the_same_time_never_share_a_version() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    owner.make_vault().await;
    let record = owner.keep(label("Mast", "root", "the first")).await;
    let changes = (0..16).map(|number| {
        let (client, path) = (owner.client.clone(), format!("/vault/records/{record}"));
        async move {
            let password = format!("number {number}");
            let answer = client.put(&path, json!({"password": password})).await;
            match answer.status {
                200 => Some((answer.json()["version"].as_u64().expect("a version"), password)),
                // Told that others were faster, and nothing of it is kept.
                409 => None,
                _ => panic!("{}", answer.text()),
            }
        }
    });
    let kept: Vec<_> =
        futures_util::future::join_all(changes).await.into_iter().flatten().collect();
    let path = format!("/vault/records/{record}/history");
    let history = owner.client.get(&path).await.expect(200).json();
    let newest = history["current"]["version"].as_u64().expect("a version");
    assert_eq!(
        usize::try_from(newest).expect("a number"),
        kept.len() + 1,
        "one for each: {history}"
    );
    let former = history["former"].as_array().expect("a list");
    assert_eq!(former.len(), kept.len().min(10), "the last ten are kept");
    for secret in former.iter().chain([&history["current"]]) {
        let version = secret["version"].as_u64().expect("a version");
        let body = json!({"version": version});
        let path = format!("/vault/records/{record}/reveal");
        let shown = owner.client.post(&path, body).await.expect(200).json();
        let shown = shown["password"].as_str().expect("a password");
        // Who asked for the credential's state may have been told of a later change than the own.
        let known = shown == "the first" || kept.iter().any(|(_, password)| password == shown);
        assert!(known, "version {version} holds what nobody was told is kept: {shown}");
    }
}
