//! Devices: the inform endpoint, their sessions, and what is known of them.
//!
//! A device knocks ([`inform`]), waits in the [`quarantine`] until an admin lets it in
//! ([`actions`]), and from then on has a [`session`] whenever it is connected. [`registry`] knows
//! them all; a [`cell`] is one of them; [`snapshot`] is what other rooms see. [`rotation`] changes the
//! passwords of their accounts.
//!
//! Invariants: a device is its static key, never its MAC address. What is told to a device as done
//! is durable first. A session's fault ends that session alone.

mod actions;
mod admission;
mod cell;
pub mod connection_key;
pub mod events;
mod hearing;
pub mod history;
mod inform;
mod jitter;
mod mailbox;
mod moving;
mod quarantine;
mod records;
mod registry;
pub mod rotation;
mod session;
pub mod sites;
pub mod snapshot;
pub mod terminal;
mod terminals;
mod wire;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aerie_protocol::address::AddressError;
use aerie_protocol::inform::GoodbyeReason;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::admission::AdmissionControl;
use self::cell::Cell;
use self::connection_key::ConnectionKeys;
use self::events::Events;
use self::history::History;
use self::mailbox::Letter;
use self::moving::Moves;
use self::quarantine::Bounds;
use self::registry::Registry;
use self::rotation::Heard;
use self::sites::Sites;
use self::snapshot::{Connection, Device, DeviceFilter};
use self::terminals::Terminals;
use crate::clock::Clock;
use crate::store::{Store, StoreError};
use crate::supervisor::{DEADLINE, Heartbeat, Supervisor};

pub use self::actions::ActionError;
pub use self::admission::Admission;
pub use self::hearing::WatchGuard;
pub use self::moving::{Announcement, Progress, WaitingDevice};

/// Seconds between the reports of a device that somebody looks at.
const WATCHED_INTERVAL: u32 = 2;
/// New identities from one source network, a minute.
const STRANGERS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(240).unwrap();
/// The waiting room.
const QUARANTINE: Bounds = Bounds { total: 2_048, per_source: 512 };
/// Changes that a slow listener may be behind before it has to ask anew.
const CHANGES: usize = 4_096;
/// How often sweepers pass.
const SWEEP: Duration = Duration::from_secs(10);
/// How long sessions may take to say goodbye.
const GOODBYE_TIME: Duration = Duration::from_secs(4);

/// Why devices could not be read or changed.
#[derive(Debug, Error)]
pub enum DevicesError {
    /// The store.
    #[error("the store could not be read or written")]
    Store(#[from] StoreError),
    /// The appliance's own identity.
    #[error("the appliance's identity could not be read")]
    Keys(#[from] connection_key::KeysError),
    /// What was to be announced is no address.
    #[error("devices cannot be sent to this address")]
    Address(#[from] AddressError),
}

/// Something about devices changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A device is new, or something about it changed.
    Device(Uuid),
    /// A device is gone.
    DeviceRemoved(Uuid),
    /// A watched device has reported.
    Status(Uuid, Arc<snapshot::Status>),
    /// A site is new or changed.
    Site(Uuid),
    /// A site is gone.
    SiteRemoved(Uuid),
}

/// What can be tuned.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Connections let in a second, all devices together.
    pub connects_per_second: NonZeroU32,
    /// Seconds between status reports of a device that nobody looks at.
    pub status_interval: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { connects_per_second: const { NonZeroU32::new(2_000).unwrap() }, status_interval: 60 }
    }
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Devices {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    tuning: Tuning,
    keys: ConnectionKeys,
    registry: Registry,
    admission: AdmissionControl,
    events: Events,
    history: History,
    sites: Sites,
    terminals: Terminals,
    moves: Moves,
    /// Devices that have said something of passwords.
    heard: Heard,
    changes: broadcast::Sender<Change>,
    tracker: TaskTracker,
    serials: AtomicU64,
    shutting_down: AtomicBool,
    nobody: Arc<Cell>,
    /// Decisions of admins, one at a time: two that race must not undo each other.
    deciding: tokio::sync::Mutex<()>,
}

/// The rooms that devices stand on.
pub struct Ground {
    /// The store.
    pub store: Store,
    /// Wall clock.
    pub clock: Clock,
    /// The appliance's identity and device keys.
    pub keys: ConnectionKeys,
    /// The owner's log.
    pub events: Events,
}

impl Devices {
    /// Reads the devices from the store and starts the sweepers.
    pub async fn start(
        ground: Ground,
        tuning: Tuning,
        supervisor: &Supervisor,
    ) -> Result<Self, DevicesError> {
        let Ground { store, clock, keys, events } = ground;
        let (changes, _) = broadcast::channel(CHANGES);
        let registry = Registry::new(QUARANTINE);
        let known = records::load(&store).await?;
        let history = History::load(&store).await?;
        let moves = Moves::load(&store).await?;
        for (id, mut facts) in known {
            if let Some(seen) = history.last_seen(id) {
                facts.last_seen = facts.last_seen.max(seen);
            }
            registry.restore(id, facts);
        }
        let nobody = Arc::new(Cell::new(Uuid::nil(), hearing::facts_of_nobody(clock.now())));
        let devices = Self {
            inner: Arc::new(Inner {
                sites: Sites::new(store.clone()),
                store,
                clock,
                tuning,
                keys,
                registry,
                admission: AdmissionControl::new(tuning.connects_per_second, STRANGERS_PER_MINUTE),
                events,
                history,
                terminals: Terminals::default(),
                moves,
                heard: Heard::default(),
                changes,
                tracker: TaskTracker::new(),
                serials: AtomicU64::new(1),
                shutting_down: AtomicBool::new(false),
                nobody,
                deciding: tokio::sync::Mutex::new(()),
            }),
        };
        devices.count_all();
        let (sweeping, stop) = (devices.clone(), supervisor.token());
        supervisor.spawn_essential("devices sweeper", DEADLINE, |heartbeat| {
            sweeping.sweep(stop, heartbeat)
        });
        Ok(devices)
    }

    /// Keeps bounds and writes history, until the daemon stops; then says goodbye to every device.
    async fn sweep(self, stop: CancellationToken, mut heartbeat: Heartbeat) {
        let mut passes = tokio::time::interval(SWEEP);
        passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0_u32;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = heartbeat.during(passes.tick()) => {}
            }
            self.inner.terminals.sweep();
            count = count.wrapping_add(1);
            if count.is_multiple_of(6) {
                self.inner.admission.sweep();
                self.announce_again();
                self.flush().await;
            }
        }
        self.say_goodbye().await;
        self.flush().await;
    }

    async fn flush(&self) {
        if let Err(error) = self.inner.history.flush(&self.inner.store, self.now()).await {
            // The next pass writes it; the log of the store says more.
            tracing::error!(%error, "statistics could not be written");
        }
        if let Err(error) = self.save_addresses().await {
            tracing::error!(%error, "by which addresses devices came could not be written");
        }
    }

    async fn say_goodbye(&self) {
        self.inner.shutting_down.store(true, Ordering::Release);
        for cell in self.inner.registry.all() {
            if let Some(mailbox) = cell.mailbox() {
                let back = u32::try_from(jitter::between(1..15)).unwrap_or(1);
                // Closed already when the mailbox refuses.
                mailbox.put(Letter::End(GoodbyeReason::ShuttingDown, back)).ok();
            }
        }
        self.inner.tracker.close();
        if tokio::time::timeout(GOODBYE_TIME, self.inner.tracker.wait()).await.is_err() {
            tracing::warn!(left = self.inner.tracker.len(), "some devices took no goodbye");
        }
    }

    // ------------------------------------------------------------ the door, for edge

    /// Whether a device may connect now. Asked before the upgrade is answered.
    pub fn admit(&self, _source: IpAddr) -> Admission {
        if self.is_shutting_down() {
            return Admission::RetryAfter(Duration::from_secs(10));
        }
        self.inner.admission.connect()
    }

    /// A device of another vendor knocked; its protocol is not public.
    pub fn vendor_seen(&self, source: SocketAddr) {
        self.inner.events.record(events::Event::noisy(
            events::Level::Info,
            "device",
            format!(
                "A vendor device was seen at {}: its protocol is not public. Run aerie-agent on it \
                 where its system allows.",
                source.ip().to_canonical()
            ),
        ));
    }

    // ------------------------------------------------------------ looking

    /// All devices that a filter lets through, oldest first.
    pub fn list(&self, filter: &DeviceFilter) -> Vec<Device> {
        self.inner.registry.list(filter)
    }

    /// One device.
    pub fn device(&self, id: Uuid) -> Option<Device> {
        self.inner.registry.snapshot(id)
    }

    /// How many devices there are, by connection.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for cell in self.inner.registry.all() {
            let state = cell.lock();
            match (state.facts.authorized_at, &state.session) {
                (None, _) => counts.unauthorized += 1,
                (Some(_), Some(_)) => counts.active += 1,
                (Some(_), None) => counts.disconnected += 1,
            }
            counts.sessions += usize::from(state.session.is_some());
        }
        counts
    }

    /// Whether any device has been authorised.
    pub fn has_enrolled(&self) -> bool {
        self.inner.registry.all().iter().any(|cell| cell.is_authorized())
    }

    /// Statistics of the last hour.
    pub fn history(&self) -> &History {
        &self.inner.history
    }

    /// The owner's log.
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Sites.
    pub fn sites(&self) -> &Sites {
        &self.inner.sites
    }

    /// The appliance's identity and device keys.
    pub fn keys(&self) -> &ConnectionKeys {
        &self.inner.keys
    }

    /// What changes from now on. A listener that falls behind is told so and asks anew.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// Tells the listeners of a change.
    pub fn changed(&self, change: Change) {
        // Nobody listens: then nobody has to know.
        self.inner.changes.send(change).ok();
    }

    // ------------------------------------------------------------ within the room

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn admission(&self) -> &AdmissionControl {
        &self.inner.admission
    }

    fn tracker(&self) -> &TaskTracker {
        &self.inner.tracker
    }

    fn serials(&self) -> &AtomicU64 {
        &self.inner.serials
    }

    fn nobody(&self) -> &Arc<Cell> {
        &self.inner.nobody
    }

    fn status_interval(&self) -> u32 {
        self.inner.tuning.status_interval
    }

    fn is_shutting_down(&self) -> bool {
        self.inner.shutting_down.load(Ordering::Acquire)
    }
}

/// How many devices there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Authorised and connected.
    pub active: usize,
    /// Authorised, without a session.
    pub disconnected: usize,
    /// In quarantine.
    pub unauthorized: usize,
    /// Sessions, those of waiting devices included.
    pub sessions: usize,
}

impl From<Connection> for &'static str {
    fn from(connection: Connection) -> Self {
        match connection {
            Connection::Unauthorized => "unauthorized",
            Connection::Active => "active",
            Connection::Disconnected => "disconnected",
        }
    }
}
