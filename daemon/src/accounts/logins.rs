//! Logins: a token proves one, and only its hash is kept.
//!
//! All of them stand in memory, so that a request costs no disk. Uses are written behind, all
//! together and each login's at most once a minute; a power cut costs a login a minute of its idle
//! time and nothing else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::roles::Role;
use super::standing::Due;
use crate::network::SourceNetwork;
use crate::seal::{self, SealError, Secret};
use crate::store::records::LoginRecord;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// Idle time of a login, when neither account nor login says another: 24 hours.
pub(super) const IDLE: i64 = DAY;
/// Shortest and longest idle time.
pub(super) const IDLE_BOUNDS: (i64, i64) = (30 * MINUTE, 30 * DAY);
/// A login ends one month after it began, whatever happens.
const LATEST: i64 = 30 * DAY;
/// A login this young, or stepped up this lately, may do what needs a step-up.
const STEPPED_UP: i64 = 5 * MINUTE;
/// Live logins of one account; one more ends the one that was not used for longest.
const PER_ACCOUNT: usize = 100;

/// Addresses of one login that are remembered.
const SEEN: usize = 16;

/// A login's name: the SHA-256 of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginId([u8; 32]);

impl From<[u8; 32]> for LoginId {
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl LoginId {
    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its name in lists. Half of the hash of 256 random bits: it says nothing about the token.
    pub fn guid(&self) -> Uuid {
        let half = self.0.first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_custom_bytes(half).into_uuid()
    }

    /// The login that a token proves, if there is one.
    pub fn of_token(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// The token, handed out once.
pub type LoginToken = Secret<String>;

/// 256 bits.
pub(super) fn new_token() -> Result<LoginToken, SealError> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(seal::random::<32>()?)))
}

/// What a caller has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person's login.
    Login,
    /// An API token.
    Token,
    /// A key of the CRM; `write` allows more than reading.
    AppKey {
        /// May change things.
        write: bool,
    },
}

/// A live login, or a token or app key that stands for one.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    /// Its name.
    pub id: LoginId,
    /// Which of them it is.
    pub kind: Kind,
    /// Whose.
    pub account: Uuid,
    /// What it may do.
    pub role: Role,
    /// When it began.
    pub created: Timestamp,
    /// When it ends unless it is used.
    pub expires: Timestamp,
    /// Until when it may do what needs a step-up.
    pub stepped_up_until: Timestamp,
    /// What its account has to do before anything else.
    pub due: Option<Due>,
}

struct Live {
    record: LoginRecord,
    role: Role,
    /// Where the last use came from.
    address: Option<IpAddr>,
    /// `last_used` as it stands in the store.
    written: i64,
}

impl Live {
    fn ended(&self, now: i64) -> bool {
        self.record.expires <= now
    }

    fn login(&self, id: LoginId) -> Login {
        let proven = self.record.stepped_up.unwrap_or(0).max(self.record.created);
        Login {
            id,
            kind: Kind::Login,
            account: self.record.account,
            role: self.role,
            created: time(self.record.created),
            expires: time(self.record.expires),
            stepped_up_until: time(proven + STEPPED_UP),
            due: None,
        }
    }
}

/// All live logins.
#[derive(Default)]
pub(super) struct Logins {
    live: Mutex<HashMap<LoginId, Live>>,
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, HashMap<LoginId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a login as it stands in the store.
    pub(super) fn put(&self, id: LoginId, record: LoginRecord, role: Role) {
        let (written, address) = (record.last_used, record.address.parse().ok());
        self.lock().insert(id, Live { record, role, address, written });
    }

    pub(super) fn get(&self, id: &LoginId, now: Timestamp) -> Option<LoginRecord> {
        let live = self.lock();
        let found = live.get(id).filter(|live| !live.ended(now.as_millisecond()));
        found.map(|live| live.record.clone())
    }

    /// All of them, or those of one account.
    pub(super) fn all(&self, account: Option<Uuid>) -> Vec<(LoginId, LoginRecord)> {
        let live = self.lock();
        let wanted =
            live.iter().filter(|(_, live)| account.is_none_or(|id| live.record.account == id));
        wanted.map(|(id, live)| (*id, live.record.clone())).collect()
    }

    /// Whether there was one.
    pub(super) fn remove(&self, id: &LoginId) -> bool {
        self.lock().remove(id).is_some()
    }

    pub(super) fn of_account(&self, account: Uuid) -> Vec<LoginId> {
        let live = self.lock();
        let of_account = live.iter().filter(|(_, live)| live.record.account == account);
        of_account.map(|(id, _)| *id).collect()
    }

    /// Those that have to end before an account begins another one.
    pub(super) fn surplus(&self, account: Uuid) -> Vec<LoginId> {
        let live = self.lock();
        let mut of_account: Vec<(i64, LoginId)> = live
            .iter()
            .filter(|(_, live)| live.record.account == account)
            .map(|(id, live)| (live.record.last_used, *id))
            .collect();
        of_account.sort_unstable_by_key(|(last_used, _)| *last_used);
        let surplus = (of_account.len() + 1).saturating_sub(PER_ACCOUNT);
        of_account.into_iter().take(surplus).map(|(_, id)| id).collect()
    }

    /// Whether an account has a live login from a network: its owner is at home there.
    pub(super) fn at_home(&self, account: Uuid, network: SourceNetwork, now: Timestamp) -> bool {
        let live = self.lock();
        live.values().any(|live| {
            live.record.account == account
                && !live.ended(now.as_millisecond())
                && live
                    .record
                    .address
                    .parse()
                    .is_ok_and(|address: IpAddr| SourceNetwork::from(address) == network)
        })
    }

    /// Those that have ended by time.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<LoginId> {
        let live = self.lock();
        let ended = live.iter().filter(|(_, live)| live.ended(now.as_millisecond()));
        ended.map(|(id, _)| *id).collect()
    }

    /// Extends a login by its use from an address. `None`: there is none, or it has ended. The
    /// login comes with the count of its account at its beginning.
    pub(super) fn touch(
        &self,
        id: LoginId,
        now: Timestamp,
        from: Option<IpAddr>,
    ) -> Option<(Login, u32)> {
        let now = now.as_millisecond();
        let mut live = self.lock();
        let live = live.get_mut(&id).filter(|live| !live.ended(now))?;
        if let Some(from) = from.filter(|from| live.address != Some(*from)) {
            let Live { record, address, .. } = live;
            follow(&mut record.seen, &record.address, record.last_used, (from, now));
            record.address = from.to_string();
            *address = Some(from);
        }
        live.record.last_used = now;
        live.record.expires = (now + live.record.idle).min(live.record.latest);
        Some((live.login(id), live.record.era))
    }

    /// Notes a step-up, with a second factor or without; the login and its record.
    pub(super) fn step_up(
        &self,
        id: LoginId,
        factor: bool,
        now: Timestamp,
    ) -> Option<(Login, LoginRecord)> {
        let now = now.as_millisecond();
        let mut live = self.lock();
        let live = live.get_mut(&id).filter(|live| !live.ended(now))?;
        live.record.stepped_up = Some(now);
        if factor {
            live.record.factor = Some(now);
        }
        Some((live.login(id), live.record.clone()))
    }

    /// Whether a login has proven a second factor as lately as a step-up counts.
    pub(super) fn factor_is_fresh(&self, id: &LoginId, now: Timestamp) -> bool {
        let proven = self.get(id, now).and_then(|record| record.factor);
        proven.is_some_and(|at| now.as_millisecond() < at + STEPPED_UP)
    }

    /// Uses that are due to be written: of a minute or more, or all.
    pub(super) fn unwritten(&self, all: bool) -> Vec<(LoginId, LoginRecord)> {
        let live = self.lock();
        let due = |live: &Live| {
            let since = live.record.last_used - live.written;
            // Below zero: the clock was set back.
            !(0..MINUTE).contains(&since) || (all && since != 0)
        };
        let due = live.iter().filter(|(_, live)| due(live));
        due.map(|(id, live)| (*id, live.record.clone())).collect()
    }

    /// These uses are in the store now.
    pub(super) fn written(&self, uses: &[(LoginId, LoginRecord)]) {
        let mut live = self.lock();
        for (id, record) in uses {
            if let Some(live) = live.get_mut(id) {
                live.written = record.last_used;
            }
        }
    }
}

/// A moment as the store keeps it.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Notes that something came from another address than before: the address before was used until
/// then, and the new one is used from now on. Bounded: the least recent goes.
pub(super) fn follow(
    seen: &mut Vec<(String, i64, i64)>,
    before: &str,
    until: i64,
    (from, now): (IpAddr, i64),
) {
    if let Some((_, _, last)) = seen.iter_mut().find(|(address, ..)| address == before) {
        *last = until;
    }
    let from = from.to_string();
    let place = seen.iter().position(|(address, ..)| *address == from);
    let first = place.map_or(now, |place| seen.remove(place).1);
    let surplus = (seen.len() + 1).saturating_sub(SEEN);
    seen.drain(..surplus);
    seen.push((from, first, now));
}

/// A login that begins now. `idle` in milliseconds; out of bounds, the nearest bound counts.
pub(super) fn begin(account: Uuid, idle: Option<i64>, now: Timestamp) -> LoginRecord {
    let now = now.as_millisecond();
    let idle = idle.filter(|idle| *idle > 0).unwrap_or(IDLE).clamp(IDLE_BOUNDS.0, IDLE_BOUNDS.1);
    LoginRecord {
        account,
        created: now,
        last_used: now,
        expires: (now + idle).min(now + LATEST),
        latest: now + LATEST,
        idle,
        stepped_up: None,
        factor: None,
        address: String::new(),
        client: String::new(),
        era: 0,
        seen: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_use_is_due_to_be_written_once_a_minute() {
        let logins = Logins::default();
        let id = LoginId::from([1; 32]);
        logins.put(id, begin(Uuid::nil(), None, at(0)), Role::Admin);
        logins.touch(id, at(59), None).unwrap();
        assert!(logins.unwritten(false).is_empty());
        assert_eq!(logins.unwritten(true).len(), 1, "at the end all is written");
        logins.touch(id, at(60), None).unwrap();
        let due = logins.unwritten(false);
        assert_eq!(due.len(), 1);
        logins.written(&due);
        assert!(logins.unwritten(true).is_empty());
    }

    #[test]
    fn the_idle_time_stays_within_its_bounds() {
        for (wanted, given) in [
            (None, IDLE),
            (Some(0), IDLE),
            (Some(-5), IDLE),
            (Some(1), 30 * MINUTE),
            (Some(2 * DAY), 2 * DAY),
            (Some(i64::MAX), 30 * DAY),
        ] {
            assert_eq!(begin(Uuid::nil(), wanted, at(0)).idle, given, "{wanted:?}");
        }
    }

    #[test]
    fn the_addresses_of_a_login_are_kept_with_their_times_and_bounded() {
        let logins = Logins::default();
        let id = LoginId::from([1; 32]);
        let from = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        logins.put(id, begin(Uuid::nil(), None, at(0)), Role::Admin);
        for (seconds, last) in [(0, 1), (5, 1), (10, 2), (15, 1), (20, 2)] {
            logins.touch(id, at(seconds), from(last)).unwrap();
        }
        let record = logins.get(&id, at(20)).unwrap();
        let millis = |seconds| at(seconds).as_millisecond();
        assert_eq!(record.address, "192.0.2.2");
        assert_eq!(
            record.seen,
            [
                ("192.0.2.1".to_owned(), millis(0), millis(15)),
                ("192.0.2.2".to_owned(), millis(10), millis(20))
            ]
        );
        for last in 0..100 {
            logins.touch(id, at(30), from(last)).unwrap();
        }
        assert_eq!(logins.get(&id, at(30)).unwrap().seen.len(), SEEN);
    }

    #[test]
    fn the_least_used_login_gives_way() {
        let logins = Logins::default();
        for number in 0..100 {
            let id = LoginId::from([number; 32]);
            logins.put(id, begin(Uuid::nil(), None, at(i64::from(number))), Role::Admin);
        }
        logins.touch(LoginId::from([0; 32]), at(200), None).unwrap();
        assert_eq!(logins.surplus(Uuid::nil()), [LoginId::from([1; 32])]);
        assert!(logins.surplus(Uuid::max()).is_empty());
    }
}
