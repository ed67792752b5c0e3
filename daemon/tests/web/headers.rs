//! The headers that every answer carries, whichever route and whatever went wrong: walked from the router's own table.

use std::collections::BTreeSet;

use aerie::edge::headers::secure;
use aerie::web::listed;
use axum::body::Body;
use http::{HeaderMap, Method, Request};
use uuid::Uuid;

use super::fixture::{API, Answer, Appliance};

/// Panics unless the answer is as guarded as every answer must be.
fn guarded(name: &str, path: &str, answer: &Answer) {
    let mut wanted = HeaderMap::new();
    secure(&mut wanted);
    let name = format!("{name} ({})", answer.status);
    for (header, value) in &wanted {
        let found: Vec<_> = answer.headers.get_all(header).iter().collect();
        assert_eq!(found, [value], "{header} on {name}");
    }
    let stored = answer.header("cache-control");
    assert!(!stored.is_empty(), "no Cache-Control on {name}");
    if path.starts_with(API) {
        assert_eq!(stored, "no-store", "{name}");
    }
    for none in ["set-cookie", "server", "x-powered-by", "access-control-allow-origin"] {
        assert!(!answer.headers.contains_key(none), "{none} on {name}");
    }
}

/// A request of any shape.
async fn ask(
    appliance: &Appliance,
    method: &Method,
    path: &str,
    token: Option<&str>,
    body: &'static str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("x-auth-token", token);
    }
    appliance.send(request.body(Body::from(body)).expect("a request")).await
}

#[tokio::test]
async fn p6_every_route_carries_the_security_headers_however_it_answers() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let looker = appliance.looker().await;
    let mut seen = BTreeSet::new();
    for route in listed() {
        let path = route.path.replace("{id}", &Uuid::max().to_string());
        let not_its_own = Method::from_bytes(b"BREW").expect("a method");
        // What ends the owner's login is of no use for the rest of the walk.
        let ends = route.path.ends_with("/logout");
        let owner = if ends { "wrong" } else { owner.as_str() };
        for (method, token, body) in [
            (&route.method, None, ""),
            (&route.method, Some("wrong"), ""),
            (&route.method, Some(looker.as_str()).filter(|_| !ends), ""),
            (&route.method, Some(owner), ""),
            (&route.method, Some(owner), "{\"none\": "),
            (&not_its_own, Some(owner), ""),
            (&Method::OPTIONS, None, ""),
            (&Method::HEAD, Some(owner), ""),
        ] {
            let answer = ask(&appliance, method, &path, token, body).await;
            guarded(&format!("{method} {path}"), &path, &answer);
            seen.insert(answer.status.as_u16());
        }
    }
    // The walk met every kind of answer that it is for.
    for status in [200, 400, 401, 403, 404, 405] {
        assert!(seen.contains(&status), "no route answered {status}: {seen:?}");
    }
}

#[tokio::test]
async fn p6_what_is_no_route_carries_them_too() {
    let appliance = Appliance::new().await;
    for path in [
        "/",
        "/nms",
        "/nms/",
        "/nms/devices",
        "/nms/mark.svg",
        "/nms/assets/none-12345678.js",
        "/nms/../etc/passwd",
        "/nms/%2e%2e/%2e%2e/etc/passwd",
        "/.well-known/none",
        "/robots.txt",
        "/nms/api/v9/x",
        "/nms/api/v2.1/",
        "/crm/api/v1.0/clients",
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::TRACE] {
            let answer = ask(&appliance, &method, path, None, "").await;
            guarded(&format!("{method} {path}"), path, &answer);
        }
    }
    let path = format!("{API}/user/login");
    let long = Body::from(vec![b' '; 65 * 1024]);
    let request = Request::builder().method("POST").uri(&path).body(long).expect("a request");
    let answer = appliance.send(request).await;
    assert_eq!(answer.status, 413);
    guarded("a body that is too long", &path, &answer);
}
