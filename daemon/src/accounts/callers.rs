//! Who calls: what a token proves, and the end of logins, API tokens and app keys.

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::account::role;
use super::error::AccountError;
use super::logins::{Kind, Login, LoginId, LoginToken, new_token, time};
use super::people::{Actor, name_of, note};
use super::roles::Role;
use super::tokens::{self, NewToken, PER_ACCOUNT};
use super::{Accounts, notices};
use crate::audit::{self, Deed};
use crate::store::records::{AccountRecord, LoginRecord, TokenRecord};
use crate::store::tables::{ACCOUNTS, LOGINS, TOKENS};
use crate::store::{StoreError, Writer};

/// A login, an API token or an app key, as a list shows it.
#[derive(Clone, Debug)]
pub struct TokenEntry {
    /// Its name for programs.
    pub id: Uuid,
    /// Which of them it is.
    pub kind: Kind,
    /// Whose.
    pub account: Uuid,
    /// The user name of that account.
    pub username: String,
    /// Its name for people.
    pub name: String,
    /// A note.
    pub meta: String,
    /// What it may do, in the published API's word; of an app key "read" or "write".
    pub scope: String,
    /// When it began.
    pub created: Timestamp,
    /// Last use.
    pub last_used: Option<Timestamp>,
    /// When it ends unless it is used; never, if not set.
    pub expires: Option<Timestamp>,
    /// When it ends whatever happens; never, if not set.
    pub latest: Option<Timestamp>,
    /// Where the last use came from.
    pub address: String,
    /// User agent of a login.
    pub client: String,
    /// Addresses that it came from, each with its first and last use.
    pub seen: Vec<(String, Timestamp, Timestamp)>,
    /// May do what a login has to step up for.
    pub step_up: bool,
    /// Networks that it may come from; none: from anywhere.
    pub addresses: Vec<String>,
}

impl Accounts {
    /// The login that a token proves; its use extends it. Costs no disk.
    pub fn authenticate(
        &self,
        token: &str,
    ) -> impl Future<Output = Result<Login, AccountError>> + Send + use<> {
        let id = LoginId::of_token(token);
        let login = if self.inner.leaked.knows(&id) {
            Err(AccountError::Leaked)
        } else {
            self.touch(id, None).ok_or(AccountError::NoLogin)
        };
        std::future::ready(login)
    }

    /// Who a token stands for that comes from an address: a login, or the maker of an API token or
    /// app key. Its use counts. Costs no disk.
    pub fn admit(&self, token: &str, from: IpAddr) -> Result<Login, AccountError> {
        if !tokens::is_token(token) {
            return Err(AccountError::Malformed);
        }
        let id = LoginId::of_token(token);
        if self.inner.leaked.knows(&id) {
            return Err(AccountError::Leaked);
        }
        if let Some(login) = self.touch(id, Some(from)) {
            return Ok(login);
        }
        let standing = |maker| self.inner.standings.get(maker);
        self.inner.tokens.touch(id, self.inner.clock.now(), from.to_canonical(), standing)
    }

    /// A login by its use, unless its account may not log in or has ended all of its time.
    fn touch(&self, id: LoginId, from: Option<IpAddr>) -> Option<Login> {
        let from = from.map(|from| from.to_canonical());
        let (login, era) = self.inner.logins.touch(id, self.inner.clock.now(), from)?;
        let standing = self.inner.standings.get(login.account)?;
        let due = self.inner.standings.due(standing);
        (standing.era == era).then_some(Login { role: standing.role, due, ..login })
    }

    /// Whether a login or token is live, without extending it.
    pub fn is_live(&self, id: &LoginId) -> bool {
        let now = self.inner.clock.now();
        if let Some(login) = self.inner.logins.get(id, now) {
            let standing = self.inner.standings.get(login.account);
            return standing.is_some_and(|standing| standing.era == login.era);
        }
        let maker = self.inner.tokens.is_live(id, now);
        maker.is_some_and(|maker| self.inner.standings.get(maker).is_some())
    }

    /// Whether the account of a login has to do something before anything else. Tokens do not.
    pub fn is_due(&self, id: &LoginId) -> bool {
        let login = self.inner.logins.get(id, self.inner.clock.now());
        let standing = login.and_then(|login| self.inner.standings.get(login.account));
        standing.is_some_and(|standing| self.inner.standings.due(standing).is_some())
    }

    /// Logins and tokens that end from now on: what hangs on them has to close.
    pub fn ended(&self) -> broadcast::Receiver<LoginId> {
        self.inner.ended.subscribe()
    }

    /// Ends a login at once.
    pub async fn logout(&self, id: LoginId) -> Result<(), AccountError> {
        self.end(vec![id]).await
    }

    /// Ends all logins of an account, and those that wait for its second factor.
    pub async fn logout_all(&self, account: Uuid) -> Result<(), AccountError> {
        self.inner.waiting.retain(|waiting| waiting.account != account);
        self.end(self.inner.logins.of_account(account)).await
    }

    /// Ends all logins of an account but the present one. How many there were.
    pub async fn logout_others(&self, present: &Login) -> Result<usize, AccountError> {
        let mut others = self.inner.logins.of_account(present.account);
        others.retain(|id| *id != present.id);
        let count = others.len();
        self.end(others).await?;
        Ok(count)
    }

    pub(super) async fn end(&self, ids: Vec<LoginId>) -> Result<(), AccountError> {
        if ids.is_empty() {
            return Ok(());
        }
        // First in memory: whatever the store does, they let nobody in.
        self.forget(&ids);
        let at = self.inner.clock.now();
        self.inner
            .store
            .write(move |writer| {
                for id in &ids {
                    let Some(ended) = writer.get(LOGINS, id.as_bytes())? else { continue };
                    writer.delete(LOGINS, id.as_bytes())?;
                    let (who, from) = (ended.account.to_string(), ended.address.parse().ok());
                    let deed = Deed::new(&who, "logout", &ended.client);
                    from.map_or(deed, |from| deed.sent_from(from)).write(writer, at)?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    /// From now on these logins and tokens let nobody in, and what hangs on them closes.
    pub(super) fn forget(&self, ids: &[LoginId]) {
        for id in ids {
            let login = self.inner.logins.remove(id);
            if self.inner.tokens.remove(id) || login {
                // Nobody listens: then nothing hangs on it.
                self.inner.ended.send(*id).ok();
            }
        }
    }

    /// The live logins, the tokens and the app keys of one account or of all, the last used first.
    pub async fn entries(&self, account: Option<Uuid>) -> Result<Vec<TokenEntry>, AccountError> {
        let accounts = self.inner.store.read(|reader| reader.all(ACCOUNTS)).await?;
        let accounts: HashMap<Uuid, AccountRecord> = accounts.into_iter().collect();
        let mut entries = Vec::new();
        for (id, login) in self.inner.logins.all(account) {
            let owner = accounts.get(&login.account).filter(|_| self.is_live(&id));
            entries.extend(owner.map(|owner| of_login(id, login, owner)));
        }
        for (id, token) in self.inner.tokens.all(account) {
            let owner = accounts.get(&token.account);
            entries.extend(owner.map(|owner| of_token(id, token, owner)));
        }
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.last_used, entry.created, entry.id)));
        Ok(entries)
    }

    /// Makes an API token or an app key. Its secret is handed out here and never again.
    pub async fn make_token(
        &self,
        by: Actor,
        new: NewToken,
    ) -> Result<(TokenEntry, LoginToken), AccountError> {
        let now = self.inner.clock.now();
        let new = new.check(now)?;
        let token = new_token()?;
        let id = LoginId::of_token(token.expose());
        let needs_admin = new.role == Role::Admin || new.kind != Kind::Token || new.step_up;
        let room = self.clone();
        let write = move |writer: &Writer<'_>| {
            let maker = writer.get(ACCOUNTS, &by.account)?.filter(|maker| maker.enabled);
            let Some(maker) = maker else { return Ok(Err(AccountError::NoLogin)) };
            if needs_admin && role(&maker) != Role::Admin {
                return Ok(Err(AccountError::NotAdmin));
            }
            if room.inner.tokens.all(Some(by.account)).len() >= PER_ACCOUNT {
                return Ok(Err(AccountError::TooManyTokens));
            }
            let record = new.clone().record(by.account, now);
            writer.put(TOKENS, id.as_bytes(), &record)?;
            let reach = match record.scope.as_str() {
                "superadmin" => "Admin",
                "guest" => "Read-Only",
                scope => scope,
            };
            let about = format!("{} \"{}\" ({reach})", record.kind, record.name);
            note(writer, now, by, "token-made", &about)?;
            room.inner.tokens.put(id, record.clone());
            Ok(Ok(of_token(id, record, &maker)))
        };
        let entry = self.inner.store.write(write).await??;
        Ok((entry, token))
    }

    /// Ends a login, or deletes a token or app key: one's own, or as an admin anybody's.
    pub async fn end_entry(&self, by: Actor, role: Role, id: Uuid) -> Result<(), AccountError> {
        let mine = (role != Role::Admin).then_some(by.account);
        let mut logins = self.inner.logins.all(mine).into_iter();
        if let Some((login, record)) = logins.find(|(login, _)| login.guid() == id) {
            if record.account == by.account {
                return self.end(vec![login]).await;
            }
            self.forget(&[login]);
            let room = self.clone();
            let write = move |writer: &Writer<'_>| room.end_login_of(writer, by, login, &record);
            return Ok(self.inner.store.write(write).await?);
        }
        let mut tokens = self.inner.tokens.all(mine).into_iter();
        let found = tokens.find(|(token, _)| token.guid() == id);
        let (token, record) = found.ok_or(AccountError::NoToken)?;
        self.forget(&[token]);
        let room = self.clone();
        let write = move |writer: &Writer<'_>| room.delete_token(writer, by, token, &record);
        Ok(self.inner.store.write(write).await?)
    }

    fn end_login_of(
        &self,
        writer: &Writer<'_>,
        by: Actor,
        id: LoginId,
        record: &LoginRecord,
    ) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        writer.delete(LOGINS, id.as_bytes())?;
        let owner = name_of(writer, record.account)?;
        note(writer, now, by, "login-ended", &format!("{owner}, {}", record.address))?;
        let by = name_of(writer, by.account)?;
        let told = format!("{by} ended one of your logins, last used from {}.", record.address);
        notices::tell(writer, record.account, now, &told)
    }

    fn delete_token(
        &self,
        writer: &Writer<'_>,
        by: Actor,
        id: LoginId,
        record: &TokenRecord,
    ) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        writer.delete(TOKENS, id.as_bytes())?;
        let owner = name_of(writer, record.account)?;
        let about = format!("{} \"{}\" of {owner}", record.kind, record.name);
        note(writer, now, by, "token-deleted", &about)?;
        if by.account == record.account {
            return Ok(());
        }
        let by = name_of(writer, by.account)?;
        let told = format!("{by} deleted your {} \"{}\".", spoken(record), record.name);
        notices::tell(writer, record.account, now, &told)
    }

    /// A token that came over plain HTTP: deleted, and its maker told. Answers whose it was.
    pub(super) async fn delete_leaked(&self, id: LoginId) -> Result<Option<Uuid>, AccountError> {
        let Some(record) = self.inner.tokens.get(&id) else { return Ok(None) };
        self.forget(&[id]);
        let (now, account) = (self.inner.clock.now(), record.account);
        let told = format!(
            "Your {} \"{}\" was deleted: it was sent over plain HTTP, where anybody on the way \
             could read it. Look for a script that says http://, then make a new one.",
            spoken(&record),
            record.name,
        );
        let write = move |writer: &Writer<'_>| {
            writer.delete(TOKENS, id.as_bytes())?;
            let about = format!("{} \"{}\" came over plain HTTP", record.kind, record.name);
            audit::append(writer, now, &account.to_string(), "token-leaked", &about)?;
            notices::tell(writer, account, now, &told)
        };
        self.inner.store.write(write).await?;
        Ok(Some(account))
    }

    /// Writes uses of tokens that are due, or all.
    pub(super) async fn write_token_uses(&self, all: bool) -> Result<(), AccountError> {
        let uses = self.inner.tokens.unwritten(all);
        if uses.is_empty() {
            return Ok(());
        }
        let written = uses.clone();
        let write = move |writer: &Writer<'_>| {
            for (id, record) in &written {
                // Not one that has been deleted meanwhile.
                if writer.get(TOKENS, id.as_bytes())?.is_some() {
                    writer.put(TOKENS, id.as_bytes(), record)?;
                }
            }
            Ok(())
        };
        self.inner.store.write(write).await?;
        self.inner.tokens.written(&uses);
        Ok(())
    }
}

/// What a token is called in a sentence.
fn spoken(record: &TokenRecord) -> &'static str {
    if tokens::kind(record) == Kind::Token { "API token" } else { "app key" }
}

type Seen = Vec<(String, i64, i64)>;

/// The addresses with their times; the present one was used last when all was.
fn addresses(
    seen: Seen,
    present: &str,
    first: i64,
    last: i64,
) -> Vec<(String, Timestamp, Timestamp)> {
    if seen.is_empty() && !present.is_empty() {
        return vec![(present.to_owned(), time(first), time(last))];
    }
    let until = |address: &str, until| if address == present { last } else { until };
    let each = seen.into_iter().rev().map(|(address, first, last)| {
        let last = until(&address, last);
        (address, time(first), time(last))
    });
    each.collect()
}

fn of_login(id: LoginId, record: LoginRecord, owner: &AccountRecord) -> TokenEntry {
    let seen = addresses(record.seen, &record.address, record.created, record.last_used);
    TokenEntry {
        id: id.guid(),
        kind: Kind::Login,
        account: record.account,
        username: owner.username.clone(),
        name: "Login".to_owned(),
        meta: String::new(),
        scope: role(owner).name().to_owned(),
        created: time(record.created),
        last_used: Some(time(record.last_used)),
        expires: Some(time(record.expires)),
        latest: Some(time(record.latest)),
        address: record.address,
        client: record.client,
        seen,
        step_up: false,
        addresses: Vec::new(),
    }
}

fn of_token(id: LoginId, record: TokenRecord, owner: &AccountRecord) -> TokenEntry {
    let used = record.last_used.unwrap_or(record.created);
    TokenEntry {
        id: id.guid(),
        kind: tokens::kind(&record),
        account: record.account,
        username: owner.username.clone(),
        name: record.name,
        meta: record.meta,
        scope: record.scope,
        created: time(record.created),
        last_used: record.last_used.map(time),
        expires: record.expires.map(time),
        latest: record.expires.map(time),
        client: String::new(),
        seen: addresses(record.seen, &record.last_address, used, used),
        address: record.last_address,
        step_up: record.step_up,
        addresses: record.addresses,
    }
}
