//! Who a device belongs to: first contact, enrolment, reconnect, forget; and everything that must
//! not change it.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use aerie_agent::{
    state::{Directory, State},
    trust::CertificateRule,
};
use aerie_protocol::{
    inform::{Forget, Refusal, RefusalReason, Waiting, from_appliance, from_device},
    key::DeviceKey,
};
use futures_util::SinkExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    appliance::{Appliance, upgrade},
    simulated::Device,
};

/// Every file of a directory with its content.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
    });
    entries.collect()
}

/// A state directory with this device in it.
pub(crate) async fn kept(known: aerie_agent::state::Known) -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(folder.path()).unwrap();
    state.offer(known.key.unwrap()).await.unwrap();
    if let Some(enrolment) = known.enrolment {
        assert!(state.enrol(enrolment).await.unwrap());
    }
    (folder, state)
}

#[tokio::test(start_paused = true)]
async fn d1_a_device_waits_is_enrolled_and_comes_back_without_the_key() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.new_device()).await;
    let mut device = Device::start(state);

    let mut peer = appliance.accept(device.dialled().await).await;
    assert!(peer.first_contact);
    let Some(from_device::Body::Hello(hello)) = peer.next().await else { panic!("no hello") };
    assert!(hello.pinned, "the pin was checked");
    peer.send(from_appliance::Body::Waiting(Waiting {})).await;
    assert!(peer.settle(1).await.is_empty(), "identity and keep-alive only");
    assert!(State::open(folder.path()).unwrap().known().enrolment.is_none());

    peer.enrol("roof").await;
    let known = State::open(folder.path()).unwrap().known().clone();
    let enrolment = known.enrolment.unwrap();
    assert_eq!(enrolment.appliance, appliance.identity.public());
    assert_eq!((enrolment.device_id, enrolment.name.as_str()), ([5; 16], "roof"));
    let identity = peer.noise.remote();
    drop(peer);

    // The generic key was rotated meanwhile: an enrolled device does not care.
    let rotated = Appliance { secret: Appliance::new().secret, ..appliance };
    let peer = rotated.welcome(device.dialled().await).await;
    assert!(!peer.first_contact);
    assert_eq!(peer.noise.remote(), identity);
    assert_eq!(
        device.diary().iter().filter(|note| note.starts_with("connected")).collect::<Vec<_>>(),
        ["connected enrolled=false", "connected enrolled=true"]
    );
}

#[tokio::test(start_paused = true)]
async fn until_it_is_authorised_a_device_uses_first_contact_at_every_connect() {
    let appliance = Appliance::new();
    let mut device = Device::start(State::in_memory(appliance.new_device()));
    let mut seen = None;
    for _ in 0..4 {
        let mut peer = appliance.welcome(device.dialled().await).await;
        assert!(peer.first_contact);
        assert_eq!(*seen.get_or_insert(peer.noise.remote()), peer.noise.remote());
        peer.send(from_appliance::Body::Waiting(Waiting {})).await;
        peer.settle(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_lost_enrolment_is_enrolled_again_and_writes_nothing_twice() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.new_device()).await;
    let mut device = Device::start(state);
    let mut peer = appliance.welcome(device.dialled().await).await;
    peer.enrol("roof").await;
    let before = fs::metadata(folder.path().join("device.json")).unwrap();
    peer.enrol("roof").await;
    let after = fs::metadata(folder.path().join("device.json")).unwrap();
    assert_eq!(inode(&before), inode(&after), "flash was written for nothing");
}

fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[tokio::test(start_paused = true)]
async fn d2_a_man_in_the_middle_with_the_leaked_key_fails_on_the_pin() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.new_device()).await;
    let before = files(folder.path());
    let impostor = appliance.impostor();
    let mut device = Device::start(state);
    for _ in 0..3 {
        let mut greeted = impostor.greet(device.dialled().await).await;
        // He knows the key, so he can answer; the device leaves before it says who it is.
        assert!(greeted.answer(&impostor).await.is_none());
    }
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");
    // The honest appliance is believed at once.
    assert!(appliance.welcome(device.dialled().await).await.first_contact);
}

#[tokio::test(start_paused = true)]
async fn a_key_without_a_pin_connects_and_says_that_nothing_was_checked() {
    let appliance = Appliance::new();
    let known = aerie_agent::state::Known {
        key: Some(appliance.key_without_pin()),
        ..appliance.new_device()
    };
    let mut device = Device::start(State::in_memory(known));
    let mut peer = appliance.accept(device.dialled().await).await;
    let Some(from_device::Body::Hello(hello)) = peer.next().await else { panic!("no hello") };
    assert!(!hello.pinned);
}

#[tokio::test(start_paused = true)]
async fn d2_an_enrolled_device_never_falls_back_to_first_contact() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let impostor = appliance.impostor();
    let mut device = Device::start(state);
    for _ in 0..6 {
        let mut greeted = impostor.greet(device.dialled().await).await;
        assert_eq!(greeted.opening.key_id(), None, "it asked for a first contact");
        // Not even readable for him: message 1 is sealed for another key.
        assert!(greeted.opening.answer(&impostor.identity, None).is_err());
        greeted.socket.send(Message::Binary(vec![0; 48].into())).await.unwrap();
    }
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
}

#[tokio::test(start_paused = true)]
async fn an_authenticated_forget_leads_back_to_first_contact() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let mut device = Device::start(state);
    let mut peer = appliance.welcome(device.dialled().await).await;
    assert!(!peer.first_contact);
    let identity = peer.noise.remote();
    peer.send(from_appliance::Body::Forget(Forget {})).await;
    while peer.next().await.is_some() {}

    let peer = appliance.welcome(device.dialled().await).await;
    assert!(peer.first_contact);
    assert_eq!(peer.noise.remote(), identity, "the device is still itself");
    assert!(State::open(folder.path()).unwrap().known().enrolment.is_none());
    assert!(device.diary().contains(&"forgotten".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn d2_a_forget_forged_in_the_outer_layer_changes_nothing() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let mut device = Device::start(state);
    let mut plain = Vec::new();
    let forget = from_appliance::Body::Forget(Forget {}).into();
    aerie_protocol::inform::encode_from_appliance(&forget, &mut plain).unwrap();
    let close = CloseFrame { code: CloseCode::Policy, reason: "forget".into() };
    for forged in [
        Message::Binary(plain.clone().into()),
        Message::Text("forget".into()),
        Message::Close(Some(close)),
    ] {
        // Before the handshake's answer, and in the place of it.
        let mut greeted = appliance.greet(device.dialled().await).await;
        greeted.socket.send(forged.clone()).await.unwrap();
        // And inside an open session.
        let mut peer = appliance.welcome(device.dialled().await).await;
        peer.settle(1).await;
        peer.socket.send(forged).await.unwrap();
    }
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");
}

#[tokio::test(start_paused = true)]
async fn http_and_websocket_refusals_change_nothing() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let mut device = Device::start(state);
    for answer in [
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 301 Moved Permanently\r\nlocation: https://elsewhere/\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "not HTTP at all\r\n\r\n",
        "",
    ] {
        let mut stream = device.dialled().await;
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
    assert_eq!(files(folder.path()), before, "the state directory is not byte-identical");
}

#[tokio::test(start_paused = true)]
async fn an_authenticated_refusal_is_no_forget() {
    let appliance = Appliance::new();
    let (folder, state) = kept(appliance.enrolled_device()).await;
    let before = files(folder.path());
    let mut device = Device::start(state);
    let mut peer = appliance.welcome(device.dialled().await).await;
    for reason in [RefusalReason::NotAuthorized, RefusalReason::NotAllowed, RefusalReason::Busy] {
        let refusal = Refusal { reason: reason.into(), detail: "no\u{202e}".to_owned() };
        peer.send(from_appliance::Body::Refusal(refusal)).await;
    }
    peer.settle(1).await;
    drop(peer);
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
    assert_eq!(files(folder.path()), before);
}

#[tokio::test(start_paused = true)]
async fn the_certificate_decides_only_until_a_device_is_enrolled() {
    let appliance = Appliance::new();
    let allowing = DeviceKey { allow_untrusted: true, ..appliance.key() };
    for (known, rule) in [
        (appliance.new_device(), CertificateRule::Refuse),
        (
            aerie_agent::state::Known { key: Some(allowing), ..appliance.new_device() },
            CertificateRule::Allow,
        ),
        (appliance.enrolled_device(), CertificateRule::Note),
    ] {
        let mut device = Device::start(State::in_memory(known));
        assert_eq!(device.dialled.recv().await.unwrap().rule, rule);
    }
}

#[tokio::test(start_paused = true)]
async fn an_adoption_at_the_device_ends_the_session_within_a_minute() {
    let (former, next) = (Appliance::new(), Appliance::new());
    let (folder, state) = kept(former.enrolled_device()).await;
    let mut device = Device::start(state);
    let mut peer = former.welcome(device.dialled().await).await;
    peer.settle(1).await;
    Directory::existing(folder.path())
        .unwrap()
        .change(|known| {
            known.key = Some(next.key());
            known.enrolment = None;
        })
        .unwrap();
    // The appliance keeps the session alive, or silence would end it first.
    let came = peer.serve(Duration::from_secs(100)).await;
    let (when, last) = came.last().unwrap();
    assert!(matches!(last, from_device::Body::Goodbye(_)), "{last:?}");
    assert!(when.as_secs() <= 60, "{when:?}");
    drop(peer);
    assert!(next.welcome(device.dialled().await).await.first_contact);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_upgrade_does_not_hold_a_device_for_ever() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let silent = device.dialled().await;
    let upgraded = upgrade(device.dialled().await).await;
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
    drop((silent, upgraded));
}
