//! Who a device is, to whom it belongs, and how that changes.

use aerie_protocol::inform::{GoodbyeReason, from_appliance};
use aerie_protocol::key::DeviceKey;
use aerie_protocol::noise::StaticKey;
use aerie_tests::{
    Agent, AgentOptions, Appliance, LiveSocket, RawDevice, binary, hello, mac_of, until,
};
use serde_json::json;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_device_that_checked_the_pin_is_verified_and_one_that_could_not_is_not() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut without_pin = DeviceKey::parse(&owner.key).expect("a device key");
    without_pin.pin = None;
    for (key, verified) in [(owner.key.clone(), true), (without_pin.write().to_string(), false)] {
        let _agent = Agent::start_with(&key, &AgentOptions::without_terminal());
        let id = owner.next_waiting().await;
        let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
        assert_eq!(device["aerie"]["verified"], verified, "{device}");
        let fingerprint =
            device["aerie"]["fingerprint"].as_str().expect("a fingerprint to compare");
        assert!(fingerprint.len() >= 16, "{fingerprint}");
        let site = owner.site("Hilltop").await;
        owner.authorise(&id, &site).await;
        owner.sees_status(&id, "active").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_adopt_moves_a_device_to_another_appliance_and_nothing_else_does() {
    let first = Appliance::start().await;
    let first_owner = first.set_up().await;
    let second = Appliance::start().await;
    let second_owner = second.set_up().await;
    let mut agent = Agent::start_with(&first_owner.key, &AgentOptions::without_terminal());
    let id = first_owner.admit_one().await;
    agent.enrols().await;

    // Another appliance's key on the command line does not make it leave.
    agent.kill().await;
    first_owner.sees_status(&id, "disconnected").await;
    agent.give_key(&second_owner.key);
    agent.start_again();
    first_owner.sees_status(&id, "active").await;
    assert!(second_owner.devices().await.is_empty());

    // `adopt`, said at the device itself, does, and the running agent notices.
    let key = agent.state().with_file_name("key");
    let mut adopt = Command::new(binary("aerie-agent"));
    adopt.arg("adopt").arg("--state").arg(agent.state()).arg("--key-file").arg(key);
    assert!(adopt.status().await.expect("it runs").success());
    agent.kill().await;
    agent.start_again();
    second_owner.next_waiting().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_refresh_opens_a_window_for_that_device() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let _agent = Agent::start_with(&owner.key, &AgentOptions::without_terminal());
    let id = owner.admit_one().await;
    let path = format!("/devices/{id}");
    assert!(owner.client.get(&path).await.expect(200).json()["aerie"]["refreshUntil"].is_null());
    owner.client.post(&format!("{path}/refresh"), json!({})).await.expect(200);
    assert!(owner.client.get(&path).await.expect(200).json()["aerie"]["refreshUntil"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_what_a_device_calls_itself_is_cut_and_cleaned() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");
    let mut device =
        RawDevice::first_contact(appliance.inform(), &owner.key, &own).await.expect("answered");
    // A bell, an escape sequence, a right-to-left override, a decomposed umlaut.
    let name = "evil\u{7}\u{1b}[31m\u{202e}na\u{308}me";
    device.say(hello(name, mac_of(&own))).await;
    let id = owner.next_waiting().await;
    let shown = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
    let shown = shown["identification"]["hostname"].as_str().expect("a name").to_owned();
    assert!(!shown.chars().any(|sign| sign.is_control() || sign == '\u{202e}'), "{shown:?}");
    assert!(shown.ends_with("n\u{e4}me"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_devices_are_told_when_the_appliance_goes_down() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");
    let mut device =
        RawDevice::knock(appliance.inform(), &owner.key, &own, "listener").await.expect("answered");
    let id = owner.next_waiting().await;
    let site = owner.site("Hilltop").await;
    owner.authorise(&id, &site).await;
    device.enrolled().await;
    let goodbye = async {
        device
            .hear_until(|body| match body {
                from_appliance::Body::Goodbye(goodbye) => Some(goodbye.reason()),
                _ => None,
            })
            .await
    };
    let (status, reason) = tokio::join!(appliance.terminate(), goodbye);
    assert!(status.success());
    assert_eq!(reason, Some(GoodbyeReason::ShuttingDown));
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_watched_device_reports_live_and_changes_are_announced() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut live = LiveSocket::open(&owner).await;
    live.next_of("hello").await;
    let _agent = Agent::start_with(&owner.key, &AgentOptions::without_terminal());
    let announced = live.next_of("device").await;
    let id = aerie_tests::id_of(&announced["device"]);
    let site = owner.site("Hilltop").await;
    owner.authorise(&id, &site).await;
    owner.sees_status(&id, "active").await;

    live.send(json!({"type": "watch", "ids": [id]})).await;
    let first = live.next_of("status").await;
    let second = live.next_of("status").await;
    assert_eq!(first["id"], json!(id));
    assert!(second["status"]["t"].as_u64() > first["status"]["t"].as_u64(), "{first} {second}");
    assert!(second["status"]["interfaces"].as_array().is_some_and(|list| !list.is_empty()));

    // And the hour's history has them.
    until("the history has points", async || {
        let path = format!("/devices/{id}/statistics?interval=hour");
        let statistics = owner.client.get(&path).await.expect(200).json();
        let points = statistics["cpu"]["avg"].as_array()?;
        points.iter().any(|point| point["y"].is_number()).then_some(())
    })
    .await;
}
