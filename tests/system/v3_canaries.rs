//! Secrets that pass the daemon are in its memory no longer than they have to be, and in no file.
//!
//! A core file is that memory, so it is not looked at besides.

use std::path::Path;

use aerie_tests::{Appliance, MasterKey, Owner, Process, binary, id_of, until};
use serde_json::json;
use tokio::process::Command;

/// What passes the daemon in this test, each a text that stands nowhere else.
const CANARIES: Canaries = Canaries {
    typed: "typed-5f0c1e9ab27d4836",
    changed: "changed-9d31b7c40e6f58a2",
    imported: "imported-c27a60f4913be8d5",
    refused: "refused-18e5d9f37b0c426a",
};

struct Canaries {
    typed: &'static str,
    changed: &'static str,
    imported: &'static str,
    refused: &'static str,
}

impl Canaries {
    fn all(&self, key: &MasterKey) -> Vec<Vec<u8>> {
        let words: Vec<&str> = key.passphrase.split_whitespace().collect();
        // Any part of the master password is too much.
        let parts = words.windows(4).map(|some| some.join(" "));
        let written = key.key_file.lines().find_map(|line| line.strip_prefix("Password: "));
        let written = written.expect("the master password in the key file");
        let own = [self.typed, self.changed, self.imported, self.refused, written];
        let texts = own.into_iter().map(str::to_owned).chain(parts);
        texts.map(String::into_bytes).collect()
    }
}

/// Sends every secret through every call that takes or shows one.
async fn pass_them(owner: &Owner, key: &MasterKey, canaries: &Canaries) {
    let client = &owner.client;
    let record = json!({"label": "Mast", "username": "root", "password": canaries.typed});
    let record = owner.keep(record).await;
    let change = json!({"password": canaries.changed});
    client.put(&format!("/vault/records/{record}"), change).await.expect(200);
    let csv = format!("label,username,password\nMill,root,{}\n", canaries.imported);
    client.post("/vault/records/import", json!({"csv": csv, "dryRun": false})).await.expect(200);
    let bad = json!({"label": "Mast\n", "username": "root", "password": canaries.refused});
    client.post("/vault/records", bad).await.expect(400);
    assert_eq!(owner.password(&record).await, canaries.changed);
    for body in [json!({"passphrase": key.passphrase}), json!({"keyFile": key.key_file})] {
        client.post("/vault/credentials/lock", json!({})).await.expect(200);
        client.post("/vault/credentials/unlock", body.clone()).await.expect(200);
        let file = client.post("/vault/records/export", body).await.expect(200).text();
        assert!(file.contains(canaries.changed) && file.contains(canaries.imported));
    }
    client.post("/vault/key-file/prove", json!({"keyFile": key.key_file})).await.expect(204);
}

/// Lets the vault make a password for a device, which the daemon passes on and shows. That password.
async fn rotate_one(appliance: &Appliance, owner: &Owner) -> String {
    let mut command = Command::new(binary("aerie-simulator"));
    command.args(["--key", &owner.key, "--devices", "1", "--accounts", "admin"]);
    let log = appliance.folder().join("simulator.log");
    let device = Process::start("aerie-simulator", command, &log);
    let id = owner.admit_one().await;
    owner.step_up().await;
    let body = json!({"deviceIds": [id], "accounts": ["admin"]});
    owner.client.post("/vault/rotations", body).await.expect(201);
    let path = format!("/vault/records?deviceId={id}");
    let record = until("the device has a new password", async || {
        let records = owner.client.get(&path).await.expect(200).json();
        let record = records["items"].as_array()?.first()?;
        record["version"].is_u64().then(|| id_of(record))
    })
    .await;
    drop(device);
    owner.password(&record).await
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_secrets_leave_the_daemons_memory_and_stand_in_no_file() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let key = owner.make_vault().await;
    pass_them(&owner, &key, &CANARIES).await;
    let made = rotate_one(&appliance, &owner).await;
    assert_eq!(made.len(), 20);
    let mut needles = CANARIES.all(&key);
    needles.push(made.into_bytes());
    assert!(needles.len() > 20, "the words of the master password were not found");
    // The search itself works: this one the daemon needs.
    let known = [appliance.data().display().to_string().into_bytes()];
    assert_eq!(appliance.process().remembers(&known).len(), 1);
    let process = appliance.process();
    until("no secret is left in the daemon's memory", async || {
        let left = process.remembers(&needles);
        if !left.is_empty() {
            let shown: Vec<_> = left.iter().map(|text| String::from_utf8_lossy(text)).collect();
            eprintln!("still there: {shown:?}");
        }
        left.is_empty().then_some(())
    })
    .await;
    let folder = appliance.folder().to_owned();
    let files = files(&folder);
    assert!(files.len() >= 5, "{files:?}");
    // Sockets cannot be read, and hold nothing.
    for (path, bytes) in files.iter().filter_map(|path| Some((path, std::fs::read(path).ok()?))) {
        let found = needles
            .iter()
            .find(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_slice()));
        assert_eq!(found, None, "{} holds a secret", path.display());
    }
}
