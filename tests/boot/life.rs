//! One machine from its first start on: set up, devices, vault, restarts, and a system that freezes.

use crate::{everything_runs, log_in, set_up, unit, vault_status, wanted};
use aerie_tests::{
    Arch, BOOT, Client, Machine, MachineOptions, Owner, Process, binary, id_of, until,
};
use hyper::Method;
use serde_json::{Value, json};
use std::time::Instant;
use tempfile::TempDir;
use tokio::process::Command;

const DEVICES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_pc_lives() {
    life(Arch::X86).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_cortex_a57_lives() {
    life(Arch::Arm).await;
}

async fn life(arch: Arch) {
    if !wanted(arch) {
        return;
    }
    // A disk larger than the image, as real ones are.
    let options =
        MachineOptions { disk_mib: Some(4096), processors: 2, ..MachineOptions::new(arch) };
    let mut machine = Machine::boot(options).await;
    everything_runs(&mut machine).await;
    say_start(&mut machine, arch).await;
    say_memory(&mut machine, arch).await;
    let size = machine.run("df --output=size -BM /var | tail -n1 | tr -dc 0-9").await;
    let size: u64 = size.parse().expect("MiB");
    assert!(size > 2048, "the data partition has {size} MiB of a disk of 4096");

    ports_are_as_set(&machine).await;
    // Who stands in front of it reads the set-up code, and nobody afterwards in the journal.
    let code = machine.run("cat /var/lib/aerie/setup-code").await;
    machine.shows(&code).await;
    assert!(machine.console().contains("https://10.0.2.15"), "{}", machine.console());
    let owner = set_up(&mut machine).await;
    machine.shows("It is set up").await;
    assert_eq!(machine.run(&format!("journalctl -b | grep -c {code} || true")).await, "0");
    give_devices_a_port(&owner).await;
    let owner = log_in(&machine).await;
    let key = machine.forwarded(&owner.key);
    let _crowd = Crowd::start(&key);
    admit(&owner).await;

    // The vault outlives the daemon.
    let body = json!({"isVaultEnabled": true, "isCloudVaultEnabled": false});
    owner.client.post("/vault/credentials", body).await.expect(200);
    let vault = unit(&mut machine, "aerie-vault", "MainPID").await;
    machine.run("systemctl restart aerie").await;
    machine.becomes_healthy().await;
    assert_eq!(unit(&mut machine, "aerie-vault", "MainPID").await, vault);
    let owner = log_in(&machine).await;
    assert_eq!(vault_status(&owner).await["sealed"], json!(false));

    a_stopped_daemon_is_started_again(&mut machine).await;
    all_are_back(&owner).await;

    let id = machine.run("cat /etc/machine-id").await;
    machine.reboot().await;
    let owner = log_in(&machine).await;
    assert_eq!(vault_status(&owner).await["sealed"], json!(true), "a restart seals");
    assert_eq!(machine.run("cat /etc/machine-id").await, id);
    all_are_back(&owner).await;
    everything_runs(&mut machine).await;

    // systemd freezes: nobody asks the hardware watchdog for more time, and it pulls the plug.
    let began = Instant::now();
    machine.begins("kill -SEGV 1").await;
    machine.monitor().waits_for("WATCHDOG", BOOT).await;
    println!("{}: reset {:?} after systemd froze", arch.name(), began.elapsed());
    machine.resets(BOOT).await;
    machine.becomes_healthy().await;
    all_are_back(&log_in(&machine).await).await;
}

/// From the kernel's start until the daemon said that its ports are open.
async fn say_start(machine: &mut Machine, arch: Arch) {
    let up: f64 = unit(machine, "aerie", "ActiveEnterTimestampMonotonic")
        .await
        .parse()
        .expect("microseconds");
    println!("{}: up {:.1} s after the kernel's start", arch.name(), up / 1e6);
}

async fn say_memory(machine: &mut Machine, arch: Arch) {
    for name in ["aerie", "aerie-vault"] {
        let process = unit(machine, name, "MainPID").await;
        let line = machine.run(&format!("grep VmRSS /proc/{process}/status")).await;
        println!("{}: {name} idle: {line}", arch.name());
    }
}

async fn ports_are_as_set(machine: &Machine) {
    let plain = Client::new(machine.http()).send_plain(Method::GET, "localhost", "/").await;
    assert!(matches!(plain.status, 301 | 308), "{}", plain.status);
    assert!(plain.header("location").is_some_and(|to| to.starts_with("https://localhost")));
    let door = machine.client().fetch("/").await.expect(302);
    let page = machine.client().fetch(door.header("location").expect("the GUI's page")).await;
    assert!(page.expect(200).text().contains("<html"));
}

/// A port of the devices' own, as the owner sets it.
async fn give_devices_a_port(owner: &Owner) {
    let mut wanted = owner.client.get("/nms/ports").await.expect(200).json()["applied"].clone();
    wanted["inform"] = json!(["0.0.0.0:8444"]);
    owner.client.put("/nms/ports", wanted).await.expect(200);
}

/// Devices that stay the same ones as long as they run.
struct Crowd {
    _folder: TempDir,
    _process: Process,
}

impl Crowd {
    fn start(key: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut command = Command::new(binary("aerie-simulator"));
        command.args(["--key", key, "--devices", &DEVICES.to_string()]);
        command.arg("--state").arg(folder.path().join("devices"));
        let process =
            Process::start("aerie-simulator", command, &folder.path().join("simulator.log"));
        Self { _folder: folder, _process: process }
    }
}

async fn admit(owner: &Owner) {
    let site = owner.site("Hilltop").await;
    for device in owner.sees(DEVICES).await {
        owner.authorise(&id_of(&device), &site).await;
    }
    all_are_back(owner).await;
}

async fn all_are_back(owner: &Owner) {
    until("every device is connected", async || {
        let devices: Vec<Value> = owner.devices().await;
        let active = devices.iter().filter(|device| device["overview"]["status"] == "active");
        (active.count() == DEVICES && devices.len() == DEVICES).then_some(())
    })
    .await;
}

async fn a_stopped_daemon_is_started_again(machine: &mut Machine) {
    let before = unit(machine, "aerie", "MainPID").await;
    let seconds = "cut -d. -f1 /proc/uptime";
    let began: u64 = machine.run(seconds).await.parse().expect("seconds");
    machine.run("systemctl kill --kill-whom=main --signal=STOP aerie").await;
    until("the watchdog starts the daemon again", async || {
        let now = unit(machine, "aerie", "MainPID").await;
        (now != before && now != "0").then_some(())
    })
    .await;
    let ended: u64 = machine.run(seconds).await.parse().expect("seconds");
    assert!(ended - began <= 30, "it took {} s", ended - began);
    println!("the watchdog started the daemon again {} s after it had stopped", ended - began);
    machine.becomes_healthy().await;
}
