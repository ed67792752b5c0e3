//! The daemon's end of the connection: the process as a child, or the socket of one that is a unit
//! of its own. Lost, it is made anew.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::{Asked, Vault};
use super::frame::{self, Answering, Asking};
use super::protocol::{Answer, Question, Status, VERSION};
use crate::cut;
use crate::supervisor::{DEADLINE, Supervisor};

/// Questions that wait for the connection.
const WAITING: usize = 64;
/// How long a new connection may take until it has told how the vault is.
const GREETING: Duration = Duration::from_secs(10);
/// The first wait before another connection, and the longest. Each is twice the one before.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(15));
/// When the daemon stops: until what was asked is answered.
const ENDING: Duration = Duration::from_secs(4);
/// Until the child has ended after its socket has.
const CHILD_ENDING: Duration = Duration::from_secs(2);

/// Where the process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// A child of the daemon. It ends with the daemon.
    Child {
        /// The program `aerie`.
        program: PathBuf,
        /// The vault's directory.
        directory: PathBuf,
    },
    /// A unit of its own behind this socket.
    Unit(PathBuf),
}

/// Who waits for an answer, by number.
#[derive(Default)]
struct Pending {
    askers: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    /// One fewer waits.
    answered: Notify,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Connects to the process, and again whenever that is lost. Waits for the first connection, but
    /// not for ever: without its vault the appliance still does everything else.
    pub async fn start(process: Process, supervisor: &Supervisor) -> Self {
        let (questions, asked) = mpsc::channel(WAITING);
        let (told, status) = watch::channel(None);
        let link = Link { process, asked, told, stop: supervisor.token(), number: 0 };
        // A vault that is dead or hangs is waited for: without it the daemon does everything else.
        supervisor.spawn_essential("vault", DEADLINE, async move |mut heartbeat| {
            heartbeat.during(link.keep()).await;
        });
        let mut first = status.clone();
        if timeout(GREETING, first.wait_for(Option::is_some)).await.is_err() {
            tracing::error!("the vault's process does not answer; going on without it");
        }
        Self { questions, status }
    }
}

struct Link {
    process: Process,
    asked: mpsc::Receiver<Asked>,
    told: watch::Sender<Option<Status>>,
    stop: CancellationToken,
    /// Of the last question.
    number: u64,
}

/// A connection, and the child at its other end if it is one.
struct Connection {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    child: Option<Child>,
}

impl Link {
    async fn keep(mut self) {
        let (mut wait, longest) = WAITS;
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.reach()).await {
                None => return,
                Some(Ok(connection)) => {
                    wait = WAITS.0;
                    let ended = self.serve(connection).await;
                    self.told.send_replace(None);
                    if ended.is_ok() {
                        return;
                    }
                    tracing::error!(error = ?ended, "the vault's process is gone; starting it anew");
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the vault's process cannot be reached; trying again");
                }
            }
            if stop.run_until_cancelled(self.refuse_for(wait)).await.is_none() {
                return;
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// Nobody waits for a vault that is not there.
    async fn refuse_for(&mut self, wait: Duration) {
        let end = tokio::time::Instant::now() + wait;
        while let Ok(Some(asked)) = tokio::time::timeout_at(end, self.asked.recv()).await {
            drop(asked);
        }
        tokio::time::sleep_until(end).await;
    }

    async fn reach(&mut self) -> Result<Connection> {
        let mut connection = match &self.process {
            Process::Child { program, directory } => start_child(program, directory)?,
            Process::Unit(socket) => {
                let (read, write) = UnixStream::connect(socket).await?.into_split();
                Connection { read, write, child: None }
            }
        };
        let greeted = timeout(GREETING, self.greet(&mut connection)).await;
        let status = greeted.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))?;
        self.told.send_replace(Some(status));
        Ok(connection)
    }

    async fn greet(&mut self, connection: &mut Connection) -> Result<Status> {
        let hello = Question::Hello { version: VERSION };
        for question in [hello, Question::Status] {
            self.number += 1;
            let asking = Asking { number: self.number, question };
            frame::write(&mut connection.write, &asking).await?;
            let told: Answering = frame::read(&mut connection.read).await?;
            match told.answer {
                Answer::Status(status) => return Ok(status),
                Answer::Refused(refusal) => return Err(Error::other(refusal)),
                _ => {}
            }
        }
        Err(Error::new(ErrorKind::InvalidData, "it does not tell how it is"))
    }

    /// Until the connection is lost, which is an error, or the daemon stops.
    async fn serve(&mut self, connection: Connection) -> Result<()> {
        let Connection { read, write, child } = connection;
        let pending = Pending::default();
        let stop = self.stop.clone();
        let ended = {
            let hearing = hear(read, &pending, &self.told);
            let asking = ask(write, &pending, &mut self.asked, &mut self.number);
            tokio::pin!(hearing, asking);
            tokio::select! {
                heard = &mut hearing => heard,
                asked = &mut asking => asked,
                () = stop.cancelled() => {
                    let all = async {
                        while !pending.lock().is_empty() {
                            tokio::select! {
                                heard = &mut hearing => return heard,
                                asked = &mut asking => return asked,
                                () = pending.answered.notified() => {}
                            }
                        }
                        Ok(())
                    };
                    drop(timeout(ENDING, all).await);
                    Ok(())
                }
            }
        };
        // The socket's end is closed with the two halves: the child ends by itself.
        if let Some(mut child) = child
            && timeout(CHILD_ENDING, child.wait()).await.is_err()
        {
            child.kill().await.ok();
        }
        ended
    }
}

/// Passes questions on.
async fn ask(
    mut write: OwnedWriteHalf,
    pending: &Pending,
    asked: &mut mpsc::Receiver<Asked>,
    number: &mut u64,
) -> Result<()> {
    while let Some(Asked { question, answer }) = asked.recv().await {
        *number += 1;
        pending.lock().insert(*number, answer);
        frame::write(&mut write, &Asking { number: *number, question }).await?;
    }
    // Nobody can ask any more; the process stays for as long as the daemon does.
    std::future::pending().await
}

/// Brings answers back. How the vault is now is told before the answer that it changed with.
async fn hear(
    mut read: OwnedReadHalf,
    pending: &Pending,
    told: &watch::Sender<Option<Status>>,
) -> Result<()> {
    loop {
        let Answering { number, answer, status } = frame::read(&mut read).await?;
        if status.is_some() {
            told.send_replace(status);
        }
        if let Some(asker) = pending.lock().remove(&number) {
            // Who asked may have left.
            asker.send(answer).ok();
        }
        pending.answered.notify_one();
    }
}

/// Starts the program. It gets its end of a pair of sockets as standard input, and
/// ends when ours is closed: with the daemon, however that ends.
fn start_child(program: &Path, directory: &Path) -> Result<Connection> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = StdCommand::new(program);
    command.arg0("aerie").arg("vault").arg("--child").arg(directory);
    // Nothing of the daemon's: its environment names credentials.
    command.env_clear().env("MALLOC_ARENA_MAX", "1");
    cut::inherit(&mut command);
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
    // Signals of the terminal are for the daemon, which stops the child last.
    command.process_group(0);
    let child = Command::from(command).kill_on_drop(true).spawn()?;
    let (read, write) = UnixStream::from_std(ours)?.into_split();
    Ok(Connection { read, write, child: Some(child) })
}
