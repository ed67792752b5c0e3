//! Terminals on real pseudo-terminals, with the shell of the account that runs the tests.

use std::{fs, path::Path, time::Duration};

use aerie_agent::{
    host::{CommandError, Host as _, LinuxHost},
    policy::{Policy, TerminalPolicy},
    terminal::{Exit, Terminal, TerminalEvent, Terminals, WindowSize},
};
use nix::unistd::{User, geteuid};
use tokio::time::timeout;

pub(crate) const SIZE: WindowSize = WindowSize { rows: 24, columns: 80 };
/// Against a hanging test, not to wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

fn host(terminal: TerminalPolicy) -> LinuxHost {
    LinuxHost::new(Policy { terminal, ..Policy::default() })
}

pub(crate) fn own_shell() -> TerminalPolicy {
    TerminalPolicy::Shell { user: User::from_uid(geteuid()).unwrap().unwrap().name }
}

/// One terminal on channel 1, used as a person would.
pub(crate) struct Line {
    pub(crate) terminals: Terminals,
    shown: String,
    /// Bytes of output so far.
    taken: usize,
}

impl Line {
    /// A shell that is ready for input and has no prompt.
    async fn shell(credit: u32) -> Self {
        Self::open(own_shell(), credit).await.plain().await
    }

    /// Any account's shell, once it is ready for input and has no prompt.
    pub(crate) async fn plain(self) -> Self {
        let mut line = self;
        // Any account's shell becomes the same plain one. The mark is split, so that the echo of
        // the keystrokes is not taken for the answer.
        line.keys("exec env PS1= /bin/sh\n");
        line.keys("echo rea''dy\n");
        line.until("ready\r\n").await;
        line
    }

    async fn open(policy: TerminalPolicy, credit: u32) -> Self {
        Self::over(host(policy).open_terminal(SIZE).await.unwrap(), credit)
    }

    pub(crate) fn over(terminal: Terminal, credit: u32) -> Self {
        let mut terminals = Terminals::default();
        terminals.insert(1, terminal, credit).unwrap();
        Self { terminals, shown: String::new(), taken: 0 }
    }

    pub(crate) fn keys(&mut self, text: &str) {
        self.terminals.write(1, text.as_bytes()).unwrap();
    }

    /// What is shown up to and including `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(place) = self.shown.find(mark) {
                let rest = self.shown.split_off(place + mark.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            match self.next().await {
                TerminalEvent::Output { data, .. } => {
                    self.shown.push_str(&String::from_utf8_lossy(&data));
                }
                TerminalEvent::Granted { .. } => {}
                TerminalEvent::Closed { exit, .. } => panic!("{exit:?} after {:?}", self.shown),
            }
        }
    }

    async fn next(&mut self) -> TerminalEvent {
        let event = timeout(PATIENCE, self.terminals.next()).await.expect("nothing happens");
        if let TerminalEvent::Output { data, .. } = &event {
            self.taken += data.len();
        }
        event
    }

    /// How the program ended; output on the way is dropped.
    pub(crate) async fn exit(&mut self) -> Exit {
        loop {
            if let TerminalEvent::Closed { exit, .. } = self.next().await {
                return exit;
            }
        }
    }

    /// The number of the process that runs the command, from the shell itself.
    pub(crate) async fn number(&mut self, command: &str) -> String {
        self.keys(command);
        loop {
            self.until("<").await;
            let shown = self.until(">").await;
            // The echo of the command shows no number.
            if let Ok(number) = shown.trim_end_matches('>').parse::<u32>() {
                return number.to_string();
            }
        }
    }
}

#[tokio::test]
async fn d3_what_is_typed_is_run_and_shown() {
    let mut line = Line::shell(100_000).await;
    line.keys("echo $((6 * 7))\n");
    line.until("42\r\n").await;
}

#[tokio::test]
async fn the_window_has_its_size_and_changes_it() {
    let mut line = Line::shell(100_000).await;
    line.keys("stty size\n");
    line.until("24 80\r\n").await;
    line.terminals.resize(1, WindowSize { rows: 50, columns: 132 }).unwrap();
    line.keys("stty size\n");
    line.until("50 132\r\n").await;
}

#[tokio::test]
async fn the_exit_status_is_told() {
    let mut line = Line::shell(100_000).await;
    line.keys("exit 7\n");
    assert_eq!(line.exit().await, Exit::Status(7));
    let mut line = Line::shell(100_000).await;
    line.keys("kill -9 $$\n");
    assert_eq!(line.exit().await, Exit::Signal);
}

#[tokio::test]
async fn a_program_that_never_stops_printing_is_held_back_by_the_credit() {
    let mut line = Line::shell(100_000).await;
    let number = line.number("echo \"<$$>\"; read go; exec yes\n").await;
    line.keys("go\n");
    while line.taken < 100_000 {
        line.next().await;
    }
    assert_eq!(line.taken, 100_000);
    // Now `yes` fills the kernel's buffer and sleeps in its write.
    let stat = format!("/proc/{number}/stat");
    while !fs::read_to_string(&stat).unwrap().contains("(yes) S") {
        tokio::task::yield_now().await;
    }
    let held = timeout(Duration::from_millis(50), line.terminals.next()).await;
    assert!(held.is_err(), "{held:?}");
    line.terminals.credit(1, 10);
    let TerminalEvent::Output { data, .. } = line.next().await else { panic!() };
    assert_eq!(data.len(), 10);
    line.terminals.close(1);
    line.exit().await;
}

#[tokio::test]
async fn a_hang_up_ends_the_shell_and_what_runs_in_it() {
    let mut line = Line::shell(100_000).await;
    let number = line.number("sh -c 'echo \"<$$>\"; exec sleep 10000'\n").await;
    line.terminals.close(1);
    assert_eq!(line.exit().await, Exit::Signal);
    gone(&number).await;
}

#[tokio::test]
async fn a_program_that_ignores_the_hang_up_is_killed() {
    let mut line = Line::shell(100_000).await;
    let number = line
        .number("exec sh -c 'trap \"\" HUP TERM; echo \"<$$>\"; while :; do sleep 1; done'\n")
        .await;
    line.terminals.close(1);
    assert_eq!(line.exit().await, Exit::Signal);
    gone(&number).await;
}

#[tokio::test]
async fn dropped_terminals_leave_no_process_behind() {
    let mut line = Line::shell(100_000).await;
    let number = line.number("sh -c 'echo \"<$$>\"; exec sleep 10000'\n").await;
    drop(line);
    gone(&number).await;
}

#[tokio::test]
async fn a_process_left_in_the_background_does_not_hold_the_terminal_open() {
    let mut line = Line::shell(100_000).await;
    let number = line.number("trap '' HUP; sleep 10000 & echo \"<$!>\"\n").await;
    line.keys("exit 3\n");
    assert_eq!(line.exit().await, Exit::Status(3));
    let pid = nix::unistd::Pid::from_raw(number.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// Waits until a process is no more, or nothing but a zombie of somebody else's.
pub(crate) async fn gone(number: &str) {
    let stat = format!("/proc/{number}/stat");
    let ended = async {
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the process lives on");
}

#[tokio::test]
async fn nothing_of_the_agents_environment_is_handed_on() {
    let mut line = Line::shell(100_000).await;
    line.keys("env; echo e''nd\n");
    let shown = line.until("end\r\n").await;
    assert!(shown.contains("TERM=xterm-256color"), "{shown}");
    assert!(!shown.contains("CARGO"), "{shown}");
}

#[tokio::test]
async fn a_terminal_that_is_off_does_not_open() {
    let mut host = host(TerminalPolicy::Off);
    assert!(matches!(host.open_terminal(SIZE).await, Err(CommandError::NotAllowed(_))));
    assert!(!host.identity().await.terminal_allowed);
}

#[tokio::test]
async fn a_missing_account_is_refused() {
    let mut host = host(TerminalPolicy::Shell { user: "no-such-account-here".to_owned() });
    assert!(matches!(host.open_terminal(SIZE).await, Err(CommandError::Failed(_))));
    assert!(!host.identity().await.terminal_allowed);
}

#[tokio::test]
async fn d3_by_default_the_device_itself_asks_for_account_and_password() {
    let mut host = host(TerminalPolicy::Login);
    if !geteuid().is_root() || !Path::new("/bin/login").exists() {
        // Said beforehand, and refused with the reason.
        assert!(!host.identity().await.terminal_allowed);
        assert!(host.open_terminal(SIZE).await.is_err());
        return;
    }
    assert!(host.identity().await.terminal_allowed);
    let mut line = Line::open(TerminalPolicy::Login, 100_000).await;
    line.until("login: ").await;
    line.keys("no-such-account-here\n");
    line.until("assword: ").await;
    line.terminals.close(1);
    line.exit().await;
}

#[tokio::test]
async fn root_opens_another_accounts_shell_as_that_account() {
    let Some(nobody) = User::from_name("nobody").unwrap().filter(|_| geteuid().is_root()) else {
        // Nobody but root can become somebody else.
        let refused = host(TerminalPolicy::Shell { user: "root".to_owned() });
        let refused = { refused }.open_terminal(SIZE).await;
        assert!(matches!(refused, Err(CommandError::NotAllowed(_))));
        return;
    };
    // Its shell may be `nologin`: what counts is that the program ran and ended by itself.
    let mut line = Line::open(TerminalPolicy::Shell { user: nobody.name }, 100_000).await;
    line.keys("exit 1\n");
    assert_eq!(line.exit().await, Exit::Status(1));
}
