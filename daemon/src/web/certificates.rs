//! The certificate of the appliance: made here, from a CA, or the owner's own.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::certificate_view::{CertificateView, ChallengeView, NameChecks, OwnVerdict};
use super::error::{ApiError, ErrorBody};
use super::extract::{Caller, JsonBody};
use super::views::{ActionResult, sentence};
use crate::devices::Devices;
use crate::devices::events::{Event, Level};
use crate::edge::{AcmeSettings, CertificateError, Certificates, OwnFiles, OwnPem, Ports};

/// Names that are looked at in one call.
const NAMES: usize = 20;

/// What a CA is to certify.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AcmeRequest {
    /// DNS names, one to twenty.
    names: Vec<String>,
    /// Where the CA writes to.
    #[serde(default)]
    email: Option<String>,
    /// The CA's directory; Let's Encrypt's without it.
    #[serde(default)]
    directory: Option<String>,
    #[serde(default)]
    challenge: ChallengeView,
    /// A root certificate in PEM to trust beside the public ones when talking to the CA.
    #[serde(default)]
    extra_root: Option<String>,
    /// The CA's terms are agreed to.
    terms_agreed: bool,
}

/// Names to look at.
#[derive(Deserialize, ToSchema)]
pub(super) struct NamesRequest {
    names: Vec<String>,
}

/// A certificate of the owner's.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OwnRequest {
    /// The certificate and those between it and its root, in PEM.
    chain: String,
    /// Its private key, in PEM and without a password.
    #[schema(format = Password)]
    key: String,
    /// An RSA certificate beside an ECDSA one, for devices that know no other.
    #[serde(default)]
    rsa_chain: Option<String>,
    /// Its private key.
    #[serde(default)]
    #[schema(format = Password)]
    rsa_key: Option<String>,
}

/// A certificate of the owner's in files on the appliance, which are watched.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OwnFilesRequest {
    chain_file: String,
    key_file: String,
}

/// Nothing is asked for.
#[derive(Deserialize, ToSchema)]
pub(super) struct Nothing {}

type Shown = Result<Json<CertificateView>, ApiError>;

/// What is shown now, where it comes from and how it stands.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/certificate", tag = "front door",
    responses((status = 200, description = "The certificate", body = CertificateView))
)]
pub(super) async fn read(
    State(certificates): State<Certificates>,
    State(ports): State<Ports>,
) -> Json<CertificateView> {
    show(&certificates, &ports).await
}

/// From now on the appliance's own certificate, which nobody vouches for.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/certificate/self-signed", tag = "front door",
    request_body = Nothing,
    responses((status = 200, description = "It is shown", body = CertificateView))
)]
pub(super) async fn use_self_signed(
    State(certificates): State<Certificates>,
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    Caller(login): Caller,
    body: JsonBody<Nothing>,
) -> Shown {
    let JsonBody(Nothing {}) = body;
    certificates.use_self_signed(login.account).await?;
    record(&devices, login.account, "The appliance shows its own, self-signed certificate");
    Ok(show(&certificates, &ports).await)
}

/// From now on a certificate from a CA. What is shown stays until there is one.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/certificate/acme", tag = "front door",
    request_body = AcmeRequest,
    responses((status = 200, description = "It is asked for", body = CertificateView))
)]
pub(super) async fn use_acme(
    State(certificates): State<Certificates>,
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    Caller(login): Caller,
    JsonBody(body): JsonBody<AcmeRequest>,
) -> Shown {
    if !body.terms_agreed {
        return Err(ApiError::bad_request(
            "Agree to the terms of the certificate authority first.",
        ));
    }
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let directory = filled(body.directory);
    let settings = AcmeSettings {
        names: body.names,
        email: filled(body.email),
        directory: directory.unwrap_or_else(|| AcmeSettings::LETS_ENCRYPT.to_owned()),
        challenge: body.challenge.into(),
        extra_root: filled(body.extra_root),
    };
    certificates.use_acme(settings, login.account).await?;
    record(&devices, login.account, "A certificate is asked for from a certificate authority");
    Ok(show(&certificates, &ports).await)
}

/// Asks the CA now instead of at the next attempt.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/certificate/acme/retry", tag = "front door",
    responses(
        (status = 200, description = "It is asked", body = CertificateView),
        (status = 409, description = "The certificate does not come from a CA", body = ErrorBody),
    )
)]
pub(super) async fn retry(
    State(certificates): State<Certificates>,
    State(ports): State<Ports>,
) -> Shown {
    certificates.retry().await?;
    Ok(show(&certificates, &ports).await)
}

/// Asks the CA for a new certificate now.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/refresh-certificate", tag = "front door",
    responses(
        (status = 200, description = "It is asked", body = ActionResult),
        (status = 409, description = "The certificate does not come from a CA", body = ErrorBody),
    )
)]
pub(super) async fn refresh(
    State(certificates): State<Certificates>,
) -> Result<Json<ActionResult>, ApiError> {
    certificates.retry().await?;
    Ok(ActionResult::done("The certificate authority is asked for a new certificate."))
}

/// What a CA would find for some names, as far as can be seen from the appliance.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/certificate/acme/check", tag = "front door",
    request_body = NamesRequest,
    responses((status = 200, description = "What was found", body = NameChecks))
)]
pub(super) async fn check_names(
    State(certificates): State<Certificates>,
    JsonBody(body): JsonBody<NamesRequest>,
) -> Result<Json<NameChecks>, ApiError> {
    if body.names.len() > NAMES || body.names.iter().any(|name| name.len() > 253) {
        return Err(ApiError::bad_request("Give at most twenty names of at most 253 characters."));
    }
    Ok(Json(NameChecks::new(certificates.check_names(&body.names).await)))
}

/// From now on the owner's certificate.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/certificate/own", tag = "front door",
    request_body = OwnRequest,
    responses((status = 200, description = "It is shown", body = CertificateView))
)]
pub(super) async fn use_own(
    State(certificates): State<Certificates>,
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    Caller(login): Caller,
    JsonBody(body): JsonBody<OwnRequest>,
) -> Shown {
    certificates.use_own(&body.pem()?, login.account).await?;
    record(&devices, login.account, "The appliance shows a certificate of your own");
    Ok(show(&certificates, &ports).await)
}

/// What an own certificate would be like. Changes nothing.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/certificate/own/check", tag = "front door",
    request_body = OwnRequest,
    responses((status = 200, description = "It can be used", body = OwnVerdict))
)]
pub(super) async fn check_own(
    State(certificates): State<Certificates>,
    JsonBody(body): JsonBody<OwnRequest>,
) -> Result<Json<OwnVerdict>, ApiError> {
    let (shown, notes) = certificates.judge(&body.pem()?).await?;
    Ok(Json(OwnVerdict::new(shown, notes)))
}

/// From now on the owner's certificate from files on the appliance, and again when they change.
#[utoipa::path(
    put, path = "/nms/api/v2.1/nms/certificate/own-files", tag = "front door",
    request_body = OwnFilesRequest,
    responses((status = 200, description = "It is shown", body = CertificateView))
)]
pub(super) async fn use_own_files(
    State(certificates): State<Certificates>,
    State(ports): State<Ports>,
    State(devices): State<Devices>,
    Caller(login): Caller,
    JsonBody(body): JsonBody<OwnFilesRequest>,
) -> Shown {
    let files = OwnFiles { chain_file: body.chain_file.into(), key_file: body.key_file.into() };
    certificates.use_own_files(files, login.account).await?;
    record(&devices, login.account, "The appliance shows a certificate of your own, from files");
    Ok(show(&certificates, &ports).await)
}

impl OwnRequest {
    fn pem(self) -> Result<OwnPem, ApiError> {
        let rsa = match (self.rsa_chain, self.rsa_key.map(Zeroizing::new)) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            _ => {
                let sentence = "An RSA certificate needs its key, and a key its certificate.";
                return Err(ApiError::bad_request(sentence));
            }
        };
        Ok(OwnPem { chain: self.chain, key: Zeroizing::new(self.key), rsa })
    }
}

async fn show(certificates: &Certificates, ports: &Ports) -> Json<CertificateView> {
    Json(CertificateView::new(certificates.status().await, &ports.picture()))
}

fn record(devices: &Devices, account: uuid::Uuid, message: &str) {
    let event = Event::quiet(Level::Info, "uisp-general", message.to_owned());
    devices.events().record(event.by(account).at_once());
}

impl From<CertificateError> for ApiError {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Unfit(_)
            | CertificateError::Wanted(_)
            | CertificateError::Name(_) => Self::bad_request(sentence(&error)),
            CertificateError::Directory(cause) => Self::bad_request(sentence(&cause)),
            CertificateError::NotAcme => Self::conflict("NotAcme", sentence(&error)),
            CertificateError::Store(_)
            | CertificateError::Seal(_)
            | CertificateError::Make(_)
            | CertificateError::Damaged(_) => Self::internal(error),
        }
    }
}
