//! Certificates from an authority that somebody else wrote (pebble), and everything that can go wrong on the way.

use aerie_tests::{
    Agent, AgentOptions, Appliance, ApplianceOptions, LiveSocket, Owner, Pebble, PebbleOptions,
    until,
};
use hyper::Method;
use serde_json::{Value, json};

/// An appliance whose owner allows it to ask an authority on the same machine.
async fn appliance() -> (Appliance, Owner) {
    appliance_with(ApplianceOptions::default()).await
}

async fn appliance_with(options: ApplianceOptions) -> (Appliance, Owner) {
    let appliance = Appliance::start_with(options).await;
    let owner = appliance.set_up().await;
    owner.client.put("/nms/outbound", json!({"allowed": ["127.0.0.1/32"]})).await.expect(200);
    (appliance, owner)
}

fn looking_at(appliance: &Appliance) -> PebbleOptions {
    PebbleOptions::looking_at(appliance.http(), appliance.https())
}

fn wanted(authority: &Pebble, names: &[&str], challenge: &str) -> Value {
    json!({
        "names": names,
        "directory": authority.directory(),
        "challenge": challenge,
        "extraRoot": authority.root(),
        "termsAgreed": true,
    })
}

/// Waits until it stands as wanted; how it stands then.
async fn stands(owner: &Owner, state: &str) -> Value {
    until(&format!("the certificate is {state}"), async || {
        let certificate = owner.client.get("/nms/certificate").await.expect(200).json();
        (certificate["acme"]["state"] == state).then_some(certificate)
    })
    .await
}

/// Waits for another serial number than this one.
async fn renewed(owner: &Owner, before: &Value) -> Value {
    until("the certificate is another one", async || {
        let certificate = owner.client.get("/nms/certificate").await.expect(200).json();
        let serial = &certificate["shown"][0]["serial"];
        (serial != before && certificate["acme"]["state"] == "valid").then_some(certificate)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_certificate_for_several_names_is_issued_over_port_80_and_is_there_after_a_restart() {
    let (mut appliance, owner) = appliance().await;
    let authority = Pebble::start(&looking_at(&appliance)).await;
    let before = appliance.client().shown_certificate().await.0;
    let names = ["box.test", "gui.box.test", "inform.box.test"];
    let asked =
        owner.client.put("/nms/certificate/acme", wanted(&authority, &names, "http-01")).await;
    let asked = asked.expect(200).json();
    assert_eq!((&asked["mode"], &asked["acme"]["state"]), (&json!("acme"), &json!("working")));
    let certificate = stands(&owner, "valid").await;
    let mut certified: Vec<&str> = certificate["shown"][0]["names"]
        .as_array()
        .expect("names")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    certified.sort_unstable();
    assert_eq!(certified, names);
    assert!(
        certificate["acme"]["renewsAt"].is_string() && certificate["acme"]["lastError"].is_null()
    );
    let issuer = certificate["shown"][0]["issuer"].as_str().expect("an issuer");
    assert!(issuer.contains("Pebble"), "{issuer}");
    // A test authority is none that browsers know.
    assert_eq!(certificate["untrusted"], true);
    let (shown, chain) = appliance.client().shown_certificate().await;
    assert_ne!(shown, before);
    assert_eq!(chain, 2, "with the certificate between");

    // No authority is needed to start again.
    drop(authority);
    appliance.terminate().await;
    appliance.start_again().await;
    assert_eq!(appliance.client().shown_certificate().await.0, shown);
    let store = std::fs::read(appliance.data().join("store.redb")).expect("the store");
    let readable = |text: &[u8]| store.windows(text.len()).any(|window| window == text);
    assert!(!readable(b"PRIVATE KEY"), "a key stands in the store in clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_certificate_is_issued_over_port_443_alone() {
    let (appliance, owner) = appliance().await;
    let mut options = looking_at(&appliance);
    options.http_port = 1;
    let authority = Pebble::start(&options).await;
    let asked = wanted(&authority, &["box.test", "gui.test"], "tls-alpn-01");
    owner.client.put("/nms/certificate/acme", asked).await.expect(200);
    stands(&owner, "valid").await;
    // Nobody is waited for now: the port does not speak the authority's protocol.
    let mut config = aerie_tests::accept_any_certificate();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let tcp = tokio::net::TcpStream::connect(appliance.https()).await.expect("a connection");
    let name = rustls::pki_types::ServerName::try_from("box.test").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    connector.connect(name, tcp).await.expect_err("no challenge is pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_it_is_renewed_by_itself_and_no_session_notices() {
    let (appliance, owner) = appliance().await;
    let mut options = looking_at(&appliance);
    options.life = 15;
    let authority = Pebble::start(&options).await;
    let agent = Agent::start_with(&owner.key, &AgentOptions::without_terminal());
    owner.admit_one().await;
    let mut live = LiveSocket::open(&owner).await;
    live.next_of("hello").await;
    let connections = || agent.printed().matches("connect").count();
    let before_all = connections();
    owner
        .client
        .put("/nms/certificate/acme", wanted(&authority, &["box.test"], "http-01"))
        .await
        .expect(200);
    let first = stands(&owner, "valid").await["shown"][0]["serial"].clone();
    let second = renewed(&owner, &first).await["shown"][0]["serial"].clone();
    // And when somebody asks for it.
    owner.client.put("/nms/refresh-certificate", json!({})).await.expect(200);
    renewed(&owner, &second).await;
    owner.site("Somewhere").await;
    live.next_of("site").await;
    assert_eq!(connections(), before_all, "the device came again: {}", agent.printed());
    owner.logged("New certificate for box.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_clock_that_jumps_costs_one_renewal_and_no_session() {
    let own_clock = true;
    let (appliance, owner) =
        appliance_with(ApplianceOptions { own_clock, ..ApplianceOptions::default() }).await;
    let authority = Pebble::start(&looking_at(&appliance)).await;
    let agent = Agent::start_with(&owner.key, &AgentOptions::without_terminal());
    let device = owner.admit_one().await;
    let asked = wanted(&authority, &["box.test"], "http-01");
    owner.client.put("/nms/certificate/acme", asked).await.expect(200);
    let first = stands(&owner, "valid").await["shown"][0]["serial"].clone();
    let connects = || agent.printed().matches("connect").count();
    let before = connects();

    // Back to before the certificate begins: it stays, and nobody is asked for another one.
    appliance.set_clock("-2d");
    until("the clock is back", async || is_at(&owner, -2).await.then_some(())).await;
    assert_eq!(stands(&owner, "valid").await["shown"][0]["serial"], first);

    // Eighty days ahead a third of its ninety is no longer left. Every login has ended by then.
    appliance.set_clock("+80d");
    until("the logins have ended", async || {
        (owner.client.get("/user").await.status == 401).then_some(())
    })
    .await;
    let owner = appliance.log_in().await;
    assert!(is_at(&owner, 80).await);
    let second = renewed(&owner, &first).await;
    // The authority's clock has not jumped: what it gave ends in ten days, and is not asked for again at once.
    let renews = second["acme"]["renewsAt"].as_str().expect("a time").to_owned();
    appliance.set_clock("+0");
    until("the clock is right", async || is_at(&appliance.log_in().await, 0).await.then_some(()))
        .await;
    let owner = appliance.log_in().await;
    let third = owner.client.get("/nms/certificate").await.expect(200).json();
    assert_eq!(third["shown"], second["shown"]);
    assert_eq!(third["acme"]["renewsAt"], renews, "{third}");
    let issued = authority.printed().matches("Issued certificate serial").count();
    assert_eq!(issued, 2, "{}", authority.printed());
    assert_eq!(connects(), before, "the device came again: {}", agent.printed());
    owner.sees_status(&device, "active").await;
}

/// Whether the appliance's clock is so many days ahead of this machine's.
async fn is_at(owner: &Owner, days: i64) -> bool {
    let version = owner.client.get("/nms/version").await.expect(200).json();
    let said: jiff::Timestamp = version["time"].as_str().expect("a time").parse().expect("a time");
    let away = said.duration_since(jiff::Timestamp::now()).as_hours();
    (away - days * 24).abs() <= 1
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_lost_nonces_cost_a_call_and_not_the_attempt() {
    let (appliance, owner) = appliance().await;
    let mut options = looking_at(&appliance);
    options.lost_nonces = 50;
    let authority = Pebble::start(&options).await;
    owner
        .client
        .put("/nms/certificate/acme", wanted(&authority, &["box.test"], "http-01"))
        .await
        .expect(200);
    let certificate = stands(&owner, "valid").await;
    assert!(certificate["acme"]["lastError"].is_null(), "{certificate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_authority_that_is_down_changes_nothing_and_is_asked_again() {
    let (appliance, owner) = appliance().await;
    let options = looking_at(&appliance);
    let mut authority = Pebble::start(&options).await;
    let asked = wanted(&authority, &["box.test"], "http-01");
    owner.client.put("/nms/certificate/acme", asked).await.expect(200);
    let first = stands(&owner, "valid").await;
    let shown = appliance.client().shown_certificate().await;
    authority.stop().await;
    owner.client.post("/nms/certificate/acme/retry", json!({})).await.expect(200);
    let failed = stands(&owner, "failed").await;
    let error = &failed["acme"]["lastError"];
    assert_eq!(error["check"], "directory", "{error}");
    assert!(error["what"].as_str().expect("a sentence").contains("does not take connections"));
    assert!(failed["acme"]["nextAttempt"].as_str() > failed["acme"]["lastSuccess"].as_str());
    assert_eq!(failed["shown"], first["shown"]);
    assert_eq!(appliance.client().shown_certificate().await, shown);
    owner.logged("No new certificate for box.test").await;
    // It comes back and has forgotten the account.
    authority.start_again(&options).await;
    owner.client.post("/nms/certificate/acme/retry", json!({})).await.expect(200);
    renewed(&owner, &first["shown"][0]["serial"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_what_keeps_an_authority_from_giving_a_certificate_is_told_in_plain_words() {
    let (appliance, owner) = appliance().await;
    let before = appliance.client().shown_certificate().await;
    let good = looking_at(&appliance);
    let mut authority = Pebble::start(&good).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed_port = closed.local_addr().expect("its address").port();
    drop(closed);
    let another = Appliance::start().await;
    let refused = Some("refused.test".to_owned());
    let cases = [
        ("http", "could not reach", PebbleOptions { http_port: closed_port, ..good.clone() }),
        (
            "http",
            "not this appliance",
            PebbleOptions { http_port: another.http().port(), ..good.clone() },
        ),
        ("dns", "no address", PebbleOptions { names_known: false, ..good.clone() }),
        ("other", "gives no certificate", PebbleOptions { refused, ..good.clone() }),
    ];
    for (check, words, options) in cases {
        authority.start_again(&options).await;
        let name = if check == "other" { "box.refused.test" } else { "box.test" };
        let asked = wanted(&authority, &[name], "http-01");
        owner.client.put("/nms/certificate/acme", asked).await.expect(200);
        let failed = stands(&owner, "failed").await;
        let error = &failed["acme"]["lastError"];
        assert_eq!(error["check"], check, "{error}\n{}", authority.printed());
        assert!(error["what"].as_str().expect("a sentence").contains(words), "{error}");
        assert!(error["todo"].as_str().expect("a sentence").len() > 20, "{error}");
        assert!(!error["detail"].as_str().expect("text").is_empty(), "{error}");
        assert_eq!(appliance.client().shown_certificate().await, before, "{check}");
    }
    // Nothing is waited for after an attempt, whatever came of it.
    let path = "/.well-known/acme-challenge/anything";
    let plain = aerie_tests::Client::new(appliance.http());
    assert_eq!(plain.send_plain(Method::GET, "box.test", path).await.status, 404);
    assert_eq!(plain.send_plain(Method::POST, "box.test", path).await.status, 308);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_authority_is_asked_only_where_an_admin_allows_it() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let authority = Pebble::start(&looking_at(&appliance)).await;
    let asked = wanted(&authority, &["box.test"], "http-01");
    let refused = owner.client.put("/nms/certificate/acme", asked.clone()).await.expect(400);
    assert!(refused.text().contains("127.0.0.1"), "{}", refused.text());
    let mut without = asked.clone();
    without["termsAgreed"] = json!(false);
    owner.client.put("/nms/certificate/acme", without).await.expect(400);
    owner.client.put("/nms/outbound", json!({"allowed": ["127.0.0.1/32"]})).await.expect(200);
    // An authority with a certificate that nobody vouches for is not believed.
    let mut rootless = asked;
    rootless["extraRoot"] = Value::Null;
    owner.client.put("/nms/certificate/acme", rootless).await.expect(200);
    let failed = stands(&owner, "failed").await;
    let what = failed["acme"]["lastError"]["what"].as_str().expect("a sentence").to_owned();
    assert!(what.contains("does not convince"), "{what}");
    assert_eq!(owner.client.get("/nms/certificate").await.json()["acme"]["hasExtraRoot"], false);
    let checks = owner.client.post("/nms/certificate/acme/check", json!({"names": ["localhost"]}));
    assert_eq!(checks.await.expect(200).json()["checks"][0]["ok"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_the_set_up_asks_for_a_certificate_where_that_is_possible() {
    let appliance = Appliance::start().await;
    let mut request = aerie_tests::setup_request(&appliance.setup_code());
    request["useLetsEncrypt"] = json!(true);
    // localhost is no name that anybody could certify.
    let answer = appliance.client().post("/nms/setup", request).await.expect(200);
    assert_eq!(answer.json()["isLetsEncryptError"], true);
    let owner = appliance.log_in().await;
    assert_eq!(owner.client.get("/nms/certificate").await.json()["mode"], "selfSigned");
}
