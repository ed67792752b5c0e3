//! The hash of a password for a provisioning file. No daemon and no store is needed: it may be made
//! anywhere.

use super::{ConsoleError, password};
use crate::accounts::{self, AccountError};
use crate::config::Config;

/// Asks for a password, and makes the hash that a provisioning file carries.
pub fn hash_for_provisioning(config: &Config) -> Result<String, ConsoleError> {
    let password = password()?;
    let hash = accounts::hash_for_provisioning(&password, config.accounts.bcrypt_cost);
    Ok(hash.map_err(AccountError::from)?)
}
