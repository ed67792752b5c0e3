//! The vault itself: made, sealed, unsealed, split, re-keyed.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::Acting;
use super::sealed::{SecretBody, given, key};
use super::told::{self, About};
use super::vault_view::{RekeyedView, VaultView};
use super::views::ActionResult;
use crate::accounts::Accounts;
use crate::devices::Devices;
use crate::vault::SecretText;
use crate::vault::credentials::Credentials;
use crate::vault::protocol::{Key, Unsealing};

/// Makes the vault, or a new key pair of one.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VaultRequest {
    /// The master password; for a new key pair alone.
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<SecretText>,
    /// Or the key file.
    #[schema(value_type = Option<String>, format = Password)]
    key_file: Option<SecretText>,
    /// True: a vault that is made stays.
    is_vault_enabled: bool,
    /// False: nothing of it leaves the appliance.
    #[serde(default)]
    is_cloud_vault_enabled: bool,
    /// A new key pair and master password for the vault that there is.
    #[serde(default)]
    regenerate_pgp_keys: bool,
}

/// What opens the vault: one of them.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnsealRequest {
    /// The master password, in words or as in the key file.
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<SecretText>,
    /// The whole text of the key file.
    #[schema(value_type = Option<String>, format = Password)]
    key_file: Option<SecretText>,
    /// One share of several.
    #[schema(value_type = Option<String>, format = Password)]
    share: Option<SecretText>,
}

/// How far the unsealing is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnsealingView {
    /// It is still sealed.
    is_passphrase_missing: bool,
    /// Shares that were given and wait for others.
    given: u8,
    /// Shares that are needed; 0 once it is open.
    needed: u8,
}

/// The master password or the key file: one of them.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyRequest {
    /// The master password.
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) passphrase: Option<SecretText>,
    /// The whole text of the key file.
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) key_file: Option<SecretText>,
}

impl KeyRequest {
    pub(super) fn key(self) -> Result<Key, ApiError> {
        key(self.passphrase, self.key_file)
    }
}

/// The key file, given back.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyFileRequest {
    /// The whole text of the key file.
    #[schema(value_type = String, format = Password)]
    key_file: SecretText,
}

/// Splits the master password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SplitRequest {
    /// The master password; or
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<SecretText>,
    /// the key file.
    #[schema(value_type = Option<String>, format = Password)]
    key_file: Option<SecretText>,
    /// How many shares are to open the vault; 1 of 1 ends the splitting.
    #[schema(minimum = 1)]
    needed: u8,
    /// Of how many.
    #[schema(minimum = 1)]
    total: u8,
}

/// The shares, this one time.
#[derive(Serialize, ToSchema)]
pub(super) struct SharesView {
    /// Each for somebody else. None: the master password is not split any more.
    #[schema(value_type = Vec<String>)]
    shares: Vec<SecretText>,
}

/// Changes how many secrets may be opened an hour.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LimitRequest {
    /// The master password; or
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<SecretText>,
    /// the key file.
    #[schema(value_type = Option<String>, format = Password)]
    key_file: Option<SecretText>,
    /// Openings an hour, 1 to 1000.
    #[schema(minimum = 1, maximum = 1000)]
    per_hour: u32,
}

/// How the vault is.
#[utoipa::path(
    get, path = "/nms/api/v2.1/vault/credentials", tag = "vault",
    responses((status = 200, description = "The vault", body = VaultView))
)]
pub(super) async fn read(
    State(credentials): State<Credentials>,
) -> Result<Json<VaultView>, ApiError> {
    Ok(Json(VaultView::read(&credentials).await?))
}

/// Makes the vault, open. The master password and the key file are answered this one time.
///
/// With `regeneratePgpKeys`, and the master password, it makes a new key pair of the vault that
/// there is.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/credentials", tag = "vault", request_body = VaultRequest,
    responses(
        (status = 200, description = "The vault, with its master password", body = VaultView),
        (status = 409, description = "VaultAlreadyMade", body = ErrorBody),
        (status = 412, description = "VaultSealed or VaultNotMade, for a new key pair",
            body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn make(
    State(credentials): State<Credentials>,
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Acting(by): Acting,
    SecretBody(wanted): SecretBody<VaultRequest>,
) -> Result<Json<VaultView>, ApiError> {
    if wanted.is_cloud_vault_enabled {
        return Err(ApiError::bad_request(
            "The vault stays on this appliance; there is no vault in a cloud. Send \
             isCloudVaultEnabled as false, and keep the key file in a safe place.",
        ));
    }
    if !wanted.is_vault_enabled {
        return Err(ApiError::bad_request(
            "A vault cannot be switched off, since its passwords would be lost. Seal it with POST \
             /nms/api/v2.1/vault/credentials/lock.",
        ));
    }
    let made = if wanted.regenerate_pgp_keys {
        credentials.rekey(by, key(wanted.passphrase, wanted.key_file)?).await?
    } else {
        let host = devices.keys().host().unwrap_or_default();
        let made = credentials.vault().create(host).await?;
        told::tell(&accounts, by, "vault-made", vec![String::new()]).await;
        made
    };
    Ok(Json(VaultView::read(&credentials).await?.with_key(made)))
}

/// Unseals the vault, or takes one share of several.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/credentials/unlock", tag = "vault",
    request_body = UnsealRequest,
    responses(
        (status = 200, description = "It is open, or more shares are needed",
            body = UnsealingView),
        (status = 400, description = "VaultKeyWrong: what is wrong with the key, and what to do",
            body = ErrorBody),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn unseal(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<UnsealRequest>,
) -> Result<(Extension<About>, Json<UnsealingView>), ApiError> {
    let key = given(wanted.passphrase, wanted.key_file, wanted.share).ok_or_else(|| {
        ApiError::bad_request(
            "Send the vault's master password as passphrase, its whole key file as keyFile, or \
             one share as share.",
        )
    })?;
    let (about, view) = match credentials.vault().unseal(key).await? {
        Unsealing::Open => (
            vec![String::new()],
            UnsealingView { is_passphrase_missing: false, given: 0, needed: 0 },
        ),
        // Nothing has changed that the audit log would tell of; the vault's own does.
        Unsealing::Missing { given, needed } => {
            (Vec::new(), UnsealingView { is_passphrase_missing: true, given, needed })
        }
    };
    Ok((About::these(about), Json(view)))
}

/// Seals the vault. Passwords are still stored, and none is shown until it is unsealed.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/credentials/lock", tag = "vault",
    responses(
        (status = 200, description = "It is sealed", body = ActionResult),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn seal(
    State(credentials): State<Credentials>,
) -> Result<Json<ActionResult>, ApiError> {
    credentials.vault().seal_now().await?;
    Ok(ActionResult::done("The vault is sealed."))
}

/// Takes the key file back, as a proof that the owner has it: then the warning goes.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/key-file/prove", tag = "vault",
    request_body = KeyFileRequest,
    responses(
        (status = 204, description = "It is this vault's key file"),
        (status = 400, description = "VaultKeyWrong: what is wrong with it", body = ErrorBody),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn prove_key_file(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<KeyFileRequest>,
) -> Result<StatusCode, ApiError> {
    credentials.vault().prove_key_file(wanted.key_file).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Splits the master password into shares, or ends that with 1 of 1. Shares of before are void.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/split", tag = "vault", request_body = SplitRequest,
    responses(
        (status = 200, description = "The shares, this one time", body = SharesView),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn split(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<SplitRequest>,
) -> Result<(Extension<About>, Json<SharesView>), ApiError> {
    let key = key(wanted.passphrase, wanted.key_file)?;
    let shares = credentials.vault().split(key, wanted.needed, wanted.total).await?;
    let about = format!("{} of {}", wanted.needed, wanted.total);
    Ok((About::these(vec![about]), Json(SharesView { shares })))
}

/// Makes a new key pair and master password. Everything is sealed again in the background.
#[utoipa::path(
    post, path = "/nms/api/v2.1/vault/rekey", tag = "vault", request_body = KeyRequest,
    responses(
        (status = 200, description = "The new master password, this one time", body = RekeyedView),
        (status = 412, description = "VaultSealed or VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn rekey(
    State(credentials): State<Credentials>,
    Acting(by): Acting,
    SecretBody(wanted): SecretBody<KeyRequest>,
) -> Result<Json<RekeyedView>, ApiError> {
    let made = credentials.rekey(by, wanted.key()?).await?;
    Ok(Json(RekeyedView::new(&credentials, made).await?))
}

/// Changes how many secrets people may have opened within an hour.
#[utoipa::path(
    put, path = "/nms/api/v2.1/vault/limit", tag = "vault", request_body = LimitRequest,
    responses(
        (status = 200, description = "The vault as it is now", body = VaultView),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
        (status = 429, description = "Too many wrong keys; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn limit(
    State(credentials): State<Credentials>,
    SecretBody(wanted): SecretBody<LimitRequest>,
) -> Result<(Extension<About>, Json<VaultView>), ApiError> {
    let key = key(wanted.passphrase, wanted.key_file)?;
    credentials.vault().limit(key, wanted.per_hour).await?;
    let about = format!("{} an hour", wanted.per_hour);
    Ok((About::these(vec![about]), Json(VaultView::read(&credentials).await?)))
}
