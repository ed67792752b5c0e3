//! The process that alone opens secrets: `aerie vault`.
//!
//! It answers questions over a socket and has nothing else open: no network, no store. What it
//! knows lies in its directory: `state` (public key, private keys wrapped by the master password,
//! what is enrolled), `counter` (openings, tries), `log`, and a file for each grant.

mod counter;
mod files;
mod grants;
mod hardening;
mod keeper;
mod log;
mod making;
mod pairs;
mod proofs;
mod secrets;
mod serving;
mod state;
mod time;
mod tries;
mod unsealing;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::User;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use self::files::Folder;
use self::keeper::Keeper;
use self::serving::{Desk, Peers};
use crate::clock::Clock;

/// Bytes of a thread's stack.
const STACK: usize = 512 * 1_024;
/// Threads that work on questions.
const WORKERS: usize = 4;
/// From the end until what still works is left behind.
const ENDING: Duration = Duration::from_secs(1);

/// How the process is to run.
#[derive(Clone, Debug)]
pub enum Running {
    /// As the daemon's child: it talks over standard input, and ends with it.
    Child {
        /// Its directory.
        directory: PathBuf,
    },
    /// As a unit of its own.
    Unit {
        /// Its directory.
        directory: PathBuf,
        /// The socket that it opens.
        socket: PathBuf,
        /// The daemon's user, where it is another than its own.
        daemon: Option<String>,
        /// Refuse to run where memory cannot be kept out of swap.
        locked: bool,
    },
}

/// Why the process cannot run.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// Memory cannot be locked.
    #[error(
        "the vault's memory cannot be kept out of swap; give its unit LimitMEMLOCK=infinity, or \
         run it as root"
    )]
    Swap,
    /// Two of them.
    #[error("another vault process uses {0}; stop that one first")]
    InUse(PathBuf),
    /// No such user.
    #[error("there is no user \"{0}\" for [vault] user; name the user that the daemon runs as")]
    User(String),
    /// The directory, or something in it.
    #[error("the vault's directory {path} cannot be used; it was left as it is")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// The socket.
    #[error("the vault's socket {path} cannot be opened")]
    Socket {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// The system.
    #[error("the vault's process cannot be closed off, or cannot talk")]
    System(#[from] io::Error),
}

/// Runs the process until its daemon is gone, or, as a unit, until SIGTERM or SIGINT.
pub fn run(running: &Running) -> Result<(), ProcessError> {
    hardening::harden()?;
    let memory_locked = hardening::lock_memory();
    let (directory, own_unit, locked) = match running {
        Running::Child { directory } => (directory, false, false),
        Running::Unit { directory, locked, .. } => (directory, true, *locked),
    };
    if locked && !memory_locked {
        return Err(ProcessError::Swap);
    }
    let unusable = |source| ProcessError::Directory { path: directory.clone(), source };
    let folder = Folder::open(directory).map_err(unusable)?;
    let _lock = lock(&folder, directory, own_unit)?;
    let keeper = Keeper::open(folder, Clock::system(), memory_locked, own_unit);
    let desk = Desk::new(keeper.map_err(unusable)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WORKERS)
        .thread_stack_size(STACK)
        .build()?;
    let ended = runtime.block_on(async {
        match running {
            Running::Child { .. } => as_child(desk).await,
            Running::Unit { socket, daemon, .. } => as_unit(desk, socket, daemon.as_deref()).await,
        }
    });
    runtime.shutdown_timeout(ENDING);
    ended
}

/// Only one process at a time works on a directory. A child waits for the one before it, which
/// ends with its daemon.
fn lock(folder: &Folder, directory: &Path, own_unit: bool) -> Result<File, ProcessError> {
    let unusable = |source| ProcessError::Directory { path: directory.to_owned(), source };
    let file = folder.append("lock").map_err(unusable)?;
    if own_unit {
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ProcessError::InUse(directory.to_owned()),
            TryLockError::Error(source) => unusable(source),
        })?;
    } else {
        file.lock().map_err(unusable)?;
    }
    Ok(file)
}

/// Whoever stops the daemon signals to its child as well: that one ends last, with the daemon.
async fn as_child(desk: Desk) -> Result<(), ProcessError> {
    let mut heard = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        heard.push(signal(kind)?);
    }
    Ok(serving::serve_parent(desk).await?)
}

async fn as_unit(desk: Desk, socket: &Path, daemon: Option<&str>) -> Result<(), ProcessError> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let daemon = match daemon {
        None => None,
        Some(name) => {
            let user = User::from_name(name).ok().flatten();
            let user = user.ok_or_else(|| ProcessError::User(name.to_owned()))?;
            Some((user.uid, user.gid))
        }
    };
    let (peers, path) = (Peers { daemon }, socket.to_owned());
    let listener =
        serving::listen(socket, peers).map_err(|source| ProcessError::Socket { path, source })?;
    tracing::info!(socket = %socket.display(), "the vault is up");
    drop(crate::systemd::say(vec![("READY", "1".to_owned())]));
    tokio::select! {
        () = live(Arc::clone(&desk.keeper)) => {}
        () = serving::serve_all(desk, listener, peers) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    crate::systemd::stopping();
    std::fs::remove_file(socket).ok();
    Ok(())
}

/// Tells systemd's watchdog, for ever, that this loop turns and the keeper answers. Where it is not
/// told any more, the vault is started anew, and sealed by that.
async fn live(keeper: Arc<Keeper>) {
    let Some(within) = crate::systemd::watchdog() else { return std::future::pending().await };
    loop {
        tokio::time::sleep(within / 4).await;
        let keeper = Arc::clone(&keeper);
        let answered = tokio::task::spawn_blocking(move || drop(keeper.status())).await;
        if answered.is_ok() {
            crate::systemd::say(vec![("WATCHDOG", "1".to_owned())]).await.ok();
        }
    }
}

#[cfg(test)]
mod tests;
