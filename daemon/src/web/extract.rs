//! What handlers take out of a request: a JSON body, the query, an id, the login.
//!
//! Everything is bounded before it is parsed, and every refusal is a sentence.

use std::borrow::Cow;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{Extensions, StatusCode};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::error::ApiError;
use crate::accounts::{AccountError, Actor, ClientInfo, Login};
use crate::edge::{APP_KEY_HEADER, ArrivingError, Peer, TOKEN_HEADERS};

/// Bytes of a request's body.
pub(super) const BODY_BYTES: usize = 64 * 1024;
/// Longest token that is looked at, in bytes.
const TOKEN_BYTES: usize = 256;
/// Looked at in place of a token that is longer, or has letters that none has.
const NO_TOKEN: &str = "?";

/// A JSON body of at most 64 KiB.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = to_bytes(request.into_body(), BODY_BYTES).await;
        let bytes = bytes.map_err(|error| unreadable(error, BODY_BYTES))?;
        if bytes.is_empty() {
            return Err(ApiError::bad_request("The request has no body. Send a JSON object."));
        }
        Json::from_bytes(&bytes).map(|Json(body)| Self(body)).map_err(|error| misfit(&error))
    }
}

/// Why a body of at most `limit` bytes was not read.
pub(super) fn unreadable(error: axum::Error, limit: usize) -> ApiError {
    if reason::<LengthLimitError>(&error).is_some() {
        return too_long(limit);
    }
    let status = match reason(&error) {
        Some(ArrivingError::Standstill) => StatusCode::REQUEST_TIMEOUT,
        Some(ArrivingError::Connection(_)) | None => StatusCode::BAD_REQUEST,
    };
    ApiError::new(status, "The request's body did not arrive whole.").because(error)
}

/// 413.
pub(super) fn too_long(limit: usize) -> ApiError {
    let message = format!("The request's body is longer than {} KiB.", limit / 1024);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// The error of this kind that another one came of.
fn reason<E: Error + 'static>(error: &axum::Error) -> Option<&E> {
    let mut because = error.source();
    while let Some(present) = because {
        if let Some(found) = present.downcast_ref() {
            return Some(found);
        }
        because = present.source();
    }
    None
}

/// Says in plain words which field of the body is wrong.
pub(super) fn misfit(error: &JsonRejection) -> ApiError {
    // What stands before the first colon is axum's, what follows is the field and the fault.
    let text = error.body_text();
    let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
    let detail = without_value(detail);
    let sentence = match error {
        JsonRejection::JsonSyntaxError(_) => format!("The request's body is no JSON: {detail}."),
        _ => format!("The request's body is not as this call needs it: {detail}."),
    };
    ApiError::bad_request(sentence)
}

/// Without the value that does not fit: it may be a password.
fn without_value(detail: &str) -> Cow<'_, str> {
    let found = ["invalid type: ", "invalid value: ", "unknown variant "];
    let start = found.into_iter().filter_map(|fault| detail.find(fault)).min();
    // A value may have these words in it too; what is expected has them not.
    let wanted = detail.rfind(", expected ").and_then(|end| detail.get(end..));
    match (start.and_then(|start| detail.get(..start)), wanted) {
        (Some(field), Some(wanted)) => {
            Cow::Owned(format!("{field}{}", wanted.trim_start_matches(", ")))
        }
        _ => Cow::Borrowed(detail),
    }
}

/// The query, as pairs. Lists are written `role=ap&role=router`, `role[]=ap` or `role=ap,router`.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::bad_request("The query after ? cannot be read."))?;
        Ok(Self(pairs))
    }
}

impl Params {
    /// All values of a list, in the order in which they came.
    pub(super) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key.strip_suffix("[]").unwrap_or(key) == name)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
    }

    /// One value as text; an empty one counts as none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// One value, parsed.
    pub(super) fn one<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| parse(name, text)).transpose()
    }

    /// All values of a list, parsed.
    pub(super) fn all<T: FromStr>(&self, name: &str) -> Result<Vec<T>, ApiError> {
        self.list(name).map(|text| parse(name, text)).collect()
    }
}

fn parse<T: FromStr>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        ApiError::bad_request(format!("The query's {name} cannot be {shown:?}."))
    })
}

/// The id in a path. Taking it never fails, so that a bad body is told before an unknown object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(Option<Uuid>);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(text.ok().and_then(|Path(text)| text.parse().ok())))
    }
}

impl Id {
    /// The id, if it is one.
    pub(super) fn any(self) -> Option<Uuid> {
        self.0
    }

    /// As a device's id.
    pub(super) fn device(self) -> Result<Uuid, ApiError> {
        self.0.ok_or_else(no_such_device)
    }

    /// As an account's id.
    pub(super) fn account(self) -> Result<Uuid, ApiError> {
        self.0.ok_or_else(|| AccountError::NoAccount.into())
    }

    /// As the id of a login, token or app key.
    pub(super) fn token(self) -> Result<Uuid, ApiError> {
        self.0.ok_or_else(|| AccountError::NoToken.into())
    }

    /// As a site's id.
    pub(super) fn site(self) -> Result<Uuid, ApiError> {
        self.0.ok_or_else(no_such_site)
    }
}

/// 404 for a device.
pub(super) fn no_such_device() -> ApiError {
    ApiError::not_found("There is no device with this id. It may have been deleted.")
}

/// 404 for a site.
pub(super) fn no_such_site() -> ApiError {
    ApiError::not_found("There is no site with this id. It may have been deleted.")
}

/// Who calls. Only on routes whose access is not public: there the login has been checked.
pub(super) struct Caller(pub(super) Login);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let login = parts.extensions.get::<Login>().copied();
        login.map(Self).ok_or_else(|| ApiError::internal("a public route asked for the login"))
    }
}

/// Who changes something, and from where.
pub(super) struct Acting(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let address = address_of(&parts.extensions);
        let Caller(login) = Caller::from_request_parts(parts, state).await?;
        Ok(Self(Actor { account: login.account, address }))
    }
}

/// Where a request comes from. Without a peer there is no network between: a test, or a part of
/// this process.
pub(super) fn address_of(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<Peer>().map(|Peer(peer)| peer.ip().to_canonical());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Where a request comes from.
pub(super) struct Source(pub(super) ClientInfo);

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self(ClientInfo {
            address: address_of(&parts.extensions),
            agent: agent.unwrap_or_default().chars().take(256).collect(),
        }))
    }
}

/// The token of a request, under either of the header's two spellings.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    TOKEN_HEADERS.into_iter().find_map(|name| headers.get(name)).and_then(bounded)
}

/// The app key of a request.
pub(super) fn app_key(headers: &HeaderMap) -> Option<&str> {
    headers.get(APP_KEY_HEADER).and_then(bounded)
}

fn bounded(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok().filter(|text| text.len() <= TOKEN_BYTES).unwrap_or(NO_TOKEN);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Wanted {
        user: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        password: String,
    }

    async fn refused(body: impl Into<Body>) -> ApiError {
        let request = Request::new(body.into());
        match JsonBody::<Wanted>::from_request(request, &()).await {
            Ok(JsonBody(wanted)) => panic!("{}", wanted.user.password),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn a_wrong_body_is_refused_in_words_that_name_the_field() {
        let error = refused(r#"{"user":{"password":5}}"#).await;
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
        assert!(error.message.contains("user.password"), "{}", error.message);
        assert!(error.message.contains("expected a string"), "{}", error.message);
        let error = refused("{").await;
        assert!(error.message.starts_with("The request's body is no JSON"), "{error}");
        let error = refused("").await;
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn l6_a_value_that_does_not_fit_is_not_told_back_for_it_may_be_a_password() {
        for body in [
            r#"{"user":{"password":314159265}}"#,
            r#"{"user":{"password":-314159.265}}"#,
            r#"{"user":"314159265"}"#,
            r#"{"user":"a, expected 314159265, expected b"}"#,
            r#""invalid type: 314159265""#,
        ] {
            let error = refused(body).await;
            assert_eq!(error.status, StatusCode::BAD_REQUEST);
            assert!(!error.message.contains("314159"), "{}", error.message);
            assert!(error.message.contains(": expected ") || error.message.contains("user: "));
        }
    }

    #[tokio::test]
    async fn a_body_over_64_kib_is_refused_unread() {
        let error = refused(vec![b' '; BODY_BYTES + 1]).await;
        assert_eq!(error.status, StatusCode::PAYLOAD_TOO_LARGE);
        let error = refused(vec![b' '; BODY_BYTES]).await;
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_body_that_stops_and_one_that_breaks_are_told_apart() {
        let broken = |error: Box<dyn Error + Send + Sync>| {
            Body::from_stream(futures_util::stream::iter([Ok("{"), Err(error)]))
        };
        let error = refused(broken(Box::new(ArrivingError::Standstill))).await;
        assert_eq!(error.status, StatusCode::REQUEST_TIMEOUT);
        let error = refused(broken("not a chunk".into())).await;
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn l1_both_spellings_of_the_header_carry_the_token() {
        for name in ["X-Auth-Token", "A-Auth-Token", "x-auth-token"] {
            let mut headers = HeaderMap::new();
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, "abc".parse().unwrap());
            assert_eq!(token(&headers), Some("abc"));
        }
        let mut headers = HeaderMap::new();
        for bad in ["a".repeat(TOKEN_BYTES + 1), "ä".repeat(43)] {
            headers.insert("x-auth-token", HeaderValue::from_str(&bad).unwrap());
            assert_eq!(token(&headers), Some(NO_TOKEN), "it is looked at and is none");
        }
        headers.insert("x-auth-token", HeaderValue::from_static(""));
        assert_eq!(token(&headers), None);
        assert_eq!(token(&HeaderMap::new()), None);
    }

    #[test]
    fn a_list_in_the_query_may_be_written_in_three_ways() {
        let pairs = [("role", "ap"), ("role[]", "router"), ("role", "switch,station"), ("x", "")];
        let params = Params(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        let roles: Vec<&str> = params.list("role").collect();
        assert_eq!(roles, ["ap", "router", "switch", "station"]);
        assert_eq!(params.text("x"), None);
        assert!(params.one::<u32>("role").is_err());
    }
}
