//! Sets the appliance up as an owner would: account, sites, authorised devices. All through the API.

use crate::neighbour::NEIGHBOURS;
use aerie_protocol::key::DeviceKey;
use aerie_tests::{Answer, Client, id_of, setup_request, within};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The account's name.
pub(crate) const ACCOUNT: &str = "owner";

/// The account, logged in.
pub(crate) struct Owner {
    pub(crate) client: Client,
    pub(crate) password: String,
}

/// Makes the account the first time, logs in with the kept password afterwards.
pub(crate) async fn enter(client: &Client, folder: &Path) -> Result<Owner, String> {
    let kept = folder.join("password");
    let configured = client.get("/nms/setup").await.json()["isConfigured"] == true;
    let (password, answer) = if configured {
        let password = std::fs::read_to_string(&kept).map_err(|error| {
            format!("{}: {error}; remove var/demo to begin anew", kept.display())
        })?;
        let body = json!({"username": ACCOUNT, "password": password});
        let answer = client.post("/user/login", body).await;
        (password, answer)
    } else {
        let password = random_password()?;
        keep(&kept, &password).map_err(|error| format!("{}: {error}", kept.display()))?;
        let code = std::fs::read_to_string(folder.join("data/setup-code"))
            .map_err(|error| error.to_string())?;
        let mut request = setup_request(code.trim());
        request["user"]["username"] = json!(ACCOUNT);
        request["user"]["password"] = json!(password);
        let answer = client.post("/nms/setup", request).await;
        (password, answer)
    };
    let answer = fine(answer)?;
    let token = answer.header("x-auth-token").ok_or("no token came back")?;
    Ok(Owner { client: client.with_token(token), password })
}

/// The appliance's device key.
pub(crate) async fn device_key(client: &Client) -> Result<DeviceKey, String> {
    let key = fine(client.get("/nms/connection").await)?.json();
    DeviceKey::parse(key.as_str().unwrap_or_default()).map_err(|error| error.to_string())
}

/// Makes the sites and authorises each device to its own.
pub(crate) async fn furnish(client: &Client) -> Result<(), String> {
    for who in NEIGHBOURS {
        let device = within(Duration::from_mins(1), &format!("{} calls", who.name), async || {
            let devices = client.get("/devices").await.json();
            let mut devices = devices.as_array()?.iter();
            devices.find(|device| device["identification"]["hostname"] == who.name).cloned()
        })
        .await;
        if device["identification"]["authorized"] == false {
            let site = site(client, who.site).await?;
            let path = format!("/devices/{}/authorize", id_of(&device));
            fine(client.post(&path, json!({"siteId": site})).await)?;
        }
    }
    Ok(())
}

async fn site(client: &Client, name: &str) -> Result<String, String> {
    let sites = fine(client.get("/sites").await)?.json();
    let named = |site: &&Value| site["identification"]["name"] == name;
    if let Some(site) = sites.as_array().and_then(|sites| sites.iter().find(named)) {
        return Ok(id_of(site));
    }
    Ok(id_of(&fine(client.post("/sites", json!({"name": name})).await)?.json()))
}

fn fine(answer: Answer) -> Result<Answer, String> {
    if (200..300).contains(&answer.status) {
        Ok(answer)
    } else {
        Err(format!("the appliance answered {}: {}", answer.status, answer.text()))
    }
}

fn random_password() -> Result<String, String> {
    let mut bytes = [0; 12];
    let mut source = std::fs::File::open("/dev/urandom").map_err(|error| error.to_string())?;
    source.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}
