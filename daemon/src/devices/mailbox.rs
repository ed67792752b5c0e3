//! What the rest of the daemon tells a session's task.
//!
//! A bounded queue of its own, since an idle session should own no memory for messages: tokio's
//! channel allocates 32 slots when it is made.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use aerie_protocol::inform::{FromAppliance, GoodbyeReason, Reply, request};
use tokio::sync::{Notify, oneshot};

use super::terminal::Shared;
use std::sync::Arc;

/// Letters that may wait in one mailbox.
const CAPACITY: usize = 64;

/// One thing for a session to do.
pub(super) enum Letter {
    /// Send this.
    Send(Box<FromAppliance>),
    /// Send this request and hand its reply back.
    Ask(request::Verb, oneshot::Sender<Reply>),
    /// Open this terminal on the device.
    Terminal(Arc<Shared>),
    /// Say goodbye and end; the device may come back after so many seconds.
    End(GoodbyeReason, u32),
    /// Tell the device to forget the appliance, and end.
    Forget,
}

/// The mailbox is full: the device takes nothing, or the session has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undelivered;

/// A bounded queue with one reader.
#[derive(Default)]
pub(super) struct Mailbox {
    inside: Mutex<Inside>,
    arrived: Notify,
}

#[derive(Default)]
struct Inside {
    letters: VecDeque<Letter>,
    closed: bool,
}

impl Mailbox {
    /// Puts a letter in, or refuses it when the box is full or closed.
    pub(super) fn put(&self, letter: Letter) -> Result<(), Undelivered> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        // An order to end goes first and past the bound: the box may be full since the device is stuck.
        let urgent = matches!(letter, Letter::End(..) | Letter::Forget);
        if inside.closed || (!urgent && inside.letters.len() >= CAPACITY) {
            return Err(Undelivered);
        }
        if urgent {
            inside.letters.push_front(letter);
        } else {
            inside.letters.push_back(letter);
        }
        drop(inside);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next letter. Safe to cancel.
    pub(super) async fn take(&self) -> Letter {
        loop {
            if let Some(letter) = self.try_take() {
                return letter;
            }
            self.arrived.notified().await;
        }
    }

    /// Takes no more letters and drops those that wait, so that who asked learns of it.
    pub(super) fn close(&self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.closed = true;
        inside.letters = VecDeque::new();
    }

    fn try_take(&self) -> Option<Letter> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let letter = inside.letters.pop_front();
        if inside.letters.is_empty() {
            // A queue that once held many keeps its pages otherwise.
            inside.letters = VecDeque::new();
        }
        letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep_alive(sequence: u32) -> Letter {
        use aerie_protocol::inform::{KeepAlive, from_appliance::Body};
        Letter::Send(Box::new(FromAppliance {
            body: Some(Body::KeepAlive(KeepAlive { sequence })),
        }))
    }

    #[tokio::test]
    async fn a_full_mailbox_refuses_but_still_takes_the_order_to_end() {
        let mailbox = Mailbox::default();
        for sequence in 0..64 {
            mailbox.put(keep_alive(sequence)).unwrap();
        }
        assert_eq!(mailbox.put(keep_alive(64)), Err(Undelivered));
        mailbox.put(Letter::End(GoodbyeReason::Replaced, 0)).unwrap();
        assert!(matches!(mailbox.take().await, Letter::End(GoodbyeReason::Replaced, 0)));
        assert!(matches!(mailbox.take().await, Letter::Send(_)));
    }

    #[tokio::test]
    async fn a_closed_mailbox_lets_those_who_asked_know() {
        let mailbox = Mailbox::default();
        let (asked, reply) = oneshot::channel();
        let verb = request::Verb::ReportNow(aerie_protocol::inform::ReportNow {});
        mailbox.put(Letter::Ask(verb, asked)).unwrap();
        mailbox.close();
        reply.await.unwrap_err();
        assert_eq!(mailbox.put(keep_alive(1)), Err(Undelivered));
    }
}
