//! A machine that is switched on before its cable is in.

use crate::{FASTER, everything_runs, wanted};
use aerie_tests::{Machine, MachineOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a2_without_a_cable_it_starts_and_says_where_it_is_once_there_is_one() {
    if !wanted(FASTER) {
        return;
    }
    let options = MachineOptions { unplugged: true, ..MachineOptions::new(FASTER) };
    let mut machine = Machine::start(options).await;
    machine.shows("no address yet").await;
    let uptime = machine.run("cut -d' ' -f1 /proc/uptime").await;
    println!("without a cable the appliance was up within {uptime} s of the kernel's start");
    machine.plug_in().await;
    machine.shows("https://10.0.2.15").await;
    machine.becomes_healthy().await;
    everything_runs(&mut machine).await;
}
