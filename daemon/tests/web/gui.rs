//! The GUI's files.

use http::{Method, StatusCode};

use super::fixture::Appliance;

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
