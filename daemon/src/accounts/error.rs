//! What can go wrong with accounts and logins.

use std::net::IpAddr;

use thiserror::Error;

use super::account::{FORBIDDEN, NAME_CHARS};
use super::factors::FactorError;
use super::passwords::PasswordError;
use super::second_step::FactorDue;
use super::throttle::TooMany;
use super::tokens::PER_ACCOUNT;
use crate::seal::SealError;
use crate::store::StoreError;

/// Why an account could not be made or changed, or a login not begun.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Wrong name or password; which one is not told.
    #[error("wrong user name or password")]
    Wrong,
    /// A name or password that nobody can have.
    #[error(
        "the user name or the password is longer than any can be, or has a character that none \
         has; type them again"
    )]
    CredentialForm,
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
    #[error(
        "the user name needs 1 to {NAME_CHARS} characters, none of {FORBIDDEN}, no space, and none \
         that cannot be seen"
    )]
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
    /// A text that is no token.
    #[error("this is no token: one has 43 letters, digits, - and _; copy it whole")]
    Malformed,
    /// A token whose time is over.
    #[error("this token has expired; make a new one in Settings, and delete this one")]
    TokenExpired,
    /// A token of an account that may not log in.
    #[error("the account that made this token is disabled; an admin can make a new token")]
    TokenMaker,
    /// A token from another network than its own.
    #[error("this token may not be used from {0}; make one whose networks contain that address")]
    TokenAddress(IpAddr),
    /// There is no such account.
    #[error("there is no account with this id; it may have been deleted")]
    NoAccount,
    /// There is no such login, token or app key.
    #[error("there is no login or token with this id; it may have ended")]
    NoToken,
    /// Another account has the user name.
    #[error("another account has this user name; take another one")]
    UsernameTaken,
    /// Without it nobody could change anything any more.
    #[error("this is the last admin that can log in; make another account an admin first")]
    LastAdmin,
    /// One's own account.
    #[error("nobody deletes, disables or lowers the own account; another admin can")]
    Yourself,
    /// Who asks is not an admin any more.
    #[error("only an admin may do this")]
    NotAdmin,
    /// The new password is the old one.
    #[error("the new password is the present one; take another one")]
    SamePassword,
    /// Who would require a second factor of all has none.
    #[error("add a second factor to your own account first: you would lock yourself out")]
    NoFactor,
    /// An account has all the tokens that it may have.
    #[error("this account has {PER_ACCOUNT} tokens and app keys; delete some first")]
    TooManyTokens,
    /// A field that cannot be.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store.
    #[error("the account could not be stored or read")]
    Store(#[from] StoreError),
    /// Keys, files, randomness.
    #[error("the appliance's keys could not be used")]
    Seal(#[from] SealError),
}
