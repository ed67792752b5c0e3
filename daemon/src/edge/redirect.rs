//! The plain HTTP port: answers a CA's challenge, sends everybody else to HTTPS, and
//! serves nothing.
//!
//! A login token that is seen here has been seen by the whole way to here: it is told to
//! [`TokenSeen`], which ends it.

use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::header::{HOST, HeaderMap, HeaderValue, LOCATION};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use super::certificate::{CHALLENGE_PATH, Certificates};
use super::plain;
use super::refusal::Refusing;
use super::socket::Socket;

/// Time for the request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Time for the whole connection: one request, one small answer.
const CONNECTION_TIME: Duration = Duration::from_secs(15);
/// Both spellings of the header that carries a login's token.
pub const TOKEN_HEADERS: [&str; 2] = ["x-auth-token", "a-auth-token"];
/// The header that carries an app key.
pub const APP_KEY_HEADER: &str = "x-auth-app-key";
/// hyper's least.
const BUFFER: usize = 8 * 1024;

/// Is told of every login token that came without encryption, and from where.
pub type TokenSeen = dyn Fn(&str, SocketAddr) + Send + Sync;

/// What all connections of the plain ports share.
pub(super) struct Plain {
    pub(super) gui_port: Arc<AtomicU16>,
    pub(super) token_seen: Arc<TokenSeen>,
    pub(super) certificates: Certificates,
}

impl Plain {
    /// Answers one request on a plain connection, whatever it is, and closes.
    pub(super) async fn serve(&self, socket: Socket, peer: SocketAddr) {
        let service = service_fn(|request: Request<_>| {
            self.look_for_tokens(request.headers(), peer);
            let answer = challenge(&request, |token| self.certificates.http01(token));
            let to_https = || to_https(&request, self.gui_port.load(Ordering::Relaxed));
            let answer = answer.unwrap_or_else(to_https);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(BUFFER)
            .keep_alive(false)
            .serve_connection(TokioIo::new(Refusing::new(socket, HeaderMap::new())), service);
        // How it ended does not matter: nothing is kept of it.
        drop(timeout(CONNECTION_TIME, Box::pin(connection)).await);
    }

    fn look_for_tokens(&self, headers: &HeaderMap, peer: SocketAddr) {
        for name in TOKEN_HEADERS.into_iter().chain([APP_KEY_HEADER]) {
            for token in headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()) {
                (self.token_seen)(token, peer);
            }
        }
    }
}

/// The answer to a CA (RFC 8555, section 8.3), if it is one that asks. `answers` knows the tokens
/// that are waited for.
fn challenge<B>(
    request: &Request<B>,
    answers: impl FnOnce(&str) -> Option<String>,
) -> Option<Response<Body>> {
    let token = request.uri().path().strip_prefix(CHALLENGE_PATH)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    Some(match answers(token) {
        Some(answer) => plain::text(StatusCode::OK, answer),
        None => plain::text(StatusCode::NOT_FOUND, "No certificate authority is waited for.\n"),
    })
}

/// 308, so that the method stays what it was.
fn to_https<B>(request: &Request<B>, https_port: u16) -> Response<Body> {
    let Some(host) = host(request) else {
        let sentence = "The Host header must be one host name or address.\n";
        return plain::text(StatusCode::BAD_REQUEST, sentence);
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // `OPTIONS *` has no path to go to.
    let path = if path.starts_with('/') { path } else { "/" };
    let target = format!("{}{path}", https_origin(&host, https_port));
    let Ok(target) = HeaderValue::from_str(&target) else {
        return plain::text(StatusCode::BAD_REQUEST, "The path is not a valid one.\n");
    };
    let mut response = plain::empty(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(LOCATION, target);
    response
}

/// A host and a port as browsers write them: IPv6 in brackets, and no port where it is 443.
pub fn https_origin(host: &str, port: u16) -> String {
    let bare = host.contains(':') && !host.starts_with('[');
    let host = if bare { format!("[{host}]") } else { host.to_owned() };
    match port {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

/// The host that the client asked for, without its port.
pub(super) fn host<B>(request: &Request<B>) -> Option<String> {
    let authority = if let Some(authority) = request.uri().authority() {
        authority.clone()
    } else {
        let mut hosts = request.headers().get_all(HOST).into_iter();
        let host = hosts.next()?;
        if hosts.next().is_some() {
            return None;
        }
        Authority::try_from(host.as_bytes()).ok()?
    };
    let host = authority.host();
    (!authority.as_str().contains('@') && is_host(host)).then(|| host.to_ascii_lowercase())
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    (1..=253).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, hosts: &[&str], port: u16) -> (StatusCode, Option<String>) {
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().unwrap();
        for host in hosts {
            request.headers_mut().append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let response = to_https(&request, port);
        let target = response.headers().get(LOCATION);
        (response.status(), target.map(|target| target.to_str().unwrap().to_owned()))
    }

    fn target(path: &str, host: &str, port: u16) -> String {
        let (status, target) = ask(path, &[host], port);
        assert_eq!(status, StatusCode::PERMANENT_REDIRECT);
        target.unwrap()
    }

    #[test]
    fn p1_the_redirect_keeps_host_path_and_query_and_honours_the_custom_port() {
        assert_eq!(target("/", "aerie.example", 443), "https://aerie.example/");
        assert_eq!(target("/a/b?c=d", "aerie.example:80", 443), "https://aerie.example/a/b?c=d");
        assert_eq!(target("/", "192.0.2.7:8080", 8443), "https://192.0.2.7:8443/");
        assert_eq!(target("/x", "[2001:db8::1]:80", 8443), "https://[2001:db8::1]:8443/x");
        assert_eq!(target("http://other.example/x", "ignored", 443), "https://other.example/x");
        assert_eq!(target("*", "aerie.example", 443), "https://aerie.example/");
    }

    #[test]
    fn p1_a_challenge_that_is_waited_for_is_answered_and_no_other() {
        let ask = |method: Method, path: &str| {
            let mut request = Request::new(());
            *request.method_mut() = method;
            *request.uri_mut() = path.parse().unwrap();
            let known = |token: &str| (token == "known").then(|| "known.thumb".to_owned());
            challenge(&request, known).map(|response| response.status())
        };
        let path = "/.well-known/acme-challenge/known";
        assert_eq!(ask(Method::GET, path), Some(StatusCode::OK));
        assert_eq!(ask(Method::HEAD, path), Some(StatusCode::OK));
        assert_eq!(ask(Method::POST, path), None, "that is redirected like all else");
        for other in ["other", "", "known/", "../known", "known%2f"] {
            let path = format!("/.well-known/acme-challenge/{other}");
            assert_eq!(ask(Method::GET, &path), Some(StatusCode::NOT_FOUND), "{other}");
        }
        assert_eq!(ask(Method::GET, "/.well-known/security.txt"), None);
    }

    #[test]
    fn a_host_that_is_none_is_refused_instead_of_repeated() {
        for bad in ["", "a b", "user@aerie.example", "aerie.example/evil", "[::1", "[x]", "a\"b"] {
            assert_eq!(ask("/", &[bad], 443), (StatusCode::BAD_REQUEST, None), "{bad:?}");
        }
        assert_eq!(ask("/", &[], 443).0, StatusCode::BAD_REQUEST);
        assert_eq!(ask("/", &["a.example", "b.example"], 443).0, StatusCode::BAD_REQUEST);
    }
}
