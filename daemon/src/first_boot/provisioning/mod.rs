//! The provisioning file: what an integrator wants of an appliance before anybody has seen it.
//!
//! It is read whole or not at all: [`read`] tells every fault with its line, and nothing is done
//! while there is one.

mod fault;
mod host;
mod ports;
mod table;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::de::DeTable;

use self::fault::{Faults, line_of};
use self::table::Section;
use crate::accounts::FirstAdmin;
use crate::config::Config;
use crate::edge::ports::PortSettings;

pub use self::fault::Fault;
pub use self::host::{Addressing, Host, Network, StaticAddress};

/// Bytes of a file.
pub const MOST_BYTES: usize = 64 * 1024;
/// What a byte-order mark looks like in UTF-8: editors on some systems begin files with it.
const MARK: &str = "\u{feff}";
/// The least cost of the first account's hash, where the boot file asks for no less.
const LEAST_COST: u32 = 12;

/// A file that cannot be used, with every fault.
#[derive(Debug, Error)]
#[error("{}: the provisioning file has {} and nothing of it is done\n{}", path.display(),
    counted(faults.len()), listed(faults))]
pub struct Faulty {
    /// Where it lies.
    pub path: PathBuf,
    /// What is wrong, by line.
    pub faults: Vec<Fault>,
}

fn counted(faults: usize) -> String {
    if faults == 1 { "a fault,".to_owned() } else { format!("{faults} faults,") }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n")
}

/// What a provisioning file asks for.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provisioning {
    /// What belongs to the machine.
    pub host: Host,
    /// The first account.
    pub account: Option<Account>,
    /// The ports.
    pub ports: Option<PortSettings>,
}

/// The first account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// User name.
    pub username: String,
    /// E-mail address; may be empty.
    pub email: String,
    /// A bcrypt hash of the password.
    pub password_hash: String,
}

/// Reads a file's bytes, as they are wanted on an appliance with this boot file. All faults, or
/// none.
pub fn read(bytes: &[u8], config: &Config) -> Result<Provisioning, Vec<Fault>> {
    let text = text(bytes).map_err(|fault| vec![fault])?;
    let mut faults = Faults::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = error.span().map_or(0, |span| span.start);
        faults.broken(place, error.message());
    }
    let mut top = Section::top(document.get_ref());
    let host = host::read(&mut top, &mut faults);
    let account = top.below("account", &mut faults);
    let account = account.and_then(|section| account_of(section, config, &mut faults));
    let ports = top.below("ports", &mut faults);
    let ports = ports.and_then(|section| ports::read(section, config, &mut faults));
    if document.get_ref().is_empty() && faults.is_whole() {
        let fix = "Give it at least a host_name, or delete it.";
        faults.add(1, "", "the file asks for nothing", fix);
    }
    top.finish(&mut faults);
    match faults.into_list() {
        None => Ok(Provisioning { host, account, ports }),
        Some(faults) => Err(faults),
    }
}

/// The bytes as text.
fn text(bytes: &[u8]) -> Result<&str, Fault> {
    let fault = |line, problem: &str, fix: &str| {
        let (problem, fix) = (problem.to_owned(), fix.to_owned());
        Fault { line, key: String::new(), problem, fix }
    };
    if bytes.len() > MOST_BYTES {
        let problem = "the file is larger than 64 KiB";
        return Err(fault(1, problem, "It is no provisioning file: take another one."));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_of(bytes, error.valid_up_to());
        fault(line, "it is no UTF-8 text", "Save the file as plain text in UTF-8.")
    })?;
    Ok(text.strip_prefix(MARK).unwrap_or(text))
}

fn account_of(
    mut section: Section<'_>,
    config: &Config,
    faults: &mut Faults<'_>,
) -> Option<Account> {
    let name = section.text("username", "username = \"olga\"", faults);
    let email = section.text("email", "email = \"olga@example.net\"", faults);
    let hash = section.text("password_hash", "password_hash = \"$2b$12$…\"", faults);
    if let Some((text, place)) = name
        && let Err(error) = FirstAdmin::check_username(text)
    {
        section.fault(faults, ("username", place), &error.to_string(), "Take another one.");
    }
    if let Some((text, place)) = email
        && let Err(error) = FirstAdmin::check_email(text)
    {
        section.fault(faults, ("email", place), &error.to_string(), "Correct it or leave it out.");
    }
    let least = LEAST_COST.min(config.accounts.bcrypt_cost);
    if let Some((text, place)) = hash
        && let Err(error) = FirstAdmin::check_hash(text, least)
    {
        let fix = "A hash has 60 characters; the password itself never stands here.";
        section.fault(faults, ("password_hash", place), &error.to_string(), fix);
    }
    if !section.has("username") {
        section.missing(faults, "username", "Name the first account: username = \"olga\"");
    }
    if !section.has("password_hash") {
        let fix = "Let `aerie hash-password` make one of the first account's password.";
        section.missing(faults, "password_hash", fix);
    }
    section.finish(faults);
    let (username, password_hash) = (name?.0.to_owned(), hash?.0.to_owned());
    let email = email.map_or_else(String::new, |(text, _)| text.to_owned());
    Some(Account { username, email, password_hash })
}

#[cfg(test)]
mod tests;
