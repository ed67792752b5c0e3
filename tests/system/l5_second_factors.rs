//! Second factors on the real daemon. The codes come from `oathtool`, which others wrote.

use aerie_tests::{Answer, Appliance, Client, Owner, PASSWORD, run_tool, until};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

/// The owner's app, set up.
struct App {
    secret: String,
    recovery: Vec<String>,
}

impl App {
    /// Sets it up with the present code: the next one stays unused.
    async fn enrol(owner: &Owner) -> Self {
        let new = owner.client.get("/user/totpauth").await.expect(200).json();
        let secret = text(&new["base32"]);
        let url = text(&new["otpauth_url"]);
        assert!(url.starts_with("otpauth://totp/Aerie%20localhost:owner?"), "{url}");
        assert!(url.contains(&format!("secret={secret}")), "{url}");
        let mut app = Self { secret, recovery: Vec::new() };
        let body = confirmation(&app.secret, &app.code(0).await);
        let user = owner.client.put("/user/totpauth", body).await.expect(200).json();
        assert_eq!(user["totpAuthEnabled"], true, "{user}");
        let codes = user["aerie"]["recoveryCodes"].as_array().expect("recovery codes");
        app.recovery = codes.iter().map(text).collect();
        assert_eq!(app.recovery.len(), 10);
        app
    }

    /// What `oathtool` shows `shift` steps from now.
    async fn code(&self, shift: i64) -> String {
        code_at(&self.secret, now() + shift * 30).await
    }

    /// Six digits that are no code of these minutes.
    async fn wrong(&self) -> String {
        let mut near = Vec::new();
        for shift in -3..=3 {
            near.push(self.code(shift).await);
        }
        let mut codes = (0..10).map(|number| format!("{number:06}"));
        codes.find(|code| !near.contains(code)).expect("a code")
    }
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

async fn code_at(secret: &str, second: i64) -> String {
    let mut command = Command::new("oathtool");
    command.args(["--totp", "--base32", "--now", &format!("@{second}"), secret]);
    let printed = run_tool(command).await;
    assert_eq!(printed.code, Some(0), "{}", printed.everything);
    printed.output.trim().to_owned()
}

/// Waits until the present step is a later one.
async fn after_step(step: i64) {
    until("the next step of thirty seconds", async || (now() / 30 > step).then_some(())).await;
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn confirmation(secret: &str, code: &str) -> Value {
    json!({
        "password": PASSWORD, "verificationCode": code, "totpAuthEnabled": true,
        "totpAuthSecret": secret,
    })
}

/// The first step: the id to go on with.
async fn first_step(client: &Client) -> String {
    let body = json!({"username": "owner", "password": PASSWORD});
    let due = client.post("/user/login", body).await.expect(201);
    assert_eq!(due.header("x-auth-token"), None);
    let due = due.json();
    assert!(due["exp"].as_i64().expect("a time") > now() * 1000, "{due}");
    assert_eq!(due["aerie"]["methods"], json!(["totp", "recovery-code"]), "{due}");
    text(&due["id"])
}

async fn second_step(client: &Client, id: &str, code: &str) -> Answer {
    let body = json!({"token": id, "verificationCode": code});
    client.post("/user/login/totpauth", body).await
}

async fn log_in(client: &Client, code: &str) -> Answer {
    let id = first_step(client).await;
    second_step(client, &id, code).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_a_login_needs_the_code_of_the_app_which_counts_once() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let before = owner.client.get("/user").await.expect(200).json();
    let none = json!({"totp": false, "passkeys": 0, "recoveryCodesLeft": 0, "required": false});
    assert_eq!(before["aerie"]["twoFactor"], none);
    let app = App::enrol(&owner).await;
    owner.client.get("/user/totpauth").await.expect(409);

    let client = appliance.client();
    let wrong = log_in(&client, &app.wrong().await).await.expect(401);
    assert_eq!(wrong.json()["error"], "CodeWrong");
    let far = log_in(&client, &app.code(5).await).await.expect(401);
    assert_eq!(far.header("x-auth-token"), None);

    // An app's clock may be a step ahead.
    let step = now() / 30 + 1;
    let code = code_at(&app.secret, step * 30).await;
    let entered = log_in(&client, &code).await.expect(200);
    let token = entered.header("x-auth-token").expect("a token").to_owned();
    appliance.client().with_token(&token).get("/devices").await.expect(200);
    log_in(&client, &code).await.expect(401);

    // A restart forgets no code that was used, nor the logins.
    appliance.kill().await;
    appliance.start_again().await;
    let client = appliance.client();
    log_in(&client, &code).await.expect(401);
    client.with_token(&token).get("/devices").await.expect(200);
    after_step(step).await;
    log_in(&client, &code_at(&app.secret, (step + 1) * 30).await).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_a_recovery_code_takes_the_place_of_a_lost_app_once_and_is_told() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let app = App::enrol(&owner).await;
    let client = appliance.client();
    let code = app.recovery[0].to_lowercase().replace('-', " ");
    let entered = log_in(&client, &code).await.expect(200);
    assert_eq!(entered.json()["aerie"]["twoFactor"]["recoveryCodesLeft"], 9);
    log_in(&client, &code).await.expect(401);
    appliance.kill().await;
    appliance.start_again().await;
    log_in(&appliance.client(), &app.recovery[0]).await.expect(401);

    // With it the app is turned off, and another one may come.
    let token = entered.header("x-auth-token").expect("a token").to_owned();
    let client = appliance.client().with_token(&token);
    let off = json!({"password": PASSWORD, "totpAuthEnabled": false});
    let user = client.put("/user/disabledtotpauth", off).await.expect(200).json();
    assert_eq!(user["totpAuthEnabled"], false);
    let body = json!({"username": "owner", "password": PASSWORD});
    appliance.client().post("/user/login", body).await.expect(200);
    client.get("/user/totpauth").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_a_code_steps_up_and_a_password_alone_changes_no_factor() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let app = App::enrol(&owner).await;
    // The owner's login is young enough for a step-up, but has proven no second factor.
    let off = json!({"password": PASSWORD, "totpAuthEnabled": false});
    let refused = owner.client.put("/user/disabledtotpauth", off.clone()).await.expect(403);
    assert_eq!(refused.json()["error"], "StepUpRequired");
    owner.client.post("/user/step-up", json!({"password": PASSWORD})).await.expect(200);
    owner.client.post("/user/recovery-codes", json!({})).await.expect(403);

    let wrong = json!({"verificationCode": app.wrong().await});
    let wrong = owner.client.post("/user/step-up", wrong).await.expect(400);
    assert_eq!(wrong.json()["error"], "CodeWrong");
    owner.client.post("/user/step-up", json!({})).await.expect(400);
    let code = json!({"verificationCode": app.code(1).await});
    owner.client.post("/user/step-up", code.clone()).await.expect(200);
    owner.client.post("/user/step-up", code).await.expect(400);

    let fresh = owner.client.post("/user/recovery-codes", json!({})).await.expect(200).json();
    assert_eq!(fresh["codes"].as_array().map(Vec::len), Some(10));
    log_in(&appliance.client(), &app.recovery[1]).await.expect(401);
    owner.client.put("/user/disabledtotpauth", off).await.expect(200);
    owner.client.post("/user/recovery-codes", json!({})).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_two_hundred_wrong_codes_at_once_count_as_two_hundred() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let app = App::enrol(&owner).await;
    let wrong = app.wrong().await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(first_step(&appliance.client()).await);
    }
    let mut tries = JoinSet::new();
    for id in ids.iter().cycle().take(200) {
        let (client, id, wrong) = (appliance.client(), id.clone(), wrong.clone());
        tries.spawn(async move { second_step(&client, &id, &wrong).await });
    }
    let answers = tries.join_all().await;
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    // Ten before the first wait, and one after each wait, which doubles.
    assert!((10..20).contains(&looked_at), "{looked_at} were looked at");
    let others = answers.iter().filter(|answer| answer.status == 429);
    assert!(others.clone().all(|answer| answer.header("retry-after").is_some()));
    assert_eq!(others.count(), 200 - looked_at);
    // Recovery codes are counted apart: who guesses codes does not take that way from the owner.
    log_in(&appliance.client(), &app.recovery[9]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_bad_codes_keys_and_ids_are_refused_with_what_to_do() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let client = appliance.client();
    let long = "9".repeat(60_000);
    for id in ["", "no such id", "\u{0}", long.as_str()] {
        let gone = second_step(&client, id, "123456").await.expect(404);
        assert!(gone.text().contains("begin again"), "{}", gone.text());
    }
    for secret in ["", "GEZDGNBV", "not base 32: 0189", long.as_str()] {
        owner.client.put("/user/totpauth", confirmation(secret, "123456")).await.expect(400);
    }
    let app = App::enrol(&owner).await;
    for code in ["", "12345", "12345a", "\u{0}", "１２３４５６", long.as_str()] {
        let refused = log_in(&client, code).await.expect(401);
        assert!(!refused.text().contains(&app.secret));
    }
    let printed = std::fs::read_to_string(appliance.folder().join("aerie.log")).expect("the log");
    assert!(!printed.contains(&app.secret), "the log holds the app's key");
    assert!(!app.recovery.iter().any(|code| printed.contains(code)), "the log holds a code");
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_credentials_are_checked_without_a_login_and_for_logins_alone() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let right = json!({"username": "owner", "password": PASSWORD});
    appliance.client().post("/user/check-credentials", right.clone()).await.expect(401);
    let checked = owner.client.post("/user/check-credentials", right).await.expect(200);
    assert_eq!(checked.header("x-auth-token"), None);
    for (username, password) in [("owner", "another password"), ("nobody", PASSWORD)] {
        let wrong = json!({"username": username, "password": password});
        owner.client.post("/user/check-credentials", wrong).await.expect(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_where_a_second_factor_is_required_nothing_else_comes_before_it() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    owner.person("olga", "guest").await;
    owner.client.put("/nms/accounts", json!({"twoFactorRequired": true})).await.expect(409);
    let app = App::enrol(&owner).await;
    owner.client.put("/nms/accounts", json!({"twoFactorRequired": true})).await.expect(200);
    let code = json!({"verificationCode": app.code(1).await});
    owner.client.post("/user/step-up", code).await.expect(200);
    let off = json!({"password": PASSWORD, "totpAuthEnabled": false});
    let last = owner.client.put("/user/disabledtotpauth", off).await.expect(409);
    assert_eq!(last.json()["error"], "LastFactor");

    let olga = Owner { client: appliance.log_in_as("olga", PASSWORD).await, key: String::new() };
    let refused = olga.client.get("/devices").await.expect(403);
    assert_eq!(refused.json()["error"], "SecondFactorRequired");
    let new = olga.client.get("/user/totpauth").await.expect(200).json();
    let secret = text(&new["base32"]);
    let body = confirmation(&secret, &code_at(&secret, now()).await);
    let user = olga.client.put("/user/totpauth", body).await.expect(200).json();
    assert_eq!(user["aerie"]["due"], json!(null), "{user}");
    olga.client.get("/devices").await.expect(200);
}
