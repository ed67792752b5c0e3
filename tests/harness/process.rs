//! A child process whose output is kept in a file and shown when the test fails.

use crate::within;
use memchr::memmem::Finder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Bytes of memory that are looked at at once.
const PIECE: u64 = 4 << 20;

/// A running program of ours. Killed when it is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is added to the file `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let file =
            std::fs::File::options().create(true).append(true).open(log).expect("a log file");
        let twin = file.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(file).stderr(twin).kill_on_drop(true);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("still running")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("the process takes signals");
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Waits for the end, at most `bound`.
    pub async fn ended(&mut self, bound: Duration) -> ExitStatus {
        let status = tokio::time::timeout(bound, self.child.wait()).await;
        status
            .unwrap_or_else(|_| panic!("{} still runs after {bound:?}", self.name))
            .expect("a status")
    }

    /// The exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a status")
    }

    /// Everything it has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has printed `text`.
    pub async fn prints(&self, text: &str) {
        within(crate::PATIENCE, &format!("{} prints {text:?}", self.name), async || {
            self.printed().contains(text).then_some(())
        })
        .await;
    }

    /// Resident memory in bytes (`VmRSS`).
    pub fn resident_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("/proc");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kib: u64 =
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        kib * 1024
    }

    /// Which of these stand anywhere in the memory that it can write to.
    pub fn remembers<'a>(&self, needles: &'a [Vec<u8>]) -> Vec<&'a [u8]> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.id())).expect("/proc");
        let memory = File::open(format!("/proc/{}/mem", self.id())).expect("its memory");
        let longest = needles.iter().map(Vec::len).max().unwrap_or_default();
        let mut found = vec![false; needles.len()];
        let finders: Vec<_> = needles.iter().map(Finder::new).collect();
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (from, to) =
                line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
            let parse = |text: &str| u64::from_str_radix(text, 16).expect("an address");
            let (mut at, end) = (parse(from), parse(to));
            while at < end {
                let mut piece = vec![0; usize::try_from((end - at).min(PIECE)).expect("a piece")];
                // What has been given back in the meantime holds nothing.
                let Ok(read) = memory.read_at(&mut piece, at) else { break };
                piece.truncate(read);
                for (finder, found) in finders.iter().zip(&mut found) {
                    *found |= finder.find(&piece).is_some();
                }
                if at + PIECE >= end {
                    break;
                }
                // What lies across the seam is in the next piece whole.
                at += PIECE - u64::try_from(longest).expect("a length");
            }
        }
        let found = needles.iter().zip(found).filter(|(_, found)| *found);
        found.map(|(needle, _)| needle.as_slice()).collect()
    }

    /// Processor time used so far, user and system.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("/proc");
        let (_, after_name) = stat.rsplit_once(')').expect("the name's end");
        let mut fields = after_name.split_whitespace().skip(11);
        let mut next = || fields.next().and_then(|ticks| ticks.parse::<u64>().ok()).expect("ticks");
        // The kernel counts in hundredths of a second on every Linux we run on.
        Duration::from_millis((next() + next()) * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let printed = self.printed();
            let tail = printed.len().saturating_sub(20_000);
            let tail = printed.get(tail..).unwrap_or(&printed);
            eprintln!("---- {} printed:\n{tail}\n---- end of {}", self.name, self.name);
        }
    }
}

/// The path of one of our programs, built from the present sources.
///
/// `AERIE_BINARIES` names the folder when somebody has just built them (`make test` does).
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(built_folder).join(name)
}

/// Whether they are debug builds, which take what release builds refuse: passwords hashed at next to no cost.
pub fn are_debug_builds() -> bool {
    binary("aerie").parent().is_some_and(|folder| folder.ends_with("debug"))
}

fn built_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("AERIE_BINARIES") {
        return folder.into();
    }
    let status = std::process::Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--bins"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the programs do not build");
    // This test runs from target/<profile>/deps.
    let test = std::env::current_exe().expect("own path");
    let target = test.ancestors().find(|folder| folder.ends_with("target")).expect("below target/");
    target.join("debug")
}
