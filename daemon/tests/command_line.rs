//! What the program says and returns before it serves.

use std::path::Path;
use std::process::{Command, Output};

fn aerie(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aerie")).args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn written(folder: &Path, text: &str) -> String {
    let path = folder.join("aerie.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn it_tells_its_version() {
    let output = aerie(&["--version"]);
    assert!(output.status.success());
    let version = format!("aerie {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), version);
}

#[test]
fn the_boot_file_is_checked_in_either_place() {
    let folder = tempfile::tempdir().unwrap();
    let good = written(folder.path(), "[https]\nlisten = [\"127.0.0.1:0\"]\n");
    for arguments in [&["check-config", &good][..], &["check-config", "--config", &good]] {
        let output = aerie(arguments);
        assert!(output.status.success(), "{}", told(&output));
    }
    let bad = written(folder.path(), "[https]\nlisten = 443\n");
    for arguments in [&["check-config", &bad][..], &["check-config", "--config", &bad]] {
        let output = aerie(arguments);
        assert_eq!(output.status.code(), Some(78));
        let told = told(&output);
        assert!(told.contains(&bad) && told.contains("line 2"), "{told}");
        assert!(told.contains("Write it like this: listen = ["), "{told}");
    }
}

#[test]
fn l6_a_cost_of_hashing_that_is_too_low_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cheap = written(folder.path(), "[accounts]\nbcrypt_cost = 3\n");
    for verb in ["serve", "check-config"] {
        let output = aerie(&[verb, "--config", &cheap]);
        assert_eq!(output.status.code(), Some(78));
        assert!(told(&output).contains("bcrypt_cost must be 12 to 16"), "{}", told(&output));
    }
}

#[test]
fn a_boot_file_that_is_not_there_is_named() {
    for verb in ["serve", "check-config"] {
        let output = aerie(&[verb, "--config", "/nowhere/aerie.toml"]);
        assert_eq!(output.status.code(), Some(78));
        assert!(told(&output).contains("/nowhere/aerie.toml"));
    }
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = format!("data_dir = {:?}\n", file.join("data").to_str().unwrap());
    let output = aerie(&["serve", "--config", &written(folder.path(), &config)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("file/data"), "{}", told(&output));
    assert!(told(&output).contains("data_dir"), "{}", told(&output));
}

#[test]
fn a_lost_machine_key_is_told_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let store = aerie::store::Store::open(&data.join("store.redb")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let secret = aerie::store::tables::SealedBytes(b"sealed".to_vec());
        let write = store
            .write(move |writer| writer.put(aerie::store::tables::SECRETS, "device-key", &secret));
        write.await.unwrap();
        let file = store.file();
        drop(store);
        file.closed().await;
    });
    let config = format!(
        "data_dir = {:?}\n[http]\nlisten = []\n[https]\nlisten = [\"127.0.0.1:0\"]\n",
        data.to_str().unwrap()
    );
    let output = Command::new(env!("CARGO_BIN_EXE_aerie"))
        .args(["serve", "--config", &written(folder.path(), &config)])
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("machine-key"), "{}", told(&output));
    assert!(!data.join("machine-key").exists());
}
