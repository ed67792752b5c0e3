//! Passkeys: one's own, and logging in or stepping up with one.
//!
//! They are offered where browsers take them: by a name, with a certificate that is not of the
//! appliance's own making. Elsewhere the reason is told.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use super::extract::{Acting, Caller, Id, JsonBody, Source};
use super::factors::shown;
use super::login::answer;
use super::user::idle_time;
use super::views::{ActionResult, Time, sentence};
use super::{Rooms, Web};
use crate::accounts::{
    AccountError, Accounts, Answer, FactorError, NewPasskey, PasskeyInfo, Question, RelyingParty,
};
use crate::devices::Devices;
use crate::devices::events::{Event, Level};

/// What passkeys are made for here, or why there can be none.
pub(super) struct Party(pub(super) Result<RelyingParty, &'static str>);

impl axum::extract::FromRequestParts<Web> for Party {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        _: &mut http::request::Parts,
        web: &Web,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&web.rooms))
    }
}

impl Party {
    fn of(rooms: &Rooms) -> Self {
        let Some(host) = rooms.devices.keys().host() else {
            return Self(Err("The appliance has no name yet: finish the set-up."));
        };
        let Some(party) = RelyingParty::new(&host) else {
            return Self(Err(
                "Passkeys belong to a name, and this appliance is known by an address. Give it a \
                 host name first.",
            ));
        };
        if rooms.certificates.is_self_made() {
            return Self(Err(
                "Browsers take passkeys only where they can trust the certificate. Use one from \
                 Let's Encrypt, or your own.",
            ));
        }
        Self(Ok(party))
    }

    /// Refuses with the reason.
    pub(super) fn there(self) -> Result<RelyingParty, ApiError> {
        self.0.map_err(|reason| ApiError::conflict("PasskeysUnavailable", reason))
    }

    /// Whether passkeys of one of these hosts can be used.
    pub(super) fn takes(&self, hosts: &[String]) -> bool {
        self.0.as_ref().is_ok_and(|party| hosts.iter().any(|host| host == party.host()))
    }
}

/// The passkeys of the own account.
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeysView {
    /// Passkeys can be made and used here.
    available: bool,
    /// Why not.
    #[schema(value_type = Option<String>)]
    reason: Option<&'static str>,
    passkeys: Vec<PasskeyView>,
}

/// A passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Passkey)]
pub(super) struct PasskeyView {
    id: Uuid,
    name: String,
    /// The name of the appliance that it was made for.
    host: String,
    created_at: Time,
    #[schema(required)]
    last_used_at: Option<Time>,
    /// The appliance has that name still, and passkeys can be used.
    usable_here: bool,
    /// Ten codes, this one time, where it is the first second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// What to ask the browser for.
#[derive(Serialize, ToSchema)]
pub(super) struct QuestionView {
    /// To answer by, once and within five minutes.
    id: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    #[schema(value_type = Object)]
    options: Value,
}

/// What the browser answered.
#[derive(Deserialize, ToSchema)]
pub(super) struct AnswerBody {
    /// The id of the options.
    id: String,
    /// The credential's `toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
}

/// A new passkey.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewPasskeyBody {
    /// The id of the options.
    id: String,
    /// How it is called; 1 to 64 characters.
    name: String,
    /// The credential's `toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Another name of a passkey.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasskeyName {
    /// 1 to 64 characters.
    name: String,
}

/// Which login a passkey is for.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasskeyWanted {
    /// The `id` of the first step's answer; without it, the passkey is the only factor.
    #[serde(default)]
    token: Option<String>,
}

/// A login with a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PasskeyLogin {
    /// The id of the options.
    id: String,
    /// The credential's `toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
    /// As with the password.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    session_timeout: Option<Value>,
}

impl From<AnswerBody> for Answer {
    fn from(body: AnswerBody) -> Self {
        Self { id: body.id, credential: body.credential }
    }
}

impl PasskeyView {
    fn new(info: PasskeyInfo, usable_here: bool) -> Self {
        Self {
            id: info.id,
            name: info.name,
            host: info.host,
            created_at: Time(info.created),
            last_used_at: info.last_used.map(Time),
            usable_here,
            recovery_codes: None,
        }
    }
}

fn asked(question: Question) -> Json<QuestionView> {
    let Question { id, options } = question;
    Json(QuestionView { id: id.expose().clone(), options })
}

/// The passkeys of the own account, and whether there can be any.
#[utoipa::path(
    get, path = "/nms/api/v2.1/user/passkeys", tag = "user",
    responses((status = 200, description = "The passkeys", body = PasskeysView))
)]
pub(super) async fn list(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    party: Party,
) -> Result<Json<PasskeysView>, ApiError> {
    let passkeys = accounts.passkeys(login.account).await?.into_iter().map(|info| {
        let here = party.takes(std::slice::from_ref(&info.host));
        PasskeyView::new(info, here)
    });
    let passkeys = passkeys.collect();
    let reason = party.0.err();
    Ok(Json(PasskeysView { available: reason.is_none(), reason, passkeys }))
}

/// Begins to enrol a passkey. A second factor has to be proven for it, where there is one.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/passkeys/options", tag = "user",
    responses(
        (status = 200, description = "What to ask the browser for", body = QuestionView),
        (status = 409, description = "PasskeysUnavailable", body = ErrorBody),
    )
)]
pub(super) async fn ask_new(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    party: Party,
) -> Result<Json<QuestionView>, ApiError> {
    Ok(asked(accounts.ask_new_passkey(&login, &party.there()?, &client).await?))
}

/// Enrols the passkey that the browser made. With the first factor come ten recovery codes.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/passkeys", tag = "user", request_body = NewPasskeyBody,
    responses(
        (status = 200, description = "The passkey", body = PasskeyView),
        (status = 400, description = "PasskeyRefused", body = ErrorBody),
        (status = 404, description = "The options are gone", body = ErrorBody),
        (status = 409, description = "PasskeysUnavailable", body = ErrorBody),
    )
)]
pub(super) async fn enrol(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    party: Party,
    JsonBody(body): JsonBody<NewPasskeyBody>,
) -> Result<Json<PasskeyView>, ApiError> {
    let party = party.there()?;
    let NewPasskeyBody { id, name, credential } = body;
    let new = NewPasskey { answer: Answer { id, credential }, name };
    let (info, codes) = accounts.enrol_passkey(&login, &party, new, &client).await?;
    let recovery_codes = codes.as_ref().map(shown);
    Ok(Json(PasskeyView { recovery_codes, ..PasskeyView::new(info, true) }))
}

/// Gives a passkey another name.
#[utoipa::path(
    put, path = "/nms/api/v2.1/user/passkeys/{id}", tag = "user",
    params(("id" = Uuid, Path)), request_body = PasskeyName,
    responses(
        (status = 200, description = "The passkey", body = PasskeyView),
        (status = 404, description = "There is none with this id", body = ErrorBody),
    )
)]
pub(super) async fn rename(
    State(accounts): State<Accounts>,
    Acting(by): Acting,
    id: Id,
    party: Party,
    JsonBody(body): JsonBody<PasskeyName>,
) -> Result<Json<PasskeyView>, ApiError> {
    let id = id.any().ok_or(FactorError::NoPasskey)?;
    let info = accounts.rename_passkey(by, id, &body.name).await?;
    let here = party.takes(std::slice::from_ref(&info.host));
    Ok(Json(PasskeyView::new(info, here)))
}

/// Removes a passkey. A second factor has to be proven for it.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/user/passkeys/{id}", tag = "user",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Removed", body = ActionResult),
        (status = 404, description = "There is none with this id", body = ErrorBody),
        (status = 409, description = "LastFactor: one is required", body = ErrorBody),
    )
)]
pub(super) async fn remove(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    let id = id.any().ok_or(FactorError::NoPasskey)?;
    accounts.remove_passkey(&login, id, &client).await?;
    Ok(ActionResult::done("The passkey is removed."))
}

/// Begins a login with a passkey: as its second step, or alone.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/login/passkey/options", tag = "user",
    request_body = PasskeyWanted,
    responses(
        (status = 200, description = "What to ask the browser for", body = QuestionView),
        (status = 404, description = "The first step was too long ago, or is not known",
            body = ErrorBody),
        (status = 409, description = "PasskeysUnavailable", body = ErrorBody),
    )
)]
pub(super) async fn ask_for_login(
    State(accounts): State<Accounts>,
    Source(client): Source,
    party: Party,
    JsonBody(wanted): JsonBody<PasskeyWanted>,
) -> Result<Json<QuestionView>, ApiError> {
    let party = party.there()?;
    Ok(asked(accounts.ask_for_passkey(&party, wanted.token.as_deref(), &client).await?))
}

/// Logs in with the passkey that the browser answered with.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/login/passkey", tag = "user", request_body = PasskeyLogin,
    responses(
        (status = 200, description = "The account", body = super::user_view::UserView,
            headers(("x-auth-token" = String, description = "The token"))),
        (status = 401, description = "PasskeyRefused", body = ErrorBody),
        (status = 404, description = "The options are gone", body = ErrorBody),
        (status = 409, description = "PasskeysUnavailable", body = ErrorBody),
    )
)]
pub(super) async fn login(
    State(accounts): State<Accounts>,
    State(devices): State<Devices>,
    Source(client): Source,
    party: Party,
    JsonBody(wanted): JsonBody<PasskeyLogin>,
) -> Result<Response, ApiError> {
    let party = party.there()?;
    let idle = wanted.session_timeout.as_ref().map_or(Ok(None), idle_time)?;
    let proof = Answer { id: wanted.id, credential: wanted.credential };
    match accounts.login_with_passkey(&party, proof, idle, &client).await {
        Ok(entered) => answer(&accounts, &devices, entered, &client).await,
        Err(AccountError::NoLogin | AccountError::Factor(FactorError::PasskeyWrong)) => {
            let message = format!("A login from {} failed: wrong passkey.", client.address);
            devices.events().record(Event::noisy(Level::Warning, "login", message));
            let told = sentence(&FactorError::PasskeyWrong);
            Err(ApiError::new(StatusCode::UNAUTHORIZED, told).named("PasskeyRefused"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Begins a step-up with a passkey.
#[utoipa::path(
    post, path = "/nms/api/v2.1/user/step-up/passkey/options", tag = "user",
    responses(
        (status = 200, description = "What to ask the browser for", body = QuestionView),
        (status = 400, description = "PasskeyRefused: the account has none", body = ErrorBody),
        (status = 409, description = "PasskeysUnavailable", body = ErrorBody),
    )
)]
pub(super) async fn ask_to_step_up(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Source(client): Source,
    party: Party,
) -> Result<Json<QuestionView>, ApiError> {
    Ok(asked(accounts.ask_to_step_up(&login, &party.there()?, &client).await?))
}
