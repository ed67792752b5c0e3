//! What an agent does to its machine that reading cannot do, and that root may be needed for.
//!
//! [`Direct`] does it in this process, under the device's own policy. Where the agent runs as two
//! processes (see [`crate::separation`]), `Direct` stays with root and the other one asks it.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::geteuid;
use tokio::{process::Command, task::JoinSet, time::sleep};

use super::{CommandError, led::Blinking, line, pty};
use crate::{
    policy::Policy,
    terminal::{Terminal, WindowSize},
};

/// What the device's own file says, in the words of [`CommandError::NotAllowed`].
pub(crate) const TERMINAL_OFF: &str = "`mode = \"off\"` in [terminal]";
pub(crate) const RESTART_OFF: &str = "`restart = false` in [commands]";
pub(crate) const LOCATE_OFF: &str = "`locate = false` in [commands]";

/// The deeds of an agent; everything else it does is reading.
pub trait Privileges: Send {
    /// Whether [`Privileges::open_terminal`] has a chance.
    fn terminal_allowed(&self) -> bool;

    /// Whether [`Privileges::restart`] would be tried.
    fn may_restart(&self) -> Result<(), CommandError>;

    /// Restarts the machine; returns once that has begun.
    fn restart(&mut self) -> impl Future<Output = Result<(), CommandError>> + Send;

    /// Shows which machine it is for so long, or no longer.
    fn locate(
        &mut self,
        duration: Option<Duration>,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;

    /// Opens a terminal of this size.
    fn open_terminal(
        &mut self,
        size: WindowSize,
    ) -> impl Future<Output = Result<Terminal, CommandError>> + Send;
}

/// Does it in this process, under the device's own policy.
#[derive(Debug)]
pub struct Direct {
    policy: Policy,
    sys: PathBuf,
    /// Holds the light for as long as it blinks; empty otherwise.
    light: JoinSet<()>,
}

impl Direct {
    /// Under this policy, on a machine whose `/sys` is here.
    pub fn new(policy: Policy, sys: PathBuf) -> Self {
        if let Err(reason) = pty::is_possible(&policy.terminal) {
            tracing::info!(%reason, "this device opens no terminal");
        }
        Self { policy, sys, light: JoinSet::new() }
    }

    /// What the policy names, on a line of this size.
    pub(crate) fn open(&self, size: WindowSize) -> Result<pty::Opened, CommandError> {
        pty::open(&self.policy.terminal, size)
    }
}

impl Privileges for Direct {
    fn terminal_allowed(&self) -> bool {
        pty::is_possible(&self.policy.terminal).is_ok()
    }

    fn may_restart(&self) -> Result<(), CommandError> {
        if !self.policy.commands.restart {
            return Err(CommandError::NotAllowed(RESTART_OFF));
        }
        if !geteuid().is_root() {
            return Err(CommandError::NotAllowed("the agent does not run as root"));
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), CommandError> {
        self.may_restart()?;
        let systemd = Path::new("/run/systemd/system").is_dir();
        let mut command = Command::new(if systemd { "systemctl" } else { "reboot" });
        if systemd {
            command.arg("reboot");
        }
        let failed = |reason: String| CommandError::Failed(format!("cannot restart: {reason}"));
        let status = command.status().await.map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
    }

    async fn locate(&mut self, duration: Option<Duration>) -> Result<(), CommandError> {
        if !self.policy.commands.locate {
            return Err(CommandError::NotAllowed(LOCATE_OFF));
        }
        // Waits until the former light is out, so that its restoring does not undo the new one.
        self.light.shutdown().await;
        let Some(duration) = duration else { return Ok(()) };
        tracing::warn!(?duration, "somebody looks for this device");
        if let Some(blinking) = Blinking::start(&self.sys) {
            self.light.spawn(async move {
                sleep(duration).await;
                drop(blinking);
            });
        }
        Ok(())
    }

    async fn open_terminal(&mut self, size: WindowSize) -> Result<Terminal, CommandError> {
        let pty::Opened { line, program } = self.open(size)?;
        line::terminal(line, program).map_err(|error| pty::failed(&error))
    }
}
