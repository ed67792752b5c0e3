//! What devices say of their accounts' passwords, and which of them have said something new.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use aerie_protocol::inform::{HeldPassword, Hello};
use aerie_protocol::text::DeviceText;
use tokio::sync::Notify;
use uuid::Uuid;

use super::super::Devices;
use super::super::cell::Cell;
use crate::vault::candidates::Moment;

/// What a local account has, as its device says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) account: String,
    /// None: a password that the appliance did not set.
    pub(super) holds: Option<(Uuid, u64)>,
    /// The highest version that the device was ever sent for this account.
    pub(super) newest: u64,
    /// The same password, for the vault alone. Only where it was asked for.
    pub(super) sealed: Vec<u8>,
}

impl Held {
    /// None where the name is not one that an account can have.
    pub(super) fn from_message(held: HeldPassword) -> Option<Self> {
        let clean = DeviceText::clean(&held.account, usize::MAX);
        if held.account.is_empty() || clean.as_str() != held.account {
            return None;
        }
        let credential = Uuid::from_slice(&held.credential_id).ok();
        let holds = credential.filter(|_| held.version > 0).map(|id| (id, held.version));
        let (newest, sealed) = (held.newest.max(held.version), held.sealed);
        Some(Self { account: held.account, holds, newest, sealed })
    }

    /// The version that it has of this credential.
    pub(super) fn version_of(&self, credential: Uuid) -> Option<u64> {
        self.holds.filter(|(id, _)| *id == credential).map(|(_, version)| version)
    }
}

/// What a device said last.
#[derive(Clone, Debug)]
pub(in crate::devices) struct Said {
    pub(super) held: Vec<Held>,
    /// Counts what it said.
    pub(super) number: u64,
    /// It was looked at, and nothing stands in the way of changing passwords.
    pub(super) looked_at: bool,
    pub(super) moment: Moment,
}

impl Default for Said {
    fn default() -> Self {
        Self { held: Vec::new(), number: 0, looked_at: false, moment: Moment::Settled }
    }
}

impl Said {
    /// What it said under this number has been looked at.
    pub(super) fn mark(&mut self, number: u64) {
        if self.number == number {
            self.moment = Moment::Settled;
            self.looked_at = true;
        } else if self.moment == Moment::Underway {
            // It has said more since, in the same session: that is looked at beside the work.
            self.looked_at = true;
        }
    }

    /// The accounts whose passwords the appliance may set.
    pub(in crate::devices) fn accounts(&self) -> Vec<String> {
        self.held.iter().map(|held| held.account.clone()).collect()
    }
}

/// Devices that have said something which nobody has looked at: each stands here once.
#[derive(Default)]
pub(in crate::devices) struct Heard {
    devices: Mutex<HashSet<Uuid>>,
    arrived: Notify,
}

impl Heard {
    /// A device has something to say, or is there now.
    pub(in crate::devices) fn tell(&self, device: Uuid) {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).insert(device);
        self.arrived.notify_one();
    }

    /// Waits for some, `most` at most. Safe to cancel.
    pub(super) async fn some(&self, most: usize) -> Vec<Uuid> {
        loop {
            {
                let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
                let some: Vec<Uuid> = devices.iter().copied().take(most).collect();
                for device in &some {
                    devices.remove(device);
                }
                if !devices.is_empty() {
                    self.arrived.notify_one();
                }
                if !some.is_empty() {
                    return some;
                }
            }
            self.arrived.notified().await;
        }
    }
}

impl Devices {
    /// A device says in its hello what its accounts have. Nothing is changed on it until that has
    /// been looked at.
    pub(in crate::devices) fn heard_passwords(
        &self,
        cell: &Arc<Cell>,
        hello: &Hello,
        moment: Moment,
    ) {
        let held: Vec<Held> =
            hello.passwords.iter().cloned().filter_map(Held::from_message).collect();
        {
            let mut state = cell.lock();
            if moment == Moment::Underway && state.passwords.held == held {
                return;
            }
            let empty = held.is_empty();
            // What is underway is looked at beside the work that goes on.
            let looked_at = empty || (moment == Moment::Underway && state.passwords.looked_at);
            let number = state.passwords.number.wrapping_add(1);
            state.passwords = Said { held, number, looked_at, moment };
        }
        if cell.is_authorized() {
            self.inner.heard.tell(cell.id);
        }
    }
}
