//! A data partition that is full, missing or unreadable, and a slot that there is not. What cannot be read is never
//! formatted.

use crate::{FASTER, everything_runs, log_in, own_disk, set_up, wanted};
use aerie_tests::{BOOT, Client, Machine, MachineOptions, run_tool, until, within};
use hyper::Method;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_full_data_partition_keeps_nobody_out() {
    if !wanted(FASTER) {
        return;
    }
    let mut machine = Machine::boot(MachineOptions::new(FASTER)).await;
    let owner = set_up(&mut machine).await;
    owner.site("Hilltop").await;
    // By the daemon's own user, who gets no more than the file system gives anybody.
    let fill = "setpriv --reuid=aerie --regid=aerie --clear-groups sh -c 'cat /dev/zero > /var/lib/aerie/full'";
    let told = machine.try_run(fill).await;
    assert!(told.contains("No space left"), "{told}");
    // A power cut forgets what the file system has written nowhere yet, the file among it.
    machine.run("sync").await;
    machine.cut_power().await;
    machine.power_on().await;
    let client = machine.client();
    until("the owner gets in", async || {
        let asked = client.try_get("/nms/version");
        tokio::time::timeout(Duration::from_secs(5), asked).await.ok().flatten()
    })
    .await;
    log_in(&machine).await;
    machine.run("rm /var/lib/aerie/full").await;
    machine.becomes_healthy().await;
    let sites = log_in(&machine).await.client.get("/sites").await.expect(200).json();
    assert_eq!(sites[0]["identification"]["name"], "Hilltop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_data_that_cannot_be_read_is_said_and_left_alone() {
    if !wanted(FASTER) {
        return;
    }
    // Garbage in all that a file system could be known by.
    let mut machine = Machine::start(MachineOptions::new(FASTER)).await;
    machine.cut_power().await;
    let (from, length) = partition(&FASTER.rig().expect("AERIE_RIG").join("disk.img"), 4).await;
    let on_disk = async |machine: &Machine, what: &str| {
        let mut command = Command::new("qemu-io");
        command.args(["-f", "qcow2", "-c", &format!("{what} -P 0xa5 {from} {length}")]);
        command.arg(machine.disk());
        run_tool(command).await.everything
    };
    on_disk(&machine, "write").await;
    machine.power_on().await;
    machine.shows("cannot be read").await;
    the_fault_is_said(&mut machine, "has not been formatted").await;
    machine.cut_power().await;
    let read = on_disk(&machine, "read").await;
    assert!(!read.contains("failed"), "the data partition has been written to: {read}");

    // The same machine with a slot that there is not.
    machine.options().slot = "c";
    machine.power_on().await;
    machine.shows("There is no slot 'c'").await;
    machine.resets(BOOT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_missing_data_partition_is_said() {
    if !wanted(FASTER) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let disk = own_disk(FASTER, folder.path()).await;
    let mut remove = Command::new("/usr/sbin/sgdisk");
    remove.args(["--delete=4"]).arg(&disk);
    let removed = run_tool(remove).await;
    assert_eq!(removed.code, Some(0), "{}", removed.everything);
    let options = MachineOptions { disk: Some(disk), ..MachineOptions::new(FASTER) };
    let mut machine = Machine::start(options).await;
    machine.shows("No data partition").await;
    the_fault_is_said(&mut machine, "aerie-data").await;
}

/// By the console, in the file for who comes later, and on a page; and no appliance starts that looks like a new one.
async fn the_fault_is_said(machine: &mut Machine, text: &str) {
    let plain = Client::new(machine.http());
    let page = within(BOOT, "a page in place of the appliance", async || {
        // A forwarded port takes a connection before anybody in there listens.
        let asked = plain.try_plain(Method::GET, "localhost", "/");
        tokio::time::timeout(Duration::from_secs(5), asked).await.ok().flatten()
    })
    .await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains(text), "{}", page.text());
    let said = machine.run("cat /run/aerie-data-fault").await;
    assert!(said.contains(text) && said.lines().count() == 1, "{said}");
    assert_eq!(machine.try_run("systemctl is-active aerie").await, "inactive");
    everything_runs(machine).await;
}

/// Where a partition begins on a disk, and how long it is, in bytes.
async fn partition(disk: &Path, number: usize) -> (u64, u64) {
    let mut command = Command::new("/usr/sbin/sgdisk");
    command.arg(format!("--info={number}")).arg(disk);
    let told = run_tool(command).await.output;
    let sectors = |name: &str| -> u64 {
        let line = told.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
    };
    (sectors("First sector: ") * 512, sectors("Partition size: ") * 512)
}
