//! Security headers: what every answer tells a browser never to do with it.
//!
//! `web` puts them on every answer of the GUI and the API, this room on its own few.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// Nothing, except what the GUI is made of, and only from the appliance itself.
/// `img-src data:` is the QR code of the device key, which must not be a file that a cache keeps.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Browser features that the GUI never uses, so that a script smuggled into it cannot either.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), \
     display-capture=(), encrypted-media=(), geolocation=(), gyroscope=(), magnetometer=(), \
     microphone=(), midi=(), payment=(), screen-wake-lock=(), serial=(), usb=(), \
     xr-spatial-tracking=()";

const ON_EVERY_ANSWER: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Puts the security headers on an answer, over whatever stood there.
pub fn secure(headers: &mut HeaderMap) {
    headers.reserve(ON_EVERY_ANSWER.len());
    for (name, value) in ON_EVERY_ANSWER {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Tells browsers for a year to come by HTTPS alone (RFC 6797).
const STRICT: &str = "max-age=31536000";
const STRICT_BELOW: &str = "max-age=31536000; includeSubDomains";

/// Tells a browser to come to this host by HTTPS alone from now on. For answers over TLS.
pub(super) fn stay_secure(headers: &mut HeaderMap, include_sub_domains: bool) {
    let value = if include_sub_domains { STRICT_BELOW } else { STRICT };
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(value));
}

/// Whether a browser can be told so about this host: an address is no name (RFC 6797, section
/// 8.1.1), and `localhost` belongs to everything on a machine.
pub(super) fn can_stay_secure(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let last = host.rsplit('.').next().unwrap_or_default();
    !host.is_empty()
        && !last.eq_ignore_ascii_case("localhost")
        && !host.starts_with('[')
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Forbids browsers and proxies to keep an answer: for everything that the API says.
pub fn never_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inline_and_nothing_from_elsewhere_is_allowed() {
        let mut headers = HeaderMap::new();
        secure(&mut headers);
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "));
        for bad in ["unsafe", "*", "http:", "https:", "blob:", "  ", "\n"] {
            assert!(!policy.contains(bad), "{bad:?} in {policy}");
        }
    }

    #[test]
    fn p6_only_a_name_is_told_to_stay_with_https() {
        for name in ["aerie.example", "AERIE.example.", "aerie"] {
            assert!(can_stay_secure(name), "{name}");
        }
        for other in ["localhost", "me.LOCALHOST", "192.0.2.7", "[2001:db8::1]", "", "."] {
            assert!(!can_stay_secure(other), "{other:?}");
        }
    }

    #[test]
    fn a_weaker_header_of_a_lower_layer_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("unsafe-url"));
        secure(&mut headers);
        secure(&mut headers);
        assert_eq!(headers.get_all(REFERRER_POLICY).iter().count(), 1);
        assert_eq!(headers[REFERRER_POLICY], "no-referrer");
        assert_eq!(headers.len(), ON_EVERY_ANSWER.len());
    }
}
