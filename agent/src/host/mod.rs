//! The machine that an agent runs on.
//!
//! [`Host`] is everything the agent asks of its machine and nothing about the appliance, so that
//! a simulator puts thousands of invented devices behind the very same session code.
//! [`LinuxHost`] is the real one; what it does to the machine, apart from reading, goes through its
//! [`Privileges`].

mod account;
mod hardware;
mod identity;
mod interfaces;
mod led;
pub(crate) mod line;
mod linux;
mod load;
pub(crate) mod privileges;
pub(crate) mod pty;
mod wireless;

use std::{future::Future, net::SocketAddr, time::Duration};

use aerie_protocol::{address::Address, inform};
use thiserror::Error;

pub(crate) use self::identity::serial_number;
pub use self::{
    linux::{LinuxHost, Roots},
    privileges::{Direct, Privileges},
};
use crate::{
    passwords::PasswordError,
    session::{MoveError, SessionEnd},
    terminal::{Terminal, WindowSize},
};

/// A light that blinks longer than this, in seconds, is a nuisance.
pub(crate) const LONGEST_LOCATE: u32 = 3600;

/// What the agent asks of the machine it runs on.
pub trait Host: Send {
    /// Who the machine says it is. The agent itself fills in `pinned`.
    fn identity(&mut self) -> impl Future<Output = inform::Hello> + Send;

    /// How the machine is. CPU load counts since the last call.
    fn status(&mut self) -> impl Future<Output = inform::Status> + Send;

    /// Whether [`Host::restart`] would be tried: asked before the appliance is told "done".
    fn may_restart(&self) -> Result<(), CommandError>;

    /// Restarts the machine. The answer is how long it will probably be away; the agent leaves the
    /// appliance and, if it is still alive by then, comes back.
    fn restart(&mut self) -> impl Future<Output = Result<Duration, CommandError>> + Send;

    /// Shows which machine it is for so long, or no longer.
    fn locate(
        &mut self,
        duration: Option<Duration>,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;

    /// Opens a terminal of this size.
    fn open_terminal(
        &mut self,
        size: WindowSize,
    ) -> impl Future<Output = Result<Terminal, CommandError>> + Send;

    /// The local accounts whose passwords the appliance may set, and what they have, with what is
    /// sealed.
    fn passwords(
        &mut self,
    ) -> impl Future<Output = Result<Vec<inform::HeldPassword>, PasswordError>> + Send;

    /// Sets the password of a local account and proves it. Answers what the account has then.
    fn set_password(
        &mut self,
        set: inform::SetPassword,
    ) -> impl Future<Output = Result<inform::HeldPassword, PasswordError>> + Send;

    /// Whether a local account has this password.
    fn try_password(
        &mut self,
        tried: inform::TryPassword,
    ) -> impl Future<Output = Result<(), PasswordError>> + Send;

    /// Told what happens to the agent; a simulator counts, a machine need not care.
    fn notice(&mut self, _event: AgentEvent<'_>) {}
}

/// Why a command was not carried out.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The device's own file says no.
    #[error("the device's own policy does not allow it: {0}")]
    NotAllowed(&'static str),
    /// It was tried, or is known to be of no use here.
    #[error("{0}")]
    Failed(String),
}

/// What happens to an agent, for whoever watches.
#[derive(Debug)]
pub enum AgentEvent<'a> {
    /// A session is open and proven; `Hello` comes next.
    Connected {
        /// The appliance's address, where there is one.
        peer: Option<SocketAddr>,
        /// From the start of the connect to here.
        took: Duration,
        /// Whether the device is enrolled.
        enrolled: bool,
    },
    /// The appliance knows the device and waits for an admin.
    Waiting,
    /// The device is enrolled, durably.
    Enrolled,
    /// The device dropped the appliance's identity, on an authenticated order.
    Forgotten,
    /// The appliance was found at this address, which is looked for first from now on, durably.
    Settled {
        /// The address.
        address: &'a Address,
    },
    /// An announced address led nowhere; the session goes on.
    NotMoved {
        /// Why.
        error: &'a MoveError,
    },
    /// A status went out: so many bytes before encryption.
    Reported {
        /// Bytes.
        bytes: usize,
    },
    /// The connect failed.
    Failed {
        /// Why.
        error: &'a crate::connect::ConnectError,
        /// The pause before the next one.
        pause: Duration,
    },
    /// The session ended.
    Left {
        /// Why.
        end: &'a SessionEnd,
        /// The pause before the next connect.
        pause: Duration,
    },
}
