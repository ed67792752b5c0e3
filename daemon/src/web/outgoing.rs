//! Which private networks the appliance may connect to by itself.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::{Caller, JsonBody};
use super::views::sentence;
use crate::audit;
use crate::clock::Clock;
use crate::outbound::{Outbound, OutboundError};

/// Networks that outgoing connections may reach beside the internet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutboundBody {
    /// Private networks such as `10.1.2.0/24`; the appliance's own addresses only one by one, such
    /// as `127.0.0.1/32`. Link-local and cloud metadata addresses are never reached.
    allowed: Vec<String>,
}

/// What outgoing connections may reach beside the internet.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/outbound", tag = "front door",
    responses((status = 200, description = "The networks", body = OutboundBody))
)]
pub(super) async fn read(State(outbound): State<Outbound>) -> Json<OutboundBody> {
    show(&outbound)
}

/// Replaces that list.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/outbound", tag = "front door", request_body = OutboundBody,
    responses((status = 200, description = "The networks", body = OutboundBody))
)]
pub(super) async fn change(
    State(outbound): State<Outbound>,
    State(clock): State<Clock>,
    Caller(login): Caller,
    JsonBody(body): JsonBody<OutboundBody>,
) -> Result<Json<OutboundBody>, ApiError> {
    let (at, who) = (clock.now(), login.account.to_string());
    let about = body.allowed.join(" ");
    let audited = outbound
        .allow(&body.allowed, move |writer| audit::append(writer, at, &who, "outbound", &about));
    audited.await?;
    Ok(show(&outbound))
}

fn show(outbound: &Outbound) -> Json<OutboundBody> {
    Json(OutboundBody { allowed: outbound.allowed().iter().map(ToString::to_string).collect() })
}

impl From<OutboundError> for ApiError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Store(_) | OutboundError::Setup(_) => Self::internal(error),
            error => Self::bad_request(sentence(&error)),
        }
    }
}
