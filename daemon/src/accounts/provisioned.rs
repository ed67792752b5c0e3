//! The first account as a provisioning file brings it: with a hash that another program made.
//!
//! The password itself is nobody's here before its first login; then it is judged by the rules for
//! passwords, and hashed in the house's own form ([`super::proving`]).

use jiff::Timestamp;
use uuid::Uuid;

use super::account::{
    NewAccount, check_email, check_person_name, check_username, first_record, put_first,
};
use super::error::AccountError;
use super::passwords::{self, PasswordError, PasswordHash};
use crate::audit::Deed;
use crate::store::{StoreError, Writer};

/// Who it was, in the audit log.
const WHO: &str = "provisioning";

/// The first account, an admin, on its way into a store that has none.
#[derive(Clone)]
pub struct FirstAdmin {
    /// User name.
    pub username: String,
    /// E-mail address; may be empty.
    pub email: String,
    /// Time zone name; may be empty.
    pub timezone: String,
    /// A bcrypt hash of its password.
    pub password_hash: String,
}

impl FirstAdmin {
    /// Refuses a user name that nobody can have.
    pub fn check_username(name: &str) -> Result<(), AccountError> {
        check_username(name)
    }

    /// Refuses an e-mail address that nobody can have.
    pub fn check_email(address: &str) -> Result<(), AccountError> {
        check_email(address)
    }

    /// Refuses a time zone's name that is none.
    pub fn check_timezone(name: &str) -> Result<(), AccountError> {
        check_person_name(name)
    }

    /// Refuses what is no bcrypt hash, or a cheap one.
    pub fn check_hash(hash: &str, least_cost: u32) -> Result<(), PasswordError> {
        PasswordHash::plain(hash, least_cost).map(|_| ())
    }

    /// Writes it, unless there is an account. It has to have been checked. Its id, if it is written.
    pub fn put(&self, writer: &Writer<'_>, at: Timestamp) -> Result<Option<Uuid>, StoreError> {
        // Its cost was judged before; what is no hash would let nobody in.
        let Ok(hash) = PasswordHash::plain(&self.password_hash, 0) else {
            return Err(StoreError::Refused("the hash of the first account's password is damaged"));
        };
        let names = NewAccount {
            username: self.username.clone(),
            email: self.email.clone(),
            timezone: self.timezone.clone(),
            country: String::new(),
        };
        let id = Uuid::new_v4();
        if !put_first(writer, id, &first_record(names, hash, at))? {
            return Ok(None);
        }
        Deed::new(WHO, "set-up", &self.username).write(writer, at)?;
        Ok(Some(id))
    }
}

/// The hash that a provisioning file carries: plain bcrypt, as other programs make it too. Blocks.
pub fn hash_for_provisioning(password: &str, cost: u32) -> Result<String, PasswordError> {
    passwords::hash_plain(password, cost)
}
