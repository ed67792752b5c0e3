//! The vault as a unit of its own, under the real systemd: a restart of the daemon leaves it open, a reboot seals it.

use aerie_tests::{Booted, Client, PASSWORD, setup_request};
use serde_json::{Value, json};
use std::fs;

async fn status(client: &Client) -> Value {
    client.get("/vault/credentials").await.expect(200).json()
}

async fn log_in(booted: &Booted) -> Client {
    let body = json!({"username": "owner", "password": PASSWORD});
    let answer = booted.client().post("/user/login", body).await.expect(200);
    booted.client().with_token(answer.header("x-auth-token").expect("a token"))
}

async fn reveal(client: &Client, record: &str) -> (u16, Value) {
    let answer = client.post(&format!("/vault/records/{record}/reveal"), json!({})).await;
    (answer.status, answer.json())
}

/// A line of `/proc/PID/status`.
fn fact(process: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}")).split_whitespace().next().expect("a value").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_a_restart_of_the_daemon_leaves_the_vault_open_and_a_reboot_seals_it() {
    if !Booted::is_possible() {
        println!("not run: only root can boot a system, where systemd-nspawn works");
        return;
    }
    let mut booted = Booted::start().await;
    let code = fs::read_to_string(booted.data().join("setup-code")).expect("the set-up code");
    booted.client().post("/nms/setup", setup_request(code.trim())).await.expect(200);
    let client = log_in(&booted).await;
    let body = json!({"isVaultEnabled": true, "isCloudVaultEnabled": false});
    let made = client.post("/vault/credentials", body).await.expect(200).json();
    let new = json!({"label": "Mast", "username": "admin", "password": "a secret of the mast"});
    let record = client.post("/vault/records", new).await.expect(201).json();
    let record = record["id"].as_str().expect("an id");
    let open = status(&client).await;
    assert_eq!((&open["ownUnit"], &open["memoryLocked"]), (&json!(true), &json!(true)), "{open}");

    // What the unit takes from it.
    let vault = booted.process_of("aerie-vault.service").await;
    let daemon = booted.process_of("aerie.service").await;
    assert_ne!(fact(vault, "Uid"), "0");
    assert_ne!(fact(vault, "Uid"), fact(daemon, "Uid"));
    assert_eq!((fact(vault, "Seccomp"), fact(vault, "NoNewPrivs")), ("2".into(), "1".into()));
    // None, or the one to lock memory (see the harness).
    let capabilities = fact(vault, "CapEff");
    assert!(matches!(capabilities.trim_start_matches('0'), "" | "4000"), "{capabilities}");
    assert_ne!(fact(vault, "VmLck"), "0");
    let network = |process: u32| fs::read_link(format!("/proc/{process}/ns/net")).expect("/proc");
    assert_ne!(network(vault), network(daemon));

    booted.restart("aerie.service").await;
    assert_eq!(booted.process_of("aerie-vault.service").await, vault, "another vault process");
    let client = log_in(&booted).await;
    assert_eq!(status(&client).await["sealed"], json!(false));
    let (code, shown) = reveal(&client, record).await;
    assert_eq!((code, &shown["password"]), (200, &json!("a secret of the mast")), "{shown}");

    booted.reboot().await;
    let client = log_in(&booted).await;
    assert_eq!(status(&client).await["sealed"], json!(true));
    assert_eq!(reveal(&client, record).await.0, 412);
    let new = json!({"label": "Hut", "username": "admin", "password": "another secret"});
    client.post("/vault/records", new).await.expect(201);
    let unlock = json!({"keyFile": made["keyFile"]});
    client.post("/vault/credentials/unlock", unlock).await.expect(200);
    let (code, shown) = reveal(&client, record).await;
    assert_eq!((code, &shown["password"]), (200, &json!("a secret of the mast")), "{shown}");
}
