//! Devices over the API.

use http::Method;
use serde_json::json;
use uuid::Uuid;

use super::fixture::{API, Appliance, device};

async fn with_three() -> (Appliance, String) {
    let records: Vec<_> = (1..=3).map(|number| device(number, None)).collect();
    let appliance = Appliance::with_devices(&records).await;
    let owner = appliance.set_up().await;
    (appliance, owner)
}

fn id(number: u8) -> String {
    Uuid::from_u128(u128::from(number)).to_string()
}

#[tokio::test]
async fn the_list_holds_everything_in_the_published_shape() {
    let (appliance, owner) = with_three().await;
    let list = appliance.get("/devices", &owner).await.expect(200);
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 3);
    let first = &list[0];
    assert_eq!(first["identification"]["id"], id(1));
    assert_eq!(first["identification"]["name"], "host-1");
    assert_eq!(first["identification"]["mac"], "02:00:00:00:00:01");
    assert_eq!(first["identification"]["type"], "blackBox");
    assert_eq!(first["identification"]["status"], "disconnected");
    assert_eq!(first["identification"]["authorized"], true);
    assert_eq!(first["ipAddress"], "192.0.2.1/24");
    assert_eq!(first["enabled"], true);
    assert_eq!(first["overview"]["keyExchangeStatus"], "complete");
    assert_eq!(first["firmware"]["current"], "Debian 12");
    assert_eq!(first["aerie"]["verified"], true);
    assert!(first["overview"]["cpu"].is_null(), "it is not connected");
    assert!(first.get("interfaces").is_none(), "only where asked for");
    let one = appliance.get(&format!("/devices/{}", id(1)), &owner).await.expect(200);
    assert!(one["interfaces"].is_array());
    let detail = appliance.get(&format!("/devices/{}/detail", id(1)), &owner).await.expect(200);
    assert_eq!(one, detail);
}

#[tokio::test]
async fn the_list_can_be_narrowed() {
    let (appliance, owner) = with_three().await;
    let count = async |query: &str| {
        let list = appliance.get(&format!("/devices?{query}"), &owner).await.expect(200);
        list.as_array().unwrap().len()
    };
    assert_eq!(count("role=router").await, 2);
    assert_eq!(count("role=router&role=ap").await, 3);
    assert_eq!(count("role=station").await, 0);
    assert_eq!(count("role=gateway").await, 0, "a published role that no device has");
    assert_eq!(count("authorized=true").await, 3);
    assert_eq!(count("authorized=false").await, 0);
    assert_eq!(count("type=blackBox").await, 3);
    assert_eq!(count("type=airMax&type=onu").await, 0);
    assert_eq!(count(&format!("siteId={}", Uuid::max())).await, 0);
    let answer = appliance.get("/devices?authorized=perhaps", &owner).await;
    answer.refused(400, "Bad Request");
    let with = appliance.get("/devices?withInterfaces=true", &owner).await.expect(200);
    assert!(with[0]["interfaces"].is_array());
}

#[tokio::test]
async fn a_device_is_renamed_and_its_settings_read_back() {
    let (appliance, owner) = with_three().await;
    let path = format!("/devices/{}/system/unms", id(2));
    let body = json!({"overrideGlobal": false, "meta": {"alias": " Mast ", "maintenance": true}});
    let settings = appliance.put(&path, &owner, body).await.expect(200);
    assert_eq!(settings["meta"], json!({"alias": "Mast", "note": "", "maintenance": true}));
    assert_eq!(appliance.get(&path, &owner).await.expect(200), settings);
    let device = appliance.get(&format!("/devices/{}", id(2)), &owner).await.expect(200);
    assert_eq!(device["identification"]["displayName"], "Mast");
    assert_eq!(device["identification"]["hostname"], "host-2");
    let long = json!({"meta": {"alias": "x".repeat(31), "maintenance": false}});
    appliance.put(&path, &owner, long).await.refused(400, "Bad Request");
}

#[tokio::test]
async fn what_needs_a_connection_says_that_there_is_none() {
    let (appliance, owner) = with_three().await;
    for act in ["restart", "locate/start", "locate/stop"] {
        let path = format!("/devices/{}/{act}", id(1));
        let answer = appliance.post(&path, Some(&owner), json!({})).await;
        answer.refused(409, "DeviceOffline");
    }
    let both = json!({"ids": [id(1), id(2)]});
    let answer = appliance.post("/devices/bulkrestart", Some(&owner), both).await;
    answer.refused(409, "NothingDone");
    let none = json!({"ids": []});
    appliance.post("/devices/bulkrestart", Some(&owner), none).await.refused(400, "Bad Request");
}

#[tokio::test]
async fn a_refresh_opens_a_window_of_15_minutes() {
    let (appliance, owner) = with_three().await;
    let path = format!("/devices/{}", id(3));
    appliance.post(&format!("{path}/refresh"), Some(&owner), json!({})).await.expect(200);
    let device = appliance.get(&path, &owner).await.expect(200);
    assert!(device["aerie"]["refreshUntil"].is_string());
    appliance.clock.advance(std::time::Duration::from_mins(15));
    let device = appliance.get(&path, &owner).await.expect(200);
    assert!(device["aerie"]["refreshUntil"].is_null());
    let ids = json!({"deviceIds": [id(1), id(2)]});
    let old = appliance.post("/devices/refresh", Some(&owner), ids.clone()).await;
    old.refused(403, "StepUpRequired");
    let fresh = appliance.log_in("owner").await;
    appliance.post("/devices/refresh", Some(&fresh), ids).await.expect(200);
}

#[tokio::test]
async fn devices_are_deleted_one_by_one_and_many_at_once() {
    let (appliance, owner) = with_three().await;
    appliance.delete(&format!("/devices/{}", id(1)), &owner).await.expect(200);
    appliance.delete(&format!("/devices/{}", id(1)), &owner).await.refused(404, "Not Found");
    appliance.get(&format!("/devices/{}", id(1)), &owner).await.refused(404, "Not Found");
    let ids = json!({"ids": [id(2), id(9)]});
    let answer = appliance.post("/devices/bulkdelete", Some(&owner), ids).await.expect(200);
    assert_eq!(answer["deletedIds"], json!([id(2)]));
    assert_eq!(answer["undeletedIds"], json!([id(9)]));
    let list = appliance.get("/devices", &owner).await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let logs = appliance.get("/logs?count=5&page=1&query=deleted", &owner).await.expect(200);
    assert_eq!(logs["pagination"]["total"], 2, "{logs}");
}

#[tokio::test]
async fn statistics_need_no_more_than_the_interval() {
    let (appliance, owner) = with_three().await;
    let path = format!("/devices/{}/statistics", id(1));
    for query in ["", "?interval=hour", "?interval=hour&start=1&period=2"] {
        let statistics = appliance.get(&format!("{path}{query}"), &owner).await.expect(200);
        assert_eq!(statistics["period"], 60_000);
        for series in ["cpu", "ram", "temperature", "signal", "errors"] {
            let points = statistics[series]["avg"].as_array().unwrap();
            assert!(points.iter().all(|point| point["y"].is_null()), "nothing is known");
            assert!(statistics[series]["max"].is_array());
        }
        assert!(statistics["interval"]["end"].is_i64());
    }
    for later in ["day", "fortnight"] {
        let answer = appliance.get(&format!("{path}?interval={later}"), &owner).await;
        answer.refused(400, "Bad Request");
    }
}

#[tokio::test]
async fn the_log_is_paged_and_counted_by_level() {
    let (appliance, owner) = with_three().await;
    for number in 1..=3 {
        let path = format!("/devices/{}/refresh", id(number));
        appliance.post(&path, Some(&owner), json!({})).await.expect(200);
    }
    let page = appliance.get("/logs?count=2&page=2&tag=device", &owner).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["pagination"], json!({"total": 3, "count": 2, "page": 2, "pages": 2}));
    assert_eq!(page["aggregation"]["allCount"], 3);
    let one = format!("/logs?deviceId={}", id(2));
    let about = appliance.get(&one, &owner).await.expect(200);
    assert_eq!(about["items"][0]["device"]["id"], id(2));
    assert_eq!(about["items"][0]["level"], "info");
    for bad in ["count=0", "count=1001", "page=0", "level=loud", "deviceId=x"] {
        appliance.get(&format!("/logs?{bad}"), &owner).await.refused(400, "Bad Request");
    }
}

#[tokio::test]
async fn a_terminal_ticket_is_for_admins_who_have_just_proven_their_password() {
    let (appliance, owner) = with_three().await;
    let looker = appliance.looker().await;
    let body = json!({"route": "terminal", "deviceId": id(1)});
    appliance.post("/tickets", Some(&looker), body.clone()).await.refused(403, "Forbidden");
    let ticket = appliance.post("/tickets", Some(&owner), body.clone()).await.expect(201);
    assert_eq!(ticket["ticket"].as_str().unwrap().len(), 43);
    assert!(ticket["expiresAt"].is_string());
    let unknown = json!({"route": "terminal", "deviceId": id(9)});
    appliance.post("/tickets", Some(&owner), unknown).await.refused(404, "Not Found");
    let nothing = json!({"route": "terminal"});
    appliance.post("/tickets", Some(&owner), nothing).await.refused(400, "Bad Request");
    appliance
        .post("/tickets", Some(&owner), json!({"route": "x"}))
        .await
        .refused(400, "Bad Request");
    appliance.grow_old();
    appliance.post("/tickets", Some(&owner), body).await.refused(403, "StepUpRequired");
    let live = json!({"route": "live"});
    appliance.post("/tickets", Some(&looker), live).await.expect(201);
}

#[tokio::test]
async fn the_health_of_an_appliance_without_listeners_is_not_good() {
    let appliance = Appliance::new().await;
    let answer = appliance.call(Method::GET, "/healthz", None, None).await;
    assert_eq!(answer.status, 503);
    let told = String::from_utf8(answer.body).unwrap();
    assert!(!told.contains(env!("CARGO_PKG_VERSION")), "no version for strangers");
    let open = appliance.call(Method::GET, &format!("{API}/nms/version"), None, None).await;
    open.refused(401, "Unauthorized");
}
