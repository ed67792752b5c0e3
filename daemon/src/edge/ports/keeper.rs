//! The task that owns the listeners.
//!
//! It holds what is wanted (what is applied, what waits to be confirmed, which old doors stay
//! open) and after each change lets the listeners follow: [`Keeper::follow`] closes, opens and
//! gives each its purpose by what is wanted now, and by nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::opening::{Bound, Kept, Opening};
use super::{Command, Listening, Picture, PortSettings, PortsError, Wanted};
use crate::devices::{Announcement, Devices};
use crate::edge::door::{Door, Port};
use crate::edge::serve::{Purpose, TlsPort};
use crate::edge::{Behind, EdgeError, Proxies, Serving, listen};
use crate::seal::{self, Secret};
use crate::store::Store;
use crate::supervisor::Heartbeat;

/// How long a change waits for whoever made it.
const CONFIRM_WITHIN: Duration = Duration::from_mins(1);
/// Before a write that failed is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// Owns the listeners.
pub(in crate::edge) struct Keeper {
    door: Door,
    devices: Devices,
    store: Store,
    data_dir: PathBuf,
    proxies: Proxies,
    stop: CancellationToken,
    commands: mpsc::Receiver<Command>,
    pub(super) boot_file: PortSettings,
    pub(super) changed: bool,
    /// What holds, and which old doors stay open for devices.
    pub(super) kept: Kept,
    pub(super) pending: Option<Pending>,
    certificates: watch::Receiver<Serving>,
    pub(super) open: Vec<Open>,
    loops: JoinSet<SocketAddr>,
    picture: watch::Sender<Arc<Picture>>,
    told: watch::Sender<Vec<SocketAddr>>,
}

/// A change that waits to be confirmed.
pub(super) struct Pending {
    pub(super) wanted: PortSettings,
    public_host: Option<String>,
    code: Secret<String>,
    pub(super) until: Instant,
}

/// A listener that serves, or is about to.
pub(super) struct Open {
    pub(super) listening: Listening,
    pub(super) address: SocketAddr,
    listener: Arc<TcpListener>,
    stop: CancellationToken,
    port: Option<Arc<TlsPort>>,
    serving: bool,
}

/// What the keeper is woken by.
enum Turn {
    Asked(Command),
    NotConfirmed,
    LoopEnded(Option<SocketAddr>),
    CertificateChanged,
    EverybodyMoved,
}

/// What a listener is to be, by what is wanted now.
#[derive(Default)]
struct Part {
    plain: bool,
    people: bool,
    devices: bool,
}

impl Keeper {
    /// Serves what was opened.
    pub(in crate::edge) fn new(
        opening: Opening,
        behind: Behind,
        data_dir: &Path,
        stop: CancellationToken,
    ) -> Result<Self, EdgeError> {
        let Opening { boot_file, kept, changed, bound, store, commands, picture } = opening;
        let proxies = Proxies::default();
        let certificates = behind.certificates.changes();
        let mut keeper = Self {
            devices: behind.devices.clone(),
            door: Door::new(behind, proxies.clone())?,
            store,
            data_dir: data_dir.to_owned(),
            proxies,
            commands,
            boot_file,
            changed,
            kept,
            pending: None,
            certificates,
            open: Vec::new(),
            loops: JoinSet::new(),
            picture,
            told: watch::Sender::new(Vec::new()),
            stop,
        };
        keeper.take(bound);
        keeper.follow()?;
        Ok(keeper)
    }

    /// Whether plain HTTP has to stay closed.
    pub(super) fn plain_closed(&self) -> bool {
        self.certificates.borrow().port_80_closed
    }

    /// The addresses that are open, and every change of them.
    pub(in crate::edge) fn open_addresses(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.told.subscribe()
    }

    /// Does what is asked until the daemon stops. Ends earlier only if an accept loop did.
    pub(in crate::edge) async fn keep(mut self, mut heartbeat: Heartbeat) {
        if !self.kept.old.is_empty() {
            // The power may have gone between the change and its announcement.
            self.announce().await;
        }
        let stop = self.stop.clone();
        loop {
            let turn = tokio::select! {
                () = stop.cancelled() => break,
                turn = heartbeat.during(self.next()) => turn,
            };
            match turn {
                Turn::Asked(command) => self.obey(command).await,
                Turn::NotConfirmed => {
                    tracing::warn!("a change of the ports was not confirmed in time: undone");
                    self.undo();
                }
                Turn::CertificateChanged => self.show(),
                Turn::EverybodyMoved => self.everybody_moved().await,
                Turn::LoopEnded(ended) if self.was_closed(ended) => {}
                Turn::LoopEnded(_) => return,
            }
        }
        self.loops.join_all().await;
        self.door.finish().await;
    }

    /// What is to be done next.
    async fn next(&mut self) -> Turn {
        let deadline = self.pending.as_ref().map(|pending| pending.until);
        tokio::select! {
            Some(command) = self.commands.recv() => Turn::Asked(command),
            () = reached(deadline) => Turn::NotConfirmed,
            Some(ended) = self.loops.join_next() => Turn::LoopEnded(ended.ok()),
            () = changed(&mut self.certificates) => Turn::CertificateChanged,
            _ = self.devices.everyone_moved() => Turn::EverybodyMoved,
        }
    }

    async fn everybody_moved(&mut self) {
        if let Err(error) = self.close_old().await {
            tracing::error!(%error, "an old port stays open");
            sleep(PAUSE).await;
        }
    }

    /// Whether an accept loop ended because its listener was closed.
    fn was_closed(&self, ended: Option<SocketAddr>) -> bool {
        let closed = ended.is_some_and(|address| {
            self.open.iter().all(|open| open.address != address || open.stop.is_cancelled())
        });
        if !closed {
            tracing::error!("an accept loop ended by itself");
        }
        closed
    }

    async fn obey(&mut self, command: Command) {
        // Who asked may have left; what was done stands.
        match command {
            Command::Change(wanted, answer) => {
                answer.send(self.change(*wanted).await).ok();
            }
            Command::Confirm(code, through, answer) => {
                answer.send(self.confirm(&code, through).await).ok();
            }
            Command::Revert(answer) => {
                let pending = self.pending.is_some();
                self.undo();
                answer.send(if pending { Ok(()) } else { Err(PortsError::NothingPending) }).ok();
            }
            Command::CloseOld(answer) => {
                answer.send(self.close_old().await).ok();
            }
        }
    }

    async fn change(&mut self, wanted: Wanted) -> Result<Option<Secret<String>>, PortsError> {
        if self.pending.is_some() {
            return Err(PortsError::Busy);
        }
        let Wanted { public_host, settings } = wanted;
        settings.check()?;
        for host in public_host.iter().chain(&settings.inform_host) {
            self.devices.keys().check_host(host).map_err(PortsError::Host)?;
        }
        let (settings, bound) = self.bind(&settings)?;
        let leaves = |address: &SocketAddr| !settings.https.contains(address);
        if self.kept.settings.https.iter().any(leaves) {
            let code = URL_SAFE_NO_PAD.encode(seal::random::<32>()?);
            self.pending = Some(Pending {
                wanted: settings,
                public_host,
                code: Secret::new(code.clone()),
                until: Instant::now() + CONFIRM_WITHIN,
            });
            self.take(bound);
            self.show();
            return Ok(Some(Secret::new(code)));
        }
        self.take(bound);
        self.apply(settings, public_host).await.map(|()| None)
    }

    /// Opens what is wanted and not open yet: everything, or nothing.
    fn bind(&self, wanted: &PortSettings) -> Result<(PortSettings, Vec<Bound>), PortsError> {
        let mut bound = Vec::new();
        let mut list = |listening, addresses: &[SocketAddr]| {
            let one = |address: &SocketAddr| self.bind_one(listening, *address, &mut bound);
            addresses.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let settings = PortSettings {
            http: list(Listening::Http, &wanted.http)?,
            https: list(Listening::Https, &wanted.https)?,
            inform: list(Listening::Inform, &wanted.inform)?,
            ..wanted.clone()
        };
        Ok((settings, bound))
    }

    /// Opens one address, unless it is open or has to stay closed. Answers what it became.
    fn bind_one(
        &self,
        listening: Listening,
        address: SocketAddr,
        bound: &mut Vec<Bound>,
    ) -> Result<SocketAddr, PortsError> {
        let open = self.open.iter().find(|open| open.address == address);
        if let Some(open) = open {
            let plain = |listening| listening == Listening::Http;
            if plain(open.listening) != plain(listening) {
                return Err(PortsError::OtherPurpose(address, open.listening.name()));
            }
            return Ok(address);
        }
        if listening.stays_closed(address, self.plain_closed()) {
            return Ok(address);
        }
        let ours = self.open.iter().map(|open| &open.listener);
        let ours: Vec<&TcpListener> =
            ours.chain(bound.iter().map(|new| &new.listener)).map(|one| &**one).collect();
        let (address, listener) = listen::open(address, listening.name(), &ours)?;
        bound.push(Bound { listening, address, listener: Arc::new(listener) });
        Ok(address)
    }

    fn take(&mut self, bound: Vec<Bound>) {
        for Bound { listening, address, listener } in bound {
            crate::systemd::keep(address, &*listener);
            let stop = self.stop.child_token();
            self.open.push(Open { listening, address, listener, stop, port: None, serving: false });
        }
    }

    async fn confirm(&mut self, code: &str, through: SocketAddr) -> Result<(), PortsError> {
        let pending = self.pending.as_ref().ok_or(PortsError::NothingPending)?;
        if !bool::from(pending.code.expose().as_bytes().ct_eq(code.as_bytes())) {
            return Err(PortsError::WrongCode);
        }
        if !pending.wanted.https.contains(&through) {
            return Err(PortsError::WrongWay);
        }
        match self.pending.take() {
            Some(Pending { wanted, public_host, .. }) => self.apply(wanted, public_host).await,
            None => Ok(()),
        }
    }

    /// Lets it hold: durable first.
    async fn apply(
        &mut self,
        settings: PortSettings,
        public_host: Option<String>,
    ) -> Result<(), PortsError> {
        let keys = self.devices.keys().clone();
        let before = self.kept.clone();
        let mut after = Kept { settings, old: before.old.clone() };
        let place = |settings: &PortSettings, public: Option<String>| {
            (settings.inform_host.clone().or(public), settings.door_port())
        };
        let public_after = public_host.clone().or_else(|| keys.host());
        let moves = place(&before.settings, keys.host()) != place(&after.settings, public_after)
            && self.devices.has_enrolled();
        if moves {
            let doors = before.settings.doors().iter().filter(|door| !after.old.contains(door));
            after.old.extend(doors.copied().collect::<Vec<_>>());
        }
        after.old.retain(|door| !after.settings.doors().contains(door));
        let stored = after.save(&self.store).await;
        let stored = match (stored, public_host) {
            (Ok(()), Some(host)) => keys.set_host(host).await.map_err(PortsError::Host),
            (stored, _) => stored,
        };
        if let Err(error) = stored {
            // What holds in memory goes on to hold; the next start sees one or the other.
            self.show();
            return Err(error);
        }
        self.kept = after;
        self.changed = true;
        if moves {
            // Before the device key shows the new place: the announcement tells both.
            self.announce().await;
        }
        self.show();
        Ok(())
    }

    /// Tells devices where they find the appliance from now on.
    async fn announce(&self) {
        let settings = &self.kept.settings;
        let host = settings.inform_host.clone().or_else(|| self.devices.keys().host());
        let Some(host) = host else { return };
        let announcement = Announcement { host, port: settings.door_port() };
        if let Err(error) = self.devices.announce(announcement).await {
            tracing::error!(%error, "devices are not told the new address before the next start");
        }
    }

    fn undo(&mut self) {
        self.pending = None;
        self.show();
    }

    async fn close_old(&mut self) -> Result<(), PortsError> {
        let kept = Kept { settings: self.kept.settings.clone(), old: Vec::new() };
        kept.save(&self.store).await?;
        self.kept = kept;
        self.show();
        self.devices.withdraw().await.map_err(PortsError::Devices)
    }

    /// Lets the listeners follow, and tells what they have become.
    fn show(&mut self) {
        if let Err(error) = self.follow() {
            tracing::error!(%error, "the ports that are open could not be told");
        }
    }

    fn follow(&mut self) -> Result<(), EdgeError> {
        let settings = self.kept.settings.clone();
        self.proxies.follow(&settings);
        self.door.redirect_to(settings.gui_port());
        let keys = self.devices.keys();
        keys.serve_at(settings.doors().first().map_or(443, SocketAddr::port));
        if let Err(error) = keys.set_public(settings.inform_host.clone(), settings.inform_port) {
            tracing::error!(%error, "the device key keeps its old address");
        }
        self.reopen_plain(&settings);
        for index in 0..self.open.len() {
            self.follow_one(index);
        }
        self.open.retain(|open| {
            let stays = !open.stop.is_cancelled();
            if !stays {
                crate::systemd::forget(open.address);
            }
            stays
        });
        self.told.send_replace(self.open.iter().map(|open| open.address).collect());
        let picture = Arc::new(self.pictured());
        picture.addresses().write(&self.data_dir)?;
        self.picture.send_replace(picture);
        Ok(())
    }

    /// Plain HTTP that was closed for a certificate comes back when that has gone.
    fn reopen_plain(&mut self, settings: &PortSettings) {
        if self.plain_closed() {
            return;
        }
        let mut bound = Vec::new();
        for address in &settings.http {
            if let Err(error) = self.bind_one(Listening::Http, *address, &mut bound) {
                tracing::error!(%error, "plain HTTP could not be opened again");
            }
        }
        self.take(bound);
    }

    fn follow_one(&mut self, index: usize) {
        let Some(address) = self.open.get(index).map(|open| open.address) else { return };
        let role = self.part(address);
        let door_port = self.kept.settings.door_port();
        let Some(open) = self.open.get_mut(index) else { return };
        let purpose = match role {
            Part { plain: true, .. } => None,
            Part { people: true, devices: true, .. } => Some(Purpose::Everything),
            Part { people: true, .. } => Some(Purpose::People { inform_port: door_port }),
            Part { devices: true, .. } => Some(Purpose::Devices),
            Part { .. } => return open.stop.cancel(),
        };
        if let Some(purpose) = purpose {
            let port =
                open.port.get_or_insert_with(|| self.door.secure(open.address, open.stop.clone()));
            port.serve_as(purpose);
        }
        if !std::mem::replace(&mut open.serving, true) {
            let port = match &open.port {
                Some(port) => Port::Tls(Arc::clone(port)),
                None => self.door.plain(),
            };
            let (listener, stop) = (Arc::clone(&open.listener), open.stop.clone());
            let accepting = self.door.clone().accept_on(listener, port, stop);
            self.loops.spawn(async move {
                accepting.await;
                address
            });
        }
    }

    fn part(&self, address: SocketAddr) -> Part {
        let mut part = Part::default();
        let waiting = self.pending.as_ref().map(|pending| &pending.wanted);
        for settings in std::iter::once(&self.kept.settings).chain(waiting) {
            part.plain |= settings.http.contains(&address) && !self.plain_closed();
            part.people |= settings.https.contains(&address);
            part.devices |= settings.doors().contains(&address);
        }
        part.devices |= self.kept.old.contains(&address);
        part
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn changed(certificates: &mut watch::Receiver<Serving>) {
    if certificates.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
