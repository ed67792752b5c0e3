//! One device in memory: what is known of it, and its session while it has one.
//!
//! Status reports are kept as the bytes that arrived (they were decoded once, so they are sound):
//! a few hundred bytes a device instead of a tree of strings, decoded again when somebody looks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aerie_protocol::address::Address;
use aerie_protocol::inform::{self, FromDevice, from_device};
use aerie_protocol::noise::PublicKey;
use jiff::Timestamp;
use uuid::Uuid;

use super::mailbox::Mailbox;
use super::rotation::Said;
use super::snapshot::{Claims, Connection, Device, Status};

/// What is known of a device and survives a restart once it is authorised.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) public_key: PublicKey,
    pub(super) alias: String,
    pub(super) note: String,
    pub(super) maintenance: bool,
    pub(super) claims: Claims,
    pub(super) site: Option<Uuid>,
    pub(super) verified: bool,
    pub(super) generation: [u8; 4],
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) authorized_at: Option<Timestamp>,
    pub(super) authorized_by: Option<Uuid>,
    pub(super) refresh_until: Option<Timestamp>,
    /// By which inform address it last came, of those that it keeps.
    pub(super) came_by: Option<Address>,
}

/// The way to a running session.
#[derive(Clone)]
pub(super) struct SessionRef {
    /// Tells this session from one before or after it.
    pub(super) serial: u64,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) source: SocketAddr,
    pub(super) since: Timestamp,
}

pub(super) struct CellState {
    pub(super) facts: Facts,
    pub(super) session: Option<SessionRef>,
    /// What it said of its accounts' passwords.
    pub(super) passwords: Said,
    status_at: Timestamp,
    status: Vec<u8>,
}

/// A device.
pub(super) struct Cell {
    pub(super) id: Uuid,
    authorized: AtomicBool,
    watchers: AtomicU16,
    state: Mutex<CellState>,
}

impl Cell {
    pub(super) fn new(id: Uuid, facts: Facts) -> Self {
        Self {
            id,
            authorized: AtomicBool::new(facts.authorized_at.is_some()),
            watchers: AtomicU16::new(0),
            state: Mutex::new(CellState {
                facts,
                session: None,
                passwords: Said::default(),
                status_at: Timestamp::UNIX_EPOCH,
                status: Vec::new(),
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_authorized(&self) -> bool {
        self.authorized.load(Ordering::Acquire)
    }

    /// What is to be stored, once `change` holds.
    pub(super) fn planned(&self, change: impl Fn(&mut Facts)) -> Facts {
        let mut facts = self.lock().facts.clone();
        change(&mut facts);
        facts
    }

    /// Lets `change` hold; call once it is durable. Applied anew, since the device may have said
    /// something meanwhile.
    pub(super) fn apply(&self, change: impl Fn(&mut Facts)) {
        let mut state = self.lock();
        change(&mut state.facts);
        self.authorized.store(state.facts.authorized_at.is_some(), Ordering::Release);
    }

    /// It lives.
    pub(super) fn touch(&self, now: Timestamp) {
        self.lock().facts.last_seen = now;
    }

    /// Keeps a status message as it came.
    pub(super) fn keep_status(&self, message: &[u8], now: Timestamp) {
        let mut state = self.lock();
        state.facts.last_seen = now;
        state.status_at = now;
        state.status.clear();
        state.status.extend_from_slice(message);
    }

    /// Takes the place of the session before, which is handed back to be ended.
    pub(super) fn attach(&self, session: SessionRef) -> Option<SessionRef> {
        self.lock().session.replace(session)
    }

    /// The session has ended. `false` when another has taken its place already.
    pub(super) fn detach(&self, serial: u64) -> bool {
        let mut state = self.lock();
        let ours = state.session.as_ref().is_some_and(|session| session.serial == serial);
        if ours {
            state.session = None;
        }
        ours
    }

    pub(super) fn mailbox(&self) -> Option<Arc<Mailbox>> {
        self.lock().session.as_ref().map(|session| Arc::clone(&session.mailbox))
    }

    /// Counts a browser that looks at it. `true` when it is the first.
    pub(super) fn add_watcher(&self) -> bool {
        self.watchers.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// `true` when it was the last.
    pub(super) fn remove_watcher(&self) -> bool {
        self.watchers.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    /// The name to show.
    pub(super) fn name(&self) -> String {
        let state = self.lock();
        state.facts.claims.name_unless(&state.facts.alias).to_owned()
    }

    /// A picture of it now. The registry adds the conflicts.
    pub(super) fn snapshot(&self) -> Device {
        let state = self.lock();
        let facts = state.facts.clone();
        let session = state.session.clone();
        let password_accounts = state.passwords.accounts();
        let status = if state.status.is_empty() {
            None
        } else {
            match inform::decode_from_device(&state.status) {
                Ok(FromDevice { body: Some(from_device::Body::Status(status)) }) => {
                    Some(Status::from_message(&status, state.status_at))
                }
                _ => None,
            }
        };
        drop(state);
        let connection = match (facts.authorized_at, &session) {
            (None, _) => Connection::Unauthorized,
            (Some(_), Some(_)) => Connection::Active,
            (Some(_), None) => Connection::Disconnected,
        };
        Device {
            id: self.id,
            public_key: facts.public_key,
            connection,
            alias: facts.alias,
            note: facts.note,
            maintenance: facts.maintenance,
            claims: facts.claims,
            site: facts.site,
            verified: facts.verified,
            conflicts: Vec::new(),
            source: session.as_ref().map(|session| session.source),
            first_seen: facts.first_seen,
            last_seen: facts.last_seen,
            connected_since: session.map(|session| session.since),
            authorized_at: facts.authorized_at,
            refresh_until: facts.refresh_until,
            password_accounts,
            status,
        }
    }
}
