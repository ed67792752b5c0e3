//! The credentials vault as its owner uses it, and its process beside a daemon.

use crate::appliance::{ApplianceOptions, Owner};
use crate::client::Answer;
use crate::process::{Process, binary};
use crate::vault::vault_config;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// What opens a vault.
pub struct MasterKey {
    /// The master password in words.
    pub passphrase: String,
    /// The text of the key file.
    pub key_file: String,
}

impl Owner {
    /// Makes the vault, open.
    pub async fn make_vault(&self) -> MasterKey {
        let body = json!({"isVaultEnabled": true});
        let made = self.client.post("/vault/credentials", body).await.expect(200).json();
        let text = |field: &str| made[field].as_str().expect("a text").to_owned();
        MasterKey { passphrase: text("passphrase"), key_file: text("keyFile") }
    }

    /// How the vault is.
    pub async fn vault(&self) -> Value {
        self.client.get("/vault/credentials").await.expect(200).json()
    }

    /// Unseals the vault with its master password.
    pub async fn unseal(&self, key: &MasterKey) {
        let body = json!({"passphrase": key.passphrase});
        let answer = self.client.post("/vault/credentials/unlock", body).await.expect(200);
        assert_eq!(answer.json()["isPassphraseMissing"], false);
    }

    /// Types a password in. The id of its credential.
    pub async fn keep(&self, record: Value) -> String {
        crate::id_of(&self.client.post("/vault/records", record).await.expect(201).json())
    }

    /// Asks for a credential's present password, with a pass or without.
    pub async fn reveal(&self, id: &str, pass: Option<&str>) -> Answer {
        let path = format!("/nms/api/v2.1/vault/records/{id}/reveal");
        let mut headers = HeaderMap::new();
        let token = self.client.token().expect("a token");
        headers.insert("x-auth-token", HeaderValue::from_str(token).expect("a header value"));
        if let Some(pass) = pass {
            headers.insert("vault-pass", HeaderValue::from_str(pass).expect("a header value"));
        }
        self.client.send(Method::POST, &path, headers, b"{}".to_vec()).await
    }

    /// The same, shown.
    pub async fn password(&self, id: &str) -> String {
        let shown = self.reveal(id, None).await.expect(200).json();
        shown["password"].as_str().expect("a password").to_owned()
    }
}

/// `aerie vault` beside the daemon, as its unit runs it. Ends when it is dropped.
pub struct VaultBeside {
    folder: TempDir,
    process: Process,
}

impl VaultBeside {
    /// Starts it, with a directory of its own.
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let process = launch(&folder);
        Self { folder, process }
    }

    /// How the daemon is started that talks to it.
    pub fn options(&self) -> ApplianceOptions {
        ApplianceOptions { more_config: lines(&self.folder), ..ApplianceOptions::default() }
    }

    /// Ends it with `kill -9` and starts it again, as a reboot does.
    pub async fn start_again(&mut self) {
        self.process.kill().await;
        self.process = launch(&self.folder);
    }
}

fn lines(folder: &TempDir) -> String {
    std::fs::read_to_string(vault_config(folder.path())).expect("a boot file")
}

fn launch(folder: &TempDir) -> Process {
    let mut command = Command::new(binary("aerie"));
    command.args(["vault", "--config"]).arg(vault_config(folder.path()));
    Process::start("aerie vault", command, &folder.path().join("vault.log"))
}
