//! One agent, two processes: what touches the network has no power over the machine.
//!
//! ```text
//!  aerie-agent run (root)                        aerie-agent worker (nobody)
//!  ├ start   state handed over, worker started   ├ worker  the link, its privileges asked for
//!  └ root    a closed list of verbs  <─socket─>  └ TLS, Noise, protobuf, state, /proc, netlink
//! ```
//!
//! The worker may be taken over by whoever found a hole in it. So the device's own policy is
//! enforced on root's side, root parses nothing but verbs of fixed shape (see `frame`), and the
//! worker's identity, lost once, cannot be regained. A terminal's line goes to the worker as a
//! descriptor: what is typed and shown never passes through root. A password that is to be set
//! passes through both, in buffers that are wiped; what is known of those that were set lies in a
//! directory of root's.
//!
//! If either process ends, the other one does: each sees the end of the socket.

mod frame;
mod passwords;
mod root;
mod socket;
mod start;
mod worker;

use std::io;

use thiserror::Error;

pub use self::{
    root::serve,
    socket::pair,
    start::{Setup, start},
    worker::{Given, Link, Remote, confine, join},
};
use crate::state::StateError;

/// Why the two processes do not work together.
#[derive(Debug, Error)]
pub enum SeparationError {
    /// The named account does not exist.
    #[error("there is no account `{name}`: make it, or name another with --user")]
    NoAccount {
        /// The name.
        name: String,
    },
    /// Neither of the usual accounts exists.
    #[error(
        "there is neither an account `aerie-agent` nor one `nobody` to run under: make one, or name another with --user"
    )]
    NoUsualAccount,
    /// The account is root's.
    #[error("the account `{name}` has root's rights: name an unprivileged one with --user")]
    Root {
        /// The name.
        name: String,
    },
    /// The accounts cannot be looked up.
    #[error("cannot look up an account to run under")]
    Lookup(#[source] io::Error),
    /// The state directory cannot be handed over.
    #[error("cannot hand the state to the unprivileged process")]
    State(#[source] StateError),
    /// The unprivileged process does not start.
    #[error("cannot start the unprivileged process")]
    Spawn(#[source] io::Error),
    /// The unprivileged process cannot give up its rights.
    #[error("cannot give up rights")]
    Confine(#[source] io::Error),
    /// The worker was started by somebody, not by the agent.
    #[error("`aerie-agent worker` is started by `aerie-agent run` only: use that")]
    NotAWorker,
    /// The socket between the two broke.
    #[error("the connection between the agent's two processes broke")]
    Socket(#[source] io::Error),
    /// The other process does not keep to the rules.
    #[error("the agent's other process sends what no agent sends")]
    Nonsense,
    /// The other process has ended.
    #[error("the agent's other process has ended")]
    Gone,
}

impl SeparationError {
    fn broken(error: io::Error) -> Self {
        match error.kind() {
            // The second one says that it left without reading everything.
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Gone,
            _ => Self::Socket(error),
        }
    }
}
