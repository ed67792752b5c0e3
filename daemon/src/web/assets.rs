//! The web GUI: files that were built into the binary, or stand beside a debug build.
//!
//! Files with a hash in their name never change and are kept for a year; everything else is asked
//! for each time. What no file and no call answers is the GUI's own page, so that a link into it
//! works.

use std::borrow::Cow;
use std::io::Read;
#[cfg(debug_assertions)]
use std::path::Path;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, LOCATION, VARY,
};
use http::{Method, StatusCode};
use rust_embed::EmbeddedFile;

use super::error::ApiError;
use super::routes::method_not_allowed;

/// The GUI's files, inside the binary. `build.rs` lets cargo notice when they change. Scripts and
/// styles are there compressed and in no other form.
#[cfg(not(debug_assertions))]
#[derive(rust_embed::RustEmbed)]
#[folder = "../gui/dist"]
#[allow_missing = true]
#[exclude = "*.js"]
#[exclude = "*.css"]
struct Gui;

/// The GUI's files where the build puts them, read when they are asked for.
#[cfg(debug_assertions)]
struct Gui;

#[cfg(debug_assertions)]
impl Gui {
    fn get(name: &str) -> Option<EmbeddedFile> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gui/dist");
        rust_embed::utils::read_file_from_fs(&folder.join(name)).ok()
    }
}

/// Where the GUI lives.
const BASE: &str = "/nms/";
/// The GUI's page.
const PAGE: &str = "index.html";
/// Compressed forms, the smallest first, and how their files end.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];
/// Paths that are never the GUI's: an unknown call is told so in JSON.
const CALLS: [&str; 4] = ["/nms/api", "/crm", "/v2.1", "/api"];

const FOR_A_YEAR: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_EACH_TIME: HeaderValue = HeaderValue::from_static("no-cache");

/// Answers everything that is no call of the API.
pub(super) async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    if CALLS.iter().any(|call| is_below(path, call)) {
        return ApiError::not_found("There is no such call. See /nms/api/v2.1/openapi.json.")
            .into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed(request.method().clone()).await.into_response();
    }
    if path == "/" {
        return (StatusCode::FOUND, [(LOCATION, BASE)]).into_response();
    }
    match find(path) {
        Found::File(name) => file(&name, request.headers()),
        Found::Page => page(request.headers()),
        Found::Nothing => {
            ApiError::not_found("There is no such file. Load the page again.").into_response()
        }
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    File(String),
    Page,
    Nothing,
}

fn find(path: &str) -> Found {
    let name = path.strip_prefix(BASE).unwrap_or_else(|| path.trim_start_matches('/'));
    let looks_like_file = name.rsplit('/').next().is_some_and(|last| last.contains('.'));
    match name {
        "" | PAGE => Found::Page,
        // In a debug build the name reaches the file system, where it may neither climb nor begin
        // at the root.
        _ if name.split('/').any(|part| part.starts_with('.')) || name.starts_with('/') => {
            Found::Nothing
        }
        _ if looks_like_file && is_there(name) => Found::File(name.to_owned()),
        _ if looks_like_file => Found::Nothing,
        _ => Found::Page,
    }
}

fn page(asked: &HeaderMap) -> Response {
    if Gui::get(PAGE).is_some() { file(PAGE, asked) } else { without_gui() }
}

fn file(name: &str, asked: &HeaderMap) -> Response {
    let Some(form) = smallest(name, asked).or_else(|| plain(name)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, if is_hashed(name) { FOR_A_YEAR } else { ASK_EACH_TIME });
    let tag = form.tag;
    if asked.get(IF_NONE_MATCH).is_some_and(|known| Some(known) == tag.as_ref()) {
        headers.extend(tag.map(|tag| (ETAG, tag)));
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.extend(tag.map(|tag| (ETAG, tag)));
    headers.extend(media_type(name).map(|kind| (CONTENT_TYPE, kind)));
    headers.extend(form.encoding.map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
    let body = match form.data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    (headers, body).into_response()
}

/// One form of a file.
struct Form {
    data: Cow<'static, [u8]>,
    encoding: Option<&'static str>,
    tag: Option<HeaderValue>,
}

fn is_there(name: &str) -> bool {
    Gui::get(name).is_some() || Gui::get(&format!("{name}.gz")).is_some()
}

/// The file as it is, for who takes no compressed form.
fn plain(name: &str) -> Option<Form> {
    if let Some(file) = Gui::get(name) {
        return Some(Form { tag: tag(&file, ""), data: file.data, encoding: None });
    }
    let file = Gui::get(&format!("{name}.gz"))?;
    let mut bytes = Vec::new();
    // It is one of ours, and as long as it was when it was built.
    GzDecoder::new(file.data.as_ref()).read_to_end(&mut bytes).ok()?;
    Some(Form { tag: tag(&file, "-plain"), data: Cow::Owned(bytes), encoding: None })
}

/// The first compressed form that the browser takes and that was built.
fn smallest(name: &str, asked: &HeaderMap) -> Option<Form> {
    ENCODINGS.into_iter().filter(|(encoding, _)| accepts(asked, encoding)).find_map(
        |(encoding, ending)| {
            let file = Gui::get(&format!("{name}{ending}"))?;
            Some(Form { tag: tag(&file, ""), data: file.data, encoding: Some(encoding) })
        },
    )
}

fn accepts(asked: &HeaderMap, encoding: &str) -> bool {
    let values = asked.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        named && !refused
    })
}

fn media_type(name: &str) -> Option<HeaderValue> {
    let guessed = mime_guess::from_path(name).first_or_octet_stream();
    let guessed = guessed.essence_str();
    let text = guessed.starts_with("text/") || guessed.ends_with("javascript");
    let kind = if text { format!("{guessed}; charset=utf-8") } else { guessed.to_owned() };
    HeaderValue::from_str(&kind).ok()
}

/// Says which form it is: two forms never have one tag.
fn tag(file: &EmbeddedFile, form: &str) -> Option<HeaderValue> {
    let hash = URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash());
    HeaderValue::from_str(&format!("\"{hash}{form}\"")).ok()
}

/// Whether the name carries a hash, as the build writes it: `name-Ab3xYz89.js`.
fn is_hashed(name: &str) -> bool {
    let Some(file) = name.strip_prefix("assets/") else { return false };
    let stem = file.split('.').next().unwrap_or_default();
    stem.len() > 9
        && stem.is_char_boundary(stem.len() - 8)
        && stem.get(stem.len() - 9..stem.len() - 8) == Some("-")
}

/// For who runs a binary that was built without the GUI.
fn without_gui() -> Response {
    const TEXT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Aerie</title>\
        <h1>Aerie is running</h1><p>This binary was built without the web GUI. Run \
        <code>make build</code>, or <code>make gui</code> beside a debug build, then load this \
        page again. The API is at <a href=\"/nms/api/v2.1/openapi.json\">/nms/api/v2.1</a>.</p>";
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, ASK_EACH_TIME)], TEXT).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_form_that_it_takes() {
        let asked = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(text));
            headers
        };
        assert!(accepts(&asked("gzip, deflate, br"), "br"));
        assert!(accepts(&asked("GZIP;q=0.5"), "gzip"));
        assert!(!accepts(&asked("br;q=0, gzip"), "br"));
        assert!(!accepts(&asked("identity"), "gzip"));
        assert!(!accepts(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn only_names_with_a_hash_are_kept_for_a_year() {
        assert!(is_hashed("assets/index-BqX2_a9-.js"));
        assert!(is_hashed("assets/inter-latin-DkT3jH8q.woff2"));
        for name in ["index.html", "assets/logo.svg", "favicon-12345678.ico", "assets/-.js"] {
            assert!(!is_hashed(name), "{name}");
        }
    }

    #[test]
    fn links_into_the_gui_are_its_page_and_missing_files_are_not() {
        for link in
            ["/nms/", "/nms/devices", "/nms/devices/6ba7b810", "/devices", "/nms/index.html"]
        {
            assert_eq!(find(link), Found::Page, "{link}");
        }
        for missing in [
            "/nms/assets/gone-12345678.js",
            "/favicon.xyz",
            "/nms/../x.js",
            "/nms/assets/../../package.json",
            "/.env",
            "/nms//etc/host.conf",
            "/nms//etc/passwd",
        ] {
            assert_eq!(find(missing), Found::Nothing, "{missing}");
        }
    }
}
