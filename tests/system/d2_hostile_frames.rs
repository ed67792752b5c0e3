//! Wrong bytes inside a proven session: a typed refusal or a clean end, and nobody else notices.

use aerie_protocol::inform::{KeepAlive, Status, from_device};
use aerie_protocol::noise::StaticKey;
use aerie_tests::{
    Appliance, Owner, RawDevice, Wire, frame_from_device, from_device as frame, until,
};

/// An appliance with one enrolled device that must not notice anything, and another one that misbehaves.
struct Scene {
    appliance: Appliance,
    owner: Owner,
    bystander: RawDevice,
    bystander_id: String,
    villain: RawDevice,
}

async fn enrolled(appliance: &Appliance, owner: &Owner, name: &str) -> (RawDevice, String) {
    let own = StaticKey::generate().expect("a key");
    let mut device =
        RawDevice::knock(appliance.inform(), &owner.key, &own, name).await.expect("answered");
    let id = owner.next_waiting().await;
    let site = owner.site(name).await;
    owner.authorise(&id, &site).await;
    device.enrolled().await;
    (device, id)
}

impl Scene {
    async fn set() -> Self {
        let appliance = Appliance::start().await;
        let owner = appliance.set_up().await;
        let (bystander, bystander_id) = enrolled(&appliance, &owner, "bystander").await;
        let (villain, _) = enrolled(&appliance, &owner, "villain").await;
        Self { appliance, owner, bystander, bystander_id, villain }
    }

    /// The bystander's session is the same as before and still works.
    async fn unharmed(mut self) {
        let report = Status { uptime_seconds: 31_337, ..Status::default() };
        self.bystander.say(from_device::Body::Status(report)).await;
        let path = format!("/devices/{}", self.bystander_id);
        until("the bystander is heard", async || {
            let device = self.owner.client.get(&path).await.expect(200).json();
            (device["overview"]["uptime"] == 31_337).then_some(())
        })
        .await;
    }
}

fn beat(sequence: u32) -> from_device::Body {
    from_device::Body::KeepAlive(KeepAlive { sequence })
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_replayed_frame_ends_the_session() {
    let mut scene = Scene::set().await;
    let message = scene.villain.seal(from_device::Body::Status(Status::default()));
    scene.villain.wire.send(&message).await;
    scene.villain.wire.send(&message).await;
    while scene.villain.wire.next().await.is_some() {}
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_reordered_frames_end_the_session() {
    let mut scene = Scene::set().await;
    let first = scene.villain.seal(beat(1));
    let second = scene.villain.seal(beat(2));
    scene.villain.wire.send(&second).await;
    scene.villain.wire.send(&first).await;
    while scene.villain.wire.next().await.is_some() {}
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_oversized_frames_are_refused_before_they_are_read() {
    for length in [65_536, 16 << 20, 1 << 40] {
        let mut scene = Scene::set().await;
        let before = scene.appliance.process().resident_memory();
        scene.villain.wire.send_bytes(&frame_from_device(0x82, length, &[0; 1024])).await;
        while scene.villain.wire.next().await.is_some() {}
        let after = scene.appliance.process().resident_memory();
        assert!(
            after < before + (8 << 20),
            "a frame of {length} bytes cost {} bytes",
            after - before
        );
        scene.unharmed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_half_a_frame_hurts_nobody() {
    let mut scene = Scene::set().await;
    let message = scene.villain.seal(beat(1));
    let wire = frame(&message);
    scene.villain.wire.send_bytes(&wire[..wire.len() / 2]).await;
    let Scene { appliance, owner, bystander, bystander_id, villain } = scene;
    drop(villain);
    let own = StaticKey::generate().expect("a key");
    let villain =
        RawDevice::knock(appliance.inform(), &owner.key, &own, "next").await.expect("answered");
    Scene { appliance, owner, bystander, bystander_id, villain }.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_text_fragments_and_reserved_bits_are_refused() {
    for first in [0x81, 0x02, 0xc2, 0x83] {
        let mut scene = Scene::set().await;
        let message = scene.villain.seal(beat(1));
        scene.villain.wire.send_bytes(&frame_from_device(first, message.len(), &message)).await;
        // An unfinished message (0x02) is followed by a frame that cannot be.
        scene.villain.wire.send_bytes(&frame_from_device(0x82, 0, &[])).await;
        while scene.villain.wire.next().await.is_some() {}
        scene.unharmed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_sealed_nonsense_is_refused_and_its_sender_alone_suffers() {
    // No body, an unknown body, two bodies, a wrong type, garbage, a lie about its length.
    let nonsense: [&[u8]; 6] = [
        &[],
        &[0xfa, 0x06, 0x00],
        &[0x1a, 0x00, 0x1a, 0x00],
        &[0x08, 0x01],
        &[0xff; 300],
        &[0x12, 0x7f, 0x01],
    ];
    let mut scene = Scene::set().await;
    for plain in nonsense {
        let own = StaticKey::generate().expect("a key");
        let mut device =
            RawDevice::knock(scene.appliance.inform(), &scene.owner.key, &own, "nonsense")
                .await
                .expect("answered");
        let sealed = device.seal_bytes(plain);
        device.wire.send(&sealed).await;
    }
    let sealed = scene.villain.seal_bytes(&[0xff; 300]);
    scene.villain.wire.send(&sealed).await;
    while scene.villain.wire.next().await.is_some() {}
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_openings_of_every_wrong_kind_are_turned_away() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    for opening in [
        vec![],
        vec![1],
        vec![2, 1],
        vec![1, 9, 0, 0, 0, 0],
        vec![1, 1, 0, 0, 0, 0],
        [vec![1, 1, 0, 0, 0, 0], vec![0; 48]].concat(),
        [vec![1, 2], vec![0; 96]].concat(),
        [vec![1, 2], vec![0xff; 96]].concat(),
        vec![0x41; 65_535],
    ] {
        let mut wire = Wire::open(appliance.inform()).await;
        wire.send(&opening).await;
        wire.ends().await;
    }
    assert!(owner.devices().await.is_empty());
}
