//! The appliance moves: who is told, who has come, and when nobody is left to wait for.

use super::*;
use crate::devices::moving::{Announcement, Progress};

const OLD: (&str, u16) = ("aerie.example", 443);
const NEW: (&str, u16) = ("devices.example", 8444);

fn place((host, port): (&str, u16)) -> Announcement {
    Announcement { host: host.to_owned(), port }
}

fn dialled((host, port): (&str, u16)) -> inform::Address {
    inform::Address { host: host.to_owned(), port: port.into() }
}

fn mac(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 1, number]
}

/// Confirmed, total, and who is waited for.
fn counts(progress: &Progress) -> (usize, usize, Vec<Uuid>) {
    let waiting = progress.waiting.iter().map(|device| device.id).collect();
    (progress.confirmed, progress.total, waiting)
}

impl Room {
    fn progress(&self) -> Progress {
        self.devices.move_progress().expect("a move under way")
    }

    /// Waits until so many devices are waited for.
    async fn until_left(&self, left: Option<usize>) {
        let mut moves = self.devices.moves();
        let reached = moves.wait_for(|now| *now == left);
        timeout(Duration::from_secs(20), reached).await.expect("it was not reached").unwrap();
    }

    /// An authorised device that came by the old address.
    async fn settled(&self, own: &StaticKey, number: u8) -> (TestDevice, Uuid) {
        let mut device = TestDevice::first_contact(self.connect(), own, &self.secret()).await;
        device.hello_by(mac(number), Some(dialled(OLD))).await;
        device.expect_waiting().await;
        let waiting = DeviceFilter { authorized: Some(false), ..DeviceFilter::default() };
        let id = self.devices.list(&waiting)[0].id;
        self.devices.authorize(&[id], self.site, None).await.unwrap();
        device.expect_enrolled().await;
        (device, id)
    }

    async fn comes_by(&self, own: &StaticKey, address: Option<(&str, u16)>) -> TestDevice {
        let mut device = TestDevice::reconnect(self.connect(), own, &self.appliance()).await;
        device.hello_by(mac(1), address.map(dialled)).await;
        device.expect_reporting(60).await;
        device
    }
}

impl TestDevice {
    async fn expect_address(&mut self, to: (&str, u16)) {
        match self.hear().await {
            Some(from_appliance::Body::Address(address)) => {
                assert_eq!(address, dialled(to));
            }
            other => panic!("expected an address, got {other:?}"),
        }
    }

    /// Everything that was sent before has been worked off, and nothing came for the device.
    async fn hears_nothing(&mut self, room: &Room, id: Uuid) {
        let before = room.devices.device(id).unwrap().status.map(|status| status.at);
        self.status(1).await;
        room.until(|devices| devices.device(id).unwrap().status.map(|status| status.at) != before)
            .await;
        let next = timeout(Duration::from_millis(20), self.wire.next()).await;
        assert!(next.is_err(), "it was told something");
    }
}

#[tokio::test]
async fn d1_a_move_is_told_to_every_enrolled_device_and_waits_for_all_of_them() {
    let room = room().await;
    let (here, away) = (key(), key());
    let (mut device, id) = room.settled(&here, 1).await;
    let (other, other_id) = room.settled(&away, 2).await;
    drop(other);
    room.until(|devices| connection(devices, other_id) == Some(Connection::Disconnected)).await;
    assert!(room.devices.move_progress().is_none());

    room.devices.keys().set_host("other.example".to_owned()).await.unwrap();
    room.devices.announce(place(NEW)).await.unwrap();
    device.expect_address(NEW).await;
    let progress = room.progress();
    assert_eq!((progress.confirmed, progress.total), (0, 2));
    // As devices say, whatever the device key shows by now.
    assert_eq!((progress.from, progress.to), (Some(place(OLD)), place(NEW)));
    assert_eq!(progress.waiting[0].name, "mast-1");
    room.until_left(Some(2)).await;
    let devices = room.devices.clone();
    let everyone = room.devices.tracker().spawn(async move { devices.everyone_moved().await });

    // It tries the new address beside the old session, and has not come to stay yet.
    let mut moved = room.comes_by(&here, None).await;
    moved.expect_address(NEW).await;
    device.expect_goodbye(GoodbyeReason::Replaced).await;
    assert_eq!(room.progress().confirmed, 0);
    moved.hello_by(mac(1), Some(dialled(NEW))).await;
    room.until_left(Some(1)).await;
    assert_eq!(counts(&room.progress()), (1, 2, vec![other_id]));
    moved.hears_nothing(&room, id).await;

    // Who was away hears it as a first word.
    let mut late = room.comes_by(&away, Some(OLD)).await;
    late.expect_address(NEW).await;
    assert!(!everyone.is_finished());
    drop(late);
    let mut late = room.comes_by(&away, Some(NEW)).await;
    assert_eq!(everyone.await.unwrap(), place(NEW));
    assert_eq!(counts(&room.progress()), (2, 2, vec![]));
    late.hears_nothing(&room, other_id).await;
}

#[tokio::test]
async fn d1_a_restart_of_the_daemon_knows_who_has_moved() {
    let store = Store::memory().unwrap();
    let own = key();
    let first = room_on(store.clone(), tempfile::tempdir().unwrap()).await;
    let (device, id) = first.settled(&own, 1).await;
    drop(device);
    first.devices.announce(place(NEW)).await.unwrap();
    let since = first.progress().since;
    first.supervisor.shutdown(Duration::from_secs(10)).await;

    let Room { _data: data, .. } = first;
    let second = room_on(store.clone(), data).await;
    let progress = second.progress();
    assert_eq!(counts(&progress), (0, 1, vec![id]));
    assert_eq!((progress.since, progress.from), (since, Some(place(OLD))));
    let mut device = second.comes_by(&own, Some(OLD)).await;
    device.expect_address(NEW).await;
    drop(device);
    drop(second.comes_by(&own, Some(NEW)).await);
    second.until_left(Some(0)).await;
    second.supervisor.shutdown(Duration::from_secs(10)).await;

    let Room { _data: data, .. } = second;
    let third = room_on(store, data).await;
    assert_eq!(counts(&third.progress()), (1, 1, vec![]), "it is not even connected");
    assert_eq!(third.devices.everyone_moved().await, place(NEW));
}

#[tokio::test]
async fn d1_that_everyone_has_moved_is_durable_before_it_is_told() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::memory().unwrap();
    let own = key();
    let before = room_on(store.clone(), data).await;
    let (device, _) = before.settled(&own, 1).await;
    before.devices.announce(place(NEW)).await.unwrap();
    drop(device);
    let _device = before.comes_by(&own, Some(NEW)).await;
    before.devices.everyone_moved().await;
    // As after a kill: nothing else of the first room gets into the store.
    let Room { devices: _still_there, supervisor: _running, _data: data, .. } = before;
    let after = room_on(store, data).await;
    assert_eq!(after.progress().confirmed, 1);
}

#[tokio::test]
async fn who_stops_waiting_for_everyone_loses_nothing() {
    let room = room().await;
    let own = key();
    let (device, _) = room.settled(&own, 1).await;
    room.devices.announce(place(NEW)).await.unwrap();
    drop(device);
    let _device = room.comes_by(&own, Some(NEW)).await;
    room.until_left(Some(0)).await;
    // Once around, as a loop with other things to do.
    for _ in 0..5 {
        let once = timeout(Duration::ZERO, room.devices.everyone_moved()).await;
        // What somebody waited for before may have been written meanwhile.
        assert!(once.is_err() || once == Ok(place(NEW)));
    }
    assert_eq!(room.devices.everyone_moved().await, place(NEW));
    let store = room.devices.inner.store.clone();
    let Room { devices: _still_there, supervisor: _running, _data: data, .. } = room;
    assert_eq!(room_on(store, data).await.progress().confirmed, 1);
}

#[tokio::test]
async fn a_withdrawn_announcement_is_told_to_nobody_any_more() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::memory().unwrap();
    let own = key();
    let room = room_on(store.clone(), data).await;
    let (mut device, _) = room.settled(&own, 1).await;
    room.devices.announce(place(NEW)).await.unwrap();
    device.expect_address(NEW).await;
    room.devices.withdraw().await.unwrap();
    assert!(room.devices.move_progress().is_none());
    room.until_left(None).await;
    room.devices.withdraw().await.unwrap();
    drop(device);
    let mut device = room.comes_by(&own, Some(OLD)).await;
    let id = room.only();
    device.hears_nothing(&room, id).await;
    room.supervisor.shutdown(Duration::from_secs(10)).await;
    let Room { _data: data, .. } = room;
    assert!(room_on(store, data).await.devices.move_progress().is_none());
}

#[tokio::test]
async fn a_move_that_is_taken_back_calls_those_back_who_have_gone() {
    let room = room().await;
    let own = key();
    let (mut device, id) = room.settled(&own, 1).await;
    room.devices.announce(place(NEW)).await.unwrap();
    device.expect_address(NEW).await;
    let mut device = room.comes_by(&own, Some(NEW)).await;
    room.until_left(Some(0)).await;
    room.devices.announce(place(OLD)).await.unwrap();
    device.expect_address(OLD).await;
    let progress = room.progress();
    assert_eq!(counts(&progress), (0, 1, vec![id]));
    assert_eq!((progress.from, progress.to), (Some(place(NEW)), place(OLD)));
    // And on again, before anybody has followed.
    let third = ("third.example", 443);
    room.devices.announce(place(third)).await.unwrap();
    device.expect_address(third).await;
    assert_eq!(room.progress().from, Some(place(NEW)));
    // The same again is no news, and is said again.
    let since = room.progress().since;
    room.devices.announce(place(("THIRD.example", 443))).await.unwrap();
    device.expect_address(third).await;
    assert_eq!((room.progress().since, room.progress().to), (since, place(third)));
}

#[tokio::test]
async fn d2_a_device_in_quarantine_is_told_of_a_move_once_it_is_let_in() {
    let room = room().await;
    let (_member, member) = room.settled(&key(), 1).await;
    room.devices.announce(place(NEW)).await.unwrap();
    let mut stranger = TestDevice::first_contact(room.connect(), &key(), &room.secret()).await;
    stranger.hello_by(mac(2), Some(dialled(OLD))).await;
    stranger.expect_waiting().await;
    assert_eq!(counts(&room.progress()), (0, 1, vec![member]));
    let waiting = DeviceFilter { authorized: Some(false), ..DeviceFilter::default() };
    let id = room.devices.list(&waiting)[0].id;
    room.devices.authorize(&[id], room.site, None).await.unwrap();
    stranger.expect_enrolled().await;
    stranger.expect_address(NEW).await;
    room.until_left(Some(2)).await;

    // One that came with the new device key has nothing to hear.
    let mut newcomer = TestDevice::first_contact(room.connect(), &key(), &room.secret()).await;
    newcomer.hello_by(mac(3), Some(dialled(NEW))).await;
    newcomer.expect_waiting().await;
    let id = room.devices.list(&waiting)[0].id;
    room.devices.authorize(&[id], room.site, None).await.unwrap();
    newcomer.expect_enrolled().await;
    newcomer.hears_nothing(&room, id).await;
    assert_eq!((room.progress().confirmed, room.progress().total), (1, 3));
}

#[tokio::test]
async fn a_deleted_device_is_waited_for_no_longer() {
    let room = room().await;
    let (_device, id) = room.settled(&key(), 1).await;
    room.devices.announce(place(NEW)).await.unwrap();
    room.until_left(Some(1)).await;
    room.devices.delete(id).await.unwrap();
    assert_eq!(room.devices.everyone_moved().await, place(NEW));
    assert_eq!(counts(&room.progress()), (0, 0, vec![]));
}

#[tokio::test]
async fn d1_a_device_with_an_agent_of_before_is_waited_for() {
    let room = room().await;
    let own = key();
    let (device, id) = room.enrolled(&own).await;
    room.devices.keys().set_host("aerie.example".to_owned()).await.unwrap();
    room.devices.announce(place(NEW)).await.unwrap();
    drop(device);
    let mut device = room.comes_by(&own, None).await;
    device.expect_address(NEW).await;
    let progress = room.progress();
    assert_eq!(counts(&progress), (0, 1, vec![id]));
    assert_eq!(progress.from, Some(place(OLD)), "the device key's own");
}

#[tokio::test]
async fn an_announcement_is_repeated_to_those_who_have_not_come() {
    let room = room().await;
    let (mut device, _) = room.settled(&key(), 1).await;
    room.devices.announce(place(NEW)).await.unwrap();
    // Not before: a paused clock runs ahead of the store's thread.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let mut told = 0;
    while told < 4 {
        match device.hear().await {
            Some(from_appliance::Body::KeepAlive(alive)) => {
                device.say(from_device::Body::KeepAlive(alive)).await;
            }
            Some(from_appliance::Body::Address(address)) => {
                assert_eq!(address, dialled(NEW));
                told += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let took = began.elapsed().as_secs();
    assert!((100..=200).contains(&took), "three repetitions took {took} s");
}

#[tokio::test]
async fn what_nobody_can_dial_is_not_announced() {
    let room = room().await;
    for (host, port) in [("", 443), ("a b", 443), ("aerie.example:443", 443), ("aerie.example", 0)]
    {
        room.devices.announce(place((host, port))).await.unwrap_err();
    }
    assert!(room.devices.move_progress().is_none());
    // Nobody is waited for where there is nobody.
    room.devices.announce(place(("2001:db8::7", 443))).await.unwrap();
    assert_eq!(room.devices.everyone_moved().await, place(("2001:db8::7", 443)));
}

#[tokio::test]
async fn a_hundred_of_those_who_are_waited_for_are_named() {
    let room = room().await;
    for number in 0..103 {
        let (_device, id) = room.settled(&key(), number).await;
        let name = format!("mast {number:03}");
        room.devices.describe(id, Some(name), None, None).await.unwrap();
    }
    room.devices.announce(place(NEW)).await.unwrap();
    let progress = room.progress();
    assert_eq!((progress.confirmed, progress.total, progress.waiting.len()), (0, 103, 100));
    let names: Vec<_> = progress.waiting.iter().map(|device| device.name.as_str()).collect();
    assert!(names.is_sorted() && names[0] == "mast 000", "{names:?}");
}
