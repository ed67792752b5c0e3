//! The account behind a login.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ApiError;
use super::extract::{Caller, JsonBody};
use super::setup::already_configured;
use super::views::{ActionResult, Time, filled, sentence};
use crate::accounts::{
    Account, AccountChange, AccountError, Accounts, PasswordError, Role, TwoFactor,
};

/// When to come back while all password hashers are busy.
const BUSY: Duration = Duration::from_secs(2);

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
    two_factor: TwoFactorView,
    /// Ten codes, this one time: each takes the place of a second factor once.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// How the account's second factors stand.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserTwoFactor)]
struct TwoFactorView {
    /// Codes from an app are on.
    totp: bool,
    /// How many passkeys there are.
    passkeys: usize,
    /// Recovery codes that have not been used.
    recovery_codes_left: usize,
    /// Every account needs a second factor.
    required: bool,
}

/// Which messages this account gets. There are none yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserNotification)]
struct Notification {}

impl UserView {
    /// Shows an account, with what is known beside it.
    pub(super) async fn of(accounts: &Accounts, account: &Account) -> Result<Self, ApiError> {
        Ok(Self::new(account, accounts.two_factor(account.id).await?))
    }

    /// The same with recovery codes that were made just now.
    pub(super) fn with_recovery_codes(mut self, codes: Option<Vec<String>>) -> Self {
        self.aerie.recovery_codes = codes;
        self
    }

    fn new(account: &Account, two_factor: TwoFactor) -> Self {
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
            totp_auth_enabled: two_factor.totp,
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
                two_factor: TwoFactorView {
                    totp: two_factor.totp,
                    passkeys: two_factor.passkeys,
                    recovery_codes_left: two_factor.recovery_codes_left,
                    required: two_factor.required,
                },
                recovery_codes: None,
            },
        }
    }
}

/// A number, or a number as text: some clients send the one, some the other.
pub(super) fn idle_time(value: &Value) -> Result<Option<i64>, ApiError> {
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
    Ok(Json(UserView::of(&accounts, &account).await?))
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
    Ok(Json(UserView::of(&accounts, &account).await?))
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

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Wrong => {
                Self::bad_request("The password is wrong. Type it again.").named("PasswordWrong")
            }
            // Only a login is answered so, and it has its own answer.
            AccountError::FactorDue(_) => Self::unauthorized(sentence(&error)),
            AccountError::Factor(error) => error.into(),
            AccountError::TooMany(wait) => Self::throttled(wait.retry_after),
            AccountError::SetupCode => Self::forbidden(sentence(&error)).named("SetupCodeWrong"),
            AccountError::AlreadyConfigured => already_configured(),
            AccountError::Username | AccountError::Email => Self::bad_request(sentence(&error)),
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
            PasswordError::TooShort(_) | PasswordError::TooLong | PasswordError::Common(_) => {
                Self::bad_request(sentence(&error)).named("PasswordRefused")
            }
            PasswordError::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence(&error)).retry_in(BUSY)
            }
            PasswordError::PepperMissing | PasswordError::Hash => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence(&error)).because(error)
            }
        }
    }
}
