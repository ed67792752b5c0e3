//! Whom to tell of weaknesses, and how strictly browsers keep to HTTPS.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody};
use super::views::{Time, sentence};
use crate::clock::Clock;
use crate::devices::Devices;
use crate::devices::events::{Event, Level};
use crate::edge::{Ports, Security, SecurityError, SecuritySettings, https_origin};

/// What the owner says about security to the outside.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityView {
    /// Whom to tell of a weakness, in `/.well-known/security.txt`.
    contact: Option<String>,
    /// Until when the contact counts; saving it again renews it.
    contact_expires: Option<Time>,
    /// Whether browsers keep to HTTPS for all names below the appliance's too.
    hsts_include_sub_domains: bool,
}

/// A change of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SecurityBody {
    /// `mailto:…` or `https:…`; null takes it away.
    contact: Option<String>,
    #[serde(default)]
    hsts_include_sub_domains: bool,
}

/// What the owner says about security to the outside.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/security", tag = "front door",
    responses((status = 200, description = "The settings", body = SecurityView))
)]
pub(super) async fn read(State(security): State<Security>) -> Json<SecurityView> {
    Json(view(security.settings()))
}

/// Changes it.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/security", tag = "front door", request_body = SecurityBody,
    responses((status = 200, description = "Changed", body = SecurityView))
)]
pub(super) async fn change(
    State(security): State<Security>,
    State(devices): State<Devices>,
    State(clock): State<Clock>,
    Caller(login): Caller,
    JsonBody(body): JsonBody<SecurityBody>,
) -> Result<Json<SecurityView>, ApiError> {
    let contact = body.contact.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let settings = SecuritySettings {
        contact_since: contact.is_some().then(|| clock.now()),
        contact,
        hsts_include_sub_domains: body.hsts_include_sub_domains,
    };
    security.change(settings.clone()).await?;
    let message = "Somebody changed the security contact, or how strictly browsers keep to HTTPS.";
    let event = Event::quiet(Level::Info, "uisp-general", message.to_owned());
    devices.events().record(event.by(login.account).at_once());
    Ok(Json(view(settings)))
}

/// Whom to tell of a weakness (RFC 9116).
#[utoipa::path(
    get, path = "/.well-known/security.txt", tag = "machines",
    responses(
        (status = 200, description = "The contact", body = String, content_type = "text/plain"),
        (status = 404, description = "There is none", body = ErrorBody),
    )
)]
pub(super) async fn text(
    State(security): State<Security>,
    State(devices): State<Devices>,
    State(ports): State<Ports>,
) -> Result<Response, ApiError> {
    let settings = security.settings();
    let expires = settings.contact_expires();
    let Some((contact, expires)) = settings.contact.zip(expires) else {
        return Err(ApiError::not_found("The owner of this appliance names no contact."));
    };
    let mut text = format!("Contact: {contact}\nExpires: {}\n", whole_seconds(expires));
    if let Some(host) = devices.keys().host() {
        let origin = https_origin(&host, ports.picture().applied.gui_port());
        text = format!("{text}Canonical: {origin}/.well-known/security.txt\n");
    }
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// As RFC 3339 has it.
fn whole_seconds(at: Timestamp) -> String {
    format!("{at:.0}")
}

fn view(settings: SecuritySettings) -> SecurityView {
    SecurityView {
        contact_expires: settings.contact_expires().map(Time),
        contact: settings.contact,
        hsts_include_sub_domains: settings.hsts_include_sub_domains,
    }
}

impl From<SecurityError> for ApiError {
    fn from(error: SecurityError) -> Self {
        match error {
            SecurityError::Contact => Self::bad_request(sentence(&error)),
            SecurityError::Store(_) => Self::internal(error),
        }
    }
}
