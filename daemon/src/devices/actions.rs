//! What an admin does with devices. What is told to a device is durable first.

use std::sync::Arc;
use std::time::Duration;

use aerie_protocol::inform::{
    FromAppliance, GoodbyeReason, Locate, Rename, Reply, Restart, reply, request,
};
use aerie_protocol::noise::PublicKey;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::cell::{Cell, Facts};
use super::events::{Event, Level};
use super::inform::{Greeted, enrolled};
use super::mailbox::Letter;
use super::moving::came_by;
use super::snapshot::refusal_text;
use super::{Change, Devices, records};
use crate::store::StoreError;

/// How long a device may take to answer a request.
const REPLY_TIME: Duration = Duration::from_secs(15);
/// How long a refresh lets a new identity take a device's place.
const REFRESH_TIME: SignedDuration = SignedDuration::from_mins(15);
/// How long a device shows where it is, in seconds.
const LOCATE_SECONDS: u32 = 300;

/// Why an action on a device was not done.
#[derive(Debug, Error)]
pub enum ActionError {
    /// No such device.
    #[error("there is no device with this id")]
    UnknownDevice,
    /// No such site.
    #[error("there is no site with this id; choose one from the list of sites")]
    UnknownSite,
    /// No session.
    #[error("the device is not connected; try again when it is back")]
    Offline,
    /// It did not answer.
    #[error("the device did not answer within {} s; it may still do it", REPLY_TIME.as_secs())]
    NoReply,
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// It waits in quarantine.
    #[error("the device is not authorised yet; authorise it first")]
    Unauthorized,
    /// The store.
    #[error("the change could not be stored, so nothing was changed")]
    Store(#[from] StoreError),
}

impl Devices {
    /// Lets waiting devices in, to a site. Devices that are in already move to it.
    pub async fn authorize(
        &self,
        ids: &[Uuid],
        site: Uuid,
        by: Option<Uuid>,
    ) -> Result<(), ActionError> {
        let _deciding = self.inner.deciding.lock().await;
        let site_name = self.sites().get(site).await?.ok_or(ActionError::UnknownSite)?.name;
        let now = self.now();
        let change = |facts: &mut Facts| {
            facts.site = Some(site);
            if facts.authorized_at.is_none() {
                facts.authorized_at = Some(now);
                facts.authorized_by = by;
            }
        };
        let cells = ids
            .iter()
            .map(|id| self.registry().by_id(*id).ok_or(ActionError::UnknownDevice))
            .collect::<Result<Vec<_>, _>>()?;
        let writes = cells.iter().map(|cell| (cell.id, cell.planned(change))).collect();
        records::assign(&self.inner.store, writes, site).await?;
        for cell in cells {
            let was_waiting = !cell.is_authorized();
            cell.apply(change);
            self.registry().authorized(cell.id);
            self.count(&cell);
            if was_waiting {
                self.welcome(&cell, &site_name);
            }
            self.changed(Change::Device(cell.id));
        }
        Ok(())
    }

    fn welcome(&self, cell: &Cell, site: &str) {
        if let Some(mailbox) = cell.mailbox() {
            let words = [enrolled(cell), self.reporting(cell)];
            for body in words.into_iter().chain(self.announcement_for(cell)) {
                let message = FromAppliance { body: Some(body) };
                // A session that takes nothing is about to end; the device hears it when it is back.
                mailbox.put(Letter::Send(Box::new(message))).ok();
            }
        }
        self.inner.heard.tell(cell.id);
        let name = cell.name();
        self.log(cell, &name, "device", format!("{name} was authorised to {site}."));
    }

    /// Names a device, notes something about it, or says that it is being worked on. `None` keeps.
    pub async fn describe(
        &self,
        id: Uuid,
        alias: Option<String>,
        note: Option<String>,
        maintenance: Option<bool>,
    ) -> Result<(), ActionError> {
        let cell = self
            .change(id, |facts| {
                if let Some(alias) = &alias {
                    facts.alias.clone_from(alias);
                }
                if let Some(note) = &note {
                    facts.note.clone_from(note);
                }
                facts.maintenance = maintenance.unwrap_or(facts.maintenance);
            })
            .await?;
        if let (Some(name), Some(mailbox)) = (alias, cell.mailbox()) {
            let (asked, _nobody_waits) = oneshot::channel();
            // A device that is gone learns its name from the next enrolment or rename.
            mailbox.put(Letter::Ask(request::Verb::Rename(Rename { name }), asked)).ok();
        }
        Ok(())
    }

    /// Confirms that the fingerprints of device and appliance were compared and are right.
    pub async fn confirm(&self, id: Uuid) -> Result<(), ActionError> {
        let cell = self.change(id, |facts| facts.verified = true).await?;
        let name = cell.name();
        self.log(&cell, &name, "device", format!("The fingerprint of {name} was confirmed."));
        Ok(())
    }

    /// For 15 minutes, a device that comes with the device key, a new identity and this device's
    /// MAC address takes this device's place: for one that was reset and lost its keys.
    pub async fn refresh(&self, id: Uuid) -> Result<Timestamp, ActionError> {
        let until = self.now() + REFRESH_TIME;
        let cell = self.change(id, |facts| facts.refresh_until = Some(until)).await?;
        if !cell.is_authorized() {
            return Err(ActionError::Unauthorized);
        }
        let name = cell.name();
        self.log(
            &cell,
            &name,
            "device",
            format!("{name} may come back with a new key until {until:.0}."),
        );
        Ok(until)
    }

    /// Restarts a device.
    pub async fn restart(&self, id: Uuid) -> Result<(), ActionError> {
        let cell =
            self.ask(id, "The device did not restart", request::Verb::Restart(Restart {})).await?;
        let name = cell.name();
        self.log(&cell, &name, "device-restart", format!("{name} was told to restart."));
        Ok(())
    }

    /// Lets a device show where it is, or ends that.
    pub async fn locate(&self, id: Uuid, on: bool) -> Result<(), ActionError> {
        let verb = request::Verb::Locate(Locate { seconds: if on { LOCATE_SECONDS } else { 0 } });
        self.ask(id, "The device cannot show where it is", verb).await.map(drop)
    }

    /// Deletes a device. It is told to forget the appliance now, or when it comes back.
    pub async fn delete(&self, id: Uuid) -> Result<(), ActionError> {
        let _deciding = self.inner.deciding.lock().await;
        let cell = self.registry().by_id(id).ok_or(ActionError::UnknownDevice)?;
        let device = cell.snapshot();
        if cell.is_authorized() {
            records::delete(&self.inner.store, id, device.public_key, self.now()).await?;
        }
        self.registry().remove(id);
        if let Some(mailbox) = cell.mailbox() {
            // Closed already: then the device is told when it comes back.
            mailbox.put(Letter::Forget).ok();
        }
        self.removed(id);
        self.events().record(Event::quiet(
            Level::Info,
            "device",
            format!("{} was deleted.", device.display_name()),
        ));
        Ok(())
    }

    /// A key of a device that was deleted; it is to be told so.
    pub(super) async fn is_forgotten(&self, key: &PublicKey) -> bool {
        records::is_forgotten(&self.inner.store, *key).await.unwrap_or_else(|error| {
            tracing::error!(%error, "deleted devices could not be read");
            false
        })
    }

    /// Gives a new identity the place of a device whose owner opened a refresh window for it.
    pub(super) async fn take_place(&self, greeted: &Greeted) -> Option<Arc<Cell>> {
        let mac: [u8; 6] = greeted.hello.mac.as_slice().try_into().ok()?;
        let now = self.now();
        let open = |cell: &Arc<Cell>| {
            cell.is_authorized() && cell.lock().facts.refresh_until.is_some_and(|until| now < until)
        };
        if !self.registry().by_mac(mac).iter().any(open) {
            return None;
        }
        let _deciding = self.inner.deciding.lock().await;
        let cell = self.registry().by_mac(mac).into_iter().find(open)?;
        let before = cell.lock().facts.public_key;
        let change = |facts: &mut Facts| {
            facts.public_key = greeted.remote;
            facts.refresh_until = None;
            facts.verified = greeted.hello.pinned;
            facts.came_by = came_by(&greeted.hello);
        };
        let planned = cell.planned(change);
        if let Err(error) = records::rekey(&self.inner.store, cell.id, before, planned).await {
            tracing::error!(%error, device = %cell.id, "a new key could not be stored");
            return None;
        }
        cell.apply(change);
        self.registry().rekey(&cell, &before, greeted.remote);
        self.count(&cell);
        if let Some(mailbox) = cell.mailbox() {
            // Closed already when the mailbox refuses.
            mailbox.put(Letter::End(GoodbyeReason::Replaced, 0)).ok();
        }
        let name = cell.name();
        self.events().record(
            Event::noisy(
                Level::Warning,
                "device",
                format!(
                    "{name} came back with a new key: {} took the place of {}.",
                    greeted.remote.fingerprint(),
                    before.fingerprint()
                ),
            )
            .about(cell.id, &name),
        );
        Some(cell)
    }

    /// Changes a device's facts, durably first.
    async fn change(
        &self,
        id: Uuid,
        change: impl Fn(&mut Facts),
    ) -> Result<Arc<Cell>, ActionError> {
        let _deciding = self.inner.deciding.lock().await;
        let cell = self.registry().by_id(id).ok_or(ActionError::UnknownDevice)?;
        if cell.is_authorized() {
            let planned = cell.planned(&change);
            records::save(&self.inner.store, vec![(id, planned)]).await?;
        }
        cell.apply(change);
        self.changed(Change::Device(id));
        Ok(cell)
    }

    async fn ask(
        &self,
        id: Uuid,
        what: &str,
        verb: request::Verb,
    ) -> Result<Arc<Cell>, ActionError> {
        match self.request(id, verb, REPLY_TIME).await? {
            (cell, reply::Outcome::Done(_)) => Ok(cell),
            (_, reply::Outcome::Refusal(refusal)) => {
                Err(ActionError::Refused(refusal_text(what, &refusal)))
            }
            (_, reply::Outcome::Passwords(_)) => Err(ActionError::NoReply),
        }
    }

    /// Asks a device something, and waits so long for what it says.
    pub(super) async fn request(
        &self,
        id: Uuid,
        verb: request::Verb,
        patience: Duration,
    ) -> Result<(Arc<Cell>, reply::Outcome), ActionError> {
        let cell = self.registry().by_id(id).ok_or(ActionError::UnknownDevice)?;
        if !cell.is_authorized() {
            return Err(ActionError::Unauthorized);
        }
        let mailbox = cell.mailbox().ok_or(ActionError::Offline)?;
        let (asked, reply) = oneshot::channel();
        mailbox.put(Letter::Ask(verb, asked)).map_err(|_| ActionError::Offline)?;
        match timeout(patience, reply).await {
            Ok(Ok(Reply { outcome: Some(outcome), .. })) => Ok((cell, outcome)),
            Ok(Ok(Reply { outcome: None, .. })) | Err(_) => Err(ActionError::NoReply),
            Ok(Err(_)) => Err(ActionError::Offline),
        }
    }

    fn log(&self, cell: &Cell, name: &str, tag: &'static str, message: String) {
        self.events().record(Event::quiet(Level::Info, tag, message).about(cell.id, name));
    }
}
