//! Guessing passwords, from one network and from many, and what it does to the owner.

use aerie_tests::{Answer, Appliance, Client, PASSWORD, until};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Guesses a day on one name from networks that its account does not know.
const DAILY: usize = 50;

/// A client in the `number`th of many networks, none of which is the owner's.
fn stranger(appliance: &Appliance, number: usize) -> Client {
    let byte = |number: usize| u8::try_from(number % 250).expect("a byte");
    let source = Ipv4Addr::new(127, 10 + byte(number / 250), byte(number), 1);
    appliance.client().coming_from(source.into())
}

async fn guess(client: &Client, name: &str) -> Answer {
    client
        .post("/user/login", json!({"username": name, "password": "a wrong guess, and long"}))
        .await
}

async fn right(client: &Client) -> Answer {
    client.post("/user/login", json!({"username": "owner", "password": PASSWORD})).await
}

/// Waits until the owner can see so many refusals: then their counts are on the disk.
async fn refusals(owner: &Client, number: usize) {
    until("the refusals are written", async || {
        let page = owner.get("/nms/audit?what=password-refused&count=1").await.expect(200).json();
        (page["pagination"]["total"].as_u64()? >= u64::try_from(number).ok()?).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_two_hundred_guesses_in_parallel_count_as_two_hundred() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let mut guesses = JoinSet::new();
    for _ in 0..200 {
        let client = appliance.client();
        guesses.spawn(async move { guess(&client, "owner").await });
    }
    let answers = guesses.join_all().await;
    let wrong = answers.iter().filter(|answer| answer.status == 401).count();
    // The tenth costs a wait of a second and each one after it twice that: half a minute for five.
    assert!((10..15).contains(&wrong), "{wrong} were looked at");
    for answer in answers.iter().filter(|answer| answer.status != 401) {
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_known_and_unknown_names_get_the_same_answers_in_the_same_time() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    // An account answers to its name and to its address; so do the two that are nobody's.
    let known = ["owner", "owner@example.net"];
    let unknown = ["nobody", "nobody@example.net"];
    let (mut of_known, mut of_unknown) = (Guesses::default(), Guesses::default());
    for number in 0..200 {
        let (one, other) = (stranger(&appliance, number), stranger(&appliance, 1_000 + number));
        let (known, unknown) = (known[number % 2], unknown[number % 2]);
        // Who comes second finds the caches warm, so they take turns.
        if number / 2 % 2 == 0 {
            of_known.add(&one, known).await;
            of_unknown.add(&other, unknown).await;
        } else {
            of_unknown.add(&other, unknown).await;
            of_known.add(&one, known).await;
        }
    }
    assert_eq!(of_known.told, of_unknown.told);
    let looked_at = of_known.told.iter().filter(|(status, _)| *status == 401).count();
    assert_eq!(looked_at, known.len() * DAILY);
    let p = rank_test(&of_known.times_of(401), &of_unknown.times_of(401));
    println!("known against unknown names, {looked_at} wrong logins each: p = {p:.3}");
    let p = rank_test(&of_known.times_of(429), &of_unknown.times_of(429));
    println!("known against unknown names, {} throttled each: p = {p:.3}", 200 - looked_at);
}

/// What was told for each guess, and how long it took.
#[derive(Default)]
struct Guesses {
    told: Vec<(u16, Value)>,
    times: Vec<Duration>,
}

impl Guesses {
    async fn add(&mut self, client: &Client, name: &str) {
        let began = Instant::now();
        let answer = guess(client, name).await;
        self.times.push(began.elapsed());
        let mut body = answer.json();
        if answer.status == 429 {
            // The seconds that are left differ by the time at which it is asked.
            assert!(body["message"].as_str().is_some_and(|text| text.starts_with("Too many")));
            body["message"] = Value::Null;
        }
        self.told.push((answer.status, body));
    }

    fn times_of(&self, status: u16) -> Vec<Duration> {
        let of_status = self.told.iter().zip(&self.times).filter(|((told, _), _)| *told == status);
        of_status.map(|(_, time)| *time).collect()
    }
}

/// Mann and Whitney's test, two-sided, by the normal approximation: how likely so great a difference is by chance.
fn rank_test(one: &[Duration], other: &[Duration]) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).expect("a small number"));
    let (n, m) = (number(one.len()), number(other.len()));
    let wins = one.iter().flat_map(|a| other.iter().map(move |b| a.cmp(b)));
    let u: f64 = wins
        .map(|order| match order {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Greater => 1.0,
        })
        .sum();
    let spread = (n * m * (n + m + 1.0) / 12.0).sqrt();
    both_tails(((u - n * m / 2.0) / spread).abs())
}

/// Both tails of the normal distribution beyond `z` (Abramowitz and Stegun, 26.2.17).
fn both_tails(z: f64) -> f64 {
    let t = 1.0 / 0.231_641_9_f64.mul_add(z, 1.0);
    let factors = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = factors.into_iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    2.0 * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

#[test]
fn the_rank_test_tells_equal_from_different() {
    let times = |offset: u64| -> Vec<Duration> {
        (0..100).map(|number| Duration::from_micros(offset + number * 37 % 100)).collect()
    };
    assert!(rank_test(&times(0), &times(0)) > 0.95);
    assert!(rank_test(&times(0), &times(60)) < 0.001);
    assert!((both_tails(1.96) - 0.05).abs() < 0.001);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_day_of_guesses_outlasts_kill_9_and_the_owner_gets_in_at_home() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    for number in 0..DAILY {
        assert_eq!(guess(&stranger(&appliance, number), "owner").await.status, 401, "{number}");
    }
    refusals(&owner.client, DAILY).await;
    appliance.kill().await;
    appliance.start_again().await;
    let answer = right(&stranger(&appliance, 100)).await.expect(429);
    let wait: u64 =
        answer.header("retry-after").and_then(|text| text.parse().ok()).expect("a wait");
    assert!((3_600..=25 * 3_600).contains(&wait), "{wait}");
    right(&appliance.client()).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_clean_end_keeps_every_count() {
    let mut appliance = Appliance::start().await;
    appliance.set_up().await;
    for name in ["nobody", "owner"] {
        for _ in 0..9 {
            assert_eq!(guess(&stranger(&appliance, 1), name).await.status, 401);
        }
        appliance.terminate().await;
        appliance.start_again().await;
        guess(&stranger(&appliance, 1), name).await.expect(401);
        guess(&stranger(&appliance, 1), name).await.expect(429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_the_owner_gets_in_while_a_crowd_guesses() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut crowd = JoinSet::new();
    for number in 0..32 {
        let client = stranger(&appliance, number);
        crowd.spawn(async move {
            for turn in 0..1_000 {
                let name = if turn % 2 == 0 { "owner".to_owned() } else { format!("name-{turn}") };
                guess(&client, &name).await;
            }
        });
    }
    refusals(&owner.client, 20).await;
    for _ in 0..5 {
        right(&appliance.client()).await.expect(200);
        owner.client.post("/user/step-up", json!({"password": PASSWORD})).await.expect(200);
    }
    assert!(!crowd.is_empty() && crowd.try_join_next().is_none(), "the crowd is done already");
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_bad_token_is_no_guess() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let bad = stranger(&appliance, 1).with_token("no such token");
    for _ in 0..60 {
        bad.get("/devices").await.expect(401);
    }
    right(&stranger(&appliance, 1)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_names_and_passwords_that_nobody_can_have_are_refused() {
    let appliance = Appliance::start().await;
    appliance.set_up().await;
    let long = "x".repeat(2_000);
    for (name, password) in [
        (long.as_str(), PASSWORD),
        ("owner", long.as_str()),
        ("ow\0ner", PASSWORD),
        ("owner", "seven herons\0 over Lake Orta"),
    ] {
        let answer = appliance
            .client()
            .post("/user/login", json!({"username": name, "password": password}))
            .await
            .expect(400);
        assert!(!answer.text().contains(PASSWORD) && !answer.text().contains("xxxx"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_login_from_a_new_network_stands_in_the_audit() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    right(&stranger(&appliance, 1)).await.expect(200);
    let page = owner.client.get("/nms/audit?what=login-new-network").await.expect(200).json();
    assert_eq!(page["items"][0]["address"], "127.10.1.1", "{page}");
    assert_eq!(page["items"][0]["whoName"], "owner");
    assert_eq!(page["aggregation"]["chain"]["whole"], true);
}
