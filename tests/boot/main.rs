//! What only a whole machine shows: the rigs of `make rig` in QEMU, with their kernel, systemd, disk and watchdog.
//!
//! `make test-boot` makes the rigs and runs this. Without `AERIE_RIG`, the folder they are in, each test says that it was
//! not run. Machines are slow where they are emulated, so one start serves many questions.

mod cable;
mod clocks;
mod data;
mod figures;
mod firmware;
mod life;
mod power;
mod provisioning;
mod secrets;

use aerie_tests::{Arch, Machine, Owner, PASSWORD, run_tool, setup_request};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The machine for whatever is the same on both: a PC takes longer to emulate.
const FASTER: Arch = Arch::Arm;

/// Whether machines of this kind are wanted here; says so where not.
fn wanted(arch: Arch) -> bool {
    let wanted = arch.rig().is_some();
    if !wanted {
        println!("not run: `make test-boot` assembles the rigs and runs this");
    }
    wanted
}

/// The rig's disk again, for who changes it before the first start.
async fn own_disk(arch: Arch, folder: &Path) -> PathBuf {
    let disk = folder.join("disk.img");
    let rig = arch.rig().expect("AERIE_RIG").join("disk.img");
    let mut copy = Command::new("cp");
    copy.arg("--sparse=always").args([&rig, &disk]);
    assert_eq!(run_tool(copy).await.code, Some(0));
    disk
}

/// The wizard: the first account.
async fn set_up(machine: &mut Machine) -> Owner {
    let code = machine.run("cat /var/lib/aerie/setup-code").await;
    let answer = machine.client().post("/nms/setup", setup_request(&code)).await.expect(200);
    let client = machine.client().with_token(answer.header("x-auth-token").expect("a token"));
    let key = client.get("/nms/connection").await.expect(200).json();
    Owner { client, key: key.as_str().expect("a string").to_owned() }
}

/// The owner logs in again.
async fn log_in(machine: &Machine) -> Owner {
    let body = json!({"username": "owner", "password": PASSWORD});
    let answer = machine.client().post("/user/login", body).await.expect(200);
    let client = machine.client().with_token(answer.header("x-auth-token").expect("a token"));
    let key = client.get("/nms/connection").await.expect(200).json();
    Owner { client, key: key.as_str().expect("a string").to_owned() }
}

/// systemd is done with starting, nothing has failed, and nothing waits for itself.
async fn everything_runs(machine: &mut Machine) {
    let state = machine.try_run("systemctl is-system-running --wait").await;
    let failed = machine.run("systemctl list-units --failed --no-legend --plain").await;
    assert_eq!((state.as_str(), failed.as_str()), ("running", ""), "{}", machine.console());
    let cycles = machine.try_run("journalctl -b --no-pager | grep -i 'ordering cycle'").await;
    assert_eq!(cycles, "");
}

/// A property of a unit.
async fn unit(machine: &mut Machine, name: &str, property: &str) -> String {
    machine.run(&format!("systemctl show --value --property={property} {name}")).await
}

async fn vault_status(owner: &Owner) -> Value {
    owner.client.get("/vault/credentials").await.expect(200).json()
}
