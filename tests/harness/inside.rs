//! A root shell inside a machine, over its second console. The kernel's command line asks systemd for it.

use crate::machine::BOOT;
use crate::tool::Printed;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

/// How long one line may take.
const LINE: Duration = Duration::from_mins(2);

/// The shell. Opened by its first line.
pub struct Inside {
    socket: PathBuf,
    stream: Option<UnixStream>,
    ready: bool,
    heard: String,
    lines: u32,
}

impl Inside {
    pub(crate) fn new(socket: &Path) -> Self {
        let socket = socket.to_owned();
        Self { socket, stream: None, ready: false, heard: String::new(), lines: 0 }
    }

    /// The machine has started anew, and its shell with it.
    pub(crate) fn forget(&mut self) {
        (self.stream, self.ready) = (None, false);
    }

    /// Runs one line and waits for its end.
    pub(crate) async fn run(&mut self, line: &str) -> Printed {
        self.become_ready().await;
        self.lines += 1;
        let number = self.lines;
        // The marks are put together inside, so that no echo of the line looks like one.
        let say = format!(
            "printf '\\n%s%s\\n' begin- {number}; {{ {line}\n}} </dev/null 2>&1; \
             printf '\\n%s%s %s\\n' end- {number} $?\n"
        );
        self.say(&say).await;
        let (begin, end) = (format!("\nbegin-{number}\n"), format!("\nend-{number} "));
        let deadline = Instant::now() + LINE;
        loop {
            if let Some((_, output)) = self.heard.split_once(&begin)
                && let Some((output, rest)) = output.split_once(&end)
                && let Some((code, _)) = rest.split_once('\n')
            {
                let output = output.to_owned();
                return Printed {
                    code: code.trim().parse().ok(),
                    everything: output.clone(),
                    output,
                };
            }
            assert!(Instant::now() < deadline, "{line:?} does not end: {:?}", self.heard);
            self.hear(Duration::from_secs(1)).await;
        }
    }

    /// Begins a line that may never end.
    pub(crate) async fn begins(&mut self, line: &str) {
        self.become_ready().await;
        self.say(&format!("{line}\n")).await;
    }

    async fn become_ready(&mut self) {
        let deadline = Instant::now() + BOOT;
        while !self.ready {
            assert!(Instant::now() < deadline, "no shell inside: {:?}", self.heard);
            self.lines += 1;
            let number = self.lines;
            // What is said before the shell is there waits, or is lost: so it is said again, and the last one counts.
            let greeting = "exec dash\nstty -echo -onlcr\nPS1= PS2=\n";
            self.say(&format!("{greeting}printf '\\n%s%s\\n' ready- {number}\n")).await;
            let answer = format!("\nready-{number}\n");
            let again = Instant::now() + Duration::from_secs(10);
            while !self.ready && Instant::now() < again {
                self.hear(Duration::from_secs(1)).await;
                self.ready = self.heard.contains(&answer);
            }
        }
    }

    async fn say(&mut self, text: &str) {
        if self.stream.is_none() {
            self.heard.clear();
            self.stream = UnixStream::connect(&self.socket).await.ok();
        }
        if let Some(stream) = &mut self.stream
            && stream.write_all(text.as_bytes()).await.is_err()
        {
            self.stream = None;
        }
    }

    /// Takes what comes, at most so long.
    async fn hear(&mut self, bound: Duration) {
        let mut piece = [0; 4096];
        let Some(stream) = &mut self.stream else { return tokio::time::sleep(bound).await };
        match timeout(bound, stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => self.stream = None,
            Ok(Ok(length)) => self.heard.push_str(&String::from_utf8_lossy(&piece[..length])),
            Err(_) => {}
        }
    }
}
