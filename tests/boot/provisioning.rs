//! What integrators put on a stick or into the image: a provisioning file, on the media themselves.

use crate::{FASTER, everything_runs, own_disk, wanted};
use aerie_tests::{Machine, MachineOptions, PASSWORD, binary, run_tool};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The file's name.
const FILE: &str = "aerie-provisioning.toml";
/// Where the first partition of a disk begins.
const FIRST: &str = "@@1M";

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_stick_sets_a_machine_up_once_and_is_wiped() {
    if !wanted(FASTER) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let stick = stick(folder.path()).await;
    let hash = hash_of_password().await;
    let file = format!(
        "host_name = \"tower.example.net\"\n[account]\nusername = \"owner\"\npassword_hash = \"{hash}\"\n\
         [ports]\ninform = 8444\n"
    );
    lay(&stick, &file).await;
    let options = MachineOptions { stick: Some(stick.clone()), ..MachineOptions::new(FASTER) };
    let mut machine = Machine::boot(options).await;
    machine.shows("It is set up").await;
    assert_eq!(name(&mut machine).await, "tower.example.net");
    everything_runs(&mut machine).await;
    logs_in(&machine).await;
    machine.cut_power().await;
    let left = std::fs::read(&stick).expect("the stick");
    assert!(!holds(&left, &hash) && !holds(&left, "tower.example.net"), "it was not wiped");
    assert!(!is_there(&stick).await);

    // Another one for a machine that has an owner by now.
    lay(&stick, &file.replace("owner", "intruder").replace("tower", "other")).await;
    machine.power_on().await;
    machine.becomes_healthy().await;
    assert_eq!(name(&mut machine).await, "tower.example.net");
    logs_in(&machine).await;
    everything_runs(&mut machine).await;
    machine.cut_power().await;
    assert!(is_there(&stick).await, "it is its owner's to take away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_faults_of_a_file_on_the_boot_partition_are_said_and_nothing_of_it_is_done() {
    if !wanted(FASTER) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let disk = own_disk(FASTER, folder.path()).await;
    lay(&disk, "host_name = \"tower.example.net\"\n[ports]\nhttps = 99999\nwifi = 1\n").await;
    let options = MachineOptions { disk: Some(disk), ..MachineOptions::new(FASTER) };
    let mut machine = Machine::boot(options).await;
    machine.shows("the provisioning file has faults").await;
    let wizard = machine.client().get("/nms/setup").await.expect(200).json();
    let faults = wizard["provisioningFaults"].as_array().expect("a list").clone();
    let says =
        |word: &str| faults.iter().any(|fault| fault.as_str().is_some_and(|f| f.contains(word)));
    assert!(says("3") && says("https") && says("wifi"), "{wizard}");
    assert_ne!(name(&mut machine).await, "tower.example.net");
    let waits = machine.run("test -s /var/lib/aerie/setup-code && echo waits").await;
    assert_eq!(waits, "waits", "the wizard works as if there were no file");
    everything_runs(&mut machine).await;
}

/// A stick as it is bought: one partition, FAT.
async fn stick(folder: &Path) -> PathBuf {
    let stick = folder.join("stick.img");
    std::fs::File::create(&stick).and_then(|file| file.set_len(64 << 20)).expect("a file");
    let mut divide = Command::new("/usr/sbin/sgdisk");
    divide.args(["--new=1:1M:0", "--typecode=1:0700"]).arg(&stick);
    let mut format = Command::new("/usr/sbin/mkfs.vfat");
    // In KiB, as long as the partition.
    format.args(["-n", "AERIE", "--offset", "2048"]).arg(&stick).arg("64000");
    for command in [divide, format] {
        let done = run_tool(command).await;
        assert_eq!(done.code, Some(0), "{}", done.everything);
    }
    stick
}

/// By the program that integrators use.
async fn hash_of_password() -> String {
    let mut command = Command::new(binary("aerie"));
    command.arg("hash-password").arg("--config").arg("/dev/null");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut hashing = command.spawn().expect("aerie");
    let mut input = hashing.stdin.take().expect("piped");
    input.write_all(format!("{PASSWORD}\n").as_bytes()).await.expect("written");
    drop(input);
    let done = hashing.wait_with_output().await.expect("ended");
    let hash = String::from_utf8(done.stdout).expect("text").trim().to_owned();
    assert!(hash.starts_with("$2"), "{hash}");
    hash
}

async fn lay(medium: &Path, text: &str) {
    let draft = medium.with_extension("toml");
    std::fs::write(&draft, text).expect("written");
    let mut copy = Command::new("mcopy");
    copy.args(["-o", "-i", &format!("{}{FIRST}", medium.display())]).arg(&draft);
    copy.arg(format!("::/{FILE}"));
    let done = run_tool(copy).await;
    assert_eq!(done.code, Some(0), "{}", done.everything);
}

async fn is_there(medium: &Path) -> bool {
    let mut list = Command::new("mdir");
    list.args(["-b", "-i", &format!("{}{FIRST}", medium.display()), "::/"]);
    let done = run_tool(list).await;
    assert_eq!(done.code, Some(0), "{}", done.everything);
    done.output.contains("aerie-provisioning")
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What the kernel calls the machine.
async fn name(machine: &mut Machine) -> String {
    machine.run("cat /proc/sys/kernel/hostname").await
}

async fn logs_in(machine: &Machine) {
    let body = json!({"username": "owner", "password": PASSWORD});
    let answer = machine.client().post("/user/login", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
