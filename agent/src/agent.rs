//! The agent's life: connect, serve a session, pause, again.

use std::time::Duration;

use aerie_protocol::{inform::GoodbyeReason, noise::MESSAGES_PER_SESSION};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    chain::Chain,
    connect::{ConnectError, Connected, Dial, connect},
    host::{AgentEvent, Host},
    session::{Life, Session, SessionEnd},
    state::State,
};

/// A session this long was a good one: the next failure starts with short pauses again.
const GOOD_SESSION: Duration = Duration::from_mins(1);

/// The least pause after another connection has taken this one's place.
const REPLACED: Duration = Duration::from_secs(30);

/// An agent: a host, a way to the appliance, and what the device knows.
#[derive(Debug)]
pub struct Agent<H, D> {
    host: H,
    dialer: D,
    state: State,
    backoff: Backoff,
    messages_per_session: u64,
}

impl<H: Host, D: Dial> Agent<H, D> {
    /// Puts an agent together; nothing happens until [`Agent::run`].
    pub fn new(host: H, dialer: D, state: State) -> Self {
        let backoff = Backoff::default();
        Self { host, dialer, state, backoff, messages_per_session: MESSAGES_PER_SESSION }
    }

    /// Renews the keys of a session after fewer messages than the protocol allows.
    #[must_use]
    pub fn renewing_after(self, messages: u64) -> Self {
        Self { messages_per_session: messages.min(MESSAGES_PER_SESSION), ..self }
    }

    /// What the device knows.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The machine.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Serves until `stop` is cancelled; then says goodbye and returns.
    pub async fn run(&mut self, stop: &CancellationToken) {
        while let Some(pause) = self.once(stop).await {
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// One connect and what comes of it; answers the pause before the next, `None` to stop.
    async fn once(&mut self, stop: &CancellationToken) -> Option<Duration> {
        if let Err(error) = self.state.reload() {
            tracing::warn!(error = %Chain(&error), "cannot read the state; using what is in memory");
        }
        // Boxed: a handshake needs much room for a moment, a session little for days.
        let connecting = Box::pin(connect(&mut self.dialer, self.state.known()));
        match stop.run_until_cancelled(connecting).await? {
            Ok(connected) => self.serve(connected, stop).await,
            Err(error) => Some(self.failed(&error)),
        }
    }

    fn failed(&mut self, error: &ConnectError) -> Duration {
        let pause = self.backoff.next(error.retry_after(), entropy());
        tracing::warn!(error = %Chain(error), ?pause, "not connected");
        self.host.notice(AgentEvent::Failed { error, pause });
        pause
    }

    async fn serve(
        &mut self,
        connected: Connected<D::Stream>,
        stop: &CancellationToken,
    ) -> Option<Duration> {
        let Connected { link, peer, took } = connected;
        let enrolled = self.state.known().enrolment.is_some();
        tracing::info!(?peer, enrolled, appliance = link.appliance().fingerprint(), "connected");
        self.host.notice(AgentEvent::Connected { peer, took, enrolled });
        let began = Instant::now();
        let early = Duration::from_secs(entropy() % 3600);
        let life = Life { messages: self.messages_per_session, early };
        let session = Session::new(&mut self.host, &mut self.state, link, life);
        let end = session.run(stop).await;
        if began.elapsed() >= GOOD_SESSION {
            self.backoff.reset();
        }
        let pause = self.pause_after(&end)?;
        tracing::info!(?end, ?pause, "the session ended");
        self.host.notice(AgentEvent::Left { end: &end, pause });
        Some(pause)
    }

    fn pause_after(&mut self, end: &SessionEnd) -> Option<Duration> {
        match end {
            SessionEnd::Stopped => None,
            SessionEnd::Restarting(away) => Some(*away),
            // Two agents with one identity: without a pause they throw each other out for ever.
            SessionEnd::Goodbye { reason: GoodbyeReason::Replaced, .. } => {
                Some(self.backoff.next(Some(REPLACED), entropy()))
            }
            SessionEnd::Goodbye { retry_after, .. } => {
                Some(self.backoff.next(*retry_after, entropy()))
            }
            SessionEnd::Renew
            | SessionEnd::Silent
            | SessionEnd::Forgotten
            | SessionEnd::Adopted
            | SessionEnd::Lost(_) => Some(self.backoff.next(None, entropy())),
        }
    }
}

/// A random number for spreading things in time; without one they are not spread.
fn entropy() -> u64 {
    getrandom::u64().unwrap_or(0)
}
