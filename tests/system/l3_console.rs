//! The way back in on the appliance itself: `aerie account …`.

use aerie_tests::{Appliance, Client, PASSWORD, binary, run_tool, until};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};
use serde_json::json;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

const ANOTHER: &str = "nine otters under Lake Orta";

fn account(appliance: &Appliance, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("aerie"));
    command.arg("account").args(arguments).arg("--config").arg(appliance.config());
    command
}

/// Sets a password that comes on standard input; the status, and all that is told.
async fn reset(appliance: &Appliance, name: &str, password: &str) -> (Option<i32>, String) {
    let typed = appliance.folder().join("typed");
    std::fs::write(&typed, format!("{password}\n")).expect("a file");
    let mut command = account(appliance, &["reset-password", name]);
    command.stdin(std::fs::File::open(typed).expect("a file"));
    let ended = command.output().await.expect("its end");
    let told = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8_lossy(&told).into_owned())
}

async fn logs_in(client: &Client, password: &str) -> bool {
    let body = json!({"username": "owner", "password": password});
    client.post("/user/login", body).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_the_console_sets_a_password_while_the_daemon_runs_and_ends_every_login() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let socket = std::fs::metadata(appliance.data().join("control.sock")).expect("the socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let listed = run_tool(account(&appliance, &["list"])).await;
    assert_eq!(listed.output, "owner\towner@example.net\tsuperadmin\tenabled\tone factor\n");
    // Locked out by guessing, as far as guessing can.
    for _ in 0..11 {
        logs_in(&appliance.client(), "a wrong guess, and long").await;
    }
    let (status, told) = reset(&appliance, "owner", ANOTHER).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(!told.contains(ANOTHER));
    owner.client.get("/user").await.expect(401);
    assert!(logs_in(&appliance.client(), ANOTHER).await);
    assert!(!logs_in(&appliance.client(), PASSWORD).await);
    let made = run_tool(account(&appliance, &["reset-password", "owner", "--generate"])).await;
    let password = made.output.split_whitespace().last().expect("a password");
    assert!(logs_in(&appliance.client(), password).await, "{}", made.everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_the_console_works_on_the_store_while_no_daemon_runs() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    // What is left of the socket must not be taken for a daemon.
    appliance.kill().await;
    assert!(appliance.data().join("control.sock").exists());
    let (status, told) = reset(&appliance, "OWNER@example.net", ANOTHER).await;
    assert_eq!(status, Some(0), "{told}");
    let done = run_tool(account(&appliance, &["disable-2fa", "owner"])).await;
    assert_eq!(done.code, Some(0), "{}", done.everything);
    appliance.start_again().await;
    owner.client.get("/user").await.expect(401);
    assert!(!logs_in(&appliance.client(), PASSWORD).await);
    assert!(logs_in(&appliance.client(), ANOTHER).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_what_the_console_refuses_it_explains() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    for arguments in [&["disable-2fa", "nobody"][..], &["reset-password", "nobody", "--generate"]] {
        let told = run_tool(account(&appliance, arguments)).await;
        assert_eq!(told.code, Some(1));
        assert!(told.everything.contains("aerie account list"), "{}", told.everything);
        assert!(!told.everything.contains("owner"), "{}", told.everything);
    }
    for (password, word) in [("short", "at least 15"), ("passwordpassword", "common"), ("", "0")] {
        let (status, told) = reset(&appliance, "owner", password).await;
        assert_eq!(status, Some(1));
        assert!(told.contains(word), "{password}: {told}");
    }
    assert!(logs_in(&appliance.client(), PASSWORD).await);
    let mut nowhere = Command::new(binary("aerie"));
    nowhere.args(["account", "list", "--config", "/nowhere/aerie.toml"]);
    assert_eq!(run_tool(nowhere).await.code, Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_password_typed_at_the_console_is_not_shown() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let pty = openpty(None, None).expect("a terminal");
    let mut command = account(&appliance, &["reset-password", "owner"]);
    command.stdin(Stdio::from(pty.slave)).stdout(Stdio::piped());
    let asked = appliance.folder().join("asked");
    command.stderr(std::fs::File::create(&asked).expect("a file"));
    let child = command.spawn().expect("it starts");
    drop(command);
    let mut terminal = std::fs::File::from(pty.master);
    for prompt in ["New password: ", "Once more: "] {
        until("it asks", async || {
            std::fs::read_to_string(&asked).ok()?.contains(prompt).then_some(())
        })
        .await;
        terminal.write_all(format!("{ANOTHER}\n").as_bytes()).expect("typed");
    }
    let ended = child.wait_with_output().await.expect("its end");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    let mut shown = Vec::new();
    // Once the last of its users is gone the terminal fails, which is its end.
    drop(terminal.read_to_end(&mut shown));
    assert!(!String::from_utf8_lossy(&shown).contains("otters"), "the terminal showed it");
    assert!(logs_in(&appliance.client(), ANOTHER).await);
}

/// The same, as a shell's foreground job on a terminal: its keys send signals. What it says goes to the file.
fn from_a_shell(asked: &Command, terminal: OwnedFd, told: &Path) -> Command {
    let mut shell = Command::new("setsid");
    // Whoever runs the tests may have them ignored.
    shell.args(["--ctty", "env", "--default-signal=INT,QUIT,TSTP"]).kill_on_drop(true);
    shell.args(["sh", "-c", "trap : INT QUIT TSTP; \"$@\"; echo ended $?; read -r _", "sh"]);
    shell.arg(asked.as_std().get_program()).args(asked.as_std().get_args());
    let file = std::fs::File::create(told).expect("a file");
    shell.stdout(file.try_clone().expect("a handle")).stderr(file).stdin(terminal);
    shell
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_prompt_that_is_broken_off_leaves_a_terminal_that_shows_what_is_typed() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let (first, again) = ("New password: ", "New password: \nNew password: ");
    // ^C at either prompt, ^\, and ^Z: nobody stops whose shell does not look, so it is asked again.
    for (keys, ended) in [
        (&[(first, "half of it\x03")][..], "ended 130"),
        (&[(first, "half of it and the rest\n"), ("Once more: ", "\x03")], "ended 130"),
        (&[(first, "\x1c")], "ended 131"),
        (&[(first, "half\x1a"), (again, "\x03")], "ended 130"),
    ] {
        let pty = openpty(None, None).expect("a terminal");
        let mut terminal = std::fs::File::from(pty.master);
        let told = appliance.folder().join("told");
        let asking = account(&appliance, &["reset-password", "owner"]);
        let mut shell = from_a_shell(&asking, pty.slave, &told).spawn().expect("it starts");
        let tells = async |text: &str| {
            until(text, async || std::fs::read_to_string(&told).ok()?.contains(text).then_some(()))
                .await;
        };
        let shows = |terminal: &std::fs::File| {
            tcgetattr(terminal).expect("its settings").local_flags.contains(LocalFlags::ECHO)
        };
        for (prompt, typed) in keys {
            tells(prompt).await;
            assert!(!shows(&terminal), "it shows what is typed after {prompt:?}");
            terminal.write_all(typed.as_bytes()).expect("typed");
        }
        tells(ended).await;
        assert!(shows(&terminal), "{keys:?} left a terminal that shows nothing");
        terminal.write_all(b"\n").expect("typed");
        shell.wait().await.expect("its end");
    }
    assert!(logs_in(&appliance.client(), PASSWORD).await);
}
