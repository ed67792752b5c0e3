//! Status messages as fast as some sessions can send them.

use crate::per_second;
use aerie_protocol::inform::{Interface, Status, from_device};
use aerie_protocol::noise::StaticKey;
use aerie_tests::{Appliance, Owner, RawDevice, from_device as frame, until};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SESSIONS: u32 = 16;
const RUN: Duration = Duration::from_secs(10);
/// Messages in one write: as a busy link would deliver them.
const TOGETHER: u32 = 32;

/// Messages taken in per second of the daemon's processor time.
pub(crate) async fn status_messages(appliance: &mut Appliance, owner: &Owner) -> u64 {
    let site = owner.site("Flood").await;
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let own = StaticKey::generate().expect("a key");
        let name = format!("flood-{number}");
        let mut device =
            RawDevice::knock(appliance.inform(), &owner.key, &own, &name).await.expect("answered");
        let id = owner.next_waiting().await;
        owner.authorise(&id, &site).await;
        device.enrolled().await;
        sessions.push((id, device));
    }
    let before = appliance.process().processor_time();
    let end = Instant::now() + RUN;
    let mut senders = JoinSet::new();
    for (id, device) in sessions {
        senders.spawn(send_until(id, device, end));
    }
    let finished = senders.join_all().await;
    // Sent is not taken in: each device's last report has to be on show.
    for (id, last, _device) in &finished {
        until("the last message is taken in", async || {
            let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
            (device["overview"]["uptime"] == *last).then_some(())
        })
        .await;
    }
    let messages = finished.iter().map(|(_, last, _)| last).sum();
    let spent = appliance.process().processor_time().saturating_sub(before);
    per_second(messages, spent)
}

async fn send_until(id: String, mut device: RawDevice, end: Instant) -> (String, u64, RawDevice) {
    let mut sent = 0;
    while Instant::now() < end {
        let mut bytes = Vec::new();
        for _ in 0..TOGETHER {
            sent += 1;
            bytes.extend_from_slice(&frame(&device.seal(status(sent))));
        }
        device.wire.send_bytes(&bytes).await;
    }
    (id, sent, device)
}

/// What a small router says: four interfaces.
fn status(number: u64) -> from_device::Body {
    let interface = |index: u32| Interface {
        name: format!("eth{index}"),
        index,
        kind: "ethernet".to_owned(),
        mac: vec![2, 0, 0, 0, 0, 1],
        addresses: vec!["192.0.2.7/24".to_owned()],
        mtu: 1500,
        enabled: true,
        plugged: true,
        speed_mbps: Some(1000),
        rx_bytes: number * 1_000,
        tx_bytes: number * 500,
        ..Interface::default()
    };
    from_device::Body::Status(Status {
        cpu_permille: 120,
        ram_total_bytes: 256 << 20,
        ram_used_bytes: 100 << 20,
        uptime_seconds: number,
        interfaces: (0..4).map(interface).collect(),
        ..Status::default()
    })
}
