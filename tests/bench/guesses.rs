//! A flood of wrong logins, and what a device notices of it.

use crate::calls::answer_length;
use crate::figures::Figures;
use crate::say;
use aerie_protocol::inform::{Status, from_device};
use aerie_protocol::noise::StaticKey;
use aerie_tests::{Appliance, Client, Owner, RawDevice, from_device as frame};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tokio_rustls::client::TlsStream;

/// Wrong logins a second.
const RATE: u32 = 500;
/// Guesses before a connection is left for one from another network: none is throttled.
const FROM_ONE_NETWORK: u32 = 40;
/// Devices that are asked at the same time: of few round trips the slowest hundredth is luck.
const DEVICES: u32 = 8;
/// Rounds of each kind: they take turns, so that a machine which is slower for a while is so for all.
const ROUNDS: usize = 20;
/// Round trips of a device in a round.
const OF_ONE_ROUND: u32 = 200;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(10);
/// A ping without payload, masked with zeroes.
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
const PONG: u8 = 0x8a;

/// Measures devices' round trips without and with the flood.
pub(crate) async fn measure(appliance: &Appliance, owner: &Owner, figures: &mut Figures) {
    let site = owner.site("Guesses").await;
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        let own = StaticKey::generate().expect("a key");
        let name = format!("pinging-{number}");
        let device = RawDevice::knock(appliance.inform(), &owner.key, &own, &name).await;
        let mut device = device.expect("answered");
        let id = owner.next_waiting().await;
        owner.authorise(&id, &site).await;
        device.enrolled().await;
        devices.push(device);
    }
    let client = appliance.client();

    say(&format!("devices' round trips, idle and under {RATE} calls a second"));
    let [mut idle, mut refused, mut flooded] = [(); 3].map(|()| Kind(Vec::new()));
    let mut flood = Flood::default();
    for _ in 0..ROUNDS {
        let (trips, got);
        (devices, trips) = round_trips(devices).await;
        idle.0.push(trips);
        (devices, refused, _) = under(CALL_WITHOUT_HASH, &client, devices, refused).await;
        (devices, flooded, got) = under(GUESS, &client, devices, flooded).await;
        flood.add(got);
    }

    let trip = "a device's status is taken in and a ping behind it answered";
    figures.add(&format!("{trip}: median and p99, idle"), idle.told(), "");
    let what = format!("the same under {RATE} calls a second that are refused without a hash");
    figures.add(&what, refused.told(), "");
    let what = format!("the same under {RATE} wrong logins a second, each of which wants a hash");
    figures.add(&what, flooded.told(), "");
    figures.add(
        "the same: what the hashes change of median and p99 (middle half of the rounds)",
        flooded.change(&refused),
        "below 10 %",
    );
    figures.add("the same: what all of it changes against idle", flooded.change(&idle), "");
    figures.add("the same: what the flood got", flood.told(), "");
}

/// Measures round trips while calls with such a body come in.
async fn under(
    asked: Asked,
    client: &Client,
    devices: Vec<RawDevice>,
    mut kind: Kind,
) -> (Vec<RawDevice>, Kind, Flood) {
    let enough = Arc::new(AtomicBool::new(false));
    let mut flooding = JoinSet::new();
    flooding.spawn(flood(asked, client.clone(), Arc::clone(&enough)));
    // Its connections open meanwhile.
    let (devices, _) = round_trips(devices).await;
    let (devices, trips) = round_trips(devices).await;
    kind.0.push(trips);
    enough.store(true, Ordering::Release);
    (devices, kind, flooding.join_all().await.remove(0))
}

/// What a flood asks, over and over.
#[derive(Clone, Copy)]
struct Asked {
    /// Behind the name of the account.
    rest: &'static str,
}

const GUESS: Asked = Asked { rest: r#","password":"a wrong guess, and long"}"# };
/// A login without a password: the same connections and calls, and no hash.
const CALL_WITHOUT_HASH: Asked = Asked { rest: "}" };

/// The round trips of one kind, by round, each round's in order of how long they took.
struct Kind(Vec<Vec<Duration>>);

/// Of a hundred, so many are faster.
fn percentile(trips: &[Duration], percent: usize) -> Duration {
    trips[trips.len() * percent / 100]
}

impl Kind {
    /// Of all rounds together.
    fn told(&self) -> String {
        let mut trips = self.0.concat();
        trips.sort_unstable();
        let [median, late] = [50, 99].map(|percent| percentile(&trips, percent).as_micros());
        format!("{median} µs, {late} µs")
    }

    /// Against the round of the other kind that was next to it; of these changes, the median. A round in
    /// which the machine had other things to do weighs no more than any other.
    fn change(&self, other: &Self) -> String {
        let change = |percent| {
            let rounds = self.0.iter().zip(&other.0);
            let ratio = |(now, before): (&Vec<_>, &Vec<_>)| {
                percentile(now, percent).as_secs_f64() / percentile(before, percent).as_secs_f64()
            };
            let mut ratios: Vec<f64> = rounds.map(ratio).collect();
            ratios.sort_unstable_by(f64::total_cmp);
            let [low, middle, high] =
                [1, 2, 3].map(|quarter| (ratios[ratios.len() * quarter / 4] - 1.0) * 100.0);
            format!("{middle:+.0} % ({low:+.0} to {high:+.0})")
        };
        format!("{}, {}", change(50), change(99))
    }
}

/// Every device sends a status and a ping behind it, over and over: the pong says that both have been
/// taken in. They begin one after the other, and so seldom wait for each other.
async fn round_trips(devices: Vec<RawDevice>) -> (Vec<RawDevice>, Vec<Duration>) {
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for (mut device, number) in devices.into_iter().zip(0..) {
        let first = began + PAUSE * number / DEVICES;
        under_way.spawn(async move {
            let mut pace = interval_at(first, PAUSE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut took = Vec::new();
            for uptime_seconds in 0..u64::from(OF_ONE_ROUND) {
                pace.tick().await;
                let status = Status { uptime_seconds, ..Status::default() };
                let sealed = device.seal(from_device::Body::Status(status));
                let began = Instant::now();
                device.wire.send_bytes(&[frame(&sealed), PING.to_vec()].concat()).await;
                while device.wire.next().await.expect("a frame").first != PONG {}
                took.push(began.elapsed());
            }
            (device, took)
        });
    }
    let (mut devices, mut trips) = (Vec::new(), Vec::new());
    for (device, took) in under_way.join_all().await {
        devices.push(device);
        trips.extend(took);
    }
    trips.sort_unstable();
    (devices, trips)
}

/// What a flood sent and was answered.
#[derive(Default)]
struct Flood {
    sent: u32,
    took: Duration,
    answers: BTreeMap<u16, u32>,
}

impl Flood {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.took += other.took;
        for (status, number) in other.answers {
            *self.answers.entry(status).or_default() += number;
        }
    }

    fn told(&self) -> String {
        let of = |status| self.answers.get(&status).copied().unwrap_or(0);
        let rate = f64::from(self.sent) / self.took.as_secs_f64();
        format!(
            "{rate:.0} a second sent: {} hashed, {} told that all hashers are busy, {} throttled",
            of(401),
            of(503),
            of(429)
        )
    }
}

/// Guesses at an even pace, whether the ones before have been answered or not.
async fn flood(asked: Asked, client: Client, enough: Arc<AtomicBool>) -> Flood {
    let mut pace = interval(Duration::from_secs(1) / RATE);
    let began = Instant::now();
    let (mut sent, mut answers) = (0, BTreeMap::new());
    let (mut idle, mut under_way) = (Vec::new(), JoinSet::new());
    while !enough.load(Ordering::Acquire) {
        pace.tick().await;
        while let Some(done) = under_way.try_join_next() {
            let (guesser, status): (Guesser, u16) = done.expect("a guess");
            *answers.entry(status).or_default() += 1;
            idle.extend(Some(guesser).filter(|guesser| guesser.guesses < FROM_ONE_NETWORK));
        }
        sent += 1;
        under_way.spawn(guess(asked, idle.pop(), client.clone(), sent));
    }
    Flood { sent, took: began.elapsed(), answers }
}

/// A connection from a network of its own.
struct Guesser {
    stream: TlsStream<TcpStream>,
    guesses: u32,
}

async fn guess(
    asked: Asked,
    guesser: Option<Guesser>,
    client: Client,
    number: u32,
) -> (Guesser, u16) {
    let mut guesser = match guesser {
        Some(guesser) => guesser,
        None => Guesser { stream: from_network(&client, number).await, guesses: 0 },
    };
    guesser.guesses += 1;
    let body = format!(r#"{{"username":"guess-{number}"{}"#, asked.rest);
    let request = format!(
        "POST /nms/api/v2.1/user/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        client.address(),
        body.len()
    );
    guesser.stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut bytes = Vec::new();
    let length = loop {
        let read = guesser.stream.read_buf(&mut bytes).await.expect("it is read");
        assert!(read > 0, "the connection ended");
        if let Some(length) = answer_length(&bytes) {
            break length;
        }
    };
    let head = std::str::from_utf8(&bytes[..length]).expect("an answer in text");
    let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    (guesser, status)
}

async fn from_network(client: &Client, number: u32) -> TlsStream<TcpStream> {
    // Each number is a network of its own.
    let [.., middle, low] = number.to_be_bytes();
    let source = Ipv4Addr::new(127, 64 | (middle & 63), low, 1);
    client.coming_from(source.into()).connect().await.expect("a connection")
}
