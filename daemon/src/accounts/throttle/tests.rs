//! The counts by a clock that tests move, and what is left of them after a restart.

use std::net::IpAddr;

use super::target::DAILY;
use super::*;
use crate::store::Store;

const HERE: SourceNetwork = SourceNetwork::V4([198, 51, 100]);
const DAY: Duration = Duration::from_hours(24);
const LONGEST: Duration = Duration::from_mins(15);

fn network(source: &str) -> SourceNetwork {
    SourceNetwork::from(source.parse::<IpAddr>().unwrap())
}

fn wall() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

fn throttle() -> Throttle {
    Throttle::restored(b"key", Vec::new(), wall())
}

/// As after a restart, by a wall clock that says `wall`.
async fn restarted(
    throttle: &Throttle,
    all: bool,
    written: Timestamp,
    wall: Timestamp,
) -> Throttle {
    let store = Store::memory().unwrap();
    let unwritten = throttle.unwritten(all, written);
    store.write(move |writer| unwritten.put(writer)).await.unwrap();
    let rows = store.read(|reader| reader.all(THROTTLE)).await.unwrap();
    Throttle::restored(b"key", rows, wall)
}

/// How many attempts from as many networks pass.
fn from_everywhere(throttle: &Throttle, name: &str) -> usize {
    let networks = (0..=255).map(|third| SourceNetwork::V4([10, 0, third]));
    networks.filter(|network| throttle.attempt(name, *network, false).is_ok()).count()
}

#[tokio::test(start_paused = true)]
async fn l3_ten_guesses_are_free_and_then_the_wait_doubles() {
    let throttle = throttle();
    for _ in 0..10 {
        throttle.attempt("olga", HERE, false).unwrap();
    }
    for wait in [1, 2, 4, 8] {
        let refused = throttle.attempt("olga", HERE, false).err().unwrap();
        assert_eq!(refused.retry_after, Duration::from_secs(wait));
        tokio::time::advance(refused.retry_after).await;
        throttle.attempt("olga", HERE, false).unwrap();
    }
    tokio::time::advance(DAY).await;
    for _ in 0..10 {
        throttle.attempt("olga", HERE, false).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn l3_the_wait_has_an_end() {
    let throttle = throttle();
    for _ in 0..100 {
        if let Err(refused) = throttle.attempt("olga", HERE, true) {
            assert!(refused.retry_after <= LONGEST);
            tokio::time::advance(refused.retry_after).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l3_two_hundred_at_once_count_as_two_hundred() {
    let throttle = throttle();
    let passed = (0..200).filter(|_| throttle.attempt("olga", HERE, false).is_ok()).count();
    assert_eq!(passed, 10);
}

#[tokio::test(start_paused = true)]
async fn l3_one_password_tried_on_many_names_is_held_back_and_told_once() {
    let throttle = throttle();
    let attempts = (0..200).filter_map(|number| {
        let attempt = throttle.attempt(&format!("name {number}"), HERE, false).ok()?;
        Some(attempt.fills_network())
    });
    let attempts: Vec<bool> = attempts.collect();
    assert_eq!(attempts.len(), 50);
    assert_eq!(attempts.iter().filter(|fills| **fills).count(), 1);
    throttle.attempt("olga", network("203.0.113.5"), false).unwrap();
    throttle.attempt("olga", HERE, true).unwrap();
}

#[tokio::test(start_paused = true)]
async fn l3_a_day_has_its_number_wherever_the_guesses_come_from() {
    let throttle = throttle();
    let daily = usize::try_from(DAILY).unwrap();
    assert_eq!(from_everywhere(&throttle, "olga"), daily);
    for _ in 0..24 {
        tokio::time::advance(Duration::from_hours(1) - Duration::from_secs(1)).await;
        assert!(throttle.attempt("olga", HERE, false).is_err());
    }
    let refused = throttle.attempt("olga", HERE, false).err().unwrap();
    tokio::time::advance(refused.retry_after).await;
    assert_eq!(from_everywhere(&throttle, "olga"), daily);
}

#[tokio::test(start_paused = true)]
async fn l3_no_day_has_more_than_its_number_however_they_are_spread() {
    let throttle = throttle();
    let (mut passed, mut third) = (Vec::new(), 0_u8);
    for _ in 0..(24 * 4 * 5) {
        third = third.wrapping_add(1);
        for _ in 0..3 {
            if throttle.attempt("olga", SourceNetwork::V4([10, 0, third]), false).is_ok() {
                passed.push(Instant::now());
            }
        }
        tokio::time::advance(Duration::from_mins(15)).await;
    }
    let daily = usize::try_from(DAILY).unwrap();
    assert!(passed.len() >= 4 * daily, "{}", passed.len());
    let too_close = passed.windows(daily + 1).any(|some| some[daily] - some[0] < DAY);
    assert!(!too_close, "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn l3_many_machines_on_one_name_do_not_lock_its_owner_out_at_home() {
    let throttle = throttle();
    from_everywhere(&throttle, "olga");
    assert!(throttle.attempt("olga", HERE, false).is_err());
    throttle.attempt("olga", HERE, true).unwrap();
}

#[tokio::test(start_paused = true)]
async fn l3_a_stranger_does_not_lock_out_the_owner_elsewhere() {
    let throttle = throttle();
    while throttle.attempt("olga", HERE, false).is_ok() {}
    assert!(throttle.attempt("olga", network("198.51.100.200"), false).is_err());
    throttle.attempt("olga", network("203.0.113.5"), false).unwrap();
}

#[tokio::test(start_paused = true)]
async fn l3_right_passwords_and_unchecked_ones_do_not_count() {
    let throttle = throttle();
    for _ in 0..300 {
        throttle.attempt("olga", HERE, false).unwrap().right();
        throttle.attempt("olga", HERE, false).unwrap().unchecked();
    }
}

#[tokio::test(start_paused = true)]
async fn l3_a_pardon_forgets_the_name_and_no_other() {
    let throttle = throttle();
    for name in ["olga", "oleg"] {
        from_everywhere(&throttle, name);
    }
    throttle.pardon("olga");
    throttle.attempt("olga", HERE, false).unwrap();
    assert!(throttle.attempt("oleg", HERE, false).is_err());
}

#[tokio::test(start_paused = true)]
async fn l3_waits_outlast_a_restart_and_go_on_by_the_wall_clock() {
    let throttle = throttle();
    for _ in 0..10 {
        throttle.attempt("olga", HERE, true).unwrap();
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    throttle.attempt("olga", HERE, true).unwrap();
    let again = restarted(&throttle, false, wall(), wall()).await;
    let refused = again.attempt("olga", HERE, true).err().unwrap();
    assert_eq!(refused.retry_after, Duration::from_secs(2));
    let later = wall() + Duration::from_secs(2);
    let again = restarted(&throttle, false, wall(), later).await;
    again.attempt("olga", HERE, true).unwrap();
    let refused = again.attempt("olga", HERE, true).err().unwrap();
    assert_eq!(refused.retry_after, Duration::from_secs(4), "the wait did not start anew");
}

#[tokio::test(start_paused = true)]
async fn l3_a_day_outlasts_a_restart() {
    let throttle = throttle();
    from_everywhere(&throttle, "olga");
    let half_a_day = wall() + DAY / 2;
    let again = restarted(&throttle, false, wall(), half_a_day).await;
    assert_eq!(from_everywhere(&again, "olga"), 0);
    tokio::time::advance(DAY / 2 + Duration::from_hours(1)).await;
    assert!(from_everywhere(&again, "olga") > 0);
}

#[tokio::test(start_paused = true)]
async fn l3_a_clock_that_jumps_costs_no_more_than_the_longest_wait() {
    let throttle = throttle();
    while throttle.attempt("olga", HERE, true).is_ok() {}
    from_everywhere(&throttle, "oleg");
    let year_before = wall() - Duration::from_hours(24 * 365);
    let again = restarted(&throttle, true, wall(), year_before).await;
    let refused = again.attempt("olga", HERE, true).err().unwrap();
    assert!(refused.retry_after <= LONGEST, "{refused:?}");
    let refused = again.attempt("oleg", HERE, false).err().unwrap();
    assert!(refused.retry_after <= DAY + Duration::from_hours(1), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn l3_small_counts_are_written_at_the_end_alone() {
    let throttle = throttle();
    throttle.attempt("olga", HERE, false).unwrap();
    assert!(throttle.unwritten(false, wall()).is_empty());
    let all = throttle.unwritten(true, wall());
    assert_eq!(all.rows.len(), 3);
    throttle.written(&all);
    assert!(throttle.unwritten(true, wall()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn l3_a_count_that_is_gone_leaves_the_store_too() {
    let store = Store::memory().unwrap();
    let throttle = throttle();
    let keep = async |all: bool| {
        let unwritten = std::sync::Arc::new(throttle.unwritten(all, wall()));
        let put = std::sync::Arc::clone(&unwritten);
        store.write(move |writer| put.put(writer)).await.unwrap();
        throttle.written(&unwritten);
        let rows = store.read(|reader| reader.all(THROTTLE)).await.unwrap();
        rows.into_iter().map(|(row, record)| (row, record.wrong)).collect::<Vec<_>>()
    };
    throttle.attempt("olga", HERE, true).unwrap();
    assert_eq!(keep(true).await.len(), 1);
    throttle.attempt("olga", HERE, true).unwrap().right();
    assert!(keep(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn l3_what_was_typed_as_a_name_is_not_written() {
    let throttle = throttle();
    throttle.attempt("a password in the wrong field", HERE, false).unwrap();
    for (target, _) in throttle.unwritten(true, wall()).rows {
        assert!(!target.row().contains("password"), "{}", target.row());
    }
}

#[tokio::test(start_paused = true)]
async fn l3_a_flood_of_names_uses_bounded_memory_and_does_not_wash_a_siege_away() {
    let throttle = throttle();
    from_everywhere(&throttle, "olga");
    for number in 0..15_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        throttle.attempt(&format!("{number}"), SourceNetwork::V4([a, b, c]), true).unwrap();
        if number % 100 == 0 {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
    assert!(throttle.lock().counts.len() <= COUNTS + 1);
    assert!(throttle.attempt("olga", HERE, false).is_err());
}
