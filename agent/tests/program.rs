//! `aerie-agent` as a program: arguments, exit codes, files, signals.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use aerie_protocol::{
    key::{DeviceKey, KeySecret},
    noise::StaticKey,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerie-agent"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn key(port: u16) -> String {
    let key = DeviceKey {
        host: "127.0.0.1".to_owned(),
        port,
        secret: KeySecret::generate().unwrap(),
        allow_untrusted: true,
        pin: Some(StaticKey::generate().unwrap().public()),
    };
    key.write().to_string()
}

/// A key for a port where nobody listens.
fn nobodys_key() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    key(listener.local_addr().unwrap().port())
}

/// Runs until the first failed connect is logged; then everything has started.
fn started(command: &mut Command) -> (Child, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    while !log.contains("not connected") {
        assert!(lines.read_line(&mut log).unwrap() > 0, "it ended: {log}");
    }
    // The rest is read by nobody; the pipe must stay open for the agent to log into.
    child.stderr = Some(lines.into_inner());
    (child, log)
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
}

#[test]
fn a_bad_configuration_exits_with_78_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[terminal]\nmod = \"off\"\n").unwrap();
    let good = nobodys_key();
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["--policy", policy.to_str().unwrap(), "--key", &good],
            &["policy.toml", "mod", "`mode`"],
        ),
        (&["--policy", "/does/not/exist", "--key", &good], &["/does/not/exist"]),
        (&["--key", "wss://broken"], &["device key"]),
        (&["--key-file", "/does/not/exist"], &["/does/not/exist"]),
        (&[], &["--key-file"]),
    ];
    for (arguments, words) in cases {
        let run = output(agent().args(["run", "--state"]).arg(&state).args(arguments));
        assert_eq!(run.status.code(), Some(78), "{arguments:?}: {}", stderr(&run));
        for word in words {
            assert!(stderr(&run).contains(word), "{word:?} is not in {}", stderr(&run));
        }
    }
}

#[test]
fn sigterm_ends_it_cleanly_and_no_secret_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let key = nobodys_key();
    let secret = key.split('+').nth(1).unwrap().to_owned();
    let mut command = agent();
    command.args(["run", "--key", &key, "--state"]).arg(folder.path()).env("RUST_LOG", "trace");
    let (mut child, log) = started(&mut command);
    terminate(&child);
    let ended = child.wait_with_output_of_stderr();
    assert!(ended.0.success(), "{:?}", ended.0);
    let log = log + &ended.1;
    assert!(!log.contains(&secret), "the key's secret was logged");
    let kept = fs::read_to_string(folder.path().join("device.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert!(!log.contains(record["static_key"].as_str().unwrap()), "the static key was logged");
}

trait StderrRest {
    fn wait_with_output_of_stderr(&mut self) -> (std::process::ExitStatus, String);
}

impl StderrRest for Child {
    fn wait_with_output_of_stderr(&mut self) -> (std::process::ExitStatus, String) {
        let rest = std::io::read_to_string(self.stderr.take().unwrap()).unwrap();
        (self.wait().unwrap(), rest)
    }
}

#[test]
fn the_key_comes_from_a_file_or_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, format!("  {}\n", nobodys_key())).unwrap();
    let state = folder.path().join("by-file");
    let (mut child, _) =
        started(agent().args(["run", "--key-file"]).arg(&file).arg("--state").arg(&state));
    terminate(&child);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);

    let state = folder.path().join("by-input");
    let mut command = agent();
    command.args(["adopt", "--key-file", "-", "--state"]).arg(&state);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(nobodys_key().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(said(&state).contains("127.0.0.1"));
}

/// What `status` says.
fn said(state: &Path) -> String {
    let run = output(agent().args(["status", "--state"]).arg(state));
    assert!(run.status.success(), "{}", stderr(&run));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn status_says_who_and_where_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = output(agent().args(["status", "--state"]).arg(folder.path()));
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stderr(&nothing).contains("run"), "{}", stderr(&nothing));

    let key = nobodys_key();
    assert!(
        output(agent().args(["adopt", "--key", &key, "--state"]).arg(folder.path()))
            .status
            .success()
    );
    let said = said(folder.path());
    assert!(said.contains("enrolled    no") && said.contains("127.0.0.1"), "{said}");
    assert!(!said.contains(key.split('+').nth(1).unwrap()));
}

#[test]
fn two_agents_do_not_share_a_directory_but_adopt_works_beside_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = |key: &str| {
        let mut command = agent();
        command.args(["run", "--key", key, "--state"]).arg(folder.path());
        command
    };
    let (mut first, _) = started(&mut run(&nobodys_key()));
    let second = output(&mut run(&nobodys_key()));
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another agent"), "{}", stderr(&second));
    let adopted =
        output(agent().args(["adopt", "--key", &nobodys_key(), "--state"]).arg(folder.path()));
    assert!(adopted.status.success());
    // After a kill -9 the directory is free at once, and the device is still itself.
    let before = said(folder.path());
    first.kill().unwrap();
    first.wait().unwrap();
    let (mut third, _) = started(agent().args(["run", "--state"]).arg(folder.path()));
    assert_eq!(said(folder.path()), before);
    terminate(&third);
    assert!(third.wait().unwrap().success());
}

#[test]
fn kill_minus_nine_while_writing_leaves_a_device_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let adopt = || {
        let mut command = agent();
        command.args(["adopt", "--key", &nobodys_key(), "--state"]).arg(folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(adopt().status().unwrap().success());
    let device = said(folder.path()).lines().next().unwrap().to_owned();
    for round in 0..30_u32 {
        let mut child = adopt().spawn().unwrap();
        // Any moment will do: the rounds spread over the program's short life.
        let _ = (0..round * 20_000).fold(0, |sum, step| std::hint::black_box(sum ^ step));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(said(folder.path()).starts_with(&device), "round {round}");
    }
}
