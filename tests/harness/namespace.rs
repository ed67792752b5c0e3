//! Namespaces of a test's own: of networks, the appliance on its real ports in one, strangers in another; and of
//! accounts.
//!
//! A process with threads cannot move into a user namespace, so the test starts itself anew inside: as root with
//! `unshare --net`, as anybody else with a user namespace around it. What was made there (links, addresses, mounts) is
//! gone with the last process, however that one ends.

use crate::process::binary;
use crate::tool::run_tool;
use crate::until;
use nix::sched::{CloneFlags, setns};
use nix::unistd::getuid;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Set in the process that runs inside.
const INSIDE: &str = "AERIE_TEST_IN_NAMESPACE";

/// The appliance's address on the owner's private network.
pub const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The appliance's address on the network where devices are.
pub const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// The two ends of one link. The test itself, and what it starts, is at the appliance's.
pub struct Stage {
    outside: Child,
    folder: TempDir,
}

/// Plays `body` on a stage. `test` is the calling test's own name, as `cargo test` lists it.
pub fn on_stage(test: &str, body: impl AsyncFnOnce(Stage)) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(async { body(Stage::build().await).await });
    }
    anew(test, &["--net", "--mount"]);
}

/// Plays `body` on a machine with accounts of its own: `root`, `nobody` and the one named, which has this password.
/// Nothing in `/etc` is the machine's any more, and what is changed there is gone with the test. Root alone can have
/// that, since the agent needs a second account that is really another one.
pub fn with_own_accounts(test: &str, account: &str, password: &str, body: impl AsyncFnOnce()) {
    if !getuid().is_root() {
        eprintln!("skipped: only root can give the agent accounts of its own");
        return;
    }
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(async {
            let folder = TempDir::new().expect("a folder");
            own_etc(folder.path(), account, password).await;
            body().await;
        });
    }
    anew(test, &["--mount"]);
}

/// Plays `body` with a folder for an appliance whose data lie on a disk of their own, of so many MiB.
pub fn on_small_disk(test: &str, mebibytes: u32, body: impl AsyncFnOnce(TempDir)) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(async {
            let folder = TempDir::new().expect("a folder");
            let data = folder.path().join("data");
            std::fs::create_dir(&data).expect("a folder");
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "disk"]).arg(&data);
            run(mount).await;
            body(folder).await;
        });
    }
    anew(test, &["--mount"]);
}

/// Puts another `/etc` over the machine's. Only this namespace sees it.
async fn own_etc(folder: &Path, account: &str, password: &str) {
    let etc = folder.join("etc");
    // What programs need to run at all. No account, and no key of the machine.
    let parts = [
        "etc/ld.so.cache",
        "etc/login.defs",
        "etc/nsswitch.conf",
        "etc/pam.d",
        "etc/security",
        "etc/ssl/certs",
        "etc/hosts",
    ];
    let mut copy = Command::new("cp");
    copy.current_dir("/").args(["--archive", "--parents"]);
    copy.args(parts.iter().filter(|part| Path::new("/").join(part).exists())).arg(folder);
    run(copy).await;
    let mut openssl = Command::new("openssl");
    openssl.args(["passwd", "-6", password]);
    let entry = run_tool(openssl).await.output;
    let write = |file: &str, text: String| std::fs::write(etc.join(file), text).expect(file);
    write(
        "passwd",
        format!(
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n\
             {account}:x:4711:4711::/:/bin/sh\n"
        ),
    );
    write("group", format!("root:x:0:\nshadow:x:42:\nnogroup:x:65534:\n{account}:x:4711:\n"));
    let entry = entry.trim();
    write(
        "shadow",
        format!(
            "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n\
             {account}:{entry}:19000:0:99999:7:::\n"
        ),
    );
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(&etc).arg("/etc");
    run(mount).await;
}

/// Starts this test again in namespaces of its own.
fn anew(test: &str, namespaces: &[&str]) {
    let own = std::env::current_exe().expect("own path");
    let mut command = std::process::Command::new("unshare");
    if !getuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(namespaces).arg("--").arg(own);
    command.args(["--exact", test, "--include-ignored", "--nocapture"]);
    command.env(INSIDE, "1").env("AERIE_BINARIES", binary(""));
    let Output { status, stdout, stderr } = command.output().expect("unshare (package util-linux)");
    let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(
        said.contains("running 1 test"),
        "this test needs a namespace of its own and did not get one ({}). Run it as root, or let ordinary \
         users make namespaces: `sysctl user.max_user_namespaces` must not be 0, and AppArmor must not forbid them.",
        complained.trim()
    );
    // Marked, so that its result is not taken for one more by who counts them.
    for line in said.lines().chain(complained.lines()) {
        println!("| {line}");
    }
    assert!(status.success() && said.contains("1 passed"), "{test} failed in its namespace");
}

impl Stage {
    async fn build() -> Self {
        let own = namespace_of("self");
        // It ends with its standard input, that is, with this process.
        let mut holder = Command::new("unshare");
        holder.args(["--net", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let outside = holder.kill_on_drop(true).spawn().expect("unshare");
        let stage = Self { outside, folder: TempDir::new().expect("a folder") };
        until("the second namespace is there", async || {
            (namespace_of(&stage.holder()) != own).then_some(())
        })
        .await;
        let link = ["link", "add", "name", "veth0", "type", "veth", "peer", "name", "veth1"];
        ip(None, &[&link[..], &["netns", &stage.holder()]].concat()).await;
        for (namespace, name, last) in [(None, "veth0", 1), (Some(&stage), "veth1", 2)] {
            ip(namespace, &["link", "set", "lo", "up"]).await;
            for network in ["192.0.2", "198.51.100"] {
                ip(namespace, &["addr", "add", &format!("{network}.{last}/24"), "dev", name]).await;
            }
            ip(namespace, &["link", "set", name, "up"]).await;
        }
        stage
    }

    fn holder(&self) -> String {
        self.outside.id().expect("it ends with the stage").to_string()
    }

    fn outside_file(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder()).into()
    }

    /// Runs `body` at the other end of the link.
    pub async fn outside<T: Send + 'static>(
        &self,
        body: impl AsyncFnOnce() -> T + Send + 'static,
    ) -> T {
        let namespace = File::open(self.outside_file()).expect("the other namespace");
        let thread = std::thread::spawn(move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).expect("into the other namespace");
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().expect("a runtime").block_on(body())
        });
        let joined = tokio::task::spawn_blocking(|| thread.join()).await.expect("a join");
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A program that is going to run at the other end of the link.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.outside_file().display())).arg("--").arg(program);
        command
    }

    /// Lets `name` mean `address` for every program on the stage.
    pub async fn name(&self, name: &str, address: IpAddr) {
        let hosts = self.folder.path().join("hosts");
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{address} {name}\n")).expect("hosts");
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(&hosts).arg("/etc/hosts");
        run(mount).await;
    }

    /// A folder that is gone after the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn namespace_of(process: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/net")).ok()
}

async fn ip(namespace: Option<&Stage>, arguments: &[&str]) {
    let mut command =
        namespace.map_or_else(|| Command::new("ip"), |namespace| namespace.command("ip"));
    command.args(arguments);
    run(command).await;
}

async fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {complaint}");
}
