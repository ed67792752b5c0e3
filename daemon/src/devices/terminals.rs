//! The terminals that are open, and who may come back to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use uuid::Uuid;

use super::Devices;
use super::mailbox::Letter;
use super::terminal::{Shared, Size, TerminalError, TerminalHandle};
use crate::accounts::LoginId;

/// Open terminals in all.
const TOTAL: usize = 64;
/// Open terminals of one login.
const PER_LOGIN: usize = 8;

/// All open terminals.
#[derive(Default)]
pub(super) struct Terminals {
    open: Mutex<HashMap<Uuid, Arc<Shared>>>,
}

impl Terminals {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Shared>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, terminal: Arc<Shared>) -> Result<(), TerminalError> {
        let mut open = self.lock();
        let of_login = open.values().filter(|other| other.login == terminal.login).count();
        if open.len() >= TOTAL || of_login >= PER_LOGIN {
            return Err(TerminalError::TooMany);
        }
        open.insert(terminal.id, terminal);
        Ok(())
    }

    fn of(&self, id: Uuid, login: &LoginId) -> Option<Arc<Shared>> {
        self.lock().get(&id).filter(|terminal| terminal.login == *login).cloned()
    }

    /// Ends those whose browser did not come back in time.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.remove(|terminal| terminal.expired(now), "Nobody came back to this terminal.");
    }

    /// Ends the terminals on a device.
    pub(super) fn end_device(&self, device: Uuid, message: &str) {
        self.remove(|terminal| terminal.device == device, message);
    }

    /// Ends the terminals of a login that has ended.
    fn end_login(&self, login: &LoginId) {
        self.remove(|terminal| terminal.login == *login, "Your login has ended.");
    }

    fn remove(&self, which: impl Fn(&Shared) -> bool, message: &str) {
        let mut open = self.lock();
        let gone: Vec<_> =
            open.values().filter(|terminal| which(terminal)).map(Arc::clone).collect();
        for terminal in &gone {
            open.remove(&terminal.id);
        }
        drop(open);
        for terminal in gone {
            if !terminal.ended() {
                terminal.end(message);
            }
        }
    }
}

impl Devices {
    /// Opens a terminal on a device for a login. The device itself asks who wants in.
    pub fn open_terminal(
        &self,
        id: Uuid,
        login: LoginId,
        size: Size,
    ) -> Result<TerminalHandle, TerminalError> {
        let cell = self.registry().by_id(id).ok_or(TerminalError::UnknownDevice)?;
        if !cell.is_authorized() {
            return Err(TerminalError::NotAllowed("it is not authorised yet"));
        }
        let mailbox = cell.mailbox().ok_or(TerminalError::Offline)?;
        if !cell.lock().facts.claims.terminal_allowed {
            return Err(TerminalError::NotAllowed("its own settings switch terminals off"));
        }
        let shared = Arc::new(Shared::new(id, login, Arc::clone(&mailbox), size));
        self.inner.terminals.insert(Arc::clone(&shared))?;
        if mailbox.put(Letter::Terminal(Arc::clone(&shared))).is_err() {
            self.inner.terminals.lock().remove(&shared.id);
            return Err(TerminalError::Offline);
        }
        Ok(TerminalHandle::attach(shared, 0))
    }

    /// Takes a terminal up again within five minutes; only the same login can. `received` is how
    /// many bytes of its output the browser already shows.
    pub fn attach_terminal(
        &self,
        terminal: Uuid,
        login: &LoginId,
        received: u64,
    ) -> Result<TerminalHandle, TerminalError> {
        let shared = self.inner.terminals.of(terminal, login).ok_or(TerminalError::Gone)?;
        if shared.expired(Instant::now()) {
            self.inner.terminals.sweep();
            return Err(TerminalError::Gone);
        }
        Ok(TerminalHandle::attach(shared, received))
    }

    /// A login has ended: so do its terminals.
    pub fn end_terminals_of(&self, login: &LoginId) {
        self.inner.terminals.end_login(login);
    }
}
