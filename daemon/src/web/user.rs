//! The account behind a login.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody, Source};
use super::login::token_header;
use super::setup::already_configured;
use super::user_view::UserView;
use super::views::{ActionResult, sentence};
use crate::accounts::{AccountChange, AccountError, Accounts, Actor, PasswordError};

/// When to come back while all password hashers are busy.
const BUSY: Duration = Duration::from_secs(2);

/// What is to change about the own account. What is left out stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UserChange {
    /// Cannot be changed: only the present one is taken.
    username: Option<String>,
    /// The present password: needed for a new one.
    #[schema(format = Password)]
    current_password: Option<String>,
    /// A new password. All logins end, and the answer's header `x-auth-token` carries a new token.
    #[schema(format = Password)]
    new_password: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    /// An object of the GUI's own, at most 16 KiB as JSON.
    #[schema(value_type = Option<Object>)]
    preferences: Option<Value>,
    /// Milliseconds without activity after which the next logins end, 30 minutes to 30 days. A
    /// number, or a number as text; 0 keeps what is.
    #[schema(value_type = Option<i64>)]
    session_timeout: Option<Value>,
}

/// Notices that were read.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NoticeIds {
    ids: Vec<Uuid>,
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
    Ok(Json(UserView::read_by(&accounts, &login).await?))
}

type Changed = (Option<[(HeaderName, HeaderValue); 1]>, Json<UserView>);

/// Changes the own account. A new password ends all its logins; the token of a new one stands in
/// the answer's header `x-auth-token`.
#[utoipa::path(
    put, path = "/nms/api/v2.1/user", tag = "user", request_body = UserChange,
    responses(
        (status = 200, description = "The account as it is now", body = UserView,
            headers(("x-auth-token" = Option<String>, description = "After a new password"))),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn change(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    JsonBody(wanted): JsonBody<UserChange>,
) -> Result<Changed, ApiError> {
    let before = accounts.account(login.account).await?;
    if wanted.username.is_some_and(|name| name != before.username) {
        return Err(ApiError::bad_request(
            "The user name of the own account cannot be changed. Another admin can change it.",
        ));
    }
    let preferences = wanted.preferences.as_ref().map(preferences_text).transpose()?;
    let session_timeout = wanted.session_timeout.as_ref().map_or(Ok(None), idle_time)?;
    let current = wanted.current_password.map(Zeroizing::new);
    let new = wanted.new_password.map(Zeroizing::new);
    let said = AccountChange {
        email: wanted.email.filter(|email| *email != before.email),
        first_name: wanted.first_name,
        last_name: wanted.last_name,
        preferences,
        session_timeout,
    };
    if said != AccountChange::default() {
        let by = Actor { account: login.account, address: client.address };
        accounts.change(by, said).await?;
    }
    let token = match (current, new) {
        (_, None) => None,
        (None, Some(_)) => {
            return Err(ApiError::bad_request(
                "A new password needs the present one beside it, as currentPassword.",
            ));
        }
        (Some(current), Some(new)) => {
            Some(accounts.change_password(&login, &current, &new, &client).await?)
        }
    };
    let header = token.as_ref().map(token_header).transpose()?;
    Ok((header, Json(UserView::read(&accounts, login.account).await?)))
}

/// Says that the account has read its notices.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/notices/dismiss", tag = "user", request_body = NoticeIds,
    responses((status = 200, description = "They are gone", body = ActionResult))
)]
pub(super) async fn dismiss_notices(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    JsonBody(read): JsonBody<NoticeIds>,
) -> Result<Json<ActionResult>, ApiError> {
    accounts.dismiss_notices(login.account, read.ids).await?;
    Ok(ActionResult::done("The notices are dismissed."))
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
            AccountError::CredentialForm
            | AccountError::Username
            | AccountError::Email
            | AccountError::Invalid(_) => Self::bad_request(sentence(&error)),
            AccountError::Password(error) => error.into(),
            AccountError::SamePassword => {
                Self::bad_request(sentence(&error)).named("PasswordRefused")
            }
            AccountError::NoLogin => {
                Self::unauthorized("Your login has ended or is not known. Log in again.")
            }
            AccountError::Malformed | AccountError::TokenMaker => {
                Self::unauthorized(sentence(&error))
            }
            AccountError::TokenExpired => {
                Self::unauthorized(sentence(&error)).named("TokenExpired")
            }
            AccountError::TokenAddress(_) => {
                Self::forbidden(sentence(&error)).named("AddressNotAllowed")
            }
            AccountError::NotAdmin => Self::forbidden(sentence(&error)),
            AccountError::NoAccount | AccountError::NoToken => Self::not_found(sentence(&error)),
            AccountError::UsernameTaken => Self::conflict("UsernameTaken", sentence(&error)),
            AccountError::LastAdmin => Self::conflict("LastAdmin", sentence(&error)),
            AccountError::Yourself => Self::conflict("Yourself", sentence(&error)),
            AccountError::NoFactor => Self::conflict("NoSecondFactor", sentence(&error)),
            AccountError::TooManyTokens => Self::conflict("TooManyTokens", sentence(&error)),
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
            | PasswordError::Common(_)
            | PasswordError::TooLongForPlain
            | PasswordError::PlainForm(_) => {
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
