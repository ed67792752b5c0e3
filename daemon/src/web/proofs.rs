//! What proves a person to the vault's own process: a PIN, an authenticator app.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::Acting;
use super::sealed::{SecretBody, key};
use super::vault::KeyRequest;
use crate::accounts::Accounts;
use crate::vault::SecretText;
use crate::vault::credentials::Credentials;
use crate::vault::protocol::{Enrolment, Pass, Proof, ProofKind};

/// Seconds for which a pass is good.
const PASS_SECONDS: u32 = 300;

/// Enrols a PIN.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PinRequest {
    /// The master password; or
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<SecretText>,
    /// the key file.
    #[schema(value_type = Option<String>, format = Password)]
    key_file: Option<SecretText>,
    /// 6 to 64 characters.
    #[schema(value_type = String, format = Password)]
    pin: SecretText,
}

/// Confirms an authenticator app.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppCodeRequest {
    /// The master password; or
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<SecretText>,
    /// the key file.
    #[schema(value_type = Option<String>, format = Password)]
    key_file: Option<SecretText>,
    /// The app's present code.
    #[schema(value_type = String, format = Password)]
    code: SecretText,
}

/// A key for an authenticator app, this one time.
#[derive(Serialize, ToSchema)]
pub(super) struct AppKeyView {
    /// For typing: base32.
    #[schema(value_type = String, format = Password)]
    key: SecretText,
    /// For a QR code: otpauth://…
    #[schema(value_type = String, format = Password)]
    url: SecretText,
}

/// A proof: one of them.
#[derive(Deserialize, ToSchema)]
pub(super) struct ProofRequest {
    /// The PIN.
    #[schema(value_type = Option<String>, format = Password)]
    pin: Option<SecretText>,
    /// The app's present code.
    #[schema(value_type = Option<String>, format = Password)]
    code: Option<SecretText>,
}

/// What a proof gave.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PassView {
    /// For the header `Vault-Pass`.
    #[schema(value_type = String, format = Password)]
    pass: SecretText,
    expires_in_seconds: u32,
}

/// Enrols a PIN with the vault. From then on it wants a proof before it opens anything.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/proofs/pin", tag = "vault", request_body = PinRequest,
    responses(
        (status = 204, description = "The PIN counts"),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn enrol_pin(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<PinRequest>,
) -> Result<StatusCode, ApiError> {
    let key = key(wanted.passphrase, wanted.key_file)?;
    credentials.vault().enrol(key, Enrolment::Pin(wanted.pin)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new key for an authenticator app. It counts once a code has confirmed it.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/proofs/totp", tag = "vault", request_body = KeyRequest,
    responses(
        (status = 200, description = "The key, this one time", body = AppKeyView),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn new_app(
    State(credentials): State<Credentials>,
    State(accounts): State<Accounts>,
    Acting(by): Acting,
    SecretBody(wanted): SecretBody<KeyRequest>,
) -> Result<Json<AppKeyView>, ApiError> {
    let account = accounts.account(by.account).await;
    let name = account.map(|account| account.username).unwrap_or_default();
    let secret = credentials.vault().enrol(wanted.key()?, Enrolment::Totp { name }).await?;
    let secret = secret.ok_or_else(|| ApiError::internal("the vault answered no key"))?;
    Ok(Json(AppKeyView { key: secret.key, url: secret.url }))
}

/// Confirms an authenticator app with a code of it.
#[utoipa::path(
    put, path = "/nms/api/v2.1/vault/proofs/totp", tag = "vault", request_body = AppCodeRequest,
    responses(
        (status = 204, description = "The app counts"),
        (status = 400, description = "VaultProofWrong: not its present code", body = ErrorBody),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn confirm_app(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<AppCodeRequest>,
) -> Result<StatusCode, ApiError> {
    let key = key(wanted.passphrase, wanted.key_file)?;
    credentials.vault().enrol(key, Enrolment::TotpCode(wanted.code)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the PIN away.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/vault/proofs/pin", tag = "vault", request_body = KeyRequest,
    responses(
        (status = 204, description = "It is gone"),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn remove_pin(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<KeyRequest>,
) -> Result<StatusCode, ApiError> {
    credentials.vault().unenrol(wanted.key()?, ProofKind::Pin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the authenticator app away.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/vault/proofs/totp", tag = "vault", request_body = KeyRequest,
    responses(
        (status = 204, description = "It is gone"),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn remove_app(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<KeyRequest>,
) -> Result<StatusCode, ApiError> {
    credentials.vault().unenrol(wanted.key()?, ProofKind::Totp).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Proves a person to the vault. The pass goes with what opens secrets, for five minutes.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/prove", tag = "vault", request_body = ProofRequest,
    responses(
        (status = 200, description = "The pass", body = PassView),
        (status = 400, description = "VaultProofWrong", body = ErrorBody),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong proofs; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn prove(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<ProofRequest>,
) -> Result<Json<PassView>, ApiError> {
    let proof = wanted.pin.map(Proof::Pin).or(wanted.code.map(Proof::Totp));
    let proof = proof.ok_or_else(|| {
        ApiError::bad_request("Send the vault's PIN as pin, or its app's present code as code.")
    })?;
    let Pass(pass) = credentials.vault().prove(proof).await?;
    Ok(Json(PassView { pass, expires_in_seconds: PASS_SECONDS }))
}
