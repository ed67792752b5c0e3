//! Roles as a wall: every call of the appliance's own list, made by everybody who might make it.

use aerie_tests::{Answer, Appliance, Client, Owner, Route};
use hyper::Method;
use serde_json::json;

/// Nothing has this id.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Who calls.
struct Caller {
    name: &'static str,
    header: &'static str,
    secret: String,
    kind: Kind,
    admin: bool,
    /// May do what is risky, now.
    proven: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Login,
    Token,
    AppKey,
}

impl Caller {
    async fn calls(&self, client: &Client, route: &Route) -> Answer {
        let path = route.path.replace("{id}", NOBODY);
        client.ask(&route.method, &path, &[(self.header, &self.secret)]).await
    }

    /// The status and the word with which the table keeps this caller out, if it does.
    fn kept_out(&self, route: &Route) -> Option<(u16, &'static str)> {
        let access = route.access.as_str();
        let (crm, reads) = (access == "Crm", route.method == Method::GET);
        match self.kind {
            Kind::AppKey if !crm => return Some((401, "WrongKindOfKey")),
            Kind::Token if crm => return Some((401, "WrongKindOfKey")),
            Kind::Token if access == "Own" => return Some((403, "LoginNeeded")),
            _ => {}
        }
        if !self.admin && (access == "Admin" || crm && !reads) {
            return Some((403, "Forbidden"));
        }
        let word = if self.kind == Kind::Token { "TokenMayNot" } else { "StepUpRequired" };
        (route.step_up && !self.proven).then_some((403, word))
    }
}

fn login(name: &'static str, client: &Client, admin: bool) -> Caller {
    let secret = client.token().expect("a token").to_owned();
    // It is younger than five minutes.
    Caller { name, header: "x-auth-token", secret, kind: Kind::Login, admin, proven: true }
}

async fn token(owner: &Owner, name: &'static str, scope: &str, risky: bool) -> Caller {
    let networks: &[&str] = if risky { &["127.0.0.0/8", "::1"] } else { &[] };
    let secret = owner.token(scope, json!({"stepUp": risky, "addresses": networks})).await;
    let admin = scope != "guest";
    Caller { name, header: "a-auth-token", secret, kind: Kind::Token, admin, proven: risky }
}

async fn app_key(owner: &Owner, name: &'static str, scope: &str) -> Caller {
    let secret = owner.token(scope, json!({"kind": "app-key"})).await;
    let admin = scope == "write";
    Caller { name, header: "x-auth-app-key", secret, kind: Kind::AppKey, admin, proven: false }
}

async fn everybody(appliance: &Appliance, owner: &Owner) -> Vec<Caller> {
    owner.person("looker", "guest").await;
    let looker = appliance.log_in_as("looker", aerie_tests::PASSWORD).await;
    vec![
        login("who may look", &looker, false),
        token(owner, "a token that looks", "guest", false).await,
        token(owner, "a token that changes things", "admin", false).await,
        token(owner, "a token for risky acts", "superadmin", true).await,
        app_key(owner, "an app key that reads", "read").await,
        app_key(owner, "an app key that writes", "write").await,
        login("the owner", &owner.client, true),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_every_call_keeps_out_whom_the_table_keeps_out_and_nobody_else() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let everybody = everybody(&appliance, &owner).await;
    let client = appliance.client();
    let (mut refused, mut let_in) = (0, 0);
    for route in appliance.routes().await {
        // What ends the login that the walk itself needs is asked last, below.
        if route.access == "Public" || route.path.ends_with("/logout") {
            continue;
        }
        for caller in &everybody {
            let what = format!("{} {} by {}", route.method, route.path, caller.name);
            let answer = caller.calls(&client, &route).await;
            if let Some((status, word)) = caller.kept_out(&route) {
                assert_eq!(answer.status, status, "{what}: {}", answer.text());
                assert_eq!(answer.json()["error"], word, "{what}: {}", answer.text());
                refused += 1;
            } else {
                let shut = [401, 403, 405, 500].contains(&answer.status);
                assert!(!shut, "{what}: {} {}", answer.status, answer.text());
                let_in += 1;
            }
        }
    }
    assert!(refused > 150 && let_in > 150, "{refused} refused, {let_in} let in");
    for caller in &everybody {
        let route = appliance.routes().await.into_iter().find(|one| one.path.ends_with("/logout"));
        let answer = caller.calls(&client, &route.expect("a logout")).await;
        let status = match caller.kind {
            Kind::Login => 200,
            Kind::Token => 403,
            Kind::AppKey => 401,
        };
        assert_eq!(answer.status, status, "{}: {}", caller.name, answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_a_call_without_a_token_by_get_or_by_a_foreign_page_is_refused() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let token = ("x-auth-token", owner.client.token().expect("a token"));
    let client = appliance.client();
    let routes = appliance.routes().await;
    let gets = |path: &str| routes.iter().any(|one| one.method == Method::GET && one.path == path);
    let mut changing = 0;
    for route in routes.iter().filter(|route| route.method != Method::GET) {
        let (what, path) =
            (format!("{} {}", route.method, route.path), route.path.replace("{id}", NOBODY));
        changing += 1;
        if route.access != "Public" {
            let nobody = client.ask(&route.method, &path, &[]).await;
            assert_eq!(nobody.status, 401, "{what}: {}", nobody.text());
            let query = format!("{path}?x-auth-token={}", token.1);
            let cookie = format!("x-auth-token={}", token.1);
            let smuggled = client.ask(&route.method, &query, &[("cookie", &cookie)]).await;
            assert_eq!(smuggled.status, 401, "{what}: {}", smuggled.text());
        }
        if !gets(&route.path) {
            let got = client.ask(&Method::GET, &path, &[token]).await;
            assert_eq!(got.status, 405, "{what} by GET: {}", got.text());
        }
        for foreign in [("origin", "https://evil.example"), ("origin", "null")] {
            let answer = client.ask(&route.method, &path, &[token, foreign]).await;
            assert_eq!(answer.status, 403, "{what}: {}", answer.text());
            assert_eq!(answer.json()["error"], "ForeignOrigin", "{what}");
        }
        let asked = [("origin", "https://evil.example"), ("access-control-request-method", "PUT")];
        let preflight = client.ask(&Method::OPTIONS, &path, &asked).await;
        assert!(!(200..300).contains(&preflight.status), "{what}: {}", preflight.status);
        assert_eq!(preflight.header("access-control-allow-origin"), None, "{what}");
    }
    assert!(changing > 40, "only {changing} calls change things");
    owner.client.get("/user").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_who_may_only_look_sees_no_secret_and_opens_no_terminal() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let _agent = aerie_tests::Agent::start(&owner.key);
    let device = owner.admit_one().await;
    let site = aerie_tests::id_of(&owner.client.get("/sites").await.expect(200).json()[0]);
    let me = owner.client.get("/user").await.expect(200).json();
    let everybody = everybody(&appliance, &owner).await;
    let key = owner.key.split('+').nth(1).expect("the key's secret").to_owned();
    let mut secrets: Vec<&str> = everybody.iter().map(|caller| caller.secret.as_str()).collect();
    secrets.extend([key.as_str(), "$2a$", "$2b$", "pepper", "BEGIN PRIVATE KEY"]);
    let ids = [device.as_str(), &site, me["id"].as_str().expect("an id"), NOBODY];
    let (client, mut read) = (appliance.client(), 0);
    let routes = appliance.routes().await;
    for caller in everybody.iter().filter(|caller| !caller.admin) {
        for route in routes.iter().filter(|route| route.method == Method::GET) {
            for id in ids {
                let path = route.path.replace("{id}", id);
                for query in ["", "?all=true", "?count=100&page=1"] {
                    let path = format!("{path}{query}");
                    let header = (caller.header, caller.secret.as_str());
                    let answer = client.ask(&Method::GET, &path, &[header]).await;
                    let text = answer.text();
                    let seen = secrets.iter().find(|secret| text.contains(**secret));
                    assert_eq!(seen, None, "{path} to {}", caller.name);
                    read += usize::from(answer.status == 200);
                }
            }
        }
    }
    assert!(read > 100, "only {read} answers were read");
    let wanted = json!({"route": "terminal", "deviceId": device});
    for caller in &everybody {
        let client = appliance.client().with_token(&caller.secret);
        let answer = client.post("/tickets", wanted.clone()).await;
        let may = caller.admin && caller.proven;
        assert_eq!(answer.status == 201, may, "{}: {}", caller.name, answer.text());
    }
}
