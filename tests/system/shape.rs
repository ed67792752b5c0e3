//! The shape of the house: which room may use which, and which outside crate belongs to which room.
//!
//! The two lists below are the design; the tests read the sources and compare. A new line here is a decision: say why in
//! the commit that adds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rooms of `daemon/src` from the roof down, and the rooms below that each may use.
#[rustfmt::skip]
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["run", "healthy", "first_boot", "console", "vault", "config"]),
    ("run", &[
        "watchdog", "web", "first_boot", "console", "edge", "devices", "jobs", "accounts", "vault", "audit", "outbound",
        "seal", "store", "supervisor", "systemd", "config", "clock", "network",
    ]),
    ("watchdog", &["vault", "store", "supervisor", "systemd"]),
    ("healthy", &["console", "outbound", "config", "network"]),
    ("web", &[
        "edge", "devices", "jobs", "accounts", "vault", "audit", "outbound", "supervisor", "config", "clock",
        "network",
    ]),
    // Writes what the rooms below read when they are built.
    ("first_boot", &[
        "edge", "devices", "accounts", "audit", "seal", "store", "config", "clock", "cut", "network",
    ]),
    ("edge", &["devices", "audit", "outbound", "seal", "store", "supervisor", "systemd", "config", "clock", "network"]),
    ("console", &["accounts", "seal", "store", "supervisor", "config", "clock"]),
    ("devices", &["jobs", "accounts", "vault", "audit", "seal", "store", "supervisor", "clock", "cut", "network"]),
    ("jobs", &["audit", "store", "supervisor", "clock", "cut"]),
    ("accounts", &["audit", "seal", "store", "supervisor", "clock", "network"]),
    ("vault", &["audit", "store", "supervisor", "systemd", "config", "clock", "cut"]),
    ("audit", &["store", "clock"]),
    ("outbound", &["store"]),
    ("seal", &["clock"]),
    ("store", &["clock"]),
    ("supervisor", &["cut"]),
    ("systemd", &[]),
    ("config", &[]),
    ("clock", &[]),
    ("cut", &[]),
    ("network", &[]),
];

/// Outside crates that any room may use: words and containers, no door to anywhere.
const EVERYWHERE: &[&str] = &[
    "base64",
    "bytes",
    "futures_util",
    "getrandom",
    "jiff",
    "serde",
    "serde_json",
    "subtle",
    "tempfile",
    "thiserror",
    "tokio",
    "tokio_util",
    "tracing",
    "uuid",
    "zeroize",
];

/// Every other outside crate, and the rooms that may name it.
const CRATES: &[(&str, &[&str])] = &[
    ("aerie_protocol", &["devices", "edge", "web"]),
    ("aes_gcm", &["seal", "vault"]),
    ("argon2", &["vault"]),
    ("aws_lc_rs", &["edge", "outbound"]),
    ("axum", &["web", "edge"]),
    ("bcrypt", &["accounts"]),
    ("bip39", &["vault"]),
    ("clap", &["main"]),
    ("csv", &["vault"]),
    ("flate2", &["web"]),
    ("governor", &["devices", "accounts"]),
    ("hmac", &["seal", "accounts"]),
    ("hpke", &["vault"]),
    ("http", &["web", "edge", "outbound", "devices"]),
    ("http_body_util", &["web", "edge", "outbound"]),
    ("hyper", &["web", "edge", "outbound"]),
    ("hyper_util", &["web", "edge", "outbound"]),
    ("ipnet", &["edge", "outbound", "accounts"]),
    ("mime_guess", &["web"]),
    ("nix", &["run", "first_boot", "console", "edge", "outbound", "supervisor", "seal", "vault"]),
    ("p256", &["vault"]),
    ("rcgen", &["edge", "outbound"]),
    ("redb", &["store"]),
    ("rmp_serde", &["store", "vault"]),
    ("rust_embed", &["web"]),
    ("rustix", &["accounts", "vault"]),
    ("rustls", &["edge", "outbound"]),
    ("rustls_acme", &["edge"]),
    ("rustls_pki_types", &["edge", "outbound"]),
    ("sha2", &["seal", "accounts", "vault", "audit"]),
    ("systemd", &["systemd"]),
    ("thread_priority", &["accounts"]),
    ("tokio_rustls", &["edge", "outbound"]),
    ("tokio_tungstenite", &["devices", "edge"]),
    ("toml", &["config", "first_boot"]),
    ("totp_rs", &["accounts", "vault"]),
    ("tower", &["web", "edge"]),
    ("tower_http", &["web"]),
    ("tracing_subscriber", &["main", "run"]),
    ("unicode_normalization", &["accounts"]),
    ("utoipa", &["web"]),
    ("vsss_rs", &["vault"]),
    ("webauthn_rs", &["accounts"]),
    ("webpki_roots", &["edge", "outbound"]),
    ("x509_parser", &["edge"]),
    ("zeroizing_alloc", &["main"]),
];

/// Words that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "handler", "core", "misc"];

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut complaints = String::new();
    for file in sources("daemon/src") {
        let Some(room) = file.room.as_deref() else { continue };
        let Some(may_use) = allowed.get(room) else {
            let _ = writeln!(
                complaints,
                "{} is a room that the list ROOMS does not know.",
                file.shown()
            );
            continue;
        };
        for used in file.rooms_used(&allowed) {
            if used != room && !may_use.contains(&used.as_str()) {
                let _ = writeln!(
                    complaints,
                    "{} uses the room `{used}`, but `{room}` may use only: {}.",
                    file.shown(),
                    may_use.join(", ")
                );
            }
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn arrows_run_down_only() {
    let order: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for (place, (room, may_use)) in ROOMS.iter().enumerate() {
        for used in *may_use {
            let below = order.iter().position(|name| name == used);
            assert!(
                below.is_some_and(|below| below > place),
                "`{room}` may not use `{used}`: it is not below"
            );
        }
    }
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    let owners: BTreeMap<&str, &[&str]> = CRATES.iter().copied().collect();
    let crates = dependencies("daemon/Cargo.toml");
    let mut complaints = String::new();
    for name in &crates {
        if !EVERYWHERE.contains(&name.as_str()) && !owners.contains_key(name.as_str()) {
            let _ = writeln!(
                complaints,
                "daemon/Cargo.toml brings `{name}`, and no list says which room owns it."
            );
        }
    }
    for file in sources("daemon/src") {
        let Some(room) = file.room.as_deref() else { continue };
        for name in file.crates_used(&crates) {
            if let Some(rooms) = owners.get(name.as_str())
                && !rooms.contains(&room)
            {
                let _ = writeln!(
                    complaints,
                    "{} names the crate `{name}`, which belongs to: {}.",
                    file.shown(),
                    rooms.join(", ")
                );
            }
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn p7_one_room_opens_connections() {
    // The probe of our own ports knocks at what it listens on itself.
    let own_ports = Path::new("edge/accepting.rs");
    for file in sources("daemon/src") {
        let is_test = file.path.iter().any(|part| part == "tests" || part == "tests.rs");
        if file.room.as_deref() == Some("outbound") || file.path.ends_with(own_ports) || is_test {
            continue;
        }
        let code = bare_code(file.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default());
        for door in [
            "TcpStream::connect",
            ".connect(",
            "UdpSocket",
            "UnixDatagram",
            "lookup_host",
            "to_socket_addrs",
        ] {
            assert!(
                !code.contains(door),
                "{} uses {door}: connections are opened by outbound/ alone.",
                file.shown()
            );
        }
    }
}

#[test]
fn the_protocol_does_no_input_or_output() {
    for file in sources("protocol/src") {
        for door in
            ["std::net::Tcp", "std::net::Udp", "std::fs", "std::process", "std::thread", "tokio::"]
        {
            assert!(
                !file.code.contains(door),
                "{} uses {door}: protocol/ works on bytes only.",
                file.shown()
            );
        }
    }
}

#[test]
fn files_have_telling_names_and_stay_short() {
    let mut complaints = String::new();
    for folder in [
        "daemon/src",
        "protocol/src",
        "agent/src",
        "tests/harness",
        "tests/system",
        "tests/simulator",
    ] {
        for file in sources(folder) {
            let stem = file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if EMPTY_NAMES.contains(&stem) {
                let _ = writeln!(
                    complaints,
                    "{}: `{stem}` says nothing, name it after what it does.",
                    file.shown()
                );
            }
            // Tests at a file's end are not what makes it hard to read.
            let lines =
                file.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().lines().count();
            if lines > 500 && stem != "tests" {
                let _ = writeln!(
                    complaints,
                    "{} has {lines} lines before its tests: 500 is the limit.",
                    file.shown()
                );
            }
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// One Rust source file.
struct Source {
    path: PathBuf,
    /// Below which room it lies; none for `lib.rs`, which only lists the rooms.
    room: Option<String>,
    /// How many modules deep it is, so that `super::` can be followed to the crate's root.
    depth: usize,
    text: String,
    /// The text without comments, strings and white space around `::`.
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let base = root().join(folder);
    let mut waiting = vec![base.clone()];
    while let Some(next) = waiting.pop() {
        for entry in
            std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()))
        {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(Source::read(&base, path));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

impl Source {
    fn read(base: &Path, path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let inside = path.strip_prefix(base).expect("below the folder").with_extension("");
        let mut parts: Vec<String> =
            inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|last| last == "mod") {
            parts.pop();
        }
        let room = parts.first().filter(|first| *first != "lib").cloned();
        let code = bare_code(&text);
        Self { path, room, depth: parts.len(), text, code }
    }

    fn shown(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// Rooms named by `crate::room`, `crate::{a, b}`, `aerie::room` or enough `super::`.
    fn rooms_used(&self, rooms: &BTreeMap<&str, &[&str]>) -> BTreeSet<String> {
        let up = "super::".repeat(self.depth);
        let mut used = BTreeSet::new();
        for start in ["crate::", "aerie::", up.as_str()] {
            for (place, _) in self.code.match_indices(start) {
                let before = self.code[..place].chars().next_back();
                if before.is_some_and(|letter| {
                    letter.is_alphanumeric() || letter == '_' || letter == ':'
                }) {
                    continue;
                }
                used.extend(first_names(&self.code[place + start.len()..]));
            }
        }
        used.retain(|name| rooms.contains_key(name.as_str()));
        used
    }

    /// Outside crates named as the beginning of a path.
    fn crates_used(&self, crates: &BTreeSet<String>) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for name in crates {
            let start = format!("{name}::");
            let named = self.code.match_indices(&start).any(|(place, _)| {
                let before = self.code[..place].chars().next_back();
                !before.is_some_and(|letter| {
                    letter.is_alphanumeric() || letter == '_' || letter == ':'
                })
            });
            if named {
                used.insert(name.clone());
            }
        }
        used
    }
}

/// The first names of a use tree: `a::b` gives a; `{a::b, c}` gives a and c.
fn first_names(tree: &str) -> Vec<String> {
    let name_at = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect()
    };
    let Some(list) = tree.strip_prefix('{') else { return vec![name_at(tree)] };
    let mut names = vec![name_at(list)];
    let mut depth = 1;
    for (place, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name_at(&list[place + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Source text without comments, strings, characters, and blanks around `::`.
fn bare_code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if letter == '"' {
            string_length(rest)
        } else if let Some(length) = character_length(rest) {
            length
        } else {
            code.push(letter);
            letter.len_utf8()
        };
        rest = &rest[skipped..];
    }
    let joined: Vec<&str> = code.split("::").map(str::trim).collect();
    joined.join("::")
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (place, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'x'` and `'\n'`, but not a lifetime.
fn character_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if inside.starts_with('\\') {
        return inside
            .char_indices()
            .skip(2)
            .find(|(_, letter)| *letter == '\'')
            .map(|(place, _)| place + 2);
    }
    let first = inside.chars().next()?;
    inside[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// The outside crates of a manifest, as they are written in code.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(manifest)).expect("a manifest");
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = matches!(line.trim(), "[dependencies]" | "[dev-dependencies]");
        } else if inside && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            names.insert(name.replace('-', "_"));
        }
    }
    names.remove("");
    names
}

#[test]
fn the_reader_of_sources_reads_what_it_should() {
    let code = bare_code(
        "use crate::{store::Store, web}; // crate::edge\nlet a = \"crate::seal\"; 'x'; fn f<'a>() {}",
    );
    assert!(
        code.contains("crate::{store::Store, web}")
            && !code.contains("edge")
            && !code.contains("seal")
    );
    assert_eq!(first_names("{store::{a, b}, web}; more"), ["store", "web"]);
    assert_eq!(first_names("clock::Clock"), ["clock"]);
    assert!(dependencies("daemon/Cargo.toml").contains("tokio_rustls"));
}
