//! The closed list of what an appliance can ask a device to do.

use std::time::Duration;

use aerie_protocol::{
    inform::{
        HeldPassword, Passwords, RefusalReason, Reply, Request, SetPassword, from_device,
        reply::Outcome, request::Verb,
    },
    text::DeviceText,
};
use tokio::time::Instant;

use super::{Flow, LONGEST_NAME, Session, SessionEnd, Standing};
use crate::{
    chain::Chain,
    connect::Dial,
    host::{CommandError, Host, LONGEST_LOCATE},
    passwords::PasswordError,
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
            Verb::Locate(locate) => self.on_locate(id, locate.seconds).await,
            Verb::Rename(rename) => {
                let name = DeviceText::clean(&rename.name, LONGEST_NAME).to_string();
                let kept = self.state.rename(self.link.appliance(), name).await;
                let outcome =
                    kept.map_err(|error| (RefusalReason::Failed, Chain(&error).to_string()));
                self.reply(id, outcome).await
            }
            Verb::SetPassword(set) => self.on_set_password(id, set).await,
            Verb::HeldPasswords(_) => {
                let held = self.host.passwords().await;
                self.reply_held(id, held).await
            }
            Verb::TryPassword(tried) => {
                let outcome = self.host.try_password(tried).await;
                self.reply(id, outcome.map_err(|error| (error.reason(), error.to_string()))).await
            }
            Verb::ReportNow(_) => {
                self.report().await?;
                self.reply(id, Ok(())).await
            }
        }
    }

    async fn on_locate(&mut self, id: u64, seconds: u32) -> Flow {
        let seconds = seconds.min(LONGEST_LOCATE);
        tracing::info!(seconds, "the appliance asks this device to show itself");
        let duration = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let outcome = self.host.locate(duration).await.map_err(|error| explain(&error));
        // Whoever asked wants to see that it does.
        self.report_at = Some(Instant::now());
        self.reply(id, outcome).await
    }

    /// Whatever came of it, the appliance is told what the accounts have afterwards.
    async fn on_set_password(&mut self, id: u64, set: SetPassword) -> Flow {
        let account = set.account.clone();
        let outcome = self.host.set_password(set).await;
        if let Err(error) = &outcome {
            let account = DeviceText::clean(&account, LONGEST_NAME);
            tracing::warn!(%account, %error, "the password of an account was not set");
        }
        self.reply_held(id, outcome.map(|held| vec![held])).await?;
        self.tell_identity().await?;
        Ok(None)
    }

    async fn reply_held(
        &mut self,
        id: u64,
        held: Result<Vec<HeldPassword>, PasswordError>,
    ) -> Flow {
        let held = match held {
            Ok(held) => held,
            Err(error) => return self.reply(id, Err((error.reason(), error.to_string()))).await,
        };
        let outcome = Some(Outcome::Passwords(Passwords { held }));
        self.send(from_device::Body::Reply(Reply { request_id: id, outcome })).await?;
        Ok(None)
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
