//! Programs that others wrote, which `make test` installs.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// The slowest of them, testssl.sh, takes some minutes on a busy machine.
const BOUND: Duration = Duration::from_mins(20);

/// A program or script below the repository that the Makefile has put there.
pub fn tool(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let file = root.join(path);
    assert!(file.exists(), "{path} is not there: `make scanners` installs it");
    file
}

/// What a program printed. It may end with any status.
pub struct Printed {
    /// The exit status, if it ended by itself.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Both outputs, for who reads why a test failed.
    pub everything: String,
}

/// Runs a program to its end.
pub async fn run_tool(mut command: Command) -> Printed {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(BOUND, command.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{command:?} still runs after {BOUND:?}"));
    let Output { status, stdout, stderr } =
        ended.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let output = String::from_utf8_lossy(&stdout).into_owned();
    let everything = format!("{output}{}", String::from_utf8_lossy(&stderr));
    Printed { code: status.code(), output, everything }
}
