//! The inform endpoint: from an upgraded connection to a running session.
//!
//! Who connects proves its static key by Noise before anything is looked up, and has said hello
//! inside the session before an older session of the same device has to go: a recorded handshake
//! that is played again gets nowhere and changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aerie_protocol::inform::{
    self, Enrolled, Forget, FromDevice, Goodbye, GoodbyeReason, Hello, MessageError, Reporting,
    Waiting, from_appliance, from_device,
};
use aerie_protocol::noise::{self, Answered, NoiseError, Opening, PublicKey};
use bytes::Bytes;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tracing::debug;

use super::Devices;
use super::admission::Admission;
use super::cell::{Cell, SessionRef};
use super::events::{Event, Level};
use super::mailbox::{Letter, Mailbox};
use super::session::{Session, State};
use super::wire::{Frames, WireError};
use crate::vault::candidates::Moment;

/// From the upgrade to the hello.
const GREETING_TIME: Duration = Duration::from_secs(10);

/// Why a connection never became a session.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("the device said nothing within {} s", GREETING_TIME.as_secs())]
    Silent,
    #[error("the device left during the greeting")]
    Left,
    #[error("the device key is not one of ours")]
    UnknownKey,
    #[error("the device could not prove itself")]
    Noise(#[from] NoiseError),
    #[error("the connection failed during the greeting")]
    Wire(#[from] WireError),
    #[error("the first message was no hello")]
    NoHello(#[source] Option<MessageError>),
}

/// How a device proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// First contact: it holds a device key, of this generation.
    DeviceKey([u8; 4]),
    /// It knew the appliance's static key before it said a word.
    KnownAppliance,
}

/// A device that has proven its key and said who it is.
pub(super) struct Greeted {
    pub(super) noise: noise::Session,
    pub(super) remote: PublicKey,
    pub(super) proof: Proof,
    pub(super) hello: Hello,
}

/// What the appliance makes of a device that has said hello.
pub(super) enum Meeting {
    /// It may stay.
    Stay(Arc<Cell>),
    /// It has to go, with these words.
    Go(from_appliance::Body),
}

impl Devices {
    /// Takes over a connection whose WebSocket upgrade has been answered, and returns at once.
    /// `already` is what was read behind the upgrade request.
    pub fn serve_inform<S>(&self, stream: S, already: Bytes, source: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let devices = self.clone();
        // The greeting's future is large and short-lived; the session gets a fresh, small one.
        self.tracker().spawn(Box::pin(async move {
            let mut frames = Frames::over(stream, already).await;
            match timeout(GREETING_TIME, devices.greet(&mut frames)).await {
                Ok(Ok(greeted)) => devices.admit_session(frames, greeted, source).await,
                Ok(Err(refused)) => devices.refuse(&mut frames, source, &refused).await,
                Err(_) => devices.refuse(&mut frames, source, &Refused::Silent).await,
            }
        }));
    }

    async fn greet<S>(&self, frames: &mut Frames<S>) -> Result<Greeted, Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let first = frames.next().await?.ok_or(Refused::Left)?;
        let opening = Opening::parse(&first)?;
        let (proof, secret) = match opening.key_id() {
            Some(generation) => {
                let secret = self.keys().secret(generation).ok_or(Refused::UnknownKey)?;
                (Proof::DeviceKey(generation), Some(secret))
            }
            None => (Proof::KnownAppliance, None),
        };
        let (answered, second) = opening.answer(self.keys().static_key(), secret.as_deref())?;
        frames.send(Bytes::from(second)).await?;
        let mut noise = match answered {
            Answered::Proven(session) => session,
            Answered::Awaiting(handshake) => {
                let third = frames.next().await?.ok_or(Refused::Left)?;
                handshake.finish(&third)?
            }
        };
        let sealed = frames.next().await?.ok_or(Refused::Left)?;
        let mut plain = Vec::new();
        noise.open(&sealed, &mut plain)?;
        match inform::decode_from_device(&plain) {
            Ok(FromDevice { body: Some(from_device::Body::Hello(hello)) }) => {
                Ok(Greeted { remote: noise.remote(), noise, proof, hello })
            }
            Ok(_) => Err(Refused::NoHello(None)),
            Err(error) => Err(Refused::NoHello(Some(error))),
        }
    }

    async fn refuse<S>(&self, frames: &mut Frames<S>, source: SocketAddr, refused: &Refused)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        debug!(%source, error = %refused, "a connection did not become a session");
        match refused {
            Refused::UnknownKey | Refused::Noise(_) | Refused::NoHello(_) => {
                self.events().record(Event::noisy(
                    Level::Warning,
                    "device",
                    format!(
                        "A device at {} was refused: {refused}. Give it the present device key.",
                        source.ip().to_canonical()
                    ),
                ));
                frames.close(CloseCode::Policy, "device key not accepted").await;
            }
            Refused::Wire(WireError::Protocol(_) | WireError::Text) => {
                frames.close(CloseCode::Protocol, "broke the WebSocket protocol").await;
            }
            Refused::Silent => frames.close(CloseCode::Policy, "said nothing").await,
            Refused::Left | Refused::Wire(_) => {}
        }
    }

    /// The device has proven itself: from here on it counts.
    async fn admit_session<S>(&self, frames: Frames<S>, greeted: Greeted, source: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mailbox = Arc::new(Mailbox::default());
        let meeting = self.meet(&greeted, source).await;
        let mut session = Session {
            frames,
            noise: greeted.noise,
            cell: match &meeting {
                Meeting::Stay(cell) => Arc::clone(cell),
                Meeting::Go(_) => Arc::clone(self.nobody()),
            },
            mailbox: Arc::clone(&mailbox),
            devices: self.clone(),
            state: Box::new(State::new()),
        };
        if let Meeting::Go(body) = meeting {
            if session.send(body).await.is_ok() {
                session.frames.close(CloseCode::Normal, "goodbye").await;
            }
            return;
        }
        let cell = Arc::clone(&session.cell);
        self.heard_passwords(&cell, &greeted.hello, Moment::Settled);
        let serial = self.next_serial();
        let reference = SessionRef { serial, mailbox, source, since: self.now() };
        if let Some(before) = cell.attach(reference) {
            // Closed already when the mailbox refuses.
            before.mailbox.put(Letter::End(GoodbyeReason::Replaced, 0)).ok();
        }
        self.session_began(&cell);
        // Only now, so that an admin's decision in this very moment is not missed.
        for body in self.first_words(&cell, greeted.proof) {
            if let Err(end) = session.send(body).await {
                self.session_ended(&cell, serial, &end);
                return;
            }
        }
        let devices = self.clone();
        self.tracker().spawn(async move {
            let end = session.run().await;
            devices.session_ended(&cell, serial, &end);
        });
    }

    fn first_words(&self, cell: &Arc<Cell>, proof: Proof) -> Vec<from_appliance::Body> {
        if self.registry().by_id(cell.id).is_none() {
            // Pushed out of the quarantine, or deleted, while it was greeted.
            return vec![goodbye(GoodbyeReason::Deleted, 5)];
        }
        if !cell.is_authorized() {
            return vec![from_appliance::Body::Waiting(Waiting {})];
        }
        let mut words = match proof {
            // It was just let in, or the reply to its enrolment was lost, or it adopted us anew.
            Proof::DeviceKey(_) => vec![enrolled(cell), self.reporting(cell)],
            Proof::KnownAppliance => vec![self.reporting(cell)],
        };
        words.extend(self.announcement_for(cell));
        words
    }

    /// Decides what a device that has said hello is to us.
    async fn meet(&self, greeted: &Greeted, source: SocketAddr) -> Meeting {
        if self.is_shutting_down() {
            return Meeting::Go(goodbye(GoodbyeReason::ShuttingDown, 10));
        }
        if let Some(cell) = self.registry().by_key(&greeted.remote) {
            self.heard_hello(&cell, &greeted.hello);
            return Meeting::Stay(cell);
        }
        if greeted.proof == Proof::KnownAppliance && self.is_forgotten(&greeted.remote).await {
            return Meeting::Go(from_appliance::Body::Forget(Forget {}));
        }
        if let Proof::DeviceKey(_) = greeted.proof
            && let Some(cell) = self.take_place(greeted).await
        {
            return Meeting::Stay(cell);
        }
        match self.admission().stranger(source.ip()) {
            Admission::Accept => Meeting::Stay(self.quarantine(greeted, source)),
            Admission::RetryAfter(away) => {
                let seconds = u32::try_from(away.as_secs()).unwrap_or(u32::MAX);
                Meeting::Go(goodbye(GoodbyeReason::Overloaded, seconds))
            }
        }
    }

    fn quarantine(&self, greeted: &Greeted, source: SocketAddr) -> Arc<Cell> {
        let facts = self.facts_of_stranger(greeted);
        let (cell, evicted) = self.registry().quarantine(facts, source.ip());
        for gone in evicted {
            if let Some(mailbox) = gone.mailbox() {
                let seconds = super::jitter::between(60..300);
                let away = u32::try_from(seconds).unwrap_or(u32::MAX);
                // Closed already when the mailbox refuses.
                mailbox.put(Letter::End(GoodbyeReason::QuarantineFull, away)).ok();
            }
            self.removed(gone.id);
        }
        self.knocked(&cell, source);
        cell
    }

    /// How often a device is to report at the moment.
    pub(super) fn reporting(&self, cell: &Cell) -> from_appliance::Body {
        let interval_seconds =
            if cell.is_watched() { super::WATCHED_INTERVAL } else { self.status_interval() };
        from_appliance::Body::Reporting(Reporting { interval_seconds })
    }

    fn next_serial(&self) -> u64 {
        self.serials().fetch_add(1, Ordering::Relaxed)
    }
}

fn goodbye(reason: GoodbyeReason, retry_after_seconds: u32) -> from_appliance::Body {
    from_appliance::Body::Goodbye(Goodbye { reason: reason.into(), retry_after_seconds })
}

/// What tells a device that it is in: sent only once its authorisation is durable.
pub(super) fn enrolled(cell: &Cell) -> from_appliance::Body {
    let name = cell.lock().facts.alias.clone();
    from_appliance::Body::Enrolled(Enrolled { device_id: cell.id.as_bytes().to_vec(), name })
}
