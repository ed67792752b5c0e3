//! The process' end of the connection: questions are read, answered side by side, and each answer
//! is written when it is there.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Uid, chown, getegid, geteuid};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::keeper::Keeper;
use crate::cut::cut;
use crate::vault::frame::{self, Answering, Asking};
use crate::vault::protocol::{Answer, Question, Refusal, Status, VERSION};

/// Questions of one connection that are answered at the same time.
const AT_A_TIME: usize = 16;
/// Connections at the same time.
const CONNECTIONS: usize = 8;

/// What all connections share.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) keeper: Arc<Keeper>,
    /// Held by who works on a key: that is slow, takes memory, and is what guessing costs.
    slow: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(keeper: Keeper) -> Self {
        Self { keeper: Arc::new(keeper), slow: Arc::new(Semaphore::new(1)) }
    }
}

/// Talks over standard input, which is a socket, until its other end is closed.
pub(super) async fn serve_parent(desk: Desk) -> Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    talk(&desk, UnixStream::from_std(socket)?).await
}

/// Who may connect to a unit's socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peers {
    /// The daemon's user and group, where they are others than the vault's own.
    pub(super) daemon: Option<(Uid, Gid)>,
}

impl Peers {
    fn may_ask(self, peer: u32) -> bool {
        let daemon = self.daemon.map(|(user, _)| user.as_raw());
        peer == 0 || peer == geteuid().as_raw() || Some(peer) == daemon
    }
}

/// Opens a unit's socket. The directory's lock says that nobody else serves it.
pub(super) fn listen(path: &Path, peers: Peers) -> Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(Error::new(ErrorKind::AlreadyExists, "there is another file")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    // Its unit gives it the daemon's group, and takes the right to change groups from it.
    if let Some((_, group)) = peers.daemon.filter(|(_, group)| *group != getegid()) {
        chown(path, None, Some(group))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves whoever connects and may.
pub(super) async fn serve_all(desk: Desk, listener: UnixListener, peers: Peers) {
    let mut talks = JoinSet::new();
    loop {
        while talks.len() >= CONNECTIONS {
            talks.join_next().await;
        }
        let accepted = listener.accept().await.and_then(|(stream, _)| {
            let peer = stream.peer_cred()?.uid();
            let refused = || Error::new(ErrorKind::PermissionDenied, format!("user {peer} asked"));
            if peers.may_ask(peer) { Ok(stream) } else { Err(refused()) }
        });
        match accepted {
            Ok(stream) => {
                let desk = desk.clone();
                talks.spawn(async move {
                    if let Err(error) = talk(&desk, stream).await {
                        tracing::warn!(%error, "a talk with the vault failed");
                    }
                });
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                tracing::warn!(%error, "somebody who may not asked the vault");
            }
            Err(error) => {
                tracing::warn!(%error, "the vault's socket does not accept");
                // Out of descriptors, most likely: they come back.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        while talks.try_join_next().is_some() {}
    }
}

/// One connection, until its other end is closed.
async fn talk(desk: &Desk, stream: UnixStream) -> Result<()> {
    let (mut read, mut write) = stream.into_split();
    let Some(mut told) = greet(desk, &mut read, &mut write).await? else { return Ok(()) };
    let (answers, mut ready) = mpsc::channel::<(u64, Answer)>(AT_A_TIME);
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let hearing = async {
        let mut tasks = JoinSet::new();
        loop {
            let place = Arc::clone(&places).acquire_owned().await.map_err(Error::other)?;
            let asking = match frame::read::<Asking>(&mut read).await {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            };
            let (desk, answers) = (desk.clone(), answers.clone());
            tasks.spawn(async move {
                let answer = answer(desk, asking.question).await;
                // Closed: who asked has left.
                answers.send((asking.number, answer)).await.ok();
                drop(place);
            });
            while tasks.try_join_next().is_some() {}
        }
    };
    let answering = async {
        while let Some((number, answer)) = ready.recv().await {
            let now = desk.keeper.status();
            let status = (told != now).then(|| now.clone());
            told = now;
            cut("vault-answering");
            frame::write(&mut write, &Answering { number, answer, status }).await?;
        }
        Ok(())
    };
    tokio::select! {
        heard = hearing => heard,
        answered = answering => answered,
    }
}

/// The first question names the version. None where both speak different ones.
async fn greet(
    desk: &Desk,
    read: &mut tokio::net::unix::OwnedReadHalf,
    write: &mut tokio::net::unix::OwnedWriteHalf,
) -> Result<Option<Status>> {
    let Asking { number, question } = match frame::read(read).await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let same = matches!(question, Question::Hello { version: VERSION });
    let answer = if same { Answer::Done } else { Answer::Refused(Refusal::Version(VERSION)) };
    frame::write(write, &Answering { number, answer, status: None }).await?;
    Ok(same.then(|| desk.keeper.status()))
}

async fn answer(desk: Desk, question: Question) -> Answer {
    let slow = if question.is_slow() { desk.slow.acquire_owned().await.ok() } else { None };
    let keeper = desk.keeper;
    let answered = tokio::task::spawn_blocking(move || {
        let answer = keeper.answer(question);
        drop(slow);
        answer
    });
    answered.await.unwrap_or_else(|_| {
        let told = "the vault's process could not answer; its log on standard error says why";
        Answer::Refused(Refusal::Failed(told.to_owned()))
    })
}

impl Question {
    /// Derives a key from a password: a second's work, and memory.
    fn is_slow(&self) -> bool {
        match self {
            Self::Create { .. }
            | Self::ProveKeyFile(_)
            | Self::Unseal(_)
            | Self::Split { .. }
            | Self::Enrol { .. }
            | Self::Unenrol { .. }
            | Self::Prove(_)
            | Self::Export { .. }
            | Self::BeginRekey { .. }
            | Self::Limit { .. } => true,
            Self::Hello { .. }
            | Self::Status
            | Self::SealNow
            | Self::Store(_)
            | Self::Open { .. }
            | Self::Grant { .. }
            | Self::EndGrant { .. }
            | Self::Make { .. }
            | Self::OpenForJob { .. }
            | Self::Reseal(_)
            | Self::EndRekey
            | Self::Log { .. } => false,
        }
    }
}
