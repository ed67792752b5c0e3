//! The GUI's files, and the headers on every answer.

use http::{Method, StatusCode};

use super::fixture::{API, Appliance};

#[tokio::test]
async fn every_kind_of_answer_carries_the_security_headers() {
    let appliance = Appliance::new().await;
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/nms/"),
        (Method::GET, "/nms/devices"),
        (Method::GET, "/nms/assets/none-12345678.js"),
        (Method::POST, "/nms/"),
        (Method::GET, "/healthz"),
        (Method::GET, "/nms/ws"),
        (Method::GET, "/nms/api/v2.1/nms/setup"),
        (Method::GET, "/nms/api/v2.1/devices"),
        (Method::GET, "/nms/api/v9/x"),
        (Method::OPTIONS, "/nms/api/v2.1/devices"),
    ] {
        let answer = appliance.call(method.clone(), path, None, None).await;
        let name = format!("{method} {path} ({})", answer.status);
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{name}");
        assert!(!answer.header("cache-control").is_empty(), "{name}");
        assert!(answer.headers.get("access-control-allow-origin").is_none(), "{name}");
        assert!(answer.headers.get("set-cookie").is_none(), "{name}");
        if path.starts_with(API) {
            assert_eq!(answer.header("cache-control"), "no-store", "{name}");
        }
    }
}

#[tokio::test]
async fn a_link_into_the_gui_is_its_page_and_an_unknown_call_is_json() {
    let appliance = Appliance::new().await;
    let get = async |path: &str| appliance.call(Method::GET, path, None, None).await;
    let home = get("/").await;
    assert_eq!((home.status, home.header("location")), (StatusCode::FOUND, "/nms/"));
    for link in ["/nms", "/nms/", "/nms/devices", "/nms/sites/1"] {
        let page = get(link).await;
        assert_eq!(page.status, 200, "{link}");
        assert!(page.header("content-type").starts_with("text/html"), "{link}");
        assert_eq!(page.header("cache-control"), "no-cache", "{link}");
    }
    for call in ["/nms/api", "/nms/api/v2.1/none", "/crm/api/v1.0/clients", "/nms/api/v2.1/"] {
        get(call).await.refused(404, "Not Found");
    }
    get("/nms/assets/none-12345678.js").await.refused(404, "Not Found");
    appliance.call(Method::POST, "/nms/", None, None).await.refused(405, "Method Not Allowed");
}
