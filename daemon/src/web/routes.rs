//! Every call of the API on one page: method, path, who may, whether a fresh proof of the password
//! is due, and the handler.
//!
//! What is not in the table cannot be reached. Refusals come in a fixed order: 404 and 405 here;
//! 401, 403 for the role and 403 for the step-up in [`super::access`]; 400 for the body and 404 for
//! the object in the handlers.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{Method, StatusCode};

use super::access::{Access, Rule, StepUp, enforce};
use super::error::ApiError;
use super::{
    Web, audit, certificates, credentials, device_actions, devices, factors, health, jobs, live,
    login, logs, nms, openapi, outgoing, passkeys, ports, proofs, rotations, security, setup,
    shell, sites, statistics, tickets, token, user, users, vault, vault_log,
};

/// The table.
#[rustfmt::skip]
fn table() -> Vec<Route> {
    use Access::{Admin, Known, Own, Public, ReadOnly};
    use StepUp::{No, Yes};
    vec![
        // Set-up and logins.
        get("/nms/api/v2.1/nms/setup", Public, No, setup::state),
        post("/nms/api/v2.1/nms/setup", Public, No, setup::set_up),
        post("/nms/api/v2.1/user/login", Public, No, login::login),
        post("/nms/api/v2.1/user/logout", Own, No, login::logout),
        get("/nms/api/v2.1/user", Known, No, user::read),
        put("/nms/api/v2.1/user", Own, No, user::change),
        post("/nms/api/v2.1/user/notices/dismiss", Own, No, user::dismiss_notices),
        post("/nms/api/v2.1/user/check-session", Known, No, user::check_session),
        post("/nms/api/v2.1/user/step-up", Own, No, login::step_up),
        // The appliance.
        get("/nms/api/v2.1/nms/connection", Admin, No, nms::connection),
        get("/nms/api/v2.1/nms/version", ReadOnly, No, nms::version),
        get("/nms/api/v2.1/nms/summary", ReadOnly, No, nms::summary),
        get("/nms/api/v2.1/nms/keep-alive", Known, No, nms::keep_alive),
        get("/nms/api/v2.1/nms/audit", Admin, No, audit::list),
        // Devices.
        get("/nms/api/v2.1/devices", ReadOnly, No, devices::list),
        post("/nms/api/v2.1/devices/authorize", Admin, No, device_actions::authorize_many).told("device-authorized"),
        post("/nms/api/v2.1/devices/bulkdelete", Admin, Yes, device_actions::delete_many).told("device-deleted"),
        post("/nms/api/v2.1/devices/bulkrestart", Admin, Yes, device_actions::restart_many).told("device-restarted"),
        post("/nms/api/v2.1/devices/refresh", Admin, Yes, device_actions::refresh_many).told("device-refreshed"),
        get("/nms/api/v2.1/devices/{id}", ReadOnly, No, devices::read),
        delete("/nms/api/v2.1/devices/{id}", Admin, Yes, device_actions::delete).told("device-deleted"),
        get("/nms/api/v2.1/devices/{id}/detail", ReadOnly, No, devices::detail),
        get("/nms/api/v2.1/devices/{id}/interfaces", ReadOnly, No, devices::interfaces),
        get("/nms/api/v2.1/devices/{id}/statistics", ReadOnly, No, statistics::read),
        post("/nms/api/v2.1/devices/{id}/authorize", Admin, No, device_actions::authorize).told("device-authorized"),
        post("/nms/api/v2.1/devices/{id}/confirm", Admin, No, device_actions::confirm).told("device-confirmed"),
        post("/nms/api/v2.1/devices/{id}/restart", Admin, No, device_actions::restart).told("device-restarted"),
        post("/nms/api/v2.1/devices/{id}/locate/start", Admin, No, device_actions::locate_start),
        post("/nms/api/v2.1/devices/{id}/locate/stop", Admin, No, device_actions::locate_stop),
        post("/nms/api/v2.1/devices/{id}/refresh", Admin, No, device_actions::refresh).told("device-refreshed"),
        get("/nms/api/v2.1/devices/{id}/system/unms", ReadOnly, No, devices::settings),
        put("/nms/api/v2.1/devices/{id}/system/unms", Admin, No, devices::change_settings).told("device-changed"),
        // Sites.
        get("/nms/api/v2.1/sites", ReadOnly, No, sites::list),
        post("/nms/api/v2.1/sites", Admin, No, sites::create).told("site-made"),
        get("/nms/api/v2.1/sites/{id}", ReadOnly, No, sites::read),
        put("/nms/api/v2.1/sites/{id}", Admin, No, sites::change).told("site-changed"),
        delete("/nms/api/v2.1/sites/{id}", Admin, Yes, sites::delete).told("site-deleted"),
        // The log, and the sockets. A socket's first frame is its ticket.
        get("/nms/api/v2.1/logs", ReadOnly, No, logs::list),
        post("/nms/api/v2.1/tickets", ReadOnly, No, tickets::create).told("terminal"),
        get("/nms/ws", Public, No, live::open),
        get("/nms/shell", Public, No, shell::open),
        // For machines.
        get("/nms/api/v2.1/openapi.json", Public, No, openapi::serve),
        get("/.well-known/security.txt", Public, No, security::text),
        get("/healthz", Public, No, health::healthz),
        get("/metrics", ReadOnly, No, health::metrics),
    ]
}

/// The table's part about second factors. What changes them asks for one of them besides.
#[rustfmt::skip]
fn second_factors() -> Vec<Route> {
    use Access::{Own, Public};
    use StepUp::{No, Yes};
    vec![
        post("/nms/api/v2.1/user/login/totpauth", Public, No, login::login_with_code),
        post("/nms/api/v2.1/user/login/passkey/options", Public, No, passkeys::ask_for_login),
        post("/nms/api/v2.1/user/login/passkey", Public, No, passkeys::login),
        post("/nms/api/v2.1/user/step-up/passkey/options", Own, No, passkeys::ask_to_step_up),
        post("/nms/api/v2.1/user/check-credentials", Own, No, login::check_credentials),
        get("/nms/api/v2.1/user/totpauth", Own, No, factors::new_totp),
        put("/nms/api/v2.1/user/totpauth", Own, No, factors::confirm_totp),
        put("/nms/api/v2.1/user/disabledtotpauth", Own, Yes, factors::disable_totp),
        post("/nms/api/v2.1/user/recovery-codes", Own, Yes, factors::new_recovery_codes),
        get("/nms/api/v2.1/user/passkeys", Own, No, passkeys::list),
        post("/nms/api/v2.1/user/passkeys/options", Own, Yes, passkeys::ask_new),
        post("/nms/api/v2.1/user/passkeys", Own, Yes, passkeys::enrol),
        put("/nms/api/v2.1/user/passkeys/{id}", Own, Yes, passkeys::rename),
        delete("/nms/api/v2.1/user/passkeys/{id}", Own, Yes, passkeys::remove),
    ]
}

/// The table's part about accounts and about what programs log in with.
#[rustfmt::skip]
fn people() -> Vec<Route> {
    use Access::{Admin, Crm, ReadOnly};
    use StepUp::{No, Yes};
    vec![
        get("/nms/api/v2.1/users", Admin, No, users::list),
        post("/nms/api/v2.1/users", Admin, Yes, users::create),
        get("/nms/api/v2.1/users/{id}", Admin, No, users::read),
        put("/nms/api/v2.1/users/{id}", Admin, Yes, users::change),
        delete("/nms/api/v2.1/users/{id}", Admin, Yes, users::delete),
        post("/nms/api/v2.1/users/{id}/offboard", Admin, Yes, users::offboard),
        get("/nms/api/v2.1/nms/accounts", Admin, No, users::rules),
        put("/nms/api/v2.1/nms/accounts", Admin, Yes, users::change_rules),
        get("/nms/api/v2.1/token", ReadOnly, No, token::list),
        post("/nms/api/v2.1/token", ReadOnly, Yes, token::create),
        delete("/nms/api/v2.1/token", ReadOnly, Yes, token::end_others),
        get("/nms/api/v2.1/token/{id}", ReadOnly, No, token::read),
        delete("/nms/api/v2.1/token/{id}", ReadOnly, Yes, token::end),
        post("/nms/api/v2.1/nms/connection/rotate", Admin, Yes, nms::rotate),
        // The CRM, under both prefixes that integrations use.
        get("/crm/api/v1.0/version", Crm, No, nms::crm_version),
        get("/crm/api/v2.1/version", Crm, No, nms::crm_version_too),
    ]
}

/// The table's part about ports and certificates. Who has the code of a change of the ports may
/// confirm it, at its new place.
#[rustfmt::skip]
fn front_door() -> Vec<Route> {
    use Access::{Admin, Public};
    use StepUp::{No, Yes};
    vec![
        get("/nms/api/v2.1/nms/ports", Admin, No, ports::read),
        put("/nms/api/v2.1/nms/ports", Admin, Yes, ports::change).told("ports-changed"),
        post("/nms/api/v2.1/nms/ports/confirm", Public, No, ports::confirm),
        post("/nms/api/v2.1/nms/ports/revert", Admin, Yes, ports::revert).told("ports-reverted"),
        post("/nms/api/v2.1/nms/ports/close-old", Admin, Yes, ports::close_old).told("old-ports-closed"),
        get("/nms/api/v2.1/nms/certificate", Admin, No, certificates::read),
        put("/nms/api/v2.1/nms/certificate/self-signed", Admin, Yes, certificates::use_self_signed),
        put("/nms/api/v2.1/nms/certificate/acme", Admin, Yes, certificates::use_acme),
        post("/nms/api/v2.1/nms/certificate/acme/retry", Admin, Yes, certificates::retry).told("certificate-asked"),
        post("/nms/api/v2.1/nms/certificate/acme/check", Admin, No, certificates::check_names),
        put("/nms/api/v2.1/nms/certificate/own", Admin, Yes, certificates::use_own),
        post("/nms/api/v2.1/nms/certificate/own/check", Admin, No, certificates::check_own),
        put("/nms/api/v2.1/nms/certificate/own-files", Admin, Yes, certificates::use_own_files),
        put("/nms/api/v2.1/nms/refresh-certificate", Admin, Yes, certificates::refresh).told("certificate-asked"),
        get("/nms/api/v2.1/nms/security", Admin, No, security::read),
        put("/nms/api/v2.1/nms/security", Admin, Yes, security::change).told("security-changed"),
        get("/nms/api/v2.1/nms/outbound", Admin, No, outgoing::read),
        put("/nms/api/v2.1/nms/outbound", Admin, Yes, outgoing::change),
    ]
}

/// The table's part about the vault and what it keeps. What opens secrets asks the vault besides,
/// which may want a proof of its own.
#[rustfmt::skip]
fn vault() -> Vec<Route> {
    use Access::{Admin, ReadOnly};
    use StepUp::{No, Yes};
    vec![
        get("/nms/api/v2.1/vault/credentials", ReadOnly, No, vault::read),
        post("/nms/api/v2.1/vault/credentials", Admin, Yes, vault::make),
        post("/nms/api/v2.1/vault/credentials/unlock", Admin, No, vault::unseal).told("vault-unsealed"),
        post("/nms/api/v2.1/vault/credentials/lock", Admin, No, vault::seal).told("vault-sealed"),
        post("/nms/api/v2.1/vault/key-file/prove", Admin, No, vault::prove_key_file).told("vault-key-file-proven"),
        post("/nms/api/v2.1/vault/split", Admin, Yes, vault::split).told("vault-split"),
        post("/nms/api/v2.1/vault/rekey", Admin, Yes, vault::rekey),
        put("/nms/api/v2.1/vault/limit", Admin, Yes, vault::limit).told("vault-limit-changed"),
        get("/nms/api/v2.1/vault/log", Admin, No, vault_log::log),
        post("/nms/api/v2.1/vault/proofs/pin", Admin, Yes, proofs::enrol_pin).told("vault-pin-enrolled"),
        delete("/nms/api/v2.1/vault/proofs/pin", Admin, Yes, proofs::remove_pin).told("vault-pin-removed"),
        post("/nms/api/v2.1/vault/proofs/totp", Admin, Yes, proofs::new_app),
        put("/nms/api/v2.1/vault/proofs/totp", Admin, Yes, proofs::confirm_app).told("vault-app-enrolled"),
        delete("/nms/api/v2.1/vault/proofs/totp", Admin, Yes, proofs::remove_app).told("vault-app-removed"),
        post("/nms/api/v2.1/vault/prove", Admin, No, proofs::prove),
        // What it keeps. `credentials` itself writes to the audit log.
        get("/nms/api/v2.1/vault/records", Admin, No, credentials::list),
        post("/nms/api/v2.1/vault/records", Admin, No, credentials::create),
        post("/nms/api/v2.1/vault/records/import", Admin, No, credentials::import),
        post("/nms/api/v2.1/vault/records/export", Admin, Yes, credentials::export),
        put("/nms/api/v2.1/vault/records/{id}", Admin, Yes, credentials::change),
        delete("/nms/api/v2.1/vault/records/{id}", Admin, Yes, credentials::delete),
        post("/nms/api/v2.1/vault/records/{id}/reveal", Admin, Yes, credentials::reveal),
        get("/nms/api/v2.1/vault/records/{id}/history", Admin, No, credentials::history),
        get("/nms/api/v2.1/vault/credentials/devices", Admin, Yes, credentials::of_devices),
        get("/nms/api/v2.1/vault/{id}/credentials", Admin, Yes, credentials::of_device),
        post("/nms/api/v2.1/vault/{id}/credentials/change", Admin, Yes, credentials::change_of_device),
    ]
}

/// The table's part about long works. That each item was done stands in the job, not in the audit
/// log; the job's end does in both.
#[rustfmt::skip]
fn long_works() -> Vec<Route> {
    use Access::{Admin, ReadOnly};
    use StepUp::{No, Yes};
    vec![
        post("/nms/api/v2.1/vault/rotations", Admin, Yes, rotations::begin).told("rotation-started"),
        post("/nms/api/v2.1/vault/credentials/regenerate", Admin, Yes, rotations::regenerate_many).told("rotation-started"),
        post("/nms/api/v2.1/vault/{id}/credentials/regenerate", Admin, Yes, rotations::regenerate).told("rotation-started"),
        get("/nms/api/v2.1/jobs", ReadOnly, No, jobs::list),
        get("/nms/api/v2.1/jobs/{id}", ReadOnly, No, jobs::read),
        get("/nms/api/v2.1/jobs/{id}/items", ReadOnly, No, jobs::items),
        post("/nms/api/v2.1/jobs/{id}/cancel", Admin, No, jobs::cancel).told("job-cancelled"),
        post("/nms/api/v2.1/jobs/{id}/retry", Admin, Yes, jobs::retry).told("job-retried"),
    ]
}

/// A line of the table.
struct Route {
    listed: Listed,
    handler: MethodRouter<Web>,
}

/// What a line of the table says, without its handler: for tests that walk through all of them.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The HTTP method.
    pub method: Method,
    /// The path, with `{id}` where an id stands.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// Whether a fresh proof of the password is due.
    pub step_up: StepUp,
    /// Under which word the audit log tells of it, where the accounts do not tell it themselves.
    pub told: Option<&'static str>,
}

impl Route {
    /// The audit log tells of it, under this word.
    fn told(mut self, what: &'static str) -> Self {
        self.listed.told = Some(what);
        self
    }
}

fn lines() -> impl Iterator<Item = Route> {
    table()
        .into_iter()
        .chain(second_factors())
        .chain(people())
        .chain(front_door())
        .chain(vault())
        .chain(long_works())
}

/// All routes, in the order of the table.
pub fn listed() -> Vec<Listed> {
    lines().map(|route| route.listed).collect()
}

/// Builds the router from the table: each handler behind the rule of its line.
pub(super) fn assemble(web: &Web) -> Router<Web> {
    let mut paths: BTreeMap<&'static str, MethodRouter<Web>> = BTreeMap::new();
    for Route { listed, handler } in lines() {
        let rule = Rule {
            access: listed.access,
            step_up: listed.step_up,
            told: listed.told,
            devices: web.rooms.devices.clone(),
            accounts: web.rooms.accounts.clone(),
            clock: web.rooms.clock.clone(),
        };
        let guarded = handler.route_layer(from_fn_with_state(rule, enforce));
        let at_path = paths.remove(listed.path).unwrap_or_default();
        paths.insert(listed.path, at_path.merge(guarded));
    }
    paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

/// 405, with the header `Allow`, which axum adds.
pub(super) async fn method_not_allowed(method: Method) -> ApiError {
    let message = format!("{method} is not possible here; the header Allow says what is.");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

fn get<H, T>(path: &'static str, access: Access, step_up: StepUp, handler: H) -> Route
where
    H: Handler<T, Web>,
    T: 'static,
{
    let handler = on(MethodFilter::GET, handler);
    Route { listed: Listed { method: Method::GET, path, access, step_up, told: None }, handler }
}

fn post<H, T>(path: &'static str, access: Access, step_up: StepUp, handler: H) -> Route
where
    H: Handler<T, Web>,
    T: 'static,
{
    let handler = on(MethodFilter::POST, handler);
    Route { listed: Listed { method: Method::POST, path, access, step_up, told: None }, handler }
}

fn put<H, T>(path: &'static str, access: Access, step_up: StepUp, handler: H) -> Route
where
    H: Handler<T, Web>,
    T: 'static,
{
    let handler = on(MethodFilter::PUT, handler);
    Route { listed: Listed { method: Method::PUT, path, access, step_up, told: None }, handler }
}

fn delete<H, T>(path: &'static str, access: Access, step_up: StepUp, handler: H) -> Route
where
    H: Handler<T, Web>,
    T: 'static,
{
    let handler = on(MethodFilter::DELETE, handler);
    Route { listed: Listed { method: Method::DELETE, path, access, step_up, told: None }, handler }
}
