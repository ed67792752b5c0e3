//! The few answers that this room gives itself, in plain text.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
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

/// The same in the bytes of HTTP/1.1, the last of its connection, with `more` headers.
pub(super) fn whole(status: StatusCode, sentence: &'static str, more: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let length = sentence.len();
    let mut whole = format!(
        "HTTP/1.1 {} {reason}\r\nconnection: close\r\ncontent-length: {length}\r\n",
        status.as_str()
    )
    .into_bytes();
    for (name, value) in text(status, sentence).headers().iter().chain(more) {
        whole.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    whole.extend([b"\r\n", sentence.as_bytes()].concat());
    whole
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    headers::secure(response.headers_mut());
    headers::never_store(response.headers_mut());
    response
}
