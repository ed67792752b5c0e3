//! Row V1: the vault's process, asked over its socket as the daemon asks it.

use aerie::vault::protocol::{Alphabet, Form, Key, Plain, Refusal, Unsealing};
use aerie::vault::{SecretText, Vault, VaultError};
use aerie_tests::{
    Appliance, Process, VaultUnit, answers, binary, children_of, until, vault_child, vault_config,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

const FORM: Form = Form { length: 20, alphabet: Alphabet::Readable };

fn plain(number: u128, secret: &str) -> Plain {
    let secret = SecretText::new(secret.to_owned());
    Plain { credential: Uuid::from_u128(number), version: 1, secret }
}

fn refusal<T>(answer: Result<T, VaultError>) -> Refusal {
    match answer {
        Err(VaultError::Refused(refusal)) => refusal,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

/// What every vault does, wherever its process runs.
async fn works(vault: &Vault) -> Key {
    assert!(!vault.status().await.expect("a status").made);
    let key = vault.create("Hilltop".to_owned()).await.expect("made");
    let watch = vault.watch();
    assert!(watch.borrow().as_ref().is_some_and(|status| status.made && !status.sealed));
    let sealed = vault.store(vec![plain(1, "one"), plain(2, "two")]).await.expect("sealed");
    vault.seal_now().await.expect("closed");
    assert!(watch.borrow().as_ref().is_some_and(|status| status.sealed));
    let look = |place: usize| vault.open(None, "a look".to_owned(), sealed[place].clone());
    assert_eq!(refusal(look(0).await), Refusal::Sealed);
    let more = vault.store(vec![plain(3, "three")]).await.expect("sealed while closed");
    let unsealed = vault.unseal(Key::Words(key.words.clone())).await.expect("open");
    assert_eq!(unsealed, Unsealing::Open);
    assert_eq!(look(1).await.expect("opened").expose(), "two");
    let three = vault.open(None, "a look".to_owned(), more[0].clone()).await;
    assert_eq!(three.expect("opened").expose(), "three");
    let (job, credential) = (Uuid::from_u128(9), Uuid::from_u128(1));
    vault.grant(None, "owner".to_owned(), job, vec![credential], 2).await.expect("granted");
    let made = vault.make(job, vec![(credential, 2)], FORM).await.expect("made");
    let opened = vault.open_for_job(job, vec![made[0].sealed.clone()]).await.expect("opened");
    assert_eq!(opened[0].expose(), made[0].secret.expose());
    assert_eq!(refusal(vault.make(job, vec![(credential, 3)], FORM).await), Refusal::NoGrant);
    Key::Words(key.words)
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_a_child_works_and_its_end_seals() {
    let folder = TempDir::new().expect("a folder");
    let directory = folder.path().join("vault");
    let (supervisor, vault) = vault_child(&directory).await;
    let key = works(&vault).await;
    assert!(!vault.status().await.expect("a status").own_unit);
    assert!(supervisor.shutdown(Duration::from_secs(10)).await);
    let (_supervisor, vault) = vault_child(&directory).await;
    assert!(vault.status().await.expect("a status").sealed);
    assert_eq!(vault.unseal(key).await.expect("open"), Unsealing::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_a_unit_stays_open_while_the_daemon_restarts_and_is_sealed_by_its_own_end() {
    let mut unit = VaultUnit::start().await;
    let key = works(unit.vault()).await;
    unit.reconnect().await;
    let status = answers(unit.vault()).await;
    assert!(!status.sealed && status.own_unit);
    unit.kill_and_start_again().await;
    assert!(answers(unit.vault()).await.sealed);
    unit.vault().unseal(key).await.expect("open");
}

/// Whoever may not lock memory gets no unit.
#[tokio::test(flavor = "multi_thread")]
async fn v1_a_unit_that_could_be_swapped_out_does_not_start() {
    let folder = TempDir::new().expect("a folder");
    let config = vault_config(folder.path());
    let mut command = tokio::process::Command::new("prlimit");
    command.arg("--memlock=65536:65536");
    if geteuid().is_root() {
        // Root without the privilege to go beyond.
        command.args(["setpriv", "--bounding-set=-ipc_lock"]);
    }
    command.arg(binary("aerie")).args(["vault", "--config"]).arg(config);
    let mut process = Process::start("aerie vault", command, &folder.path().join("log"));
    assert_eq!(process.ended(Duration::from_secs(30)).await.code(), Some(1));
    assert!(process.printed().contains("LimitMEMLOCK=infinity"), "{}", process.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_two_processes_do_not_share_one_directory() {
    let unit = VaultUnit::start().await;
    let mut command = tokio::process::Command::new(binary("aerie"));
    command.args(["vault", "--config"]).arg(unit.folder().join("vault.toml"));
    if !geteuid().is_root() {
        command.arg("--swap");
    }
    let mut second = Process::start("aerie vault", command, &unit.folder().join("second.log"));
    assert_eq!(second.ended(Duration::from_secs(30)).await.code(), Some(1));
    assert!(second.printed().contains("another vault process"), "{}", second.printed());
    unit.vault().status().await.expect("the first still answers");
}

/// Nobody reads the process' memory: neither who has the same user, nor a core dump.
#[tokio::test(flavor = "multi_thread")]
async fn v1_nobody_looks_into_the_process() {
    const NOBODY: u32 = 65_534;
    let folder = TempDir::new().expect("a folder");
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let mut command = std::process::Command::new(binary("aerie"));
    command.args(["vault", "--child"]).arg(folder.path().join("vault"));
    command.stdin(OwnedFd::from(theirs));
    let root = geteuid().is_root();
    if root {
        use std::os::unix::process::CommandExt;
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("given away");
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn().expect("it starts");
    let limits = format!("/proc/{}/limits", child.id());
    until("it has closed itself off", async || {
        let limits = std::fs::read_to_string(&limits).ok()?;
        let core = limits.lines().find(|line| line.starts_with("Max core file size"))?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let closed = core.split_whitespace().filter(|word| *word == "0").count() == 2;
        (closed && status.contains("NoNewPrivs:\t1")).then_some(())
    })
    .await;
    // What the same user asks. A program of theirs that has not closed itself off shows it.
    let look = |id: u32| {
        let maps = format!("/proc/{id}/maps");
        let mut command = std::process::Command::new(if root { "setpriv" } else { "cat" });
        if root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"]);
        }
        command.arg(maps).output().expect("it runs").status.success()
    };
    let mut open = std::process::Command::new(if root { "setpriv" } else { "cat" });
    if root {
        open.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"]);
    }
    let mut open = open.stdin(std::process::Stdio::piped()).spawn().expect("it starts");
    until("an ordinary program is seen", async || look(open.id()).then_some(())).await;
    assert!(!look(child.id()), "the vault's memory is shown");
    open.kill().and_then(|()| open.wait()).expect("ended");
    drop(ours);
    assert!(child.wait().expect("it ends").success(), "the end of the socket is its end");
}

/// The vault's process of a daemon.
async fn child_of(daemon: u32) -> u32 {
    until("the daemon has its child", async || children_of(daemon).first().copied()).await
}

async fn gone(id: u32) {
    until("the child has ended", async || {
        (!Path::new(&format!("/proc/{id}")).exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_the_daemons_child_has_nothing_of_the_daemon_and_ends_with_it() {
    let mut appliance = Appliance::start().await;
    let child = child_of(appliance.process().id()).await;
    let environment = std::fs::read(format!("/proc/{child}/environ"));
    if geteuid().is_root() {
        let environment = String::from_utf8(environment.expect("root reads it")).expect("text");
        assert_eq!(environment, "MALLOC_ARENA_MAX=1\0");
        let listeners = ["tcp", "tcp6"].map(|table| {
            std::fs::read_to_string(format!("/proc/{child}/net/{table}")).expect("a table")
        });
        for entry in std::fs::read_dir(format!("/proc/{child}/fd")).expect("its files") {
            let Ok(file) = std::fs::read_link(entry.expect("an entry").path()) else { continue };
            let file = file.display().to_string();
            assert!(!file.contains("store.redb"), "{file}");
            if let Some(inode) = file.strip_prefix("socket:[").and_then(|f| f.strip_suffix(']')) {
                let is_tcp = |table: &String| table.split_whitespace().any(|word| word == inode);
                assert!(!listeners.iter().any(is_tcp), "it has the network's socket {file}");
            }
        }
    } else {
        assert!(environment.is_err(), "only root looks into it");
    }
    // Who stops all of the daemon's processes does not end the vault before the daemon.
    let id = Pid::from_raw(i32::try_from(child).expect("an id"));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(id, signal).expect("it takes signals");
    }
    appliance.set_up().await;
    assert_eq!(child_of(appliance.process().id()).await, child, "it still runs");
    // One that is lost is started anew.
    kill(id, Signal::SIGKILL).expect("killed");
    let daemon = appliance.process().id();
    let second = until("a new child", async || {
        children_of(daemon).into_iter().find(|other| *other != child)
    })
    .await;
    appliance.kill().await;
    gone(second).await;
    appliance.start_again().await;
    let third = child_of(appliance.process().id()).await;
    assert!(appliance.terminate().await.success());
    gone(third).await;
}

/// What is asked of a process that is killed before it answers was done or was not.
#[tokio::test(flavor = "multi_thread")]
async fn v1_a_kill_in_the_middle_of_anything_leaves_a_whole_vault() {
    let mut unit = VaultUnit::start().await;
    let key = loop {
        let vault = unit.vault().clone();
        let mut asked = JoinSet::new();
        asked.spawn(async move { vault.create("Hilltop".to_owned()).await });
        unit.process().kill().await;
        let lost = asked.join_next().await.expect("asked").expect("no panic").is_err();
        unit.start_again().await;
        assert!(lost || unit.vault().status().await.expect("a status").made);
        // Nothing was sealed with it, so it is made anew.
        if let Ok(key) = unit.vault().create("Hilltop".to_owned()).await {
            break key;
        }
    };
    let words = || Key::Words(key.words.clone());
    let sealed = unit.vault().store(vec![plain(1, "one")]).await.expect("sealed");
    for round in 0..4_u128 {
        let (vault, key) = (unit.vault().clone(), words());
        let job = Uuid::from_u128(round);
        let mut asked = JoinSet::new();
        asked.spawn(async move {
            let granted = vault.grant(None, "owner".to_owned(), job, vec![job], 1);
            drop(tokio::join!(vault.unseal(key), granted));
        });
        unit.process().kill().await;
        asked.join_next().await.expect("asked").expect("no panic");
        unit.start_again().await;
        assert!(unit.vault().status().await.expect("a status").sealed);
        assert_eq!(unit.vault().unseal(words()).await.expect("open"), Unsealing::Open);
        let one = unit.vault().open(None, "a look".to_owned(), sealed[0].clone()).await;
        assert_eq!(one.expect("opened").expose(), "one");
    }
    let log = unit.vault().log(0).await.expect("the log");
    let numbers: Vec<u64> = log.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (0..log.len() as u64).collect::<Vec<_>>());
}

/// How many figures there are is for the benchmarks; here: a batch and a slow key do not hold up.
#[tokio::test(flavor = "multi_thread")]
async fn v1_ten_thousand_are_sealed_while_the_vault_is_sealed() {
    let unit = VaultUnit::start().await;
    unit.vault().create("Hilltop".to_owned()).await.expect("made");
    unit.vault().seal_now().await.expect("closed");
    let secrets: Vec<Plain> = (0..10_000).map(|number| plain(number, "a secret")).collect();
    let sealed = unit.vault().store(secrets).await.expect("sealed");
    for (number, sealed) in (0..10_000).zip(&sealed) {
        assert_eq!((sealed.credential, sealed.version), (Uuid::from_u128(number), 1));
    }
    assert_eq!(sealed.len(), 10_000);
}
