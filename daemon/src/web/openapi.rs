//! The description of the API, for programs and for the GUI's client.
//!
//! Generated from the handlers; who may comes from the table of routes, so that the two cannot
//! disagree. `daemon/openapi.json` is this document, checked in.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use http::Method;
use serde_json::json;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};

use super::access::{Access, StepUp};
use super::routes::{Listed, listed};
use super::{
    audit, certificates, credentials, device_actions, devices, factors, health, jobs, live, login,
    logs, nms, outgoing, passkeys, ports, proofs, rotations, security, setup, shell, sites,
    statistics, tickets, token, user, users, vault, vault_log,
};

/// The schemes' names in the document.
const TOKEN: &str = "token";
const APP_KEY: &str = "appKey";
/// Under this name each call says what the table of routes asks of its caller.
const RULE: &str = "x-rule";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Aerie",
        description = "The network API. One API for everybody: the GUI uses it too.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        setup::state,
        setup::set_up,
        login::login,
        login::login_with_code,
        login::logout,
        user::read,
        user::change,
        user::check_session,
        login::step_up,
        login::check_credentials,
        factors::new_totp,
        factors::confirm_totp,
        factors::disable_totp,
        factors::new_recovery_codes,
        passkeys::ask_for_login,
        passkeys::login,
        passkeys::ask_to_step_up,
        passkeys::list,
        passkeys::ask_new,
        passkeys::enrol,
        passkeys::rename,
        passkeys::remove,
        user::dismiss_notices,
        users::list,
        users::create,
        users::read,
        users::change,
        users::delete,
        users::offboard,
        users::rules,
        users::change_rules,
        token::list,
        token::create,
        token::end_others,
        token::read,
        token::end,
        nms::rotate,
        nms::crm_version,
        nms::crm_version_too,
        nms::connection,
        nms::version,
        nms::summary,
        nms::keep_alive,
        audit::list,
        ports::read,
        ports::change,
        ports::confirm,
        ports::revert,
        ports::close_old,
        security::read,
        security::change,
        security::text,
        certificates::read,
        certificates::use_self_signed,
        certificates::use_acme,
        certificates::retry,
        certificates::refresh,
        certificates::check_names,
        certificates::use_own,
        certificates::check_own,
        certificates::use_own_files,
        outgoing::read,
        outgoing::change,
        devices::list,
        devices::read,
        devices::detail,
        devices::interfaces,
        statistics::read,
        device_actions::authorize_many,
        device_actions::authorize,
        device_actions::confirm,
        device_actions::restart,
        device_actions::restart_many,
        device_actions::locate_start,
        device_actions::locate_stop,
        device_actions::refresh,
        device_actions::refresh_many,
        devices::settings,
        devices::change_settings,
        device_actions::delete,
        device_actions::delete_many,
        sites::list,
        sites::create,
        sites::read,
        sites::change,
        sites::delete,
        vault::read,
        vault::make,
        vault::unseal,
        vault::seal,
        vault::prove_key_file,
        vault::split,
        vault::rekey,
        vault::limit,
        vault_log::log,
        proofs::enrol_pin,
        proofs::remove_pin,
        proofs::new_app,
        proofs::confirm_app,
        proofs::remove_app,
        proofs::prove,
        credentials::list,
        credentials::create,
        credentials::import,
        credentials::export,
        credentials::change,
        credentials::delete,
        credentials::reveal,
        credentials::history,
        credentials::of_devices,
        credentials::of_device,
        credentials::change_of_device,
        rotations::begin,
        rotations::regenerate_many,
        rotations::regenerate,
        jobs::list,
        jobs::read,
        jobs::items,
        jobs::cancel,
        jobs::retry,
        logs::list,
        tickets::create,
        live::open,
        shell::open,
        serve,
        health::healthz,
        health::metrics,
    ),
    components(schemas(live::Frame, live::Wish, shell::Hello, shell::Command, shell::Notice,))
)]
struct Document;

/// The whole description.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let header = ApiKeyValue::with_description(
        "x-auth-token",
        "A token from POST /nms/api/v2.1/user/login or POST /nms/api/v2.1/token. A-Auth-Token is \
         taken too.",
    );
    let app_key = ApiKeyValue::with_description("X-Auth-App-Key", "A key of the CRM.");
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::ApiKey(ApiKey::Header(header)));
    components.add_security_scheme(APP_KEY, SecurityScheme::ApiKey(ApiKey::Header(app_key)));
    document.security = Some(vec![SecurityRequirement::new(TOKEN, [] as [&str; 0])]);
    for route in listed() {
        let item = document.paths.paths.get_mut(route.path);
        if let Some(operation) = item.and_then(|item| operation(item, &route.method)) {
            apply(operation, &route);
        }
    }
    document
}

/// The operation of a path by its method.
fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PUT => item.put.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

/// Says who may, and how the others are refused.
fn apply(operation: &mut Operation, route: &Listed) {
    operation.operation_id = Some(operation_id(route));
    let rule = json!({
        "access": format!("{:?}", route.access),
        "stepUp": route.step_up == StepUp::Yes,
    });
    operation.extensions.get_or_insert_default().extend([(RULE.to_owned(), rule)]);
    let first = ("401", "Log in first");
    let refusals: &[(&str, &str)] = match (route.access, route.step_up) {
        (Access::Public, _) => &[],
        (Access::Known, StepUp::No) => &[first],
        (Access::Crm, _) => &[("401", "Send an app key or log in")],
        (Access::Own, StepUp::No) => &[first, ("403", "LoginNeeded: a token has no own login")],
        (Access::ReadOnly, StepUp::No) => {
            &[first, ("403", "PasswordChangeRequired or SecondFactorRequired")]
        }
        (Access::Admin, StepUp::No) => &[first, ("403", "Only an admin may do this")],
        (Access::Admin, StepUp::Yes) => {
            &[first, ("403", "Only an admin may do this, or StepUpRequired")]
        }
        (_, StepUp::Yes) => &[first, ("403", "StepUpRequired")],
    };
    match route.access {
        Access::Public => operation.security = Some(Vec::new()),
        Access::Crm => {
            let schemes = [APP_KEY, TOKEN];
            let either = schemes.map(|scheme| SecurityRequirement::new(scheme, [] as [&str; 0]));
            operation.security = Some(either.into());
        }
        _ => {}
    }
    if operation.request_body.is_some() {
        refuse(operation, "400", "The body is not as this call needs it");
    }
    for (status, description) in refusals {
        refuse(operation, status, description);
    }
}

/// The method and the path in one word, such as `postDevicesIdRestart`.
fn operation_id(route: &Listed) -> String {
    let path = route.path.strip_prefix("/nms/api/v2.1").unwrap_or(route.path);
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut id = route.method.as_str().to_lowercase();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(rest);
    }
    id
}

fn refuse(operation: &mut Operation, status: &str, description: &str) {
    let error = RefOr::Ref(Ref::from_schema_name("Error"));
    let content = utoipa::openapi::ContentBuilder::new().schema(Some(error)).build();
    let response =
        ResponseBuilder::new().description(description).content("application/json", content);
    operation
        .responses
        .responses
        .entry(status.to_owned())
        .or_insert_with(|| RefOr::T(response.build()));
}

/// This document.
#[utoipa::path(
    get, path = "/nms/api/v2.1/openapi.json", tag = "machines",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn serve() -> Response {
    ([(CONTENT_TYPE, "application/json")], CHECKED_IN).into_response()
}

/// The same document as it is checked in; a test says when the two differ.
const CHECKED_IN: &str = include_str!("../../openapi.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The file beside the crate's manifest.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

    fn written() -> String {
        let mut text = document().to_pretty_json().unwrap();
        text.push('\n');
        text
    }

    #[test]
    fn the_checked_in_document_is_the_one_that_the_code_makes() {
        if std::env::var_os("AERIE_WRITE_OPENAPI").is_some() {
            std::fs::write(FILE, written()).unwrap();
            return;
        }
        assert!(
            std::fs::read_to_string(FILE).unwrap() == written(),
            "daemon/openapi.json is out of date. Write it anew with: \
             AERIE_WRITE_OPENAPI=1 cargo test -p aerie --lib web::openapi"
        );
    }

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let table: BTreeSet<(String, String)> = listed()
            .iter()
            .map(|route| (route.path.to_owned(), route.method.as_str().to_lowercase()))
            .collect();
        let value = serde_json::to_value(document()).unwrap();
        let described: BTreeSet<(String, String)> = value["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone()))
            })
            .collect();
        assert_eq!(table, described);
        assert_eq!(listed().len(), table.len(), "a route stands twice in the table");
    }

    #[test]
    fn public_routes_say_so_and_the_others_name_their_refusals() {
        let value = serde_json::to_value(document()).unwrap();
        for route in listed() {
            let method = route.method.as_str().to_lowercase();
            let operation = &value["paths"][route.path][&method];
            let public = operation
                .get("security")
                .is_some_and(|security| security.as_array().is_some_and(Vec::is_empty));
            assert_eq!(public, route.access == Access::Public, "{} {}", method, route.path);
            assert_eq!(
                operation["responses"].get("401").is_some(),
                !public
                    || (route.path.contains("/user/login") && !route.path.ends_with("/options"))
            );
        }
    }
}
