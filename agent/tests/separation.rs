//! Root's side and the worker's over a real socket pair, both in this process: so that any account
//! can run these tests. What the accounts themselves decide is in `processes`.

use std::{
    fs,
    io::IoSlice,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixDatagram as StdDatagram,
    },
    time::Duration,
};

use aerie_agent::{
    host::{CommandError, Direct, Host as _, LinuxHost, Roots},
    passwords::PasswordError,
    policy::{CommandPolicy, PasswordPolicy, Policy, TerminalPolicy},
    separation::{self, Remote, SeparationError},
    terminal::{Exit, MOST_TERMINALS, WindowSize},
};
use aerie_protocol::{
    inform::{HeldPassword, SetPassword, TryPassword},
    key::DeviceKey,
};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::{net::UnixDatagram, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    appliance::Appliance,
    pty::{Line, SIZE, gone, own_shell},
};

/// Root's side, running.
struct Root {
    stop: CancellationToken,
    served: JoinSet<Result<(), SeparationError>>,
}

impl Root {
    /// Starts it; the socket is the worker's end.
    fn start(policy: Policy, roots: Roots, key: Option<DeviceKey>) -> (Self, OwnedFd) {
        let (ours, theirs) = separation::pair().unwrap();
        let stop = CancellationToken::new();
        let mut served = JoinSet::new();
        let stopped = stop.clone();
        let direct = Direct::new(policy, roots.sys.clone());
        served.spawn(async move { separation::serve(ours, direct, &roots, key, &stopped).await });
        (Self { stop, served }, theirs)
    }

    async fn ended(mut self) -> Result<(), SeparationError> {
        let ended = timeout(Duration::from_mins(1), self.served.join_next()).await;
        ended.expect("it serves on").unwrap().unwrap()
    }
}

/// An honest worker.
struct Worker {
    host: LinuxHost<Remote>,
    given: separation::Given,
    stop: CancellationToken,
    link: JoinSet<SeparationError>,
}

impl Worker {
    async fn join(socket: OwnedFd) -> Self {
        let (remote, link, given) = separation::join(socket).await.unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut running = JoinSet::new();
        running.spawn(async move { link.run(&stopped).await });
        let host = LinuxHost::over(remote, Roots::default());
        Self { host, given, stop, link: running }
    }

    async fn shell(&mut self) -> Line {
        Line::over(self.host.open_terminal(SIZE).await.unwrap(), 100_000).plain().await
    }
}

/// A worker in a stranger's hands: it says what it likes.
struct Stranger(UnixDatagram);

impl Stranger {
    async fn join(socket: OwnedFd) -> Self {
        let stranger = Self(datagram(socket));
        assert_eq!(stranger.hear().await[0], 65, "the first word");
        stranger
    }

    async fn say(&self, bytes: &[u8]) {
        self.0.send(bytes).await.unwrap();
    }

    async fn hear(&self) -> Vec<u8> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).await.unwrap();
        bytes[..length].to_vec()
    }
}

fn datagram(socket: OwnedFd) -> UnixDatagram {
    UnixDatagram::from_std(StdDatagram::from(socket)).unwrap()
}

fn shell() -> Policy {
    Policy { terminal: own_shell(), ..Policy::default() }
}

fn nothing_allowed() -> Policy {
    let commands = CommandPolicy { restart: false, locate: false };
    Policy { terminal: TerminalPolicy::Off, commands, ..Policy::default() }
}

const OPEN: [u8; 9] = [1, 0, 0, 0, 1, 0, 24, 0, 80];

#[tokio::test]
async fn d3_a_terminal_over_the_link_is_a_terminal() {
    let (root, socket) = Root::start(shell(), Roots::default(), None);
    let mut worker = Worker::join(socket).await;
    assert!(worker.host.identity().await.terminal_allowed);
    let mut line = worker.shell().await;
    line.keys("stty size\n");
    line.until("24 80\r\n").await;
    line.terminals.resize(1, WindowSize { rows: 50, columns: 132 }).unwrap();
    line.keys("stty size\n");
    line.until("50 132\r\n").await;
    line.keys("exit 7\n");
    assert_eq!(line.exit().await, Exit::Status(7));
    let mut line = worker.shell().await;
    line.keys("kill -9 $$\n");
    assert_eq!(line.exit().await, Exit::Signal);
    drop(worker);
    root.ended().await.unwrap();
}

#[tokio::test]
async fn a_terminal_over_the_link_ends_as_any_other() {
    let (_root, socket) = Root::start(shell(), Roots::default(), None);
    let mut worker = Worker::join(socket).await;
    let mut hung_up = worker.shell().await;
    let number = hung_up.number("sh -c 'echo \"<$$>\"; exec sleep 10000'\n").await;
    hung_up.terminals.close(1);
    assert_eq!(hung_up.exit().await, Exit::Signal);
    gone(&number).await;
    let mut stubborn = worker.shell().await;
    let ignoring = "exec sh -c 'trap \"\" HUP TERM; echo \"<$$>\"; while :; do sleep 1; done'\n";
    let number = stubborn.number(ignoring).await;
    stubborn.terminals.close(1);
    assert_eq!(stubborn.exit().await, Exit::Signal);
    gone(&number).await;
    let mut dropped = worker.shell().await;
    let number = dropped.number("sh -c 'echo \"<$$>\"; exec sleep 10000'\n").await;
    drop(dropped);
    gone(&number).await;
}

#[tokio::test]
async fn d3_the_policy_is_roots_whatever_the_worker_asks() {
    let (root, socket) = Root::start(nothing_allowed(), Roots::default(), None);
    let stranger = Stranger::join(socket).await;
    for verb in [&OPEN[..], &[4, 0, 0, 0, 1], &[5, 0, 0, 0, 1, 0, 0, 0, 60]] {
        stranger.say(verb).await;
        assert_eq!(stranger.hear().await, [68, 0, 0, 0, 1], "{verb:?} is not allowed");
    }
    drop(stranger);
    root.ended().await.unwrap();
}

#[tokio::test]
async fn a_refusal_reaches_the_host_in_its_own_words() {
    let (_root, socket) = Root::start(nothing_allowed(), Roots::default(), None);
    let Worker { mut host, link: _link, .. } = Worker::join(socket).await;
    assert!(!host.identity().await.terminal_allowed);
    let minute = Some(Duration::from_mins(1));
    for (refused, word) in [
        (host.open_terminal(SIZE).await.map(drop), "[terminal]"),
        (host.may_restart(), "restart"),
        (host.restart().await.map(drop), "restart"),
        (host.locate(minute).await, "locate"),
    ] {
        let Err(CommandError::NotAllowed(reason)) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(word), "{reason}");
    }
    assert!(!host.status().await.locating);

    let nobody = TerminalPolicy::Shell { user: "no-such-account-here".to_owned() };
    let policy = Policy { terminal: nobody, ..Policy::default() };
    let (_root, socket) = Root::start(policy, Roots::default(), None);
    let Worker { mut host, link: _link, .. } = Worker::join(socket).await;
    let failed = host.open_terminal(SIZE).await.map(drop);
    assert!(
        matches!(failed, Err(CommandError::Failed(reason)) if reason.contains("does not have"))
    );
}

#[tokio::test]
async fn what_is_no_verb_ends_the_worker_and_its_terminals() {
    let huge = vec![1; 60_000];
    for nonsense in [&[0; 9][..], &[2, 0, 0], &[9, 0, 0, 0, 1], &[1; 10], &huge] {
        let (root, socket) = Root::start(shell(), Roots::default(), None);
        let stranger = Stranger(datagram(socket.try_clone().unwrap()));
        let mut worker = Worker::join(socket).await;
        let mut line = worker.shell().await;
        let number = line.number("sh -c 'echo \"<$$>\"; exec sleep 10000'\n").await;
        stranger.say(nonsense).await;
        root.ended().await.unwrap_err();
        gone(&number).await;
        // What is left of the worker sees the end.
        worker.link.join_next().await.unwrap().unwrap();
        assert_eq!(line.exit().await, Exit::Signal);
    }
}

#[tokio::test]
async fn v4_what_accounts_have_passes_the_link_and_root_alone_decides() {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots::below(folder.path());
    fs::create_dir(&roots.etc).unwrap();
    fs::write(roots.etc.join("shadow"), "tester:$6$a$b:1::::::\nother:*:1::::::\n").unwrap();
    let passwords = PasswordPolicy { accounts: vec!["tester".to_owned(), "gone".to_owned()] };
    let policy = Policy { passwords, ..Policy::default() };
    let direct =
        Direct::new(policy, roots.sys.clone()).with_passwords(&roots, &folder.path().join("state"));
    let (ours, theirs) = separation::pair().unwrap();
    let stop = CancellationToken::new();
    let mut served = JoinSet::new();
    served.spawn(async move { separation::serve(ours, direct, &roots, None, &stop).await });

    let Worker { mut host, link: _link, .. } = Worker::join(theirs).await;
    let tester = HeldPassword { account: "tester".to_owned(), ..HeldPassword::default() };
    assert_eq!(host.passwords().await.unwrap(), [tester]);
    let set = |account: &str, version| SetPassword {
        account: account.to_owned(),
        credential_id: vec![3; 16],
        version,
        password: b"secret".to_vec(),
        sealed: vec![4; 300],
    };
    let refused = host.set_password(set("other", 1)).await.unwrap_err();
    assert!(
        matches!(&refused, PasswordError::NotAllowed(advice) if advice.contains("[\"other\"]"))
    );
    let outdated = host.set_password(set("tester", 0)).await.unwrap_err();
    assert_eq!(outdated, PasswordError::Outdated { newest: 0 });
    let missing = host.set_password(set("gone", 1)).await.unwrap_err();
    assert!(missing.to_string().contains("no account `gone`"), "{missing}");
    let tried = TryPassword { account: "other".to_owned(), password: b"secret".to_vec() };
    assert!(matches!(host.try_password(tried).await, Err(PasswordError::NotAllowed(_))));
}

#[tokio::test]
async fn v4_a_password_that_is_longer_than_agreed_is_no_verb() {
    let whole = [&[8, 0, 0, 0, 1, 0, 2, 0, 2][..], b"mepw"].concat();
    for (bytes, is_a_verb) in [
        (whole.clone(), true),
        ([&whole[..], b"x"].concat(), false),
        (whole[..12].to_vec(), false),
        ([&[8, 0, 0, 0, 1, 0, 1, 1, 1][..], &[b'a'; 258]].concat(), false),
        ([&[8, 0, 0, 0, 1, 0, 65, 0, 1][..], &[b'a'; 66]].concat(), false),
    ] {
        let (root, socket) = Root::start(nothing_allowed(), Roots::default(), None);
        let stranger = Stranger::join(socket).await;
        stranger.say(&bytes).await;
        if is_a_verb {
            assert_eq!(stranger.hear().await[..6], [73, 0, 0, 0, 1, 1], "refused by the policy");
            drop(stranger);
            root.ended().await.unwrap();
        } else {
            root.ended().await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn root_takes_no_descriptor_from_anybody() {
    let (root, socket) = Root::start(nothing_allowed(), Roots::default(), None);
    let restart = [4, 0, 0, 0, 1];
    let descriptor = [socket.as_raw_fd()];
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&restart)],
        &[ControlMessage::ScmRights(&descriptor)],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    root.ended().await.unwrap_err();
}

#[tokio::test]
async fn a_worker_that_does_not_listen_gets_nothing_done() {
    let (root, socket) = Root::start(nothing_allowed(), Roots::default(), None);
    let stranger = Stranger::join(socket).await;
    // Every verb wants an answer; nobody reads them. Root stops reading, and keeps no queue.
    let asked = async {
        loop {
            stranger.say(&OPEN).await;
        }
    };
    timeout(Duration::from_millis(300), asked).await.unwrap_err();
    for _ in 0..10 {
        assert_eq!(stranger.hear().await, [68, 0, 0, 0, 1]);
    }
    drop(stranger);
    root.ended().await.unwrap();
}

#[tokio::test]
async fn there_are_so_many_terminals_over_the_link_and_no_more() {
    let (root, socket) = Root::start(shell(), Roots::default(), None);
    let stranger = Stranger::join(socket).await;
    for id in 1..=u8::try_from(MOST_TERMINALS).unwrap() {
        stranger.say(&[1, 0, 0, 0, id, 0, 24, 0, 80]).await;
        assert_eq!(stranger.hear().await, [66, 0, 0, 0, id]);
    }
    stranger.say(&[1, 0, 0, 0, 99, 0, 24, 0, 80]).await;
    assert_eq!(stranger.hear().await[..5], [69, 0, 0, 0, 99], "one too many");
    drop(stranger);
    root.ended().await.unwrap();
}

#[tokio::test]
async fn when_the_worker_is_gone_its_terminals_end() {
    let (root, socket) = Root::start(shell(), Roots::default(), None);
    let mut worker = Worker::join(socket).await;
    let mut line = worker.shell().await;
    let number = line.number("sh -c 'echo \"<$$>\"; exec sleep 10000'\n").await;
    // A dead worker says nothing more, so its link goes first.
    drop(worker);
    root.ended().await.unwrap();
    gone(&number).await;
}

#[tokio::test]
async fn when_root_is_gone_the_worker_is_told_and_gets_nothing_more() {
    let (root, socket) = Root::start(shell(), Roots::default(), None);
    let mut worker = Worker::join(socket).await;
    let mut line = worker.shell().await;
    drop(root);
    let end = worker.link.join_next().await.unwrap().unwrap();
    assert!(matches!(end, SeparationError::Gone), "{end}");
    assert_eq!(line.exit().await, Exit::Signal);
    assert!(matches!(worker.host.open_terminal(SIZE).await, Err(CommandError::Failed(_))));
}

#[tokio::test]
async fn root_asks_the_worker_to_leave_and_serves_it_until_it_has() {
    let (root, socket) = Root::start(shell(), Roots::default(), None);
    let mut worker = Worker::join(socket).await;
    let mut line = worker.shell().await;
    root.stop.cancel();
    worker.stop.cancelled().await;
    line.keys("exit 3\n");
    assert_eq!(line.exit().await, Exit::Status(3));
    drop(worker);
    root.ended().await.unwrap();
}

#[tokio::test]
async fn the_worker_is_given_what_it_cannot_read_itself() {
    let machine = tempfile::tempdir().unwrap();
    let dmi = machine.path().join("sys/class/dmi/id");
    fs::create_dir_all(&dmi).unwrap();
    fs::write(dmi.join("product_serial"), "SN-0042\n").unwrap();
    let key = Appliance::new().key();
    let roots = Roots::below(machine.path());
    let (_root, socket) = Root::start(nothing_allowed(), roots, Some(key.clone()));
    let Worker { host, given, .. } = Worker::join(socket).await;
    assert_eq!(given.key, Some(key));
    let mut host = host.with_serial_number(given.serial_number);
    assert_eq!(host.identity().await.serial_number, "SN-0042");
}

#[tokio::test]
async fn a_light_blinks_over_the_link_and_is_restored_when_the_worker_is_gone() {
    let machine = tempfile::tempdir().unwrap();
    let led = machine.path().join("sys/class/leds/green:status");
    fs::create_dir_all(&led).unwrap();
    fs::write(led.join("trigger"), "[none] timer\n").unwrap();
    fs::write(led.join("brightness"), "1\n").unwrap();
    let trigger = || fs::read_to_string(led.join("trigger")).unwrap();
    let (root, socket) = Root::start(Policy::default(), Roots::below(machine.path()), None);
    let mut worker = Worker::join(socket).await;
    worker.host.locate(Some(Duration::from_hours(1))).await.unwrap();
    assert_eq!(trigger(), "timer");
    assert!(worker.host.status().await.locating);
    worker.host.locate(None).await.unwrap();
    assert_eq!(trigger(), "none");
    worker.host.locate(Some(Duration::from_hours(1))).await.unwrap();
    drop(worker);
    root.ended().await.unwrap();
    let restored = async {
        while trigger() != "none" {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_mins(1), restored).await.expect("it blinks on");
}
