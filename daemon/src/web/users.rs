//! The accounts of the appliance, for admins.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::error::{ApiError, ErrorBody};
use super::extract::{Acting, Id, JsonBody};
use super::user::idle_time;
use super::user_view::UserView;
use super::views::{ActionResult, Time};
use crate::accounts::{Accounts, NewPerson, PersonChange, Role};
use crate::clock::Clock;
use crate::devices::Devices;
use crate::devices::events::{Event, Level};

/// What an account is made of.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateUser {
    /// Left out, what stands before the @ of the e-mail address.
    username: Option<String>,
    email: String,
    /// At least 15 characters.
    #[schema(format = Password)]
    password: String,
    first_name: Option<String>,
    last_name: Option<String>,
    /// `superadmin` and `admin` may do everything, `guest` may look.
    role: String,
    /// May log in: yes, unless it says no.
    enabled: Option<bool>,
    aerie: Option<CreateUserExtra>,
}

/// What the published API has no words for.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreateUserExtra {
    /// It has to choose a password of its own at its first login: yes, unless it says no.
    force_change_password: Option<bool>,
}

/// What is to change about an account. What is left out stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserUpdate {
    username: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    role: Option<String>,
    enabled: Option<bool>,
    /// `false` takes all second factors away: for somebody who lost the phone.
    totp_auth_enabled: Option<bool>,
    aerie: Option<UserUpdateExtra>,
}

/// What the published API has no words for.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserUpdateExtra {
    timezone: Option<String>,
    country: Option<String>,
    /// Milliseconds, 30 minutes to 30 days; a number, or a number as text.
    #[schema(value_type = Option<i64>)]
    session_timeout: Option<Value>,
    /// A new password. All logins of the account end.
    #[schema(format = Password)]
    new_password: Option<String>,
    /// It has to choose another password first. After a new one: yes, unless it says no.
    force_change_password: Option<bool>,
}

/// What became of an account whose owner leaves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offboarded {
    /// It may not log in any more.
    disabled: bool,
    /// Logins that were ended, with their sockets and terminals.
    logins: usize,
    /// API tokens that were deleted.
    tokens: usize,
    /// App keys that were deleted.
    app_keys: usize,
    /// There is a new device key, and the old one lets no device in. If not, call again.
    device_key_rotated: bool,
    /// Secrets that the account was shown, the latest first: change those that still count.
    secrets_seen: Vec<SecretSeen>,
}

/// A secret that an account was shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretSeen {
    at: Time,
    what: String,
    about: String,
}

/// What holds for all accounts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountRules {
    /// Every account needs a second factor.
    two_factor_required: bool,
}

fn role(name: &str) -> Result<Role, ApiError> {
    Role::from_name(name).ok_or_else(|| {
        ApiError::bad_request(
            "The role must be superadmin or admin (everything), or guest (looks).",
        )
    })
}

/// All accounts.
#[utoipa::path(
    get, path = "/nms/api/v2.1/users", tag = "users",
    responses((status = 200, description = "The accounts, by name", body = Vec<UserView>))
)]
pub(super) async fn list(
    State(accounts): State<Accounts>,
) -> Result<Json<Vec<UserView>>, ApiError> {
    Ok(Json(accounts.people().await?.into_iter().map(UserView::new).collect()))
}

/// An account.
#[utoipa::path(
    get, path = "/nms/api/v2.1/users/{id}", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "The account", body = UserView),
        (status = 404, description = "There is no such account", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(accounts): State<Accounts>,
    id: Id,
) -> Result<Json<UserView>, ApiError> {
    shown(&accounts, id).await
}

/// As others see it: what it has to be told is for itself.
async fn shown(accounts: &Accounts, id: Id) -> Result<Json<UserView>, ApiError> {
    let mut person = accounts.person(id.account()?).await?;
    person.notices.clear();
    Ok(Json(UserView::new(person)))
}

/// Makes an account.
#[utoipa::path(
    post, path = "/nms/api/v2.1/users", tag = "users", request_body = CreateUser,
    responses(
        (status = 200, description = "The account", body = UserView),
        (status = 409, description = "UsernameTaken", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Acting(by): Acting,
    JsonBody(wanted): JsonBody<CreateUser>,
) -> Result<Json<UserView>, ApiError> {
    let password = Zeroizing::new(wanted.password);
    let new = NewPerson {
        username: wanted.username,
        email: wanted.email,
        first_name: wanted.first_name.unwrap_or_default(),
        last_name: wanted.last_name.unwrap_or_default(),
        role: role(&wanted.role)?,
        enabled: wanted.enabled.unwrap_or(true),
        force_password_change: wanted.aerie.unwrap_or_default().force_change_password
            != Some(false),
    };
    let id = accounts.create_person(by, new, &password).await?;
    let user = UserView::read(&accounts, id).await?;
    let message = format!("The account {} was made.", user.username());
    devices.events().record(Event::quiet(Level::Info, "login", message).by(by.account));
    Ok(Json(user))
}

/// Changes an account, and tells it so. A new role or password, a disabling and the removal of its
/// second factors end its logins.
#[utoipa::path(
    put, path = "/nms/api/v2.1/users/{id}", tag = "users", request_body = UserUpdate,
    params(("id" = uuid::Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "The account as it is now", body = UserView),
        (status = 404, description = "There is no such account", body = ErrorBody),
        (status = 409, description = "LastAdmin, Yourself or UsernameTaken", body = ErrorBody),
    )
)]
pub(super) async fn change(
    State(accounts): State<Accounts>,
    Acting(by): Acting,
    id: Id,
    JsonBody(wanted): JsonBody<UserUpdate>,
) -> Result<Json<UserView>, ApiError> {
    let extra = wanted.aerie.unwrap_or_default();
    let password = extra.new_password.map(Zeroizing::new);
    let change = PersonChange {
        username: wanted.username,
        email: wanted.email,
        first_name: wanted.first_name,
        last_name: wanted.last_name,
        role: wanted.role.as_deref().map(role).transpose()?,
        enabled: wanted.enabled,
        timezone: extra.timezone,
        country: extra.country,
        session_timeout: extra.session_timeout.as_ref().map_or(Ok(None), idle_time)?,
        force_password_change: extra.force_change_password,
        factors_off: wanted.totp_auth_enabled == Some(false),
    };
    let password = password.as_ref().map(|password| password.as_str());
    accounts.change_person(by, id.account()?, change, password).await?;
    shown(&accounts, id).await
}

/// Deletes an account with its logins, tokens, app keys and second factors.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/users/{id}", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "It is gone", body = ActionResult),
        (status = 404, description = "There is no such account", body = ErrorBody),
        (status = 409, description = "LastAdmin or Yourself", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Acting(by): Acting,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    let name = accounts.account(id.account()?).await.map(|account| account.username);
    accounts.delete_person(by, id.account()?).await?;
    let message = format!("The account {} was deleted.", name.unwrap_or_default());
    devices.events().record(Event::quiet(Level::Info, "login", message).by(by.account));
    Ok(ActionResult::done("The account is deleted."))
}

/// Sees off somebody who leaves: disables the account, ends its logins, sockets and terminals,
/// deletes its tokens and app keys, makes a new device key, and lists the secrets that it has seen.
///
/// Enrolled devices need no device key any more and notice nothing.
#[utoipa::path(
    post, path = "/nms/api/v2.1/users/{id}/offboard", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "What was done", body = Offboarded),
        (status = 404, description = "There is no such account", body = ErrorBody),
        (status = 409, description = "LastAdmin or Yourself", body = ErrorBody),
    )
)]
pub(super) async fn offboard(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    State(clock): State<Clock>,
    Acting(by): Acting,
    id: Id,
) -> Result<Json<Offboarded>, ApiError> {
    let id = id.account()?;
    let gone = accounts.offboard(by, id).await?;
    let rotated = devices.keys().rotate(by, clock.now()).await;
    if let Err(error) = &rotated {
        tracing::error!(%error, "no new device key could be made for an offboarding");
    }
    let name = accounts.account(id).await.map(|account| account.username).unwrap_or_default();
    let message = format!("{name} was offboarded: the account is disabled, the device key is new.");
    let event = Event::quiet(Level::Warning, "login", message).by(by.account);
    devices.events().record(event.at_once());
    let seen = gone.secrets.into_iter().map(|secret| SecretSeen {
        at: Time(secret.at),
        what: secret.what,
        about: secret.about,
    });
    Ok(Json(Offboarded {
        disabled: true,
        logins: gone.logins,
        tokens: gone.tokens,
        app_keys: gone.app_keys,
        device_key_rotated: rotated.is_ok(),
        secrets_seen: seen.collect(),
    }))
}

/// What holds for all accounts.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/accounts", tag = "users",
    responses((status = 200, description = "The rules", body = AccountRules))
)]
pub(super) async fn rules(State(accounts): State<Accounts>) -> Json<AccountRules> {
    Json(AccountRules { two_factor_required: accounts.two_factor_required() })
}

/// Says whether every account needs a second factor. Who says so needs one already.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/accounts", tag = "users", request_body = AccountRules,
    responses(
        (status = 200, description = "The rules as they are now", body = AccountRules),
        (status = 409, description = "NoSecondFactor", body = ErrorBody),
    )
)]
pub(super) async fn change_rules(
    State(accounts): State<Accounts>,
    Acting(by): Acting,
    JsonBody(wanted): JsonBody<AccountRules>,
) -> Result<Json<AccountRules>, ApiError> {
    accounts.require_two_factor(by, wanted.two_factor_required).await?;
    Ok(Json(AccountRules { two_factor_required: accounts.two_factor_required() }))
}
