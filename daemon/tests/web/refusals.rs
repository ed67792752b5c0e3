//! Who is refused, in which order, and how.

use aerie::web::{Access, StepUp, listed};
use axum::body::Body;
use http::{Method, Request};
use serde_json::json;
use uuid::Uuid;

use super::fixture::{API, Answer, Appliance};

/// What a call to a route comes to, with an id that nothing has and without a body.
async fn walk(appliance: &Appliance, method: &Method, path: &str, token: Option<&str>) -> Answer {
    let path = path.replace("{id}", &Uuid::max().to_string());
    appliance.call(method.clone(), &path, token, None).await
}

#[tokio::test]
async fn l1_every_route_refuses_whom_its_line_in_the_table_refuses() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let looker = appliance.looker().await;
    for route in listed() {
        let name = format!("{} {}", route.method, route.path);
        // A login that the walk itself ends is of no use for the rest of it.
        let ends = route.path.ends_with("/logout");
        let nobody = walk(&appliance, &route.method, route.path, None).await;
        let stranger = walk(&appliance, &route.method, route.path, Some("wrong")).await;
        if route.access == Access::Public {
            assert_ne!(nobody.status, 401, "{name}");
            assert_ne!(nobody.status, 403, "{name}");
            continue;
        }
        nobody.refused(401, "Unauthorized");
        stranger.refused(401, "Unauthorized");
        if ends {
            continue;
        }
        let looking = walk(&appliance, &route.method, route.path, Some(&looker)).await;
        let refused = [401, 403, 405, 500];
        if route.access == Access::Admin {
            looking.refused(403, "Forbidden");
        } else {
            assert!(!refused.contains(&looking.status.as_u16()), "{name}: {}", looking.status);
        }
        let owning = walk(&appliance, &route.method, route.path, Some(&owner)).await;
        assert!(!refused.contains(&owning.status.as_u16()), "{name}: {}", owning.status);
    }
}

#[tokio::test]
async fn a_risky_act_asks_an_old_login_for_the_password_again() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let looker = appliance.looker().await;
    appliance.grow_old();
    let mut risky = 0;
    for route in listed().into_iter().filter(|route| route.step_up == StepUp::Yes) {
        risky += 1;
        let refused = walk(&appliance, &route.method, route.path, Some(&owner)).await;
        refused.refused(403, "StepUpRequired");
        // The role is looked at first.
        if route.access == Access::Admin {
            let looking = walk(&appliance, &route.method, route.path, Some(&looker)).await;
            looking.refused(403, "Forbidden");
        }
    }
    assert!(risky >= 20, "accounts, tokens, deletions, bulk commands, ports and certificates");
    let wrong = json!({"password": "no, not this one at all"});
    appliance.post("/user/step-up", Some(&owner), wrong).await.refused(400, "PasswordWrong");
    let right = json!({"password": super::fixture::PASSWORD});
    appliance.post("/user/step-up", Some(&owner), right).await.expect(200);
    for route in listed().into_iter().filter(|route| route.step_up == StepUp::Yes) {
        let allowed = walk(&appliance, &route.method, route.path, Some(&owner)).await;
        assert_ne!(allowed.status, 403, "{}", route.path);
    }
}

#[tokio::test]
async fn refusals_come_in_the_order_of_the_design() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let looker = appliance.looker().await;
    let path = format!("/devices/{}/authorize", Uuid::max());
    let wrong = json!({"siteId": 5});
    // 404 and 405 before 401.
    appliance.get("/nowhere", "wrong").await.refused(404, "Not Found");
    let answer = appliance.delete("/nms/setup", "wrong").await;
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    answer.refused(405, "Method Not Allowed");
    // 401, 403, 400, 404 for one and the same call.
    appliance.post(&path, None, wrong.clone()).await.refused(401, "Unauthorized");
    appliance.post(&path, Some(&looker), wrong.clone()).await.refused(403, "Forbidden");
    let told = appliance.post(&path, Some(&owner), wrong).await.refused(400, "Bad Request");
    assert!(told["message"].as_str().unwrap().contains("siteId"), "{told}");
    let unknown = json!({"siteId": Uuid::max()});
    appliance.post(&path, Some(&owner), unknown).await.refused(404, "Not Found");
}

#[tokio::test]
async fn an_id_that_is_none_is_not_found() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    for path in ["/devices/abc", "/devices/abc/statistics", "/devices/1/interfaces", "/sites/x"] {
        appliance.get(path, &owner).await.refused(404, "Not Found");
    }
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_in_words() {
    let appliance = Appliance::new().await;
    let send = |body: Body| {
        let path = format!("{API}/user/login");
        let request = Request::builder().method("POST").uri(path).body(body).unwrap();
        appliance.send(request)
    };
    send(Body::empty()).await.refused(400, "Bad Request");
    send(Body::from("{")).await.refused(400, "Bad Request");
    send(Body::from("[1]")).await.refused(400, "Bad Request");
    let told = send(Body::from(r#"{"username":"x"}"#)).await.refused(400, "Bad Request");
    assert!(told["message"].as_str().unwrap().contains("password"), "{told}");
    send(Body::from(vec![b' '; 65 * 1024])).await.refused(413, "Payload Too Large");
}

#[tokio::test]
async fn l1_both_spellings_of_the_header_carry_the_token() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    for name in ["x-auth-token", "X-Auth-Token", "A-Auth-Token"] {
        let request = Request::builder()
            .uri(format!("{API}/user"))
            .header(name, &owner)
            .body(Body::empty())
            .unwrap();
        let user = appliance.send(request).await.expect(200);
        assert_eq!(user["username"], "owner");
    }
    // A cookie or a query is no header: another page could make a browser send them.
    let request = Request::builder()
        .uri(format!("{API}/user?x-auth-token={owner}"))
        .header("cookie", format!("x-auth-token={owner}"))
        .body(Body::empty())
        .unwrap();
    appliance.send(request).await.refused(401, "Unauthorized");
}
