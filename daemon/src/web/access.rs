//! Who may reach a route. Nothing reaches a handler except through [`enforce`].

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use jiff::Timestamp;

use super::error::ApiError;
use super::extract::{address_of, app_key, token};
use super::socket::is_same_origin;
use super::told;
use crate::accounts::{Accounts, Actor, Due, Kind, Login, Role};
use crate::clock::Clock;
use crate::devices::Devices;

/// By this header a browser tells whether a page calls its own place (W3C Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A person's login of any role, and no token: the route is about the login or account itself.
    /// It is open while the account has something to do before anything else.
    Own,
    /// A login or token of any role, open while the account has something to do first.
    Known,
    /// A login or token of any role.
    ReadOnly,
    /// The login or token of an admin.
    Admin,
    /// An app key, or a login. What is no GET is for admins, and for app keys that may write.
    Crm,
}

/// Whether a route asks for a fresh proof of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepUp {
    /// The login or its last step-up must be younger than five minutes. A token needs its own leave
    /// to do so, which holds from its networks alone.
    Yes,
    /// Any login will do.
    No,
}

/// A route's rule, and what is needed to check it.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) access: Access,
    pub(super) step_up: StepUp,
    /// Under which word it stands in the audit log.
    pub(super) told: Option<&'static str>,
    pub(super) accounts: Accounts,
    pub(super) devices: Devices,
    pub(super) clock: Clock,
}

/// Lets a request through to its handler, with its login in the extensions, or refuses it: first
/// 401, then 403 for a foreign page, for the role, for what is due, for the step-up.
pub(super) async fn enforce(
    State(line): State<Rule>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if line.access == Access::Public {
        require_own_page(&request)?;
        return Ok(next.run(request).await);
    }
    let (shown, as_app_key) = shown(line.access, &request)?;
    let login = line.accounts.admit(shown, address_of(request.extensions()))?;
    require_kind(&login, line.access, as_app_key)?;
    require_own_page(&request)?;
    require(&login, role(line.access, request.method()))?;
    if !matches!(line.access, Access::Own | Access::Known) {
        require_nothing_due(&login)?;
    }
    if line.step_up == StepUp::Yes {
        require_step_up(&login, line.clock.now())?;
    }
    request.extensions_mut().insert(login);
    let Some(what) = line.told else { return Ok(next.run(request).await) };
    let by = Actor { account: login.account, address: address_of(request.extensions()) };
    let named = told::named_in(request.uri().path(), &line.devices).await;
    let response = next.run(request).await;
    if let Some(names) = told::changed(named, &response) {
        told::tell(&line.accounts, by, what, names).await;
    }
    Ok(response)
}

/// The token or app key of a request, and whether it came as an app key.
fn shown(access: Access, request: &Request) -> Result<(&str, bool), ApiError> {
    let (token, app_key) = (token(request.headers()), app_key(request.headers()));
    match (access, token, app_key) {
        (Access::Crm, _, Some(key)) => Ok((key, true)),
        (_, Some(token), _) => Ok((token, false)),
        (Access::Crm, None, None) => Err(ApiError::unauthorized(
            "Send an app key in the header X-Auth-App-Key. Make one in Settings, Users.",
        )),
        (_, None, Some(_)) => Err(wrong_kind(
            "The header X-Auth-App-Key is for the CRM; for this call send an API token or a login \
             in the header x-auth-token.",
        )),
        (_, None, None) => Err(ApiError::unauthorized(
            "Log in first: POST /nms/api/v2.1/user/login gives a token for the header \
             x-auth-token.",
        )),
    }
}

fn wrong_kind(message: &'static str) -> ApiError {
    ApiError::unauthorized(message).named("WrongKindOfKey")
}

/// Refuses an app key where the CRM is not, a token where only the CRM is, and each under the
/// other's header.
fn require_kind(login: &Login, access: Access, as_app_key: bool) -> Result<(), ApiError> {
    match (access, login.kind) {
        (Access::Crm, Kind::AppKey { .. }) if as_app_key => Ok(()),
        (Access::Crm, Kind::AppKey { .. }) => {
            Err(wrong_kind("This is a CRM app key; send it in the header X-Auth-App-Key."))
        }
        (Access::Crm, Kind::Login) if !as_app_key => Ok(()),
        (Access::Crm, Kind::Login) => Err(wrong_kind(
            "This is a login's token and no app key; send it in the header x-auth-token.",
        )),
        (Access::Crm, Kind::Token) => Err(wrong_kind(
            "This is an API token; for the CRM send an app key in the header X-Auth-App-Key.",
        )),
        (_, Kind::AppKey { .. }) => {
            Err(wrong_kind("This is a CRM app key; for this call send an API token or a login."))
        }
        (Access::Own, Kind::Token) => Err(ApiError::forbidden(
            "This call is about a person's own login; a token has none. Log in with a user name \
             and password.",
        )
        .named("LoginNeeded")),
        (_, Kind::Login | Kind::Token) => Ok(()),
    }
}

/// Refuses what another page has a browser do. A browser tells where it comes from; behind a proxy
/// that writes another host the first of the two headers is the one that is right.
fn require_own_page(request: &Request) -> Result<(), ApiError> {
    if reads(request.method()) {
        return Ok(());
    }
    let own = match request.headers().get(FETCH_SITE) {
        Some(site) => site == "same-origin" || site == "none",
        None => is_same_origin(request.uri(), request.headers()),
    };
    if own {
        return Ok(());
    }
    let message = "This call was made by a page of another place. Use the appliance's own pages.";
    Err(ApiError::forbidden(message).named("ForeignOrigin"))
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// What a caller's role has to reach.
fn role(access: Access, method: &Method) -> Role {
    match access {
        Access::Admin => Role::Admin,
        Access::Crm if !reads(method) => Role::Admin,
        Access::Crm | Access::Public | Access::Own | Access::Known | Access::ReadOnly => {
            Role::ReadOnly
        }
    }
}

/// Refuses a login whose role does not reach.
pub(super) fn require(login: &Login, role: Role) -> Result<(), ApiError> {
    if role == Role::ReadOnly || login.role == Role::Admin {
        return Ok(());
    }
    Err(ApiError::forbidden(match login.kind {
        Kind::Login => "Your account may look but not change anything. Ask an admin to do this.",
        Kind::Token => {
            "This token may look but not change anything. An admin can make one that may."
        }
        Kind::AppKey { .. } => {
            "This app key may read but not write. An admin can make one that may."
        }
    }))
}

/// Refuses a login whose account has something to do before anything else.
fn require_nothing_due(login: &Login) -> Result<(), ApiError> {
    match login.due {
        None => Ok(()),
        Some(Due::Password) => Err(ApiError::forbidden(
            "Choose a new password first: PUT /nms/api/v2.1/user takes currentPassword and \
             newPassword.",
        )
        .named("PasswordChangeRequired")),
        Some(Due::SecondFactor) => Err(ApiError::forbidden(
            "Add a second factor to your account first: an app that makes codes, or a passkey.",
        )
        .named("SecondFactorRequired")),
    }
}

/// Refuses a login that is older than five minutes, unless it has stepped up since, and a token
/// that has no leave for risky acts.
pub(super) fn require_step_up(login: &Login, now: Timestamp) -> Result<(), ApiError> {
    if now < login.stepped_up_until {
        return Ok(());
    }
    if login.kind == Kind::Login {
        return Err(ApiError::step_up_required());
    }
    Err(ApiError::forbidden(
        "This token may not do risky acts. An admin can make one that may, for the networks that \
         it comes from.",
    )
    .named("TokenMayNot"))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asked(method: Method, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri("/nms/api/v2.1/user/logout");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn l1_a_foreign_page_changes_nothing() {
        let host = ("host", "aerie.example:8443");
        let post =
            |headers: &[(&str, &str)]| require_own_page(&asked(Method::POST, headers)).is_ok();
        assert!(post(&[host]), "a script");
        assert!(post(&[host, ("origin", "https://aerie.example:8443")]));
        assert!(post(&[host, ("origin", "https://aerie.example"), (FETCH_SITE, "same-origin")]));
        for origin in ["https://evil.example", "https://aerie.example", "null"] {
            assert!(!post(&[host, ("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", "else"] {
            assert!(!post(&[host, (FETCH_SITE, site)]), "{site}");
        }
        let looks = asked(Method::GET, &[host, (FETCH_SITE, "cross-site")]);
        assert!(require_own_page(&looks).is_ok(), "it cannot read the answer");
    }

    #[test]
    fn l4_an_app_key_that_reads_writes_nothing_in_the_crm() {
        assert_eq!(role(Access::Crm, &Method::GET), Role::ReadOnly);
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(role(Access::Crm, &method), Role::Admin);
        }
    }
}
