//! Logging in, with a second factor or without, and proving once more who sits there.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody, Source};
use super::passkeys::{AnswerBody, Party};
use super::user::idle_time;
use super::user_view::UserView;
use super::views::{ActionResult, sentence};
use crate::accounts::{
    Account, AccountError, Accounts, ClientInfo, FactorDue, FactorError, LoginToken,
};
use crate::devices::Devices;
use crate::devices::events::{Event, Level};

/// The header that carries a new token.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");

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

/// The second step of a login.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeRequest {
    /// The `id` of the first step's answer.
    token: String,
    /// Six digits from the app, or a recovery code.
    verification_code: String,
    /// Taken for compatibility: the first step had it.
    #[serde(default, rename = "password")]
    #[schema(format = Password)]
    _password: Option<String>,
    /// As in the first step; without it, that one counts.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    session_timeout: Option<Value>,
}

/// A user name and its password.
#[derive(Deserialize, ToSchema)]
pub(super) struct Credentials {
    /// The user name or the e-mail address.
    username: String,
    #[schema(format = Password)]
    password: String,
}

/// Who sits there, once more: one of these.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepUpRequest {
    /// The account's password.
    #[serde(default)]
    #[schema(format = Password)]
    password: Option<String>,
    /// Six digits from the app, or a recovery code.
    #[serde(default)]
    verification_code: Option<String>,
    #[serde(default)]
    passkey: Option<AnswerBody>,
}

/// The password was right, and a second factor is due.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FactorDueView {
    /// The `token` of the second step.
    id: String,
    /// Whose login it is.
    user_id: Uuid,
    /// Until when the second step may come, in milliseconds since 1970.
    exp: i64,
    aerie: FactorDueExtra,
}

/// What the published API has no words for.
#[derive(Serialize, ToSchema)]
#[schema(as = FactorDueExtra)]
struct FactorDueExtra {
    /// How to go on: `totp`, `passkey`, `recovery-code`.
    #[schema(value_type = Vec<String>)]
    methods: Vec<&'static str>,
}

impl FactorDueView {
    fn new(due: &FactorDue, party: &Party) -> Self {
        let ways = [
            (due.totp, "totp"),
            (party.takes(&due.passkey_hosts), "passkey"),
            (due.recovery_codes, "recovery-code"),
        ];
        let methods = ways.into_iter().filter(|(there, _)| *there).map(|(_, name)| name);
        Self {
            id: due.id.expose().clone(),
            user_id: due.account,
            exp: due.until.as_millisecond(),
            aerie: FactorDueExtra { methods: methods.collect() },
        }
    }
}

/// The header that hands a new token to its owner.
pub(super) fn token_header(token: &LoginToken) -> Result<[(HeaderName, HeaderValue); 1], ApiError> {
    let mut value = HeaderValue::from_str(token.expose()).map_err(ApiError::internal)?;
    value.set_sensitive(true);
    Ok([(TOKEN_HEADER, value)])
}

/// Logs in. The token stands in the answer's header `x-auth-token`. Where the account has a second
/// factor, the answer is 201 and says how to go on.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/login", tag = "user", request_body = LoginRequest,
    responses(
        (status = 200, description = "The account", body = UserView,
            headers(("x-auth-token" = String, description = "The token"))),
        (status = 201, description = "A second factor is due", body = FactorDueView),
        (status = 401, description = "User name or password is wrong", body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn login(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Source(client): Source,
    party: Party,
    JsonBody(wanted): JsonBody<LoginRequest>,
) -> Result<Response, ApiError> {
    let idle = wanted.session_timeout.as_ref().map_or(Ok(None), idle_time)?;
    let password = Zeroizing::new(wanted.password);
    match accounts.login(&wanted.username, &password, idle, &client).await {
        Ok(entered) => answer(&accounts, &devices, entered, &client).await,
        Err(AccountError::FactorDue(due)) => {
            Ok((StatusCode::CREATED, Json(FactorDueView::new(&due, &party))).into_response())
        }
        Err(AccountError::Wrong) => {
            // Not the name: whoever slips types a password there.
            let message =
                format!("A login from {} failed: wrong name or password.", client.address);
            devices.events().record(Event::noisy(Level::Warning, "login", message));
            Err(wrong_credentials())
        }
        Err(error) => Err(error.into()),
    }
}

/// The second step of a login, with a code from an app or a recovery code. Five wrong codes end it.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/login/totpauth", tag = "user", request_body = CodeRequest,
    responses(
        (status = 200, description = "The account", body = UserView,
            headers(("x-auth-token" = String, description = "The token"))),
        (status = 401, description = "CodeWrong", body = ErrorBody),
        (status = 404, description = "The first step was too long ago, or is not known",
            body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn login_with_code(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Source(client): Source,
    JsonBody(wanted): JsonBody<CodeRequest>,
) -> Result<Response, ApiError> {
    let idle = wanted.session_timeout.as_ref().map_or(Ok(None), idle_time)?;
    let code = Zeroizing::new(wanted.verification_code);
    match accounts.login_with_code(&wanted.token, &code, idle, &client).await {
        Ok(entered) => answer(&accounts, &devices, entered, &client).await,
        Err(AccountError::Factor(error @ FactorError::CodeWrong)) => {
            let message = format!("A login from {} failed: wrong code.", client.address);
            devices.events().record(Event::noisy(Level::Warning, "login", message));
            Err(ApiError::unauthorized(sentence(&error)).named("CodeWrong"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The answer to a login that began.
pub(super) async fn answer(
    accounts: &Accounts,
    devices: &Devices,
    (account, token): (Account, LoginToken),
    client: &ClientInfo,
) -> Result<Response, ApiError> {
    let message = format!("{} logged in from {}.", account.username, client.address);
    devices.events().record(Event::quiet(Level::Info, "login", message).by(account.id));
    let login = accounts.authenticate(token.expose()).await?;
    let shown = UserView::read_by(accounts, &login).await?;
    Ok((token_header(&token)?, Json(shown)).into_response())
}

fn wrong_credentials() -> ApiError {
    ApiError::unauthorized(
        "The user name or the password is wrong. Check both and the caps lock key.",
    )
}

/// Whether a user name and a password belong together, without logging in.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/check-credentials", tag = "user",
    request_body = Credentials,
    responses(
        (status = 200, description = "They do", body = ActionResult),
        (status = 401, description = "They do not", body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn check_credentials(
    State(accounts): State<Accounts>,
    Source(client): Source,
    JsonBody(wanted): JsonBody<Credentials>,
) -> Result<Json<ActionResult>, ApiError> {
    let password = Zeroizing::new(wanted.password);
    match accounts.check_credentials(&wanted.username, &password, &client).await {
        Ok(()) => Ok(ActionResult::done("The user name and the password are right.")),
        Err(AccountError::Wrong) => Err(wrong_credentials()),
        Err(error) => Err(error.into()),
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

/// Proves again who sits there, so that risky acts are allowed for five minutes. What changes the
/// second factors asks for one of them.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/step-up", tag = "user", request_body = StepUpRequest,
    responses(
        (status = 200, description = "Proven", body = ActionResult),
        (status = 400, description = "PasswordWrong, CodeWrong, PasskeyRefused", body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn step_up(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    party: Party,
    JsonBody(wanted): JsonBody<StepUpRequest>,
) -> Result<Json<ActionResult>, ApiError> {
    let proven = match (wanted.password, wanted.verification_code, wanted.passkey) {
        (Some(password), None, None) => {
            accounts.step_up(login.id, &Zeroizing::new(password), &client).await?;
            "Your password was right."
        }
        (None, Some(code), None) => {
            accounts.step_up_with_code(login.id, &Zeroizing::new(code), &client).await?;
            "Your code was right."
        }
        (None, None, Some(proof)) => {
            let party = party.there()?;
            accounts.step_up_with_passkey(&login, &party, proof.into(), &client).await?;
            "Your passkey was right."
        }
        _ => {
            return Err(ApiError::bad_request(
                "Send one of password, verificationCode and passkey.",
            ));
        }
    };
    Ok(ActionResult::done(format!("{proven} Risky actions are allowed for five minutes.")))
}
