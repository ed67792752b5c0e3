//! Network namespaces of a test's own: the appliance on its real ports in one, strangers in another.
//!
//! A process with threads cannot move into a user namespace, so the test starts itself anew inside: as root with
//! `unshare --net`, as anybody else with a user namespace around it. What was made there (links, addresses, mounts) is
//! gone with the last process, however that one ends.

use crate::process::binary;
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
    let own = std::env::current_exe().expect("own path");
    let mut command = std::process::Command::new("unshare");
    if !getuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--"]).arg(own);
    command.args(["--exact", test, "--include-ignored", "--nocapture"]);
    command.env(INSIDE, "1").env("AERIE_BINARIES", binary(""));
    let Output { status, stdout, stderr } = command.output().expect("unshare (package util-linux)");
    let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(
        said.contains("running 1 test"),
        "this test needs a network namespace of its own and did not get one ({}). Run it as root, or let ordinary \
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
