//! QEMU's monitor (QMP): one JSON object a line.

use crate::within;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// An open monitor.
pub struct Monitor {
    stream: BufReader<UnixStream>,
    /// What QEMU told by itself, oldest first.
    events: Vec<Value>,
}

impl Monitor {
    /// Connects to the socket, which QEMU opens as it starts.
    pub async fn open(socket: &Path) -> Self {
        let stream = within(crate::PATIENCE, "QEMU opens its monitor", async || {
            UnixStream::connect(socket).await.ok()
        })
        .await;
        let mut monitor = Self { stream: BufReader::new(stream), events: Vec::new() };
        monitor.next().await;
        monitor.execute("qmp_capabilities", json!({})).await;
        monitor
    }

    /// Runs one command; its result.
    pub async fn execute(&mut self, command: &str, arguments: Value) -> Value {
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes()).await.expect("QEMU reads");
        loop {
            let mut said = self.next().await;
            assert!(said.get("error").is_none(), "{command}: {said}");
            if let Some(answer) = said.get_mut("return") {
                return answer.take();
            }
            self.events.push(said);
        }
    }

    /// Waits for an event of this name that has not been waited for yet.
    pub async fn waits_for(&mut self, event: &str, bound: Duration) -> Value {
        let arrives = async {
            loop {
                if let Some(place) = self.events.iter().position(|said| said["event"] == event) {
                    return self.events.remove(place);
                }
                let said = self.next().await;
                self.events.push(said);
            }
        };
        let in_time = tokio::time::timeout(bound, arrives).await;
        in_time.unwrap_or_else(|_| panic!("no {event} within {bound:?}"))
    }

    async fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.expect("QEMU speaks");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("QEMU has gone: {line:?}"))
    }
}
