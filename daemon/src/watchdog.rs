//! Whether the daemon as a whole lives, said to systemd for as long as it does.
//!
//! Every few seconds the essential tasks are called ([`Supervisor::call_the_roll`]), and now and then
//! the store has to write something. While all answer within their deadlines and the last such write
//! succeeded, systemd's watchdog is fed. Otherwise the line that `systemctl status` shows says what is
//! wrong, and when that does not mend itself, systemd ends the daemon and starts it anew. What a new
//! start cannot mend is told and starves nothing: without its vault the appliance does everything
//! else.
//!
//! Without systemd the same is looked at, and told in the log.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::supervisor::{DEADLINE, Heartbeat, Late, Supervisor};
use crate::vault::Vault;

/// Between two looks, where systemd does not ask for more.
const EVERY: Duration = Duration::from_secs(5);
/// Looks within the time after which systemd gives the daemon up.
const LOOKS: u32 = 4;
/// How long the store is believed after a write: each costs a sync, and flash is to last.
const BELIEVED: Duration = Duration::from_secs(15);
/// What `systemctl status` shows when all is well.
const WELL: &str = "Serving.";

/// What is wrong with the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A task hangs.
    #[error("the task \"{}\" has not answered for {} s", .0.name, .0.silent.as_secs())]
    Late(Late),
    /// The store.
    #[error("the store does not write ({0}); look for a full or broken disk")]
    Store(String),
    /// The vault's process.
    #[error(
        "the vault's process does not answer: passwords of devices stay closed until it is back; \
         everything else works"
    )]
    Vault,
}

impl Fault {
    /// Whether it is a reason to start the daemon anew.
    fn starves(&self) -> bool {
        !matches!(self, Self::Vault)
    }
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Watchdog {
    shared: Arc<Shared>,
}

struct Shared {
    supervisor: Supervisor,
    store: Store,
    vault: Vault,
    every: Duration,
    /// Why the store did not write when it was tried last.
    failed: Mutex<Option<String>>,
}

impl Watchdog {
    /// Looks at nothing yet.
    pub fn new(supervisor: &Supervisor, store: Store, vault: Vault) -> Self {
        let asked = crate::systemd::watchdog().map(|within| within / LOOKS);
        let every = asked.map_or(EVERY, |asked| asked.min(EVERY));
        let (supervisor, failed) = (supervisor.clone(), Mutex::default());
        Self { shared: Arc::new(Shared { supervisor, store, vault, every, failed }) }
    }

    /// What is wrong now, the worst of it.
    pub fn fault(&self) -> Option<Fault> {
        let shared = &self.shared;
        if let Some(late) = shared.supervisor.late(shared.every) {
            return Some(Fault::Late(late));
        }
        let failed = shared.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(why) = failed {
            return Some(Fault::Store(why));
        }
        shared.vault.watch().borrow().is_none().then_some(Fault::Vault)
    }

    /// Tells systemd that the appliance is up, and looks from now on. To be called when the ports are
    /// open and the store has written.
    pub fn start(self) {
        let supervisor = self.shared.supervisor.clone();
        let stop = supervisor.token();
        supervisor.spawn_essential("watchdog", DEADLINE, |heartbeat| self.keep(stop, heartbeat));
    }

    async fn keep(self, stop: CancellationToken, mut heartbeat: Heartbeat) {
        let mut telling = Telling::default();
        let mut written = Instant::now();
        telling.tell(self.fault(), &["READY"]);
        loop {
            self.shared.supervisor.call_the_roll();
            let pause = heartbeat.during(sleep(self.shared.every));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if written.elapsed() >= BELIEVED && self.writes().await {
                written = Instant::now();
            }
            let fault = self.fault();
            let fed = !fault.as_ref().is_some_and(Fault::starves);
            telling.tell(fault, if fed { &["WATCHDOG"] } else { &[] });
        }
    }

    /// Whether the store writes now.
    async fn writes(&self) -> bool {
        // Still in time for the feed that is due next.
        let patience = self.shared.every * 3 / 2;
        let failed = match timeout(patience, self.shared.store.probe()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.source().map_or_else(|| error.to_string(), str_of)),
            Err(_) => Some(format!("not within {} s", patience.as_secs_f32())),
        };
        let well = failed.is_none();
        *self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        well
    }
}

fn str_of(error: &dyn Error) -> String {
    error.to_string()
}

/// What was said last, to systemd and in the log.
#[derive(Default)]
struct Telling {
    status: Option<String>,
    /// On its way: where systemd is frozen, for ever.
    sending: Option<JoinHandle<()>>,
    /// Of what kind the fault is that was told.
    fault: Option<std::mem::Discriminant<Fault>>,
}

impl Telling {
    fn tell(&mut self, fault: Option<Fault>, news: &[&'static str]) {
        let kind = fault.as_ref().map(std::mem::discriminant);
        if kind != self.fault {
            match &fault {
                Some(fault) if fault.starves() => tracing::error!(%fault, "the daemon is not well"),
                Some(fault) => tracing::warn!(%fault, "the daemon is not whole"),
                None => tracing::info!("the daemon is well again"),
            }
            self.fault = kind;
        }
        if self.sending.as_ref().is_some_and(|sending| !sending.is_finished()) {
            return;
        }
        let mut lines: Vec<_> = news.iter().map(|news| (*news, "1".to_owned())).collect();
        let status = fault.map_or_else(|| WELL.to_owned(), |fault| sentence(&fault));
        if self.status.as_ref() != Some(&status) {
            lines.push(("STATUS", status.clone()));
            self.status = Some(status);
        }
        if !lines.is_empty() {
            self.sending = Some(crate::systemd::say(lines));
        }
    }
}

fn sentence(fault: &Fault) -> String {
    let text = fault.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
