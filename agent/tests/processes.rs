//! The agent started as root: two real processes, a real appliance on the other end of the wire.
//!
//! Only root can run these; anybody else runs the same code in `separation`, without the accounts.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Command as StdCommand, ExitStatus, Output, Stdio},
    time::Duration,
};

use aerie_protocol::{
    inform::{
        GoodbyeReason, Request, Restart, TerminalData, TerminalOpen, from_appliance, from_device,
        request::Verb,
    },
    key::DeviceKey,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use crate::{
    appliance::{Appliance, Peer},
    outer::Server,
    pty::gone,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_aerie-agent");
const PATIENCE: Duration = Duration::from_mins(1);
const SHELL: &str = "[terminal]\nmode = \"shell\"\nuser = \"root\"\n[commands]\nrestart = false\n";

/// Says so where a test cannot run; it is in no list of ignored ones.
fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can start the agent as two processes");
    }
    root
}

fn nobody() -> User {
    User::from_name("nobody").unwrap().unwrap()
}

/// A device with its appliance.
struct Scene {
    server: Server,
    appliance: Appliance,
    folder: TempDir,
    agent: Option<Child>,
}

impl Scene {
    async fn start(policy: &str) -> Self {
        let mut scene = Self::prepare(policy).await;
        scene.launch();
        scene
    }

    async fn prepare(policy: &str) -> Self {
        let server = Server::new().await;
        let appliance = Appliance::new();
        let folder = tempfile::tempdir().unwrap();
        let key = DeviceKey {
            host: "127.0.0.1".to_owned(),
            port: server.port(),
            allow_untrusted: true,
            ..appliance.key()
        };
        fs::write(folder.path().join("key"), key.write().as_bytes()).unwrap();
        fs::write(folder.path().join("policy.toml"), policy).unwrap();
        Self { server, appliance, folder, agent: None }
    }

    fn launch(&mut self) {
        self.launch_with(|_| {});
    }

    fn launch_with(&mut self, more: impl FnOnce(&mut Command)) {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--user", "nobody", "--state"]).arg(self.state());
        command.arg("--key-file").arg(self.folder.path().join("key"));
        command.arg("--policy").arg(self.folder.path().join("policy.toml"));
        command.env_remove("RUST_LOG").stdin(Stdio::null()).kill_on_drop(true);
        more(&mut command);
        self.agent = Some(command.spawn().unwrap());
    }

    fn agent(&mut self) -> &mut Child {
        self.agent.as_mut().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    async fn connected(&self) -> Peer<TlsStream<TcpStream>> {
        let stream = timeout(PATIENCE, self.server.accept()).await.expect("no connect").unwrap();
        Box::pin(self.appliance.welcome(stream)).await
    }

    fn root(&self) -> Pid {
        Pid::from_raw(self.agent.as_ref().and_then(Child::id).unwrap().cast_signed())
    }

    fn worker(&self) -> Pid {
        children(self.root())
            .into_iter()
            .find(|child| command_line(*child).contains("worker"))
            .expect("a worker")
    }

    async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.agent().wait()).await.expect("it runs on").unwrap()
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let line = format!("PPid:\t{parent}\n");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .map(Pid::from_raw)
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| status.contains(&line))
        })
        .collect()
}

fn command_line(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// One line of `/proc/PID/status`.
fn status(pid: Pid, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Types into terminal 1 and reads until `mark` is shown.
async fn type_and_read(peer: &mut Peer<TlsStream<TcpStream>>, keys: &str, mark: &str) -> String {
    let data = TerminalData { channel: 1, data: keys.to_owned().into() };
    peer.send(from_appliance::Body::TerminalData(data)).await;
    let mut shown = String::new();
    while !shown.contains(mark) {
        match timeout(PATIENCE, peer.answer()).await.expect("nothing is shown") {
            Some(from_device::Body::TerminalData(data)) => {
                shown.push_str(&String::from_utf8_lossy(&data.data));
            }
            Some(from_device::Body::TerminalCredit(_)) => {}
            other => panic!("{other:?} after {shown:?}"),
        }
    }
    shown
}

/// An enrolled device with a shell on terminal 1.
async fn with_shell() -> (Scene, Peer<TlsStream<TcpStream>>) {
    let scene = Scene::start(SHELL).await;
    let mut peer = scene.connected().await;
    peer.enrol("mast").await;
    open(&mut peer).await;
    let opened = peer.answer().await;
    assert!(matches!(opened, Some(from_device::Body::TerminalOpened(_))), "{opened:?}");
    type_and_read(&mut peer, "exec env PS1= /bin/sh\n", "\n").await;
    type_and_read(&mut peer, "echo rea''dy\n", "ready\r\n").await;
    (scene, peer)
}

async fn open(peer: &mut Peer<TlsStream<TcpStream>>) {
    let open = TerminalOpen { channel: 1, rows: 24, columns: 80, credit: 100_000 };
    peer.send(from_appliance::Body::TerminalOpen(open)).await;
}

/// The number of the shell on terminal 1.
async fn shell_number(peer: &mut Peer<TlsStream<TcpStream>>) -> String {
    let shown = type_and_read(peer, "echo \"<$$\"'>'\n", ">\r\n").await;
    let (_, number) = shown.trim_end().trim_end_matches('>').rsplit_once('<').unwrap();
    number.parse::<u32>().unwrap().to_string()
}

#[tokio::test]
async fn what_touches_the_network_has_no_rights_and_owns_its_state_alone() {
    if !is_root() {
        return;
    }
    let scene = Scene::start(SHELL).await;
    let mut peer = scene.connected().await;
    peer.enrol("mast").await;
    let (nobody, worker) = (nobody(), scene.worker());
    let id = |number: u32| [number.to_string().as_str(); 4].join(" ");
    assert_eq!(status(worker, "Uid"), id(nobody.uid.as_raw()));
    assert_eq!(status(worker, "Gid"), id(nobody.gid.as_raw()));
    assert_eq!(status(worker, "Groups"), "");
    assert_eq!(status(worker, "NoNewPrivs"), "1");
    assert_eq!(status(worker, "Name"), "aerie-agent");
    for capabilities in ["CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(worker, capabilities), "0".repeat(16), "{capabilities}");
    }
    // Root's process has no connection to anywhere: its sockets are its end of the pair, and two
    // of tokio's own for signals.
    assert_eq!(internet_sockets(scene.root()), 0);
    assert_eq!(internet_sockets(worker), 1);

    let state = fs::metadata(scene.state()).unwrap();
    assert_eq!((state.uid(), state.gid()), (nobody.uid.as_raw(), nobody.gid.as_raw()));
    assert_eq!(state.permissions().mode() & 0o7777, 0o700);
    for entry in fs::read_dir(scene.state()).unwrap() {
        let file = entry.unwrap().metadata().unwrap();
        assert_eq!((file.uid(), file.mode() & 0o777), (nobody.uid.as_raw(), 0o600));
    }
}

/// How many of a process's descriptors are TCP or UDP sockets.
fn internet_sockets(pid: Pid) -> usize {
    let tables = ["tcp", "tcp6", "udp", "udp6"]
        .map(|table| fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
    let inodes: Vec<_> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| line.split_whitespace().nth(9))
        .collect();
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    links
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
            inodes.contains(&link.as_str()).then_some(())
        })
        .count()
}

#[tokio::test]
async fn d3_a_shell_is_the_named_users_and_tells_its_exit_status() {
    if !is_root() {
        return;
    }
    let (mut scene, mut peer) = with_shell().await;
    type_and_read(&mut peer, "id -u; pwd; id -G | wc -w\n", "0\r\n/root\r\n").await;
    let data = TerminalData { channel: 1, data: "exit 7\n".into() };
    peer.send(from_appliance::Body::TerminalData(data)).await;
    let closed = loop {
        match timeout(PATIENCE, peer.answer()).await.expect("it does not close") {
            Some(from_device::Body::TerminalClosed(closed)) => break closed,
            Some(_) => {}
            None => panic!("the agent left"),
        }
    };
    assert_eq!((closed.exit_status, closed.refusal), (Some(7), None));
    assert!(scene.agent().try_wait().unwrap().is_none(), "the agent runs on");
}

#[tokio::test]
async fn d3_a_terminal_that_is_off_stays_off() {
    if !is_root() {
        return;
    }
    let scene = Scene::start("[terminal]\nmode = \"off\"\n").await;
    let mut peer = scene.connected().await;
    peer.enrol("mast").await;
    open(&mut peer).await;
    let Some(from_device::Body::TerminalClosed(closed)) = peer.answer().await else { panic!() };
    assert!(closed.refusal.unwrap().detail.contains("[terminal]"));
    // Nothing but the worker was started.
    assert_eq!(children(scene.root()), [scene.worker()]);
}

#[tokio::test]
async fn a_restart_is_roots_and_the_worker_says_goodbye_before_it() {
    if !is_root() {
        return;
    }
    // This machine is not restarted: there is no other program on the path.
    let path = tempfile::tempdir().unwrap();
    let mark = path.path().join("restarted");
    for program in ["systemctl", "reboot"] {
        let program = path.path().join(program);
        fs::write(&program, format!("#!/bin/sh\necho yes > {}\n", mark.display())).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    }
    let mut scene = Scene::prepare("").await;
    scene.launch_with(|command| {
        command.env("PATH", path.path());
    });
    let mut peer = scene.connected().await;
    peer.enrol("mast").await;
    let verb = Some(Verb::Restart(Restart {}));
    peer.send(from_appliance::Body::Request(Request { request_id: 1, verb })).await;
    let reply = peer.answer().await;
    assert!(matches!(reply, Some(from_device::Body::Reply(_))), "{reply:?}");
    let goodbye = timeout(PATIENCE, peer.answer()).await.expect("it stays");
    assert!(matches!(goodbye, Some(from_device::Body::Goodbye(_))), "{goodbye:?}");
    assert_eq!(fs::read_to_string(mark).unwrap(), "yes\n");
}

#[tokio::test]
async fn when_the_worker_is_killed_its_terminals_end_and_the_agent_fails() {
    if !is_root() {
        return;
    }
    let (mut scene, mut peer) = with_shell().await;
    let shell = shell_number(&mut peer).await;
    kill(scene.worker(), Signal::SIGKILL).unwrap();
    gone(&shell).await;
    // Not 0: so the service manager starts it again.
    assert_eq!(scene.ended().await.code(), Some(1));
    // And it is enrolled still.
    scene.launch();
    assert!(!scene.connected().await.first_contact);
}

#[tokio::test]
async fn when_roots_process_is_killed_the_worker_ends() {
    if !is_root() {
        return;
    }
    let (mut scene, mut peer) = with_shell().await;
    let (shell, worker) = (shell_number(&mut peer).await, scene.worker());
    scene.agent().start_kill().unwrap();
    assert_eq!(scene.ended().await.signal(), Some(9));
    gone(&worker.to_string()).await;
    // The kernel hangs up once the last end of the line is closed.
    gone(&shell).await;
    scene.launch();
    assert!(!scene.connected().await.first_contact);
}

#[tokio::test]
async fn sigterm_to_roots_process_says_goodbye_through_the_worker() {
    if !is_root() {
        return;
    }
    let (mut scene, mut peer) = with_shell().await;
    let shell = shell_number(&mut peer).await;
    kill(scene.root(), Signal::SIGTERM).unwrap();
    let mut said = Vec::new();
    while let Some(body) = timeout(PATIENCE, peer.next()).await.expect("it stays") {
        said.push(body);
    }
    let Some(from_device::Body::Goodbye(goodbye)) = said.last() else { panic!("{said:?}") };
    assert_eq!(goodbye.reason(), GoodbyeReason::ShuttingDown);
    assert!(scene.ended().await.success());
    gone(&shell).await;
    // A service manager tells both at once.
    scene.launch();
    let mut peer = scene.connected().await;
    let (root, worker) = (scene.root(), scene.worker());
    for process in [worker, root] {
        kill(process, Signal::SIGTERM).unwrap();
    }
    while timeout(PATIENCE, peer.next()).await.expect("it stays").is_some() {}
    assert!(scene.ended().await.success());
}

/// `run` with more arguments, to its end.
fn run(state: &Path, arguments: &[&str]) -> (Output, String) {
    let mut command = StdCommand::new(PROGRAM);
    command.args(["run", "--state"]).arg(state).args(arguments).env_remove("RUST_LOG");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn the_account_to_run_under_exists_and_has_no_rights() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &str); 2] = if is_root() {
        [("no-such-account-here", "no-such-account-here"), ("root", "--user")]
    } else {
        [("root", "--user"), ("nobody", "--user")]
    };
    for (user, word) in cases {
        let (ended, said) = run(&folder.path().join("state"), &["--user", user]);
        assert_eq!(ended.status.code(), Some(78), "{said}");
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn nobody_is_a_worker_by_itself() {
    let mut command = StdCommand::new(PROGRAM);
    command.args(["worker", "--state", "."]).stdin(Stdio::null());
    let said = command.output().unwrap();
    assert!(!said.status.success());
    assert!(
        !String::from_utf8_lossy(&StdCommand::new(PROGRAM).arg("--help").output().unwrap().stdout)
            .contains("worker")
    );
}

#[tokio::test]
async fn root_adopts_a_device_as_the_account_that_it_belongs_to() {
    if !is_root() {
        return;
    }
    let mut scene = Scene::start(SHELL).await;
    drop(scene.connected().await);
    kill(scene.root(), Signal::SIGTERM).unwrap();
    assert!(scene.ended().await.success());
    // What a worker in a stranger's hands might have left behind.
    let treasure = scene.folder.path().join("treasure");
    fs::write(&treasure, "untouched").unwrap();
    for name in ["device.json.new", "lock"] {
        let place = scene.state().join(name);
        drop(fs::remove_file(&place));
        symlink(&treasure, place).unwrap();
    }
    let mut adopt = StdCommand::new(PROGRAM);
    adopt.args(["adopt", "--state"]).arg(scene.state());
    adopt.arg("--key-file").arg(scene.folder.path().join("key")).stdout(Stdio::null());
    // The account may not even open what its link leads to.
    assert_eq!(adopt.status().unwrap().code(), Some(1));
    fs::remove_file(scene.state().join("lock")).unwrap();
    assert!(adopt.status().unwrap().success());
    assert_eq!(fs::read_to_string(&treasure).unwrap(), "untouched");
    assert_eq!(fs::metadata(&treasure).unwrap().uid(), 0);
    let kept = fs::metadata(scene.state().join("device.json")).unwrap();
    assert_eq!(kept.uid(), nobody().uid.as_raw());
    scene.launch();
    scene.connected().await;
}

#[tokio::test]
async fn root_gives_away_nothing_but_the_agents_own_files() {
    if !is_root() {
        return;
    }
    for trap in ["hard link", "symbolic link", "folder"] {
        let folder = tempfile::tempdir().unwrap();
        let (state, treasure) = (folder.path().join("state"), folder.path().join("treasure"));
        fs::write(&treasure, "untouched").unwrap();
        fs::create_dir(&state).unwrap();
        fs::write(state.join("other"), "not the agent's").unwrap();
        let place = state.join("device.json");
        match trap {
            "hard link" => fs::hard_link(&treasure, &place).unwrap(),
            "symbolic link" => symlink(&treasure, &place).unwrap(),
            _ => fs::create_dir(&place).unwrap(),
        }
        chown(&state, Some(nobody().uid.as_raw()), Some(nobody().gid.as_raw())).unwrap();
        let (ended, said) = run(&state, &["--user", "nobody"]);
        assert_eq!(ended.status.code(), Some(1), "{trap}: {said}");
        assert!(said.contains(state.to_str().unwrap()), "{said}");
        for kept in [treasure, state.join("other")] {
            assert_eq!(fs::metadata(kept).unwrap().uid(), 0, "{trap}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink("/etc", &link).unwrap();
    let (ended, said) = run(&link, &["--user", "nobody"]);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert_eq!(fs::metadata("/etc").unwrap().uid(), 0);
}
