//! Ports that are changed through the API while everything runs.

use aerie_tests::{Agent, Appliance, Client, Owner, Wire, until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;

async fn ports(owner: &Owner) -> Value {
    owner.client.get("/nms/ports").await.expect(200).json()
}

fn at(addresses: &Value, index: usize) -> SocketAddr {
    addresses[index].as_str().and_then(|text| text.parse().ok()).expect("an address")
}

async fn closes(address: SocketAddr) {
    until(&format!("{address} closes"), async || {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_the_gui_moves_to_a_new_port_once_somebody_has_come_there() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut wanted = ports(&owner).await["applied"].clone();
    assert_eq!(ports(&owner).await["source"], "bootFile");
    let old = at(&wanted["https"], 0);
    wanted["https"] = json!(["127.0.0.1:0"]);
    let changed = owner.client.put("/nms/ports", wanted.clone()).await.expect(200).json();
    let code = changed["confirmCode"].as_str().expect("a code").to_owned();
    let pending = &changed["ports"]["pending"];
    let new = at(&pending["wanted"]["https"], 0);
    assert_eq!(pending["confirmAt"][0], format!("https://{new}"));
    assert!(pending["secondsLeft"].as_u64() <= Some(60), "{pending}");

    let busy = owner.client.put("/nms/ports", wanted).await.expect(409).json();
    assert_eq!(busy["error"], "ChangePending");
    let body = json!({"code": code});
    owner.client.post("/nms/ports/confirm", body.clone()).await.expect(403);
    // Whoever has the code needs no login at the new place, where the browser knows of none.
    let there = Client::new(new);
    there.post("/nms/ports/confirm", json!({"code": "guess"})).await.expect(403);
    there.post("/nms/ports/confirm", body.clone()).await.expect(200);
    there.post("/nms/ports/confirm", body).await.expect(404);
    closes(old).await;
    let moved = Client::new(new).with_token(owner.client.token().expect("a token"));
    let after = moved.get("/nms/ports").await.expect(200).json();
    assert_eq!((at(&after["applied"]["https"], 0), &after["source"]), (new, &json!("settings")));

    // What was changed outlives the daemon, and the boot file still says the old port.
    appliance.kill().await;
    appliance.start_again().await;
    assert_eq!(appliance.https(), new);
    moved.get("/nms/ports").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_devices_get_a_port_of_their_own_and_the_gui_none_of_theirs() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut wanted = ports(&owner).await["applied"].clone();
    wanted["inform"] = json!(["127.0.0.2:0"]);
    wanted["informHost"] = json!("devices.example");
    wanted["informPort"] = json!(8444);
    let changed = owner.client.put("/nms/ports", wanted.clone()).await.expect(200).json();
    assert_eq!(changed["confirmCode"], Value::Null, "it locks nobody out");
    let inform = at(&changed["ports"]["applied"]["inform"], 0);
    let key = owner.client.get("/nms/connection").await.expect(200).json();
    assert!(key.as_str().expect("a key").starts_with("wss://devices.example:8444+"), "{key}");
    let there = Client::new(inform);
    assert_eq!(there.fetch("/nms/api/v2.1/nms/version").await.status, 404);
    assert_eq!(there.health().await, Some(404));

    for (name, bad) in [
        ("https", json!([])),
        ("https", json!(["192.0.2.77:0"])),
        ("https", json!(["nowhere"])),
        ("http", json!([inform.to_string()])),
        ("informPort", json!(0)),
        ("informHost", json!("a b")),
        ("trustedProxies", json!(["0.0.0.0/0"])),
        ("trustedProxies", json!(["proxy.example"])),
    ] {
        let before = ports(&owner).await;
        let mut body = wanted.clone();
        body[name] = bad.clone();
        let refused = owner.client.put("/nms/ports", body).await.expect(400).json();
        assert!(refused["message"].as_str().is_some_and(|text| text.len() > 20), "{refused}");
        assert_eq!(ports(&owner).await, before, "{name} {bad} changed something");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_whom_to_tell_of_a_weakness_is_published() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let read = async || Client::new(appliance.https()).fetch("/.well-known/security.txt").await;
    assert_eq!(read().await.status, 404);
    let body = json!({"contact": "mailto:security@example.net", "hstsIncludeSubDomains": false});
    owner.client.put("/nms/security", body).await.expect(200);
    let published = read().await.expect(200);
    let text = published.text();
    assert!(text.starts_with("Contact: mailto:security@example.net\nExpires: 20"), "{text}");
    assert!(text.contains("\nCanonical: https://localhost:"), "{text}");
    assert_eq!(published.header("content-type"), Some("text/plain; charset=utf-8"));
    owner.client.put("/nms/security", json!({"contact": "call me"})).await.expect(400);
    assert_eq!(read().await.expect(200).text(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_devices_follow_to_a_new_port_and_the_old_one_closes_when_all_are_there() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut first = Agent::start(&owner.key);
    let one = owner.admit_one().await;
    let mut second = Agent::start(&owner.key);
    let two = owner.admit_one().await;
    second.kill().await;
    owner.sees_status(&two, "disconnected").await;

    let mut wanted = ports(&owner).await["applied"].clone();
    let shared = at(&wanted["https"], 0);
    wanted["inform"] = json!(["127.0.0.1:0"]);
    let applied = owner.client.put("/nms/ports", wanted).await.expect(200).json();
    let new = at(&applied["ports"]["applied"]["inform"], 0);
    let progress = async |confirmed: u64| {
        until(&format!("{confirmed} of 2 devices have come"), async || {
            let moving = ports(&owner).await["move"].clone();
            (moving["confirmed"] == confirmed && moving["total"] == 2).then_some(moving)
        })
        .await
    };
    let moving = progress(1).await;
    assert_eq!(moving["to"], json!({"host": "localhost", "port": new.port()}));
    assert_eq!(moving["from"]["port"], shared.port());
    assert_eq!(moving["waiting"][0]["id"], json!(two));
    owner.sees_status(&one, "active").await;

    // Neither a restart of the daemon nor of a device loses anybody on the way.
    appliance.kill().await;
    appliance.start_again().await;
    first.kill().await;
    first.start_again();
    owner.sees_status(&one, "active").await;
    assert_eq!(progress(1).await["waiting"][0]["id"], json!(two));
    // The one that slept through it still finds the old door, and is told.
    second.start_again();
    until("the move is over", async || ports(&owner).await["move"].is_null().then_some(())).await;
    owner.sees_status(&two, "active").await;
    let knock = Wire::offering(shared, aerie_protocol::SUBPROTOCOL).await.expect("an answer");
    assert!(knock.answer.starts_with("HTTP/1.1 404"), "the GUI's port still takes devices");
    let states = ports(&owner).await["listeners"].clone();
    let leaving = states.as_array().expect("a list").iter().any(|one| one["state"] != "open");
    assert!(!leaving, "{states}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_the_owner_may_close_the_old_door_before_all_have_come() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut agent = Agent::start(&owner.key);
    let id = owner.admit_one().await;
    let mut wanted = ports(&owner).await["applied"].clone();
    // A door of their own first, which then moves.
    wanted["inform"] = json!(["127.0.0.1:0"]);
    let applied = owner.client.put("/nms/ports", wanted.clone()).await.expect(200).json();
    let old = at(&applied["ports"]["applied"]["inform"], 0);
    until("it has come", async || ports(&owner).await["move"].is_null().then_some(())).await;
    agent.kill().await;
    owner.sees_status(&id, "disconnected").await;
    let applied = owner.client.put("/nms/ports", wanted).await.expect(200).json();
    assert_ne!(at(&applied["ports"]["applied"]["inform"], 0), old);
    TcpStream::connect(old).await.expect("the old door is open for the one that sleeps");
    let closed = owner.client.post("/nms/ports/close-old", json!({})).await.expect(200).json();
    assert_eq!(closed["move"], Value::Null);
    closes(old).await;
}
