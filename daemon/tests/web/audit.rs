//! Who did what, as admins see it.

use serde_json::{Value, json};

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
    let (looker, owner) = (&"looker".into(), &"owner".into());
    assert_eq!(told, [(looker, &"login".into()), (owner, &"account-made".into())]);
    assert_eq!(items[0]["address"], "127.0.0.1");
    let total = page["pagination"]["total"].as_u64().unwrap();
    assert_eq!(items[0]["id"], (total - 1).to_string());
    assert_eq!(page["pagination"]["pages"], total.div_ceil(2));
    assert_eq!(page["aggregation"]["chain"]["whole"], true);
    for query in ["who=OWNER&what=set-up", "who=owner@example.net&what=set-up,nothing&count=1"] {
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

#[tokio::test]
async fn what_admins_change_is_told_with_its_name_and_address() {
    let appliance = Appliance::new().await;
    let token = appliance.set_up().await;
    let site = appliance.post("/sites", Some(&token), json!({"name": "Hilltop"})).await.json();
    let path = format!("/sites/{}", site["id"].as_str().unwrap());
    appliance.delete(&path, &token).await.json();
    // What was refused is not told.
    appliance.delete(&path, &token).await.refused(404, "Not Found");
    let page = appliance.get("/nms/audit?what=site-made,site-deleted", &token).await.json();
    let told: Vec<(&Value, &Value, &Value)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["what"], &item["about"], &item["address"]))
        .collect();
    let (name, from) = (&json!("Hilltop"), &json!("127.0.0.1"));
    assert_eq!(told, [(&json!("site-deleted"), name, from), (&json!("site-made"), name, from)]);
}
