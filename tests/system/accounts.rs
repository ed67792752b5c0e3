//! The first account, logins, tokens, and what of them lies on the disk.

use aerie_tests::{Appliance, ApplianceOptions, LiveSocket, PASSWORD, setup_request};
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn l1_either_spelling_of_the_header_authenticates_and_nothing_else_does() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let token = owner.client.token().expect("a token").to_owned();
    let asked = async |name: &'static str, value: String, path: String| {
        let mut headers = HeaderMap::new();
        headers
            .insert(HeaderName::from_static(name), HeaderValue::from_str(&value).expect("a value"));
        appliance.client().send(Method::GET, &path, headers, Vec::new()).await.status
    };
    let path = "/nms/api/v2.1/devices".to_owned();
    assert_eq!(asked("x-auth-token", token.clone(), path.clone()).await, 200);
    assert_eq!(asked("a-auth-token", token.clone(), path.clone()).await, 200);
    for (name, value) in [
        ("cookie", format!("x-auth-token={token}")),
        ("authorization", format!("Bearer {token}")),
        ("x-auth-token", format!("{token}x")),
        ("x-auth-token", String::new()),
    ] {
        assert_eq!(asked(name, value, path.clone()).await, 401, "{name}");
    }
    let in_the_address = format!("{path}?x-auth-token={token}&token={token}");
    assert_eq!(asked("accept", "application/json".to_owned(), in_the_address).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_every_call_but_the_public_ones_needs_a_token() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let client = appliance.client();
    let described = client.get("/openapi.json").await.expect(200).json();
    let mut asked = 0;
    for (path, calls) in
        described["paths"].as_object().unwrap_or_else(|| panic!("no paths in {described}"))
    {
        for (method, call) in calls.as_object().expect("calls") {
            // A public route says so with an empty security list.
            if call["security"] == json!([]) {
                continue;
            }
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            let path = path.replace("{id}", "00000000-0000-4000-8000-000000000000");
            let answer = client.send(method.clone(), &path, HeaderMap::new(), Vec::new()).await;
            // Sockets want their ticket inside, so their upgrade is refused for other reasons.
            if path == "/nms/ws" || path == "/nms/shell" {
                assert_ne!(answer.status, 200, "{path}");
            } else {
                assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
            }
            asked += 1;
        }
    }
    assert!(asked > 20, "openapi.json lists only {asked} calls that need a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_a_logout_ends_the_token_and_its_sockets() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut live = LiveSocket::open(&owner).await;
    live.next_of("hello").await;
    owner.client.post("/user/logout", json!({})).await.expect(200);
    owner.client.get("/devices").await.expect(401);
    assert_eq!(live.close_code().await, Some(4401));
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_no_answer_sets_a_cookie() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    for path in ["/", "/nms/api/v2.1/devices", "/nms/api/v2.1/user"] {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-auth-token",
            owner.client.token().expect("a token").parse().expect("a value"),
        );
        let answer = appliance.client().send(Method::GET, path, headers, Vec::new()).await;
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l6_the_disk_holds_bcrypt_hashes_and_no_password_or_token() {
    let options = ApplianceOptions { bcrypt_cost: Some(12), ..ApplianceOptions::default() };
    let mut appliance = Appliance::start_with(options).await;
    let owner = appliance.set_up().await;
    let token = owner.client.token().expect("a token").to_owned();
    appliance.terminate().await;
    let mut hashes = 0;
    let mut waiting = vec![appliance.data()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file");
            let count = |text: &str| {
                bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
            };
            hashes += count("$2b$12$");
            assert_eq!(count(PASSWORD), 0, "{} holds a password", path.display());
            assert_eq!(count(&token), 0, "{} holds a token", path.display());
        }
    }
    assert!(hashes > 0, "no bcrypt hash of cost 12 was found");
}

#[tokio::test(flavor = "multi_thread")]
async fn l6_a_hash_gets_dearer_at_the_next_login_when_the_setting_does() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let folder = appliance.into_folder().await;
    let options = ApplianceOptions { bcrypt_cost: Some(7), ..ApplianceOptions::default() };
    let appliance = Appliance::start_in(folder, options).await;
    appliance.log_in().await;
    let store = std::fs::read(appliance.data().join("store.redb")).expect("the store");
    assert!(store.windows(7).any(|window| window == b"$2b$07$"), "no hash of the new cost");
    appliance.log_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l6_passwords_that_differ_only_after_72_bytes_are_different() {
    let appliance = Appliance::start().await;
    let long = "nine wet otters, ".repeat(5)[..72].to_owned();
    let mut request = setup_request(&appliance.setup_code());
    request["user"]["password"] = json!(format!("{long}X"));
    appliance.client().post("/nms/setup", request).await.expect(200);
    let wrong = json!({"username": "owner", "password": format!("{long}Y")});
    appliance.client().post("/user/login", wrong).await.expect(401);
    let right = json!({"username": "owner", "password": format!("{long}X")});
    appliance.client().post("/user/login", right).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_set_ups_at_once_one_wins() {
    let appliance = Appliance::start().await;
    let code = appliance.setup_code();
    let mut tries = JoinSet::new();
    for number in 0..100 {
        let (client, mut request) = (appliance.client(), setup_request(&code));
        request["user"]["username"] = json!(format!("owner{number}"));
        tries.spawn(async move { client.post("/nms/setup", request).await.status });
    }
    let answers = tries.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 409 | 429 | 503)), "{answers:?}");
    assert!(!appliance.data().join("setup-code").exists(), "the code outlived the first account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_set_up_code_is_refused_and_guessing_throttled() {
    let appliance = Appliance::start().await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(
            appliance.client().post("/nms/setup", setup_request("AAAA-AAAA-AAAA-AAAA")).await,
        );
    }
    assert_eq!(answers[0].status, 403);
    assert_eq!(answers[0].json()["error"], "SetupCodeWrong");
    let last = answers.last().expect("an answer");
    assert_eq!(last.status, 429);
    assert!(last.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_is_throttled_at_once() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let mut answers = Vec::new();
    for number in 0..20 {
        let body = json!({"username": "owner", "password": format!("guess number {number}")});
        let answer = appliance.client().post("/user/login", body).await;
        answers.push(answer.status);
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
            break;
        }
    }
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    assert!(answers[..answers.len() - 1].iter().all(|status| *status == 401), "{answers:?}");
}
