//! Devices against the real room: a test device speaks the protocol crate's device side over an
//! in-memory connection.

mod moving;

use std::net::SocketAddr;
use std::time::Duration;

use aerie_protocol::inform::{
    self, FromDevice, GoodbyeReason, Hello, KeepAlive, RefusalReason, from_appliance, from_device,
};
use aerie_protocol::key::KeySecret;
use aerie_protocol::noise::{self, FirstContact, PublicKey, Reconnect, StaticKey};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use uuid::Uuid;

use super::sites::SiteChange;
use super::snapshot::{Connection, DeviceFilter};
use super::terminal::{Size, TerminalError, TerminalEvent};
use super::{Change, Devices, Ground, Tuning, connection_key::ConnectionKeys, events::Events};
use crate::accounts::LoginId;
use crate::clock::Clock;
use crate::seal::Seal;
use crate::store::Store;
use crate::supervisor::Supervisor;

const SOURCE: &str = "198.51.100.7:40000";
const SIZE: Size = Size { rows: 24, columns: 80 };

/// An appliance's devices on a store in memory.
struct Room {
    devices: Devices,
    site: Uuid,
    supervisor: Supervisor,
    _data: tempfile::TempDir,
}

async fn room() -> Room {
    let data = tempfile::tempdir().unwrap();
    let store = Store::memory().unwrap();
    room_on(store, data).await
}

async fn room_on(store: Store, data: tempfile::TempDir) -> Room {
    let seal = Seal::open(data.path()).unwrap();
    let clock = Clock::system();
    let supervisor = Supervisor::new();
    let keys = ConnectionKeys::load(&store, &seal).await.unwrap();
    let events = Events::load(store.clone(), clock.clone(), &supervisor).await.unwrap();
    let ground = Ground { store, clock, keys, events };
    let devices = Devices::start(ground, Tuning::default(), &supervisor).await.unwrap();
    let wanted = SiteChange { name: Some("Mast 1".to_owned()), ..SiteChange::default() };
    let site = devices.sites().create(wanted, Clock::system().now()).await.unwrap().id;
    Room { devices, site, supervisor, _data: data }
}

impl Room {
    fn secret(&self) -> KeySecret {
        let bytes = self.devices.keys().current().to_bytes();
        KeySecret::from_bytes(&bytes).unwrap()
    }

    fn appliance(&self) -> PublicKey {
        self.devices.keys().static_key().public()
    }

    fn connect(&self) -> Wire {
        self.connect_from(SOURCE.parse().unwrap()).0
    }

    fn connect_from(&self, source: SocketAddr) -> (Wire, SocketAddr) {
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        self.devices.serve_inform(theirs, Bytes::new(), source);
        (Wire { stream: Some(ours), socket: None }, source)
    }

    async fn first_contact(&self, own: &StaticKey) -> TestDevice {
        let mut device = TestDevice::first_contact(self.connect(), own, &self.secret()).await;
        device.hello([2, 0, 0, 0, 0, 1]).await;
        device
    }

    async fn reconnect(&self, own: &StaticKey) -> TestDevice {
        let mut device = TestDevice::reconnect(self.connect(), own, &self.appliance()).await;
        device.hello([2, 0, 0, 0, 0, 1]).await;
        device
    }

    /// A device that has been authorised, and its id.
    async fn enrolled(&self, own: &StaticKey) -> (TestDevice, Uuid) {
        let mut device = self.first_contact(own).await;
        device.expect_waiting().await;
        let id = self.only();
        self.devices.authorize(&[id], self.site, None).await.unwrap();
        device.expect_enrolled().await;
        (device, id)
    }

    fn only(&self) -> Uuid {
        let devices = self.devices.list(&DeviceFilter::default());
        assert_eq!(devices.len(), 1);
        devices[0].id
    }

    /// Waits until `holds`, woken by changes.
    async fn until(&self, holds: impl Fn(&Devices) -> bool) {
        let mut changes = self.devices.changes();
        timeout(Duration::from_secs(20), async {
            while !holds(&self.devices) {
                changes.recv().await.unwrap();
            }
        })
        .await
        .expect("the room did not get there");
    }
}

struct Wire {
    stream: Option<DuplexStream>,
    socket: Option<WebSocketStream<DuplexStream>>,
}

impl Wire {
    async fn socket(&mut self) -> &mut WebSocketStream<DuplexStream> {
        if let Some(stream) = self.stream.take() {
            let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
            self.socket = Some(socket);
        }
        self.socket.as_mut().unwrap()
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        self.socket().await.send(Message::Binary(bytes.into())).await.unwrap();
    }

    /// The next binary frame; `None` once the appliance has closed.
    async fn next(&mut self) -> Option<Bytes> {
        timeout(Duration::from_mins(1), async {
            loop {
                match self.socket().await.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Some(bytes),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            }
        })
        .await
        .expect("the appliance said nothing")
    }
}

struct TestDevice {
    wire: Wire,
    noise: noise::Session,
}

impl TestDevice {
    async fn first_contact(mut wire: Wire, own: &StaticKey, secret: &KeySecret) -> Self {
        let (handshake, opening) = FirstContact::start(own, secret).unwrap();
        wire.send(opening).await;
        let reply = wire.next().await.expect("no reply to message 1");
        let reply = handshake.read_reply(&reply, |_| true).unwrap();
        wire.send(reply.third.unwrap()).await;
        Self { wire, noise: reply.session }
    }

    async fn reconnect(mut wire: Wire, own: &StaticKey, appliance: &PublicKey) -> Self {
        let (handshake, opening) = Reconnect::start(own, appliance).unwrap();
        wire.send(opening).await;
        let reply = wire.next().await.expect("no reply to message 1");
        let reply = handshake.read_reply(&reply, |key| key == appliance).unwrap();
        Self { wire, noise: reply.session }
    }

    fn seal(&mut self, body: from_device::Body) -> Vec<u8> {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        inform::encode_from_device(&FromDevice::from(body), &mut plain).unwrap();
        self.noise.seal(&plain, &mut sealed).unwrap();
        sealed
    }

    async fn say(&mut self, body: from_device::Body) {
        let sealed = self.seal(body);
        self.wire.send(sealed).await;
    }

    async fn hello(&mut self, mac: [u8; 6]) {
        self.hello_by(mac, None).await;
    }

    /// Says hello, and by which address it came.
    async fn hello_by(&mut self, mac: [u8; 6], dialled: Option<inform::Address>) {
        self.say(from_device::Body::Hello(Hello {
            dialled,
            mac: mac.to_vec(),
            hostname: "mast-1".to_owned(),
            model: "Test \u{202e}radio".to_owned(),
            terminal_allowed: true,
            pinned: true,
            ..Hello::default()
        }))
        .await;
    }

    async fn hear(&mut self) -> Option<from_appliance::Body> {
        let sealed = self.wire.next().await?;
        let mut plain = Vec::new();
        self.noise.open(&sealed, &mut plain).unwrap();
        inform::decode_from_appliance(&plain).unwrap().body
    }

    async fn expect_waiting(&mut self) {
        let body = self.hear().await;
        assert!(matches!(body, Some(from_appliance::Body::Waiting(_))), "{body:?}");
    }

    async fn expect_enrolled(&mut self) {
        let body = self.hear().await;
        assert!(matches!(body, Some(from_appliance::Body::Enrolled(_))), "{body:?}");
        self.expect_reporting(60).await;
    }

    async fn expect_reporting(&mut self, seconds: u32) {
        match self.hear().await {
            Some(from_appliance::Body::Reporting(reporting)) => {
                assert_eq!(reporting.interval_seconds, seconds);
            }
            other => panic!("expected a reporting interval, got {other:?}"),
        }
    }

    async fn expect_goodbye(&mut self, reason: GoodbyeReason) {
        match self.hear().await {
            Some(from_appliance::Body::Goodbye(goodbye)) => assert_eq!(goodbye.reason(), reason),
            other => panic!("expected a goodbye, got {other:?}"),
        }
    }

    async fn status(&mut self, cpu_permille: u32) {
        self.say(from_device::Body::Status(inform::Status {
            cpu_permille,
            ram_total_bytes: 1000,
            ram_used_bytes: 250,
            ..inform::Status::default()
        }))
        .await;
    }
}

fn key() -> StaticKey {
    StaticKey::generate().unwrap()
}

fn login(byte: u8) -> LoginId {
    LoginId::from([byte; 32])
}

fn connection(devices: &Devices, id: Uuid) -> Option<Connection> {
    devices.device(id).map(|device| device.connection)
}

// -------------------------------------------------------------------- first contact, enrolment

#[tokio::test]
async fn d1_a_device_with_the_key_waits_is_authorised_and_reports() {
    let room = room().await;
    let own = key();
    let (mut device, id) = room.enrolled(&own).await;
    device.status(421).await;
    room.until(|devices| devices.device(id).unwrap().status.is_some()).await;
    let seen = room.devices.device(id).unwrap();
    assert_eq!(seen.connection, Connection::Active);
    assert_eq!(seen.public_key, own.public());
    assert_eq!(seen.site, Some(room.site));
    assert_eq!(seen.claims.model.as_str(), "Test radio");
    assert!((seen.status.unwrap().cpu_percent - 42.1).abs() < 0.01);
}

#[tokio::test]
async fn d1_an_enrolled_device_comes_back_without_the_device_key() {
    let room = room().await;
    let own = key();
    let (device, id) = room.enrolled(&own).await;
    drop(device);
    room.until(|devices| connection(devices, id) == Some(Connection::Disconnected)).await;
    let mut device = room.reconnect(&own).await;
    device.expect_reporting(60).await;
    assert_eq!(connection(&room.devices, id), Some(Connection::Active));
}

#[tokio::test]
async fn d1_a_lost_enrolled_message_is_said_again_at_the_next_first_contact() {
    let room = room().await;
    let own = key();
    let (device, id) = room.enrolled(&own).await;
    drop(device);
    room.until(|devices| connection(devices, id) == Some(Connection::Disconnected)).await;
    let mut device = room.first_contact(&own).await;
    device.expect_enrolled().await;
    assert_eq!(room.only(), id);
}

#[tokio::test]
async fn d1_a_waiting_device_keeps_its_id_over_a_reconnect_and_the_authorisation() {
    let room = room().await;
    let own = key();
    let mut device = room.first_contact(&own).await;
    device.expect_waiting().await;
    let id = room.only();
    drop(device);
    let mut device = room.first_contact(&own).await;
    device.expect_waiting().await;
    assert_eq!(room.only(), id);
    room.devices.authorize(&[id], room.site, None).await.unwrap();
    device.expect_enrolled().await;
    assert_eq!(room.only(), id);
}

#[tokio::test]
async fn d1_a_device_authorised_while_it_was_away_hears_it_when_it_is_back() {
    let room = room().await;
    let own = key();
    let mut device = room.first_contact(&own).await;
    device.expect_waiting().await;
    drop(device);
    room.devices.authorize(&[room.only()], room.site, None).await.unwrap();
    let mut device = room.first_contact(&own).await;
    device.expect_enrolled().await;
}

#[tokio::test]
async fn d1_devices_survive_a_restart_of_the_daemon() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::memory().unwrap();
    let own = key();
    let before = room_on(store.clone(), data).await;
    let (device, id) = before.enrolled(&own).await;
    let appliance = before.appliance();
    before.supervisor.token().cancel();
    drop(device);
    let Room { _data: data, .. } = before;
    let after = room_on(store, data).await;
    assert_eq!(after.appliance(), appliance);
    let seen = after.devices.device(id).unwrap();
    assert_eq!(seen.connection, Connection::Disconnected);
    assert_eq!(seen.claims.hostname.as_str(), "mast-1");
    let mut device = after.reconnect(&own).await;
    device.expect_reporting(60).await;
}

#[tokio::test]
async fn d2_a_device_that_the_restored_appliance_does_not_know_is_not_orphaned() {
    let room = room().await;
    let mut device = room.reconnect(&key()).await;
    device.expect_waiting().await;
    let id = room.only();
    assert!(room.devices.device(id).unwrap().verified);
    room.devices.authorize(&[id], room.site, None).await.unwrap();
    device.expect_enrolled().await;
}

// -------------------------------------------------------------------- who may not come in

#[tokio::test]
async fn d2_a_wrong_device_key_fails_at_message_1() {
    let room = room().await;
    let mut bytes = *room.secret().to_bytes();
    bytes[0] ^= 1;
    let wrong = KeySecret::from_bytes(&bytes).unwrap();
    let mut wire = room.connect();
    let (_, opening) = FirstContact::start(&key(), &wrong).unwrap();
    wire.send(opening).await;
    assert_eq!(wire.next().await, None);
    assert!(room.devices.list(&DeviceFilter::default()).is_empty());
}

#[tokio::test]
async fn d2_an_unknown_key_id_is_refused() {
    let room = room().await;
    let mut wire = room.connect();
    let (_, opening) = FirstContact::start(&key(), &KeySecret::generate().unwrap()).unwrap();
    wire.send(opening).await;
    assert_eq!(wire.next().await, None);
}

#[tokio::test]
async fn d2_a_replayed_message_1_has_no_effect_on_a_live_session() {
    let room = room().await;
    let own = key();
    let (mut device, id) = room.enrolled(&own).await;
    let (_, opening) = Reconnect::start(&own, &room.appliance()).unwrap();
    for _ in 0..3 {
        let mut attacker = room.connect();
        attacker.send(opening.clone()).await;
        assert!(attacker.next().await.is_some(), "message 2 tells nothing");
        attacker.send(vec![0; 64]).await;
        assert_eq!(attacker.next().await, None);
    }
    device.status(7).await;
    room.until(|devices| devices.device(id).unwrap().status.is_some()).await;
    assert_eq!(connection(&room.devices, id), Some(Connection::Active));
}

#[tokio::test]
async fn d2_a_second_session_replaces_the_first_only_once_it_has_said_hello() {
    let room = room().await;
    let own = key();
    let (mut first, id) = room.enrolled(&own).await;
    let mut second = TestDevice::reconnect(room.connect(), &own, &room.appliance()).await;
    first.status(1).await;
    room.until(|devices| devices.device(id).unwrap().status.is_some()).await;
    second.hello([2, 0, 0, 0, 0, 1]).await;
    second.expect_reporting(60).await;
    first.expect_goodbye(GoodbyeReason::Replaced).await;
    second.status(999).await;
    room.until(|devices| devices.device(id).unwrap().status.unwrap().cpu_percent > 99.0).await;
    assert_eq!(connection(&room.devices, id), Some(Connection::Active));
}

/// Frames that no sound device would send.
type Spoil = fn(&mut TestDevice) -> Vec<Vec<u8>>;

#[tokio::test]
async fn d2_replayed_reordered_and_tampered_frames_end_that_session_alone() {
    let room = room().await;
    let (bystander_key, own) = (key(), key());
    let (mut bystander, bystander_id) = room.enrolled(&bystander_key).await;
    let spoils: [Spoil; 3] = [
        |device| {
            let frame = device.seal(from_device::Body::KeepAlive(KeepAlive { sequence: 1 }));
            vec![frame.clone(), frame]
        },
        |device| {
            let first = device.seal(from_device::Body::KeepAlive(KeepAlive { sequence: 1 }));
            let second = device.seal(from_device::Body::KeepAlive(KeepAlive { sequence: 2 }));
            vec![second, first]
        },
        |device| {
            let mut frame = device.seal(from_device::Body::KeepAlive(KeepAlive { sequence: 1 }));
            frame[3] ^= 0x40;
            vec![frame]
        },
    ];
    for spoil in spoils {
        let mut device = room.first_contact(&own).await;
        device.expect_waiting().await;
        for frame in spoil(&mut device) {
            device.wire.send(frame).await;
        }
        assert_eq!(device.wire.next().await, None);
    }
    bystander.status(5).await;
    room.until(|devices| devices.device(bystander_id).unwrap().status.is_some()).await;
}

#[tokio::test]
async fn d2_what_is_no_message_ends_the_session() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    let mut sealed = Vec::new();
    device.noise.seal(b"\xff\xff\xff no protobuf", &mut sealed).unwrap();
    device.wire.send(sealed).await;
    assert_eq!(device.wire.next().await, None);
    room.until(|devices| connection(devices, id) == Some(Connection::Disconnected)).await;
}

#[tokio::test]
async fn d2_an_unknown_message_kind_is_refused_in_words_and_the_session_goes_on() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    let mut sealed = Vec::new();
    // Field 999, an empty nested message.
    device.noise.seal(&[0xBA, 0x3E, 0x00], &mut sealed).unwrap();
    device.wire.send(sealed).await;
    match device.hear().await {
        Some(from_appliance::Body::Refusal(refusal)) => {
            assert_eq!(refusal.reason(), RefusalReason::UnknownRequest);
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    device.status(3).await;
    room.until(|devices| devices.device(id).unwrap().status.is_some()).await;
}

#[tokio::test]
async fn d2_a_text_frame_and_an_oversized_frame_end_the_session() {
    let room = room().await;
    for message in [Message::text("hello"), Message::Binary(vec![0; 65_536].into())] {
        let mut device = room.first_contact(&key()).await;
        device.expect_waiting().await;
        device.wire.socket().await.send(message).await.unwrap();
        assert_eq!(device.wire.next().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn d2_a_connection_that_never_speaks_is_closed() {
    let room = room().await;
    let mut wire = room.connect();
    assert_eq!(wire.next().await, None);
}

// -------------------------------------------------------------------- quarantine

#[tokio::test]
async fn d1_a_waiting_device_is_heard_on_nothing_but_who_it_is() {
    let room = room().await;
    let mut device = room.first_contact(&key()).await;
    device.expect_waiting().await;
    let id = room.only();
    for _ in 0..16 {
        device.status(500).await;
        match device.hear().await {
            Some(from_appliance::Body::Refusal(refusal)) => {
                assert_eq!(refusal.reason(), RefusalReason::NotAuthorized);
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
    assert!(room.devices.device(id).unwrap().status.is_none());
    device.status(500).await;
    assert_eq!(device.wire.next().await, None);
}

#[tokio::test]
async fn d1_a_flood_of_strangers_leaves_a_place_for_an_honest_device() {
    let room = room().await;
    let secret = room.secret();
    for _ in 0..600 {
        let (wire, _) = room.connect_from("192.0.2.66:50000".parse().unwrap());
        let mut stranger = TestDevice::first_contact(wire, &key(), &secret).await;
        stranger.hello([2, 0, 0, 0, 9, 9]).await;
        stranger.hear().await;
    }
    assert!(room.devices.list(&DeviceFilter::default()).len() <= 512);
    let mut honest = room.first_contact(&key()).await;
    honest.expect_waiting().await;
}

#[tokio::test]
async fn d1_the_same_mac_with_another_identity_is_a_conflict_and_never_merged() {
    let room = room().await;
    let (_first, first_id) = room.enrolled(&key()).await;
    let mut liar = room.first_contact(&key()).await;
    liar.expect_waiting().await;
    let devices = room.devices.list(&DeviceFilter::default());
    assert_eq!(devices.len(), 2);
    let lying = devices.iter().find(|device| device.id != first_id).unwrap();
    assert_eq!(lying.conflicts, vec![first_id]);
    assert_eq!(room.devices.device(first_id).unwrap().conflicts, vec![lying.id]);
    assert_eq!(connection(&room.devices, first_id), Some(Connection::Active));
}

// -------------------------------------------------------------------- what an admin does

#[tokio::test]
async fn d1_a_deleted_device_is_told_to_forget_at_once_or_when_it_is_back() {
    let room = room().await;
    let own = key();
    let (mut device, id) = room.enrolled(&own).await;
    room.devices.delete(id).await.unwrap();
    assert!(matches!(device.hear().await, Some(from_appliance::Body::Forget(_))));
    device.expect_goodbye(GoodbyeReason::Deleted).await;
    let mut device = room.reconnect(&own).await;
    assert!(matches!(device.hear().await, Some(from_appliance::Body::Forget(_))));
    let mut device = room.first_contact(&own).await;
    device.expect_waiting().await;
    assert_ne!(room.only(), id);
}

#[tokio::test]
async fn d1_refresh_lets_a_reset_device_take_its_place_once() {
    let room = room().await;
    let (old, id) = room.enrolled(&key()).await;
    drop(old);
    room.devices.refresh(id).await.unwrap();
    let reborn = key();
    let mut device = room.first_contact(&reborn).await;
    device.expect_enrolled().await;
    assert_eq!(room.only(), id);
    assert_eq!(room.devices.device(id).unwrap().public_key, reborn.public());
    let mut late = room.first_contact(&key()).await;
    late.expect_waiting().await;
    assert_eq!(room.devices.list(&DeviceFilter::default()).len(), 2);
}

#[tokio::test]
async fn d1_without_refresh_a_reset_device_waits_beside_its_old_self() {
    let room = room().await;
    let (_old, _) = room.enrolled(&key()).await;
    let mut device = room.first_contact(&key()).await;
    device.expect_waiting().await;
}

#[tokio::test]
async fn d1_restart_is_done_when_the_device_says_so_and_refused_in_its_words() {
    use aerie_protocol::inform::{Done, Refusal, Reply, reply, request};
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    for outcome in [
        reply::Outcome::Done(Done {}),
        reply::Outcome::Refusal(Refusal {
            reason: RefusalReason::NotAllowed.into(),
            detail: "commands.restart = false".to_owned(),
        }),
    ] {
        let devices = room.devices.clone();
        let asked = room.devices.tracker().spawn(async move { devices.restart(id).await });
        let request_id = match device.hear().await {
            Some(from_appliance::Body::Request(request)) => {
                assert!(matches!(request.verb, Some(request::Verb::Restart(_))));
                request.request_id
            }
            other => panic!("expected a request, got {other:?}"),
        };
        let refused = matches!(outcome, reply::Outcome::Refusal(_));
        device.say(from_device::Body::Reply(Reply { request_id, outcome: Some(outcome) })).await;
        let result = asked.await.unwrap();
        assert_eq!(result.is_err(), refused);
        if let Err(error) = result {
            assert!(error.to_string().contains("commands.restart = false"), "{error}");
        }
    }
}

#[tokio::test]
async fn d1_a_watched_device_reports_every_two_seconds() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    let mut changes = room.devices.changes();
    let watch = room.devices.watch(&[id]);
    device.expect_reporting(2).await;
    device.status(100).await;
    let status = timeout(Duration::from_secs(10), async {
        loop {
            if let Change::Status(of, status) = changes.recv().await.unwrap() {
                assert_eq!(of, id);
                return status;
            }
        }
    });
    assert!((status.await.unwrap().cpu_percent - 10.0).abs() < 0.01);
    drop(watch);
    device.expect_reporting(60).await;
}

// -------------------------------------------------------------------- life of a session

#[tokio::test]
async fn d1_a_silent_device_is_dead_after_two_missed_keep_alives() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    // Not before: a paused clock runs ahead of the store's thread.
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    for expected in 1..=2 {
        match device.hear().await {
            Some(from_appliance::Body::KeepAlive(keep_alive)) => {
                assert_eq!(keep_alive.sequence, expected);
            }
            other => panic!("expected a keep-alive, got {other:?}"),
        }
    }
    assert_eq!(device.wire.next().await, None);
    let waited = started.elapsed().as_secs();
    assert!((45..=61).contains(&waited), "dead after {waited} s");
    room.until(|devices| connection(devices, id) == Some(Connection::Disconnected)).await;
}

#[tokio::test]
async fn d1_a_device_that_answers_keep_alives_stays() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    // Not before: a paused clock runs ahead of the store's thread.
    tokio::time::pause();
    for _ in 0..10 {
        match device.hear().await {
            Some(from_appliance::Body::KeepAlive(keep_alive)) => {
                device.say(from_device::Body::KeepAlive(keep_alive)).await;
            }
            other => panic!("expected a keep-alive, got {other:?}"),
        }
    }
    assert_eq!(connection(&room.devices, id), Some(Connection::Active));
}

#[tokio::test]
async fn d1_a_stopping_daemon_says_goodbye_and_when_to_come_back() {
    let room = room().await;
    let (mut device, _) = room.enrolled(&key()).await;
    room.supervisor.token().cancel();
    match device.hear().await {
        Some(from_appliance::Body::Goodbye(goodbye)) => {
            assert_eq!(goodbye.reason(), GoodbyeReason::ShuttingDown);
            assert!((1..15).contains(&goodbye.retry_after_seconds));
        }
        other => panic!("expected a goodbye, got {other:?}"),
    }
}

// -------------------------------------------------------------------- terminals

async fn open(
    room: &Room,
    device: &mut TestDevice,
    id: Uuid,
) -> (super::terminal::TerminalHandle, u32) {
    use aerie_protocol::inform::TerminalOpened;
    let handle = room.devices.open_terminal(id, login(1), SIZE).unwrap();
    let channel = match device.hear().await {
        Some(from_appliance::Body::TerminalOpen(open)) => {
            assert_eq!((open.rows, open.columns, open.credit), (24, 80, 64 * 1024));
            open.channel
        }
        other => panic!("expected a terminal, got {other:?}"),
    };
    device.say(from_device::Body::TerminalOpened(TerminalOpened { channel, credit: 10 })).await;
    assert_eq!(handle.next().await, Some(TerminalEvent::Opened));
    (handle, channel)
}

fn data(channel: u32, data: &[u8]) -> from_device::Body {
    let data = Bytes::copy_from_slice(data);
    from_device::Body::TerminalData(inform::TerminalData { channel, data })
}

#[tokio::test]
async fn d3_a_terminal_echoes_within_the_credit_of_both_sides() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    let (handle, channel) = open(&room, &mut device, id).await;
    device.say(data(channel, b"login: ")).await;
    assert_eq!(handle.next().await, Some(TerminalEvent::Output(Bytes::from_static(b"login: "))));
    // Ten bytes of credit: the rest waits for more.
    let typing = async { handle.write(Bytes::from_static(b"0123456789abc")).await };
    let hearing = async {
        match device.hear().await {
            Some(from_appliance::Body::TerminalData(data)) => {
                assert_eq!(&data.data[..], b"0123456789");
            }
            other => panic!("expected input, got {other:?}"),
        }
        let more = inform::TerminalCredit { channel, bytes: 100 };
        device.say(from_device::Body::TerminalCredit(more)).await;
        match device.hear().await {
            Some(from_appliance::Body::TerminalData(data)) => assert_eq!(&data.data[..], b"abc"),
            other => panic!("expected input, got {other:?}"),
        }
    };
    tokio::join!(typing, hearing);
}

#[tokio::test]
async fn d3_output_beyond_its_credit_ends_the_session() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    let (handle, channel) = open(&room, &mut device, id).await;
    for _ in 0..2 {
        device.say(data(channel, &vec![b'y'; 32 * 1024])).await;
    }
    device.say(data(channel, b"y")).await;
    assert_eq!(device.wire.next().await, None);
    let mut got = 0;
    loop {
        match handle.next().await {
            Some(TerminalEvent::Output(bytes)) => got += bytes.len(),
            Some(TerminalEvent::Closed { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, 64 * 1024);
}

#[tokio::test]
async fn d3_acknowledged_output_gives_the_device_new_credit() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    let (handle, channel) = open(&room, &mut device, id).await;
    for round in 0..20 {
        device.say(data(channel, &[b'y'; 16 * 1024])).await;
        assert!(matches!(handle.next().await, Some(TerminalEvent::Output(_))), "{round}");
        handle.acknowledge(16 * 1024);
        match device.hear().await {
            Some(from_appliance::Body::TerminalCredit(credit)) => {
                assert_eq!(credit.bytes, 16 * 1024);
            }
            other => panic!("expected credit, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn d3_a_detached_terminal_waits_five_minutes_for_the_same_login_only() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    // Not before: a paused clock runs ahead of the store's thread.
    tokio::time::pause();
    let (handle, channel) = open(&room, &mut device, id).await;
    device.say(data(channel, b"before ")).await;
    assert!(matches!(handle.next().await, Some(TerminalEvent::Output(_))));
    let terminal = handle.id();
    drop(handle);
    device.say(data(channel, b"meanwhile")).await;
    let stranger = room.devices.attach_terminal(terminal, &login(2), 0);
    assert!(matches!(stranger, Err(TerminalError::Gone)));
    let handle = room.devices.attach_terminal(terminal, &login(1), 7).unwrap();
    assert_eq!(handle.next().await, Some(TerminalEvent::Opened));
    assert_eq!(handle.next().await, Some(TerminalEvent::Output(Bytes::from_static(b"meanwhile"))));
    drop(handle);
    let answering = async {
        while let Some(body) = device.hear().await {
            match body {
                from_appliance::Body::KeepAlive(keep_alive) => {
                    device.say(from_device::Body::KeepAlive(keep_alive)).await;
                }
                from_appliance::Body::TerminalClose(close) => {
                    assert_eq!(close.channel, channel);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let started = tokio::time::Instant::now();
    answering.await;
    assert!(started.elapsed() >= Duration::from_secs(295), "{:?}", started.elapsed());
    let late = room.devices.attach_terminal(terminal, &login(1), 0);
    assert!(matches!(late, Err(TerminalError::Gone)));
}

#[tokio::test]
async fn d3_the_end_of_a_login_ends_its_terminals() {
    let room = room().await;
    let (mut device, id) = room.enrolled(&key()).await;
    let (handle, channel) = open(&room, &mut device, id).await;
    room.devices.end_terminals_of(&login(2));
    device.say(data(channel, b"still here")).await;
    assert!(matches!(handle.next().await, Some(TerminalEvent::Output(_))));
    room.devices.end_terminals_of(&login(1));
    assert!(matches!(device.hear().await, Some(from_appliance::Body::TerminalClose(_))));
    assert!(matches!(handle.next().await, Some(TerminalEvent::Closed { .. })));
}
