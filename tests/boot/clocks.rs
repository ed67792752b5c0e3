//! A machine without a battery for its clock.

use crate::{FASTER, everything_runs, set_up, wanted};
use aerie_tests::{Machine, MachineOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_clock_that_starts_in_1970_keeps_nobody_out() {
    if !wanted(FASTER) {
        return;
    }
    let clock = Some("1970-01-01T00:00:00");
    let mut machine = Machine::boot(MachineOptions { clock, ..MachineOptions::new(FASTER) }).await;
    everything_runs(&mut machine).await;
    println!("started in 1970, the machine says {}", machine.run("date -u").await);
    set_up(&mut machine).await;
    // A second time: what was written then must not look as if it came from the future.
    machine.cut_power().await;
    machine.power_on().await;
    machine.becomes_healthy().await;
    everything_runs(&mut machine).await;
}
