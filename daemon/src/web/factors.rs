//! The second factors of one's own account: codes from an app, and recovery codes.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody, Source};
use super::user_view::UserView;
use super::views::sentence;
use crate::accounts::{Accounts, FactorError, RecoveryCodes, TotpConfirmation};
use crate::devices::Devices;

/// A key for an app. It counts once a code has confirmed it.
#[derive(Serialize, ToSchema)]
pub(super) struct NewTotpView {
    /// To be typed.
    base32: String,
    /// For a QR code.
    otpauth_url: String,
}

/// Confirms an app.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TotpRequest {
    #[schema(format = Password)]
    password: String,
    /// The app's present code.
    verification_code: String,
    /// True: turning off is another call.
    totp_auth_enabled: bool,
    /// The key, as GET gave it.
    totp_auth_secret: String,
}

/// Turns an app's codes off.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TotpOffRequest {
    #[schema(format = Password)]
    password: String,
    /// False.
    totp_auth_enabled: bool,
}

/// Recovery codes, shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodesView {
    /// Each takes the place of a second factor once.
    codes: Vec<String>,
}

/// Recovery codes as an answer shows them.
pub(super) fn shown(codes: &RecoveryCodes) -> Vec<String> {
    codes.expose().map(str::to_owned).collect()
}

/// A new key for an app. Nothing of it is kept until a code confirms it.
#[utoipa::path(
    get, path = "/nms/api/v2.1/user/totpauth", tag = "user",
    responses(
        (status = 200, description = "The key", body = NewTotpView),
        (status = 409, description = "TotpOn: there is an app already", body = ErrorBody),
    )
)]
pub(super) async fn new_totp(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Caller(login): Caller,
) -> Result<Json<NewTotpView>, ApiError> {
    let host = devices.keys().host().unwrap_or_default();
    let new = accounts.new_totp(login.account, &host).await?;
    Ok(Json(NewTotpView {
        base32: new.base32.expose().clone(),
        otpauth_url: new.url.expose().clone(),
    }))
}

/// Makes the codes of an app the second factor. With the first factor come ten recovery codes, in
/// `aerie.recoveryCodes`, this one time.
#[utoipa::path(
    put, path = "/nms/api/v2.1/user/totpauth", tag = "user", request_body = TotpRequest,
    responses(
        (status = 200, description = "The account as it is now", body = UserView),
        (status = 400, description = "PasswordWrong, CodeWrong", body = ErrorBody),
        (status = 403, description = "StepUpRequired, where there are passkeys: with one of them",
            body = ErrorBody),
        (status = 409, description = "TotpOn: there is an app already", body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn confirm_totp(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    JsonBody(wanted): JsonBody<TotpRequest>,
) -> Result<Json<UserView>, ApiError> {
    let password = Zeroizing::new(wanted.password);
    let secret = Zeroizing::new(wanted.totp_auth_secret);
    if !wanted.totp_auth_enabled {
        return Err(ApiError::bad_request(
            "To turn the codes off, send PUT to /nms/api/v2.1/user/disabledtotpauth.",
        ));
    }
    let code = Zeroizing::new(wanted.verification_code);
    let confirmation = TotpConfirmation { password: &password, base32: &secret, code: &code };
    let codes = accounts.confirm_totp(&login, confirmation, &client).await?;
    let view = UserView::read(&accounts, login.account).await?;
    Ok(Json(view.with_recovery_codes(codes.as_ref().map(shown))))
}

/// Turns the codes of the app off. A second factor has to be proven for it.
#[utoipa::path(
    put, path = "/nms/api/v2.1/user/disabledtotpauth", tag = "user",
    request_body = TotpOffRequest,
    responses(
        (status = 200, description = "The account as it is now", body = UserView),
        (status = 400, description = "PasswordWrong", body = ErrorBody),
        (status = 409, description = "TotpOff, or LastFactor: one is required", body = ErrorBody),
    )
)]
pub(super) async fn disable_totp(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    JsonBody(wanted): JsonBody<TotpOffRequest>,
) -> Result<Json<UserView>, ApiError> {
    let password = Zeroizing::new(wanted.password);
    if wanted.totp_auth_enabled {
        return Err(ApiError::bad_request(
            "To turn the codes on, send PUT to /nms/api/v2.1/user/totpauth.",
        ));
    }
    accounts.disable_totp(&login, &password, &client).await?;
    Ok(Json(UserView::read(&accounts, login.account).await?))
}

/// Makes ten new recovery codes; the old ones are void. A second factor has to be proven for it.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/recovery-codes", tag = "user",
    responses(
        (status = 200, description = "The codes, this one time", body = RecoveryCodesView),
        (status = 409, description = "NoFactor: there is no second factor", body = ErrorBody),
    )
)]
pub(super) async fn new_recovery_codes(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
) -> Result<Json<RecoveryCodesView>, ApiError> {
    let codes = accounts.new_recovery_codes(&login, &client).await?;
    Ok(Json(RecoveryCodesView { codes: shown(&codes) }))
}

impl From<FactorError> for ApiError {
    fn from(error: FactorError) -> Self {
        let told = sentence(&error);
        match error {
            FactorError::CodeWrong => Self::bad_request(told).named("CodeWrong"),
            FactorError::Gone | FactorError::NoPasskey => Self::not_found(told),
            FactorError::ProveFactor => Self::forbidden(told).named("StepUpRequired"),
            FactorError::TotpOn => Self::conflict("TotpOn", told),
            FactorError::TotpOff => Self::conflict("TotpOff", told),
            FactorError::TotpSecret | FactorError::PasskeyName | FactorError::PasskeyForm => {
                Self::bad_request(told)
            }
            FactorError::Last => Self::conflict("LastFactor", told),
            FactorError::NoFactor => Self::conflict("NoFactor", told),
            FactorError::PasskeyWrong | FactorError::PasskeyRefused(_) => {
                Self::bad_request(told).named("PasskeyRefused")
            }
        }
    }
}
