//! A program on a real pseudo-terminal.

use std::{
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::ExitStatusExt as _,
    },
    path::Path,
    pin::pin,
    task::{Context, Poll},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::{Pid, Uid, fchown, geteuid, tcgetpgrp},
};
use pty_process::Size;
use tokio::process::{Child, Command};

use super::{CommandError, account::Account, privileges::TERMINAL_OFF};
use crate::{
    policy::TerminalPolicy,
    terminal::{Exit, Program, WindowSize},
};

const LOGIN: [&str; 2] = ["/bin/login", "/usr/bin/login"];
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that runs, and our end of the line it runs on.
pub(crate) struct Opened {
    /// Does not block.
    pub(crate) line: OwnedFd,
    pub(crate) program: PtyProgram,
}

/// Whether [`open`] has a chance here.
pub(super) fn is_possible(policy: &TerminalPolicy) -> Result<(), CommandError> {
    match policy {
        TerminalPolicy::Off => Err(CommandError::NotAllowed(TERMINAL_OFF)),
        TerminalPolicy::Login => login_program().map(drop),
        TerminalPolicy::Shell { user } => Account::find(user).map(drop),
    }
}

/// Opens a terminal with what the policy names.
pub(super) fn open(policy: &TerminalPolicy, size: WindowSize) -> Result<Opened, CommandError> {
    match policy {
        TerminalPolicy::Off => Err(CommandError::NotAllowed(TERMINAL_OFF)),
        TerminalPolicy::Login => start(bare(login_program()?), None, size),
        TerminalPolicy::Shell { user } => {
            let account = Account::find(user)?;
            start(shell(&account), Some(&account), size)
        }
    }
}

fn login_program() -> Result<&'static str, CommandError> {
    if geteuid() != Uid::from_raw(0) {
        return Err(CommandError::NotAllowed(
            "login(1) works as root only: run the agent as root, or set a shell in [terminal]",
        ));
    }
    LOGIN.into_iter().find(|program| Path::new(program).exists()).ok_or_else(|| {
        CommandError::Failed(
            "this device has no login program: set `mode = \"shell\"` in [terminal]".to_owned(),
        )
    })
}

/// The account's login shell, as that account, in its home.
fn shell(account: &Account) -> Command {
    let mut command = bare(&account.shell);
    let name = account.shell.file_name().unwrap_or(account.shell.as_os_str());
    let mut argument = std::ffi::OsString::from("-");
    argument.push(name);
    command
        .arg0(argument)
        .env("HOME", &account.home)
        .env("USER", &account.name)
        .env("LOGNAME", &account.name)
        .env("SHELL", &account.shell)
        .current_dir(if account.home.is_dir() { account.home.as_path() } else { Path::new("/") });
    if account.change {
        // The standard library drops root's supplementary groups along with the user id.
        command.gid(account.gid).uid(account.uid);
    }
    command
}

/// A program that inherits nothing of the agent's own environment.
fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .kill_on_drop(true);
    command
}

/// Why there is no terminal.
pub(crate) fn failed(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::Failed(format!("cannot start a terminal: {error}"))
}

fn start(
    command: Command,
    owner: Option<&Account>,
    size: WindowSize,
) -> Result<Opened, CommandError> {
    let (pty, pts) = pty_process::open().map_err(|error| failed(&error))?;
    pty.resize(Size::new(size.rows, size.columns)).map_err(|error| failed(&error))?;
    if let Some(account) = owner.filter(|account| account.change) {
        // So that the account can open its own terminal again, as `screen` and `sudo` do.
        fchown(pts.as_fd(), Some(Uid::from_raw(account.uid)), None)
            .map_err(|error| failed(&error))?;
    }
    let line = pty.as_fd().try_clone_to_owned().map_err(|error| failed(&error))?;
    let child = pty_process::Command::from(command).spawn(pts).map_err(|error| failed(&error))?;
    let program = PtyProgram { child, line: Some(line), ended: None };
    Ok(Opened { line: OwnedFd::from(pty), program })
}

/// What runs on the line: one child of this process, and the children that it has.
pub(crate) struct PtyProgram {
    child: Child,
    /// Our end of the line, to ask who is in the foreground. Dropped with the hang-up: as long as
    /// any copy is open, the kernel does not hang up.
    line: Option<OwnedFd>,
    ended: Option<Exit>,
}

impl PtyProgram {
    /// Signals the session's leader and whatever runs in the foreground, each with its children.
    fn signal(&self, signal: Signal) {
        // Once the child is reaped, its number can be anybody's.
        let Some(leader) = self.child.id().filter(|_| self.ended.is_none()) else { return };
        let leader = Pid::from_raw(leader.cast_signed());
        let foreground = self.line.as_ref().and_then(|line| tcgetpgrp(line).ok());
        for group in groups(leader, foreground) {
            if let Err(errno) = killpg(group, signal)
                && errno != Errno::ESRCH
            {
                tracing::warn!(%group, %errno, "cannot signal a terminal's program");
            }
        }
    }
}

/// The process groups to signal. A terminal without a foreground says 0, and that number, given to
/// `killpg`, means the agent's own group, as 1 means every process there is.
fn groups(leader: Pid, foreground: Option<Pid>) -> impl Iterator<Item = Pid> {
    let foreground = foreground.filter(|group| *group != leader);
    foreground.into_iter().chain([leader]).filter(|group| group.as_raw() > 1)
}

impl Program for PtyProgram {
    fn poll_exit(&mut self, context: &mut Context<'_>) -> Poll<Exit> {
        if let Some(exit) = self.ended {
            return Poll::Ready(exit);
        }
        // `wait` keeps nothing between two polls that is not in the child itself.
        let exit = std::task::ready!(pin!(self.child.wait()).poll(context));
        let exit = match exit {
            Ok(status) if status.signal().is_none() => {
                status.code().map_or(Exit::Signal, Exit::Status)
            }
            Ok(_) | Err(_) => Exit::Signal,
        };
        self.ended = Some(exit);
        self.line = None;
        Poll::Ready(exit)
    }

    fn hang_up(&mut self) {
        self.signal(Signal::SIGHUP);
        // A stopped job must run to hear it.
        self.signal(Signal::SIGCONT);
        self.line = None;
    }

    fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

impl Drop for PtyProgram {
    /// Whoever drops a terminal without a hang-up is in a hurry; the child itself is killed and
    /// reaped by tokio.
    fn drop(&mut self) {
        self.signal(Signal::SIGHUP);
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signal_ever_goes_to_the_agents_own_group_or_to_everybody() {
        let pid = Pid::from_raw;
        let chosen = |leader, foreground: Option<i32>| {
            groups(pid(leader), foreground.map(pid)).map(Pid::as_raw).collect::<Vec<_>>()
        };
        assert_eq!(chosen(500, Some(600)), [600, 500]);
        assert_eq!(chosen(500, Some(500)), [500]);
        assert_eq!(chosen(500, None), [500]);
        for wrong in [-1, 0, 1] {
            assert_eq!(chosen(500, Some(wrong)), [500]);
            assert!(chosen(wrong, Some(wrong)).is_empty());
        }
    }
}
