//! The closed list of what an appliance can ask a device to do.

use std::time::Duration;

use aerie_protocol::{
    inform::{RefusalReason, Request, request::Verb},
    text::DeviceText,
};
use tokio::time::Instant;

use super::{Flow, LONGEST_NAME, Session, SessionEnd, Standing};
use crate::{
    chain::Chain,
    connect::Dial,
    host::{CommandError, Host, LONGEST_LOCATE},
};

impl<H: Host, D: Dial> Session<'_, H, D> {
    pub(super) async fn on_request(&mut self, request: Request) -> Flow {
        let id = request.request_id;
        let Some(verb) = request.verb else { return self.refuse_unknown(id).await };
        if self.standing == Standing::Quarantined {
            let detail = "this device is not enrolled yet".to_owned();
            return self.reply(id, Err((RefusalReason::NotAuthorized, detail))).await;
        }
        match verb {
            Verb::Restart(_) => self.on_restart(id).await,
            Verb::Locate(locate) => {
                let seconds = locate.seconds.min(LONGEST_LOCATE);
                tracing::info!(seconds, "the appliance asks this device to show itself");
                let duration = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                let outcome = self.host.locate(duration).await.map_err(|error| explain(&error));
                // Whoever asked wants to see that it does.
                self.report_at = Some(Instant::now());
                self.reply(id, outcome).await
            }
            Verb::Rename(rename) => {
                let name = DeviceText::clean(&rename.name, LONGEST_NAME).to_string();
                let kept = self.state.rename(self.link.appliance(), name).await;
                let outcome =
                    kept.map_err(|error| (RefusalReason::Failed, Chain(&error).to_string()));
                self.reply(id, outcome).await
            }
            Verb::SetPassword(_) | Verb::HeldPasswords(_) | Verb::TryPassword(_) => {
                self.refuse_unknown(id).await
            }
            Verb::ReportNow(_) => {
                self.report().await?;
                self.reply(id, Ok(())).await
            }
        }
    }

    /// "Done" goes out first: afterwards there may be nobody left to send it.
    async fn on_restart(&mut self, id: u64) -> Flow {
        if let Err(error) = self.host.may_restart() {
            tracing::warn!(%error, "the appliance asked for a restart, which was refused");
            return self.reply(id, Err(explain(&error))).await;
        }
        tracing::warn!("restarting on the appliance's order");
        self.reply(id, Ok(())).await?;
        match self.host.restart().await {
            Ok(away) => Ok(Some(SessionEnd::Restarting(away))),
            Err(error) => {
                tracing::error!(%error, "the restart failed");
                Ok(None)
            }
        }
    }
}

/// A host's "no" as the appliance is told it.
pub(super) fn explain(error: &CommandError) -> (RefusalReason, String) {
    let reason = match error {
        CommandError::NotAllowed(_) => RefusalReason::NotAllowed,
        CommandError::Failed(_) => RefusalReason::Failed,
    };
    (reason, error.to_string())
}
