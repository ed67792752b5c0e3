//! Logins whose token was sent without encryption: they end, and whoever holds one is told why.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::logins::LoginId;
use super::{Account, AccountError, Accounts, notices};
use crate::audit;

/// Leaked logins that are remembered, to tell why they ended.
const REMEMBERED: usize = 256;

/// What its account is told.
const LEAKED: &str = "One of your logins was ended: its token was sent over plain HTTP, where \
    anybody on the way could read it. Look for a script or a bookmark that says http://.";

/// The logins that leaked lately.
#[derive(Default)]
pub(super) struct Leaked(Mutex<VecDeque<LoginId>>);

impl Leaked {
    fn remember(&self, id: LoginId) {
        let mut leaked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leaked.len() >= REMEMBERED {
            leaked.pop_front();
        }
        leaked.push_back(id);
    }

    /// Whether a login ended because it leaked.
    pub(super) fn knows(&self, id: &LoginId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }
}

impl Accounts {
    /// The live login that a token proves which came over plain HTTP. From now on it lets nobody
    /// in; [`Accounts::end_leaked`] makes that last.
    pub fn leaked(&self, token: &str) -> Option<LoginId> {
        let id = LoginId::of_token(token);
        if !self.is_live(&id) {
            return None;
        }
        self.inner.leaked.remember(id);
        Some(id)
    }

    /// Ends a login that leaked. Answers whose it was, unless it had ended already.
    pub async fn end_leaked(&self, id: LoginId) -> Result<Option<Account>, AccountError> {
        let now = self.inner.clock.now();
        let Some(login) = self.inner.logins.get(&id, now) else {
            let Some(maker) = self.delete_leaked(id).await? else { return Ok(None) };
            return Ok(Some(self.account(maker).await?));
        };
        let account = self.account(login.account).await?;
        self.end(vec![id]).await?;
        let who = login.account;
        let about = "its token came over plain HTTP";
        let write = move |writer: &crate::store::Writer<'_>| {
            audit::append(writer, now, &who.to_string(), "login-leaked", about)?;
            notices::tell(writer, who, now, LEAKED)
        };
        self.inner.store.write(write).await?;
        Ok(Some(account))
    }
}
