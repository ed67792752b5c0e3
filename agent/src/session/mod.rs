//! One session with the appliance, from `Hello` to its end.
//!
//! One loop, one task, no queue: what the appliance sends is answered before the next message is
//! read. Everything that reaches this module has been opened by Noise, so it is the appliance's
//! own word; what the outer layers say (HTTP, WebSocket, TLS) can only end the session.
//!
//! | before `Enrolled` | after it (or from the start of an IK session) |
//! | --- | --- |
//! | identity and keep-alive only; every request and terminal is refused | everything |

mod moving;
mod report;
mod requests;
mod terminals;

use std::time::Duration;

use aerie_protocol::{
    address::Address,
    inform::{
        Enrolled, FromDevice, Goodbye, GoodbyeReason, KeepAlive, Refusal, RefusalReason, Reply,
        from_appliance, from_device, reply::Outcome,
    },
    noise::PublicKey,
    text::DeviceText,
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::moving::Arrival;
pub use self::moving::MoveError;
use self::moving::Mover;
use crate::{
    chain::Chain,
    connect::{Connected, Dial},
    host::{AgentEvent, Host},
    link::{Link, LinkError, Received},
    state::{Enrolment, State},
    terminal::{TerminalEvent, Terminals},
};

/// The appliance sends a keep-alive every 15 to 20 s: after two misses it is gone.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// How often a status goes out until the appliance says otherwise.
const USUAL_REPORTING: Duration = Duration::from_mins(1);
/// What the appliance can ask for.
const REPORTING: std::ops::RangeInclusive<u32> = 1..=3600;
/// How often the device looks after itself: adopted meanwhile? still the same identity?
const SELF_CHECK: Duration = Duration::from_mins(1);
/// Fresh keys once a day, whatever was sent.
const LONGEST_SESSION: Duration = Duration::from_hours(24);
/// How long a goodbye may take; the other end notices without it, only later.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of a name that the appliance gives.
const LONGEST_NAME: usize = 128;

/// Why a session ended.
#[derive(Debug)]
pub enum SessionEnd {
    /// The agent was told to stop.
    Stopped,
    /// Nothing proven came from the appliance for 30 s.
    Silent,
    /// The appliance said goodbye.
    Goodbye {
        /// Why.
        reason: GoodbyeReason,
        /// When it wants the device back; `None` if it did not say.
        retry_after: Option<Duration>,
    },
    /// The appliance's authenticated order to drop its identity was carried out.
    Forgotten,
    /// Time for fresh keys.
    Renew,
    /// The machine is going down, for about so long.
    Restarting(Duration),
    /// Somebody at the device gave it to another appliance.
    Adopted,
    /// The appliance has another address now, and a session there goes on.
    Moved,
    /// The session broke.
    Lost(LinkError),
}

/// How long a session may use its keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// Messages, both ways together.
    pub(crate) messages: u64,
    /// What is taken off a day: a random part of an hour, so that devices which came together do
    /// not renew together.
    pub(crate) early: Duration,
}

/// How far the appliance is trusted in this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nobody has authorised the device (or told it so).
    Quarantined,
    /// The device belongs to this appliance.
    Enrolled,
}

/// What the loop waits for.
enum Event<S> {
    Stop,
    Received(Received),
    Terminal(TerminalEvent),
    Attempt(Result<Box<Arrival<S>>, MoveError>),
    Clock,
}

/// `Ok(Some(end))` ends the session on purpose.
type Flow = Result<Option<SessionEnd>, LinkError>;

/// What an agent lends to a session.
pub(crate) struct Lent<'agent, H, D> {
    pub(crate) host: &'agent mut H,
    pub(crate) state: &'agent mut State,
    pub(crate) dialer: &'agent mut D,
}

/// What is left of a session.
pub(crate) struct Ended<S> {
    pub(crate) end: SessionEnd,
    /// Whether the appliance has said anything at all.
    pub(crate) heard: bool,
    /// After a move: what goes on.
    pub(crate) next: Option<Box<Arrival<S>>>,
}

pub(crate) struct Session<'agent, H, D: Dial> {
    host: &'agent mut H,
    state: &'agent mut State,
    link: Link<D::Stream>,
    /// Where it was dialled.
    address: Address,
    mover: Mover<'agent, D>,
    next: Option<Box<Arrival<D::Stream>>>,
    /// The appliance's first word, where the session began before this.
    first: Option<Received>,
    heard: bool,
    terminals: Terminals,
    standing: Standing,
    /// A digest of the identity as the appliance knows it.
    told: u64,
    reporting: Duration,
    /// Never, while the device is in quarantine.
    report_at: Option<Instant>,
    check_at: Instant,
    heard_at: Instant,
    renew_at: Instant,
    /// Messages both ways after which the keys are worn out.
    most_messages: u64,
}

impl<'agent, H: Host, D: Dial> Session<'agent, H, D> {
    /// A session over a proven link.
    pub(crate) fn new(lent: Lent<'agent, H, D>, arrival: Arrival<D::Stream>, life: Life) -> Self {
        let now = Instant::now();
        let Lent { host, state, dialer } = lent;
        let Arrival { connected: Connected { link, address, .. }, first } = arrival;
        let enrolled = state.known().enrolment.is_some();
        Self {
            host,
            state,
            link,
            address,
            mover: Mover::new(dialer),
            next: None,
            heard: false,
            first,
            terminals: Terminals::default(),
            standing: if enrolled { Standing::Enrolled } else { Standing::Quarantined },
            told: 0,
            reporting: USUAL_REPORTING,
            report_at: enrolled.then_some(now),
            check_at: now + SELF_CHECK,
            heard_at: now,
            renew_at: now + LONGEST_SESSION - life.early,
            most_messages: life.messages,
        }
    }

    /// Runs the session to its end, and leaves nothing of it behind.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> Ended<D::Stream> {
        let end = match self.work(stop).await {
            Ok(end) => end,
            Err(error) => SessionEnd::Lost(error),
        };
        let end = self.or_move(end, stop).await;
        if let Some(reason) = farewell(&end) {
            self.say_goodbye(reason).await;
        }
        self.terminals.shut_down().await;
        if !matches!(end, SessionEnd::Lost(_) | SessionEnd::Silent) {
            self.link.close().await;
        }
        Ended { end, heard: self.heard, next: self.next }
    }

    /// The appliance ends this session as soon as the one at its new address has begun there,
    /// which this end may see later.
    async fn or_move(&mut self, end: SessionEnd, stop: &CancellationToken) -> SessionEnd {
        let ended_there =
            matches!(end, SessionEnd::Goodbye { .. } | SessionEnd::Lost(_) | SessionEnd::Silent);
        if !ended_there || !self.mover.is_under_way() {
            return end;
        }
        match stop.run_until_cancelled(self.mover.next()).await {
            Some(outcome) => self.on_attempt(outcome).unwrap_or(end),
            None => end,
        }
    }

    async fn say_goodbye(&mut self, reason: GoodbyeReason) {
        let goodbye = Goodbye { reason: reason.into(), ..Goodbye::default() };
        match timeout(FAREWELL, self.send(from_device::Body::Goodbye(goodbye))).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(error = %Chain(&error), "no goodbye"),
            Err(_) => tracing::debug!("the goodbye did not go out in time"),
        }
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<SessionEnd, LinkError> {
        if let Some(first) = self.first.take()
            && let Some(end) = self.hear(first).await?
        {
            return Ok(end);
        }
        self.tell_identity().await?;
        loop {
            let clock = self.next_deadline();
            let event = tokio::select! {
                () = stop.cancelled() => Event::Stop,
                received = self.link.receive() => Event::Received(received?),
                event = self.terminals.next() => Event::Terminal(event),
                outcome = self.mover.next() => Event::Attempt(outcome),
                () = sleep_until(clock) => Event::Clock,
            };
            if let Some(end) = self.on_event(event).await? {
                return Ok(end);
            }
            if self.link.messages() >= self.most_messages {
                return Ok(SessionEnd::Renew);
            }
        }
    }

    async fn on_event(&mut self, event: Event<D::Stream>) -> Flow {
        match event {
            Event::Stop => Ok(Some(SessionEnd::Stopped)),
            Event::Received(received) => self.hear(received).await,
            Event::Terminal(event) => {
                self.on_terminal(event).await?;
                Ok(None)
            }
            Event::Attempt(outcome) => Ok(self.on_attempt(outcome)),
            Event::Clock => self.on_clock().await,
        }
    }

    fn next_deadline(&self) -> Instant {
        let silence = self.heard_at + LONGEST_SILENCE;
        let fixed = silence.min(self.renew_at).min(self.check_at);
        self.report_at.map_or(fixed, |report_at| fixed.min(report_at))
    }

    async fn on_clock(&mut self) -> Flow {
        let now = Instant::now();
        if now >= self.heard_at + LONGEST_SILENCE {
            return Ok(Some(SessionEnd::Silent));
        }
        if now >= self.renew_at {
            return Ok(Some(SessionEnd::Renew));
        }
        if self.report_at.is_some_and(|report_at| now >= report_at) {
            self.report_at = Some(now + self.reporting);
            self.report().await?;
        }
        if now >= self.check_at {
            self.check_at = now + SELF_CHECK;
            return self.check_self().await;
        }
        Ok(None)
    }

    async fn check_self(&mut self) -> Flow {
        match self.state.reload() {
            Ok(true) => return Ok(Some(SessionEnd::Adopted)),
            Ok(false) => {}
            // What is in memory stays good; the disk may come back.
            Err(error) => tracing::warn!(error = %Chain(&error), "cannot look at the state"),
        }
        if self.standing == Standing::Enrolled {
            self.settle().await?;
            self.tell_identity().await?;
        }
        Ok(None)
    }

    async fn hear(&mut self, received: Received) -> Flow {
        self.heard_at = Instant::now();
        if !std::mem::replace(&mut self.heard, true) {
            self.settle().await?;
        }
        self.on_received(received).await
    }

    async fn on_received(&mut self, received: Received) -> Flow {
        match received {
            Received::Message(message) => match message.body {
                Some(body) => self.on_body(body).await,
                None => Ok(None),
            },
            Received::UnknownRequest(request_id) => self.refuse_unknown(request_id).await,
            Received::UnknownKind(kind) => {
                tracing::debug!(kind, "a message of a later version");
                self.refuse_unknown(0).await
            }
        }
    }

    async fn on_body(&mut self, body: from_appliance::Body) -> Flow {
        use from_appliance::Body;
        match body {
            Body::Waiting(_) => {
                tracing::info!("the appliance knows this device: an admin has to authorise it now");
                self.host.notice(AgentEvent::Waiting);
                Ok(None)
            }
            Body::Enrolled(enrolled) => self.on_enrolled(enrolled).await,
            Body::Forget(_) => self.on_forget().await,
            Body::KeepAlive(KeepAlive { sequence }) => {
                self.send(from_device::Body::KeepAlive(KeepAlive { sequence })).await?;
                Ok(None)
            }
            Body::Address(address) => match Address::try_from(&address) {
                Ok(address) => self.on_address(&address).await,
                // The decoder has refused it already.
                Err(_) => Ok(None),
            },
            Body::Request(request) => self.on_request(request).await,
            Body::Reporting(reporting) => {
                self.on_reporting(reporting.interval_seconds);
                Ok(None)
            }
            Body::Goodbye(goodbye) => Ok(Some(SessionEnd::Goodbye {
                reason: goodbye.reason(),
                retry_after: (goodbye.retry_after_seconds > 0)
                    .then(|| Duration::from_secs(goodbye.retry_after_seconds.into())),
            })),
            Body::Refusal(refusal) => {
                let detail = DeviceText::clean(&refusal.detail, 256);
                tracing::warn!(reason = ?refusal.reason(), %detail, "the appliance refuses");
                Ok(None)
            }
            Body::TerminalOpen(open) => self.on_terminal_open(open).await,
            Body::TerminalData(data) => self.on_terminal_data(data).await,
            Body::TerminalCredit(credit) => {
                self.terminals.credit(credit.channel, credit.bytes);
                Ok(None)
            }
            Body::TerminalResize(resize) => {
                self.on_terminal_resize(resize);
                Ok(None)
            }
            Body::TerminalClose(close) => {
                self.terminals.close(close.channel);
                Ok(None)
            }
        }
    }

    /// The one message that makes a device belong to an appliance. It comes again at every first
    /// contact of an authorised device, since the former one may have been lost.
    async fn on_enrolled(&mut self, enrolled: Enrolled) -> Flow {
        let Ok(device_id) = <[u8; 16]>::try_from(enrolled.device_id.as_slice()) else {
            return Ok(None);
        };
        let appliance = self.link.appliance();
        let name = DeviceText::clean(&enrolled.name, LONGEST_NAME).to_string();
        match self.state.enrol(Enrolment { appliance, device_id, name }).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some(SessionEnd::Adopted)),
            Err(error) => {
                // Not durable, so not enrolled: the next first contact gets another chance.
                tracing::error!(error = %Chain(&error), "cannot keep the enrolment");
                return Ok(None);
            }
        }
        if self.standing == Standing::Quarantined {
            self.standing = Standing::Enrolled;
            self.report_at = Some(Instant::now());
            tracing::info!(appliance = appliance.fingerprint(), "enrolled");
            self.host.notice(AgentEvent::Enrolled);
            // There may be more to tell to one's own appliance.
            self.tell_identity().await?;
        }
        Ok(None)
    }

    async fn on_forget(&mut self) -> Flow {
        let appliance = self.link.appliance();
        if let Err(error) = self.state.forget(appliance).await {
            // Still enrolled then: the appliance will say it again.
            tracing::error!(error = %Chain(&error), "cannot forget the appliance");
            return Ok(Some(SessionEnd::Goodbye {
                reason: GoodbyeReason::Deleted,
                retry_after: None,
            }));
        }
        tracing::info!(
            appliance = appliance.fingerprint(),
            "forgotten on the appliance's order: first contact at the next connect"
        );
        self.host.notice(AgentEvent::Forgotten);
        Ok(Some(SessionEnd::Forgotten))
    }

    fn on_reporting(&mut self, seconds: u32) {
        let seconds = seconds.clamp(*REPORTING.start(), *REPORTING.end());
        self.reporting = Duration::from_secs(seconds.into());
        // Never later than planned: the first report of a session is due at once.
        let next = Instant::now() + self.reporting;
        self.report_at = self.report_at.map(|planned| planned.min(next));
    }

    async fn refuse_unknown(&mut self, request_id: u64) -> Flow {
        let detail = format!("agent {} does not know it", env!("CARGO_PKG_VERSION"));
        self.reply(request_id, Err((RefusalReason::UnknownRequest, detail))).await
    }

    async fn reply(
        &mut self,
        request_id: u64,
        outcome: Result<(), (RefusalReason, String)>,
    ) -> Flow {
        let outcome = match outcome {
            Ok(()) => Outcome::Done(aerie_protocol::inform::Done {}),
            Err((reason, detail)) => Outcome::Refusal(refusal(reason, &detail)),
        };
        let reply = Reply { request_id, outcome: Some(outcome) };
        self.send(from_device::Body::Reply(reply)).await?;
        Ok(None)
    }

    async fn send(&mut self, body: from_device::Body) -> Result<usize, LinkError> {
        self.link.send(&FromDevice::from(body)).await
    }
}

/// A typed "no", its explanation cut to what a message allows.
fn refusal(reason: RefusalReason, detail: &str) -> Refusal {
    Refusal { reason: reason.into(), detail: DeviceText::clean(detail, 512).to_string() }
}

/// What the appliance is told about the end; nothing, where it is gone or ended the session itself.
fn farewell(end: &SessionEnd) -> Option<GoodbyeReason> {
    match end {
        SessionEnd::Stopped | SessionEnd::Restarting(_) | SessionEnd::Adopted => {
            Some(GoodbyeReason::ShuttingDown)
        }
        SessionEnd::Renew => Some(GoodbyeReason::Rehandshake),
        // The appliance has ended it, or is about to: the other session took its place.
        SessionEnd::Moved
        | SessionEnd::Forgotten
        | SessionEnd::Goodbye { .. }
        | SessionEnd::Silent
        | SessionEnd::Lost(_) => None,
    }
}

/// What was checked about the appliance's static key, for `Hello`.
fn is_pinned(state: &State, appliance: PublicKey) -> bool {
    state.known().key.as_ref().is_some_and(|key| key.pin == Some(appliance))
}
