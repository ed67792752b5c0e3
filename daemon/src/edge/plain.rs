//! The few answers that this room gives itself, in plain text.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::headers;

/// An answer that says in one sentence what is wrong and what to do.
pub(super) fn text(status: StatusCode, sentence: impl Into<Body>) -> Response<Body> {
    let mut response = empty(status);
    *response.body_mut() = sentence.into();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    headers::secure(response.headers_mut());
    headers::never_store(response.headers_mut());
    response
}
