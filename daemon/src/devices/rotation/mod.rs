//! Rotation: new passwords for accounts on devices, without ever locking a device out.
//!
//! One item of a job is one account on one device. The vault makes a password and seals it; sealed,
//! it is stored; only then does the device hear of it ([`step`]). The device sets it, proves it by
//! logging in with it and says so; only then does it count. Whatever is lost on the way, the device
//! says at its next hello which version it has ([`looking`]), and nothing is changed on it before
//! that has been looked at.
//!
//! No new password is ever withheld until the vault is open: making one needs no opening. Where a
//! device has forgotten which version it has, an open vault is asked for the candidates and the
//! device tries them, newest first; a sealed one is not waited for, the device gets a fresh one.

mod beginning;
mod held;
mod looking;
mod making;
mod plan;
mod step;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use thiserror::Error;
use uuid::Uuid;

use self::making::Making;
use super::events::{Event, Level};
use super::{Devices, DevicesError};
use crate::clock::Clock;
use crate::jobs::{JobPicture, Jobs, JobsError, Kind, Outcome, Task};
use crate::store::{Store, StoreError};
use crate::supervisor::{DEADLINE, Supervisor};
use crate::vault::{Vault, VaultError};

pub(super) use self::held::{Heard, Said};
pub use self::plan::{Plan, Targets, Wanted};

/// Secrets of each credential that a job may have.
const EACH: u32 = 16;

/// Why passwords were not rotated.
#[derive(Debug, Error)]
pub enum RotationError {
    /// The job.
    #[error(transparent)]
    Job(#[from] JobsError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// No such device.
    #[error("there is no authorised device with the id {0}; it may have been deleted")]
    UnknownDevice(Uuid),
    /// Nothing to rotate.
    #[error(
        "none of these devices lets the appliance set a password: on the device, in \
         /etc/aerie-agent.toml, write the section [passwords] with accounts = [\"admin\"]"
    )]
    NoAccounts,
    /// A bad input. Says what is wrong with it.
    #[error("{0}")]
    Form(String),
    /// No rotation.
    #[error("this job is no rotation")]
    OtherJob,
}

impl From<StoreError> for RotationError {
    fn from(error: StoreError) -> Self {
        Self::Job(error.into())
    }
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Rotation {
    inner: Arc<Inner>,
}

struct Inner {
    devices: Devices,
    store: Store,
    vault: Vault,
    jobs: Jobs,
    clock: Clock,
    making: Making,
    /// Credentials that are being changed: one at a time.
    busy: Mutex<HashSet<Uuid>>,
    /// Held from a job's grant until the job lives.
    granting: tokio::sync::Mutex<()>,
}

/// What rotation stands on.
pub struct Ground {
    /// Devices.
    pub devices: Devices,
    /// The store.
    pub store: Store,
    /// The vault's process.
    pub vault: Vault,
    /// Jobs.
    pub jobs: Jobs,
    /// Wall clock.
    pub clock: Clock,
}

impl Rotation {
    /// Begins to look at what devices say, and goes on with the jobs that had not ended.
    pub async fn start(ground: Ground, supervisor: &Supervisor) -> Result<Self, DevicesError> {
        let Ground { devices, store, vault, jobs, clock } = ground;
        let (making, busy) = (Making::default(), Mutex::default());
        let granting = tokio::sync::Mutex::default();
        let inner = Inner { devices, store, vault, jobs, clock, making, busy, granting };
        let rotation = Self { inner: Arc::new(inner) };
        let (looking, stop) = (Arc::clone(&rotation.inner), supervisor.token());
        supervisor.spawn_essential("what devices say of passwords", DEADLINE, |heartbeat| {
            looking.look(stop, heartbeat)
        });
        let (watching, stop) = (Arc::clone(&rotation.inner), supervisor.token());
        supervisor.spawn_essential(
            "jobs that wait for the vault",
            DEADLINE,
            async move |mut heartbeat| heartbeat.during(watching.watch_vault(stop)).await,
        );
        rotation.inner.jobs.resume(&rotation.kind()).await?;
        let granting = rotation.inner.granting.lock().await;
        if let Err(error) = rotation.inner.end_orphans().await {
            // The next rotation that begins does it.
            tracing::warn!(%error, "what the vault granted to jobs that are no more was not ended");
        }
        drop(granting);
        Ok(rotation)
    }

    fn kind(&self) -> Arc<dyn Kind> {
        Arc::new(self.clone())
    }

    /// The jobs of which some are rotations.
    pub fn jobs(&self) -> &Jobs {
        &self.inner.jobs
    }
}

impl Kind for Rotation {
    fn name(&self) -> &'static str {
        plan::KIND
    }

    fn is_there(&self, device: Uuid) -> bool {
        let Some(cell) = self.inner.devices.registry().by_id(device) else {
            // It was deleted: its item has to say so.
            return true;
        };
        let state = cell.lock();
        let there = state.session.is_some() && state.passwords.looked_at;
        drop(state);
        there && cell.is_authorized()
    }

    fn step(&self, task: Task) -> BoxFuture<'static, Outcome> {
        Box::pin(Arc::clone(&self.inner).step(task))
    }

    fn release(&self, job: Uuid) -> BoxFuture<'static, ()> {
        let vault = self.inner.vault.clone();
        Box::pin(async move {
            if let Err(error) = vault.end_grant(job).await {
                // It ends by itself in time; the next start tries again.
                tracing::warn!(%error, %job, "the vault's grant for an ended job was not ended");
            }
        })
    }

    fn tell_end(&self, job: &JobPicture) {
        let counts = job.counts;
        let level = if counts.failed > 0 { Level::Warning } else { Level::Info };
        let message = format!(
            "{} ended: {} done, {} failed, {} cancelled.",
            job.record.title, counts.done, counts.failed, counts.cancelled
        );
        self.inner.devices.events().record(Event::quiet(level, "device", message));
    }
}

impl Inner {
    /// Tells jobs when the vault answers or is open.
    async fn watch_vault(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        let mut status = self.vault.watch();
        loop {
            let changed = stop.run_until_cancelled(status.changed()).await;
            match changed {
                None => return,
                // The vault's end is gone: the daemon stops.
                Some(Err(_)) => return stop.cancelled().await,
                Some(Ok(())) if status.borrow_and_update().is_some() => self.jobs.wake_vault(),
                Some(Ok(())) => {}
            }
        }
    }

    /// Ends what the vault grants to jobs that do not live: a crash between a grant and its job, or
    /// between a job's end and the grant's, leaves one behind, and there are few. Only for who holds
    /// `granting`.
    async fn end_orphans(&self) -> Result<(), VaultError> {
        for job in self.vault.status().await?.granted {
            if !self.jobs.lives(job) {
                self.vault.end_grant(job).await?;
                tracing::info!(%job, "a grant whose job is no more has ended");
            }
        }
        Ok(())
    }

    fn vault_is_open(&self) -> bool {
        let status = self.vault.watch();
        status.borrow().as_ref().is_some_and(|status| status.made && !status.sealed)
    }

    /// Keeps a credential to one that changes it, while the guard lives.
    fn keep(self: &Arc<Self>, credential: Uuid) -> Option<Kept> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(credential).then(|| Kept { inner: Arc::clone(self), credential })
    }
}

struct Kept {
    inner: Arc<Inner>,
    credential: Uuid,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut busy = self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.credential);
    }
}
