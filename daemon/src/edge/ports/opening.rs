//! Opening the ports when the daemon starts.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{COMMANDS, Command, Listening, Picture, PortSettings, Ports, PortsError};
use crate::config::Config;
use crate::edge::{certificate, listen};
use crate::store::{Store, StoreError, Writer, tables};

/// The setting that holds the ports, once they have been changed.
const SETTING: &str = "ports";

/// What is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) settings: PortSettings,
    /// Where devices are let in that do not know the new place yet.
    pub(super) old: Vec<SocketAddr>,
}

impl Kept {
    /// These listeners, with everything else of other settings.
    fn beside(self, settings: PortSettings) -> Self {
        let PortSettings { http, https, inform, .. } = self.settings;
        Self { settings: PortSettings { http, https, inform, ..settings }, old: self.old }
    }

    pub(super) async fn save(&self, store: &Store) -> Result<(), PortsError> {
        let kept = self.clone();
        Ok(store.write(move |writer| kept.put(writer)).await?)
    }

    fn put(&self, writer: &Writer<'_>) -> Result<(), StoreError> {
        writer.put(tables::SETTINGS, SETTING, &serde_json::json!(self).to_string())
    }
}

impl PortSettings {
    /// Writes the ports that [`Opening::open`] will open. They have to have been checked.
    pub fn put(&self, writer: &Writer<'_>) -> Result<(), StoreError> {
        Kept { settings: self.clone(), old: Vec::new() }.put(writer)
    }
}

/// An open port that nobody serves yet: the kernel queues who connects.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) listening: Listening,
    pub(super) address: SocketAddr,
    pub(super) listener: Arc<TcpListener>,
}

/// All ports, open and not yet served.
pub struct Opening {
    pub(super) boot_file: PortSettings,
    pub(super) kept: Kept,
    pub(super) changed: bool,
    pub(super) bound: Vec<Bound>,
    pub(super) store: Store,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) picture: watch::Sender<Arc<Picture>>,
}

impl Opening {
    /// Opens what the store says, or the boot file where nothing was changed. `inherited` are
    /// listeners that are open already. Call it inside the runtime.
    pub async fn open(
        config: &Config,
        store: &Store,
        inherited: Vec<std::net::TcpListener>,
    ) -> Result<(Self, Ports), PortsError> {
        let boot_file = PortSettings::of_boot_file(config);
        let named = config.certificate.chain.is_some();
        let read = store.read(move |reader| {
            let plain_closed = certificate::brings_own(reader, named)?;
            Ok((reader.get(tables::SETTINGS, SETTING)?, plain_closed))
        });
        let (stored, plain_closed) = read.await?;
        let stored: Option<Kept> = stored.and_then(|text: String| serde_json::from_str(&text).ok());
        let mut shelf = Shelf::of(inherited, plain_closed);
        let changed = stored.is_some();
        let boot = Kept { settings: boot_file.clone(), ..Kept::default() };
        let (kept, bound) = match stored {
            Some(stored) => shelf.open(&stored).or_else(|error| {
                // Another machine, or an address that has gone: the owner has to get in.
                tracing::error!(%error, "the ports cannot be opened; taking the boot file's");
                let (fallback, bound) = shelf.open(&boot)?;
                Ok::<_, PortsError>((fallback.beside(stored.settings), bound))
            })?,
            None => shelf.open(&boot)?,
        };
        shelf.clear();
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (picture, shown) = watch::channel(Arc::new(Picture {
            applied: kept.settings.clone(),
            boot_file: boot_file.clone(),
            changed,
            listeners: Vec::new(),
            waiting: None,
        }));
        let ports = Ports { commands: sender, picture: shown };
        let store = store.clone();
        Ok((Self { boot_file, kept, changed, bound, store, commands, picture }, ports))
    }
}

/// Listeners that are open already.
struct Shelf {
    open: Vec<(SocketAddr, TcpListener)>,
    /// Plain HTTP is not opened, not even until the certificate has been read.
    plain_closed: bool,
}

impl Shelf {
    fn of(inherited: Vec<std::net::TcpListener>, plain_closed: bool) -> Self {
        let adopted = inherited.into_iter().filter_map(|kept| match listen::adopt(kept) {
            Ok(adopted) => Some(adopted),
            Err(error) => {
                tracing::warn!(%error, "a listener that was kept cannot be used");
                None
            }
        });
        Self { open: adopted.collect(), plain_closed }
    }

    /// Opens everything, or nothing.
    fn open(&mut self, kept: &Kept) -> Result<(Kept, Vec<Bound>), PortsError> {
        let mut bound: Vec<Bound> = Vec::new();
        let Kept { settings, old } = kept;
        let settings = PortSettings {
            http: self.list(Listening::Http, &settings.http, &mut bound)?,
            https: self.list(Listening::Https, &settings.https, &mut bound)?,
            inform: self.list(Listening::Inform, &settings.inform, &mut bound)?,
            ..settings.clone()
        };
        let old = self.list(Listening::Inform, old, &mut bound)?;
        settings.check()?;
        Ok((Kept { settings, old }, bound))
    }

    /// Opens a list of addresses. Answers what they became, without what this machine cannot have.
    fn list(
        &mut self,
        listening: Listening,
        wanted: &[SocketAddr],
        bound: &mut Vec<Bound>,
    ) -> Result<Vec<SocketAddr>, PortsError> {
        let mut opened = Vec::with_capacity(wanted.len());
        for address in wanted {
            // An old door that is still the way to the GUI is open already.
            let open = bound.iter().any(|open| open.address == *address);
            if open || listening.stays_closed(*address, self.plain_closed) {
                opened.push(*address);
                continue;
            }
            match self.one(*address, listening, bound) {
                Ok(real) => opened.push(real),
                Err(PortsError::Listen(error)) if listen::is_absent_family(&error) => {
                    tracing::warn!(%address, "this machine has no IPv6; not listening there");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(opened)
    }

    fn one(
        &mut self,
        address: SocketAddr,
        listening: Listening,
        bound: &mut Vec<Bound>,
    ) -> Result<SocketAddr, PortsError> {
        let kept = self.open.iter().position(|(kept, _)| *kept == address);
        let (real, listener) = if let Some(index) = kept {
            self.open.swap_remove(index)
        } else {
            let others: Vec<&TcpListener> = bound.iter().map(|open| &*open.listener).collect();
            listen::open(address, listening.name(), &others)?
        };
        bound.push(Bound { listening, address: real, listener: Arc::new(listener) });
        Ok(real)
    }

    /// What is left was opened for settings that hold no more.
    fn clear(self) {
        for (address, listener) in self.open {
            crate::systemd::forget(address);
            drop(listener);
        }
    }
}
