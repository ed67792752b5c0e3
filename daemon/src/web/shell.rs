//! The terminal socket: a browser's terminal on a device.
//!
//! Output is held back by credit: the browser acknowledges what its screen has taken, and only then
//! the device may send more. A socket that breaks leaves the terminal to the same login for five
//! minutes; a login that ends takes its terminals along.

use std::collections::VecDeque;
use std::pin::pin;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ErrorBody;
use super::socket::{Hold, Knock, Newcomer, Opening, Why, json};
use super::tickets::{Route, Ticket};
use super::views::sentence;
use super::{Rooms, Web};
use crate::accounts::Accounts;
use crate::devices::Devices;
use crate::devices::events::{Event, Level};
use crate::devices::terminal::{Size, TerminalEvent, TerminalHandle};
use crate::supervisor::Heartbeat;

/// Lines and characters a line that a terminal may have.
const SIZES: std::ops::RangeInclusive<u16> = 1..=1_000;

/// Bytes of input that are written at once, so that output goes on in between.
const PIECE: usize = 1024;
/// Pieces of input that may wait: 1 MiB.
const PIECES: usize = 1024;

/// The first frame of the terminal socket.
#[derive(Deserialize, ToSchema)]
#[schema(as = ShellHello)]
pub(super) struct Hello {
    ticket: String,
    /// Lines, 1 to 1000.
    rows: u16,
    /// Characters a line, 1 to 1000.
    columns: u16,
    /// Takes up a terminal whose socket broke: its `terminalId`.
    attach: Option<Uuid>,
    /// With `attach`: how many bytes of output the browser has already received. Left out, all
    /// output that was not acknowledged comes again.
    received: Option<u64>,
}

impl Opening for Hello {
    fn ticket(&self) -> &str {
        &self.ticket
    }
}

/// What a browser says in text frames. Keystrokes are binary frames.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[schema(as = ShellCommand)]
pub(super) enum Command {
    /// The screen has another size.
    Resize { rows: u16, columns: u16 },
    /// The screen has taken so many bytes of output.
    Ack { bytes: u32 },
    /// End the terminal on the device.
    Close,
}

/// What the appliance says in text frames. Output is binary frames.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[schema(as = ShellNotice)]
pub(super) enum Notice {
    /// The device has opened the terminal.
    Opened {
        #[serde(rename = "terminalId")]
        terminal_id: Uuid,
        #[serde(rename = "deviceName")]
        device_name: String,
    },
    /// The terminal has ended, or could not be opened.
    Closed {
        /// What the shell returned; null when it never ran or died by a signal.
        #[serde(rename = "exitStatus")]
        exit_status: Option<i32>,
        /// For people.
        message: String,
    },
}

/// Opens a terminal on a device: a WebSocket whose first frame is a `ShellHello`.
///
/// Then binary frames are keystrokes and output, text frames `ShellCommand` from the browser and
/// `ShellNotice` from the appliance. Close codes are those of the live socket.
#[utoipa::path(
    get, path = "/nms/shell", tag = "live",
    responses(
        (status = 101, description = "The socket is open"),
        (status = 403, description = "The page is not of this appliance", body = ErrorBody),
        (status = 426, description = "This is a WebSocket", body = ErrorBody),
    )
)]
pub(super) async fn open(State(web): State<Web>, knock: Knock) -> Response {
    knock.accept(move |newcomer| serve(web, newcomer))
}

async fn serve(web: Web, newcomer: Newcomer) -> (WebSocket, Why) {
    let (mut socket, hello) = match newcomer.opening::<Hello>().await {
        Ok(opened) => opened,
        Err(refused) => return refused,
    };
    let Some(ticket) = web.tickets.redeem(hello.ticket(), Route::Terminal) else {
        return (socket, Why::NotAllowed);
    };
    let mut hold = match Hold::on(ticket.login, &web.rooms, &web.sockets) {
        Ok(hold) => hold,
        Err(why) => return (socket, why),
    };
    let why = match take(&web.rooms.devices, &ticket, &hello) {
        Ok(terminal) => Shell::new(&web.rooms.devices, terminal).run(&mut socket, &mut hold).await,
        Err(notice) => hold.send(&mut socket, json(&notice)).await.err().unwrap_or(Why::Done),
    };
    if why == Why::LoginEnded {
        web.rooms.devices.end_terminals_of(&hold.login);
    }
    (socket, why)
}

/// Opens a terminal, or takes up one whose socket broke.
fn take(devices: &Devices, ticket: &Ticket, hello: &Hello) -> Result<TerminalHandle, Notice> {
    let refused = |message: String| Notice::Closed { exit_status: None, message };
    let size = size(hello.rows, hello.columns);
    let size = size.ok_or_else(|| refused("A terminal has 1 to 1000 lines and columns.".into()))?;
    // A ticket for a terminal is issued with its device.
    let device = ticket.device.ok_or_else(|| refused("The ticket names no device.".into()))?;
    let terminal = match hello.attach {
        None => devices.open_terminal(device, ticket.login, size),
        Some(id) => devices.attach_terminal(id, &ticket.login, hello.received.unwrap_or(0)),
    };
    let terminal = terminal.map_err(|error| refused(sentence(&error)))?;
    if terminal.device() != device {
        return Err(refused("The ticket is for another device.".into()));
    }
    terminal.resize(size);
    if hello.attach.is_none() {
        tell(devices, device, ticket.account);
    }
    Ok(terminal)
}

/// Writes to the owner's log that somebody works on a device.
fn tell(devices: &Devices, device: Uuid, account: Uuid) {
    let Some(device) = devices.device(device) else { return };
    let name = device.display_name();
    let message = format!("A terminal was opened on {name}.");
    let event = Event::quiet(Level::Info, "device", message).about(device.id, name);
    devices.events().record(event.by(account).at_once());
}

fn size(rows: u16, columns: u16) -> Option<Size> {
    (SIZES.contains(&rows) && SIZES.contains(&columns)).then_some(Size { rows, columns })
}

/// One browser's terminal.
struct Shell {
    terminal: TerminalHandle,
    device_name: String,
    /// What was typed or pasted and has not been written yet.
    typed: VecDeque<Bytes>,
}

type Heard = Option<Result<Message, axum::Error>>;

impl Shell {
    fn new(devices: &Devices, terminal: TerminalHandle) -> Self {
        let device = devices.device(terminal.device());
        let device_name = device.map(|device| device.display_name().to_owned());
        Self { terminal, device_name: device_name.unwrap_or_default(), typed: VecDeque::new() }
    }

    async fn run(mut self, socket: &mut WebSocket, hold: &mut Hold) -> Why {
        loop {
            let went_on = if let Some(piece) = self.typed.pop_front() {
                self.write(socket, hold, piece).await
            } else {
                tokio::select! {
                    why = hold.ends() => Err(why),
                    event = self.terminal.next() => self.show(socket, hold, event).await,
                    frame = socket.recv() => self.hear(frame),
                }
            };
            if let Err(why) = went_on {
                return why;
            }
        }
    }

    /// Writes a piece of what was typed. While the device has no room for it, both sides are still
    /// heard: it may be waiting for the browser to acknowledge its output.
    async fn write(
        &mut self,
        socket: &mut WebSocket,
        hold: &mut Hold,
        piece: Bytes,
    ) -> Result<(), Why> {
        let Self { terminal, typed, device_name } = self;
        let mut writing = pin!(terminal.write(piece));
        loop {
            tokio::select! {
                () = writing.as_mut() => return Ok(()),
                why = hold.ends() => return Err(why),
                event = terminal.next() => {
                    show(terminal, device_name, socket, hold, event).await?;
                }
                frame = socket.recv() => hear(terminal, typed, frame)?,
            }
        }
    }

    async fn show(
        &self,
        socket: &mut WebSocket,
        hold: &mut Hold,
        event: Option<TerminalEvent>,
    ) -> Result<(), Why> {
        show(&self.terminal, &self.device_name, socket, hold, event).await
    }

    fn hear(&mut self, frame: Heard) -> Result<(), Why> {
        hear(&self.terminal, &mut self.typed, frame)
    }
}

/// Passes on what the terminal tells.
async fn show(
    terminal: &TerminalHandle,
    device_name: &str,
    socket: &mut WebSocket,
    hold: &mut Hold,
    event: Option<TerminalEvent>,
) -> Result<(), Why> {
    match event {
        Some(TerminalEvent::Output(output)) => hold.send(socket, [Message::Binary(output)]).await,
        Some(TerminalEvent::Opened) => {
            let opened =
                Notice::Opened { terminal_id: terminal.id(), device_name: device_name.to_owned() };
            hold.send(socket, json(&opened)).await
        }
        Some(TerminalEvent::Closed { exit_status, message }) => {
            let closed = Notice::Closed { exit_status, message };
            hold.send(socket, json(&closed)).await?;
            Err(Why::Done)
        }
        // Another socket of this login has taken it up.
        None => Err(Why::Done),
    }
}

/// Takes in a frame of the browser: keystrokes are put in line, commands obeyed at once.
fn hear(terminal: &TerminalHandle, typed: &mut VecDeque<Bytes>, frame: Heard) -> Result<(), Why> {
    match frame {
        Some(Ok(Message::Binary(mut bytes))) => {
            while !bytes.is_empty() {
                typed.push_back(bytes.split_to(PIECE.min(bytes.len())));
            }
            // Nobody types so fast; a paste of that size is a file.
            if typed.len() > PIECES { Err(Why::Misfit) } else { Ok(()) }
        }
        Some(Ok(Message::Text(text))) => obey(terminal, &text),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Why::Gone),
    }
}

fn obey(terminal: &TerminalHandle, text: &str) -> Result<(), Why> {
    match serde_json::from_str(text) {
        Ok(Command::Ack { bytes }) => terminal.acknowledge(bytes),
        Ok(Command::Resize { rows, columns }) => {
            terminal.resize(size(rows, columns).ok_or(Why::Misfit)?);
        }
        Ok(Command::Close) => terminal.close(),
        Err(_) => return Err(Why::Misfit),
    }
    Ok(())
}

/// Ends the terminals of every login that ends, those too that wait for a browser to come back.
pub(super) async fn follow_logins(rooms: Rooms, heartbeat: Heartbeat) {
    let stop = rooms.supervisor.token();
    stop.run_until_cancelled(follow(&rooms.accounts, &rooms.devices, heartbeat)).await;
}

async fn follow(accounts: &Accounts, devices: &Devices, mut heartbeat: Heartbeat) {
    let mut ended = accounts.ended();
    loop {
        match heartbeat.during(ended.recv()).await {
            Ok(login) => devices.end_terminals_of(&login),
            // Their sockets look for themselves, and a terminal without one ends after minutes.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return heartbeat.during(std::future::pending()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn commands_are_those_of_the_contract() {
        let resize = r#"{"type":"resize","rows":24,"columns":80}"#;
        assert_eq!(read(resize), Some(Command::Resize { rows: 24, columns: 80 }));
        assert_eq!(read(r#"{"type":"ack","bytes":512}"#), Some(Command::Ack { bytes: 512 }));
        assert_eq!(read(r#"{"type":"close"}"#), Some(Command::Close));
        for bad in [r#"{"type":"ack","bytes":-1}"#, r#"{"type":"other"}"#, "{}", ""] {
            assert_eq!(read::<Command>(bad), None, "{bad}");
        }
        let closed = Notice::Closed { exit_status: None, message: "x".to_owned() };
        let closed = serde_json::to_value(closed).unwrap();
        assert_eq!(closed["type"], "closed");
        assert!(closed["exitStatus"].is_null());
    }

    #[test]
    fn a_terminal_has_a_size_that_a_screen_can_have() {
        assert_eq!(size(24, 80), Some(Size { rows: 24, columns: 80 }));
        assert_eq!(size(0, 80), None);
        assert_eq!(size(24, 1_001), None);
    }
}
