//! What can go wrong with accounts and logins.

use thiserror::Error;

use super::account::{FORBIDDEN, NAME_CHARS};
use super::factors::FactorError;
use super::passwords::PasswordError;
use super::second_step::FactorDue;
use super::throttle::TooMany;
use crate::seal::SealError;
use crate::store::StoreError;

/// Why an account could not be made or changed, or a login not begun.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Wrong name or password; which one is not told.
    #[error("wrong user name or password")]
    Wrong,
    /// The password was right, and a second factor is due.
    #[error("a second factor is due")]
    FactorDue(Box<FactorDue>),
    /// About second factors.
    #[error(transparent)]
    Factor(#[from] FactorError),
    /// Guessed too often.
    #[error("too many attempts; try again in {} s", .0.retry_after.as_secs() + 1)]
    TooMany(TooMany),
    /// The set-up code does not fit.
    #[error(
        "the setup code is wrong; it stands in the file setup-code in the appliance's data \
         directory, and may be a new one after many wrong guesses"
    )]
    SetupCode,
    /// There is an account already.
    #[error("this appliance is set up already; log in")]
    AlreadyConfigured,
    /// A user name that cannot be.
    #[error("the user name needs 1 to {NAME_CHARS} characters, and none of {FORBIDDEN} or spaces")]
    Username,
    /// An e-mail address that cannot be.
    #[error(
        "this e-mail address cannot be used; it needs a form like olga@example.net, and no other \
         account may have it"
    )]
    Email,
    /// A password that is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No login, or it has ended.
    #[error("log in first; the login has ended or was never there")]
    NoLogin,
    /// The login's token was sent without encryption.
    #[error(
        "this login was ended: its token was sent over plain HTTP, where anybody on the way could \
         read it; write https:// and log in again"
    )]
    Leaked,
    /// The store.
    #[error("the account could not be stored or read")]
    Store(#[from] StoreError),
    /// Keys, files, randomness.
    #[error("the appliance's keys could not be used")]
    Seal(#[from] SealError),
}
