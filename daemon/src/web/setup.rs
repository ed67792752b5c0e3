//! The first minutes of an appliance: the set-up code makes the first account.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::Json;
use axum::extract::State;
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::Rooms;
use super::error::{ApiError, ErrorBody};
use super::extract::{JsonBody, Source};
use super::login::token_header;
use super::nms::secret_name;
use crate::accounts::{Account, Accounts, Actor, NewAccount};
use crate::clock;
use crate::devices::Devices;
use crate::devices::events::{Event, Level};
use crate::edge::{AcmeSettings, Certificates, Challenge, Mode};
use crate::network::is_host_name;

/// How far the set-up is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "three of them are published so")]
pub(super) struct SetupState {
    /// There is an account.
    is_configured: bool,
    /// At least one device has been authorised.
    is_first_device_configured: bool,
    /// Always false: the appliance manages no subnet of its own.
    is_subnet_configured: bool,
    /// The appliance's clock shows a time before its program was built.
    is_clock_behind: bool,
    /// What is wrong with a provisioning file that was found, by line. Empty once there is an
    /// account.
    provisioning_faults: Vec<String>,
}

/// What makes the first account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetupRequest {
    /// What stands in the file `setup-code` in the appliance's data, and in its log.
    setup_code: String,
    /// The name or address under which devices reach the appliance.
    hostname: String,
    /// A certificate from Let's Encrypt is wanted for the host name, and its terms are agreed to.
    #[serde(default)]
    use_lets_encrypt: bool,
    /// Taken for compatibility: the licence, Apache 2.0, asks for no confirmation.
    #[serde(default, rename = "eulaConfirmed")]
    _eula_confirmed: Option<bool>,
    user: NewUser,
    /// Error reports may leave the appliance. Nothing is sent yet.
    #[serde(default, rename = "allowLoggingToSentry")]
    _allow_logging_to_sentry: Option<bool>,
}

/// The first account: an admin.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewUser {
    username: String,
    email: String,
    #[schema(format = Password)]
    password: String,
    /// A time zone's name, such as `Europe/Vienna`.
    timezone: String,
    /// A country's code, as text or as a number.
    #[schema(value_type = String)]
    country: Value,
}

/// The appliance is set up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetupAnswer {
    /// The device key: paste it into a device, and the device connects.
    connection_string: String,
    /// Let's Encrypt was wanted and cannot be asked: the host is no public DNS name, or the owner
    /// brought a certificate. Whether it then gives one, tells the certificate's state.
    is_lets_encrypt_error: bool,
}

/// Whether the appliance is set up.
#[utoipa::path(
    get, path = "/nms/api/v2.1/nms/setup", tag = "setup",
    responses((status = 200, description = "How far the set-up is", body = SetupState))
)]
pub(super) async fn state(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    State(rooms): State<Rooms>,
) -> Result<Json<SetupState>, ApiError> {
    let (counts, is_configured) = (devices.counts(), accounts.is_configured());
    let faults = if is_configured { &[][..] } else { &rooms.provisioning_faults };
    Ok(Json(SetupState {
        is_configured,
        is_first_device_configured: counts.active + counts.disconnected > 0,
        is_subnet_configured: false,
        is_clock_behind: clock::is_behind(rooms.clock.now()),
        provisioning_faults: faults.to_vec(),
    }))
}

type Answered = ([(HeaderName, HeaderValue); 1], Json<SetupAnswer>);

/// Makes the first account and logs it in. Works once.
#[utoipa::path(
    post, path = "/nms/api/v2.1/nms/setup", tag = "setup", request_body = SetupRequest,
    responses(
        (status = 200, description = "Set up", body = SetupAnswer,
            headers(("x-auth-token" = String, description = "The new account's token"))),
        (status = 403, description = "SetupCodeWrong", body = ErrorBody),
        (status = 409, description = "AlreadyConfigured", body = ErrorBody),
        (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn set_up(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    State(certificates): State<Certificates>,
    Source(client): Source,
    JsonBody(wanted): JsonBody<SetupRequest>,
) -> Result<Answered, ApiError> {
    if accounts.is_configured() {
        return Err(already_configured());
    }
    let host = host(&wanted.hostname)?;
    let code = Zeroizing::new(wanted.setup_code);
    let password = Zeroizing::new(wanted.user.password);
    let account = NewAccount {
        username: wanted.user.username,
        email: wanted.user.email,
        timezone: wanted.user.timezone,
        country: country(&wanted.user.country)?,
    };
    let (account, token) = accounts.set_up(&code, account, &password, &client).await?;
    let message = format!("The appliance was set up by {}.", account.username);
    let event = Event::quiet(Level::Info, "uisp-general", message).by(account.id).at_once();
    devices.events().record(event);
    devices.keys().set_host(host.clone()).await.map_err(ApiError::internal)?;
    let (key, generation) = devices.keys().named_device_key().map_err(ApiError::internal)?;
    let by = Actor { account: account.id, address: client.address };
    accounts.shows_secret(by, secret_name(generation)).await?;
    let asked = !wanted.use_lets_encrypt || ask_lets_encrypt(&certificates, host, &account).await;
    let answer = SetupAnswer { connection_string: key.to_string(), is_lets_encrypt_error: !asked };
    Ok((token_header(&token)?, Json(answer)))
}

/// `false` where it cannot be asked. The set-up is done all the same.
async fn ask_lets_encrypt(certificates: &Certificates, host: String, account: &Account) -> bool {
    if certificates.status().await.mode != Mode::SelfSigned {
        return false;
    }
    let settings = AcmeSettings {
        names: vec![host],
        email: Some(account.email.clone()),
        directory: AcmeSettings::LETS_ENCRYPT.to_owned(),
        challenge: Challenge::Http01,
        extra_root: None,
    };
    let asked = certificates.use_acme(settings, account.id).await;
    if let Err(error) = &asked {
        tracing::warn!(%error, "Let's Encrypt was wanted at the set-up and is not asked");
    }
    asked.is_ok()
}

/// 409: somebody was faster.
pub(super) fn already_configured() -> ApiError {
    ApiError::conflict(
        "AlreadyConfigured",
        "This appliance is set up already. Log in with an account; if nobody knows the password, \
         run `aerie account reset-password NAME` on the appliance.",
    )
}

/// A host name or an IP address, without port, scheme or path.
pub(super) fn host(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<Ipv6Addr>().is_ok_and(|address| !address.is_unspecified()) {
        return Ok(bare.to_owned());
    }
    if bare.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_unspecified()) || is_host_name(bare)
    {
        return Ok(bare.to_ascii_lowercase());
    }
    Err(ApiError::bad_request(
        "The hostname must be a DNS name such as net.example.org, or an IP address, without \
         https:// and without a port.",
    ))
}

/// The host that a request was sent to, without its port. HTTP/2 has it in the address.
pub(super) fn host_of(uri: &Uri, headers: &HeaderMap) -> Result<String, ApiError> {
    let header = headers.get(HOST).and_then(|value| value.to_str().ok());
    let header = header.and_then(|text| text.parse::<Authority>().ok());
    host(uri.authority().or(header.as_ref()).map_or("", Authority::host))
}

fn country(value: &Value) -> Result<String, ApiError> {
    match value {
        Value::String(code) if code.len() <= 8 => Ok(code.clone()),
        Value::Number(code) => Ok(code.to_string()),
        _ => Err(ApiError::bad_request("The country must be a country's code, such as AT.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for (typed, kept) in [
            ("localhost", "localhost"),
            (" NET.example.org ", "net.example.org"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(host(typed).unwrap(), kept);
        }
        let long = format!("{}.org", "a".repeat(64));
        for bad in [
            "",
            ".",
            "a..b",
            "-a.org",
            "a-.org",
            "https://a.org",
            "a.org:8443",
            "a.org/x",
            "a b",
            "0.0.0.0",
            "::",
            "256.1.1.1",
            "1.2.3",
            "a_b.org",
            "a.org.",
            &long,
        ] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_country_may_be_a_code_or_a_number() {
        assert_eq!(country(&Value::from("AT")).unwrap(), "AT");
        assert_eq!(country(&Value::from(40)).unwrap(), "40");
        assert!(country(&Value::Null).is_err());
    }
}
