//! The appliance is moving: its new address is tried beside the living session.
//!
//! Make before break. The session in use stays what it is until the own appliance has proven its
//! stored static key at the new address and has greeted the device there. Whatever fails before
//! that changes nothing, on the wire or in the state; the appliance repeats its announcement for
//! as long as it holds, and the device tries again then, not before a pause that grows.

use std::{future::pending, pin::Pin, time::Duration};

use aerie_protocol::{
    address::Address,
    inform::{FromDevice, Hello, from_appliance, from_device},
};
use thiserror::Error;
use tokio::time::{Instant, timeout};

use super::{Flow, Session, SessionEnd, Standing};
use crate::{
    backoff::{Backoff, entropy},
    chain::Chain,
    connect::{ConnectError, Connected, Dial, connect},
    host::{AgentEvent, Host},
    link::{LinkError, Received},
    state::Known,
};

/// From the hello at the new address to the appliance's first word there.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How long a move waits for open terminals, which end with the session.
const TERMINALS: Duration = Duration::from_mins(15);

/// Why a device did not move to an announced address. It stays where it is.
#[derive(Debug, Error)]
pub enum MoveError {
    /// No session there: nobody answers, or it is not the own appliance.
    #[error("the announced address does not lead to the appliance")]
    Connect(#[source] ConnectError),
    /// The session broke before it was any good.
    #[error("the connection to the announced address broke")]
    Link(#[source] LinkError),
    /// Proven, and then nothing.
    #[error("nothing came from the announced address within {} s", FIRST_WORD.as_secs())]
    Silent,
    /// The appliance there sends the device away, or does not know it.
    #[error("the appliance at the announced address does not take this device in")]
    Unwelcome,
}

/// An open connection, and what the appliance has said on it so far.
pub(crate) struct Arrival<S> {
    pub(crate) connected: Connected<S>,
    /// The appliance's first word, still to be worked off.
    pub(crate) first: Option<Received>,
}

/// The dialer is with the attempt while it lasts.
type Attempt<'agent, D> = Pin<
    Box<
        dyn Future<Output = (&'agent mut D, Result<Box<Arrival<<D as Dial>::Stream>>, MoveError>)>
            + Send
            + 'agent,
    >,
>;

/// Tries announced addresses, one at a time.
pub(super) struct Mover<'agent, D: Dial> {
    dialer: Option<&'agent mut D>,
    attempt: Option<Attempt<'agent, D>>,
    backoff: Backoff,
    /// After a failure: no attempt before this.
    pause_until: Option<Instant>,
    /// Terminals are open: no attempt before this, unless they close.
    patient_until: Option<Instant>,
}

impl<'agent, D: Dial> Mover<'agent, D> {
    pub(super) fn new(dialer: &'agent mut D) -> Self {
        Self {
            dialer: Some(dialer),
            attempt: None,
            backoff: Backoff::default(),
            pause_until: None,
            patient_until: None,
        }
    }

    /// Whether an attempt may begin now.
    fn is_ready(&mut self, terminals_open: bool) -> bool {
        let now = Instant::now();
        if terminals_open {
            self.patient_until.get_or_insert(now + TERMINALS);
        } else {
            self.patient_until = None;
        }
        let waits = [self.pause_until, self.patient_until];
        self.attempt.is_none() && waits.into_iter().flatten().all(|until| now >= until)
    }

    fn begin(&mut self, known: Known, address: Address, hello: Hello) {
        if let Some(dialer) = self.dialer.take() {
            self.attempt = Some(Box::pin(async move {
                let outcome = arrive(dialer, &known, address, hello).await;
                (dialer, outcome)
            }));
        }
    }

    /// Whether an attempt is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.attempt.is_some()
    }

    /// Waits for the attempt that is under way, for ever when there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Box<Arrival<D::Stream>>, MoveError> {
        let Some(attempt) = &mut self.attempt else { return pending().await };
        let (dialer, outcome) = attempt.await;
        self.attempt = None;
        self.dialer = Some(dialer);
        if let Err(error) = &outcome {
            let ordered = match error {
                MoveError::Connect(error) => error.retry_after(),
                _ => None,
            };
            let pause = self.backoff.next(ordered, entropy());
            tracing::warn!(error = %Chain(error), ?pause, "not moved; the session goes on");
            self.pause_until = Some(Instant::now() + pause);
        }
        outcome
    }
}

/// A connection to `address` on which the own appliance has greeted this device.
async fn arrive<D: Dial>(
    dialer: &mut D,
    known: &Known,
    address: Address,
    hello: Hello,
) -> Result<Box<Arrival<D::Stream>>, MoveError> {
    let mut connected = connect(dialer, known, address).await.map_err(MoveError::Connect)?;
    let hello = FromDevice::from(from_device::Body::Hello(hello));
    connected.link.send(&hello).await.map_err(MoveError::Link)?;
    let first = timeout(FIRST_WORD, connected.link.receive()).await;
    let first = first.map_err(|_| MoveError::Silent)?.map_err(MoveError::Link)?;
    if is_welcome(&first) {
        Ok(Box::new(Arrival { connected, first: Some(first) }))
    } else {
        Err(MoveError::Unwelcome)
    }
}

/// Whether the appliance goes on with the device. Orders to leave it or to forget it are for the
/// session in use: there the same appliance can give them.
fn is_welcome(first: &Received) -> bool {
    use from_appliance::Body;
    let Received::Message(message) = first else { return true };
    !matches!(
        message.body,
        None | Some(Body::Waiting(_) | Body::Forget(_) | Body::Goodbye(_) | Body::Refusal(_))
    )
}

impl<H: Host, D: Dial> Session<'_, H, D> {
    /// The appliance says where else it is. Only a device that belongs to it listens.
    pub(super) async fn on_address(&mut self, address: &Address) -> Flow {
        if self.standing == Standing::Quarantined || self.state.known().enrolment.is_none() {
            tracing::debug!(%address, "an address for enrolled devices, which this one is not");
            return Ok(None);
        }
        if *address == self.address {
            // The appliance waits for this device: perhaps a hello was lost.
            self.told = 0;
            self.settle().await?;
            self.tell_identity().await?;
        } else if self.mover.is_ready(self.terminals.any_open()) {
            tracing::info!(%address, "the appliance announces another address: trying it");
            // Without the address by which it came: it has not come to stay yet.
            let hello = self.identity(None).await;
            self.mover.begin(self.state.known().clone(), address.clone(), hello);
        }
        Ok(None)
    }

    pub(super) fn on_attempt(
        &mut self,
        outcome: Result<Box<Arrival<D::Stream>>, MoveError>,
    ) -> Option<SessionEnd> {
        match outcome {
            Ok(arrival) => {
                self.next = Some(arrival);
                Some(SessionEnd::Moved)
            }
            Err(error) => {
                self.host.notice(AgentEvent::NotMoved { error: &error });
                None
            }
        }
    }

    /// Once its appliance has spoken at this address, an enrolled device looks for it here first;
    /// durable before the appliance is told so.
    pub(super) async fn settle(&mut self) -> Result<(), LinkError> {
        let known = self.state.known();
        let settled = known.addresses().first() == Some(&self.address);
        if settled || !self.heard || self.standing == Standing::Quarantined {
            return Ok(());
        }
        match self.state.settle(self.link.appliance(), self.address.clone()).await {
            Ok(true) => {
                tracing::info!(address = %self.address, "from now on the appliance is looked for here first");
                self.host.notice(AgentEvent::Settled { address: &self.address });
                self.tell_identity().await
            }
            // Adopted elsewhere meanwhile: the next look at the state says so.
            Ok(false) => Ok(()),
            Err(error) => {
                // Tried again in a minute. Until then the appliance counts on nothing.
                tracing::error!(error = %Chain(&error), "cannot keep the appliance's new address");
                Ok(())
            }
        }
    }
}
