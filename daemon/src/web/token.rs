//! Logins, API tokens and app keys in one list, as the published API has them.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::access;
use super::error::{ApiError, ErrorBody};
use super::extract::{Acting, Caller, Id, JsonBody, Params};
use super::views::{ActionResult, Time};
use crate::accounts::{AccountError, Accounts, Kind, Login, NewToken, Role, TokenEntry};

/// A login, an API token or an app key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub(super) struct TokenView {
    /// Its id, and not the token itself.
    id: Uuid,
    name: String,
    /// Where the last use came from; empty before the first.
    last_ip: String,
    created_at: Time,
    #[schema(required)]
    last_used: Option<Time>,
    /// When it ends unless it is used; null: never.
    #[schema(required)]
    expires_at: Option<Time>,
    /// When it ends whatever happens; null: never.
    #[schema(required)]
    max_expires_at: Option<Time>,
    /// `superadmin`, `admin` or `guest`; of an app key `read` or `write`.
    scope: Vec<String>,
    /// A person's login.
    transient: bool,
    /// This request came with it.
    current_session: bool,
    all_ips_count: usize,
    user_id: Uuid,
    user: TokenUser,
    meta: String,
    /// Addresses that it came from, the latest first; at most 16.
    ips: Vec<TokenAddress>,
    aerie: TokenExtra,
}

/// Whose it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenUser {
    user_id: Uuid,
    username: String,
}

/// An address that it came from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenAddress {
    ip: String,
    first_seen: Time,
    last_seen: Time,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum TokenKind {
    /// A person's login.
    Login,
    /// An API token, for `x-auth-token`.
    Token,
    /// A key of the CRM, for `X-Auth-App-Key`.
    AppKey,
}

/// What the published API has no words for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenExtra {
    kind: TokenKind,
    /// User agent of a login.
    client: String,
    /// May do what a login has to confirm the password for.
    step_up: bool,
    /// Networks that it may come from; empty: from anywhere.
    addresses: Vec<String>,
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub(super) struct NewTokenView {
    #[serde(flatten)]
    entry: TokenView,
    /// The token itself, shown this once.
    token: String,
}

/// What an API token or app key is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewTokenRequest {
    /// At most 20 characters.
    #[serde(default)]
    name: String,
    /// At most 256 characters.
    #[serde(default)]
    meta: String,
    /// `superadmin`, `admin` or `guest`, at most what the account may do; of an app key `read` or
    /// `write`. Left out: the least.
    scope: Option<String>,
    #[serde(default)]
    aerie: NewTokenExtra,
}

/// What the published API has no words for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct NewTokenExtra {
    /// `token`, unless it says `app-key`.
    kind: Option<TokenKind>,
    /// When it ends; left out: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// May do what a login has to confirm the password for. Needs `addresses`.
    step_up: bool,
    /// Networks that it may come from, such as `192.0.2.0/24`; empty: from anywhere.
    addresses: Vec<String>,
}

impl TokenView {
    fn new(entry: TokenEntry, login: &Login) -> Self {
        let kind = match entry.kind {
            Kind::Login => TokenKind::Login,
            Kind::Token => TokenKind::Token,
            Kind::AppKey { .. } => TokenKind::AppKey,
        };
        let ips = entry.seen.into_iter().map(|(ip, first, last)| TokenAddress {
            ip,
            first_seen: Time(first),
            last_seen: Time(last),
        });
        let ips: Vec<TokenAddress> = ips.collect();
        Self {
            id: entry.id,
            name: entry.name,
            last_ip: entry.address,
            created_at: Time(entry.created),
            last_used: entry.last_used.map(Time),
            expires_at: entry.expires.map(Time),
            max_expires_at: entry.latest.map(Time),
            scope: vec![entry.scope],
            transient: kind == TokenKind::Login,
            current_session: entry.id == login.id.guid(),
            all_ips_count: ips.len(),
            user_id: entry.account,
            user: TokenUser { user_id: entry.account, username: entry.username },
            meta: entry.meta,
            ips,
            aerie: TokenExtra {
                kind,
                client: entry.client,
                step_up: entry.step_up,
                addresses: entry.addresses,
            },
        }
    }
}

impl NewTokenRequest {
    fn wanted(self) -> Result<NewToken, ApiError> {
        let scope = self.scope.as_deref();
        let (kind, role) = match self.aerie.kind {
            Some(TokenKind::Login) => {
                return Err(ApiError::bad_request(
                    "A login is begun with POST /nms/api/v2.1/user/login. Make a token or an \
                     app-key here.",
                ));
            }
            Some(TokenKind::AppKey) => match scope {
                None | Some("read") => (Kind::AppKey { write: false }, Role::ReadOnly),
                Some("write") => (Kind::AppKey { write: true }, Role::ReadOnly),
                Some(_) => {
                    return Err(ApiError::bad_request(
                        "The scope of an app key must be read or write.",
                    ));
                }
            },
            Some(TokenKind::Token) | None => {
                let role = Role::from_name(scope.unwrap_or("guest")).ok_or_else(|| {
                    ApiError::bad_request(
                        "The scope of an API token must be superadmin, admin or guest.",
                    )
                })?;
                (Kind::Token, role)
            }
        };
        let NewTokenExtra { expires_at: expires, step_up, addresses, .. } = self.aerie;
        let Self { name, meta, .. } = self;
        Ok(NewToken { kind, name, meta, role, expires, step_up, addresses })
    }
}

/// One's own logins, API tokens and app keys, the last used first.
#[utoipa::path(
    get, path = "/nms/api/v2.1/token", tag = "token",
    params(("all" = Option<bool>, Query, description = "Everybody's; for admins")),
    responses((status = 200, description = "The list", body = Vec<TokenView>))
)]
pub(super) async fn list(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    params: Params,
) -> Result<Json<Vec<TokenView>>, ApiError> {
    let all = params.one::<bool>("all")?.unwrap_or(false);
    if all {
        access::require(&login, Role::Admin)?;
    }
    let entries = accounts.entries((!all).then_some(login.account)).await?;
    Ok(Json(entries.into_iter().map(|entry| TokenView::new(entry, &login)).collect()))
}

/// A login, API token or app key: one's own, or as an admin anybody's.
#[utoipa::path(
    get, path = "/nms/api/v2.1/token/{id}", tag = "token",
    params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 200, description = "It", body = TokenView),
        (status = 404, description = "There is no such login or token", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    id: Id,
) -> Result<Json<TokenView>, ApiError> {
    let id = id.token()?;
    let mine = (login.role != Role::Admin).then_some(login.account);
    let mut entries = accounts.entries(mine).await?.into_iter();
    let found = entries.find(|entry| entry.id == id).ok_or(AccountError::NoToken)?;
    Ok(Json(TokenView::new(found, &login)))
}

/// Makes an API token or an app key. It acts in the name of this account, and never reaches further
/// than the account does.
#[utoipa::path(
    post, path = "/nms/api/v2.1/token", tag = "token", request_body = NewTokenRequest,
    responses(
        (status = 200, description = "It, with the token itself", body = NewTokenView),
        (status = 409, description = "TooManyTokens", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Acting(by): Acting,
    JsonBody(wanted): JsonBody<NewTokenRequest>,
) -> Result<Json<NewTokenView>, ApiError> {
    let wanted = wanted.wanted()?;
    // What came with a guest's token makes no admin's, whoever made that.
    if wanted.role == Role::Admin || wanted.kind != Kind::Token {
        access::require(&login, Role::Admin)?;
    }
    let (entry, token) = accounts.make_token(by, wanted).await?;
    let entry = TokenView::new(entry, &login);
    Ok(Json(NewTokenView { entry, token: token.expose().clone() }))
}

/// Ends a login with its sockets and terminals, or deletes an API token or app key: one's own, or
/// as an admin anybody's.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/token/{id}", tag = "token",
    params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 200, description = "It is worth nothing from now on", body = ActionResult),
        (status = 404, description = "There is no such login or token", body = ErrorBody),
    )
)]
pub(super) async fn end(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    Acting(by): Acting,
    id: Id,
) -> Result<Json<ActionResult>, ApiError> {
    accounts.end_entry(by, login.role, id.token()?).await?;
    Ok(ActionResult::done("It has ended."))
}

/// Ends all one's own logins but the present one.
#[utoipa::path(
    delete, path = "/nms/api/v2.1/token", tag = "token",
    params(("others" = bool, Query, description = "Must be true")),
    responses((status = 200, description = "How many", body = EndedOthers))
)]
pub(super) async fn end_others(
    State(accounts): State<Accounts>,
    Caller(login): Caller,
    params: Params,
) -> Result<Json<EndedOthers>, ApiError> {
    if params.one::<bool>("others")? != Some(true) {
        return Err(ApiError::bad_request(
            "Say ?others=true: then all your logins but this one end.",
        ));
    }
    let ended = accounts.logout_others(&login).await?;
    let message = format!("{ended} of your other logins ended.");
    Ok(Json(EndedOthers { result: true, message, metadata: Ended { ended } }))
}

/// How many logins were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndedOthers {
    result: bool,
    message: String,
    metadata: Ended,
}

/// How many.
#[derive(Debug, Serialize, ToSchema)]
struct Ended {
    ended: usize,
}
