//! What handshakes and sessions cost on the processor that Aerie is meant for, measured inside an emulated one.

use crate::{FASTER, wanted};
use aerie_tests::{Machine, MachineOptions, run_tool};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// As many as a gigabyte of memory and an hour of emulation have room for.
const DEVICES: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes on a machine that does nothing else: make bench-boot"]
async fn figures_of_a_cortex_a57() {
    if !wanted(FASTER) {
        return;
    }
    let programs = std::env::var_os("AERIE_BENCH").expect("AERIE_BENCH: make bench-boot sets it");
    let folder = TempDir::new().expect("a folder");
    let disk = folder.path().join("programs.ext4");
    let mut format = Command::new("/usr/sbin/mke2fs");
    format.args(["-q", "-t", "ext4", "-d"]).arg(PathBuf::from(programs)).arg(&disk).arg("256M");
    let formatted = run_tool(format).await;
    assert_eq!(formatted.code, Some(0), "{}", formatted.everything);
    let options = MachineOptions {
        longest: Duration::from_hours(2),
        processors: 2,
        second_disk: Some(disk),
        ..MachineOptions::new(FASTER)
    };
    let mut machine = Machine::boot(options).await;
    machine.run("systemctl is-system-running --wait || true").await;
    machine.run("systemctl stop aerie aerie-vault && mount -o ro /dev/vdb /mnt").await;
    for part in ["handshakes", "devices"] {
        let bench = format!("/mnt/aerie-bench --only {part} --devices {DEVICES}");
        machine.run(&format!("({bench}; echo ended $?) > /tmp/{part} 2>&1 &")).await;
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let said = machine.run(&format!("cat /tmp/{part}")).await;
            if let Some((table, code)) = said.rsplit_once("ended ") {
                println!("{table}");
                assert_eq!(code, "0");
                break;
            }
        }
    }
}
