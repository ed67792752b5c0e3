//! Logging in and out, and the account behind a login.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody, Source};
use super::setup::already_configured;
use super::views::{ActionResult, Time, filled, sentence};
use crate::accounts::{
    Account, AccountChange, AccountError, Accounts, LoginToken, PasswordError, Role,
};
use crate::devices::Devices;
use crate::devices::events::{Event, Level};

/// The header that carries a new token.
pub(super) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");

/// When to come back while all password hashers are busy.
const BUSY: Duration = Duration::from_secs(2);

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginRequest {
    /// The user name or the e-mail address.
    username: String,
    #[schema(format = Password)]
    password: String,
    /// Milliseconds without activity after which the login ends, 30 minutes to 30 days. A number,
    /// or a number as text; 0 stands for the account's own setting.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    session_timeout: Option<Value>,
}

/// The account's password once more.
#[derive(Deserialize, ToSchema)]
pub(super) struct StepUpRequest {
    #[schema(format = Password)]
    password: String,
}

/// What is to change about the own account. What is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UserChange {
    /// Cannot be changed: only the present one is taken.
    username: Option<String>,
    /// Cannot be changed here yet: refused.
    #[schema(format = Password)]
    new_password: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    /// An object of the GUI's own, at most 16 KiB as JSON.
    #[schema(value_type = Option<Object>)]
    preferences: Option<Value>,
}

/// An account.
#[expect(clippy::struct_excessive_bools, reason = "the published API has them")]
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(super) struct UserView {
    id: Uuid,
    username: String,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    /// `superadmin` and `admin` may do everything, `guest` may look.
    #[schema(value_type = String)]
    role: &'static str,
    alerts: bool,
    notification: Notification,
    totp_auth_enabled: bool,
    is_sso_login_enabled: bool,
    is_local_login_enabled: bool,
    is_offline_passwords_generated: bool,
    force_change_password: bool,
    keep_me_signed_in: bool,
    #[schema(required)]
    last_news_seen_date: Option<Time>,
    #[schema(required)]
    last_release_notes_seen: Option<String>,
    #[schema(required)]
    ucrm_id: Option<String>,
    #[schema(required)]
    ucrm_role: Option<String>,
    #[schema(value_type = String)]
    home_screen: &'static str,
    enabled: bool,
    updated: Time,
    #[schema(required, value_type = Option<Object>)]
    location: Option<()>,
    /// What the GUI keeps for this account.
    #[schema(value_type = Object)]
    preferences: Value,
    /// Milliseconds without activity after which a login ends.
    session_timeout: i64,
    aerie: UserExtra,
}

/// What the published API has no words for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserExtra {
    /// The account's time zone.
    timezone: Option<String>,
    /// The account's country.
    country: Option<String>,
    /// May change things: its role is an admin's.
    admin: bool,
}

/// Which messages this account gets. There are none yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserNotification)]
struct Notification {}

impl UserView {
    /// Shows an account.
    pub(super) fn new(account: &Account) -> Self {
        let preferences = serde_json::from_str(&account.preferences);
        Self {
            id: account.id,
            username: account.username.clone(),
            email: account.email.clone(),
            first_name: filled(&account.first_name),
            last_name: filled(&account.last_name),
            role: account.role.name(),
            alerts: false,
            notification: Notification {},
            totp_auth_enabled: false,
            is_sso_login_enabled: false,
            is_local_login_enabled: true,
            is_offline_passwords_generated: false,
            force_change_password: false,
            keep_me_signed_in: false,
            last_news_seen_date: None,
            last_release_notes_seen: None,
            ucrm_id: None,
            ucrm_role: None,
            home_screen: "/nms",
            enabled: account.enabled,
            updated: Time(account.updated),
            location: None,
            preferences: preferences.unwrap_or_else(|_| Value::Object(serde_json::Map::new())),
            session_timeout: account.session_timeout,
            aerie: UserExtra {
                timezone: filled(&account.timezone),
                country: filled(&account.country),
                admin: account.role == Role::Admin,
            },
        }
    }
}

/// The header that hands a new token to its owner.
pub(super) fn token_header(token: &LoginToken) -> Result<[(HeaderName, HeaderValue); 1], ApiError> {
    let mut value = HeaderValue::from_str(token.expose()).map_err(ApiError::internal)?;
    value.set_sensitive(true);
    Ok([(TOKEN_HEADER, value)])
}

type Answered = ([(HeaderName, HeaderValue); 1], Json<UserView>);

/// Logs in. The token stands in the answer's header `x-auth-token`.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/login", tag = "user", request_body = LoginRequest,
    responses(
        (status = 200, description = "The account", body = UserView,
            headers(("x-auth-token" = String, description = "The token"))),
        (status = 401, description = "User name or password is wrong", body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn login(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Source(client): Source,
    JsonBody(wanted): JsonBody<LoginRequest>,
) -> Result<Answered, ApiError> {
    let idle = wanted.session_timeout.as_ref().map_or(Ok(None), idle_time)?;
    let password = Zeroizing::new(wanted.password);
    let begun = accounts.login(&wanted.username, &password, idle, &client).await;
    let (account, token) = match begun {
        Ok(begun) => begun,
        Err(AccountError::Wrong) => {
            // Not the name: whoever slips types a password there.
            let message =
                format!("A login from {} failed: wrong name or password.", client.address);
            devices.events().record(Event::noisy(Level::Warning, "login", message));
            return Err(ApiError::unauthorized(
                "The user name or the password is wrong. Check both and the caps lock key.",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let message = format!("{} logged in from {}.", account.username, client.address);
    devices.events().record(Event::quiet(Level::Info, "login", message).by(account.id));
    Ok((token_header(&token)?, Json(UserView::new(&account))))
}

/// A number, or a number as text: some clients send the one, some the other.
fn idle_time(value: &Value) -> Result<Option<i64>, ApiError> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if number.is_finite() && number >= 0.0 => {
            #[expect(clippy::cast_possible_truncation, reason = "saturates, and is clamped later")]
            let milliseconds = number as i64;
            Ok((milliseconds > 0).then_some(milliseconds))
        }
        _ => Err(ApiError::bad_request("The sessionTimeout must be a number of milliseconds.")),
    }
}

/// Logs out: the token is worth nothing from now on, and its sockets close.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/logout", tag = "user",
    responses((status = 200, description = "Logged out", body = ActionResult))
)]
pub(super) async fn logout(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
) -> Result<Json<ActionResult>, ApiError> {
    accounts.logout(login.id).await?;
    Ok(ActionResult::done("You are logged out."))
}

/// The account that is logged in.
#[utoipa::path(
    get, path = "/nms/api/v2.1/user", tag = "user",
    responses((status = 200, description = "The account", body = UserView))
)]
pub(super) async fn read(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
) -> Result<Json<UserView>, ApiError> {
    let account = accounts.account(login.account).await?;
    Ok(Json(UserView::new(&account)))
}

/// Changes the own account.
#[utoipa::path(
    put, path = "/nms/api/v2.1/user", tag = "user", request_body = UserChange,
    responses(
        (status = 200, description = "The account as it is now", body = UserView),
    )
)]
pub(super) async fn change(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    JsonBody(change): JsonBody<UserChange>,
) -> Result<Json<UserView>, ApiError> {
    // Taking it without a word would leave somebody with a password that does not work.
    if change.new_password.is_some() {
        return Err(ApiError::bad_request("The password cannot be changed here yet."));
    }
    let before = accounts.account(login.account).await?;
    if change.username.is_some_and(|name| name != before.username) {
        return Err(ApiError::bad_request("The user name of an account cannot be changed."));
    }
    let preferences = change.preferences.as_ref().map(preferences_text).transpose()?;
    let change = AccountChange {
        email: change.email,
        first_name: change.first_name,
        last_name: change.last_name,
        preferences,
    };
    let account = accounts.change(login.account, change).await?;
    Ok(Json(UserView::new(&account)))
}

/// Bytes of an account's preferences as JSON.
const PREFERENCES_BYTES: usize = 16 * 1024;

fn preferences_text(preferences: &Value) -> Result<String, ApiError> {
    if !preferences.is_object() {
        return Err(ApiError::bad_request("The preferences must be a JSON object."));
    }
    let text = preferences.to_string();
    if text.len() > PREFERENCES_BYTES {
        let message = format!("The preferences are longer than {} KiB.", PREFERENCES_BYTES / 1024);
        return Err(ApiError::bad_request(message));
    }
    Ok(text)
}

/// Whether the token still counts.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/check-session", tag = "user",
    responses((status = 200, description = "It does", body = ActionResult))
)]
pub(super) async fn check_session() -> Json<ActionResult> {
    ActionResult::done("Your login is valid.")
}

/// Proves the password again, so that risky acts are allowed for five minutes.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/step-up", tag = "user", request_body = StepUpRequest,
    responses(
        (status = 200, description = "Proven", body = ActionResult),
        (status = 400, description = "The password is wrong", body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn step_up(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    JsonBody(wanted): JsonBody<StepUpRequest>,
) -> Result<Json<ActionResult>, ApiError> {
    let password = Zeroizing::new(wanted.password);
    accounts.step_up(login.id, &password, &client).await?;
    Ok(ActionResult::done("Your password was right. Risky actions are allowed for five minutes."))
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Wrong => {
                Self::bad_request("The password is wrong. Type it again.").named("PasswordWrong")
            }
            AccountError::TooMany(wait) => Self::throttled(wait.retry_after),
            AccountError::SetupCode => Self::forbidden(sentence(&error)).named("SetupCodeWrong"),
            AccountError::AlreadyConfigured => already_configured(),
            AccountError::CredentialForm | AccountError::Username | AccountError::Email => {
                Self::bad_request(sentence(&error))
            }
            AccountError::Password(error) => error.into(),
            AccountError::NoLogin => {
                Self::unauthorized("Your login has ended or is not known. Log in again.")
            }
            AccountError::Leaked => Self::unauthorized(sentence(&error)).named("TokenLeaked"),
            AccountError::Store(_) | AccountError::Seal(_) => Self::internal(error),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::TooShort(..)
            | PasswordError::TooLong
            | PasswordError::Control
            | PasswordError::Common(_) => {
                Self::bad_request(sentence(&error)).named("PasswordRefused")
            }
            PasswordError::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence(&error)).retry_in(BUSY)
            }
            PasswordError::NoThread | PasswordError::PepperMissing | PasswordError::Hash => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence(&error)).because(error)
            }
        }
    }
}
