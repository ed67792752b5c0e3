//! The vault's process by itself: as a child of the test, or as a unit behind a socket.

use crate::process::{Process, binary};
use crate::until;
use aerie::supervisor::Supervisor;
use aerie::vault::protocol::Status;
use aerie::vault::{Vault, link};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// A vault process in a folder of its own, and the daemon's end of the talk with it.
pub struct VaultUnit {
    folder: TempDir,
    process: Process,
    supervisor: Supervisor,
    vault: Vault,
}

impl VaultUnit {
    /// Starts it as a unit and connects.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let process = launch(folder.path());
        let (supervisor, vault) = connect(folder.path()).await;
        Self { folder, process, supervisor, vault }
    }

    /// The daemon's end.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A folder of this test's own; the vault's directory is `vault` in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The daemon's end ends, as with a restart of the daemon, and connects anew.
    pub async fn reconnect(&mut self) {
        self.supervisor.shutdown(Duration::from_secs(10)).await;
        (self.supervisor, self.vault) = connect(self.folder.path()).await;
    }

    /// `kill -9`, and a new process on the same directory. Waits until the link has found it.
    pub async fn kill_and_start_again(&mut self) {
        self.process.kill().await;
        let mut status = self.vault.watch();
        status.wait_for(Option::is_none).await.expect("the link runs");
        self.start_again().await;
    }

    /// A new process on the same directory, after the old one has ended.
    pub async fn start_again(&mut self) {
        self.process = launch(self.folder.path());
        answers(&self.vault).await;
    }
}

/// Waits until a vault answers; how it is.
pub async fn answers(vault: &Vault) -> Status {
    until("the vault answers", async || vault.status().await.ok()).await
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("vault.sock")
}

/// The boot file of a vault that is a unit.
pub fn vault_config(folder: &Path) -> PathBuf {
    let (file, socket, dir) = (folder.join("vault.toml"), socket(folder), folder.join("vault"));
    let (socket, dir) = (socket.display(), dir.display());
    let text = format!("[vault]\nsocket = \"{socket}\"\ndir = \"{dir}\"\n");
    std::fs::write(&file, text).expect("a config file");
    file
}

fn launch(folder: &Path) -> Process {
    let config = vault_config(folder);
    let mut command = Command::new(binary("aerie"));
    command.args(["vault", "--config"]).arg(config);
    // An ordinary user may not lock that much.
    if !nix::unistd::geteuid().is_root() {
        command.arg("--swap");
    }
    Process::start("aerie vault", command, &folder.join("vault.log"))
}

async fn connect(folder: &Path) -> (Supervisor, Vault) {
    let supervisor = Supervisor::new();
    let vault = Vault::start(link::Process::Unit(socket(folder)), &supervisor).await;
    answers(&vault).await;
    (supervisor, vault)
}

/// A vault that is a child of this process, in this directory.
pub async fn vault_child(directory: &Path) -> (Supervisor, Vault) {
    let supervisor = Supervisor::new();
    let (program, directory) = (binary("aerie"), directory.to_owned());
    let vault = Vault::start(link::Process::Child { program, directory }, &supervisor).await;
    answers(&vault).await;
    (supervisor, vault)
}

/// The ids of the processes whose parent is this one.
pub fn children_of(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after_name.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    })
    .collect()
}

impl Drop for VaultUnit {
    fn drop(&mut self) {
        // What it is in the middle of is not what a test is about.
        self.supervisor.token().cancel();
        if self.process.status().is_none() {
            self.process.signal(Signal::SIGTERM);
        }
    }
}
