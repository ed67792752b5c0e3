//! The real agent as a process, with a state folder and a policy file of its own.

use crate::process::{Process, binary};
use nix::unistd::{User, getuid};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::process::Command;

/// How an agent is to be started.
#[derive(Clone)]
pub struct AgentOptions {
    /// The policy file's text.
    pub policy: String,
}

/// The tests may run as root, and this machine is not theirs to restart.
const NO_RESTART: &str = "[commands]\nrestart = false\n";

impl Default for AgentOptions {
    /// A terminal that is the present user's shell.
    fn default() -> Self {
        let terminal = format!("[terminal]\nmode = \"shell\"\nuser = \"{}\"\n", user_name());
        Self { policy: terminal + NO_RESTART }
    }
}

impl AgentOptions {
    /// No terminal.
    pub fn without_terminal() -> Self {
        Self { policy: format!("[terminal]\nmode = \"off\"\n{NO_RESTART}") }
    }

    /// The terminal of an untouched device: `login(1)`.
    pub fn with_login() -> Self {
        Self { policy: NO_RESTART.to_owned() }
    }
}

/// A running agent. Ends, with its state, when it is dropped.
pub struct Agent {
    folder: TempDir,
    process: Process,
}

impl Agent {
    /// Starts with the present user's shell as terminal.
    pub fn start(key: &str) -> Self {
        Self::start_with(key, &AgentOptions::default())
    }

    /// Starts as `options` say.
    pub fn start_with(key: &str, options: &AgentOptions) -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("key"), key).expect("a key file");
        std::fs::write(folder.path().join("policy.toml"), &options.policy).expect("a policy file");
        let process = launch(&folder);
        Self { folder, process }
    }

    /// Starts again on the same state, after it has ended.
    pub fn start_again(&mut self) {
        assert!(self.process.status().is_some(), "it still runs");
        self.process = launch(&self.folder);
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// What it printed.
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    /// The folder of its identity.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Puts another key into its key file; it counts from the next start on.
    pub fn give_key(&self, key: &str) {
        std::fs::write(self.folder.path().join("key"), key).expect("a key file");
    }

    /// Waits until it has stored the appliance it belongs to: from now on it comes by IK.
    pub async fn enrols(&self) {
        crate::until("the agent stores its enrolment", async || {
            let file = std::fs::read_to_string(self.state().join("device.json")).ok()?;
            let state: serde_json::Value = serde_json::from_str(&file).ok()?;
            state["enrolment"].is_object().then_some(())
        })
        .await;
    }

    /// Every file of its state: name to mode and bytes.
    pub fn state_bytes(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let entries = std::fs::read_dir(self.state()).expect("a state folder");
        let files =
            entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
        files
            .map(|path| {
                let mode = path.metadata().expect("metadata").mode();
                let bytes = std::fs::read(&path).expect("a state file");
                (path, (mode, bytes))
            })
            .collect()
    }
}

fn launch(folder: &TempDir) -> Process {
    let mut command = Command::new(binary("aerie-agent"));
    command.arg("run");
    command.arg("--state").arg(folder.path().join("state"));
    command.arg("--key-file").arg(folder.path().join("key"));
    command.arg("--policy").arg(folder.path().join("policy.toml"));
    Process::start("aerie-agent", command, &folder.path().join("agent.log"))
}

/// The account that the tests run under.
pub fn user_name() -> String {
    User::from_uid(getuid()).ok().flatten().expect("an account").name
}
