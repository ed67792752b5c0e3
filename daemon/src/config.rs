//! The boot file: few keys, read once.
//!
//! Every key has a default. A key that is not known is refused, because a typing error that is
//! passed over in silence costs a night. What an owner changes while the daemon runs stands in the
//! store and not here.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/aerie/aerie.toml";

/// Each key with an example, for the advice beside an error.
const KEYS: &[(&str, &str, &str)] = &[
    ("", "data_dir", r#"data_dir = "/var/lib/aerie""#),
    ("http", "listen", r#"listen = ["0.0.0.0:80", "[::]:80"]"#),
    ("https", "listen", r#"listen = ["0.0.0.0:443", "[::]:443"]"#),
    ("inform", "listen", r#"listen = ["0.0.0.0:8444", "[::]:8444"]"#),
    ("certificate", "chain", r#"chain = "/etc/aerie/chain.pem""#),
    ("certificate", "key", r#"key = "/etc/aerie/key.pem""#),
    ("accounts", "bcrypt_cost", "bcrypt_cost = 12"),
    ("devices", "connects_per_second", "connects_per_second = 2000"),
    ("devices", "status_interval", "status_interval = 60"),
    ("vault", "socket", r#"socket = "/run/aerie/vault.sock""#),
    ("vault", "dir", r#"dir = "/var/lib/aerie-vault""#),
    ("vault", "user", r#"user = "aerie""#),
    ("log", "level", r#"level = "info""#),
];

/// What the boot file says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder for everything that is kept. A relative path counts from the working directory.
    pub data_dir: PathBuf,
    /// Plain HTTP: a redirect to HTTPS and nothing else.
    pub http: Http,
    /// GUI and API.
    pub https: Https,
    /// A port of its own for devices; without it they use HTTPS.
    pub inform: Option<Inform>,
    /// The owner's own certificate, until an admin chooses another in Settings.
    pub certificate: Certificate,
    /// How passwords are kept.
    pub accounts: Accounts,
    /// Bounds for devices.
    pub devices: Devices,
    /// The vault's process.
    pub vault: Vault,
    /// What is told on standard error.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/aerie"),
            http: Http::default(),
            https: Https::default(),
            inform: None,
            certificate: Certificate::default(),
            accounts: Accounts::default(),
            devices: Devices::default(),
            vault: Vault::default(),
            log: Log::default(),
        }
    }
}

/// The section `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Addresses and ports. Empty: plain HTTP is off.
    pub listen: Vec<SocketAddr>,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: everywhere(80) }
    }
}

/// The section `[https]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Https {
    /// Addresses and ports; at least one.
    pub listen: Vec<SocketAddr>,
}

impl Default for Https {
    fn default() -> Self {
        Self { listen: everywhere(443) }
    }
}

/// The section `[inform]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inform {
    /// Addresses and ports. Empty: devices use HTTPS.
    pub listen: Vec<SocketAddr>,
}

/// The section `[certificate]`: the owner's own certificate, in files that are watched. Without it
/// the appliance makes one. Both keys, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certificate {
    /// The certificate, and those between it and its root, in PEM.
    pub chain: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
}

/// Lowest and highest cost of bcrypt. A debug build takes less: thousands of tests hash passwords.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> =
    if cfg!(debug_assertions) { 4..=16 } else { 12..=16 };

/// The section `[accounts]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// The cost of bcrypt, 12 to 16: one more makes a password's hash twice as dear, for the
    /// appliance and for whoever has stolen it. A hash that is cheaper is made anew at its account's
    /// next login.
    pub bcrypt_cost: u32,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { bcrypt_cost: 12 }
    }
}

/// The section `[devices]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Devices {
    /// Connections let in a second, all devices together; the rest is told when to come back.
    pub connects_per_second: NonZeroU32,
    /// Seconds between status reports of a device that nobody looks at, 2 to 3600.
    pub status_interval: u32,
}

impl Default for Devices {
    fn default() -> Self {
        Self { connects_per_second: const { NonZeroU32::new(2_000).unwrap() }, status_interval: 60 }
    }
}

/// The section `[vault]`, read by the daemon and by `aerie vault`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// The socket of a vault process that is a unit of its own and outlives the daemon. Without it
    /// the process is the daemon's child, and keeps its own in `data_dir`.
    pub socket: Option<PathBuf>,
    /// The directory of a vault process that is a unit of its own.
    pub dir: PathBuf,
    /// The user that the daemon runs as, where that is neither root nor the vault's own.
    pub user: Option<String>,
}

impl Default for Vault {
    fn default() -> Self {
        Self { socket: None, dir: PathBuf::from("/var/lib/aerie-vault"), user: None }
    }
}

/// The section `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important line that is still told.
    pub level: Level,
}

/// How important a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something will break, or was refused.
    Warn,
    /// What an owner wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

fn everywhere(port: u16) -> Vec<SocketAddr> {
    let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    all.map(|address| SocketAddr::new(address, port)).to_vec()
}

/// Why the boot file cannot be used. The process ends with status 78 (`EX_CONFIG`).
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: the config file cannot be read; check its path and permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It says something that cannot be.
    #[error("{}, line {line}: {problem}{}\n  {fix}", path.display(), shown(text))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// That line.
        text: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
}

fn shown(line: &str) -> String {
    if line.trim().is_empty() { String::new() } else { format!("\n  > {}", line.trim()) }
}

impl Config {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads [`DEFAULT_PATH`], or takes the defaults when there is no such file.
    pub fn load_default() -> Result<Self, ConfigError> {
        match Self::load(Path::new(DEFAULT_PATH)) {
            Err(ConfigError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Self::default())
            }
            loaded => loaded,
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| explain(text, path, &error))?;
        config.check().map_err(|(section, key, problem)| {
            let line = line_of(text, section, key);
            wrong(text, path, line, problem.to_owned())
        })?;
        Ok(config)
    }

    /// What the types cannot say: section, key and problem of the first fault.
    fn check(&self) -> Result<(), (&'static str, &'static str, &'static str)> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(("", "data_dir", "data_dir is empty"));
        }
        if self.https.listen.is_empty() {
            return Err(("https", "listen", "[https] listen is empty: nobody could reach the GUI"));
        }
        if !(2..=3600).contains(&self.devices.status_interval) {
            let problem = "status_interval must be 2 to 3600 seconds";
            return Err(("devices", "status_interval", problem));
        }
        if !BCRYPT_COSTS.contains(&self.accounts.bcrypt_cost) {
            let problem = "bcrypt_cost must be 12 to 16";
            return Err(("accounts", "bcrypt_cost", problem));
        }
        self.certificate.check()?;
        self.vault.check()?;
        let inform = self.inform.as_ref().map_or(&[][..], |inform| &inform.listen);
        let sections = [
            ("http", &self.http.listen[..]),
            ("https", &self.https.listen[..]),
            ("inform", inform),
        ];
        let mut taken: Vec<SocketAddr> = Vec::new();
        for (section, listen) in sections {
            for address in listen {
                // Port 0 is a new port each time.
                if address.port() != 0 && taken.contains(address) {
                    return Err((section, "listen", "an address and port stands there twice"));
                }
                taken.push(*address);
            }
        }
        Ok(())
    }
}

impl Certificate {
    fn check(&self) -> Result<(), (&'static str, &'static str, &'static str)> {
        match (&self.chain, &self.key) {
            (Some(_), None) => Err(("certificate", "chain", "a chain needs its key too")),
            (None, Some(_)) => Err(("certificate", "key", "a key needs its chain too")),
            (Some(chain), _) if !chain.is_absolute() => {
                Err(("certificate", "chain", "the path must begin with /"))
            }
            (_, Some(key)) if !key.is_absolute() => {
                Err(("certificate", "key", "the path must begin with /"))
            }
            _ => Ok(()),
        }
    }
}

impl Vault {
    fn check(&self) -> Result<(), (&'static str, &'static str, &'static str)> {
        if self.socket.as_ref().is_some_and(|socket| !socket.is_absolute()) {
            return Err(("vault", "socket", "the path must begin with /"));
        }
        if !self.dir.is_absolute() {
            return Err(("vault", "dir", "the path must begin with /"));
        }
        Ok(())
    }
}

fn explain(text: &str, path: &Path, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count() + 1;
    wrong(text, path, line, error.message().trim_end().replace('\n', ", "))
}

fn wrong(text: &str, path: &Path, line: usize, problem: String) -> ConfigError {
    let fix = advice(text, line);
    let text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
    ConfigError::Wrong { path: path.to_owned(), line, text, problem, fix }
}

/// How the key of a line is written, or which keys there are.
fn advice(text: &str, line: usize) -> String {
    let mut section = "";
    let mut key = "";
    for text in text.lines().take(line).map(str::trim) {
        if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            (section, key) = (name.trim(), "");
        } else if let Some((name, _)) = text.split_once('=') {
            key = name.trim();
        }
    }
    let known = KEYS.iter().find(|(of, name, _)| (*of, *name) == (section, key));
    if let Some((_, _, example)) = known {
        return format!("Write it like this: {example}");
    }
    let of_section: Vec<&str> =
        KEYS.iter().filter(|(of, _, _)| *of == section).map(|(_, name, _)| *name).collect();
    if of_section.is_empty() {
        return "The sections are [http], [https], [inform], [certificate], [accounts], [devices], \
                [vault] and [log]."
            .to_owned();
    }
    let place =
        if section.is_empty() { "At the top".to_owned() } else { format!("In [{section}]") };
    format!("{place} there is: {}. Correct the line or take it out.", of_section.join(", "))
}

/// The line of a key, or of its section, or the first.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let (mut inside, mut found) = ("", 1);
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim();
            if inside == section {
                found = number + 1;
            }
        } else if inside == section
            && line.split_once('=').is_some_and(|(name, _)| name.trim() == key)
        {
            return number + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/aerie/aerie.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_has_a_default() {
        let config = parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.https.listen, ["0.0.0.0:443", "[::]:443"].map(|a| a.parse().unwrap()));
        for section in ["http", "https", "log"] {
            assert_eq!(parse(&format!("[{section}]\n")).unwrap(), Config::default());
        }
        assert_eq!(parse("[inform]\n").unwrap().inform, Some(Inform::default()));
    }

    #[test]
    fn what_is_written_counts() {
        let config = parse(
            "data_dir = \"var\"\n[http]\nlisten = []\n[https]\nlisten = [\"127.0.0.1:0\"]\n\
             [inform]\nlisten = [\"127.0.0.1:0\"]\n[log]\nlevel = \"debug\"\n",
        )
        .unwrap();
        assert_eq!(config.data_dir, Path::new("var"));
        assert!(config.http.listen.is_empty());
        assert_eq!(config.https.listen, config.inform.unwrap().listen);
        assert_eq!(config.log.level.to_string(), "debug");
    }

    #[test]
    fn a_fault_names_file_line_key_and_fix() {
        let cases = [
            ("data_dir = 7", 1, "data_dir", "data_dir = \"/var/lib/aerie\""),
            ("\ndata_dirr = \"x\"", 2, "data_dirr", "data_dir"),
            ("[https]\nlisten = [\"nowhere\"]", 2, "listen", "0.0.0.0:443"),
            ("[https]\nlisten = [\n  \"127.0.0.1:1\",\n  \"x\",\n]", 4, "\"x\"", "0.0.0.0:443"),
            ("[https]\nport = 1", 2, "port", "listen"),
            ("[log]\nlevel = \"chatty\"", 2, "level", "level = \"info\""),
            ("[ssh]\nlisten = []", 1, "ssh", "[inform]"),
            ("data_dir = ", 1, "data_dir", "/var/lib/aerie"),
            ("[https]\nlisten = []", 2, "listen", "0.0.0.0:443"),
            ("[http]\nlisten = [\"[::]:1\"]\n[https]\nlisten = [\"[::]:1\"]", 4, "twice", "443"),
            ("data_dir = \"\"", 1, "data_dir", "/var/lib/aerie"),
            ("[certificate]\nchain = \"/c.pem\"", 2, "key", "chain.pem"),
            ("[accounts]\nbcrypt_cost = 3", 2, "12 to 16", "bcrypt_cost = 12"),
            ("[accounts]\nbcrypt_cost = 17", 2, "12 to 16", "bcrypt_cost = 12"),
            ("[vault]\nsocket = \"v.sock\"", 2, "begin with /", "/run/aerie"),
            ("[vault]\nsock = \"/v\"", 2, "sock", "dir, user"),
            ("[certificate]\nchain = \"c.pem\"\nkey = \"/k.pem\"", 2, "begin with /", "/etc"),
        ];
        for (text, line, named, fix) in cases {
            let told = parse(text).unwrap_err();
            assert!(told.starts_with("/etc/aerie/aerie.toml, line "), "{told}");
            assert!(told.contains(&format!("line {line}:")), "{text:?}: {told}");
            assert!(told.contains(named) && told.contains(fix), "{text:?}: {told}");
        }
    }

    #[test]
    fn l6_a_build_for_owners_takes_no_cheap_hash() {
        let cheap = parse("[accounts]\nbcrypt_cost = 11");
        assert_eq!(cheap.is_ok(), cfg!(debug_assertions), "{cheap:?}");
        assert_eq!(parse("[accounts]\nbcrypt_cost = 13").unwrap().accounts.bcrypt_cost, 13);
        assert_eq!(Config::default().accounts.bcrypt_cost, 12);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let told = Config::load(Path::new("/nowhere/aerie.toml")).unwrap_err().to_string();
        assert!(told.contains("/nowhere/aerie.toml"), "{told}");
    }
}
