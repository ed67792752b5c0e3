//! How long a login lives.

use aerie_tests::{Appliance, PASSWORD};
use serde_json::{Value, json};

/// Minutes from the last use of the present login to its end, and from its beginning to its last.
async fn minutes(client: &aerie_tests::Client) -> (i64, i64) {
    let list = client.get("/token").await.expect(200).json();
    let here = |item: &&Value| item["currentSession"] == true;
    let here = list.as_array().expect("a list").iter().find(here).expect("it").clone();
    let time = |field: &str| {
        let text = here[field].as_str().unwrap_or_else(|| panic!("no {field} in {here}"));
        text.parse::<jiff::Timestamp>().expect("a time").as_second()
    };
    let idle = time("expiresAt") - time("lastUsed");
    (idle / 60, (time("maxExpiresAt") - time("createdAt")) / 60)
}

#[tokio::test(flavor = "multi_thread")]
async fn l2_an_account_chooses_the_idle_time_of_its_next_logins() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let month = 30 * 24 * 60;
    assert_eq!(minutes(&owner.client).await, (24 * 60, month), "a day, unless somebody chooses");
    // A number, or a number as text.
    for (wanted, given) in
        [(json!(1_800_000), 30), (json!("7200000"), 120), (json!(2_592_000_000_u64), month)]
    {
        let me = owner.client.put("/user", json!({"sessionTimeout": wanted})).await.expect(200);
        assert_eq!(me.json()["sessionTimeout"], given * 60_000);
        let login = appliance.log_in_as("owner", PASSWORD).await;
        assert_eq!(minutes(&login).await, (given, month));
    }
    for bad in
        [json!(1), json!(1_799_999), json!(2_592_000_001_u64), json!("soon"), json!(-1), json!([])]
    {
        owner.client.put("/user", json!({"sessionTimeout": bad})).await.expect(400);
    }
    for keep in [json!(0), json!("0"), Value::Null] {
        let me = owner.client.put("/user", json!({"sessionTimeout": keep})).await.expect(200);
        assert_eq!(me.json()["sessionTimeout"], 2_592_000_000_u64);
    }
    assert_eq!(minutes(&owner.client).await, (24 * 60, month), "a login keeps what it began with");
    // Of one login, and by an admin for somebody else.
    let body = json!({"username": "owner", "password": PASSWORD, "sessionTimeout": "3600000"});
    let answer = appliance.client().post("/user/login", body).await.expect(200);
    let login = appliance.client().with_token(answer.header("x-auth-token").expect("a token"));
    assert_eq!(minutes(&login).await, (60, month));
    let id = owner.person("nina", "guest").await;
    let change = json!({"aerie": {"sessionTimeout": 3_600_000}});
    owner.client.put(&format!("/users/{id}"), change).await.expect(200);
    assert_eq!(minutes(&appliance.log_in_as("nina", PASSWORD).await).await, (60, month));
}
