//! What the daemon says to systemd, and when it stops saying it. The tests play systemd's part: they listen at
//! `NOTIFY_SOCKET`, by the documented protocol.

use aerie_tests::{
    Appliance, ApplianceOptions, PATIENCE, Printed, binary, id_of, on_small_disk, run_tool, until,
};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// What the daemon is told of the watchdog: to be heard within two seconds.
const WATCHED: (&str, &str) = ("WATCHDOG_USEC", "2000000");

/// Listens as systemd does.
struct Manager {
    socket: UnixDatagram,
    folder: PathBuf,
}

impl Manager {
    fn new(folder: &Path) -> Self {
        let socket = UnixDatagram::bind(folder.join("notify")).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        Self { socket, folder: folder.to_owned() }
    }

    fn options(&self, environment: &[(&str, &str)]) -> ApplianceOptions {
        let socket = self.folder.join("notify").display().to_string();
        started_with(&self.folder, &[&[("NOTIFY_SOCKET", socket.as_str())], environment].concat())
    }

    /// The lines that have come.
    fn heard(&self) -> Vec<String> {
        let (mut lines, mut text) = (Vec::new(), [0; 4096]);
        while let Ok(length) = self.socket.recv(&mut text) {
            lines.extend(String::from_utf8_lossy(&text[..length]).lines().map(str::to_owned));
        }
        lines
    }

    async fn hears(&self, wanted: &str) -> Vec<String> {
        let mut all = Vec::new();
        until(&format!("the daemon says {wanted}"), async || {
            all.extend(self.heard());
            all.iter().any(|line| line.contains(wanted)).then_some(())
        })
        .await;
        all
    }

    /// Whether it is fed within four times of the time that it gives.
    async fn is_fed(&self) -> bool {
        self.heard();
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end {
            if self.heard().iter().any(|line| line == "WATCHDOG=1") {
                return true;
            }
            sleep(Duration::from_millis(50)).await;
        }
        false
    }
}

/// Starts the daemon with more in its environment.
fn started_with(folder: &Path, environment: &[(&str, &str)]) -> ApplianceOptions {
    let mut script = "#!/bin/sh\n".to_owned();
    for (name, value) in environment {
        writeln!(script, "export {name}='{value}'").expect("text");
    }
    writeln!(script, "exec '{}' \"$@\"", binary("aerie").display()).expect("text");
    let path = folder.join("start");
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    ApplianceOptions {
        binary: Some(path),
        bcrypt_cost: cfg!(debug_assertions).then_some(6),
        ..ApplianceOptions::default()
    }
}

async fn healthy(appliance: &Appliance, within: &str) -> Printed {
    let mut command = Command::new(binary("aerie"));
    command.args(["healthy", "--within", within, "--config"]).arg(appliance.config());
    run_tool(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_systemd_hears_when_it_is_up_that_it_lives_and_when_it_stops() {
    let folder = TempDir::new().expect("a folder");
    let manager = Manager::new(folder.path());
    let mut appliance = Appliance::start_with(manager.options(&[WATCHED])).await;
    let lines = manager.hears("READY=1").await;
    assert!(lines.iter().any(|line| line == "STATUS=Serving."), "{lines:?}");
    for _ in 0..3 {
        assert!(manager.is_fed().await);
    }
    assert!(appliance.terminate().await.success());
    let lines = manager.heard();
    assert!(lines.iter().any(|line| line == "STOPPING=1"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_task_that_hangs_starves_the_watchdog_and_is_named() {
    if !cfg!(debug_assertions) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let manager = Manager::new(folder.path());
    let hang = folder.path().join("hang");
    let path = hang.display().to_string();
    let options = manager.options(&[WATCHED, ("AERIE_HANG", &path)]);
    let appliance = Appliance::start_with(options).await;
    assert!(manager.is_fed().await);
    fs::write(&hang, "event log").expect("written");
    let lines = manager.hears("STATUS=The task \"event log\" has not answered for").await;
    // Until its deadline it is believed.
    assert!(lines.iter().any(|line| line == "WATCHDOG=1"), "{lines:?}");
    assert!(!manager.is_fed().await);
    let told = healthy(&appliance, "0").await;
    assert!(told.code == Some(1) && told.everything.contains("event log"), "{}", told.everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_loop_that_hangs_as_a_whole_starves_the_watchdog() {
    if !cfg!(debug_assertions) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let manager = Manager::new(folder.path());
    let hang = folder.path().join("hang");
    let path = hang.display().to_string();
    let options = manager.options(&[WATCHED, ("AERIE_HANG", &path)]);
    let _appliance = Appliance::start_with(options).await;
    assert!(manager.is_fed().await);
    fs::write(&hang, "*").expect("written");
    until("it hangs", async || (!hang.exists()).then_some(())).await;
    sleep(Duration::from_secs(1)).await;
    assert!(!manager.is_fed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_nobody_at_the_other_end_is_no_reason_to_end() {
    let folder = TempDir::new().expect("a folder");
    let options = started_with(folder.path(), &[("NOTIFY_SOCKET", "/nowhere/notify"), WATCHED]);
    let appliance = Appliance::start_with(options).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(appliance.client().health().await, Some(200));
}

/// As PID 1 does that has crashed: the socket is there and full.
#[tokio::test(flavor = "multi_thread")]
async fn a2_a_systemd_that_is_frozen_keeps_nobody_waiting() {
    let folder = TempDir::new().expect("a folder");
    let manager = Manager::new(folder.path());
    let mut appliance = Appliance::start_with(manager.options(&[WATCHED])).await;
    // Whoever sends now waits.
    let flood = UnixDatagram::unbound().expect("a socket");
    flood.set_nonblocking(true).expect("a socket that does not wait");
    until("nothing more goes in", async || {
        flood.send_to(b"full", folder.path().join("notify")).is_err().then_some(())
    })
    .await;
    for _ in 0..30 {
        assert_eq!(appliance.client().health().await, Some(200));
        sleep(Duration::from_millis(100)).await;
    }
    assert!(appliance.terminate().await.success());
}

/// Fills the disk up; the file that does it.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).expect("a file");
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    path
}

#[test]
fn a2_a_full_disk_ends_the_daemon_and_the_next_start_has_a_reserve_and_everything() {
    let test = "a2_watchdog::a2_a_full_disk_ends_the_daemon_and_the_next_start_has_a_reserve_and_everything";
    on_small_disk(test, 32, async |folder| {
        let manager = Manager::new(folder.path());
        let options = manager.options(&[WATCHED]);
        let mut appliance = Appliance::start_in(folder, options).await;
        let owner = appliance.set_up().await;
        let site = owner.site("Hill").await;
        assert!(manager.is_fed().await);
        let filler = fill(&appliance.data());

        // What has room in the store's file is still written. What has not ends the daemon, which says so: only a
        // file that is opened anew can be written again.
        let mut kept = vec![site];
        let refused = until("a write fails", async || {
            let body = json!({"name": format!("Mast {}", kept.len())});
            match owner.client.try_post("/sites", body).await {
                Some(answer) if answer.status < 300 => {
                    kept.push(id_of(&answer.json()));
                    None
                }
                other => Some(other),
            }
        })
        .await;
        assert!(refused.is_none_or(|answer| answer.status >= 500));
        assert!(!appliance.process().ended(PATIENCE).await.success());
        let said = appliance.process().printed();
        assert!(said.contains("the essential task \"store\" ended"), "{said}");

        // Still full: on its reserve the owner gets in, everything that was acknowledged is there, and why it is so is
        // told.
        manager.heard();
        appliance.start_again().await;
        manager.hears("READY=1").await;
        let owner = appliance.log_in().await;
        let sites = owner.client.get("/sites").await.expect(200).text();
        for site in kept {
            assert!(sites.contains(&site), "{site}: {sites}");
        }
        let logs = owner.client.get("/logs?count=50&page=1").await.expect(200).text();
        assert!(logs.contains("is full"), "{logs}");
        owner.site("made on the reserve").await;
        let reserve = appliance.data().join("reserve");
        assert!(!reserve.exists(), "it is given up");

        // With room there is one again.
        fs::remove_file(filler).expect("removed");
        appliance.kill().await;
        appliance.start_again().await;
        assert!(reserve.exists());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_healthy_asks_the_daemon_itself() {
    let mut appliance = Appliance::start().await;
    let told = healthy(&appliance, "30").await;
    assert_eq!((told.code, told.everything.as_str()), (Some(0), ""));
    appliance.kill().await;
    let told = healthy(&appliance, "1").await;
    assert_eq!(told.code, Some(1));
    assert!(told.everything.contains("no daemon listens"), "{}", told.everything);
}
