//! The power goes while the appliance writes.

use crate::{FASTER, everything_runs, log_in, set_up, wanted};
use aerie_tests::{Client, Machine, MachineOptions, until};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// What has been acknowledged when the power goes.
const WRITES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_power_cut_in_the_midst_of_writing_loses_nothing_acknowledged() {
    if !wanted(FASTER) {
        return;
    }
    let mut machine = Machine::boot(MachineOptions::new(FASTER)).await;
    set_up(&mut machine).await;
    let mut promised = BTreeSet::new();
    for round in 0..2 {
        let owner = log_in(&machine).await;
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let mut writers = JoinSet::new();
        for writer in 0..4 {
            let name = format!("{round}-{writer}");
            writers.spawn(write_sites(owner.client.clone(), name, Arc::clone(&acknowledged)));
        }
        until("enough is written", async || {
            (acknowledged.lock().expect("a lock").len() >= WRITES).then_some(())
        })
        .await;
        machine.cut_power().await;
        while writers.join_next().await.is_some() {}
        promised.extend(acknowledged.lock().expect("a lock").drain(..));

        machine.power_on().await;
        machine.becomes_healthy().await;
        everything_runs(&mut machine).await;
        let kept = log_in(&machine).await.client.get("/sites").await.expect(200).json();
        let kept: BTreeSet<String> = kept
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|site| site["identification"]["name"].as_str().map(str::to_owned))
            .collect();
        let lost: Vec<&String> = promised.difference(&kept).collect();
        assert!(lost.is_empty(), "of {} acknowledged, lost: {lost:?}", promised.len());
    }
    println!("two power cuts: {} acknowledged, none lost", promised.len());
}

/// Makes one site after the other, until nobody answers.
async fn write_sites(client: Client, name: String, acknowledged: Arc<Mutex<Vec<String>>>) {
    for number in 0.. {
        let name = format!("{name}-{number}");
        let answer = client.try_post("/sites", json!({"name": name}));
        let answer = tokio::time::timeout(std::time::Duration::from_secs(20), answer).await;
        match answer.ok().flatten() {
            Some(answer) if matches!(answer.status, 200 | 201) => {
                acknowledged.lock().expect("a lock").push(name);
            }
            Some(answer) => panic!("{}: {}", answer.status, answer.text()),
            None => return,
        }
    }
}
