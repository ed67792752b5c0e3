//! Bodies that tell the crowd when they move, and time out when they do not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep};

use super::crowd::Busy;

/// A request's body may stand still for so long.
const STANDSTILL: Duration = Duration::from_secs(20);

/// Why a request's body could not be read.
#[derive(Debug, Error)]
pub enum ArrivingError {
    /// The connection.
    #[error("the connection broke while the request was sent")]
    Connection(#[source] hyper::Error),
    /// Silence.
    #[error("the request's body did not arrive within {} s", STANDSTILL.as_secs())]
    Standstill,
}

/// A request's body on its way in.
pub(super) struct Arriving {
    incoming: Incoming,
    standstill: Pin<Box<Sleep>>,
    busy: Arc<Busy>,
}

impl Arriving {
    /// As the router takes it.
    pub(super) fn body(incoming: Incoming, busy: Arc<Busy>) -> Body {
        if incoming.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { incoming, standstill: Box::pin(sleep(STANDSTILL)), busy })
    }
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = ArrivingError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ArrivingError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.busy.moved();
            self.standstill.as_mut().reset(Instant::now() + STANDSTILL);
            return Poll::Ready(frame.map(|frame| frame.map_err(ArrivingError::Connection)));
        }
        ready!(self.standstill.as_mut().poll(context));
        Poll::Ready(Some(Err(ArrivingError::Standstill)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// An answer's body on its way out.
pub(super) struct Answer {
    body: Body,
    busy: Arc<Busy>,
}

impl Answer {
    pub(super) fn new(body: Body, busy: Arc<Busy>) -> Self {
        Self { body, busy }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.busy.moved();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
