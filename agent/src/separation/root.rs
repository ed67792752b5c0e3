//! Root's side: carries out the verbs, under the device's own policy, and nothing else.

use std::{
    convert::Infallible,
    future::poll_fn,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    task::Poll,
    time::Duration,
};

use aerie_protocol::key::DeviceKey;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    SeparationError,
    frame::{Begin, LONGEST_VERB, Notice, Verb},
    passwords::PasswordVerb,
    socket::Socket,
};
use crate::{
    host::{CommandError, Direct, Privileges as _, Roots, pty::PtyProgram, serial_number},
    terminal::{Exit, MOST_TERMINALS, Program as _},
};

/// How long programs may take to end once nobody sits at their terminals any more.
const GRACE: Duration = Duration::from_secs(2);

/// Serves the worker at the other end of the socket until it is gone, and ends its terminals.
/// `key` is the command line's. Once `stop` is cancelled, the worker is asked to leave.
pub async fn serve(
    socket: OwnedFd,
    direct: Direct,
    roots: &Roots,
    key: Option<DeviceKey>,
    stop: &CancellationToken,
) -> Result<(), SeparationError> {
    let socket = Socket::new(socket).map_err(SeparationError::Socket)?;
    let begin = Notice::Begin(Begin {
        key,
        serial_number: serial_number(roots),
        terminal: direct.terminal_allowed(),
        restart: direct.may_restart().is_ok(),
    });
    let mut root = Root { socket, direct, open: Vec::new() };
    let Err(end) = root.serve(&begin, stop).await;
    root.end_terminals().await;
    match end {
        SeparationError::Gone => Ok(()),
        broken => Err(broken),
    }
}

struct Root {
    socket: Socket,
    direct: Direct,
    open: Vec<Open>,
}

/// A program in a terminal; the worker has the line.
struct Open {
    id: u32,
    program: PtyProgram,
}

impl Root {
    /// Until the worker is gone, or breaks the rules.
    async fn serve(
        &mut self,
        begin: &Notice,
        stop: &CancellationToken,
    ) -> Result<Infallible, SeparationError> {
        self.tell(begin, None).await?;
        let mut asked_to_stop = false;
        loop {
            let Self { socket, open, .. } = self;
            tokio::select! {
                received = socket.receive(LONGEST_VERB, false) => {
                    self.obey(Verb::decode(&received?.bytes)?).await?;
                }
                (id, exit) = next_exit(open) => {
                    tracing::info!(terminal = id, ?exit, "a terminal's program ended");
                    self.tell(&Notice::Ended { id, exit }, None).await?;
                }
                () = stop.cancelled(), if !asked_to_stop => {
                    asked_to_stop = true;
                    self.tell(&Notice::Stop, None).await?;
                }
            }
        }
    }

    /// Waits while the worker does not read: it gets no further verb done meanwhile.
    async fn tell(
        &self,
        notice: &Notice,
        line: Option<BorrowedFd<'_>>,
    ) -> Result<(), SeparationError> {
        self.socket.send(&notice.encode(), line).await
    }

    async fn obey(&mut self, verb: Verb) -> Result<(), SeparationError> {
        tracing::debug!(?verb, "the unprivileged process asks");
        match verb {
            Verb::OpenTerminal { id, size } => {
                match self.admits(id).and_then(|()| self.direct.open(size)) {
                    Ok(opened) => {
                        tracing::info!(terminal = id, "a terminal was opened");
                        // Kept first: it is ended with the others if the worker is gone.
                        self.open.push(Open { id, program: opened.program });
                        self.tell(&Notice::Opened { id }, Some(opened.line.as_fd())).await
                    }
                    Err(error) => self.refuse(id, error).await,
                }
            }
            // What is not open any more may just have ended.
            Verb::HangUp { id } => {
                self.find(id).map(PtyProgram::hang_up);
                Ok(())
            }
            Verb::Kill { id } => {
                self.find(id).map(PtyProgram::kill);
                Ok(())
            }
            Verb::Restart { id } => {
                tracing::warn!("restarting on the appliance's order");
                let restarted = self.direct.restart().await;
                self.answer(id, restarted).await
            }
            Verb::Locate { id, duration } => {
                let located = self.direct.locate(duration).await;
                self.answer(id, located).await
            }
            Verb::Passwords { id, verb } => self.obey_about_passwords(id, verb).await,
        }
    }

    async fn obey_about_passwords(
        &mut self,
        id: u32,
        verb: PasswordVerb,
    ) -> Result<(), SeparationError> {
        let held = match verb {
            PasswordVerb::Held => self.direct.passwords().await,
            PasswordVerb::Set(set) => self.direct.set_password(set).await.map(|held| vec![held]),
            PasswordVerb::Try(tried) => match self.direct.try_password(tried).await {
                Ok(()) => return self.tell(&Notice::Done { id }, None).await,
                Err(error) => Err(error),
            },
        };
        let notice = match held {
            Ok(held) => Notice::Held { id, held },
            Err(error) => Notice::Refused { id, error },
        };
        self.tell(&notice, None).await
    }

    fn admits(&self, id: u32) -> Result<(), CommandError> {
        if self.open.len() >= MOST_TERMINALS || self.open.iter().any(|open| open.id == id) {
            return Err(CommandError::Failed(format!(
                "{MOST_TERMINALS} terminals are open on this device: close one first"
            )));
        }
        Ok(())
    }

    fn find(&mut self, id: u32) -> Option<&mut PtyProgram> {
        self.open.iter_mut().find(|open| open.id == id).map(|open| &mut open.program)
    }

    async fn answer(
        &self,
        id: u32,
        outcome: Result<(), CommandError>,
    ) -> Result<(), SeparationError> {
        match outcome {
            Ok(()) => self.tell(&Notice::Done { id }, None).await,
            Err(error) => self.refuse(id, error).await,
        }
    }

    async fn refuse(&self, id: u32, error: CommandError) -> Result<(), SeparationError> {
        tracing::warn!(%error, "the unprivileged process was refused");
        let notice = match error {
            CommandError::NotAllowed(_) => Notice::NotAllowed { id },
            CommandError::Failed(reason) => Notice::Failed { id, reason },
        };
        self.tell(&notice, None).await
    }

    /// Hangs up everywhere; what does not end by that is killed.
    async fn end_terminals(&mut self) {
        for open in &mut self.open {
            open.program.hang_up();
        }
        let ended = async {
            while !self.open.is_empty() {
                next_exit(&mut self.open).await;
            }
        };
        if timeout(GRACE, ended).await.is_err() {
            tracing::warn!(left = self.open.len(), "killing what ignores the hang-up");
            for open in &mut self.open {
                open.program.kill();
            }
            self.open.clear();
        }
    }
}

/// Waits until a program has ended, for ever while none runs; it is open no longer. Cancel-safe.
async fn next_exit(open: &mut Vec<Open>) -> (u32, Exit) {
    poll_fn(|context| {
        for (place, Open { id, program }) in open.iter_mut().enumerate() {
            if let Poll::Ready(exit) = program.poll_exit(context) {
                let id = *id;
                open.swap_remove(place);
                return Poll::Ready((id, exit));
            }
        }
        Poll::Pending
    })
    .await
}
