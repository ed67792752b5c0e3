//! What a caller is told when something is refused, and the one place where the cause is logged.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::edge::RequestId;

/// A refusal as the API words it: what happened, and what to do.
///
/// `error` is a word for programs, `message` a sentence for people. The cause never leaves the
/// appliance: it goes to the log, beside the request id that the caller sees in `x-request-id`.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    error: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub(super) struct ErrorBody {
    /// The HTTP status again.
    #[schema(minimum = 400, maximum = 599)]
    status_code: u16,
    /// A word that a program can rely on, such as `StepUpRequired`.
    error: Cow<'static, str>,
    /// What happened and what to do, for people.
    message: Cow<'static, str>,
}

/// The causes behind an answer, on their way to the log.
#[derive(Clone)]
struct Causes(Arc<str>);

impl ApiError {
    /// A refusal whose word is the status' own phrase.
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let error = status.canonical_reason().unwrap_or("Error").into();
        Self { status, error, message: message.into(), retry_after: None, source: None }
    }

    /// The same with a word of its own.
    pub(super) fn named(self, error: &'static str) -> Self {
        Self { error: error.into(), ..self }
    }

    /// 400: the request cannot be understood or breaks a rule.
    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401: no login, or one that has ended.
    pub(super) fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 403: this login may not.
    pub(super) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 403: the login is too old for a risky act.
    pub(super) fn step_up_required() -> Self {
        Self::forbidden(
            "Confirm your password first: your login is older than five minutes. Send it to POST \
             /nms/api/v2.1/user/step-up, then try again.",
        )
        .named("StepUpRequired")
    }

    /// 404: no such object.
    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 409: the state of things does not allow it now.
    pub(super) fn conflict(error: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, message).named(error)
    }

    /// 429: too many attempts.
    pub(super) fn throttled(wait: Duration) -> Self {
        let seconds = whole_seconds(wait);
        let message = format!("Too many attempts. Wait {seconds} s, then try again.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, message).retry_in(wait)
    }

    /// 500: it is our fault.
    pub(super) fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The appliance could not do this, and nothing was changed. Try again; if it fails \
             again, look in the appliance's log for this answer's x-request-id.",
        )
        .because(source)
    }

    /// Says when to come back.
    pub(super) fn retry_in(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Keeps the cause for the log.
    pub(super) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.error, self.message)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let causes = self.source.as_deref().map(chain);
        let body = ErrorBody {
            status_code: self.status.as_u16(),
            error: self.error,
            message: self.message,
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if let Some(causes) = causes {
            response.extensions_mut().insert(Causes(causes));
        }
        response
    }
}

/// Writes the causes behind an answer to the log, once, under the request's id.
pub(super) fn log_causes(
    response: &Response,
    method: &Method,
    path: &str,
    request: Option<RequestId>,
) {
    let Some(Causes(causes)) = response.extensions().get::<Causes>() else { return };
    let status = response.status().as_u16();
    let request = request.map(|request| request.to_string()).unwrap_or_default();
    if response.status().is_server_error() {
        tracing::error!(%request, %method, path, status, causes = %causes, "a request failed");
    } else {
        tracing::debug!(%request, %method, path, status, causes = %causes, "a request was refused");
    }
}

/// An error and everything behind it, in one line.
fn chain(error: &(dyn Error + Send + Sync + 'static)) -> Arc<str> {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing into a string cannot fail.
        write!(line, ": {cause}").ok();
        next = cause.source();
    }
    line.into()
}

/// Never less than one: "wait 0 s" would be wrong.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(4_001)), 5);
        let response = ApiError::throttled(Duration::from_millis(1_500)).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn the_causes_go_to_the_log_and_not_to_the_caller() {
        let cause = std::io::Error::other("the disk burns");
        let error = ApiError::internal(cause);
        assert!(!error.message.contains("burns"));
        let response = error.into_response();
        assert_eq!(&*response.extensions().get::<Causes>().unwrap().0, "the disk burns");
    }

    #[test]
    fn the_word_is_the_phrase_of_the_status_unless_named() {
        assert_eq!(ApiError::not_found("x").error, "Not Found");
        assert_eq!(ApiError::conflict("SiteNotEmpty", "x").error, "SiteNotEmpty");
        assert_eq!(ApiError::step_up_required().error, "StepUpRequired");
        assert_eq!(ApiError::step_up_required().status, StatusCode::FORBIDDEN);
    }
}
