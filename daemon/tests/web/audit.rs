//! Who did what, as admins see it.

use serde_json::Value;

use super::fixture::Appliance;

#[tokio::test]
async fn the_audit_log_comes_in_pages_with_names_and_its_chain() {
    let appliance = Appliance::new().await;
    let token = appliance.set_up().await;
    let looker = appliance.looker().await;
    appliance.get("/nms/audit", &looker).await.refused(403, "Forbidden");
    let page = appliance.get("/nms/audit?count=2", &token).await.json();
    let items = page["items"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> =
        items.iter().map(|item| (&item["whoName"], &item["what"])).collect();
    assert_eq!(told, [(&"looker".into(), &"login".into()), (&"owner".into(), &"login".into())]);
    assert_eq!(items[0]["address"], "127.0.0.1");
    assert_eq!(items[0]["id"], "2");
    assert_eq!(page["pagination"]["total"], 3);
    assert_eq!(page["pagination"]["pages"], 2);
    assert_eq!(page["aggregation"]["chain"]["whole"], true);
    for query in ["who=OWNER&what=set-up", "who=owner@example.net&what=set-up,login&page=2&count=1"]
    {
        let page = appliance.get(&format!("/nms/audit?{query}"), &token).await.json();
        assert_eq!(page["items"][0]["what"], "set-up", "{query}");
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{query}");
    }
    let long = format!("who={}", "o".repeat(129));
    for query in ["count=0", "count=501", "page=0", "page=100001", "count=x", &long] {
        let path = format!("/nms/audit?{query}");
        appliance.get(&path, &token).await.refused(400, "Bad Request");
    }
}
