//! A terminal on a device, seen from a browser.
//!
//! Credit holds both directions back: a device may send only what the browser has made room for,
//! so `yes` fills at most [`WINDOW`] bytes here and then waits on the device. What the browser has
//! not acknowledged is kept, so that a socket that broke finds its output again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aerie_protocol::inform::{
    FromAppliance, TerminalClose, TerminalCredit, TerminalData, TerminalResize, from_appliance,
};
use bytes::{Buf, Bytes};
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::mailbox::{Letter, Mailbox};
use crate::accounts::LoginId;

/// Output that the browser has not acknowledged, at most, in bytes.
pub const WINDOW: u32 = 64 * 1024;
/// How long a terminal without a browser waits for the same login to come back.
pub const DETACHED_TIME: Duration = Duration::from_mins(5);
/// Bytes of input in one message to the device.
const CHUNK: usize = 16 * 1024;

/// Why a terminal cannot be opened or reached.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TerminalError {
    /// No such device.
    #[error("there is no device with this id")]
    UnknownDevice,
    /// It has no session now.
    #[error("the device is not connected; a terminal needs its session")]
    Offline,
    /// The device's own file says no, or it waits in quarantine.
    #[error("this device opens no terminal: {0}")]
    NotAllowed(&'static str),
    /// Bounds on open terminals.
    #[error("too many terminals are open; close one first")]
    TooMany,
    /// Ended, not this login's, or never there: the three are not told apart.
    #[error("this terminal has ended; open a new one")]
    Gone,
}

/// Width and height in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

/// What a terminal tells its browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalEvent {
    /// The device has opened it.
    Opened,
    /// Bytes for the screen.
    Output(Bytes),
    /// It has ended; nothing follows.
    Closed {
        /// What the shell or login returned; `None` when it never ran or died by a signal.
        exit_status: Option<i32>,
        /// What to show.
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Closed { exit_status: Option<i32>, message: String },
}

struct State {
    phase: Phase,
    told_open: bool,
    channel: u32,
    size: Size,
    /// Output from the first byte that was not acknowledged.
    output: VecDeque<Bytes>,
    held: usize,
    /// How much of `output` the attached browser has been given.
    given: usize,
    /// All bytes that were ever acknowledged.
    acknowledged: u64,
    /// Acknowledged, but not yet told to the device.
    owed: u32,
    /// What the device takes before it needs to say more.
    input_credit: u32,
    /// Counts browsers; only the last one may act.
    attachment: u32,
    detached_at: Option<Instant>,
}

/// A terminal, shared between its session and its browser.
pub(super) struct Shared {
    pub(super) id: Uuid,
    pub(super) device: Uuid,
    pub(super) login: LoginId,
    mailbox: Arc<Mailbox>,
    state: Mutex<State>,
    output_ready: Notify,
    input_ready: Notify,
}

/// The device sent more than it had credit for.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the device sent more terminal output than it had credit for")]
pub(super) struct Overrun;

impl Shared {
    pub(super) fn new(device: Uuid, login: LoginId, mailbox: Arc<Mailbox>, size: Size) -> Self {
        Self {
            id: Uuid::new_v4(),
            device,
            login,
            mailbox,
            state: Mutex::new(State {
                phase: Phase::Opening,
                told_open: false,
                channel: 0,
                size,
                output: VecDeque::new(),
                held: 0,
                given: 0,
                acknowledged: 0,
                owed: 0,
                input_credit: 0,
                attachment: 0,
                detached_at: None,
            }),
            output_ready: Notify::new(),
            input_ready: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ------------------------------------------------------------ the session's side

    /// The session has chosen a channel. Returns the size to open with, unless it ended meanwhile.
    pub(super) fn begin(&self, channel: u32) -> Option<Size> {
        let mut state = self.lock();
        state.channel = channel;
        matches!(state.phase, Phase::Opening).then_some(state.size)
    }

    pub(super) fn channel(&self) -> u32 {
        self.lock().channel
    }

    pub(super) fn opened(&self, credit: u32) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Opening) {
            state.phase = Phase::Open;
            state.input_credit = credit;
        }
        drop(state);
        self.output_ready.notify_one();
        self.input_ready.notify_one();
    }

    pub(super) fn output(&self, data: Bytes) -> Result<(), Overrun> {
        let mut state = self.lock();
        if state.held + data.len() > WINDOW as usize - state.owed as usize {
            return Err(Overrun);
        }
        state.held += data.len();
        if !data.is_empty() {
            state.output.push_back(data);
        }
        drop(state);
        self.output_ready.notify_one();
        Ok(())
    }

    pub(super) fn add_input_credit(&self, bytes: u32) {
        let mut state = self.lock();
        state.input_credit = state.input_credit.saturating_add(bytes);
        drop(state);
        self.input_ready.notify_one();
    }

    pub(super) fn closed(&self, exit_status: Option<i32>, message: impl Into<String>) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Closed { .. }) {
            state.phase = Phase::Closed { exit_status, message: message.into() };
        }
        drop(state);
        self.output_ready.notify_one();
        self.input_ready.notify_one();
    }

    // ------------------------------------------------------------ the pool's side

    pub(super) fn ended(&self) -> bool {
        matches!(self.lock().phase, Phase::Closed { .. })
    }

    /// It has had no browser for longer than it waits for one, or has ended and nobody looks.
    pub(super) fn expired(&self, now: Instant) -> bool {
        let state = self.lock();
        state.detached_at.is_some_and(|at| {
            matches!(state.phase, Phase::Closed { .. }) || now.duration_since(at) >= DETACHED_TIME
        })
    }

    /// Ends it on the device and here.
    pub(super) fn end(&self, message: &str) {
        let channel = self.channel();
        self.put(from_appliance::Body::TerminalClose(TerminalClose { channel }));
        self.closed(None, message);
    }

    fn put(&self, body: from_appliance::Body) {
        let letter = Letter::Send(Box::new(FromAppliance { body: Some(body) }));
        if self.mailbox.put(letter).is_err() {
            self.closed(None, "The device takes nothing more; its connection is ending.");
        }
    }
}

/// A browser's hold on a terminal. Dropping it leaves the terminal to wait for the same login.
pub struct TerminalHandle {
    shared: Arc<Shared>,
    attachment: u32,
    /// The end has been told.
    over: AtomicBool,
}

impl TerminalHandle {
    /// Takes hold of a terminal for a browser that has already received `received` bytes of it.
    pub(super) fn attach(shared: Arc<Shared>, received: u64) -> Self {
        let mut state = shared.lock();
        state.attachment += 1;
        state.detached_at = None;
        state.told_open = false;
        let known = received.saturating_sub(state.acknowledged);
        state.given = usize::try_from(known).unwrap_or(usize::MAX).min(state.held);
        let attachment = state.attachment;
        drop(state);
        // Wakes a browser that had it before, so that it sees that it has not any more.
        shared.output_ready.notify_one();
        Self { shared, attachment, over: AtomicBool::new(false) }
    }

    /// By which the same login finds it again.
    pub fn id(&self) -> Uuid {
        self.shared.id
    }

    /// The device it runs on.
    pub fn device(&self) -> Uuid {
        self.shared.device
    }

    /// The next thing to show; `None` after the end, or when another browser has taken over.
    /// Safe to cancel.
    pub async fn next(&self) -> Option<TerminalEvent> {
        loop {
            match self.try_next() {
                Next::Event(event) => return Some(event),
                Next::Over => return None,
                Next::Wait => self.shared.output_ready.notified().await,
            }
        }
    }

    fn try_next(&self) -> Next {
        if self.over.load(Ordering::Acquire) {
            return Next::Over;
        }
        let mut state = self.shared.lock();
        if state.attachment != self.attachment {
            drop(state);
            self.shared.output_ready.notify_one();
            return Next::Over;
        }
        if state.phase == Phase::Open && !state.told_open {
            state.told_open = true;
            return Next::Event(TerminalEvent::Opened);
        }
        let mut skip = state.given;
        for piece in &state.output {
            if skip < piece.len() {
                let piece = piece.slice(skip..);
                state.given += piece.len();
                return Next::Event(TerminalEvent::Output(piece));
            }
            skip -= piece.len();
        }
        if let Phase::Closed { exit_status, message } = state.phase.clone() {
            // Told once: the next browser would find nothing to attach to.
            self.over.store(true, Ordering::Release);
            return Next::Event(TerminalEvent::Closed { exit_status, message });
        }
        Next::Wait
    }

    /// Sends what was typed or pasted; waits while the device has no room. Safe to cancel between
    /// pieces, which is where a socket ends.
    pub async fn write(&self, mut input: Bytes) {
        while !input.is_empty() {
            let (channel, room) = {
                let mut state = self.shared.lock();
                if matches!(state.phase, Phase::Closed { .. })
                    || state.attachment != self.attachment
                {
                    return;
                }
                let room = input.len().min(CHUNK).min(state.input_credit as usize);
                state.input_credit -= u32::try_from(room).unwrap_or(0);
                (state.channel, room)
            };
            if room == 0 {
                self.shared.input_ready.notified().await;
                continue;
            }
            let data = input.split_to(room);
            self.shared.put(from_appliance::Body::TerminalData(TerminalData { channel, data }));
        }
    }

    /// Tells the device its new size.
    pub fn resize(&self, size: Size) {
        let mut state = self.shared.lock();
        if state.size == size || state.attachment != self.attachment {
            return;
        }
        state.size = size;
        let (channel, open) = (state.channel, state.phase == Phase::Open);
        drop(state);
        if open {
            self.shared.put(from_appliance::Body::TerminalResize(TerminalResize {
                channel,
                rows: size.rows.into(),
                columns: size.columns.into(),
            }));
        }
    }

    /// The browser has put `bytes` on the screen: the device may send as many again.
    pub fn acknowledge(&self, bytes: u32) {
        let mut state = self.shared.lock();
        if state.attachment != self.attachment {
            return;
        }
        // A browser cannot acknowledge what it was not given.
        let bytes = (bytes as usize).min(state.given);
        state.given -= bytes;
        state.held -= bytes;
        state.acknowledged += bytes as u64;
        state.owed += u32::try_from(bytes).unwrap_or(0);
        let mut left = bytes;
        while left > 0
            && let Some(front) = state.output.front_mut()
        {
            if front.len() > left {
                front.advance(left);
                left = 0;
            } else {
                left -= front.len();
                state.output.pop_front();
            }
        }
        // In quarters of the window: a message a keystroke would cost more than it carries.
        if state.owed < WINDOW / 4 {
            return;
        }
        let (channel, owed) = (state.channel, std::mem::take(&mut state.owed));
        drop(state);
        self.shared
            .put(from_appliance::Body::TerminalCredit(TerminalCredit { channel, bytes: owed }));
    }

    /// Ends the terminal on the device.
    pub fn close(&self) {
        self.shared.end("You closed this terminal.");
    }
}

enum Next {
    Event(TerminalEvent),
    Over,
    Wait,
}

impl Drop for TerminalHandle {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.attachment == self.attachment {
            state.detached_at = Some(Instant::now());
        }
    }
}
