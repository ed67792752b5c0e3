//! Logins, API tokens and app keys: their list, their ends, and what happens to what is none.

use aerie_tests::{Answer, Appliance, LiveSocket, Owner, PASSWORD};
use hyper::Method;
use serde_json::{Value, json};

async fn scene() -> (Appliance, Owner) {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    (appliance, owner)
}

fn refused(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.json()["error"], word, "{}", answer.text());
}

/// The own list, each with its kind.
async fn kinds(owner: &Owner) -> Vec<String> {
    let list = owner.client.get("/token").await.expect(200).json();
    let kind = |one: &Value| one["aerie"]["kind"].as_str().expect("a kind").to_owned();
    let mut kinds: Vec<String> = list.as_array().expect("a list").iter().map(kind).collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_logins_tokens_and_app_keys_stand_in_one_list_and_end_one_by_one() {
    let (appliance, owner) = scene().await;
    let phone = Owner { client: appliance.log_in_as("owner", PASSWORD).await, key: String::new() };
    let token = owner.token("guest", json!({})).await;
    owner.token("read", json!({"kind": "app-key"})).await;
    assert_eq!(kinds(&owner).await, ["app-key", "login", "login", "token"]);
    let list = owner.client.get("/token").await.expect(200).json();
    for item in list.as_array().expect("a list") {
        for field in [
            "id",
            "name",
            "lastIp",
            "createdAt",
            "lastUsed",
            "expiresAt",
            "maxExpiresAt",
            "scope",
            "transient",
            "currentSession",
            "allIpsCount",
            "userId",
            "user",
            "meta",
            "ips",
            "aerie",
        ] {
            assert!(item.get(field).is_some(), "{field} is missing in {item}");
        }
        assert!(item.get("token").is_none(), "a secret in the list");
    }
    let of = |wanted: &dyn Fn(&Value) -> bool| {
        let found = list.as_array().expect("a list").iter().find(|item| wanted(item));
        found.expect("an item").clone()
    };
    let here = of(&|item| item["currentSession"] == true);
    assert_eq!((&here["lastIp"], &here["transient"]), (&json!("127.0.0.1"), &json!(true)));
    assert_eq!(here["ips"][0]["ip"], "127.0.0.1");
    let made = of(&|item| item["aerie"]["kind"] == "token");
    assert!(made["expiresAt"].is_null() && made["lastUsed"].is_null());
    // A login takes its sockets along.
    let mut live = LiveSocket::open(&phone).await;
    live.next_of("hello").await;
    let theirs = of(&|item| item["transient"] == true && item["currentSession"] == false);
    let path = format!("/token/{}", theirs["id"].as_str().expect("an id"));
    owner.client.delete(&path).await.expect(200);
    assert_eq!(live.close_code().await, Some(4401));
    phone.client.get("/user").await.expect(401);
    owner.client.get(&path).await.expect(404);
    // A token works until it is deleted.
    let script = appliance.client().with_token(&token);
    script.get("/devices").await.expect(200);
    let path = format!("/token/{}", made["id"].as_str().expect("an id"));
    let used = owner.client.get(&path).await.expect(200).json();
    assert_eq!((&used["lastIp"], &used["allIpsCount"]), (&json!("127.0.0.1"), &json!(1)));
    owner.client.delete(&path).await.expect(200);
    script.get("/devices").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_all_other_logins_end_at_once_and_all_of_them_with_the_password() {
    let (appliance, owner) = scene().await;
    let phone = appliance.log_in_as("owner", PASSWORD).await;
    let tablet = appliance.log_in_as("owner", PASSWORD).await;
    owner.client.delete("/token").await.expect(400);
    let ended = owner.client.delete("/token?others=true").await.expect(200).json();
    assert_eq!(ended["metadata"]["ended"], 2);
    phone.get("/user").await.expect(401);
    tablet.get("/user").await.expect(401);
    let phone = appliance.log_in_as("owner", PASSWORD).await;
    let wrong =
        json!({"currentPassword": "not this one", "newPassword": "nine otters in the reed"});
    refused(&owner.client.put("/user", wrong).await, 400, "PasswordWrong");
    phone.get("/user").await.expect(200);
    let right = json!({"currentPassword": PASSWORD, "newPassword": "nine otters in the reed"});
    let answer = owner.client.put("/user", right).await.expect(200);
    let fresh = answer.header("x-auth-token").expect("a fresh token");
    phone.get("/user").await.expect(401);
    owner.client.get("/user").await.expect(401);
    appliance.client().with_token(fresh).get("/user").await.expect(200);
    let old = json!({"username": "owner", "password": PASSWORD});
    appliance.client().post("/user/login", old).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_logins_and_tokens_outlive_a_restart_and_a_kill() {
    let (mut appliance, owner) = scene().await;
    let token = owner.token("admin", json!({})).await;
    let app_key = owner.token("read", json!({"kind": "app-key"})).await;
    let gone = owner.token("guest", json!({})).await;
    let list = owner.client.get("/token").await.expect(200).json();
    let guest = |item: &&Value| item["scope"][0] == "guest" && item["aerie"]["kind"] == "token";
    let guest = list.as_array().expect("a list").iter().find(guest).expect("it")["id"].clone();
    let path = format!("/token/{}", guest.as_str().expect("an id"));
    owner.client.delete(&path).await.expect(200);
    for kill in [false, true] {
        if kill {
            appliance.kill().await;
        } else {
            assert!(appliance.terminate().await.success());
        }
        appliance.start_again().await;
        owner.client.get("/devices").await.expect(200);
        appliance.client().with_token(&token).get("/users").await.expect(200);
        appliance.client().with_token(&gone).get("/devices").await.expect(401);
        let header = [("x-auth-app-key", app_key.as_str())];
        let version = appliance.client().ask(&Method::GET, "/crm/api/v1.0/version", &header).await;
        assert!(version.expect(200).json()["version"].is_string());
    }
    // What a token made is worth what it was: risky acts ask for more.
    let script = appliance.client().with_token(&token);
    refused(&script.post("/devices/bulkrestart", json!({"ids": []})).await, 403, "TokenMayNot");
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_the_wrong_kind_of_key_is_told() {
    let (appliance, owner) = scene().await;
    let token = owner.token("admin", json!({})).await;
    let app_key = owner.token("write", json!({"kind": "app-key"})).await;
    let login = owner.client.token().expect("a token");
    let client = appliance.client();
    let ask = async |path: &str, header: &str, secret: &str| {
        client.ask(&Method::GET, path, &[(header, secret)]).await
    };
    let (nms, crm) = ("/nms/api/v2.1/devices", "/crm/api/v1.0/version");
    for (path, header, secret) in [
        (nms, "x-auth-app-key", app_key.as_str()),
        (nms, "x-auth-token", app_key.as_str()),
        (nms, "x-auth-app-key", token.as_str()),
        (crm, "x-auth-app-key", token.as_str()),
        (crm, "x-auth-token", token.as_str()),
        (crm, "x-auth-app-key", login),
        (crm, "x-auth-token", app_key.as_str()),
    ] {
        refused(&ask(path, header, secret).await, 401, "WrongKindOfKey");
    }
    for (path, header, secret) in [
        (crm, "x-auth-app-key", app_key.as_str()),
        (crm, "x-auth-token", login),
        ("/crm/api/v2.1/version", "X-Auth-App-Key", app_key.as_str()),
        (nms, "x-auth-token", token.as_str()),
    ] {
        ask(path, header, secret).await.expect(200);
    }
    refused(&client.ask(&Method::GET, crm, &[]).await, 401, "Unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_what_is_no_token_is_told_what_to_do() {
    let (appliance, owner) = scene().await;
    let long = "x".repeat(300);
    for bad in ["", "x", "not a token at all", &"y".repeat(43), &"z".repeat(44), &long] {
        let answer = appliance.client().with_token(bad).get("/devices").await;
        refused(&answer, 401, "Unauthorized");
        let told = if bad.is_empty() || bad.starts_with('y') { "og in" } else { "is no token" };
        assert!(answer.json()["message"].as_str().expect("words").contains(told), "{bad}");
        assert!(bad.len() < 20 || !answer.text().contains(bad), "the token came back");
    }
    let past = json!({"name": "late", "aerie": {"expiresAt": "2020-01-01T00:00:00Z"}});
    owner.client.post("/token", past).await.expect(400);
    for bad in [
        json!({"name": "x".repeat(21)}),
        json!({"name": "a\0b"}),
        json!({"name": "n", "meta": "x".repeat(257)}),
        json!({"name": "n", "scope": "installer"}),
        json!({"name": "n", "scope": "admin", "aerie": {"kind": "app-key"}}),
        json!({"name": "n", "aerie": {"kind": "login"}}),
        json!({"name": "n", "aerie": {"stepUp": true}}),
        json!({"name": "n", "aerie": {"addresses": ["example.org"]}}),
    ] {
        owner.client.post("/token", bad).await.expect(400);
    }
    let elsewhere = owner.token("admin", json!({"addresses": ["192.0.2.0/24"]})).await;
    let answer = appliance.client().with_token(&elsewhere).get("/devices").await;
    refused(&answer, 403, "AddressNotAllowed");
    let id = owner.person("nina", "guest").await;
    let nina = Owner { client: appliance.log_in_as("nina", PASSWORD).await, key: String::new() };
    refused(&nina.client.post("/token", json!({"scope": "admin"})).await, 403, "Forbidden");
    refused(&nina.client.get("/token?all=true").await, 403, "Forbidden");
    let script = appliance.client().with_token(&nina.token("guest", json!({})).await);
    script.get("/devices").await.expect(200);
    owner.client.put(&format!("/users/{id}"), json!({"enabled": false})).await.expect(200);
    refused(&script.get("/devices").await, 401, "Unauthorized");
    owner.client.delete(&format!("/users/{id}")).await.expect(200);
    refused(&script.get("/devices").await, 401, "Unauthorized");
}
