//! Calls of the API by somebody who is logged in, as many as the two cores give.

use crate::figures::Figures;
use crate::{per_second, say, thousands};
use aerie_tests::{Appliance, Client, Owner};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long each way of calling is repeated.
const TIME: Duration = Duration::from_secs(10);
/// Connections that are kept open.
const CONNECTIONS: usize = 32;
/// How each answer begins.
const ANSWERED: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// Measures one call after the other on each connection, and some under way at once.
pub(crate) async fn measure(appliance: &mut Appliance, owner: &Owner, figures: &mut Figures) {
    for (under_way, called) in [(1, "one at a time"), (16, "16 pipelined")] {
        say(&format!("API calls, {called}"));
        let before = appliance.process().processor_time();
        let began = Instant::now();
        let calls = call_until(&owner.client, under_way, began + TIME).await;
        let took = began.elapsed();
        let spent = appliance.process().processor_time().saturating_sub(before);
        let what = format!("logged-in API calls, {CONNECTIONS} connections, {called}");
        let each = format!("{what}: per second and core of the daemon");
        figures.add(&each, thousands(per_second(calls, spent)), "15,000 or more");
        let both = format!("{what}: per second, the caller on the same cores");
        figures.add(&both, thousands(per_second(calls, took)), "30,000 or more on two cores");
    }
}

async fn call_until(client: &Client, under_way: usize, end: Instant) -> u64 {
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = client.clone();
        callers.spawn(async move { call(&client, under_way, end).await });
    }
    callers.join_all().await.into_iter().sum()
}

async fn call(client: &Client, under_way: usize, end: Instant) -> u64 {
    let request = format!(
        "GET /nms/api/v2.1/nms/keep-alive HTTP/1.1\r\nHost: {}\r\nx-auth-token: {}\r\n\r\n",
        client.address(),
        client.token().expect("a token")
    );
    let some = request.repeat(under_way);
    let mut stream = client.connect().await.expect("a connection");
    let (mut calls, mut answers) = (0, Answers::default());
    while Instant::now() < end {
        stream.write_all(some.as_bytes()).await.expect("it is sent");
        let mut missing = under_way;
        while missing > 0 {
            missing -= answers.read(&mut stream).await;
        }
        calls += u64::try_from(under_way).expect("a small number");
    }
    calls
}

/// Counts answers without taking them apart: a caller that reads every header would be what is measured.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
}

impl Answers {
    /// Reads what has come; how many answers begin there and are whole.
    async fn read(&mut self, stream: &mut (impl AsyncReadExt + Unpin)) -> usize {
        let read = stream.read_buf(&mut self.bytes).await.expect("it is read");
        assert!(read > 0, "the connection ended");
        let mut whole = 0;
        while let Some(length) = answer_length(&self.bytes) {
            assert!(self.bytes.starts_with(ANSWERED), "another answer");
            self.bytes.drain(..length);
            whole += 1;
        }
        whole
    }
}

/// The bytes of the first answer, once all of it is there.
pub(crate) fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head in ASCII");
    let (_, after) = text.split_once("content-length: ").expect("a length");
    let length: usize = after.split_once('\r')?.0.parse().expect("a number");
    (bytes.len() >= head + length).then_some(head + length)
}
