//! Sites over the API.

use serde_json::json;
use uuid::Uuid;

use super::fixture::{Appliance, device};

#[tokio::test]
async fn a_site_is_made_changed_and_deleted() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let new = json!({
        "name": "Mast 1", "address": "Hill 3", "contactName": "Anna",
        "location": {"latitude": 47.1, "longitude": 15.4},
    });
    let site = appliance.post("/sites", Some(&owner), new).await.expect(200);
    let path = format!("/sites/{}", site["id"].as_str().unwrap());
    assert_eq!(site["identification"]["name"], "Mast 1");
    assert_eq!(site["identification"]["type"], "site");
    assert_eq!(site["identification"]["status"], "inactive");
    assert_eq!(site["description"]["contact"]["name"], "Anna");
    assert_eq!(site["description"]["location"]["latitude"], 47.1);
    assert_eq!(site["notifications"], json!({"type": "system", "users": []}));
    assert_eq!(site["qos"]["enabled"], false);
    assert_eq!(appliance.get(&path, &owner).await.expect(200), site);
    // The whole object back, as scripts send it, with one field changed.
    let mut whole = site.clone();
    whole["identification"]["name"] = json!("Mast One");
    whole["description"]["contact"] = json!(null);
    let changed = appliance.put(&path, &owner, whole).await.expect(200);
    assert_eq!(changed["identification"]["name"], "Mast One");
    assert!(changed["description"]["contact"].is_null());
    assert_eq!(changed["description"]["address"], "Hill 3");
    let list = appliance.get("/sites", &owner).await.expect(200);
    assert_eq!(list, json!([changed]));
    appliance.delete(&path, &owner).await.expect(200);
    appliance.get(&path, &owner).await.refused(404, "Not Found");
    appliance.delete(&path, &owner).await.refused(404, "Not Found");
    let logs = appliance.get("/logs?tag=site", &owner).await.expect(200);
    assert_eq!(logs["pagination"]["total"], 3);
}

#[tokio::test]
async fn a_site_that_cannot_be_is_refused() {
    let appliance = Appliance::new().await;
    let owner = appliance.set_up().await;
    let refused =
        async |body| appliance.post("/sites", Some(&owner), body).await.refused(400, "Bad Request");
    refused(json!({})).await;
    refused(json!({"name": " "})).await;
    refused(json!({"name": "x", "type": "endpoint"})).await;
    refused(json!({"name": "x", "location": {"latitude": 91, "longitude": 0}})).await;
    refused(json!({"name": "x", "parentSiteId": Uuid::max()})).await;
    refused(json!({"name": "x".repeat(101)})).await;
}

#[tokio::test]
async fn devices_are_authorised_to_a_site_and_keep_it_from_being_deleted() {
    let devices = [device(1, None), device(2, None)];
    let appliance = Appliance::with_devices(&devices).await;
    let owner = appliance.set_up().await;
    let site = appliance.post("/sites", Some(&owner), json!({"name": "Mast"})).await.expect(200);
    let ids = [devices[0].0, devices[1].0];
    let body = json!({"siteId": site["id"], "deviceIds": ids});
    appliance.post("/devices/authorize", Some(&owner), body).await.expect(200);
    let here = format!("/devices?siteId={}", site["id"].as_str().unwrap());
    let list = appliance.get(&here, &owner).await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[0]["identification"]["site"]["name"], "Mast");
    let path = format!("/sites/{}", site["id"].as_str().unwrap());
    let now = appliance.get(&path, &owner).await.expect(200);
    assert_eq!(now["identification"]["status"], "disconnected");
    assert_eq!(now["description"]["deviceCount"], 2);
    assert_eq!(now["description"]["deviceOutageCount"], 2);
    assert_eq!(now["description"]["ipAddresses"], json!(["192.0.2.1/24", "192.0.2.2/24"]));
    appliance.delete(&path, &owner).await.refused(409, "SiteNotEmpty");
    let nowhere = json!({"siteId": Uuid::max(), "deviceIds": ids});
    appliance.post("/devices/authorize", Some(&owner), nowhere).await.refused(404, "Not Found");
}
