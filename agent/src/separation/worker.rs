//! The worker's side: the privileges it asks root for, and the link over which it asks.
//!
//! [`Remote`] is what the host has; [`Link`] is polled beside the agent and owns everything that
//! is under way. A `Remote` whose link is gone refuses everything.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use aerie_protocol::{
    inform::{HeldPassword, SetPassword, TryPassword},
    key::DeviceKey,
};
use nix::{sys::prctl, unistd::geteuid};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::sync::CancellationToken;

use super::{
    SeparationError,
    frame::{Begin, LONGEST_NOTICE, Notice, Verb},
    passwords::PasswordVerb,
    socket::Socket,
};
use crate::{
    host::{
        CommandError, Privileges, line,
        privileges::{LOCATE_OFF, RESTART_OFF, TERMINAL_OFF},
        pty,
    },
    passwords::PasswordError,
    terminal::{Exit, Program, Terminal, WindowSize},
};

/// Calls under way between the host and the link: one question, and the ends of some terminals.
const MOST_CALLS: usize = 64;

/// Makes sure that this process can never do more than it should: no program it might start gains
/// rights, and nobody of the same account looks into its memory, where the keys are.
pub fn confine() -> Result<(), SeparationError> {
    if geteuid().is_root() {
        return Err(SeparationError::NotAWorker);
    }
    prctl::set_no_new_privs()
        .and_then(|()| prctl::set_dumpable(false))
        // It was started as /proc/self/exe, and `ps` would say "exe".
        .and_then(|()| prctl::set_name(c"aerie-agent"))
        .map_err(|errno| SeparationError::Confine(errno.into()))
}

/// What root gave the worker at the start.
#[derive(Debug)]
pub struct Given {
    /// The key of the command line.
    pub key: Option<DeviceKey>,
    /// The machine's serial number; empty without one.
    pub serial_number: String,
}

/// Takes up the conversation with root.
pub async fn join(socket: OwnedFd) -> Result<(Remote, Link, Given), SeparationError> {
    let socket = Socket::new(socket).map_err(SeparationError::Socket)?;
    let (Notice::Begin(begin), None) = next(&socket).await? else {
        return Err(SeparationError::Nonsense);
    };
    let Begin { key, serial_number, terminal, restart } = begin;
    let (calls, called) = mpsc::channel(MOST_CALLS);
    let remote = Remote { calls, terminal, restart };
    let link = Link { socket, called, last_id: 0, asked: HashMap::new(), open: HashMap::new() };
    Ok((remote, link, Given { key, serial_number }))
}

async fn next(socket: &Socket) -> Result<(Notice, Option<OwnedFd>), SeparationError> {
    let received = socket.receive(LONGEST_NOTICE, true).await?;
    Ok((Notice::decode(&received.bytes)?, received.descriptor))
}

type Answer<T> = oneshot::Sender<Result<T, CommandError>>;
type PasswordAnswer<T> = oneshot::Sender<Result<T, PasswordError>>;

/// What the host wants of root.
#[derive(Debug)]
enum Call {
    Open(WindowSize, Answer<Opened>),
    Restart(Answer<()>),
    Locate(Option<Duration>, Answer<()>),
    Held(PasswordAnswer<Vec<HeldPassword>>),
    Set(SetPassword, PasswordAnswer<Vec<HeldPassword>>),
    Try(TryPassword, PasswordAnswer<()>),
    HangUp(u32),
    Kill(u32),
}

/// A terminal that root has opened.
#[derive(Debug)]
struct Opened {
    id: u32,
    line: OwnedFd,
    ended: oneshot::Receiver<Exit>,
}

/// The privileges of a process that has none: root is asked.
#[derive(Debug)]
pub struct Remote {
    calls: mpsc::Sender<Call>,
    terminal: bool,
    restart: bool,
}

impl Remote {
    async fn ask<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, CommandError> {
        let gone = || CommandError::Failed("the agent is ending".to_owned());
        let (answer, answered) = oneshot::channel();
        self.calls.send(call(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn ask_password<T>(
        &self,
        call: impl FnOnce(PasswordAnswer<T>) -> Call,
    ) -> Result<T, PasswordError> {
        let gone = || PasswordError::Failed("the agent is ending".to_owned());
        let (answer, answered) = oneshot::channel();
        self.calls.send(call(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Privileges for Remote {
    fn terminal_allowed(&self) -> bool {
        self.terminal
    }

    fn may_restart(&self) -> Result<(), CommandError> {
        if self.restart { Ok(()) } else { Err(CommandError::NotAllowed(RESTART_OFF)) }
    }

    async fn restart(&mut self) -> Result<(), CommandError> {
        self.ask(Call::Restart).await
    }

    async fn locate(&mut self, duration: Option<Duration>) -> Result<(), CommandError> {
        self.ask(|answer| Call::Locate(duration, answer)).await
    }

    async fn open_terminal(&mut self, size: WindowSize) -> Result<Terminal, CommandError> {
        let Opened { id, line, ended } = self.ask(|answer| Call::Open(size, answer)).await?;
        let program = RemoteProgram { id, calls: self.calls.clone(), ended, exit: None };
        line::terminal(line, program).map_err(|error| pty::failed(&error))
    }

    async fn passwords(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        self.ask_password(Call::Held).await
    }

    async fn set_password(&mut self, set: SetPassword) -> Result<HeldPassword, PasswordError> {
        let held = self.ask_password(|answer| Call::Set(set, answer)).await?;
        let none =
            || PasswordError::Failed("root's process did not say what it has done".to_owned());
        held.into_iter().next().ok_or_else(none)
    }

    async fn try_password(&mut self, tried: TryPassword) -> Result<(), PasswordError> {
        self.ask_password(|answer| Call::Try(tried, answer)).await
    }
}

/// A program that root has started.
struct RemoteProgram {
    id: u32,
    calls: mpsc::Sender<Call>,
    ended: oneshot::Receiver<Exit>,
    exit: Option<Exit>,
}

impl RemoteProgram {
    fn call(&self, call: Call) {
        // Without a link, root is gone, or ends what the worker leaves behind.
        if self.exit.is_none()
            && let Err(TrySendError::Full(_)) = self.calls.try_send(call)
        {
            tracing::warn!(terminal = self.id, "cannot ask for the end of a terminal's program");
        }
    }
}

impl Program for RemoteProgram {
    fn poll_exit(&mut self, context: &mut Context<'_>) -> Poll<Exit> {
        if let Some(exit) = self.exit {
            return Poll::Ready(exit);
        }
        let exit = ready!(Pin::new(&mut self.ended).poll(context)).unwrap_or(Exit::Signal);
        self.exit = Some(exit);
        Poll::Ready(exit)
    }

    fn hang_up(&mut self) {
        self.call(Call::HangUp(self.id));
    }

    fn kill(&mut self) {
        self.call(Call::Kill(self.id));
    }
}

impl Drop for RemoteProgram {
    fn drop(&mut self) {
        self.call(Call::Kill(self.id));
    }
}

/// A question that root has not answered yet.
#[derive(Debug)]
enum Asked {
    Open(Answer<Opened>),
    Restart(Answer<()>),
    Locate(Answer<()>),
    Held(PasswordAnswer<Vec<HeldPassword>>),
    Try(PasswordAnswer<()>),
}

/// The conversation with root.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    called: mpsc::Receiver<Call>,
    last_id: u32,
    asked: HashMap<u32, Asked>,
    /// Who waits for the end of which terminal's program.
    open: HashMap<u32, oneshot::Sender<Exit>>,
}

impl Link {
    /// Carries questions and answers until root is gone, which is the error it returns. Cancels
    /// `stop` when root asks the worker to leave; until then, and while it leaves, it is to be
    /// polled.
    pub async fn run(mut self, stop: &CancellationToken) -> SeparationError {
        loop {
            let done = tokio::select! {
                notice = next(&self.socket) => match notice {
                    Ok((notice, line)) => self.hear(notice, line, stop).await,
                    Err(error) => Err(error),
                },
                Some(call) = self.called.recv() => self.ask(call).await,
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    async fn say(&self, verb: Verb) -> Result<(), SeparationError> {
        self.socket.send(&verb.encode(), None).await
    }

    async fn ask(&mut self, call: Call) -> Result<(), SeparationError> {
        self.last_id = self.last_id.wrapping_add(1);
        let id = self.last_id;
        let (verb, asked) = match call {
            Call::Open(size, answer) => (Verb::OpenTerminal { id, size }, Asked::Open(answer)),
            Call::Restart(answer) => (Verb::Restart { id }, Asked::Restart(answer)),
            Call::Locate(duration, answer) => {
                (Verb::Locate { id, duration }, Asked::Locate(answer))
            }
            Call::Held(answer) => {
                (Verb::Passwords { id, verb: PasswordVerb::Held }, Asked::Held(answer))
            }
            Call::Set(set, answer) => {
                (Verb::Passwords { id, verb: PasswordVerb::Set(set) }, Asked::Held(answer))
            }
            Call::Try(tried, answer) => {
                (Verb::Passwords { id, verb: PasswordVerb::Try(tried) }, Asked::Try(answer))
            }
            Call::HangUp(id) => return self.say(Verb::HangUp { id }).await,
            Call::Kill(id) => return self.say(Verb::Kill { id }).await,
        };
        self.asked.insert(id, asked);
        self.say(verb).await
    }

    async fn hear(
        &mut self,
        notice: Notice,
        line: Option<OwnedFd>,
        stop: &CancellationToken,
    ) -> Result<(), SeparationError> {
        match notice {
            Notice::Begin(_) => return Err(SeparationError::Nonsense),
            Notice::Opened { id } => {
                let (Some(Asked::Open(answer)), Some(line)) = (self.asked.remove(&id), line) else {
                    return Err(SeparationError::Nonsense);
                };
                let (end, ended) = oneshot::channel();
                self.open.insert(id, end);
                if answer.send(Ok(Opened { id, line, ended })).is_err() {
                    // The session that wanted it is over.
                    return self.say(Verb::Kill { id }).await;
                }
            }
            Notice::Done { id } => match self.asked.remove(&id) {
                Some(Asked::Restart(answer) | Asked::Locate(answer)) => tell(answer, Ok(())),
                Some(Asked::Try(answer)) => tell(answer, Ok(())),
                Some(Asked::Open(_) | Asked::Held(_)) | None => {
                    return Err(SeparationError::Nonsense);
                }
            },
            Notice::Held { id, held } => match self.asked.remove(&id) {
                Some(Asked::Held(answer)) => tell(answer, Ok(held)),
                _ => return Err(SeparationError::Nonsense),
            },
            Notice::Refused { id, error } => match self.asked.remove(&id) {
                Some(Asked::Held(answer)) => tell(answer, Err(error)),
                Some(Asked::Try(answer)) => tell(answer, Err(error)),
                _ => return Err(SeparationError::Nonsense),
            },
            Notice::NotAllowed { id } => self.refused(id, CommandError::NotAllowed)?,
            Notice::Failed { id, reason } => self.refused(id, |_| CommandError::Failed(reason))?,
            Notice::Ended { id, exit } => {
                if let Some(waiting) = self.open.remove(&id)
                    && waiting.send(exit).is_err()
                {
                    tracing::debug!(terminal = id, "nobody waits for its end");
                }
            }
            Notice::Stop => {
                tracing::info!("asked to stop");
                stop.cancel();
            }
        }
        Ok(())
    }

    /// Passes a "no" on, in the words that the host itself would have used.
    fn refused(
        &mut self,
        id: u32,
        error: impl FnOnce(&'static str) -> CommandError,
    ) -> Result<(), SeparationError> {
        match self.asked.remove(&id).ok_or(SeparationError::Nonsense)? {
            Asked::Open(answer) => tell(answer, Err(error(TERMINAL_OFF))),
            Asked::Restart(answer) => tell(answer, Err(error(RESTART_OFF))),
            Asked::Locate(answer) => tell(answer, Err(error(LOCATE_OFF))),
            Asked::Held(_) | Asked::Try(_) => return Err(SeparationError::Nonsense),
        }
        Ok(())
    }
}

fn tell<T, E>(answer: oneshot::Sender<Result<T, E>>, outcome: Result<T, E>) {
    if answer.send(outcome).is_err() {
        tracing::debug!("the session that asked is over");
    }
}
