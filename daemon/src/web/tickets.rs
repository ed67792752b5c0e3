//! One-time tickets for the sockets: a browser cannot send a header with an upgrade.
//!
//! A ticket is 256 random bits, good for 30 s and one use, bound to the login, to the socket and to
//! the device it was asked for. They live in memory alone and are bounded in number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::access;
use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody, no_such_device};
use super::told::About;
use super::views::Time;
use crate::accounts::{Login, LoginId, Role};
use crate::clock::Clock;
use crate::devices::Devices;

/// How long a ticket is good for.
pub(super) const LIFETIME: Duration = Duration::from_secs(30);
/// Unused tickets of one login; a new one takes the place of the oldest.
const PER_LOGIN: usize = 16;
/// Unused tickets in all.
const TOTAL: usize = 4_096;

/// What a ticket opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TicketRoute)]
pub(super) enum Route {
    /// Live updates, at `/nms/ws`.
    Live,
    /// A terminal on a device, at `/nms/shell`.
    Terminal,
}

/// What a ticket is wanted for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TicketRequest {
    route: Route,
    /// The device, for a terminal.
    device_id: Option<Uuid>,
}

/// A ticket: the first frame of its socket is `{"ticket": …}`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TicketAnswer {
    /// 256 random bits in base64url.
    ticket: String,
    expires_at: Time,
}

/// What was asked for, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) login: LoginId,
    pub(super) account: Uuid,
    pub(super) route: Route,
    pub(super) device: Option<Uuid>,
}

struct Issued {
    ticket: Ticket,
    until: Instant,
}

/// All unused tickets. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Tickets {
    issued: Arc<Mutex<HashMap<[u8; 32], Issued>>>,
}

impl Tickets {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Issues a ticket and returns it as text; none when there are too many in all.
    fn issue(&self, ticket: Ticket) -> Result<Option<String>, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let now = Instant::now();
        let mut issued = self.lock();
        issued.retain(|_, other| now < other.until);
        let of_login = || issued.iter().filter(|(_, other)| other.ticket.login == ticket.login);
        if of_login().count() >= PER_LOGIN {
            let oldest = of_login().min_by_key(|(_, other)| other.until).map(|(secret, _)| *secret);
            oldest.map(|oldest| issued.remove(&oldest));
        }
        if issued.len() >= TOTAL {
            return Ok(None);
        }
        issued.insert(secret, Issued { ticket, until: now + LIFETIME });
        Ok(Some(URL_SAFE_NO_PAD.encode(secret)))
    }

    /// Takes a ticket in: it is gone afterwards, whatever it was shown for.
    pub(super) fn redeem(&self, text: &str, route: Route) -> Option<Ticket> {
        let secret: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let issued = self.lock().remove(&secret)?;
        (Instant::now() < issued.until && issued.ticket.route == route).then_some(issued.ticket)
    }
}

/// Asks for a one-time ticket that opens a socket.
///
/// A terminal is for admins, and asks for a login younger than five minutes or a step-up.
#[utoipa::path(
    post, path = "/nms/api/v2.1/tickets", tag = "live", request_body = TicketRequest,
    responses(
        (status = 201, description = "The ticket, good for 30 s and one use", body = TicketAnswer),
        (status = 404, description = "There is no such device", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(tickets): State<Tickets>,
    State(devices): State<Devices>,
    State(clock): State<Clock>,
    Caller(login): Caller,
    JsonBody(wanted): JsonBody<TicketRequest>,
) -> Result<(StatusCode, Extension<About>, Json<TicketAnswer>), ApiError> {
    let device = match wanted.route {
        Route::Live => None,
        Route::Terminal => Some(terminal_device(&login, &clock, &devices, wanted.device_id)?),
    };
    let Login { id, account, .. } = login;
    let ticket = Ticket { login: id, account, route: wanted.route, device };
    let ticket = tickets
        .issue(ticket)
        .map_err(ApiError::internal)?
        .ok_or_else(|| ApiError::throttled(LIFETIME).because("too many unused tickets"))?;
    let lifetime = SignedDuration::try_from(LIFETIME).unwrap_or_default();
    let expires_at = Time(clock.now() + lifetime);
    // Live updates are told nowhere.
    let about = About::devices(&devices, device.as_slice());
    Ok((StatusCode::CREATED, About::these(about), Json(TicketAnswer { ticket, expires_at })))
}

fn terminal_device(
    login: &Login,
    clock: &Clock,
    devices: &Devices,
    device: Option<Uuid>,
) -> Result<Uuid, ApiError> {
    access::require(login, Role::Admin)?;
    access::require_step_up(login, clock.now())?;
    let device = device.ok_or_else(|| {
        ApiError::bad_request("A ticket for a terminal needs the deviceId of its device.")
    })?;
    devices.device(device).map(|found| found.id).ok_or_else(no_such_device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(login: u8) -> Ticket {
        let login = LoginId::from([login; 32]);
        Ticket { login, account: Uuid::nil(), route: Route::Live, device: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_and_on_its_route_alone() {
        let tickets = Tickets::default();
        let text = tickets.issue(ticket(1)).unwrap().unwrap();
        assert_eq!(text.len(), 43);
        assert_eq!(tickets.redeem(&text, Route::Live), Some(ticket(1)));
        assert_eq!(tickets.redeem(&text, Route::Live), None);
        let text = tickets.issue(ticket(1)).unwrap().unwrap();
        assert_eq!(tickets.redeem(&text, Route::Terminal), None);
        assert_eq!(tickets.redeem(&text, Route::Live), None, "shown once is used");
        assert_eq!(tickets.redeem("", Route::Live), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_for_30_seconds() {
        let tickets = Tickets::default();
        let early = tickets.issue(ticket(1)).unwrap().unwrap();
        tokio::time::advance(Duration::from_millis(29_999)).await;
        assert!(tickets.redeem(&early, Route::Live).is_some());
        let late = tickets.issue(ticket(1)).unwrap().unwrap();
        tokio::time::advance(LIFETIME).await;
        assert_eq!(tickets.redeem(&late, Route::Live), None);
    }

    #[tokio::test(start_paused = true)]
    async fn unused_tickets_are_bounded_and_the_oldest_goes_first() {
        let tickets = Tickets::default();
        let first = tickets.issue(ticket(1)).unwrap().unwrap();
        let other = tickets.issue(ticket(2)).unwrap().unwrap();
        for _ in 0..PER_LOGIN {
            tokio::time::advance(Duration::from_millis(1)).await;
            tickets.issue(ticket(1)).unwrap().unwrap();
        }
        assert_eq!(tickets.lock().len(), PER_LOGIN + 1);
        assert_eq!(tickets.redeem(&first, Route::Live), None);
        assert!(tickets.redeem(&other, Route::Live).is_some());
        tokio::time::advance(LIFETIME).await;
        tickets.issue(ticket(3)).unwrap().unwrap();
        assert_eq!(tickets.lock().len(), 1, "what has expired is swept");
    }
}
