//! Accounts, as admins keep them.

use aerie_protocol::noise::StaticKey;
use aerie_tests::{
    Agent, AgentOptions, Answer, Appliance, LiveSocket, Owner, PASSWORD, RawDevice, TerminalSocket,
};
use serde_json::{Value, json};

const OTHER: &str = "forty two geese on ice";

async fn scene() -> (Appliance, Owner) {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    (appliance, owner)
}

fn refused(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.json()["error"], word, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_until_a_new_password_is_chosen_nothing_else_is_open() {
    let (appliance, owner) = scene().await;
    let body = json!({
        "username": "nina", "email": "nina@example.net", "role": "admin", "password": PASSWORD,
    });
    let made = owner.client.post("/users", body).await.expect(200).json();
    assert_eq!(made["forceChangePassword"], true, "unless it says no");
    let nina = appliance.log_in_as("nina", PASSWORD).await;
    let me = nina.get("/user").await.expect(200).json();
    assert_eq!((me["aerie"]["due"].as_str(), &me["id"]), (Some("password"), &made["id"]));
    let header = [("x-auth-token", nina.token().expect("a token"))];
    for route in appliance.routes().await {
        let path = route.path.replace("{id}", "00000000-0000-4000-8000-000000000000");
        if route.access == "Public" || path.ends_with("/logout") {
            continue;
        }
        let answer = appliance.client().ask(&route.method, &path, &header).await;
        if ["Own", "Known"].contains(&route.access.as_str()) {
            assert_ne!(answer.status, 403, "{} {path}: {}", route.method, answer.text());
        } else {
            refused(&answer, 403, "PasswordChangeRequired");
        }
    }
    let same = json!({"currentPassword": PASSWORD, "newPassword": PASSWORD});
    nina.put("/user", same).await.expect(400);
    let change = json!({"currentPassword": PASSWORD, "newPassword": OTHER});
    let answer = nina.put("/user", change).await.expect(200);
    assert!(answer.json()["aerie"]["due"].is_null());
    nina.get("/user").await.expect(401);
    let nina = appliance.client().with_token(answer.header("x-auth-token").expect("a token"));
    nina.get("/devices").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_what_becomes_due_closes_the_sockets() {
    let (appliance, owner) = scene().await;
    let id = owner.person("nina", "admin").await;
    let nina = Owner { client: appliance.log_in_as("nina", PASSWORD).await, key: String::new() };
    let mut live = LiveSocket::open(&nina).await;
    live.next_of("hello").await;
    let force = json!({"aerie": {"forceChangePassword": true}});
    owner.client.put(&format!("/users/{id}"), force).await.expect(200);
    assert_eq!(live.close_code().await, Some(4403));
    refused(
        &nina.client.post("/tickets", json!({"route": "live"})).await,
        403,
        "PasswordChangeRequired",
    );
    nina.client.get("/user").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_an_admin_makes_changes_resets_and_deletes_accounts() {
    let (appliance, owner) = scene().await;
    let id = owner.person("nina", "guest").await;
    let path = format!("/users/{id}");
    let list = owner.client.get("/users").await.expect(200).json();
    let names: Vec<&Value> =
        list.as_array().expect("a list").iter().map(|one| &one["username"]).collect();
    assert_eq!(names, ["nina", "owner"]);
    let nina = appliance.log_in_as("nina", PASSWORD).await;
    let shown = owner.client.get(&path).await.expect(200).json();
    assert_eq!(shown["aerie"]["logins"], 1);
    assert!(shown["aerie"]["lastLogin"].is_string());
    // The whole object back, as scripts send it, changes nothing.
    owner.client.put(&path, shown).await.expect(200);
    nina.get("/user").await.expect(200);
    let raise = json!({"role": "superadmin", "firstName": "Nina O'Hara"});
    let raised = owner.client.put(&path, raise).await.expect(200).json();
    assert_eq!(
        (raised["aerie"]["admin"].as_bool(), raised["firstName"].as_str()),
        (Some(true), Some("Nina O'Hara"))
    );
    nina.get("/user").await.expect(401);
    let reset = json!({"aerie": {"newPassword": OTHER}});
    owner.client.put(&path, reset).await.expect(200);
    let nina = appliance.log_in_as("nina", OTHER).await;
    let me = nina.get("/user").await.expect(200).json();
    assert_eq!(me["aerie"]["due"], "password");
    let told = me["aerie"]["notices"].as_array().expect("notices").clone();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1]["message"].as_str().expect("a text").contains("owner changed: password reset"));
    let ids: Vec<&Value> = told.iter().map(|one| &one["id"]).collect();
    nina.post("/user/notices/dismiss", json!({"ids": ids})).await.expect(200);
    let me = nina.get("/user").await.expect(200).json();
    assert_eq!(me["aerie"]["notices"], json!([]));
    owner.client.delete(&path).await.expect(200);
    owner.client.get(&path).await.expect(404);
    nina.get("/user").await.expect(401);
    let login = json!({"username": "nina", "password": OTHER});
    appliance.client().post("/user/login", login).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_the_last_admin_stays_and_nobody_deletes_himself() {
    let (_appliance, owner) = scene().await;
    let me = owner.client.get("/user").await.expect(200).json();
    let path = format!("/users/{}", me["id"].as_str().expect("an id"));
    refused(&owner.client.delete(&path).await, 409, "LastAdmin");
    refused(&owner.client.put(&path, json!({"role": "guest"})).await, 409, "LastAdmin");
    refused(&owner.client.put(&path, json!({"enabled": false})).await, 409, "LastAdmin");
    owner.person("nina", "admin").await;
    refused(&owner.client.delete(&path).await, 409, "Yourself");
    refused(&owner.client.post(&format!("{path}/offboard"), json!({})).await, 409, "Yourself");
    refused(
        &owner.client.put("/nms/accounts", json!({"twoFactorRequired": true})).await,
        409,
        "NoSecondFactor",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_names_that_cannot_be_and_bodies_that_are_wrong_are_told() {
    let (_appliance, owner) = scene().await;
    let make = |username: &str, email: &str, password: &str, role: &str| {
        let body =
            json!({"username": username, "email": email, "password": password, "role": role});
        owner.client.post("/users", body)
    };
    for bad in "@{}()<>/+*'\";=%\0\n ".chars() {
        make(&format!("ni{bad}na"), "n@example.net", PASSWORD, "guest").await.expect(400);
    }
    make("nina", "ni\u{200b}na@example.net", PASSWORD, "guest").await.expect(400);
    make(&"n".repeat(65), "n@example.net", PASSWORD, "guest").await.expect(400);
    make("nina", "nobody", PASSWORD, "guest").await.expect(400);
    make("nina", "n@example.net", PASSWORD, "installer").await.expect(400);
    refused(&make("nina", "n@example.net", "short", "guest").await, 400, "PasswordRefused");
    make("nina", "n@example.net", &"x".repeat(2_000), "guest").await.expect(400);
    refused(&make("OWNER", "n@example.net", PASSWORD, "guest").await, 409, "UsernameTaken");
    make("nina", "OWNER@example.net", PASSWORD, "guest").await.expect(400);
    let list = owner.client.get("/users").await.expect(200).json();
    assert_eq!(list.as_array().expect("a list").len(), 1, "nothing was made: {list}");
    let nobody = "/users/00000000-0000-4000-8000-000000000000";
    owner.client.put(nobody, json!({"role": "guest"})).await.expect(404);
    owner.client.put(nobody, json!({"role": 5})).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_offboarding_closes_everything_and_changes_the_device_key() {
    let (appliance, owner) = scene().await;
    let mut agent = Agent::start_with(&owner.key, &AgentOptions::default());
    let device = owner.admit_one().await;
    let id = owner.person("nina", "admin").await;
    let nina = Owner { client: appliance.log_in_as("nina", PASSWORD).await, key: String::new() };
    nina.client.get("/nms/connection").await.expect(200);
    let script = nina.token("admin", json!({})).await;
    let app_key = nina.token("read", json!({"kind": "app-key"})).await;
    let mut live = LiveSocket::open(&nina).await;
    live.next_of("hello").await;
    let mut terminal = TerminalSocket::open(&nina, &device).await;
    let gone = owner.client.post(&format!("/users/{id}/offboard"), json!({})).await;
    let gone = gone.expect(200).json();
    assert_eq!(gone["disabled"], true);
    assert_eq!(
        (&gone["logins"], &gone["tokens"], &gone["appKeys"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(gone["deviceKeyRotated"], true);
    let seen = gone["secretsSeen"].as_array().expect("a list");
    assert_eq!(seen.len(), 1, "{gone}");
    assert!(seen[0]["about"].as_str().expect("which").starts_with("device key "), "{gone}");
    // Sockets and terminals.
    assert_eq!(live.close_code().await, Some(4401));
    while terminal.read_unacknowledged().await {}
    // Whatever it logged in with.
    nina.client.get("/user").await.expect(401);
    appliance.client().with_token(&script).get("/devices").await.expect(401);
    let header = [("x-auth-app-key", app_key.as_str())];
    let crm = appliance.client().ask(&hyper::Method::GET, "/crm/api/v1.0/version", &header).await;
    assert_eq!(crm.status, 401);
    let login = json!({"username": "nina", "password": PASSWORD});
    appliance.client().post("/user/login", login).await.expect(401);
    // The device key.
    let key = owner.client.get("/nms/connection").await.expect(200).json();
    let key = key.as_str().expect("a key").to_owned();
    assert_ne!(key, owner.key);
    let own = StaticKey::generate().expect("a key");
    let old = RawDevice::first_contact(appliance.inform(), &owner.key, &own).await;
    assert!(old.is_none(), "the old key still lets somebody in");
    let new = RawDevice::first_contact(appliance.inform(), &key, &own).await;
    assert!(new.is_some(), "the new key lets nobody in");
    // Who is enrolled needs no key.
    agent.kill().await;
    owner.sees_status(&device, "disconnected").await;
    agent.start_again();
    owner.sees_status(&device, "active").await;
}
