//! The web: API, live and terminal sockets, and the GUI, behind one router.
//!
//! [`routes`] is the table of all calls and says who may; [`access`] lets nobody past it. One file
//! per resource; what other rooms return becomes JSON here and nowhere else, in the `*_view` files.
//! [`error`] turns refusals into answers and writes their causes to the log, once.
//!
//! Invariants: no handler runs unless its route's rule let the request through. No answer leaves
//! without the security headers and a request id. Every body, query and frame is bounded.

mod access;
mod assets;
mod audit;
mod certificate_view;
mod certificates;
mod credential_view;
mod credentials;
mod device_actions;
mod device_view;
mod devices;
mod error;
mod extract;
mod factors;
mod health;
mod interface_view;
mod job_view;
mod jobs;
mod live;
mod login;
mod logs;
mod nms;
mod openapi;
mod outgoing;
mod paging;
mod passkeys;
mod ports;
mod process;
mod proofs;
mod rotations;
mod routes;
mod sealed;
mod security;
mod setup;
mod shell;
mod site_view;
mod sites;
mod socket;
mod statistics;
mod status_view;
mod tickets;
mod token;
mod told;
mod user;
mod user_view;
mod users;
mod vault;
mod vault_log;
mod vault_view;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};

use self::health::StoreHealth;
use self::process::Meter;
use self::site_view::Tallies;
use self::socket::Sockets;
use self::tickets::Tickets;
use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::devices::Devices;
use crate::devices::rotation::Rotation;
use crate::edge::{Accepting, Certificates, Ports, RequestId, Security, headers};
use crate::outbound::Outbound;
use crate::supervisor::{Essential, Supervisor};
use crate::vault::credentials::Credentials;

pub use self::access::{Access, StepUp};
pub use self::health::StoreProbe;
pub use self::openapi::document;
pub use self::routes::{Listed, listed};

/// The header that tells one answer from all others, to be looked up in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The rooms that the web stands on. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    /// Who may log in.
    pub accounts: Accounts,
    /// Devices, sites and the owner's log.
    pub devices: Devices,
    /// The ports of the appliance.
    pub ports: Ports,
    /// What the owner says about security to the outside.
    pub security: Security,
    /// The certificates that TLS shows.
    pub certificates: Certificates,
    /// The way out.
    pub outbound: Outbound,
    /// What the vault keeps.
    pub credentials: Credentials,
    /// New passwords on devices, and the jobs that bring them.
    pub rotation: Rotation,
    /// Wall clock.
    pub clock: Clock,
    /// Whether the listeners accept.
    pub accepting: Accepting,
    /// What is wrong with a provisioning file that waits to be corrected.
    pub provisioning_faults: Arc<[String]>,
    /// How to find out whether the store writes, and how large it is.
    pub store: StoreProbe,
    /// Runs what outlives a request, and says when the daemon stops.
    pub supervisor: Supervisor,
}

/// What handlers take their part of.
#[derive(Clone)]
struct Web {
    rooms: Rooms,
    tickets: Tickets,
    sockets: Sockets,
    meter: Meter,
    health: StoreHealth,
    tallies: Tallies,
}

/// The whole web behind one router. Terminals of logins that end are ended by a task of its own.
pub fn router(rooms: Rooms) -> Router {
    let follower = shell::follow_logins(rooms.clone());
    rooms.supervisor.spawn("terminals of ended logins", Essential::Yes, follower);
    let web = Web {
        tickets: Tickets::default(),
        sockets: Sockets::default(),
        meter: Meter::start(),
        health: StoreHealth::new(rooms.store.clone()),
        tallies: Tallies::default(),
        rooms,
    };
    routes::assemble(&web)
        .fallback(assets::serve)
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(from_fn(finish))
        .with_state(web)
}

/// Puts on every answer what all of them need.
async fn finish(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().copied();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    error::log_causes(&response, &method, &path, id);
    let answered = response.headers_mut();
    headers::secure(answered);
    if !answered.contains_key(CACHE_CONTROL) {
        headers::never_store(answered);
    }
    if let Some(value) = id.and_then(|id| HeaderValue::from_str(&id.to_string()).ok()) {
        answered.insert(REQUEST_ID, value);
    }
    response
}

impl FromRef<Web> for Rooms {
    fn from_ref(web: &Web) -> Self {
        web.rooms.clone()
    }
}

impl FromRef<Web> for Accounts {
    fn from_ref(web: &Web) -> Self {
        web.rooms.accounts.clone()
    }
}

impl FromRef<Web> for Devices {
    fn from_ref(web: &Web) -> Self {
        web.rooms.devices.clone()
    }
}

impl FromRef<Web> for Ports {
    fn from_ref(web: &Web) -> Self {
        web.rooms.ports.clone()
    }
}

impl FromRef<Web> for Security {
    fn from_ref(web: &Web) -> Self {
        web.rooms.security.clone()
    }
}

impl FromRef<Web> for Clock {
    fn from_ref(web: &Web) -> Self {
        web.rooms.clock.clone()
    }
}

impl FromRef<Web> for Certificates {
    fn from_ref(web: &Web) -> Self {
        web.rooms.certificates.clone()
    }
}

impl FromRef<Web> for Outbound {
    fn from_ref(web: &Web) -> Self {
        web.rooms.outbound.clone()
    }
}

impl FromRef<Web> for Accepting {
    fn from_ref(web: &Web) -> Self {
        web.rooms.accepting.clone()
    }
}

impl FromRef<Web> for Tickets {
    fn from_ref(web: &Web) -> Self {
        web.tickets.clone()
    }
}

impl FromRef<Web> for Sockets {
    fn from_ref(web: &Web) -> Self {
        web.sockets.clone()
    }
}

impl FromRef<Web> for Meter {
    fn from_ref(web: &Web) -> Self {
        web.meter.clone()
    }
}

impl FromRef<Web> for StoreHealth {
    fn from_ref(web: &Web) -> Self {
        web.health.clone()
    }
}

impl FromRef<Web> for Tallies {
    fn from_ref(web: &Web) -> Self {
        web.tallies.clone()
    }
}
