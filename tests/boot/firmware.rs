//! From the power button on: UEFI firmware, GRUB and its choice of a slot, as the disk has them.

use crate::{own_disk, wanted};
use aerie_tests::{Arch, Machine, MachineOptions, run_tool};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a2_firmware_and_grub_try_a_slot_once_and_come_back() {
    if !wanted(Arch::X86) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let disk = own_disk(Arch::X86, folder.path()).await;
    want_trial(&disk, "b").await;

    let options =
        MachineOptions { firmware: true, disk: Some(disk), ..MachineOptions::new(Arch::X86) };
    let mut machine = Machine::start(options).await;
    machine.shows("aerie: starting slot b").await;
    machine.becomes_healthy().await;
    // Nobody has said that slot b is good.
    machine.monitor().execute("system_reset", json!({})).await;
    machine.shows("aerie: starting slot a").await;
    machine.becomes_healthy().await;
}

/// As an update does once it has written a slot.
async fn want_trial(disk: &Path, slot: &str) {
    let mut block = format!("# GRUB Environment Block\nslot=a\ntry={slot}\n");
    block.extend(std::iter::repeat_n('#', 1024 - block.len()));
    let draft = disk.with_extension("env");
    std::fs::write(&draft, block).expect("written");
    let mut write = Command::new("mcopy");
    write.args(["-o", "-i", &format!("{}@@1M", disk.display())]).arg(&draft);
    write.arg("::/aerie/grubenv");
    let written = run_tool(write).await;
    assert_eq!(written.code, Some(0), "{}", written.everything);
}
