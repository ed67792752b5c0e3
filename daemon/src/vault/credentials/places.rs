//! Where credentials count: devices by all the names that people have for them.

use std::collections::HashMap;
use std::net::IpAddr;

use uuid::Uuid;

use crate::store::records::{CredentialRecord, DeviceRecord};
use crate::store::tables::DEVICES;
use crate::store::{Reader, StoreError, Writer};

/// Where a credential counts: a device of ours, or what its label says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Device(Uuid),
    Label(String),
}

impl Place {
    pub(super) fn of(record: &CredentialRecord) -> Self {
        record.device.map_or_else(|| Self::Label(record.label.clone()), Self::Device)
    }
}

/// The owner's name for a device, or else what it calls itself.
pub(super) fn device_name(record: &DeviceRecord) -> String {
    let names = [&record.alias, &record.hostname, &record.model];
    let found = names.into_iter().find(|name| !name.is_empty());
    found.map_or_else(|| "unnamed device".to_owned(), Clone::clone)
}

/// The names of all devices.
pub(super) fn device_names(reader: &Reader) -> Result<HashMap<Uuid, String>, StoreError> {
    let mut names = HashMap::new();
    reader.each(DEVICES, |id, record| {
        names.insert(id, device_name(&record));
    })?;
    Ok(names)
}

/// A credential as the audit log names it.
pub(super) fn title(writer: &Writer<'_>, record: &CredentialRecord) -> Result<String, StoreError> {
    let device = record.device.map(|id| writer.get(DEVICES, &id)).transpose()?.flatten();
    let place = device.map_or_else(|| record.label.clone(), |device| device_name(&device));
    Ok(format!("{} on {place}", record.username))
}

/// Devices by id, MAC address, address and name.
#[derive(Default)]
pub(super) struct Directory {
    by_name: HashMap<String, Vec<Uuid>>,
}

impl Directory {
    pub(super) fn read(reader: &Reader) -> Result<Self, StoreError> {
        let mut directory = Self::default();
        reader.each(DEVICES, |id, record| directory.add(id, &record))?;
        Ok(directory)
    }

    fn add(&mut self, id: Uuid, record: &DeviceRecord) {
        let mut names = vec![id.to_string(), record.alias.to_lowercase()];
        names.push(record.hostname.to_lowercase());
        if record.mac != [0; 6] {
            names.push(record.mac.map(|byte| format!("{byte:02x}")).join(":"));
        }
        let bare = |address: &String| address.split('/').next().unwrap_or_default().to_owned();
        names.extend(record.addresses.iter().map(bare));
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            self.by_name.entry(name).or_default().push(id);
        }
    }

    /// The devices that somebody may mean by this.
    pub(super) fn find(&self, name: &str) -> &[Uuid] {
        let folded = name.trim().to_lowercase();
        let same = folded.parse::<IpAddr>().map_or_else(
            |_| mac(&folded).unwrap_or_else(|| folded.clone()),
            |address| address.to_string(),
        );
        self.by_name.get(&same).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A MAC address in any of its spellings, as we write it.
fn mac(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|one| !matches!(one, ':' | '-' | '.')).collect();
    let whole = digits.len() == 12 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(String::from_utf8_lossy);
    whole.then(|| pairs.collect::<Vec<_>>().join(":"))
}
