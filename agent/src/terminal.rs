//! Terminals of one session: flow control, window size, exit status.
//!
//! Nothing here knows what runs behind a terminal; a [`Terminal`] comes from the host. No byte is
//! read from it without credit from the appliance, so a program that never stops printing is held
//! back by its own PTY and costs no memory. The other way, the device grants [`INPUT_WINDOW`].
//! All state sits in [`Terminals`]: no task, no channel, and what is dropped is gone.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep, timeout},
};

/// Terminals open at one time.
pub const MOST_TERMINALS: usize = 4;
/// Bytes of keystrokes that may be on their way to one terminal.
pub const INPUT_WINDOW: u32 = 16 * 1024;

/// Bytes of output in one message.
const CHUNK: usize = 4096;
/// Written keystrokes are granted again in portions of this size.
const GRANT: u32 = INPUT_WINDOW / 2;
/// How long a program may take to end after the hang-up.
const GRACE: Duration = Duration::from_secs(2);
/// How long output may be silent after the program's end before the rest is given up: a process
/// that it left behind can hold the terminal open for ever.
const LINGER: Duration = Duration::from_millis(300);

/// The size of a terminal's window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

impl WindowSize {
    /// Any two numbers from the wire, cut to what a window can be (1 to 1,000).
    pub fn from_wire(rows: u32, columns: u32) -> Self {
        let cut = |length: u32| u16::try_from(length.clamp(1, 1000)).unwrap_or(1000);
        Self { rows: cut(rows), columns: cut(columns) }
    }
}

/// A terminal as a host opens it.
pub struct Terminal {
    /// What the program prints.
    pub screen: Box<dyn AsyncRead + Send + Unpin>,
    /// What the program is told.
    pub keyboard: Box<dyn Keyboard>,
    /// The program itself.
    pub program: Box<dyn Program>,
}

/// The writing end of a terminal.
pub trait Keyboard: AsyncWrite + Send + Unpin {
    /// Tells the program its new window size.
    fn resize(&self, size: WindowSize) -> io::Result<()>;
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By a signal, or nobody knows how.
    Signal,
}

impl Exit {
    /// The status, if the program ended by itself.
    pub fn status(self) -> Option<i32> {
        match self {
            Self::Status(status) => Some(status),
            Self::Signal => None,
        }
    }
}

/// What runs in a terminal.
pub trait Program: Send {
    /// Ready once it has ended.
    fn poll_exit(&mut self, context: &mut Context<'_>) -> Poll<Exit>;
    /// Asks it and its children to end, as a modem that lost its line would.
    fn hang_up(&mut self);
    /// Ends it and its children now.
    fn kill(&mut self);
}

/// Why a terminal does not open or has to go.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TerminalError {
    /// The channel number is taken.
    #[error("channel {0} is in use: choose another number")]
    ChannelInUse(u32),
    /// [`MOST_TERMINALS`] are open.
    #[error("{MOST_TERMINALS} terminals are open on this device: close one first")]
    TooMany,
    /// More keystrokes than the device granted.
    #[error("more data than the device granted: wait for terminal credit")]
    OverWindow,
}

/// What happened in a terminal.
#[derive(Debug, PartialEq, Eq)]
pub enum TerminalEvent {
    /// The program printed this.
    Output {
        /// The terminal.
        channel: u32,
        /// At most 4 KiB.
        data: Vec<u8>,
    },
    /// The appliance may send so many bytes more.
    Granted {
        /// The terminal.
        channel: u32,
        /// Bytes.
        bytes: u32,
    },
    /// The program ended, and everything it printed has been told.
    Closed {
        /// The terminal.
        channel: u32,
        /// How.
        exit: Exit,
    },
}

/// Every open terminal of one session.
#[derive(Default)]
pub struct Terminals {
    open: Vec<Channel>,
    /// Where the next look starts, so that a busy terminal does not starve the others.
    turn: usize,
}

impl Terminals {
    /// Whether one more terminal can open on `channel`.
    pub fn admits(&self, channel: u32) -> Result<(), TerminalError> {
        if self.open.iter().any(|other| other.number == channel) {
            return Err(TerminalError::ChannelInUse(channel));
        }
        if self.open.len() >= MOST_TERMINALS {
            return Err(TerminalError::TooMany);
        }
        Ok(())
    }

    /// Whether anybody works in one.
    pub fn any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a terminal in. `credit` is how many bytes of output the appliance takes for now.
    pub fn insert(
        &mut self,
        channel: u32,
        terminal: Terminal,
        credit: u32,
    ) -> Result<(), TerminalError> {
        self.admits(channel)?;
        self.open.push(Channel::new(channel, terminal, credit));
        Ok(())
    }

    /// Keystrokes. What comes for a terminal that is not open is dropped: it may just have ended.
    pub fn write(&mut self, channel: u32, data: &[u8]) -> Result<(), TerminalError> {
        self.find(channel).map_or(Ok(()), |channel| channel.accept(data))
    }

    /// More output may be sent.
    pub fn credit(&mut self, channel: u32, bytes: u32) {
        if let Some(channel) = self.find(channel) {
            channel.credit = channel.credit.saturating_add(bytes);
        }
    }

    /// The window changed.
    pub fn resize(&mut self, channel: u32, size: WindowSize) -> io::Result<()> {
        match self.find(channel).and_then(|channel| channel.ends.as_ref()) {
            Some(ends) => ends.keyboard.resize(size),
            None => Ok(()),
        }
    }

    /// Hangs up; [`TerminalEvent::Closed`] follows.
    pub fn close(&mut self, channel: u32) {
        if let Some(channel) = self.find(channel) {
            channel.hang_up();
        }
    }

    /// Hangs up without a word: the appliance has been told already.
    pub fn abandon(&mut self, channel: u32) {
        if let Some(channel) = self.find(channel) {
            channel.hang_up();
            channel.abandoned = true;
        }
    }

    /// Waits for the next event; for ever while nothing is open. Cancel-safe.
    pub async fn next(&mut self) -> TerminalEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Hangs up everywhere and waits, some seconds at most, until every program has ended.
    pub async fn shut_down(&mut self) {
        for channel in &mut self.open {
            channel.hang_up();
        }
        let ended = poll_fn(|context| {
            loop {
                let event = self.poll_next(context);
                if self.open.is_empty() {
                    return Poll::Ready(());
                }
                drop(ready!(event));
            }
        });
        if timeout(GRACE * 3, ended).await.is_err() {
            tracing::warn!(left = self.open.len(), "programs in terminals do not end");
            self.open.clear();
        }
    }

    fn find(&mut self, number: u32) -> Option<&mut Channel> {
        self.open.iter_mut().find(|channel| channel.number == number)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<TerminalEvent> {
        for step in 0..self.open.len() {
            let place = self.turn.wrapping_add(step) % self.open.len();
            let Some(channel) = self.open.get_mut(place) else { continue };
            if let Poll::Ready(event) = channel.poll(context) {
                self.turn = place.wrapping_add(1);
                let abandoned = channel.abandoned;
                if matches!(event, TerminalEvent::Closed { .. }) {
                    self.open.swap_remove(place);
                }
                if abandoned {
                    return self.poll_next(context);
                }
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}

/// One open terminal.
struct Channel {
    number: u32,
    program: Box<dyn Program>,
    /// Gone after the hang-up, or when the program closed its side.
    ends: Option<Ends>,
    /// Bytes of output that the appliance still takes.
    credit: u32,
    /// Keystrokes the program has not read yet.
    pending: VecDeque<u8>,
    /// Written keystrokes that were not granted again yet.
    written: u32,
    /// Set once the program has ended.
    exit: Option<Exit>,
    /// Runs once one side has ended and the other has not.
    patience: Option<Pin<Box<Sleep>>>,
    /// The appliance knows already that it is closed.
    abandoned: bool,
}

struct Ends {
    screen: Box<dyn AsyncRead + Send + Unpin>,
    keyboard: Box<dyn Keyboard>,
}

impl Channel {
    fn new(number: u32, terminal: Terminal, credit: u32) -> Self {
        let Terminal { screen, keyboard, program } = terminal;
        Self {
            number,
            program,
            ends: Some(Ends { screen, keyboard }),
            credit,
            pending: VecDeque::new(),
            written: 0,
            exit: None,
            patience: None,
            abandoned: false,
        }
    }

    fn accept(&mut self, data: &[u8]) -> Result<(), TerminalError> {
        let window = usize::try_from(INPUT_WINDOW.saturating_sub(self.written)).unwrap_or(0);
        if data.len() > window.saturating_sub(self.pending.len()) {
            return Err(TerminalError::OverWindow);
        }
        if self.ends.is_some() {
            self.pending.extend(data);
        }
        Ok(())
    }

    fn hang_up(&mut self) {
        if self.ends.take().is_some() || self.patience.is_none() {
            self.program.hang_up();
            self.pending = VecDeque::new();
            self.patience = Some(Box::pin(sleep(GRACE)));
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<TerminalEvent> {
        self.poll_write(context);
        if self.written >= GRANT {
            let bytes = std::mem::take(&mut self.written);
            return Poll::Ready(TerminalEvent::Granted { channel: self.number, bytes });
        }
        if let Poll::Ready(data) = self.poll_read(context) {
            return Poll::Ready(TerminalEvent::Output { channel: self.number, data });
        }
        let exit = ready!(self.poll_end(context));
        Poll::Ready(TerminalEvent::Closed { channel: self.number, exit })
    }

    fn poll_write(&mut self, context: &mut Context<'_>) {
        let Some(ends) = &mut self.ends else { return };
        while !self.pending.is_empty() {
            let (first, _) = self.pending.as_slices();
            match Pin::new(&mut ends.keyboard).poll_write(context, first) {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.pending.drain(..count);
                    self.written = self.written.saturating_add(u32::try_from(count).unwrap_or(0));
                }
                // Nobody reads any more: the reading side tells the end.
                Poll::Ready(_) => self.pending = VecDeque::new(),
            }
        }
    }

    /// Output, as far as the credit goes. The end of the output is noted, not told.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let Some(ends) = &mut self.ends else { return Poll::Pending };
        let most = usize::try_from(self.credit).unwrap_or(CHUNK).min(CHUNK);
        if most == 0 {
            return Poll::Pending;
        }
        let mut space = [0_u8; CHUNK];
        let mut buffer = ReadBuf::new(space.get_mut(..most).unwrap_or_default());
        // A PTY whose other side is closed answers with an error (EIO), not with an end of file.
        let read = ready!(Pin::new(&mut ends.screen).poll_read(context, &mut buffer));
        let data = buffer.filled();
        if read.is_err() || data.is_empty() {
            self.hang_up();
            return Poll::Pending;
        }
        self.credit = self.credit.saturating_sub(u32::try_from(data.len()).unwrap_or(u32::MAX));
        if self.exit.is_some() {
            self.patience = Some(Box::pin(sleep(LINGER)));
        }
        Poll::Ready(data.to_vec())
    }

    /// Ready once the program has ended and its output is told.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Exit> {
        if self.exit.is_none() {
            self.exit = match self.program.poll_exit(context) {
                Poll::Ready(exit) => Some(exit),
                Poll::Pending => None,
            };
            if self.exit.is_some() && self.ends.is_some() {
                self.patience = Some(Box::pin(sleep(LINGER)));
            }
        }
        if let (Some(exit), None) = (self.exit, &self.ends) {
            return Poll::Ready(exit);
        }
        self.poll_patience(context)
    }

    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Exit> {
        let Some(patience) = &mut self.patience else { return Poll::Pending };
        ready!(patience.as_mut().poll(context));
        match (self.exit, &self.ends) {
            // Without credit nobody knows whether there is more to tell: wait for credit.
            (Some(_), Some(_)) if self.credit == 0 => Poll::Pending,
            (Some(exit), _) => Poll::Ready(exit),
            (None, _) => {
                self.program.kill();
                // A killed program's end is reported by `poll_exit`; look again if it is not.
                self.patience = Some(Box::pin(sleep(GRACE)));
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
