//! What an agent does to its machine that reading cannot do, and that root may be needed for.
//!
//! [`Direct`] does it in this process, under the device's own policy. Where the agent runs as two
//! processes (see [`crate::separation`]), `Direct` stays with root and the other one asks it.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use aerie_protocol::inform::{HeldPassword, SetPassword, TryPassword};
use nix::unistd::geteuid;
use tokio::{process::Command, task::JoinSet, time::sleep};

use super::{CommandError, Roots, led::Blinking, line, pty};
use crate::{
    chain::Chain,
    passwords::{Home, HomeError, PasswordError, Passwords, ShadowAccounts},
    policy::Policy,
    terminal::{Terminal, WindowSize},
};

/// What the device's own file says, in the words of [`CommandError::NotAllowed`].
pub(crate) const TERMINAL_OFF: &str = "`mode = \"off\"` in [terminal]";
pub(crate) const RESTART_OFF: &str = "`restart = false` in [commands]";
const NOT_ROOT: &str = "the agent does not run as root: start it as root to let it set passwords";
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

    /// What the local accounts have whose passwords the appliance may set.
    fn passwords(
        &mut self,
    ) -> impl Future<Output = Result<Vec<HeldPassword>, PasswordError>> + Send;

    /// Sets the password of a local account and proves it.
    fn set_password(
        &mut self,
        set: SetPassword,
    ) -> impl Future<Output = Result<HeldPassword, PasswordError>> + Send;

    /// Whether a local account has this password.
    fn try_password(
        &mut self,
        tried: TryPassword,
    ) -> impl Future<Output = Result<(), PasswordError>> + Send;
}

/// Does it in this process, under the device's own policy.
#[derive(Debug)]
pub struct Direct {
    policy: Policy,
    sys: PathBuf,
    /// Holds the light for as long as it blinks; empty otherwise.
    light: JoinSet<()>,
    passwords: Keeping,
}

/// Whether passwords can be set at all.
#[derive(Debug)]
enum Keeping {
    Here(Box<Passwords<ShadowAccounts>>),
    /// Why not, and what to do.
    Not(PasswordError),
}

impl Direct {
    /// Under this policy, on a machine whose `/sys` is here.
    pub fn new(policy: Policy, sys: PathBuf) -> Self {
        if let Err(reason) = pty::is_possible(&policy.terminal) {
            tracing::info!(%reason, "this device opens no terminal");
        }
        let passwords = Keeping::Not(PasswordError::NotAllowed(NOT_ROOT.to_owned()));
        Self { policy, sys, light: JoinSet::new(), passwords }
    }

    /// Sets passwords too, those of the machine below these roots. What is known of them lies
    /// beside the state directory, where the account that touches the network does not get.
    #[must_use]
    pub fn with_passwords(self, roots: &Roots, state: &Path) -> Self {
        let passwords = match self.keep_passwords(roots, state) {
            Ok(passwords) => Keeping::Here(Box::new(passwords)),
            Err(error) => {
                let error = Chain(&error).to_string();
                if !self.policy.passwords.accounts.is_empty() {
                    tracing::error!(%error, "the appliance cannot set passwords on this device");
                }
                Keeping::Not(PasswordError::Failed(error))
            }
        };
        Self { passwords, ..self }
    }

    fn keep_passwords(
        &self,
        roots: &Roots,
        state: &Path,
    ) -> Result<Passwords<ShadowAccounts>, HomeError> {
        let home = Home::beside(state)?;
        let accounts = ShadowAccounts::new(roots, &home)?;
        let policy = self.policy.passwords.clone();
        Ok(Passwords::new(accounts, policy, self.policy.file.clone(), home))
    }

    fn keeping(&mut self) -> Result<&mut Passwords<ShadowAccounts>, PasswordError> {
        match &mut self.passwords {
            Keeping::Here(passwords) => Ok(passwords),
            Keeping::Not(error) => Err(error.clone()),
        }
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

    async fn passwords(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        self.keeping()?.held()
    }

    async fn set_password(&mut self, set: SetPassword) -> Result<HeldPassword, PasswordError> {
        let held = self.keeping()?.set(&set).await?;
        tracing::warn!(
            account = set.account,
            version = set.version,
            "the appliance has set the password of an account"
        );
        Ok(held)
    }

    async fn try_password(&mut self, tried: TryPassword) -> Result<(), PasswordError> {
        let outcome = self.keeping()?.try_password(&tried).await;
        tracing::info!(account = tried.account, right = outcome.is_ok(), "a password was tried");
        outcome
    }
}
