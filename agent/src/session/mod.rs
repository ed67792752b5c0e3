//! One session with the appliance, from `Hello` to its end.
//!
//! One loop, one task, no queue: what the appliance sends is answered before the next message is
//! read. Everything that reaches this module has been opened by Noise, so it is the appliance's
//! own word; what the outer layers say (HTTP, WebSocket, TLS) can only end the session.
//!
//! | before `Enrolled` | after it (or from the start of an IK session) |
//! | --- | --- |
//! | identity and keep-alive only; every request and terminal is refused | everything |

mod report;
mod requests;
mod terminals;

use std::time::Duration;

use aerie_protocol::{
    inform::{
        Enrolled, FromDevice, Goodbye, GoodbyeReason, KeepAlive, Refusal, RefusalReason, Reply,
        from_appliance, from_device, reply::Outcome,
    },
    noise::PublicKey,
    text::DeviceText,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    chain::Chain,
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
enum Event {
    Stop,
    Received(Received),
    Terminal(TerminalEvent),
    Clock,
}

/// `Ok(Some(end))` ends the session on purpose.
type Flow = Result<Option<SessionEnd>, LinkError>;

pub(crate) struct Session<'agent, H, S> {
    host: &'agent mut H,
    state: &'agent mut State,
    link: Link<S>,
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

impl<'agent, H, S> Session<'agent, H, S>
where
    H: Host,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// A session over a proven link.
    pub(crate) fn new(
        host: &'agent mut H,
        state: &'agent mut State,
        link: Link<S>,
        life: Life,
    ) -> Self {
        let now = Instant::now();
        let enrolled = state.known().enrolment.is_some();
        Self {
            host,
            state,
            link,
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
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> SessionEnd {
        let end = match self.work(stop).await {
            Ok(end) => end,
            Err(error) => SessionEnd::Lost(error),
        };
        if let Some(reason) = farewell(&end) {
            self.say_goodbye(reason).await;
        }
        self.terminals.shut_down().await;
        if !matches!(end, SessionEnd::Lost(_) | SessionEnd::Silent) {
            self.link.close().await;
        }
        end
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
        self.tell_identity().await?;
        loop {
            let clock = self.next_deadline();
            let event = tokio::select! {
                () = stop.cancelled() => Event::Stop,
                received = self.link.receive() => Event::Received(received?),
                event = self.terminals.next() => Event::Terminal(event),
                () = sleep_until(clock) => Event::Clock,
            };
            let flow = match event {
                Event::Stop => Some(SessionEnd::Stopped),
                Event::Received(received) => {
                    self.heard_at = Instant::now();
                    self.on_received(received).await?
                }
                Event::Terminal(event) => {
                    self.on_terminal(event).await?;
                    None
                }
                Event::Clock => self.on_clock().await?,
            };
            if let Some(end) = flow {
                return Ok(end);
            }
            if self.link.messages() >= self.most_messages {
                return Ok(SessionEnd::Renew);
            }
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
            self.tell_identity().await?;
        }
        Ok(None)
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
        SessionEnd::Forgotten
        | SessionEnd::Goodbye { .. }
        | SessionEnd::Silent
        | SessionEnd::Lost(_) => None,
    }
}

/// What was checked about the appliance's static key, for `Hello`.
fn is_pinned(state: &State, appliance: PublicKey) -> bool {
    state.known().key.as_ref().is_some_and(|key| key.pin == Some(appliance))
}
