//! From starting the process to its first answer.

use aerie_tests::Appliance;
use std::time::Duration;

const ROUNDS: usize = 5;

/// The median of some restarts. The last one goes on running.
pub(crate) async fn first_answer(appliance: &mut Appliance) -> Duration {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        appliance.terminate().await;
        took.push(appliance.start_again_timed().await);
    }
    took.sort();
    took[ROUNDS / 2]
}
