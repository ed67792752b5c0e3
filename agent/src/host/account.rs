//! The local account whose shell a terminal runs.

use std::path::PathBuf;

use nix::unistd::{Uid, User, geteuid};

use super::CommandError;

/// An account, and whether the agent has to become it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) home: PathBuf,
    pub(super) shell: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The agent runs as root and has to change to this account.
    pub(super) change: bool,
}

impl Account {
    /// Looks an account up. Root can become anybody; an ordinary user only itself.
    pub(super) fn find(name: &str) -> Result<Self, CommandError> {
        let user = User::from_name(name)
            .map_err(|errno| CommandError::Failed(format!("cannot look up the account: {errno}")))?
            .ok_or_else(|| {
                CommandError::Failed(
                    "the policy file names an account that this device does not have".to_owned(),
                )
            })?;
        let own = geteuid();
        if user.uid != own && own != Uid::from_raw(0) {
            return Err(CommandError::NotAllowed(
                "the agent does not run as root, so it can open its own account's shell only",
            ));
        }
        let shell =
            if user.shell.as_os_str().is_empty() { PathBuf::from("/bin/sh") } else { user.shell };
        Ok(Self {
            name: user.name,
            home: user.dir,
            shell,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            change: user.uid != own,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_account_needs_no_change() {
        let own = User::from_uid(geteuid()).unwrap().unwrap();
        let account = Account::find(&own.name).unwrap();
        assert_eq!((account.uid, account.change), (own.uid.as_raw(), false));
        assert!(account.shell.is_absolute());
    }

    #[test]
    fn a_missing_account_is_named_as_the_mistake() {
        let error = Account::find("no-such-account-here").unwrap_err();
        assert!(error.to_string().contains("does not have"), "{error}");
    }
}
