//! The ports of the appliance: what is listened on, and changing it without locking anybody out.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{FromRequestParts, State};
use axum::{Extension, Json};
use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody};
use super::views::{Time, sentence};
use super::{Rooms, setup};
use crate::accounts::Accounts;
use crate::devices::events::{Event, Level};
use crate::devices::{Announcement, Devices, Progress};
use crate::edge::ports::{Picture, PortSettings, PortsError, Standing, Wanted};
use crate::edge::{Ports, Through, https_origin};

/// The ports of the appliance, and how the world sees them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PortsBody {
    /// Addresses and ports for plain HTTP: the ACME challenge and a redirect. Empty: off.
    #[schema(value_type = Vec<String>, example = json!(["0.0.0.0:80"]))]
    http: Vec<SocketAddr>,
    /// For GUI and API; at least one.
    #[schema(value_type = Vec<String>, example = json!(["0.0.0.0:443"]))]
    https: Vec<SocketAddr>,
    /// For devices alone. Empty: they use HTTPS.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    inform: Vec<SocketAddr>,
    /// The host name or address of the appliance. Without it the present one stays.
    #[serde(default)]
    public_host: Option<String>,
    /// The port under which people reach the GUI, where a proxy in front changes it.
    #[serde(default)]
    public_port: Option<u16>,
    /// The host under which devices reach the appliance, where it is another one.
    #[serde(default)]
    inform_host: Option<String>,
    /// The port under which devices reach the appliance, where a proxy in front changes it.
    #[serde(default)]
    inform_port: Option<u16>,
    /// Addresses or networks of the proxies whose `X-Forwarded-For` is believed.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// Accounts whose only second factor is a passkey for the present name may lose it.
    #[serde(default, skip_serializing)]
    confirm_passkeys_lost: bool,
}

/// What the boot file says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BootPorts {
    #[schema(value_type = Vec<String>)]
    http: Vec<SocketAddr>,
    #[schema(value_type = Vec<String>)]
    https: Vec<SocketAddr>,
    #[schema(value_type = Vec<String>)]
    inform: Vec<SocketAddr>,
}

/// One listener.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListenerView {
    /// `http`, `https` or `inform`.
    #[schema(value_type = String)]
    purpose: &'static str,
    #[schema(value_type = String)]
    address: SocketAddr,
    /// `open`; `new` until a change is confirmed; `leaving` until it is confirmed, or until every
    /// device knows its new place; `closed`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Why it is closed.
    #[schema(value_type = Option<String>)]
    reason: Option<&'static str>,
}

/// A change that waits to be confirmed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PendingPorts {
    wanted: PortsBody,
    /// Where to confirm it.
    confirm_at: Vec<String>,
    /// Until it is undone.
    seconds_left: u64,
}

/// Everything about the ports.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PortsView {
    applied: PortsBody,
    /// `bootFile` until the ports are changed here, then `settings`.
    #[schema(value_type = String)]
    source: &'static str,
    boot_file: BootPorts,
    listeners: Vec<ListenerView>,
    pending: Option<PendingPorts>,
    /// The move of the devices to a new address, while there is one.
    #[serde(rename = "move")]
    moving: Option<MoveView>,
}

/// Where devices find the appliance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlaceView {
    host: String,
    port: u16,
}

/// A device that has not come by the new address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WaitingView {
    id: Uuid,
    name: String,
    last_seen: Time,
}

/// How far the devices' move to a new address has come.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MoveView {
    from: Option<PlaceView>,
    to: PlaceView,
    since: Time,
    /// Devices that have come by the new address.
    confirmed: usize,
    /// All authorised devices.
    total: usize,
    /// The others; the first hundred.
    waiting: Vec<WaitingView>,
}

/// What a change of the ports leads to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangedPorts {
    ports: PortsView,
    /// Send it within a minute to `ports/confirm` at one of the new addresses. Without it the
    /// change holds already.
    confirm_code: Option<String>,
}

/// The code of a change.
#[derive(Deserialize, ToSchema)]
pub(super) struct ConfirmRequest {
    code: String,
}

/// What is listened on, and what waits to be confirmed.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/ports", tag = "front door",
    responses((status = 200, description = "The ports", body = PortsView))
)]
pub(super) async fn read(
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    came_to: CameTo,
) -> Json<PortsView> {
    Json(view(&ports, &devices, &came_to))
}

/// Changes the ports. What could lock the owner out waits a minute to be confirmed.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/ports", tag = "front door", request_body = PortsBody,
    responses(
        (status = 200, description = "Open, and perhaps to be confirmed", body = ChangedPorts),
        (status = 409, description = "ChangePending; PasskeysDepend: it names the accounts whose \
            only second factor is a passkey for the present name", body = ErrorBody),
    )
)]
pub(super) async fn change(
    State(rooms): State<Rooms>,
    Caller(login): Caller,
    came_to: CameTo,
    JsonBody(body): JsonBody<PortsBody>,
) -> Result<Json<ChangedPorts>, ApiError> {
    let Rooms { ports, devices, accounts, .. } = rooms;
    let confirmed = body.confirm_passkeys_lost;
    let wanted = body.wanted()?;
    if let Some(name) = &wanted.public_host
        && !confirmed
    {
        passkeys_stay(&accounts, devices.keys().host(), name).await?;
    }
    let code = ports.change(wanted).await?;
    let what = if code.is_some() { "is changing" } else { "changed" };
    let picture = ports.picture();
    let wanted = picture.waiting.as_ref().map_or(&picture.applied, |waiting| &waiting.wanted);
    let message = format!("Somebody {what} the ports of the appliance: {}.", told(wanted));
    devices
        .events()
        .record(Event::quiet(Level::Warning, "uisp-general", message).by(login.account).at_once());
    Ok(Json(ChangedPorts {
        ports: view(&ports, &devices, &came_to),
        confirm_code: code.map(|code| code.expose().clone()),
    }))
}

/// Refuses a change of the appliance's name that would leave accounts without their second factor.
async fn passkeys_stay(
    accounts: &Accounts,
    present: Option<String>,
    name: &str,
) -> Result<(), ApiError> {
    let Some(present) = present.filter(|present| present != name) else { return Ok(()) };
    let depending = accounts.depend_on_name(&present, name).await?;
    if depending.is_empty() {
        return Ok(());
    }
    let message = format!(
        "These accounts have passkeys for {present} and no codes from an app; under another name \
         their passkeys are worth nothing: {}. Let them set up an app first, or confirm that \
         these passkeys are lost.",
        depending.join(", ")
    );
    Err(ApiError::conflict("PasskeysDepend", message))
}

/// Makes a change hold. Whoever has its code may, by one of the new addresses: that somebody came
/// there is the proof.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/ports/confirm", tag = "front door",
    request_body = ConfirmRequest,
    responses(
        (status = 200, description = "It holds", body = PortsView),
        (status = 403, description = "Another code, or an old address", body = ErrorBody),
        (status = 404, description = "Nothing waits to be confirmed", body = ErrorBody),
    )
)]
pub(super) async fn confirm(
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    Extension(Through(listener)): Extension<Through>,
    came_to: CameTo,
    JsonBody(body): JsonBody<ConfirmRequest>,
) -> Result<Json<PortsView>, ApiError> {
    ports.confirm(body.code, listener).await?;
    let message = format!("The new ports hold: {}.", told(&ports.picture().applied));
    devices.events().record(Event::quiet(Level::Info, "uisp-general", message).at_once());
    Ok(Json(view(&ports, &devices, &came_to)))
}

/// Undoes a change that waits to be confirmed.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/ports/revert", tag = "front door",
    responses(
        (status = 200, description = "As before", body = PortsView),
        (status = 404, description = "Nothing waits to be confirmed", body = ErrorBody),
    )
)]
pub(super) async fn revert(
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    came_to: CameTo,
) -> Result<Json<PortsView>, ApiError> {
    ports.revert().await?;
    Ok(Json(view(&ports, &devices, &came_to)))
}

/// Closes ports that are open only for devices that do not know the new one yet.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/ports/close-old", tag = "front door",
    responses((status = 200, description = "They are closed", body = PortsView))
)]
pub(super) async fn close_old(
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    came_to: CameTo,
) -> Result<Json<PortsView>, ApiError> {
    ports.close_old().await?;
    Ok(Json(view(&ports, &devices, &came_to)))
}

/// The host by which somebody came here.
pub(super) struct CameTo(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for CameTo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(setup::host_of(&parts.uri, &parts.headers).ok()))
    }
}

impl PortsBody {
    fn wanted(self) -> Result<Wanted, ApiError> {
        let networks = self.trusted_proxies.iter().map(|text| {
            PortSettings::network(text).ok_or_else(|| {
                let shown: String = text.chars().take(60).collect();
                ApiError::bad_request(format!(
                    "{shown:?} is no address or network such as 192.0.2.7 or 192.0.2.0/28."
                ))
            })
        });
        let trusted_proxies = networks.collect::<Result<_, _>>()?;
        let host = |text: Option<String>| {
            let text = text.filter(|text| !text.trim().is_empty());
            text.map(|text| setup::host(&text)).transpose()
        };
        Ok(Wanted {
            public_host: host(self.public_host)?,
            settings: PortSettings {
                http: self.http,
                https: self.https,
                inform: self.inform,
                public_port: self.public_port,
                inform_host: host(self.inform_host)?,
                inform_port: self.inform_port,
                trusted_proxies,
            },
        })
    }

    fn of(settings: &PortSettings, public_host: Option<String>) -> Self {
        Self {
            http: settings.http.clone(),
            https: settings.https.clone(),
            inform: settings.inform.clone(),
            public_host,
            public_port: settings.public_port,
            inform_host: settings.inform_host.clone(),
            inform_port: settings.inform_port,
            trusted_proxies: settings.trusted_proxies.iter().map(ToString::to_string).collect(),
            confirm_passkeys_lost: false,
        }
    }
}

fn told(settings: &PortSettings) -> String {
    let list = |addresses: &[SocketAddr]| {
        let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    let mut text = format!("HTTPS {}", list(&settings.https));
    for (name, addresses) in [("HTTP", &settings.http), ("devices", &settings.inform)] {
        if !addresses.is_empty() {
            text = format!("{text}; {name} {}", list(addresses));
        }
    }
    text
}

fn view(ports: &Ports, devices: &Devices, came_to: &CameTo) -> PortsView {
    let picture = ports.picture();
    let host = devices.keys().host();
    PortsView {
        applied: PortsBody::of(&picture.applied, host.clone()),
        source: if picture.changed { "settings" } else { "bootFile" },
        boot_file: BootPorts {
            http: picture.boot_file.http.clone(),
            https: picture.boot_file.https.clone(),
            inform: picture.boot_file.inform.clone(),
        },
        listeners: listeners(&picture),
        pending: picture.waiting.as_ref().map(|waiting| PendingPorts {
            wanted: PortsBody::of(&waiting.wanted, host.clone()),
            confirm_at: waiting
                .wanted
                .https
                .iter()
                .map(|address| place(*address, came_to.0.as_deref()))
                .collect(),
            seconds_left: waiting.until.saturating_duration_since(Instant::now()).as_secs(),
        }),
        moving: devices.move_progress().map(moving),
    }
}

fn moving(progress: Progress) -> MoveView {
    let place = |place: Announcement| PlaceView { host: place.host, port: place.port };
    let waiting = progress.waiting.into_iter().map(|device| WaitingView {
        id: device.id,
        name: device.name,
        last_seen: Time(device.last_seen),
    });
    MoveView {
        from: progress.from.map(place),
        to: place(progress.to),
        since: Time(progress.since),
        confirmed: progress.confirmed,
        total: progress.total,
        waiting: waiting.collect(),
    }
}

fn listeners(picture: &Picture) -> Vec<ListenerView> {
    let shown = picture.listeners.iter().map(|shown| {
        let (state, reason) = match shown.standing {
            Standing::Open => ("open", None),
            Standing::New => ("new", None),
            Standing::Leaving => ("leaving", None),
            Standing::Closed(reason) => ("closed", Some(reason)),
        };
        ListenerView { purpose: shown.listening.name(), address: shown.address, state, reason }
    });
    shown.collect()
}

/// Where a browser finds a listener: on all addresses, by the host that it has used so far.
fn place(listener: SocketAddr, came_to: Option<&str>) -> String {
    match came_to.filter(|_| listener.ip().is_unspecified() || listener.ip().is_loopback()) {
        Some(host) => https_origin(host, listener.port()),
        None => https_origin(&listener.ip().to_string(), listener.port()),
    }
}

impl From<PortsError> for ApiError {
    fn from(error: PortsError) -> Self {
        match error {
            PortsError::Settings(_)
            | PortsError::Listen(_)
            | PortsError::OtherPurpose(..)
            | PortsError::Host(_) => Self::bad_request(chain(&error)),
            PortsError::Busy => Self::conflict("ChangePending", sentence(&error)),
            PortsError::NothingPending => Self::not_found(sentence(&error)),
            PortsError::WrongCode | PortsError::WrongWay => Self::forbidden(sentence(&error)),
            PortsError::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence(&error)),
            PortsError::Store(_) | PortsError::Devices(_) | PortsError::Random(_) => {
                Self::internal(error)
            }
        }
    }
}

/// What went wrong, with what the system says of it.
fn chain(error: &PortsError) -> String {
    let told = sentence(error);
    match std::error::Error::source(error) {
        Some(cause) => format!("{} ({cause})", told.trim_end_matches('.')),
        None => told,
    }
}
