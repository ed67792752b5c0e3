//! A small system with the real systemd, booted in a container over this machine's own `/usr`, with what `make install
//! IMAGE=1` lays over that: our units, our users, one boot after the other on the same data. It shares the machine's
//! network, and nothing else that can be written.

use crate::client::Client;
use crate::process::{Process, binary};
use crate::tool::{Printed, run_tool};
use crate::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getuid};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;
use tokio::process::Command;

/// A running system. Ends, with its data, when it is dropped.
pub struct Booted {
    folder: TempDir,
    container: Process,
    https: SocketAddr,
}

impl Booted {
    /// Whether one can be booted here: by root alone, and not inside every other container.
    pub fn is_possible() -> bool {
        let mut command = std::process::Command::new("systemd-nspawn");
        command.args(["--quiet", "--register=no", "--keep-unit", "--directory=/"]);
        command.args(["--volatile=yes", "--machine=aerie-probe", "true"]);
        getuid().is_root() && command.status().is_ok_and(|status| status.success())
    }

    /// Boots with an appliance that nobody has set up.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more lines for some of the units.
    pub async fn start_with(drop_ins: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        for part in ["etc/systemd/system", "lib/aerie", "lib/aerie-vault", "lib/aerie-machine"] {
            fs::create_dir_all(folder.path().join(part)).expect("a folder");
        }
        write_configuration(&folder.path().join("etc"));
        for (unit, text) in drop_ins {
            drop_in(folder.path(), unit, "of-the-test", text);
        }
        let container = boot(folder.path());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut booted = Self { folder, container, https: nowhere };
        booted.become_healthy().await;
        // Every later life is at the same ports, as on a machine.
        let written = fs::read_to_string(booted.data().join("addresses.json")).expect("addresses");
        let written: Value = serde_json::from_str(&written).expect("addresses");
        let port = |name: &str| written[name][0].as_str().expect("an address").to_owned();
        write_boot_file(&booted.folder.path().join("etc"), &port("http"), &port("https"));
        booted
    }

    /// Ends everything that runs and boots again on the same data.
    pub async fn reboot(&mut self) {
        // As a machine does whose power goes.
        let init = i32::try_from(self.init().await).expect("a process id");
        kill(Pid::from_raw(init), Signal::SIGKILL).expect("it ends");
        self.container.ended(crate::PATIENCE).await;
        self.container = boot(self.folder.path());
        self.become_healthy().await;
    }

    /// `systemctl` inside, which has to succeed; what it printed.
    pub async fn systemctl(&self, arguments: &[&str]) -> String {
        let printed = self.inside(&[&["systemctl"], arguments].concat()).await;
        assert_eq!(printed.code, Some(0), "systemctl {arguments:?}: {}", printed.everything);
        printed.output
    }

    /// A program inside, as root.
    pub async fn inside(&self, program: &[&str]) -> Printed {
        let mut command = Command::new("nsenter");
        command.args(["-m", "-u", "-i", "-p", "-t", &self.init().await.to_string()]).args(program);
        run_tool(command).await
    }

    /// A property of a unit.
    pub async fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.systemctl(&["show", "--value", "--property", name, unit]).await;
        shown.trim().to_owned()
    }

    /// Starts a unit again, and waits until the appliance answers.
    pub async fn restart(&mut self, unit: &str) {
        self.forget_addresses();
        self.systemctl(&["restart", unit]).await;
        self.become_healthy().await;
    }

    /// The main process of a unit, as this machine counts.
    pub async fn process_of(&self, unit: &str) -> u32 {
        let own = self.property(unit, "MainPID").await;
        // Other systems count from one, too.
        let space = |id: u32| fs::read_link(format!("/proc/{id}/ns/pid")).ok();
        let here = space(self.init().await);
        // The last of a process's numbers is the innermost namespace's.
        let is_it = |status: &str| {
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.is_some_and(|numbers| {
                let numbers: Vec<&str> = numbers.split_whitespace().collect();
                numbers.len() > 1 && numbers.last() == Some(&own.as_str())
            })
        };
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let found = ids.find(|id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status"));
            status.is_ok_and(|status| is_it(&status)) && space(*id) == here
        });
        found.unwrap_or_else(|| panic!("{unit} has no process {own}"))
    }

    /// A client without a token.
    pub fn client(&self) -> Client {
        Client::new(self.https)
    }

    /// Where GUI and API are.
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// Waits until it answers as it should, wherever its ports are by now.
    pub async fn is_back(&mut self) {
        self.become_healthy().await;
    }

    /// What the machine keeps for itself: its key.
    pub fn machine(&self) -> PathBuf {
        self.folder.path().join("lib/aerie-machine")
    }

    /// The daemon's data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("lib/aerie")
    }

    /// systemd's own process, as this machine counts.
    async fn init(&self) -> u32 {
        let id = self.container.id();
        let children = PathBuf::from(format!("/proc/{id}/task/{id}/children"));
        until("systemd has begun", async || {
            let children = fs::read_to_string(&children).ok()?;
            children.split_whitespace().next()?.parse().ok()
        })
        .await
    }

    fn forget_addresses(&self) {
        drop(fs::remove_file(self.data().join("addresses.json")));
    }

    async fn become_healthy(&mut self) {
        let file = self.data().join("addresses.json");
        let container = &mut self.container;
        self.https = until("the appliance is healthy", async || {
            if let Some(status) = container.status() {
                panic!("the system ended with {status}");
            }
            let written: Value = serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()?;
            let https = written["https"][0].as_str()?.parse().ok()?;
            (Client::new(https).health().await? == 200).then_some(https)
        })
        .await;
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        if self.container.status().is_some() {
            return;
        }
        let id = self.container.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let init: Option<i32> =
            children.ok().and_then(|all| all.split_whitespace().next()?.parse().ok());
        let Some(init) = init else { return };
        if std::thread::panicking() {
            // Why the test failed stands in the container's journal, which goes with it.
            let mut command = std::process::Command::new("nsenter");
            command.args(["-m", "-u", "-i", "-p", "-t", &init.to_string()]);
            command.args(["journalctl", "--no-pager", "-n", "200"]);
            command.args(["-u", "aerie.service", "-u", "aerie-vault.service"]);
            if let Ok(printed) = command.output() {
                eprintln!("---- the journal:\n{}", String::from_utf8_lossy(&printed.stdout));
            }
        }
        // Every process of the system ends with its first one, and not with the container's own.
        kill(Pid::from_raw(init), Signal::SIGKILL).ok();
    }
}

/// What `make install IMAGE=1` lays into place, with the programs that are tested.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        let tree = root.join("target/installed");
        drop(fs::remove_dir_all(&tree));
        let programs = binary("aerie").parent().expect("a folder").to_owned();
        let mut command = std::process::Command::new(root.join("systemd/install.sh"));
        command.env("DESTDIR", &tree).env("BINARIES", programs).env("IMAGE", "1");
        let status = command.env("PREFIX", "/usr").status().expect("install.sh runs");
        assert!(status.success(), "install.sh: {status}");
        tree
    })
}

/// Adds lines to a unit.
fn drop_in(folder: &Path, unit: &str, name: &str, text: &str) {
    let place = folder.join("etc/systemd/system").join(format!("{unit}.d"));
    fs::create_dir_all(&place).expect("a folder");
    fs::write(place.join(format!("{name}.conf")), text).expect("written");
}

/// What the image has in `/etc`, with programs and ports of this test's.
fn write_configuration(etc: &Path) {
    write_boot_file(etc, "127.0.0.1:0", "127.0.0.1:0");
    let system = etc.join("systemd/system");
    if !may_raise_limits() {
        let folder = etc.parent().expect("a folder");
        let text =
            "[Service]\nAmbientCapabilities=CAP_IPC_LOCK\nCapabilityBoundingSet=CAP_IPC_LOCK\n";
        drop_in(folder, "aerie-vault.service", "memory", text);
    }
    let wants = "[Unit]\nRequires=basic.target\nWants=aerie.service aerie-vault.service\n";
    fs::write(system.join("aerie-test.target"), wants).expect("written");
    // One would ask somebody at the console, the other needs a disk of its own.
    for unit in ["systemd-firstboot.service", "aerie-grow-data.service"] {
        std::os::unix::fs::symlink("/dev/null", system.join(unit)).expect("a link");
    }
}

/// The boot file, in place: the container has it bound.
fn write_boot_file(etc: &Path, http: &str, https: &str) {
    let config = format!(
        "data_dir = \"/var/lib/aerie\"\n[http]\nlisten = [\"{http}\"]\n[https]\nlisten = [\"{https}\"]\n\
         [accounts]\nbcrypt_cost = 6\n[vault]\nsocket = \"/run/aerie-vault/socket\"\n\
         dir = \"/var/lib/aerie-vault\"\nuser = \"aerie\"\n"
    );
    fs::write(etc.join("aerie.toml"), config).expect("written");
}

/// Whether systemd can raise `LimitMEMLOCK` here. Inside another container it often cannot (`CAP_SYS_RESOURCE`): then the
/// vault may lock memory by a capability instead.
fn may_raise_limits() -> bool {
    const SYS_RESOURCE: u64 = 1 << 24;
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("CapEff");
    u64::from_str_radix(held.trim(), 16).expect("a number") & SYS_RESOURCE != 0
}

fn boot(folder: &Path) -> Process {
    drop(fs::remove_file(folder.join("lib/aerie/addresses.json")));
    let (tree, etc) = (installed(), folder.join("etc"));
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
    let machine = format!("aerie-{}", name.trim_start_matches('.').to_lowercase());
    let mut command = Command::new("systemd-nspawn");
    command.args(["--quiet", "--register=no", "--keep-unit", "--directory=/", "--volatile=yes"]);
    command.args(["--console=pipe", "--boot", &format!("--machine={machine}")]);
    // A container forbids every process to lock memory; a machine does not.
    command.args(["--capability=CAP_IPC_LOCK,CAP_SYS_RESOURCE", "--system-call-filter=@memlock"]);
    let mut bind = |how: &str, from: &Path, to: &str| {
        command.arg(format!("--{how}={}:{to}", from.display()));
    };
    bind("overlay-ro", Path::new("/usr"), &format!("{}:/usr", tree.join("usr").display()));
    bind("bind-ro", &etc.join("systemd/system"), "/etc/systemd/system");
    bind("bind-ro", &etc.join("aerie.toml"), "/etc/aerie/aerie.toml");
    for part in ["aerie", "aerie-vault", "aerie-machine"] {
        bind("bind", &folder.join("lib").join(part), &format!("/var/lib/{part}"));
    }
    command.arg("systemd.unit=aerie-test.target");
    Process::start("systemd-nspawn", command, &folder.join("console.log"))
}
