//! The real daemon with data of its own on ports that the kernel chose.

use crate::authority::Issued;
use crate::client::Client;
use crate::process::{Process, binary};
use crate::{PATIENCE, until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

/// The password of every account that the harness makes.
pub const PASSWORD: &str = "seven herons over Lake Orta";

/// How an appliance is to be started.
#[derive(Clone, Default)]
pub struct ApplianceOptions {
    /// Gives devices a port of their own.
    pub separate_inform: bool,
    /// Ports and addresses that the kernel does not choose.
    pub listen: Option<Listen>,
    /// More lines for the config file.
    pub more_config: String,
    /// More for the command line.
    pub arguments: Vec<String>,
    /// Where systemd would lay its credentials.
    pub credentials: Option<PathBuf>,
    /// What hashing a password costs; not set: as little as a debug build takes.
    pub bcrypt_cost: Option<u32>,
    /// Another `aerie` than the debug build.
    pub binary: Option<PathBuf>,
    /// The one processor core that it may use, from its next start on.
    pub core: Option<usize>,
    /// Its wall clock is one of its own, which [`Appliance::set_clock`] moves (libfaketime).
    pub own_clock: bool,
    /// At which step it aborts, and at which passing of it: `point:n`. A debug build alone does.
    pub cut: Option<String>,
}

/// Where an appliance is to listen.
#[derive(Clone, Default)]
pub struct Listen {
    /// Plain HTTP; none: not at all.
    pub http: Vec<SocketAddr>,
    /// GUI and API.
    pub https: Vec<SocketAddr>,
    /// A port of the devices' own; none: they use `https`.
    pub inform: Vec<SocketAddr>,
}

/// A running daemon. Ends, with its data, when it is dropped.
pub struct Appliance {
    folder: TempDir,
    options: ApplianceOptions,
    process: Process,
    addresses: Addresses,
}

#[derive(Clone, Default)]
struct Addresses {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    inform: Option<SocketAddr>,
}

/// The first account, logged in.
pub struct Owner {
    /// The API with the owner's token.
    pub client: Client,
    /// The device key as the appliance gives it.
    pub key: String,
}

impl Appliance {
    /// Starts with everything by default and waits until it is healthy.
    pub async fn start() -> Self {
        Self::start_with(ApplianceOptions::default()).await
    }

    /// Starts as `options` say and waits until it is healthy.
    pub async fn start_with(options: ApplianceOptions) -> Self {
        Self::start_in(TempDir::new().expect("a folder"), options).await
    }

    /// Starts on data that are there already, in `folder/data`.
    pub async fn start_in(folder: TempDir, options: ApplianceOptions) -> Self {
        let addresses = Addresses::default();
        let process = launch(folder.path(), &options, &addresses);
        let mut appliance = Self { folder, options, process, addresses };
        appliance.become_healthy().await;
        appliance
    }

    /// Starts again on the same data and the same ports, after the process has ended.
    pub async fn start_again(&mut self) {
        assert!(self.process.status().is_some(), "it still runs");
        self.process = launch(self.folder.path(), &self.options, &self.addresses);
        self.become_healthy().await;
    }

    /// Like [`Appliance::start_again`]; answers the time from the start of the process to its first answer.
    pub async fn start_again_timed(&mut self) -> Duration {
        assert!(self.process.status().is_some(), "it still runs");
        let client = self.client();
        let began = Instant::now();
        self.process = launch(self.folder.path(), &self.options, &self.addresses);
        while client.health().await != Some(200) {
            assert!(began.elapsed() < PATIENCE, "no answer: {}", self.process.printed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        began.elapsed()
    }

    async fn become_healthy(&mut self) {
        let file = self.data().join("addresses.json");
        let process = &mut self.process;
        let mut found = Addresses::default();
        until("the daemon is healthy", async || {
            if let Some(status) = process.status() {
                panic!("the daemon ended with {status}: {}", process.printed());
            }
            let text = std::fs::read_to_string(&file).ok()?;
            let written: Value = serde_json::from_str(&text).ok()?;
            let first = |name: &str| written[name][0].as_str().and_then(|text| text.parse().ok());
            found =
                Addresses { http: first("http"), https: first("https"), inform: first("inform") };
            (Client::new(found.https?).health().await? == 200).then_some(())
        })
        .await;
        self.addresses = found;
    }

    /// Moves its own clock away from the machine's: `+80d`, `-2h`. The daemon sees it within a second.
    pub fn set_clock(&self, away: &str) {
        assert!(self.options.own_clock, "it has the machine's clock");
        let draft = self.folder.path().join("clock.new");
        std::fs::write(&draft, away).expect("written");
        std::fs::rename(draft, self.folder.path().join("clock")).expect("renamed");
    }

    /// The folder with the daemon's data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder of this test's own, beside the data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The config file it was started with.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("aerie.toml")
    }

    /// Ends the process with `kill -9` and hands out the folder with its data.
    pub async fn into_folder(mut self) -> TempDir {
        self.process.kill().await;
        self.folder
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where the GUI and the API are.
    pub fn https(&self) -> SocketAddr {
        self.addresses.https.expect("an HTTPS address")
    }

    /// Where plain HTTP is.
    pub fn http(&self) -> SocketAddr {
        self.addresses.http.expect("an HTTP address")
    }

    /// Where devices connect.
    pub fn inform(&self) -> SocketAddr {
        self.addresses.inform.unwrap_or_else(|| self.https())
    }

    /// A client without a token.
    pub fn client(&self) -> Client {
        Client::new(self.https())
    }

    /// The set-up code.
    pub fn setup_code(&self) -> String {
        let text =
            std::fs::read_to_string(self.data().join("setup-code")).expect("the set-up code");
        text.trim().to_owned()
    }

    /// Makes the first account and fetches the device key. Devices may come with an untrusted certificate's flag.
    pub async fn set_up(&self) -> Owner {
        self.set_up_as("localhost").await
    }

    /// The same for an appliance that has a name.
    pub async fn set_up_as(&self, hostname: &str) -> Owner {
        let mut body = setup_request(&self.setup_code());
        body["hostname"] = json!(hostname);
        let answer = self.client().post("/nms/setup", body).await.expect(200);
        let token = answer.header("x-auth-token").expect("a token").to_owned();
        let client = self.client().with_token(&token);
        let key = client.get("/nms/connection").await.expect(200).json();
        Owner { client, key: key.as_str().expect("a string").to_owned() }
    }

    /// Waits until it shows a certificate of its own for `name`; that one, in PEM.
    pub async fn shows_certificate_for(&self, name: &str) -> String {
        until(&format!("the certificate is for {name}"), async || {
            let body = STANDARD.encode(self.client().certificate_for(name).await?);
            Some(format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"))
        })
        .await
    }

    /// Gives it a certificate of the owner's own.
    pub async fn use_certificate(&self, owner: &Owner, Issued { chain, key }: &Issued) {
        owner.step_up().await;
        let body = json!({"chain": chain, "key": key});
        owner.client.put("/nms/certificate/own", body).await.expect(200);
    }

    /// Logs the owner in again.
    pub async fn log_in(&self) -> Owner {
        let body = json!({"username": "owner", "password": PASSWORD});
        let answer = self.client().post("/user/login", body).await.expect(200);
        let client = self.client().with_token(answer.header("x-auth-token").expect("a token"));
        let key = client.get("/nms/connection").await.expect(200).json();
        Owner { client, key: key.as_str().expect("a string").to_owned() }
    }

    /// Lets it use one processor core alone, from its next start on.
    pub fn keep_to(&mut self, core: usize) {
        self.options.core = Some(core);
    }

    /// Lets it abort at a step, from its next start on: `point:n`.
    pub fn cut_at(&mut self, cut: Option<String>) {
        self.options.cut = cut;
    }

    /// Starts the process again and waits for nothing: it may be cut before it is up.
    pub fn begin_again(&mut self) {
        self.process = launch(self.folder.path(), &self.options, &self.addresses);
    }

    /// Whether it aborts by itself within this time.
    pub async fn is_cut_within(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if self.process.status().is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// SIGTERM; it has ten seconds.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.process.ended(Duration::from_secs(10)).await
    }
}

/// The body that makes the first account.
pub fn setup_request(code: &str) -> Value {
    json!({
        "setupCode": code,
        "hostname": "localhost",
        "useLetsEncrypt": false,
        "eulaConfirmed": true,
        "user": {
            "username": "owner",
            "email": "owner@example.net",
            "timezone": "Europe/Vienna",
            "country": 40,
            "password": PASSWORD,
        },
    })
}

fn launch(folder: &Path, options: &ApplianceOptions, addresses: &Addresses) -> Process {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).expect("a data folder");
    // What an earlier life wrote must not be taken for this one's.
    drop(std::fs::remove_file(data.join("addresses.json")));
    let config = folder.join("aerie.toml");
    std::fs::write(&config, config_text(&data, options, addresses)).expect("a config file");
    let program = options.binary.clone().unwrap_or_else(|| binary("aerie"));
    let mut command = match options.core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(["serve", "--config"]).arg(&config).args(&options.arguments);
    match &options.credentials {
        Some(folder) => command.env("CREDENTIALS_DIRECTORY", folder),
        None => command.env_remove("CREDENTIALS_DIRECTORY"),
    };
    if options.own_clock {
        let clock = folder.join("clock");
        if !clock.exists() {
            std::fs::write(&clock, "+0").expect("written");
        }
        command.env("LD_PRELOAD", clock_library()).env("FAKETIME_TIMESTAMP_FILE", clock);
        command.env("FAKETIME_CACHE_DURATION", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    if let Some(cut) = &options.cut {
        command.env("AERIE_CUT", cut);
    }
    Process::start("aerie", command, &folder.join("aerie.log"))
}

/// Debian's package faketime puts it below the machine type's name.
fn clock_library() -> PathBuf {
    let types = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let mut found = types.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect("Debian's package faketime")
}

fn config_text(data: &Path, options: &ApplianceOptions, addresses: &Addresses) -> String {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let or_any = |address: Option<SocketAddr>| vec![address.unwrap_or(any)];
    let listen = options.listen.clone().unwrap_or_else(|| Listen {
        http: or_any(addresses.http),
        https: or_any(addresses.https),
        inform: if options.separate_inform { or_any(addresses.inform) } else { Vec::new() },
    });
    let section = |name: &str, addresses: &[SocketAddr]| {
        let quoted: Vec<String> =
            addresses.iter().map(|address| format!("\"{address}\"")).collect();
        format!("[{name}]\nlisten = [{}]\n", quoted.join(", "))
    };
    let inform = match &listen.inform[..] {
        [] => String::new(),
        addresses => section("inform", addresses),
    };
    // Hashing at full cost is what most of a test would wait for. A release build takes no less.
    let cheap = (options.binary.is_none() && cfg!(debug_assertions)).then_some(6);
    let accounts = options
        .bcrypt_cost
        .or(cheap)
        .map_or_else(String::new, |cost| format!("[accounts]\nbcrypt_cost = {cost}\n"));
    format!(
        "data_dir = {:?}\n{}{}{inform}{accounts}{}",
        data.to_string_lossy(),
        section("http", &listen.http),
        section("https", &listen.https),
        options.more_config
    )
}

impl Owner {
    /// Every device, quarantined ones too.
    pub async fn devices(&self) -> Vec<Value> {
        let devices = self.client.get("/devices").await.expect(200).json();
        devices.as_array().expect("a list").clone()
    }

    /// Waits until exactly `count` devices are listed.
    pub async fn sees(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} devices are listed"), async || {
            let devices = self.devices().await;
            (devices.len() == count).then_some(devices)
        })
        .await
    }

    /// Waits until device `id` has `status` (`active`, `disconnected`, `unauthorized`).
    pub async fn sees_status(&self, id: &str, status: &str) -> Value {
        until(&format!("device {id} is {status}"), async || {
            let answer = self.client.get(&format!("/devices/{id}")).await;
            let device = (answer.status == 200).then(|| answer.json())?;
            (device["overview"]["status"] == status).then_some(device)
        })
        .await
    }

    /// Makes a site and returns its id.
    pub async fn site(&self, name: &str) -> String {
        let site = self.client.post("/sites", json!({"name": name})).await;
        assert!(matches!(site.status, 200 | 201), "{}", site.text());
        id_of(&site.json())
    }

    /// Authorises a device to a site.
    pub async fn authorise(&self, device: &str, site: &str) {
        self.client
            .post(&format!("/devices/{device}/authorize"), json!({"siteId": site}))
            .await
            .expect(200);
    }

    /// Waits for one new device, authorises it and waits until it is active. Returns its id.
    pub async fn admit_one(&self) -> String {
        let device = self.next_waiting().await;
        let site = self.site("Hilltop").await;
        self.authorise(&device, &site).await;
        self.sees_status(&device, "active").await;
        device
    }

    /// Waits until a device is in quarantine; its id.
    pub async fn next_waiting(&self) -> String {
        until("a new device knocks", async || {
            let devices = self.devices().await;
            let waiting =
                devices.iter().find(|device| device["identification"]["authorized"] == false)?;
            Some(id_of(waiting))
        })
        .await
    }

    /// Proves the password once more, as dangerous calls want it.
    pub async fn step_up(&self) {
        self.client.post("/user/step-up", json!({"password": PASSWORD})).await.expect(200);
    }

    /// The event log, newest first, as text lines.
    pub async fn log_lines(&self) -> Vec<String> {
        let page = self.client.get("/logs?count=100&page=1").await.expect(200).json();
        let items = page["items"].as_array().expect("items").clone();
        items.iter().map(|item| item["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until the event log has a line that contains `text`.
    pub async fn logged(&self, text: &str) {
        until(&format!("the log says {text:?}"), async || {
            self.log_lines().await.iter().any(|line| line.contains(text)).then_some(())
        })
        .await;
    }

    /// A one-time ticket for `live` or `terminal`.
    pub async fn ticket(&self, route: &str, device: Option<&str>) -> String {
        let mut body = json!({"route": route});
        if let Some(device) = device {
            body["deviceId"] = json!(device);
        }
        let answer = tokio::time::timeout(PATIENCE, self.client.post("/tickets", body)).await;
        let answer = answer.expect("an answer in time").expect(201).json();
        answer["ticket"].as_str().expect("a ticket").to_owned()
    }
}

/// The id of a device or site object as the API publishes it.
pub fn id_of(object: &Value) -> String {
    let id = object["identification"]["id"].as_str().or_else(|| object["id"].as_str());
    id.unwrap_or_else(|| panic!("no id in {object}")).to_owned()
}
