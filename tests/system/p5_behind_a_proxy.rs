//! nginx in front of the appliance, as people who share one address among several servers have it.

use aerie_tests::{Agent, Appliance, Client, LiveSocket, Nginx, Owner, open_socket, until};
use serde_json::{Value, json};

/// nginx as its own documentation has it for such sockets: <https://nginx.org/en/docs/http/websocket.html>.
async fn in_front_of(appliance: &Appliance) -> Nginx {
    let http = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";
    let location = format!(
        "proxy_pass https://{}; proxy_http_version 1.1; proxy_set_header Host $http_host; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_read_timeout 60s;",
        appliance.https()
    );
    Nginx::start(http, &location).await
}

async fn logins_told(owner: &Owner) -> Vec<String> {
    let logs = owner.client.get("/logs?count=100&page=1").await.expect(200).json();
    let messages = logs["items"].as_array().expect("items").iter();
    let messages = messages.filter_map(|item| item["message"].as_str());
    messages.filter(|message| message.contains("logged in from")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_people_and_devices_come_through_a_proxy_at_its_name_and_port() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let nginx = in_front_of(&appliance).await;

    // Until the proxy is trusted, what it says of its clients is not believed.
    let outside = Client::new(nginx.address());
    let credentials = json!({"username": "owner", "password": aerie_tests::PASSWORD});
    outside.post("/user/login", credentials.clone()).await.expect(200);
    let told =
        until("the login is told", async || logins_told(&owner).await.into_iter().next()).await;
    assert!(told.ends_with("from 127.0.0.1."), "{told}");

    let mut wanted = owner.client.get("/nms/ports").await.expect(200).json()["applied"].clone();
    wanted["trustedProxies"] = json!(["127.0.0.1/32"]);
    wanted["informHost"] = json!("localhost");
    wanted["informPort"] = json!(nginx.address().port());
    owner.client.put("/nms/ports", wanted).await.expect(200);
    let key = owner.client.get("/nms/connection").await.expect(200).json();
    let key = key.as_str().expect("a key").to_owned();
    assert!(key.starts_with(&format!("wss://localhost:{}+", nginx.address().port())), "{key}");

    // From another address of this machine: the client's own, and not what it claims of itself.
    let elsewhere = login_from("127.0.0.9", &nginx, &credentials).await;
    let told = until("the login is told with its own address", async || {
        logins_told(&owner).await.into_iter().find(|message| message.contains("127.0.0.9"))
    })
    .await;
    assert!(told.ends_with("from 127.0.0.9."), "{told}");

    // The device's channel and the browser's socket go through it as well.
    let _agent = Agent::start(&key);
    let through = Owner { client: Client::new(nginx.address()).with_token(&elsewhere), key };
    let id = through.next_waiting().await;
    let site = through.site("Hilltop").await;
    through.authorise(&id, &site).await;
    through.sees_status(&id, "active").await;
    let mut live = LiveSocket::open(&through).await;
    live.next_of("hello").await;
    assert!(open_socket(&through.client, "/nms/nowhere").await.is_err());
}

/// Logs in through nginx with curl, which can choose the address that it comes from, and lies about it.
async fn login_from(address: &str, nginx: &Nginx, credentials: &Value) -> String {
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--include", "--interface", address])
        .args([
            "--header",
            "X-Forwarded-For: 203.0.113.66",
            "--header",
            "Content-Type: application/json",
        ])
        .args(["--data", &credentials.to_string()])
        .arg(format!("https://{}/nms/api/v2.1/user/login", nginx.address()));
    let printed = aerie_tests::run_tool(curl).await;
    let token = printed.output.lines().find_map(|line| line.strip_prefix("x-auth-token: "));
    token.unwrap_or_else(|| panic!("no token: {}", printed.everything)).trim().to_owned()
}
