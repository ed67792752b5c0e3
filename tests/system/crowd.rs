//! Very many at once: strangers, silent connections, slow ones. Memory stays bounded and an honest device gets in.

use aerie_protocol::noise::StaticKey;
use aerie_tests::{Agent, AgentOptions, Appliance, Process, RawDevice, binary, id_of, until};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn d1_five_thousand_strangers_do_not_keep_an_honest_device_out() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let before = appliance.process().resident_memory();
    let (inform, key) = (appliance.inform(), owner.key.clone());
    let mut flood = JoinSet::new();
    for number in 0..5_000 {
        if flood.len() >= 32 {
            flood.join_next().await;
        }
        let key = key.clone();
        flood.spawn(async move {
            let own = StaticKey::generate().expect("a key");
            // Being turned away is what most of them are here for.
            drop(RawDevice::knock(inform, &key, &own, &format!("stranger {number}")).await);
        });
    }
    let honest = Agent::start_with(&owner.key, &AgentOptions::without_terminal());
    while flood.join_next().await.is_some() {}

    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    let id = until("the honest device is listed", async || {
        let devices = owner.devices().await;
        let found =
            devices.iter().find(|device| device["identification"]["hostname"] == name.trim())?;
        Some(id_of(found))
    })
    .await;
    let site = owner.site("Hilltop").await;
    owner.authorise(&id, &site).await;
    owner.sees_status(&id, "active").await;
    let grown = appliance.process().resident_memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "5,000 strangers cost {} MiB", grown / MIB);
    drop(honest);
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_thousand_connections_that_never_speak_keep_nobody_out() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let before = appliance.process().resident_memory();
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(TcpStream::connect(appliance.inform()).await.expect("a connection"));
    }
    let _agent = Agent::start_with(&owner.key, &AgentOptions::without_terminal());
    owner.admit_one().await;
    assert_eq!(appliance.client().health().await, Some(200));
    let grown = appliance.process().resident_memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "1,000 silent connections cost {} MiB", grown / MIB);
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_whole_network_comes_back_after_a_power_cut() {
    const CROWD: u64 = 300;
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut command = Command::new(binary("aerie-simulator"));
    command.args([
        "--key",
        &owner.key,
        "--devices",
        &CROWD.to_string(),
        "--rate",
        "100",
        "--spread",
    ]);
    let simulator =
        Process::start("aerie-simulator", command, &appliance.folder().join("simulator.log"));
    let last_line =
        || -> Option<Value> { serde_json::from_str(simulator.printed().lines().last()?).ok() };

    let site = owner.site("Hilltop").await;
    until("every device is enrolled", async || {
        let waiting = owner.client.get("/devices?authorized=false").await.expect(200).json();
        let ids: Vec<String> = waiting.as_array()?.iter().map(id_of).collect();
        if !ids.is_empty() {
            let body = json!({"siteId": site, "deviceIds": ids});
            owner.client.post("/devices/authorize", body).await;
        }
        (last_line()?["enrolled"] == CROWD).then_some(())
    })
    .await;

    appliance.kill().await;
    appliance.start_again().await;
    until("every device is back", async || {
        let summary = owner.client.get("/nms/summary").await.expect(200).json();
        (summary["aerie"]["devicesActive"] == CROWD).then_some(())
    })
    .await;
    assert_eq!(owner.devices().await.len() as u64, CROWD, "somebody came back as a stranger");
}
