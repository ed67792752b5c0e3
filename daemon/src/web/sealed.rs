//! What the calls of the vault have in common: bodies with secrets in them, the key and the pass
//! that open it, and its refusals in words.

use std::time::Duration;

use axum::Json;
use axum::body::HttpBody;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Web;
use super::error::ApiError;
use super::extract::{Acting, misfit, too_long, unreadable};
use super::views::sentence;
use crate::accounts::{Accounts, Actor};
use crate::vault::credentials::{CredentialError, Credentials};
use crate::vault::protocol::{Key, Pass, Refusal};
use crate::vault::{SecretText, VaultError};

/// The header that carries the vault's pass, where proofs are enrolled with it.
const PASS_HEADER: &str = "vault-pass";
/// Bytes of a pass.
const PASS_BYTES: usize = 256;
/// Bytes of a body with a secret in it: larger than the largest secret, so that one that is too
/// long is refused in words.
const SECRET_BODY_BYTES: usize = 256 * 1024;
/// Characters of a reason in the vault's log.
const REASON_CHARS: usize = 200;

/// A JSON body with secrets in it, of at most so many bytes. Our copy of it is wiped.
pub(super) struct SecretBody<T, const BYTES: usize = SECRET_BODY_BYTES>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync, const BYTES: usize> FromRequest<S>
    for SecretBody<T, BYTES>
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = wiped(request, BYTES).await?;
        if bytes.is_empty() {
            return Err(ApiError::bad_request("The request has no body. Send a JSON object."));
        }
        Json::from_bytes(&bytes).map(|Json(body)| Self(body)).map_err(|error| misfit(&error))
    }
}

/// A body in a buffer that never leaves a copy behind: it is as large as the body says from the
/// start, and moves by hand where the body said nothing.
async fn wiped(request: Request, limit: usize) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let mut body = Limited::new(request.into_body(), limit);
    let said = HttpBody::size_hint(&body).lower();
    let said = usize::try_from(said).map_or(limit, |said| said.min(limit));
    let mut bytes = Zeroizing::new(Vec::with_capacity(said));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<axum::Error>() {
            Ok(error) => unreadable(*error, limit),
            Err(_) => too_long(limit),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(bytes.capacity() * 2)));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The pass of a request, if it carries one.
pub(super) struct WithPass(pub(super) Option<Pass>);

impl<S: Send + Sync> FromRequestParts<S> for WithPass {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let text = parts.headers.get(PASS_HEADER).and_then(|value| value.to_str().ok());
        let text = text.filter(|text| !text.is_empty() && text.len() <= PASS_BYTES);
        Ok(Self(text.map(|text| Pass(SecretText::new(text.to_owned())))))
    }
}

/// Who is to be shown secrets, where the vault is open: a sealed one is told before the body is
/// read.
pub(super) struct Looker {
    /// Who.
    pub(super) by: Actor,
    /// The pass that came with it.
    pub(super) pass: Option<Pass>,
}

impl FromRequestParts<Web> for Looker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, ApiError> {
        let status = web.rooms.credentials.vault().status().await?;
        if !status.made {
            return Err(VaultError::from(Refusal::NotMade).into());
        }
        if status.sealed {
            return Err(VaultError::from(Refusal::Sealed).into());
        }
        let Acting(by) = Acting::from_request_parts(parts, web).await?;
        let WithPass(pass) = WithPass::from_request_parts(parts, web).await?;
        Ok(Self { by, pass })
    }
}

/// The key of a body: the master password or the key file.
pub(super) fn key(
    passphrase: Option<SecretText>,
    key_file: Option<SecretText>,
) -> Result<Key, ApiError> {
    given(passphrase, key_file, None).ok_or_else(|| {
        ApiError::bad_request(
            "Send the vault's master password as passphrase, or its whole key file as keyFile.",
        )
    })
}

/// The same, or one share of several.
pub(super) fn given(
    passphrase: Option<SecretText>,
    key_file: Option<SecretText>,
    share: Option<SecretText>,
) -> Option<Key> {
    let file = key_file.map(Key::File).or(share.map(Key::Share));
    passphrase.map(Key::Words).or(file)
}

/// Who asks, from where and why, in one line for the vault's log.
pub(super) async fn reason(accounts: &Accounts, by: Actor, why: Option<&str>) -> String {
    let name = accounts.account(by.account).await.map(|account| account.username);
    let name = name.unwrap_or_else(|_| by.account.to_string());
    let why = why.map(str::trim).filter(|why| !why.is_empty());
    let line = match why {
        Some(why) => format!("{name} from {}: {why}", by.address),
        None => format!("{name} from {}", by.address),
    };
    line.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(REASON_CHARS)
        .collect()
}

impl FromRef<Web> for Credentials {
    fn from_ref(web: &Web) -> Self {
        web.rooms.credentials.clone()
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Refused(refusal) => refused(&refusal),
            VaultError::Gone(_) | VaultError::Nonsense => {
                unreachable(sentence(&error)).because(error)
            }
        }
    }
}

fn unreachable(told: String) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, told).named("VaultUnreachable")
}

fn precondition(error: &'static str, told: String) -> ApiError {
    ApiError::new(StatusCode::PRECONDITION_FAILED, told).named(error)
}

fn later(error: &'static str, told: String, seconds: u64) -> ApiError {
    let refusal = ApiError::new(StatusCode::TOO_MANY_REQUESTS, told).named(error);
    refusal.retry_in(Duration::from_secs(seconds))
}

fn refused(refusal: &Refusal) -> ApiError {
    let told = sentence(refusal);
    match *refusal {
        Refusal::Version(_) => unreachable(told),
        Refusal::NotMade => precondition("VaultNotMade", told),
        Refusal::AlreadyMade => ApiError::conflict("VaultAlreadyMade", told),
        Refusal::Sealed => precondition("VaultSealed", told),
        Refusal::Key(_) => ApiError::bad_request(told).named("VaultKeyWrong"),
        Refusal::Wait { seconds } => later("VaultWait", told, seconds),
        Refusal::ProofDue => ApiError::forbidden(told).named("VaultProofRequired"),
        Refusal::ProofWrong(_) => ApiError::bad_request(told).named("VaultProofWrong"),
        Refusal::Limit { seconds } => {
            let advice = "To have all passwords at once, export them with the key file.";
            later("VaultLimit", format!("{told} {advice}"), seconds)
        }
        Refusal::NoGrant => ApiError::conflict("VaultNoGrant", told),
        Refusal::Seal => ApiError::conflict("SecretDamaged", told),
        Refusal::Form(_) => ApiError::bad_request(told),
        Refusal::Failed(_) => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, told).named("VaultFailed")
        }
    }
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> Self {
        let told = sentence(&error);
        match error {
            CredentialError::Store(_) => Self::internal(error),
            CredentialError::Vault(error) => error.into(),
            CredentialError::NoCredential
            | CredentialError::NoDevice
            | CredentialError::NoneOfDevice
            | CredentialError::NoVersion => Self::not_found(told),
            CredentialError::Taken(_) => Self::conflict("CredentialTaken", told),
            CredentialError::Form(_) => Self::bad_request(told),
            CredentialError::Busy => Self::conflict("CredentialBusy", told),
        }
    }
}
