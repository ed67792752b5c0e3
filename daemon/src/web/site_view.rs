//! A site as the published API shows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ApiError;
use super::views::{Time, filled};
use crate::devices::Devices;
use crate::devices::sites::Site;
use crate::devices::snapshot::{Connection, Device, DeviceFilter};

/// A place where devices are.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Site)]
pub(super) struct SiteView {
    id: Uuid,
    identification: SiteIdentification,
    description: Description,
    notifications: Notifications,
    qos: Qos,
}

/// A site in short, as devices show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SiteIdentification {
    pub(super) id: Uuid,
    pub(super) name: String,
    status: Status,
    /// Always `site`: subscribers come with the CRM.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// The site above.
    parent: Option<SiteParent>,
    suspended: bool,
    /// Last change.
    updated: Time,
}

/// The site above, in short.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SiteParent {
    id: Uuid,
    name: String,
}

/// What its devices say of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SiteStatus)]
enum Status {
    /// All devices are connected.
    Active,
    /// At least one is not.
    Disconnected,
    /// There are none.
    Inactive,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SiteDescription)]
struct Description {
    address: Option<String>,
    note: Option<String>,
    contact: Option<Contact>,
    location: Option<Location>,
    device_count: usize,
    /// Authorised devices that are not connected.
    device_outage_count: usize,
    device_list_status: Status,
    ip_addresses: Vec<String>,
    endpoints: Vec<SiteIdentification>,
}

/// Whom to call.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub(super) struct Contact {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) phone: Option<String>,
    #[serde(default)]
    pub(super) email: Option<String>,
}

/// Degrees.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub(super) struct Location {
    #[schema(minimum = -180, maximum = 180)]
    pub(super) longitude: f64,
    #[schema(minimum = -90, maximum = 90)]
    pub(super) latitude: f64,
}

/// Who is told of outages. Not adjustable yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SiteNotifications)]
struct Notifications {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    #[schema(value_type = Vec<Object>)]
    users: [(); 0],
}

/// Traffic shaping. Not adjustable yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Qos {
    enabled: bool,
    #[schema(required)]
    download_speed: Option<u64>,
    #[schema(required)]
    download_burst_size: Option<u64>,
    #[schema(required)]
    upload_speed: Option<u64>,
    #[schema(required)]
    upload_burst_size: Option<u64>,
    #[schema(required)]
    aggregation: Option<u64>,
}

/// Devices of one site, counted.
#[derive(Clone, Debug, Default)]
struct Tally {
    devices: usize,
    disconnected: usize,
    addresses: Vec<String>,
}

impl Tally {
    fn add(&mut self, device: &Device) {
        self.devices += 1;
        self.disconnected += usize::from(device.connection == Connection::Disconnected);
        self.addresses.extend(device.address().map(str::to_owned));
    }

    fn status(&self) -> Status {
        match (self.devices, self.disconnected) {
            (0, _) => Status::Inactive,
            (_, 0) => Status::Active,
            _ => Status::Disconnected,
        }
    }
}

/// Devices of all sites, counted a few seconds ago at most: counting goes through all devices, and
/// every live socket asks every second. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Tallies {
    last: Arc<Mutex<Option<(Instant, Counted)>>>,
}

type Counted = Arc<HashMap<Uuid, Tally>>;

/// How old a count may be.
const COUNT_AGE: Duration = Duration::from_secs(5);

impl Tallies {
    async fn recent(&self, devices: &Devices) -> Counted {
        let mut last = self.last.lock().await;
        if let Some((at, counted)) = &*last
            && at.elapsed() < COUNT_AGE
        {
            return Arc::clone(counted);
        }
        let counted = count(devices).await;
        *last = Some((Instant::now(), Arc::clone(&counted)));
        counted
    }

    /// All sites in short, by id.
    pub(super) async fn sites(
        &self,
        devices: &Devices,
    ) -> Result<HashMap<Uuid, SiteIdentification>, ApiError> {
        let atlas =
            Atlas { tallies: self.recent(devices).await, ..Atlas::uncounted(devices).await? };
        Ok(atlas.sites.iter().map(|site| (site.id, atlas.identification(site))).collect())
    }
}

async fn count(devices: &Devices) -> Counted {
    let devices = devices.clone();
    let counting = tokio::task::spawn_blocking(move || {
        let mut tallies: HashMap<Uuid, Tally> = HashMap::new();
        for device in devices.list(&DeviceFilter::default()) {
            if let Some(site) = device.site {
                tallies.entry(site).or_default().add(&device);
            }
        }
        Arc::new(tallies)
    });
    // It only ends early when the daemon does.
    counting.await.unwrap_or_default()
}

/// All sites, with what their devices say of them.
pub(super) struct Atlas {
    sites: Vec<Site>,
    tallies: Counted,
    names: HashMap<Uuid, String>,
}

impl Atlas {
    async fn uncounted(devices: &Devices) -> Result<Self, ApiError> {
        let sites = devices.sites().list().await.map_err(ApiError::internal)?;
        let names = sites.iter().map(|site| (site.id, site.name.clone())).collect();
        Ok(Self { sites, names, tallies: Counted::default() })
    }

    /// Reads the sites and counts their devices.
    pub(super) async fn complete(devices: &Devices) -> Result<Self, ApiError> {
        let atlas = Self::uncounted(devices).await?;
        Ok(Self { tallies: count(devices).await, ..atlas })
    }

    /// All sites, as the API shows them.
    pub(super) fn views(&self) -> impl Iterator<Item = SiteView> {
        self.sites.iter().map(|site| self.view(site))
    }

    /// One site, as the API shows it.
    pub(super) fn find(&self, id: Uuid) -> Option<SiteView> {
        self.sites.iter().find(|site| site.id == id).map(|site| self.view(site))
    }

    fn tally(&self, site: &Site) -> Tally {
        self.tallies.get(&site.id).cloned().unwrap_or_default()
    }

    fn identification(&self, site: &Site) -> SiteIdentification {
        let parent = site.parent.and_then(|id| {
            let name = self.names.get(&id)?.clone();
            Some(SiteParent { id, name })
        });
        SiteIdentification {
            id: site.id,
            name: site.name.clone(),
            status: self.tally(site).status(),
            kind: "site",
            parent,
            suspended: false,
            updated: Time(site.updated),
        }
    }

    fn view(&self, site: &Site) -> SiteView {
        let tally = self.tally(site);
        SiteView {
            id: site.id,
            identification: self.identification(site),
            description: Description {
                address: filled(&site.address),
                note: filled(&site.note),
                contact: contact(site),
                location: site
                    .location
                    .map(|(latitude, longitude)| Location { longitude, latitude }),
                device_count: tally.devices,
                device_outage_count: tally.disconnected,
                device_list_status: tally.status(),
                ip_addresses: tally.addresses,
                endpoints: Vec::new(),
            },
            notifications: Notifications { kind: "system", users: [] },
            qos: Qos {
                enabled: false,
                download_speed: None,
                download_burst_size: None,
                upload_speed: None,
                upload_burst_size: None,
                aggregation: None,
            },
        }
    }
}

fn contact(site: &Site) -> Option<Contact> {
    let contact = Contact {
        name: filled(&site.contact.name),
        phone: filled(&site.contact.phone),
        email: filled(&site.contact.email),
    };
    let any = [&contact.name, &contact.phone, &contact.email].into_iter().any(Option::is_some);
    any.then_some(contact)
}
