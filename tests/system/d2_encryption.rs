//! What somebody in the middle gets: Noise messages to look at, and no effect.

use aerie_protocol::inform::{Forget, FromAppliance, encode_from_appliance, from_appliance};
use aerie_protocol::key::{DeviceKey, KeySecret};
use aerie_protocol::noise::StaticKey;
use aerie_tests::{Agent, Appliance, Direction, Impostor, Interceptor, Owner, Wire, until};

/// The same key, with or without the flag that lets an untrusted certificate pass.
fn with_flag(key: &str, allow_untrusted: bool) -> String {
    let mut key = DeviceKey::parse(key).expect("a device key");
    key.allow_untrusted = allow_untrusted;
    key.write().to_string()
}

/// The same key for another port.
fn at_port(key: &str, port: u16) -> String {
    let mut key = DeviceKey::parse(key).expect("a device key");
    key.port = port;
    key.write().to_string()
}

async fn connected_since(owner: &Owner, id: &str) -> String {
    let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
    device["aerie"]["connectedSince"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_man_in_the_middle_sees_noise_only() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let middle = Interceptor::before(appliance.inform()).await;
    let _agent = Agent::start(&middle.key_through(&with_flag(&owner.key, true)));
    let id = owner.admit_one().await;
    until("a status passed", async || {
        let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
        device["overview"]["ram"].is_number().then_some(())
    })
    .await;

    let seen = middle.everything();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    let secret = DeviceKey::parse(&owner.key).expect("a key").secret.to_bytes();
    for (what, bytes) in [
        ("the device's name", name.trim().as_bytes()),
        ("its architecture", std::env::consts::ARCH.as_bytes()),
        ("an interface", b"eth0"),
        ("the loopback interface's kind", b"loopback"),
        ("the site's name", b"Hilltop"),
        ("the key's secret", &secret[..32]),
    ] {
        // Two or three bytes stand in any noise by chance: a machine may be called "vm".
        if bytes.len() > 3 {
            assert!(!contains(&seen, bytes), "{what} went through in clear");
        }
    }
    // Both directions have been seen, or the search above would prove nothing.
    assert!(middle.payloads(Direction::ToAppliance).len() > 3);
    assert!(middle.payloads(Direction::ToDevice).len() > 2);
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_first_contact_refuses_a_certificate_that_nobody_vouches_for() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let middle = Interceptor::before(appliance.inform()).await;
    let agent = Agent::start(&middle.key_through(&with_flag(&owner.key, false)));
    until("the agent says why", async || agent.printed().contains("certificate").then_some(()))
        .await;
    assert_eq!(middle.connections(), 0, "it spoke inside TLS");
    assert!(owner.devices().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_leaked_key_does_not_help_against_the_pin() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    assert!(owner.key.contains("pin="), "the key is written with its pin");
    let impostor = Impostor::with_leaked(&owner.key).await;
    let agent = Agent::start(&at_port(&with_flag(&owner.key, true), impostor.address().port()));
    until("a first attempt", async || (impostor.openings() >= 1).then_some(())).await;
    let before = agent.state_bytes();
    until("another attempt", async || (impostor.openings() >= 3).then_some(())).await;
    assert!(impostor.messages().is_empty(), "the device told the impostor something");
    assert_eq!(agent.state_bytes(), before, "the impostor changed the device's state");
}

/// The control to the test above: without a pin and with a leaked key, the impostor does succeed. It is the pin that helps.
#[tokio::test(flavor = "multi_thread")]
async fn d2_it_is_the_pin_that_stops_the_impostor() {
    let mut key = DeviceKey {
        host: "localhost".to_owned(),
        port: 1,
        secret: KeySecret::generate().expect("a secret"),
        allow_untrusted: true,
        pin: None,
    };
    let impostor = Impostor::with_leaked(&key.write()).await;
    key.port = impostor.address().port();
    let _believer = Agent::start(&key.write());
    until("the device talks to the impostor", async || {
        (!impostor.messages().is_empty()).then_some(())
    })
    .await;

    let before = impostor.openings();
    key.pin = Some(StaticKey::generate().expect("a key").public());
    let doubter = Agent::start(&key.write());
    until("a device with a pin tries", async || (impostor.openings() > before).then_some(())).await;
    until("and says why it stops", async || {
        doubter.printed().contains("another appliance").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_an_enrolled_device_does_not_believe_another_appliance() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut agent = Agent::start(&with_flag(&owner.key, true));
    let id = owner.admit_one().await;
    agent.enrols().await;
    agent.kill().await;

    let impostor = Impostor::with_leaked(&owner.key).await;
    agent.give_key(&at_port(&with_flag(&owner.key, true), impostor.address().port()));
    agent.start_again();
    until("a first attempt", async || (impostor.openings() >= 1).then_some(())).await;
    let before = agent.state_bytes();
    until("another attempt", async || (impostor.openings() >= 3).then_some(())).await;
    assert!(impostor.messages().is_empty(), "the device told the impostor something");
    assert_eq!(agent.state_bytes(), before, "the impostor changed the device's state");

    agent.kill().await;
    agent.give_key(&with_flag(&owner.key, true));
    agent.start_again();
    owner.sees_status(&id, "active").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_an_enrolled_device_gets_through_a_forged_certificate_unharmed() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut agent = Agent::start(&with_flag(&owner.key, true));
    let id = owner.admit_one().await;
    agent.enrols().await;
    agent.kill().await;
    owner.sees_status(&id, "disconnected").await;
    // No flag any more: the pinned static key decides, an untrusted certificate is only an event.
    let middle = Interceptor::before(appliance.inform()).await;
    agent.give_key(&middle.key_through(&with_flag(&owner.key, false)));
    agent.start_again();
    owner.sees_status(&id, "active").await;
    assert_eq!(middle.payloads(Direction::ToAppliance)[0][..2], [1, 2], "it came by IK");
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_recorded_message_1_has_no_effect() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let middle = Interceptor::before(appliance.inform()).await;
    let mut agent = Agent::start(&middle.key_through(&with_flag(&owner.key, true)));
    let id = owner.admit_one().await;
    // A second connect, so that the recording is of an enrolled device.
    agent.enrols().await;
    agent.kill().await;
    owner.sees_status(&id, "disconnected").await;
    agent.start_again();
    owner.sees_status(&id, "active").await;
    let sent = middle.payloads(Direction::ToAppliance);
    let recorded = sent
        .iter()
        .rev()
        .find(|message| message.starts_with(&[1, 2]))
        .expect("an IK opening")
        .clone();

    let since = connected_since(&owner, &id).await;
    for follow_up in [None, Some(vec![0; 64]), Some(recorded.clone())] {
        let mut replay = Wire::open(appliance.inform()).await;
        replay.send(&recorded).await;
        assert!(replay.next_message().await.is_some(), "the appliance answers: it cannot know yet");
        if let Some(payload) = follow_up {
            replay.send(&payload).await;
            replay.ends().await;
        }
    }
    assert_eq!(connected_since(&owner, &id).await, since, "the live session was replaced");
    owner.sees_status(&id, "active").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_forged_forget_is_not_believed() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let middle = Interceptor::before(appliance.inform()).await;
    let agent = Agent::start(&middle.key_through(&with_flag(&owner.key, true)));
    let id = owner.admit_one().await;
    agent.enrols().await;
    let before = agent.state_bytes();
    let connections = middle.connections();
    let since = connected_since(&owner, &id).await;

    let mut forged = Vec::new();
    let message = FromAppliance::from(from_appliance::Body::Forget(Forget {}));
    encode_from_appliance(&message, &mut forged).expect("a message");
    middle.inject(Direction::ToDevice, &forged);

    until("the device connects anew", async || (middle.connections() > connections).then_some(()))
        .await;
    until("and is back", async || (connected_since(&owner, &id).await != since).then_some(()))
        .await;
    assert_eq!(agent.state_bytes(), before, "the forged message changed the device's state");
    owner.sees_status(&id, "active").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_bytes_slipped_in_end_the_session_and_nothing_more() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let middle = Interceptor::before(appliance.inform()).await;
    let _agent = Agent::start(&middle.key_through(&with_flag(&owner.key, true)));
    let id = owner.admit_one().await;
    let since = connected_since(&owner, &id).await;
    middle.inject(Direction::ToAppliance, &[0x5a; 200]);
    until("the device connects anew", async || {
        let now = connected_since(&owner, &id).await;
        (now != since && now != "null").then_some(())
    })
    .await;
    owner.sees_status(&id, "active").await;
    owner.sees(1).await;
}
