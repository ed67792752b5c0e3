//! The appliance and its vault are cut at every step of a rotation, each time over a crowd of devices that fail in every
//! way; after the cut, and at the end, each device's real password is compared with what the vault opens. Nobody's is
//! unknown.

use aerie::cut::{POINTS, VAULT_POINTS};
use aerie::store::Store;
use aerie::store::records::CredentialRecord;
use aerie::store::tables::{CREDENTIALS, DEVICES};
use aerie::supervisor::Supervisor;
use aerie::vault::protocol::{AT_ONCE, Key, Sealed, Unsealing};
use aerie::vault::{SecretText, Vault};
use aerie_tests::{
    Appliance, ApplianceOptions, Client, MasterKey, Owner, PASSWORD, Process, binary, id_of, until,
    vault_child,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

/// Devices at each point; four fail in each of [`FAULTS`] ways.
const CROWD: usize = 60;
/// Over all points.
const ALL: usize = CROWD * (POINTS.len() + VAULT_POINTS.len());
const _: () = assert!(ALL >= 1_000);
/// Points that are tried at the same time: most of the time is waiting.
const AT_A_TIME: usize = 4;
const ACCOUNT: &str = "admin";
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

/// The passing that is cut: in the midst of the work, where a point is passed more than once or twice.
fn passing(point: &str) -> usize {
    match point {
        "rotation-begun" | "rotation-made" | "rotation-stored" | "rotation-sent"
        | "rotation-replied" | "rotation-committed" => CROWD / 3,
        "hello-heard" => 8,
        "vault-making" | "vault-counted" | "vault-logged" | "vault-answering" => 4,
        "rotation-held" | "item-failed" => 2,
        _ => 1,
    }
}

/// An appliance that is set up and has a vault, of which each point gets a copy; and its vault, open.
struct Pattern {
    folder: TempDir,
    key: MasterKey,
    vault: Vault,
    supervisor: Supervisor,
}

impl Pattern {
    async fn new() -> Self {
        let appliance = Appliance::start().await;
        let owner = appliance.set_up().await;
        owner.site("Hilltop").await;
        let key = owner.make_vault().await;
        let folder = appliance.into_folder().await;
        // A copy of the vault too: what is asked of this one concerns no other.
        let own = folder.path().join("vault");
        copy(&folder.path().join("data/vault"), &own).await;
        let (supervisor, vault) = vault_child(&own).await;
        let unsealed = vault.unseal(Key::File(SecretText::new(key.key_file.clone()))).await;
        assert_eq!(unsealed.expect("the vault opens"), Unsealing::Open);
        Self { folder, key, vault, supervisor }
    }

    async fn start_copy(&self) -> Appliance {
        let folder = TempDir::new().expect("a folder");
        copy(&self.folder.path().join("data"), &folder.path().join("data")).await;
        Appliance::start_in(folder, ApplianceOptions::default()).await
    }

    /// All that the vault opens of an appliance that does not run, by MAC address.
    async fn known(&self, data: &Path) -> HashMap<String, HashSet<String>> {
        let sealed = all_sealed(data).await;
        let mut known: HashMap<String, HashSet<String>> = HashMap::new();
        for some in sealed.chunks(AT_ONCE) {
            let key = Key::File(SecretText::new(self.key.key_file.clone()));
            let question = some.iter().map(|(_, sealed)| sealed.clone()).collect();
            let opened = self.vault.export(key, "a test".to_owned(), question).await;
            for ((mac, _), secret) in some.iter().zip(opened.expect("all of them open")) {
                known.entry(mac.clone()).or_default().insert(secret.expose().to_owned());
            }
        }
        known
    }
}

async fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().await;
    assert!(copied.expect("cp").success());
}

async fn all_sealed(data: &Path) -> Vec<(String, Sealed)> {
    // A copy: the appliance finds its store as the crash left it.
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("store.redb");
    std::fs::copy(data.join("store.redb"), &file).expect("a copy");
    let store = Store::open(&file).expect("the store after a crash");
    let read = |reader: &aerie::store::Reader| Ok((reader.all(CREDENTIALS)?, reader.all(DEVICES)?));
    let (credentials, devices) = store.read(read).await.expect("records");
    let mac = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":");
    let macs: HashMap<_, _> = devices.into_iter().map(|(id, it)| (id, mac(it.mac))).collect();
    let mut sealed = Vec::new();
    for (id, record) in credentials {
        let mac = record.device.and_then(|device| macs.get(&device)).expect("a device");
        let CredentialRecord { current, candidates, former, .. } = record;
        for secret in current.into_iter().chain(candidates).chain(former) {
            let (version, bytes) = (secret.version, secret.sealed);
            sealed.push((mac.clone(), Sealed { credential: id, version, bytes }));
        }
    }
    sealed
}

/// What a device really has.
struct Truth {
    fault: String,
    failed: u64,
    password: String,
}

struct Crowd {
    process: Process,
    file: PathBuf,
}

impl Crowd {
    fn start(appliance: &Appliance, owner: &Owner) -> Self {
        let file = appliance.folder().join("truth");
        let mut command = Command::new(binary("aerie-simulator"));
        command.args(["--key", &owner.key, "--devices", &CROWD.to_string()]);
        command.args(["--rate", "200", "--spread", "--accounts", ACCOUNT]);
        command.args(["--faults", &FAULTS.join(","), "--passwords-to"]).arg(&file);
        let log = appliance.folder().join("simulator.log");
        Self { process: Process::start("aerie-simulator", command, &log), file }
    }

    /// By MAC address.
    async fn truth(&self) -> HashMap<String, Truth> {
        drop(std::fs::remove_file(&self.file));
        self.process.signal(Signal::SIGUSR1);
        let lines = until("the devices tell the truth", async || {
            let text = std::fs::read_to_string(&self.file).ok()?;
            (text.lines().count() == CROWD).then_some(text)
        })
        .await;
        let line = |line: &str| {
            let told: Value = serde_json::from_str(line).expect("a line of JSON");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let failed = told["failed"].as_u64().expect("a number");
            let (fault, password) = (text(&told["fault"]), text(&told["accounts"][ACCOUNT]));
            (text(&told["mac"]), Truth { fault, failed, password })
        };
        lines.lines().map(line).collect()
    }
}

/// What a comparison found, by fault.
#[derive(Default)]
struct Sums {
    devices: usize,
    /// Have the password that they came with.
    untouched: usize,
    /// Have one that nobody knows.
    unknown: usize,
    /// Times that something went wrong.
    failed: u64,
}

type ByFault = BTreeMap<String, Sums>;

fn compare(
    truth: &HashMap<String, Truth>,
    first: &HashMap<String, Truth>,
    known: &HashMap<String, HashSet<String>>,
) -> ByFault {
    let mut by_fault = ByFault::new();
    for (mac, Truth { fault, failed, password }) in truth {
        let untouched = first[mac].password == *password;
        let opened = known.get(mac).is_some_and(|secrets| secrets.contains(password));
        let sums = by_fault.entry(fault.clone()).or_default();
        sums.devices += 1;
        sums.untouched += usize::from(untouched);
        sums.unknown += usize::from(!untouched && !opened);
        sums.failed += failed;
    }
    by_fault
}

fn sum(by_fault: &ByFault, of: impl Fn(&Sums) -> usize) -> usize {
    by_fault.values().map(of).sum()
}

async fn enrol_all(owner: &Owner) {
    let sites = owner.client.get("/sites").await.expect(200).json();
    let site = id_of(&sites[0]);
    until("every device is enrolled", async || {
        let waiting = owner.client.get("/devices?authorized=false").await.expect(200).json();
        let ids: Vec<String> = waiting.as_array()?.iter().map(id_of).collect();
        if !ids.is_empty() {
            let body = json!({"siteId": site, "deviceIds": ids});
            owner.client.post("/devices/authorize", body).await;
        }
        let summary = owner.client.get("/nms/summary").await.expect(200).json();
        (summary["aerie"]["devicesActive"] == CROWD).then_some(())
    })
    .await;
}

fn rotation() -> Value {
    json!({"all": true, "accounts": [ACCOUNT], "parallel": 8, "stopAfterFailures": 1000})
}

/// Begins a rotation on an appliance that may be cut at any moment of it. Nothing where it was.
async fn begin(client: Client, opens: Option<String>) -> Option<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while client.health().await != Some(200) {
        looks.tick().await;
    }
    client.try_post("/user/step-up", json!({"password": PASSWORD})).await?;
    client.try_post("/vault/rotations", rotation()).await?;
    let passphrase = opens?;
    client.try_post("/vault/credentials/unlock", json!({"passphrase": passphrase})).await?;
    loop {
        looks.tick().await;
        let records = client.try_get("/vault/records?count=100&page=1").await?.json();
        let records = records["items"].as_array()?.clone();
        if let Some(record) = records.iter().find(|record| record["version"].is_u64()) {
            let path = format!("/vault/records/{}/reveal", id_of(record));
            client.try_post(&path, json!({})).await?;
        }
    }
}

/// Goes on with whatever has failed, until every job has given each account its new password. How many jobs there are.
async fn finish(owner: &Owner) -> usize {
    until("every password is new", async || {
        let jobs = owner.client.get("/jobs").await.expect(200).json();
        for job in jobs["items"].as_array()? {
            if job["state"] == "done" && job["counts"]["failed"] != 0 {
                owner.step_up().await;
                let path = format!("/jobs/{}/retry", id_of(job));
                owner.client.post(&path, json!({})).await.expect(200);
            }
        }
        let finished =
            |job: &Value| job["state"] == "done" && job["counts"]["done"] == job["counts"]["total"];
        let jobs = jobs["items"].as_array()?;
        jobs.iter().all(finished).then_some(jobs.len())
    })
    .await
}

async fn no_grant_is_left(data: &Path) {
    until("the vault grants nothing any more", async || {
        let names = std::fs::read_dir(data.join("vault")).ok()?.flatten();
        let mut grants = names.filter(|it| it.file_name().to_string_lossy().starts_with("grant-"));
        grants.next().is_none().then_some(())
    })
    .await;
}

/// Lets the appliance run until it, or its vault, is cut.
async fn cut(appliance: &mut Appliance, owner: &Owner, point: &str, key: &MasterKey) {
    appliance.cut_at(Some(format!("{point}:{}", passing(point))));
    appliance.begin_again();
    let opens = point.starts_with("vault-open").then(|| key.passphrase.clone());
    let mut begun = JoinSet::new();
    begun.spawn(begin(owner.client.clone(), opens));
    if VAULT_POINTS.contains(&point) {
        // The daemon lives on; it would start the vault anew only to have it cut again.
        appliance.process().prints("the vault's process is gone").await;
        begun.shutdown().await;
        appliance.kill().await;
    } else {
        assert!(appliance.is_cut_within(aerie_tests::PATIENCE).await, "{point} was not passed");
        begun.shutdown().await;
    }
    appliance.cut_at(None);
}

/// One point, over a crowd and an appliance of its own: what was found after the cut, and at the end.
async fn try_point(pattern: &Pattern, point: &str) -> (ByFault, ByFault) {
    let mut appliance = pattern.start_copy().await;
    let owner = appliance.log_in().await;
    let crowd = Crowd::start(&appliance, &owner);
    enrol_all(&owner).await;
    let first = crowd.truth().await;
    appliance.kill().await;
    cut(&mut appliance, &owner, point, &pattern.key).await;
    let known = pattern.known(&appliance.data()).await;
    let after = compare(&crowd.truth().await, &first, &known);

    appliance.start_again().await;
    // Some devices fail at their second new password alone; of the first rotation nothing may be stored.
    while finish(&owner).await < 2 {
        owner.step_up().await;
        owner.client.post("/vault/rotations", rotation()).await.expect(201);
    }
    no_grant_is_left(&appliance.data()).await;
    appliance.kill().await;
    let known = pattern.known(&appliance.data()).await;
    let end = compare(&crowd.truth().await, &first, &known);
    drop(crowd);
    (after, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_nobodys_password_is_unknown_wherever_the_appliance_or_its_vault_is_cut() {
    let pattern = Arc::new(Pattern::new().await);
    let (local, mut crowds) = (LocalSet::new(), JoinSet::new());
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    let points = POINTS.into_iter().chain(VAULT_POINTS);
    for (number, point) in points.enumerate() {
        let (pattern, slots) = (Arc::clone(&pattern), Arc::clone(&slots));
        let tried = async move {
            let _slot = slots.acquire_owned().await;
            (number, point, try_point(&pattern, point).await)
        };
        crowds.spawn_local_on(tried, &local);
    }
    let (mut rows, mut all) = (BTreeMap::new(), ByFault::new());
    while let Some(tried) = local.run_until(crowds.join_next()).await {
        let (number, point, (after, end)) = tried.expect("a point that was tried to its end");
        let (then, last) = (sum(&after, |it| it.unknown), sum(&end, |it| it.unknown));
        let (untouched, passing) = (sum(&after, |it| it.untouched), passing(point));
        let row = format!("| {point} | {passing} | {CROWD} | {untouched} | {then} | {last} |");
        rows.insert(number, row);
        for (fault, sums) in after {
            all.entry(fault).or_default().unknown += sums.unknown;
        }
        for (fault, sums) in end {
            let all = all.entry(fault).or_default();
            all.devices += sums.devices;
            all.untouched += sums.untouched;
            all.unknown += sums.unknown;
            all.failed += sums.failed;
        }
    }
    println!(
        "| cut at | passing | devices | of these not begun | unknown then | unknown at the end |"
    );
    println!("|---|---|---|---|---|---|");
    for row in rows.values() {
        println!("{row}");
    }
    println!("\n| fault | devices | failures | first password | unknown |\n|---|---|---|---|---|");
    for (fault, Sums { devices, untouched, unknown, failed }) in &all {
        println!("| {fault} | {devices} | {failed} | {untouched} | {unknown} |");
    }
    assert_eq!(sum(&all, |it| it.devices), ALL);
    assert_eq!(sum(&all, |it| it.unknown), 0, "passwords that nobody knows");
    assert_eq!(sum(&all, |it| it.untouched), 0, "devices that never got a password");
    for (fault, sums) in &all {
        let failures = if fault == "Acknowledge" { 0 } else { sums.devices };
        assert_eq!(usize::try_from(sums.failed), Ok(failures), "{fault}: a device did not fail");
    }
    pattern.supervisor.shutdown(Duration::from_secs(10)).await;
}
