//! Which devices there are: those that an admin let in, and those that wait.
//!
//! Three indexes over the same cells. The identity of a device is its static key; a MAC address is
//! only a claim, so several devices may stand under one and are shown as a conflict.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aerie_protocol::noise::PublicKey;
use uuid::Uuid;

use super::cell::{Cell, Facts};
use super::quarantine::{Bounds, Quarantine};
use super::snapshot::{Device, DeviceFilter};

/// All devices in memory.
pub(super) struct Registry {
    inside: RwLock<Inside>,
}

struct Inside {
    by_id: HashMap<Uuid, Arc<Cell>>,
    by_key: HashMap<PublicKey, Arc<Cell>>,
    by_mac: HashMap<[u8; 6], Vec<Uuid>>,
    quarantine: Quarantine,
}

impl Registry {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            inside: RwLock::new(Inside {
                by_id: HashMap::new(),
                by_key: HashMap::new(),
                by_mac: HashMap::new(),
                quarantine: Quarantine::new(bounds),
            }),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inside> {
        self.inside.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inside> {
        self.inside.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in a device that the store knows.
    pub(super) fn restore(&self, id: Uuid, facts: Facts) {
        self.write().insert(id, facts);
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<Arc<Cell>> {
        self.read().by_id.get(&id).cloned()
    }

    pub(super) fn by_key(&self, key: &PublicKey) -> Option<Arc<Cell>> {
        self.read().by_key.get(key).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Cell>> {
        self.read().by_id.values().cloned().collect()
    }

    /// The cells that claim a MAC address.
    pub(super) fn by_mac(&self, mac: [u8; 6]) -> Vec<Arc<Cell>> {
        let inside = self.read();
        let ids = inside.by_mac.get(&mac).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| inside.by_id.get(id).cloned()).collect()
    }

    /// A stranger enters the quarantine. Returns its cell and those that had to go for it.
    pub(super) fn quarantine(&self, facts: Facts, source: IpAddr) -> (Arc<Cell>, Vec<Arc<Cell>>) {
        let mut inside = self.write();
        if let Some(cell) = inside.by_key.get(&facts.public_key) {
            // Two connections of one stranger raced; the first one made the entry.
            return (Arc::clone(cell), Vec::new());
        }
        let id = Uuid::new_v4();
        let cell = inside.insert(id, facts);
        let evicted = inside.quarantine.enter(id, source.into());
        let gone = evicted.into_iter().filter_map(|id| inside.remove(id)).collect();
        (cell, gone)
    }

    /// A waiting device's session began or ended.
    pub(super) fn set_silent(&self, id: Uuid, silent: bool) {
        self.write().quarantine.set_silent(id, silent);
    }

    /// Durably authorised: it takes no place in the quarantine any more.
    pub(super) fn authorized(&self, id: Uuid) {
        self.write().quarantine.leave(id);
    }

    pub(super) fn remove(&self, id: Uuid) -> Option<Arc<Cell>> {
        self.write().remove(id)
    }

    /// A device claims another MAC address than before.
    pub(super) fn move_mac(&self, id: Uuid, from: [u8; 6], to: [u8; 6]) {
        let mut inside = self.write();
        inside.forget_mac(id, from);
        inside.note_mac(id, to);
    }

    /// A device has a new identity: its place stays, its key changes. A waiting entry of the new
    /// key is dropped.
    pub(super) fn rekey(&self, cell: &Arc<Cell>, from: &PublicKey, to: PublicKey) {
        let mut inside = self.write();
        let waiting = inside.by_key.get(&to).map(|waiting| waiting.id);
        if let Some(waiting) = waiting.filter(|waiting| *waiting != cell.id) {
            inside.remove(waiting);
        }
        inside.by_key.remove(from);
        inside.by_key.insert(to, Arc::clone(cell));
    }

    /// A picture of one device.
    pub(super) fn snapshot(&self, id: Uuid) -> Option<Device> {
        let cell = self.by_id(id)?;
        let mut device = cell.snapshot();
        device.conflicts = self.read().conflicts(id, device.claims.mac);
        Some(device)
    }

    /// Pictures of all devices that a filter lets through.
    pub(super) fn list(&self, filter: &DeviceFilter) -> Vec<Device> {
        let mut devices: Vec<Device> = self
            .all()
            .iter()
            .map(|cell| cell.snapshot())
            .filter(|device| {
                filter.site.is_none_or(|site| device.site == Some(site))
                    && filter.authorized.is_none_or(|wanted| device.authorized() == wanted)
                    && (filter.roles.is_empty() || filter.roles.contains(&device.claims.role))
            })
            .collect();
        let inside = self.read();
        for device in &mut devices {
            device.conflicts = inside.conflicts(device.id, device.claims.mac);
        }
        drop(inside);
        devices.sort_by_key(|device| (device.first_seen, device.id));
        devices
    }
}

impl Inside {
    fn insert(&mut self, id: Uuid, facts: Facts) -> Arc<Cell> {
        let (key, mac) = (facts.public_key, facts.claims.mac);
        let cell = Arc::new(Cell::new(id, facts));
        self.by_key.insert(key, Arc::clone(&cell));
        self.by_id.insert(id, Arc::clone(&cell));
        self.note_mac(id, mac);
        cell
    }

    fn remove(&mut self, id: Uuid) -> Option<Arc<Cell>> {
        let cell = self.by_id.remove(&id)?;
        let (key, mac) = {
            let state = cell.lock();
            (state.facts.public_key, state.facts.claims.mac)
        };
        self.by_key.remove(&key);
        self.forget_mac(id, mac);
        self.quarantine.leave(id);
        Some(cell)
    }

    fn note_mac(&mut self, id: Uuid, mac: [u8; 6]) {
        let ids = self.by_mac.entry(mac).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }

    fn forget_mac(&mut self, id: Uuid, mac: [u8; 6]) {
        if let Some(ids) = self.by_mac.get_mut(&mac) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_mac.remove(&mac);
            }
        }
    }

    fn conflicts(&self, id: Uuid, mac: [u8; 6]) -> Vec<Uuid> {
        if mac == [0; 6] {
            return Vec::new();
        }
        let ids = self.by_mac.get(&mac).map(Vec::as_slice).unwrap_or_default();
        // A crowd that claims one address is as much a conflict as a pair; nobody reads them all.
        ids.iter().copied().filter(|other| *other != id).take(16).collect()
    }
}
