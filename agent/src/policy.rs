//! What this device allows: its own file, which the appliance cannot change.

use std::{
    io,
    path::{Path, PathBuf},
};

use aerie_protocol::inform::MAX_ACCOUNTS;
use serde::Deserialize;
use thiserror::Error;

/// Where the file is looked for when nobody names another.
pub const DEFAULT_PATH: &str = "/etc/aerie-agent.toml";

/// A policy file is a page of text; anything longer is a mistake.
const LONGEST_FILE: u64 = 64 * 1024;

/// Linux has no longer names of accounts.
const LONGEST_ACCOUNT: usize = 32;

/// What the device allows the appliance to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What a terminal runs.
    pub terminal: TerminalPolicy,
    /// Which commands are carried out.
    pub commands: CommandPolicy,
    /// Whose passwords the appliance may set.
    pub passwords: PasswordPolicy,
    /// Where it stands, for whoever wants it changed.
    pub file: PathBuf,
}

impl Default for Policy {
    /// What holds without a file.
    fn default() -> Self {
        Self {
            terminal: TerminalPolicy::default(),
            commands: CommandPolicy::default(),
            passwords: PasswordPolicy::default(),
            file: PathBuf::from(DEFAULT_PATH),
        }
    }
}

/// What a terminal runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TerminalPolicy {
    /// `login(1)`: the device asks for its own account and password.
    #[default]
    Login,
    /// The shell of one named account, without asking.
    Shell {
        /// The account's name.
        user: String,
    },
    /// No terminal at all.
    Off,
}

/// Which commands are carried out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommandPolicy {
    /// The appliance may restart the device.
    pub restart: bool,
    /// The appliance may make the device show itself.
    pub locate: bool,
}

impl Default for CommandPolicy {
    fn default() -> Self {
        Self { restart: true, locate: true }
    }
}

/// Whose passwords the appliance may set: the local accounts that are named here, and no other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordPolicy {
    /// The accounts' names.
    pub accounts: Vec<String>,
}

impl PasswordPolicy {
    /// Whether the appliance may set this account's password, and try it.
    pub fn allows(&self, account: &str) -> bool {
        self.accounts.iter().any(|allowed| allowed == account)
    }

    fn check(&self) -> Result<(), AccountsError> {
        if self.accounts.len() > MAX_ACCOUNTS {
            return Err(AccountsError::TooMany);
        }
        match self.accounts.iter().find(|account| !is_account_name(account)) {
            Some(account) => Err(AccountsError::NoName { account: account.clone() }),
            None => Ok(()),
        }
    }
}

/// Whether this can be the name of a local account. Stricter than some systems, so that a name is
/// safe wherever it goes: on a line of its own, before a colon, as an argument.
pub fn is_account_name(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let [first, rest @ ..] = name.as_bytes() else { return false };
    name.len() <= LONGEST_ACCOUNT
        && plain(first)
        && rest.iter().all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
}

/// What is wrong with `accounts` in [passwords].
#[derive(Debug, Error)]
pub enum AccountsError {
    /// More than a device may have.
    #[error("it names more than {MAX_ACCOUNTS} accounts: leave some out")]
    TooMany,
    /// Not the name of an account.
    #[error(
        "`{}` cannot be the name of an account: letters, digits, `_`, `-` and `.` make one, at most {LONGEST_ACCOUNT}, the first no `-` or `.`",
        account.escape_debug()
    )]
    NoName {
        /// What stands there.
        account: String,
    },
}

/// Why a policy file cannot be used.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The file cannot be read; the source says why.
    #[error("cannot read the policy file {}: make it readable for the agent, or leave --policy out", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The file is far too long to be a policy.
    #[error("the policy file {} is longer than {LONGEST_FILE} bytes: is it the right file?", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a policy; the source names line and key.
    #[error(
        "the policy file {} has a mistake: the keys are `mode` and `user` in [terminal], `restart` and `locate` in [commands], `accounts` in [passwords]",
        path.display()
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        source: Box<toml::de::Error>,
    },
    /// `mode = "shell"` stands without a `user`.
    #[error(
        "the policy file {}: `mode = \"shell\"` in [terminal] needs a `user`: name the account whose shell opens",
        path.display()
    )]
    ShellWithoutUser {
        /// The file.
        path: PathBuf,
    },
    /// `user` stands without `mode = "shell"`.
    #[error(
        "the policy file {}: `user` in [terminal] has a meaning with `mode = \"shell\"` only: remove it or change the mode",
        path.display()
    )]
    UserWithoutShell {
        /// The file.
        path: PathBuf,
    },
    /// `accounts` in [passwords] is no list of accounts.
    #[error("the policy file {} has a mistake in `accounts` in [passwords]", path.display())]
    Accounts {
        /// The file.
        path: PathBuf,
        /// The mistake.
        source: AccountsError,
    },
}

impl Policy {
    /// Reads the file an operator named; it must be there.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        Self::parse(path, &read(path)?)
    }

    /// Reads [`DEFAULT_PATH`]; without it the defaults hold.
    pub fn load_default() -> Result<Self, PolicyError> {
        Self::load_if_there(Path::new(DEFAULT_PATH))
    }

    fn load_if_there(path: &Path) -> Result<Self, PolicyError> {
        match Self::load(path) {
            Err(PolicyError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Self::default())
            }
            other => other,
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, PolicyError> {
        let path = path.to_path_buf();
        let file: File = match toml::from_str(text) {
            Ok(file) => file,
            Err(source) => return Err(PolicyError::Invalid { path, source: Box::new(source) }),
        };
        let terminal = match (file.terminal.mode, file.terminal.user) {
            (Mode::Shell, Some(user)) if !user.is_empty() => TerminalPolicy::Shell { user },
            (Mode::Shell, _) => return Err(PolicyError::ShellWithoutUser { path }),
            (_, Some(_)) => return Err(PolicyError::UserWithoutShell { path }),
            (Mode::Login, None) => TerminalPolicy::Login,
            (Mode::Off, None) => TerminalPolicy::Off,
        };
        if let Err(source) = file.passwords.check() {
            return Err(PolicyError::Accounts { path, source });
        }
        Ok(Self { terminal, commands: file.commands, passwords: file.passwords, file: path })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    terminal: TerminalTable,
    commands: CommandPolicy,
    passwords: PasswordPolicy,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TerminalTable {
    mode: Mode,
    user: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Login,
    Shell,
    Off,
}

fn read(path: &Path) -> Result<String, PolicyError> {
    let unreadable = |source| PolicyError::Unreadable { path: path.to_path_buf(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST_FILE {
        return Err(PolicyError::TooLong { path: path.to_path_buf() });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn parse(text: &str) -> Result<Policy, PolicyError> {
        Policy::parse(Path::new("/etc/aerie-agent.toml"), text)
    }

    #[test]
    fn d3_an_empty_file_asks_for_the_devices_own_password() {
        let policy = parse("").unwrap();
        assert_eq!(policy, Policy::default());
        assert_eq!(policy.terminal, TerminalPolicy::Login);
        assert!(policy.commands.restart && policy.commands.locate);
    }

    #[test]
    fn every_key_is_read() {
        let policy = parse(
            "[terminal]\nmode = \"shell\"\nuser = \"alice\"\n[commands]\nrestart = false\nlocate = false\n",
        )
        .unwrap();
        assert_eq!(policy.terminal, TerminalPolicy::Shell { user: "alice".to_owned() });
        assert_eq!(policy.commands, CommandPolicy { restart: false, locate: false });
        assert_eq!(policy.passwords, PasswordPolicy::default());
        let policy = parse("[passwords]\naccounts = [\"admin\", \"root\"]\n").unwrap();
        assert!(policy.passwords.allows("admin") && policy.passwords.allows("root"));
        assert!(!policy.passwords.allows("Admin") && !policy.passwords.allows("adm"));
        assert_eq!(parse("[terminal]\nmode = \"off\"\n").unwrap().terminal, TerminalPolicy::Off);
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_key_and_fix() {
        for (text, key) in [
            ("[terminal]\nmod = \"off\"\n", "mod"),
            ("[commands]\nreboot = true\n", "reboot"),
            ("[comands]\nrestart = false\n", "comands"),
            ("[terminal]\nmode = \"root\"\n", "root"),
            ("[passwords]\naccount = \"admin\"\n", "account"),
        ] {
            let error = parse(text).unwrap_err();
            let shown = error.to_string();
            assert!(shown.contains("/etc/aerie-agent.toml") && shown.contains("`restart`"));
            let source = error.source().unwrap().to_string();
            assert!(source.contains(key), "{source}");
        }
    }

    #[test]
    fn v4_a_policy_names_accounts_and_nothing_that_could_be_taken_for_more() {
        assert!(!parse("").unwrap().passwords.allows("root"));
        for name in ["", "-x", ".x", "a b", "a:b", "a\\nb", "é", "*", "a/b", &"a".repeat(33)] {
            let error = parse(&format!("[passwords]\naccounts = [\"{name}\"]\n")).unwrap_err();
            assert!(matches!(error, PolicyError::Accounts { .. }), "{name}");
            assert!(error.source().unwrap().to_string().contains("cannot be the name"));
        }
        for name in ["root", "_x", "a-b.c", "7up", &"a".repeat(32)] {
            parse(&format!("[passwords]\naccounts = [\"{name}\"]\n")).unwrap();
        }
        let many = (0..=MAX_ACCOUNTS).map(|number| format!("\"u{number}\"")).collect::<Vec<_>>();
        let error = parse(&format!("[passwords]\naccounts = [{}]\n", many.join(","))).unwrap_err();
        assert!(error.source().unwrap().to_string().contains("more than 16"));
    }

    #[test]
    fn a_shell_belongs_to_somebody() {
        for text in
            ["[terminal]\nmode = \"shell\"\n", "[terminal]\nmode = \"shell\"\nuser = \"\"\n"]
        {
            assert!(matches!(parse(text), Err(PolicyError::ShellWithoutUser { .. })));
        }
        for text in ["[terminal]\nuser = \"a\"\n", "[terminal]\nmode = \"off\"\nuser = \"a\"\n"] {
            assert!(matches!(parse(text), Err(PolicyError::UserWithoutShell { .. })));
        }
    }

    #[test]
    fn a_named_file_must_be_there_and_the_default_one_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none.toml");
        assert!(matches!(Policy::load(&missing), Err(PolicyError::Unreadable { .. })));
        assert_eq!(Policy::load_if_there(&missing).unwrap(), Policy::default());
        // A directory in its place is there, but is no file: never a silent default.
        assert!(Policy::load_if_there(folder.path()).is_err());
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.toml");
        std::fs::File::create(&path).unwrap().set_len(LONGEST_FILE + 1).unwrap();
        assert!(matches!(Policy::load(&path), Err(PolicyError::TooLong { .. })));
    }
}
