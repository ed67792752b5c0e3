//! Set-up, logins, and the own account.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{API, Appliance, PASSWORD, Shared, setup_body};

#[tokio::test]
async fn d1_the_set_up_makes_an_account_and_hands_out_the_device_key() {
    let appliance = Appliance::new().await;
    let state = appliance.get("/nms/setup", "").await.expect(200);
    assert_eq!(state["isConfigured"], false);
    let code = appliance.setup_code();
    let answer = appliance.post("/nms/setup", None, setup_body(code.trim())).await;
    let token = answer.header("x-auth-token").to_owned();
    let key = answer.expect(200)["connectionString"].as_str().unwrap().to_owned();
    assert!(key.starts_with("wss://aerie.example:443+"));
    assert_eq!(appliance.get("/nms/connection", &token).await.expect(200), key);
    let state = appliance.get("/nms/setup", "").await.expect(200);
    assert_eq!(state["isConfigured"], true);
    assert_eq!(state["isSubnetConfigured"], false);
    let again = appliance.post("/nms/setup", None, setup_body(code.trim())).await;
    again.refused(409, "AlreadyConfigured");
}

#[tokio::test]
async fn a_wrong_set_up_is_refused_and_changes_nothing() {
    let appliance = Appliance::new().await;
    let wrong = setup_body("AAAA-AAAA-AAAA-AAAA");
    appliance.post("/nms/setup", None, wrong).await.refused(403, "SetupCodeWrong");
    let code = appliance.setup_code();
    let with = |pointer: &str, value: Value| {
        let mut body = setup_body(code.trim());
        *body.pointer_mut(pointer).unwrap() = value;
        appliance.post("/nms/setup", None, body)
    };
    with("/hostname", json!("https://x")).await.refused(400, "Bad Request");
    with("/user/username", json!("ow ner")).await.refused(400, "Bad Request");
    with("/user/email", json!("nobody")).await.refused(400, "Bad Request");
    with("/user/password", json!("short")).await.refused(400, "PasswordRefused");
    with("/user/country", json!(null)).await.refused(400, "Bad Request");
    assert_eq!(appliance.get("/nms/setup", "").await.expect(200)["isConfigured"], false);
    appliance.set_up().await;
}

#[tokio::test]
async fn of_a_hundred_parallel_set_ups_one_wins() {
    let appliance: Shared = Arc::new(Appliance::new().await);
    let code = appliance.setup_code();
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..100 {
        let mut body = setup_body(code.trim());
        body["user"]["username"] = json!(format!("owner{number}"));
        body["user"]["email"] = json!(format!("owner{number}@example.net"));
        let appliance = Arc::clone(&appliance);
        tries.spawn(async move { appliance.post("/nms/setup", None, body).await });
    }
    let answers = tries.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.refused(409, "AlreadyConfigured");
    }
    let token = won[0].header("x-auth-token");
    assert_eq!(appliance.get("/user", token).await.expect(200)["role"], "superadmin");
}

#[tokio::test]
async fn a_login_hands_out_a_token_and_a_logout_ends_it() {
    let appliance = Appliance::new().await;
    appliance.set_up().await;
    let wrong = json!({"username": "owner", "password": "not this one, surely not"});
    appliance.post("/user/login", None, wrong).await.refused(401, "Unauthorized");
    // As real clients send it: the time-out as text, and a platform that means nothing here.
    let body = json!({
        "username": "owner@example.net", "password": PASSWORD,
        "sessionTimeout": "0", "mobilePlatform": "ios",
    });
    let answer = appliance.post("/user/login", None, body).await;
    let token = answer.header("x-auth-token").to_owned();
    let user = answer.expect(200);
    for required in [
        "id",
        "username",
        "email",
        "alerts",
        "isSsoLoginEnabled",
        "isLocalLoginEnabled",
        "isOfflinePasswordsGenerated",
        "forceChangePassword",
        "keepMeSignedIn",
        "lastNewsSeenDate",
        "lastReleaseNotesSeen",
        "ucrmId",
        "ucrmRole",
        "homeScreen",
        "enabled",
        "updated",
        "notification",
        "location",
    ] {
        assert!(user.get(required).is_some(), "{required} is missing");
    }
    assert!(!user.to_string().contains("$2"), "no hash leaves the appliance");
    appliance.post("/user/check-session", Some(&token), json!({})).await.expect(200);
    appliance.get("/nms/keep-alive", &token).await.expect(200);
    appliance.post("/user/logout", Some(&token), json!({})).await.expect(200);
    appliance.get("/user", &token).await.refused(401, "Unauthorized");
}

#[tokio::test]
async fn guessing_passwords_is_answered_429_with_the_time_to_wait() {
    let appliance = Appliance::new().await;
    appliance.set_up().await;
    let wrong = json!({"username": "owner", "password": "not this one, surely not"});
    for _ in 0..100 {
        let answer = appliance.post("/user/login", None, wrong.clone()).await;
        if answer.status == 429 {
            let wait: u64 = answer.header("retry-after").parse().expect("whole seconds");
            assert!(wait >= 1);
            answer.refused(429, "Too Many Requests");
            return;
        }
        answer.refused(401, "Unauthorized");
    }
    panic!("a hundred guesses and no end");
}

#[tokio::test]
async fn an_account_changes_what_it_says_of_itself_and_nothing_else() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let change = json!({
        "firstName": "Olga", "preferences": {"theme": "dark"}, "role": "guest",
        "forceChangePassword": false, "alerts": true, "notification": {},
    });
    let user = appliance.put("/user", &owner, change).await.expect(200);
    assert_eq!(user["firstName"], "Olga");
    assert_eq!(user["preferences"], json!({"theme": "dark"}));
    assert_eq!(user["role"], "superadmin");
    assert_eq!(appliance.get("/user", &owner).await.expect(200), user);
    // The whole object back, as scripts send it.
    appliance.put("/user", &owner, user).await.expect(200);
    let alone = json!({"newPassword": "another one of some length"});
    appliance.put("/user", &owner, alone).await.refused(400, "Bad Request");
    let name = json!({"username": "other"});
    appliance.put("/user", &owner, name).await.refused(400, "Bad Request");
    let wrong = json!({"preferences": "dark"});
    appliance.put("/user", &owner, wrong).await.refused(400, "Bad Request");
    let long = json!({"preferences": {"x": "y".repeat(17 * 1024)}});
    appliance.put("/user", &owner, long).await.refused(400, "Bad Request");
}

#[tokio::test]
async fn version_and_summary_have_the_published_fields() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let version = appliance.get("/nms/version", &owner).await.expect(200);
    for field in ["version", "deployment", "build", "time"] {
        assert!(version[field].is_string(), "{field}");
    }
    let summary = appliance.get("/nms/summary?logsLevel=info", &owner).await.expect(200);
    for field in ["timestamp", "isOverloaded", "version", "devicesUnauthorizedCount"] {
        assert!(summary.get(field).is_some(), "{field}");
    }
    assert_eq!(summary["aerie"]["storeBytes"], 4_096);
    assert!(summary["aerie"]["memoryBytes"].as_u64().unwrap() > 1_000_000);
    let metrics = appliance.call(http::Method::GET, "/metrics", Some(&owner), None).await;
    let page = String::from_utf8(metrics.body).unwrap();
    assert!(page.contains("aerie_devices{status=\"active\"} 0\n"), "{page}");
    assert!(page.contains("aerie_store_bytes 4096\n"), "{page}");
    let open = appliance.call(http::Method::GET, &format!("{API}/openapi.json"), None, None).await;
    assert_eq!(open.expect(200)["openapi"], "3.1.0");
}
