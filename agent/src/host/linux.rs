//! Any Linux machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aerie_protocol::inform::{Hello, Interface, Status};
use nix::unistd::{Uid, geteuid};
use tokio::{
    process::Command,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    CommandError, Host,
    hardware::temperature_milli_celsius,
    identity, interfaces,
    led::Blinking,
    load::{CpuMeter, Memory, load_centi, uptime_seconds},
    pty,
};
use crate::{
    policy::Policy,
    terminal::{Terminal, WindowSize},
};

/// How long a restart may take before the agent takes it for a failure and reconnects.
const RESTART_TAKES: Duration = Duration::from_mins(2);

/// Where the kernel tells about itself; a test tells other things.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// `/etc`
    pub etc: PathBuf,
}

impl Roots {
    /// The three folders below another root.
    pub fn below(root: &Path) -> Self {
        Self { proc: root.join("proc"), sys: root.join("sys"), etc: root.join("etc") }
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

/// The machine this process runs on.
#[derive(Debug)]
pub struct LinuxHost {
    policy: Policy,
    roots: Roots,
    cpu: CpuMeter,
    /// When the machine stops showing itself.
    locating: Option<Instant>,
    /// Holds the light until then; empty otherwise.
    light: JoinSet<()>,
}

impl LinuxHost {
    /// This machine, under its own policy.
    pub fn new(policy: Policy) -> Self {
        Self::with_roots(policy, Roots::default())
    }

    /// A machine whose `/proc`, `/sys` and `/etc` are elsewhere.
    pub fn with_roots(policy: Policy, roots: Roots) -> Self {
        if let Err(reason) = pty::is_possible(&policy.terminal) {
            tracing::info!(%reason, "this device opens no terminal");
        }
        Self { policy, roots, cpu: CpuMeter::default(), locating: None, light: JoinSet::new() }
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(self.roots.proc.join(file)).unwrap_or_default()
    }

    async fn interfaces(&self) -> Vec<Interface> {
        // Boxed: a netlink dump is a large future and a rare one.
        Box::pin(interfaces::read(&self.roots)).await.unwrap_or_else(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, source, "no interfaces in this report");
            Vec::new()
        })
    }
}

impl Host for LinuxHost {
    async fn identity(&mut self) -> Hello {
        let mut hello = identity::read(&self.roots, &self.interfaces().await);
        hello.terminal_allowed = pty::is_possible(&self.policy.terminal).is_ok();
        hello
    }

    async fn status(&mut self) -> Status {
        let interfaces = self.interfaces().await;
        let ticks = self.proc("stat");
        let memory = Memory::parse(&self.proc("meminfo"));
        let [one, five, fifteen] = load_centi(&self.proc("loadavg"));
        Status {
            cpu_permille: self.cpu.permille(&ticks),
            ram_total_bytes: memory.total,
            ram_used_bytes: memory.used,
            uptime_seconds: uptime_seconds(&self.proc("uptime")),
            load1_centi: one,
            load5_centi: five,
            load15_centi: fifteen,
            temperature_milli_celsius: temperature_milli_celsius(&self.roots.sys),
            interfaces,
            locating: self.locating.is_some_and(|until| Instant::now() < until),
        }
    }

    fn may_restart(&self) -> Result<(), CommandError> {
        if !self.policy.commands.restart {
            return Err(CommandError::NotAllowed("`restart = false` in [commands]"));
        }
        if geteuid() != Uid::from_raw(0) {
            return Err(CommandError::NotAllowed("the agent does not run as root"));
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<Duration, CommandError> {
        self.may_restart()?;
        let systemd = Path::new("/run/systemd/system").is_dir();
        let mut command = Command::new(if systemd { "systemctl" } else { "reboot" });
        if systemd {
            command.arg("reboot");
        }
        let failed = |reason: String| CommandError::Failed(format!("cannot restart: {reason}"));
        let status = command.status().await.map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(RESTART_TAKES) } else { Err(failed(status.to_string())) }
    }

    async fn locate(&mut self, duration: Option<Duration>) -> Result<(), CommandError> {
        if !self.policy.commands.locate {
            return Err(CommandError::NotAllowed("`locate = false` in [commands]"));
        }
        // Waits until the former light is out, so that its restoring does not undo the new one.
        self.light.shutdown().await;
        self.locating = duration.map(|duration| Instant::now() + duration);
        let Some(until) = self.locating else { return Ok(()) };
        tracing::warn!(?duration, "somebody looks for this device");
        if let Some(blinking) = Blinking::start(&self.roots.sys) {
            self.light.spawn(async move {
                sleep_until(until).await;
                drop(blinking);
            });
        }
        Ok(())
    }

    async fn open_terminal(&mut self, size: WindowSize) -> Result<Terminal, CommandError> {
        pty::open(&self.policy.terminal, size)
    }
}
