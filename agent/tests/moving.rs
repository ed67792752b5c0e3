//! The appliance moves: what a device does about an announced address, and what it never does.

use std::{fs, path::Path, time::Duration};

use aerie_agent::state::State;
use aerie_protocol::inform::{
    self, Address, Forget, Goodbye, GoodbyeReason, Hello, Reporting, TerminalClose, TerminalOpen,
    Waiting, encode_from_appliance, from_appliance, from_device,
};
use futures_util::SinkExt as _;
use tokio::{
    io::DuplexStream,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    appliance::{Appliance, Peer},
    enrolment::{files, kept},
    simulated::Device,
};

/// Where the device key says that the appliance is.
const OLD: &str = "appliance.example";
const NEW: &str = "moved.example";

fn announcement(host: &str) -> from_appliance::Body {
    from_appliance::Body::Address(Address { host: host.to_owned(), port: 8443 })
}

fn first_word() -> from_appliance::Body {
    from_appliance::Body::Reporting(Reporting { interval_seconds: 60 })
}

/// The host by which the device says that it came.
fn dialled(hello: &Hello) -> Option<&str> {
    hello.dialled.as_ref().map(|address| address.host.as_str())
}

/// The next hello, statuses left out.
async fn next_hello(peer: &mut Peer<DuplexStream>) -> Hello {
    match peer.answer().await {
        Some(from_device::Body::Hello(hello)) => hello,
        other => panic!("expected a hello, got {other:?}"),
    }
}

/// Accepts a device at `host`; its hello beside the session.
async fn arrival(
    appliance: &Appliance,
    device: &mut Device,
    host: &str,
) -> (Peer<DuplexStream>, Hello) {
    let mut peer = appliance.accept(device.dialled_at(host).await).await;
    assert!(!peer.first_contact);
    let hello = next_hello(&mut peer).await;
    (peer, hello)
}

/// Where a device with this state directory looks for its appliance.
fn places(directory: &Path) -> Vec<String> {
    let state = State::open(directory).unwrap();
    state.known().addresses().iter().map(|address| address.host().to_owned()).collect()
}

/// Whether a session is alive at both ends.
async fn lives(peer: &mut Peer<DuplexStream>) {
    peer.settle(77).await;
}

/// Until this is in the diary, with the appliance keeping the session alive meanwhile.
async fn until_noted(device: &Device, peer: &mut Peer<DuplexStream>, note: &str) {
    for _ in 0..60 {
        if device.diary().iter().any(|line| line.starts_with(note)) {
            return;
        }
        peer.serve(Duration::from_secs(1)).await;
    }
    panic!("no \"{note}\" in {:?}", device.diary());
}

#[tokio::test(start_paused = true)]
async fn d1_a_device_follows_its_appliance_beside_the_living_session() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let known = state.known().clone();
    let mut device = Device::start(state);
    let (mut old, hello) = arrival(&appliance, &mut device, OLD).await;
    assert_eq!(dialled(&hello), Some(OLD));
    old.send(first_word()).await;
    old.send(announcement(NEW)).await;

    let (mut new, hello) = arrival(&appliance, &mut device, NEW).await;
    assert_eq!(dialled(&hello), None, "it has not come to stay yet");
    lives(&mut old).await;
    assert_eq!(files(folder.path()), before, "proven is not enough");

    new.send(first_word()).await;
    let hello = next_hello(&mut new).await;
    assert_eq!(dialled(&hello), Some(NEW));
    assert_eq!(places(folder.path()), [NEW, OLD], "durable before it is told");
    assert_eq!(old.answer().await, None, "the old session was left");
    lives(&mut new).await;

    let kept = State::open(folder.path()).unwrap().known().clone();
    assert_eq!(kept.identity.public(), known.identity.public());
    assert_eq!((kept.key, kept.enrolment), (known.key, known.enrolment));

    // And from the next connect on it comes there first.
    drop(new);
    let (mut new, hello) = arrival(&appliance, &mut device, NEW).await;
    assert_eq!(dialled(&hello), Some(NEW));
    lives(&mut new).await;
}

#[tokio::test(start_paused = true)]
async fn d1_a_device_that_finds_nobody_at_the_new_address_stays_and_tries_again() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let mut device = Device::start(state);
    let mut old = arrival(&appliance, &mut device, OLD).await.0;
    let mut tries = 0;
    for _ in 0..120 {
        old.send(announcement(NEW)).await;
        old.serve(Duration::from_secs(10)).await;
        while let Ok(dialled) = device.dialled.try_recv() {
            assert_eq!(dialled.host, NEW);
            tries += 1;
        }
    }
    // An announcement every ten seconds, pauses of 0 to 60 s.
    assert!((20..=80).contains(&tries), "{tries} tries");
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");

    // It is found there in the end.
    let mut new = loop {
        old.send(announcement(NEW)).await;
        if let Ok(next) = timeout(Duration::from_secs(1), device.dialled_at(NEW)).await {
            break appliance.welcome(next).await;
        }
        lives(&mut old).await;
    };
    new.send(first_word()).await;
    assert_eq!(dialled(&next_hello(&mut new).await), Some(NEW));
    assert_eq!(places(folder.path()), [NEW, OLD]);
}

#[tokio::test(start_paused = true)]
async fn d1_a_withdrawn_announcement_is_not_tried_again() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut old = arrival(&appliance, &mut device, OLD).await.0;
    old.send(announcement(NEW)).await;
    drop(device.dialled_at(NEW).await);
    old.serve(Duration::from_hours(2)).await;
    assert!(device.dialled.try_recv().is_err(), "{:?}", device.diary());
}

#[tokio::test(start_paused = true)]
async fn d2_another_appliance_at_the_new_address_changes_nothing() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let impostor = appliance.impostor();
    let mut device = Device::start(state);
    let mut old = arrival(&appliance, &mut device, OLD).await.0;
    old.send(announcement(NEW)).await;
    let mut greeted = impostor.greet(device.dialled_at(NEW).await).await;
    assert_eq!(greeted.opening.key_id(), None, "it asked for a first contact");
    assert!(greeted.opening.answer(&impostor.identity, None).is_err(), "sealed for another key");
    greeted.socket.send(Message::Binary(vec![0; 48].into())).await.unwrap();
    until_noted(&device, &mut old, "not moved").await;
    lives(&mut old).await;
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");
    drop(old);
    arrival(&appliance, &mut device, OLD).await;
}

#[tokio::test(start_paused = true)]
async fn d1_an_appliance_that_does_not_take_the_device_in_is_not_moved_to() {
    for unwelcome in [
        Some(from_appliance::Body::Waiting(Waiting {})),
        Some(from_appliance::Body::Forget(Forget {})),
        Some(from_appliance::Body::Goodbye(Goodbye::default())),
        Some(from_appliance::Body::Refusal(inform::Refusal::default())),
        None,
    ] {
        let appliance = Appliance::new();
        let (folder, state) = kept(appliance.enrolled_device()).await;
        let before = files(folder.path());
        let mut device = Device::start(state);
        let mut old = arrival(&appliance, &mut device, OLD).await.0;
        old.send(announcement(NEW)).await;
        let mut new = arrival(&appliance, &mut device, NEW).await.0;
        if let Some(body) = unwelcome {
            new.send(body).await;
        }
        until_noted(&device, &mut old, "not moved").await;
        lives(&mut old).await;
        assert_eq!(files(folder.path()), before);
    }
}

#[tokio::test(start_paused = true)]
async fn d2_a_device_in_quarantine_ignores_an_announcement_and_an_enrolled_one_follows_it() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.new_device()).await;
    let before = files(folder.path());
    let mut device = Device::start(state);
    let mut peer = appliance.accept(device.dialled().await).await;
    assert_eq!(dialled(&next_hello(&mut peer).await), Some(OLD));
    peer.send(from_appliance::Body::Waiting(Waiting {})).await;
    peer.send(announcement(NEW)).await;
    peer.serve(Duration::from_mins(5)).await;
    assert!(device.dialled.try_recv().is_err());
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");

    peer.enrol("roof").await;
    peer.send(announcement(NEW)).await;
    let mut new = arrival(&appliance, &mut device, NEW).await.0;
    new.send(first_word()).await;
    assert_eq!(dialled(&next_hello(&mut new).await), Some(NEW));
}

#[tokio::test(start_paused = true)]
async fn d2_an_announcement_forged_in_the_outer_layer_changes_nothing() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let mut device = Device::start(state);
    let mut plain = Vec::new();
    encode_from_appliance(&announcement(NEW).into(), &mut plain).unwrap();
    for forged in
        [Message::Binary(plain.clone().into()), Message::Text("moved.example:8443".into())]
    {
        let mut peer = arrival(&appliance, &mut device, OLD).await.0;
        lives(&mut peer).await;
        peer.socket.send(forged).await.unwrap();
        while peer.next().await.is_some() {}
    }
    arrival(&appliance, &mut device, OLD).await;
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_old_session_does_not_end_the_move() {
    for polite in [true, false] {
        let appliance = Appliance::new();
        let mut device = Device::start(appliance.enrolled_state());
        let mut old = arrival(&appliance, &mut device, OLD).await.0;
        old.send(announcement(NEW)).await;
        let mut new = arrival(&appliance, &mut device, NEW).await.0;
        // The appliance has seen the hello, and the device learns of that here first.
        if polite {
            let replaced = GoodbyeReason::Replaced.into();
            let goodbye = Goodbye { reason: replaced, retry_after_seconds: 0 };
            old.send(from_appliance::Body::Goodbye(goodbye)).await;
        }
        drop(old);
        sleep(Duration::from_secs(3)).await;
        new.send(first_word()).await;
        assert_eq!(dialled(&next_hello(&mut new).await), Some(NEW));
        lives(&mut new).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d1_a_kill_between_proof_and_write_leaves_a_device_that_the_appliance_still_waits_for() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let mut device = Device::start(state);
    let mut old = arrival(&appliance, &mut device, OLD).await.0;
    old.send(announcement(NEW)).await;
    let (new, hello) = arrival(&appliance, &mut device, NEW).await;
    assert_eq!(dialled(&hello), None, "or the appliance would close the old address on it");
    device.kill().await;
    drop((old, new));
    assert_eq!(files(folder.path()), before);

    // The same again, and the power goes before the appliance hears that it has settled.
    let mut device = Device::start(State::open(folder.path()).unwrap());
    let mut old = arrival(&appliance, &mut device, OLD).await.0;
    old.send(announcement(NEW)).await;
    let mut new = arrival(&appliance, &mut device, NEW).await.0;
    new.send(first_word()).await;
    until_noted(&device, &mut new, "settled").await;
    device.kill().await;
    drop((old, new));
    let mut device = Device::start(State::open(folder.path()).unwrap());
    assert_eq!(dialled(&arrival(&appliance, &mut device, NEW).await.1), Some(NEW));
}

#[tokio::test(start_paused = true)]
async fn d1_a_device_that_cannot_keep_the_new_address_does_not_say_that_it_has() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let mut device = Device::start(state);
    let mut old = arrival(&appliance, &mut device, OLD).await.0;
    old.send(announcement(NEW)).await;
    let mut new = arrival(&appliance, &mut device, NEW).await.0;
    // As on a full disk: the next state has no place.
    let blocked = folder.path().join("device.json.new");
    fs::create_dir(&blocked).unwrap();
    new.send(first_word()).await;
    for (_, body) in new.serve(Duration::from_mins(10)).await {
        if let from_device::Body::Hello(hello) = body {
            assert_eq!(dialled(&hello), None);
        }
    }
    assert_eq!(places(folder.path()), [OLD]);
    fs::remove_dir(&blocked).unwrap();
    let came = new.serve(Duration::from_secs(61)).await;
    let told = came.iter().any(|(_, body)| match body {
        from_device::Body::Hello(hello) => dialled(hello) == Some(NEW),
        _ => false,
    });
    assert!(told, "{came:?}");
    assert_eq!(places(folder.path()), [NEW, OLD]);
}

#[tokio::test(start_paused = true)]
async fn d1_a_move_that_is_taken_back_does_not_orphan_a_device() {
    let appliance = Appliance::new();
    let (folder, mut state) = kept(appliance.enrolled_device()).await;
    let new = aerie_protocol::address::Address::new(NEW, 8443).unwrap();
    state.settle(appliance.identity.public(), new).await.unwrap();
    let before = files(folder.path());
    let mut device = Device::start(state);
    for _ in 0..3 {
        drop(device.dialled_at(NEW).await);
    }
    let (mut old, hello) = arrival(&appliance, &mut device, OLD).await;
    assert_eq!(dialled(&hello), Some(OLD));
    assert_eq!(files(folder.path()), before, "nobody has said a word yet");
    old.send(first_word()).await;
    lives(&mut old).await;
    // What worked comes first from now on, and the other is not forgotten.
    assert_eq!(places(folder.path()), [OLD, NEW]);
    drop(old);
    for _ in 0..3 {
        drop(device.dialled_at(OLD).await);
    }
    arrival(&appliance, &mut device, NEW).await;
}

#[tokio::test(start_paused = true)]
async fn d1_an_address_where_the_appliance_proves_itself_and_says_nothing_is_a_miss() {
    let appliance = Appliance::new();
    let (folder, mut state) = kept(appliance.enrolled_device()).await;
    let new = aerie_protocol::address::Address::new(NEW, 8443).unwrap();
    state.settle(appliance.identity.public(), new).await.unwrap();
    let mut device = Device::start(state);
    for _ in 0..3 {
        drop(arrival(&appliance, &mut device, NEW).await);
    }
    let mut old = arrival(&appliance, &mut device, OLD).await.0;
    lives(&mut old).await;
    assert_eq!(places(folder.path()), [OLD, NEW]);
}

#[tokio::test(start_paused = true)]
async fn an_appliance_that_waits_for_a_device_which_is_there_is_told_so_again() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = arrival(&appliance, &mut device, OLD).await.0;
    for _ in 0..3 {
        peer.send(announcement("APPLIANCE.example")).await;
        assert_eq!(dialled(&next_hello(&mut peer).await), Some(OLD));
        lives(&mut peer).await;
    }
    assert!(device.dialled.try_recv().is_err());
}

/// Announces twice a minute until the device dials; with a terminal open, that ends after
/// `closes_after`. How long it took.
async fn dials_with_a_terminal_open(closes_after: Duration) -> Duration {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = arrival(&appliance, &mut device, OLD).await.0;
    let open = TerminalOpen { channel: 1, rows: 24, columns: 80, credit: 1000 };
    peer.send(from_appliance::Body::TerminalOpen(open)).await;
    let mut program = device.programs.recv().await.unwrap();
    let began = Instant::now();
    loop {
        peer.send(announcement(NEW)).await;
        lives(&mut peer).await;
        if let Ok(dialled) = device.dialled.try_recv() {
            assert_eq!(dialled.host, NEW);
            return began.elapsed();
        }
        peer.serve(Duration::from_secs(30)).await;
        if began.elapsed() >= closes_after {
            peer.send(from_appliance::Body::TerminalClose(TerminalClose { channel: 1 })).await;
            drop(program.exit.take());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d3_an_open_terminal_holds_a_move_up_but_not_for_ever() {
    let closed = dials_with_a_terminal_open(Duration::from_mins(3)).await.as_secs();
    assert!((180..=240).contains(&closed), "{closed}");
    let open = dials_with_a_terminal_open(Duration::from_hours(9)).await.as_secs();
    assert!((900..=960).contains(&open), "{open}");
}
