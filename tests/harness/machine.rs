//! A whole machine: the rig's disk in QEMU, with a kernel, systemd and a hardware watchdog of its own, reached by ports
//! that are forwarded from this machine.
//!
//! It is emulated (TCG) even where `/dev/kvm` is: that file says nothing about whether it works.

use crate::client::Client;
use crate::inside::Inside;
use crate::monitor::Monitor;
use crate::process::Process;
use crate::{run_tool, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// How long an emulated machine may take to come up on a busy one.
pub const BOOT: Duration = Duration::from_mins(4);
/// A moment less, so that the console is shown when it is over.
const SHOWN: Duration = Duration::from_secs(239);
/// No machine of a test lives longer, whatever happens to the test.
const LONGEST: Duration = Duration::from_mins(15);

/// What kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// A PC.
    X86,
    /// Four Cortex-A57, as in the consoles that Aerie is meant for.
    Arm,
}

impl Arch {
    /// As `make rig ARCH=` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }

    /// The folder with the disk, the kernel and the initramfs; none where the tests of this rig are not wanted.
    pub fn rig(self) -> Option<PathBuf> {
        let folder = PathBuf::from(std::env::var_os("AERIE_RIG")?).join(self.name());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        assert!(folder.join("disk.img").exists(), "make rig ARCH={} makes it", self.name());
        Some(folder)
    }
}

/// How a machine is to be started.
#[derive(Clone)]
pub struct MachineOptions {
    /// The processor.
    pub arch: Arch,
    /// How many processors. One of an emulated machine keeps one of this machine's busy.
    pub processors: u32,
    /// What `aerie.slot=` says.
    pub slot: &'static str,
    /// Another disk than the rig's.
    pub disk: Option<PathBuf>,
    /// A disk of so many MiB, larger than the image.
    pub disk_mib: Option<u64>,
    /// What the machine's clock says as it starts.
    pub clock: Option<&'static str>,
    /// After which it is ended, whatever becomes of us.
    pub longest: Duration,
    /// A second disk (raw).
    pub second_disk: Option<PathBuf>,
    /// A USB stick (raw) that is plugged in.
    pub stick: Option<PathBuf>,
    /// The network cable is not in; QEMU's monitor plugs it in.
    pub unplugged: bool,
    /// Starts by UEFI firmware and the disk's own GRUB, and not by QEMU's. Nothing can be run inside then.
    pub firmware: bool,
}

impl MachineOptions {
    /// The rig as it is, on this processor.
    pub fn new(arch: Arch) -> Self {
        Self {
            arch,
            processors: 1,
            slot: "a",
            disk: None,
            disk_mib: None,
            clock: None,
            longest: LONGEST,
            second_disk: None,
            stick: None,
            unplugged: false,
            firmware: false,
        }
    }
}

/// A running machine. Ends, with its disk, when it is dropped.
pub struct Machine {
    folder: TempDir,
    options: MachineOptions,
    qemu: Process,
    monitor: Monitor,
    inside: Inside,
    ports: Ports,
}

/// Which of this machine's ports lead to which of the other's.
#[derive(Clone, Copy, Default)]
struct Ports {
    http: u16,
    https: u16,
    inform: u16,
}

impl Machine {
    /// Flashes a disk, switches the machine on, and waits for nothing.
    pub async fn start(options: MachineOptions) -> Self {
        let folder = TempDir::new().expect("a folder");
        let rig = options.arch.rig().expect("AERIE_RIG");
        let image = options.disk.clone().unwrap_or_else(|| rig.join("disk.img"));
        let image = image.canonicalize().expect("a disk");
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(image);
        command.arg(disk(folder.path()));
        command.args(options.disk_mib.map(|size| format!("{size}M")));
        let made = run_tool(command).await;
        assert_eq!(made.code, Some(0), "{}", made.everything);
        let (qemu, monitor, ports) = switch_on(folder.path(), &options, Ports::default()).await;
        let inside = Inside::new(&folder.path().join("shell"));
        Self { folder, options, qemu, monitor, inside, ports }
    }

    /// Flashes a disk, switches the machine on, and waits until the appliance answers.
    pub async fn boot(options: MachineOptions) -> Self {
        let mut machine = Self::start(options).await;
        machine.becomes_healthy().await;
        machine
    }

    /// Takes the power away: what QEMU has not been told to keep is lost.
    pub async fn cut_power(&mut self) {
        kill_qemu(self.folder.path());
        self.qemu.ended(crate::PATIENCE).await;
    }

    /// Gives the power back after [`Machine::cut_power`]: the same disk, the same ports.
    pub async fn power_on(&mut self) {
        (self.qemu, self.monitor, self.ports) =
            switch_on(self.folder.path(), &self.options, self.ports).await;
        self.inside.forget();
    }

    /// What it is to start with, from the next [`Machine::power_on`] on.
    pub fn options(&mut self) -> &mut MachineOptions {
        &mut self.options
    }

    /// The disk (qcow2), for who changes it while the power is away.
    pub fn disk(&self) -> PathBuf {
        disk(self.folder.path())
    }

    /// Restarts it in an orderly way, and waits until the appliance answers again.
    pub async fn reboot(&mut self) {
        self.inside.begins("systemctl reboot").await;
        self.resets(BOOT).await;
        self.becomes_healthy().await;
    }

    /// Waits until the machine has been reset, by itself or by its watchdog.
    pub async fn resets(&mut self, bound: Duration) {
        self.monitor.waits_for("RESET", bound).await;
        self.inside.forget();
    }

    /// Plugs the network cable in.
    pub async fn plug_in(&mut self) {
        self.monitor.execute("set_link", json!({"name": "net", "up": true})).await;
    }

    /// QEMU's monitor.
    pub fn monitor(&mut self) -> &mut Monitor {
        &mut self.monitor
    }

    /// Runs a line of shell inside as root; panics unless it succeeds. What it printed.
    pub async fn run(&mut self, line: &str) -> String {
        let printed = self.inside.run(line).await;
        assert_eq!(printed.code, Some(0), "{line}: {}\n{}", printed.output, self.console());
        printed.output.trim().to_owned()
    }

    /// Runs a line of shell inside as root, whatever comes of it.
    pub async fn try_run(&mut self, line: &str) -> String {
        self.inside.run(line).await.output.trim().to_owned()
    }

    /// Begins a line of shell inside that may never come back.
    pub async fn begins(&mut self, line: &str) {
        self.inside.begins(line).await;
    }

    /// Waits until the GUI's port answers as healthy.
    pub async fn becomes_healthy(&mut self) {
        let client = self.client();
        let qemu = &mut self.qemu;
        let console = console(self.folder.path());
        let healthy = within(BOOT, "the appliance in the machine is healthy", async || {
            if let Some(status) = qemu.status() {
                panic!("QEMU ended with {status}: {}", qemu.printed());
            }
            // A forwarded port takes a connection long before anybody in there listens.
            let asked = tokio::time::timeout(Duration::from_secs(5), client.health()).await;
            (asked.ok().flatten() == Some(200)).then_some(())
        });
        let in_time = tokio::time::timeout(SHOWN, healthy).await.is_ok();
        assert!(in_time, "not healthy after {SHOWN:?}; the console:\n{}", tail(&read(&console)));
    }

    /// Waits until the console has shown `text`.
    pub async fn shows(&mut self, text: &str) {
        let file = console(self.folder.path());
        let shown =
            within(BOOT, "the console shows it", async || read(&file).contains(text).then_some(()));
        let in_time = tokio::time::timeout(SHOWN, shown).await.is_ok();
        assert!(in_time, "no {text:?} after {SHOWN:?} on the console:\n{}", tail(&read(&file)));
    }

    /// Everything that the console has shown, over all starts.
    pub fn console(&self) -> String {
        read(&console(self.folder.path()))
    }

    /// A client of the GUI's port, without a token.
    pub fn client(&self) -> Client {
        Client::new(self.https())
    }

    /// Where the GUI is reached.
    pub fn https(&self) -> SocketAddr {
        local(self.ports.https)
    }

    /// Where plain HTTP is reached.
    pub fn http(&self) -> SocketAddr {
        local(self.ports.http)
    }

    /// Where the devices' own port (8444) is reached.
    pub fn inform(&self) -> SocketAddr {
        local(self.ports.inform)
    }

    /// The same device key for who reaches the machine by a forwarded port.
    pub fn forwarded(&self, key: &str) -> String {
        let (_, rest) = key.split_once('+').expect("a device key");
        let port = if key.contains(":8444+") { self.ports.inform } else { self.ports.https };
        format!("wss://127.0.0.1:{port}+{rest}")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the console:\n{}\n----", tail(&self.console()));
        }
        if self.qemu.status().is_none() {
            kill_qemu(self.folder.path());
        }
    }
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn disk(folder: &Path) -> PathBuf {
    folder.join("disk.qcow2")
}

fn console(folder: &Path) -> PathBuf {
    folder.join("console.log")
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(120)..].join("\n")
}

/// By the id that it wrote down itself.
fn kill_qemu(folder: &Path) {
    let id = std::fs::read_to_string(folder.join("pid")).ok();
    if let Some(id) = id.and_then(|id| id.trim().parse().ok()) {
        kill(Pid::from_raw(id), Signal::SIGKILL).ok();
    }
}

async fn switch_on(
    folder: &Path,
    options: &MachineOptions,
    ports: Ports,
) -> (Process, Monitor, Ports) {
    for name in ["pid", "qmp", "shell"] {
        drop(std::fs::remove_file(folder.join(name)));
    }
    // The end of the test, and a bound, end the machine whatever becomes of us.
    let mut command = Command::new("setpriv");
    let longest = options.longest.as_secs().to_string();
    command.args(["--pdeathsig", "TERM", "timeout", "--kill-after=5", &longest]);
    arguments(&mut command, folder, options, ports);
    let qemu = Process::start("qemu", command, &folder.join("qemu.log"));
    let mut monitor = Monitor::open(&folder.join("qmp")).await;
    let told = monitor.execute("human-monitor-command", json!({"command-line": "info usernet"}));
    let ports = forwarded_ports(told.await.as_str().expect("text"));
    if options.unplugged {
        monitor.execute("set_link", json!({"name": "net", "up": false})).await;
    }
    monitor.execute("cont", json!({})).await;
    (qemu, monitor, ports)
}

/// Lines like `TCP[HOST_FORWARD]  12  127.0.0.1 46373  10.0.2.15  443  0  0`.
fn forwarded_ports(told: &str) -> Ports {
    let port = |inside: &str| {
        let forwards = told.lines().filter(|line| line.contains("HOST_FORWARD"));
        let mut fields = forwards.map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = fields.find(|fields| fields.get(5) == Some(&inside));
        found.and_then(|fields| fields[3].parse().ok()).unwrap_or_else(|| panic!("{told}"))
    };
    Ports { http: port("80"), https: port("443"), inform: port("8444") }
}

fn arguments(command: &mut Command, folder: &Path, options: &MachineOptions, ports: Ports) {
    let rig = options.arch.rig().expect("AERIE_RIG");
    let console = match options.arch {
        Arch::X86 => {
            command.args(["qemu-system-x86_64", "-M", "q35", "-cpu", "max"]);
            "ttyS0"
        }
        Arch::Arm => {
            command.args(["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"]);
            "ttyAMA0"
        }
    };
    let path = |name: &str| folder.join(name).display().to_string();
    command.args([
        "-accel",
        "tcg,thread=multi",
        "-smp",
        &options.processors.to_string(),
        "-m",
        "1024",
    ]);
    // It begins to run when its ports are known.
    command.args(["-S", "-nodefaults", "-display", "none", "-pidfile", &path("pid")]);
    let serial = format!("file,id=serial,path={},append=on", path("console.log"));
    command.args(["-chardev", &serial, "-serial", "chardev:serial"]);
    command.args(["-qmp", &format!("unix:{},server=on,wait=off", path("qmp"))]);
    let drive = format!("file={},format=qcow2,if=virtio", disk(folder).display());
    command.args(["-drive", &drive, "-device", "virtio-rng-pci"]);
    let forward = |port: u16, inside: u16| format!("hostfwd=tcp:127.0.0.1:{port}-:{inside}");
    let Ports { http, https, inform } = ports;
    let (http, https, inform) = (forward(http, 80), forward(https, 443), forward(inform, 8444));
    command.args(["-netdev", &format!("user,id=net,{http},{https},{inform}")]);
    command.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    command.args(["-device", "i6300esb", "-action", "watchdog=reset"]);
    if let Some(clock) = options.clock {
        command.args(["-rtc", &format!("base={clock}")]);
    }
    if let Some(disk) = &options.second_disk {
        command.args(["-drive", &format!("file={},format=raw,if=virtio", disk.display())]);
    }
    if let Some(stick) = &options.stick {
        let drive = format!("if=none,id=stick,format=raw,file={}", stick.display());
        command.args(["-drive", &drive, "-device", "qemu-xhci"]);
        command.args(["-device", "usb-storage,drive=stick"]);
    }
    if options.firmware {
        let variables = folder.join("firmware.fd");
        std::fs::copy("/usr/share/OVMF/OVMF_VARS.fd", &variables).expect("Debian's package ovmf");
        let flash = "if=pflash,format=raw";
        command.args(["-drive", &format!("{flash},readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd")]);
        command.args(["-drive", &format!("{flash},file={}", variables.display())]);
        return;
    }
    // The image has no way in but this: a root shell that the kernel's command line asks for.
    command.args(["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=shell"]);
    let socket = format!("socket,id=shell,path={},server=on,wait=off", path("shell"));
    command.args(["-chardev", &socket]);
    command.arg("-kernel").arg(rig.join("vmlinuz")).arg("-initrd").arg(rig.join("initrd"));
    let slot = options.slot;
    let line =
        format!("aerie.slot={slot} panic=10 quiet console={console} systemd.debug_shell=hvc0");
    command.args(["-append", &line]);
}
