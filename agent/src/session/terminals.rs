//! The terminal's messages.

use aerie_protocol::inform::{
    RefusalReason, TerminalClosed, TerminalCredit, TerminalData, TerminalOpen, TerminalOpened,
    TerminalResize, from_device,
};

use super::{Flow, Session, Standing, refusal, requests::explain};
use crate::{
    connect::Dial,
    host::Host,
    link::LinkError,
    terminal::{INPUT_WINDOW, TerminalError, TerminalEvent, WindowSize},
};

impl<H: Host, D: Dial> Session<'_, H, D> {
    pub(super) async fn on_terminal_open(&mut self, open: TerminalOpen) -> Flow {
        let channel = open.channel;
        if let Err((reason, detail)) = self.open_terminal(open).await {
            tracing::warn!(channel, %detail, "a terminal was refused");
            return self.refuse_terminal(channel, reason, &detail).await;
        }
        tracing::info!(channel, "a terminal was opened by the appliance");
        let opened = TerminalOpened { channel, credit: INPUT_WINDOW };
        self.send(from_device::Body::TerminalOpened(opened)).await?;
        Ok(None)
    }

    async fn open_terminal(&mut self, open: TerminalOpen) -> Result<(), (RefusalReason, String)> {
        let busy = |error: TerminalError| (RefusalReason::Busy, error.to_string());
        if self.standing == Standing::Quarantined {
            let detail = "this device is not enrolled yet".to_owned();
            return Err((RefusalReason::NotAuthorized, detail));
        }
        self.terminals.admits(open.channel).map_err(busy)?;
        let size = WindowSize::from_wire(open.rows, open.columns);
        let terminal = self.host.open_terminal(size).await.map_err(|error| explain(&error))?;
        self.terminals.insert(open.channel, terminal, open.credit).map_err(busy)
    }

    pub(super) async fn on_terminal_data(&mut self, data: TerminalData) -> Flow {
        let channel = data.channel;
        let Err(error) = self.terminals.write(channel, &data.data) else { return Ok(None) };
        tracing::warn!(channel, %error, "closing a terminal");
        self.terminals.abandon(channel);
        self.refuse_terminal(channel, RefusalReason::Failed, &error.to_string()).await
    }

    pub(super) fn on_terminal_resize(&mut self, resize: TerminalResize) {
        let size = WindowSize::from_wire(resize.rows, resize.columns);
        if let Err(error) = self.terminals.resize(resize.channel, size) {
            tracing::debug!(channel = resize.channel, %error, "the window keeps its size");
        }
    }

    pub(super) async fn on_terminal(&mut self, event: TerminalEvent) -> Result<(), LinkError> {
        let body = match event {
            TerminalEvent::Output { channel, data } => {
                from_device::Body::TerminalData(TerminalData { channel, data: data.into() })
            }
            TerminalEvent::Granted { channel, bytes } => {
                from_device::Body::TerminalCredit(TerminalCredit { channel, bytes })
            }
            TerminalEvent::Closed { channel, exit } => {
                tracing::info!(channel, ?exit, "a terminal was closed");
                let exit_status = exit.status();
                from_device::Body::TerminalClosed(TerminalClosed {
                    channel,
                    exit_status,
                    refusal: None,
                })
            }
        };
        self.send(body).await.map(drop)
    }

    async fn refuse_terminal(&mut self, channel: u32, reason: RefusalReason, detail: &str) -> Flow {
        let refusal = Some(refusal(reason, detail));
        let closed = TerminalClosed { channel, exit_status: None, refusal };
        self.send(from_device::Body::TerminalClosed(closed)).await?;
        Ok(None)
    }
}
