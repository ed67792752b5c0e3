//! Thousands of enrolled devices, held by the simulator in a process of its own.

use crate::beside;
use aerie_tests::{Appliance, Owner, Process, id_of, within};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::process::Command;

/// What all of them together may take.
const PATIENCE: Duration = Duration::from_mins(20);

pub(crate) struct Crowd(Process);

impl Crowd {
    /// Stops the simulator where it stands.
    pub(crate) fn freeze(&self) {
        self.0.signal(Signal::SIGSTOP);
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.0.signal(Signal::SIGCONT);
    }
}

/// Starts the simulator and authorises whoever knocks, until all are enrolled.
pub(crate) async fn enrol(
    appliance: &Appliance,
    owner: &Owner,
    devices: u32,
) -> Result<Crowd, String> {
    let key = appliance.folder().join("simulator.key");
    std::fs::write(&key, &owner.key).map_err(|error| error.to_string())?;
    let mut command = Command::new(beside("aerie-simulator"));
    command.arg("--key-file").arg(&key);
    command.args(["--devices", &devices.to_string(), "--rate", "250", "--spread"]);
    let crowd = Crowd(Process::start(
        "aerie-simulator",
        command,
        &appliance.folder().join("simulator.log"),
    ));
    let site = owner.site("Bench").await;
    within(PATIENCE, "every device is enrolled", async || {
        let waiting = owner.client.get("/devices?authorized=false").await.expect(200).json();
        let ids: Vec<String> =
            waiting.as_array().map_or_else(Vec::new, |list| list.iter().map(id_of).collect());
        for some in ids.chunks(500) {
            let body = json!({"siteId": site, "deviceIds": some});
            owner.client.post("/devices/authorize", body).await;
        }
        let last: Value =
            crowd.0.printed().lines().last().and_then(|line| serde_json::from_str(line).ok())?;
        (last["enrolled"].as_u64() >= Some(u64::from(devices))).then_some(())
    })
    .await;
    Ok(crowd)
}

/// Waits until the appliance holds so many sessions.
pub(crate) async fn wait_for_sessions(owner: &Owner, devices: u32) {
    within(PATIENCE, "every device is back", async || {
        // Asking costs the daemon time that would be counted, so not often.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let summary = owner.client.get("/nms/summary").await.expect(200).json();
        (summary["aerie"]["devicesActive"].as_u64() >= Some(u64::from(devices))).then_some(())
    })
    .await;
}

/// How many processor cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Lets a process use some processor cores alone, with all its threads; a list as taskset(1) takes it.
pub(crate) fn keep_to(process: u32, cores: &str) -> Result<(), String> {
    let mut command = std::process::Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", cores]);
    command.arg(process.to_string()).stdout(std::process::Stdio::null());
    let status = command.status().map_err(|error| format!("taskset: {error}"))?;
    status.success().then_some(()).ok_or_else(|| "taskset moved nothing".to_owned())
}

/// Gives the daemon one core and who calls it another, where there are two: side by side on both, each would pay for
/// the other's switches. The daemon is started anew.
pub(crate) async fn part(caller: u32, appliance: &mut Appliance) -> Result<(), String> {
    if cores() > 1 {
        keep_to(caller, "1")?;
        appliance.keep_to(0);
        appliance.terminate().await;
        appliance.start_again().await;
    }
    Ok(())
}
