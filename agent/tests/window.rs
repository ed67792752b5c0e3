//! Terminals over a session: credit both ways, several at a time, their ends.

use aerie_agent::terminal::{Exit, INPUT_WINDOW, MOST_TERMINALS};
use aerie_protocol::inform::{
    RefusalReason, TerminalClose, TerminalClosed, TerminalCredit, TerminalData, TerminalOpen,
    TerminalResize, from_appliance, from_device,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{Duration, timeout},
};

use crate::{
    appliance::{Appliance, Peer},
    simulated::{Device, SimulatedProgram},
};

struct Line {
    device: Device,
    peer: Peer<DuplexStream>,
}

impl Line {
    async fn new() -> Self {
        let appliance = Appliance::new();
        let mut device = Device::start(appliance.enrolled_state());
        let mut peer = appliance.welcome(device.dialled().await).await;
        peer.settle(1).await;
        Self { device, peer }
    }

    async fn open(&mut self, channel: u32, credit: u32) -> SimulatedProgram {
        let open = TerminalOpen { channel, rows: 24, columns: 80, credit };
        self.peer.send(from_appliance::Body::TerminalOpen(open)).await;
        let Some(from_device::Body::TerminalOpened(opened)) = self.peer.answer().await else {
            panic!("not opened")
        };
        assert_eq!((opened.channel, opened.credit), (channel, INPUT_WINDOW));
        self.device.programs.recv().await.unwrap()
    }

    async fn refused(&mut self, channel: u32) -> RefusalReason {
        let open = TerminalOpen { channel, rows: 24, columns: 80, credit: 1 };
        self.peer.send(from_appliance::Body::TerminalOpen(open)).await;
        self.closed(channel).await.refusal.unwrap().reason()
    }

    async fn closed(&mut self, channel: u32) -> TerminalClosed {
        match self.peer.answer().await {
            Some(from_device::Body::TerminalClosed(closed)) => {
                assert_eq!(closed.channel, channel);
                closed
            }
            other => panic!("{other:?}"),
        }
    }

    async fn credit(&mut self, channel: u32, bytes: u32) {
        self.peer
            .send(from_appliance::Body::TerminalCredit(TerminalCredit { channel, bytes }))
            .await;
    }

    async fn write(&mut self, channel: u32, data: &[u8]) {
        let data = TerminalData { channel, data: data.to_vec().into() };
        self.peer.send(from_appliance::Body::TerminalData(data)).await;
    }

    /// Output that comes without being asked for, until there is no more.
    async fn output(&mut self, channel: u32) -> Vec<u8> {
        let mut output = Vec::new();
        while let Ok(body) = timeout(Duration::from_secs(1), self.peer.answer()).await {
            match body {
                Some(from_device::Body::TerminalData(data)) if data.channel == channel => {
                    output.extend_from_slice(&data.data);
                }
                other => panic!("{other:?}"),
            }
        }
        output
    }
}

#[tokio::test(start_paused = true)]
async fn output_goes_exactly_as_far_as_the_credit() {
    let mut line = Line::new().await;
    let mut program = line.open(7, 10).await;
    program.line.write_all(&vec![b'y'; 50_000]).await.unwrap();
    assert_eq!(line.output(7).await.len(), 10);
    assert_eq!(line.output(7).await.len(), 0);
    line.credit(7, 5_000).await;
    assert_eq!(line.output(7).await.len(), 5_000);
    line.credit(7, u32::MAX).await;
    line.credit(7, u32::MAX).await;
    assert_eq!(line.output(7).await.len(), 50_000 - 5_010);
}

#[tokio::test(start_paused = true)]
async fn keystrokes_are_granted_again_once_they_are_read() {
    let mut line = Line::new().await;
    let mut program = line.open(1, 1000).await;
    let window = usize::try_from(INPUT_WINDOW).unwrap();
    let mut typed = vec![0; window / 2];
    for round in 0..20 {
        line.write(1, &vec![b'k'; window / 2]).await;
        program.line.read_exact(&mut typed).await.unwrap();
        let Some(from_device::Body::TerminalCredit(credit)) = line.peer.answer().await else {
            panic!("no credit in round {round}")
        };
        assert_eq!((credit.channel, credit.bytes), (1, INPUT_WINDOW / 2));
    }
}

#[tokio::test(start_paused = true)]
async fn more_keystrokes_than_granted_close_the_terminal_with_the_reason() {
    let mut line = Line::new().await;
    let _program = line.open(1, 1000).await;
    let beside = line.open(2, 1000).await;
    // The simulated program reads nothing, its line holds 64 KiB, and 16 KiB wait before it: the
    // eleventh is too much even if every one that went through was granted again at once.
    for _ in 0..11 {
        line.write(1, &[b'k'; 8 * 1024]).await;
    }
    let mut bytes = 0;
    let closed = loop {
        match line.peer.answer().await {
            Some(from_device::Body::TerminalCredit(credit)) => bytes += credit.bytes,
            Some(from_device::Body::TerminalClosed(closed)) => break closed,
            other => panic!("{other:?}"),
        }
    };
    // What was not yet granted again was too much; and nobody hears of it twice.
    assert!(bytes <= 64 * 1024);
    let refusal = closed.refusal.unwrap();
    assert!(refusal.detail.contains("credit"), "{refusal:?}");
    assert!(line.peer.settle(2).await.is_empty());
    drop(beside);
}

#[tokio::test(start_paused = true)]
async fn data_for_no_terminal_is_dropped() {
    let mut line = Line::new().await;
    for channel in [0, 1, u32::MAX] {
        line.write(channel, b"rm -rf /\n").await;
        line.credit(channel, 1000).await;
        let resize = TerminalResize { channel, rows: 1, columns: 1 };
        line.peer.send(from_appliance::Body::TerminalResize(resize)).await;
        line.peer.send(from_appliance::Body::TerminalClose(TerminalClose { channel })).await;
    }
    assert!(line.peer.settle(2).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_exit_status_comes_after_the_last_output() {
    let mut line = Line::new().await;
    let mut program = line.open(3, 4).await;
    program.line.write_all(b"goodbye").await.unwrap();
    program.exit.take().unwrap().send(Exit::Status(7)).unwrap();
    assert_eq!(line.output(3).await, b"good");
    // Held back as long as nobody takes the rest.
    assert!(line.peer.settle(2).await.is_empty());
    line.credit(3, 100).await;
    let Some(from_device::Body::TerminalData(rest)) = line.peer.answer().await else { panic!() };
    assert_eq!(&*rest.data, b"bye");
    let closed = line.closed(3).await;
    assert_eq!((closed.exit_status, closed.refusal), (Some(7), None));
}

#[tokio::test(start_paused = true)]
async fn the_appliance_can_hang_up_and_use_the_channel_again() {
    let mut line = Line::new().await;
    let _former = line.open(1, 10).await;
    line.peer.send(from_appliance::Body::TerminalClose(TerminalClose { channel: 1 })).await;
    assert_eq!(line.closed(1).await.exit_status, None);
    line.open(1, 10).await;
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_terminals_and_no_more() {
    let mut line = Line::new().await;
    let mut programs = Vec::new();
    for channel in 0..u32::try_from(MOST_TERMINALS).unwrap() {
        programs.push(line.open(channel, 100).await);
        assert_eq!(line.refused(channel).await, RefusalReason::Busy, "the channel is in use");
    }
    assert_eq!(line.refused(99).await, RefusalReason::Busy);
    // They are independent of each other.
    for (channel, program) in (0..).zip(&mut programs) {
        program.line.write_all(format!("{channel}").as_bytes()).await.unwrap();
        assert_eq!(line.output(channel).await, format!("{channel}").as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_windows_size_is_handed_on_within_reason() {
    let mut line = Line::new().await;
    let _program = line.open(1, 10).await;
    for (rows, columns) in [(50, 132), (0, u32::MAX)] {
        let resize = TerminalResize { channel: 1, rows, columns };
        line.peer.send(from_appliance::Body::TerminalResize(resize)).await;
    }
    line.peer.settle(2).await;
    let diary = line.device.diary();
    for note in ["terminal 24x80", "resized 50x132", "resized 1x1000"] {
        assert!(diary.contains(&note.to_owned()), "{diary:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn terminals_end_with_their_session() {
    let mut line = Line::new().await;
    let mut program = line.open(1, 10).await;
    let Line { device, peer } = line;
    drop(peer);
    let mut rest = Vec::new();
    program.line.read_to_end(&mut rest).await.unwrap();
    device.stop().await;
}
