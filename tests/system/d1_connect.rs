//! From a pasted key to a managed device, and back after every kind of interruption.

use aerie_protocol::inform::{FromAppliance, Status, from_appliance, from_device};
use aerie_protocol::key::{DeviceKey, KeySecret};
use aerie_protocol::noise::StaticKey;
use aerie_tests::{
    Agent, AgentOptions, Appliance, ApplianceOptions, Client, RawDevice, Wire, hello, mac_of, until,
};
use hyper::{HeaderMap, Method};
use serde_json::json;
use std::time::{Duration, SystemTime};

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_pasted_key_is_all_a_device_needs() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let _agent = Agent::start(&owner.key);

    let id = owner.next_waiting().await;
    let waiting = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
    assert_eq!(waiting["identification"]["authorized"], false);
    assert_eq!(waiting["overview"]["status"], "unauthorized");

    let site = owner.site("Hilltop").await;
    owner.authorise(&id, &site).await;
    let device = owner.sees_status(&id, "active").await;
    assert_eq!(device["identification"]["site"]["id"], json!(site));
    assert_eq!(device["identification"]["authorized"], true);

    // Real values of this very machine.
    let device = until("a status with values", async || {
        let device = owner
            .client
            .get(&format!("/devices/{id}?withInterfaces=true"))
            .await
            .expect(200)
            .json();
        device["overview"]["ram"].is_number().then_some(device)
    })
    .await;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    assert_eq!(device["identification"]["hostname"], name.trim());
    let interfaces =
        owner.client.get(&format!("/devices/{id}/interfaces")).await.expect(200).json();
    assert!(interfaces.as_array().is_some_and(|list| !list.is_empty()), "{interfaces}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_wrong_key_gets_no_answer_and_leaves_a_trace() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");

    let mut wrong_secret = DeviceKey::parse(&owner.key).expect("a key");
    let mut bytes = *wrong_secret.secret.to_bytes();
    bytes[0] ^= 1;
    wrong_secret.secret = KeySecret::from_bytes(&bytes).expect("a secret");
    let refused = RawDevice::first_contact(appliance.inform(), &wrong_secret.write(), &own).await;
    assert!(refused.is_none(), "a wrong secret was answered");

    let mut unknown = wrong_secret;
    unknown.secret = KeySecret::generate().expect("a secret");
    let refused = RawDevice::first_contact(appliance.inform(), &unknown.write(), &own).await;
    assert!(refused.is_none(), "an unknown key was answered");

    assert!(owner.devices().await.is_empty());
    owner.logged("key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_an_enrolled_device_comes_back_after_a_restart_of_either_side() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut agent = Agent::start(&owner.key);
    let id = owner.admit_one().await;

    let status = appliance.terminate().await;
    assert!(status.success(), "SIGTERM ended it with {status}");
    appliance.start_again().await;
    owner.sees_status(&id, "active").await;

    agent.kill().await;
    owner.sees_status(&id, "disconnected").await;
    agent.start_again();
    owner.sees_status(&id, "active").await;
    owner.sees(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_kill_at_any_moment_leaves_a_device_that_connects() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut agent = Agent::start(&owner.key);
    let id = owner.admit_one().await;
    for round in 0..6 {
        // Some moment within a connect; which one differs from run to run.
        tokio::time::sleep(any_moment(Duration::from_millis(300))).await;
        if round % 2 == 0 {
            agent.kill().await;
            agent.start_again();
        } else {
            appliance.kill().await;
            appliance.start_again().await;
        }
    }
    owner.sees_status(&id, "active").await;
    owner.sees(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_an_authorisation_counts_whose_answer_was_lost() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");
    let device = RawDevice::knock(appliance.inform(), &owner.key, &own, "forgetful")
        .await
        .expect("answered");
    let id = owner.next_waiting().await;
    // The device never hears `enrolled`: it is gone when the admin presses the button.
    drop(device);
    let site = owner.site("Hilltop").await;
    owner.authorise(&id, &site).await;

    let mut again = RawDevice::knock(appliance.inform(), &owner.key, &own, "forgetful")
        .await
        .expect("answered");
    again.enrolled().await;
    let found = owner.sees_status(&id, "active").await;
    assert_eq!(found["identification"]["id"], json!(id), "the id changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_second_connection_replaces_the_first_once_it_is_proven() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");
    let mut first =
        RawDevice::knock(appliance.inform(), &owner.key, &own, "twice").await.expect("answered");
    let id = owner.next_waiting().await;
    let site = owner.site("Hilltop").await;
    owner.authorise(&id, &site).await;
    first.enrolled().await;
    let key = first.appliance();

    // A handshake alone does not throw the first one out: it still hears keep-alives and answers.
    let mut second = RawDevice::reconnect(appliance.inform(), &key, &own).await.expect("answered");
    first.say(from_device::Body::Status(Status { uptime_seconds: 77, ..Status::default() })).await;
    until("the first connection still counts", async || {
        let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
        (device["overview"]["uptime"] == 77).then_some(())
    })
    .await;

    second.say(hello("twice", mac_of(&own))).await;
    while first.hear().await.is_some() {}
    second.say(from_device::Body::Status(Status { uptime_seconds: 99, ..Status::default() })).await;
    until("the second connection counts", async || {
        let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
        (device["overview"]["uptime"] == 99).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_deleted_device_forgets_and_waits_again() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let _agent = Agent::start(&owner.key);
    let id = owner.admit_one().await;
    owner.step_up().await;
    owner.client.delete(&format!("/devices/{id}")).await.expect(200);
    // It was told `forget`, so it comes as a stranger again.
    let again = owner.next_waiting().await;
    owner.sees(1).await;
    assert_eq!(
        owner.client.get(&format!("/devices/{again}")).await.expect(200).json()["identification"]["authorized"],
        false
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_borrowed_mac_is_shown_as_a_conflict_and_never_merged() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let honest = StaticKey::generate().expect("a key");
    let liar = StaticKey::generate().expect("a key");
    let _first = RawDevice::knock(appliance.inform(), &owner.key, &honest, "honest")
        .await
        .expect("answered");
    let id = owner.next_waiting().await;
    let mut second =
        RawDevice::first_contact(appliance.inform(), &owner.key, &liar).await.expect("answered");
    second.say(hello("liar", mac_of(&honest))).await;
    owner.sees(2).await;
    let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
    assert_eq!(device["aerie"]["conflict"].as_array().map(Vec::len), Some(1), "{device}");
    assert_eq!(device["identification"]["hostname"], "honest");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_quarantine_hears_who_somebody_is_and_nothing_else() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");
    let mut device =
        RawDevice::knock(appliance.inform(), &owner.key, &own, "eager").await.expect("answered");
    let id = owner.next_waiting().await;
    device
        .say(from_device::Body::Status(Status { uptime_seconds: 4242, ..Status::default() }))
        .await;
    // It is refused by a typed message or by the end of the connection.
    let refused = device.hear_until(|body| {
        matches!(body, from_appliance::Body::Refusal(_) | from_appliance::Body::Goodbye(_))
            .then_some(())
    });
    let _either: Option<()> = refused.await;
    let shown = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
    assert_ne!(shown["overview"]["uptime"], 4242, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_device_that_speaks_before_hello_is_turned_away() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");
    let mut device =
        RawDevice::first_contact(appliance.inform(), &owner.key, &own).await.expect("answered");
    device.say(from_device::Body::Status(Status::default())).await;
    while device.hear().await.is_some() {}
    assert!(owner.devices().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_restart_rename_and_locate_reach_the_device() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let own = StaticKey::generate().expect("a key");
    let mut device =
        RawDevice::knock(appliance.inform(), &owner.key, &own, "obedient").await.expect("answered");
    let id = owner.next_waiting().await;
    let site = owner.site("Hilltop").await;
    owner.authorise(&id, &site).await;
    device.enrolled().await;

    let (client, path) = (owner.client.clone(), format!("/devices/{id}"));
    let asking = async {
        client.post(&format!("{path}/restart"), json!({})).await.expect(200);
        let meta = json!({"overrideGlobal": false, "meta": {"alias": "Mast 7", "note": "", "maintenance": false}});
        client.put(&format!("{path}/system/unms"), meta).await.expect(200);
        client.post(&format!("{path}/locate/start"), json!({})).await.expect(200);
    };
    let answering = async {
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let request = device
                .hear_until(|body| {
                    if let from_appliance::Body::Request(request) = body {
                        Some(request.clone())
                    } else {
                        None
                    }
                })
                .await
                .expect("a request");
            device.say(done(request.request_id)).await;
            let shown = format!(
                "{:?}",
                FromAppliance { body: Some(from_appliance::Body::Request(request)) }
            );
            if !shown.contains("ReportNow") {
                heard.push(shown);
            }
        }
        heard.join("\n")
    };
    let ((), heard) = tokio::join!(asking, answering);
    for verb in ["Restart", "Rename", "Locate", "Mast 7"] {
        assert!(heard.contains(verb), "no {verb} in {heard}");
    }
    let shown = owner.client.get(&path).await.expect(200).json();
    assert_eq!(shown["identification"]["name"], "Mast 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_port_for_devices_only_serves_nothing_else() {
    let appliance = Appliance::start_with(ApplianceOptions {
        separate_inform: true,
        ..ApplianceOptions::default()
    })
    .await;
    let owner = appliance.set_up().await;
    assert_ne!(appliance.inform(), appliance.https());
    for path in ["/", "/healthz", "/nms/api/v2.1/nms/setup"] {
        let answer = Client::new(appliance.inform())
            .send(Method::GET, path, HeaderMap::new(), Vec::new())
            .await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let _agent = Agent::start_with(&owner.key, &AgentOptions::without_terminal());
    owner.admit_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_vendor_device_is_sent_away_politely_and_listed() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let wire = Wire::open_as_vendor(appliance.inform()).await;
    wire.ends().await;
    owner.logged("vendor").await;
    assert!(owner.devices().await.is_empty());
}

fn done(request_id: u64) -> from_device::Body {
    use aerie_protocol::inform::{Done, Reply, reply};
    from_device::Body::Reply(Reply { request_id, outcome: Some(reply::Outcome::Done(Done {})) })
}

fn any_moment(within: Duration) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "only the noise in its last digits is wanted")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    within.mul_f64(f64::from(now.subsec_nanos() % 1000) / 1000.0)
}
