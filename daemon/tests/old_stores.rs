//! Stores that earlier releases wrote: one file a schema below `fixtures/`, opened by this release.
//!
//! What a file holds is told here, field by field and no more: records may have gained fields
//! since. A new schema gets its file by [`write_the_fixture_of_this_schema`].

use std::path::{Path, PathBuf};

use aerie::audit;
use aerie::store::records::{
    AccountRecord, ContactRecord, DeviceRecord, EventRecord, ForgottenRecord, HistoryRecord,
    LoginRecord, SiteRecord,
};
use aerie::store::tables::{
    ACCOUNT_NAMES, ACCOUNTS, AUDIT, DEVICE_KEYS, DEVICES, EVENTS, FORGOTTEN, HISTORY, LOGINS, META,
    SCHEMA_VERSION, SECRETS, SETTINGS, SITES, SealedBytes,
};
use aerie::store::{SCHEMA, Store, StoreError, Writer};
use jiff::Timestamp;
use uuid::Uuid;

const AT: i64 = 1_795_478_400_000;
const SITE: Uuid = Uuid::from_u128(1);
const DEVICE: Uuid = Uuid::from_u128(2);
const ACCOUNT: Uuid = Uuid::from_u128(3);
const EVENT: Uuid = Uuid::from_u128(0x01a2_0b3c_4d5e_7000_8000_0000_0000_0004);
const KEY: [u8; 32] = [7; 32];

fn fixture(schema: u32) -> PathBuf {
    let name = format!("tests/fixtures/store-v{schema}.redb");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[tokio::test]
async fn the_store_of_schema_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::copy(fixture(1), &path).unwrap();
    let store = Store::open(&path).unwrap();
    let schema = store.read(|reader| reader.get(META, SCHEMA_VERSION)).await.unwrap();
    assert_eq!(schema, Some(SCHEMA));
    check_people(&store).await;
    check_devices(&store).await;
    check_rest(&store).await;
    store.probe().await.unwrap();
}

async fn check_people(store: &Store) {
    let account = store.read(|reader| reader.get(ACCOUNTS, &ACCOUNT)).await.unwrap().unwrap();
    assert_eq!((account.username.as_str(), account.role.as_str()), ("Olga", "superadmin"));
    assert_eq!((account.pepper.as_str(), account.enabled), ("pepper", true));
    assert_eq!(account.session_timeout, Some(3_600_000));
    let named = store.read(|reader| reader.get(ACCOUNT_NAMES, "olga")).await.unwrap();
    assert_eq!(named, Some(ACCOUNT));
    let login = store.read(|reader| reader.get(LOGINS, &KEY)).await.unwrap().unwrap();
    assert_eq!((login.account, login.expires, login.stepped_up), (ACCOUNT, AT + 1, Some(AT)));
}

async fn check_devices(store: &Store) {
    let site = store.read(|reader| reader.get(SITES, &SITE)).await.unwrap().unwrap();
    assert_eq!((site.name.as_str(), site.location), ("Hilltop", Some((48.2, 16.4))));
    assert_eq!(site.contact.phone, "+43 1 000");
    let device = store.read(|reader| reader.get(DEVICES, &DEVICE)).await.unwrap().unwrap();
    assert_eq!((device.public_key, device.mac), (KEY, [2, 0, 0, 0, 0, 1]));
    assert_eq!((device.alias.as_str(), device.site), ("Mast 1", Some(SITE)));
    assert_eq!((device.generation, device.authorized_by), ([1, 2, 3, 4], Some(ACCOUNT)));
    let keyed = store.read(|reader| reader.get(DEVICE_KEYS, &KEY)).await.unwrap();
    assert_eq!(keyed, Some(DEVICE));
    let forgotten = store.read(|reader| reader.get(FORGOTTEN, &[8; 32])).await.unwrap().unwrap();
    assert_eq!(forgotten.at, AT);
    let history = store.read(|reader| reader.all(HISTORY)).await.unwrap();
    assert_eq!((history.len(), history[0].1.points.as_slice()), (1, &b"points"[..]));
}

async fn check_rest(store: &Store) {
    let events = store.read(|reader| reader.all(EVENTS)).await.unwrap();
    assert_eq!((events[0].0, events[0].1.message.as_str()), (EVENT, "A device was authorised."));
    let secret = store.read(|reader| reader.get(SECRETS, "device-key")).await.unwrap().unwrap();
    assert_eq!(secret.0, b"sealed");
    let setting = store.read(|reader| reader.get(SETTINGS, "hostname")).await.unwrap();
    assert_eq!(setting.as_deref(), Some("\"localhost\""));
    assert_eq!(store.read(|reader| reader.all(AUDIT)).await.unwrap().len(), 2);
    assert_eq!(store.read(audit::first_broken).await.unwrap(), None);
}

/// Run by hand, once, when [`SCHEMA`] has been raised:
/// `cargo test -p aerie --test daemon -- --ignored write_the_fixture`
#[tokio::test]
#[ignore = "writes a file into the repository"]
async fn write_the_fixture_of_this_schema() {
    let path = fixture(SCHEMA);
    assert!(!path.exists(), "{} is what a release wrote; it stays", path.display());
    let store = Store::open(&path).unwrap();
    store.write(write_people).await.unwrap();
    store.write(write_devices).await.unwrap();
    let file = store.file();
    drop(store);
    file.closed().await;
}

fn write_people(writer: &Writer<'_>) -> Result<(), StoreError> {
    let account = AccountRecord {
        username: "Olga".to_owned(),
        email: "olga@example.net".to_owned(),
        first_name: "Olga".to_owned(),
        last_name: String::new(),
        role: "superadmin".to_owned(),
        password_hash: "$2b$12$".to_owned(),
        pepper: "pepper".to_owned(),
        enabled: true,
        timezone: "Europe/Vienna".to_owned(),
        country: "AT".to_owned(),
        session_timeout: Some(3_600_000),
        preferences: "{}".to_owned(),
        force_password_change: false,
        era: 0,
        created: AT,
        updated: AT,
    };
    writer.put(ACCOUNTS, &ACCOUNT, &account)?;
    writer.put(ACCOUNT_NAMES, "olga", &ACCOUNT)?;
    let login = LoginRecord {
        account: ACCOUNT,
        created: AT,
        last_used: AT,
        expires: AT + 1,
        latest: AT + 2,
        idle: 1,
        stepped_up: Some(AT),
        factor: None,
        address: "198.51.100.7".to_owned(),
        client: "browser".to_owned(),
        era: 0,
        seen: Vec::new(),
    };
    writer.put(LOGINS, &KEY, &login)?;
    writer.put(SETTINGS, "hostname", &"\"localhost\"".to_owned())?;
    writer.put(SECRETS, "device-key", &SealedBytes(b"sealed".to_vec()))?;
    let at = Timestamp::from_millisecond(AT).unwrap();
    audit::append(writer, at, "olga", "set-up", "Olga")?;
    audit::append(writer, at, "olga", "login", "198.51.100.7")
}

fn write_devices(writer: &Writer<'_>) -> Result<(), StoreError> {
    let site = SiteRecord {
        name: "Hilltop".to_owned(),
        kind: "site".to_owned(),
        contact: ContactRecord { phone: "+43 1 000".to_owned(), ..ContactRecord::default() },
        location: Some((48.2, 16.4)),
        created: AT,
        updated: AT,
        ..SiteRecord::default()
    };
    writer.put(SITES, &SITE, &site)?;
    writer.put(DEVICES, &DEVICE, &device())?;
    writer.put(DEVICE_KEYS, &KEY, &DEVICE)?;
    writer.put(FORGOTTEN, &[8; 32], &ForgottenRecord { at: AT })?;
    let history = HistoryRecord { version: 1, points: b"points".to_vec() };
    writer.put(HISTORY, &5_u64, &history)?;
    let event = EventRecord {
        at: AT,
        level: "info".to_owned(),
        tag: "device".to_owned(),
        message: "A device was authorised.".to_owned(),
        device: Some(DEVICE),
        device_name: "Mast 1".to_owned(),
        site: Some(SITE),
        account: Some(ACCOUNT),
    };
    writer.put(EVENTS, &EVENT, &event)
}

fn device() -> DeviceRecord {
    DeviceRecord {
        public_key: KEY,
        mac: [2, 0, 0, 0, 0, 1],
        alias: "Mast 1".to_owned(),
        note: "north".to_owned(),
        maintenance: false,
        hostname: "mast1".to_owned(),
        model: "PC".to_owned(),
        vendor: "nobody".to_owned(),
        firmware_version: "Debian 12".to_owned(),
        agent_version: "0.1.0".to_owned(),
        serial_number: "1".to_owned(),
        architecture: "x86_64".to_owned(),
        addresses: vec!["192.0.2.7/24".to_owned()],
        role: "router".to_owned(),
        terminal_allowed: true,
        site: Some(SITE),
        verified: true,
        generation: [1, 2, 3, 4],
        first_seen: AT,
        last_seen: AT,
        authorized_at: AT,
        authorized_by: Some(ACCOUNT),
        refresh_until: None,
        came_by: None,
    }
}
