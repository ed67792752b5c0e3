//! API tokens and app keys: secrets for programs, which act in the name of who made them.
//!
//! Like logins they stand in memory, only their hash is kept, and their uses are written behind.
//! A token never reaches further than its maker does at that moment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use jiff::Timestamp;
use uuid::Uuid;

use super::account::is_unseen;
use super::error::AccountError;
use super::logins::{Kind, Login, LoginId, follow, time};
use super::roles::Role;
use super::standing::Standing;
use crate::store::records::TokenRecord;

/// Characters of a name, as published.
const NAME_CHARS: usize = 20;
/// Characters of a note, as published.
const META_CHARS: usize = 256;
/// Networks that one token may come from.
const NETWORKS: usize = 32;
/// Tokens and app keys of one account.
pub(super) const PER_ACCOUNT: usize = 100;
/// Letters of a token: 256 bits in base64url.
const LETTERS: usize = 43;
/// A use is due to be written after this many milliseconds.
const WRITTEN_AFTER: i64 = 60_000;

/// What a token or app key is made of.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// An API token or an app key; logins are not made here.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// A note.
    pub meta: String,
    /// What it may do, at most. Of an app key the kind tells.
    pub role: Role,
    /// When it ends; never, if not set.
    pub expires: Option<Timestamp>,
    /// May do what a login has to step up for.
    pub step_up: bool,
    /// Networks that it may come from, as CIDR or single addresses; none: from anywhere.
    pub addresses: Vec<String>,
}

impl NewToken {
    /// Refuses what no token can have, and writes its networks in one form.
    pub(super) fn check(mut self, now: Timestamp) -> Result<Self, AccountError> {
        let plain = |text: &str, most| text.chars().count() <= most && !text.chars().any(is_unseen);
        if !plain(&self.name, NAME_CHARS) {
            return Err(AccountError::Invalid(
                "the name of a token has at most 20 characters, and none that cannot be seen",
            ));
        }
        if !plain(&self.meta, META_CHARS) {
            return Err(AccountError::Invalid(
                "the note of a token has at most 256 characters, and none that cannot be seen",
            ));
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(AccountError::Invalid("the end of a token has to lie in the future"));
        }
        if self.addresses.len() > NETWORKS {
            return Err(AccountError::Invalid(
                "a token has at most 32 networks that it comes from",
            ));
        }
        if self.step_up && self.addresses.is_empty() {
            return Err(AccountError::Invalid(
                "a token that may do risky acts needs the networks that it comes from, such as \
                 192.0.2.0/24",
            ));
        }
        self.addresses = self.networks()?.iter().map(IpNet::to_string).collect();
        Ok(self)
    }

    fn networks(&self) -> Result<Vec<IpNet>, AccountError> {
        let read = |text: &String| network(text);
        let networks: Option<Vec<IpNet>> = self.addresses.iter().map(read).collect();
        networks.ok_or(AccountError::Invalid(
            "a network that a token comes from is written like 192.0.2.0/24, 2001:db8::/48 or \
             192.0.2.7",
        ))
    }

    pub(super) fn record(self, account: Uuid, now: Timestamp) -> TokenRecord {
        let (kind, scope) = match self.kind {
            Kind::AppKey { write: true } => ("app-key", "write"),
            Kind::AppKey { write: false } => ("app-key", "read"),
            Kind::Token | Kind::Login => ("token", self.role.name()),
        };
        TokenRecord {
            account,
            kind: kind.to_owned(),
            name: self.name,
            meta: self.meta,
            scope: scope.to_owned(),
            step_up: self.step_up,
            addresses: self.addresses,
            created: now.as_millisecond(),
            expires: self.expires.map(Timestamp::as_millisecond),
            last_used: None,
            last_address: String::new(),
            seen: Vec::new(),
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    let net = text.trim().parse::<IpNet>().ok();
    let net = net.or_else(|| text.trim().parse::<IpAddr>().ok().map(IpNet::from));
    net.map(|net| net.trunc())
}

/// Whether a text could be a token at all.
pub(super) fn is_token(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == LETTERS && text.bytes().all(letter)
}

/// What a stored token is. A kind or scope of a later release may look and nothing more.
pub(super) fn kind(record: &TokenRecord) -> Kind {
    if record.kind == "app-key" {
        Kind::AppKey { write: record.scope == "write" }
    } else {
        Kind::Token
    }
}

struct Live {
    record: TokenRecord,
    networks: Vec<IpNet>,
    /// Where the last use came from.
    address: Option<IpAddr>,
    /// `last_used` as it stands in the store.
    written: i64,
}

impl Live {
    fn new(record: TokenRecord) -> Self {
        Self {
            networks: record.addresses.iter().filter_map(|text| network(text)).collect(),
            address: record.last_address.parse().ok(),
            written: record.last_used.unwrap_or(0),
            record,
        }
    }

    /// Nobody comes from a list that cannot be read.
    fn comes_from(&self, address: IpAddr) -> bool {
        self.record.addresses.is_empty() || self.networks.iter().any(|net| net.contains(&address))
    }

    fn ended(&self, now: i64) -> bool {
        self.record.expires.is_some_and(|expires| expires <= now)
    }

    fn login(&self, id: LoginId, maker: Standing) -> Login {
        let scope = Role::from_name(&self.record.scope).unwrap_or(Role::ReadOnly);
        let kind = kind(&self.record);
        let role = match kind {
            Kind::AppKey { write: true } => Role::Admin,
            Kind::AppKey { write: false } => Role::ReadOnly,
            Kind::Token | Kind::Login => scope,
        };
        let reach = if maker.role == Role::Admin { role } else { Role::ReadOnly };
        let step_up = self.record.step_up && !self.networks.is_empty();
        Login {
            id,
            kind,
            account: self.record.account,
            role: reach,
            created: time(self.record.created),
            expires: self.record.expires.map_or(Timestamp::MAX, time),
            stepped_up_until: if step_up { Timestamp::MAX } else { Timestamp::UNIX_EPOCH },
            due: None,
        }
    }
}

/// All tokens and app keys.
#[derive(Default)]
pub(super) struct Tokens {
    live: Mutex<HashMap<LoginId, Live>>,
}

impl Tokens {
    fn lock(&self) -> MutexGuard<'_, HashMap<LoginId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn load(records: Vec<([u8; 32], TokenRecord)>) -> Self {
        let live = records.into_iter().map(|(hash, record)| (hash.into(), Live::new(record)));
        Self { live: Mutex::new(live.collect()) }
    }

    pub(super) fn put(&self, id: LoginId, record: TokenRecord) {
        self.lock().insert(id, Live::new(record));
    }

    pub(super) fn get(&self, id: &LoginId) -> Option<TokenRecord> {
        self.lock().get(id).map(|live| live.record.clone())
    }

    /// Whether there was one.
    pub(super) fn remove(&self, id: &LoginId) -> bool {
        self.lock().remove(id).is_some()
    }

    /// All of them, or those of one account.
    pub(super) fn all(&self, account: Option<Uuid>) -> Vec<(LoginId, TokenRecord)> {
        let live = self.lock();
        let wanted =
            live.iter().filter(|(_, live)| account.is_none_or(|id| live.record.account == id));
        wanted.map(|(id, live)| (*id, live.record.clone())).collect()
    }

    /// Whether there is one that has not ended.
    pub(super) fn is_live(&self, id: &LoginId, now: Timestamp) -> Option<Uuid> {
        let live = self.lock();
        let found = live.get(id).filter(|live| !live.ended(now.as_millisecond()));
        found.map(|live| live.record.account)
    }

    /// Notes a use from an address. `standing` tells how the maker stands.
    pub(super) fn touch(
        &self,
        id: LoginId,
        now: Timestamp,
        from: IpAddr,
        standing: impl FnOnce(Uuid) -> Option<Standing>,
    ) -> Result<Login, AccountError> {
        let now = now.as_millisecond();
        let mut live = self.lock();
        let live = live.get_mut(&id).ok_or(AccountError::NoLogin)?;
        if live.ended(now) {
            return Err(AccountError::TokenExpired);
        }
        let maker = standing(live.record.account).ok_or(AccountError::TokenMaker)?;
        if !live.comes_from(from) {
            return Err(AccountError::TokenAddress(from));
        }
        if live.address != Some(from) {
            let Live { record, address, .. } = live;
            let until = record.last_used.unwrap_or(now);
            follow(&mut record.seen, &record.last_address, until, (from, now));
            record.last_address = from.to_string();
            *address = Some(from);
        }
        live.record.last_used = Some(now);
        Ok(live.login(id, maker))
    }

    /// Uses that are due to be written: of a minute or more, or all.
    pub(super) fn unwritten(&self, all: bool) -> Vec<(LoginId, TokenRecord)> {
        let live = self.lock();
        let due = |live: &Live| {
            let since = live.record.last_used.unwrap_or(0) - live.written;
            // Below zero: the clock was set back.
            !(0..WRITTEN_AFTER).contains(&since) || (all && since != 0)
        };
        let due = live.iter().filter(|(_, live)| due(live));
        due.map(|(id, live)| (*id, live.record.clone())).collect()
    }

    /// These uses are in the store now.
    pub(super) fn written(&self, uses: &[(LoginId, TokenRecord)]) {
        let mut live = self.lock();
        for (id, record) in uses {
            if let Some(live) = live.get_mut(id) {
                live.written = record.last_used.unwrap_or(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(addresses: &[&str]) -> NewToken {
        NewToken {
            kind: Kind::Token,
            name: "monitoring".to_owned(),
            meta: String::new(),
            role: Role::Admin,
            expires: None,
            step_up: false,
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn l4_a_token_with_step_up_needs_networks_and_all_of_them_have_to_be_read() {
        let now = Timestamp::UNIX_EPOCH;
        let kept = new(&["192.0.2.7/24", "2001:db8::1", " 198.51.100.4 "]).check(now).unwrap();
        assert_eq!(kept.addresses, ["192.0.2.0/24", "2001:db8::1/128", "198.51.100.4/32"]);
        for bad in ["", "example.org", "192.0.2.0/33", "192.0.2"] {
            assert!(new(&[bad]).check(now).is_err(), "{bad}");
        }
        assert!(NewToken { step_up: true, ..new(&[]) }.check(now).is_err());
        assert!(NewToken { step_up: true, ..new(&["192.0.2.7"]) }.check(now).is_ok());
        assert!(NewToken { name: "x".repeat(21), ..new(&[]) }.check(now).is_err());
        assert!(NewToken { name: "a\0b".to_owned(), ..new(&[]) }.check(now).is_err());
        assert!(NewToken { name: "a\u{202e}b".to_owned(), ..new(&[]) }.check(now).is_err());
        assert!(NewToken { meta: "x".repeat(257), ..new(&[]) }.check(now).is_err());
        assert!(NewToken { expires: Some(now), ..new(&[]) }.check(now).is_err());
    }

    #[test]
    fn a_token_has_a_form() {
        assert!(is_token(&"aZ9-_".repeat(9)[..43]));
        for bad in ["", "short", &"a".repeat(44), &"+".repeat(43), &"ä".repeat(43)] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
