//! Identities that nobody knows, all with a good generic key, as fast as they can be made.

use aerie_protocol::noise::StaticKey;
use aerie_tests::{Appliance, Owner, RawDevice, Wire, hello, mac_of, within};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Knocking at the same time.
const SIDE_BY_SIDE: usize = 64;
/// Identities of one source network, as behind one customer's router.
const IN_ONE_NETWORK: u32 = 40;
/// How long the honest device may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a flood did.
pub(crate) struct Flood {
    /// From the start of an honest device, in the middle of the flood, until an admin sees it.
    pub(crate) honest: Duration,
    /// Bytes by which the daemon has grown at the end.
    pub(crate) grown: u64,
    /// Identities that were heard to the end of their hello.
    pub(crate) heard: u32,
}

/// Lets `identities` knock, each once, and an honest new device among them.
pub(crate) async fn flood(appliance: &mut Appliance, owner: &Owner, identities: u32) -> Flood {
    let before = appliance.process().resident_memory();
    let inform = appliance.inform();
    let half = Notify::new();
    let crowd = async {
        let (mut knocking, mut heard) = (JoinSet::new(), 0);
        for number in 0..identities {
            if knocking.len() >= SIDE_BY_SIDE {
                heard += u32::from(matches!(knocking.join_next().await, Some(Ok(true))));
            }
            knocking.spawn(knock(inform, owner.key.clone(), number));
            if number == identities / 2 {
                half.notify_one();
            }
        }
        while let Some(ended) = knocking.join_next().await {
            heard += u32::from(matches!(ended, Ok(true)));
        }
        heard
    };
    let honest = async {
        half.notified().await;
        honest_device(inform, owner).await
    };
    let (heard, honest) = tokio::join!(crowd, honest);
    let grown = appliance.process().resident_memory().saturating_sub(before);
    Flood { honest, grown, heard }
}

/// Knocks until it is let in, as an agent does, and waits there until an admin sees it.
async fn honest_device(inform: SocketAddr, owner: &Owner) -> Duration {
    const NAME: &str = "honest-device";
    let began = Instant::now();
    let own = StaticKey::generate().expect("a key");
    within(PATIENCE, "the honest device is listed", async || {
        let wire = Wire::coming_from(Ipv4Addr::LOCALHOST.into(), inform).await?;
        let let_in = wire.answer.starts_with("HTTP/1.1 101");
        let mut device =
            RawDevice::first_contact_on(wire, &owner.key, &own).await.filter(|_| let_in)?;
        device.say(hello(NAME, mac_of(&own))).await;
        device.hear().await?;
        let listed = owner.client.get("/devices?authorized=false").await.text().contains(NAME);
        listed.then_some(())
    })
    .await;
    began.elapsed()
}

/// Whether it was let in far enough to say hello.
async fn knock(inform: SocketAddr, key: String, number: u32) -> bool {
    let network = number / IN_ONE_NETWORK;
    let byte = |value: u32| u8::try_from(value % 250).unwrap_or(0);
    let last = 1 + byte(number % IN_ONE_NETWORK);
    let source: IpAddr = Ipv4Addr::new(127, 101 + byte(network / 250), byte(network), last).into();
    let own = StaticKey::generate().expect("a key");
    let Some(wire) = Wire::coming_from(source, inform).await else { return false };
    if !wire.answer.starts_with("HTTP/1.1 101") {
        return false;
    }
    let Some(mut device) = RawDevice::first_contact_on(wire, &key, &own).await else {
        return false;
    };
    device.say(hello(&format!("stranger-{number}"), mac_of(&own))).await;
    device.hear().await.is_some()
}
