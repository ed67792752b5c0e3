//! Starting, stopping, and what the daemon refuses to start on.

use aerie_tests::{Appliance, ApplianceOptions, Process, binary};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

const IN_TIME: Duration = Duration::from_secs(20);

fn started(folder: &Path, config: &str, verb: &str) -> Process {
    let file = folder.join("aerie.toml");
    std::fs::write(&file, config).expect("a config file");
    let mut command = Command::new(binary("aerie"));
    command.args([verb, "--config"]).arg(&file);
    Process::start("aerie", command, &folder.join("aerie.log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_config_file_ends_with_78_and_names_file_key_and_fix() {
    for (text, named) in [
        ("data_dir = 7\n", "data_dir"),
        ("data_dirr = \"x\"\n", "data_dirr"),
        ("[https]\nlisten = [\"nowhere\"]\n", "listen"),
        ("[https]\nport = 1\n", "port"),
        ("[log]\nlevel = \"chatty\"\n", "level"),
        ("data_dir = \n", "line 1"),
    ] {
        for verb in ["serve", "check-config"] {
            let folder = TempDir::new().expect("a folder");
            let mut process = started(folder.path(), text, verb);
            let status = process.ended(IN_TIME).await;
            let printed = process.printed();
            assert_eq!(status.code(), Some(78), "{verb} {text:?}: {printed}");
            assert!(
                printed.contains("aerie.toml"),
                "{verb} {text:?} does not name the file: {printed}"
            );
            assert!(printed.contains(named), "{verb} {text:?} does not name {named}: {printed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_config_file_is_said_to_be_good() {
    let folder = TempDir::new().expect("a folder");
    let config = format!(
        "data_dir = {:?}\n[https]\nlisten = [\"127.0.0.1:0\"]\n",
        folder.path().to_string_lossy()
    );
    let status = started(folder.path(), &config, "check-config").ended(IN_TIME).await;
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_store_is_refused_and_left_alone() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let folder = appliance.into_folder().await;
    let data = folder.path().join("data");
    let store = std::fs::read_dir(&data)
        .expect("data")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "redb"))
        .expect("a .redb file");
    let mut bytes = std::fs::read(&store).expect("the store");
    for (place, byte) in bytes.iter_mut().enumerate() {
        if place % 7 == 0 {
            *byte ^= 0x5a;
        }
    }
    std::fs::write(&store, &bytes).expect("written");

    let config = std::fs::read_to_string(folder.path().join("aerie.toml")).expect("the config");
    let mut process = started(folder.path(), &config, "serve");
    let status = process.ended(IN_TIME).await;
    assert!(!status.success(), "it started on a corrupt store");
    let printed = process.printed();
    assert!(
        printed.contains("restore") || printed.contains("backup"),
        "it does not say what to do: {printed}"
    );
    assert_eq!(
        std::fs::read(&store).expect("the store"),
        bytes,
        "the corrupt store was overwritten"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_in_the_stores_place_is_not_taken_for_a_new_one() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let folder = appliance.into_folder().await;
    let data = folder.path().join("data");
    for entry in std::fs::read_dir(&data).expect("data") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "redb") {
            std::fs::write(&path, vec![0; 4096]).expect("written");
        }
    }
    let config = std::fs::read_to_string(folder.path().join("aerie.toml")).expect("the config");
    let mut process = started(folder.path(), &config, "serve");
    let status = process.ended(IN_TIME).await;
    assert!(!status.success(), "it started on zeros");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut names = Vec::new();
    for round in 0..4 {
        for number in 0..3 {
            let name = format!("Site {round}.{number}");
            owner.site(&name).await;
            names.push(name);
        }
        appliance.kill().await;
        appliance.start_again().await;
    }
    let sites = owner.client.get("/sites").await.expect(200).text();
    for name in names {
        assert!(sites.contains(&name), "{name} was acknowledged and is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_within_ten_seconds_with_live_sockets() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut live = aerie_tests::LiveSocket::open(&owner).await;
    live.next_of("hello").await;
    let status = appliance.terminate().await;
    assert!(status.success(), "it ended with {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_code_is_private() {
    use std::os::unix::fs::MetadataExt;
    let appliance = Appliance::start_with(ApplianceOptions::default()).await;
    let mode = std::fs::metadata(appliance.data().join("setup-code")).expect("a file").mode();
    assert_eq!(mode & 0o777, 0o600);
    // At least 80 bits in an alphabet of at most 64 signs.
    assert!(appliance.setup_code().chars().filter(|sign| sign.is_alphanumeric()).count() >= 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_do_not_share_one_store() {
    let appliance = Appliance::start().await;
    let config = std::fs::read_to_string(appliance.config()).expect("the config");
    let folder = TempDir::new().expect("a folder");
    let mut second = started(folder.path(), &config, "serve");
    assert!(!second.ended(IN_TIME).await.success());
    assert_eq!(appliance.client().health().await, Some(200));
}
