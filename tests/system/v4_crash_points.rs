//! The appliance is cut at every step of a rotation over a crowd of devices that fail in every way; after each cut, and
//! at the end, each device's real password is compared with what the vault opens. Nobody's is unknown.

use aerie::store::Store;
use aerie::store::records::{CredentialRecord, DeviceRecord};
use aerie::store::tables::{CREDENTIALS, DEVICES};
use aerie::vault::SecretText;
use aerie::vault::protocol::{AT_ONCE, Key, Sealed, Unsealing};
use aerie_tests::{
    Appliance, Client, Owner, PASSWORD, Process, binary, id_of, until, vault_child, within,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// Devices, of which each fails in one of [`FAULTS`] ways.
const CROWD: usize = 1_005;
const ACCOUNT: &str = "admin";
/// How long a crowd that loses its connection again and again may take to be done with.
const FINISHING: Duration = Duration::from_secs(600);
/// How often each device fails: seldom enough to be done with, often enough for every cut.
const FAILURES: &str = "3";
/// As the simulator names them.
const FAULTS: [&str; 15] = [
    "acknowledge",
    "cut-checked",
    "cut-made",
    "cut-remembered",
    "cut-set",
    "cut-read-back",
    "cut-proven",
    "lose-reply",
    "reboot-before",
    "reboot-after",
    "half-forgotten",
    "half-set",
    "refuse",
    "restored",
    "wiped",
];

struct Crowd {
    process: Process,
    truth: PathBuf,
}

impl Crowd {
    fn start(appliance: &Appliance, owner: &Owner) -> Self {
        let truth = appliance.folder().join("truth");
        let mut command = Command::new(binary("aerie-simulator"));
        command.args([
            "--key",
            &owner.key,
            "--devices",
            &CROWD.to_string(),
            "--rate",
            "200",
            "--spread",
        ]);
        command.args(["--accounts", ACCOUNT, "--faults", &FAULTS.join(",")]);
        command.args(["--fault-times", FAILURES, "--passwords-to"]).arg(&truth);
        let process =
            Process::start("aerie-simulator", command, &appliance.folder().join("simulator.log"));
        Self { process, truth }
    }

    /// What the devices really have, by MAC address: the fault and the password.
    async fn truth(&self) -> HashMap<String, (String, String)> {
        drop(std::fs::remove_file(&self.truth));
        self.process.signal(Signal::SIGUSR1);
        let lines = until("the devices tell the truth", async || {
            let text = std::fs::read_to_string(&self.truth).ok()?;
            (text.lines().count() == CROWD).then_some(text)
        })
        .await;
        let line = |line: &str| {
            let told: Value = serde_json::from_str(line).expect("a line of JSON");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            (text(&told["mac"]), (text(&told["fault"]), text(&told["accounts"][ACCOUNT])))
        };
        lines.lines().map(line).collect()
    }
}

/// All that the vault opens, by MAC address. The appliance must not run.
async fn known(data: &Path, key_file: &str) -> HashMap<String, HashSet<String>> {
    let store = Store::open(&data.join("store.redb")).expect("the store after a crash");
    let read = |reader: &aerie::store::Reader| Ok((reader.all(CREDENTIALS)?, reader.all(DEVICES)?));
    let (credentials, devices) = store.read(read).await.expect("records");
    let macs: HashMap<_, _> = devices.into_iter().map(|(id, device)| (id, mac(&device))).collect();
    let mut sealed = Vec::new();
    for (id, record) in credentials {
        let mac = record.device.and_then(|device| macs.get(&device)).expect("a device").clone();
        let CredentialRecord { current, candidates, former, .. } = record;
        for secret in current.into_iter().chain(candidates).chain(former) {
            let (version, bytes) = (secret.version, secret.sealed);
            sealed.push((mac.clone(), Sealed { credential: id, version, bytes }));
        }
    }
    drop(store);
    let (supervisor, vault) = vault_child(&data.join("vault")).await;
    let key = Key::File(SecretText::new(key_file.to_owned()));
    assert_eq!(vault.unseal(key).await.expect("the vault opens"), Unsealing::Open);
    let mut known: HashMap<String, HashSet<String>> = HashMap::new();
    for some in sealed.chunks(AT_ONCE) {
        let key = Key::File(SecretText::new(key_file.to_owned()));
        let question = some.iter().map(|(_, sealed)| sealed.clone()).collect();
        let opened =
            vault.export(key, "a test".to_owned(), question).await.expect("all of them open");
        for ((mac, _), secret) in some.iter().zip(opened) {
            known.entry(mac.clone()).or_default().insert(secret.expose().to_owned());
        }
    }
    supervisor.shutdown(Duration::from_secs(10)).await;
    known
}

fn mac(device: &DeviceRecord) -> String {
    device.mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// How many devices of each fault have a password that nobody knows, and how many still have their first one.
#[derive(Default)]
struct Sums {
    unknown: BTreeMap<String, usize>,
    untouched: usize,
}

fn compare(
    truth: &HashMap<String, (String, String)>,
    first: &HashMap<String, (String, String)>,
    known: &HashMap<String, HashSet<String>>,
) -> Sums {
    let mut sums = Sums::default();
    for (mac, (fault, password)) in truth {
        let untouched = first[mac].1 == *password;
        let opened = known.get(mac).is_some_and(|secrets| secrets.contains(password));
        sums.untouched += usize::from(untouched);
        *sums.unknown.entry(fault.clone()).or_default() += usize::from(!untouched && !opened);
    }
    sums
}

async fn enrol_all(owner: &Owner) {
    let site = owner.site("Hilltop").await;
    until("every device is enrolled", async || {
        let waiting = owner.client.get("/devices?authorized=false").await.expect(200).json();
        let ids: Vec<String> = waiting.as_array()?.iter().map(id_of).collect();
        if !ids.is_empty() {
            owner
                .client
                .post("/devices/authorize", json!({"siteId": site, "deviceIds": ids}))
                .await;
        }
        let summary = owner.client.get("/nms/summary").await.expect(200).json();
        (summary["aerie"]["devicesActive"] == CROWD).then_some(())
    })
    .await;
}

/// Logs in and begins a rotation. The appliance may be cut at any moment of it: then this ends in a panic that nobody
/// waits for.
async fn begin(client: Client) {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while client.health().await != Some(200) {
        looks.tick().await;
    }
    let body = json!({"username": "owner", "password": PASSWORD});
    let answer = client.post("/user/login", body).await.expect(200);
    let client = client.with_token(answer.header("x-auth-token").expect("a token"));
    let body =
        json!({"all": true, "accounts": [ACCOUNT], "parallel": 64, "stopAfterFailures": 1000});
    client.post("/vault/rotations", body).await.expect(201);
}

/// Goes on with whatever has stopped or failed, until every account has been given a new password.
async fn finish(owner: &Owner) {
    within(FINISHING, "all is done", async || {
        let jobs = owner.client.get("/jobs").await.expect(200).json();
        for job in jobs["items"].as_array()? {
            let stuck = job["state"] == "stopped"
                || (job["state"] == "done" && job["counts"]["failed"] != 0);
            if stuck {
                owner.step_up().await;
                let id = job["id"].as_str()?;
                owner.client.post(&format!("/jobs/{id}/retry"), json!({})).await;
            }
        }
        let finished = |job: &Value| job["counts"]["done"] == job["counts"]["total"];
        jobs["items"].as_array()?.iter().all(finished).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_nobodys_password_is_unknown_wherever_the_appliance_is_cut() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let made = owner
        .client
        .post("/vault/credentials", json!({"isVaultEnabled": true}))
        .await
        .expect(200)
        .json();
    let key_file = made["keyFile"].as_str().expect("a key file").to_owned();
    let crowd = Crowd::start(&appliance, &owner);
    enrol_all(&owner).await;
    let first = crowd.truth().await;

    let mut lines = Vec::new();
    for (round, point) in aerie::cut::POINTS.into_iter().enumerate() {
        let once = [
            "job-granted",
            "job-stored",
            "job-ended",
            "hello-stored",
            "rotation-held",
            "item-failed",
        ];
        let passing = if once.contains(&point) { 1 } else { 20 + 17 * round };
        appliance.kill().await;
        if point == "job-ended" {
            // The last one. All that is not done yet has to be, or no job ends.
            appliance.cut_at(None);
            appliance.start_again().await;
            finish(&appliance.log_in().await).await;
            appliance.kill().await;
        }
        appliance.cut_at(Some(format!("{point}:{passing}")));
        appliance.begin_again();
        let begun = tokio::spawn(begin(appliance.client()));
        // Whoever is not cut in this time is killed: not every point is passed in every round.
        let cut = appliance.is_cut_within(Duration::from_secs(40)).await;
        begun.abort();
        if !cut {
            appliance.kill().await;
        }
        let sums =
            compare(&crowd.truth().await, &first, &known(&appliance.data(), &key_file).await);
        let unknown: usize = sums.unknown.values().sum();
        println!("| {point} | {passing} | {cut} | {} | {unknown} |", sums.untouched);
        lines.push(format!("| {point} | {passing} | {cut} | {} | {unknown} |", sums.untouched));
        assert_eq!(unknown, 0, "after {point}: {:?}", sums.unknown);
        appliance.cut_at(None);
        appliance.start_again().await;
    }
    finish(&appliance.log_in().await).await;
    appliance.kill().await;
    let sums = compare(&crowd.truth().await, &first, &known(&appliance.data(), &key_file).await);
    println!(
        "| cut at | passing | cut | first password | unknown |\n|---|---|---|---|---|\n{}",
        lines.join("\n")
    );
    for (fault, unknown) in &sums.unknown {
        println!("| {fault} | | | | {unknown} |");
    }
    assert_eq!(sums.unknown.values().sum::<usize>(), 0, "{:?}", sums.unknown);
    drop(crowd.process);
}
