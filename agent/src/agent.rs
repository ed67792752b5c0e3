//! The agent's life: connect, serve a session, pause, again.

use std::time::Duration;

use aerie_protocol::{address::Address, inform::GoodbyeReason, noise::MESSAGES_PER_SESSION};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::{Backoff, entropy},
    chain::Chain,
    connect::{ConnectError, Dial, connect},
    host::{AgentEvent, Host},
    session::{Arrival, Ended, Lent, Life, Session, SessionEnd},
    state::State,
};

/// A session this long was a good one: the next failure starts with short pauses again.
const GOOD_SESSION: Duration = Duration::from_mins(1);

/// So often the address that counts is tried before older ones are tried in between.
const PATIENCE: u32 = 3;

/// The least pause after another connection has taken this one's place.
const REPLACED: Duration = Duration::from_secs(30);

/// An agent: a host, a way to the appliance, and what the device knows.
#[derive(Debug)]
pub struct Agent<H, D> {
    host: H,
    dialer: D,
    state: State,
    backoff: Backoff,
    /// Connects in a row of which nothing came.
    misses: u32,
    messages_per_session: u64,
}

impl<H: Host, D: Dial> Agent<H, D> {
    /// Puts an agent together; nothing happens until [`Agent::run`].
    pub fn new(host: H, dialer: D, state: State) -> Self {
        let backoff = Backoff::default();
        let messages_per_session = MESSAGES_PER_SESSION;
        Self { host, dialer, state, backoff, misses: 0, messages_per_session }
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
        let Some(address) = choose(self.state.known().addresses(), self.misses) else {
            return Some(self.failed(&ConnectError::NoKey));
        };
        // Boxed: a handshake needs much room for a moment, a session little for days.
        let connecting = Box::pin(connect(&mut self.dialer, self.state.known(), address));
        match stop.run_until_cancelled(connecting).await? {
            Ok(connected) => self.serve(Arrival { connected, first: None }, stop).await,
            Err(error) => Some(self.failed(&error)),
        }
    }

    fn failed(&mut self, error: &ConnectError) -> Duration {
        self.misses = self.misses.saturating_add(1);
        let pause = self.backoff.next(error.retry_after(), entropy());
        tracing::warn!(error = %Chain(error), ?pause, "not connected");
        self.host.notice(AgentEvent::Failed { error, pause });
        pause
    }

    async fn serve(
        &mut self,
        mut arrival: Arrival<D::Stream>,
        stop: &CancellationToken,
    ) -> Option<Duration> {
        loop {
            let began = Instant::now();
            let Ended { end, heard, next } = self.session(arrival, stop).await;
            if began.elapsed() >= GOOD_SESSION {
                self.backoff.reset();
            }
            self.misses = if heard { 0 } else { self.misses.saturating_add(1) };
            if let Some(next) = next {
                self.host.notice(AgentEvent::Left { end: &end, pause: Duration::ZERO });
                arrival = *next;
                continue;
            }
            let pause = self.pause_after(&end)?;
            tracing::info!(?end, ?pause, "the session ended");
            self.host.notice(AgentEvent::Left { end: &end, pause });
            return Some(pause);
        }
    }

    async fn session(
        &mut self,
        arrival: Arrival<D::Stream>,
        stop: &CancellationToken,
    ) -> Ended<D::Stream> {
        let connected = &arrival.connected;
        let (peer, took, address) = (connected.peer, connected.took, &connected.address);
        let enrolled = self.state.known().enrolment.is_some();
        let appliance = connected.link.appliance();
        tracing::info!(%address, ?peer, enrolled, appliance = appliance.fingerprint(), "connected");
        self.host.notice(AgentEvent::Connected { peer, took, enrolled });
        let early = Duration::from_secs(entropy() % 3600);
        let life = Life { messages: self.messages_per_session, early };
        let Self { host, state, dialer, .. } = self;
        Session::new(Lent { host, state, dialer }, arrival, life).run(stop).await
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
            | SessionEnd::Moved
            | SessionEnd::Lost(_) => Some(self.backoff.next(None, entropy())),
        }
    }
}

/// Which address to try after so many misses: the one that counts, and after some, the others in
/// turn with it.
fn choose(mut addresses: Vec<Address>, misses: u32) -> Option<Address> {
    let count = u32::try_from(addresses.len()).ok().filter(|count| *count > 0)?;
    let turn = misses.saturating_sub(PATIENCE - 1) % count;
    Some(addresses.swap_remove(usize::try_from(turn).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_addresses_have_their_turn_after_three_misses() {
        let tried = |places: &[&str]| {
            let addresses: Vec<_> =
                places.iter().map(|host| Address::new(host, 443).unwrap()).collect();
            let host = |misses| choose(addresses.clone(), misses).unwrap().host().to_owned();
            (0..9).map(host).collect::<String>()
        };
        assert_eq!(tried(&["a"]), "aaaaaaaaa");
        assert_eq!(tried(&["a", "b"]), "aaabababa");
        assert_eq!(tried(&["a", "b", "c"]), "aaabcabca");
        assert_eq!(choose(Vec::new(), 7), None);
    }
}
