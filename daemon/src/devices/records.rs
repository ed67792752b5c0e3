//! Devices in the store, and back.

use aerie_protocol::address::Address;
use aerie_protocol::noise::PublicKey;
use aerie_protocol::text::DeviceText;
use jiff::Timestamp;
use uuid::Uuid;

use super::cell::Facts;
use super::snapshot::{Claims, Role};
use crate::store::records::{DeviceRecord, ForgottenRecord};
use crate::store::tables::{DEVICE_KEYS, DEVICES, FORGOTTEN, SITES};
use crate::store::{Store, StoreError, Writer};
use crate::vault::credentials::leave_device;

/// All authorised devices.
pub(super) async fn load(store: &Store) -> Result<Vec<(Uuid, Facts)>, StoreError> {
    let records = store.read(|reader| reader.all(DEVICES)).await?;
    Ok(records.into_iter().map(|(id, record)| (id, from_record(record))).collect())
}

/// Writes authorised devices, all of them or none.
pub(super) async fn save(store: &Store, devices: Vec<(Uuid, Facts)>) -> Result<(), StoreError> {
    let records = to_records(devices)?;
    store
        .write(move |writer| records.iter().try_for_each(|(id, record)| put(writer, *id, record)))
        .await
}

/// Writes devices that belong to `site` from now on, unless the site is gone.
pub(super) async fn assign(
    store: &Store,
    devices: Vec<(Uuid, Facts)>,
    site: Uuid,
) -> Result<(), StoreError> {
    let records = to_records(devices)?;
    store
        .write(move |writer| {
            if writer.get(SITES, &site)?.is_none() {
                return Err(StoreError::Refused("the site was deleted a moment ago"));
            }
            records.iter().try_for_each(|(id, record)| put(writer, *id, record))
        })
        .await
}

/// Deletes a device and remembers its key, so that it can be told. Its passwords stay, under its
/// name.
pub(super) async fn delete(
    store: &Store,
    id: Uuid,
    key: PublicKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let forgotten = ForgottenRecord { at: now.as_millisecond() };
    store
        .write(move |writer| {
            leave_device(writer, id)?;
            writer.delete(DEVICES, &id)?;
            writer.delete(DEVICE_KEYS, &key.0)?;
            writer.put(FORGOTTEN, &key.0, &forgotten)
        })
        .await
}

/// Gives a device's place to a new key.
pub(super) async fn rekey(
    store: &Store,
    id: Uuid,
    before: PublicKey,
    facts: Facts,
) -> Result<(), StoreError> {
    let records = to_records(vec![(id, facts)])?;
    store
        .write(move |writer| {
            writer.delete(DEVICE_KEYS, &before.0)?;
            records.iter().try_for_each(|(id, record)| put(writer, *id, record))
        })
        .await
}

/// Whether a key belonged to a device that was deleted.
pub(super) async fn is_forgotten(store: &Store, key: PublicKey) -> Result<bool, StoreError> {
    store.read(move |reader| Ok(reader.get(FORGOTTEN, &key.0)?.is_some())).await
}

fn put(writer: &Writer<'_>, id: Uuid, record: &DeviceRecord) -> Result<(), StoreError> {
    writer.put(DEVICES, &id, record)?;
    writer.put(DEVICE_KEYS, &record.public_key, &id)?;
    writer.delete(FORGOTTEN, &record.public_key)?;
    Ok(())
}

fn to_records(devices: Vec<(Uuid, Facts)>) -> Result<Vec<(Uuid, DeviceRecord)>, StoreError> {
    let refused = StoreError::Refused("a device that waits in quarantine is not stored");
    let records: Option<Vec<_>> =
        devices.into_iter().map(|(id, facts)| Some((id, to_record(facts)?))).collect();
    records.ok_or(refused)
}

/// `None` for a device that was not authorised.
fn to_record(facts: Facts) -> Option<DeviceRecord> {
    let text = |text: &DeviceText| text.as_str().to_owned();
    let claims = &facts.claims;
    Some(DeviceRecord {
        public_key: facts.public_key.0,
        mac: claims.mac,
        alias: facts.alias,
        note: facts.note,
        maintenance: facts.maintenance,
        hostname: text(&claims.hostname),
        model: text(&claims.model),
        vendor: text(&claims.vendor),
        firmware_version: text(&claims.firmware_version),
        agent_version: text(&claims.agent_version),
        serial_number: text(&claims.serial_number),
        architecture: text(&claims.architecture),
        addresses: claims.addresses.iter().map(text).collect(),
        role: claims.role.name().to_owned(),
        terminal_allowed: claims.terminal_allowed,
        site: facts.site,
        verified: facts.verified,
        generation: facts.generation,
        first_seen: facts.first_seen.as_millisecond(),
        last_seen: facts.last_seen.as_millisecond(),
        authorized_at: facts.authorized_at?.as_millisecond(),
        authorized_by: facts.authorized_by,
        refresh_until: facts.refresh_until.map(Timestamp::as_millisecond),
        came_by: facts.came_by.map(|address| (address.host().to_owned(), address.port())),
    })
}

fn from_record(record: DeviceRecord) -> Facts {
    let text = |text: &str| DeviceText::clean(text, 256);
    Facts {
        public_key: PublicKey(record.public_key),
        alias: record.alias,
        note: record.note,
        maintenance: record.maintenance,
        claims: Claims {
            mac: record.mac,
            hostname: text(&record.hostname),
            model: text(&record.model),
            vendor: text(&record.vendor),
            firmware_version: text(&record.firmware_version),
            agent_version: text(&record.agent_version),
            serial_number: text(&record.serial_number),
            architecture: text(&record.architecture),
            addresses: record.addresses.iter().map(|address| text(address)).collect(),
            role: Role::from_name(&record.role),
            terminal_allowed: record.terminal_allowed,
        },
        site: record.site,
        verified: record.verified,
        generation: record.generation,
        first_seen: time(record.first_seen),
        last_seen: time(record.last_seen),
        authorized_at: Some(time(record.authorized_at)),
        authorized_by: record.authorized_by,
        refresh_until: record.refresh_until.map(time),
        came_by: record.came_by.and_then(|(host, port)| Address::new(&host, port.into()).ok()),
    }
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
