//! Sites: the places that devices belong to.
//!
//! There are few of them and everything shows their names, so all are kept in memory beside the
//! store. Changes go one at a time: the store first, then memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aerie_protocol::text::DeviceText;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::store::records::{ContactRecord, SiteRecord};
use crate::store::{Store, StoreError, Writer, tables};

/// Characters of a name.
const NAME_CHARS: usize = 100;
/// Characters of an address, or of a part of a contact.
const LINE_CHARS: usize = 300;
/// Characters of a note.
const NOTE_CHARS: usize = 2_000;
/// Sites above sites.
const DEPTH: usize = 32;
/// The published API's word for a site that is no subscriber's.
const KIND: &str = "site";

/// A place where devices are.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Stays for ever.
    pub id: Uuid,
    /// For people. Not unique: two villages may both have a town hall.
    pub name: String,
    /// The site above.
    pub parent: Option<Uuid>,
    /// Postal address.
    pub address: String,
    /// The owner's note.
    pub note: String,
    /// Whom to call there.
    pub contact: Contact,
    /// Latitude and longitude in degrees.
    pub location: Option<(f64, f64)>,
    /// When it was made.
    pub created: Timestamp,
    /// Last change.
    pub updated: Timestamp,
}

/// Whom to call. Empty where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// Telephone number.
    pub phone: String,
    /// E-mail address.
    pub email: String,
}

/// What is to be written of a site. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct SiteChange {
    /// A new site needs one.
    pub name: Option<String>,
    /// `Some(None)`: it stands under no other.
    pub parent: Option<Option<Uuid>>,
    /// Postal address.
    pub address: Option<String>,
    /// Note.
    pub note: Option<String>,
    /// Whom to call.
    pub contact: Option<Contact>,
    /// `Some(None)`: unknown.
    pub location: Option<Option<(f64, f64)>>,
}

/// Why a site was not changed.
#[derive(Debug, Error)]
pub enum SiteError {
    /// No such site.
    #[error("there is no site with this id")]
    Unknown,
    /// The site above does not exist.
    #[error("there is no site with the parent's id; choose one from the list of sites")]
    UnknownParent,
    /// It would stand above itself.
    #[error("a site cannot stand under itself or deeper than {DEPTH} sites; choose another parent")]
    Circle,
    /// No name.
    #[error("a site needs a name of at least one visible character")]
    NameMissing,
    /// A field is too long.
    #[error("the site's {field} is longer than {most} characters; shorten it")]
    TooLong {
        /// Which one.
        field: &'static str,
        /// How many are allowed.
        most: usize,
    },
    /// Not a place on Earth.
    #[error("latitude must be -90 to 90 degrees and longitude -180 to 180")]
    Location,
    /// Devices belong to it.
    #[error("{0} devices belong to this site; move them to another site or delete them first")]
    HasDevices(usize),
    /// Sites stand under it.
    #[error("{0} sites stand under this one; move them or delete them first")]
    HasSites(usize),
    /// The store.
    #[error("the site could not be stored, so nothing was changed")]
    Store(#[from] StoreError),
}

type ById = Arc<HashMap<Uuid, Site>>;

/// All sites.
pub struct Sites {
    store: Store,
    /// `None` until somebody asks.
    known: RwLock<Option<ById>>,
    changing: Mutex<()>,
}

impl Sites {
    /// The sites of a store.
    pub fn new(store: Store) -> Self {
        Self { store, known: RwLock::default(), changing: Mutex::default() }
    }

    /// All sites, by name.
    pub async fn list(&self) -> Result<Vec<Site>, StoreError> {
        let mut sites: Vec<Site> = self.all().await?.values().cloned().collect();
        sites.sort_by_cached_key(|site| (site.name.to_lowercase(), site.id));
        Ok(sites)
    }

    /// One site.
    pub async fn get(&self, id: Uuid) -> Result<Option<Site>, StoreError> {
        Ok(self.all().await?.get(&id).cloned())
    }

    /// Makes a site.
    pub async fn create(&self, wanted: SiteChange, now: Timestamp) -> Result<Site, SiteError> {
        let wanted = SiteChange { name: Some(wanted.name.unwrap_or_default()), ..wanted };
        let milliseconds = now.as_millisecond();
        let record =
            SiteRecord { kind: KIND.to_owned(), created: milliseconds, ..SiteRecord::default() };
        self.write(Uuid::new_v4(), Some(record), wanted, now).await
    }

    /// Changes a site.
    pub async fn update(
        &self,
        id: Uuid,
        wanted: SiteChange,
        now: Timestamp,
    ) -> Result<Site, SiteError> {
        self.write(id, None, wanted, now).await
    }

    /// Deletes a site to which nothing belongs. Returns what it was.
    pub async fn delete(&self, id: Uuid) -> Result<Site, SiteError> {
        let _changing = self.changing.lock().await;
        let deleted = self.store.write(move |writer| Ok(delete(writer, id))).await??;
        self.forget();
        Ok(deleted)
    }

    async fn write(
        &self,
        id: Uuid,
        new: Option<SiteRecord>,
        wanted: SiteChange,
        now: Timestamp,
    ) -> Result<Site, SiteError> {
        let wanted = checked(wanted)?;
        let _changing = self.changing.lock().await;
        let write = move |writer: &Writer<'_>| Ok(write(writer, id, new.clone(), &wanted, now));
        let site = self.store.write(write).await??;
        self.forget();
        Ok(site)
    }

    fn forget(&self) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn known(&self) -> Option<ById> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn all(&self) -> Result<ById, StoreError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        // Not while a change is on its way: it would be missed for ever.
        let _changing = self.changing.lock().await;
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let rows = self.store.read(|reader| reader.all(tables::SITES)).await?;
        let sites = rows.into_iter().map(|(id, record)| (id, site(id, record))).collect();
        let known: ById = Arc::new(sites);
        let shared = Some(Arc::clone(&known));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = shared;
        Ok(known)
    }
}

fn write(
    writer: &Writer<'_>,
    id: Uuid,
    new: Option<SiteRecord>,
    wanted: &SiteChange,
    now: Timestamp,
) -> Result<Site, SiteError> {
    let mut record = match new {
        Some(new) => new,
        None => writer.get(tables::SITES, &id)?.ok_or(SiteError::Unknown)?,
    };
    if let Some(Some(parent)) = wanted.parent {
        check_parent(writer, id, parent)?;
    }
    let SiteChange { name, parent, address, note, contact, location } = wanted.clone();
    record.name = name.unwrap_or(record.name);
    record.parent = parent.unwrap_or(record.parent);
    record.address = address.unwrap_or(record.address);
    record.note = note.unwrap_or(record.note);
    record.location = location.unwrap_or(record.location);
    if let Some(Contact { name, phone, email }) = contact {
        record.contact = ContactRecord { name, phone, email };
    }
    record.updated = now.as_millisecond();
    writer.put(tables::SITES, &id, &record)?;
    Ok(site(id, record))
}

/// In one transaction with the check, so that no device can be assigned in between.
fn delete(writer: &Writer<'_>, id: Uuid) -> Result<Site, SiteError> {
    let record = writer.get(tables::SITES, &id)?.ok_or(SiteError::Unknown)?;
    let devices = writer.all(tables::DEVICES)?;
    let devices = devices.iter().filter(|(_, device)| device.site == Some(id)).count();
    if devices > 0 {
        return Err(SiteError::HasDevices(devices));
    }
    let sites = writer.all(tables::SITES)?;
    let sites = sites.iter().filter(|(_, site)| site.parent == Some(id)).count();
    if sites > 0 {
        return Err(SiteError::HasSites(sites));
    }
    writer.delete(tables::SITES, &id)?;
    Ok(site(id, record))
}

fn check_parent(writer: &Writer<'_>, id: Uuid, parent: Uuid) -> Result<(), SiteError> {
    let mut above = Some(parent);
    for _ in 0..DEPTH {
        let Some(next) = above else { return Ok(()) };
        if next == id {
            return Err(SiteError::Circle);
        }
        let record = writer.get(tables::SITES, &next)?.ok_or(SiteError::UnknownParent)?;
        above = record.parent;
    }
    Err(SiteError::Circle)
}

/// What was typed, cleaned for display and within bounds.
fn checked(wanted: SiteChange) -> Result<SiteChange, SiteError> {
    let name = wanted.name.map(|name| clean(&name, "name", NAME_CHARS)).transpose()?;
    if name.as_ref().is_some_and(String::is_empty) {
        return Err(SiteError::NameMissing);
    }
    if let Some(Some((latitude, longitude))) = wanted.location
        && !((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude))
    {
        return Err(SiteError::Location);
    }
    let line = |text: String, field| clean(&text, field, LINE_CHARS);
    let contact = wanted.contact.map(|contact| {
        Ok::<_, SiteError>(Contact {
            name: line(contact.name, "contact name")?,
            phone: line(contact.phone, "contact phone")?,
            email: line(contact.email, "contact email")?,
        })
    });
    Ok(SiteChange {
        name,
        parent: wanted.parent,
        address: wanted.address.map(|address| line(address, "address")).transpose()?,
        note: wanted.note.map(|note| note_of(&note)).transpose()?,
        contact: contact.transpose()?,
        location: wanted.location,
    })
}

fn clean(text: &str, field: &'static str, most: usize) -> Result<String, SiteError> {
    if text.chars().count() > most {
        return Err(SiteError::TooLong { field, most });
    }
    Ok(DeviceText::clean(text, usize::MAX).as_str().to_owned())
}

/// A note may have lines.
fn note_of(text: &str) -> Result<String, SiteError> {
    if text.chars().count() > NOTE_CHARS {
        return Err(SiteError::TooLong { field: "note", most: NOTE_CHARS });
    }
    let lines = text.lines().map(|line| DeviceText::clean(line, usize::MAX).as_str().to_owned());
    Ok(lines.collect::<Vec<_>>().join("\n").trim().to_owned())
}

fn site(id: Uuid, record: SiteRecord) -> Site {
    let time = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    let ContactRecord { name, phone, email } = record.contact;
    Site {
        id,
        name: record.name,
        parent: record.parent,
        address: record.address,
        note: record.note,
        contact: Contact { name, phone, email },
        location: record.location,
        created: time(record.created),
        updated: time(record.updated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::DeviceRecord;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn named(name: &str) -> SiteChange {
        SiteChange { name: Some(name.to_owned()), ..SiteChange::default() }
    }

    async fn add_device(store: &Store, site: Uuid) -> Uuid {
        let id = Uuid::new_v4();
        let record = device_at(site);
        store.write(move |writer| writer.put(tables::DEVICES, &id, &record)).await.unwrap();
        id
    }

    fn device_at(site: Uuid) -> DeviceRecord {
        DeviceRecord {
            public_key: [1; 32],
            mac: [2; 6],
            alias: String::new(),
            note: String::new(),
            maintenance: false,
            hostname: String::new(),
            model: String::new(),
            vendor: String::new(),
            firmware_version: String::new(),
            agent_version: String::new(),
            serial_number: String::new(),
            architecture: String::new(),
            addresses: Vec::new(),
            role: String::new(),
            terminal_allowed: false,
            site: Some(site),
            verified: true,
            generation: [0; 4],
            first_seen: 0,
            last_seen: 0,
            authorized_at: 0,
            authorized_by: None,
            refresh_until: None,
            came_by: None,
        }
    }

    #[tokio::test]
    async fn what_is_made_and_changed_is_there_after_a_restart() {
        let store = Store::memory().unwrap();
        let sites = Sites::new(store.clone());
        let mast = sites.create(named("  Mast 1 "), NOW).await.unwrap();
        assert_eq!(mast.name, "Mast 1");
        let later = NOW + jiff::SignedDuration::from_secs(5);
        let change = SiteChange {
            note: Some("key at\nthe farm\u{7}".to_owned()),
            location: Some(Some((47.1, 15.4))),
            contact: Some(Contact { name: "Anna".to_owned(), ..Contact::default() }),
            ..SiteChange::default()
        };
        let changed = sites.update(mast.id, change, later).await.unwrap();
        assert_eq!(changed.name, "Mast 1");
        assert_eq!(changed.note, "key at\nthe farm");
        assert_eq!((changed.created, changed.updated), (NOW, later));
        let again = Sites::new(store);
        assert_eq!(again.list().await.unwrap(), vec![changed]);
        assert_eq!(sites.list().await.unwrap(), again.list().await.unwrap());
    }

    #[tokio::test]
    async fn a_site_with_devices_or_sites_cannot_be_deleted() {
        let store = Store::memory().unwrap();
        let sites = Sites::new(store.clone());
        let mast = sites.create(named("Mast"), NOW).await.unwrap();
        let device = add_device(&store, mast.id).await;
        let refused = sites.delete(mast.id).await.unwrap_err();
        assert!(matches!(refused, SiteError::HasDevices(1)), "{refused}");
        store.write(move |writer| writer.delete(tables::DEVICES, &device)).await.unwrap();
        let under = SiteChange { parent: Some(Some(mast.id)), ..named("Cabinet") };
        let cabinet = sites.create(under, NOW).await.unwrap();
        let refused = sites.delete(mast.id).await.unwrap_err();
        assert!(matches!(refused, SiteError::HasSites(1)), "{refused}");
        sites.delete(cabinet.id).await.unwrap();
        assert_eq!(sites.delete(mast.id).await.unwrap().name, "Mast");
        assert!(matches!(sites.delete(mast.id).await, Err(SiteError::Unknown)));
        assert!(sites.list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_site_never_stands_above_itself() {
        let sites = Sites::new(Store::memory().unwrap());
        let top = sites.create(named("top"), NOW).await.unwrap();
        let parent = |id| SiteChange { parent: Some(Some(id)), ..SiteChange::default() };
        let under = SiteChange { name: Some("under".to_owned()), ..parent(top.id) };
        let under = sites.create(under, NOW).await.unwrap();
        for above in [top.id, under.id] {
            let refused = sites.update(top.id, parent(above), NOW).await.unwrap_err();
            assert!(matches!(refused, SiteError::Circle), "{refused}");
        }
        let refused = sites.update(top.id, parent(Uuid::nil()), NOW).await.unwrap_err();
        assert!(matches!(refused, SiteError::UnknownParent), "{refused}");
        let freed = SiteChange { parent: Some(None), ..SiteChange::default() };
        assert_eq!(sites.update(under.id, freed, NOW).await.unwrap().parent, None);
    }

    #[tokio::test]
    async fn what_cannot_be_a_site_is_refused_with_the_reason() {
        let sites = Sites::new(Store::memory().unwrap());
        for blank in ["", "  ", "\u{202e}\u{200b}"] {
            let refused = sites.create(named(blank), NOW).await.unwrap_err();
            assert!(matches!(refused, SiteError::NameMissing), "{blank:?}: {refused}");
        }
        let refused = sites.create(named(&"ä".repeat(101)), NOW).await.unwrap_err();
        assert!(matches!(refused, SiteError::TooLong { field: "name", most: 100 }), "{refused}");
        sites.create(named(&"ä".repeat(100)), NOW).await.unwrap();
        for place in [(90.1, 0.0), (0.0, 181.0), (f64::NAN, 0.0)] {
            let wanted = SiteChange { location: Some(Some(place)), ..named("x") };
            let refused = sites.create(wanted, NOW).await.unwrap_err();
            assert!(matches!(refused, SiteError::Location), "{place:?}: {refused}");
        }
        let unknown = sites.update(Uuid::nil(), named("x"), NOW).await.unwrap_err();
        assert!(matches!(unknown, SiteError::Unknown), "{unknown}");
    }

    #[tokio::test]
    async fn sites_are_listed_by_name_whatever_its_case() {
        let sites = Sites::new(Store::memory().unwrap());
        for name in ["beta", "Alpha", "gamma"] {
            sites.create(named(name), NOW).await.unwrap();
        }
        let names: Vec<String> =
            sites.list().await.unwrap().into_iter().map(|site| site.name).collect();
        assert_eq!(names, ["Alpha", "beta", "gamma"]);
    }
}
