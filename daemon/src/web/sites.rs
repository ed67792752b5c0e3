//! Sites: the places where devices are.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, Id, JsonBody, Params, no_such_site};
use super::site_view::{Atlas, Contact, Location, SiteView};
use super::told::About;
use super::views::{ActionResult, sentence};
use crate::clock::Clock;
use crate::devices::events::{Event, Level};
use crate::devices::sites::{self, Site, SiteError};
use crate::devices::{Change, Devices};

/// Which sites are wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct SiteQuery {
    /// Only these. May be repeated.
    id: Option<Vec<Uuid>>,
    /// Only this type: there are only sites of type `site`.
    #[param(rename = "type")]
    kind: Option<String>,
}

/// A new site.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewSite {
    name: String,
    parent_site_id: Option<Uuid>,
    address: Option<String>,
    note: Option<String>,
    contact_name: Option<String>,
    contact_phone: Option<String>,
    contact_email: Option<String>,
    location: Option<Location>,
    /// Only `site`: subscribers come with the CRM.
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// What a site is to be from now on. What is left out stays; null empties.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SiteChange {
    identification: Option<SiteNameChange>,
    description: Option<SiteDescriptionChange>,
}

/// A site's name.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct SiteNameChange {
    name: Option<String>,
}

/// What is said of a site.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct SiteDescriptionChange {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    address: Said<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    note: Said<String>,
    #[serde(default)]
    #[schema(value_type = Option<Contact>)]
    contact: Said<Contact>,
    #[serde(default)]
    #[schema(value_type = Option<Location>)]
    location: Said<Location>,
}

/// Tells null from a field that was left out.
#[derive(Debug, Default)]
enum Said<T> {
    #[default]
    Nothing,
    Null,
    This(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Option::<T>::deserialize(deserializer)?;
        Ok(said.map_or(Self::Null, Self::This))
    }
}

impl<T> Said<T> {
    /// What to write: null empties.
    fn or_empty(self) -> Option<T>
    where
        T: Default,
    {
        match self {
            Self::Nothing => None,
            Self::Null => Some(T::default()),
            Self::This(said) => Some(said),
        }
    }
}

/// All sites.
#[utoipa::path(
    get, path = "/nms/api/v2.1/sites", tag = "sites", params(SiteQuery),
    responses((status = 200, description = "The sites", body = Vec<SiteView>))
)]
pub(super) async fn list(
    State(devices): State<Devices>,
    params: Params,
) -> Result<Json<Vec<SiteView>>, ApiError> {
    let wanted: Vec<Uuid> = params.all("id")?;
    if params.text("type").is_some_and(|kind| kind != "site") {
        return Ok(Json(Vec::new()));
    }
    let atlas = Atlas::complete(&devices).await?;
    if wanted.is_empty() {
        return Ok(Json(atlas.views().collect()));
    }
    Ok(Json(wanted.iter().filter_map(|id| atlas.find(*id)).collect()))
}

/// One site.
#[utoipa::path(
    get, path = "/nms/api/v2.1/sites/{id}", tag = "sites",
    params(("id" = Uuid, Path, description = "The site")),
    responses(
        (status = 200, description = "The site", body = SiteView),
        (status = 404, description = "There is no such site", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(devices): State<Devices>,
    id: Id,
) -> Result<Json<SiteView>, ApiError> {
    view(&devices, id.site()?).await
}

async fn view(devices: &Devices, id: Uuid) -> Result<Json<SiteView>, ApiError> {
    Atlas::complete(devices).await?.find(id).map(Json).ok_or_else(no_such_site)
}

/// Makes a site.
#[utoipa::path(
    post, path = "/nms/api/v2.1/sites", tag = "sites", request_body = NewSite,
    responses((status = 200, description = "The new site", body = SiteView))
)]
pub(super) async fn create(
    State(devices): State<Devices>,
    State(clock): State<Clock>,
    Caller(login): Caller,
    JsonBody(new): JsonBody<NewSite>,
) -> Result<(Extension<About>, Json<SiteView>), ApiError> {
    if new.kind.as_deref().is_some_and(|kind| kind != "site") {
        return Err(ApiError::bad_request("Only sites of type site can be made for now."));
    }
    let site = devices.sites().create(new.into(), clock.now()).await?;
    tell(&devices, &site, "was made", login.account);
    devices.changed(Change::Site(site.id));
    Ok((About::these(vec![site.name]), view(&devices, site.id).await?))
}

/// Changes a site.
#[utoipa::path(
    put, path = "/nms/api/v2.1/sites/{id}", tag = "sites",
    params(("id" = Uuid, Path, description = "The site")), request_body = SiteChange,
    responses(
        (status = 200, description = "The site as it is now", body = SiteView),
        (status = 404, description = "There is no such site", body = ErrorBody),
    )
)]
pub(super) async fn change(
    State(devices): State<Devices>,
    State(clock): State<Clock>,
    Caller(login): Caller,
    id: Id,
    JsonBody(change): JsonBody<SiteChange>,
) -> Result<Json<SiteView>, ApiError> {
    let site = devices.sites().update(id.site()?, change.into(), clock.now()).await?;
    tell(&devices, &site, "was changed", login.account);
    devices.changed(Change::Site(site.id));
    view(&devices, site.id).await
}

/// Deletes an empty site.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/sites/{id}", tag = "sites",
    params(("id" = Uuid, Path, description = "The site")),
    responses(
        (status = 200, description = "It is gone", body = ActionResult),
        (status = 404, description = "There is no such site", body = ErrorBody),
        (status = 409, description = "SiteNotEmpty", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(devices): State<Devices>,
    Caller(login): Caller,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    let site = devices.sites().delete(id.site()?).await?;
    tell(&devices, &site, "was deleted", login.account);
    devices.changed(Change::SiteRemoved(site.id));
    Ok(ActionResult::done(format!("The site {} is deleted.", site.name)))
}

fn tell(devices: &Devices, site: &Site, what: &str, account: Uuid) {
    let message = format!("The site {} {what}.", site.name);
    let event = Event::quiet(Level::Info, "site", message).at_site(site.id).by(account);
    devices.events().record(event);
}

impl From<NewSite> for sites::SiteChange {
    fn from(new: NewSite) -> Self {
        let NewSite { contact_name: name, contact_phone: phone, contact_email: email, .. } = new;
        Self {
            name: Some(new.name),
            parent: Some(new.parent_site_id),
            address: new.address,
            note: new.note,
            contact: Some(Contact { name, phone, email }.into()),
            location: Some(new.location.map(degrees)),
        }
    }
}

impl From<SiteChange> for sites::SiteChange {
    fn from(change: SiteChange) -> Self {
        let name = change.identification.and_then(|identification| identification.name);
        let description = change.description.unwrap_or_default();
        Self {
            name,
            parent: None,
            address: description.address.or_empty(),
            note: description.note.or_empty(),
            contact: description.contact.or_empty().map(Into::into),
            location: match description.location {
                Said::Nothing => None,
                Said::Null => Some(None),
                Said::This(location) => Some(Some(degrees(location))),
            },
        }
    }
}

impl From<Contact> for sites::Contact {
    fn from(contact: Contact) -> Self {
        Self {
            name: contact.name.unwrap_or_default(),
            phone: contact.phone.unwrap_or_default(),
            email: contact.email.unwrap_or_default(),
        }
    }
}

fn degrees(location: Location) -> (f64, f64) {
    (location.latitude, location.longitude)
}

impl From<SiteError> for ApiError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Unknown => no_such_site(),
            SiteError::UnknownParent
            | SiteError::Circle
            | SiteError::NameMissing
            | SiteError::TooLong { .. }
            | SiteError::Location => Self::bad_request(sentence(&error)),
            SiteError::HasDevices(_) | SiteError::HasSites(_) => {
                Self::conflict("SiteNotEmpty", sentence(&error))
            }
            SiteError::Store(_) => Self::internal(error),
        }
    }
}
