//! The ports of the appliance, changed while it runs.
//!
//! The [`keeper`] is a task that owns all listeners; [`Ports`] is the way to it. What the boot file
//! says counts until somebody changes it here; from then on [`PortSettings`] stand in the store.
//!
//! Invariants: nothing that works is closed before what replaces it is open. A change that takes
//! away the way by which the owner came is undone unless the owner has come by the new way within
//! a minute. A port where devices connect stays open until they know the new one.

mod keeper;
mod opening;
mod picture;
mod settings;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::listen::{Addresses, ListenError};
use crate::devices::DevicesError;
use crate::devices::connection_key::KeysError;
use crate::seal::{SealError, Secret};
use crate::store::StoreError;

pub(super) use self::keeper::Keeper;
pub use self::opening::Opening;
pub use self::settings::{PortSettings, SettingsError};

/// Commands that wait for the keeper.
const COMMANDS: usize = 16;

/// Why ports were not changed.
#[derive(Debug, Error)]
pub enum PortsError {
    /// It cannot be as wanted.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An address could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An address has another purpose now.
    #[error("{0} is in use by {1} of this appliance: move that first")]
    OtherPurpose(SocketAddr, &'static str),
    /// The store.
    #[error("the ports could not be read or stored; nothing was changed")]
    Store(#[from] StoreError),
    /// The announcement.
    #[error("what is announced to devices could not be stored")]
    Devices(#[source] DevicesError),
    /// The host name.
    #[error("the host cannot stand in a device key")]
    Host(#[source] KeysError),
    /// No randomness for the code.
    #[error(transparent)]
    Random(#[from] SealError),
    /// One change at a time.
    #[error("another change of the ports waits to be confirmed; confirm or undo it first")]
    Busy,
    /// There is nothing to confirm.
    #[error("no change of the ports waits to be confirmed: it was confirmed already, or undone")]
    NothingPending,
    /// Not the code of the pending change.
    #[error("this is not the code of the change that waits to be confirmed")]
    WrongCode,
    /// The right code by the old way proves nothing.
    #[error("confirm at one of the new addresses: that you came by the old one proves nothing")]
    WrongWay,
    /// The daemon stops.
    #[error("the daemon is stopping; nothing was changed")]
    Stopping,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listening {
    /// Plain HTTP.
    Http,
    /// GUI and API, and devices where they share it.
    Https,
    /// Devices alone.
    Inform,
}

impl Listening {
    /// As the boot file and the API call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Inform => "inform",
        }
    }

    /// Whether an address is wanted but not opened: plain HTTP beside a certificate of the owner's.
    /// A port of the kernel's choice has to be opened once to have a number.
    fn stays_closed(self, address: SocketAddr, plain_closed: bool) -> bool {
        self == Self::Http && plain_closed && address.port() != 0
    }
}

/// How a listener stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It serves.
    Open,
    /// It serves, and goes again unless the change is confirmed.
    New,
    /// It serves until the change is confirmed, or until every device knows its new place.
    Leaving,
    /// It is wanted and kept closed, for this reason.
    Closed(&'static str),
}

/// A listener, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What for.
    pub listening: Listening,
    /// Where.
    pub address: SocketAddr,
    /// How it stands.
    pub standing: Standing,
}

/// A change that waits to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What will hold then. It can be confirmed at each of its HTTPS addresses.
    pub wanted: PortSettings,
    /// When it is undone.
    pub until: Instant,
}

/// Everything about the ports at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What holds, with the ports that are really bound.
    pub applied: PortSettings,
    /// What the boot file says.
    pub boot_file: PortSettings,
    /// Whether the boot file counts no more.
    pub changed: bool,
    /// All listeners.
    pub listeners: Vec<Shown>,
    /// What waits to be confirmed.
    pub waiting: Option<Waiting>,
}

impl Picture {
    /// What `addresses.json` tells.
    pub(super) fn addresses(&self) -> Addresses {
        let open = |wanted: &[SocketAddr], listening: Listening| {
            let is_open = |address: &&SocketAddr| {
                self.listeners.iter().any(|shown| {
                    shown.address == **address
                        && shown.listening == listening
                        && !matches!(shown.standing, Standing::Closed(_))
                })
            };
            wanted.iter().filter(is_open).copied().collect::<Vec<_>>()
        };
        let https = open(&self.applied.https, Listening::Https);
        let inform = if self.applied.inform.is_empty() {
            https.clone()
        } else {
            open(&self.applied.inform, Listening::Inform)
        };
        Addresses { http: open(&self.applied.http, Listening::Http), https, inform }
    }

    /// The URLs by which people open the GUI on a machine that has the addresses `own`.
    pub fn urls(&self, own: &[IpAddr]) -> Vec<String> {
        let mut urls = Vec::new();
        for address in self.addresses().https {
            let listens = address.ip();
            let everywhere = own.iter().copied().filter(|own| {
                let link_local = matches!(own, IpAddr::V6(v6) if v6.is_unicast_link_local());
                own.is_ipv4() == listens.is_ipv4() && !own.is_loopback() && !link_local
            });
            let one = (!listens.is_unspecified()).then_some(listens);
            let at = one.map_or_else(|| everywhere.collect(), |one| vec![one]);
            for ip in at {
                let whole = format!("https://{}", SocketAddr::new(ip, address.port()));
                let url = whole.strip_suffix(":443").unwrap_or(&whole);
                if !urls.iter().any(|known| known == url) {
                    urls.push(url.to_owned());
                }
            }
        }
        urls
    }
}

/// A changed public host and changed ports, together.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The host name or address of the appliance; `None` leaves it as it is.
    pub public_host: Option<String>,
    /// The ports.
    pub settings: PortSettings,
}

enum Command {
    Change(Box<Wanted>, oneshot::Sender<Result<Option<Secret<String>>, PortsError>>),
    Confirm(String, SocketAddr, oneshot::Sender<Result<(), PortsError>>),
    Revert(oneshot::Sender<Result<(), PortsError>>),
    CloseOld(oneshot::Sender<Result<(), PortsError>>),
}

/// The way to the ports. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    commands: mpsc::Sender<Command>,
    picture: watch::Receiver<Arc<Picture>>,
}

impl Ports {
    /// How things are now.
    pub fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.picture.borrow())
    }

    /// Opens what is wanted beside what there is. Answers the code by which the change is to be
    /// confirmed within a minute at one of the new addresses; `None` when nobody can be locked
    /// out by it, and it holds already.
    pub async fn change(&self, wanted: Wanted) -> Result<Option<Secret<String>>, PortsError> {
        self.ask(|answer| Command::Change(Box::new(wanted), answer)).await
    }

    /// Makes a change hold. `through` is the listener by which the confirmation came.
    pub async fn confirm(&self, code: String, through: SocketAddr) -> Result<(), PortsError> {
        self.ask(|answer| Command::Confirm(code, through, answer)).await
    }

    /// Undoes a change that waits to be confirmed.
    pub async fn revert(&self) -> Result<(), PortsError> {
        self.ask(Command::Revert).await
    }

    /// Closes ports that are open only for devices that do not know the new one yet.
    pub async fn close_old(&self) -> Result<(), PortsError> {
        self.ask(Command::CloseOld).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, PortsError>>) -> Command,
    ) -> Result<T, PortsError> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).await.map_err(|_| PortsError::Stopping)?;
        answer.await.map_err(|_| PortsError::Stopping)?
    }
}
