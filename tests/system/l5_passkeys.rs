//! Passkeys on the real daemon, with an authenticator in software. The browser tests do it with Chromium's.

use aerie_tests::{Answer, Appliance, Authenticator, Authority, Client, Owner, PASSWORD};
use serde_json::{Value, json};

const ORIGIN: &str = "https://localhost:8443";

/// An appliance where passkeys are offered: it has a name, and a certificate of the owner's.
async fn ready() -> (Appliance, Owner) {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    appliance.use_certificate(&owner, &Authority::new().issue(&["localhost"], 90)).await;
    (appliance, owner)
}

/// Enrols a passkey for the owner; what the appliance answered.
async fn enrol(owner: &Owner, key: &mut Authenticator) -> Value {
    let asked = owner.client.post("/user/passkeys/options", json!({})).await.expect(200).json();
    let answer = key.make(&asked["options"]);
    finish(owner, &asked, &answer).await.expect(200).json()
}

async fn finish(owner: &Owner, asked: &Value, credential: &Value) -> Answer {
    let body = json!({"id": asked["id"], "name": "Telephone", "credential": credential});
    owner.client.post("/user/passkeys", body).await
}

/// What the appliance asks of a passkey that is to log in.
async fn asked(client: &Client, token: Option<&Value>) -> Value {
    let body = token.map_or_else(|| json!({}), |token| json!({"token": token}));
    client.post("/user/login/passkey/options", body).await.expect(200).json()
}

async fn log_in(client: &Client, asked: &Value, credential: &Value) -> Answer {
    let body = json!({"id": asked["id"], "credential": credential});
    client.post("/user/login/passkey", body).await
}

async fn password(client: &Client) -> Value {
    let body = json!({"username": "owner", "password": PASSWORD});
    client.post("/user/login", body).await.expect(201).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_a_passkey_is_a_second_factor_and_the_only_one_too() {
    let (mut appliance, owner) = ready().await;
    let mut key = Authenticator::new(ORIGIN);
    let made = enrol(&owner, &mut key).await;
    assert_eq!((&made["name"], &made["host"]), (&json!("Telephone"), &json!("localhost")));
    assert_eq!(made["recoveryCodes"].as_array().map(Vec::len), Some(10));
    let user = owner.client.get("/user").await.expect(200).json();
    assert_eq!(user["aerie"]["twoFactor"]["passkeys"], 1);

    let client = appliance.client();
    let due = password(&client).await;
    assert_eq!(due["aerie"]["methods"], json!(["passkey", "recovery-code"]), "{due}");
    let second = asked(&client, Some(&due["id"])).await;
    assert_eq!(second["options"]["userVerification"], "required", "{second}");
    assert_eq!(second["options"]["allowCredentials"].as_array().map(Vec::len), Some(1));
    let entered = log_in(&client, &second, &key.answer(&second["options"])).await.expect(200);
    let token = entered.header("x-auth-token").expect("a token").to_owned();
    client.with_token(&token).get("/devices").await.expect(200);

    // Alone, after a restart too, and the count of signatures goes on.
    appliance.kill().await;
    appliance.start_again().await;
    let client = appliance.client();
    let alone = asked(&client, None).await;
    assert_eq!(alone["options"]["allowCredentials"], json!([]));
    let entered = log_in(&client, &alone, &key.answer(&alone["options"])).await.expect(200);
    assert_eq!(entered.json()["username"], "owner");
    let listed = client.with_token(&token).get("/user/passkeys").await.expect(200).json();
    assert!(listed["passkeys"][0]["lastUsedAt"].is_string(), "{listed}");
    assert_eq!(listed["passkeys"][0]["usableHere"], true, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_a_forged_replayed_or_unverified_passkey_is_refused() {
    let (appliance, owner) = ready().await;
    let mut key = Authenticator::new(ORIGIN);
    enrol(&owner, &mut key).await;
    let client = appliance.client();

    // Each spoils the answer in one way.
    let mut elsewhere = asked(&client, None).await;
    key.origin = "https://localhost.example.net".to_owned();
    log_in(&client, &elsewhere, &key.answer(&elsewhere["options"])).await.expect(401);
    key.origin = ORIGIN.to_owned();
    elsewhere = asked(&client, None).await;
    elsewhere["options"]["rpId"] = json!("example.net");
    log_in(&client, &elsewhere, &key.answer(&elsewhere["options"])).await.expect(401);
    let unverified = asked(&client, None).await;
    key.verifies = false;
    log_in(&client, &unverified, &key.answer(&unverified["options"])).await.expect(401);
    key.verifies = true;
    let signed = asked(&client, None).await;
    let mut forged = key.answer(&signed["options"]);
    forged["response"]["signature"] =
        Authenticator::new(ORIGIN).answer(&signed["options"])["response"]["signature"].clone();
    let refused = log_in(&client, &signed, &forged).await.expect(401);
    assert_eq!(refused.json()["error"], "PasskeyRefused");
    let stranger = asked(&client, None).await;
    let mut unknown = Authenticator::new(ORIGIN).answer(&stranger["options"]);
    unknown["response"]["userHandle"] =
        key.answer(&stranger["options"])["response"]["userHandle"].clone();
    log_in(&client, &stranger, &unknown).await.expect(401);

    // A question is answered once, and an answer fits its own question alone.
    let one = asked(&client, None).await;
    let answer = key.answer(&one["options"]);
    log_in(&client, &one, &answer).await.expect(200);
    log_in(&client, &one, &answer).await.expect(404);
    let other = asked(&client, None).await;
    log_in(&client, &other, &answer).await.expect(401);

    for bad in [json!(null), json!({}), json!("text"), json!({"id": "x", "type": "public-key"})] {
        let asked = asked(&client, None).await;
        log_in(&client, &asked, &bad).await.expect(400);
    }
}

/// How often the audit log and the account itself were told of a copied passkey.
async fn told_of_copies(owner: &Owner) -> (usize, usize) {
    let log = owner.client.get("/nms/audit?what=passkey-copied").await.expect(200).json();
    let entries = log["items"].as_array().expect("entries");
    for entry in entries {
        assert_eq!((&entry["whoName"], &entry["address"]), (&json!("owner"), &json!("127.0.0.1")));
    }
    let user = owner.client.get("/user").await.expect(200).json();
    let notices = user["aerie"]["notices"].as_array().expect("notices").iter();
    let of_copies = notices.filter(|notice| {
        notice["message"].as_str().is_some_and(|text| text.contains("may have a copy"))
    });
    (entries.len(), of_copies.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_a_copy_of_a_passkey_is_refused_and_told_wherever_it_is_used() {
    let (appliance, owner) = ready().await;
    let mut key = Authenticator::new(ORIGIN);
    enrol(&owner, &mut key).await;
    let client = appliance.client();
    let used = asked(&client, None).await;
    log_in(&client, &used, &key.answer(&used["options"])).await.expect(200);
    assert_eq!(told_of_copies(&owner).await, (0, 0));

    // The copy counts from where it was copied. Alone, as a second step, and at a step-up.
    let copied = key.count - 1;
    key.count = copied;
    let alone = asked(&client, None).await;
    let refused = log_in(&client, &alone, &key.answer(&alone["options"])).await.expect(401);
    assert_eq!(refused.json()["error"], "PasskeyRefused");
    assert_eq!(told_of_copies(&owner).await, (1, 1));
    key.count = copied;
    let due = password(&client).await;
    let second = asked(&client, Some(&due["id"])).await;
    log_in(&client, &second, &key.answer(&second["options"])).await.expect(401);
    key.count = copied;
    let step_up = owner.client.post("/user/step-up/passkey/options", json!({})).await.expect(200);
    let step_up = step_up.json();
    let answer = json!({"id": step_up["id"], "credential": key.answer(&step_up["options"])});
    owner.client.post("/user/step-up", json!({"passkey": answer})).await.expect(400);
    assert_eq!(told_of_copies(&owner).await, (3, 3));

    // Both were asked before either answered, and the passkey itself was faster.
    let (one, other) = (password(&client).await, password(&client).await);
    let first = asked(&client, Some(&one["id"])).await;
    let late = asked(&client, Some(&other["id"])).await;
    key.count = copied + 10;
    log_in(&client, &first, &key.answer(&first["options"])).await.expect(200);
    key.count = copied + 5;
    log_in(&client, &late, &key.answer(&late["options"])).await.expect(401);
    assert_eq!(told_of_copies(&owner).await, (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_a_passkey_steps_up_and_is_needed_to_remove_one() {
    let (appliance, owner) = ready().await;
    let mut key = Authenticator::new(ORIGIN);
    let made = enrol(&owner, &mut key).await;
    let path = format!("/user/passkeys/{}", made["id"].as_str().expect("an id"));
    let refused = owner.client.delete(&path).await.expect(403);
    assert_eq!(refused.json()["error"], "StepUpRequired");
    owner.client.post("/user/passkeys/options", json!({})).await.expect(403);

    let asked = owner.client.post("/user/step-up/passkey/options", json!({})).await.expect(200);
    let asked = asked.json();
    let answer = json!({"id": asked["id"], "credential": key.answer(&asked["options"])});
    owner.client.post("/user/step-up", json!({"passkey": answer})).await.expect(200);
    owner.client.post("/user/step-up", json!({"passkey": answer})).await.expect(404);

    let again = owner.client.post("/user/passkeys/options", json!({})).await.expect(200).json();
    assert_eq!(again["options"]["excludeCredentials"].as_array().map(Vec::len), Some(1));
    finish(&owner, &again, &key.make(&again["options"])).await.expect(400);
    let named = owner.client.put(&path, json!({"name": " Key on the ring "})).await.expect(200);
    assert_eq!(named.json()["name"], "Key on the ring");
    for bad in [String::new(), "\u{0}".to_owned(), "x".repeat(65)] {
        owner.client.put(&path, json!({"name": bad})).await.expect(400);
    }
    owner.client.delete(&path).await.expect(200);
    owner.client.delete(&path).await.expect(404);
    let body = json!({"username": "owner", "password": PASSWORD});
    appliance.client().post("/user/login", body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_passkeys_are_offered_by_a_name_with_a_certificate_that_browsers_can_trust() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let listed = async || owner.client.get("/user/passkeys").await.expect(200).json();
    let before = listed().await;
    assert_eq!(before["available"], false);
    assert!(before["reason"].as_str().is_some_and(|text| text.contains("certificate")), "{before}");
    let refused = owner.client.post("/user/passkeys/options", json!({})).await.expect(409);
    assert_eq!(refused.json()["error"], "PasskeysUnavailable");
    appliance.client().post("/user/login/passkey/options", json!({})).await.expect(409);
    appliance.use_certificate(&owner, &Authority::new().issue(&["localhost"], 90)).await;
    assert_eq!(listed().await, json!({"available": true, "reason": null, "passkeys": []}));

    let appliance = Appliance::start().await;
    let owner = appliance.set_up_as("127.0.0.1").await;
    appliance.use_certificate(&owner, &Authority::new().issue(&["127.0.0.1"], 90)).await;
    let listed = owner.client.get("/user/passkeys").await.expect(200).json();
    assert_eq!(listed["available"], false);
    assert!(listed["reason"].as_str().is_some_and(|text| text.contains("address")), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l5_another_name_of_the_appliance_names_the_accounts_that_lose_their_passkeys() {
    let (appliance, owner) = ready().await;
    let mut key = Authenticator::new(ORIGIN);
    let made = enrol(&owner, &mut key).await;
    let code = made["recoveryCodes"][0].clone();
    let mut ports = owner.client.get("/nms/ports").await.expect(200).json()["applied"].clone();
    owner.client.put("/nms/ports", ports.clone()).await.expect(200);
    ports["publicHost"] = json!("net.example.org");
    let refused = owner.client.put("/nms/ports", ports.clone()).await.expect(409).json();
    assert_eq!(refused["error"], "PasskeysDepend");
    assert!(refused["message"].as_str().is_some_and(|text| text.contains(": owner.")), "{refused}");
    ports["confirmPasskeysLost"] = json!(true);
    owner.client.put("/nms/ports", ports).await.expect(200);

    // The account still asks for a second factor: a recovery code is what is left.
    let client = appliance.client();
    let due = password(&client).await;
    assert_eq!(due["aerie"]["methods"], json!(["recovery-code"]), "{due}");
    let listed = owner.client.get("/user/passkeys").await.expect(200).json();
    assert_eq!(listed["passkeys"][0]["usableHere"], false, "{listed}");
    let body = json!({"token": due["id"], "verificationCode": code});
    client.post("/user/login/totpauth", body).await.expect(200);
}
