//! One device's session: a task that owns the connection and the keys, and nobody else does.
//!
//! It sleeps until the device says something, a letter lies in its mailbox, or a keep-alive is due.
//! Everything the device sends has passed Noise before it is looked at, and is bounded before it
//! is decoded. A message that makes no sense ends this session and no other.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use aerie_protocol::inform::{
    self, FromAppliance, Goodbye, GoodbyeReason, KeepAlive, MessageError, RefusalReason, Reply,
    Request, TerminalOpen, from_appliance, from_device, request,
};
use aerie_protocol::noise::{self, MESSAGES_PER_SESSION, NoiseError};
use bytes::Bytes;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use zeroize::Zeroize as _;

use super::Devices;
use super::cell::Cell;
use super::mailbox::{Letter, Mailbox};
use super::terminal::{self, Shared};
use super::wire::{Frames, WireError};
use crate::vault::candidates::Moment;

/// A keep-alive is sent after a time between these, in milliseconds: a device gives up on an
/// appliance that says nothing for 30 s.
const KEEP_ALIVE: std::ops::Range<u64> = 15_000..20_000;
/// Keep-alives without any sign of life before the device counts as gone.
const MISSES: u8 = 2;
/// Age of one set of keys. An hour more than the device's own day, so that it usually leads.
const AGE: Duration = Duration::from_hours(25);
/// Requests that may wait for the device's reply.
const REQUESTS: usize = 32;
/// Terminals in one session.
const TERMINALS: usize = 4;
/// Refusals before a device is sent away.
const REFUSALS: u8 = 16;

/// Why a session ended.
#[derive(Debug, Error)]
pub(super) enum End {
    /// The device closed, or said goodbye.
    #[error("the device left")]
    Left,
    /// The appliance ended it on purpose.
    #[error("the appliance ended the session: {0:?}")]
    Told(GoodbyeReason),
    /// No sign of life.
    #[error("the device answered {MISSES} keep-alives in a row with nothing")]
    Silent,
    /// The connection.
    #[error("the connection failed")]
    Wire(#[from] WireError),
    /// A frame that was tampered with, replayed or out of order.
    #[error("a message did not pass the inner encryption")]
    Noise(#[from] NoiseError),
    /// Decrypted, but not a message.
    #[error("the device sent something that is no message")]
    Message(#[from] MessageError),
    /// It did what it was not allowed to.
    #[error("the device broke the rules: {0}")]
    Misbehaved(&'static str),
}

impl End {
    /// Worth a line in the owner's log: somebody did something that a sound device never does.
    pub(super) fn is_offence(&self) -> bool {
        matches!(
            self,
            Self::Noise(_)
                | Self::Message(_)
                | Self::Misbehaved(_)
                | Self::Wire(WireError::Protocol(_) | WireError::Text)
        )
    }
}

thread_local! {
    /// Plain text of the message at hand. One a thread, not one a session.
    static PLAIN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A session after its hello.
pub(super) struct Session<S> {
    pub(super) frames: Frames<S>,
    pub(super) noise: noise::Session,
    pub(super) cell: Arc<Cell>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) devices: Devices,
    pub(super) state: Box<State>,
}

/// What a session remembers between messages.
pub(super) struct State {
    started: Instant,
    sequence: u32,
    unanswered: u8,
    refusals: u8,
    next_request: u64,
    next_channel: u32,
    pending: Vec<(u64, oneshot::Sender<Reply>)>,
    terminals: Vec<Arc<Shared>>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            sequence: 0,
            unanswered: 0,
            refusals: 0,
            next_request: 1,
            next_channel: 1,
            pending: Vec::new(),
            terminals: Vec::new(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Runs until the session ends, and says why it did. Borrows, since a future that owned the
    /// session would hold it twice: once as its argument, once as its local.
    pub(super) async fn run(&mut self) -> End {
        let end = match self.live().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.mailbox.close();
        for terminal in &self.state.terminals {
            terminal.closed(None, "The connection to the device ended.");
        }
        let (code, reason) = match &end {
            End::Told(_) | End::Left => (CloseCode::Normal, "goodbye"),
            End::Silent => (CloseCode::Away, "no sign of life"),
            End::Wire(WireError::Protocol(_) | WireError::Text) => {
                (CloseCode::Protocol, "broke the WebSocket protocol")
            }
            End::Wire(_) => return end,
            End::Noise(_) | End::Message(_) | End::Misbehaved(_) => {
                (CloseCode::Policy, "message refused")
            }
        };
        self.frames.close(code, reason).await;
        end
    }

    async fn live(&mut self) -> Result<std::convert::Infallible, End> {
        let mut due = next_keep_alive();
        loop {
            tokio::select! {
                frame = self.frames.next() => {
                    let Some(frame) = frame? else { return Err(End::Left) };
                    self.receive(&frame).await?;
                }
                letter = self.mailbox.take() => self.deliver(letter).await?,
                () = sleep_until(due) => {
                    self.keep_alive().await?;
                    due = next_keep_alive();
                }
            }
        }
    }

    // ------------------------------------------------------------ towards the device

    /// Encrypts and sends one message.
    pub(super) async fn send(&mut self, body: from_appliance::Body) -> Result<(), End> {
        let sealed = self.seal(body)?;
        Ok(self.frames.send(sealed).await?)
    }

    /// Encrypts one message. Apart from sending, so that nobody holds it meanwhile.
    fn seal(&mut self, body: from_appliance::Body) -> Result<Bytes, End> {
        let mut sealed = Vec::new();
        let message = FromAppliance::from(body);
        PLAIN.with_borrow_mut(|plain| {
            inform::encode_from_appliance(&message, plain)?;
            let done = self.noise.seal(plain, &mut sealed);
            // The buffer is everybody's, and stays.
            if message.is_secret() {
                plain.zeroize();
            }
            Ok::<_, End>(done?)
        })?;
        Ok(Bytes::from(sealed))
    }

    async fn keep_alive(&mut self) -> Result<(), End> {
        if self.state.unanswered >= MISSES {
            return Err(End::Silent);
        }
        if self.noise.messages() >= MESSAGES_PER_SESSION || self.state.started.elapsed() >= AGE {
            return Err(self.goodbye(GoodbyeReason::Rehandshake, 0).await);
        }
        self.state.unanswered += 1;
        self.state.sequence = self.state.sequence.wrapping_add(1);
        let sequence = self.state.sequence;
        self.send(from_appliance::Body::KeepAlive(KeepAlive { sequence })).await
    }

    async fn deliver(&mut self, letter: Letter) -> Result<(), End> {
        match letter {
            Letter::Send(message) => match message.body {
                Some(body) => self.send(body).await,
                None => Ok(()),
            },
            Letter::Ask(verb, reply) => self.ask(verb, reply).await,
            Letter::Terminal(terminal) => self.open_terminal(terminal).await,
            Letter::End(reason, retry_after) => Err(self.goodbye(reason, retry_after).await),
            Letter::Forget => {
                self.send(from_appliance::Body::Forget(inform::Forget {})).await?;
                Err(self.goodbye(GoodbyeReason::Deleted, 0).await)
            }
        }
    }

    async fn goodbye(&mut self, reason: GoodbyeReason, retry_after_seconds: u32) -> End {
        let body = Goodbye { reason: reason.into(), retry_after_seconds };
        match self.send(from_appliance::Body::Goodbye(body)).await {
            Ok(()) => End::Told(reason),
            Err(end) => end,
        }
    }

    async fn ask(&mut self, verb: request::Verb, reply: oneshot::Sender<Reply>) -> Result<(), End> {
        self.state.pending.retain(|(_, waiting)| !waiting.is_closed());
        if self.state.pending.len() >= REQUESTS {
            // Dropping the sender tells who asked.
            return Ok(());
        }
        let request_id = self.state.next_request;
        self.state.next_request += 1;
        self.state.pending.push((request_id, reply));
        self.send(from_appliance::Body::Request(Request { request_id, verb: Some(verb) })).await
    }

    async fn open_terminal(&mut self, terminal: Arc<Shared>) -> Result<(), End> {
        self.state.terminals.retain(|other| !other.ended());
        if self.state.terminals.len() >= TERMINALS {
            terminal.closed(None, "Too many terminals are open on this device; close one first.");
            return Ok(());
        }
        let channel = self.state.next_channel;
        let Some(size) = terminal.begin(channel) else { return Ok(()) };
        self.state.next_channel += 1;
        self.state.terminals.push(terminal);
        self.send(from_appliance::Body::TerminalOpen(TerminalOpen {
            channel,
            rows: size.rows.into(),
            columns: size.columns.into(),
            credit: terminal::WINDOW,
        }))
        .await
    }

    // ------------------------------------------------------------ from the device

    async fn receive(&mut self, frame: &[u8]) -> Result<(), End> {
        let answer = PLAIN.with_borrow_mut(|plain| {
            self.noise.open(frame, plain)?;
            self.state.unanswered = 0;
            match inform::decode_from_device(plain) {
                Ok(message) => match message.body.ok_or(MessageError::Empty)? {
                    body if self.cell.is_authorized() => self.take(body, plain),
                    body => self.quarantined(&body),
                },
                // A newer agent may say more than we know.
                Err(MessageError::Unknown { number }) => self.not_known(number),
                Err(error) => Err(error.into()),
            }
        })?;
        match answer {
            Some(body) => self.send(body).await,
            None => Ok(()),
        }
    }

    /// From a device that waits to be let in, only who it is and that it lives is heard.
    fn quarantined(
        &mut self,
        body: &from_device::Body,
    ) -> Result<Option<from_appliance::Body>, End> {
        match body {
            from_device::Body::Hello(hello) => {
                self.devices.heard_hello(&self.cell, hello);
                self.devices.heard_passwords(&self.cell, hello, Moment::Underway);
                Ok(None)
            }
            from_device::Body::KeepAlive(_) => {
                self.cell.touch(self.devices.now());
                Ok(None)
            }
            from_device::Body::Goodbye(_) => Err(End::Left),
            _ => self.no(
                RefusalReason::NotAuthorized,
                "An admin has not authorised this device yet.".to_owned(),
            ),
        }
    }

    fn not_known(&mut self, number: u32) -> Result<Option<from_appliance::Body>, End> {
        self.no(
            RefusalReason::UnknownRequest,
            format!("This appliance does not know message kind {number}; update it."),
        )
    }

    /// Refuses in words, for as long as the device takes a no for an answer.
    fn no(
        &mut self,
        reason: RefusalReason,
        detail: String,
    ) -> Result<Option<from_appliance::Body>, End> {
        if self.state.refusals >= REFUSALS {
            return Err(End::Misbehaved("it kept sending what was refused"));
        }
        self.state.refusals += 1;
        let refusal = inform::Refusal { reason: reason.into(), detail };
        Ok(Some(from_appliance::Body::Refusal(refusal)))
    }

    fn take(
        &mut self,
        body: from_device::Body,
        plain: &[u8],
    ) -> Result<Option<from_appliance::Body>, End> {
        match body {
            from_device::Body::Status(status) => {
                self.devices.heard_status(&self.cell, &status, plain);
            }
            from_device::Body::KeepAlive(_) => self.cell.touch(self.devices.now()),
            from_device::Body::Hello(hello) => {
                self.devices.heard_hello(&self.cell, &hello);
                self.devices.heard_passwords(&self.cell, &hello, Moment::Underway);
            }
            from_device::Body::Reply(reply) => {
                let known = self.state.pending.iter().position(|(id, _)| *id == reply.request_id);
                if let Some(index) = known {
                    // Who asked may have gone; then nobody misses the reply.
                    self.state.pending.swap_remove(index).1.send(reply).ok();
                }
            }
            from_device::Body::TerminalOpened(opened) => {
                if let Some(terminal) = self.terminal(opened.channel) {
                    terminal.opened(opened.credit);
                }
            }
            from_device::Body::TerminalData(data) => {
                if let Some(terminal) = self.terminal(data.channel) {
                    terminal
                        .output(data.data)
                        .map_err(|_| End::Misbehaved("terminal output beyond its credit"))?;
                }
            }
            from_device::Body::TerminalCredit(credit) => {
                if let Some(terminal) = self.terminal(credit.channel) {
                    terminal.add_input_credit(credit.bytes);
                }
            }
            from_device::Body::TerminalClosed(closed) => self.terminal_closed(closed),
            from_device::Body::Goodbye(_) => return Err(End::Left),
        }
        Ok(None)
    }

    fn terminal(&self, channel: u32) -> Option<&Arc<Shared>> {
        self.state.terminals.iter().find(|terminal| terminal.channel() == channel)
    }

    fn terminal_closed(&mut self, closed: inform::TerminalClosed) {
        let Some(terminal) = self.terminal(closed.channel) else { return };
        let message = match closed.refusal {
            Some(refusal) => {
                super::snapshot::refusal_text("The device refused the terminal", &refusal)
            }
            None => "The session on the device ended.".to_owned(),
        };
        terminal.closed(closed.exit_status, message);
        self.state.terminals.retain(|terminal| terminal.channel() != closed.channel);
    }
}

fn next_keep_alive() -> Instant {
    Instant::now() + Duration::from_millis(super::jitter::between(KEEP_ALIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand sessions keep their futures all day: a local that is held over an await, or a
    /// session held twice, shows here first.
    #[test]
    fn the_future_of_a_session_is_hardly_larger_than_the_session() {
        type Stream = tokio::net::TcpStream;
        fn size<'a, F: Future>(_: impl FnOnce(&'a mut Session<Stream>) -> F) -> usize {
            size_of::<F>()
        }
        let future = size(Session::run);
        println!("session {}, future {future}", size_of::<Session<Stream>>());
        assert!(future <= 1024, "the future of a session has {future} bytes");
    }
}
