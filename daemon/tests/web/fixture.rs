//! An appliance without its front door: all rooms up to the web, on a store in memory.

use std::sync::Arc;
use std::time::Duration;

use aerie::accounts::Accounts;
use aerie::clock::{Clock, ClockHand};
use aerie::config::Config;
use aerie::devices::connection_key::ConnectionKeys;
use aerie::devices::events::Events;
use aerie::devices::rotation::Rotation;
use aerie::devices::{Devices, Ground, Tuning, rotation};
use aerie::edge::{Accepting, Certificates, Foundation, Opening, Ports, Security};
use aerie::jobs::Jobs;
use aerie::outbound::Outbound;
use aerie::seal::Seal;
use aerie::store::Store;
use aerie::store::records::DeviceRecord;
use aerie::store::tables::{DEVICE_KEYS, DEVICES};
use aerie::supervisor::Supervisor;
use aerie::vault::Vault;
use aerie::vault::credentials::Credentials;
use aerie::web::{Rooms, StoreProbe, router};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

/// Where every call of the network API begins.
pub(crate) const API: &str = "/nms/api/v2.1";
/// The password of every account here.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// What the clock says at first.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// All rooms up to the web.
pub(crate) struct Appliance {
    pub(crate) router: Router,
    pub(crate) devices: Devices,
    pub(crate) clock: ClockHand,
    data: TempDir,
    _supervisor: Supervisor,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            panic!("{}: {:?}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// Panics unless the status is this one; hands the body on.
    pub(crate) fn expect(self, status: u16) -> Value {
        let shown = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status.as_u16(), status, "{shown}");
        self.json()
    }

    /// Panics unless it is a refusal of this kind, in the shape of all refusals.
    pub(crate) fn refused(self, status: u16, error: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["statusCode"], status);
        assert_eq!(body["error"], error);
        let message = body["message"].as_str().expect("a message");
        assert!(message.ends_with('.') && message.len() > 10, "no sentence: {message:?}");
        assert_eq!(body.as_object().expect("an object").len(), 3);
        body
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn keep(store: &Store, records: &[(Uuid, DeviceRecord)]) {
    for (id, record) in records.iter().cloned() {
        store
            .write(move |writer| {
                writer.put(DEVICE_KEYS, &record.public_key, &id)?;
                writer.put(DEVICES, &id, &record)
            })
            .await
            .expect("a device");
    }
}

impl Appliance {
    /// Nobody has set it up yet.
    pub(crate) async fn new() -> Self {
        Self::with_devices(&[]).await
    }

    /// Nobody has set it up yet, and yet it knows these devices.
    pub(crate) async fn with_devices(records: &[(Uuid, DeviceRecord)]) -> Self {
        let store = Store::memory().expect("a store");
        keep(&store, records).await;
        let data = TempDir::new().expect("a folder");
        let (clock, hand) = Clock::manual(NOW);
        let supervisor = Supervisor::new();
        let seal = Seal::open(data.path()).expect("a seal");
        let accounts =
            Accounts::start(store.clone(), &seal, clock.clone(), data.path(), &supervisor)
                .await
                .expect("accounts");
        accounts.set_bcrypt_cost(4);
        let keys = ConnectionKeys::load(&store, &seal).await.expect("keys");
        let events = Events::load(store.clone(), clock.clone(), &supervisor).await.expect("a log");
        let outbound = Outbound::load(&store).await.expect("the way out");
        let foundation = Foundation {
            store: store.clone(),
            seal,
            clock: clock.clone(),
            outbound: outbound.clone(),
        };
        let certificates = Certificates::load(&foundation, None, None).await.expect("certificates");
        let ground = Ground { store: store.clone(), clock: clock.clone(), keys, events };
        let devices =
            Devices::start(ground, Tuning::default(), &supervisor).await.expect("devices");
        let probed = store.clone();
        let write = move || {
            let store = probed.clone();
            async move { store.probe().await.map_err(|error| error.to_string()) }
        };
        let credentials =
            Credentials::start(store.clone(), Vault::absent(), clock.clone(), &supervisor);
        let ground = rotation::Ground {
            devices: devices.clone(),
            store: store.clone(),
            vault: Vault::absent(),
            jobs: Jobs::new(store.clone(), clock.clone(), &supervisor),
            clock: clock.clone(),
        };
        let rotation = Rotation::start(ground, &supervisor).await.expect("rotation");
        let router = router(Rooms {
            accounts,
            credentials,
            rotation,
            ports: ports(&store).await,
            security: Security::load(&store).await.expect("settings"),
            certificates,
            outbound,
            devices: devices.clone(),
            clock,
            provisioning_faults: Arc::default(),
            accepting: Accepting::default(),
            store: StoreProbe::new(write, || 4_096),
            supervisor: supervisor.clone(),
        });
        Self { router, devices, clock: hand, data, _supervisor: supervisor }
    }

    pub(crate) fn setup_code(&self) -> String {
        std::fs::read_to_string(self.data.path().join("setup-code")).expect("the set-up code")
    }

    /// Makes the first account and returns its token.
    pub(crate) async fn set_up(&self) -> String {
        let answer = self.post("/nms/setup", None, setup_body(self.setup_code().trim())).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.json());
        answer.header("x-auth-token").to_owned()
    }

    /// Makes an account that may only look, and returns its token. After the set-up.
    pub(crate) async fn looker(&self) -> String {
        self.person("looker", "guest").await;
        self.log_in("looker").await
    }

    /// Makes an account with the password of all, and returns its id. After the set-up.
    pub(crate) async fn person(&self, name: &str, role: &str) -> String {
        let owner = self.log_in("owner").await;
        let body = json!({
            "username": name, "email": format!("{name}@example.net"), "password": PASSWORD,
            "role": role, "aerie": {"forceChangePassword": false},
        });
        let made = self.post("/users", Some(&owner), body).await.expect(200);
        made["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn log_in(&self, name: &str) -> String {
        let body = json!({"username": name, "password": PASSWORD});
        let answer = self.post("/user/login", None, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.json());
        answer.header("x-auth-token").to_owned()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, &format!("{API}{path}"), Some(token), None).await
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.call(Method::POST, &format!("{API}{path}"), token, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(Method::PUT, &format!("{API}{path}"), Some(token), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        self.call(Method::DELETE, &format!("{API}{path}"), Some(token), None).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("x-auth-token", token);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).expect("a request")).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 16 << 20).await.expect("a body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Puts the clock beyond the time in which a login counts as fresh.
    pub(crate) fn grow_old(&self) {
        self.clock.advance(Duration::from_secs(301));
    }
}

/// The body that makes the first account.
pub(crate) fn setup_body(code: &str) -> Value {
    json!({
        "setupCode": code,
        "hostname": "aerie.example",
        "useLetsEncrypt": false,
        "eulaConfirmed": true,
        "user": {
            "username": "owner",
            "email": "owner@example.net",
            "timezone": "Europe/Vienna",
            "country": "AT",
            "password": PASSWORD,
        },
    })
}

/// An authorised device as the store keeps it.
pub(crate) fn device(number: u8, site: Option<Uuid>) -> (Uuid, DeviceRecord) {
    let text = |name: &str| format!("{name}-{number}");
    let record = DeviceRecord {
        public_key: [number; 32],
        mac: [2, 0, 0, 0, 0, number],
        alias: String::new(),
        note: String::new(),
        maintenance: false,
        hostname: text("host"),
        model: "x86".to_owned(),
        vendor: "QEMU".to_owned(),
        firmware_version: "Debian 12".to_owned(),
        agent_version: "0.1.0".to_owned(),
        serial_number: String::new(),
        architecture: "x86_64".to_owned(),
        addresses: vec![format!("192.0.2.{number}/24")],
        role: if number.is_multiple_of(2) { "ap" } else { "router" }.to_owned(),
        terminal_allowed: true,
        site,
        verified: true,
        generation: [1; 4],
        first_seen: NOW.as_millisecond() + i64::from(number),
        last_seen: NOW.as_millisecond(),
        authorized_at: NOW.as_millisecond(),
        authorized_by: None,
        refresh_until: None,
        came_by: None,
    };
    (Uuid::from_u128(u128::from(number)), record)
}

/// Shares an appliance between tasks.
pub(crate) type Shared = Arc<Appliance>;

/// Ports that are open and that nobody keeps: what is asked of them is refused.
async fn ports(store: &Store) -> Ports {
    let anywhere = vec!["127.0.0.1:0".parse().expect("an address")];
    let mut config = Config::default();
    config.http.listen.clone_from(&anywhere);
    config.https.listen = anywhere;
    Opening::open(&config, store, Vec::new()).await.expect("ports").1
}
