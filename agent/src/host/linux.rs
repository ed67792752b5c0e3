//! Any Linux machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aerie_protocol::inform::{HeldPassword, Hello, Interface, SetPassword, Status, TryPassword};
use tokio::time::Instant;

use super::{
    CommandError, Host,
    hardware::temperature_milli_celsius,
    identity, interfaces,
    load::{CpuMeter, Memory, load_centi, uptime_seconds},
    privileges::{Direct, Privileges},
};
use crate::{
    passwords::PasswordError,
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

/// The machine this process runs on. What it only reads it reads itself; what it does goes
/// through its privileges.
#[derive(Debug)]
pub struct LinuxHost<P = Direct> {
    privileges: P,
    roots: Roots,
    cpu: CpuMeter,
    /// When the machine stops showing itself.
    locating: Option<Instant>,
    /// Read by a process that may, where this one may not.
    serial_number: Option<String>,
}

impl LinuxHost<Direct> {
    /// This machine, under its own policy.
    pub fn new(policy: Policy) -> Self {
        Self::with_roots(policy, Roots::default())
    }

    /// A machine whose `/proc`, `/sys` and `/etc` are elsewhere.
    pub fn with_roots(policy: Policy, roots: Roots) -> Self {
        Self::over(Direct::new(policy, roots.sys.clone()), roots)
    }
}

impl<P: Privileges> LinuxHost<P> {
    /// A machine on which something else has the privileges.
    pub fn over(privileges: P, roots: Roots) -> Self {
        Self { privileges, roots, cpu: CpuMeter::default(), locating: None, serial_number: None }
    }

    /// Says this serial number, if there is one: on most machines root alone can read it.
    #[must_use]
    pub fn with_serial_number(self, serial_number: String) -> Self {
        let serial_number = Some(serial_number).filter(|number| !number.is_empty());
        Self { serial_number, ..self }
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(self.roots.proc.join(file)).unwrap_or_default()
    }
}

async fn every_interface(roots: &Roots) -> Vec<Interface> {
    // Boxed: a netlink dump is a large future and a rare one.
    Box::pin(interfaces::read(roots)).await.unwrap_or_else(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%error, source, "no interfaces in this report");
        Vec::new()
    })
}

impl<P: Privileges> Host for LinuxHost<P> {
    async fn identity(&mut self) -> Hello {
        let mut hello = identity::read(&self.roots, &every_interface(&self.roots).await);
        hello.terminal_allowed = self.privileges.terminal_allowed();
        if let Some(serial_number) = &self.serial_number {
            hello.serial_number.clone_from(serial_number);
        }
        hello
    }

    async fn status(&mut self) -> Status {
        let interfaces = every_interface(&self.roots).await;
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
        self.privileges.may_restart()
    }

    async fn restart(&mut self) -> Result<Duration, CommandError> {
        self.privileges.restart().await.map(|()| RESTART_TAKES)
    }

    async fn locate(&mut self, duration: Option<Duration>) -> Result<(), CommandError> {
        self.privileges.locate(duration).await?;
        self.locating = duration.map(|duration| Instant::now() + duration);
        Ok(())
    }

    async fn open_terminal(&mut self, size: WindowSize) -> Result<Terminal, CommandError> {
        self.privileges.open_terminal(size).await
    }

    async fn passwords(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        self.privileges.passwords().await
    }

    async fn set_password(&mut self, set: SetPassword) -> Result<HeldPassword, PasswordError> {
        self.privileges.set_password(set).await
    }

    async fn try_password(&mut self, tried: TryPassword) -> Result<(), PasswordError> {
        self.privileges.try_password(tried).await
    }
}
