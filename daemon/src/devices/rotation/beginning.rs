//! How a rotation begins: whose passwords, under which credentials, and the vault's grant for them.

use std::collections::HashMap;

use uuid::Uuid;

use super::super::snapshot::{Device, DeviceFilter};
use super::plan::{Memory, Plan, Targets, Wanted};
use super::{EACH, Kind, Rotation, RotationError};
use crate::cut::cut;
use crate::jobs::{ItemState, JobPicture, Jobs, JobsError, NewJob};
use crate::store::records::JobRecord;
use crate::store::tables::CREDENTIALS;
use crate::vault::protocol::Pass;

/// An account on a device.
type Place = (Uuid, String);

impl Rotation {
    /// Begins a rotation. The vault grants it exactly these credentials, with the pass that its
    /// proof gave where something is enrolled with it.
    pub async fn begin(
        &self,
        wanted: Wanted,
        pass: Option<Pass>,
        by: Uuid,
        reason: String,
    ) -> Result<JobPicture, RotationError> {
        wanted.check()?;
        self.inner.jobs.has_room()?;
        let devices = self.targets(&wanted.targets)?;
        let places = self.places(&devices, &wanted.accounts).await?;
        if places.is_empty() {
            return Err(RotationError::NoAccounts);
        }
        let credentials: Vec<Uuid> = places.iter().map(|(_, credential)| *credential).collect();
        let id = Jobs::new_id();
        let _granting = self.inner.granting.lock().await;
        self.inner.end_orphans().await?;
        self.inner.vault.grant(pass, reason, id, credentials, EACH).await?;
        cut("job-granted");
        let new = new_job(id, &wanted, places, by);
        let started = self.inner.jobs.start(&self.kind(), new, |_| Ok(())).await;
        if started.is_err() {
            self.release(id).await;
        }
        Ok(started?)
    }

    /// Tries what has failed of a rotation once more, and goes on with one that has stopped.
    pub async fn retry(
        &self,
        id: Uuid,
        pass: Option<Pass>,
        reason: String,
    ) -> Result<JobPicture, RotationError> {
        let job = self.inner.jobs.get(id).await?;
        if job.record.kind != self.name() {
            return Err(RotationError::OtherJob);
        }
        if job.counts.failed == 0 && job.record.stopped.is_empty() {
            return Err(JobsError::NothingFailed.into());
        }
        let items = self.inner.jobs.items(id, Vec::new(), usize::MAX, 1).await?.items;
        let unfinished = items
            .iter()
            .filter(|item| !matches!(item.state, ItemState::Done | ItemState::Cancelled));
        let credentials = unfinished.filter_map(|item| Memory::read(&item.record.memory));
        let credentials = credentials.map(|memory| memory.credential).collect();
        let _granting = self.inner.granting.lock().await;
        self.inner.end_orphans().await?;
        self.inner.vault.grant(pass, reason, id, credentials, EACH).await?;
        Ok(self.inner.jobs.retry(&self.kind(), id).await?)
    }

    fn targets(&self, targets: &Targets) -> Result<Vec<Device>, RotationError> {
        let filter =
            |site| DeviceFilter { site, authorized: Some(true), ..DeviceFilter::default() };
        let devices = &self.inner.devices;
        match targets {
            Targets::All => Ok(devices.list(&filter(None))),
            Targets::Site(site) => Ok(devices.list(&filter(Some(*site)))),
            Targets::Devices(ids) => ids
                .iter()
                .map(|id| {
                    let device = devices.device(*id).filter(Device::authorized);
                    device.ok_or(RotationError::UnknownDevice(*id))
                })
                .collect(),
        }
    }

    /// The accounts, each with the credential that its passwords belong to: the one that the device
    /// names, else the one that the vault keeps, else a new one.
    async fn places(
        &self,
        devices: &[Device],
        accounts: &[String],
    ) -> Result<Vec<(Place, Uuid)>, RotationError> {
        let mut kept: HashMap<Place, Vec<Uuid>> = HashMap::new();
        let all = self.inner.store.read(|reader| {
            let mut all = Vec::new();
            reader.each(CREDENTIALS, |id, record| {
                all.extend(record.device.map(|device| ((device, record.username), id)));
            })?;
            Ok(all)
        });
        for (place, id) in all.await? {
            kept.entry(place).or_default().push(id);
        }
        let mut places = Vec::new();
        for device in devices {
            for account in accounts_of(device, accounts, &kept) {
                let place = (device.id, account);
                let ids = kept.get(&place).map(Vec::as_slice).unwrap_or_default();
                let named = self.inner.named(device.id, &place.1);
                let named = named.filter(|named| ids.contains(named));
                let credential = named.or(ids.first().copied()).unwrap_or_else(Uuid::new_v4);
                places.push((place, credential));
            }
        }
        places.sort_unstable();
        places.dedup_by(|one, other| one.0 == other.0);
        Ok(places)
    }
}

/// The accounts that were asked for; where none were, those that the device allows, or whose
/// passwords were rotated before.
fn accounts_of(device: &Device, asked: &[String], kept: &HashMap<Place, Vec<Uuid>>) -> Vec<String> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    if !device.password_accounts.is_empty() {
        return device.password_accounts.clone();
    }
    let of_device = kept.keys().filter(|(id, _)| *id == device.id);
    of_device.map(|(_, account)| account.clone()).collect()
}

fn new_job(id: Uuid, wanted: &Wanted, places: Vec<(Place, Uuid)>, by: Uuid) -> NewJob {
    let mut accounts: Vec<String> = places.iter().map(|((_, name), _)| name.clone()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let mut devices: Vec<Uuid> = places.iter().map(|((device, _), _)| *device).collect();
    devices.dedup();
    let title = title(&accounts, devices.len());
    let plan = Plan { accounts, form: wanted.form }.write();
    let record = JobRecord {
        title,
        account: Some(by),
        not_before: wanted.start_at.map(jiff::Timestamp::as_millisecond),
        window_seconds: wanted.window_minutes.map(|minutes| minutes * 60),
        parallel: wanted.parallel,
        stop_after: wanted.stop_after,
        plan,
        ..JobRecord::default()
    };
    let items = places
        .into_iter()
        .map(|((device, account), credential)| (device, account, Memory { credential }.write()));
    NewJob { id, record, items: items.collect() }
}

fn title(accounts: &[String], devices: usize) -> String {
    let shown: Vec<&str> = accounts.iter().take(3).map(String::as_str).collect();
    let more = if accounts.len() > shown.len() { ", …" } else { "" };
    let passwords = if accounts.len() == 1 { "New password" } else { "New passwords" };
    let devices = if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") };
    format!("{passwords} of {}{more} on {devices}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_whose_passwords_and_how_many() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(title(&names(&["admin"]), 1), "New password of admin on 1 device");
        let many = title(&names(&["a", "b", "c", "d"]), 20);
        assert_eq!(many, "New passwords of a, b, c, … on 20 devices");
    }
}
