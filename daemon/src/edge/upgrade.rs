//! Who knocks at `/` with a WebSocket upgrade: a device of ours, a vendor's, or something else.
//!
//! Decided before the router sees the request, since every layer above costs memory that ten
//! thousand sessions would keep.

use std::net::SocketAddr;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::plain;
use crate::devices::{Admission, Devices};

/// Who has been let through the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guest {
    /// Speaks our protocol.
    Device,
    /// Speaks a vendor's protocol that is not public.
    Vendor,
}

/// Whether this request asks for a WebSocket at `/`, where devices knock.
pub(super) fn is_knock<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.uri().path() == "/"
        && request.version() == Version::HTTP_11
        && tokens(request.headers(), UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
        && tokens(request.headers(), CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
}

/// Answers a knock: who comes in, if anybody, and the answer to send.
pub(super) fn answer<B>(
    request: &Request<B>,
    devices: &Devices,
    source: SocketAddr,
) -> (Option<Guest>, Response<Body>) {
    let headers = request.headers();
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let sentence = "This port speaks version 13 of the WebSocket protocol (RFC 6455).\n";
        let mut response = plain::text(StatusCode::UPGRADE_REQUIRED, sentence);
        let version = HeaderValue::from_static("13");
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
        return (None, response);
    }
    let Some(accept) = headers.get(SEC_WEBSOCKET_KEY).and_then(accept_key) else {
        let sentence = "Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455).\n";
        return (None, plain::text(StatusCode::BAD_REQUEST, sentence));
    };
    let offers = |wanted: &str| tokens(headers, SEC_WEBSOCKET_PROTOCOL).any(|name| name == wanted);
    if offers(aerie_protocol::SUBPROTOCOL) {
        return match devices.admit(source.ip()) {
            Admission::Accept => (Some(Guest::Device), switch(accept, aerie_protocol::SUBPROTOCOL)),
            Admission::RetryAfter(wait) => (None, come_back(wait)),
        };
    }
    if offers(aerie_protocol::VENDOR_SUBPROTOCOL) {
        devices.vendor_seen(source);
        return (Some(Guest::Vendor), switch(accept, aerie_protocol::VENDOR_SUBPROTOCOL));
    }
    let sentence = format!(
        "Devices connect here with the WebSocket subprotocol {}. A browser finds the web GUI at \
         this address over HTTPS.\n",
        aerie_protocol::SUBPROTOCOL
    );
    (None, plain::text(StatusCode::BAD_REQUEST, sentence))
}

fn switch(accept: HeaderValue, subprotocol: &'static str) -> Response<Body> {
    let mut response = plain::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    response
}

fn come_back(wait: std::time::Duration) -> Response<Body> {
    let seconds = wait.as_secs_f32().ceil().max(1.0);
    let sentence = format!("Too many devices connect at once. Come back in {seconds} s.\n");
    let mut response = plain::text(StatusCode::SERVICE_UNAVAILABLE, sentence);
    if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// The answer to a `Sec-WebSocket-Key`, if that is one.
fn accept_key(key: &HeaderValue) -> Option<HeaderValue> {
    let nonce = STANDARD.decode(key.as_bytes()).ok()?;
    (nonce.len() == 16)
        .then(|| derive_accept_key(key.as_bytes()))
        .and_then(|accept| HeaderValue::from_str(&accept).ok())
}

/// The comma-separated words of all headers of that name.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knock(headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn a_knock_is_an_upgrade_to_websocket_at_the_root_alone() {
        let headers = [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")];
        assert!(is_knock(&knock(&headers)));
        assert!(!is_knock(&knock(&headers[..1])));
        assert!(!is_knock(&knock(&[("upgrade", "h2c"), ("connection", "upgrade")])));
        let mut elsewhere = knock(&headers);
        *elsewhere.uri_mut() = "/nms/ws".parse().unwrap();
        assert!(!is_knock(&elsewhere));
        let mut post = knock(&headers);
        *post.method_mut() = Method::POST;
        assert!(!is_knock(&post));
    }

    #[test]
    fn the_answer_to_a_key_is_that_of_rfc_6455_and_only_16_bytes_are_a_key() {
        let sample = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_key(&sample).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for bad in ["", "dGhl", "not base64 at all!!!!!!==", "dGhlIHNhbXBsZSBub25jZQ"] {
            assert_eq!(accept_key(&HeaderValue::from_static(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        let told = |milliseconds| {
            let response = come_back(std::time::Duration::from_millis(milliseconds));
            response.headers()[RETRY_AFTER].to_str().unwrap().to_owned()
        };
        assert_eq!(told(0), "1");
        assert_eq!(told(4_001), "5");
        assert_eq!(told(30_000), "30");
    }
}
