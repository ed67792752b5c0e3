//! What is made of what devices say: hellos, status reports, sessions that begin and end.

use std::net::SocketAddr;
use std::sync::Arc;

use aerie_protocol::inform::{Hello, Status as StatusMessage};
use aerie_protocol::noise::PublicKey;
use jiff::Timestamp;
use uuid::Uuid;

use super::cell::{Cell, Facts};
use super::events::{Event, Level};
use super::inform::{Greeted, Proof};
use super::mailbox::Letter;
use super::moving::came_by;
use super::session::End;
use super::snapshot::{Claims, Status};
use super::{Change, Devices, records};

/// While it lives, the devices that it was made for report every two seconds.
pub struct WatchGuard {
    devices: Devices,
    cells: Vec<Arc<Cell>>,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        for cell in &self.cells {
            if cell.remove_watcher() {
                self.devices.tell_reporting(cell);
            }
        }
    }
}

impl Devices {
    /// Asks these devices to report every two seconds while the guard lives.
    pub fn watch(&self, ids: &[Uuid]) -> WatchGuard {
        let cells: Vec<_> = ids.iter().filter_map(|id| self.registry().by_id(*id)).collect();
        for cell in &cells {
            if cell.add_watcher() {
                self.tell_reporting(cell);
            }
        }
        WatchGuard { devices: self.clone(), cells }
    }

    fn tell_reporting(&self, cell: &Cell) {
        if let Some(mailbox) = cell.mailbox().filter(|_| cell.is_authorized()) {
            let body = Some(self.reporting(cell));
            let message = aerie_protocol::inform::FromAppliance { body };
            // A session that takes nothing is about to end, and asks again when it comes back.
            mailbox.put(Letter::Send(Box::new(message))).ok();
        }
    }

    /// A device reports. `message` is the same report as it came.
    pub(super) fn heard_status(&self, cell: &Cell, status: &StatusMessage, message: &[u8]) {
        let now = self.now();
        cell.keep_status(message, now);
        self.inner.history.record(cell.id, now, status);
        if self.inner.changes.receiver_count() == 0 {
            return;
        }
        if cell.is_watched() {
            let status = Arc::new(Status::from_message(status, now));
            self.changed(Change::Status(cell.id, status));
        }
        self.changed(Change::Device(cell.id));
    }

    /// A device says who it is. What it claims is remembered, also over a restart.
    pub(super) fn heard_hello(&self, cell: &Arc<Cell>, hello: &Hello) {
        let claims = Claims::from_hello(hello);
        let now = self.now();
        let came_by = came_by(hello);
        let (before, changed, moved) = {
            let mut state = cell.lock();
            state.facts.last_seen = now;
            let before = state.facts.claims.mac;
            let changed = state.facts.claims != claims;
            state.facts.claims = claims.clone();
            state.facts.verified |= hello.pinned;
            // A device that does not say so is about to, or cannot: it keeps what it had.
            let moved = came_by.is_some() && state.facts.came_by != came_by;
            if moved {
                state.facts.came_by = came_by;
            }
            (before, changed, moved)
        };
        if moved && cell.is_authorized() {
            self.came_by_another(cell);
        }
        if !changed {
            return;
        }
        if before != claims.mac {
            self.registry().move_mac(cell.id, before, claims.mac);
            self.tell_conflict(cell);
        }
        if cell.is_authorized() {
            self.save_later(cell);
        }
        self.changed(Change::Device(cell.id));
    }

    /// Writes a device's facts without making its session wait.
    fn save_later(&self, cell: &Arc<Cell>) {
        let devices = self.clone();
        let cell = Arc::clone(cell);
        self.tracker().spawn(async move {
            let _deciding = devices.inner.deciding.lock().await;
            if devices.registry().by_id(cell.id).is_none() {
                return;
            }
            let facts = cell.lock().facts.clone();
            if let Err(error) = records::save(&devices.inner.store, vec![(cell.id, facts)]).await {
                tracing::error!(%error, device = %cell.id, "a device could not be written");
            }
        });
    }

    pub(super) fn facts_of_stranger(&self, greeted: &Greeted) -> Facts {
        let now = self.now();
        let generation = match greeted.proof {
            Proof::DeviceKey(generation) => generation,
            Proof::KnownAppliance => [0; 4],
        };
        Facts {
            public_key: greeted.remote,
            alias: String::new(),
            note: String::new(),
            maintenance: false,
            claims: Claims::from_hello(&greeted.hello),
            site: None,
            verified: greeted.proof == Proof::KnownAppliance || greeted.hello.pinned,
            generation,
            first_seen: now,
            last_seen: now,
            authorized_at: None,
            authorized_by: None,
            refresh_until: None,
            came_by: came_by(&greeted.hello),
        }
    }

    /// A stranger has entered the quarantine.
    pub(super) fn knocked(&self, cell: &Cell, source: SocketAddr) {
        let name = cell.name();
        self.events().record(
            Event::noisy(
                Level::Info,
                "device",
                format!(
                    "{} at {} knocked and waits to be authorised.",
                    name,
                    source.ip().to_canonical()
                ),
            )
            .about(cell.id, &name),
        );
        self.tell_conflict(cell);
        self.changed(Change::Device(cell.id));
    }

    fn tell_conflict(&self, cell: &Cell) {
        let Some(device) = self.registry().snapshot(cell.id) else { return };
        if device.conflicts.is_empty() {
            return;
        }
        self.events().record(
            Event::noisy(
                Level::Warning,
                "device",
                format!(
                    "{} claims a MAC address that another device claims too. They have different \
                     keys, so they are kept apart: look which one is real.",
                    device.display_name()
                ),
            )
            .about(cell.id, device.display_name()),
        );
        for other in &device.conflicts {
            self.changed(Change::Device(*other));
        }
    }

    pub(super) fn session_began(&self, cell: &Cell) {
        cell.touch(self.now());
        if cell.is_authorized() {
            let name = cell.name();
            self.events().record(
                Event::quiet(Level::Info, "device-state", format!("{name} connected."))
                    .about(cell.id, &name),
            );
        } else {
            self.registry().set_silent(cell.id, false);
        }
        self.inner.heard.tell(cell.id);
        self.changed(Change::Device(cell.id));
    }

    pub(super) fn session_ended(&self, cell: &Cell, serial: u64, end: &End) {
        tracing::debug!(device = %cell.id, reason = %end, "session ended");
        let name = cell.name();
        if end.is_offence() {
            self.events().record(
                Event::noisy(Level::Warning, "device", format!("{name} was cut off: {end}."))
                    .about(cell.id, &name),
            );
        }
        if !cell.detach(serial) {
            // Another session has taken over; the device never left.
            return;
        }
        if cell.is_authorized() {
            let level = if matches!(end, End::Told(_)) { Level::Info } else { Level::Warning };
            self.events().record(
                Event::quiet(level, "device-state", format!("{name} disconnected: {end}."))
                    .about(cell.id, &name),
            );
            self.inner.history.gap(cell.id, self.now());
        } else {
            self.registry().set_silent(cell.id, true);
        }
        self.changed(Change::Device(cell.id));
    }

    /// A device is out of memory: pushed out of the quarantine, or deleted.
    pub(super) fn removed(&self, id: Uuid) {
        self.inner.terminals.end_device(id, "The device was removed.");
        self.inner.history.forget(id);
        self.inner.moves.forget(id);
        self.changed(Change::DeviceRemoved(id));
    }
}

/// Stands for no device at all, where a session needs one that is told to go.
pub(super) fn facts_of_nobody(now: Timestamp) -> Facts {
    Facts {
        public_key: PublicKey([0; 32]),
        alias: String::new(),
        note: String::new(),
        maintenance: false,
        claims: Claims::default(),
        site: None,
        verified: false,
        generation: [0; 4],
        first_seen: now,
        last_seen: now,
        authorized_at: None,
        authorized_by: None,
        refresh_until: None,
        came_by: None,
    }
}
